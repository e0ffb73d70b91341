"""Turning part of a lot into cash: draw, pay-out, failure (voucher law §8.7, §11, §15).

A draw carves the tail of a lot, prices it, reserves lines and opens a payment instruction, in one act.
The bank's confirmation moves the holder (sale), places a lien (loan) or extinguishes the debt (early
payment); a failure gives everything back to the fen, the rounding remainder included (I16).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from node.ledger import bank_receipts, fees, flow, lines, pools
from node.ledger.context import Context, refuse, require_amount
from node.ledger.drawing import (
    SOLD,
    Terms,
    Wanted,
    exposure_lines,
    lender,
    open_financing,
    parties,
    require_counterparties,
    require_drawable,
    require_lines,
    require_net,
    settle_in,
    sums_by_purpose,
    unlock,
)
from node.ledger.instructions import end_instruction
from node.ledger.interest import BPS, carried_discount, numerator, undo_discount
from node.ledger.offers import covers, lowest_rate_of
from node.ledger.organisations import require_active
from node.ledger.parameters import value
from node.ledger.ranges import carve, hold_on, lots_of, put_joined, put_lot
from node.ledger.redemption import drop_instruction, pass_cover_on, readdress, redeem_face
from node.ledger.registration import require_registration
from node.ledger.requests import cancel_request, open_request
from node.ledger.rulebook import Signers, rule
from node.ledger.schedule import HANDLERS, Act, put_day, put_second, take_off_second
from node.ledger.vouchers import log, touch
from node.state.view import Index
from tallynet.commands import (
    FinancingDraw,
    FinancingDrawBatch,
    InstructionSend,
    PayoutConfirm,
    PayoutFail,
)
from tallynet.errors import LedgerError, invariant
from tallynet.fields import from_wide, to_wide
from tallynet.hashing import record_id
from tallynet.records import (
    AcquiredBy,
    CommandClass,
    Financing,
    FinancingKind,
    FinancingRequest,
    FinancingState,
    FundPool,
    Instruction,
    InstructionPurpose,
    InstructionState,
    Kind,
    Lot,
    LotState,
    Offer,
    OfferStatus,
    OfferUse,
    Programme,
    PurposeAmount,
    RateBand,
    Remainder,
    Voucher,
)

PAID: Final[dict[FinancingKind, Callable[[Context, bytes, Instruction], None]]] = {}
"""What a confirmed pay-out does for kinds that are no draw under an offer; filled by their modules, as
are the tables below. Called with the instruction, whose amount and receipt were checked."""
FAILED: Final[dict[FinancingKind, Callable[[Context, bytes, Instruction], None]]] = {}
"""What a failed pay-out does for them."""
COMPLETED: Final[dict[FinancingKind, Callable[[Context, bytes, Financing, str], None]]] = {}
"""What a pay-out that was recorded while its range was held does once nothing holds it any more."""
UNSENT: Final[dict[FinancingKind, Callable[[Context, bytes, Financing], None]]] = {}
"""How one of them loses the part of its pay-out that no bank has sent."""
CANCELLED: Final[dict[FinancingKind, Callable[[Context, bytes, Financing, str], None]]] = {}
"""How one of them is undone before it is paid out; the text is the event's type."""
_FOR_RANGES: Final = (InstructionPurpose.PAYOUT, InstructionPurpose.REDISCOUNT)
"""Purposes whose instruction names the financing of a range."""
AUTO_OFFERS_MAX: Final = 32
"""Offers an AUTO draw looks at after the programme's own order: bounds its cost."""


@dataclass(frozen=True, slots=True)
class _Source:
    """An offer that passed every check for this draw, with what it gives."""

    id: bytes
    offer: Offer
    terms: Terms
    remainder: int
    """Rounding carried on after a sale."""


# --- draw -------------------------------------------------------------------------------------------


