"""Seasonal windows and allocations of lines (voucher law §8.3, §15; C14, C36)."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from followed_world import FollowedWorld as World

from node.ledger.lines import line_id
from tallynet import commands as c
from tallynet import records as r
from tallynet.fields import UINT_MAX
from tallynet.hashing import record_id

ISSUE = r.LineKind.ISSUE


@pytest.fixture
def world() -> World:
    made = World()
    made.core_and_suppliers()
    return made


# --- seasonal windows -------------------------------------------------------------------------------


def seasonal_line(world: World, *windows: r.SeasonalWindow) -> bytes:
    """An ISSUE line of 1,000 with these windows."""
    grant = c.LineGrant(
        world.label, ISSUE, world.ids["core"], "CNY", 1_000, world.day, world.day + 900, windows
    )
    return world.ok("bank-1", grant).created[0].id


def issued(world: World, face: int, line: bytes) -> c.VoucherIssue:
    return world.issue(face, world.document(face), world.programme(), line)


def test_a_window_adds_to_the_limit_inside_its_dates(world: World) -> None:
    line = seasonal_line(world, r.SeasonalWindow(world.day + 2, world.day + 3, 500))
    world.refused("LINE_EXCEEDED", "core", issued(world, 1_001, line))
    world.roll_to(world.day + 2)
    world.refused("LINE_EXCEEDED", "core", issued(world, 1_501, line))
    world.ok("core", issued(world, 1_500, line))
    world.roll_to(world.day + 2)
    world.refused("LINE_EXCEEDED", "core", issued(world, 1, line))
    assert world.get(r.CreditLine, line).reserved == 1_500, "existing use stands (C12)"


def test_windows_that_overlap_add_up_and_a_change_replaces_them(world: World) -> None:
    both = [r.SeasonalWindow(world.day, world.day + 9, amount) for amount in (100, 200)]
    line = seasonal_line(world, *both)
    world.ok("core", issued(world, 1_300, line))
    change = c.LineChange(world.label, line, 1_000, world.day, world.day + 900, (both[0],))
    assert world.ok("bank-1", change).result == (1,), "use exceeds today's limit"


@pytest.mark.parametrize(
    ("code", "last", "amount"), [("AMOUNT_RANGE", 20_880, 0), ("DATE_RANGE", 20_876, 5)]
)
def test_windows_that_make_no_sense(world: World, code: str, last: int, amount: int) -> None:
    window = r.SeasonalWindow(20_877, last, amount)
    grant = c.LineGrant(
        world.label, ISSUE, world.ids["core"], "CNY", 1, world.day, world.day + 9, (window,)
    )
    world.refused(code, "bank-1", grant)


# --- line.allocate ----------------------------------------------------------------------------------


def allocate(world: World, granted: int, supplier: str = "devices") -> c.LineAllocate:
    ids = world.ids
    return c.LineAllocate(
        world.label, ids[supplier], "CNY", granted, world.day, world.day + world.day
    )


def allocation(world: World, supplier: str = "devices") -> tuple[int, int, int]:
    """Granted, reserved, used."""
    id = line_id(r.LineKind.ALLOCATION, world.ids["core"], world.ids[supplier], "CNY")
    line = world.get(r.CreditLine, id)
    return line.granted, line.reserved, line.used


def test_allocations_stay_within_the_cores_issue_lines_ALLOCATION_EXCEEDED(world: World) -> None:
    world.refused("ALLOCATION_EXCEEDED", "core", allocate(world, 1))
    world.line(ISSUE, "bank-1", "core", 700)
    other = world.line(ISSUE, "bank-2", "core", 300)
    world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-2", "core", 10**6)
    world.ok("core", allocate(world, 600))
    world.refused("ALLOCATION_EXCEEDED", "core", allocate(world, 401, "shop"))
    world.ok("core", allocate(world, 400, "shop"))
    world.refused("ALLOCATION_EXCEEDED", "core", allocate(world, 601))
    cut = c.LineChange(world.label, other, 0, world.day, world.day + 9, ())
    world.ok("bank-2", cut)
    world.refused("ALLOCATION_EXCEEDED", "core", allocate(world, 601))
    world.ok("core", allocate(world, 599))
    assert allocation(world) == (599, 0, 0)


def test_a_supplier_finances_no_more_face_than_its_allocation_LINE_EXCEEDED(world: World) -> None:
    voucher, offer = world.voucher(1_000), world.offer()
    world.ok("core", allocate(world, 600))
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 400, offer))
    assert allocation(world) == (600, 400, 0)
    world.pay_out("bank-2", drawn, drawn.result[1])
    assert allocation(world) == (600, 0, 400)
    world.refused("LINE_EXCEEDED", "devices", world.draw("devices", voucher, 0, 201, offer))
    failing = world.ok("devices", world.draw("devices", voucher, 0, 200, offer))
    order = next(x.id for x in failing.created if x.kind == r.Kind.INSTRUCTION)
    world.ok("bank-2", c.PayoutFail(world.label, order))
    assert allocation(world) == (600, 0, 400)


def test_an_accepted_quote_uses_the_allocation_LINE_EXCEEDED(world: World) -> None:
    voucher = world.voucher(10_000)
    world.ok("core", allocate(world, 150))
    banks, account = (world.ids["bank-2"],), world.account("devices")
    for amount in (100, 51):
        ask = c.FinancingRequestOpen(
            world.label, voucher, 0, amount, account, r.Purpose.GOODS, banks
        )
        opened = world.ok("devices", ask).created
        request = next(x.id for x in opened if x.kind == r.Kind.FINANCING_REQUEST)
        quote = c.FinancingQuote(
            world.label, request, amount, r.FinancingKind.SALE, 0, 360, 10_000, (), False, world.day
        )
        world.ok("bank-2", quote)
        accept = c.FinancingAccept(world.label, request, world.ids["bank-2"])
        if amount == 100:
            world.ok("devices", accept)
        else:
            world.refused("LINE_EXCEEDED", "devices", accept)
    assert allocation(world) == (150, 100, 0)


def test_a_window_adds_to_the_exposure_that_draws_need_LINE_EXCEEDED(world: World) -> None:
    """The draw checks its lines before it writes: the season counts there too."""
    line = world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-2", "core", 100)
    offer = world.offer(lines_required=(r.LineKind.DEBTOR_EXPOSURE,))
    voucher = world.voucher(1_000)
    draw = world.draw("devices", voucher, 0, 150, offer)
    world.refused("LINE_EXCEEDED", "devices", draw)
    season = (r.SeasonalWindow(world.day, world.day + 3, 50),)
    change = c.LineChange(world.label, line, 100, world.day, world.day + 300, season)
    world.ok("bank-2", change)
    world.ok("devices", world.draw("devices", voucher, 0, 150, offer))


def test_a_draw_before_the_allocation_does_not_use_it(world: World) -> None:
    voucher, offer = world.voucher(1_000), world.offer()
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 400, offer))
    world.ok("core", allocate(world, 600))
    world.pay_out("bank-2", drawn, drawn.result[1])
    assert allocation(world) == (600, 0, 0)


def test_only_a_core_allocates_and_only_so_LINE_KIND(world: World) -> None:
    world.line(ISSUE, "bank-1", "core", 700)
    world.refused("NOT_AUTHORISED", "devices", allocate(world, 1, "shop"))
    world.refused("SELF_DEALING", "core", allocate(world, 1, "core"))
    id = world.ok("core", allocate(world, 100)).created[0].id
    change = c.LineChange(world.label, id, 800, world.day, world.day + 9, ())
    world.refused("LINE_KIND", "core", change)
    grant = c.LineGrant(
        world.label, r.LineKind.ALLOCATION, world.ids["core"], "CNY", 1, world.day, world.day, ()
    )
    world.refused("LINE_KIND", "bank-1", grant)


def test_AMOUNT_RANGE_the_issue_lines_of_a_core_sum_to_what_a_record_holds(world: World) -> None:
    """Ninety-two banks with the largest line there is would reach it; set here as if they had."""
    sums = r.Allocations(UINT_MAX - 999, 0)
    id = record_id(r.Kind.ALLOCATIONS, world.ids["core"], b"CNY")
    world.state.put(r.Kind.ALLOCATIONS, id, sums)
    world._commit(world.state)
    terms = (world.day, world.day + 900, ())
    more = c.LineGrant(world.label, ISSUE, world.ids["core"], "CNY", 1_000, *terms)
    world.refused("AMOUNT_RANGE", "bank-1", more)
    line = world.ok("bank-1", msgspec.structs.replace(more, granted=999)).created[0].id
    world.refused("AMOUNT_RANGE", "bank-1", c.LineChange(world.label, line, 1_000, *terms))
