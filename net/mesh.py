"""Links to the other validators, or to the nodes that an observer follows: we dial each of them.

Theory of operation. What others send us arrives on links they dialled (net/listener.py), so a pair of
validators has two connections, one for each direction, and there is no tie to break when both dial at
once. Nobody dials an observer back, so it reads its answers on the link it dialled. A link that is down is dialled again for ever, with a short back-off. Nothing here waits for a
slow peer: each link has a bounded outbox that drops its oldest messages, and the protocol sends again
what mattered (protocol §5.7).
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, final

import structlog
import trio

from net.connection import LOST, Connection, closing, dial, prepare_socket, wrap
from net.identity import NodeIdentity
from net.limits import (
    CONNECT_SECONDS,
    MESSAGE_BYTES_MAX,
    OFFLINE_BYTES_MAX,
    OFFLINE_MESSAGES_MAX,
    OUTBOX_BYTES_MAX,
    OUTBOX_MESSAGES_MAX,
    RECONNECT_SECONDS_FIRST,
    RECONNECT_SECONDS_MAX,
    STABLE_SECONDS,
)
from net.outbox import Outbox
from tallynet.codec import decode
from tallynet.errors import RemoteProtocolError, invariant
from tallynet.frames import frame
from tallynet.limits import FRAME_BYTES_MAX, HANDSHAKE_SECONDS, IDLE_SECONDS_MAX
from tallynet.messages import Goodbye, ObserverReply

__all__ = ["Answers", "LinkStatistics", "Mesh", "MeshStatistics"]


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    """The link we dialled to one validator."""

    index: int
    connected: bool
    connects: int
    """Times it was opened; more than one means it was lost."""
    sent_messages: int
    """Handed to TLS, or dropped."""
    sent_bytes: int
    dropped: int
    """Messages that did not fit the outbox."""
    queued_messages: int
    queued_bytes: int
    trouble: str
    """Why it is not connected, for people; empty while it is."""


@dataclass(frozen=True, slots=True)
class MeshStatistics:
    links: tuple[LinkStatistics, ...]
    """By validator index."""
    oversize: int
    """Messages of our own that no frame can hold, never sent; each is in the log."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Where the answers go of the nodes that an observer follows."""

    deliver: Callable[[int, list[ObserverReply]], None]
    """(number of the node, messages in order); never a Goodbye."""
    wait_for_room: Callable[[], Awaitable[None]]
    """Nothing more is read until it returns."""


@final
class _Link:
    """One peer: its address, its outbox and what happened."""

    def __init__(self, index: int, host: str, port: int) -> None:
        self.index: Final = index
        self.host: Final = host
        self.port: Final = port
        self.outbox: Final = Outbox(OFFLINE_MESSAGES_MAX, OFFLINE_BYTES_MAX)
        self.connected = False
        self.connects = 0
        self.sent_bytes = 0
        self.trouble = "not dialled yet"

    def statistics(self) -> LinkStatistics:
        outbox = self.outbox
        return LinkStatistics(
            index=self.index,
            connected=self.connected,
            connects=self.connects,
            sent_messages=outbox.put_total - len(outbox) - outbox.dropped,
            sent_bytes=self.sent_bytes,
            dropped=outbox.dropped,
            queued_messages=len(outbox),
            queued_bytes=outbox.size,
            trouble=self.trouble,
        )


