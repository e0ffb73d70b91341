"""The figures of docs/concepts/goods.md: one order, shipped, one that is not, one that is bought back."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from law_world import PEOPLE
from test_goods import LENT, Stored, refunds

from node.ledger.margin import buyback_id, margin_id
from tallynet import commands as c
from tallynet import records as r
from tallynet.hashing import record_id
from tools.arguments import parse_day


@pytest.fixture
def world() -> Stored:
    """A rate of 4 % and an oracle beside what `test_goods` starts with."""
    made = Stored()
    made.people["board"] = tuple(PEOPLE)
    made.admit("board", r.OrganisationKind.ORACLE)
    made.ok("retail", made.requesting())
    made.pay_out("bank-2", made.ok("bank-2", made.funding(rate_ppm=40_000)), LENT)
    return made


def owed(world: Stored) -> int:
    loan = world.get(r.Financing, world.loan)
    return loan.principal - loan.repaid


def test_goods_are_released_as_the_loan_is_repaid(world: Stored) -> None:
    def price(fen: int) -> c.WarehouseReceiptPrice:
        return c.WarehouseReceiptPrice(world.label, world.goods, fen)

    world.roll_to(parse_day("2027-03-08"))
    world.refused("LOAN_TO_VALUE", "distillery", world.shipping(1_984))
    world.ok("distillery", world.shipping(2_000))
    assert world.ranges(world.goods) == (2_000, 2_000, 2_000)
    world.refused("RECEIPT_PLEDGED", "store", world.deliver(1))
    world.roll_to(parse_day("2027-03-31"))
    world.repay(40_333_333)
    assert owed(world) == 60_000_000
    world.refused("QUANTITY_EXCEEDED", "bank-2", world.release(801))
    world.ok("board", price(70_000))
    world.refused("LOAN_TO_VALUE", "bank-2", world.release(776))
    world.ok("bank-2", world.release(775))
    assert world.ranges(world.goods) == (1_225, 2_000, 2_000)
    world.refused("RECEIPT_PLEDGED", "store", world.deliver(776))
    world.ok("store", world.deliver(500))
    assert world.ranges(world.goods) == (1_225, 1_500, 2_000)
    part = world.ok("retail", c.WarehouseReceiptSplit(b"part", world.goods, 200)).created[0].id
    passing = c.WarehouseReceiptTransfer(world.label, part, world.ids["distillery"])
    world.ok("retail", passing)
    assert (world.ranges(world.goods), world.ranges(part)) == (
        (1_225, 1_300, 1_800), (0, 200, 200)
    )  # fmt: skip
    world.ok("board", price(75_000))
    world.ok("bank-2", world.release(25))
    world.refused("QUANTITY_EXCEEDED", "bank-2", world.release(1))
    world.roll_to(parse_day("2027-04-30"))
    world.repay(60_200_000)
    world.ok("bank-2", world.release(1_200))
    assert world.ranges(world.goods) == (0, 1_300, 1_800)
    assert world.get(r.WarehouseReceipt, world.goods).pledgee is None
    assert world.state.get(r.Kind.FINANCING, world.loan) is None
    assert world.used() == (0, 0)


def test_goods_that_are_not_shipped_are_refunded(world: Stored) -> None:
    assert world.ship_by == parse_day("2027-03-11")
    world.roll_to(world.ship_by)
    assert refunds(world) == []
    world.roll_to(parse_day("2027-03-12"))
    assert refunds(world) == [(world.ids["distillery"], world.ids["bank-2"], LENT)]
    world.refused("RECORD_NOT_FOUND", "distillery", world.shipping())
    refund = record_id(r.Kind.INSTRUCTION, world.loan, b"refund")
    world.ok("bank-2", c.InstructionConfirm(world.label, refund, LENT, bytes(32)))
    assert owed(world) == 122_222


def test_goods_that_carry_too_little_are_bought_back(world: Stored) -> None:
    def short() -> tuple[int, int | None]:
        margin = world.get(r.Margin, margin_id(world.loan))
        return margin.shortfall, margin.deadline

    world.roll_to(parse_day("2027-03-08"))
    world.ok("distillery", world.shipping(2_000))
    world.roll_to(parse_day("2027-03-15"))
    call = c.MarginCall(world.label, world.loan)
    world.refused("LOAN_TO_VALUE", "bank-2", call)
    world.ok("board", c.WarehouseReceiptPrice(world.label, world.goods, 60_000))
    assert short() == (16_000_000, None)
    world.ok("bank-2", call)
    deadline = parse_day("2027-03-20")
    assert short() == (16_000_000, deadline)
    world.roll_to(parse_day("2027-03-18"))
    issued = world.ok("store", world.issuing(quantity=200, unit_value=60_000))
    more = issued.created[0].id
    world.ok("retail", c.WarehouseReceiptPledge(world.label, more, world.loan, 7_000))
    assert short() == (7_600_000, deadline)
    world.roll_to(parse_day("2027-03-19"))
    world.repay(5_000_000)
    assert short() == (2_800_000, deadline)
    world.roll_to(parse_day("2027-03-21"))
    order = buyback_id(world.loan)
    assert world.get(r.Instruction, order).amount == 95_221_156
    world.roll_to(parse_day("2027-03-24"))
    paid = c.BuybackConfirm(world.label, order, 95_221_156, bytes(32))
    world.ok("bank-2", paid)
    assert world.get(r.WarehouseReceipt, world.goods).owner == world.ids["distillery"]
    assert world.ranges(world.goods) == (0, 2_000, 2_000)
    assert owed(world) == 31_733
    world.refused("QUANTITY_EXCEEDED", "bank-2", world.release(200, more))
    world.ok("bank-2", world.release(199, more))
