"""What a court orders, parties dispute and change by agreement. Functions over an `Act`; each gives the
commands of one act, or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire
from tools.simulator.town import SUPPLIERS

if TYPE_CHECKING:
    from tools.simulator.acts.base import Act

FROZEN_DAYS: Final = 3
"""So that some orders expire within a run."""


def _holds(act: Act, kind: r.Kind) -> list[tuple[bytes, bytes]]:
    """(voucher, freeze or dispute) of the core's vouchers."""
    core = act.town.party("core")
    return [
        (voucher, key[1:])
        for voucher in act.scan(Index.DEBTOR_VOUCHERS, core.id)
        for key in act.scan(Index.VOUCHER_HOLDS, voucher)
        if key[0] == kind
    ]


# --- the court ------------------------------------------------------------------------------------


def freeze(act: Act) -> Sequence[Wire]:
    """Freeze a part of what a supplier holds, or all of it."""
    random = act.random
    victim = act.town.party(random.choice(SUPPLIERS))
    parts = []
    if random.random() < 0.8:
        ids = act.lot_ids(victim)
        if not ids:
            return ()
        id = random.choice(ids)
        lot = act.get(r.Kind.LOT, id)
        start = random.randint(lot.start, lot.end - 1)
        amount = random.randint(1, lot.end - start)
        parts.append(c.FrozenPart(id[:16], start, amount, exact=True))
    until = act.today + random.randint(1, FROZEN_DAYS)
    return (c.FreezeOrder(act.label, victim.id, act.digest(), tuple(parts), until),)


def decide(act: Act) -> Sequence[Wire]:
    """Lift, extend, or give a frozen range to somebody else; end a dispute."""
    random = act.random
    for _, id in _holds(act, r.Kind.DISPUTE):
        if random.random() < 0.5:
            return (c.DisputeResolve(act.label, id),)
    frozen = _holds(act, r.Kind.FREEZE)
    if not frozen:
        return ()
    voucher, id = random.choice(frozen)
    draw = random.random()
    if draw < 0.3:
        return (c.FreezeLift(act.label, id),)
    if draw < 0.5:
        return (c.FreezeExtend(act.label, id, act.today + FROZEN_DAYS),)
    ranges = act.get(r.Kind.FREEZE, id).ranges
    part = next(one for one in ranges if one.voucher == voucher)
    end = random.randint(part.start + 1, part.end)
    receiver = act.town.party(random.choice(SUPPLIERS))
    return (c.ForceTransfer(act.label, voucher, part.start, end, receiver.id, act.digest()),)


def suspend(act: Act) -> Sequence[Wire]:
    """Stop a voucher's circulation, or let it go on."""
    core = act.town.party("core")
    voucher = act.choose(act.scan(Index.DEBTOR_VOUCHERS, core.id))
    if voucher is None or act.random.random() < 0.5:
        return ()
    if act.get(r.Kind.VOUCHER, voucher).suspended_by is not None:
        return (c.VoucherResume(act.label, voucher),)
    return (c.VoucherSuspend(act.label, voucher),) if act.random.random() < 0.3 else ()


# --- holders and the debtor -----------------------------------------------------------------------


def dispute(act: Act) -> Sequence[Wire]:
    """A holder disputes a part of a lot; both sides agree again."""
    random = act.random
    found = _holds(act, r.Kind.DISPUTE)
    if found and random.random() < 0.6:
        return (c.DisputeResolve(act.label, random.choice(found)[1]),)
    held = act.choose_lot()
    if held is None or random.random() < 0.7:
        return ()
    voucher, lot = held
    start = random.randint(lot.start, lot.end - 1)
    part = c.DisputedRange(start, random.randint(start + 1, lot.end))
    return (c.DisputeOpen(act.label, voucher, (part,), act.digest()),)


def agree(act: Act) -> Sequence[Wire]:
    """The supplier that was paid first and the core shorten or cancel a voucher: both say the same, for
    what they propose follows from the voucher alone."""
    core = act.town.party("core")
    payee = act.town.party(act.random.choice(SUPPLIERS)) if act.party is core else act.party
    for voucher in act.scan(Index.PAYEE_VOUCHERS, payee.id):
        record = act.get(r.Kind.VOUCHER, voucher)
        lot = act.get(r.Kind.LOT, r.lot_id(voucher, 0))
        if record.status is not r.VoucherStatus.ACTIVE or lot.holder != payee.id:
            continue
        if lot.end == record.face and voucher[0] % 2:
            return (c.VoucherCancel(act.label, voucher),)
        use = r.DocumentUse(record.documents[0].document, max(1, (lot.end - lot.start) // 3))
        return (c.VoucherReduce(act.label, voucher, 0, (use,)),)
    return ()


def tidy(act: Act) -> Sequence[Wire]:
    """Set a contractual bar on passing on, or clear it; join neighbours."""
    held = act.choose_lot()
    if held is None or act.random.random() < 0.6:
        return ()
    voucher, lot = held
    if act.random.random() < 0.5:
        return (c.LotMerge(act.label, voucher, lot.start),)
    barred = bool(lot.flags & r.FLAG_NO_TRANSFER)
    return (c.LotFlagSet(act.label, voucher, lot.start, not barred),)


# --- the clearing bank ----------------------------------------------------------------------------


def escrow(act: Act) -> Sequence[Wire]:
    """What is due on a frozen lot is paid into escrow."""
    for id in act.scan(Index.BANK_INSTRUCTIONS, act.party.id):
        order = act.get(r.Kind.INSTRUCTION, id)
        if order.purpose is not r.InstructionPurpose.SETTLEMENT:
            continue
        lot = act.get(r.Kind.LOT, r.lot_id(order.reference, order.start))
        if isinstance(lot, r.Lot) and lot.covered and lot.flags & r.FLAG_FROZEN:
            return (c.SettlementEscrow(act.label, id, lot.covered, act.bank_receipt()),)
    return ()
