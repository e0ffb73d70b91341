"""Files between the ledger and a bank's payment system: ISO 20022 out, ISO 20022 in."""
