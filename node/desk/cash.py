"""A holder turns part of a lot into cash: under a standing offer at once, or by asking for quotes and taking one; a
funder quotes; a borrower repays."""

from __future__ import annotations

from typing import Final

from node.desk.case import Action, Case, Choice, Draft, Fact, Field, Form
from node.desk.passing import lot_draft, lot_facts
from node.ledger.offers import covers
from node.state.view import Index
from node.web.shown import amount, rate, short
from node.web.texts import text
from node.web.words import word
from tallynet.commands import (
    FinancingAccept,
    FinancingDraw,
    FinancingQuote,
    FinancingRepay,
    FinancingRequestOpen,
)
from tallynet.errors import TallynetError
from tallynet.records import (
    Account,
    AccountStatus,
    Financing,
    FinancingKind,
    FinancingRequest,
    Kind,
    LineKind,
    Offer,
    OfferStatus,
    Purpose,
    Voucher,
)

__all__ = ["ACTIONS"]

FULL_BPS: Final = 10_000
BASIS: Final = 360
_DRAW: Final = (
    Field("amount", "amount"),
    Field("offer", "choice"),
    Field("account", "choice"),
    Field("purpose", "choice"),
)
_REQUEST: Final = (
    Field("amount", "amount"),
    Field("funders", "choices"),
    Field("account", "choice"),
    Field("purpose", "choice"),
)
_QUOTE: Final = (Field("rate", "rate"), Field("valid_to", "day"))


# --- what is offered for choice -------------------------------------------------------------------------


async def _offers(case: Case, voucher: Voucher) -> list[Choice]:
    """Open ones for this voucher, cheapest first; none for whoever may not list them."""
    try:
        ids = await case.chain.listed(Index.OPEN_OFFERS, voucher.currency.encode())
    except TallynetError as error:
        if error.code != "NOT_AUTHORISED":
            raise
        return []
    found: list[Choice] = []
    for id in ids:
        try:
            offer = await case.chain.require(Offer, Kind.OFFER, id)
        except TallynetError as error:
            if error.code != "NOT_AUTHORISED":
                raise
            continue  # it is for what others hold
        if offer.status is OfferStatus.OPEN and covers(offer, voucher):
            found.append(Choice(id.hex(), _offer_label(case, offer)))
    return found


def _offer_label(case: Case, offer: Offer) -> str:
    bands = "; ".join(
        text("up_to_days", case.language, days=band.days_max, rate=rate(band.rate_ppm))
        for band in offer.grid
    )
    return f"{case.name(offer.funder)}, {word(offer.kind, case.language)}, {bands}"


async def _accounts(case: Case, currency: str) -> list[Choice]:
    found: list[Choice] = []
    for id in await case.chain.listed(Index.ORGANISATION_ACCOUNTS, case.home):
        account = await case.chain.require(Account, Kind.ACCOUNT, id)
        if account.status is AccountStatus.VERIFIED and account.currency == currency:
            found.append(Choice(id.hex(), f"{case.name(account.bank)}, {currency}, {short(id)}"))
    return found


def _purposes(case: Case) -> list[Choice]:
    return [Choice(purpose.name, word(purpose, case.language)) for purpose in Purpose]


def _funders(case: Case) -> list[Choice]:
    """Everybody in the address book who may be a funder; the network says who is none."""
    others = sorted((name, id) for id, name in case.names.items() if id != case.home)
    return [Choice(id.hex(), name) for name, id in others]


async def _money_facts(case: Case, kind: FinancingKind | None, account: bytes) -> list[Fact]:
    """What is signed as ids only: whether it is sold or lent on, and whose account is paid to."""
    to = await case.chain.require(Account, Kind.ACCOUNT, account)
    whose = f"{case.name(to.organisation)}, {case.name(to.bank)}, {short(account)}"
    facts = [Fact("enter_account", "text", whose)]
    return facts if kind is None else [_kind_fact(case, kind), *facts]


def _kind_fact(case: Case, kind: FinancingKind) -> Fact:
    return Fact("field_kind", "text", word(kind, case.language))


# --- draw -----------------------------------------------------------------------------------------------


async def _draw_form(case: Case) -> Form:
    _, voucher, lot = await case.lot()
    choices = {
        "offer": await _offers(case, voucher),
        "account": await _accounts(case, voucher.currency),
        "purpose": _purposes(case),
    }
    return Form(_DRAW, lot_facts(voucher, lot), choices, currency=voucher.currency)


async def _draw(case: Case) -> Draft:
    id, voucher, lot = await case.lot()
    entered = case.entered
    chosen, account = entered.id("offer"), entered.id("account")
    units = entered.amount("amount", voucher.currency)
    command = FinancingDraw(
        case.label, chosen, id, lot.start, units, account, entered.word("purpose", Purpose)
    )
    offer = await case.chain.require(Offer, Kind.OFFER, chosen)
    facts = [Fact("field_funder", "org", offer.funder)]
    facts += await _money_facts(case, offer.kind, account)
    return lot_draft(case, voucher, lot, command, amount=units, with_whom=offer.funder, more=facts)


