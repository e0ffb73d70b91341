"""Fund pools and offers that they pay for (voucher law §8.3, §8.7; C16, C34), with every refusal."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from followed_world import FollowedWorld as World
from law_world import DIGEST

from node.ledger.pools import pool_id
from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.receipts import CommandReceipt

EARLY, ENTRUSTED = r.PoolKind.EARLY_PAY, r.PoolKind.ENTRUSTED_LOAN
PLEDGE = r.FinancingKind.LOAN_PLEDGE
FREE = (r.RateBand(365, 0, 10_000),)


@pytest.fixture
def world() -> World:
    made = World()
    made.core_and_suppliers()
    made.join("distillery", r.OrganisationKind.CORE, r.Size.LARGE)
    return made


def commitment(
    world: World, amount: int, kind: r.PoolKind = EARLY, funder: str = "core", agent: str = "bank-4"
) -> c.FundCommit:
    ids = world.ids
    return c.FundCommit(world.label, ids[funder], ids[agent], kind, "CNY", amount, DIGEST)


def pool(
    world: World, amount: int, kind: r.PoolKind = EARLY, funder: str = "core", agent: str = "bank-4"
) -> bytes:
    command = commitment(world, amount, kind, funder, agent)
    assert world.ok(funder, command).result == (1, 2)
    world.ok(agent, command)
    return pool_id(world.ids[funder], world.ids[agent], kind, "CNY")


def numbers(world: World, id: bytes) -> tuple[int, int, int]:
    """Committed, reserved, drawn."""
    found = world.get(r.FundPool, id)
    return found.committed, found.reserved, found.drawn


def early_offer(world: World, source: bytes) -> bytes:
    return world.offer("core", kind=r.FinancingKind.EARLY_PAY, grid=FREE, source=source)


def entrusted_offer(world: World, source: bytes) -> bytes:
    band = (r.RateBand(365, 34_500, 8_000),)
    return world.offer("distillery", kind=PLEDGE, grid=band, source=source)


def created(receipt: CommandReceipt, kind: r.Kind) -> bytes:
    return next(x.id for x in receipt.created if x.kind == kind)


def number(world: World) -> bytes:
    return sha256(b"receipt" + world.label).digest()


# --- fund.commit and fund.withdraw ------------------------------------------------------------------


def test_funder_and_agent_bank_commit_together_and_add_to_one_pool(world: World) -> None:
    id = pool(world, 1_000)
    assert pool(world, 500) == id
    assert numbers(world, id) == (1_500, 0, 0)
    world.refused("NOT_AUTHORISED", "bank-1", commitment(world, 1))


@pytest.mark.parametrize(
    ("code", "kind", "funder", "agent", "amount"),
    [
        ("NOT_LICENSED", EARLY, "devices", "bank-4", 1),
        ("NOT_LICENSED", ENTRUSTED, "bank-3", "bank-4", 1),
        ("NOT_LICENSED", ENTRUSTED, "distillery", "core", 1),
        ("AMOUNT_RANGE", EARLY, "core", "bank-4", 0),
        ("SELF_DEALING", ENTRUSTED, "bank-4", "bank-4", 1),
    ],
)
def test_who_may_fund_what(
    world: World, code: str, kind: r.PoolKind, funder: str, agent: str, amount: int
) -> None:
    command = commitment(world, amount, kind, funder, agent)
    if funder != agent:
        world.ok(funder, command)
    world.refused(code, agent, command)


def test_the_operator_can_never_fund(world: World) -> None:
    world.admit("operator", r.OrganisationKind.OPERATOR)
    command = commitment(world, 1, ENTRUSTED, "operator")
    world.ok("operator", command)
    world.refused("NOT_LICENSED", "bank-4", command)


def test_only_what_is_not_promised_is_withdrawn_FUND_INSUFFICIENT(world: World) -> None:
    id = pool(world, 1_000)
    voucher, offer = world.voucher(10_000), early_offer(world, id)
    world.pay_out("bank-4", world.ok("devices", world.draw("devices", voucher, 0, 300, offer)), 300)
    world.ok("devices", world.draw("devices", voucher, 0, 200, offer))
    assert numbers(world, id) == (1_000, 200, 300)
    too_much, rest = (c.FundWithdraw(world.label, id, amount) for amount in (501, 500))
    world.ok("core", too_much)
    world.refused("FUND_INSUFFICIENT", "bank-4", too_much)
    world.ok("bank-4", rest)
    world.refused("NOT_AUTHORISED", "bank-1", rest)
    world.ok("core", rest)
    assert numbers(world, id) == (500, 200, 300)


# --- offers of a pool -------------------------------------------------------------------------------


def offer_of(world: World, source: bytes, **changes: object) -> c.OfferCreate:
    given = {
        "label": world.label, "kind": PLEDGE, "currency": "CNY", "debtors": (), "programmes": (),
        "grid": FREE, "basis": 360, "draw_min": 1, "draw_max": 10**9, "organisation_cap": 0,
        "total_cap": 10**9, "valid_from": world.day, "valid_to": world.day + 300,
        "lines_required": (), "registration_required": False, "automatic": True,
        "stop_on_flow_collapse": False, "source": source,
    }  # fmt: skip
    return c.OfferCreate(**(given | changes))  # type: ignore[arg-type]  # by name


def test_a_pool_pays_only_for_what_it_is_meant(world: World) -> None:
    entrusted, early = pool(world, 9, ENTRUSTED, "distillery"), pool(world, 9)
    sale = offer_of(world, entrusted, kind=r.FinancingKind.SALE)
    world.refused("NOT_LICENSED", "distillery", sale)
    world.refused("NOT_LICENSED", "core", offer_of(world, early))
    world.refused("NOT_AUTHORISED", "core", offer_of(world, entrusted))
    world.refused("CURRENCY_MISMATCH", "distillery", offer_of(world, entrusted, currency="EUR"))
    lines = (r.LineKind.BORROWER,)
    world.refused("LINE_KIND", "distillery", offer_of(world, entrusted, lines_required=lines))
    manual = offer_of(world, entrusted, automatic=False)
    world.refused("SCHEMA_INVALID", "distillery", manual)
    world.ok("distillery", offer_of(world, entrusted))


def test_scenario_C_the_retailers_pool_pays_early_until_it_is_empty_then_a_bank(
    world: World,
) -> None:
    id = pool(world, 150_000)
    voucher, offer = world.voucher(1_000_000), early_offer(world, id)
    for _ in range(3):
        drawn = world.ok("devices", world.draw("devices", voucher, 0, 50_000, offer))
        world.pay_out("bank-4", drawn, 50_000)
    assert numbers(world, id) == (150_000, 0, 150_000)
    more = world.draw("devices", voucher, 0, 50_000, offer)
    world.refused("FUND_INSUFFICIENT", "devices", more)
    auto = world.draw("devices", voucher, 0, 50_000, None)
    world.refused("FUND_INSUFFICIENT", "devices", auto)
    bank = world.offer()
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 50_000, None))
    assert world.get(r.Financing, created(drawn, r.Kind.FINANCING)).offer == bank
    assert world.lots(voucher)[-1] == ("devices", 850_000, 1_000_000, "REDEEMED")


def test_a_failed_draw_gives_the_pool_its_money_back(world: World) -> None:
    id = pool(world, 1_000)
    voucher, offer = world.voucher(10_000), early_offer(world, id)
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 300, offer))
    world.ok("bank-4", c.PayoutFail(world.label, created(drawn, r.Kind.INSTRUCTION)))
    assert numbers(world, id) == (1_000, 0, 0)


def test_an_entrusted_loan_shows_the_agent_as_lender_and_the_enterprise_as_funder(
    world: World,
) -> None:
    """Paid out by the agent bank, repaid to it; principal repaid is free again."""
    id = pool(world, 1_000_000, ENTRUSTED, "distillery")
    voucher, offer = world.voucher(1_000_000), entrusted_offer(world, id)
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 1_000_000, offer))
    deal = created(drawn, r.Kind.FINANCING)
    financing = world.get(r.Financing, deal)
    assert (financing.funder, financing.agent_bank) == (
        world.ids["distillery"],
        world.ids["bank-4"],
    )
    world.pay_out("bank-4", drawn, 800_000)
    assert numbers(world, id) == (1_000_000, 0, 800_000)
    for party in ("devices", "distillery", "bank-4"):
        key = world.ids[party] + deal
        assert world.state.index_scan(Index.PARTY_FINANCINGS, world.ids[party], limit=2) == [key]
    announced = world.ok("devices", c.FinancingRepay(world.label, deal, 800_000))
    order = created(announced, r.Kind.INSTRUCTION)
    assert world.get(r.Instruction, order).payee == world.ids["bank-4"]
    world.ok("bank-4", c.RepayConfirm(world.label, order, 800_000, number(world)))
    assert numbers(world, id) == (1_000_000, 0, 0)
    assert world.lots(voucher) == [("devices", 0, 1_000_000, "HELD")]


def test_at_maturity_a_pledged_lot_pays_the_lender_of_record(world: World) -> None:
    id = pool(world, 1_000_000, ENTRUSTED, "distillery")
    voucher, offer = world.voucher(1_000_000), entrusted_offer(world, id)
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 1_000_000, offer))
    world.pay_out("bank-4", drawn, 800_000)
    world.roll_to(world.get(r.Voucher, voucher).maturity)
    world.ok("bank-1", c.FundsReceived(world.label, voucher, 1_000_000, 0, number(world)))
    (key,) = world.state.index_scan(Index.VOUCHER_INSTRUCTIONS, voucher, limit=9)
    assert world.get(r.Instruction, key[16:]).payee == world.ids["bank-4"]
    world.ok("bank-1", c.SettlementPaid(world.label, key[16:], 1_000_000, number(world)))
    assert numbers(world, id) == (1_000_000, 0, 0)


def test_SELF_DEALING_the_agent_bank_does_not_draw_on_the_pool_it_pays_from(world: World) -> None:
    id = pool(world, 1_000_000, ENTRUSTED, "distillery")
    world.ok("bank-4", c.AccountBind(b"main", world.ids["bank-1"], DIGEST, "CNY"))
    world.ok("bank-1", c.AccountVerify(world.label, world.account("bank-4")))
    voucher, offer = world.voucher(1_000), entrusted_offer(world, id)
    sold = world.ok("devices", world.draw("devices", voucher, 0, 1_000, world.offer("bank-4")))
    world.pay_out("bank-4", sold, sold.result[1])
    world.refused("SELF_DEALING", "bank-4", world.draw("bank-4", voucher, 0, 1_000, offer))


# --- loans of a pool that go wrong ------------------------------------------------------------------


def lent(world: World, kind: r.FinancingKind) -> tuple[bytes, bytes, bytes]:
    """Pool, voucher, and an entrusted loan of 800,000 on the whole of it, paid out."""
    id = pool(world, 1_000_000, ENTRUSTED, "distillery")
    voucher = world.voucher(1_000_000)
    band = (r.RateBand(365, 0, 8_000),)
    offer = world.offer("distillery", kind=kind, grid=band, source=id)
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 1_000_000, offer))
    world.pay_out("bank-4", drawn, 800_000)
    return id, voucher, created(drawn, r.Kind.FINANCING)


def test_the_lender_of_record_claims_and_what_it_is_paid_is_the_pools(world: World) -> None:
    id, voucher, loan = lent(world, r.FinancingKind.LOAN_RECOURSE)
    world.roll_to(world.get(r.Voucher, voucher).grace_end + 1)
    world.refused("NOT_AUTHORISED", "distillery", c.RecourseClaim(world.label, loan, None))
    world.ok("bank-4", c.RecourseClaim(world.label, loan, None))
    announced = world.ok("devices", c.RecourseRepurchase(world.label, loan))
    order = created(announced, r.Kind.INSTRUCTION)
    assert world.get(r.Instruction, order).payee == world.ids["bank-4"]
    world.ok("bank-4", c.RepayConfirm(world.label, order, 800_000, number(world)))
    assert numbers(world, id) == (1_000_000, 0, 0)
    assert world.lots(voucher) == [("devices", 0, 1_000_000, "HELD")]


def test_the_lender_of_record_takes_the_range_over_and_the_pool_gets_what_it_brings(
    world: World,
) -> None:
    id, voucher, loan = lent(world, PLEDGE)
    world.roll_to(world.get(r.Voucher, voucher).grace_end + 1)
    world.refused("NOT_AUTHORISED", "distillery", c.FinancingEnforce(world.label, loan))
    world.ok("bank-4", c.FinancingEnforce(world.label, loan))
    assert world.lots(voucher) == [("bank-4", 0, 1_000_000, "HELD")]
    world.ok("bank-1", c.FundsReceived(world.label, voucher, 500_000, 0, number(world)))
    (key,) = world.state.index_scan(Index.VOUCHER_INSTRUCTIONS, voucher, limit=9)
    assert world.get(r.Instruction, key[16:]).payee == world.ids["bank-4"]
    world.ok("bank-1", c.SettlementPaid(world.label, key[16:], 500_000, number(world)))
    assert numbers(world, id) == (1_000_000, 0, 300_000)


def test_the_lender_of_record_calls_a_guarantee_of_the_pledged_range(world: World) -> None:
    id, voucher, _ = lent(world, PLEDGE)
    world.admit("guarantor", r.OrganisationKind.GUARANTOR)
    issue = c.GuaranteeIssue(
        b"g", world.ids["bank-3"], None, r.GuaranteeScope.VOUCHER, voucher, "CNY", 1_000_000, 0,
        world.day + 900,
    )  # fmt: skip
    guarantee = world.ok("guarantor", issue).created[0].id
    world.roll_to(world.get(r.Voucher, voucher).grace_end + 1)
    call = c.GuaranteeCall(world.label, guarantee, voucher, 0, 1_000_000)
    world.refused("NOT_HOLDER", "distillery", call)
    world.ok("bank-4", call)
    paid = c.GuaranteePayConfirm(world.label, voucher, 0, 1_000_000, number(world))
    world.ok("bank-3", paid)
    assert numbers(world, id) == (1_000_000, 0, 0)


def test_goods_beside_an_entrusted_loan_are_pledged_to_the_lender_of_record(world: World) -> None:
    _, _, loan = lent(world, PLEDGE)
    world.admit("store", r.OrganisationKind.WAREHOUSE)
    issue = c.WarehouseReceiptIssue(
        b"r", world.ids["devices"], "spirit", "case", "hall 1", "CNY", 100, 72_000
    )
    receipt = world.ok("store", issue).created[0].id
    world.ok("devices", c.WarehouseReceiptPledge(world.label, receipt, loan, 7_000))
    assert world.get(r.WarehouseReceipt, receipt).pledgee == world.ids["bank-4"]
