"""`tally bench`: real validators and clients on this machine, with everything on.

Every client signature is verified by every validator, every block executed, hashed, proven and durable
before the answer; the clients check certificates and receipt proofs inside the measured window.
Envelopes are signed before it. CPU is user + system time of the validator processes.
"""

from __future__ import annotations

import json
import tempfile
from collections import deque
from pathlib import Path
from typing import Any, Final

import trio

from tools.bench_budget import sampled, show
from tools.bench_load import Work
from tools.bench_measure import (
    WARM_SECONDS,
    Measured,
    Usage,
    largest_mb,
    phase,
    validator_pids,
    verify_microseconds,
)
from tools.bench_network import network
from tools.bench_world import BenchFailed, Site
from tools.figures import machine
from tools.output import ERRORS, say

TRANSFERS, MIXED, READS = "transfers", "mixed", "reads"
"""Workloads: transfers of a fen each, everything that a region's enterprises do in a day, or proofs asked for."""
MIXED_VALIDATORS: Final = 4
LOTS_MAX: Final = 20_000_000
"""More would only fill the disk; the bound is there for a slip of the finger."""
LIGHT_SECONDS: Final = 3.0
LIGHT_WARM_SECONDS: Final = 0.5
LIGHT_RATE_GUESS: Final = 300
IN_FLIGHT: Final = 256
"""Envelopes under way per connection at full load, with one command each."""
RATE_GUESS: Final = {1: 6_000, 100: 250}
"""Envelopes signed in advance per second of the window; the run stops early if they run out."""


async def _measure(
    validators: int, batch: int, seconds: int, lots: int, budget: bool
) -> dict[str, Any]:
    async with network(validators=validators, lots=lots) as world:
        site = world.site
        state = Usage.now(site.directory)
        ahead = RATE_GUESS.get(batch, max(20, RATE_GUESS[1] // batch))
        count = int(LIGHT_SECONDS * LIGHT_RATE_GUESS + (seconds + WARM_SECONDS) * ahead)
        ERRORS.print(f"signing {count:,} envelopes in advance")
        work = Work(deque(world.transfers(count, batch)))
        figures = await measure(site, work, batch, seconds, budget)
        cut = lots or len(world.vouchers)
        per_lot = round(state.disk_bytes / state.validators / cut)
        return figures | {"lots": cut, "disk_bytes_per_lot": per_lot}


async def measure(
    site: Site, work: Work, batch: int, seconds: int, budget: bool = False
) -> dict[str, Any]:
    """One envelope under way at a time, then as many as the network takes; the figures of both. With
    `budget` a profile of one validator says where the time goes."""
    light = await light_load(site, work)
    ERRORS.print(f"full load: {len(site.network.nodes)} connections, {seconds} s")
    if not budget:
        return _figures(site, light, await phase(site, work, seconds, in_flight(batch)))
    with sampled(_any_validator(site.directory), seconds + WARM_SECONDS) as profile:
        full = await phase(site, work, seconds, in_flight(batch))
    figures = _figures(site, light, full)
    per_command = figures["cpu_us_per_command_per_validator"]
    return figures | {"budget_us": profile.microseconds(per_command)}


async def light_load(site: Site, work: Work) -> Measured:
    """One envelope under way, at the first validator."""
    ERRORS.print(f"light load: one envelope under way, {LIGHT_SECONDS:.0f} s")
    first = site.network.nodes[0].name
    return await phase(site, work, LIGHT_SECONDS, 1, to=(first,), warm=LIGHT_WARM_SECONDS)


def in_flight(batch: int) -> int:
    """Envelopes of so many commands under way per connection at full load."""
    return max(4, IN_FLIGHT // batch)


def _any_validator(directory: Path) -> int:
    """Process id of a validator that does not lead: there are more of those."""
    return validator_pids(directory)[1]


def _figures(site: Site, light: Measured, full: Measured) -> dict[str, Any]:
    return {
        "commands_per_second": full.commands_per_second,
        "latency_ms": {"light": light.load.percentiles(), "full": full.load.percentiles()},
        "cpu_us_per_command_per_validator": full.cpu_us,
        "disk_bytes_per_command": full.disk_bytes,
        "peak_rss_mb": largest_mb(site.directory, "VmHWM"),
        "peak_anonymous_mb": round(full.anonymous_mb, 1),
        "commands": full.committed,
        "refused": full.load.refused + light.load.refused,
        "seconds": round(full.load.seconds, 2),
    }


async def _measure_reads(seconds: int, lots: int) -> dict[str, Any]:
    from tools.bench_reads import measure_reads

    async with network(lots=lots) as world:
        return await measure_reads(world, seconds, lots)


def _mixed(seconds: int) -> dict[str, Any]:
    from tools.bench_mixed import measure_mixed

    with tempfile.TemporaryDirectory(prefix="tally-bench-") as scratch:
        return trio.run(measure_mixed, Path(scratch) / "network", seconds)


def run_bench(
    *,
    validators: int,
    batch: int,
    seconds: int,
    lots: int,
    json_file: Path | None,
    commit: str,
    workload: str = TRANSFERS,
    budget: bool = False,
) -> int:
    """Measure, print, optionally write JSON; returns the exit code. Raises BenchFailed."""
    if not 1 <= batch <= 1000 or seconds < 1:
        raise BenchFailed("USAGE", "--batch is 1 to 1000 commands, --seconds at least 1")
    if budget and workload != TRANSFERS:
        raise BenchFailed("USAGE", f"--budget is for the workload {TRANSFERS}")
    if not 0 <= lots <= LOTS_MAX:
        raise BenchFailed("USAGE", f"--lots is 0 to {LOTS_MAX:,}")
    match workload:
        case "mixed":
            if validators != MIXED_VALIDATORS or batch != 1 or lots:
                raise BenchFailed(
                    "USAGE", "the mixed workload is for 4 validators, --batch 1, no --lots"
                )
            figures = _mixed(seconds)
        case "reads":
            figures = trio.run(_measure_reads, seconds, lots)
        case "transfers":
            figures = trio.run(_measure, validators, batch, seconds, lots, budget)
        case _:
            raise BenchFailed("USAGE", f"--workload is {TRANSFERS} or {MIXED}; or --reads")
    figures |= {
        "verify_us": verify_microseconds(),
        "workload": workload,
        "validators": validators,
        "batch": batch,
        "commit": commit,
        "machine": machine(),
    }
    text = json.dumps(figures, indent=2)
    say(text)
    if budget:
        show(figures["budget_us"])
    if json_file is not None:
        json_file.write_text(text + "\n", encoding="utf-8")
    return 0
