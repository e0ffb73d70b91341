"""Which purchases stand behind a lot: what an assignment notice tells the debtor of. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tallynet.receipts import Event
from tallynet.records import AcquiredBy, Lot, LotState
from tools.arguments import UsageError

PURCHASES: Final = frozenset(
    {"financing.payout.confirm", "financing.rediscount.confirm", "freeze.force_transfer"}
)
"""Entries of a voucher's log by which a range is bought; by the last one when a court lets a sale take effect
that was paid before the range was frozen."""
_OVER: Final = (LotState.REDEEMED, LotState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Bought:
    """A part of a lot, and who sold it."""

    start: int
    end: int
    seller: bytes


def require_bought(reference: str, lot: Lot, holder: bytes) -> None:
    """There is a purchase to tell of. Raises UsageError NOT_HOLDER, LOT_STATE."""
    if lot.holder != holder:
        raise UsageError("NOT_HOLDER", f"{reference} is held by another organisation")
    if lot.state in _OVER:
        raise UsageError("LOT_STATE", f"{reference} is {lot.state.name}: nothing of it is owed")
    if lot.acquired_by is not AcquiredBy.SALE:
        way = lot.acquired_by.name
        raise UsageError("LOT_STATE", f"{reference} was not bought but acquired by {way}")
    if lot.state is LotState.HELD and lot.lien is not None:
        # Whoever enforces a pledge keeps what the log says of how its borrower got the range.
        raise UsageError("LOT_STATE", f"{reference} was not bought but taken over for a loan")


def purchases_of(holder: bytes, start: int, end: int, events: Sequence[Event]) -> list[Bought]:
    """The purchases by which the holder of `[start, end)` got it, from the log of its way, newest first. Of each fen the
    newest counts; what is in none of them the holder did not buy, or the log does not reach back to it."""
    open_ranges, found = [(start, end)], []
    for event in events:
        if event.type not in PURCHASES or event.target != holder or event.source is None:
            continue
        left = []
        for low, high in open_ranges:
            first, last = max(low, event.start), min(high, event.end)
            if first >= last:
                left.append((low, high))
                continue
            found.append(Bought(first, last, event.source))
            left += [part for part in ((low, first), (last, high)) if part[0] < part[1]]
        open_ranges = left
    return sorted(found, key=lambda part: part.start)
