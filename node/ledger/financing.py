"""Turning part of a lot into cash: draw, pay-out, failure (voucher law §8.7, §11, §15).

A draw carves the tail of a lot, prices it, reserves lines and opens a payment instruction, in one act.
The bank's confirmation moves the holder (sale), places a lien (loan) or extinguishes the debt (early
payment); a failure gives everything back to the fen, the rounding remainder included (I16).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from node.ledger import bank_receipts, lines
from node.ledger.accounts import require_verified
from node.ledger.context import Context, refuse, require_amount
from node.ledger.interest import BPS, carried_discount, numerator, undo_discount
from node.ledger.lines import line_id
from node.ledger.lots import current_lot
from node.ledger.organisations import has_kind, require_active
from node.ledger.parameters import value
from node.ledger.ranges import (
    carve,
    coalesce,
    hold_on,
    lots_of,
    put_lot,
    require_free,
)
from node.ledger.redemption import drop_instruction, readdress, redeem_face
from node.ledger.rulebook import Signers, rule
from node.ledger.schedule import (
    HANDLERS,
    Act,
    drop_second,
    put_day,
    put_second,
    take_off_second,
)
from node.ledger.vouchers import log, require_active_voucher, require_financeable, touch
from node.state.view import Index
from tallynet.commands import FinancingDraw, InstructionSend, PayoutConfirm, PayoutFail
from tallynet.errors import LedgerError, invariant
from tallynet.fields import ZERO_WIDE, from_wide, to_wide
from tallynet.hashing import record_id
from tallynet.records import (
    Account,
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
    Lot,
    LotState,
    Offer,
    OfferStatus,
    OfferUse,
    OrganisationKind,
    Programme,
    RateBand,
    Remainder,
    Voucher,
    VoucherStatus,
)

AUTO_OFFERS_MAX: Final = 32
"""Offers an AUTO draw looks at after the programme's own order: bounds its cost."""
SOLD: Final = frozenset({FinancingKind.SALE, FinancingKind.EARLY_PAY})
"""Kinds that take a discount; loans pay the principal in full (Civil Code 670)."""


@dataclass(frozen=True, slots=True)
class _Source:
    """An offer that passed every check for this draw, with the price."""

    id: bytes
    offer: Offer
    band: RateBand
    days: int
    principal: int
    discount: int
    numerator: int
    remainder_id: bytes
    remainder: int


# --- draw -------------------------------------------------------------------------------------------


@rule(
    FinancingDraw,
    CommandClass.DRAW,
    Signers.M,
    amount=lambda command: command.amount,
    sentence="Sells or pledges the tail of a lot under a standing offer, for cash at once.",
    errors=(
        "NO_OFFER", "OFFER_SCOPE", "OFFER_CAP", "TENOR_BAND", "LINE_EXCEEDED", "LOT_LOCKED",
        "LOT_DISPUTED", "SELF_DEALING", "PAYEE_NOT_ALLOWED", "NET_NOT_POSITIVE", "REVIEW_REQUIRED",
    ),
)  # fmt: skip
def draw(context: Context, command: FinancingDraw) -> None:
    """financing.draw (voucher law §8.7). Receipt result: discount, net, rate ppm, days."""
    require_active_voucher(context, command.voucher)
    voucher, lot = current_lot(context, command.voucher, command.start)
    if lot.holder != context.acting:
        raise refuse("NOT_HOLDER", "the lot is held by another organisation")
    require_free(lot)
    require_financeable(context, voucher)
    account = require_verified(context, command.payee, context.acting, voucher.currency)
    require_amount(command.amount)
    if command.amount > lot.end - lot.start:
        raise refuse("AMOUNT_RANGE", f"{command.amount} of a lot of {lot.end - lot.start}")
    if command.amount >= value(context, "controlled_payment_min"):
        raise refuse(
            "PAYEE_NOT_ALLOWED", "draws of this size are paid to a controlled payee, not to oneself"
        )
    source = _choose(context, command, voucher)
    _reserve(context, source, voucher)
    part = carve(context, command.voucher, voucher, lot, command.amount)
    _open(context, command, voucher, part, source, account)


