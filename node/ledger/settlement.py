"""From maturity to money: instructions, funds, payments, penalty (voucher law §8.8, §12).

Paying late, in part or over many days is normal; no date check forbids it. Each receipt of funds is
shared at once over what is still uncovered, so that entitlements never shrink.
"""

from __future__ import annotations

import msgspec

from node.ledger import bank_receipts, lines
from node.ledger.accounts import settlement_account
from node.ledger.context import Context, refuse, require_amount
from node.ledger.drawing import lender
from node.ledger.financing import cancel_unsent
from node.ledger.instructions import open_instruction
from node.ledger.interest import pro_rata
from node.ledger.loans import owner_of, receive_from_settlement
from node.ledger.lots import give_back
from node.ledger.parameters import value
from node.ledger.ranges import carve, get_lot, hold_on, lot_at, put_joined, put_lot, require_unheld
from node.ledger.redemption import (
    ENDED,
    LATE,
    cover,
    instruction_id,
    open_lots,
    penalty_due,
    redeem_face,
    uncovered_lengths,
)
from node.ledger.rulebook import Signers, rule
from node.ledger.schedule import HANDLERS, Act, put_day
from node.ledger.vouchers import drop_overdue_when_covered, log, touch
from node.state.view import Index
from tallynet.commands import (
    FundsReceived,
    SettlementEscrow,
    SettlementFailed,
    SettlementPaid,
    SettlementWriteOff,
)
from tallynet.errors import invariant
from tallynet.hashing import record_id
from tallynet.records import (
    FLAG_DISPUTED,
    FLAG_FROZEN,
    FLAG_WRITTEN_OFF,
    CommandClass,
    Financing,
    FinancingKind,
    Instruction,
    InstructionPurpose,
    InstructionState,
    Kind,
    Lot,
    LotState,
    Voucher,
    VoucherStatus,
)

PAYABLE = (VoucherStatus.DUE, *LATE)


# --- system.settlement.open -----------------------------------------------------------------------------


def _open(context: Context, voucher_id: bytes) -> None:
    """system.settlement.open: one instruction per lot, a batch at a time (voucher law §8.8)."""
    voucher = touch(context, voucher_id)
    if voucher.status not in PAYABLE:
        return
    room = value(context, "instruction_batch")
    while room and voucher.instructions_opened < voucher.face:
        voucher = _open_next(context, voucher_id, voucher)
        room -= 1
    context.put(voucher_id, voucher)
    if voucher.instructions_opened < voucher.face:
        put_day(context, voucher.maturity, Act.SETTLEMENT_OPEN, voucher_id)


def _open_next(context: Context, voucher_id: bytes, voucher: Voucher) -> Voucher:
    """Open the instruction for the lot at `instructions_opened`. A pending transfer pays the sender,
    a pending draw that the bank has not sent is cancelled (§9)."""
    start = voucher.instructions_opened
    lot = lot_at(context, voucher_id, start)
    if lot.state is LotState.TRANSFER_PENDING:
        voucher = give_back(context, voucher_id, voucher, lot, "system.transfer.deem")
    elif lot.state is LotState.FINANCING_PENDING and lot.lien is not None:
        context.put(voucher_id, voucher)
        _cancel_unsent(context, lot.lien)
        voucher = context.require(Voucher, voucher_id)
    # The lot may have been joined with its left neighbour, whose instruction then covers it too.
    lot = lot_at(context, voucher_id, start)
    voucher = msgspec.structs.replace(voucher, instructions_opened=lot.end)
    if lot.state in ENDED:
        return voucher
    if lot.start < start:
        return _enlarge(context, voucher_id, voucher, lot)
    return _instruct(context, voucher_id, voucher, lot)


def _cancel_unsent(context: Context, id: bytes) -> None:
    """A request for quotes, or a draw or rediscount whose money the bank has not sent; a backstop lends on
    due vouchers too."""
    financing = context.find(Financing, id)
    if financing is None or financing.kind is not FinancingKind.BACKSTOP:
        cancel_unsent(context, id)


def _enlarge(context: Context, voucher_id: bytes, voucher: Voucher, lot: Lot) -> Voucher:
    id = instruction_id(voucher_id, lot.start)
    instruction = context.require(Instruction, id)
    amount = instruction.paid + lot.end - lot.start
    context.put(id, msgspec.structs.replace(instruction, amount=amount))
    return voucher


