"""Guarantees: a third party pays holders what an overdue debtor does not (voucher law §8.8).

A call opens one instruction, whose id follows from voucher and lot, so that a lot has one open call at
most. Paid, the guarantor holds the range in the holder's stead (subrogation); the debtor still owes it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from node.ledger import bank_receipts, lines
from node.ledger.accounts import settlement_account
from node.ledger.context import Context, refuse, require_amount
from node.ledger.drawing import lender
from node.ledger.instructions import end_instruction, open_instruction
from node.ledger.loans import owner_of, receive_from_settlement
from node.ledger.organisations import has_kind, require_active
from node.ledger.programmes import require_currency
from node.ledger.ranges import carve, find_lot, get_lot, put_lot, require_unheld
from node.ledger.redemption import LATE, readdress, split_instruction
from node.ledger.rulebook import Signers, rule
from node.ledger.settlement import pay_surplus
from node.ledger.vouchers import log, touch
from tallynet.commands import (
    GuaranteeCall,
    GuaranteeIssue,
    GuaranteePayConfirm,
    GuaranteeRelease,
)
from tallynet.hashing import record_id
from tallynet.records import (
    AcquiredBy,
    CommandClass,
    Financing,
    Guarantee,
    GuaranteeScope,
    GuaranteeState,
    Instruction,
    InstructionPurpose,
    InstructionState,
    Kind,
    Lot,
    LotState,
    OrganisationKind,
    Programme,
    Voucher,
    VoucherStatus,
)

GUARANTEES_MAX: Final = 16
"""Guarantees of one voucher: they are listed in its record, which every act on it rewrites."""
ENDED: Final = (VoucherStatus.SETTLED, VoucherStatus.CANCELLED)


# --- issue ------------------------------------------------------------------------------------------


@rule(
    GuaranteeIssue,
    CommandClass.OFFER,
    Signers.MCA,
    amount=lambda command: command.cap,
    sentence="Guarantees a voucher, a debtor or a programme up to a cap.",
    errors=("NOT_LICENSED", "SELF_DEALING"),
)
def issue(context: Context, command: GuaranteeIssue) -> None:
    """guarantee.issue (voucher law §8.8). Guarantors and banks give guarantees; nobody for its own debt."""
    guarantor = require_active(context, context.acting)
    if not has_kind(guarantor, OrganisationKind.GUARANTOR, OrganisationKind.BANK):
        raise refuse("NOT_LICENSED", "guarantees are given by guarantors and banks")
    if not has_kind(require_active(context, command.bank), OrganisationKind.BANK):
        raise refuse("NOT_LICENSED", "a bank pays for the guarantor")
    if command.beneficiary is not None:
        require_active(context, command.beneficiary, receiving=True)
    id = record_id(Kind.GUARANTEE, context.acting, command.label)
    _cover(context, command, id)
    require_currency(command.currency)
    require_amount(command.cap, "cap")
    if command.expiry < context.today:
        raise refuse("DATE_RANGE", "the guarantee would have expired already")
    guarantee = Guarantee(
        context.acting, command.bank, command.beneficiary, command.scope, command.covered,
        command.currency, command.cap, 0, 0, command.fee, command.expiry, GuaranteeState.ACTIVE,
    )  # fmt: skip
    context.create(id, guarantee)
    context.emit(
        "guarantee.issue", Kind.GUARANTEE, id, source=context.acting, target=command.beneficiary,
        amount=command.cap, reference=command.covered,
    )  # fmt: skip


def _cover(context: Context, command: GuaranteeIssue, id: bytes) -> None:
    """What is covered exists and is not the guarantor's own debt; a voucher lists its guarantee."""
    if command.scope is GuaranteeScope.PROGRAMME:
        context.require(Programme, command.covered)
        return
    if command.scope is GuaranteeScope.DEBTOR:
        require_active(context, command.covered, receiving=True)
        debtor = command.covered
    else:
        debtor = _list_on_voucher(context, command, id)
    if debtor == context.acting:
        raise refuse("SELF_DEALING", "a guarantee for one's own debt covers nothing")