def _choose(context: Context, command: FinancingDraw, voucher: Voucher) -> _Source:
    """The named offer, or AUTO: the programme's order, then by lowest rate, ties by id; the first
    that passes every check wins, else the last refusal counts (C16)."""
    if command.offer is not None:
        return _check_source(context, command, voucher, command.offer)
    last = refuse("NO_OFFER", "no open offer fits this draw")
    for offer_id in _candidates(context, voucher):
        try:
            return _check_source(context, command, voucher, offer_id)
        except LedgerError as error:
            last = error
    raise last


def _candidates(context: Context, voucher: Voucher) -> list[bytes]:
    programme = context.require(Programme, voucher.programme)
    found = [id for id in programme.funding_order if context.find(Offer, id) is not None]
    keys = context.state.index_scan(
        Index.OPEN_OFFERS, voucher.currency.encode(), limit=AUTO_OFFERS_MAX
    )
    found += [key[-16:] for key in keys if key[-16:] not in found]
    return found


def _check_source(
    context: Context, command: FinancingDraw, voucher: Voucher, offer_id: bytes
) -> _Source:
    """Every check of the row on one offer, without writing."""
    offer = context.find(Offer, offer_id)
    if offer is None:
        raise refuse("NO_OFFER", f"no offer {offer_id.hex()}")
    today = context.today
    if offer.status is not OfferStatus.OPEN or not offer.valid_from <= today <= offer.valid_to:
        raise refuse("NO_OFFER", "the offer is not open today")
    require_active(context, offer.funder)
    _check_parties(context, voucher, offer)
    days = voucher.maturity - today
    if days < 1:
        raise refuse("DATE_RANGE", "nothing is left to finance on the day of maturity")
    band = next((band for band in offer.grid if days <= band.days_max), None)
    if band is None:
        raise refuse("TENOR_BAND", f"the offer has no rate for {days} days")
    _check_caps(context, command, offer_id, offer)
    return _price(context, command, offer_id, offer, band, days)


def _check_parties(context: Context, voucher: Voucher, offer: Offer) -> None:
    if offer.funder == context.acting:
        raise refuse("SELF_DEALING", "funder and drawer are the same organisation")
    early = offer.kind is FinancingKind.EARLY_PAY
    if offer.funder == voucher.debtor and not early:
        raise refuse("SELF_DEALING", "the debtor may only pay early")
    if early and offer.funder != voucher.debtor:
        raise refuse("OFFER_SCOPE", "early payment comes from the debtor itself")
    if (
        (offer.debtors and voucher.debtor not in offer.debtors)
        or (offer.programmes and voucher.programme not in offer.programmes)
        or offer.currency != voucher.currency
    ):
        raise refuse("OFFER_SCOPE", "the offer is for other debtors, programmes or currencies")


def _use_id(offer_id: bytes, drawer: bytes) -> bytes:
    return record_id(Kind.OFFER_USE, offer_id + drawer, b"")


def _check_caps(context: Context, command: FinancingDraw, offer_id: bytes, offer: Offer) -> None:
    amount = command.amount
    if not offer.draw_min <= amount <= offer.draw_max:
        raise refuse(
            "OFFER_CAP", f"a draw is {offer.draw_min} to {offer.draw_max} under this offer"
        )
    if offer.used + amount > offer.total_cap:
        raise refuse("OFFER_CAP", f"the offer has {offer.total_cap - offer.used} left")
    if offer.organisation_cap:
        used = context.find(OfferUse, _use_id(offer_id, context.acting))
        if (used.used if used else 0) + amount > offer.organisation_cap:
            raise refuse("OFFER_CAP", "the offer's cap per organisation is reached")


