"""Long runs: does memory stay flat, and how fast does a node catch up that was away for long?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import trio

from tools.chaos.crashes import must_catch_up
from tools.chaos.cuts import cut_once
from tools.chaos.load import Shape
from tools.chaos.run import Run

SOAK_MINUTES: Final = 2.0
SAMPLE_SECONDS: Final = 1.0
SLOPE_PERCENT_MAX: Final = 5.0
"""Growth over the last half of a soak, of the mean (reliability §14). In the first minutes caches
fill: a short soak misses it."""
FILL: Final = Shape(in_flight=512, batch=1)
FILL_COMMANDS: Final = 150_000
"""More than the caches of records and of absent ids hold (`node.state.committed`)."""
FILL_SECONDS_MAX: Final = 300.0
FAULT_EVERY_SECONDS: Final = 20.0
SOAK_SHAPES: Final = ("one node", "flapping node", "the leader", "resets")
"""Cuts of a soak: links are lost and made anew, views change, processes live on."""

AWAY_COMMANDS: Final = 100_000
BIG: Final = Shape(in_flight=16, batch=1_000)
"""A thousand commands per envelope: no signature in the way."""
MEANWHILE: Final = Shape(in_flight=200, per_second=50, batch=10)
COMMIT_SECONDS_MAX: Final = 1_800.0
CATCH_UP_SECONDS_MAX: Final = 1_800.0
DRAIN_SECONDS: Final = 3.0
"""Until what the clients had under way before is committed: some seconds of it at most."""
BASE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory of one node at one time."""

    seconds: float
    resident: int
    anonymous: int


async def soak(run: Run) -> None:
    """Steady load with links cut now and then: the memory of every validator is sampled, after a full load."""
    minutes = run.options.minutes or SOAK_MINUTES
    await _fill(run)
    until = time.monotonic() + minutes * 60
    samples: dict[str, list[Sample]] = {name: [] for name in run.network.names}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_sample, run, samples)
        while time.monotonic() < until:
            await cut_once(run, run.random.choice(SOAK_SHAPES))
            pause = min(FAULT_EVERY_SECONDS, max(0.0, until - time.monotonic()))
            await trio.sleep(pause)
        nursery.cancel_scope.cancel()
    run.figures["soak_minutes"] = minutes
    run.figures["memory"] = {name: memory_figures(taken) for name, taken in samples.items()}
    for name, taken in samples.items():
        slope = slope_percent([s.seconds for s in taken], [s.anonymous for s in taken])
        run.target(
            f"% growth of {name}'s memory in the last half", slope, at_most=SLOPE_PERCENT_MAX
        )


async def _sample(run: Run, samples: dict[str, list[Sample]]) -> None:
    while True:
        for name, taken in samples.items():
            taken.append(Sample(time.monotonic(), *run.network.memory(name)))
        await trio.sleep(SAMPLE_SECONDS)


def memory_figures(taken: Sequence[Sample]) -> dict[str, Any]:
    """Mean MiB and slope of the last half, for all resident pages and for anonymous memory. The pages
    of the database file count as resident while the kernel keeps them, so they grow with the file."""
    half = taken[len(taken) // 2 :]
    seconds = [sample.seconds for sample in taken]
    resident, anonymous = [s.resident for s in taken], [s.anonymous for s in taken]
    return {
        "resident_mib": round(_mean([s.resident for s in half]) / 2**20, 1),
        "anonymous_mib": round(_mean([s.anonymous for s in half]) / 2**20, 1),
        "resident_slope_percent": round(slope_percent(seconds, resident), 2),
        "anonymous_slope_percent": round(slope_percent(seconds, anonymous), 2),
    }


def slope_percent(seconds: Sequence[float], values: Sequence[float]) -> float:
    """Growth over the last half of the samples by a least-squares line, in percent of their mean."""
    x, y = seconds[len(seconds) // 2 :], values[len(values) // 2 :]
    if len(x) < 2:
        return 0.0
    mean_x, mean_y = _mean(x), _mean(y)
    spread = sum((a - mean_x) ** 2 for a in x)
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread
    return 100 * slope * (x[-1] - x[0]) / mean_y


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


async def _fill(run: Run) -> None:
    """Full load, so that less of what memory grows by afterwards is a cache that fills; the figures say how far it got."""
    run.note("fill", (), f"{FILL_COMMANDS:,} commands fill the caches")
    await run.set_load(FILL)
    with trio.move_on_after(FILL_SECONDS_MAX):
        while run.tail.commands < FILL_COMMANDS:
            run.tail.poll()
            await trio.sleep(0.5)
    run.figures["filled_commands"] = run.tail.commands
    await run.set_load(run.shape)


async def catch_up(run: Run) -> None:
    """One validator is away for many commands, then follows while the others go on."""
    wanted = run.options.commands or AWAY_COMMANDS
    victim = run.random.choice(run.network.names)
    run.note("stop", [victim], f"{victim} stops; {wanted:,} commands follow")
    await run.do(run.network.terminate, victim)
    first, began = run.tail.commands, time.monotonic()
    await run.set_load(BIG)
    while run.tail.commands - first < wanted:
        if time.monotonic() - began > COMMIT_SECONDS_MAX:
            run.fail(f"{wanted:,} commands were not committed in {COMMIT_SECONDS_MAX:g} s")
            break
        await trio.sleep(0.1)
    missed, seconds = run.tail.commands - first, time.monotonic() - began
    await run.set_load(MEANWHILE)
    await trio.sleep(DRAIN_SECONDS)
    base = run.note("alone", (), "the others alone, under the load of the catch-up")
    await trio.sleep(BASE_SECONDS)
    moment = run.note("start", [victim], f"{victim} starts, {missed:,} commands behind")
    await run.start([victim])
    listening = time.monotonic()
    await must_catch_up(run, victim, CATCH_UP_SECONDS_MAX)
    level = time.monotonic()
    end = time.monotonic_ns()
    run.say(f"{victim} is level after {level - listening:.1f} s")
    meanwhile = run.tail.commands_between(moment, end) * 1e9 / (end - moment)
    alone = run.tail.commands_between(base, moment) * 1e9 / (moment - base)
    run.figures["catch_up"] = {
        "missed_commands": missed,
        "committed_while_away_per_second": round(missed / seconds, 1),
        "start_s": round(listening - moment / 1e9, 2),
        "caught_up_s": round(level - listening, 2),
        "commands_per_second": round(missed / (level - listening), 1),
        "others_per_second_before": round(alone, 1),
        "others_per_second_meanwhile": round(meanwhile, 1),
        "others_longest_gap_s": round(run.tail.longest_gap_seconds(moment, end), 2),
    }
    if not run.tail.commands_between(moment, end):
        run.fail("the others committed nothing while one node caught up")
