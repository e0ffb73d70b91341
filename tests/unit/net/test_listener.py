"""Strangers and clients at a node's door: limits, slowness, garbage (E5, E6, E7)."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.lowlevel
import trio.testing
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from net import ListenerLimits
from net.limits import CLIENT_OUTBOX_BYTES_MAX, CLIENT_OUTBOX_BYTES_PAUSE
from tallynet.codec import decode, encode
from tallynet.errors import InvariantViolated
from tallynet.frames import FrameReader, frame
from tallynet.handshake import DiallerHandshake, HandshakeRefused
from tallynet.limits import FRAME_BYTES_MAX, HANDSHAKE_FRAME_BYTES_MAX
from tallynet.messages import (
    Challenge,
    ClientReply,
    Goodbye,
    Hello,
    IndexPage,
    PeerRole,
    Ping,
    Pong,
)
from tallynet.tls import dialler_context
from tests.unit.net.samples import GENESIS, KEYS, PUBLIC, STRANGER, Node, listening, until


class Wire:
    """A dialler that can also misbehave."""

    def __init__(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        self.stream = stream
        self.reader = FrameReader(FRAME_BYTES_MAX)
        self.arrived: list[bytes] = []

    async def receive(self) -> bytes:
        """The next message; empty at the end of the stream."""
        with trio.fail_after(5):
            while not self.arrived:
                try:
                    data = await self.stream.receive_some()
                except trio.BrokenResourceError:
                    return b""
                if not data:
                    return b""
                self.arrived.extend(self.reader.feed(bytes(data)))
        return self.arrived.pop(0)

    async def send(self, message: bytes) -> None:
        await self.stream.send_all(frame(message))

    async def goodbye(self) -> str:
        """The code with which the server ends."""
        while message := await self.receive():
            reply = decode(ClientReply, message)
            if isinstance(reply, Goodbye):
                return reply.code
        return "SILENT"


@asynccontextmanager
async def dialled(node: Node) -> AsyncIterator[Wire]:
    """TLS, no hello yet."""
    transport = await trio.open_tcp_stream("127.0.0.1", node.port)
    stream = trio.SSLStream(transport, dialler_context(), https_compatible=True)
    try:
        yield Wire(stream)
    finally:
        await trio.aclose_forcefully(stream)


def hello(key: Ed25519PrivateKey = STRANGER) -> DiallerHandshake:
    return DiallerHandshake(
        genesis=GENESIS, role=PeerRole.CLIENT, key=key, server_key=PUBLIC[0], software="test=1"
    )


@asynccontextmanager
async def client(node: Node, key: Ed25519PrivateKey = STRANGER) -> AsyncIterator[Wire]:
    """A client that was welcomed."""
    async with dialled(node) as wire:
        handshake = hello(key)
        answer = handshake.receive(await wire.receive())
        assert answer is not None
        await wire.send(answer)
        assert handshake.receive(await wire.receive()) is None
        assert handshake.height == 7
        yield wire


async def test_a_client_is_welcomed_asks_and_is_answered_and_forgotten_when_it_goes() -> None:
    async with listening(0) as node:
        async with client(node) as wire:
            for number in (1, 2, 3):
                await wire.send(encode(Ping(number)))
            answers = [decode(ClientReply, await wire.receive()) for _ in range(3)]
            assert answers == [Pong(1), Pong(2), Pong(3)]
            (session,) = node.sessions
            assert session.key == STRANGER.public_key().public_bytes_raw()
            assert session.statistics().requests == 3
        await until(lambda: node.forgotten == [session])
        session.send(encode(Pong(4)))
        assert node.listener.statistics().clients == ()


async def test_a_hello_for_another_connection_server_or_network_is_refused() -> None:
    async with listening(0) as node:
        for mutate in (
            {"nonce": b"n" * 32},
            {"genesis": b"x" * 32},
        ):
            async with dialled(node) as wire:
                challenge = decode(Challenge, await wire.receive())
                fields = {name: getattr(challenge, name) for name in challenge.__struct_fields__}
                handshake = DiallerHandshake(
                    genesis=mutate.get("genesis", GENESIS), role=PeerRole.CLIENT, key=STRANGER,
                    server_key=PUBLIC[0], software="test=1",
                )  # fmt: skip
                answer = handshake.receive(encode(Challenge(**(fields | mutate))))
                assert answer is not None
                await wire.send(answer)
                assert await wire.goodbye() == "HELLO_INVALID"
        async with dialled(node) as wire:
            other_server = DiallerHandshake(
                genesis=GENESIS, role=PeerRole.CLIENT, key=STRANGER, server_key=PUBLIC[1],
                software="test=1",
            )  # fmt: skip
            answer = other_server.receive(await wire.receive())
            assert answer is not None
            await wire.send(answer)
            assert await wire.goodbye() == "HELLO_INVALID"
        assert node.listener.statistics().accepted == 0


async def test_a_replayed_hello_is_refused() -> None:
    async with listening(0) as node:
        async with dialled(node) as wire:
            first = hello().receive(await wire.receive())
            assert first is not None
            await wire.send(first)
            assert await wire.receive()
        async with dialled(node) as wire:
            await wire.receive()
            await wire.send(first)
            assert await wire.goodbye() == "HELLO_INVALID"


async def test_a_hello_signed_by_another_key_or_of_a_weak_key_is_refused() -> None:
    async with listening(0) as node:
        async with dialled(node) as wire:
            answer = hello().receive(await wire.receive())
            assert answer is not None
            forged = decode(Hello, answer)
            await wire.send(encode(Hello(forged.body, bytes(64))))
            assert await wire.goodbye() == "HELLO_INVALID"
        async with dialled(node) as wire:
            challenge = decode(Challenge, await wire.receive())
            body = decode(Hello, hello().receive(encode(challenge)) or b"").body
            weak = body.replace(STRANGER.public_key().public_bytes_raw(), b"\1" + bytes(31))
            await wire.send(encode(Hello(weak, b"\1" + bytes(63))))
            assert await wire.goodbye() == "HELLO_INVALID"


@pytest.mark.parametrize("size", [HANDSHAKE_FRAME_BYTES_MAX, HANDSHAKE_FRAME_BYTES_MAX + 1])
async def test_before_authentication_a_frame_has_at_most_4_kib(size: int) -> None:
    async with listening(0) as node, dialled(node) as wire:
        await wire.receive()
        await wire.stream.send_all(size.to_bytes(4, "big") + bytes(size))
        within = size <= HANDSHAKE_FRAME_BYTES_MAX
        assert await wire.goodbye() == ("SCHEMA" if within else "FRAME_TOO_LARGE")


async def test_two_messages_before_the_welcome_are_refused() -> None:
    async with listening(0) as node, dialled(node) as wire:
        answer = hello().receive(await wire.receive())
        assert answer is not None
        await wire.stream.send_all(frame(answer) + frame(encode(Ping(1))))
        assert await wire.goodbye() == "HELLO_INVALID"


async def test_bytes_that_are_no_tls_end_their_connection_only() -> None:
    async with listening(0) as node:
        for junk in (b"GET / HTTP/1.1\r\n\r\n", bytes(200), b"\x16\x03\x01\xff\xff"):
            stream = await trio.open_tcp_stream("127.0.0.1", node.port)
            await stream.send_all(junk)
            await stream.aclose()
        async with client(node) as wire:
            await wire.send(encode(Ping(1)))
            assert await wire.receive() == encode(Pong(1))
        await until(lambda: node.listener.statistics().half_open == 0)


async def test_tls_1_2_is_refused() -> None:
    context = dialler_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with listening(0) as node:
        transport = await trio.open_tcp_stream("127.0.0.1", node.port)
        stream = trio.SSLStream(transport, context)
        with pytest.raises(trio.BrokenResourceError):
            await stream.do_handshake()
        await trio.aclose_forcefully(stream)


async def test_half_open_connections_are_few_and_short() -> None:
    limits = ListenerLimits(half_open=3, handshake_seconds=0.2)
    async with listening(0, limits=limits) as node:
        idle = [await trio.open_tcp_stream("127.0.0.1", node.port) for _ in range(3)]
        await until(lambda: node.listener.statistics().half_open == 3)
        refused = await trio.open_tcp_stream("127.0.0.1", node.port)
        with trio.fail_after(5):
            assert await refused.receive_some() == b""
        assert node.listener.statistics().refused == 1
        await until(lambda: node.listener.statistics().half_open == 0)
        async with client(node):
            pass
        for stream in (*idle, refused):
            await stream.aclose()


async def test_a_key_may_have_so_many_connections_and_the_node_so_many_clients() -> None:
    limits = ListenerLimits(clients=3, clients_per_key=2)
    async with listening(0, limits=limits) as node, client(node), client(node):
        async with dialled(node) as wire:
            answer = hello().receive(await wire.receive())
            assert answer is not None
            await wire.send(answer)
            assert await wire.goodbye() == "BUSY"
        async with client(node, KEYS[1]), dialled(node) as wire:
            answer = hello(KEYS[2]).receive(await wire.receive())
            assert answer is not None
            await wire.send(answer)
            assert await wire.goodbye() == "BUSY"
        await until(lambda: len(node.listener.statistics().clients) == 2)
        async with client(node, KEYS[2]):
            pass


async def test_the_node_may_turn_a_clients_key_away() -> None:
    async with listening(0, admit_client=lambda key: key != PUBLIC[3]) as node:
        async with client(node):
            pass
        with pytest.raises(HandshakeRefused, match="CLIENT_UNKNOWN"):
            async with client(node, KEYS[3]):
                pass


async def test_a_silent_client_and_one_that_stops_inside_a_frame_are_dropped() -> None:
    limits = ListenerLimits(idle_seconds=0.1, frame_seconds=0.1)
    async with listening(0, limits=limits) as node:
        async with client(node) as wire:
            assert await wire.goodbye() == "IDLE"
        async with client(node) as wire:
            await wire.stream.send_all(b"\0\0\0\x20")
            assert await wire.goodbye() == "TOO_SLOW"
        await until(lambda: node.listener.statistics().faults == 2)


async def test_a_client_that_dribbles_is_dropped_although_it_is_never_idle() -> None:
    limits = ListenerLimits(idle_seconds=0.3, frame_seconds=0.3)
    async with listening(0, limits=limits) as node, client(node) as wire:
        await wire.stream.send_all(b"\0\0\x01\0")
        started = trio.current_time()
        with trio.fail_after(3):
            while not await _is_over(wire):
                await wire.stream.send_all(b"\x01")
        assert 0.2 < trio.current_time() - started < 1


async def _is_over(wire: Wire) -> bool:
    with trio.move_on_after(0.01):
        return await wire.goodbye() == "TOO_SLOW"
    return False


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ((FRAME_BYTES_MAX + 1).to_bytes(4, "big"), "FRAME_TOO_LARGE"),
        (bytes(4), "FRAME_EMPTY"),
        (b"\xff\xff\xff\xff", "FRAME_TOO_LARGE"),
    ],
)
async def test_an_authenticated_client_has_a_frame_limit_too(bad: bytes, code: str) -> None:
    async with listening(0) as node, client(node) as wire:
        await wire.stream.send_all(bad)
        assert await wire.goodbye() == code


async def test_twenty_requests_that_do_not_decode_end_the_session_and_ban_the_key() -> None:
    async with listening(0) as node:
        async with client(node) as wire:
            for _ in range(19):
                await wire.send(b"\xff")
            await wire.send(encode(Ping(1)))
            assert await wire.receive() == encode(Pong(1))
            await wire.send(b"\xff")
            assert await wire.goodbye() == "BANNED"
        with pytest.raises(HandshakeRefused, match="BANNED"):
            async with client(node):
                pass
        async with client(node, KEYS[1]):
            pass


async def test_an_error_of_ours_ends_the_connection_that_met_it_and_no_other() -> None:
    async with listening(0) as node, client(node) as other:
        node.fail_with = KeyError("a fault of ours")
        async with client(node) as wire:
            await wire.send(encode(Ping(1)))
            assert await wire.receive() == b""
        node.fail_with = None
        await other.send(encode(Ping(2)))
        assert await other.receive() == encode(Pong(2))
        assert node.listener.statistics().internal_errors == 1


async def test_a_broken_invariant_is_not_caught() -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        async with listening(0) as node, client(node) as wire:
            node.fail_with = InvariantViolated("TEST-1")
            await wire.send(encode(Ping(1)))
            await trio.sleep(5)
    assert caught.value.subgroup(InvariantViolated) is not None


async def test_a_client_that_does_not_read_is_not_read_either_and_then_dropped() -> None:
    page = encode(IndexPage(1, (bytes(250_000),) * 4, False))
    async with listening(0) as node, client(node) as wire:
        await wire.send(encode(Ping(1)))
        await wire.receive()
        (session,) = node.sessions
        while session.statistics().queued_bytes <= CLIENT_OUTBOX_BYTES_PAUSE:
            session.send(page)
            await trio.lowlevel.checkpoint()
        await wire.send(encode(Ping(2)))
        await trio.testing.wait_all_tasks_blocked(0.05)
        await wire.send(encode(Ping(3)))
        while session.statistics().queued_bytes <= CLIENT_OUTBOX_BYTES_MAX - len(page) - 4:
            session.send(page)
        assert node.forgotten == []
        session.send(page)
        await until(lambda: node.forgotten == [session])
        assert len(node.requests) <= 2


async def test_a_session_closed_by_the_node_says_why_after_what_is_queued() -> None:
    async with listening(0) as node, client(node) as wire:
        await wire.send(encode(Ping(1)))
        await wire.receive()
        (session,) = node.sessions
        session.send(encode(Pong(2)))
        session.close("UPGRADE", "back soon")
        session.send(encode(Pong(3)))
        assert await wire.receive() == encode(Pong(2))
        assert await wire.goodbye() == "UPGRADE"
        await until(lambda: node.forgotten == [session])


async def test_a_reply_that_no_frame_holds_ends_the_session_instead_of_the_node() -> None:
    async with listening(0) as node, client(node) as wire:
        await wire.send(encode(Ping(1)))
        await wire.receive()
        node.sessions[0].send(bytes(FRAME_BYTES_MAX + 1))
        assert await wire.goodbye() == "REPLY_TOO_LARGE"