def _list_on_voucher(context: Context, command: GuaranteeIssue, id: bytes) -> bytes:
    voucher = touch(context, command.covered)
    if voucher.status in ENDED:
        raise refuse("VOUCHER_STATE", f"the voucher is {voucher.status.name}")
    if voucher.currency != command.currency:
        raise refuse("CURRENCY_MISMATCH", f"the voucher is in {voucher.currency}")
    if len(voucher.guarantees) >= GUARANTEES_MAX:
        raise refuse("BATCH_LIMIT", f"a voucher has at most {GUARANTEES_MAX} guarantees")
    voucher = msgspec.structs.replace(voucher, guarantees=(*voucher.guarantees, id))
    voucher = log(
        context, command.covered, voucher, "voucher.guaranteed", end=voucher.face,
        source=context.acting, amount=command.cap, reference=id,
    )  # fmt: skip
    context.put(command.covered, voucher)
    return voucher.debtor


# --- call -------------------------------------------------------------------------------------------


def call_id(voucher_id: bytes, start: int) -> bytes:
    """Id of the instruction that a call on the lot starting at `start` opens."""
    return record_id(Kind.INSTRUCTION, voucher_id, b"guarantee" + start.to_bytes(8, "big"))


def _lender(context: Context, lot: Lot) -> bytes | None:
    """Who has a lien on the lot: its lender."""
    if lot.state is LotState.PLEDGED and lot.lien is not None:
        return lender(context.require(Financing, lot.lien))
    return None


def _require_callable(context: Context, lot: Lot) -> None:
    """Raises LOT_LOCKED, LOT_STATE, LOT_FROZEN, LOT_DISPUTED."""
    if lot.state is LotState.FINANCING_PENDING:
        raise refuse("LOT_LOCKED", "a pay-out on this lot is under way")
    if lot.state not in (LotState.HELD, LotState.PLEDGED):
        raise refuse("LOT_STATE", f"the lot is {lot.state.name}")
    require_unheld(context, lot)


@rule(
    GuaranteeCall,
    CommandClass.SETTLEMENT,
    Signers.MC,
    amount=lambda command: command.amount,
    sentence="Demands payment of an overdue range from its guarantor.",
    errors=("GUARANTEE_CAP", "SELF_DEALING"),
)
def call(context: Context, command: GuaranteeCall) -> None:
    """guarantee.call by holder or lien bank (voucher law §8.8): from OVERDUE, within cap and expiry; for
    what of the range the debtor has not funded. A pledged range's lender is paid. One open call a lot."""
    guarantee = context.require(Guarantee, command.guarantee)
    voucher = touch(context, command.voucher)
    lot = get_lot(context, command.voucher, command.start)
    lender = _lender(context, lot)
    if context.acting not in (lot.holder, lender):
        raise refuse("NOT_HOLDER", "holder or lien bank call a guarantee")
    if guarantee.beneficiary not in (None, context.acting):
        raise refuse("NOT_AUTHORISED", "the guarantee names another beneficiary")
    if guarantee.guarantor in (lot.holder, lender, voucher.debtor):
        raise refuse("SELF_DEALING", "the guarantor would pay itself, or its own debt")
    if guarantee.state is not GuaranteeState.ACTIVE or context.today > guarantee.expiry:
        raise refuse("STATE_CONFLICT", "the guarantee is released or expired")
    if voucher.status not in LATE:
        raise refuse("VOUCHER_STATE", f"the voucher is {voucher.status.name}")
    _require_callable(context, lot)
    require_amount(command.amount)
    if command.amount > lot.end - lot.start - lot.covered:
        raise refuse("AMOUNT_RANGE", "more than the debtor has left unfunded of this lot")
    _require_cover(guarantee, command.voucher, voucher, command.amount)
    payee = lender or lot.holder
    id = call_id(command.voucher, command.start)
    if context.find(Instruction, id) is not None:
        raise refuse("STATE_CONFLICT", "a call on this lot is open already")
    order = Instruction(
        guarantee.guarantor, payee, settlement_account(context, payee, voucher.currency),
        command.amount, 0, voucher.currency, context.today, InstructionPurpose.GUARANTEE,
        command.guarantee, command.start, guarantee.bank, InstructionState.NEW, None,
    )  # fmt: skip
    open_instruction(context, id, order)
    called = guarantee.called + command.amount
    context.put(command.guarantee, msgspec.structs.replace(guarantee, called=called))
    voucher = log(
        context, command.voucher, voucher, "guarantee.call", start=lot.start, end=lot.end,
        source=context.acting, target=guarantee.guarantor, amount=command.amount,
        reference=command.guarantee,
    )  # fmt: skip
    context.put(command.voucher, voucher)


