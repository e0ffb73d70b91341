"""Instructions without a command of their own: fees, refunds, surpluses, penalties; and repayments that were
announced and never came (§8.7)."""

from __future__ import annotations

from typing import Final

import msgspec

from node.ledger import bank_receipts
from node.ledger.accounts import settlement_account
from node.ledger.context import Context, refuse
from node.ledger.instructions import end_instruction
from node.ledger.loans import end_announced
from node.ledger.prepayment import refunded
from node.ledger.ranges import lot_at, require_unheld
from node.ledger.rulebook import Signers, rule
from node.ledger.vouchers import touch
from node.state.view import Index
from tallynet.commands import InstructionConfirm, InstructionFail
from tallynet.records import CommandClass, Instruction, InstructionPurpose, InstructionState, Kind

PLAIN: Final = frozenset(
    {
        InstructionPurpose.FEE,
        InstructionPurpose.REFUND,
        InstructionPurpose.SURPLUS,
        InstructionPurpose.PENALTY,
    }
)
"""Purposes whose payment changes nothing but the instruction; a maker's refund repays its loan too."""
_MAY_FAIL: Final = PLAIN | {InstructionPurpose.REPAYMENT}
_OPEN: Final = (InstructionState.NEW, InstructionState.SENT, InstructionState.FAILED)


def _plain(
    context: Context, id: bytes, purposes: frozenset[InstructionPurpose] = PLAIN
) -> Instruction:
    instruction = context.require(Instruction, id)
    if instruction.bank != context.acting:
        raise refuse("NOT_AUTHORISED", "another bank executes this instruction")
    if instruction.purpose not in purposes:
        raise refuse("STATE_CONFLICT", f"{instruction.purpose.name} has commands of its own")
    if instruction.state not in _OPEN:
        raise refuse("STATE_CONFLICT", f"the instruction is {instruction.state.name}")
    return instruction


@rule(
    InstructionConfirm,
    CommandClass.PAYOUT,
    Signers.MC,
    api=True,
    amount=lambda command: command.amount,
    sentence="Confirms as the paying bank that a fee, refund, surplus or penalty was paid.",
    errors=("STATE_CONFLICT", "AMOUNT_MISMATCH", "RECEIPT_REUSED"),
)
def confirm(context: Context, command: InstructionConfirm) -> None:
    """instruction.confirm (voucher law §8.7): paid in full, the instruction leaves the state; log and
    receipts keep it. The penalty for a frozen range goes into escrow instead, that for a disputed one
    waits."""
    instruction = _plain(context, command.instruction)
    if command.amount != instruction.amount - instruction.paid:
        raise refuse("AMOUNT_MISMATCH", f"{instruction.amount - instruction.paid} is to be paid")
    if instruction.purpose is InstructionPurpose.PENALTY:
        touch(context, instruction.reference)
        require_unheld(context, lot_at(context, instruction.reference, instruction.start))
    bank_receipts.use(context, command.receipt_commitment, context.acting, command.instruction)
    end_instruction(context, command.instruction, instruction)
    if instruction.purpose is InstructionPurpose.PENALTY:
        key = instruction.reference + command.instruction
        context.state.index_remove(Index.VOUCHER_INSTRUCTIONS, key)
    if instruction.purpose is InstructionPurpose.REFUND:
        refunded(context, instruction)
    context.emit(
        "instruction.confirm", Kind.INSTRUCTION, command.instruction, source=instruction.payer,
        target=instruction.payee, amount=command.amount, reference=instruction.reference,
    )  # fmt: skip


@rule(
    InstructionFail,
    CommandClass.PAYOUT,
    Signers.MC,
    api=True,
    sentence="Reports that a fee, refund, surplus or penalty could not be paid, or a repayment did not come.",
    errors=("STATE_CONFLICT",),
)
def fail(context: Context, command: InstructionFail) -> None:
    """instruction.fail (voucher law §8.7): FAILED. What is owed stays owed, so the instruction stays with
    the bank, names the payee's first verified account, and can still be confirmed once it is paid. A
    repayment that did not come, or came when other money had served the loan, was an announcement only:
    it ends, and may be announced again."""
    instruction = _plain(context, command.instruction, _MAY_FAIL)
    if instruction.purpose is InstructionPurpose.REPAYMENT:
        end_announced(context, command.instruction, instruction)
        context.emit(
            "instruction.fail", Kind.INSTRUCTION, command.instruction, target=instruction.payer
        )
        return
    account = settlement_account(context, instruction.payee, instruction.currency)
    failed = msgspec.structs.replace(instruction, state=InstructionState.FAILED, account=account)
    context.put(command.instruction, failed)
    context.emit(
        "instruction.fail", Kind.INSTRUCTION, command.instruction, target=instruction.payee
    )