def _instruct(context: Context, voucher_id: bytes, voucher: Voucher, lot: Lot) -> Voucher:
    payee = lot.holder
    if lot.state is LotState.PLEDGED and lot.lien is not None:
        payee = lender(context.require(Financing, lot.lien))
    id = instruction_id(voucher_id, lot.start)
    instruction = Instruction(
        voucher.debtor, payee, settlement_account(context, payee, voucher.currency),
        lot.end - lot.start, 0, voucher.currency, voucher.maturity, InstructionPurpose.SETTLEMENT,
        voucher_id, lot.start, voucher.clearing_bank, InstructionState.NEW, None,
    )  # fmt: skip
    context.create(id, instruction)
    context.state.index_add(Index.BANK_INSTRUCTIONS, voucher.clearing_bank + id)
    context.state.index_add(Index.VOUCHER_INSTRUCTIONS, voucher_id + id)
    return log(
        context, voucher_id, voucher, "system.settlement.open", start=lot.start, end=lot.end,
        source=voucher.debtor, target=payee, amount=lot.end - lot.start, reference=id,
    )  # fmt: skip


HANDLERS[Act.SETTLEMENT_OPEN] = _open


# --- settlement.funds_received ------------------------------------------------------------------------


@rule(
    FundsReceived,
    CommandClass.SETTLEMENT,
    Signers.MC,
    api=True,
    amount=lambda command: command.face_part + command.penalty_part,
    sentence="Reports as the clearing bank that the debtor's money arrived.",
    errors=("FUNDS_EXCEEDED", "RECEIPT_REUSED"),
)
def funds_received(context: Context, command: FundsReceived) -> None:
    """settlement.funds_received (voucher law §8.8): the face part is shared pro rata over the lots'
    uncovered lengths. Receipt result: penalty still due."""
    voucher = touch(context, command.voucher)
    if voucher.clearing_bank != context.acting:
        raise refuse("NOT_AUTHORISED", "only the voucher's clearing bank reports funds")
    penalty_only = voucher.status is VoucherStatus.SETTLED and command.face_part == 0
    if voucher.status not in PAYABLE and not penalty_only:
        raise refuse("VOUCHER_STATE", f"the voucher is {voucher.status.name}")
    require_amount(command.face_part + command.penalty_part, "funds")
    voucher, penalty = penalty_due(context, voucher)
    lots = open_lots(context, command.voucher)
    room = sum(uncovered_lengths(lots))
    if command.face_part > room:
        raise refuse("FUNDS_EXCEEDED", f"{room} of the face is not covered yet")
    if command.penalty_part > penalty:
        raise refuse("FUNDS_EXCEEDED", f"the penalty due is {penalty}")
    bank_receipts.use(context, command.receipt_commitment, context.acting, command.voucher)
    cover(context, command.voucher, lots, command.face_part)
    voucher = msgspec.structs.replace(
        voucher,
        funds_in=voucher.funds_in + command.face_part,
        penalty_in=voucher.penalty_in + command.penalty_part,
    )
    voucher = log(
        context, command.voucher, voucher, "settlement.funds_received", end=voucher.face,
        source=voucher.debtor, target=context.acting,
        amount=command.face_part + command.penalty_part,
    )  # fmt: skip
    if command.penalty_part:
        voucher = _share_penalty(context, command, voucher)
    drop_overdue_when_covered(context, command.voucher, voucher)
    context.put(command.voucher, voucher)
    context.result = (penalty - command.penalty_part,)


def _share_penalty(context: Context, command: FundsReceived, voucher: Voucher) -> Voucher:
    """Penalty is shared by range length over the lots, redeemed ones too (§12)."""
    lots = [get_lot(context, command.voucher, s) for s in context.state.lot_starts(command.voucher)]
    lots = [lot for lot in lots if lot.state is not LotState.CANCELLED]
    shares = pro_rata(command.penalty_part, [lot.end - lot.start for lot in lots])
    for start, share in zip([lot.start for lot in lots], shares, strict=True):
        if not share:
            continue
        context.put(command.voucher, voucher)
        lot = get_lot(context, command.voucher, start)  # an earlier share may have repaid its loan
        payees = _penalty_payees(context, lot, share)
        voucher = context.require(Voucher, command.voucher)
        for position, (payee, amount) in enumerate(payees):
            if amount:
                voucher = _open_penalty(context, command, voucher, lot, position, payee, amount)
    return voucher


