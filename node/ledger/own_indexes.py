"""Indexes that follow from one record alone, kept by whatever writes the record (voucher law §13; I14).

The entries of a schedule or of a pending transfer depend on parameters and on other records, so the rules
that know them keep them. What penetration queries look up depends on nothing but the record, so no rule
has to think of it: `Context` and `ranges` compare the entries before and after a write.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from node.state.view import Index, StateView
from tallynet.records import (
    DocumentReader,
    Guarantee,
    GuaranteeScope,
    GuaranteeState,
    Lot,
    LotState,
    Organisation,
    Prepayment,
    PrepaymentState,
    Record,
    Voucher,
    VoucherStatus,
    WarehouseReceipt,
)

Entry = tuple[Index, bytes]

OPEN_LOTS: Final = (
    LotState.HELD,
    LotState.TRANSFER_PENDING,
    LotState.FINANCING_PENDING,
    LotState.PLEDGED,
)
"""Somebody is to be paid for it. What is redeemed or cancelled stays in the state as history, and no
query about the present may grow with it."""
CLOSED_VOUCHERS: Final = (
    VoucherStatus.PENDING_CLAIM,
    VoucherStatus.SETTLED,
    VoucherStatus.CANCELLED,
)
DAY_BYTES: Final = 4


def day_bytes(day: int) -> bytes:
    """A day as part of an index key: keys sort by day."""
    return day.to_bytes(DAY_BYTES, "big")


def _lot(id: bytes, record: Record) -> Entry | None:
    lot = cast("Lot", record)
    if lot.state not in OPEN_LOTS:
        return None
    return Index.OPEN_LOTS, lot.holder + day_bytes(lot.acquired_day) + id


def _voucher(id: bytes, record: Record) -> Entry | None:
    voucher = cast("Voucher", record)
    if voucher.status in CLOSED_VOUCHERS:
        return None
    return Index.OPEN_VOUCHERS, voucher.debtor + id


def _guarantee(id: bytes, record: Record) -> Entry | None:
    guarantee = cast("Guarantee", record)
    if guarantee.scope is GuaranteeScope.VOUCHER or guarantee.state is not GuaranteeState.ACTIVE:
        return None
    return Index.GUARANTEES, guarantee.covered + day_bytes(guarantee.expiry) + id


def _receipt(id: bytes, record: Record) -> Entry | None:
    receipt = cast("WarehouseReceipt", record)
    if receipt.financing is None:
        return None
    return Index.PLEDGED_RECEIPTS, receipt.financing + id


def _prepayment(id: bytes, record: Record) -> Entry | None:
    prepayment = cast("Prepayment", record)
    if prepayment.state is not PrepaymentState.FUNDED:
        return None
    return Index.MAKER_PREPAYMENTS, prepayment.maker + id


def _organisation(id: bytes, record: Record) -> Entry | None:
    parent = cast("Organisation", record).parent
    return None if parent is None else (Index.BRANCHES, parent + id)


def _document_reader(id: bytes, record: Record) -> Entry | None:
    return Index.DOCUMENT_READERS, cast("DocumentReader", record).document + id


Rule = Callable[[bytes, Record], Entry | None]
_OWN: Final[dict[type[Record], Rule]] = {
    Lot: _lot,
    Voucher: _voucher,
    Guarantee: _guarantee,
    WarehouseReceipt: _receipt,
    Prepayment: _prepayment,
    Organisation: _organisation,
    DocumentReader: _document_reader,
}


FOLLOWED: Final = frozenset(_OWN)
"""Types whose records have an entry at all."""


def own_entry(id: bytes, record: Record) -> Entry | None:
    """The one entry that exists because of this record, or None."""
    rule = _OWN.get(type(record))
    return None if rule is None else rule(id, record)


def follow(
    state: StateView, record_type: type[Record], id: bytes, old: Record | None, new: Record | None
) -> None:
    """Bring the entry of a record of this type in step with what is about to be written; None: there is no
    such record before, or after."""
    rule = _OWN.get(record_type)
    if rule is None or (record_type is Voucher and _same_entry(old, new)):
        return
    before = None if old is None else rule(id, old)
    after = None if new is None else rule(id, new)
    if before == after:
        return
    if before is not None:
        state.index_remove(*before)
    if after is not None:
        state.index_add(*after)


def _same_entry(old: Record | None, new: Record | None) -> bool:
    """Every act on lots writes their voucher, and its entry seldom depends on that: no key is made then."""
    if not isinstance(old, Voucher) or not isinstance(new, Voucher):
        return False
    return old.status is new.status and old.debtor == new.debtor


def follow_lot(state: StateView, id: bytes, old: Lot | None, new: Lot | None) -> None:
    """The same for a lot. Every act writes lots, and most of them change nothing here: they cost no key."""
    was_open = old is not None and old.state in OPEN_LOTS
    is_open = new is not None and new.state in OPEN_LOTS
    if old is not None and new is not None and was_open == is_open:
        same = old.holder == new.holder and old.acquired_day == new.acquired_day
        if same or not is_open:
            return
    if old is not None and was_open:
        state.index_remove(Index.OPEN_LOTS, old.holder + day_bytes(old.acquired_day) + id)
    if new is not None and is_open:
        state.index_add(Index.OPEN_LOTS, new.holder + day_bytes(new.acquired_day) + id)


__all__ = [
    "CLOSED_VOUCHERS", "DAY_BYTES", "FOLLOWED", "OPEN_LOTS", "Entry", "day_bytes", "follow", "follow_lot", "own_entry",
]  # fmt: skip
