"""Banks' payment receipt numbers: each is used once (I8)."""

from __future__ import annotations

from node.ledger.context import Context, refuse
from tallynet.hashing import record_id
from tallynet.records import BankReceipt, Kind


def use(context: Context, receipt_commitment: bytes, bank: bytes, used_by: bytes) -> None:
    """Use up a receipt of this bank. Raises LedgerError RECEIPT_REUSED."""
    id = record_id(Kind.BANK_RECEIPT, bank, receipt_commitment)
    if context.find(BankReceipt, id) is not None:
        raise refuse("RECEIPT_REUSED", "this bank receipt was used before")
    context.put(id, BankReceipt(used_by, context.today))