@rule(
    FinancingDraw,
    CommandClass.DRAW,
    Signers.M,
    amount=lambda command: command.amount,
    sentence="Sells or pledges the tail of a lot under a standing offer, for cash at once.",
    errors=(
        "NO_OFFER", "OFFER_SCOPE", "OFFER_CAP", "TENOR_BAND", "LINE_EXCEEDED", "LINE_SEALED",
        "DOCUMENT_VOID", "LOT_LOCKED", "LOT_DISPUTED", "SELF_DEALING", "PAYEE_NOT_ALLOWED", "NET_NOT_POSITIVE",
        "REVIEW_REQUIRED", "FLOW_COLLAPSED", "FUND_INSUFFICIENT",
    ),
)  # fmt: skip
def draw(context: Context, command: FinancingDraw) -> None:
    """financing.draw (voucher law §8.7). Receipt result: discount, net, rate ppm, days, the drawer's
    share of the fee; under an offer that is not automatic no result, and a request instead of a
    financing."""
    purposes = (PurposeAmount(command.purpose, command.amount),)
    wanted = Wanted(command.voucher, command.start, command.amount, command.payee, purposes)
    voucher, lot = require_drawable(context, wanted)
    if command.offer is None:
        source = _best(context, wanted, voucher)
    else:
        source = _check_source(context, wanted, voucher, command.offer, (command.amount,))
    _draw(context, command.label, wanted, voucher, lot, source)


def _batch_amount(command: FinancingDrawBatch) -> int:
    return sum(one.amount for one in command.draws)


@rule(
    FinancingDrawBatch,
    CommandClass.DRAW,
    Signers.M,
    amount=_batch_amount,
    sentence="Makes many small draws from one lot under one offer, with one pay-out.",
    errors=("BATCH_LIMIT",),
)
def draw_batch(context: Context, command: FinancingDrawBatch) -> None:
    """financing.draw_batch (voucher law §8.7): one carve, one Financing, one Instruction, which keep the
    sum by purpose. Each draw keeps the offer's limits of one draw. The discount is that of the sum: with
    the carried remainder many draws cost what one does (§11). Receipt result as of a draw."""
    most = value(context, "draw_batch_max")
    if len(command.draws) > most:
        raise refuse("BATCH_LIMIT", f"{len(command.draws)} draws; at most {most} in a batch")
    amounts = tuple(one.amount for one in command.draws)
    for amount in amounts:
        require_amount(amount)
    purposes = sums_by_purpose((one.purpose, one.amount) for one in command.draws)
    wanted = Wanted(command.voucher, command.start, sum(amounts), command.payee, purposes)
    voucher, lot = require_drawable(context, wanted)
    source = _check_source(context, wanted, voucher, command.offer, amounts)
    _draw(context, command.label, wanted, voucher, lot, source)


def _draw(
    context: Context, label: bytes, wanted: Wanted, voucher: Voucher, lot: Lot, source: _Source
) -> None:
    offer = source.offer
    if not offer.automatic:
        open_request(context, label, wanted, voucher, lot, (offer.funder,))
        return
    part = carve(context, wanted.voucher, voucher, lot, wanted.amount)
    open_financing(context, label, wanted, voucher, part, source.terms)
    if offer.kind in SOLD:
        context.put(
            _remainder_id(offer.funder, context.acting, offer.currency, offer.basis),
            Remainder(to_wide(source.remainder)),
        )
    _use_offer(context, source.id, offer, context.acting, wanted.amount)


# --- the source of the money --------------------------------------------------------------------------


def _best(context: Context, wanted: Wanted, voucher: Voucher) -> _Source:
    """AUTO: the programme's order, then the open offer that is cheapest for this tenor, ties by id; only
    sources that pass every check, their lines too, so that banks take over when the core's money or a
    bank's line is used up (C16). Otherwise the last refusal counts. An offer that is not automatic is
    passed over: it would lock the range until its funder answers."""
    last = refuse("NO_OFFER", "no open offer fits this draw")
    programme = context.require(Programme, voucher.programme)
    for id in programme.funding_order:
        try:
            return _check_automatic(context, wanted, voucher, id)
        except LedgerError as error:
            last = error
    best: _Source | None = None
    prefix = voucher.currency.encode()
    for key in context.state.index_scan(Index.OPEN_OFFERS, prefix, limit=AUTO_OFFERS_MAX):
        lowest, id = lowest_rate_of(key), key[-16:]
        if best is not None and lowest > best.terms.rate_ppm:
            break  # whatever the tenor, no later offer is cheaper
        if id in programme.funding_order:
            continue
        try:
            source = _check_automatic(context, wanted, voucher, id)
        except LedgerError as error:
            last = error
            continue
        if best is None or (source.terms.rate_ppm, id) < (best.terms.rate_ppm, best.id):
            best = source
    if best is None:
        raise last
    return best


