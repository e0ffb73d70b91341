"""The fault relay: what a link delivers under each condition, and what it never delivers."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
import trio

from tools.chaos.helper import helper
from tools.chaos.links import (
    Change,
    Changed,
    Condition,
    LinkTotals,
    Mode,
    RelayConfig,
    RelayLink,
    RelayReady,
)
from tools.chaos.network import ChaosError
from tools.chaos.relay import CHUNK_BYTES, CHUNKS_MAX, Relay

SECONDS = 10.0
"""For whatever must happen at all; on a busy machine too."""
SHORT_SECONDS = 0.2
"""For seeing that something does not happen."""


@dataclass
class Target:
    """A validator's listener: keeps what arrives, answers on demand."""

    heard: bytearray = field(default_factory=bytearray)
    streams: list[trio.SocketStream] = field(default_factory=list)
    moved: trio.Condition = field(default_factory=trio.Condition)

    async def serve(self, stream: trio.SocketStream) -> None:
        self.streams.append(stream)
        try:
            async for data in stream:
                async with self.moved:
                    self.heard += data
                    self.moved.notify_all()
        except trio.BrokenResourceError:
            pass

    async def hears(self, wanted: bytes) -> None:
        with trio.fail_after(SECONDS):
            async with self.moved:
                while bytes(self.heard) != wanted:
                    await self.moved.wait()


@dataclass
class Link:
    """One relayed link."""

    relay: Relay
    nursery: trio.Nursery
    port: int
    target: Target
    dialled: list[trio.SocketStream] = field(default_factory=list)

    def set(self, condition: Condition) -> LinkTotals:
        return self.relay.change(Change((0,), condition), self.nursery).totals[0]

    async def dial(self) -> trio.SocketStream:
        self.dialled.append(await trio.open_tcp_stream("127.0.0.1", self.port))
        return self.dialled[-1]


@asynccontextmanager
async def linked(seed: int = 1) -> AsyncIterator[Link]:
    target = Target()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, target.serve, 0)
        place = RelayLink(0, 1, listeners[0].socket.getsockname()[1])
        relay = Relay(RelayConfig(seed, (place,)))
        (port,) = await relay.listen(nursery)
        link = Link(relay, nursery, port, target)
        try:
            yield link
        finally:
            for stream in link.dialled:
                await trio.aclose_forcefully(stream)
            nursery.cancel_scope.cancel()


async def is_reset(stream: trio.SocketStream) -> bool:
    """True when the connection is cut off, not closed; waits for its end."""
    with trio.fail_after(SECONDS):
        try:
            while await stream.receive_some(CHUNK_BYTES):
                pass
        except trio.BrokenResourceError:
            return True
    return False


async def test_a_whole_link_carries_both_ways_and_passes_the_end_on() -> None:
    async with linked() as link:
        near = await link.dial()
        await near.send_all(b"to the target")
        await link.target.hears(b"to the target")
        (far,) = link.target.streams
        await far.send_all(b"and back")
        with trio.fail_after(SECONDS):
            assert await near.receive_some(100) == b"and back"
            await far.send_eof()
            assert await near.receive_some(100) == b""


async def test_a_delay_holds_bytes_back_and_jitter_keeps_their_order() -> None:
    async with linked() as link:
        link.set(Condition(delay_ms=50, jitter_ms=30))
        near = await link.dial()
        began = trio.current_time()
        pieces = [bytes([i]) * 10 for i in range(40)]
        for piece in pieces:
            await near.send_all(piece)
            await trio.lowlevel.checkpoint()
        await link.target.hears(b"".join(pieces))
        assert trio.current_time() - began >= 0.05


async def test_a_slow_line_takes_its_time() -> None:
    async with linked() as link:
        link.set(Condition(bytes_per_second=100_000))
        near = await link.dial()
        began = trio.current_time()
        await near.send_all(bytes(20_000))
        await link.target.hears(bytes(20_000))
        assert trio.current_time() - began >= 0.2


