"""Lots pass from hand to hand: transfer and its three acceptance modes (voucher law §8.6)."""

from __future__ import annotations

import msgspec

from node.ledger import lines
from node.ledger.context import Context, refuse, require_amount
from node.ledger.organisations import require_active
from node.ledger.parameters import value_on
from node.ledger.ranges import (
    carve,
    find_lot,
    get_lot,
    hold_on,
    put_joined,
    put_lot,
    require_free,
    require_free_holder,
)
from node.ledger.rulebook import Signers, rule
from node.ledger.schedule import HANDLERS, Act, put_day, take_off_day
from node.ledger.vouchers import (
    log,
    require_active_voucher,
    require_not_suspended,
    touch,
)
from node.state.view import Index, StateView
from tallynet.commands import (
    LotAccept,
    LotDecline,
    LotFlagSet,
    LotMerge,
    LotRecall,
    LotTransfer,
    Piece,
)
from tallynet.records import (
    FLAG_NO_TRANSFER,
    AcceptMode,
    AcquiredBy,
    CommandClass,
    Document,
    DocumentStatus,
    Lot,
    LotState,
    Organisation,
    Voucher,
    VoucherStatus,
    lot_id,
)

KYC_RECEIVER = 1
"""Receiving a voucher needs light identification at least."""


def _total(command: LotTransfer) -> int:
    return sum([piece.amount for piece in command.pieces])


@rule(
    LotTransfer,
    CommandClass.LOT,
    Signers.MC,
    amount=_total,
    sentence="Passes parts of a lot on to other organisations.",
    errors=(
        "TRANSFER_BARRED", "LOT_DISPUTED", "HOP_LIMIT", "PIECE_TOO_SMALL", "RECEIVER_NOT_ELIGIBLE",
        "DOCUMENT_REQUIRED",
    ),
)  # fmt: skip
def transfer(context: Context, command: LotTransfer) -> None:
    """lot.transfer (voucher law §8.6): pieces are carved in listed order, the first takes the tail."""
    voucher = require_active_voucher(context, command.voucher)
    voucher, lot = current_lot(context, command.voucher, command.start, voucher)
    if lot.holder != context.acting:
        raise refuse("NOT_HOLDER", "the lot is held by another organisation")
    require_free(lot)
    if lot.flags & FLAG_NO_TRANSFER:
        raise refuse("TRANSFER_BARRED", "the holder agreed not to transfer this lot")
    for piece in command.pieces:
        _check_piece(context, voucher, piece)
    total, length = _total(command), lot.end - lot.start
    if total > length:
        raise refuse("AMOUNT_RANGE", f"pieces of {total} from a lot of {length}")
    if lot.hops + 1 > voucher.max_hops:
        raise refuse("HOP_LIMIT", f"at most {voucher.max_hops} transfers after the first payee")
    for piece in command.pieces:
        voucher = _pass_on(context, command, voucher, piece)
    context.put(command.voucher, voucher)


def _check_piece(context: Context, voucher: Voucher, piece: Piece) -> None:
    receiver = context.find(Organisation, piece.receiver)
    if receiver is None:
        raise refuse("RECEIVER_NOT_ELIGIBLE", "the receiver is not registered")
    require_active(context, piece.receiver, receiving=True)
    if piece.receiver == context.acting or piece.receiver == voucher.debtor:
        raise refuse("RECEIVER_NOT_ELIGIBLE", "not to oneself, and not to the debtor")
    if receiver.kyc_level < KYC_RECEIVER:
        raise refuse("KYC_INSUFFICIENT", "the receiver has not been identified")
    require_amount(piece.amount, "piece")
    if piece.amount < voucher.min_piece:
        raise refuse("PIECE_TOO_SMALL", f"the smallest piece is {voucher.min_piece}")
    if voucher.document_required_on_transfer:
        _check_document(context, piece)


def _check_document(context: Context, piece: Piece) -> None:
    """Own trade document between giver and receiver, where the programme asks for one."""
    document = None if piece.document is None else context.find(Document, piece.document)
    if document is None:
        raise refuse("DOCUMENT_REQUIRED", "the programme asks for an own trade document")
    if (document.creditor, document.debtor) != (piece.receiver, context.acting):
        raise refuse("DOCUMENT_PARTY", "the document is not between giver and receiver")
    if document.status is not DocumentStatus.ACTIVE:
        raise refuse("DOCUMENT_VOID", "the document is void")


def _pass_on(context: Context, command: LotTransfer, voucher: Voucher, piece: Piece) -> Voucher:
    lot = get_lot(context, command.voucher, command.start)
    part = carve(context, command.voucher, voucher, lot, piece.amount)
    event = voucher.event_count
    voucher = log(
        context, command.voucher, voucher, "lot.transfer", start=part.start, end=part.end,
        source=context.acting, target=piece.receiver, amount=piece.amount,
        reference=piece.document or b"",
    )  # fmt: skip
    if voucher.accept_mode is AcceptMode.IMMEDIATE:
        received(context, command.voucher, voucher, part, piece.receiver, event)
        return voucher
    pending = msgspec.structs.replace(
        part,
        state=LotState.TRANSFER_PENDING,
        pending_to=piece.receiver,
        pending_day=context.today,
        newest_event=event,
    )
    put_lot(context, command.voucher, pending)
    id = lot_id(command.voucher, part.start)
    context.state.index_add(Index.PARTY_PENDING, piece.receiver + id)
    put_day(context, lapse_day(context.state, voucher, pending), Act.TRANSFER_LAPSE, id)
    return voucher


