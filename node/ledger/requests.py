"""A holder asks several funders, they quote, it takes one (voucher law §8.7 financing.request; C5).

The request locks its range, so every quote is for something that nobody else can get meanwhile. At most
one quote per funder asked; a quote is firm until its last day.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable

import msgspec

from node.ledger import fees, sealed_lines
from node.ledger.context import Context, refuse
from node.ledger.drawing import (
    SOLD,
    Terms,
    Wanted,
    is_used,
    line_of,
    open_financing,
    require_counterparties,
    require_drawable,
    require_financeable,
    require_lines,
    require_net,
    require_payee,
    unlock,
)
from node.ledger.interest import BPS, denominator, half_up, numerator
from node.ledger.offers import check_advance, check_funder, check_terms
from node.ledger.organisations import require_active
from node.ledger.parameters import value
from node.ledger.ranges import carve, get_lot, put_lot, require_unheld
from node.ledger.rulebook import Signers, rule
from node.ledger.schedule import HANDLERS, Act, put_day, take_off_day
from node.ledger.vouchers import log, touch
from node.state.view import Index
from tallynet.commands import (
    FinancingAccept,
    FinancingCancel,
    FinancingQuote,
    FinancingRequestOpen,
)
from tallynet.hashing import record_id
from tallynet.records import (
    CommandClass,
    Fee,
    FinancingKind,
    FinancingRequest,
    Kind,
    LineKind,
    Lot,
    LotState,
    Organisation,
    PriceMode,
    PurposeAmount,
    Quote,
    Voucher,
)

# --- request and cancel -------------------------------------------------------------------------------


@rule(
    FinancingRequestOpen,
    CommandClass.DRAW,
    Signers.MC,
    amount=lambda command: command.amount,
    sentence="Asks funders for quotes on the tail of a lot, which stays locked meanwhile.",
    errors=(
        "DOCUMENT_VOID", "LOT_DISPUTED", "LOT_LOCKED", "SELF_DEALING", "PAYEE_NOT_ALLOWED",
        "REVIEW_REQUIRED",
    ),
)  # fmt: skip
def request(context: Context, command: FinancingRequestOpen) -> None:
    """financing.request (voucher law §8.7): FINANCING_PENDING for `request_expiry_days`."""
    if tuple(sorted(set(command.funders))) != command.funders:
        raise refuse("SCHEMA_INVALID", "funders must be sorted and distinct")
    for funder in command.funders:
        require_active(context, funder)
    purposes = (PurposeAmount(command.purpose, command.amount),)
    wanted = Wanted(command.voucher, command.start, command.amount, command.payee, purposes)
    voucher, lot = require_drawable(context, wanted)
    if context.acting in command.funders:
        raise refuse("SELF_DEALING", "funder and drawer are the same organisation")
    open_request(context, command.label, wanted, voucher, lot, command.funders)


def open_request(
    context: Context,
    label: bytes,
    wanted: Wanted,
    voucher: Voucher,
    lot: Lot,
    funders: tuple[bytes, ...],
) -> None:
    """Carve and lock the range for a request; writes the voucher. Raises LOT_LIMIT, ID_IN_USE."""
    part = carve(context, wanted.voucher, voucher, lot, wanted.amount)
    id = record_id(Kind.FINANCING_REQUEST, context.acting, label)
    lapses = context.today + value(context, "request_expiry_days")
    opened = FinancingRequest(
        context.acting, voucher.debtor, wanted.voucher, part.start, part.end, voucher.currency,
        wanted.payee, wanted.purposes, funders, (), lapses,
    )  # fmt: skip
    context.create(id, opened)
    for party in (context.acting, *funders):
        context.state.index_add(Index.PARTY_REQUESTS, party + id)
    put_day(context, lapses, Act.REQUEST_LAPSE, id)
    event = voucher.event_count
    voucher = log(
        context, wanted.voucher, voucher, "financing.request", start=part.start, end=part.end,
        source=context.acting, amount=wanted.amount, reference=id,
    )  # fmt: skip
    locked = msgspec.structs.replace(
        part, state=LotState.FINANCING_PENDING, lien=id, newest_event=event
    )
    put_lot(context, wanted.voucher, locked)
    context.put(wanted.voucher, voucher)


@rule(
    FinancingCancel,
    CommandClass.DRAW,
    Signers.MC,
    sentence="Takes back a request for quotes; the range is free again.",
)
def cancel(context: Context, command: FinancingCancel) -> None:
    """financing.cancel (voucher law §8.7)."""
    opened = context.require(FinancingRequest, command.request)
    if opened.holder != context.acting:
        raise refuse("NOT_AUTHORISED", "only the holder cancels its request")
    touch(context, opened.voucher)
    cancel_request(context, command.request, opened, "financing.cancel")


def cancel_request(context: Context, id: bytes, opened: FinancingRequest, event_type: str) -> None:
    """End a request without a draw: the holder has its range back."""
    _drop(context, id, opened)
    voucher = context.require(Voucher, opened.voucher)
    event = voucher.event_count
    voucher = log(
        context, opened.voucher, voucher, event_type, start=opened.start, end=opened.end,
        target=opened.holder, reference=id,
    )  # fmt: skip
    context.put(opened.voucher, voucher)
    unlock(context, id, opened, voucher, event)


def _drop(context: Context, id: bytes, opened: FinancingRequest) -> None:
    context.delete(FinancingRequest, id)
    for party in (opened.holder, *opened.funders):
        context.state.index_remove(Index.PARTY_REQUESTS, party + id)
    take_off_day(context, opened.lapses, Act.REQUEST_LAPSE, id)


def _lapse(context: Context, id: bytes) -> None:
    """system.expire: nobody's quote was accepted in time."""
    opened = context.find(FinancingRequest, id)
    if opened is not None:
        touch(context, opened.voucher)
        cancel_request(context, id, opened, "system.expire")


