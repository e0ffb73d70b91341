"""Paid face: what redeeming part of a voucher does to it and to its debtor (voucher law §9, §12)."""

from __future__ import annotations

import msgspec

from node.ledger import lines
from node.ledger.accounts import settlement_account
from node.ledger.context import Context, refuse
from node.ledger.organisations import count_overdue
from node.ledger.schedule import Act, take_off_day
from node.ledger.vouchers import default_day, drop_overdue_when_covered, log
from node.state.view import Index
from tallynet.hashing import record_id
from tallynet.records import (
    Instruction,
    InstructionState,
    Kind,
    Lot,
    Voucher,
    VoucherStatus,
)


def instruction_id(voucher_id: bytes, start: int) -> bytes:
    """Id of the settlement instruction of the lot that began at `start` when it was opened."""
    return record_id(Kind.INSTRUCTION, voucher_id, start.to_bytes(8, "big"))


def readdress(context: Context, voucher_id: bytes, start: int, payee: bytes) -> None:
    """A lot changed hands after its settlement instruction was opened (a pay-out that was under way at
    maturity): the money goes to the new payee."""
    id = instruction_id(voucher_id, start)
    instruction = context.find(Instruction, id)
    if instruction is not None:
        account = settlement_account(context, payee, instruction.currency)
        context.put(id, msgspec.structs.replace(instruction, payee=payee, account=account))


def split_instruction(
    context: Context, voucher_id: bytes, voucher: Voucher, start: int, part: Lot
) -> Voucher:
    """The tail of a lot became a lot of its own after the settlement instruction of `start` was opened:
    it gets its own, for the same payee until `readdress` says otherwise. The caller writes the voucher."""
    id = instruction_id(voucher_id, start)
    instruction = context.find(Instruction, id)
    if instruction is None or part.start == start:
        return voucher
    length = part.end - part.start
    context.put(id, msgspec.structs.replace(instruction, amount=instruction.amount - length))
    own = msgspec.structs.replace(
        instruction, amount=length, paid=0, start=part.start, state=InstructionState.NEW
    )
    own_id = instruction_id(voucher_id, part.start)
    if context.find(Instruction, own_id) is not None:
        raise refuse("ID_IN_USE", "a settlement instruction names this part already")
    context.put(own_id, own)
    context.state.index_add(Index.BANK_INSTRUCTIONS, own.bank + own_id)
    context.state.index_add(Index.VOUCHER_INSTRUCTIONS, voucher_id + own_id)
    return log(
        context, voucher_id, voucher, "system.settlement.open", start=part.start, end=part.end,
        source=own.payer, target=own.payee, amount=length, reference=own_id,
    )  # fmt: skip


def drop_instruction(context: Context, voucher_id: bytes, start: int) -> None:
    """The debtor paid this lot itself after its settlement instruction was opened."""
    id = instruction_id(voucher_id, start)
    instruction = context.find(Instruction, id)
    if instruction is not None:
        context.delete(Instruction, id)
        context.state.index_remove(Index.BANK_INSTRUCTIONS, instruction.bank + id)
        context.state.index_remove(Index.VOUCHER_INSTRUCTIONS, voucher_id + id)


def redeem_face(context: Context, voucher_id: bytes, voucher: Voucher, amount: int) -> Voucher:
    """Count `amount` of face as redeemed, free the ISSUE line, settle the voucher when nothing is
    left (I3); writes and returns the voucher. The lot itself is the caller's."""
    lines.release_used(context, voucher.issue_line, amount)
    before = voucher.status
    voucher = msgspec.structs.replace(voucher, redeemed=voucher.redeemed + amount)
    if voucher.redeemed + voucher.cancelled == voucher.face:
        voucher = msgspec.structs.replace(voucher, status=VoucherStatus.SETTLED)
        voucher = log(context, voucher_id, voucher, "system.voucher.settle", end=voucher.face)
        _clear_agenda(context, voucher_id, voucher, before)
        if before in (VoucherStatus.OVERDUE, VoucherStatus.DEFAULTED):
            count_overdue(context, voucher.debtor, -1)
    else:
        drop_overdue_when_covered(context, voucher_id, voucher)
    context.put(voucher_id, voucher)
    return voucher


def _clear_agenda(
    context: Context, voucher_id: bytes, voucher: Voucher, before: VoucherStatus
) -> None:
    """Nothing more happens to a settled voucher by itself."""
    if before is VoucherStatus.ACTIVE:
        take_off_day(context, voucher.maturity, Act.VOUCHER_MATURE, voucher_id)
    elif before is VoucherStatus.DUE:
        take_off_day(context, voucher.grace_end + 1, Act.VOUCHER_OVERDUE, voucher_id)
    elif before is VoucherStatus.OVERDUE:
        day = default_day(context.state, voucher) + 1
        take_off_day(context, day, Act.VOUCHER_DEFAULT, voucher_id)
    take_off_day(context, voucher.maturity, Act.SETTLEMENT_OPEN, voucher_id)
