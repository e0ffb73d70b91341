"""The backstop: a pool of banks that lends to holders when a debtor is in distress (托底, voucher law §8.7).

Its loans are Financings of kind BACKSTOP under the lien of the lead bank, who collects for all. Each
member bank pays its share of a loan by an instruction of its own; one that does not pay makes the loan
smaller by its share. A loan has no end day: it runs until its range is paid.
"""

from __future__ import annotations

from bisect import insort
from typing import Final

import msgspec

from node.ledger.accounts import require_verified
from node.ledger.context import Context, refuse, require_amount
from node.ledger.distress import covers
from node.ledger.drawing import FINANCEABLE, require_financeable, unlock
from node.ledger.financing import (
    CANCELLED,
    COMPLETED,
    FAILED,
    PAID,
    UNSENT,
    drop_financing,
    payout_hold,
    wait_for_release,
)
from node.ledger.instructions import end_instruction, open_instruction
from node.ledger.interest import BPS, pro_rata
from node.ledger.loans import source_of
from node.ledger.lots import current_lot
from node.ledger.organisations import has_kind, require_active
from node.ledger.parameters import value
from node.ledger.programmes import require_currency
from node.ledger.ranges import carve, lots_of, put_lot, require_free
from node.ledger.redemption import LATE, readdress, split_instruction
from node.ledger.rulebook import Joint, Signers, rule
from node.ledger.schedule import Act, put_second, take_off_second
from node.ledger.vouchers import log, touch
from node.state.view import Index
from tallynet.commands import BackstopClose, BackstopCreate, BackstopDraw, BackstopTrigger
from tallynet.errors import invariant
from tallynet.fields import ZERO_WIDE
from tallynet.hashing import record_id
from tallynet.records import (
    TRIGGER_DISTRESS,
    TRIGGER_OVERDUE,
    Backstop,
    BackstopState,
    CommandClass,
    DistressEvent,
    Financing,
    FinancingKind,
    FinancingState,
    Instruction,
    InstructionPurpose,
    InstructionState,
    Kind,
    Lot,
    LotState,
    Organisation,
    OrganisationKind,
    PurposeAmount,
    Voucher,
    VoucherStatus,
)

DEBTORS_MAX: Final = 64
"""Debtors for whom one pool is open: as many as a pool can name; bounds its record."""


# --- create -----------------------------------------------------------------------------------------


@rule(
    BackstopCreate,
    CommandClass.OFFER,
    Signers.MCA,
    joint=Joint.PARTIES,
    parties=lambda _context, command: [share.bank for share in command.banks],
    amount=lambda command: command.cap,
    sentence="Agrees, with all member banks, on a pool that lends when debtors are in distress.",
    errors=("NOT_LICENSED",),
)
def create(context: Context, command: BackstopCreate) -> None:
    """backstop.create (voucher law §8.7): member banks jointly; shares sum to 10,000 bps."""
    banks = [share.bank for share in command.banks]
    for id in banks:
        if not has_kind(require_active(context, id), OrganisationKind.BANK):
            raise refuse("NOT_LICENSED", "a backstop is a pool of banks")
    if len(set(banks)) != len(banks) or command.lead_bank not in banks:
        raise refuse("SCHEMA_INVALID", "banks must be distinct, and the lead bank one of them")
    for ids in (command.debtors, command.programmes):
        if tuple(sorted(set(ids))) != ids:
            raise refuse("SCHEMA_INVALID", "debtors and programmes must be sorted and distinct")
    if bool(command.debtors) == bool(command.programmes):
        raise refuse("SCHEMA_INVALID", "a pool is for debtors or for programmes")
    if not 0 < command.triggers <= TRIGGER_OVERDUE + TRIGGER_DISTRESS:
        raise refuse("SCHEMA_INVALID", "triggers: 1 overdue, 2 distress, 3 both")
    if command.basis not in (360, 365):
        raise refuse("SCHEMA_INVALID", "basis 360 or 365")
    require_currency(command.currency)
    require_amount(command.cap, "cap")
    shares = [share.share_bps for share in command.banks]
    if sum(shares) != BPS or not all(shares) or not 0 < command.advance_bps <= BPS:
        raise refuse("AMOUNT_RANGE", "shares sum to 10,000 bps, the advance is at most 10,000")
    id = record_id(Kind.BACKSTOP, context.joint_body or b"", b"")
    pool = Backstop(
        command.banks, command.lead_bank, command.currency, command.debtors, command.programmes,
        command.cap, 0, 0, command.advance_bps, command.rate_ppm, command.basis, command.recourse,
        command.triggers, (), BackstopState.READY,
    )  # fmt: skip
    context.create(id, pool)
    context.emit("backstop.create", Kind.BACKSTOP, id, target=command.lead_bank, amount=command.cap)


