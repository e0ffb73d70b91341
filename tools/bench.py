"""`tally bench`: real validators and clients on this machine, with everything on.

Every client signature is verified by every validator, every block executed, hashed, proven and durable
before the answer; the clients check certificates and receipt proofs inside the measured window.
Envelopes are signed before it. CPU is user + system time of the validator processes.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallynet.client import Trust
from tallynet.client.link import Credentials, Link
from tallynet.envelope import Envelope
from tallynet.genesis import Genesis
from tallynet.messages import Receipts, Refused, Submit
from tallynet.receipts import EnvelopeReceipt
from tallynet.signatures import verify
from tools import testnet_processes
from tools.bench_budget import sampled, show
from tools.bench_world import BenchFailed, Site, World
from tools.connect import addresses, connect, genesis_of
from tools.demo import free_ports
from tools.guard import guarded
from tools.machine import machine
from tools.output import ERRORS, OUT
from tools.testnet_files import Plan, init

TRANSFERS, MIXED = "transfers", "mixed"
"""Workloads: transfers of a fen each, or everything that a region's enterprises do in a day."""
MIXED_VALIDATORS: Final = 4
LOTS_MAX: Final = 20_000_000
"""More would only fill the disk; the bound is there for a slip of the finger."""
LIGHT_SECONDS: Final = 3.0
WARM_SECONDS: Final = 2.0
"""Before the window opens: caches fill, connections grow their buffers."""
IN_FLIGHT: Final = 256
"""Envelopes under way per connection at full load, with one command each."""
RATE_GUESS: Final = {1: 4_000, 100: 250}
"""Envelopes signed in advance per second of the window; the run stops early if they run out."""
SUBMIT_GROUP: Final = 32
"""Envelopes per Submit message."""
_UTC8_SECONDS: Final = 8 * 3600


@dataclass(slots=True)
class Load:
    """What one phase of load saw."""

    committed: int = 0
    refused: int = 0
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def percentiles(self) -> dict[str, float]:
        """Milliseconds."""
        if len(self.latencies) < 2:
            return {"p50": 0.0, "p95": 0.0, "p99": 0.0}
        cuts = statistics.quantiles(self.latencies, n=100, method="inclusive")
        return {
            name: round(cuts[i] * 1000, 3) for name, i in (("p50", 49), ("p95", 94), ("p99", 98))
        }


@dataclass(frozen=True, slots=True)
class Work:
    """Signed envelopes."""

    waiting: deque[Envelope]
    """May be sent at any time, in any order."""
    then: dict[bytes, Envelope] = field(default_factory=dict)
    """By transaction: what may be sent once it has been carried out."""
    refusals: dict[bytes, str] = field(default_factory=dict)
    """By transaction: the code that its one command must get, where that is not OK."""

    def answered(self, receipt: EnvelopeReceipt) -> None:
        """What waited for this receipt may be sent. Raises BenchFailed REFUSED when the answer is not the
        right one."""
        expected = self.refusals.get(receipt.transaction, "OK")
        if {command.code for command in receipt.commands} != {expected}:
            raise BenchFailed("REFUSED", f"not {expected}: {receipt}")
        following = self.then.pop(receipt.transaction, None)
        if following is not None:
            self.waiting.append(following)


class Driver:
    """One connection to one validator that keeps a number of envelopes under way."""

    def __init__(self, genesis: Genesis, work: Work, in_flight: int, load: Load) -> None:
        self._trust: Final = Trust(genesis)
        self._work: Final = work
        self._in_flight: Final = in_flight
        self._sent: Final[dict[bytes, float]] = {}
        self.load = load
        """Where results are counted; a phase gives it the next one."""
        self._room = trio.Event()
        self.link: Link | None = None

    async def open(self, credentials: Credentials, address: Any, nursery: trio.Nursery) -> None:
        self.link = await Link.dial(address, credentials, self._pushed, self._lost)
        nursery.start_soon(self.link.run)

    def _pushed(self, _link: Link, message: Receipts | Refused) -> None:
        now = time.perf_counter()
        if isinstance(message, Refused):
            self._sent.pop(message.transaction, None)
            self.load.refused += 1
            if self.load.refused == 1:
                ERRORS.print(f"refused: {message.code}: {message.reason}")
        else:
            for receipt in self._trust.receipts(message):
                self._work.answered(receipt.receipt)
                self.load.committed += len(receipt.receipt.commands)
                self.load.latencies.append(now - self._sent.pop(receipt.transaction))
        self._room.set()

    def _lost(self, link: Link) -> None:
        if link.trouble is not None:
            raise BenchFailed("CONNECTION_LOST", str(link.trouble))

    async def run(self, until: float) -> None:
        """Send while there is room, until the time comes; then wait for what is under way."""
        if self.link is None:
            raise BenchFailed("CONNECTION_LOST", "not connected")
        waiting = self._work.waiting
        while time.perf_counter() < until and (waiting or self._sent):
            room = self._in_flight - len(self._sent)
            # Whole groups under load: a client that waits for a little more room sends less often.
            if not waiting or room < min(SUBMIT_GROUP, self._in_flight):
                self._room = trio.Event()
                with trio.move_on_after(max(0.0, until - time.perf_counter())):
                    await self._room.wait()
                continue
            group = [waiting.popleft() for _ in range(min(room, SUBMIT_GROUP, len(waiting)))]
            now = time.perf_counter()
            for envelope in group:
                self._sent[envelope.transaction] = now
            await self.link.send(Submit(tuple(envelope.raw for envelope in group)))

    async def drain(self) -> None:
        with trio.fail_after(30):
            while self._sent:
                self._room = trio.Event()
                await self._room.wait()


