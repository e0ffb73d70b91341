"""A stage of real validators: a process and a disk for each, TLS over loopback.

Days pass when the scenario says so: all nodes read the offset of their wall clocks from one file
(`clocked_node`), and the blocks that follow roll the business date, one day each. Time-outs run on the
monotonic clock, as always.
"""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import trio

from consensus.statistics import WaitingReason
from node.state.view import Index
from tallynet import records as r
from tallynet.client import Client, Receipt
from tallynet.envelope import Envelope
from tallynet.errors import TallynetError
from tallynet.messages import NodeStatus
from tallynet.penetration import PathEvent, Up
from tallynet.receipts import EnvelopeReceipt, Event
from tools import testnet_processes
from tools.audit import node_directories
from tools.audit_nodes import audit_nodes, audit_progress
from tools.connect import connect, genesis_of
from tools.guard import guarded
from tools.ports import free_ports
from tools.scenarios.clocked_node import CLOCK_FILE
from tools.scenarios.ledger_stage import plan
from tools.scenarios.stage import (
    DAY_SECONDS,
    MONDAY,
    OPENING_SECONDS,
    Facts,
    ScenarioFailed,
    Stage,
)
from tools.testnet_files import init, load_network

IN_FLIGHT: Final = 400
"""Envelopes under way at once."""
SUBMIT_SECONDS: Final = 120.0
PATIENCE_SECONDS: Final = 60.0
"""For what comes at once on an idle network: a view, a validator that is level, the next block of a day's work."""
WORK_PATIENCES_MAX: Final = 120
"""For a day's work while blocks are made: two hours, in which a small machine opens 600,000 lots."""
POLL_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Network:
    """What the validators of a scenario are."""

    module: str = "tools.scenarios.clocked_node"
    """What each of them runs."""
    epoch_length: int = 1_000
    """Blocks."""


