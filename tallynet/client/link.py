"""One connection of a client to one node, on AnyIO: requests, answers, and what the node pushes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Final, TypeVar

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSAttribute, TLSStream
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallynet.client.errors import ConnectionLost, RequestFailed
from tallynet.codec import Wire, decode, encode
from tallynet.errors import RemoteProtocolError
from tallynet.frames import FrameReader, frame
from tallynet.handshake import CLIENT_PACKAGES, DiallerHandshake, software_fingerprint
from tallynet.limits import (
    FRAME_BYTES_MAX,
    HANDSHAKE_SECONDS,
    PING_SECONDS,
    RATE_BYTES_PER_SECOND_MIN,
    READ_BYTES,
    WRITE_BYTES_MAX,
    WRITE_SECONDS,
)
from tallynet.messages import (
    ClientReply,
    Goodbye,
    PeerRole,
    Ping,
    Pong,
    Receipts,
    Refused,
    RequestRefused,
)
from tallynet.tls import certificate_key, check_pin, dialler_context

__all__ = ["Credentials", "Link", "NodeAddress"]

CONNECT_SECONDS: Final = 3.0
ANSWER_SECONDS: Final = 10.0
"""A node answers in milliseconds; after this long another one is asked."""
QUEUED_BYTES_MAX: Final = 2 * FRAME_BYTES_MAX
"""Requests not written yet; senders wait."""

T = TypeVar("T", bound=Wire)
Push = Receipts | Refused


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """Where a node listens, and which key it must show."""

    host: str
    port: int
    public_key: bytes | None = None
    """None: any validator of this network, as far as they are known."""

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client shows and expects when it dials."""

    genesis: bytes
    """Genesis hash."""
    validators: Container[bytes]
    """Public keys that a node without a key of its own in its address may have."""
    key: Ed25519PrivateKey


class _Waiter:
    __slots__ = ("event", "reply")

    def __init__(self) -> None:
        self.event: Final = anyio.Event()
        self.reply: ClientReply | None = None