def received(
    context: Context, voucher_id: bytes, voucher: Voucher, part: Lot, receiver: bytes, event: int
) -> None:
    """The receiver holds the part from now on (I11: one more hop)."""
    held = msgspec.structs.replace(
        lines.release_bought(context, voucher, part),
        holder=receiver,
        state=LotState.HELD,
        pending_to=None,
        pending_day=0,
        hops=part.hops + 1,
        newest_event=event,
        acquired_day=context.today,
        acquired_by=AcquiredBy.TRANSFER,
    )
    put_joined(context, voucher_id, held)


def lapse_day(state: StateView, voucher: Voucher, lot: Lot) -> int:
    """DEEMED accepts `deemed_days` after the transfer; EXPLICIT returns after the deadline that held
    on the day of the transfer."""
    if voucher.accept_mode is AcceptMode.DEEMED:
        return lot.pending_day + voucher.deemed_days
    return lot.pending_day + value_on(state, "transfer_deadline_days", lot.pending_day) + 1


# --- the end of a pending transfer --------------------------------------------------------------------


def current_lot(
    context: Context, voucher_id: bytes, start: int, touched: Voucher | None = None
) -> tuple[Voucher, Lot]:
    """A lot and its touched voucher, which the caller may have already, a transfer of it that has lapsed by the
    business date brought to its end (touch rule, §5)."""
    voucher = touched or touch(context, voucher_id)
    lot = get_lot(context, voucher_id, start)
    if lot.state is not LotState.TRANSFER_PENDING:
        return voucher, lot
    if context.today < lapse_day(context.state, voucher, lot):
        return voucher, lot
    _lapse(context, lot_id(voucher_id, start))
    return context.require(Voucher, voucher_id), get_lot(context, voucher_id, start)


def _pending(context: Context, voucher_id: bytes, start: int) -> tuple[Voucher, Lot]:
    voucher, lot = current_lot(context, voucher_id, start)
    if lot.state is not LotState.TRANSFER_PENDING:
        raise refuse("LOT_STATE", f"the lot is {lot.state.name}")
    return voucher, lot


def _close(context: Context, voucher_id: bytes, voucher: Voucher, lot: Lot) -> None:
    """Take a pending transfer out of the receiver's list and off the agenda."""
    id = lot_id(voucher_id, lot.start)
    context.state.index_remove(Index.PARTY_PENDING, (lot.pending_to or b"") + id)
    take_off_day(context, lapse_day(context.state, voucher, lot), Act.TRANSFER_LAPSE, id)


def give_back(
    context: Context, voucher_id: bytes, voucher: Voucher, lot: Lot, event_type: str
) -> Voucher:
    """The sender holds the lot again; returns the voucher to be written."""
    _close(context, voucher_id, voucher, lot)
    event = voucher.event_count
    voucher = log(
        context, voucher_id, voucher, event_type, start=lot.start, end=lot.end,
        source=lot.pending_to, target=lot.holder, amount=lot.end - lot.start,
    )  # fmt: skip
    held = msgspec.structs.replace(
        lot, state=LotState.HELD, pending_to=None, pending_day=0, newest_event=event
    )
    put_joined(context, voucher_id, held)
    return voucher


def _accept(
    context: Context, voucher_id: bytes, voucher: Voucher, lot: Lot, event_type: str
) -> Voucher:
    receiver = lot.pending_to or b""
    _close(context, voucher_id, voucher, lot)
    event = voucher.event_count
    voucher = log(
        context, voucher_id, voucher, event_type, start=lot.start, end=lot.end,
        source=lot.holder, target=receiver, amount=lot.end - lot.start,
    )  # fmt: skip
    received(context, voucher_id, voucher, lot, receiver, event)
    return voucher


@rule(
    LotAccept,
    CommandClass.LOT,
    Signers.MC,
    sentence="Accepts a pending transfer.",
)
def accept(context: Context, command: LotAccept) -> None:
    """lot.accept (voucher law §8.6): before maturity only, from which on a pending transfer pays the
    sender (§9)."""
    voucher, lot = _pending(context, command.voucher, command.start)
    if lot.pending_to != context.acting:
        raise refuse("NOT_AUTHORISED", "only the receiver can accept")
    if voucher.status is not VoucherStatus.ACTIVE:
        raise refuse("VOUCHER_STATE", f"the voucher is {voucher.status.name}")
    require_not_suspended(voucher)
    hold = hold_on(context, lot)
    if hold is not None:
        raise refuse(hold, "the lot may not move")
    context.put(command.voucher, _accept(context, command.voucher, voucher, lot, "lot.accept"))


