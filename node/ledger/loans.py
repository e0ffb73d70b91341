"""Loans: accrual, repayment in the order fee, penalty, interest, principal (voucher law §8.7, §11)."""

from __future__ import annotations

import msgspec

from node.ledger import bank_receipts, lines, margin, pools
from node.ledger.context import Context, refuse, require_amount
from node.ledger.debts import accrue, debt
from node.ledger.drawing import exposure_lines, lender, settle_in
from node.ledger.financing import drop_financing, require_instruction
from node.ledger.instructions import end_instruction, open_instruction
from node.ledger.organisations import has_kind, require_active
from node.ledger.ranges import lots_of
from node.ledger.redemption import readdress
from node.ledger.rulebook import Signers, rule
from node.ledger.schedule import HANDLERS, Act, take_off_day
from node.ledger.vouchers import log, touch
from node.state.view import StateView
from tallynet.commands import FinancingRepay, RepayConfirm
from tallynet.errors import invariant
from tallynet.hashing import record_id
from tallynet.records import (
    Account,
    Backstop,
    CommandClass,
    Financing,
    FinancingKind,
    FinancingState,
    Instruction,
    InstructionPurpose,
    InstructionState,
    Kind,
    Lot,
    LotState,
    OrganisationKind,
    Voucher,
)

_LIVE = (
    FinancingState.OUTSTANDING,
    FinancingState.OVERDUE,
    FinancingState.RECOURSE,
    FinancingState.ENFORCED,
    FinancingState.WRITTEN_OFF,
)
"""Late payment is possible in every state."""


def _live_loan(context: Context, id: bytes) -> Financing:
    financing = context.require(Financing, id)
    if financing.state not in _LIVE:
        raise refuse("STATE_CONFLICT", f"the financing is {financing.state.name}")
    return financing


# --- repayment by the borrower --------------------------------------------------------------------------


@rule(
    FinancingRepay,
    CommandClass.REPAYMENT,
    Signers.MC,
    amount=lambda command: command.amount,
    sentence="Announces the repayment of a loan, in part or in full.",
    errors=("OVERPAYMENT",),
)
def repay(context: Context, command: FinancingRepay) -> None:
    """financing.repay (voucher law §8.7). Receipt result: interest and principal owed today."""
    financing = _live_loan(context, command.financing)
    if financing.obligor != context.acting:
        raise refuse("NOT_AUTHORISED", "only the borrower repays")
    require_amount(command.amount)
    financing = accrue(context, financing)
    owed = debt(financing)
    if command.amount + financing.repayment_pending > owed.total:
        raise refuse(
            "OVERPAYMENT", f"{owed.total} is owed, {financing.repayment_pending} announced"
        )
    announce(
        context, command.label, command.financing, financing, command.amount, "financing.repay"
    )


def announce(
    context: Context, label: bytes, id: bytes, financing: Financing, amount: int, event_type: str
) -> None:
    """The borrower of an accrued loan says that it pays `amount`: Instruction REPAYMENT to the bank that
    collects. Receipt result: interest and principal owed today."""
    counter = context.joint_body or record_id(Kind.INSTRUCTION, context.acting, label)
    instruction_id = record_id(Kind.INSTRUCTION, id, counter)
    bank = _collecting_bank(context, financing)
    instruction = Instruction(
        context.acting, lender(financing), None, amount, 0, financing.currency, context.today,
        InstructionPurpose.REPAYMENT, id, 0, bank, InstructionState.NEW, None,
    )  # fmt: skip
    open_instruction(context, instruction_id, instruction)
    pending = financing.repayment_pending + amount
    context.put(id, msgspec.structs.replace(financing, repayment_pending=pending))
    context.emit(
        event_type, Kind.FINANCING, id, source=context.acting, target=lender(financing),
        amount=amount, reference=instruction_id,
    )  # fmt: skip
    owed = debt(financing)
    context.result = (owed.interest, owed.principal)


def _collecting_bank(context: Context, financing: Financing) -> bytes:
    """The lender itself if it is a bank, else the bank of the borrower's account."""
    if financing.agent_bank is not None:
        return financing.agent_bank
    funder = require_active(context, financing.funder, receiving=True)
    if has_kind(funder, OrganisationKind.BANK):
        return financing.funder
    return context.require(Account, financing.payee).bank


@rule(
    RepayConfirm,
    CommandClass.REPAYMENT,
    Signers.MC,
    api=True,
    amount=lambda command: command.amount,
    sentence="Confirms as the bank that a repayment arrived.",
    errors=("AMOUNT_MISMATCH", "RECEIPT_REUSED"),
)
def repay_confirm(context: Context, command: RepayConfirm) -> None:
    """financing.repay.confirm: waterfall; in full, the lien goes (voucher law §8.7). Receipt result:
    interest paid, principal paid, principal left."""
    instruction = require_instruction(context, command.instruction, InstructionPurpose.REPAYMENT)
    if command.amount != instruction.amount:
        raise refuse("AMOUNT_MISMATCH", f"the instruction is over {instruction.amount}")
    financing_id = instruction.reference
    if context.find(Financing, financing_id) is None:
        raise refuse(
            "STATE_CONFLICT",
            "other money has repaid the loan; return this and report it with instruction.fail",
        )
    _live_loan(context, financing_id)
    bank_receipts.use(context, command.receipt_commitment, context.acting, command.instruction)
    end_announced(context, command.instruction, instruction)
    financing = accrue(context, context.require(Financing, financing_id))
    interest, principal, surplus = _apply(context, financing_id, financing, command.amount)
    if surplus:
        raise refuse("OVERPAYMENT", f"{surplus} more than is owed")
    context.result = (interest, principal, financing.principal - financing.repaid - principal)


