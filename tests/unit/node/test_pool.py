"""Envelopes that are held: whose they may be, and how many."""

from __future__ import annotations

import pytest

from node.pool import Pool, PoolRefused
from tallynet import commands as c
from tallynet.envelope import Envelope
from tests.rules.law_world import World

TOTAL = 6
GREEDY = "bank-1"
OTHER = "bank-2"


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def envelope(world: World, organisation: str) -> Envelope:
    """Another one at each call."""
    return world.envelope(organisation, c.KeyRevoke(world.label, bytes(16)))


def pool_of(per_organisation_max: int = 100) -> Pool:
    return Pool(total_max=TOTAL, per_organisation_max=per_organisation_max)


def gossip(pool: Pool, world: World, organisation: str, count: int) -> int:
    """How many of so many that another validator passes on are held."""
    held = 0
    for _ in range(count):
        passed_on = envelope(world, organisation)
        if pool.has_room(passed_on.body.organisation, len(passed_on.raw)):
            pool.add(passed_on)
            held += 1
    return held


def test_an_organisation_that_a_liar_passes_on_leaves_room_for_the_others(world: World) -> None:
    """Whatever comes of it, half of the room is for all others; then a third, and so on (decision 0018)."""
    pool = pool_of()
    assert gossip(pool, world, GREEDY, 5 * TOTAL) == TOTAL
    assert gossip(pool, world, OTHER, 5 * TOTAL) == TOTAL // 2
    assert gossip(pool, world, GREEDY, TOTAL) == 0
    assert gossip(pool, world, "bank-3", 1) == 1


def test_what_is_passed_on_takes_no_room_from_own_clients(world: World) -> None:
    pool = pool_of()
    for organisation in (GREEDY, OTHER, "bank-3", "bank-4"):
        gossip(pool, world, organisation, 5 * TOTAL)
    for _ in range(TOTAL):
        own = envelope(world, OTHER)
        pool.require_room(own.body.organisation, len(own.raw))
        pool.add(own, own=True)
    with pytest.raises(PoolRefused, match="full"):
        pool.require_room(own.body.organisation, len(own.raw))


def test_own_clients_take_no_room_from_what_is_passed_on(world: World) -> None:
    pool = pool_of()
    for _ in range(TOTAL):
        pool.add(envelope(world, OTHER), own=True)
    assert gossip(pool, world, GREEDY, 5 * TOTAL) == TOTAL


def test_large_envelopes_leave_room_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(envelope(world, GREEDY).raw)
    monkeypatch.setattr("node.pool.POOL_BYTES_MAX", 2 * size)
    pool = pool_of()
    assert gossip(pool, world, GREEDY, TOTAL) == 2
    assert gossip(pool, world, OTHER, TOTAL) == 1


def test_who_is_served_makes_room(world: World) -> None:
    pool = pool_of(per_organisation_max=2)
    own = [envelope(world, GREEDY) for _ in range(2)]
    for one in own:
        pool.require_room(one.body.organisation, len(one.raw))
        pool.add(one, own=True)
    with pytest.raises(PoolRefused, match="of this organisation"):
        pool.require_room(own[0].body.organisation, len(own[0].raw))
    pool.remove([one.hash for one in own])
    pool.require_room(own[0].body.organisation, len(own[0].raw))
    assert (len(pool), pool.statistics().bytes, pool.statistics().organisations) == (0, 0, 0)