# --- trigger and close ------------------------------------------------------------------------------


def _require_lead(context: Context, pool: Backstop) -> None:
    acting = require_active(context, context.acting)
    if context.acting != pool.lead_bank and not has_kind(acting, OrganisationKind.REGULATOR):
        raise refuse("NOT_AUTHORISED", "the lead bank or a regulator decides this")


@rule(
    BackstopTrigger,
    CommandClass.OFFER,
    Signers.MC,
    sentence="Opens a backstop for a debtor in distress.",
    errors=("BACKSTOP_NOT_TRIGGERED",),
)
def trigger(context: Context, command: BackstopTrigger) -> None:
    """backstop.trigger by lead bank or regulator (voucher law §8.7): a voucher is OVERDUE, or the debtor
    is inside an open DistressEvent and declared in difficulty. It opens the pool for this debtor alone:
    the others of a pool are not in distress."""
    pool = context.require(Backstop, command.backstop)
    _require_lead(context, pool)
    require_active(context, command.debtor, receiving=True)
    if pool.state is BackstopState.CLOSED or command.debtor in pool.triggered:
        raise refuse("STATE_CONFLICT", "the backstop is closed, or open for this debtor already")
    if pool.debtors and command.debtor not in pool.debtors:
        raise refuse("OFFER_SCOPE", "the backstop is for other debtors")
    if not (_is_overdue(context, pool, command) or _is_distressed(context, pool, command)):
        raise refuse("BACKSTOP_NOT_TRIGGERED", "none of the pool's triggers holds for this debtor")
    _open_for(context, command.backstop, pool, command.debtor, "backstop.trigger")


def _is_overdue(context: Context, pool: Backstop, command: BackstopTrigger) -> bool:
    if command.overdue_voucher is None or not pool.triggers & TRIGGER_OVERDUE:
        return False
    voucher = touch(context, command.overdue_voucher)
    in_scope = not pool.programmes or voucher.programme in pool.programmes
    return voucher.status in LATE and voucher.debtor == command.debtor and in_scope


def _is_distressed(context: Context, pool: Backstop, command: BackstopTrigger) -> bool:
    if command.distress_event is None or not pool.triggers & TRIGGER_DISTRESS:
        return False
    return in_declared_difficulty(context, command.debtor, command.distress_event)


def in_declared_difficulty(context: Context, debtor: bytes, event: bytes) -> bool:
    """True iff the debtor declared its difficulty and lies inside this open distress event."""
    organisation = context.require(Organisation, debtor)
    return organisation.distress_declared and covers(
        context, context.require(DistressEvent, event), organisation
    )


def _open_for(
    context: Context, id: bytes, pool: Backstop, debtor: bytes, event_type: str
) -> Backstop:
    if len(pool.triggered) >= DEBTORS_MAX:
        raise refuse("BATCH_LIMIT", f"a pool is open for at most {DEBTORS_MAX} debtors")
    triggered = list(pool.triggered)
    insort(triggered, debtor)
    pool = msgspec.structs.replace(pool, triggered=tuple(triggered), state=BackstopState.TRIGGERED)
    context.put(id, pool)
    context.emit(event_type, Kind.BACKSTOP, id, source=debtor, target=pool.lead_bank)
    return pool