HANDLERS[Act.REQUEST_LAPSE] = _lapse


# --- quote --------------------------------------------------------------------------------------------


@rule(
    FinancingQuote,
    CommandClass.OFFER,
    Signers.MC,
    amount=lambda command: command.amount,
    sentence="Answers a request with firm terms.",
    errors=(
        "QUOTE_EXPIRED",
        "NOT_LICENSED",
        "OFFER_SCOPE",
        "SELF_DEALING",
        "PROGRAMME_RULE",
        "LINE_SEALED",
    ),
)
def quote(context: Context, command: FinancingQuote) -> None:
    """financing.quote (voucher law §8.7): by a funder that was asked, once. No open line is reserved before
    the holder accepts (§15); under a sealed one the funder counts its quote in. Where the programme seals prices, a quote to buy is sealed (§16.6)."""
    opened = context.require(FinancingRequest, command.request)
    funder = require_asked(context, opened)
    check_funder(funder, command.kind)
    if command.kind is FinancingKind.SALE:
        voucher = context.require(Voucher, opened.voucher)
        if voucher.price_mode is PriceMode.SEALED:
            raise refuse("PROGRAMME_RULE", "quotes to buy are sealed here: financing.quote.sealed")
    check_terms(command.kind, command.lines, command.basis)
    check_advance(command.kind, command.advance_bps)
    given = Quote(
        context.acting, command.kind, command.rate_ppm, command.basis, command.advance_bps,
        command.lines, (), command.registration_required, command.valid_to, None,
    )  # fmt: skip
    add_quote(context, command.request, opened, given, command.amount)


def require_asked(context: Context, opened: FinancingRequest) -> Organisation:
    """The acting funder. Raises LedgerError NOT_AUTHORISED, ORGANISATION_INACTIVE."""
    if context.acting not in opened.funders:
        raise refuse("NOT_AUTHORISED", "the holder did not ask this organisation")
    return require_active(context, context.acting)


def add_quote(
    context: Context, id: bytes, opened: FinancingRequest, given: Quote, amount: int
) -> None:
    """What all quotes must meet; writes the request. Raises LedgerError OFFER_SCOPE, SELF_DEALING,
    QUOTE_EXPIRED, STATE_CONFLICT, AMOUNT_MISMATCH, DATE_RANGE, LINE_SEALED, LINE_INACTIVE."""
    early = given.kind is FinancingKind.EARLY_PAY
    if early != (context.acting == opened.debtor):
        code = "OFFER_SCOPE" if early else "SELF_DEALING"
        raise refuse(code, "early payment comes from the debtor, and nothing else does")
    if context.today >= opened.lapses:
        raise refuse("QUOTE_EXPIRED", "the request has lapsed")
    if any(known.funder == context.acting for known in opened.quotes):
        raise refuse("STATE_CONFLICT", "this organisation has quoted already")
    if amount != opened.end - opened.start:
        raise refuse("AMOUNT_MISMATCH", f"the request is for {opened.end - opened.start}")
    if given.valid_to < context.today:
        raise refuse("DATE_RANGE", "the quote could never be accepted")
    given = _count_in_sealed(context, id, opened, given)
    quotes = list(opened.quotes)
    insort(quotes, given, key=lambda known: known.funder)
    context.put(id, msgspec.structs.replace(opened, quotes=tuple(quotes)))
    context.emit(
        "financing.quote", Kind.FINANCING_REQUEST, id, source=context.acting, target=opened.holder,
        amount=amount,
    )  # fmt: skip