# --- request, quote, accept -----------------------------------------------------------------------------


async def _request_form(case: Case) -> Form:
    _, voucher, lot = await case.lot()
    choices = {
        "funders": _funders(case),
        "account": await _accounts(case, voucher.currency),
        "purpose": _purposes(case),
    }
    return Form(_REQUEST, lot_facts(voucher, lot), choices, currency=voucher.currency)


async def _request(case: Case) -> Draft:
    id, voucher, lot = await case.lot()
    entered = case.entered
    funders = sorted({bytes.fromhex(part) for part in entered.ids("funders")})
    account, units = entered.id("account"), entered.amount("amount", voucher.currency)
    command = FinancingRequestOpen(
        case.label, id, lot.start, units, account, entered.word("purpose", Purpose), tuple(funders)
    )
    facts = await _money_facts(case, None, account)
    whom = funders[0] if len(funders) == 1 else b""
    return lot_draft(case, voucher, lot, command, amount=units, with_whom=whom, more=facts)


async def _asked(case: Case) -> tuple[bytes, FinancingRequest]:
    id = case.entered.id("request")
    return id, await case.chain.require(FinancingRequest, Kind.FINANCING_REQUEST, id)


def _request_facts(asked: FinancingRequest) -> list[Fact]:
    return [
        Fact("field_holder", "org", asked.holder),
        Fact("field_debtor", "org", asked.debtor),
        Fact("field_amount", "money", asked.end - asked.start),
        Fact("field_lapses", "day", asked.lapses),
    ]


async def _quote_form(case: Case) -> Form:
    _, asked = await _asked(case)
    return Form(_QUOTE, _request_facts(asked), currency=asked.currency)


async def _quote(case: Case) -> Draft:
    id, asked = await _asked(case)
    command = FinancingQuote(
        case.label, id, asked.end - asked.start, FinancingKind.SALE, case.entered.rate("rate"), BASIS, FULL_BPS,
        (LineKind.DEBTOR_EXPOSURE,), False, case.entered.day("valid_to"),
    )  # fmt: skip
    notes = case.notes(_request_facts(asked), asked.currency)
    return Draft(asked.currency, asked.end - asked.start, asked.holder, [command], notes)


async def _take_form(case: Case) -> Form:
    _, asked = await _asked(case)
    quotes = [
        Choice(
            quote.funder.hex(),
            f"{case.name(quote.funder)}, {word(quote.kind, case.language)}, {rate(quote.rate_ppm)}",
        )
        for quote in asked.quotes
        if quote.sealed is None
    ]
    facts = _request_facts(asked)
    return Form((Field("funder", "choice"),), facts, {"funder": quotes}, currency=asked.currency)


async def _take(case: Case) -> Draft:
    id, asked = await _asked(case)
    funder = case.entered.id("funder")
    kinds = [quote.kind for quote in asked.quotes if quote.funder == funder]
    facts = [*_request_facts(asked), *(_kind_fact(case, kind) for kind in kinds)]
    facts += await _money_facts(case, None, asked.payee)
    command = FinancingAccept(case.label, id, funder)
    notes = case.notes(facts, asked.currency)
    return Draft(asked.currency, asked.end - asked.start, funder, [command], notes)


# --- repay ----------------------------------------------------------------------------------------------


async def _loan(case: Case) -> tuple[bytes, Financing]:
    id = case.entered.id("financing")
    return id, await case.chain.require(Financing, Kind.FINANCING, id)


async def _repay_form(case: Case) -> Form:
    _, loan = await _loan(case)
    left = loan.principal - loan.repaid - loan.repayment_pending
    default = {"amount": amount(left, loan.currency)}
    fields = (Field("amount", "amount"),)
    return Form(fields, _loan_facts(loan), defaults=default, currency=loan.currency)


def _loan_facts(loan: Financing) -> list[Fact]:
    return [
        Fact("field_funder", "org", loan.funder),
        Fact("field_outstanding", "money", loan.principal - loan.repaid),
        Fact("field_due", "day", loan.end_day),
    ]


async def _repay(case: Case) -> Draft:
    id, loan = await _loan(case)
    units = case.entered.amount("amount", loan.currency)
    command = FinancingRepay(case.label, id, units)
    notes = case.notes(_loan_facts(loan), loan.currency)
    return Draft(loan.currency, units, loan.funder, [command], notes)


_LOT: Final = ("voucher", "start")
ACTIONS: Final = (
    Action("draw", "financing.draw", _LOT, _draw_form, _draw),
    Action("request", "financing.request", _LOT, _request_form, _request),
    Action("quote", "financing.quote", ("request",), _quote_form, _quote),
    Action("take", "financing.accept", ("request",), _take_form, _take),
    Action("repay", "financing.repay", ("financing",), _repay_form, _repay),
)
