"""One TLS connection in a node: opening it from either side, reading frames within time limits."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from net.identity import NodeIdentity
from net.limits import UNACKNOWLEDGED_SECONDS
from tallynet.codec import encode
from tallynet.errors import RemoteProtocolError
from tallynet.frames import FrameReader, frame
from tallynet.handshake import Accepted, HandshakeRefused
from tallynet.limits import (
    FRAME_BYTES_MAX,
    FRAME_SECONDS,
    IDLE_SECONDS_MAX,
    RATE_BYTES_PER_SECOND_MIN,
    READ_BYTES,
    WRITE_SECONDS,
)
from tallynet.messages import Goodbye, Welcome
from tallynet.tls import check_pin

__all__ = [
    "LOST", "Connection", "accept", "closing", "dial", "prepare_socket", "say_goodbye", "welcome",
    "wrap",
]  # fmt: skip

Stream = trio.SSLStream[trio.SocketStream]

LOST: Final = (OSError, ssl.SSLError, trio.BrokenResourceError, trio.ClosedResourceError)
"""What a dead line looks like; no fault of anybody."""
_GOODBYE_SECONDS: Final = 1.0
"""A farewell is a courtesy; the receiver may be the one who does not read."""


class Connection:
    """Whole messages from a TLS stream. One task reads, one (other) task writes."""

    __slots__ = (
        "_began", "_frame_seconds", "_idle_seconds", "_reader", "received_bytes", "stream",
    )  # fmt: skip

    def __init__(
        self,
        stream: Stream,
        *,
        idle_seconds: float = IDLE_SECONDS_MAX,
        frame_seconds: float = FRAME_SECONDS,
    ) -> None:
        self.stream: Final = stream
        self._reader: Final = FrameReader()
        self._idle_seconds: Final = idle_seconds
        self._frame_seconds: Final = frame_seconds
        self._began: float | None = None
        """When the frame that is incomplete began to arrive."""
        self.received_bytes = 0

    def authenticated(self) -> None:
        """From here on the other side may send messages of full size."""
        self._reader.raise_limit(FRAME_BYTES_MAX)

    async def receive(self) -> list[bytes]:
        """The next messages, in order and at least one; an empty list at the end of the stream.

        Raises:
            RemoteProtocolError: FRAME_TOO_LARGE, FRAME_EMPTY, IDLE, TOO_SLOW, or TRUNCATED.
            trio.BrokenResourceError: the line is dead.
        """
        while True:
            with trio.move_on_at(self._deadline()):
                data = bytes(await self.stream.receive_some(READ_BYTES))
                if not data:
                    if self._began is not None:
                        raise RemoteProtocolError("TRUNCATED", "the stream ended inside a message")
                    return []
                self.received_bytes += len(data)
                messages = self._reader.feed(data)
                if messages or self._began is None:
                    self._began = trio.current_time() if self._reader.waiting_for else None
                if messages:
                    return messages
                continue
            if self._began is None:
                raise RemoteProtocolError("IDLE", f"nothing heard for {self._idle_seconds:g} s")
            raise RemoteProtocolError("TOO_SLOW", "a message took too long to arrive")

    def _deadline(self) -> float:
        if self._began is None:
            return trio.current_time() + self._idle_seconds
        allowance = self._reader.waiting_for / RATE_BYTES_PER_SECOND_MIN
        return self._began + self._frame_seconds + allowance

    async def receive_one(self) -> bytes:
        """Exactly one message, as in the handshake, where nobody speaks out of turn.

        Raises:
            RemoteProtocolError: as `receive`, or HELLO_INVALID.
        """
        messages = await self.receive()
        if not messages:
            raise RemoteProtocolError("HELLO_INVALID", "the connection ended before the hello")
        if len(messages) > 1 or self._began is not None:
            raise RemoteProtocolError("HELLO_INVALID", "more than one message before the welcome")
        return messages[0]

    async def send(self, framed: bytes) -> None:
        """Write framed messages.

        Raises:
            trio.TooSlowError: the other side does not read; the connection is unusable afterwards.
        """
        with trio.fail_after(WRITE_SECONDS + len(framed) / RATE_BYTES_PER_SECOND_MIN):
            await self.stream.send_all(framed)


def prepare_socket(transport: trio.SocketStream) -> None:
    """Notice a peer that vanished without a word; only Linux lets us say how fast."""
    with contextlib.suppress(OSError):
        transport.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        milliseconds = int(UNACKNOWLEDGED_SECONDS * 1000)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            transport.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        if hasattr(socket, "TCP_KEEPIDLE"):
            seconds = int(UNACKNOWLEDGED_SECONDS)
            transport.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
            transport.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, seconds)


def wrap(transport: trio.SocketStream, context: ssl.SSLContext, *, server_side: bool) -> Stream:
    """TLS around a TCP stream. Frames show where messages end, so that a missing close_notify
    (`https_compatible`) hides nothing."""
    return trio.SSLStream(transport, context, server_side=server_side, https_compatible=True)


@asynccontextmanager
async def closing(stream: Stream) -> AsyncIterator[None]:
    """Close on the way out, however we leave, and never wait long for it."""
    try:
        yield
    finally:
        deadline = trio.current_time() + _GOODBYE_SECONDS
        with trio.CancelScope(shield=True, deadline=deadline), contextlib.suppress(*LOST):
            await stream.aclose()


async def accept(connection: Connection, identity: NodeIdentity) -> Accepted:
    """The server's side up to the Welcome, which the caller sends when it has a place.

    Raises:
        RemoteProtocolError: the text is the reason given in the Goodbye, which is already sent.
    """
    await connection.stream.do_handshake()
    handshake = identity.as_server()
    await connection.stream.send_all(frame(handshake.challenge))
    try:
        accepted = handshake.receive(await connection.receive_one())
    except RemoteProtocolError as error:
        await say_goodbye(connection, error)
        raise
    connection.authenticated()
    return accepted


async def welcome(connection: Connection, height: int) -> None:
    """Tell the dialler that the connection is open."""
    await connection.stream.send_all(frame(encode(Welcome(height))))


async def dial(connection: Connection, identity: NodeIdentity, index: int) -> int:
    """The dialler's side, to the validator `index`; returns the height it claims.

    Raises:
        RemoteProtocolError: PEER_WRONG_KEY, or what the server said.
    """
    await connection.stream.do_handshake()
    check_pin(connection.stream.getpeercert(binary_form=True), identity.validators[index])
    handshake = identity.as_dialler(index)
    while True:
        try:
            answer = handshake.receive(await connection.receive_one())
        except HandshakeRefused as error:
            if error.code in ("NETWORK_MISMATCH", "PROTOCOL_MISMATCH", "SOFTWARE_MISMATCH"):
                await say_goodbye(connection, error)
            raise
        if answer is None:
            return handshake.height
        await connection.stream.send_all(frame(answer))


async def say_goodbye(connection: Connection, error: RemoteProtocolError) -> None:
    """Name the reason before the end, if the other side still listens."""
    farewell = frame(encode(Goodbye(error.code, error.message[:400])))
    with trio.move_on_after(_GOODBYE_SECONDS), contextlib.suppress(*LOST):
        await connection.stream.send_all(farewell)