def _price(
    context: Context,
    command: FinancingDraw,
    offer_id: bytes,
    offer: Offer,
    band: RateBand,
    days: int,
) -> _Source:
    """Discount with carried remainder for sales, principal by advance rate for loans (§11)."""
    remainder_id = _remainder_id(offer, context.acting)
    if offer.kind not in SOLD:
        principal = command.amount * band.advance_bps // BPS
        if principal == 0:
            raise refuse("NET_NOT_POSITIVE", "the advance on this amount is less than one unit")
        return _Source(offer_id, offer, band, days, principal, 0, 0, remainder_id, 0)
    kept = context.find(Remainder, remainder_id)
    n = numerator(command.amount, band.rate_ppm, days)
    carried = from_wide(kept.value) if kept else 0
    discount, remainder = carried_discount(n, carried, offer.basis)
    if command.amount - discount <= 0:
        raise refuse("NET_NOT_POSITIVE", "the discount takes the whole amount")
    return _Source(
        offer_id, offer, band, days, command.amount, discount, n, remainder_id, remainder
    )


def _remainder_id(offer: Offer, drawer: bytes) -> bytes:
    basis = offer.basis.to_bytes(2, "big")
    return record_id(Kind.REMAINDER, offer.funder + drawer, offer.currency.encode() + basis)


def exposure_lines(offer: Offer, debtor: bytes, drawer: bytes) -> list[bytes]:
    """Ids of the lines that a draw under this offer must fit in."""
    found = []
    for kind in offer.lines_required:
        obligor = debtor if kind is LineKind.DEBTOR_EXPOSURE else drawer
        if kind is LineKind.BORROWER and offer.kind in SOLD:
            continue
        found.append(line_id(kind, offer.funder, obligor, offer.currency))
    return found


def _reserve(context: Context, source: _Source, voucher: Voucher) -> None:
    for id in exposure_lines(source.offer, voucher.debtor, context.acting):
        try:
            lines.reserve(context, id, source.principal)
        except LedgerError as error:
            if error.code == "RECORD_NOT_FOUND":
                raise refuse("LINE_EXCEEDED", "the funder has no line for this draw") from None
            raise


def _use_offer(context: Context, offer_id: bytes, offer: Offer, drawer: bytes, amount: int) -> None:
    """Count a draw on its offer, or take it back with a negative amount."""
    context.put(offer_id, msgspec.structs.replace(offer, used=offer.used + amount))
    if offer.organisation_cap:
        id = _use_id(offer_id, drawer)
        used = context.find(OfferUse, id)
        context.put(id, OfferUse((used.used if used else 0) + amount))


