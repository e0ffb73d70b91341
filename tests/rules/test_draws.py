"""Draws: the choice of AUTO, batches, controlled payees, registration (voucher law §8.7, §11, §17)."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from law_world import DIGEST, World

from tallynet import commands as c
from tallynet import records as r
from tallynet.fields import from_wide
from tallynet.hashing import record_id
from tallynet.receipts import CommandReceipt

EXPOSURE = (r.LineKind.DEBTOR_EXPOSURE,)
FREE = (r.RateBand(365, 0, 10_000),)
LARGE = 1_000_000_000
"""`controlled_payment_min`: ten million yuan."""


@pytest.fixture
def world() -> World:
    made = World(audited=True)
    made.core_and_suppliers()
    return made


def created(receipt: CommandReceipt, kind: r.Kind) -> bytes:
    return next(item.id for item in receipt.created if item.kind == kind)


def funder_of(world: World, drawn: CommandReceipt) -> str:
    funder = world.get(r.Financing, created(drawn, r.Kind.FINANCING)).funder
    return next(name for name, id in world.ids.items() if id == funder)


def confirmation(world: World, drawn: CommandReceipt) -> c.PayoutConfirm:
    receipt = sha256(b"receipt" + world.label).digest()
    return c.PayoutConfirm(
        world.label, created(drawn, r.Kind.INSTRUCTION), drawn.result[1], receipt
    )


# --- AUTO (C16) -------------------------------------------------------------------------------------


def test_C16_the_core_pays_early_until_its_money_is_used_then_the_bank_with_room(
    world: World,
) -> None:
    """Scenario B of §19: the core's pool first; bank 2's line is too small; bank 3 takes over."""
    pool = world.offer(
        "core", kind=r.FinancingKind.EARLY_PAY, grid=FREE, draw_max=200, total_cap=200
    )
    cut = world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-2", "core", 99)
    room = world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-3", "core", 1_000)
    first = world.offer("bank-2", lines_required=EXPOSURE)
    second = world.offer("bank-3", lines_required=EXPOSURE)
    voucher = world.voucher(1_000, funding_order=(pool, first, second))
    funders = []
    for _ in range(4):
        drawn = world.ok("devices", world.draw("devices", voucher, 0, 100, None))
        funders.append(funder_of(world, drawn))
    assert funders == ["core", "core", "bank-3", "bank-3"]
    assert world.get(r.CreditLine, cut).reserved == 0
    assert world.get(r.CreditLine, room).reserved == 200


def test_AUTO_hands_over_to_the_next_cheapest_bank_when_a_line_is_full(world: World) -> None:
    world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-2", "core", 100)
    world.offer("bank-2", grid=(r.RateBand(365, 10_000, 10_000),), lines_required=EXPOSURE)
    world.offer("bank-3", grid=(r.RateBand(365, 20_000, 10_000),))
    voucher = world.voucher(1_000)
    rates = [
        world.ok("devices", world.draw("devices", voucher, 0, 60, None)).result[2] for _ in range(2)
    ]
    assert rates == [10_000, 20_000]


def test_AUTO_compares_the_rate_of_the_draws_own_tenor(world: World) -> None:
    """A grid that is cheap for thirty days only does not win a draw of ninety."""
    teaser = (r.RateBand(30, 5_000, 10_000), r.RateBand(365, 60_000, 10_000))
    world.offer("bank-2", grid=teaser)
    world.offer("bank-3", grid=(r.RateBand(365, 40_000, 10_000),))
    drawn = world.ok("devices", world.draw("devices", world.voucher(1_000), 0, 100, None))
    assert drawn.result[2] == 40_000


def test_AUTO_gives_the_last_refusal_when_nobody_can_pay(world: World) -> None:
    voucher = world.voucher(1_000)
    world.refused("NO_OFFER", "devices", world.draw("devices", voucher, 0, 100, None))
    world.offer("bank-2", draw_max=50)
    world.refused("OFFER_CAP", "devices", world.draw("devices", voucher, 0, 100, None))


def test_AUTO_passes_over_an_offer_that_is_not_automatic(world: World) -> None:
    manual = world.offer("bank-2", grid=(r.RateBand(365, 10_000, 10_000),), automatic=False)
    voucher = world.voucher(1_000, funding_order=(manual,))
    world.refused("NO_OFFER", "devices", world.draw("devices", voucher, 0, 100, None))
    world.offer("bank-3")
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 100, None))
    assert funder_of(world, drawn) == "bank-3"
    world.ok("bank-2", c.OfferRevoke(world.label, manual))


# --- batches ----------------------------------------------------------------------------------------


def batch(
    world: World, voucher: bytes, offer: bytes, *draws: tuple[int, r.Purpose], start: int = 0
) -> c.FinancingDrawBatch:
    wanted = tuple(c.BatchDraw(amount, purpose) for amount, purpose in draws)
    return c.FinancingDrawBatch(
        world.label, offer, voucher, start, wanted, world.account("devices")
    )


def test_a_batch_is_one_carve_one_financing_one_instruction(world: World) -> None:
    voucher, offer = world.voucher(10_000), world.offer()
    draws = ((100, r.Purpose.RENT), (200, r.Purpose.PAYROLL), (50, r.Purpose.RENT))
    drawn = world.ok("devices", batch(world, voucher, offer, *draws))
    assert [item.kind for item in drawn.created] == [r.Kind.FINANCING, r.Kind.INSTRUCTION]
    financing = world.get(r.Financing, created(drawn, r.Kind.FINANCING))
    assert financing.purposes == (
        r.PurposeAmount(r.Purpose.PAYROLL, 200),
        r.PurposeAmount(r.Purpose.RENT, 150),
    )
    assert world.lots(voucher)[1] == ("devices", 9_650, 10_000, "FINANCING_PENDING")
    world.pay_out("bank-2", drawn, drawn.result[1])
    assert world.lots(voucher)[1] == ("bank-2", 9_650, 10_000, "HELD")


def test_I16_a_batch_costs_to_the_fen_what_its_draws_would_cost_one_by_one(world: World) -> None:
    """And leaves the same remainder: splitting pays nothing (§11)."""
    one_by_one, at_once = world.voucher(10_000), world.voucher(10_000)
    offers = world.offer("bank-2"), world.offer("bank-3")
    discounts = [
        world.ok("devices", world.draw("devices", one_by_one, 0, 100, offers[0])).result[0]
        for _ in range(20)
    ]
    draws = [(100, r.Purpose.PAYROLL)] * 20
    together = world.ok("devices", batch(world, at_once, offers[1], *draws))
    assert together.result[0] == sum(discounts)
    kept = [
        from_wide(
            world.get(
                r.Remainder,
                record_id(
                    r.Kind.REMAINDER, world.ids[bank] + world.ids["devices"],
                    b"CNY" + (360).to_bytes(2, "big"),
                ),
            ).value
        )
        for bank in ("bank-2", "bank-3")
    ]  # fmt: skip
    assert kept[0] == kept[1]


def test_BATCH_LIMIT_at_most_two_hundred_draws(world: World) -> None:
    voucher, offer = world.voucher(10_000), world.offer()
    one = (1, r.Purpose.PAYROLL)
    world.refused("BATCH_LIMIT", "devices", batch(world, voucher, offer, *[one] * 201))
    world.ok("devices", batch(world, voucher, offer, *[one] * 200))


def test_every_draw_of_a_batch_keeps_the_offers_limits(world: World) -> None:
    voucher = world.voucher(10_000)
    offer = world.offer(draw_min=10, draw_max=100, total_cap=250)
    refused = lambda code, *amounts: world.refused(  # noqa: E731
        code, "devices", batch(world, voucher, offer, *[(n, r.Purpose.TAX) for n in amounts])
    )
    refused("OFFER_CAP", 9, 50)
    refused("OFFER_CAP", 50, 101)
    refused("OFFER_CAP", 100, 100, 51)
    refused("AMOUNT_RANGE", 50, 0)


def test_a_failed_batch_gives_everything_back(world: World) -> None:
    voucher, offer = world.voucher(10_000), world.offer()
    before = world.lots(voucher), world.get(r.Offer, offer)
    drawn = world.ok("devices", batch(world, voucher, offer, (70, r.Purpose.RENT)))
    world.ok("bank-2", c.PayoutFail(world.label, created(drawn, r.Kind.INSTRUCTION)))
    assert (world.lots(voucher), world.get(r.Offer, offer)) == before


# --- payee ------------------------------------------------------------------------------------------


def test_PAYEE_NOT_ALLOWED_a_large_draw_is_paid_to_a_controlled_payee(world: World) -> None:
    """C19: from `controlled_payment_min` on the bank pays whom the drawer pays, not the drawer; below it,
    nobody but the drawer."""
    voucher, offer = world.voucher(2 * LARGE), world.offer()
    own = world.draw("devices", voucher, 0, LARGE, offer)
    world.refused("PAYEE_NOT_ALLOWED", "devices", own)
    world.join("maker", r.OrganisationKind.SUPPLIER, bank="bank-3")
    named = c.FinancingDraw(
        world.label, offer, voucher, 0, LARGE, world.account("maker"), r.Purpose.GOODS
    )
    drawn = world.ok("devices", named)
    instruction = world.get(r.Instruction, created(drawn, r.Kind.INSTRUCTION))
    assert (instruction.payee, instruction.account) == (world.ids["maker"], world.account("maker"))
    small = c.FinancingDraw(
        world.label, offer, voucher, 0, LARGE - 1, world.account("maker"), r.Purpose.GOODS
    )
    world.refused("PAYEE_NOT_ALLOWED", "devices", small)


# --- registration -------------------------------------------------------------------------------------


def registered(world: World, drawn: CommandReceipt, expiry: int) -> c.RegistrationRecord:
    financing = created(drawn, r.Kind.FINANCING)
    return c.RegistrationRecord(world.label, financing, DIGEST, world.day, expiry)


def test_REGISTRATION_REQUIRED_no_payout_before_the_funder_has_recorded_one(world: World) -> None:
    voucher, offer = world.voucher(1_000), world.offer(registration_required=True)
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 500, offer))
    world.refused("REGISTRATION_REQUIRED", "bank-2", confirmation(world, drawn))
    entry = registered(world, drawn, world.day + 365)
    world.refused("NOT_AUTHORISED", "bank-3", entry)
    world.ok("bank-2", entry)
    world.ok("bank-2", confirmation(world, drawn))
    assert world.lots(voucher)[1] == ("bank-2", 500, 1_000, "HELD")


def test_a_registration_that_expired_before_the_payout_does_not_count(world: World) -> None:
    voucher, offer = world.voucher(1_000), world.offer(registration_required=True)
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 500, offer))
    world.refused("DATE_RANGE", "bank-2", registered(world, drawn, world.day - 1))
    world.ok("bank-2", registered(world, drawn, world.day))
    network = world.get(r.Network, r.NETWORK_ID)
    world.block(seconds=network.next_roll - world.time)
    world.refused("REGISTRATION_REQUIRED", "bank-2", confirmation(world, drawn))
    world.ok("bank-2", registered(world, drawn, world.day + 365))
    world.ok("bank-2", confirmation(world, drawn))
