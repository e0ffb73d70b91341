"""The parts of `tally bench --suite`: each opens what it needs and measures one run at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

import trio

from tallynet.errors import TallynetError
from tools import testnet_processes
from tools.bench import in_flight, light_load
from tools.bench_goals import Figures
from tools.bench_load import Load, Work
from tools.bench_measure import (
    WARM_SECONDS,
    Measured,
    Usage,
    cpu_seconds,
    largest_mb,
    phase,
    verify_microseconds,
)
from tools.bench_network import network
from tools.bench_page_waits import page_times, paths_of
from tools.bench_reads import proofs, questions_about
from tools.bench_world import LOTS_PER_VOUCHER, BenchFailed, Site, World
from tools.connect import connect
from tools.output import ERRORS
from tools.testnet_files import CONFIG_FILE

SPARE: Final = 1.3
"""Signed in advance, by what the probe lets expect."""
SETTLE_SECONDS: Final = 3.0
"""After the start, before an idle network is measured."""
WAIT_SECONDS_MAX: Final = 600.0
"""For a node to catch up, or to fetch a state."""
POLL_SECONDS: Final = 0.1
JOIN_BLOCKS: Final = 16
"""With more blocks missing the observer fetches the state: fewer than any prepared state has."""
JOIN_RUNS: Final = 3
"""Each with an observer of its own."""
JOIN_WINDOWS: Final = 12
"""Of load while an observer joins: two minutes, twice the goal."""
JOIN_LOAD: Final = 0.25
"""Of the highest load: a network that is asked for its state has clients at the same time."""
RECORDS_PER_VOUCHER: Final = 8
"""Six lots, the voucher and its document."""
SIZES: Final = (4, 7, 10, 16)
ENVELOPE_COMMANDS: Final = 100
CURVE_WARM_SECONDS: Final = 1.0
CURVE: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.15, 1.3)
"""Offered load by the highest that the probe found."""

Once = Callable[[], Awaitable[Figures]]
"""One run."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured; what is published has the numbers that stand here."""

    sustained: float = 60.0
    """Seconds of the window of one-command transfers."""
    seconds: float = 10.0
    """Of the other windows."""
    point: float = 6.0
    """Of a point of the curve."""
    probe: float = 3.0
    """Of the load that finds out how much a network takes, and with it how many envelopes to sign."""
    rate_max: int = 8_000
    """Commands per second that a probe is prepared for."""
    view_change: float = 8.0
    """After the leader's death, before the others are measured."""
    few_lots: int = 10_000
    many_lots: int = 5_000_000
    records: int = 1_000_000
    proof_lots: int = 30_000
    page_lots: int = 1_000_000
    sizes: tuple[int, ...] = SIZES


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the suite."""

    name: str
    title: str
    opened: Callable[[Scale], AbstractAsyncContextManager[Once]]
    minutes: float
    """It takes about so long with five runs on two cores."""
    runs_max: int = 100
    """More would take too long, or would not be shown."""


# --- load on one network ------------------------------------------------------------------------


async def _probe(world: World, scale: Scale, batch: int = 1) -> float:
    """Envelopes per second that this network takes."""
    count = int((scale.probe + WARM_SECONDS) * scale.rate_max) // batch
    work = _work(world, count, batch)
    full = await phase(world.site, work, scale.probe, in_flight(batch))
    return full.commands_per_second / batch


def _work(world: World, count: float, batch: int = 1) -> Work:
    ERRORS.print(f"signing {int(count):,} envelopes")
    return Work(deque(world.transfers(int(count) + 1, batch)))


def _costs(full: Measured) -> dict[str, float]:
    """Throughput and CPU, with what a verification takes on this machine right after it."""
    verify_us = verify_microseconds()
    return {
        "commands_per_second": full.commands_per_second,
        "cpu_us": full.cpu_us,
        "verify_us": verify_us,
        "cpu_verifications": full.cpu_us / verify_us,
    }


# --- one-command transfers ----------------------------------------------------------------------


@asynccontextmanager
async def _transfers(scale: Scale) -> AsyncIterator[Once]:
    yield partial(_transfer_run, scale)


async def _transfer_run(scale: Scale) -> Figures:
    """Light, full, half, and with a dead leader, on one network; then the dead one catches up."""
    async with network() as world:
        site = world.site
        light = await light_load(site, _work(world, 1_500))
        rate = await _probe(world, scale)
        work = _work(
            world, (scale.sustained + 2 * scale.seconds + scale.view_change) * rate * SPARE
        )
        ERRORS.print(f"full load, {scale.sustained:.0f} s")
        full = await phase(site, work, scale.sustained, in_flight(1))
        figures = _costs(full) | {"disk_bytes": full.disk_bytes}
        ERRORS.print(f"half load, {scale.seconds:.0f} s")
        half = await phase(
            site, work, scale.seconds, in_flight(1), per_second=full.commands_per_second / 2
        )
        figures |= await _with_one_dead(site, work, scale, full)
        figures |= _milliseconds("light", light) | _milliseconds("half", half)
        return figures


def _milliseconds(name: str, measured: Measured) -> dict[str, float]:
    """Percentiles of the latency."""
    return {f"{name}_{key}_ms": value for key, value in measured.load.percentiles().items()}


async def _with_one_dead(
    site: Site, work: Work, scale: Scale, healthy: Measured
) -> dict[str, float]:
    """The first leader is killed and the others go on; then it comes back and executes what it missed."""
    dead, *living = [node.name for node in site.network.nodes]
    ERRORS.print(f"{dead}, the leader, is dead, {scale.seconds:.0f} s")
    testnet_processes.kill(site.directory, dead)
    before = len(work.waiting)
    left = await phase(site, work, scale.seconds, in_flight(1), to=living, warm=scale.view_change)
    missed = before - len(work.waiting)
    share = 100 * left.commands_per_second / healthy.commands_per_second
    return {"dead_share": share} | await _catch_up(site, dead, living[0], missed)


async def _catch_up(site: Site, name: str, other: str, missed: int) -> dict[str, float]:
    """How fast a node executes the commands that it missed while nobody sends new ones."""
    ERRORS.print(f"{name} catches up with {missed:,} commands")
    target = await _height(site, other)
    process = testnet_processes.restart(site.directory, name)
    before, started = cpu_seconds(process.pid), time.perf_counter()
    await _wait_for(site, name, target)
    spent = cpu_seconds(process.pid) - before
    return {
        "catch_up_per_core_second": missed / max(spent, 0.01),
        "catch_up_per_second": missed / (time.perf_counter() - started),
    }


async def _height(site: Site, name: str) -> int:
    async with connect(site.directory, only=name) as client:
        return (await client.status()).committed


async def _wait_for(site: Site, name: str, height: int) -> None:
    """Until the node has come so far. Raises BenchFailed NOT_CAUGHT_UP."""
    with trio.move_on_after(WAIT_SECONDS_MAX):
        while True:
            with suppress(TallynetError):  # it does not listen yet, or changes its state
                if await _height(site, name) >= height:
                    return
            await trio.sleep(POLL_SECONDS)
    raise BenchFailed("NOT_CAUGHT_UP", f"{name} did not come to block {height}")


# --- the other parts ------------------------------------------------------------------------------


@asynccontextmanager
async def _envelopes(scale: Scale) -> AsyncIterator[Once]:
    async with network() as world:
        rate = await _probe(world, scale, ENVELOPE_COMMANDS)

        async def once() -> Figures:
            work = _work(world, (scale.seconds + WARM_SECONDS) * rate * SPARE, ENVELOPE_COMMANDS)
            ERRORS.print(f"full load, {scale.seconds:.0f} s")
            return _costs(
                await phase(world.site, work, scale.seconds, in_flight(ENVELOPE_COMMANDS))
            )

        yield once


@asynccontextmanager
async def _idle(scale: Scale) -> AsyncIterator[Once]:
    async with network() as world:
        await trio.sleep(SETTLE_SECONDS)

        async def once() -> Figures:
            ERRORS.print(f"nothing to do, {scale.seconds:.0f} s")
            before, started = Usage.now(world.site.directory), time.perf_counter()
            await trio.sleep(scale.seconds)
            after, seconds = Usage.now(world.site.directory), time.perf_counter() - started
            spent = (after.cpu_seconds - before.cpu_seconds) / after.validators
            resident = largest_mb(world.site.directory, "VmRSS")
            return {"cpu_percent": 100 * spent / seconds, "resident_mb": resident}

        yield once


@asynccontextmanager
async def _proofs(scale: Scale) -> AsyncIterator[Once]:
    async with network(lots=scale.proof_lots) as world:
        kinds = await questions_about(world, scale.proof_lots)

        async def once() -> Figures:
            figures: dict[str, float] = {"verify_us": verify_microseconds()}
            for name, questions in kinds.items():
                ERRORS.print(f"proofs of kind {name}, {scale.seconds / len(kinds):.0f} s")
                found = await proofs(world.site, questions, scale.seconds / len(kinds))
                figures[f"{name}_served"] = found["served_per_core_second"]
                figures[f"{name}_verified"] = found["verified_per_core_second"]
            for what in ("served", "verified"):
                figures[what] = min(figures[f"{name}_{what}"] for name in kinds)
            return figures

        yield once


@asynccontextmanager
async def _lots(scale: Scale) -> AsyncIterator[Once]:
    """A network with few lots and one with many, loaded in turn, so that both see the same machine."""
    async with AsyncExitStack() as stack:
        worlds = [
            await stack.enter_async_context(network(lots=lots))
            for lots in (scale.few_lots, scale.many_lots)
        ]
        rates = [await _probe(world, scale) for world in worlds]

        async def once() -> Figures:
            spent: list[Measured] = []
            for world, rate in zip(worlds, rates, strict=True):
                work = _work(world, (scale.seconds + WARM_SECONDS) * rate * SPARE)
                ERRORS.print(f"full load, {scale.seconds:.0f} s")
                spent.append(await phase(world.site, work, scale.seconds, in_flight(1)))
            few, many = spent
            return {
                "cpu_us_few": few.cpu_us,
                "cpu_us_many": many.cpu_us,
                "cpu_ratio": many.cpu_us / few.cpu_us,
                "commands_per_second_many": many.commands_per_second,
                "anonymous_mb": many.anonymous_mb,
                "verify_us": verify_microseconds(),
            }

        yield once


@asynccontextmanager
async def _join(scale: Scale) -> AsyncIterator[Once]:
    """A new observer per run fetches the state while clients send."""
    lots = scale.records * LOTS_PER_VOUCHER // RECORDS_PER_VOUCHER
    async with network(lots=lots, observers=JOIN_RUNS) as world:
        fresh = [node.name for node in world.site.network.nodes if node.observer]
        rate = JOIN_LOAD * await _probe(world, scale)

        async def once() -> Figures:
            before = await _light(world, scale.seconds, rate)
            seconds, during = await _joining(world, fresh.pop(0), scale.seconds, rate)
            return {
                "seconds": seconds,
                "p99_before_ms": before["p99"],
                "p99_during_ms": during["p99"],
                "p99_ratio": during["p99"] / before["p99"],
            }

        yield once


async def _light(world: World, seconds: float, rate: float) -> dict[str, float]:
    work = _work(world, (seconds + WARM_SECONDS) * rate * SPARE)
    measured = await phase(world.site, work, seconds, in_flight(1), per_second=rate)
    return measured.load.percentiles()


async def _joining(
    world: World, name: str, seconds: float, rate: float
) -> tuple[float, dict[str, float]]:
    """Seconds from the start of the process until it has the state and the blocks since, and percentiles of
    the latency meanwhile, measured window by window."""
    site = world.site
    target = await _height(site, site.network.nodes[0].name)
    config = site.directory / name / CONFIG_FILE
    config.write_text(f"state_sync_blocks = {JOIN_BLOCKS}\n" + config.read_text())
    works = [_work(world, seconds * rate * SPARE) for _ in range(JOIN_WINDOWS)]
    load, joined = Load(), trio.Event()
    ERRORS.print(f"{name} fetches the state")
    started, took = time.perf_counter(), 0.0
    testnet_processes.start(site.directory, name)

    async def wait() -> None:
        nonlocal took
        await _wait_for(site, name, target)
        took = time.perf_counter() - started
        joined.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        while works and not joined.is_set():
            measured = await phase(
                site, works.pop(), seconds, in_flight(1), per_second=rate, warm=0.0
            )
            load.latencies += measured.load.latencies
    testnet_processes.stop(site.directory, [name])
    return took, load.percentiles()


@asynccontextmanager
async def _validators(scale: Scale) -> AsyncIterator[Once]:
    yield partial(_validators_run, scale)


async def _validators_run(scale: Scale) -> Figures:
    """Networks of several sizes with equally many envelopes under way, so that blocks are equally full."""
    figures: dict[str, float] = {}
    for n in scale.sizes:
        async with network(validators=n) as world:
            count = (scale.seconds + WARM_SECONDS) * scale.rate_max * SIZES[0] / n
            work = _work(world, count)
            ERRORS.print(f"{n} validators, full load, {scale.seconds:.0f} s")
            each = in_flight(1) * SIZES[0] // n
            first = world.site.network.nodes[0].name
            below, unsent = await _height(world.site, first), len(work.waiting)
            full = await phase(world.site, work, scale.seconds, each)
            blocks = await _height(world.site, first) - below
            figures |= {
                f"cpu_us_{n}": full.cpu_us,
                f"commands_per_second_{n}": full.commands_per_second,
                f"block_commands_{n}": (unsent - len(work.waiting)) / blocks,
                f"ratio_{n}": full.cpu_us / figures.get(f"cpu_us_{SIZES[0]}", full.cpu_us),
            }
    return figures | {"verify_us": verify_microseconds()}


@asynccontextmanager
async def _curve(scale: Scale) -> AsyncIterator[Once]:
    """Throughput and latency by what is offered; figures of a point carry its number."""
    async with network() as world:
        rate = await _probe(world, scale)

        async def once() -> Figures:
            figures: dict[str, float] = {}
            work = _work(world, sum(CURVE) * rate * (scale.point + CURVE_WARM_SECONDS) * SPARE)
            for number, factor in enumerate(CURVE):
                offered = factor * rate
                ERRORS.print(f"offered {offered:,.0f}/s, {scale.point:.0f} s")
                measured = await phase(
                    world.site, work, scale.point, in_flight(1), per_second=offered,
                    warm=CURVE_WARM_SECONDS,
                )  # fmt: skip
                latency = measured.load.percentiles()
                figures |= {
                    f"offered_{number}": offered,
                    f"committed_{number}": measured.commands_per_second,
                    f"p50_ms_{number}": latency["p50"],
                    f"p99_ms_{number}": latency["p99"],
                }
            return figures

        yield once


@asynccontextmanager
async def _pages(scale: Scale) -> AsyncIterator[Once]:
    """The slowest page of a network with a few vouchers, and of one with many."""

    async def once() -> Figures:
        figures: dict[str, float] = {}
        for name, lots in (("few", 0), ("many", scale.page_lots)):
            async with network(lots=lots) as world:
                times = await page_times(world.site, await paths_of(world))
            figures |= {f"{page}_{name}_ms": took for page, took in times.items()}
            figures[f"slowest_{name}_ms"] = max(times.values())
        return figures

    yield once


PARTS: Final = (
    Part("idle", "nothing to do", _idle, 1.5),
    Part("transfers", "one command per envelope", _transfers, 12),
    Part("envelopes", "100 commands per envelope", _envelopes, 2),
    Part("proofs", "proofs served and checked", _proofs, 2),
    Part("pages", "web pages with few and many lots", _pages, 3, runs_max=1),
    Part("curve", "latency by throughput", _curve, 3, runs_max=1),
    Part("join", "joining with a fetched state", _join, 6, runs_max=JOIN_RUNS),
    Part("validators", "more validators", _validators, 5, runs_max=3),
    Part("lots", "many live lots", _lots, 12),
)
"""In this order."""
