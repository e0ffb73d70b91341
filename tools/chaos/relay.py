"""`python -m tools.chaos.relay CONFIG`: a TCP relay with faults, one listener per directed link.

Theory of operation. Validators dial the relay instead of one another; TLS passes through untouched,
so the relay can delay, hold, lose or cut, and never forge. Each connection has two tasks in the
faulty direction, one that reads and gives every chunk the time at which it is due, and one that
writes when it is: order is kept and a delay does not limit the rate. Kernel emulation (`tc netem`)
cannot be assumed (reliability §2.1).

The configuration is a JSON file (`links.RelayConfig`). The first line of the output names the ports;
then every input line is a `links.Change`, answered by a `links.Changed`. The relay ends with its
input, so it never outlives the run that started it.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import sys
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import trio

from tools.chaos.links import (
    LOOPBACK,
    Change,
    Changed,
    Condition,
    LinkTotals,
    Mode,
    RelayConfig,
    RelayLink,
    RelayReady,
)

CHUNK_BYTES: Final = 64 * 1024
"""Read at once; what a node writes at once is at most four times that."""
CHUNKS_MAX: Final = 64
"""Read and not due yet, per connection: 4 MiB, the largest frame. Then the sender waits, as it would
for any slow line."""
LINE_BYTES_MAX: Final = 64 * 1024
"""One control line names at most a few hundred links."""
LOST: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)
_LINGER_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of zero: closing sends RST."""


class Link:
    """One directed link: its condition and its connections."""

    def __init__(self, place: RelayLink, seed: int) -> None:
        self._port: Final = place.port
        self._random: Final = random.Random(f"{seed}/{place.source}/{place.target}")
        self._condition = Condition()
        self._changed = trio.Event()
        self._flapped = False
        """In the passing half of a flapping condition."""
        self._connections: Final[dict[_Connection, None]] = {}
        self._flaps: trio.CancelScope | None = None
        self._connected = 0
        self._passed = 0
        self._dropped = 0
        self._resets = 0

    @property
    def mode(self) -> Mode:
        return Mode.PASS if self._flapped else self._condition.mode

    def totals(self) -> LinkTotals:
        return LinkTotals(self._connected, self._passed, self._dropped, self._resets)

    def change(self, condition: Condition, nursery: trio.Nursery) -> None:
        """This condition holds from now on."""
        if self._flaps is not None:
            self._flaps.cancel()
            self._flaps = None
        self._condition = condition
        self._turn(flapped=False)
        if condition.flap_ms:
            self._flaps = trio.CancelScope()
            nursery.start_soon(self._flap, self._flaps, condition.flap_ms / 1000)

    async def _flap(self, scope: trio.CancelScope, seconds: float) -> None:
        with scope:
            while True:
                await trio.sleep(seconds)
                self._turn(flapped=not self._flapped)

    def _turn(self, *, flapped: bool) -> None:
        self._flapped = flapped
        mode = self.mode
        for connection in list(self._connections):
            if mode is Mode.RESET or (connection.has_hole and mode is not Mode.DROP):
                connection.reset()
        self._changed.set()
        self._changed = trio.Event()

    # --- connections ----------------------------------------------------------------------------

    async def serve(self, near: trio.SocketStream) -> None:
        """Carry one connection until either side or a fault ends it."""
        self._connected += 1
        connection = _Connection(near)
        self._connections[connection] = None
        try:
            with connection.scope:
                await self._carry(connection)
        except* LOST:
            pass
        finally:
            del self._connections[connection]
            if connection.resetting:
                self._resets += 1
                _cut(near)
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(near)

    async def _carry(self, connection: _Connection) -> None:
        if self.mode is Mode.RESET:
            connection.reset()
        near = connection.near
        far = await trio.open_tcp_stream(LOOPBACK, self._port)
        try:
            async with trio.open_nursery() as nursery:
                queue, due = trio.open_memory_channel[tuple[float, bytes]](CHUNKS_MAX)
                nursery.start_soon(self._read, connection, queue)
                nursery.start_soon(self._write, connection, due, far)
                await _copy(far, near)
                nursery.cancel_scope.cancel()
        finally:
            if connection.resetting:
                _cut(far)
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(far)

    async def _read(
        self, connection: _Connection, queue: trio.MemorySendChannel[tuple[float, bytes]]
    ) -> None:
        line_free = latest = 0.0
        async with queue:
            while data := bytes(await connection.near.receive_some(CHUNK_BYTES)):
                condition = self._condition
                line_free = max(line_free, trio.current_time())
                if condition.bytes_per_second:
                    line_free += len(data) / condition.bytes_per_second
                jitter_ms = self._random.uniform(0, condition.jitter_ms)
                due = line_free + (condition.delay_ms + jitter_ms) / 1000
                latest = max(latest, due)
                await queue.send((latest, data))

    async def _write(
        self,
        connection: _Connection,
        due: trio.MemoryReceiveChannel[tuple[float, bytes]],
        far: trio.SocketStream,
    ) -> None:
        async for when, data in due:
            if when > trio.current_time():
                await trio.sleep_until(when)
            while self.mode is Mode.HOLD:
                await self._changed.wait()
            if self.mode is Mode.DROP:
                connection.has_hole = True
                self._dropped += len(data)
                continue
            await far.send_all(data)
            self._passed += len(data)
        await far.send_eof()


class _Connection:
    """The dialler's side of one connection."""

    __slots__ = ("has_hole", "near", "resetting", "scope")

    def __init__(self, near: trio.SocketStream) -> None:
        self.near: Final = near
        self.scope: Final = trio.CancelScope()
        self.has_hole = False
        self.resetting = False

    def reset(self) -> None:
        self.resetting = True
        self.scope.cancel()


async def _copy(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    while data := await source.receive_some(CHUNK_BYTES):
        await sink.send_all(data)


def _cut(stream: trio.SocketStream) -> None:
    """The close that follows sends RST instead of FIN."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)


class Relay:
    """All links of a network."""

    def __init__(self, config: RelayConfig) -> None:
        self.links: Final = tuple(Link(place, config.seed) for place in config.links)

    async def listen(self, nursery: trio.Nursery) -> tuple[int, ...]:
        """Open one loopback port per link; returns them in the order of the configuration."""
        ports = []
        for link in self.links:
            serve = partial(trio.serve_tcp, link.serve, 0, host=LOOPBACK)
            listeners: list[trio.SocketListener] = await nursery.start(serve)
            ports.append(listeners[0].socket.getsockname()[1])
        return tuple(ports)

    def change(self, change: Change, nursery: trio.Nursery) -> Changed:
        for position in change.links:
            self.links[position].change(change.condition, nursery)
        return Changed(tuple(link.totals() for link in self.links))


async def run(config: RelayConfig) -> None:
    """Relay until the standard input ends."""
    relay = Relay(config)
    control = trio.lowlevel.FdStream(os.dup(sys.stdin.fileno()))
    async with trio.open_nursery() as nursery:
        _say(RelayReady(await relay.listen(nursery)))
        waiting = b""
        while data := await control.receive_some(LINE_BYTES_MAX):
            *lines, waiting = (waiting + data).split(b"\n")
            for line in lines:
                _say(relay.change(msgspec.json.decode(line, type=Change), nursery))
        nursery.cancel_scope.cancel()


def _say(answer: msgspec.Struct) -> None:
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    trio.run(run, msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=RelayConfig))
