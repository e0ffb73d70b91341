"""Prepayment finance (1+N, voucher law §8.9): a bank pays the maker before the goods are shipped.

The distributor owes the loan, the money goes only to the maker's bound account, and the goods, once
shipped, are a warehouse receipt pledged to the bank. Goods that do not come by the deadline make the maker
refund the bank.
"""

from __future__ import annotations

import msgspec

from node.ledger import lines, sealed_lines
from node.ledger.accounts import require_verified, settlement_account
from node.ledger.context import Context, refuse, require_amount
from node.ledger.drawing import exposure_lines
from node.ledger.financing import CANCELLED, FAILED, PAID, drop_financing
from node.ledger.goods import require_warehouse
from node.ledger.instructions import end_instruction, open_instruction
from node.ledger.interest import BPS
from node.ledger.loans import overdue_day, receive_from_settlement, source_of
from node.ledger.organisations import has_kind, require_active
from node.ledger.parameters import value
from node.ledger.rulebook import Signers, rule
from node.ledger.schedule import (
    HANDLERS,
    Act,
    put_day,
    put_second,
    take_off_day,
    take_off_second,
)
from node.state.view import Index
from tallynet.commands import PrepaymentFund, PrepaymentRequest, PrepaymentShip
from tallynet.errors import LedgerError
from tallynet.fields import ZERO_WIDE
from tallynet.hashing import record_id
from tallynet.records import (
    Account,
    CommandClass,
    Financing,
    FinancingKind,
    FinancingState,
    Instruction,
    InstructionPurpose,
    InstructionState,
    Kind,
    LineKind,
    OrganisationKind,
    Prepayment,
    PrepaymentState,
    Purpose,
    PurposeAmount,
    ReceiptStatus,
    WarehouseReceipt,
)

BASES = (360, 365)


# --- request ----------------------------------------------------------------------------------------


@rule(
    PrepaymentRequest,
    CommandClass.DRAW,
    Signers.MC,
    amount=lambda command: command.amount,
    sentence="Asks a bank to pay a maker for goods that the distributor ordered.",
    errors=("PAYEE_FIXED", "SELF_DEALING"),
)
def request(context: Context, command: PrepaymentRequest) -> None:
    """prepayment.request by the distributor (voucher law §8.9): money goes only to the maker's bound
    account. Unfunded on the last day of shipping, the request ends by itself."""
    distributor = require_active(context, context.acting)
    if not has_kind(distributor, OrganisationKind.DISTRIBUTOR):
        raise refuse("NOT_AUTHORISED", "prepayments are requested by distributors")
    if len({context.acting, command.maker, command.bank}) < 3:
        raise refuse("SELF_DEALING", "distributor, maker and bank are three organisations")
    require_active(context, command.maker)
    if not has_kind(require_active(context, command.bank), OrganisationKind.BANK):
        raise refuse("NOT_LICENSED", "prepayments are lent by banks")
    _require_account(context, command)
    require_amount(command.amount)
    if not context.today < command.ship_by <= command.end_day:
        raise refuse("DATE_RANGE", "business date < last day of shipping <= end of the loan")
    id = record_id(Kind.PREPAYMENT, context.acting, command.label)
    prepayment = Prepayment(
        context.acting, command.maker, command.bank, command.account, command.currency,
        command.amount, command.sku, command.unit, command.ship_by, command.end_day, 0, None,
        PrepaymentState.REQUESTED,
    )  # fmt: skip
    context.create(id, prepayment)
    put_day(context, command.ship_by + 1, Act.PREPAYMENT_LAPSE, id)
    context.emit(
        "prepayment.request", Kind.PREPAYMENT, id, source=context.acting, target=command.bank,
        amount=command.amount, reference=command.maker,
    )  # fmt: skip


def _require_account(context: Context, command: PrepaymentRequest) -> None:
    try:
        require_verified(context, command.account, command.maker, command.currency)
    except LedgerError as error:
        if error.code == "PAYEE_NOT_ALLOWED":
            raise refuse("PAYEE_FIXED", "the money goes to the maker's own account") from None
        raise


