"""A bank sells a bought range on to another bank (再保理, voucher law §8.7).

Four acts: the seller offers a part at a price, which locks it; the buyer accepts within its line on the
debtor and is instructed to pay; the seller confirms that the money came, and holder and exposure move.
The deal is a Financing of kind REDISCOUNT, the lien of the locked range (I5), until it ends.
"""

from __future__ import annotations

from typing import Final

import msgspec

from node.ledger import bank_receipts, lines, sealed_lines
from node.ledger.accounts import settlement_account
from node.ledger.context import Context, refuse, require_amount
from node.ledger.drawing import exposure_lines, require_financeable, settle_in, unlock
from node.ledger.financing import (
    CANCELLED,
    COMPLETED,
    complete_payout,
    current_hold,
    drop_financing,
    payout_hold,
    record_payout,
)
from node.ledger.instructions import end_instruction, open_instruction
from node.ledger.lines import line_id
from node.ledger.lots import current_lot
from node.ledger.organisations import has_kind, require_active
from node.ledger.parameters import value, value_on
from node.ledger.ranges import carve, lots_of, put_lot, require_free
from node.ledger.redemption import readdress
from node.ledger.rulebook import Signers, rule
from node.ledger.schedule import HANDLERS, Act, put_day, put_second, take_off_day, take_off_second
from node.ledger.vouchers import log, touch
from node.state.view import Index, StateView
from tallynet.commands import (
    RediscountAccept,
    RediscountCancel,
    RediscountConfirm,
    RediscountOffer,
)
from tallynet.errors import invariant
from tallynet.fields import ZERO_WIDE
from tallynet.hashing import record_id
from tallynet.records import (
    AcquiredBy,
    CommandClass,
    Financing,
    FinancingKind,
    FinancingState,
    Instruction,
    InstructionPurpose,
    InstructionState,
    Kind,
    LineKind,
    LotState,
    OrganisationKind,
    Voucher,
)

NONE: Final = bytes(16)


def last_day(state: StateView, deal: Financing) -> int:
    """Last day on which an offer can be accepted, by the rule of the day it was made."""
    return deal.value_day + value_on(state, "request_expiry_days", deal.value_day)


def _require_bank(context: Context, id: bytes) -> None:
    if not has_kind(require_active(context, id), OrganisationKind.BANK):
        raise refuse("NOT_LICENSED", "ranges are rediscounted between banks")


def _deal(context: Context, id: bytes, *states: FinancingState) -> Financing:
    """A rediscount in one of these states. Raises RECORD_NOT_FOUND, STATE_CONFLICT."""
    deal = context.require(Financing, id)
    if deal.kind is not FinancingKind.REDISCOUNT or deal.state not in states:
        raise refuse("STATE_CONFLICT", f"the financing is {deal.kind.name}, {deal.state.name}")
    return deal


# --- offer ------------------------------------------------------------------------------------------


@rule(
    RediscountOffer,
    CommandClass.OFFER,
    Signers.MC,
    amount=lambda command: command.amount,
    sentence="Offers a bought range, or its tail, to another bank at a price.",
    errors=("SELF_DEALING", "LOT_LOCKED", "LOT_DISPUTED", "DOCUMENT_VOID", "REVIEW_REQUIRED"),
)
def offer(context: Context, command: RediscountOffer) -> None:
    """financing.rediscount.offer (voucher law §8.7): bought lots or parts of them only. The law names no
    term for the answer; `request_expiry_days`, as for any request for money."""
    _require_bank(context, context.acting)
    require_financeable(context, command.voucher)
    voucher, lot = current_lot(context, command.voucher, command.start)
    _require_bank(context, command.buyer)
    if lot.holder != context.acting:
        raise refuse("NOT_HOLDER", "the lot is held by another organisation")
    if command.buyer in (context.acting, voucher.debtor):
        raise refuse("SELF_DEALING", "the buyer is the seller or the debtor")
    require_free(lot)
    if lot.acquired_by is not AcquiredBy.SALE:
        raise refuse("LOT_STATE", "only a range that was bought can be rediscounted")
    require_amount(command.amount)
    require_amount(command.price, "price")
    if command.amount > lot.end - lot.start or command.price > command.amount:
        raise refuse("AMOUNT_RANGE", "price <= amount <= length of the lot")
    part = carve(context, command.voucher, voucher, lot, command.amount)
    id = record_id(Kind.FINANCING, context.acting, command.label)
    deal = Financing(
        kind=FinancingKind.REDISCOUNT,
        funder=command.buyer,
        offer=None,
        obligor=context.acting,
        debtor=voucher.debtor,
        voucher=command.voucher,
        start=part.start,
        end=part.end,
        principal=command.amount,
        discount=command.amount - command.price,
        net=command.price,
        numerator=ZERO_WIDE,
        currency=voucher.currency,
        rate_ppm=0,
        basis=360,
        value_day=context.today,
        end_day=voucher.maturity,
        accrued_to=context.today,
        accrual=ZERO_WIDE,
        interest_billed=0,
        repaid=0,
        repayment_pending=0,
        payee=settlement_account(context, context.acting, voucher.currency) or NONE,
        purposes=(),
        instruction=record_id(Kind.INSTRUCTION, id, bytes(4)),
        expires=0,
        state=FinancingState.REQUESTED,
        lines=(LineKind.DEBTOR_EXPOSURE,),
        registration_required=False,
        registration=None,
        fee=None,
        agent_bank=None,
        pool=None,
        allocation=None,
        sealed=None,
    )
    context.create(id, deal)
    context.state.index_add(Index.PARTY_FINANCINGS, command.buyer + id)
    context.state.index_add(Index.PARTY_FINANCINGS, context.acting + id)
    put_day(context, last_day(context.state, deal) + 1, Act.REDISCOUNT_LAPSE, id)
    event = voucher.event_count
    voucher = log(
        context, command.voucher, voucher, "financing.rediscount.offer", start=part.start,
        end=part.end, source=context.acting, target=command.buyer, amount=command.price,
        reference=id,
    )  # fmt: skip
    context.put(command.voucher, voucher)
    locked = msgspec.structs.replace(
        part, state=LotState.FINANCING_PENDING, lien=id, newest_event=event
    )
    put_lot(context, command.voucher, locked)