def _check_automatic(
    context: Context, wanted: Wanted, voucher: Voucher, offer_id: bytes
) -> _Source:
    source = _check_source(context, wanted, voucher, offer_id, (wanted.amount,))
    if not source.offer.automatic:
        raise refuse("NO_OFFER", "the offer is not automatic; name it to ask for a quote")
    return source


def _check_source(
    context: Context, wanted: Wanted, voucher: Voucher, offer_id: bytes, draws: Sequence[int]
) -> _Source:
    """Every check of the row on one offer; `draws` are the amounts one by one. Writes nothing but what the
    touch rule brings up to date."""
    offer = context.find(Offer, offer_id)
    if offer is None:
        raise refuse("NO_OFFER", f"no offer {offer_id.hex()}")
    today = context.today
    if offer.status is not OfferStatus.OPEN or not offer.valid_from <= today <= offer.valid_to:
        raise refuse("NO_OFFER", "the offer is not open today")
    require_active(context, offer.funder)
    require_counterparties(context, voucher, offer.funder, offer.kind)
    if offer.stop_on_flow_collapse:
        flow.require_none_collapsed(context, voucher.debtor)
    if not covers(offer, voucher):
        raise refuse("OFFER_SCOPE", "the offer is for other debtors, programmes or currencies")
    days = voucher.maturity - today
    if days < 1:
        raise refuse("DATE_RANGE", "nothing is left to finance on the day of maturity")
    band = next((band for band in offer.grid if days <= band.days_max), None)
    if band is None:
        raise refuse("TENOR_BAND", f"the offer has no rate for {days} days")
    _check_caps(context, offer_id, offer, draws)
    source = _price(context, wanted.amount, voucher, offer_id, offer, band, days)
    if offer.source is not None:
        _check_pool(context, offer.source, source.terms.cash)
    if offer.automatic:
        require_lines(context, source.terms, voucher)
    return source


def _check_pool(context: Context, id: bytes, cash: int) -> None:
    """The agent bank pays out of its own books, and would owe itself what it draws."""
    pool = pools.require_room(context, id, cash)
    require_active(context, pool.agent_bank)
    if pool.agent_bank == context.acting:
        raise refuse("SELF_DEALING", "the drawer is the agent bank of the pool that would pay")


def _use_id(offer_id: bytes, drawer: bytes) -> bytes:
    return record_id(Kind.OFFER_USE, offer_id + drawer, b"")


def _check_caps(context: Context, offer_id: bytes, offer: Offer, draws: Sequence[int]) -> None:
    if not offer.draw_min <= min(draws) <= max(draws) <= offer.draw_max:
        raise refuse(
            "OFFER_CAP", f"a draw is {offer.draw_min} to {offer.draw_max} under this offer"
        )
    amount = sum(draws)
    if offer.used + amount > offer.total_cap:
        raise refuse("OFFER_CAP", f"the offer has {offer.total_cap - offer.used} left")
    if offer.organisation_cap:
        used = context.find(OfferUse, _use_id(offer_id, context.acting))
        if (used.used if used else 0) + amount > offer.organisation_cap:
            raise refuse("OFFER_CAP", "the offer's cap per organisation is reached")


