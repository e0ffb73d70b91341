"""Range lots: carve and coalesce (voucher law §7). Conservation is structural here (I1).

A voucher of face F is the range [0, F) of fen; its lots tile it. Partial acts cut from the tail, the
remainder keeps its id; neighbours that are equal in everything legal are joined again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final

import msgspec

from node.ledger.context import Context, refuse
from node.ledger.own_indexes import follow_lot
from node.state.view import Index
from tallynet.errors import invariant
from tallynet.records import (
    FLAG_DISPUTED,
    FLAG_FROZEN,
    Financing,
    FinancingRequest,
    Freeze,
    Kind,
    Lot,
    LotState,
    Organisation,
    Voucher,
    lot_id,
)

ORGANISATION_FREEZES_MAX: Final = 16
"""Freezes in force on one whole organisation: each act on one of its lots looks at them."""


def find_lot(context: Context, voucher_id: bytes, start: int) -> Lot | None:
    """The lot that begins at `start`, or None."""
    record = context.state.get(Kind.LOT, lot_id(voucher_id, start))
    return record if isinstance(record, Lot) else None


def get_lot(context: Context, voucher_id: bytes, start: int) -> Lot:
    """The lot that begins at `start`. Raises LedgerError RECORD_NOT_FOUND."""
    lot = find_lot(context, voucher_id, start)
    if lot is None:
        raise refuse("RECORD_NOT_FOUND", f"no lot of this voucher starts at {start}")
    return lot


def put_lot(context: Context, voucher_id: bytes, lot: Lot) -> None:
    """Write a lot, keeping the index by holder."""
    _put(context, voucher_id, lot, find_lot(context, voucher_id, lot.start))


def _put(context: Context, voucher_id: bytes, lot: Lot, old: Lot | None) -> None:
    """Write a lot in the place of `old`; None where no lot begins."""
    id = lot_id(voucher_id, lot.start)
    follow_lot(context.state, id, old, lot)
    context.state.put(Kind.LOT, id, lot)


def remove_lot(context: Context, voucher_id: bytes, lot: Lot) -> None:
    """Remove a lot that was joined to its neighbour."""
    id = lot_id(voucher_id, lot.start)
    follow_lot(context.state, id, lot, None)
    context.state.delete(Kind.LOT, id)


def require_free(lot: Lot) -> None:
    """Raises LedgerError LOT_LOCKED, LOT_STATE, LOT_FROZEN, LOT_DISPUTED, LOT_ENCUMBERED unless the
    lot is HELD without flag or lien."""
    if lot.state is LotState.FINANCING_PENDING or lot.state is LotState.TRANSFER_PENDING:
        raise refuse("LOT_LOCKED", f"the lot is {lot.state.name}")
    if lot.state is not LotState.HELD:
        raise refuse("LOT_STATE", f"the lot is {lot.state.name}")
    require_unblocked(lot)
    if lot.lien is not None:
        raise refuse("LOT_ENCUMBERED", "the lot carries a lien")


def require_unblocked(lot: Lot) -> None:
    """Raises LedgerError LOT_FROZEN, LOT_DISPUTED."""
    if lot.flags & FLAG_FROZEN:
        raise refuse("LOT_FROZEN", "the lot is frozen")
    if lot.flags & FLAG_DISPUTED:
        raise refuse("LOT_DISPUTED", "the lot is disputed")


def require_free_holder(context: Context, holder: bytes) -> None:
    """Raises LedgerError LOT_FROZEN if everything that the holder has is frozen."""
    if is_frozen_whole(context, holder):
        raise refuse("LOT_FROZEN", "everything that the holder has is frozen")


def is_frozen_whole(context: Context, organisation: bytes) -> bool:
    """True while a freeze on the whole organisation is in force, which its lots do not show."""
    holder = context.find(Organisation, organisation)
    if holder is None or not holder.freezes:
        return False
    keys = context.state.index_scan(
        Index.ORGANISATION_FREEZES, organisation, limit=ORGANISATION_FREEZES_MAX
    )
    return any(context.today <= context.require(Freeze, key[16:]).expires for key in keys)


def hold_on(context: Context, lot: Lot) -> str | None:
    """LOT_FROZEN or LOT_DISPUTED if the lot may not move, whatever its state."""
    if lot.flags & FLAG_FROZEN or is_frozen_whole(context, lot.holder):
        return "LOT_FROZEN"
    return "LOT_DISPUTED" if lot.flags & FLAG_DISPUTED else None


def lot_at(context: Context, voucher_id: bytes, position: int) -> Lot:
    """The lot that covers this fen of the voucher's face."""
    starts = context.state.lot_starts(voucher_id)
    return get_lot(context, voucher_id, starts[bisect_right(starts, position) - 1])