# --- accept -----------------------------------------------------------------------------------------


@rule(
    RediscountAccept,
    CommandClass.OFFER,
    Signers.MC,
    amount=lambda command: command.price,
    sentence="Accepts a rediscount as the buying bank, within its line on the debtor.",
    errors=(
        "LINE_EXCEEDED", "LINE_SEALED", "QUOTE_EXPIRED", "AMOUNT_MISMATCH", "LOT_DISPUTED", "DOCUMENT_VOID",
        "REVIEW_REQUIRED",
    ),
)  # fmt: skip
def accept(context: Context, command: RediscountAccept) -> None:
    """financing.rediscount.accept (voucher law §8.7): the buyer's DEBTOR_EXPOSURE has room, or the buyer has
    counted the range in under its sealed one; created: Instruction buyer -> seller, to be confirmed within `payout_timeout_seconds`."""
    deal = context.require(Financing, command.financing)
    if deal.funder != context.acting:
        raise refuse("NOT_AUTHORISED", "the range is offered to another bank")
    deal = _deal(context, command.financing, FinancingState.REQUESTED)
    lapses = last_day(context.state, deal) + 1
    if context.today >= lapses:
        raise refuse("QUOTE_EXPIRED", "the offer has lapsed")
    voucher = require_financeable(context, deal.voucher)
    held = payout_hold(context, command.financing, deal)
    if held is not None:
        raise refuse(held, "the range may not move")
    if command.price != deal.net:
        raise refuse("AMOUNT_MISMATCH", f"the price is {deal.net}")
    if sealed_lines.take_use(context, _exposure(deal), command.financing):
        deal = msgspec.structs.replace(deal, lines=())
    else:
        lines.reserve_if_there(context, _exposure(deal), deal.principal)
    instruction = Instruction(
        deal.funder, deal.obligor, None if deal.payee == NONE else deal.payee, deal.net, 0,
        deal.currency, context.today, InstructionPurpose.REDISCOUNT, command.financing, 0,
        deal.funder, InstructionState.NEW, None,
    )  # fmt: skip
    open_instruction(context, deal.instruction, instruction)
    take_off_day(context, lapses, Act.REDISCOUNT_LAPSE, command.financing)
    expires = context.time + value(context, "payout_timeout_seconds")
    put_second(context, expires, Act.PAYOUT_EXPIRE, command.financing)
    accepted = msgspec.structs.replace(deal, expires=expires, state=FinancingState.AWAIT_PAYOUT)
    context.put(command.financing, accepted)
    voucher = log(
        context, deal.voucher, voucher, "financing.rediscount.accept", start=deal.start,
        end=deal.end, source=deal.obligor, target=deal.funder, amount=deal.net,
        reference=command.financing,
    )  # fmt: skip
    context.put(deal.voucher, voucher)


def _exposure(deal: Financing) -> bytes:
    return line_id(LineKind.DEBTOR_EXPOSURE, deal.funder, deal.debtor, deal.currency)


# --- confirm ----------------------------------------------------------------------------------------