def _open(
    context: Context,
    command: FinancingDraw,
    voucher: Voucher,
    part: Lot,
    source: _Source,
    account: Account,
) -> None:
    offer = source.offer
    financing_id = record_id(Kind.FINANCING, context.acting, command.label)
    instruction_id = record_id(Kind.INSTRUCTION, financing_id, bytes(4))
    net = source.principal - source.discount
    expires = context.time + value(context, "payout_timeout_seconds")
    financing = Financing(
        kind=offer.kind,
        funder=offer.funder,
        offer=source.id,
        obligor=context.acting,
        debtor=voucher.debtor,
        voucher=command.voucher,
        start=part.start,
        end=part.end,
        principal=source.principal,
        discount=source.discount,
        net=net,
        numerator=to_wide(source.numerator),
        currency=voucher.currency,
        rate_ppm=source.band.rate_ppm,
        basis=offer.basis,
        value_day=context.today,
        end_day=voucher.maturity,
        accrued_to=context.today,
        accrual=ZERO_WIDE,
        interest_billed=0,
        repaid=0,
        repayment_pending=0,
        payee=command.payee,
        purpose=command.purpose,
        instruction=instruction_id,
        expires=expires,
        state=FinancingState.AWAIT_PAYOUT,
    )
    context.create(financing_id, financing)
    funder = require_active(context, offer.funder)
    bank = offer.funder if has_kind(funder, OrganisationKind.BANK) else account.bank
    instruction = Instruction(
        offer.funder, context.acting, command.payee, net, 0, voucher.currency, context.today,
        InstructionPurpose.PAYOUT, financing_id, 0, bank, InstructionState.NEW,
    )  # fmt: skip
    context.create(instruction_id, instruction)
    context.state.index_add(Index.BANK_INSTRUCTIONS, bank + instruction_id)
    context.state.index_add(Index.PARTY_FINANCINGS, offer.funder + financing_id)
    context.state.index_add(Index.PARTY_FINANCINGS, context.acting + financing_id)
    put_second(context, expires, Act.PAYOUT_EXPIRE, financing_id)
    if offer.kind in SOLD:
        context.put(source.remainder_id, Remainder(to_wide(source.remainder)))
    _use_offer(context, source.id, offer, context.acting, command.amount)
    event = voucher.event_count
    voucher = log(
        context, command.voucher, voucher, "financing.draw", start=part.start, end=part.end,
        source=context.acting, target=offer.funder, amount=net, reference=financing_id,
    )  # fmt: skip
    locked = msgspec.structs.replace(
        part, state=LotState.FINANCING_PENDING, lien=financing_id, newest_event=event
    )
    put_lot(context, command.voucher, locked)
    context.put(command.voucher, voucher)
    context.result = (source.discount, net, source.band.rate_ppm, source.days)


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
    """instruction.send: NEW -> SENT (voucher law §8.7). Not while a freeze on the whole organisation
    holds the range; a freeze on the range itself has cancelled the draw."""
    instruction = context.require(Instruction, command.instruction)
    if instruction.bank != context.acting:
        raise refuse("NOT_AUTHORISED", "another bank executes this instruction")
    if instruction.state is not InstructionState.NEW:
        raise refuse("STATE_CONFLICT", f"the instruction is {instruction.state.name}")
    if instruction.purpose is InstructionPurpose.PAYOUT:
        financing = context.require(Financing, instruction.reference)
        held = payout_hold(context, instruction.reference, financing)
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
    errors=("AMOUNT_MISMATCH", "RECEIPT_REUSED"),
)
def payout_confirm(context: Context, command: PayoutConfirm) -> None:
    """financing.payout.confirm (voucher law §8.7): SALE -> holder = funder; loans -> PLEDGED with
    lien; EARLY_PAY -> REDEEMED; reserved -> used."""
    instruction = require_instruction(context, command.instruction, InstructionPurpose.PAYOUT)
    financing_id = instruction.reference
    financing = context.require(Financing, financing_id)
    if command.amount != instruction.amount:
        raise refuse("AMOUNT_MISMATCH", f"the instruction is over {instruction.amount}")
    touch(context, financing.voucher)
    held = payout_hold(context, financing_id, financing)
    if held is not None and instruction.state is InstructionState.NEW:
        raise refuse(held, "the range may not move; do not pay")
    bank_receipts.use(context, command.receipt_commitment, context.acting, command.instruction)
    drop_second(context, financing.expires, Act.PAYOUT_EXPIRE, financing_id)
    if held is None:
        complete_payout(context, financing_id, financing, "financing.payout.confirm")
    else:
        _record_payout(context, financing_id, financing, instruction)


def payout_hold(context: Context, id: bytes, financing: Financing) -> str | None:
    """LOT_FROZEN or LOT_DISPUTED if any part of a draw's range may not move (§8.8)."""
    holds = [hold_on(context, lot) for lot in lots_of(context, id, financing)]
    return next((hold for hold in holds if hold is not None), None)


def _record_payout(
    context: Context, id: bytes, financing: Financing, instruction: Instruction
) -> None:
    """The money was on its way when the range was frozen: it is recorded as paid, the holder changes
    only after lift or court order (§8.8, Freeze against payout)."""
    paid = msgspec.structs.replace(instruction, state=InstructionState.PAID)
    context.put(financing.instruction, paid)
    context.state.index_remove(Index.BANK_INSTRUCTIONS, instruction.bank + financing.instruction)
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
    take_off_second(context, financing.expires, Act.PAYOUT_EXPIRE, financing_id)
    offer = context.require(Offer, financing.offer)
    for id in exposure_lines(offer, financing.debtor, financing.obligor):
        lines.use_reserved(context, id, financing.principal)
    voucher = touch(context, financing.voucher)
    lots = lots_of(context, financing_id, financing)
    invariant(bool(lots), "LEDGER_I5 a financing without its lot")
    instruction = context.require(Instruction, financing.instruction)
    _drop_instruction(context, financing.instruction, instruction)
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


