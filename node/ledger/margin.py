"""Goods that no longer carry their prepayment loan: margin call, and the buy-back after it (voucher law §8.9;
decision 0084).

    goods carry the loan --price falls--> noted --bank calls, or the next day--> called
                 called --pledge, price, repayment--> carried again: the call is gone
                 called --deadline missed--> buy-back: the maker owes the bank what is owed on the loan

From the day after the loan's end nothing counts as cover: all that is outstanding is short, and only repayment
cures. The bank may call the buy-back then without waiting for the deadline.

`review` brings a loan to what holds now. Whatever changes a side of the comparison calls it afterwards, and so
do the agenda and the bank's commands first, so no result depends on how far the agenda has got.
"""

from __future__ import annotations

from typing import Final

import msgspec

from node.ledger.context import Context, refuse
from node.ledger.debts import accrue, debt
from node.ledger.instructions import end_instruction, open_instruction
from node.ledger.interest import BPS
from node.ledger.parameters import value
from node.ledger.rulebook import Signers, rule
from node.ledger.schedule import HANDLERS, Act, put_day, take_off_day
from node.state.view import Index
from tallynet.commands import MarginCall
from tallynet.hashing import record_id
from tallynet.records import (
    CommandClass,
    Financing,
    FinancingKind,
    FinancingState,
    Instruction,
    InstructionPurpose,
    InstructionState,
    Kind,
    Margin,
    WarehouseReceipt,
)

RECEIPTS_PER_LOAN_MAX: Final = 20
"""Receipts pledged for one loan: each price, pledge, release and repayment reads all of them."""
_LIVE: Final = (FinancingState.OUTSTANDING, FinancingState.OVERDUE, FinancingState.WRITTEN_OFF)


def margin_id(loan: bytes) -> bytes:
    """The one margin record of a loan."""
    return record_id(Kind.MARGIN, loan, b"")


def buyback_id(loan: bytes) -> bytes:
    """The one instruction by which a maker buys the goods of a loan back."""
    return record_id(Kind.INSTRUCTION, loan, b"buyback")


def acts_on(margin: Margin) -> int:
    """First day on which time takes the next step."""
    return (margin.since if margin.deadline is None else margin.deadline) + 1


# --- what goods carry -------------------------------------------------------------------------------


def pledged_for(context: Context, loan: bytes) -> dict[bytes, WarehouseReceipt]:
    """The goods pledged for a loan, at most one receipt more than RECEIPTS_PER_LOAN_MAX: shipping is never
    refused for their number."""
    keys = context.state.index_scan(
        Index.PLEDGED_RECEIPTS, loan, limit=RECEIPTS_PER_LOAN_MAX + 1
    )  # fmt: skip
    return {key[16:]: context.require(WarehouseReceipt, key[16:]) for key in keys}


def carried(receipt: WarehouseReceipt) -> int:
    """What pledged goods carry of a loan, fen times BPS."""
    return receipt.pledged * receipt.unit_value * receipt.advance_bps


