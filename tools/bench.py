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
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import psutil
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tallynet import commands as c
from tallynet import records as r
from tallynet.client import Client, Receipt, Trust
from tallynet.client.link import Credentials, Link
from tallynet.codec import Wire
from tallynet.envelope import Envelope, Mode
from tallynet.errors import TallynetError
from tallynet.genesis import Genesis
from tallynet.hashing import record_id
from tallynet.messages import Receipts, Refused, Submit
from tallynet.signatures import verify
from tools import testnet_processes
from tools.connect import addresses, connect, genesis_of
from tools.demo import free_ports
from tools.machine import machine
from tools.onboarding import new_organisation, registration
from tools.output import ERRORS, OUT
from tools.participant import Participant
from tools.records_by_name import line_id
from tools.testnet_files import NetworkFile, Plan, init

VOUCHERS: Final = 200
"""At least; with `--lots` as many as hold that many lots."""
LOTS_PER_VOUCHER: Final = 6
"""The mean of the voucher law §18."""
SUPPLIERS: Final = 4
FACE: Final = 6 * 10**7
"""Fen; more than any run can transfer of one voucher, and within what one signer may do."""
LOTS_MAX: Final = 20_000_000
"""Half a kilobyte each on four disks."""
BUILDING: Final = 60
"""Envelopes of preparation under way per organisation."""
LIGHT_SECONDS: Final = 3.0
WARM_SECONDS: Final = 2.0
"""Before the window opens: caches fill, connections grow their buffers."""
IN_FLIGHT: Final = 256
"""Envelopes under way per connection at full load, with one command each."""
RATE_GUESS: Final = {1: 4_000, 100: 250}
"""Envelopes signed in advance per second of the window; the run stops early if they run out."""
SUBMIT_GROUP: Final = 32
"""Envelopes per Submit message."""
_PREPARED_PER_ENVELOPE: Final = 100
_UTC8_SECONDS: Final = 8 * 3600


class BenchFailed(TallynetError):
    """The benchmark could not be carried out."""


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


class Driver:
    """One connection to one validator that keeps a number of envelopes under way."""

    def __init__(
        self, genesis: Genesis, waiting: deque[Envelope], in_flight: int, load: Load
    ) -> None:
        self._trust: Final = Trust(genesis)
        self._waiting: Final = waiting
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
                if not receipt.ok:
                    raise BenchFailed("REFUSED", f"a transfer was refused: {receipt.receipt}")
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
        while time.perf_counter() < until and self._waiting:
            room = self._in_flight - len(self._sent)
            # Whole groups under load: a client that waits for a little more room sends less often.
            if room < min(SUBMIT_GROUP, self._in_flight):
                self._room = trio.Event()
                with trio.move_on_after(max(0.0, until - time.perf_counter())):
                    await self._room.wait()
                continue
            group = [
                self._waiting.popleft() for _ in range(min(room, SUBMIT_GROUP, len(self._waiting)))
            ]
            now = time.perf_counter()
            for envelope in group:
                self._sent[envelope.transaction] = now
            await self.link.send(Submit(tuple(envelope.raw for envelope in group)))

    async def drain(self) -> None:
        with trio.fail_after(30):
            while self._sent:
                self._room = trio.Event()
                await self._room.wait()


# --- the world the load runs in -----------------------------------------------------------------------