# --- fund -------------------------------------------------------------------------------------------


@rule(
    PrepaymentFund,
    CommandClass.OFFER,
    Signers.MC,
    amount=lambda command: command.amount,
    sentence="Grants a requested prepayment as the bank; the maker is to be paid.",
    errors=("PAYEE_FIXED", "LINE_EXCEEDED", "LINE_SEALED", "AMOUNT_MISMATCH"),
)
def fund(context: Context, command: PrepaymentFund) -> None:
    """prepayment.fund by the bank (voucher law §8.9): within its BORROWER line on the distributor (§6:
    it counts loan principal), open or sealed. Created: Financing, Instruction to the maker's account."""
    prepayment = context.require(Prepayment, command.prepayment)
    if prepayment.bank != context.acting:
        raise refuse("NOT_AUTHORISED", "another bank was asked")
    if prepayment.state is not PrepaymentState.REQUESTED:
        raise refuse("STATE_CONFLICT", f"the prepayment is {prepayment.state.name}")
    account = context.require(Account, prepayment.account)
    if account.organisation != prepayment.maker:
        raise refuse("PAYEE_FIXED", "the money goes to the maker's own account")
    if context.today > prepayment.ship_by:
        raise refuse("DATE_RANGE", "the last day of shipping has passed")
    if command.amount != prepayment.amount:
        raise refuse("AMOUNT_MISMATCH", f"{prepayment.amount} was requested")
    if command.basis not in BASES or not 0 < command.advance_bps <= BPS:
        raise refuse("AMOUNT_RANGE", "basis 360 or 365; the advance is 1 to 10,000 bps")
    id = record_id(Kind.FINANCING, context.acting, command.label)
    loan = _loan(context, command, prepayment, id)
    if sealed_lines.take_use(context, _line(loan), command.prepayment):
        loan = msgspec.structs.replace(loan, lines=())
    else:
        lines.reserve_if_there(context, _line(loan), loan.principal)
    context.create(id, loan)
    context.state.index_add(Index.PARTY_FINANCINGS, loan.funder + id)
    context.state.index_add(Index.PARTY_FINANCINGS, loan.obligor + id)
    order = Instruction(
        loan.funder, prepayment.maker, prepayment.account, loan.principal, 0, loan.currency,
        context.today, InstructionPurpose.PAYOUT, id, 0, loan.funder, InstructionState.NEW, None,
    )  # fmt: skip
    open_instruction(context, loan.instruction, order)
    put_second(context, loan.expires, Act.PAYOUT_EXPIRE, id)
    take_off_day(context, prepayment.ship_by + 1, Act.PREPAYMENT_LAPSE, command.prepayment)
    awaiting = msgspec.structs.replace(
        prepayment,
        advance_bps=command.advance_bps,
        financing=id,
        state=PrepaymentState.AWAIT_PAYOUT,
    )
    context.put(command.prepayment, awaiting)
    context.emit(
        "prepayment.fund", Kind.PREPAYMENT, command.prepayment, source=loan.funder,
        target=prepayment.maker, amount=loan.principal, reference=id,
    )  # fmt: skip


def _loan(
    context: Context, command: PrepaymentFund, prepayment: Prepayment, id: bytes
) -> Financing:
    return Financing(
        kind=FinancingKind.PREPAYMENT,
        funder=context.acting,
        offer=command.prepayment,
        obligor=prepayment.distributor,
        debtor=prepayment.maker,
        voucher=bytes(16),
        start=0,
        end=0,
        principal=prepayment.amount,
        discount=0,
        net=prepayment.amount,
        numerator=ZERO_WIDE,
        currency=prepayment.currency,
        rate_ppm=command.rate_ppm,
        basis=command.basis,
        value_day=context.today,
        end_day=prepayment.end_day,
        accrued_to=context.today,
        accrual=ZERO_WIDE,
        interest_billed=0,
        repaid=0,
        repayment_pending=0,
        payee=prepayment.account,
        purposes=(PurposeAmount(Purpose.GOODS, prepayment.amount),),
        instruction=record_id(Kind.INSTRUCTION, id, bytes(4)),
        expires=context.time + value(context, "payout_timeout_seconds"),
        state=FinancingState.AWAIT_PAYOUT,
        lines=(LineKind.BORROWER,),
        registration_required=False,
        registration=None,
        fee=None,
        agent_bank=None,
        pool=None,
        allocation=None,
        sealed=None,
    )