def _penalty_payees(context: Context, lot: Lot, share: int) -> list[tuple[bytes, int]]:
    """Whom a lot's share of a penalty goes to: its holder; of a pledged lot the lender as far as its loan
    needs it, then the owner (§12). The money is with the clearing bank, so it serves the loan at once: no
    instruction outlives the loan that says whose it is. What is held waits for court or parties, and is
    applied to no loan."""
    if lot.lien is None or lot.state is LotState.FINANCING_PENDING or hold_on(context, lot):
        return [(lot.holder, share)]
    financing = context.require(Financing, lot.lien)
    surplus = receive_from_settlement(context, lot.lien, share)
    return [(owner_of(financing, lot), surplus), (lender(financing), share - surplus)]


def _open_penalty(
    context: Context,
    command: FundsReceived,
    voucher: Voucher,
    lot: Lot,
    position: int,
    payee: bytes,
    amount: int,
) -> Voucher:
    """A PENALTY instruction, executed by the clearing bank; `position` among those of its lot."""
    counter = command.receipt_commitment + lot.start.to_bytes(8, "big") + bytes((position,))
    id = record_id(Kind.INSTRUCTION, command.voucher, counter)
    instruction = Instruction(
        voucher.debtor, payee, settlement_account(context, payee, voucher.currency), amount, 0,
        voucher.currency, context.today, InstructionPurpose.PENALTY, command.voucher, lot.start,
        voucher.clearing_bank, InstructionState.NEW, None,
    )  # fmt: skip
    open_instruction(context, id, instruction)
    context.state.index_add(Index.VOUCHER_INSTRUCTIONS, command.voucher + id)
    return log(
        context, command.voucher, voucher, "settlement.penalty", start=lot.start, end=lot.end,
        source=voucher.debtor, target=payee, amount=amount, reference=id,
    )  # fmt: skip


# --- settlement.paid and failed -------------------------------------------------------------------------


def _settlement(
    context: Context,
    id: bytes,
    purposes: tuple[InstructionPurpose, ...] = (InstructionPurpose.SETTLEMENT,),
) -> Instruction:
    instruction = context.require(Instruction, id)
    if instruction.bank != context.acting:
        raise refuse("NOT_AUTHORISED", "another bank executes this instruction")
    if instruction.purpose not in purposes:
        raise refuse("STATE_CONFLICT", f"the instruction is for {instruction.purpose.name}")
    if instruction.state is InstructionState.PAID:
        raise refuse("SETTLEMENT_REPLAY", "the instruction is paid already")
    return instruction


@rule(
    SettlementPaid,
    CommandClass.SETTLEMENT,
    Signers.MC,
    api=True,
    amount=lambda command: command.amount,
    sentence="Confirms as the clearing bank that a holder was paid, in part or in full.",
    errors=("FUNDS_SHORT", "OVERPAYMENT", "SETTLEMENT_REPLAY", "RECEIPT_REUSED"),
)
def paid(context: Context, command: SettlementPaid) -> None:
    """settlement.paid (voucher law §8.8): at most what the debtor funded for this lot; the tail is
    REDEEMED, lines are released."""
    instruction = _settlement(context, command.instruction)
    require_amount(command.amount)
    if command.amount > instruction.amount - instruction.paid:
        raise refuse("OVERPAYMENT", f"{instruction.amount - instruction.paid} is still to be paid")
    voucher_id = instruction.reference
    voucher = touch(context, voucher_id)
    require_unheld(context, lot_at(context, voucher_id, instruction.start))
    voucher = _redeem(context, voucher_id, voucher, instruction, command.amount)
    bank_receipts.use(context, command.receipt_commitment, context.acting, command.instruction)
    _advance(context, command.instruction, instruction, command.amount)
    voucher = log(
        context, voucher_id, voucher, "settlement.paid", start=instruction.start,
        source=voucher.debtor, target=instruction.payee, amount=command.amount,
        reference=command.instruction,
    )  # fmt: skip
    context.put(voucher_id, voucher)