@rule(
    RediscountConfirm,
    CommandClass.PAYOUT,
    Signers.MC,
    amount=lambda command: command.amount,
    sentence="Confirms as the selling bank that the price arrived; the range is the buyer's.",
    errors=("AMOUNT_MISMATCH", "RECEIPT_REUSED"),
)
def confirm(context: Context, command: RediscountConfirm) -> None:
    """financing.rediscount.confirm (voucher law §8.7): the seller's confirmation of receipt moves holder
    and exposure; of a range that is held meanwhile it is recorded, as any pay-out, and the range moves once
    nothing holds it (§8.8, Freeze against payout; I6)."""
    deal = context.require(Financing, command.financing)
    if deal.obligor != context.acting:
        raise refuse("NOT_AUTHORISED", "the selling bank confirms that it was paid")
    deal = _deal(context, command.financing, FinancingState.AWAIT_PAYOUT)
    held = current_hold(context, command.financing, deal)
    if command.amount != deal.net:
        raise refuse("AMOUNT_MISMATCH", f"the price is {deal.net}")
    instruction = context.require(Instruction, deal.instruction)
    if held is not None and instruction.state is InstructionState.NEW:
        raise refuse(held, "the range may not move; the buyer does not pay")
    bank_receipts.use(context, command.receipt_commitment, context.acting, deal.instruction)
    if held is None:
        complete_payout(context, command.financing, deal, "financing.rediscount.confirm")
    else:
        record_payout(context, command.financing, deal, instruction)


def _bought(context: Context, id: bytes, deal: Financing, event_type: str) -> None:
    """The buyer holds the range; exposure goes with it."""
    take_off_second(context, deal.expires, Act.PAYOUT_EXPIRE, id)
    end_instruction(context, deal.instruction, context.require(Instruction, deal.instruction))
    drop_financing(context, id, deal)
    for line in exposure_lines(deal):
        lines.use_reserved(context, line, deal.principal)
    voucher = touch(context, deal.voucher)
    lots = lots_of(context, id, deal)
    invariant(bool(lots), "LEDGER_I5 a rediscount without its lot")
    event = voucher.event_count
    voucher = log(
        context, deal.voucher, voucher, event_type, start=deal.start, end=deal.end,
        source=deal.obligor, target=deal.funder, amount=deal.net, reference=id,
    )  # fmt: skip
    context.put(deal.voucher, voucher)
    for lot in lots:
        bought = msgspec.structs.replace(
            lines.release_bought(context, voucher, lot),
            holder=deal.funder,
            state=LotState.HELD,
            lien=None,
            newest_event=event,
            acquired_day=context.today,
        )
        bought = lines.count_bought(bought, deal)
        settle_in(context, deal.voucher, voucher, bought)
        readdress(context, deal.voucher, bought.start, deal.funder)


# --- the end without a sale -------------------------------------------------------------------------


@rule(
    RediscountCancel,
    CommandClass.OFFER,
    Signers.MC,
    sentence="Calls a rediscount off, as either bank, before it is paid.",
    errors=("STATE_CONFLICT",),
)
def cancel(context: Context, command: RediscountCancel) -> None:
    """financing.rediscount.cancel by either (voucher law §8.7). Once the payment is SENT only the buyer,
    whose payment it is, can say that it will not come."""
    deal = context.require(Financing, command.financing)
    if context.acting not in (deal.obligor, deal.funder):
        raise refuse("NOT_AUTHORISED", "only seller and buyer can call it off")
    deal = _deal(context, command.financing, FinancingState.REQUESTED, FinancingState.AWAIT_PAYOUT)
    instruction = context.find(Instruction, deal.instruction)
    sent = instruction is not None and instruction.state is not InstructionState.NEW
    if sent and context.acting != deal.funder:
        raise refuse("STATE_CONFLICT", "the payment is under way")
    touch(context, deal.voucher)
    _undo(context, command.financing, deal, "financing.rediscount.cancel")


def _undo(context: Context, id: bytes, deal: Financing, event_type: str) -> None:
    """The seller holds the range as before."""
    if deal.state is FinancingState.REQUESTED:
        day = last_day(context.state, deal) + 1
        take_off_day(context, day, Act.REDISCOUNT_LAPSE, id)
    else:
        take_off_second(context, deal.expires, Act.PAYOUT_EXPIRE, id)
        for line in exposure_lines(deal):
            lines.unreserve(context, line, deal.principal)
        end_instruction(context, deal.instruction, context.require(Instruction, deal.instruction))
    drop_financing(context, id, deal)
    voucher = context.require(Voucher, deal.voucher)
    event = voucher.event_count
    voucher = log(
        context, deal.voucher, voucher, event_type, start=deal.start, end=deal.end,
        source=deal.funder, target=deal.obligor, reference=id,
    )  # fmt: skip
    context.put(deal.voucher, voucher)
    unlock(context, id, deal, voucher, event)


def _lapse(context: Context, id: bytes) -> None:
    """system.expire: the buyer did not answer in time."""
    deal = context.find(Financing, id)
    if deal is not None and deal.state is FinancingState.REQUESTED:
        _undo(context, id, deal, "system.expire")


COMPLETED[FinancingKind.REDISCOUNT] = _bought
CANCELLED[FinancingKind.REDISCOUNT] = _undo
HANDLERS[Act.REDISCOUNT_LAPSE] = _lapse