def _price(
    context: Context,
    amount: int,
    voucher: Voucher,
    offer_id: bytes,
    offer: Offer,
    band: RateBand,
    days: int,
) -> _Source:
    """Discount with carried remainder for sales, principal by advance rate for loans (§11)."""
    principal, discount, n, remainder = amount, 0, 0, 0
    if offer.kind in SOLD:
        kept = context.find(
            Remainder, _remainder_id(offer.funder, context.acting, offer.currency, offer.basis)
        )
        n = numerator(amount, band.rate_ppm, days)
        carried = from_wide(kept.value) if kept else 0
        discount, remainder = carried_discount(n, carried, offer.basis)
    else:
        principal = amount * band.advance_bps // BPS
    agent_bank = None
    if offer.source is not None:
        agent_bank = context.require(FundPool, offer.source).agent_bank
    fee = fees.charge(context, voucher, context.acting, amount)
    terms = Terms(
        offer.funder, offer.kind, offer_id, band.rate_ppm, offer.basis, days, principal, discount,
        n, offer.lines_required, offer.registration_required, fee, agent_bank, offer.source,
    )  # fmt: skip
    require_net(terms)
    return _Source(offer_id, offer, terms, remainder)


def _remainder_id(funder: bytes, drawer: bytes, currency: str, basis: int) -> bytes:
    return record_id(Kind.REMAINDER, funder + drawer, currency.encode() + basis.to_bytes(2, "big"))


def _use_offer(context: Context, offer_id: bytes, offer: Offer, drawer: bytes, amount: int) -> None:
    """Count a draw on its offer, or take it back with a negative amount."""
    context.put(offer_id, msgspec.structs.replace(offer, used=offer.used + amount))
    if offer.organisation_cap:
        id = _use_id(offer_id, drawer)
        used = context.find(OfferUse, id)
        context.put(id, OfferUse((used.used if used else 0) + amount))


# --- pay-out ----------------------------------------------------------------------------------------


def require_instruction(
    context: Context, instruction_id: bytes, purpose: InstructionPurpose
) -> Instruction:
    """An instruction that the acting bank executes. Raises NOT_AUTHORISED, STATE_CONFLICT."""
    instruction = context.require(Instruction, instruction_id)
    if instruction.bank != context.acting:
        raise refuse("NOT_AUTHORISED", "another bank executes this instruction")
    if instruction.purpose is not purpose:
        raise refuse("STATE_CONFLICT", f"the instruction is for {instruction.purpose.name}")
    if instruction.state not in (InstructionState.NEW, InstructionState.SENT):
        raise refuse("STATE_CONFLICT", f"the instruction is {instruction.state.name}")
    return instruction


@rule(
    InstructionSend,
    CommandClass.PAYOUT,
    Signers.MC,
    api=True,
    sentence="Marks an instruction as sent to the payment system.",
    errors=("STATE_CONFLICT",),
)
def send(context: Context, command: InstructionSend) -> None:
    """instruction.send: NEW -> SENT (voucher law §8.7). Money for a range is not sent while a freeze on
    the whole organisation holds it; a freeze on the range itself has cancelled what was not sent."""
    instruction = context.require(Instruction, command.instruction)
    if instruction.bank != context.acting:
        raise refuse("NOT_AUTHORISED", "another bank executes this instruction")
    if instruction.state is not InstructionState.NEW:
        raise refuse("STATE_CONFLICT", f"the instruction is {instruction.state.name}")
    if instruction.purpose in _FOR_RANGES:
        financing = context.require(Financing, instruction.reference)
        held = current_hold(context, instruction.reference, financing)
        if held is not None:
            raise refuse(held, "the range may not move; do not pay")
    context.put(
        command.instruction, msgspec.structs.replace(instruction, state=InstructionState.SENT)
    )
    context.emit("instruction.send", Kind.INSTRUCTION, command.instruction)