@rule(
    BackstopClose,
    CommandClass.OFFER,
    Signers.MC,
    sentence="Closes a backstop: no new loans; those that run, run on.",
)
def close(context: Context, command: BackstopClose) -> None:
    """backstop.close by lead bank or regulator (voucher law §8.7); never touches accepted draws (§15)."""
    pool = context.require(Backstop, command.backstop)
    _require_lead(context, pool)
    if pool.state is BackstopState.CLOSED:
        raise refuse("STATE_CONFLICT", "the backstop is closed already")
    context.put(command.backstop, msgspec.structs.replace(pool, state=BackstopState.CLOSED))
    context.emit("backstop.close", Kind.BACKSTOP, command.backstop, source=context.acting)


# --- draw -------------------------------------------------------------------------------------------


@rule(
    BackstopDraw,
    CommandClass.DRAW,
    Signers.M,
    amount=lambda command: command.amount,
    sentence="Borrows from a triggered backstop on the tail of a lot.",
    errors=(
        "BACKSTOP_NOT_TRIGGERED", "BACKSTOP_CAP", "OFFER_SCOPE", "DOCUMENT_VOID", "LOT_DISPUTED",
        "REVIEW_REQUIRED", "NET_NOT_POSITIVE",
    ),
)  # fmt: skip
def draw(context: Context, command: BackstopDraw) -> None:
    """backstop.draw (voucher law §8.7): triggered; ACTIVE, DUE or OVERDUE; range unencumbered -> loan of
    `floor(len x advance_bps / 10000)` within cap, lien for the lead bank, one instruction per bank by
    share (largest remainder). The first draw on an overdue voucher triggers by itself (sys). Receipt
    result: principal, rate ppm."""
    pool = context.require(Backstop, command.backstop)
    require_financeable(context, command.voucher, FINANCEABLE)
    voucher, lot = current_lot(context, command.voucher, command.start)
    if lot.holder != context.acting:
        raise refuse("NOT_HOLDER", "the lot is held by another organisation")
    if any(share.bank == context.acting for share in pool.banks):
        raise refuse("SELF_DEALING", "a member bank does not borrow from its pool")
    _require_scope(pool, voucher)
    pool = _require_triggered(context, command.backstop, pool, voucher)
    require_free(lot)
    require_verified(context, command.payee, context.acting, voucher.currency)
    require_amount(command.amount)
    if command.amount > lot.end - lot.start:
        raise refuse("AMOUNT_RANGE", f"{command.amount} of a lot of {lot.end - lot.start}")
    principal = command.amount * pool.advance_bps // BPS
    if principal == 0:
        raise refuse("NET_NOT_POSITIVE", "the advance on this amount is less than one unit")
    room = pool.cap - pool.reserved - pool.drawn
    if principal > room:
        raise refuse("BACKSTOP_CAP", f"the pool has {room} left")
    part = carve(context, command.voucher, voucher, lot, command.amount)
    voucher = split_instruction(context, command.voucher, voucher, command.start, part)
    _lend(context, command, pool, voucher, part, principal)
    context.result = (principal, pool.rate_ppm)


def _require_scope(pool: Backstop, voucher: Voucher) -> None:
    in_scope = voucher.debtor in pool.debtors or voucher.programme in pool.programmes
    if not in_scope or voucher.currency != pool.currency:
        raise refuse("OFFER_SCOPE", "the pool is for other debtors, programmes or currencies")


def _require_triggered(context: Context, id: bytes, pool: Backstop, voucher: Voucher) -> Backstop:
    if pool.state is BackstopState.CLOSED:
        raise refuse("BACKSTOP_NOT_TRIGGERED", "the pool is closed")
    if voucher.debtor in pool.triggered:
        return pool
    if voucher.status is VoucherStatus.OVERDUE and pool.triggers & TRIGGER_OVERDUE:
        return _open_for(context, id, pool, voucher.debtor, "system.backstop.trigger")
    raise refuse("BACKSTOP_NOT_TRIGGERED", "the pool is not open for this debtor")


def _instruction_id(financing_id: bytes, position: int) -> bytes:
    """Instruction to the bank at this position of the pool."""
    return record_id(Kind.INSTRUCTION, financing_id, position.to_bytes(4, "big"))