@rule(
    LotDecline,
    CommandClass.LOT,
    Signers.MC,
    sentence="Declines a pending transfer.",
)
def decline(context: Context, command: LotDecline) -> None:
    """lot.decline (voucher law §8.6)."""
    voucher, lot = _pending(context, command.voucher, command.start)
    if lot.pending_to != context.acting:
        raise refuse("NOT_AUTHORISED", "only the receiver can decline")
    context.put(command.voucher, give_back(context, command.voucher, voucher, lot, "lot.decline"))


@rule(
    LotRecall,
    CommandClass.LOT,
    Signers.MC,
    sentence="Takes a pending transfer back as its sender.",
)
def recall(context: Context, command: LotRecall) -> None:
    """lot.recall (voucher law §8.6)."""
    voucher, lot = _pending(context, command.voucher, command.start)
    if lot.holder != context.acting:
        raise refuse("NOT_HOLDER", "only the sender can recall")
    context.put(command.voucher, give_back(context, command.voucher, voucher, lot, "lot.recall"))


def _lapse(context: Context, id: bytes) -> None:
    """system.transfer.deem: DEEMED accepts, EXPLICIT returns to the sender. So does what may not move,
    and what would be accepted at maturity or later, when a pending transfer pays the sender (§9)."""
    voucher_id, start = id[:16], int.from_bytes(id[16:], "big")
    voucher = touch(context, voucher_id)
    lot = find_lot(context, voucher_id, start)
    if lot is None or lot.state is not LotState.TRANSFER_PENDING:
        return
    movable = voucher.suspended_by is None and hold_on(context, lot) is None
    in_time = lapse_day(context.state, voucher, lot) < voucher.maturity
    if voucher.accept_mode is AcceptMode.DEEMED and movable and in_time:
        voucher = _accept(context, voucher_id, voucher, lot, "system.transfer.deem")
    else:
        voucher = give_back(context, voucher_id, voucher, lot, "system.transfer.deem")
    context.put(voucher_id, voucher)


HANDLERS[Act.TRANSFER_LAPSE] = _lapse


# --- flags and merge ----------------------------------------------------------------------------------


@rule(
    LotFlagSet,
    CommandClass.LOT,
    Signers.MC,
    sentence="Sets or clears the agreement not to transfer a lot.",
    errors=("TRANSFER_BARRED",),
)
def flag_set(context: Context, command: LotFlagSet) -> None:
    """lot.flag.set (voucher law §8.6): NO_TRANSFER on or off, by the holder, or by the issuer before the
    claim. It binds its parties only (Civil Code 545): the first payee cannot clear what it agreed with
    the issuer by claiming (TRANSFER_BARRED); financing is free, and a funder is not bound."""
    voucher, lot = current_lot(context, command.voucher, command.start)
    issuing = voucher.status is VoucherStatus.PENDING_CLAIM
    if context.acting != (voucher.debtor if issuing else lot.holder):
        raise refuse("NOT_HOLDER", "the holder sets the flag, before the claim the issuer")
    if not issuing:
        require_active_voucher(context, command.voucher)
        require_free(lot)
        require_free_holder(context, lot.holder)
        bound = voucher.transfer_barred and lot.holder == voucher.first_payee
        if bound and not command.no_transfer:
            raise refuse("TRANSFER_BARRED", "the payee claimed a voucher that it may not transfer")
    if bool(lot.flags & FLAG_NO_TRANSFER) == command.no_transfer:
        raise refuse("STATE_CONFLICT", "the flag is as wanted already")
    event = voucher.event_count
    voucher = log(
        context, command.voucher, voucher, "lot.flag.set", start=lot.start, end=lot.end,
        source=context.acting, amount=int(command.no_transfer),
    )  # fmt: skip
    if issuing:
        voucher = msgspec.structs.replace(voucher, transfer_barred=command.no_transfer)
    context.put(command.voucher, voucher)
    flagged = msgspec.structs.replace(lot, flags=lot.flags ^ FLAG_NO_TRANSFER, newest_event=event)
    if issuing:
        put_lot(context, command.voucher, flagged)
    else:
        put_joined(context, command.voucher, flagged)


@rule(
    LotMerge,
    CommandClass.LOT,
    Signers.M,
    sentence="Joins a lot with its equal neighbours.",
    errors=("NOT_MERGEABLE",),
)
def merge(context: Context, command: LotMerge) -> None:
    """lot.merge (voucher law §8.6, §7): the equality of every join, on request."""
    require_active_voucher(context, command.voucher)
    voucher, lot = current_lot(context, command.voucher, command.start)
    if lot.holder != context.acting:
        raise refuse("NOT_HOLDER", "only the holder joins its lots")
    require_free(lot)
    require_free_holder(context, lot.holder)
    joined = put_joined(context, command.voucher, lot)
    if joined is lot:
        raise refuse("NOT_MERGEABLE", "no neighbour is equal in everything that counts")
    voucher = log(
        context, command.voucher, voucher, "lot.merge", start=joined.start, end=joined.end,
        source=lot.holder,
    )  # fmt: skip
    context.put(command.voucher, voucher)