@rule(
    PayoutConfirm,
    CommandClass.PAYOUT,
    Signers.MC,
    api=True,
    amount=lambda command: command.amount,
    sentence="Confirms as the paying bank that a draw was paid out.",
    errors=("AMOUNT_MISMATCH", "REGISTRATION_REQUIRED", "RECEIPT_REUSED"),
)
def payout_confirm(context: Context, command: PayoutConfirm) -> None:
    """financing.payout.confirm (voucher law §8.7): SALE -> holder = funder; loans -> PLEDGED with
    lien; EARLY_PAY -> REDEEMED; reserved -> used."""
    instruction = require_instruction(context, command.instruction, InstructionPurpose.PAYOUT)
    if instruction.price_commitment is not None:
        raise refuse("AMOUNT_MISMATCH", "the price is sealed: financing.payout.confirm.sealed")
    if command.amount != instruction.amount:
        raise refuse("AMOUNT_MISMATCH", f"the instruction is over {instruction.amount}")
    confirm(context, command.instruction, instruction, command.receipt_commitment)


def confirm(
    context: Context, instruction_id: bytes, instruction: Instruction, receipt: bytes
) -> None:
    """What was instructed was paid, under this receipt. Raises LedgerError REGISTRATION_REQUIRED,
    RECEIPT_REUSED, LOT_FROZEN, LOT_DISPUTED."""
    financing_id = instruction.reference
    financing = context.require(Financing, financing_id)
    require_registration(context, financing)
    held = current_hold(context, financing_id, financing)
    if held is not None and instruction.state is InstructionState.NEW:
        raise refuse(held, "the range may not move; do not pay")
    bank_receipts.use(context, receipt, context.acting, instruction_id)
    if financing.kind in PAID:
        PAID[financing.kind](context, instruction_id, instruction)
        return
    if held is None:
        complete_payout(context, financing_id, financing, "financing.payout.confirm")
    else:
        record_payout(context, financing_id, financing, instruction)


def current_hold(context: Context, id: bytes, financing: Financing) -> str | None:
    """`payout_hold` once the freezes whose last day has passed are over (touch rule, §5). None for a
    prepayment, which has no range."""
    if financing.kind is FinancingKind.PREPAYMENT:
        return None
    touch(context, financing.voucher)
    return payout_hold(context, id, financing)


def payout_hold(context: Context, id: bytes, financing: Financing) -> str | None:
    """LOT_FROZEN or LOT_DISPUTED if any part of a financing's range may not move (§8.8)."""
    holds = [hold_on(context, lot) for lot in lots_of(context, id, financing)]
    return next((hold for hold in holds if hold is not None), None)


def record_payout(
    context: Context, id: bytes, financing: Financing, instruction: Instruction
) -> None:
    """The money was on its way when the range was frozen: it is recorded as paid, the holder changes
    only after lift or court order (§8.8, Freeze against payout)."""
    paid = msgspec.structs.replace(instruction, state=InstructionState.PAID)
    context.put(financing.instruction, paid)
    context.state.index_remove(Index.BANK_INSTRUCTIONS, instruction.bank + financing.instruction)
    wait_for_release(context, id, financing)


def wait_for_release(context: Context, id: bytes, financing: Financing) -> None:
    """All its money was paid, and its range is held: PAYOUT_HELD."""
    take_off_second(context, financing.expires, Act.PAYOUT_EXPIRE, id)
    _look_again(context, id, financing)
    voucher = context.require(Voucher, financing.voucher)
    voucher = log(
        context, financing.voucher, voucher, "financing.payout.hold", start=financing.start,
        end=financing.end, source=financing.obligor, target=financing.funder,
        amount=financing.net, reference=id,
    )  # fmt: skip
    context.put(financing.voucher, voucher)


def _look_again(context: Context, id: bytes, financing: Financing) -> None:
    """Whether the range is still held, after the time that a pay-out has: the end of a freeze on a
    whole organisation does not search for its draws."""
    again = context.time + value(context, "payout_timeout_seconds")
    held = msgspec.structs.replace(financing, state=FinancingState.PAYOUT_HELD, expires=again)
    context.put(id, held)
    put_second(context, again, Act.PAYOUT_EXPIRE, id)