async def test_a_black_hole_delivers_nothing_one_way_and_resets_the_torn_stream_at_its_end() -> (
    None
):
    """TLS above would be given a stream with a hole in it; the reset makes both ends dial anew."""
    async with linked() as link:
        near = await link.dial()
        await near.send_all(b"before ")
        await link.target.hears(b"before ")
        link.set(Condition(Mode.DROP))
        await near.send_all(b"lost")
        (far,) = link.target.streams
        await far.send_all(b"the other direction is whole")
        with trio.fail_after(SECONDS):
            assert await near.receive_some(100) == b"the other direction is whole"
            while not link.set(Condition(Mode.DROP)).dropped_bytes:
                await trio.lowlevel.checkpoint()
        link.set(Condition())
        assert await is_reset(near)
        again = await link.dial()
        await again.send_all(b"after")
        await link.target.hears(b"before after")
        assert link.set(Condition()).resets == 1


async def test_a_black_hole_that_lost_nothing_leaves_the_connection_alone() -> None:
    async with linked() as link:
        near = await link.dial()
        await near.send_all(b"one ")
        await link.target.hears(b"one ")
        link.set(Condition(Mode.DROP))
        link.set(Condition())
        await near.send_all(b"two")
        await link.target.hears(b"one two")
        assert link.set(Condition()).resets == 0


async def test_a_held_link_delivers_everything_later_and_is_bounded() -> None:
    async with linked() as link:
        link.set(Condition(Mode.HOLD))
        near = await link.dial()
        await near.send_all(b"late")
        with trio.move_on_after(SHORT_SECONDS):
            while True:  # the relay stops reading at its bound, the kernels at theirs
                await near.send_all(bytes(CHUNK_BYTES))
        assert bytes(link.target.heard) == b""
        link.set(Condition())
        with trio.fail_after(SECONDS):
            async with link.target.moved:
                while len(link.target.heard) < CHUNKS_MAX:
                    await link.target.moved.wait()
        assert bytes(link.target.heard[:4]) == b"late"


async def test_a_resetting_link_cuts_old_and_new_connections() -> None:
    async with linked() as link:
        old = await link.dial()
        await old.send_all(b"x")
        await link.target.hears(b"x")
        link.set(Condition(Mode.RESET))
        assert await is_reset(old)
        assert await is_reset(await link.dial())
        assert bytes(link.target.heard) == b"x"


async def test_a_flapping_link_passes_and_cuts_in_turn() -> None:
    async with linked() as link:
        link.set(Condition(Mode.RESET, flap_ms=30))
        with trio.fail_after(SECONDS):
            while not link.target.heard:  # passes at times
                try:
                    await (await link.dial()).send_all(b"x")
                except (OSError, trio.BrokenResourceError):
                    continue
                await trio.lowlevel.checkpoint()
            survivor = await link.dial()
            assert await is_reset(survivor)  # and cuts at times


async def test_a_target_that_is_down_ends_the_connection() -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        port = nobody_listens.getsockname()[1]
        await _dial_a_dead_target(Relay(RelayConfig(1, (RelayLink(0, 1, port),))))


async def _dial_a_dead_target(relay: Relay) -> None:
    async with trio.open_nursery() as nursery:
        (relayed,) = await relay.listen(nursery)
        async with await trio.open_tcp_stream("127.0.0.1", relayed) as near:
            with trio.fail_after(SECONDS):
                assert await near.receive_some(1) == b""
        nursery.cancel_scope.cancel()


async def test_the_process_obeys_lines_and_ends_with_its_input(tmp_path: Path) -> None:
    target = Target()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, target.serve, 0)
        place = RelayLink(0, 1, listeners[0].socket.getsockname()[1])
        config = tmp_path / "relay.json"
        config.write_bytes(msgspec.json.encode(RelayConfig(1, (place,))))
        async with helper("relay", str(config)) as relay:
            ready = await relay.hear(RelayReady, seconds=SECONDS)
            async with await trio.open_tcp_stream("127.0.0.1", ready.ports[0]) as near:
                await near.send_all(b"through a process")
                await target.hears(b"through a process")
                order = Change((0,), Condition(Mode.RESET))
                await relay.ask(order, Changed, seconds=SECONDS)
                assert await is_reset(near)
        with pytest.raises(ChaosError, match="relay process"):
            await relay.tell(order)
        nursery.cancel_scope.cancel()


def test_a_configuration_can_only_name_ports_of_this_machine() -> None:
    """No field of it holds an address, and unknown fields are refused."""
    raw = b'{"seed":1,"links":[{"source":0,"target":1,"port":7100,"host":"192.0.2.1"}]}'
    with pytest.raises(msgspec.ValidationError, match="host"):
        msgspec.json.decode(raw, type=RelayConfig)
