"""The voucher law: a pure function of state, header and envelopes."""
