"""Courts, regulators and disputes: ranges that may not move (voucher law §8.8, legal).

A *hold* is a freeze or a dispute in force on ranges of a voucher. It cuts lots at its ends and flags what
lies between; several may overlap, and a flag falls with the last hold of its kind over it, which the
index VOUCHER_HOLDS tells. A freeze on a whole organisation flags nothing: whoever moves a lot asks
whether its holder is frozen, so the order costs the same for one lot and for a million.

Freeze against payout: a draw that no bank has sent is cancelled by the hold; one that was sent waits, and
its confirmation is recorded, until nothing holds its range (`node.ledger.financing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from node.ledger import lines
from node.ledger.amendments import require_authority
from node.ledger.context import Context, refuse, require_amount
from node.ledger.drawing import lender, settle_in
from node.ledger.financing import cancel_draw, cancel_unsent, complete_payout, release_payout
from node.ledger.lots import give_back
from node.ledger.organisations import has_kind, require_active
from node.ledger.ranges import (
    ORGANISATION_FREEZES_MAX,
    carve,
    find_lot,
    get_lot,
    hold_on,
    lot_at,
    lots_between,
    put_lot,
)
from node.ledger.redemption import ENDED, readdress, split_instruction
from node.ledger.rulebook import Joint, Signers, rule
from node.ledger.schedule import HANDLERS, Act, drop_day, put_day, take_off_day
from node.ledger.vouchers import HOLDS_MAX, log, touch
from node.state.view import Index
from tallynet.commands import (
    DisputeOpen,
    DisputeResolve,
    ForceTransfer,
    FreezeExtend,
    FreezeLift,
    FreezeOrder,
    FrozenPart,
)
from tallynet.hashing import record_id
from tallynet.records import (
    FLAG_DISPUTED,
    FLAG_FROZEN,
    AcquiredBy,
    CommandClass,
    Dispute,
    DisputeState,
    Financing,
    FinancingKind,
    FinancingState,
    Freeze,
    FreezeState,
    Kind,
    Lot,
    LotRange,
    LotState,
    Organisation,
    OrganisationKind,
    Voucher,
    VoucherStatus,
)

_NOT_CIRCULATING = (VoucherStatus.PENDING_CLAIM, VoucherStatus.SETTLED, VoucherStatus.CANCELLED)
_BUYING = (FinancingKind.SALE, FinancingKind.REDISCOUNT)
_FLAG = {Kind.FREEZE: FLAG_FROZEN, Kind.DISPUTE: FLAG_DISPUTED}


def hold_key(voucher_id: bytes, kind: Kind, id: bytes) -> bytes:
    """Entry of VOUCHER_HOLDS."""
    return voucher_id + bytes((kind,)) + id


# --- ranges that are held -----------------------------------------------------------------------------


def _voucher(context: Context, id: bytes) -> Voucher:
    """A voucher of which ranges can be held. Raises LedgerError VOUCHER_STATE."""
    voucher = touch(context, id)
    if voucher.status in _NOT_CIRCULATING:
        raise refuse("VOUCHER_STATE", f"the voucher is {voucher.status.name}")
    return voucher


def _open_lots(context: Context, part: LotRange, face: int) -> list[Lot]:
    """The lots of a range, all open. Raises LedgerError AMOUNT_RANGE, LOT_STATE."""
    if not 0 <= part.start < part.end <= face:
        raise refuse("AMOUNT_RANGE", f"[{part.start}, {part.end}) is no range of [0, {face})")
    lots = lots_between(context, part.voucher, part.start, part.end)
    if any(lot.state in ENDED for lot in lots):
        raise refuse("LOT_STATE", "a part of the range is paid or cancelled")
    return lots


def _require_disjoint(ranges: Sequence[LotRange]) -> None:
    for left, right in pairwise(ranges):
        if left.voucher == right.voucher and left.end > right.start:
            raise refuse("STATE_CONFLICT", "two ranges overlap or are not in order")


def _cut(context: Context, part: LotRange) -> list[Lot]:
    """The open lots of a range, cut at its ends; exempt from the lot limit (§7)."""
    for position in (part.start, part.end):
        voucher = context.require(Voucher, part.voucher)
        if position == voucher.face:
            continue
        lot = lot_at(context, part.voucher, position)
        if lot.start == position or lot.state in ENDED:
            continue
        tail = carve(context, part.voucher, voucher, lot, lot.end - position, exempt=True)
        put_lot(context, part.voucher, tail)
        if position < voucher.instructions_opened:
            voucher = split_instruction(context, part.voucher, voucher, lot.start, tail)
            context.put(part.voucher, voucher)
    lots = lots_between(context, part.voucher, part.start, part.end)
    return [lot for lot in lots if lot.state not in ENDED]


def _hold(context: Context, part: LotRange, flag: int) -> None:
    """Undo what is pending on a range and has not left the network, then flag it."""
    _undo_all_pending(context, part)
    for lot in _cut(context, part):
        _set_flags(context, part.voucher, lot.start, flag, 0)


def _undo_all_pending(context: Context, part: LotRange) -> None:
    position = part.start
    while position < part.end:
        lot = lot_at(context, part.voucher, position)
        if not _undo_pending(context, part.voucher, lot):
            position = lot.end


def _undo_pending(context: Context, voucher_id: bytes, lot: Lot) -> bool:
    """A pending transfer goes back to its sender, a request or an unsent draw is cancelled. True if so."""
    if lot.state is LotState.TRANSFER_PENDING:
        voucher = context.require(Voucher, voucher_id)
        context.put(voucher_id, give_back(context, voucher_id, voucher, lot, "lot.recall"))
        return True
    if lot.state is not LotState.FINANCING_PENDING or lot.lien is None:
        return False
    return cancel_unsent(context, lot.lien)


def _set_flags(context: Context, voucher_id: bytes, start: int, add: int, remove: int) -> None:
    lot = find_lot(context, voucher_id, start)
    if lot is None:
        return  # the lot on its left, just flagged, was equal to it and took it in
    changed = msgspec.structs.replace(lot, flags=(lot.flags | add) & ~remove)
    if changed.state is LotState.HELD:
        settle_in(context, voucher_id, context.require(Voucher, voucher_id), changed)
    else:
        put_lot(context, voucher_id, changed)


def _release(context: Context, part: LotRange, kind: Kind) -> None:
    """Clear the flag where no other hold of this kind lies over the range; what waited for that takes
    effect."""
    for free in _without(part, _held(context, part.voucher, kind)):
        waiting: list[bytes] = []
        for lot in _cut(context, free):
            if lot.state is LotState.FINANCING_PENDING and lot.lien is not None:
                waiting.append(lot.lien)
            _set_flags(context, part.voucher, lot.start, 0, _FLAG[kind])
        for financing in waiting:
            release_payout(context, financing)


def _held(context: Context, voucher_id: bytes, kind: Kind) -> list[LotRange]:
    """The ranges of a voucher under holds of this kind, ascending."""
    prefix = voucher_id + bytes((kind,))
    found: list[LotRange] = []
    for key in context.state.index_scan(Index.VOUCHER_HOLDS, prefix, limit=HOLDS_MAX):
        record = context.state.get(kind, key[17:])
        if isinstance(record, Freeze | Dispute):
            found += [part for part in record.ranges if part.voucher == voucher_id]
    return sorted(found, key=lambda part: part.start)


def _without(part: LotRange, others: Sequence[LotRange]) -> list[LotRange]:
    """What is left of a range under none of the others, which ascend by start."""
    free: list[LotRange] = []
    position = part.start
    for other in others:
        if other.start > position:
            free.append(LotRange(part.voucher, position, min(other.start, part.end)))
        position = max(position, other.end)
        if position >= part.end:
            return free
    if position < part.end:
        free.append(LotRange(part.voucher, position, part.end))
    return free


# --- freeze -------------------------------------------------------------------------------------------


@rule(
    FreezeOrder,
    CommandClass.LEGAL,
    Signers.MC,
    sentence="Freezes, as a court agent or regulator, ranges or all that an organisation holds.",
)
def order(context: Context, command: FreezeOrder) -> None:
    """freeze.order (voucher law §8.8): ranges or whole organisation, with expiry -> flag. Every range
    must be held by the organisation that the order names."""
    require_authority(context)
    context.require(Organisation, command.organisation)
    if command.expires < context.today:
        raise refuse("DATE_RANGE", "the order would have expired already")
    ranges = sorted(
        (_range(context, part, command.organisation) for part in command.parts),
        key=lambda part: (part.voucher, part.start),
    )
    _require_disjoint(ranges)
    vouchers = sorted({part.voucher for part in ranges})
    id = record_id(Kind.FREEZE, context.acting, command.label)
    freeze = Freeze(
        context.acting, command.organisation, command.case_commitment, tuple(ranges),
        command.expires, FreezeState.IN_FORCE,
    )  # fmt: skip
    context.create(id, freeze)
    put_day(context, command.expires + 1, Act.FREEZE_EXPIRE, id)
    context.emit(
        "freeze.order", Kind.FREEZE, id, source=context.acting, target=command.organisation
    )
    if not ranges:
        _freeze_whole(context, id, command.organisation)
    for voucher_id in vouchers:
        _begin(context, voucher_id, Kind.FREEZE, id)
    for part in ranges:
        _hold(context, part, FLAG_FROZEN)
        _log(context, part, "freeze.order", command.organisation, id)


def _range(context: Context, part: FrozenPart, holder: bytes) -> LotRange:
    """What a part of an order means now: the tail of a lot, or exactly what it says (§7)."""
    voucher = _voucher(context, part.voucher)
    require_amount(part.amount)
    start, end = part.start, part.start + part.amount
    if not part.exact:
        lot = get_lot(context, part.voucher, part.start)
        start, end = lot.end - part.amount, lot.end
        if start < lot.start:
            raise refuse("AMOUNT_RANGE", f"{part.amount} of a lot of {lot.end - lot.start}")
    found = LotRange(part.voucher, max(0, start), min(end, voucher.face + 1))
    if any(lot.holder != holder for lot in _open_lots(context, found, voucher.face)):
        raise refuse("NOT_HOLDER", "the organisation does not hold all of this range")
    return found


def _freeze_whole(context: Context, id: bytes, organisation: bytes) -> None:
    known = context.state.index_scan(
        Index.ORGANISATION_FREEZES, organisation, limit=ORGANISATION_FREEZES_MAX
    )
    if len(known) >= ORGANISATION_FREEZES_MAX:
        raise refuse("BATCH_LIMIT", f"{ORGANISATION_FREEZES_MAX} orders are in force already")
    context.state.index_add(Index.ORGANISATION_FREEZES, organisation + id)
    _count_whole(context, organisation, 1)


def _count_whole(context: Context, id: bytes, change: int) -> None:
    organisation = context.require(Organisation, id)
    count = organisation.freezes + change
    context.put(id, msgspec.structs.replace(organisation, freezes=count))


def _begin(context: Context, voucher_id: bytes, kind: Kind, id: bytes) -> None:
    """Count a hold on its voucher. Raises LedgerError BATCH_LIMIT."""
    context.state.index_add(Index.VOUCHER_HOLDS, hold_key(voucher_id, kind, id))
    _count(context, voucher_id, kind, 1)


def _end(context: Context, voucher_id: bytes, kind: Kind, id: bytes) -> None:
    context.state.index_remove(Index.VOUCHER_HOLDS, hold_key(voucher_id, kind, id))
    _count(context, voucher_id, kind, -1)


def _count(context: Context, voucher_id: bytes, kind: Kind, change: int) -> None:
    voucher = context.require(Voucher, voucher_id)
    count = (voucher.freezes if kind is Kind.FREEZE else voucher.disputes) + change
    if count > HOLDS_MAX:
        raise refuse("BATCH_LIMIT", f"{HOLDS_MAX} such holds are in force on the voucher already")
    if kind is Kind.FREEZE:
        changed = msgspec.structs.replace(voucher, freezes=count)
    else:
        changed = msgspec.structs.replace(voucher, disputes=count)
    context.put(voucher_id, changed)


def _log(
    context: Context, part: LotRange, event: str, target: bytes | None, reference: bytes
) -> None:
    voucher = context.require(Voucher, part.voucher)
    voucher = log(
        context, part.voucher, voucher, event, start=part.start, end=part.end,
        source=context.acting, target=target, reference=reference,
    )  # fmt: skip
    context.put(part.voucher, voucher)


def _in_force(context: Context, id: bytes) -> Freeze:
    """The freeze, if its authority acts and it is in force. Raises LedgerError NOT_AUTHORISED,
    NOT_FROZEN."""
    require_authority(context)
    freeze = context.require(Freeze, id)
    if freeze.authority != context.acting:
        raise refuse("NOT_AUTHORISED", "another authority ordered this freeze")
    if freeze.state is not FreezeState.IN_FORCE or context.today > freeze.expires:
        raise refuse("NOT_FROZEN", "the freeze is lifted or has expired")
    return freeze


@rule(
    FreezeExtend,
    CommandClass.LEGAL,
    Signers.MC,
    sentence="Extends a freeze to a later day, by the authority that ordered it.",
    errors=("NOT_FROZEN",),
)
def extend(context: Context, command: FreezeExtend) -> None:
    """freeze.extend (voucher law §8.8)."""
    freeze = _in_force(context, command.freeze)
    if command.expires <= freeze.expires:
        raise refuse("DATE_RANGE", "an extension ends on a later day")
    drop_day(context, freeze.expires + 1, Act.FREEZE_EXPIRE, command.freeze)
    put_day(context, command.expires + 1, Act.FREEZE_EXPIRE, command.freeze)
    context.put(command.freeze, msgspec.structs.replace(freeze, expires=command.expires))
    context.emit(
        "freeze.extend", Kind.FREEZE, command.freeze, source=context.acting,
        target=freeze.organisation,
    )  # fmt: skip


@rule(
    FreezeLift,
    CommandClass.LEGAL,
    Signers.MC,
    sentence="Lifts a freeze, by the authority that ordered it.",
    errors=("NOT_FROZEN",),
)
def lift(context: Context, command: FreezeLift) -> None:
    """freeze.lift (voucher law §8.8)."""
    freeze = _in_force(context, command.freeze)
    _end_freeze(context, command.freeze, freeze, FreezeState.LIFTED, "freeze.lift")


def _end_freeze(
    context: Context, id: bytes, freeze: Freeze, state: FreezeState, event: str
) -> None:
    """Take the freeze out of force; its ranges are free where no other freeze lies on them."""
    take_off_day(context, freeze.expires + 1, Act.FREEZE_EXPIRE, id)
    context.put(id, msgspec.structs.replace(freeze, state=state))
    context.emit(event, Kind.FREEZE, id, source=context.acting, target=freeze.organisation)
    if not freeze.ranges:
        context.state.index_remove(Index.ORGANISATION_FREEZES, freeze.organisation + id)
        _count_whole(context, freeze.organisation, -1)
    for voucher_id in sorted({part.voucher for part in freeze.ranges}):
        _end(context, voucher_id, Kind.FREEZE, id)
    for part in freeze.ranges:
        _release(context, part, Kind.FREEZE)
        _log(context, part, event, None, id)


def _expire(context: Context, id: bytes) -> None:
    """system.expire: the last day of a freeze has passed."""
    freeze = context.require(Freeze, id)
    if freeze.state is FreezeState.IN_FORCE:
        _end_freeze(context, id, freeze, FreezeState.EXPIRED, "system.expire")


HANDLERS[Act.FREEZE_EXPIRE] = _expire


# --- forced transfer ----------------------------------------------------------------------------------


@rule(
    ForceTransfer,
    CommandClass.LEGAL,
    Signers.MCA,
    amount=lambda command: max(0, command.end - command.start),
    sentence="Gives a frozen range, by order of a court, to a new holder.",
    errors=("NOT_FROZEN",),
)
def force_transfer(context: Context, command: ForceTransfer) -> None:
    """freeze.force_transfer (voucher law §8.8): frozen ranges only -> new holder (强制过户). The range
    stays under the freezes that name it; liens go with it. A confirmed pay-out that waits takes effect if
    it made the receiver the buyer, else it is undone; one that is under way must end first
    (LOT_LOCKED)."""
    court = require_active(context, context.acting)
    if not has_kind(court, OrganisationKind.COURT_AGENT):
        raise refuse("NOT_AUTHORISED", "only a court agent transfers by force")
    voucher = _voucher(context, command.voucher)
    if context.find(Organisation, command.receiver) is None:
        raise refuse("RECEIVER_NOT_ELIGIBLE", "the receiver is not registered")
    require_active(context, command.receiver, receiving=True)
    part = LotRange(command.voucher, command.start, command.end)
    lots = _open_lots(context, part, voucher.face)
    if any(hold_on(context, lot) != "LOT_FROZEN" for lot in lots):
        raise refuse("NOT_FROZEN", "a part of the range is not frozen")
    holders = {lot.holder for lot in lots}
    if command.receiver == voucher.debtor or command.receiver in holders:
        raise refuse("RECEIVER_NOT_ELIGIBLE", "not to the debtor, and not to who holds it")
    _end_draws(context, command, part)
    for lot in _cut(context, part):
        _take(context, command, lot)


def _end_draws(context: Context, command: ForceTransfer, part: LotRange) -> None:
    """What is pending on the range ends, so that each lot has one owner to take it from."""
    _undo_all_pending(context, part)
    lots = lots_between(context, part.voucher, part.start, part.end)
    for id in sorted({lot.lien for lot in lots if lot.lien is not None}):
        financing = context.find(Financing, id)
        if financing is None or financing.state is FinancingState.AWAIT_PAYOUT:
            raise refuse("LOT_LOCKED", "a financing of the range is under way")
        receiving = lender(financing) == command.receiver
        if financing.state is not FinancingState.PAYOUT_HELD:
            if receiving:
                raise refuse("RECEIVER_NOT_ELIGIBLE", "a lender enforces its own lien")
        elif receiving and financing.kind in _BUYING:
            complete_payout(context, id, financing, "freeze.force_transfer")
        else:
            cancel_draw(context, id, "freeze.force_transfer")


def _take(context: Context, command: ForceTransfer, lot: Lot) -> None:
    if lot.holder == command.receiver:
        return
    voucher = context.require(Voucher, command.voucher)
    event = voucher.event_count
    voucher = log(
        context, command.voucher, voucher, "freeze.force_transfer", start=lot.start, end=lot.end,
        source=lot.holder, target=command.receiver, amount=lot.end - lot.start,
    )  # fmt: skip
    context.put(command.voucher, voucher)
    taken = msgspec.structs.replace(
        lines.release_bought(context, voucher, lot),
        holder=command.receiver,
        newest_event=event,
        acquired_day=context.today,
        acquired_by=AcquiredBy.COURT,
    )
    if taken.state is LotState.HELD:
        settle_in(context, command.voucher, voucher, taken)
    else:
        put_lot(context, command.voucher, taken)
    if taken.lien is None:
        readdress(context, command.voucher, taken.start, taken.holder)


# --- dispute ------------------------------------------------------------------------------------------


@rule(
    DisputeOpen,
    CommandClass.LEGAL,
    Signers.MC,
    sentence="Disputes ranges of a voucher, as their holder or as the debtor: they do not move.",
)
def dispute_open(context: Context, command: DisputeOpen) -> None:
    """dispute.open (voucher law §8.8): disputed ranges do not move; no new financing on the voucher;
    other holders' payment never stops."""
    voucher = _voucher(context, command.voucher)
    ranges = tuple(LotRange(command.voucher, part.start, part.end) for part in command.ranges)
    _require_disjoint(ranges)
    for part in ranges:
        for lot in _open_lots(context, part, voucher.face):
            if context.acting not in (voucher.debtor, lot.holder):
                raise refuse("NOT_HOLDER", "a dispute is opened by the holder or the debtor")
            if hold_on(context, lot) == "LOT_FROZEN":
                raise refuse("LOT_FROZEN", "a part of the range is frozen")
    id = record_id(Kind.DISPUTE, context.acting, command.label)
    dispute = Dispute(ranges, context.acting, command.reason_commitment, DisputeState.OPEN)
    context.create(id, dispute)
    _begin(context, command.voucher, Kind.DISPUTE, id)
    for part in ranges:
        _hold(context, part, FLAG_DISPUTED)
        _log(context, part, "dispute.open", None, id)