class NetworkStage(Stage):
    """See the module. Made by `on_network`."""

    def __init__(
        self, directory: Path, facts: Facts, client: Client, started: float, network: Network
    ) -> None:
        super().__init__(directory, facts)
        _, self.genesis = genesis_of(directory)
        self.client: Final = client
        self._network: Final = network
        self._offset = _opening() - started
        """Seconds that the network's clocks are ahead of this machine's."""

    def now(self) -> int:
        return int(time.time() + self._offset)

    async def send(self, envelopes: Iterable[Envelope]) -> list[EnvelopeReceipt]:
        outcomes = await self.client.submit_many(
            envelopes, in_flight=IN_FLIGHT, seconds=SUBMIT_SECONDS
        )
        receipts = []
        for outcome in outcomes:
            if not isinstance(outcome, Receipt):
                raise ScenarioFailed("REFUSED", f"not ordered: {outcome}")
            receipts.append(outcome.receipt)
        return receipts

    async def find(self, kind: r.Kind, id: bytes) -> r.Record | None:
        return await self.client.read(kind, id)

    async def scan(self, index: Index, prefix: bytes) -> list[bytes]:
        return [entry async for entry in self.client.unproven_index_all(index, prefix)]

    async def proven_path(self, by: str, voucher: bytes, start: int) -> list[Event] | None:
        signatory = self.who(by)
        async with connect(self.directory, key=signatory.key(signatory.wallet.people[0])) as client:
            return [
                row.event
                async for page in client.penetrate_all(Up(voucher, start))
                for row in page.page.rows
                if isinstance(row, PathEvent)
            ]

    async def roll_to(self, day: int) -> None:
        today = await self.today()
        if day > today:
            self._offset += (day - today) * DAY_SECONDS
            _write_offset(self.directory, self._offset)

        async def is_there() -> bool:
            return await self.today() >= day

        await self._until_worked(f"business date {day}", is_there)
        await self.until_idle()

    async def until_idle(self) -> None:
        async def is_idle() -> bool:
            status = await self.client.status()
            return status.waiting_code == WaitingReason.NOTHING_TO_DO.name

        await self._until_worked("the end of the day's work", is_idle)

    async def _until_worked(self, what: str, check: Callable[[], Awaitable[bool]]) -> None:
        """As long as blocks are made, though not for ever: others may be the reason for them. Raises
        ScenarioFailed TIMEOUT."""
        height = -1
        for _ in range(WORK_PATIENCES_MAX):
            if await _comes(check, PATIENCE_SECONDS):
                return
            newest = (await self.client.status()).committed
            if newest == height:
                raise _timeout(what, PATIENCE_SECONDS)
            height = newest
        raise _timeout(what, WORK_PATIENCES_MAX * PATIENCE_SECONDS)

    # --- validators -------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """Start a node that does not run."""
        testnet_processes.start(self.directory, name, module=self._network.module)

    def kill(self, name: str) -> None:
        """`kill -9`."""
        testnet_processes.kill(self.directory, name)

    def tell(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a node."""
        testnet_processes.kill(self.directory, name, number)

    async def status(self, name: str) -> NodeStatus | None:
        """What a node says of itself; None if it does not answer."""
        try:
            async with connect(self.directory, only=name) as client:
                return await client.status()
        except TallynetError:
            return None  # it does not listen yet, or its set has just changed

    async def leader(self) -> str:
        """Who leads, by the node that is asked first and answers."""
        names = [node.name for node in load_network(self.directory).nodes]
        for name in names:
            if (status := await self.status(name)) is not None:
                return names[status.leader]
        raise ScenarioFailed("TIMEOUT", "no validator answers")

    async def until_status(
        self,
        name: str,
        holds: Callable[[NodeStatus], bool],
        seconds: float = PATIENCE_SECONDS,
    ) -> NodeStatus:
        """Ask a node until what it says of itself is so."""
        found: list[NodeStatus] = []

        async def is_so() -> bool:
            status = await self.status(name)
            if status is not None and holds(status):
                found.append(status)
            return bool(found)

        await until(f"what {name} is asked for", is_so, seconds)
        return found[-1]

    async def until_level(self, name: str) -> None:
        """Until a node holds every block that the client's node holds now."""
        height = (await self.client.status()).committed
        await self.until_status(name, lambda status: status.committed >= height)


def on_validators(stage: Stage) -> NetworkStage:
    """A stage for what only real validators can show. Raises ScenarioFailed VALIDATORS_NEEDED."""
    if not isinstance(stage, NetworkStage):
        raise ScenarioFailed("VALIDATORS_NEEDED", "this is about validators; play it on a network")
    return stage


async def until(
    what: str, check: Callable[[], Awaitable[bool]], seconds: float = PATIENCE_SECONDS
) -> None:
    """Raises ScenarioFailed TIMEOUT."""
    if not await _comes(check, seconds):
        raise _timeout(what, seconds)


async def _comes(check: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    with trio.move_on_after(seconds):
        while not await check():  # noqa: ASYNC110 - what is waited for happens in other processes
            await trio.sleep(POLL_SECONDS)
        return True
    return False


def _timeout(what: str, seconds: float) -> ScenarioFailed:
    return ScenarioFailed("TIMEOUT", f"{what} did not come within {seconds:.0f} s")


def _opening() -> float:
    return float(MONDAY * DAY_SECONDS + OPENING_SECONDS)


def _write_offset(directory: Path, seconds: float) -> None:
    """In one act, so that no node reads half a number."""
    fresh = directory / f"{CLOCK_FILE}.new"
    fresh.write_text(f"{seconds:.3f}\n", encoding="ascii")
    fresh.replace(directory / CLOCK_FILE)


@asynccontextmanager
async def on_network(
    directory: Path, facts: Facts, network: Network = Network()
) -> AsyncIterator[NetworkStage]:
    """Four running validators on free ports, and a client; they end with the context. What a scenario
    shows goes to `facts`. Raises TestnetError."""
    planned = plan(directory, base_port=free_ports(4))
    init(replace(planned, epoch_length=network.epoch_length))
    started = time.time()
    _write_offset(directory, _opening() - started)
    with guarded(directory):
        try:
            await trio.to_thread.run_sync(
                lambda: testnet_processes.start_all(directory, module=network.module)
            )
            async with connect(directory) as client:
                yield NetworkStage(directory, facts, client, started, network)
        finally:
            testnet_processes.stop_all(directory)


def audit_all(directory: Path) -> dict[str, object]:
    """Audit every stopped node. Raises ScenarioFailed WRONG."""
    with audit_progress() as watch:
        reports = audit_nodes(node_directories([directory]), watch)
    for report in reports:
        if not report.agrees:
            raise ScenarioFailed("WRONG", f"audit of {report.node}: {report.differences[0]}")
    return {"audited nodes": len(reports), "height": max(report.height for report in reports)}
