"""Everything at once: processes die and stop while links break, clocks lie and disks fill."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from tools.chaos.clocks import OFFSETS, clock_once, library
from tools.chaos.crashes import kill_some, pause_once, restart
from tools.chaos.cuts import SHAPES, cut_once, slow_once
from tools.chaos.damage import Damage
from tools.chaos.disks import corrupt_once, disk_full_once, lose_disk, rollback_once
from tools.chaos.network import ChaosError, ChaosNetwork
from tools.chaos.run import Run

MINUTES: Final = 2.0
LAST_SECONDS: Final = 30.0
"""Kept for the fault that a node never recovers from."""

STATE_SYNC_BLOCKS: Final = 300
"""A node that is further behind than this fetches a state: it happens to some in a run."""

Fault = Callable[[Run], Awaitable[object]]


def let_states_be_fetched(network: ChaosNetwork) -> None:
    """Nodes that lost their disk or were away for long come back by a state, not by all blocks."""
    network.set_up("state_sync_blocks", STATE_SYNC_BLOCKS)


async def mixed(run: Run) -> None:
    """All faults drawn at random, links and processes at the same time; at the end f nodes lose their
    disk or get an old one back, and must stay silent."""
    until = time.monotonic() + max(10.0, (run.options.minutes or MINUTES) * 60 - LAST_SECONDS)
    counts: dict[str, int] = {}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stream, run, _links(), until, counts)
        nursery.start_soon(_stream, run, _processes(), until, counts)
    for _ in range(run.network.faulty_max):
        last = run.random.choice((rollback_once, _rot_and_lose))
        counts[last.__name__] = counts.get(last.__name__, 0) + 1
        await last(run)
    run.figures["faults"] = dict(sorted(counts.items()))


async def _stream(
    run: Run, faults: list[tuple[int, Fault]], until: float, counts: dict[str, int]
) -> None:
    weights = [weight for weight, _ in faults]
    while time.monotonic() < until:
        await trio.sleep(run.between(0.2, 3.0))
        fault = run.random.choices([fault for _, fault in faults], weights)[0]
        name = fault.__name__.strip("_")
        counts[name] = counts.get(name, 0) + 1
        await fault(run)


def _links() -> list[tuple[int, Fault]]:
    return [(3, _cut), (1, slow_once)]


def _processes() -> list[tuple[int, Fault]]:
    faults: list[tuple[int, Fault]] = [
        (6, kill_some), (4, pause_once), (2, _restart), (2, _corrupt), (1, disk_full_once),
    ]  # fmt: skip
    try:
        library()
    except ChaosError:
        return faults
    return [*faults, (1, _clock)]


async def _cut(run: Run) -> None:
    await cut_once(run, run.random.choice(SHAPES))


async def _restart(run: Run) -> None:
    await restart(run, run.random.choice(run.healthy()))


async def _corrupt(run: Run) -> None:
    await corrupt_once(run, run.random.choice(run.healthy()), run.random.choice(list(Damage)))


async def _clock(run: Run) -> None:
    await clock_once(run, run.random.choice(run.healthy()), run.random.choice(OFFSETS), [])


async def _rot_and_lose(run: Run) -> None:
    victim = run.random.choice(run.healthy())
    await corrupt_once(run, victim, run.random.choice(list(Damage)), restore=False)
    await lose_disk(run, victim)
