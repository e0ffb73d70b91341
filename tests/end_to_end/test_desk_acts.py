"""Acts at the desk beside the usual way of a voucher: what is offered is accepted or declined, a loan is repaid, a fee
is confirmed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest

from node.web.texts import Language
from node.web.words import word
from tallynet import commands as c
from tallynet import records as r
from tallynet.hashing import record_id
from tests.end_to_end.desk_client import Visitor
from tests.end_to_end.desk_place import MONDAY, PASSWORD, Place, opened_place
from tools.demo_story import (
    CORE,
    DEVICES,
    SENSORS,
    Stage,
    enterprises,
    issue_command,
    lines_and_offers,
)
from tools.light_cli import ask
from tools.onboarding import document
from tools.participant import new_label
from tools.records_by_name import AddressBook

BUYER, LENDER = "bank-2", "bank-3"
DAY_SECONDS = 600
"""Nothing is to fall due."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("acts") / "network"
    who = (DEVICES, SENSORS, BUYER, LENDER)
    with opened_place(directory, who, DAY_SECONDS, _promised) as opened:
        yield opened


async def _promised(stage: Stage) -> None:
    """A voucher under a programme whose lots are offered before they pass, and where a draw costs 10 bps."""
    await enterprises(stage)
    await lines_and_offers(stage)
    season = await stage.record(
        r.Programme, r.Kind.PROGRAMME, record_id(r.Kind.PROGRAMME, stage.id(CORE), b"season")
    )
    known = {name: getattr(season, name) for name in c.ProgrammeRules.__struct_fields__}
    rules = c.ProgrammeRules(**(known | {"accept_mode": r.AcceptMode.EXPLICIT}))
    asking = c.ProgrammeCreate(b"asking", r.ProgrammeKind.RECEIVABLE, stage.currency, rules)
    made = await stage.act(CORE, "opens a programme", asking)
    programme = made.created(r.Kind.PROGRAMME)
    terms = r.FeeTerms(await stage.today(), 10, 0, 0, 0)
    await stage.act(CORE, "sets fees", c.FeeScheduleSet(new_label(), programme, terms))
    _, sealed = stage.invoices[0]
    invoice = document(b"invoice", sealed, stage.id(DEVICES), stage.id(CORE))
    registered = (await stage.act(DEVICES, "registers", invoice)).created(r.Kind.DOCUMENT)
    issue = await issue_command(stage, b"v1", registered, sealed.total, "bank-1")
    issue = msgspec.structs.replace(issue, programme=programme)
    voucher = (await stage.act(CORE, "issues", issue)).created(r.Kind.VOUCHER)
    await stage.act(DEVICES, "claims", c.VoucherClaim(new_label(), voucher, True))


def holdings(place: Place, who: str) -> list[tuple[str, int]]:
    """State and amount of each lot in its copy."""
    found: list[dict[str, Any]] = ask(place.directory / "light" / who, "/holdings")["holdings"]
    return sorted((lot["state"], lot["amount"]) for lot in found)


def test_what_is_offered_is_accepted_or_declined(place: Place) -> None:
    giver, taker = place.visitor(DEVICES, "maker"), place.visitor(SENSORS, "maker")
    for amount, answer in (("1,000.00", "accept"), ("2,000.00", "decline")):
        given = giver.draft(giver.task("transfer"), receiver_1=SENSORS, amount_1=amount)
        place.agreed(DEVICES, giver, given)
        form = taker.task(answer)
        assert f"{amount} CNY" in _told(taker, form)
        path = taker.draft(form)
        assert CORE in _told(taker, path), "who owes it"
        place.agreed(SENSORS, taker, path)
        assert taker.gone(answer)
    assert holdings(place, SENSORS) == [("HELD", 1_000_00)]


def test_a_fee_is_confirmed_by_the_bank_that_is_to_pass_it_on(place: Place) -> None:
    _drawn(place, BUYER, "10,000.00")
    bank = place.visitor(BUYER, "maker")
    form = bank.task("confirm")
    assert "10.00 CNY" in _told(bank, form)
    place.agreed(BUYER, bank, bank.draft(form, amount="10.00", receipt="FEE-1"))
    assert bank.gone("confirm")


