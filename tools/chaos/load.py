"""`python -m tools.chaos.load CONFIG`: clients that submit transfers without end and log what they learn.

One client of the real library per validator, each with another one first. An envelope goes to one of
them; without a receipt the same bytes go through the next, until the receipt is there: they can take
effect only once. Every certified receipt is written and synced before it counts (`record`).

The configuration is a JSON file (`LoadConfig`). The process builds its vouchers through the network
itself, says `Ready`, and then obeys one JSON line after the other: a `Shape` changes the load, a
`Finish` ends it with a `Finished`. It ends with its input.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final

import msgspec
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Meta

from tallynet.client import Client, OutcomeUnknown, Receipt, SubmissionRefused
from tallynet.codec import encode
from tallynet.envelope import Envelope
from tools.bench_world import NetworkCarrier, Site, World
from tools.chaos.record import (
    ACKNOWLEDGED_FILE,
    SUBMITTED_FILE,
    Acknowledged,
    LogWriter,
    Submitted,
)
from tools.connect import addresses, genesis_of
from tools.testnet_files import load_network

ASK_AGAIN_SECONDS: Final = 10.0
"""One client sends an envelope to every node after a second; after this long another client tries."""
REFUSED_PAUSE_SECONDS: Final = 0.2
REFUSALS_MAX: Final = 50
"""A node's refusal is its word alone (its clock may be wrong): the same bytes go elsewhere, so often."""
SIGN_AHEAD: Final = 8
"""Envelopes signed at a time; a thousand commands each take some 20 ms."""
IN_FLIGHT_MAX: Final = 4_000
LINE_BYTES_MAX: Final = 4_096


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="shape"):
    """How much to send."""

    in_flight: Annotated[int, Meta(ge=0, le=IN_FLIGHT_MAX)]
    """Envelopes without receipt at a time; 0 pauses."""
    per_second: Annotated[int, Meta(ge=0, le=100_000)] = 0
    """Envelopes; 0: as many as get receipts."""
    batch: Annotated[int, Meta(ge=1, le=1_000)] = 1
    """Commands per envelope."""


class Finish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="finish"):
    """Send nothing new and wait for what is under way."""

    seconds: float


class LoadConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    network: str
    """Network directory."""
    logs: str
    """Directory of the two logs."""
    shape: Shape


