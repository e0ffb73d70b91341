"""The maker buys its goods back (1+N 回购, voucher law §8.9; decision 0084). `margin` says when it has to."""

from __future__ import annotations

import msgspec

from node.ledger import bank_receipts
from node.ledger.context import Context, refuse
from node.ledger.financing import require_instruction
from node.ledger.instructions import end_instruction
from node.ledger.loans import receive_from_settlement
from node.ledger.margin import buy_back, buyback_id, lent_on_goods, pledged_for, review, unpledged
from node.ledger.rulebook import Signers, rule
from tallynet.commands import BuybackCall, BuybackConfirm
from tallynet.errors import invariant
from tallynet.hashing import record_id
from tallynet.records import CommandClass, Instruction, InstructionPurpose, Kind, WarehouseReceipt


@rule(
    BuybackCall,
    CommandClass.GOODS,
    Signers.MC,
    sentence="Makes a maker, as the lender, buy back the goods of a loan that was not repaid.",
    errors=("LOAN_TO_VALUE",),
)
def call(context: Context, command: BuybackCall) -> None:
    """warehouse.buyback.call by the bank (voucher law §8.9): a loan unpaid at its end. A margin call that
    was missed becomes a buy-back by itself. Created: Instruction. Receipt result: its amount."""
    loan = lent_on_goods(context, command.financing)
    margin = review(context, command.financing, loan)
    if context.find(Instruction, buyback_id(command.financing)) is not None:
        raise refuse("STATE_CONFLICT", "the maker has to buy the goods back already")
    if context.today <= loan.end_day:
        raise refuse("LOAN_TO_VALUE", f"no call was missed, and the loan runs to {loan.end_day}")
    if margin is None:
        raise refuse("STATE_CONFLICT", "no goods that the maker shipped are pledged")
    order = buy_back(context, command.financing, loan)
    context.result = (order.amount,)


@rule(
    BuybackConfirm,
    CommandClass.REPAYMENT,
    Signers.MC,
    amount=lambda command: command.amount,
    sentence="Confirms as the lender that the maker has paid for its goods.",
    errors=("AMOUNT_MISMATCH", "RECEIPT_REUSED"),
)
def confirm(context: Context, command: BuybackConfirm) -> None:
    """warehouse.buyback.confirm by the bank (voucher law §8.9): the money serves the loan, and what the
    maker had shipped for it and is still pledged is the maker's, free. Other goods stay pledged for what
    is still owed, and are the bank's to release."""
    order = require_instruction(context, command.instruction, InstructionPurpose.BUYBACK)
    if command.amount != order.amount:
        raise refuse("AMOUNT_MISMATCH", f"{order.amount} is to be paid")
    bank_receipts.use(context, command.receipt_commitment, context.acting, command.instruction)
    end_instruction(context, command.instruction, order)
    for id, receipt in pledged_for(context, order.reference).items():
        if receipt.shipped_for == order.reference:
            _hand_over(context, id, receipt, order)
    surplus = receive_from_settlement(context, order.reference, order.amount)
    invariant(surplus == 0, "LEDGER_BUYBACK over more than is owed")
    context.emit(
        "warehouse.buyback.confirm", Kind.FINANCING, order.reference, source=order.payer,
        target=order.payee, amount=order.amount, reference=command.instruction,
    )  # fmt: skip


def _hand_over(context: Context, id: bytes, receipt: WarehouseReceipt, order: Instruction) -> None:
    """The pledged part of a receipt is the maker's; what was free stays its owner's, as a range that begins
    anew."""
    free = receipt.stored - receipt.pledged
    bought = msgspec.structs.replace(unpledged(receipt), owner=order.payer)
    bought_id = id
    if free:
        kept = msgspec.structs.replace(
            bought, owner=receipt.owner, stored=free, quantity=receipt.quantity - receipt.pledged
        )
        context.put(id, kept)
        bought_id = record_id(Kind.WAREHOUSE_RECEIPT, order.reference, id)
        bought = msgspec.structs.replace(bought, stored=receipt.pledged, quantity=receipt.pledged)
        context.create(bought_id, bought)
    else:
        context.put(id, bought)
    context.emit(
        "warehouse.receipt.buyback", Kind.WAREHOUSE_RECEIPT, bought_id, end=receipt.pledged,
        source=receipt.owner, target=order.payer, reference=order.reference,
    )  # fmt: skip