def _advance(context: Context, id: bytes, instruction: Instruction, amount: int) -> None:
    total = instruction.paid + amount
    if total < instruction.amount:
        context.put(
            id, msgspec.structs.replace(instruction, paid=total, state=InstructionState.SENT)
        )
        return
    done = msgspec.structs.replace(instruction, paid=total, state=InstructionState.PAID)
    context.put(id, done)
    context.state.index_remove(Index.BANK_INSTRUCTIONS, instruction.bank + id)
    context.state.index_remove(Index.VOUCHER_INSTRUCTIONS, instruction.reference + id)


def _redeem(
    context: Context, voucher_id: bytes, voucher: Voucher, instruction: Instruction, amount: int
) -> Voucher:
    """The tail of the lot is paid: to its holder, to the lender, or into escrow if it is frozen."""
    lot = get_lot(context, voucher_id, instruction.start)
    invariant(lot.state not in ENDED, "LEDGER_I13 an open instruction on an ended lot")
    frozen = hold_on(context, lot) == "LOT_FROZEN"
    if amount > lot.covered:
        raise refuse("FUNDS_SHORT", f"the debtor has funded {lot.covered} of this lot")
    if lot.state is LotState.FINANCING_PENDING:
        raise refuse("LOT_LOCKED", "a pay-out on this lot is under way")
    lien = None if frozen else lot.lien
    lot = msgspec.structs.replace(lot, covered=lot.covered - amount)
    left = lot.covered
    part = carve(
        context, voucher_id, voucher, msgspec.structs.replace(lot, covered=0), amount, exempt=True
    )
    if part.start != lot.start:
        rest = get_lot(context, voucher_id, lot.start)
        put_lot(context, voucher_id, msgspec.structs.replace(rest, covered=left))
    part = lines.release_bought(context, voucher, part)
    redeemed = msgspec.structs.replace(
        part,
        state=LotState.REDEEMED,
        lien=None,
        covered=0,
        newest_event=voucher.event_count,
        flags=part.flags & ~(FLAG_FROZEN | FLAG_DISPUTED),
    )
    put_joined(context, voucher_id, redeemed)
    voucher = msgspec.structs.replace(voucher, paid=voucher.paid + amount)
    voucher = redeem_face(context, voucher_id, voucher, amount)
    if lien is not None:
        financing = context.require(Financing, lien)
        owner = owner_of(financing, lot)
        surplus = receive_from_settlement(context, lien, amount)
        voucher = context.require(Voucher, voucher_id)
        if surplus:
            voucher = pay_surplus(context, voucher_id, voucher, lender(financing), owner, surplus)
    return voucher


def pay_surplus(
    context: Context,
    voucher_id: bytes,
    voucher: Voucher,
    lender: bytes,
    owner: bytes,
    amount: int,
) -> Voucher:
    """What the lender does not need is the range's owner's: the lender's bank pays it on (§9)."""
    counter = b"surplus" + voucher.event_count.to_bytes(8, "big")
    id = record_id(Kind.INSTRUCTION, voucher_id, counter)
    onward = Instruction(
        lender, owner, settlement_account(context, owner, voucher.currency),
        amount, 0, voucher.currency, context.today, InstructionPurpose.SURPLUS, voucher_id, 0,
        lender, InstructionState.NEW, None,
    )  # fmt: skip
    context.create(id, onward)
    context.state.index_add(Index.BANK_INSTRUCTIONS, lender + id)
    return log(
        context, voucher_id, voucher, "settlement.surplus", source=lender,
        target=owner, amount=amount, reference=id,
    )  # fmt: skip


@rule(
    SettlementFailed,
    CommandClass.SETTLEMENT,
    Signers.MC,
    api=True,
    sentence="Reports that paying a holder failed; it is tried again with its newest account.",
    errors=("SETTLEMENT_REPLAY",),
)
def failed(context: Context, command: SettlementFailed) -> None:
    """settlement.failed: FAILED, retried to a verified account (voucher law §8.8)."""
    instruction = _settlement(context, command.instruction)
    account = settlement_account(context, instruction.payee, instruction.currency)
    context.put(
        command.instruction,
        msgspec.structs.replace(instruction, state=InstructionState.FAILED, account=account),
    )
    context.emit(
        "settlement.failed", Kind.INSTRUCTION, command.instruction, target=instruction.payee
    )