def _drop_instruction(context: Context, id: bytes, instruction: Instruction) -> None:
    """A pay-out instruction leaves the state when it ends; log and receipts keep it (§6)."""
    context.delete(Instruction, id)
    if instruction.state is not InstructionState.PAID:
        context.state.index_remove(Index.BANK_INSTRUCTIONS, instruction.bank + id)


def drop_financing(context: Context, id: bytes, financing: Financing) -> None:
    """A financing leaves the state."""
    context.delete(Financing, id)
    context.state.index_remove(Index.PARTY_FINANCINGS, financing.funder + id)
    context.state.index_remove(Index.PARTY_FINANCINGS, financing.obligor + id)


def _sold(
    context: Context, id: bytes, financing: Financing, voucher: Voucher, lots: list[Lot]
) -> None:
    drop_financing(context, id, financing)
    if financing.kind is FinancingKind.SALE:
        for lot in lots:
            sold = msgspec.structs.replace(
                lot,
                holder=financing.funder,
                state=LotState.HELD,
                lien=None,
                acquired_day=context.today,
                acquired_by=AcquiredBy.SALE,
            )
            put_lot(context, financing.voucher, sold)
            settle_in(context, financing.voucher, voucher, sold)
            readdress(context, financing.voucher, sold.start, financing.funder)
        return
    for lot in lots:
        redeemed = msgspec.structs.replace(lot, state=LotState.REDEEMED, lien=None)
        put_lot(context, financing.voucher, redeemed)
        drop_instruction(context, financing.voucher, redeemed.start)
        coalesce(context, financing.voucher, redeemed)
    redeem_face(context, financing.voucher, voucher, financing.end - financing.start)


def _lent(
    context: Context, id: bytes, financing: Financing, voucher: Voucher, lots: list[Lot]
) -> None:
    for lot in lots:
        put_lot(context, financing.voucher, msgspec.structs.replace(lot, state=LotState.PLEDGED))
        readdress(context, financing.voucher, lot.start, financing.funder)
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
    cancel_draw(context, instruction.reference, "financing.payout.fail")


def cancel_draw(context: Context, financing_id: bytes, event_type: str) -> None:
    """Undo a draw that awaits its pay-out."""
    financing = context.require(Financing, financing_id)
    take_off_second(context, financing.expires, Act.PAYOUT_EXPIRE, financing_id)
    offer = context.require(Offer, financing.offer)
    for id in exposure_lines(offer, financing.debtor, financing.obligor):
        lines.unreserve(context, id, financing.principal)
    face = financing.end - financing.start
    _use_offer(context, financing.offer, offer, financing.obligor, -face)
    if financing.kind in SOLD:
        _give_back_remainder(context, offer, financing)
    instruction = context.require(Instruction, financing.instruction)
    _drop_instruction(context, financing.instruction, instruction)
    drop_financing(context, financing_id, financing)
    voucher = context.require(Voucher, financing.voucher)
    event = voucher.event_count
    voucher = log(
        context, financing.voucher, voucher, event_type, start=financing.start, end=financing.end,
        source=financing.funder, target=financing.obligor, reference=financing_id,
    )  # fmt: skip
    context.put(financing.voucher, voucher)
    for lot in lots_of(context, financing_id, financing):
        held = msgspec.structs.replace(lot, state=LotState.HELD, lien=None, newest_event=event)
        put_lot(context, financing.voucher, held)
        settle_in(context, financing.voucher, voucher, held)


def settle_in(context: Context, voucher_id: bytes, voucher: Voucher, lot: Lot) -> None:
    """Join a lot that is HELD again with its equals; no more after maturity, when every lot has a
    settlement instruction of its own that names its start."""
    if voucher.status is VoucherStatus.ACTIVE:
        coalesce(context, voucher_id, lot)


def _give_back_remainder(context: Context, offer: Offer, financing: Financing) -> None:
    id = _remainder_id(offer, financing.obligor)
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
