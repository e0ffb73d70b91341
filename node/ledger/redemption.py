"""Paid face: what redeeming part of a voucher does to it and to its debtor (voucher law §9, §12)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from node.ledger import lines
from node.ledger.accounts import settlement_account
from node.ledger.context import Context, refuse
from node.ledger.interest import PPM, half_up, pro_rata
from node.ledger.organisations import count_overdue
from node.ledger.ranges import get_lot, put_lot
from node.ledger.reconciliation import count_owed, open_face
from node.ledger.schedule import Act, take_off_day
from node.ledger.vouchers import default_day, drop_overdue_when_covered, log, uncovered
from node.state.view import Index
from tallynet.fields import from_wide, to_wide
from tallynet.hashing import record_id
from tallynet.records import (
    Instruction,
    InstructionState,
    Kind,
    Lot,
    LotState,
    Voucher,
    VoucherStatus,
)

ENDED: Final = (LotState.REDEEMED, LotState.CANCELLED)
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


def drop_instruction(context: Context, voucher_id: bytes, start: int) -> None:
    """The debtor paid this lot itself after its settlement instruction was opened."""
    id = instruction_id(voucher_id, start)
    instruction = context.find(Instruction, id)
    if instruction is not None:
        context.delete(Instruction, id)
        context.state.index_remove(Index.BANK_INSTRUCTIONS, instruction.bank + id)
        context.state.index_remove(Index.VOUCHER_INSTRUCTIONS, voucher_id + id)


def shrink_instruction(context: Context, voucher_id: bytes, start: int, amount: int) -> None:
    """`amount` of the lot is owed no more, without any bank's paying it: its settlement instruction, if it
    was opened, is for less. It ends when nothing is left, and stays as PAID if a part was paid before."""
    id = instruction_id(voucher_id, start)
    instruction = context.find(Instruction, id)
    if instruction is None:
        return
    left = instruction.amount - amount
    if not left:
        drop_instruction(context, voucher_id, start)
        return
    state = InstructionState.PAID if left == instruction.paid else instruction.state
    context.put(id, msgspec.structs.replace(instruction, amount=left, state=state))
    if state is InstructionState.PAID:
        context.state.index_remove(Index.BANK_INSTRUCTIONS, instruction.bank + id)
        context.state.index_remove(Index.VOUCHER_INSTRUCTIONS, voucher_id + id)


def penalty_due(context: Context, voucher: Voucher) -> tuple[Voucher, int]:
    """Penalty accrued up to the business date: `uncovered face x ppm x days`, simple, from the day
    after the grace; half-up when paid (§11). Returns the voucher with the accrual brought forward."""
    if voucher.status not in LATE:
        return voucher, _rounded(voucher)
    days = context.today - voucher.penalty_day
    if days > 0:
        accrued = from_wide(voucher.penalty_numerator)
        accrued += uncovered(voucher) * voucher.penalty_ppm_day * days
        voucher = msgspec.structs.replace(
            voucher, penalty_day=context.today, penalty_numerator=to_wide(accrued)
        )
    return voucher, _rounded(voucher)


def _rounded(voucher: Voucher) -> int:
    return half_up(from_wide(voucher.penalty_numerator), PPM) - voucher.penalty_in


def open_lots(context: Context, voucher_id: bytes) -> list[Lot]:
    """The lots that are neither paid nor cancelled: at most `max_lots` and what freezes cut."""
    lots = [get_lot(context, voucher_id, s) for s in context.state.lot_starts(voucher_id)]
    return [lot for lot in lots if lot.state not in ENDED]


def cover(context: Context, voucher_id: bytes, lots: Sequence[Lot], amount: int) -> None:
    """Share the debtor's money pro rata over what these lots have uncovered, which is no less (§12)."""
    for lot, share in zip(lots, pro_rata(amount, uncovered_lengths(lots)), strict=True):
        if share:
            covered = msgspec.structs.replace(lot, covered=lot.covered + share)
            put_lot(context, voucher_id, covered)


def uncovered_lengths(lots: Sequence[Lot]) -> list[int]:
    """Fen of each lot that the debtor has not funded."""
    return [lot.end - lot.start - lot.covered for lot in lots]


def pass_cover_on(context: Context, voucher_id: bytes, voucher: Voucher, amount: int) -> Voucher:
    """The debtor paid a range early after its clearing bank had received money for it: that money covers
    the other lots, and what they do not need is the debtor's again. The caller writes the voucher."""
    lots = open_lots(context, voucher_id)
    needed = min(amount, sum(uncovered_lengths(lots)))
    cover(context, voucher_id, lots, needed)
    if needed == amount:
        return voucher
    voucher = msgspec.structs.replace(voucher, funds_in=voucher.funds_in - (amount - needed))
    return log(
        context, voucher_id, voucher, "settlement.funds_freed", source=voucher.clearing_bank,
        target=voucher.debtor, amount=amount - needed,
    )  # fmt: skip


def redeem_face(context: Context, voucher_id: bytes, voucher: Voucher, amount: int) -> Voucher:
    """Count `amount` of face as redeemed, free the ISSUE line, settle the voucher when nothing is
    left (I3); writes and returns the voucher. The lot itself is the caller's. The penalty up to today is
    for the face that was open until now."""
    voucher, _ = penalty_due(context, voucher)
    lines.release_used(context, voucher.issue_line, amount)
    before = open_face(voucher)
    voucher = msgspec.structs.replace(voucher, redeemed=voucher.redeemed + amount)
    count_owed(context, voucher_id, voucher, before)
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
        count_overdue(context, voucher.debtor, -1)
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