def _count_in_sealed(context: Context, id: bytes, opened: FinancingRequest, given: Quote) -> Quote:
    """The quote, with the lines that are sealed apart: their use was counted in by the funder."""
    sealed = tuple(
        kind
        for kind in given.lines
        if is_used(kind, given.kind)
        and sealed_lines.take_use(context, _line(opened, given, kind), id)
    )
    others = tuple(kind for kind in given.lines if kind not in sealed)
    return msgspec.structs.replace(given, lines=others, sealed_lines=sealed)


def _line(opened: FinancingRequest, given: Quote, kind: LineKind) -> bytes:
    return line_of(kind, given.funder, opened.debtor, opened.holder, opened.currency)


# --- accept -------------------------------------------------------------------------------------------


@rule(
    FinancingAccept,
    CommandClass.DRAW,
    Signers.MC,
    sentence="Takes a quote: the request becomes a draw at its terms.",
    errors=(
        "QUOTE_EXPIRED", "DOCUMENT_VOID", "LOT_DISPUTED", "LINE_EXCEEDED", "LINE_SEALED",
        "NET_NOT_POSITIVE", "PAYEE_NOT_ALLOWED", "SELF_DEALING",
    ),
)  # fmt: skip
def accept(context: Context, command: FinancingAccept) -> None:
    """financing.accept (voucher law §8.7): continues as a draw, with the draw's checks as they stand today.
    The range is one lot: an order that cuts it ends the request. Receipt result: discount, net, rate ppm,
    days, the drawer's share of the fee."""
    accept_at(context, command.label, command.request, command.funder, _price)


Pricing = Callable[[Context, int, Quote, int, Fee | None], Terms]
"""What a quote gives for a face and so many days, with this fee."""


def accept_at(
    context: Context, label: bytes, request: bytes, funder: bytes, price: Pricing
) -> None:
    """The quote of `funder` becomes a draw, priced by `price`. Raises LedgerError as the row says."""
    opened = context.require(FinancingRequest, request)
    if opened.holder != context.acting:
        raise refuse("NOT_AUTHORISED", "only the holder accepts a quote")
    chosen = next((known for known in opened.quotes if known.funder == funder), None)
    if chosen is None:
        raise refuse("RECORD_NOT_FOUND", "this organisation has not quoted")
    if context.today > chosen.valid_to or context.today >= opened.lapses:
        raise refuse("QUOTE_EXPIRED", f"the quote was valid to day {chosen.valid_to}")
    voucher = require_financeable(context, opened.voucher)
    require_active(context, chosen.funder)
    require_counterparties(context, voucher, chosen.funder, chosen.kind)
    amount = opened.end - opened.start
    wanted = Wanted(opened.voucher, opened.start, amount, opened.payee, opened.purposes)
    require_payee(context, wanted, voucher.currency)
    fee = fees.charge(context, voucher, context.acting, amount)
    terms = price(context, amount, chosen, voucher.maturity - context.today, fee)
    require_lines(context, terms, voucher)
    for kind in chosen.sealed_lines:
        sealed_lines.require_still_sealed(context, _line(opened, chosen, kind))
    part = get_lot(context, opened.voucher, opened.start)
    require_unheld(context, part)
    _drop(context, request, opened)
    open_financing(context, label, wanted, voucher, part, terms)


def _price(_context: Context, amount: int, chosen: Quote, days: int, fee: Fee | None) -> Terms:
    """A single quote: discount half-up to one unit, nothing carried (§11). Raises NET_NOT_POSITIVE,
    STATE_CONFLICT."""
    if chosen.sealed is not None:
        raise refuse("STATE_CONFLICT", "the quote is sealed: financing.accept.sealed")
    principal, discount, n = amount, 0, 0
    if chosen.kind in SOLD:
        n = numerator(amount, chosen.rate_ppm, days)
        discount = half_up(n, denominator(chosen.basis))
    else:
        principal = amount * chosen.advance_bps // BPS
    terms = Terms(
        chosen.funder, chosen.kind, None, chosen.rate_ppm, chosen.basis, days, principal, discount,
        n, chosen.lines, chosen.registration_required, fee, None, None,
    )  # fmt: skip
    require_net(terms)
    return terms
