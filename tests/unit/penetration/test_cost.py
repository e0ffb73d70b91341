"""What a question reads depends on its answer, never on the size of the state. Reads are counted, not timed:
records and index entries that the node takes from its state."""

from __future__ import annotations

import pytest

from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.penetration import Chain, Down, Idle, Impact, Positions, Question, Up
from tallynet.penetration.questions import READS_PER_PAGE, ROWS_PER_PAGE
from tests.unit.penetration.ledgers import Ledger


def reads(world: Ledger, by: str, question: Question) -> tuple[int, int]:
    """(rows, reads) of a whole answer."""
    rows = total = 0
    after: bytes | None = b""
    while after is not None:
        page, read = world.page(by, question, after)
        rows, total, after = rows + len(page.rows), total + read, page.after
    return rows, total


def crowd(world: Ledger, count: int) -> None:
    """Business of others: rival's vouchers, held by paint, with loans and guarantees."""
    for _ in range(count):
        voucher = world.paper("rival", "paint", 1_000)
        world.pass_on("paint", voucher, 0, 300, "steel")
        world.borrow("paint", voucher, 0, 100)
        world.guarantee(r.GuaranteeScope.DEBTOR, world.ids["rival"], 10)


def questions(world: Ledger) -> list[tuple[str, Question]]:
    core, devices = world.ids["core"], world.ids["devices"]
    return [
        ("devices", Up(world.vouchers[0], 0)),
        ("watch", Down(world.vouchers[0])),
        ("devices", Positions(devices)),
        ("devices", Idle(devices, 0)),
        ("watch", Impact(core)),
        ("watch", Chain(core)),
    ]


def test_the_business_of_others_costs_nothing() -> None:
    world = Ledger()
    for _ in range(3):
        voucher = world.paper("core", "devices", 1_000)
        world.pass_on("devices", voucher, 0, 300, "shop")
    world.guarantee(r.GuaranteeScope.DEBTOR, world.ids["core"], 10)
    before = [reads(world, by, question) for by, question in questions(world)]
    crowd(world, 25)
    assert [reads(world, by, question) for by, question in questions(world)] == before


def test_settled_business_costs_nothing() -> None:
    """What was paid stays in the state as history."""
    world = Ledger()
    old = [world.paper("core", "devices", 1_000, tenor=1) for _ in range(6)]
    world.paper("core", "devices", 1_000)
    before = [reads(world, by, question)[1] for by, question in questions(world)[2:]]
    world.roll_to(world.day + 1)
    for number, voucher in enumerate(old):
        receipt = bytes([number]) * 32
        world.ok("bank-1", c.FundsReceived(world.label, voucher, 1_000, 0, receipt))
        (key,) = world.state.index_scan(Index.VOUCHER_INSTRUCTIONS, voucher, limit=9)
        paid = c.SettlementPaid(world.label, key[16:], 1_000, bytes([100 + number]) * 32)
        world.ok("bank-1", paid)
    after = [reads(world, by, question)[1] for by, question in questions(world)[2:]]
    for one, other in zip(before, after, strict=True):
        assert other < one / 2, "seven open vouchers became one"


@pytest.mark.parametrize("count", [5, 20])
def test_reads_grow_with_the_answer_alone(count: int) -> None:
    world = Ledger()
    crowd(world, 5)
    costs = []
    for size in (count, 2 * count):
        while (
            len([v for v in world.vouchers if world.get(r.Voucher, v).debtor == world.ids["core"]])
            < size
        ):
            world.paper("core", "devices", 1_000)
        costs.append([reads(world, by, question) for by, question in questions(world)[2:]])
    for (rows, few), (more_rows, many) in zip(*costs, strict=True):
        assert more_rows == 2 * rows
        assert many <= 2 * few + 10
        assert few <= 12 * rows + 20, "so many reads for a row, who may see it included"


def test_a_page_is_bounded() -> None:
    world = Ledger()
    for _ in range(ROWS_PER_PAGE + 5):
        world.paper("core", "devices", 1_000)
    pages = world.pages("devices", Positions(world.ids["devices"]))
    assert len(pages) == 2
    assert max(len(page.rows) for page in pages) <= ROWS_PER_PAGE
    assert sum(len(page.rows) for page in pages) == ROWS_PER_PAGE + 5
    voucher = world.paper("core", "devices", 10_000)
    for number in range(READS_PER_PAGE + 20):
        world.pass_on("devices", voucher, 0, 1, ("shop", "paint")[number % 2])
    sizes = [len(page.rows) for page in world.pages("watch", Down(voucher))]
    assert sum(sizes) == READS_PER_PAGE + 21
    assert max(sizes) <= READS_PER_PAGE
