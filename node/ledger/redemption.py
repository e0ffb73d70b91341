"""Paid face: what redeeming part of a voucher does to it and to its debtor (voucher law §9, §12)."""

from __future__ import annotations

from typing import Final

import msgspec

from node.ledger import lines
from node.ledger.accounts import settlement_account
from node.ledger.context import Context, refuse
from node.ledger.lines import line_id
from node.ledger.schedule import Act, take_off_day
from node.ledger.vouchers import default_day, drop_overdue_when_covered, log
from node.state.view import Index
from tallynet.hashing import record_id
from tallynet.records import (
    CreditLine,
    Instruction,
    InstructionState,
    Kind,
    LineKind,
    Lot,
    Organisation,
    Voucher,
    VoucherStatus,
)

LATE: Final = (VoucherStatus.OVERDUE, VoucherStatus.DEFAULTED, VoucherStatus.WRITTEN_OFF)
"""Unpaid after the grace: they count against the debtor, and the penalty runs."""


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
    voucher = msgspec.structs.replace(voucher, redeemed=voucher.redeemed + amount)
    voucher = close_if_ended(context, voucher_id, voucher)
    context.put(voucher_id, voucher)
    return voucher


def close_if_ended(context: Context, voucher_id: bytes, voucher: Voucher) -> Voucher:
    """A voucher with nothing left open is SETTLED, or CANCELLED if no fen of it was ever paid (§9).
    Returns the voucher to be written."""
    before = voucher.status
    if voucher.redeemed + voucher.cancelled < voucher.face:
        drop_overdue_when_covered(context, voucher_id, voucher)
        return voucher
    settled = voucher.redeemed > 0
    status = VoucherStatus.SETTLED if settled else VoucherStatus.CANCELLED
    voucher = msgspec.structs.replace(voucher, status=status)
    if settled:
        voucher = log(context, voucher_id, voucher, "system.voucher.settle", end=voucher.face)
    _clear_agenda(context, voucher_id, voucher, before)
    if before in LATE:
        _unblock(context, voucher.debtor)
    return voucher


def release_exposure(context: Context, voucher: Voucher, holder: bytes, amount: int) -> None:
    """Bought face is paid, or a court took it: the buyer's DEBTOR_EXPOSURE is free again."""
    id = line_id(LineKind.DEBTOR_EXPOSURE, holder, voucher.debtor, voucher.currency)
    line = context.find(CreditLine, id)
    if line is not None:
        lines.release_used(context, id, min(amount, line.used))


def split_instruction(
    context: Context, voucher_id: bytes, voucher: Voucher, start: int, part: Lot
) -> Voucher:
    """The tail of a lot became a lot of its own after the settlement instruction of `start` was opened:
    it gets its own, for the same payee until `readdress` says otherwise. The caller writes the voucher."""
    id = instruction_id(voucher_id, start)
    instruction = context.find(Instruction, id)
    if instruction is None or part.start == start:
        return voucher
    left = instruction.paid + part.start - start
    context.put(id, msgspec.structs.replace(instruction, amount=left))
    length = part.end - part.start
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


def _unblock(context: Context, debtor: bytes) -> None:
    """The automatic block falls when the debtor's overdue count is zero again (§9)."""
    organisation = context.require(Organisation, debtor)
    count = organisation.overdue_count - 1
    context.put(
        debtor,
        msgspec.structs.replace(organisation, overdue_count=count, blocked_automatic=count > 0),
    )