def complete_payout(
    context: Context, financing_id: bytes, financing: Financing, event_type: str
) -> None:
    """A confirmed pay-out takes effect on every lot of its range; reserved -> used."""
    if financing.kind in COMPLETED:
        COMPLETED[financing.kind](context, financing_id, financing, event_type)
        return
    take_off_second(context, financing.expires, Act.PAYOUT_EXPIRE, financing_id)
    for id in exposure_lines(financing):
        lines.use_reserved(context, id, financing.principal)
    if financing.allocation is not None:
        lines.use_reserved(context, financing.allocation, financing.end - financing.start)
    pools.draw(context, financing.pool, financing.principal - financing.discount)
    voucher = touch(context, financing.voucher)
    lots = lots_of(context, financing_id, financing)
    invariant(bool(lots), "LEDGER_I5 a financing without its lot")
    instruction = context.require(Instruction, financing.instruction)
    end_instruction(context, financing.instruction, instruction)
    fees.instruct(context, financing_id, financing, instruction.bank, sold=financing.kind in SOLD)
    event = voucher.event_count
    voucher = log(
        context, financing.voucher, voucher, event_type, start=financing.start,
        end=financing.end, source=financing.obligor, target=financing.funder,
        amount=financing.net, reference=financing_id,
    )  # fmt: skip
    context.put(financing.voucher, voucher)
    lots = [msgspec.structs.replace(lot, newest_event=event) for lot in lots]
    if financing.kind in SOLD:
        _sold(context, financing_id, financing, voucher, lots)
    else:
        _lent(context, financing_id, financing, voucher, lots)


def drop_financing(context: Context, id: bytes, financing: Financing) -> None:
    """A financing leaves the state."""
    context.delete(Financing, id)
    for party in parties(financing):
        context.state.index_remove(Index.PARTY_FINANCINGS, party + id)


def _sold(
    context: Context, id: bytes, financing: Financing, voucher: Voucher, lots: list[Lot]
) -> None:
    drop_financing(context, id, financing)
    if financing.kind is FinancingKind.SALE:
        for lot in lots:
            lot = lines.release_bought(context, voucher, lot)
            sold = msgspec.structs.replace(
                lot,
                holder=financing.funder,
                state=LotState.HELD,
                lien=None,
                acquired_day=context.today,
                acquired_by=AcquiredBy.SALE,
            )
            sold = lines.count_bought(sold, financing)
            settle_in(context, financing.voucher, voucher, sold)
            readdress(context, financing.voucher, sold.start, financing.funder)
        return
    freed = 0
    for lot in lots:
        freed += lot.covered
        lot = lines.release_bought(context, voucher, lot)
        redeemed = msgspec.structs.replace(lot, state=LotState.REDEEMED, lien=None, covered=0)
        drop_instruction(context, financing.voucher, redeemed.start)
        put_joined(context, financing.voucher, redeemed)
    if freed:
        voucher = pass_cover_on(context, financing.voucher, voucher, freed)
    redeem_face(context, financing.voucher, voucher, financing.end - financing.start)


def _lent(
    context: Context, id: bytes, financing: Financing, voucher: Voucher, lots: list[Lot]
) -> None:
    for lot in lots:
        put_lot(context, financing.voucher, msgspec.structs.replace(lot, state=LotState.PLEDGED))
        readdress(context, financing.voucher, lot.start, lender(financing))
    outstanding = msgspec.structs.replace(
        financing, state=FinancingState.OUTSTANDING, accrued_to=financing.value_day
    )
    context.put(id, outstanding)
    put_day(context, voucher.grace_end + 1, Act.LOAN_OVERDUE, id)


# --- failure ----------------------------------------------------------------------------------------


@rule(
    PayoutFail,
    CommandClass.PAYOUT,
    Signers.MC,
    api=True,
    sentence="Reports that a pay-out failed; the draw is undone.",
)
def payout_fail(context: Context, command: PayoutFail) -> None:
    """financing.payout.fail: lot back to the supplier, lines and remainder restored (§8.7)."""
    instruction = require_instruction(context, command.instruction, InstructionPurpose.PAYOUT)
    financing = context.require(Financing, instruction.reference)
    if financing.kind in FAILED:
        FAILED[financing.kind](context, command.instruction, instruction)
        return
    cancel_draw(context, instruction.reference, "financing.payout.fail")