def _lend(
    context: Context,
    command: BackstopDraw,
    pool: Backstop,
    voucher: Voucher,
    part: Lot,
    principal: int,
) -> None:
    id = record_id(Kind.FINANCING, context.acting, command.label)
    expires = context.time + value(context, "payout_timeout_seconds")
    context.create(
        id,
        Financing(
            kind=FinancingKind.BACKSTOP,
            funder=pool.lead_bank,
            offer=command.backstop,
            obligor=context.acting,
            debtor=voucher.debtor,
            voucher=command.voucher,
            start=part.start,
            end=part.end,
            principal=principal,
            discount=0,
            net=principal,
            numerator=ZERO_WIDE,
            currency=voucher.currency,
            rate_ppm=pool.rate_ppm,
            basis=pool.basis,
            value_day=context.today,
            end_day=0,
            accrued_to=context.today,
            accrual=ZERO_WIDE,
            interest_billed=0,
            repaid=0,
            repayment_pending=0,
            payee=command.payee,
            purposes=(PurposeAmount(command.purpose, command.amount),),
            instruction=_instruction_id(id, 0),
            expires=expires,
            state=FinancingState.AWAIT_PAYOUT,
            lines=(),
            registration_required=False,
            registration=None,
            fee=None,
            agent_bank=None,
            pool=None,
            allocation=None,
            sealed=None,
        ),
    )
    shares = pro_rata(principal, [share.share_bps for share in pool.banks])
    for position, (member, amount) in enumerate(zip(pool.banks, shares, strict=True)):
        if amount:
            order = Instruction(
                member.bank, context.acting, command.payee, amount, 0, voucher.currency,
                context.today, InstructionPurpose.PAYOUT, id, 0, member.bank, InstructionState.NEW, None,
            )  # fmt: skip
            open_instruction(context, _instruction_id(id, position), order)
    context.state.index_add(Index.PARTY_FINANCINGS, pool.lead_bank + id)
    context.state.index_add(Index.PARTY_FINANCINGS, context.acting + id)
    put_second(context, expires, Act.PAYOUT_EXPIRE, id)
    reserved = pool.reserved + principal
    context.put(command.backstop, msgspec.structs.replace(pool, reserved=reserved))
    event = voucher.event_count
    voucher = log(
        context, command.voucher, voucher, "backstop.draw", start=part.start, end=part.end,
        source=context.acting, target=pool.lead_bank, amount=principal, reference=id,
    )  # fmt: skip
    locked = msgspec.structs.replace(
        part, state=LotState.FINANCING_PENDING, lien=id, newest_event=event
    )
    put_lot(context, command.voucher, locked)
    context.put(command.voucher, voucher)


# --- pay-out, bank by bank --------------------------------------------------------------------------


def _paid(context: Context, instruction_id: bytes, instruction: Instruction) -> None:
    """financing.payout.confirm by one member bank; the last one's pledges the range."""
    financing = context.require(Financing, instruction.reference)
    end_instruction(context, instruction_id, instruction)
    pool = context.require(Backstop, source_of(financing))
    changed = msgspec.structs.replace(
        pool,
        reserved=pool.reserved - instruction.amount,
        drawn=pool.drawn + instruction.amount,
    )
    context.put(source_of(financing), changed)
    context.emit(
        "backstop.paid", Kind.FINANCING, instruction.reference, source=instruction.payer,
        target=financing.obligor, amount=instruction.amount, reference=instruction_id,
    )  # fmt: skip
    _finish(context, instruction.reference, financing, "financing.payout.fail")


def _failed(context: Context, instruction_id: bytes, instruction: Instruction) -> None:
    """financing.payout.fail by one member bank: the loan is smaller by its share."""
    financing = context.require(Financing, instruction.reference)
    financing = _drop_share(context, instruction_id, instruction, financing)
    _finish(context, instruction.reference, financing, "financing.payout.fail")


def _cancelled(context: Context, id: bytes, financing: Financing, event_type: str) -> None:
    """The time is over: what is not paid by now never will be. What was paid while the range was held, if
    a court ends it, the banks claim back outside the network, as from any draw that is undone."""
    for instruction_id, instruction in _open(context, id, financing):
        financing = _drop_share(context, instruction_id, instruction, financing)
    if financing.state is FinancingState.PAYOUT_HELD:
        financing = _lose(context, financing)
    _finish(context, id, financing, event_type)


