"""Requests for quotes: request, quote, accept, cancel, lapse (voucher law §8.7, §9, §11; C5)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from law_world import DIGEST, World

from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.receipts import CommandReceipt

EXPOSURE = (r.LineKind.DEBTOR_EXPOSURE,)


@pytest.fixture
def world() -> World:
    made = World(audited=True)
    made.core_and_suppliers()
    return made


def created(receipt: CommandReceipt, kind: r.Kind) -> bytes:
    return next(item.id for item in receipt.created if item.kind == kind)


def asking(
    world: World, voucher: bytes, amount: int, *funders: str, by: str = "devices"
) -> c.FinancingRequestOpen:
    asked = tuple(sorted(world.ids[name] for name in funders or ("bank-2", "bank-3")))
    return c.FinancingRequestOpen(
        world.label, voucher, 0, amount, world.account(by), r.Purpose.GOODS, asked
    )


def ask(world: World, voucher: bytes, amount: int, *funders: str) -> bytes:
    opened = world.ok("devices", asking(world, voucher, amount, *funders))
    return created(opened, r.Kind.FINANCING_REQUEST)


def quote(world: World, request: bytes, amount: int, **changes: object) -> c.FinancingQuote:
    given = {
        "label": world.label, "request": request, "amount": amount, "kind": r.FinancingKind.SALE,
        "rate_ppm": 43_500, "basis": 360, "advance_bps": 10_000, "lines": (),
        "registration_required": False, "valid_to": world.day + 1,
    }  # fmt: skip
    return c.FinancingQuote(**(given | changes))  # type: ignore[arg-type]  # by name


def accept(world: World, request: bytes, bank: str) -> c.FinancingAccept:
    return c.FinancingAccept(world.label, request, world.ids[bank])


# --- request ----------------------------------------------------------------------------------------


def test_a_request_locks_its_range_and_the_rest_stays_usable(world: World) -> None:
    voucher, offer = world.voucher(1_000), world.offer()
    request = ask(world, voucher, 400)
    assert world.lots(voucher) == [
        ("devices", 0, 600, "HELD"), ("devices", 600, 1_000, "FINANCING_PENDING"),
    ]  # fmt: skip
    world.refused("LOT_LOCKED", "devices", world.draw("devices", voucher, 600, 1, offer))
    second = c.FinancingRequestOpen(
        world.label, voucher, 600, 1, world.account("devices"), r.Purpose.RENT,
        (world.ids["bank-2"],),
    )  # fmt: skip
    world.refused("LOT_LOCKED", "devices", second)
    piece = c.Piece(world.ids["shop"], 1, None)
    world.refused("LOT_LOCKED", "devices", c.LotTransfer(world.label, voucher, 600, (piece,)))
    world.ok("devices", world.draw("devices", voucher, 0, 100, offer))
    for party in ("devices", "bank-2", "bank-3"):
        key = world.ids[party] + request
        assert world.state.index_scan(Index.PARTY_REQUESTS, world.ids[party], limit=2) == [key]


def test_a_request_is_the_holders_and_asks_others(world: World) -> None:
    voucher = world.voucher(1_000)
    world.refused("NOT_HOLDER", "shop", asking(world, voucher, 10, by="shop"))
    world.refused("SELF_DEALING", "devices", asking(world, voucher, 10, "bank-2", "devices"))
    world.refused("AMOUNT_RANGE", "devices", asking(world, voucher, 1_001))
    foreign = asking(world, voucher, 10, by="shop")
    world.refused("PAYEE_NOT_ALLOWED", "devices", foreign)
    wrong = c.FinancingRequestOpen(
        world.label, voucher, 0, 10, world.account("devices"), r.Purpose.RENT,
        (world.ids["bank-3"], world.ids["bank-2"]),
    )  # fmt: skip
    world.refused("SCHEMA_INVALID", "devices", wrong)


def test_a_request_lapses_after_request_expiry_days(world: World) -> None:
    voucher = world.voucher(1_000)
    request = ask(world, voucher, 400)
    lapses = world.get(r.FinancingRequest, request).lapses
    assert lapses == world.day + 3
    world.roll_to(lapses - 1)
    assert len(world.lots(voucher)) == 2
    world.roll_to(lapses)
    assert world.lots(voucher) == [("devices", 0, 1_000, "HELD")]
    world.refused("RECORD_NOT_FOUND", "bank-2", quote(world, request, 400))


def test_only_the_holder_cancels(world: World) -> None:
    voucher = world.voucher(1_000)
    request = ask(world, voucher, 400)
    cancel = c.FinancingCancel(world.label, request)
    world.refused("NOT_AUTHORISED", "bank-2", cancel)
    world.ok("devices", cancel)
    assert world.lots(voucher) == [("devices", 0, 1_000, "HELD")]
    world.refused("RECORD_NOT_FOUND", "devices", cancel)


def test_at_maturity_a_request_is_cancelled_and_the_holder_is_paid(world: World) -> None:
    voucher = world.voucher(1_000)
    maturity = world.get(r.Voucher, voucher).maturity
    world.roll_to(maturity - 1)
    request = ask(world, voucher, 400)
    world.ok("bank-2", quote(world, request, 400, valid_to=maturity + 9))
    world.roll_to(maturity)
    assert [lot[3] for lot in world.lots(voucher)] == ["HELD", "HELD"]
    assert world.state.get(r.Kind.FINANCING_REQUEST, request) is None
    starts = {
        world.get(r.Instruction, key[16:]).amount
        for key in world.state.index_scan(Index.VOUCHER_INSTRUCTIONS, voucher, limit=9)
    }
    assert starts == {600, 400}


# --- quote ------------------------------------------------------------------------------------------


def test_who_was_asked_quotes_once_and_for_what_was_asked(world: World) -> None:
    request = ask(world, world.voucher(1_000), 400)
    world.refused("NOT_AUTHORISED", "bank-4", quote(world, request, 400))
    world.refused("AMOUNT_MISMATCH", "bank-2", quote(world, request, 399))
    world.refused("DATE_RANGE", "bank-2", quote(world, request, 400, valid_to=world.day - 1))
    world.refused("TENOR_BAND", "bank-2", quote(world, request, 400, advance_bps=9_000))
    world.refused("SCHEMA_INVALID", "bank-2", quote(world, request, 400, basis=364))
    world.ok("bank-2", quote(world, request, 400))
    world.refused("STATE_CONFLICT", "bank-2", quote(world, request, 400, rate_ppm=1))


def test_the_debtor_quotes_early_payment_and_nobody_else_does(world: World) -> None:
    voucher = world.voucher(1_000)
    request = ask(world, voucher, 400, "bank-2", "core", "shop")
    early = r.FinancingKind.EARLY_PAY
    world.refused("NOT_LICENSED", "core", quote(world, request, 400))
    world.refused("OFFER_SCOPE", "bank-2", quote(world, request, 400, kind=early))
    world.refused("NOT_LICENSED", "shop", quote(world, request, 400))
    world.ok("core", quote(world, request, 400, kind=early, rate_ppm=0))
    drawn = world.ok("devices", accept(world, request, "core"))
    world.pay_out("bank-1", drawn, 400)
    assert world.lots(voucher)[1] == ("devices", 600, 1_000, "REDEEMED")


# --- accept -----------------------------------------------------------------------------------------


def test_an_accepted_quote_is_priced_half_up_and_paid_out_like_a_draw(world: World) -> None:
    """§11: ¥100.00 at 4.35 % for 90 days on 360 is 108 fen by floor and 109 half-up."""
    voucher = world.voucher(10_000)
    line = world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-2", "core", 10_000)
    world.roll_to(world.get(r.Voucher, voucher).maturity - 90)
    request = ask(world, voucher, 10_000)
    world.ok("bank-2", quote(world, request, 10_000, lines=EXPOSURE))
    world.ok("bank-3", quote(world, request, 10_000, rate_ppm=90_000))
    drawn = world.ok("devices", accept(world, request, "bank-2"))
    assert drawn.result == (109, 9_891, 43_500, 90, 0)
    assert world.get(r.CreditLine, line).reserved == 10_000
    assert world.state.get(r.Kind.FINANCING_REQUEST, request) is None
    world.pay_out("bank-2", drawn, 9_891)
    assert world.lots(voucher) == [("bank-2", 0, 10_000, "HELD")]
    assert world.get(r.CreditLine, line).used == 10_000


def test_a_quoted_draw_that_fails_gives_the_range_and_the_line_back(world: World) -> None:
    voucher = world.voucher(1_000)
    line = world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-2", "core", 1_000)
    request = ask(world, voucher, 400)
    world.ok("bank-2", quote(world, request, 400, lines=EXPOSURE))
    drawn = world.ok("devices", accept(world, request, "bank-2"))
    world.ok("bank-2", c.PayoutFail(world.label, created(drawn, r.Kind.INSTRUCTION)))
    assert world.lots(voucher) == [("devices", 0, 1_000, "HELD")]
    assert world.get(r.CreditLine, line).reserved == 0


def test_a_quoted_loan_pays_the_advance_and_is_repaid(world: World) -> None:
    voucher = world.voucher(1_000)
    request = ask(world, voucher, 1_000)
    loan = {"kind": r.FinancingKind.LOAN_PLEDGE, "advance_bps": 8_000, "rate_ppm": 0}
    world.ok("bank-2", quote(world, request, 1_000, **loan))
    drawn = world.ok("devices", accept(world, request, "bank-2"))
    world.pay_out("bank-2", drawn, 800)
    assert world.lots(voucher) == [("devices", 0, 1_000, "PLEDGED")]
    repaid = world.ok(
        "devices", c.FinancingRepay(world.label, created(drawn, r.Kind.FINANCING), 800)
    )
    world.ok("bank-2", c.RepayConfirm(world.label, repaid.created[0].id, 800, DIGEST))
    assert world.lots(voucher) == [("devices", 0, 1_000, "HELD")]


def test_QUOTE_EXPIRED_after_its_last_day(world: World) -> None:
    voucher = world.voucher(1_000)
    request = ask(world, voucher, 400)
    world.ok("bank-2", quote(world, request, 400, valid_to=world.day))
    world.ok("bank-3", quote(world, request, 400, valid_to=world.day + 1))
    world.roll_to(world.day + 1)
    world.refused("QUOTE_EXPIRED", "devices", accept(world, request, "bank-2"))
    world.ok("devices", accept(world, request, "bank-3"))


def test_accept_is_the_holders_and_checks_again_what_a_draw_checks(world: World) -> None:
    voucher = world.voucher(1_000)
    request = ask(world, voucher, 400, "bank-2", "bank-3", "bank-4")
    world.ok("bank-2", quote(world, request, 400, lines=EXPOSURE))
    world.ok("bank-3", quote(world, request, 400, rate_ppm=10_000_000))
    world.refused("NOT_AUTHORISED", "shop", accept(world, request, "bank-2"))
    world.refused("RECORD_NOT_FOUND", "devices", accept(world, request, "bank-4"))
    world.refused("LINE_EXCEEDED", "devices", accept(world, request, "bank-2"))
    world.refused("NET_NOT_POSITIVE", "devices", accept(world, request, "bank-3"))
    world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-2", "core", 400)
    world.ok("devices", accept(world, request, "bank-2"))


def test_a_quote_may_ask_for_registration(world: World) -> None:
    request = ask(world, world.voucher(1_000), 400)
    world.ok("bank-2", quote(world, request, 400, registration_required=True))
    drawn = world.ok("devices", accept(world, request, "bank-2"))
    confirm = c.PayoutConfirm(
        world.label, created(drawn, r.Kind.INSTRUCTION), drawn.result[1], DIGEST
    )
    world.refused("REGISTRATION_REQUIRED", "bank-2", confirm)


# --- an offer that is not automatic -------------------------------------------------------------------


def test_a_draw_on_an_offer_that_is_not_automatic_becomes_a_request_to_that_bank(
    world: World,
) -> None:
    voucher, offer = world.voucher(1_000), world.offer(automatic=False)
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 400, offer))
    assert drawn.result == ()
    request = created(drawn, r.Kind.FINANCING_REQUEST)
    assert world.get(r.FinancingRequest, request).funders == (world.ids["bank-2"],)
    assert world.get(r.Offer, offer).used == 0
    world.ok("bank-2", quote(world, request, 400))
    world.pay_out("bank-2", accepted := world.ok("devices", accept(world, request, "bank-2")),
                  accepted.result[1])  # fmt: skip
    assert world.lots(voucher)[1] == ("bank-2", 600, 1_000, "HELD")


def test_a_batch_on_an_offer_that_is_not_automatic_is_one_request_with_its_purposes(
    world: World,
) -> None:
    voucher, offer = world.voucher(1_000), world.offer(automatic=False)
    draws = (c.BatchDraw(30, r.Purpose.RENT), c.BatchDraw(50, r.Purpose.TAX))
    batch = c.FinancingDrawBatch(world.label, offer, voucher, 0, draws, world.account("devices"))
    request = created(world.ok("devices", batch), r.Kind.FINANCING_REQUEST)
    world.ok("bank-2", quote(world, request, 80))
    drawn = world.ok("devices", accept(world, request, "bank-2"))
    financing = world.get(r.Financing, created(drawn, r.Kind.FINANCING))
    assert financing.purposes == (
        r.PurposeAmount(r.Purpose.RENT, 30), r.PurposeAmount(r.Purpose.TAX, 50),
    )  # fmt: skip


def test_an_offer_that_is_not_automatic_still_keeps_its_limits(world: World) -> None:
    voucher, offer = world.voucher(1_000), world.offer(automatic=False, draw_max=100)
    world.refused("OFFER_CAP", "devices", world.draw("devices", voucher, 0, 101, offer))
