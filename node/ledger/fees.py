"""Platform fees and their waivers (voucher law §8.3, §11).

The fee of a draw is computed with it, by the schedule of the voucher's programme or else the network's, and
less the one best waiver of that schedule; a batch of draws counts as one. It is instructed when the draw is
paid out: a draw that fails costs nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from node.ledger.accounts import settlement_account
from node.ledger.context import Context, refuse
from node.ledger.interest import BPS, platform_fee, reduced_fee, split
from node.ledger.organisations import has_kind
from node.ledger.rulebook import Signers, rule
from node.state.view import Index
from tallynet.commands import FeeScheduleSet, WaiverGrant, WaiverRevoke
from tallynet.fields import AMOUNT_MAX
from tallynet.hashing import record_id
from tallynet.records import (
    Account,
    CommandClass,
    Fee,
    FeeSchedule,
    FeeTerms,
    Financing,
    Instruction,
    InstructionPurpose,
    InstructionState,
    Kind,
    Organisation,
    OrganisationKind,
    Programme,
    Size,
    Voucher,
    Waiver,
    WaiverKind,
    WaiverScope,
)

TERMS_MAX: Final = 16
"""Dated terms of one schedule that are in force or to come."""
_SIZES: Final = frozenset(bytes((size,)) for size in Size)


def schedule_id(programme: bytes | None) -> bytes:
    """Id of a programme's schedule, or of the network's."""
    return record_id(Kind.FEE_SCHEDULE, b"", programme or b"")


def _scope(programme: bytes | None, scope: WaiverScope, value: bytes) -> bytes:
    """Equal scopes have equal hashes."""
    return record_id(Kind.WAIVER, programme or b"", bytes((scope,)) + value)


def waiver_key(waiver: Waiver, id: bytes) -> bytes:
    """Entry of WAIVERS: those of one scope never overlap, so they are in order of time."""
    scope = _scope(waiver.programme, waiver.scope, waiver.value)
    return scope + waiver.valid_to.to_bytes(4, "big") + id


def _first_waiver(context: Context, scope: bytes, day: int) -> tuple[bytes, Waiver] | None:
    """The first waiver of a scope that ends on `day` or later."""
    after = scope + day.to_bytes(4, "big")
    keys = context.state.index_scan(Index.WAIVERS, scope, after=after, limit=1)
    return (keys[0][-16:], context.require(Waiver, keys[0][-16:])) if keys else None


# --- commands ---------------------------------------------------------------------------------------


def _require_owner(context: Context, programme: bytes | None) -> None:
    """The operator for the network, the owner for a programme."""
    if programme is not None:
        if context.require(Programme, programme).owner != context.acting:
            raise refuse("NOT_AUTHORISED", "only the owner of a programme sets its fees")
    elif not has_kind(context.require(Organisation, context.acting), OrganisationKind.OPERATOR):
        raise refuse("NOT_AUTHORISED", "only the operator sets the fees of the network")


@rule(
    FeeScheduleSet,
    CommandClass.PROGRAMME,
    Signers.MC,
    sentence="Sets the platform fee of the network or of a programme from a day on.",
    errors=("FEE_INVALID",),
)
def schedule_set(context: Context, command: FeeScheduleSet) -> None:
    """fee.schedule.set (voucher law §8.3): start today or later."""
    _require_owner(context, command.programme)
    id = schedule_id(command.programme)
    schedule = context.find(FeeSchedule, id)
    if schedule is None:
        schedule = FeeSchedule(context.acting, command.programme, ())
        context.create(id, schedule)
    elif schedule.owner != context.acting:
        raise refuse("NOT_AUTHORISED", "another operator set the fees of the network")
    new = command.terms
    if new.effective_day < context.today:
        raise refuse("FEE_INVALID", "a fee begins today or later")
    if max(new.bps, new.debtor_bps) > BPS or max(new.minimum, new.free_below) > AMOUNT_MAX:
        raise refuse("FEE_INVALID", "ratios are up to 10000 bps, and amounts must be amounts")
    current = _in_force(schedule, context.today)
    to_come = [t for t in schedule.terms if context.today < t.effective_day < new.effective_day]
    kept = [current] if current and current.effective_day < new.effective_day else []
    if len(kept) + len(to_come) >= TERMS_MAX:
        raise refuse("BATCH_LIMIT", f"a schedule has at most {TERMS_MAX} dated terms")
    context.put(id, msgspec.structs.replace(schedule, terms=(*kept, *to_come, new)))
    context.emit("fee.schedule.set", Kind.FEE_SCHEDULE, id, source=context.acting)


@rule(
    WaiverGrant,
    CommandClass.PROGRAMME,
    Signers.MC,
    sentence="Waives, reduces or defers the fee for an enterprise, industry, region or size.",
    errors=("FEE_INVALID", "WAIVER_OVERLAP"),
)
def grant(context: Context, command: WaiverGrant) -> None:
    """waiver.grant (voucher law §8.3): start today or later; no overlap with one of the same scope, of
    whatever kind. It waives the fees of one schedule, whose owner forgoes them."""
    _require_owner(context, command.programme)
    if not context.today <= command.valid_from <= command.valid_to:
        raise refuse("FEE_INVALID", "a waiver begins today or later, and ends after that")
    if (command.bps > 0) != (command.kind is WaiverKind.REDUCE) or command.bps > BPS:
        raise refuse("FEE_INVALID", "bps belong to REDUCE, and only to it: 1 to 10000")
    if (command.days > 0) != (command.kind is WaiverKind.DEFER):
        raise refuse("FEE_INVALID", "days belong to DEFER, and only to it")
    if command.scope is WaiverScope.SIZE and command.value not in _SIZES:
        raise refuse("FEE_INVALID", "a size is one byte")
    scope = _scope(command.programme, command.scope, command.value)
    other = _first_waiver(context, scope, command.valid_from)
    if other is not None and other[1].valid_from <= command.valid_to:
        raise refuse("WAIVER_OVERLAP", f"waiver {other[0].hex()} has the same scope")
    id = record_id(Kind.WAIVER, context.acting, command.label)
    waiver = Waiver(
        context.acting, command.programme, command.scope, command.value, command.kind, command.bps,
        command.days, command.valid_from, command.valid_to, command.cap_total, 0, False,
    )  # fmt: skip
    context.create(id, waiver)
    context.state.index_add(Index.WAIVERS, waiver_key(waiver, id))
    context.emit("waiver.grant", Kind.WAIVER, id, source=context.acting, amount=command.cap_total)


@rule(
    WaiverRevoke,
    CommandClass.PROGRAMME,
    Signers.MC,
    sentence="Ends a waiver; accepted draws keep it.",
)
def revoke(context: Context, command: WaiverRevoke) -> None:
    """waiver.revoke (voucher law §8.3)."""
    waiver = context.require(Waiver, command.waiver)
    if waiver.owner != context.acting:
        raise refuse("NOT_AUTHORISED", "only who granted a waiver revokes it")
    if waiver.revoked:
        raise refuse("STATE_CONFLICT", "the waiver is revoked already")
    context.state.index_remove(Index.WAIVERS, waiver_key(waiver, command.waiver))
    context.put(command.waiver, msgspec.structs.replace(waiver, revoked=True))
    context.emit("waiver.revoke", Kind.WAIVER, command.waiver, source=context.acting)


# --- what draws call --------------------------------------------------------------------------------


def _in_force(schedule: FeeSchedule | None, today: int) -> FeeTerms | None:
    terms = schedule.terms if schedule is not None else ()
    return next((t for t in reversed(terms) if t.effective_day <= today), None)


def charge(context: Context, voucher: Voucher, drawer: bytes, face: int) -> Fee | None:
    """The fee of a draw of this face, or None where nothing is charged; writes nothing."""
    for programme in (voucher.programme, None):
        schedule = context.find(FeeSchedule, schedule_id(programme))
        terms = _in_force(schedule, context.today)
        if schedule is not None and terms is not None:
            return _charge(context, schedule, terms, voucher.debtor, drawer, face)
    return None


def _charge(
    context: Context,
    schedule: FeeSchedule,
    terms: FeeTerms,
    debtor: bytes,
    drawer: bytes,
    face: int,
) -> Fee | None:
    full = platform_fee(face, terms.bps, terms.minimum, terms.free_below)
    if not full:
        return None
    amount, waived, deferred, chosen = full, 0, 0, None
    best = _best_waiver(context, schedule.programme, debtor, drawer, full)
    if best is not None:
        chosen, waiver = best
        waived, deferred = _worth(waiver, full), waiver.days
        amount = full if waiver.kind is WaiverKind.DEFER else full - waived
    debtor_share, drawer_share = split(amount, terms.debtor_bps)
    return Fee(
        schedule.owner, drawer_share, debtor_share, context.today + deferred, deferred > 0, chosen,
        waived,
    )  # fmt: skip


def _worth(waiver: Waiver, full: int) -> int:
    """What a waiver of this fee counts against its cap: what is not charged, or charged later."""
    if waiver.kind is WaiverKind.REDUCE:
        return full - reduced_fee(full, waiver.bps)
    return full


def _best_waiver(
    context: Context, programme: bytes | None, debtor: bytes, drawer: bytes, full: int
) -> tuple[bytes, Waiver] | None:
    """EXEMPT, else the highest REDUCE, else the longest DEFER, ties by id. One whose cap has no room for
    this fee is passed over."""
    organisation = context.require(Organisation, drawer)
    found = []
    for scope, value in (
        (WaiverScope.DRAWER, drawer),
        (WaiverScope.INDUSTRY, organisation.industry.encode()),
        (WaiverScope.REGION, organisation.region.encode()),
        (WaiverScope.SIZE, bytes((organisation.size,))),
        (WaiverScope.DEBTOR, debtor),
    ):
        first = _first_waiver(context, _scope(programme, scope, value), context.today)
        if first is None or first[1].valid_from > context.today:
            continue
        room = first[1].cap_total - first[1].used
        if not first[1].cap_total or _worth(first[1], full) <= room:
            found.append(first)
    return min(found, key=lambda w: (w[1].kind, -w[1].bps, -w[1].days, w[0]), default=None)


def deducted(fee: Fee | None, *, sold: bool) -> int:
    """What the pay-out is less because of the fee: the drawer's share of a sale or early payment that is not
    deferred. Nothing is taken from loan principal (Civil Code 670)."""
    return fee.drawer if fee is not None and sold and not fee.deferred else 0


def count(context: Context, fee: Fee | None, *, undo: bool = False) -> None:
    """Count a draw on its waiver, or take it back."""
    if fee is not None and fee.waiver is not None:
        waiver = context.require(Waiver, fee.waiver)
        used = waiver.used + (-fee.waived if undo else fee.waived)
        context.put(fee.waiver, msgspec.structs.replace(waiver, used=used))


def instruct(context: Context, id: bytes, financing: Financing, bank: bytes, *, sold: bool) -> None:
    """FEE instructions of a draw that was paid out by `bank`, which has withheld what was deducted; the
    debtor's share is the clearing bank's to collect, anything else the bank's where the drawer has its
    account."""
    fee = financing.fee
    if fee is None:
        return
    if not deducted(fee, sold=sold):
        own = settlement_account(context, financing.obligor, financing.currency)
        bank = context.require(Account, own or financing.payee).bank
    clearing = context.require(Voucher, financing.voucher).clearing_bank
    shares = ((financing.obligor, fee.drawer, bank), (financing.debtor, fee.debtor, clearing))
    for number, (payer, amount, executing) in enumerate(shares, 1):
        if not amount:
            continue
        instruction_id = record_id(Kind.INSTRUCTION, id, number.to_bytes(4, "big"))
        instruction = Instruction(
            payer, fee.payee, settlement_account(context, fee.payee, financing.currency), amount,
            0, financing.currency, fee.due, InstructionPurpose.FEE, id, 0, executing,
            InstructionState.NEW, None,
        )  # fmt: skip
        context.create(instruction_id, instruction)
        context.state.index_add(Index.BANK_INSTRUCTIONS, executing + instruction_id)
        context.emit(
            "financing.fee", Kind.INSTRUCTION, instruction_id, source=payer, target=fee.payee,
            amount=amount, reference=id,
        )  # fmt: skip