def _require_cover(guarantee: Guarantee, voucher_id: bytes, voucher: Voucher, amount: int) -> None:
    scopes = {
        GuaranteeScope.VOUCHER: voucher_id,
        GuaranteeScope.DEBTOR: voucher.debtor,
        GuaranteeScope.PROGRAMME: voucher.programme,
    }
    if scopes[guarantee.scope] != guarantee.covered or voucher.currency != guarantee.currency:
        raise refuse("GUARANTEE_CAP", "the guarantee covers nothing of this voucher")
    room = guarantee.cap - guarantee.called
    if amount > room:
        raise refuse("GUARANTEE_CAP", f"the guarantee has {room} left")


# --- payment ----------------------------------------------------------------------------------------


def _called(context: Context, voucher_id: bytes, start: int) -> tuple[bytes, Instruction]:
    id = call_id(voucher_id, start)
    instruction = context.find(Instruction, id)
    if instruction is None:
        raise refuse("GUARANTEE_NOT_CALLED", "no open call on this lot")
    return id, instruction


@rule(
    GuaranteePayConfirm,
    CommandClass.PAYOUT,
    Signers.MC,
    amount=lambda command: command.amount,
    sentence="Confirms as the guarantor's bank that a call was paid; the guarantor holds the range.",
    errors=("GUARANTEE_NOT_CALLED", "AMOUNT_MISMATCH", "RECEIPT_REUSED"),
)
def pay_confirm(context: Context, command: GuaranteePayConfirm) -> None:
    """guarantee.pay.confirm by the guarantor's bank (voucher law §8.8): the tail of the lot is the
    guarantor's (subrogation). A pledged range first serves its lender like a payment by the debtor.
    What the debtor paid since the call is not owed any more: the amount is what is left of the call."""
    voucher = touch(context, command.voucher)
    id, instruction = _called(context, command.voucher, command.start)
    if instruction.bank != context.acting:
        raise refuse("NOT_AUTHORISED", "another bank pays for this guarantor")
    lot = find_lot(context, command.voucher, command.start)
    if lot is None:
        raise refuse("LOT_STATE", "the debtor has paid this lot")
    _require_callable(context, lot)
    if instruction.payee != (_lender(context, lot) or lot.holder):
        raise refuse("STATE_CONFLICT", "the range has passed to somebody else since the call")
    owed = min(instruction.amount, lot.end - lot.start)
    if command.amount != owed:
        raise refuse("AMOUNT_MISMATCH", f"{owed} is called and unpaid")
    bank_receipts.use(context, command.receipt_commitment, context.acting, id)
    end_instruction(context, id, instruction)
    guarantee = context.require(Guarantee, instruction.reference)
    unused = instruction.amount - owed
    guarantee = msgspec.structs.replace(
        guarantee, called=guarantee.called - unused, paid=guarantee.paid + owed
    )
    context.put(instruction.reference, guarantee)
    _subrogate(context, command, voucher, lot, guarantee.guarantor, instruction)