def cancel_unsent(context: Context, id: bytes) -> bool:
    """End what locks a range unless money for it is on its way: a request for quotes, a draw or
    rediscount that no bank has sent. True if the range is free of it."""
    opened = context.find(FinancingRequest, id)
    if opened is not None:
        cancel_request(context, id, opened, "system.expire")
        return True
    financing = context.require(Financing, id)
    if financing.kind in UNSENT:
        UNSENT[financing.kind](context, id, financing)
        return context.find(Financing, id) is None
    instruction = context.find(Instruction, financing.instruction)
    if instruction is not None and instruction.state is not InstructionState.NEW:
        return False
    cancel_draw(context, id, "system.payout.expire")
    return True


def cancel_draw(context: Context, financing_id: bytes, event_type: str) -> None:
    """Undo a draw that awaits its pay-out."""
    financing = context.require(Financing, financing_id)
    if financing.kind in CANCELLED:
        CANCELLED[financing.kind](context, financing_id, financing, event_type)
        return
    take_off_second(context, financing.expires, Act.PAYOUT_EXPIRE, financing_id)
    for id in exposure_lines(financing):
        lines.unreserve(context, id, financing.principal)
    pools.unreserve(context, financing.pool, financing.principal - financing.discount)
    fees.count(context, financing.fee, undo=True)
    face = financing.end - financing.start
    if financing.allocation is not None:
        lines.unreserve(context, financing.allocation, face)
    if financing.offer is not None:
        offer = context.require(Offer, financing.offer)
        _use_offer(context, financing.offer, offer, financing.obligor, -face)
        if financing.kind in SOLD:
            _give_back_remainder(context, financing)
    instruction = context.require(Instruction, financing.instruction)
    end_instruction(context, financing.instruction, instruction)
    drop_financing(context, financing_id, financing)
    voucher = context.require(Voucher, financing.voucher)
    event = voucher.event_count
    voucher = log(
        context, financing.voucher, voucher, event_type, start=financing.start, end=financing.end,
        source=financing.funder, target=financing.obligor, reference=financing_id,
    )  # fmt: skip
    context.put(financing.voucher, voucher)
    unlock(context, financing_id, financing, voucher, event)


def _give_back_remainder(context: Context, financing: Financing) -> None:
    id = _remainder_id(financing.funder, financing.obligor, financing.currency, financing.basis)
    kept = context.require(Remainder, id)
    restored = undo_discount(
        from_wide(financing.numerator), financing.discount, from_wide(kept.value), financing.basis
    )
    context.put(id, Remainder(to_wide(restored)))


def _payout_expire(context: Context, financing_id: bytes) -> None:
    """system.payout.expire: the bank did not pay in time; or a pay-out that it did confirm is looked at
    again."""
    financing = context.find(Financing, financing_id)
    if financing is None:
        return
    if financing.state is FinancingState.AWAIT_PAYOUT:
        cancel_draw(context, financing_id, "system.payout.expire")
    elif financing.state is FinancingState.PAYOUT_HELD:
        touch(context, financing.voucher)
        release_payout(context, financing_id)
        left = context.find(Financing, financing_id)
        if left is not None and left.state is FinancingState.PAYOUT_HELD:
            take_off_second(context, left.expires, Act.PAYOUT_EXPIRE, financing_id)
            _look_again(context, financing_id, left)


def release_payout(context: Context, financing_id: bytes) -> None:
    """Let a recorded pay-out take effect if nothing holds its range any more."""
    financing = context.find(Financing, financing_id)
    if financing is None or financing.state is not FinancingState.PAYOUT_HELD:
        return
    if payout_hold(context, financing_id, financing) is None:
        complete_payout(context, financing_id, financing, "financing.payout.confirm")


HANDLERS[Act.PAYOUT_EXPIRE] = _payout_expire