def _resolve_parties(context: Context, command: DisputeResolve) -> tuple[bytes, ...]:
    """A court agent alone, or the debtor and who holds the disputed ranges today."""
    actor = context.require(Organisation, context.acting)
    if has_kind(actor, OrganisationKind.COURT_AGENT):
        return (context.acting,)
    dispute = context.require(Dispute, command.dispute)
    voucher = context.require(Voucher, dispute.ranges[0].voucher)
    holders = {
        lot.holder
        for part in dispute.ranges
        for lot in lots_between(context, part.voucher, part.start, part.end)
    }
    return voucher.debtor, *sorted(holders)


@rule(
    DisputeResolve,
    CommandClass.LEGAL,
    Signers.MC,
    joint=Joint.PARTIES,
    parties=_resolve_parties,
    sentence="Ends a dispute: debtor and holders together, or a court agent.",
)
def dispute_resolve(context: Context, command: DisputeResolve) -> None:
    """dispute.resolve (voucher law §8.8). What was agreed, such as a credit note, is an act of its
    own."""
    dispute = context.require(Dispute, command.dispute)
    if dispute.state is not DisputeState.OPEN:
        raise refuse("STATE_CONFLICT", "the dispute is resolved already")
    voucher_id = dispute.ranges[0].voucher
    touch(context, voucher_id)
    context.put(command.dispute, msgspec.structs.replace(dispute, state=DisputeState.RESOLVED))
    _end(context, voucher_id, Kind.DISPUTE, command.dispute)
    for part in dispute.ranges:
        _release(context, part, Kind.DISPUTE)
        _log(context, part, "dispute.resolve", None, command.dispute)
