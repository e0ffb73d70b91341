"""Anchored flow and the collapse alarm (voucher law §8.4), with scenario B of §19."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from followed_world import FollowedWorld as World
from law_world import DIGEST

from node.ledger.flow import STREAMS_MAX, flow_id
from tallynet import commands as c
from tallynet import records as r
from tallynet.fields import AMOUNT_MAX, from_wide

NORMAL = 14_000_000


@pytest.fixture
def world() -> World:
    made = World()
    made.core_and_suppliers()
    return made


def publish(world: World, sum: int, **changes: object) -> c.FlowAnchorPublish:
    given = {
        "label": world.label, "stream": "bookings", "day": world.day, "from_second": 0,
        "to_second": 86_400, "count": 10, "sum": sum, "records_root": DIGEST,
    }  # fmt: skip
    return c.FlowAnchorPublish(**(given | changes))  # type: ignore[arg-type]  # by name


def flow(world: World) -> r.FlowAnchor:
    return world.get(r.FlowAnchor, flow_id(world.ids["core"], "bookings"))


def with_history(world: World, days: int = 35) -> None:
    """So many days of normal business up to yesterday, anchored one after the other today."""
    for day in range(world.day - days, world.day):
        world.ok("core", publish(world, NORMAL, day=day))


def collapsed(world: World) -> bool:
    return flow(world).alarm is r.FlowAlarm.COLLAPSED


# --- flow.anchor.publish ----------------------------------------------------------------------------


def test_a_machine_key_anchors_and_days_between_count_zero(world: World) -> None:
    world.ok("core", publish(world, 5, day=world.day - 3), signers=[("machine", r.Role.API)])
    world.ok("core", publish(world, 7, to_second=40_000))
    world.ok("core", publish(world, 8, from_second=40_000))
    assert flow(world).daily == (5, 0, 0, 15)


def test_a_period_begins_where_the_last_one_ended_FLOW_OVERLAP(world: World) -> None:
    world.ok("core", publish(world, 7, to_second=40_000))
    world.refused("FLOW_OVERLAP", "core", publish(world, 7, from_second=39_999))
    world.refused("FLOW_OVERLAP", "core", publish(world, 7, day=world.day - 1))
    world.ok("core", publish(world, 7, stream="tickets"))


@pytest.mark.parametrize(
    "changes",
    [{"day": 20_879}, {"from_second": 9, "to_second": 9}, {"to_second": 86_401}],
)
def test_a_period_lies_within_one_day_that_has_begun_DATE_RANGE(
    world: World, changes: dict[str, object]
) -> None:
    world.refused("DATE_RANGE", "core", publish(world, 7, **changes))


def test_the_sum_of_a_day_is_an_amount_AMOUNT_RANGE(world: World) -> None:
    world.refused("AMOUNT_RANGE", "core", publish(world, AMOUNT_MAX + 1))
    world.ok("core", publish(world, AMOUNT_MAX, to_second=9))
    world.refused("AMOUNT_RANGE", "core", publish(world, 1, from_second=9))


def test_streams_of_one_publisher_are_bounded_BATCH_LIMIT(world: World) -> None:
    for number in range(STREAMS_MAX):
        world.ok("core", publish(world, 1, stream=str(number)))
    world.refused("BATCH_LIMIT", "core", publish(world, 1))
    world.ok("devices", publish(world, 1))


# --- the alarm --------------------------------------------------------------------------------------


def test_scenario_B_alarm_on_day_5_and_clear_on_day_5(world: World) -> None:
    with_history(world)
    for number in range(1, 8):
        world.ok("core", publish(world, 142_858 if number == 7 else 142_857))
        assert collapsed(world) is (number >= 5), number
        world.roll_to(world.day + 1)
    assert from_wide(flow(world).frozen_baseline or b"") == 28 * NORMAL
    for number in range(1, 6):
        world.ok("core", publish(world, NORMAL))
        assert collapsed(world) is (number < 5), number
        world.roll_to(world.day + 1)


def test_days_without_anchors_count_zero_and_the_roll_raises_the_alarm(world: World) -> None:
    """Five whole days without business: the sixth day begins with the alarm."""
    with_history(world)
    world.roll_to(world.day + 4)
    assert not collapsed(world)
    world.roll_to(world.day + 1)
    assert collapsed(world)


def test_a_stream_that_ended_leaves_the_agenda(world: World) -> None:
    with_history(world)
    world.roll_to(world.day + 36)
    assert flow(world).next_check == 0
    assert collapsed(world)


def test_silent_until_35_days_of_history(world: World) -> None:
    with_history(world, 30)
    for _ in range(4):
        world.ok("core", publish(world, 0))
        world.roll_to(world.day + 1)
    assert not collapsed(world), "34 days, the last four without business"
    world.ok("core", publish(world, 0))
    assert collapsed(world)


def test_offers_that_stop_on_collapse_refuse_draws_meanwhile_FLOW_COLLAPSED(world: World) -> None:
    voucher = world.voucher(1_000)
    careful, bold = world.offer(stop_on_flow_collapse=True), world.offer("bank-3")
    with_history(world)
    world.ok("devices", world.draw("devices", voucher, 0, 10, careful))
    world.roll_to(world.day + 5)
    world.refused("FLOW_COLLAPSED", "devices", world.draw("devices", voucher, 0, 10, careful))
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 10, None))
    financing = next(x.id for x in drawn.created if x.kind == r.Kind.FINANCING)
    assert world.get(r.Financing, financing).offer == bold, "AUTO passes on to the next"