class World:
    """Suppliers with vouchers on a fresh network; makes signed transfers."""

    def __init__(self, directory: Path, network: NetworkFile) -> None:
        self.directory: Final = directory
        self.network: Final = network
        self.genesis, self.hash = genesis_of(directory)
        self.suppliers: Final[list[Participant]] = []
        self.vouchers: Final[list[tuple[Participant, bytes]]] = []
        self._label = 0
        self._turn = 0
        """Envelopes made; the next one takes the next supplier's next vouchers."""

    def _label_bytes(self) -> bytes:
        self._label += 1
        return self._label.to_bytes(8, "big")

    async def build(self, client: Client, lots: int) -> None:
        """Register, grant, issue and claim through the network itself; with `lots`, cut the vouchers into
        six lots each until there are that many."""
        bank = Participant(self.directory, "bank-1", client, self.hash)
        core = await self._join(client, bank, "core", r.OrganisationKind.CORE, r.Size.LARGE)
        for number in range(SUPPLIERS + 1):
            size = r.Size.MICRO  # one signer: one signature per envelope
            supplier = await self._join(
                client, bank, f"supplier-{number}", r.OrganisationKind.SUPPLIER, size
            )
            self.suppliers.append(supplier)
        network = await client.read(r.Kind.NETWORK, r.NETWORK_ID)
        today = network.business_date if isinstance(network, r.Network) else 0
        rules = c.ProgrammeRules(
            r.AcceptMode.IMMEDIATE, 0, 10, 200, 1, 180, 5, r.DocumentPolicy.CAPPED, r.Visibility.TIER1, False, 500,
            (), True, (),
        )  # fmt: skip
        await core.act(c.ProgrammeCreate(b"p", r.ProgrammeKind.RECEIVABLE, "CNY", rules))
        count = max(VOUCHERS, lots // LOTS_PER_VOUCHER)
        await bank.act(
            c.LineGrant(
                b"l", r.LineKind.ISSUE, core.id, "CNY", count * FACE, today, today + 400, ()
            )
        )
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        )  # fmt: skip
        with Progress(*columns, console=ERRORS, transient=True) as progress:
            task = progress.add_task("vouchers", total=count)
            async with trio.open_nursery() as nursery:
                for number, supplier in enumerate(self.suppliers[:SUPPLIERS]):
                    share = count // SUPPLIERS + (number < count % SUPPLIERS)
                    nursery.start_soon(
                        self._vouchers, bank, core, supplier, share, today, bool(lots),
                        lambda done: progress.advance(task, done),
                    )  # fmt: skip

    async def _join(
        self, client: Client, bank: Participant, name: str, kind: r.OrganisationKind, size: r.Size
    ) -> Participant:
        wallet = new_organisation(self.directory, bank.wallet, name, kind, size)
        await bank.act(registration(self.directory, self.hash, wallet, kind, size))
        return Participant(self.directory, name, client, self.hash)

    async def _vouchers(
        self,
        bank: Participant,
        core: Participant,
        supplier: Participant,
        count: int,
        today: int,
        cut: bool,
        advance: Callable[[int], None],
    ) -> None:
        """Documented, issued, claimed and, if asked for, cut, in groups that fit into what may be under
        way."""
        pieces = tuple(
            c.Piece(other.id, FACE // LOTS_PER_VOUCHER, None)
            for other in self.suppliers if other is not supplier
        )  # fmt: skip
        line = line_id(r.LineKind.ISSUE, bank.id, core.id, "CNY")
        programme = record_id(r.Kind.PROGRAMME, core.id, b"p")
        group = BUILDING * _PREPARED_PER_ENVELOPE
        for start in range(0, count, group):
            documents, issues, claims, cuts = [], [], [], []
            for _ in range(min(group, count - start)):
                label = self._label_bytes()
                tag = sha256(label).digest()
                documents.append(
                    c.DocumentRegister(
                        label, r.DocumentType.CONTRACT, tag, tag, tag, supplier.id, core.id, (),
                        "CNY", FACE, None,
                    )
                )  # fmt: skip
                document = record_id(r.Kind.DOCUMENT, b"", tag)
                issues.append(
                    c.VoucherIssue(
                        label, supplier.id, "CNY", FACE, today + 90,
                        r.Promise(tag, True, True, True), (r.DocumentUse(document, FACE),),
                        programme, line, bank.id,
                    )
                )  # fmt: skip
                voucher = record_id(r.Kind.VOUCHER, core.id, label)
                claims.append(c.VoucherClaim(self._label_bytes(), voucher, True))
                cuts.append(c.LotTransfer(self._label_bytes(), voucher, 0, pieces))
                self.vouchers.append((supplier, voucher))
            for by, commands in (
                (supplier, documents), (core, issues), (supplier, claims), (supplier, cuts if cut else ())
            ):  # fmt: skip
                await _carry_out(by, commands)
            advance(len(issues))

    def transfers(self, count: int, batch: int) -> list[Envelope]:
        """Signed envelopes of `batch` transfers of one fen each, spread over all vouchers."""
        receiver = self.suppliers[SUPPLIERS].id
        pieces = (c.Piece(receiver, 1, None),)
        by_supplier = {
            supplier.id: (supplier, [v for s, v in self.vouchers if s is supplier])
            for supplier, _ in self.vouchers
        }
        owners = list(by_supplier.values())
        valid_until = int(time.time()) + 3_600
        envelopes: list[Envelope] = []
        for n in range(self._turn, self._turn + count):
            supplier, vouchers = owners[n % len(owners)]
            commands: list[Wire] = [
                c.LotTransfer(
                    self._label_bytes(),
                    vouchers[(n // len(owners) * batch + i) % len(vouchers)],
                    0,
                    pieces,
                )
                for i in range(batch)
            ]
            envelopes.append(
                supplier.envelope(commands, mode=Mode.INDEPENDENT, valid_until=valid_until)
            )
        self._turn += count
        return envelopes


async def _carry_out(by: Participant, commands: Sequence[Wire]) -> None:
    """All of these commands, many envelopes at once. Raises BenchFailed REFUSED."""
    envelopes = (
        by.envelope(commands[start : start + _PREPARED_PER_ENVELOPE], mode=Mode.INDEPENDENT)
        for start in range(0, len(commands), _PREPARED_PER_ENVELOPE)
    )
    for outcome in await by.client.submit_many(envelopes, in_flight=BUILDING):
        if not isinstance(outcome, Receipt):
            raise BenchFailed("REFUSED", f"preparing the vouchers: {outcome}")
        codes = {command.code for command in outcome.receipt.commands} | {outcome.receipt.code}
        if codes != {"OK"}:
            raise BenchFailed("REFUSED", f"preparing the vouchers: {', '.join(sorted(codes))}")


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
    world: World, envelopes: list[Envelope], seconds: float, in_flight: int, connections: int
) -> Measured:
    """Warm up, then measure."""
    keys = tuple(validator.public_key for validator in world.genesis.validators)
    credentials = Credentials(world.hash, keys, Ed25519PrivateKey.generate())
    waiting = deque(envelopes)
    async with trio.open_nursery() as links:
        drivers = []
        for address in addresses(world.network)[:connections]:
            driver = Driver(world.genesis, waiting, in_flight, Load())
            await driver.open(credentials, address, links)
            drivers.append(driver)
        await _run(world, drivers, WARM_SECONDS if connections > 1 else 0.5)
        measured = await _run(world, drivers, seconds)
        for driver in drivers:
            await driver.drain()
        links.cancel_scope.cancel()
    if not waiting:
        ERRORS.print("note: the signed envelopes ran out before the window ended")
    return measured


async def _run(world: World, drivers: Sequence[Driver], span: float) -> Measured:
    load = Load()
    for driver in drivers:
        driver.load = load
    before = Usage.now(world.directory)
    started = time.perf_counter()
    async with trio.open_nursery() as running:
        for driver in drivers:
            running.start_soon(driver.run, started + span)
    load.seconds = time.perf_counter() - started
    return Measured(load, load.committed, before, Usage.now(world.directory))


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


async def _measure(
    directory: Path, network: NetworkFile, batch: int, seconds: int, lots: int
) -> dict[str, Any]:
    world = World(directory, network)
    async with connect(directory) as client:
        before = Usage.now(directory).disk_bytes
        await world.build(client, lots)
        built = Usage.now(directory).disk_bytes - before
    light_count = int(LIGHT_SECONDS * 300)
    ahead = RATE_GUESS.get(batch, max(20, RATE_GUESS[1] // batch))
    count = int((seconds + WARM_SECONDS) * ahead)
    ERRORS.print(f"signing {light_count + count} envelopes in advance")
    light_envelopes = world.transfers(light_count, batch)
    envelopes = world.transfers(count, batch)
    ERRORS.print(f"light load: one envelope under way, {LIGHT_SECONDS:.0f} s")
    light = await _phase(world, light_envelopes, LIGHT_SECONDS, 1, 1)
    in_flight = max(4, IN_FLIGHT // batch)
    connections = len(network.nodes)
    ERRORS.print(f"full load: {connections} x {in_flight} envelopes under way, {seconds} s")
    full = await _phase(world, envelopes, seconds, in_flight, connections)
    return _figures(world, light, full) | {
        "lots": lots or len(world.vouchers),
        "disk_bytes_per_lot": round(built / len(network.nodes) / (lots or len(world.vouchers))),
    }


def _figures(world: World, light: Measured, full: Measured) -> dict[str, Any]:
    n = len(world.network.nodes)
    commands = max(1, full.committed)
    cpu = full.after.cpu_seconds - full.before.cpu_seconds
    disk = full.after.disk_bytes - full.before.disk_bytes
    return {
        "commands_per_second": round(full.committed / full.load.seconds, 1),
        "latency_ms": {"light": light.load.percentiles(), "full": full.load.percentiles()},
        "cpu_us_per_command_per_validator": round(cpu / commands / n * 1e6, 1),
        "disk_bytes_per_command": round(disk / commands / n),
        "peak_rss_mb": peak_rss_mb(world.directory),
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
) -> int:
    """Measure, print, optionally write JSON; returns the exit code."""
    if not 1 <= batch <= 1000 or seconds < 1:
        raise BenchFailed("USAGE", "--batch is 1 to 1000 commands, --seconds at least 1")
    if not 0 <= lots <= LOTS_MAX:
        raise BenchFailed("USAGE", f"--lots is 0 to {LOTS_MAX:,}")
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="tally-bench-"))
        directory = Path(scratch) / "network"
        network = init(loopback_plan(directory, validators, "bench"))
        stack.callback(testnet_processes.stop_all, directory)
        testnet_processes.start_all(directory)
        figures = trio.run(_measure, directory, network, batch, seconds, lots)
    figures |= {
        "verify_us": verify_microseconds(),
        "validators": validators,
        "batch": batch,
        "commit": commit,
        "machine": machine(),
    }
    text = json.dumps(figures, indent=2)
    OUT.print(text, markup=False)
    if json_file is not None:
        json_file.write_text(text + "\n", encoding="utf-8")
    return 0
