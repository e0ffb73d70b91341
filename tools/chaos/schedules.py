"""Every fault schedule by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tools.chaos import clocks, crashes, cuts, disks, endurance, mixture, traitors
from tools.chaos.load import Shape
from tools.chaos.run import Run, Script

STEADY: Final = Shape(in_flight=300, per_second=60)
"""Keeps every block interesting and the database small: a restart scans all of it."""
FULL: Final = Shape(in_flight=120, batch=10)
"""As much as gets receipts, without filling blocks so much that one takes longer than the progress
timeout on a slow machine. Ten commands per envelope, so that the clients are not the limit."""
DAMAGE_EVENTS: Final = frozenset({"node cannot run", "lmdb assertion"})
"""What a node says that meets its own damaged database."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is done to a network."""

    sentence: str
    scripts: Mapping[str, Script]
    """Each is played on a network of its own; most schedules have one, without a name."""
    relay: bool = False
    """Links between validators go through the fault relay."""
    shape: Shape = STEADY
    logged: frozenset[str] = frozenset()
    """Events in the nodes' logs that this schedule provokes and that would be problems elsewhere."""


def _one(play: Callable[[Run], Awaitable[None]]) -> dict[str, Script]:
    return {"": Script(play)}


SCHEDULES: Final[dict[str, Schedule]] = {
    "mixed": Schedule(
        "everything at random for --minutes (2), links and processes at the same time",
        {"": Script(mixture.mixed, mixture.let_states_be_fetched)},
        relay=True,
        logged=frozenset({"store failed", *DAMAGE_EVENTS}),
    ),
    "kill": Schedule(
        "kill -9 of a random node, the leader, f nodes or all, --cycles (30) times",
        _one(crashes.kill),
    ),
    "pause": Schedule(
        "SIGSTOP for up to 8 s, the leader and two nodes in turn included, --cycles (12)",
        _one(crashes.pause),
    ),
    "rolling": Schedule(
        "every node is restarted in turn under load, --cycles (2) rounds", _one(crashes.rolling)
    ),
    "partition": Schedule(
        "links cut one way, both ways, in halves, to a bridge, flapping, reset; --cycles (12)",
        _one(cuts.partition),
        relay=True,
    ),
    "delay": Schedule(
        "delay, jitter and slow lines, --cycles (1) rounds", _one(cuts.delay), relay=True
    ),
    "disk-full": Schedule(
        "one disk fills up: that node halts, the others go on, it gets room and catches up",
        _one(disks.disk_full),
        logged=frozenset({"store failed"}),
    ),
    "corrupt": Schedule(
        "damage to a stopped database is noticed at the start, --cycles (12) times; the last one"
        " loses its disk",
        _one(disks.corrupt),
        logged=DAMAGE_EVENTS,
    ),
    "rollback": Schedule(
        "older copies of a data directory are put back: no vote afterwards", _one(disks.rollback)
    ),
    "clock": Schedule(
        "one node's clock is wrong by an hour and a day (needs Debian's faketime)",
        {"": Script(clocks.clock, clocks.require_library)},
    ),
    "leader-kill": Schedule(
        "the leader dies under load, --cycles (10) times: time to the next commit",
        _one(crashes.leader_kill),
    ),
    "catch-up": Schedule(
        "one node misses --commands (100,000) and follows while the others commit",
        _one(endurance.catch_up),
    ),
    "soak": Schedule(
        "load and cut links for --minutes (2): the memory of every node stays flat",
        _one(endurance.soak),
        relay=True,
    ),
    "faulty-throughput": Schedule(
        "committed commands per second with f nodes dead and f Byzantine of every kind",
        dict(traitors.scripts()),
        shape=FULL,
    ),
}
