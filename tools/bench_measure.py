"""What `tally bench` measures of the processes while they are loaded."""

from __future__ import annotations

import statistics
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallynet.client.link import Credentials
from tallynet.signatures import verify
from tools import testnet_processes
from tools.bench_load import Driver, Load, Work
from tools.bench_world import BenchFailed, Site
from tools.connect import addresses
from tools.output import ERRORS, passing
from tools.testnet_files import load_network

WARM_SECONDS: Final = 2.0
"""Before the window opens: caches fill, connections grow their buffers."""
SAMPLE_SECONDS: Final = 0.5
"""Between two looks at the memory of the processes."""


def validator_pids(directory: Path) -> list[int]:
    """Process ids of the validators that run, by index."""
    observers = {node.name for node in load_network(directory).nodes if node.observer}
    return [
        node.pid
        for node in testnet_processes.processes(directory)
        if node.pid is not None and node.name not in observers
    ]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


@dataclass(frozen=True, slots=True)
class Usage:
    """Resources of all validators at one moment."""

    cpu_seconds: float
    disk_bytes: int
    validators: int
    """That run."""

    @classmethod
    def now(cls, directory: Path) -> Usage:
        pids = validator_pids(directory)
        disk = sum(
            file.stat().st_blocks * 512
            for node in testnet_processes.processes(directory)
            if node.pid in pids
            for file in (node.directory / "data").iterdir()
        )
        return cls(sum(map(cpu_seconds, pids)), disk, len(pids))


def memory_mb(pid: int, field: str) -> float:
    """A line of the process's status, MiB: VmRSS and VmHWM count the mapped file, RssAnon does not."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise BenchFailed("NODE_NOT_RUNNING", f"process {pid} has no {field}")


def largest_mb(directory: Path, field: str) -> float:
    """The largest of all validators."""
    return round(max(memory_mb(pid, field) for pid in validator_pids(directory)), 1)


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
    anonymous_mb: float
    """Largest memory of a validator in this phase beyond the mapped file."""

    @property
    def commands_per_second(self) -> float:
        return round(self.committed / self.load.seconds, 1)

    @property
    def cpu_us(self) -> float:
        """Microseconds per command and validator."""
        spent = self.after.cpu_seconds - self.before.cpu_seconds
        return round(spent / self.committed / self.after.validators * 1e6, 1)

    @property
    def disk_bytes(self) -> int:
        """Per command and validator."""
        written = self.after.disk_bytes - self.before.disk_bytes
        return round(written / self.committed / self.after.validators)


async def phase(
    site: Site,
    work: Work,
    seconds: float,
    in_flight: int,
    *,
    to: Collection[str] = (),
    per_second: float = 0.0,
    warm: float = WARM_SECONDS,
) -> Measured:
    """Warm up, then measure. The load goes to the nodes named in `to`, or to all validators, over a connection
    each; `per_second` is all of it together.

    Raises:
        BenchFailed: NOTHING_COMMITTED, CONNECTION_LOST, REFUSED.
    """
    async with trio.open_nursery() as links:
        drivers = await _connected(site, work, in_flight, to, links)
        await _run(site, drivers, warm, per_second)
        measured = await _run(site, drivers, seconds, per_second)
        for driver in drivers:
            await driver.drain()
        links.cancel_scope.cancel()
    if not work.waiting:
        ERRORS.print("note: the signed envelopes ran out before the window ended")
    if not measured.committed:
        raise BenchFailed("NOTHING_COMMITTED", f"no receipt came within {seconds:g} s")
    return measured


async def _connected(
    site: Site, work: Work, in_flight: int, to: Collection[str], links: trio.Nursery
) -> list[Driver]:
    keys = tuple(validator.public_key for validator in site.genesis.validators)
    credentials = Credentials(site.hash, keys, Ed25519PrivateKey.generate())
    drivers = []
    for name in to or [node.name for node in site.network.nodes if not node.observer]:
        driver = Driver(site.genesis, work, in_flight, Load())
        await driver.open(credentials, addresses(site.network, name)[0], links)
        drivers.append(driver)
    return drivers


async def _run(site: Site, drivers: Sequence[Driver], span: float, per_second: float) -> Measured:
    load, peak = Load(), 0.0

    async def watch() -> None:
        nonlocal peak
        with passing("load", span) as show:
            while True:
                peak = max(peak, largest_mb(site.directory, "RssAnon"))
                show(time.perf_counter() - started)
                await trio.sleep(SAMPLE_SECONDS)

    for driver in drivers:
        driver.load = load
    before = Usage.now(site.directory)
    started = time.perf_counter()
    async with trio.open_nursery() as watching:
        watching.start_soon(watch)
        async with trio.open_nursery() as running:
            for driver in drivers:
                running.start_soon(driver.run, started + span, per_second / len(drivers))
        watching.cancel_scope.cancel()
    load.seconds = time.perf_counter() - started
    return Measured(load, load.committed, before, Usage.now(site.directory), peak)