class Link:
    """Made by `dial`; the owner starts `run` in a task group."""

    def __init__(
        self,
        stream: TLSStream,
        reader: FrameReader,
        address: NodeAddress,
        server_key: bytes,
        height: int,
        on_push: Callable[[Link, Push], None],
        on_lost: Callable[[Link], None],
    ) -> None:
        self.address: Final = address
        self.server_key: Final = server_key
        """Proven by TLS."""
        self.height: Final = height
        """Committed height the node claimed at the start."""
        self.open = True
        self.trouble: ConnectionLost | None = None
        """Why it ended."""
        self._stream: Final = stream
        self._reader: Final = reader
        self._on_push: Final = on_push
        self._on_lost: Final = on_lost
        self._queue: Final[deque[bytes]] = deque()
        self._queued_bytes = 0
        self._ready = anyio.Event()
        self._room = anyio.Event()
        self._waiters: Final[dict[int, _Waiter]] = {}
        self._numbers = 0

    @classmethod
    async def dial(
        cls,
        address: NodeAddress,
        credentials: Credentials,
        on_push: Callable[[Link, Push], None],
        on_lost: Callable[[Link], None],
    ) -> Link:
        """Connect, check the server's key, say hello.

        Raises:
            ConnectionLost: no connection, with the code and reason of whoever refused it.
        """
        try:
            with anyio.fail_after(CONNECT_SECONDS):
                transport = await anyio.connect_tcp(address.host, address.port)
            with anyio.fail_after(HANDSHAKE_SECONDS):
                return await cls._greet(transport, address, credentials, on_push, on_lost)
        except RemoteProtocolError as error:
            raise ConnectionLost(error.code, f"{address}: {error.message}") from None
        except TimeoutError:
            raise ConnectionLost("CONNECTION_LOST", f"{address}: no answer in time") from None
        except (
            OSError,
            anyio.BrokenResourceError,
            anyio.ClosedResourceError,
            anyio.EndOfStream,
        ) as error:
            raise ConnectionLost("CONNECTION_LOST", f"{address}: {_text(error)}") from None

    @classmethod
    async def _greet(
        cls,
        transport: ByteStream,
        address: NodeAddress,
        credentials: Credentials,
        on_push: Callable[[Link, Push], None],
        on_lost: Callable[[Link], None],
    ) -> Link:
        try:
            stream = await TLSStream.wrap(
                transport,
                server_side=False,
                ssl_context=dialler_context(),
                standard_compatible=False,
            )
            certificate = stream.extra(TLSAttribute.ssl_object).getpeercert(binary_form=True)
            server_key = _checked_server_key(certificate, address, credentials)
            handshake = DiallerHandshake(
                genesis=credentials.genesis,
                role=PeerRole.CLIENT,
                key=credentials.key,
                server_key=server_key,
                software=software_fingerprint(CLIENT_PACKAGES),
            )
            reader = FrameReader()
            while True:
                answer = handshake.receive(await _receive_one(stream, reader))
                if answer is None:
                    break
                await stream.send(frame(answer))
        except BaseException:
            await anyio.aclose_forcefully(transport)
            raise
        reader.raise_limit(FRAME_BYTES_MAX)
        return cls(stream, reader, address, server_key, handshake.height, on_push, on_lost)

    # --- requests -------------------------------------------------------------------------------

    async def send(self, message: Wire) -> None:
        """Queue a message; waits while much is queued.

        Raises:
            ConnectionLost: the link is over.
        """
        framed = frame(encode(message))
        while self.open and self._queued_bytes > QUEUED_BYTES_MAX:
            self._room = anyio.Event()
            await self._room.wait()
        if not self.open:
            raise self._lost()
        self._queue.append(framed)
        self._queued_bytes += len(framed)
        self._ready.set()

    async def ask(
        self, make: Callable[[int], Wire], expect: type[T], *, seconds: float = ANSWER_SECONDS
    ) -> T:
        """Send the request that `make` builds from a number, and wait for its answer.

        Raises:
            ConnectionLost: no answer, or one of the wrong type.
            RequestFailed: the node's refusal.
        """
        self._numbers += 1
        number, waiter = self._numbers, _Waiter()
        self._waiters[number] = waiter
        try:
            with anyio.fail_after(seconds):
                await self.send(make(number))
                await waiter.event.wait()
        except TimeoutError:
            raise ConnectionLost("CONNECTION_LOST", f"{self.address} does not answer") from None
        finally:
            del self._waiters[number]
        reply = waiter.reply
        if isinstance(reply, RequestRefused):
            raise RequestFailed(reply.code, reply.reason)
        if reply is None:
            raise self._lost()
        if not isinstance(reply, expect):
            self.close(RemoteProtocolError("UNEXPECTED", f"answered {type(reply).__name__}"))
            raise self._lost()
        return reply

    def _lost(self) -> ConnectionLost:
        return self.trouble or ConnectionLost("CONNECTION_LOST", f"{self.address}: closed")

    # --- the connection's tasks -----------------------------------------------------------------

    async def run(self) -> None:
        """Read, write and ping until either side ends it; never raises for what a node did."""
        trouble: ConnectionLost | None = None
        try:
            async with anyio.create_task_group() as tasks:
                self._scope = tasks.cancel_scope
                if self.open:
                    tasks.start_soon(self._write)
                    tasks.start_soon(self._ping)
                    await self._read()
                tasks.cancel_scope.cancel()
        except* ConnectionLost as group:
            trouble = _first(group)
        except* RemoteProtocolError as group:
            trouble = _broken(group, str(self.address))
        except* (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
            trouble = ConnectionLost("CONNECTION_LOST", f"{self.address} closed the connection")
        finally:
            self._finish(trouble)
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(self._stream)

    def close(self, error: RemoteProtocolError) -> None:
        """The node sent something that is not true or makes no sense: believe nothing more of it."""
        self._finish(ConnectionLost(error.code, f"{self.address}: {error.message}"))
        if self._scope is not None:
            self._scope.cancel()

    _scope: anyio.CancelScope | None = None

    def _finish(self, trouble: ConnectionLost | None) -> None:
        """Wake everybody who waits for an answer; they find no reply."""
        if not self.open:
            return
        self.open = False
        self.trouble = trouble
        self._room.set()
        for waiter in self._waiters.values():
            waiter.event.set()
        self._on_lost(self)

    async def _read(self) -> None:
        while True:
            try:
                data = await self._stream.receive(READ_BYTES)
            except anyio.EndOfStream:
                return
            for message in self._reader.feed(data):
                reply: ClientReply = decode(ClientReply, message)
                self._take(reply)

    def _take(self, reply: ClientReply) -> None:
        if isinstance(reply, Receipts | Refused):
            self._on_push(self, reply)
        elif isinstance(reply, Goodbye):
            raise ConnectionLost(reply.code, f"{self.address}: {reply.reason}")
        else:
            waiter = self._waiters.get(reply.request)
            if waiter is not None:  # else the answer to a request that was given up
                waiter.reply = reply
                waiter.event.set()

    async def _write(self) -> None:
        queue = self._queue
        while True:
            while not queue:
                self._ready = anyio.Event()
                await self._ready.wait()
            part = [queue.popleft()]
            size = len(part[0])
            while queue and size + len(queue[0]) <= WRITE_BYTES_MAX:
                part.append(queue.popleft())
                size += len(part[-1])
            with anyio.fail_after(WRITE_SECONDS + size / RATE_BYTES_PER_SECOND_MIN):
                await self._stream.send(b"".join(part))
            self._queued_bytes -= size
            self._room.set()

    async def _ping(self) -> None:
        """Keeps the connection alive and notices when the node has vanished."""
        while True:
            await anyio.sleep(PING_SECONDS)
            try:
                await self.ask(Ping, Pong, seconds=PING_SECONDS)
            except RequestFailed as error:
                raise ConnectionLost(error.code, f"{self.address} refuses a ping") from None


def _checked_server_key(
    certificate: bytes | None, address: NodeAddress, credentials: Credentials
) -> bytes:
    if address.public_key is not None:
        check_pin(certificate, address.public_key)
        return address.public_key
    shown = certificate_key(certificate)
    if shown not in credentials.validators:
        raise RemoteProtocolError(
            "PEER_WRONG_KEY",
            f"the server's key {shown.hex()[:16]} is no validator's that is known here;"
            " give the node's own public key if it is an observer, or validates since lately",
        )
    return shown


async def _receive_one(stream: TLSStream, reader: FrameReader) -> bytes:
    while True:
        messages = reader.feed(await stream.receive(READ_BYTES))
        if len(messages) > 1 or (messages and reader.waiting_for):
            raise RemoteProtocolError("HELLO_INVALID", "more than one message before the welcome")
        if messages:
            return messages[0]


def _broken(group: BaseExceptionGroup[RemoteProtocolError], address: str) -> ConnectionLost:
    """Its bytes make no sense."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    code = error.code if isinstance(error, RemoteProtocolError) else "CONNECTION_LOST"
    return ConnectionLost(code, f"{address}: {error}")


def _first(group: BaseExceptionGroup[ConnectionLost]) -> ConnectionLost:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ConnectionLost):
        return error
    return ConnectionLost("CONNECTION_LOST", _text(error))


def _text(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__