# --- measuring ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Usage:
    """Resources of all validators at one moment."""

    cpu_seconds: float
    disk_bytes: int

    @classmethod
    def now(cls, directory: Path) -> Usage:
        cpu = 0.0
        disk = 0
        for node in testnet_processes.processes(directory):
            if node.pid is not None:
                times = psutil.Process(node.pid).cpu_times()
                cpu += times.user + times.system
            disk += sum(file.stat().st_blocks * 512 for file in (node.directory / "data").iterdir())
        return cls(cpu, disk)


def peak_rss_mb(directory: Path) -> float:
    """Largest resident size that any validator reached, MiB, file pages of the map included."""
    largest = 0
    for node in testnet_processes.processes(directory):
        if node.pid is not None:
            for line in Path(f"/proc/{node.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    largest = max(largest, int(line.split()[1]))
    return round(largest / 1024, 1)


def verify_microseconds() -> float:
    """Cost of one signature verification on this machine, now: median of 30 times 100."""
    key = Ed25519PrivateKey.generate()
    message = b"m" * 195
    signature, public = key.sign(message), key.public_key().public_bytes_raw()
    samples = []
    for _ in range(30):
        started = time.perf_counter()
        for _ in range(100):
            verify(public, message, signature)
        samples.append((time.perf_counter() - started) / 100 * 1e6)
    return round(statistics.median(samples), 1)


@dataclass(frozen=True, slots=True)
class Measured:
    """One phase: its load, and the validators' resources before and after."""

    load: Load
    committed: int
    """Commands whose receipts arrived inside the window."""
    before: Usage
    after: Usage


async def _phase(
    site: Site, work: Work, seconds: float, in_flight: int, connections: int
) -> Measured:
    """Warm up, then measure."""
    keys = tuple(validator.public_key for validator in site.genesis.validators)
    credentials = Credentials(site.hash, keys, Ed25519PrivateKey.generate())
    async with trio.open_nursery() as links:
        drivers = []
        for address in addresses(site.network)[:connections]:
            driver = Driver(site.genesis, work, in_flight, Load())
            await driver.open(credentials, address, links)
            drivers.append(driver)
        await _run(site, drivers, WARM_SECONDS if connections > 1 else 0.5)
        measured = await _run(site, drivers, seconds)
        for driver in drivers:
            await driver.drain()
        links.cancel_scope.cancel()
    if not work.waiting:
        ERRORS.print("note: the signed envelopes ran out before the window ended")
    return measured


async def _run(site: Site, drivers: Sequence[Driver], span: float) -> Measured:
    load = Load()
    for driver in drivers:
        driver.load = load
    before = Usage.now(site.directory)
    started = time.perf_counter()
    async with trio.open_nursery() as running:
        for driver in drivers:
            running.start_soon(driver.run, started + span)
    load.seconds = time.perf_counter() - started
    return Measured(load, load.committed, before, Usage.now(site.directory))


def loopback_plan(directory: Path, validators: int, name: str) -> Plan:
    """A network on free ports of this machine whose nodes take in what one client can send."""
    now = time.time()
    return Plan(
        directory=directory,
        validators=validators,
        hosts=("127.0.0.1",),
        base_port=free_ports(validators),
        name=name,
        time_ms=int(now * 1000),
        business_date=int(now + _UTC8_SECONDS) // 86_400,
        day_seconds=86_400,
        window=4,
        pending_per_organisation=20_000,
    )


async def _measure(site: Site, batch: int, seconds: int, lots: int, budget: bool) -> dict[str, Any]:
    world = World(site)
    async with connect(site.directory) as client:
        before = Usage.now(site.directory).disk_bytes
        await world.build(client, lots)
        built = Usage.now(site.directory).disk_bytes - before
    light_count = int(LIGHT_SECONDS * 300)
    ahead = RATE_GUESS.get(batch, max(20, RATE_GUESS[1] // batch))
    count = light_count + int((seconds + WARM_SECONDS) * ahead)
    ERRORS.print(f"signing {count} envelopes in advance")
    work = Work(deque(world.transfers(count, batch)))
    figures = await measure(site, work, batch, seconds, budget)
    cut = lots or len(world.vouchers)
    per_lot = round(built / len(site.network.nodes) / cut)
    return figures | {"lots": cut, "disk_bytes_per_lot": per_lot}


async def measure(
    site: Site, work: Work, batch: int, seconds: int, budget: bool = False
) -> dict[str, Any]:
    """One envelope under way at a time, then as many as the network takes; the figures of both. With
    `budget` a profile of one validator says where the time goes."""
    ERRORS.print(f"light load: one envelope under way, {LIGHT_SECONDS:.0f} s")
    light = await _phase(site, work, LIGHT_SECONDS, 1, 1)
    in_flight = max(4, IN_FLIGHT // batch)
    connections = len(site.network.nodes)
    ERRORS.print(f"full load: {connections} x {in_flight} envelopes under way, {seconds} s")
    if not budget:
        return _figures(site, light, await _phase(site, work, seconds, in_flight, connections))
    with sampled(_any_validator(site.directory), seconds + WARM_SECONDS) as profile:
        full = await _phase(site, work, seconds, in_flight, connections)
    figures = _figures(site, light, full)
    per_command = figures["cpu_us_per_command_per_validator"]
    return figures | {"budget_us": profile.microseconds(per_command)}


def _any_validator(directory: Path) -> int:
    """Process id of a validator that does not lead: there are more of those."""
    return next(
        node.pid for node in testnet_processes.processes(directory)[1:] if node.pid is not None
    )


def _figures(site: Site, light: Measured, full: Measured) -> dict[str, Any]:
    n = len(site.network.nodes)
    commands = max(1, full.committed)
    cpu = full.after.cpu_seconds - full.before.cpu_seconds
    disk = full.after.disk_bytes - full.before.disk_bytes
    return {
        "commands_per_second": round(full.committed / full.load.seconds, 1),
        "latency_ms": {"light": light.load.percentiles(), "full": full.load.percentiles()},
        "cpu_us_per_command_per_validator": round(cpu / commands / n * 1e6, 1),
        "disk_bytes_per_command": round(disk / commands / n),
        "peak_rss_mb": peak_rss_mb(site.directory),
        "commands": full.committed,
        "refused": full.load.refused + light.load.refused,
        "seconds": round(full.load.seconds, 2),
    }


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
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="tally-bench-"))
        directory = Path(scratch) / "network"
        if workload == MIXED:
            from tools.bench_mixed import measure_mixed

            if validators != MIXED_VALIDATORS or batch != 1 or lots:
                raise BenchFailed(
                    "USAGE", "the mixed workload is for 4 validators, --batch 1, no --lots"
                )
            figures = trio.run(measure_mixed, directory, seconds)
        elif workload == TRANSFERS:
            network = init(loopback_plan(directory, validators, "bench"))
            stack.enter_context(guarded(directory))
            stack.callback(testnet_processes.stop_all, directory)
            testnet_processes.start_all(directory)
            genesis, hash_ = genesis_of(directory)
            site = Site(directory, network, genesis, hash_)
            figures = trio.run(_measure, site, batch, seconds, lots, budget)
        else:
            raise BenchFailed("USAGE", f"--workload is {TRANSFERS} or {MIXED}")
    figures |= {
        "verify_us": verify_microseconds(),
        "workload": workload,
        "validators": validators,
        "batch": batch,
        "commit": commit,
        "machine": machine(),
    }
    text = json.dumps(figures, indent=2)
    OUT.print(text, markup=False)
    if budget:
        show(figures["budget_us"])
    if json_file is not None:
        json_file.write_text(text + "\n", encoding="utf-8")
    return 0