def _line(loan: Financing) -> bytes:
    """The bank's line on the distributor."""
    return lines.line_id(LineKind.BORROWER, loan.funder, loan.obligor, loan.currency)


# --- pay-out ----------------------------------------------------------------------------------------


def _paid(context: Context, instruction_id: bytes, instruction: Instruction) -> None:
    """financing.payout.confirm: the loan runs, the maker has to ship."""
    id = instruction.reference
    loan = context.require(Financing, id)
    end_instruction(context, instruction_id, instruction)
    take_off_second(context, loan.expires, Act.PAYOUT_EXPIRE, id)
    for line in exposure_lines(loan):
        lines.use_reserved(context, line, loan.principal)
    loan = msgspec.structs.replace(loan, state=FinancingState.OUTSTANDING)
    context.put(id, loan)
    day = overdue_day(context.state, loan)
    if day is not None:
        put_day(context, day, Act.LOAN_OVERDUE, id)
    _await(context, source_of(loan), PrepaymentState.FUNDED, id)
    context.emit(
        "financing.payout.confirm", Kind.FINANCING, id, source=loan.funder,
        target=instruction.payee, amount=instruction.amount,
    )  # fmt: skip


def _await(
    context: Context, prepayment_id: bytes, state: PrepaymentState, loan: bytes | None
) -> None:
    """Shipping, or funding, is awaited until the deadline; one that has passed acts at once."""
    prepayment = context.require(Prepayment, prepayment_id)
    put_day(context, prepayment.ship_by + 1, Act.PREPAYMENT_LAPSE, prepayment_id)
    changed = msgspec.structs.replace(prepayment, financing=loan, state=state)
    context.put(prepayment_id, changed)


def _failed(context: Context, _instruction_id: bytes, instruction: Instruction) -> None:
    loan = context.require(Financing, instruction.reference)
    _cancelled(context, instruction.reference, loan, "financing.payout.fail")


def _cancelled(context: Context, id: bytes, loan: Financing, event_type: str) -> None:
    """The maker was not paid: the bank may fund the request again."""
    take_off_second(context, loan.expires, Act.PAYOUT_EXPIRE, id)
    for line in exposure_lines(loan):
        lines.unreserve(context, line, loan.principal)
    end_instruction(context, loan.instruction, context.require(Instruction, loan.instruction))
    drop_financing(context, id, loan)
    _await(context, source_of(loan), PrepaymentState.REQUESTED, None)
    context.emit(event_type, Kind.FINANCING, id, source=loan.funder, target=loan.obligor)


PAID[FinancingKind.PREPAYMENT] = _paid
FAILED[FinancingKind.PREPAYMENT] = _failed
CANCELLED[FinancingKind.PREPAYMENT] = _cancelled


# --- ship -------------------------------------------------------------------------------------------