def _unsent(context: Context, id: bytes, financing: Financing) -> None:
    """A freeze came: the loan is smaller by the shares that no bank has sent (§8.8)."""
    for instruction_id, instruction in _open(context, id, financing):
        if instruction.state is InstructionState.NEW:
            financing = _drop_share(context, instruction_id, instruction, financing)
    if financing.state is FinancingState.AWAIT_PAYOUT:
        _finish(context, id, financing, "system.payout.expire")


def _open(context: Context, id: bytes, financing: Financing) -> list[tuple[bytes, Instruction]]:
    """The instructions to member banks that are not paid yet."""
    pool = context.require(Backstop, source_of(financing))
    ids = [_instruction_id(id, position) for position in range(len(pool.banks))]
    found = [(one, context.find(Instruction, one)) for one in ids]
    return [(one, instruction) for one, instruction in found if instruction is not None]


def _lose(context: Context, financing: Financing) -> Financing:
    """A loan that was paid and never took effect: its pool lends no part of it any more."""
    pool = context.require(Backstop, source_of(financing))
    drawn = pool.drawn - financing.principal
    context.put(source_of(financing), msgspec.structs.replace(pool, drawn=drawn))
    return msgspec.structs.replace(financing, principal=0, net=0)


def _drop_share(
    context: Context, instruction_id: bytes, instruction: Instruction, financing: Financing
) -> Financing:
    end_instruction(context, instruction_id, instruction)
    pool = context.require(Backstop, source_of(financing))
    reserved = pool.reserved - instruction.amount
    context.put(source_of(financing), msgspec.structs.replace(pool, reserved=reserved))
    principal = financing.principal - instruction.amount
    return msgspec.structs.replace(financing, principal=principal, net=principal)


def _finish(context: Context, id: bytes, financing: Financing, event_type: str) -> None:
    """When no instruction is open any more: a loan of what was paid, once nothing holds its range, or
    none."""
    if _open(context, id, financing):
        context.put(id, financing)
    elif financing.principal == 0:
        _undo(context, id, financing, event_type)
    elif payout_hold(context, id, financing) is not None:
        wait_for_release(context, id, financing)
    else:
        _lent(context, id, financing, "financing.payout.confirm")


def _lent(context: Context, id: bytes, financing: Financing, event_type: str) -> None:
    voucher, event = _log_end(context, id, financing, event_type)
    lots = lots_of(context, id, financing)
    invariant(bool(lots), "LEDGER_I5 a financing without its lot")
    for lot in lots:
        pledged = msgspec.structs.replace(lot, state=LotState.PLEDGED, newest_event=event)
        put_lot(context, financing.voucher, pledged)
        readdress(context, financing.voucher, lot.start, financing.funder)
    context.put(id, msgspec.structs.replace(financing, state=FinancingState.OUTSTANDING))
    context.put(financing.voucher, voucher)


def _undo(context: Context, id: bytes, financing: Financing, event_type: str) -> None:
    voucher, event = _log_end(context, id, financing, event_type)
    drop_financing(context, id, financing)
    context.put(financing.voucher, voucher)
    unlock(context, id, financing, voucher, event)


def _log_end(
    context: Context, id: bytes, financing: Financing, event_type: str
) -> tuple[Voucher, int]:
    """Off the agenda and into the log; the voucher, which the caller writes, and the event's number."""
    take_off_second(context, financing.expires, Act.PAYOUT_EXPIRE, id)
    voucher = touch(context, financing.voucher)
    event = voucher.event_count
    voucher = log(
        context, financing.voucher, voucher, event_type, start=financing.start, end=financing.end,
        source=financing.obligor, target=financing.funder, amount=financing.principal, reference=id,
    )  # fmt: skip
    return voucher, event


PAID[FinancingKind.BACKSTOP] = _paid
FAILED[FinancingKind.BACKSTOP] = _failed
CANCELLED[FinancingKind.BACKSTOP] = _cancelled
COMPLETED[FinancingKind.BACKSTOP] = _lent
UNSENT[FinancingKind.BACKSTOP] = _unsent
