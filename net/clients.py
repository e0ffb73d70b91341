"""A client's connection, or an observer's, seen from the node that serves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import UnionType
from typing import Any, Final, final

import structlog
import trio

from net.connection import Connection
from net.limits import CLIENT_OUTBOX_BYTES_MAX, CLIENT_OUTBOX_BYTES_PAUSE, MESSAGE_BYTES_MAX
from net.outbox import Outbox
from net.strikes import Strikes
from tallynet.codec import decode, encode
from tallynet.errors import RemoteProtocolError
from tallynet.frames import frame
from tallynet.limits import FRAME_BYTES_MAX
from tallynet.messages import ClientRequest, Goodbye

__all__ = ["ClientHandler", "ClientSession", "ClientStatistics"]

_FAREWELL_SECONDS: Final = 2.0
"""For what is queued when the session is closed."""


@dataclass(frozen=True, slots=True)
class ClientHandler:
    """What the node does with clients, or with observers; called on the connection's task, in order."""

    handle: Callable[[ClientSession, list[Any]], None]
    """The list holds `requests`, never a Goodbye."""
    forget: Callable[[ClientSession], None]
    """The session is over, called once; nothing sent to it arrives any more."""
    requests: UnionType = ClientRequest
    """Union of the message types that may come."""


@dataclass(frozen=True, slots=True)
class ClientStatistics:
    key: bytes
    address: str
    requests: int
    replies: int
    queued_bytes: int
    """Replies the client has not read."""
    invalid: int
    """Requests that did not decode."""


@final
class ClientSession:
    """Made by the listener only. Compared and hashed by identity."""

    __slots__ = (
        "_address", "_connection", "_ending", "_fault", "_invalid", "_outbox", "_requests", "_room", "_scope",
        "_strikes", "key",
    )  # fmt: skip

    def __init__(self, connection: Connection, key: bytes, address: str, strikes: Strikes) -> None:
        self.key: Final = key
        """The client's Ed25519 public key, proven by its hello."""
        self._connection: Final = connection
        self._address: Final = address
        self._strikes: Final = strikes
        self._outbox: Final = Outbox(1 << 20, CLIENT_OUTBOX_BYTES_MAX)
        self._room = trio.Event()
        self._scope: Final = trio.CancelScope()
        self._ending = False
        self._fault: RemoteProtocolError | None = None
        self._requests = 0
        self._invalid = 0

    def __repr__(self) -> str:
        return f"<ClientSession {self.key.hex()[:8]} from {self._address}>"

    def send(self, reply: bytes) -> None:
        """Queue an encoded reply. Never waits and never raises: a client that does not read, or a
        reply that no frame can hold, ends the connection; a session that is over ignores it."""
        if self._ending:
            return
        if not 0 < len(reply) <= FRAME_BYTES_MAX:
            structlog.get_logger("net").error("reply_too_large", bytes=len(reply))
            self.close("REPLY_TOO_LARGE", "ask for less at a time")
            return
        self._outbox.put(frame(reply))
        if self._outbox.over:
            self._end()
            structlog.get_logger("net").info("client_too_slow", address=self._address)

    @property
    def is_behind(self) -> bool:
        """Much is queued that it has not read."""
        return self._outbox.size > CLIENT_OUTBOX_BYTES_PAUSE

    def strike(self) -> None:
        """Count an invalid message of this client; too many end the session and ban its key."""
        if self._strikes.strike(self.key, trio.current_time()):
            self.close("BANNED", "too many invalid messages; come back in a minute")

    def close(self, code: str, reason: str) -> None:
        """Say why, write what is queued, and end."""
        if not self._ending:
            self._outbox.put(frame(encode(Goodbye(code, reason[:400]))))
            self._ending = True
            self._room.set()
            self._scope.deadline = trio.current_time() + _FAREWELL_SECONDS

    def statistics(self) -> ClientStatistics:
        return ClientStatistics(
            self.key,
            self._address,
            self._requests,
            self._outbox.put_total,
            self._outbox.size,
            self._invalid,
        )

    def _end(self) -> None:
        self._ending = True
        self._scope.cancel()

    async def run(self, handler: ClientHandler) -> None:
        """Serve until either side ends it; for the listener.

        Raises:
            RemoteProtocolError: the client broke the protocol; it is told and disconnected.
        """
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write, nursery.cancel_scope)
                    await self._read(handler)
                    if not self._ending:
                        nursery.cancel_scope.cancel()
        finally:
            self._ending = True
            handler.forget(self)
        if self._fault is not None:
            raise self._fault

    async def _read(self, handler: ClientHandler) -> None:
        while not self._ending:
            try:
                messages = await self._connection.receive()
            except RemoteProtocolError as error:
                self._fault = error
                self.close(error.code, error.message)
                return
            if not messages:
                return
            requests = self._decode(messages, handler.requests)
            if requests and isinstance(requests[-1], Goodbye):
                return
            if requests:
                self._requests += len(requests)
                handler.handle(self, requests)
            while self.is_behind and not self._ending:
                self._room = trio.Event()
                await self._room.wait()

    def _decode(self, messages: list[bytes], kinds: UnionType) -> list[Any]:
        """Requests up to a Goodbye; what does not decode is answered with a strike only."""
        requests: list[Any] = []
        for message in messages:
            try:
                request = decode(kinds, message)
                if len(message) > MESSAGE_BYTES_MAX.get(type(request), FRAME_BYTES_MAX):
                    raise RemoteProtocolError("MESSAGE_TOO_LARGE", f"{len(message)} bytes")
            except RemoteProtocolError:
                self._invalid += 1
                self.strike()
                continue
            requests.append(request)
            if isinstance(request, Goodbye):
                break
        return requests

    async def _write(self, scope: trio.CancelScope) -> None:
        while not (self._ending and not len(self._outbox)):
            await self._connection.send(await self._outbox.take())
            if self._outbox.size <= CLIENT_OUTBOX_BYTES_PAUSE:
                self._room.set()
        scope.cancel()