def _subrogate(
    context: Context,
    command: GuaranteePayConfirm,
    voucher: Voucher,
    lot: Lot,
    guarantor: bytes,
    call: Instruction,
) -> None:
    part = carve(context, command.voucher, voucher, lot, command.amount, exempt=True)
    voucher = split_instruction(context, command.voucher, voucher, lot.start, part)
    event = voucher.event_count
    voucher = log(
        context, command.voucher, voucher, "guarantee.pay.confirm", start=part.start, end=part.end,
        source=lot.holder, target=guarantor, amount=command.amount, reference=call.reference,
    )  # fmt: skip
    context.put(command.voucher, voucher)
    own = msgspec.structs.replace(
        lines.release_bought(context, voucher, part),
        holder=guarantor,
        state=LotState.HELD,
        lien=None,
        newest_event=event,
        acquired_day=context.today,
        acquired_by=AcquiredBy.GUARANTEE,
        recourse_from=None,
    )
    put_lot(context, command.voucher, own)
    readdress(context, command.voucher, own.start, guarantor)
    if lot.lien is not None:
        owner = owner_of(context.require(Financing, lot.lien), lot)
        surplus = receive_from_settlement(context, lot.lien, command.amount)
        if surplus:
            voucher = context.require(Voucher, command.voucher)
            voucher = pay_surplus(context, command.voucher, voucher, call.payee, owner, surplus)
            context.put(command.voucher, voucher)


# --- release ----------------------------------------------------------------------------------------


@rule(
    GuaranteeRelease,
    CommandClass.SETTLEMENT,
    Signers.MC,
    sentence="Frees a guarantor as the beneficiary, or takes a call back.",
    errors=("GUARANTEE_NOT_CALLED",),
)
def release(context: Context, command: GuaranteeRelease) -> None:
    """guarantee.release by the beneficiary (voucher law §8.8). With a voucher: who is to be paid takes its
    call back, as when the debtor paid after all; once the payment is SENT, only the paying bank can say
    that it failed. Without: the named beneficiary frees the guarantor. A guarantee for every holder is
    nobody's to release; it expires."""
    guarantee = context.require(Guarantee, command.guarantee)
    if command.voucher is not None:
        _take_back(context, command.guarantee, guarantee, command.voucher, command.start)
        return
    if guarantee.beneficiary != context.acting:
        raise refuse("NOT_AUTHORISED", "only the named beneficiary can release a guarantee")
    if guarantee.state is not GuaranteeState.ACTIVE:
        raise refuse("STATE_CONFLICT", "the guarantee is released already")
    released = msgspec.structs.replace(guarantee, state=GuaranteeState.RELEASED)
    context.put(command.guarantee, released)
    context.emit(
        "guarantee.release", Kind.GUARANTEE, command.guarantee, source=context.acting,
        target=guarantee.guarantor,
    )  # fmt: skip


def _take_back(
    context: Context, guarantee_id: bytes, guarantee: Guarantee, voucher_id: bytes, start: int
) -> None:
    voucher = touch(context, voucher_id)
    id, instruction = _called(context, voucher_id, start)
    if instruction.reference != guarantee_id:
        raise refuse("GUARANTEE_NOT_CALLED", "another guarantee was called for this lot")
    sent = instruction.state is not InstructionState.NEW
    if context.acting != (instruction.bank if sent else instruction.payee):
        raise refuse(
            "NOT_AUTHORISED", "who is to be paid takes a call back; the paying bank, once it sent"
        )
    end_instruction(context, id, instruction)
    called = guarantee.called - instruction.amount
    context.put(guarantee_id, msgspec.structs.replace(guarantee, called=called))
    voucher = log(
        context, voucher_id, voucher, "guarantee.release", start=start, source=context.acting,
        target=guarantee.guarantor, amount=instruction.amount, reference=guarantee_id,
    )  # fmt: skip
    context.put(voucher_id, voucher)