def lots_between(context: Context, voucher_id: bytes, start: int, end: int) -> list[Lot]:
    """The lots that touch `[start, end)`, ascending."""
    starts = context.state.lot_starts(voucher_id)
    first = bisect_right(starts, start) - 1
    return [get_lot(context, voucher_id, at) for at in starts[first : bisect_left(starts, end)]]


def require_unheld(context: Context, lot: Lot) -> None:
    """Raises LedgerError LOT_FROZEN, LOT_DISPUTED if the lot may not move, whatever its state."""
    hold = hold_on(context, lot)
    if hold is not None:
        raise refuse(hold, "an order or a dispute in force holds the range")


def lots_of(context: Context, id: bytes, deal: Financing | FinancingRequest) -> list[Lot]:
    """The lots that carry this lien, ascending: one, unless an order has cut it or settlement has paid
    all of it."""
    touched = lots_between(context, deal.voucher, deal.start, deal.end)
    return [lot for lot in touched if lot.lien == id]


def carve(
    context: Context,
    voucher_id: bytes,
    voucher: Voucher,
    lot: Lot,
    amount: int,
    *,
    exempt: bool = False,
) -> Lot:
    """The last `amount` fen of `lot`, which is in the state, as a lot of its own; the whole lot when it is all of it.

    The tail has all attributes copied and is the caller's to change and to write, as every lot that is written
    costs keys of indexes; the shortened remainder is written here. With `exempt` (settlement) state, flags and the lot limit do not matter, and of
    `covered` the remainder keeps what fits.

    Raises:
        LedgerError: AMOUNT_RANGE, LOT_LIMIT, and those of `require_free`.
    """
    length = lot.end - lot.start
    if not exempt:
        require_free(lot)
        require_free_holder(context, lot.holder)
    if not 0 < amount <= length:
        raise refuse("AMOUNT_RANGE", f"{amount} of a lot of {length}")
    if amount == length:
        return lot
    if not exempt and len(context.state.lot_starts(voucher_id)) >= voucher.max_lots:
        raise refuse("LOT_LIMIT", f"the voucher has its {voucher.max_lots} lots already")
    cut = lot.end - amount
    kept = min(lot.covered, cut - lot.start)
    tail = msgspec.structs.replace(lot, start=cut, covered=lot.covered - kept)
    _put(context, voucher_id, msgspec.structs.replace(lot, end=cut, covered=kept), lot)
    return tail


def _joinable(a: Lot, b: Lot) -> bool:
    return (
        a.end == b.start
        and a.holder == b.holder
        and a.state is b.state
        and a.hops == b.hops
        and a.acquired_by is b.acquired_by
        and a.recourse_from == b.recourse_from
        and a.lien is None
        and b.lien is None
        and a.covered == 0
        and b.covered == 0
        and a.flags == b.flags
    )


def put_joined(context: Context, voucher_id: bytes, lot: Lot) -> Lot:
    """Write a lot that is HELD or REDEEMED now, joined with its right neighbour, then with the left one, where
    equal; returns what is written: `lot` itself if nothing was joined."""
    invariant(lot.state is LotState.HELD or lot.state is LotState.REDEEMED, "LEDGER_COALESCE state")
    starts = context.state.lot_starts(voucher_id)
    at = bisect_left(starts, lot.start)
    is_there = at < len(starts) and starts[at] == lot.start
    after = at + is_there
    right = find_lot(context, voucher_id, starts[after]) if after < len(starts) else None
    left = find_lot(context, voucher_id, starts[at - 1]) if at > 0 else None
    old = get_lot(context, voucher_id, lot.start) if is_there else None
    joined = lot
    if right is not None and _joinable(joined, right):
        remove_lot(context, voucher_id, right)
        joined = _join(joined, right)
    if left is not None and _joinable(left, joined):
        if old is not None:
            remove_lot(context, voucher_id, old)
        joined, old = _join(left, joined), left
    _put(context, voucher_id, joined, old)
    return joined


def _join(left: Lot, right: Lot) -> Lot:
    return msgspec.structs.replace(
        left,
        end=right.end,
        newest_event=max(left.newest_event, right.newest_event),
        acquired_day=max(left.acquired_day, right.acquired_day),
    )