# --- settlement.escrow and write_off ----------------------------------------------------------------------


@rule(
    SettlementEscrow,
    CommandClass.SETTLEMENT,
    Signers.MC,
    amount=lambda command: command.amount,
    sentence="Confirms as the clearing bank that a frozen holder's share was paid into escrow.",
    errors=("NOT_FROZEN", "FUNDS_SHORT", "OVERPAYMENT", "SETTLEMENT_REPLAY", "RECEIPT_REUSED"),
)
def escrow(context: Context, command: SettlementEscrow) -> None:
    """settlement.escrow (voucher law §8.8): DUE or later and FROZEN -> paid into escrow (提存),
    REDEEMED; a penalty for what is frozen goes there too. What is pledged loses its lien: the lender's
    claim is on the escrow, for the court to decide, and the loan stands until it is repaid."""
    purposes = (InstructionPurpose.SETTLEMENT, InstructionPurpose.PENALTY)
    instruction = _settlement(context, command.instruction, purposes)
    require_amount(command.amount)
    if command.amount > instruction.amount - instruction.paid:
        raise refuse("OVERPAYMENT", f"{instruction.amount - instruction.paid} is still to be paid")
    voucher_id = instruction.reference
    voucher = touch(context, voucher_id)
    lot = lot_at(context, voucher_id, instruction.start)
    if hold_on(context, lot) != "LOT_FROZEN":
        raise refuse("NOT_FROZEN", "no freeze is in force on this lot; pay its holder")
    if instruction.purpose is InstructionPurpose.SETTLEMENT:
        voucher = _redeem(context, voucher_id, voucher, instruction, command.amount)
    bank_receipts.use(context, command.receipt_commitment, context.acting, command.instruction)
    _advance(context, command.instruction, instruction, command.amount)
    voucher = log(
        context, voucher_id, voucher, "settlement.escrow", start=instruction.start,
        source=voucher.debtor, target=lot.holder, amount=command.amount,
        reference=command.instruction,
    )  # fmt: skip
    context.put(voucher_id, voucher)


@rule(
    SettlementWriteOff,
    CommandClass.SETTLEMENT,
    Signers.MC,
    sentence="Writes off, as a holder, its lots of a voucher in default; the debtor still owes them.",
)
def write_off(context: Context, command: SettlementWriteOff) -> None:
    """settlement.write_off (voucher law §8.8): DEFAULTED only; marks the holder's lots, voucher
    WRITTEN_OFF once all open lots are; stays payable. Nothing is marked while one of the holder's lots
    is frozen (I6)."""
    voucher = touch(context, command.voucher)
    if voucher.status is not VoucherStatus.DEFAULTED:
        raise refuse("VOUCHER_STATE", f"the voucher is {voucher.status.name}")
    lots = open_lots(context, command.voucher)
    own = [lot for lot in lots if lot.holder == context.acting]
    if not own:
        raise refuse("NOT_HOLDER", "no open lot of this voucher is held by the organisation")
    fresh = [lot for lot in own if not lot.flags & FLAG_WRITTEN_OFF]
    if not fresh:
        raise refuse("LOT_STATE", "the holder's lots are written off already")
    if any(hold_on(context, lot) == "LOT_FROZEN" for lot in own):
        raise refuse("LOT_FROZEN", "a lot of the holder is frozen")
    for lot in fresh:
        marked = msgspec.structs.replace(
            lot, flags=lot.flags | FLAG_WRITTEN_OFF, newest_event=voucher.event_count
        )
        put_lot(context, command.voucher, marked)
        voucher = log(
            context, command.voucher, voucher, "settlement.write_off", start=lot.start,
            end=lot.end, source=lot.holder, amount=lot.end - lot.start,
        )  # fmt: skip
    if all(lot.flags & FLAG_WRITTEN_OFF for lot in open_lots(context, command.voucher)):
        voucher = msgspec.structs.replace(voucher, status=VoucherStatus.WRITTEN_OFF)
    context.put(command.voucher, voucher)