class Ready(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    height: int
    """Everything up to here was set-up, and stands in no log."""


class Finished(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    submitted: int
    acknowledged: int
    refused: int
    """Given up after many refusals; still not known to have failed."""
    open: int
    """No receipt when the time was over."""


class Load:
    """The submitting loop and its books."""

    def __init__(
        self,
        world: World,
        clients: list[Client],
        shape: Shape,
        submitted: LogWriter,
        acknowledged: LogWriter,
    ) -> None:
        self._world: Final = world
        self._clients: Final = clients
        self._submitted: Final = submitted
        self._acknowledged: Final = acknowledged
        self._shape = shape
        self._signed: list[Envelope] = []
        self._signed_batch = 0
        self._open = 0
        self._moved: Final = trio.lowlevel.ParkingLot()
        """Woken when an envelope is done or the shape changes."""
        self._unwritten: list[Acknowledged] = []
        self._written = trio.Event()
        self._counts = [0, 0, 0]
        """Submitted, acknowledged (on disk), refused."""

    def reshape(self, shape: Shape) -> None:
        self._shape = shape
        self._moved.unpark_all()

    async def submit(self, nursery: trio.Nursery) -> None:
        """Send as the shape says, until cancelled."""
        due = trio.current_time()
        turn = 0
        while True:
            shape = self._shape
            if self._open >= shape.in_flight:
                await self._moved.park()
                due = max(due, trio.current_time())
                continue
            if shape.per_second:
                due = max(due, trio.current_time() - 1.0) + 1 / shape.per_second
                await trio.sleep_until(due)
            else:
                await trio.lowlevel.checkpoint()
            self._open += 1
            self._counts[0] += 1
            turn += 1
            nursery.start_soon(self._settle, self._next(shape.batch), turn)

    def _next(self, batch: int) -> Envelope:
        if not self._signed or self._signed_batch != batch:
            self._signed = self._world.transfers(SIGN_AHEAD if batch < 100 else 1, batch)
            self._signed_batch = batch
        return self._signed.pop()

    async def _settle(self, envelope: Envelope, turn: int) -> None:
        """One envelope until its receipt is in hand."""
        commands, began = len(envelope.body.commands), time.monotonic_ns()
        entry = Submitted(envelope.transaction.hex(), commands, began)
        self._submitted.append([entry], durable=False)
        refusals = 0
        while refusals < REFUSALS_MAX:
            client = self._clients[turn % len(self._clients)]
            turn += 1
            try:
                receipt = await client.submit(envelope, seconds=ASK_AGAIN_SECONDS)
            except OutcomeUnknown:
                continue
            except SubmissionRefused:
                refusals += 1
                await trio.sleep(REFUSED_PAUSE_SECONDS)
                continue
            self._note(receipt, commands, began)
            return
        self._counts[2] += 1
        self._leave()

    def _leave(self) -> None:
        self._open -= 1
        self._moved.unpark_all()

    def _note(self, receipt: Receipt, commands: int, began: int) -> None:
        now = time.monotonic_ns()
        commit = receipt.block.commit
        entry = Acknowledged(
            transaction=receipt.transaction.hex(),
            height=receipt.height,
            receipt=sha256(encode(receipt.receipt)).hexdigest(),
            ok=receipt.ok,
            commands=commands,
            epoch=commit.epoch,
            view=commit.view,
            at_ns=now,
            waited_ms=round((now - began) / 1e6, 3),
        )
        self._unwritten.append(entry)
        self._written.set()

    async def write(self) -> None:
        """Make acknowledgements durable, as many at once as there are; only then they count."""
        while True:
            if not self._unwritten:
                self._written = trio.Event()
                await self._written.wait()
            entries, self._unwritten = self._unwritten, []
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(
                    partial(self._acknowledged.append, entries, durable=True)
                )
            self._counts[1] += len(entries)
            for _ in entries:
                self._leave()

    async def finish(self, seconds: float) -> Finished:
        """Wait until nothing is open, at most so long."""
        self.reshape(Shape(0))
        with trio.move_on_after(seconds):
            while self._open:
                await self._moved.park()
        submitted, acknowledged, refused = self._counts
        return Finished(submitted, acknowledged, refused, self._open)


async def run(config: LoadConfig) -> None:
    """Build the world, then load until told to finish."""
    directory = Path(config.network)
    network = load_network(directory)
    genesis, hash_ = genesis_of(directory)
    places = addresses(network)
    site = Site(directory, network, genesis, hash_)
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                Client.connect(places[n:] + places[:n], genesis, Ed25519PrivateKey.generate())
            )
            for n in range(len(places))
        ]
        world = World(site, NetworkCarrier(clients[0]))
        await world.build(lots=0)
        _say(Ready((await clients[0].block()).block.height))
        submitted, acknowledged = (
            stack.enter_context(LogWriter(Path(config.logs) / name))
            for name in (SUBMITTED_FILE, ACKNOWLEDGED_FILE)
        )
        load = Load(world, clients, config.shape, submitted, acknowledged)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load.submit, nursery)
            nursery.start_soon(load.write)
            async for order in _orders():
                if isinstance(order, Finish):
                    _say(await load.finish(order.seconds))
                    break
                load.reshape(order)
            nursery.cancel_scope.cancel()


async def _orders() -> AsyncIterator[Shape | Finish]:
    control = trio.lowlevel.FdStream(os.dup(sys.stdin.fileno()))
    decoder: msgspec.json.Decoder[Shape | Finish] = msgspec.json.Decoder(Shape | Finish)
    waiting = b""
    while data := await control.receive_some(LINE_BYTES_MAX):
        *lines, waiting = (waiting + data).split(b"\n")
        for line in lines:
            yield decoder.decode(line)


def _say(answer: msgspec.Struct) -> None:
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    trio.run(run, msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=LoadConfig))