def _shortfall(context: Context, id: bytes, loan: Financing) -> int:
    """Principal that is not carried, fen; 0 as long as the goods have not been shipped, since a maker that
    does not ship owes a refund."""
    goods = pledged_for(context, id)
    if all(receipt.shipped_for != id for receipt in goods.values()):
        return 0
    outstanding = loan.principal - loan.repaid
    if context.today > loan.end_day:
        return outstanding
    return max(0, outstanding - sum(map(carried, goods.values())) // BPS)


def unpledged(receipt: WarehouseReceipt) -> WarehouseReceipt:
    """The same goods without any pledge, and as no loan's."""
    return msgspec.structs.replace(
        receipt,
        pledged=0,
        pledge_quantity=0,
        pledgee=None,
        financing=None,
        advance_bps=0,
        shipped_for=None,
    )


# --- the life of a call -----------------------------------------------------------------------------


def review(context: Context, id: bytes, loan: Financing) -> Margin | None:
    """Bring what is short of a loan to what holds now; returns it, or None if nothing is to be made up.
    Other loans have other security than goods and are left alone."""
    if loan.kind is not FinancingKind.PREPAYMENT or loan.state not in _LIVE:
        return None
    order = context.find(Instruction, buyback_id(id))
    if order is not None:
        _lower(context, id, loan, order)
        return None
    margin = context.find(Margin, margin_id(id))
    if margin is not None:
        margin = _in_time(context, loan, margin)
        if margin is None:
            return None
    shortfall = _shortfall(context, id, loan)
    if margin is None:
        return _note(context, id, loan, shortfall) if shortfall else None
    if not shortfall:
        _drop(context, margin)
        context.emit("warehouse.margin.cure", Kind.FINANCING, id, target=loan.obligor)
        return None
    margin = msgspec.structs.replace(margin, shortfall=shortfall)
    context.put(margin_id(id), margin)
    return margin


def _note(context: Context, id: bytes, loan: Financing, shortfall: int) -> Margin | None:
    margin = Margin(id, shortfall, min(context.today, loan.end_day), None)
    context.create(margin_id(id), margin)
    put_day(context, acts_on(margin), Act.MARGIN_DUE, margin_id(id))
    return _in_time(context, loan, margin)


def _in_time(context: Context, loan: Financing, margin: Margin) -> Margin | None:
    """What the business date has made of it: called on the day after it was noted, a buy-back on the day
    after its deadline (None)."""
    if margin.deadline is None and context.today > margin.since:
        margin = _call(context, loan, margin, margin.since + 1)
    if margin.deadline is not None and context.today > margin.deadline:
        buy_back(context, margin.financing, loan)
        return None
    return margin


def _call(context: Context, loan: Financing, margin: Margin, day: int) -> Margin:
    """The borrower is called on `day`."""
    take_off_day(context, acts_on(margin), Act.MARGIN_DUE, margin_id(margin.financing))
    called = msgspec.structs.replace(margin, deadline=day + value(context, "margin_call_days"))
    context.put(margin_id(margin.financing), called)
    put_day(context, acts_on(called), Act.MARGIN_DUE, margin_id(margin.financing))
    context.emit(
        "warehouse.margin.call", Kind.FINANCING, margin.financing, source=loan.funder,
        target=loan.obligor, amount=margin.shortfall,
    )  # fmt: skip
    return called


def _drop(context: Context, margin: Margin) -> None:
    id = margin_id(margin.financing)
    take_off_day(context, acts_on(margin), Act.MARGIN_DUE, id)
    context.delete(Margin, id)


def end(context: Context, id: bytes) -> None:
    """The loan is repaid: nobody owes a top-up or a buy-back any more."""
    margin = context.find(Margin, margin_id(id))
    if margin is not None:
        _drop(context, margin)
    order = context.find(Instruction, buyback_id(id))
    if order is not None:
        end_instruction(context, buyback_id(id), order)


def _due(context: Context, id: bytes) -> None:
    """system: a call that no bank has made, a deadline that was missed."""
    margin = context.find(Margin, id)
    if margin is not None:
        review(context, margin.financing, context.require(Financing, margin.financing))


HANDLERS[Act.MARGIN_DUE] = _due


# --- the maker's duty -------------------------------------------------------------------------------


def buy_back(context: Context, id: bytes, loan: Financing) -> Instruction:
    """The maker owes the bank all that is owed on the loan today, interest and principal. Interest of the
    days until it pays stays the borrower's."""
    margin = context.find(Margin, margin_id(id))
    if margin is not None:
        _drop(context, margin)
    order = Instruction(
        loan.debtor, loan.funder, None, debt(accrue(context, loan)).total, 0, loan.currency,
        context.today, InstructionPurpose.BUYBACK, id, 0, loan.funder, InstructionState.NEW, None,
    )  # fmt: skip
    open_instruction(context, buyback_id(id), order)
    context.emit(
        "warehouse.buyback.call", Kind.FINANCING, id, source=loan.debtor, target=loan.funder,
        amount=order.amount, reference=buyback_id(id),
    )  # fmt: skip
    return order


def _lower(context: Context, id: bytes, loan: Financing, order: Instruction) -> None:
    """What the borrower has repaid since, the maker owes no more."""
    left = debt(accrue(context, loan)).total
    if left < order.amount:
        context.put(buyback_id(id), msgspec.structs.replace(order, amount=left))


# --- command ----------------------------------------------------------------------------------------


def lent_on_goods(context: Context, id: bytes) -> Financing:
    """A running prepayment loan of the acting bank. Raises NOT_AUTHORISED, STATE_CONFLICT."""
    loan = context.require(Financing, id)
    if loan.funder != context.acting:
        raise refuse("NOT_AUTHORISED", "only the lender can do this")
    if loan.kind is not FinancingKind.PREPAYMENT or loan.state not in _LIVE:
        raise refuse("STATE_CONFLICT", f"the financing is {loan.kind.name}, {loan.state.name}")
    return loan


@rule(
    MarginCall,
    CommandClass.GOODS,
    Signers.MC,
    sentence="Calls on a borrower, as the lender, to make up what its goods do not carry.",
    errors=("LOAN_TO_VALUE",),
)
def margin_call(context: Context, command: MarginCall) -> None:
    """warehouse.margin.call by the bank (voucher law §8.9), on the day on which the value fell; on the next
    day time calls by itself. The borrower has `margin_call_days` to pledge more goods or to repay.
    Receipt result: shortfall, last day."""
    loan = lent_on_goods(context, command.financing)
    margin = review(context, command.financing, loan)
    if margin is None:
        if context.find(Instruction, buyback_id(command.financing)) is not None:
            raise refuse("STATE_CONFLICT", "the maker has to buy the goods back")
        raise refuse("LOAN_TO_VALUE", "the goods carry what is outstanding")
    if margin.deadline is not None:
        raise refuse("STATE_CONFLICT", f"called already, until day {margin.deadline}")
    called = _call(context, loan, margin, context.today)
    context.result = (called.shortfall, called.deadline or 0)