def end_announced(context: Context, id: bytes, instruction: Instruction) -> None:
    """An announced repayment is over, paid or not; its loan may have ended before."""
    end_instruction(context, id, instruction)
    financing = context.find(Financing, instruction.reference)
    if financing is not None:
        pending = financing.repayment_pending - instruction.amount
        financing = msgspec.structs.replace(financing, repayment_pending=pending)
        context.put(instruction.reference, financing)


def _apply(context: Context, id: bytes, financing: Financing, amount: int) -> tuple[int, int, int]:
    """Use money for interest, then principal; returns (interest, principal, surplus) and writes the
    financing, or closes it when nothing is owed any more."""
    owed = debt(financing)
    interest = min(amount, owed.interest)
    principal = min(amount - interest, owed.principal)
    if principal:
        _free_room(context, financing, principal)
    financing = msgspec.structs.replace(
        financing,
        interest_billed=financing.interest_billed - interest,
        repaid=financing.repaid + principal,
    )
    context.emit(
        "financing.repay.confirm", Kind.FINANCING, id, source=financing.obligor,
        target=lender(financing), amount=interest + principal,
    )  # fmt: skip
    if interest + principal == owed.total:
        _close(context, id, financing)
    else:
        context.put(id, financing)
        margin.review(context, id, financing)
    return interest, principal, amount - interest - principal


def _free_room(context: Context, financing: Financing, principal: int) -> None:
    """Repaid principal frees the lines, or the pool, that it was lent under."""
    pools.give_back(context, financing.pool, principal)
    if financing.kind is FinancingKind.BACKSTOP:
        id = source_of(financing)
        pool = context.require(Backstop, id)
        context.put(id, msgspec.structs.replace(pool, drawn=pool.drawn - principal))
    for line in exposure_lines(financing):
        lines.release_used(context, line, principal)


def source_of(financing: Financing) -> bytes:
    """The pool of a BACKSTOP loan, the order of a PREPAYMENT."""
    invariant(financing.offer is not None, "LEDGER_LOAN without its source")
    return financing.offer or b""


def overdue_day(state: StateView, financing: Financing) -> int | None:
    """First day on which an unpaid loan is OVERDUE: after its range's grace, or after its own end day;
    a backstop loan has none (§8.7)."""
    if financing.kind is FinancingKind.BACKSTOP:
        return None
    if financing.kind is FinancingKind.PREPAYMENT:
        return financing.end_day + 1
    voucher = state.get(Kind.VOUCHER, financing.voucher)
    invariant(isinstance(voucher, Voucher), "LEDGER_LOAN without its voucher")
    return voucher.grace_end + 1 if isinstance(voucher, Voucher) else None


def _close(context: Context, id: bytes, financing: Financing) -> None:
    """REPAID: the loan leaves the state; what is left of its range is its owner's, without lien, also
    after it was enforced."""
    drop_financing(context, id, financing)
    day = overdue_day(context.state, financing)
    if day is not None:
        take_off_day(context, day, Act.LOAN_OVERDUE, id)
    if financing.kind is FinancingKind.PREPAYMENT:
        margin.end(context, id)
        return  # its bank releases the goods
    for lot in lots_of(context, id, financing):
        voucher = touch(context, financing.voucher)
        event = voucher.event_count
        owner = owner_of(financing, lot)
        voucher = log(
            context, financing.voucher, voucher, "financing.release", start=lot.start, end=lot.end,
            source=lender(financing), target=owner, reference=id,
        )  # fmt: skip
        context.put(financing.voucher, voucher)
        free = msgspec.structs.replace(
            lot, holder=owner, state=LotState.HELD, lien=None, newest_event=event
        )
        settle_in(context, financing.voucher, voucher, free)
        readdress(context, financing.voucher, free.start, free.holder)


def owner_of(financing: Financing, lot: Lot) -> bytes:
    """Who has the range, and what it brings beyond the debt, once the loan is paid: its holder, which a
    court may have put in the borrower's place; the borrower while the lender holds it by enforcement."""
    return financing.obligor if lot.holder == lender(financing) else lot.holder


def receive_from_settlement(context: Context, financing_id: bytes, amount: int) -> int:
    """Money that a pledged range brought at settlement goes through the lender's waterfall; returns the
    surplus, which is its owner's (§9). The lots that were paid carry the lien no more."""
    financing = accrue(context, context.require(Financing, financing_id))
    _, _, surplus = _apply(context, financing_id, financing, amount)
    if not lots_of(context, financing_id, financing):
        _end_without_recourse(context, financing_id)
    return surplus


def _end_without_recourse(context: Context, financing_id: bytes) -> None:
    """A backstop loan without recourse ends with its range; what the range did not bring is the banks'
    loss and stays used up in their pool."""
    financing = context.find(Financing, financing_id)
    if financing is None or financing.kind is not FinancingKind.BACKSTOP:
        return
    if not context.require(Backstop, source_of(financing)).recourse:
        drop_financing(context, financing_id, financing)
        context.emit(
            "backstop.shortfall", Kind.FINANCING, financing_id, source=financing.obligor,
            target=financing.funder, amount=debt(financing).total,
        )  # fmt: skip


def _overdue(context: Context, financing_id: bytes) -> None:
    """A loan that is unpaid after its end day and grace is OVERDUE."""
    financing = context.find(Financing, financing_id)
    if financing is not None and financing.state is FinancingState.OUTSTANDING:
        overdue = msgspec.structs.replace(financing, state=FinancingState.OVERDUE)
        context.put(financing_id, overdue)
        context.emit("system.loan.overdue", Kind.FINANCING, financing_id, source=financing.obligor)
        margin.review(context, financing_id, overdue)


HANDLERS[Act.LOAN_OVERDUE] = _overdue
