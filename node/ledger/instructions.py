"""Instructions as a bank's list of work: written and listed together, dropped together."""

from __future__ import annotations

from node.ledger.context import Context
from node.state.view import Index
from tallynet.records import Instruction, InstructionState


def open_instruction(context: Context, id: bytes, instruction: Instruction) -> None:
    """A new order to its bank. Raises LedgerError ID_IN_USE."""
    context.create(id, instruction)
    context.state.index_add(Index.BANK_INSTRUCTIONS, instruction.bank + id)


def end_instruction(context: Context, id: bytes, instruction: Instruction) -> None:
    """It leaves the state when it ends; log and receipts keep it (voucher law §6). One that is PAID has
    left its bank's list before."""
    context.delete(Instruction, id)
    if instruction.state is not InstructionState.PAID:
        context.state.index_remove(Index.BANK_INSTRUCTIONS, instruction.bank + id)