@rule(
    PrepaymentShip,
    CommandClass.GOODS,
    Signers.MC,
    sentence="Reports, as the maker, that the goods are in the warehouse, pledged to the bank.",
    errors=("LOAN_TO_VALUE",),
)
def ship(context: Context, command: PrepaymentShip) -> None:
    """prepayment.ship by the maker (voucher law §8.9): creates a receipt of the distributor's goods,
    pledged to the bank. Their value must carry what is outstanding, as at a release."""
    prepayment = context.require(Prepayment, command.prepayment)
    if prepayment.maker != context.acting:
        raise refuse("NOT_AUTHORISED", "the maker ships")
    if prepayment.state is not PrepaymentState.FUNDED or prepayment.financing is None:
        raise refuse("STATE_CONFLICT", f"the prepayment is {prepayment.state.name}")
    if context.today > prepayment.ship_by:
        raise refuse("STATE_CONFLICT", "the last day of shipping has passed; a refund is due")
    require_warehouse(context, command.warehouse)
    require_amount(command.quantity, "quantity")
    require_amount(command.unit_value, "unit value")
    loan = context.find(Financing, prepayment.financing)
    outstanding = 0 if loan is None else loan.principal - loan.repaid
    if command.quantity * command.unit_value * prepayment.advance_bps < outstanding * BPS:
        raise refuse("LOAN_TO_VALUE", f"the goods do not carry the {outstanding} outstanding")
    id = record_id(Kind.WAREHOUSE_RECEIPT, context.acting, command.label)
    receipt = WarehouseReceipt(
        warehouse=command.warehouse,
        owner=prepayment.distributor,
        sku=prepayment.sku,
        unit=prepayment.unit,
        location=command.location,
        currency=prepayment.currency,
        quantity=command.quantity,
        stored=command.quantity,
        pledged=command.quantity,
        pledge_quantity=command.quantity,
        pledgee=prepayment.bank,
        financing=prepayment.financing,
        unit_value=command.unit_value,
        price_day=context.today,
        advance_bps=prepayment.advance_bps,
        shipped_for=prepayment.financing,
        status=ReceiptStatus.STORED,
    )
    context.create(id, receipt)
    take_off_day(context, prepayment.ship_by + 1, Act.PREPAYMENT_LAPSE, command.prepayment)
    context.delete(Prepayment, command.prepayment)
    context.emit(
        "prepayment.ship", Kind.WAREHOUSE_RECEIPT, id, end=command.quantity,
        source=context.acting, target=prepayment.bank, reference=prepayment.financing,
    )  # fmt: skip


# --- not shipped ------------------------------------------------------------------------------------


def _lapse(context: Context, id: bytes) -> None:
    """system.expire: a request that nobody funded ends; a maker that did not ship owes the bank a refund
    of what is outstanding."""
    prepayment = context.find(Prepayment, id)
    if prepayment is None or prepayment.state is PrepaymentState.AWAIT_PAYOUT:
        return
    context.delete(Prepayment, id)
    context.emit("system.expire", Kind.PREPAYMENT, id, source=prepayment.distributor)
    loan = None if prepayment.financing is None else context.find(Financing, prepayment.financing)
    if loan is None or prepayment.financing is None:
        return
    order = Instruction(
        prepayment.maker, prepayment.bank, None, loan.principal - loan.repaid, 0, loan.currency,
        context.today, InstructionPurpose.REFUND, prepayment.financing, 0, prepayment.bank,
        InstructionState.NEW, None,
    )  # fmt: skip
    refund_id = record_id(Kind.INSTRUCTION, prepayment.financing, b"refund")
    open_instruction(context, refund_id, order)
    context.emit(
        "prepayment.refund", Kind.FINANCING, prepayment.financing, source=prepayment.maker,
        target=prepayment.bank, amount=order.amount, reference=refund_id,
    )  # fmt: skip


def refunded(context: Context, refund: Instruction) -> None:
    """The maker's refund repays the loan; what the distributor had repaid since the refund was opened goes
    on to it. Of a loan that is gone the bank owes the maker the money back, outside the network."""
    loan = context.find(Financing, refund.reference)
    if loan is None or loan.kind is not FinancingKind.PREPAYMENT:
        return
    surplus = receive_from_settlement(context, refund.reference, refund.amount)
    if surplus:
        onward = msgspec.structs.replace(
            refund,
            payer=loan.funder,
            payee=loan.obligor,
            account=settlement_account(context, loan.obligor, loan.currency),
            amount=surplus,
            purpose=InstructionPurpose.SURPLUS,
            state=InstructionState.NEW,
        )
        id = record_id(Kind.INSTRUCTION, refund.reference, b"surplus")
        open_instruction(context, id, onward)


HANDLERS[Act.PREPAYMENT_LAPSE] = _lapse