def test_a_loan_is_repaid_and_its_bank_confirms(place: Place) -> None:
    _drawn(place, LENDER, "10,000.00")
    holder, bank = place.visitor(DEVICES, "maker"), place.visitor(LENDER, "maker")
    form = holder.task("repay")
    assert "8,000.00 CNY" in _told(holder, form)
    place.agreed(DEVICES, holder, holder.draft(form, amount="3,000.00"))
    form = bank.task("repaid")
    assert "3,000.00 CNY" in _told(bank, form)
    place.agreed(LENDER, bank, bank.draft(form, amount="3,000.00", receipt="L-1"))
    assert bank.gone("repaid")
    left = holder.get(holder.task("repay")).text
    assert 'value="5,000.00"' in left


def _drawn(place: Place, bank: str, amount: str) -> None:
    """Under the offer of a bank, and paid out."""
    holder, payer = place.visitor(DEVICES, "maker"), place.visitor(bank, "maker")
    form = holder.task("draw")
    asked = {
        "amount": amount,
        "offer": holder.choice(form, "offer", bank),
        "account": holder.choice(form, "account"),
        "purpose": "RENT",
    }
    path = holder.draft(form, **asked)
    kind = r.FinancingKind.SALE if bank == BUYER else r.FinancingKind.LOAN_PLEDGE
    assert word(kind, Language.EN) in _told(holder, path), "whether it is sold or lent on"
    assert f"{DEVICES}, bank-2, " in _told(holder, path), "whose account is paid to"
    place.agreed(DEVICES, holder, path)
    form = payer.task("payout")
    units = re.search(r'id="amount"[^>]* value="([^"]+)"', payer.get(form).text)
    assert units is not None
    place.agreed(bank, payer, payer.draft(form, amount=units[1], receipt=f"PAID-{bank}"))


def test_quotes_are_asked_for_given_and_taken(place: Place) -> None:
    holder, bank = (place.visitor(who, "maker") for who in (DEVICES, BUYER))
    form = holder.task("request")
    asked = {
        "amount": "1,000.00",
        f"funders.{AddressBook(place.directory).organisation(BUYER).hex()}": "yes",
        "account": holder.choice(form, "account"),
        "purpose": "GOODS",
    }
    place.agreed(DEVICES, holder, holder.draft(form, **asked))
    form = bank.task("quote")
    lasts = str(date(1970, 1, 1) + timedelta(days=MONDAY + 30))
    place.agreed(BUYER, bank, bank.draft(form, rate="4.10 %", valid_to=lasts))
    form = holder.task("take")
    path = holder.draft(form, funder=holder.choice(form, "funder"))
    assert "4.1 %" in _told(holder, path)
    place.agreed(DEVICES, holder, path)


def test_a_link_enters_nothing_in_a_form(place: Place) -> None:
    maker = place.visitor(DEVICES, "maker")
    form = maker.get(maker.task("transfer") + "&receiver_1=stranger&amount_1=9.00").text
    assert 'id="receiver_1"' in form
    assert 'value="stranger"' not in form and 'value="9.00"' not in form


def test_an_address_that_is_about_nothing_is_no_page(place: Place) -> None:
    maker = place.visitor(DEVICES, "maker")
    for path in ("/acts/transfer", "/acts/draw?voucher=" + "0" * 31, "/acts/repay?financing=x"):
        assert maker.get(path).status == 404
        assert maker.post(path, amount="1.00").status == 404
    again = maker.get("/sign-in")
    assert (again.status, again.location) == (303, "/")
    assert maker.try_to_sign_in("maker", PASSWORD).status == 303
    assert maker.get("/desk").status == 401, "the session before has ended"


def _told(visitor: Visitor, path: str) -> str:
    """The words of a page."""
    answer = visitor.get(path)
    assert answer.status == 200, answer.text
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())