@final
class Mesh:
    """Sends to the other validators of the set; see `net` for an example."""

    def __init__(
        self,
        identity: NodeIdentity,
        addresses: Mapping[int, tuple[str, int]],
        *,
        on_connected: Callable[[int], None] | None = None,
        answers: Answers | None = None,
    ) -> None:
        """`addresses` gives host and port by validator index; a validator without one is not
        dialled. `on_connected` is called with the index each time a link opens. `answers` is an observer's.

        Raises:
            ValueError: an address of a validator that is not in the set, or of this node.
        """
        for index in addresses:
            if not 0 <= index < len(identity.validators) or index == identity.index:
                raise ValueError(f"validator {index} is not another member of the set")
        self._identity: Final = identity
        self._on_connected: Final = on_connected
        self._answers: Final = answers
        self._log: Final = structlog.get_logger("net")
        self._oversize = 0
        self._links: Final = {
            index: _Link(index, host, port) for index, (host, port) in sorted(addresses.items())
        }

    def send(self, to: int, message: bytes) -> None:
        """Queue an encoded message for one validator. Never waits; unknown addresses get nothing."""
        invariant(to != self._identity.index, "NET-1 a message to ourselves")
        link = self._links.get(to)
        if link is not None and self._fits(message):
            _put(link, frame(message))

    def broadcast(self, message: bytes) -> None:
        """Queue an encoded message for every other validator."""
        if self._fits(message):
            framed = frame(message)
            for link in self._links.values():
                _put(link, framed)

    def _fits(self, message: bytes) -> bool:
        if 0 < len(message) <= FRAME_BYTES_MAX:
            return True
        self._oversize += 1
        self._log.error("message_too_large", bytes=len(message), opens=message[:24].hex())
        return False

    def statistics(self) -> MeshStatistics:
        return MeshStatistics(
            tuple(link.statistics() for link in self._links.values()), self._oversize
        )

    def connected(self) -> int:
        """Validators we can send to now."""
        return sum(link.statistics().connected for link in self._links.values())

    async def run(self) -> None:
        """Keep every link up until cancelled."""
        async with trio.open_nursery() as nursery:
            for link in self._links.values():
                nursery.start_soon(self._keep, link)
        await trio.sleep_forever()

    async def _keep(self, link: _Link) -> None:
        pause = RECONNECT_SECONDS_FIRST
        while True:
            began = trio.current_time()
            trouble = await self._live(link)
            if link.connected or trouble != link.trouble:
                self._log.warning("link_down", peer=link.index, reason=trouble)
            link.connected = False
            link.trouble = trouble
            link.outbox.resize(OFFLINE_MESSAGES_MAX, OFFLINE_BYTES_MAX)
            if trio.current_time() - began >= STABLE_SECONDS:
                pause = RECONNECT_SECONDS_FIRST
            # Jitter, so that n nodes that started together do not dial one another in step.
            await trio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, RECONNECT_SECONDS_MAX)

    async def _live(self, link: _Link) -> str:
        """One life of a link; returns what ended it."""
        trouble = "the peer closed the connection"
        try:
            with trio.fail_after(CONNECT_SECONDS):
                transport = await trio.open_tcp_stream(link.host, link.port)
            prepare_socket(transport)
            stream = wrap(transport, self._identity.client_context, server_side=False)
            idle_seconds = float("inf") if self._answers is None else IDLE_SECONDS_MAX
            connection = Connection(stream, idle_seconds=idle_seconds)
            async with closing(stream):
                with trio.fail_after(HANDSHAKE_SECONDS):
                    height = await dial(connection, self._identity, link.index)
                self._opened(link, height)
                await self._talk(link, connection)
        except* RemoteProtocolError as group:
            trouble = _first(group)
        except* trio.TooSlowError:
            trouble = "no answer in time"
        except* LOST as group:
            trouble = f"{link.host}:{link.port}: {_first(group)}"
        return trouble

    def _opened(self, link: _Link, height: int) -> None:
        link.connected = True
        link.connects += 1
        link.trouble = ""
        link.outbox.resize(OUTBOX_MESSAGES_MAX, OUTBOX_BYTES_MAX)
        self._log.info("link_up", peer=link.index, height=height)
        if self._on_connected is not None:
            self._on_connected(link.index)

    async def _talk(self, link: _Link, connection: Connection) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_write, link, connection)
            if self._answers is None:
                await _read_farewell(connection)
            else:
                connection.authenticated()
                await _read_answers(connection, link.index, self._answers)
            nursery.cancel_scope.cancel()


async def _write(link: _Link, connection: Connection) -> None:
    outbox = link.outbox
    while True:
        data = await outbox.take()
        await connection.send(data)
        link.sent_bytes += len(data)


async def _read_farewell(connection: Connection) -> None:
    """On our own link the peer says nothing but goodbye; this is how its end is noticed."""
    messages = await connection.receive()
    if messages:
        farewell = decode(Goodbye, messages[0])
        raise RemoteProtocolError(farewell.code, farewell.reason)


async def _read_answers(connection: Connection, number: int, answers: Answers) -> None:
    """Until the node ends it. One message that does not decode ends it too: the next node is asked."""
    while raw := await connection.receive():
        messages: list[ObserverReply] = [_answer(data) for data in raw]
        farewell = next((m for m in messages if isinstance(m, Goodbye)), None)
        answers.deliver(number, [m for m in messages if not isinstance(m, Goodbye)])
        if farewell is not None:
            raise RemoteProtocolError(farewell.code, farewell.reason)
        await answers.wait_for_room()


def _answer(data: bytes) -> ObserverReply:
    message: ObserverReply = decode(ObserverReply, data)
    if len(data) > MESSAGE_BYTES_MAX[type(message)]:
        raise RemoteProtocolError("MESSAGE_TOO_LARGE", f"{len(data)} bytes")
    return message


def _put(link: _Link, framed: bytes) -> None:
    link.outbox.put(framed)
    if link.outbox.over:
        link.outbox.drop_oldest()


def _first(group: BaseExceptionGroup[BaseException]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__
