"""The one port of a node: validators, observers and clients dial it, their hello decides what they are.

Theory of operation. A new connection is half-open until TLS and hello are done; few may be, and not
for long. Then it has a place: one per validator (the newest wins, so that a line the kernel still
believes in cannot lock its owner out), some for observers, some for clients. Every connection lives in its own task behind
a firewall: whatever it does, only it ends (E5, E6).
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Never, final

import structlog
import trio

from net.clients import ClientHandler, ClientSession, ClientStatistics
from net.connection import LOST, Connection, accept, closing, say_goodbye, welcome, wrap
from net.errors import ListenError
from net.identity import NodeIdentity
from net.limits import MESSAGE_BYTES_MAX, SIGNED_BYTES_MAX, ListenerLimits
from net.rate import Allowance
from net.strikes import Strikes
from tallynet.codec import decode
from tallynet.errors import RemoteProtocolError
from tallynet.handshake import Accepted, HandshakeRefused
from tallynet.messages import Goodbye, PeerMessage, PeerRole, Signed

__all__ = ["Listener", "ListenerStatistics", "PeerInbox", "PeerStatistics"]


@dataclass(frozen=True, slots=True)
class PeerInbox:
    """Where messages of validators go; called on the connection's task."""

    deliver: Callable[[int, list[PeerMessage]], None]
    """(validator index, messages in order); never a Goodbye."""
    is_full: Callable[[], bool]
    """While true no validator's connection is read: back-pressure through TCP."""
    wait_for_room: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class PeerStatistics:
    """What one validator sent on the link it dialled."""

    index: int
    connected: bool
    software: str
    """Fingerprint from its last hello; empty before the first."""
    messages: int
    bytes: int
    invalid: int


@dataclass(frozen=True, slots=True)
class ListenerStatistics:
    peers: tuple[PeerStatistics, ...]
    """By validator index, this node itself left out."""
    clients: tuple[ClientStatistics, ...]
    observers: tuple[ClientStatistics, ...]
    half_open: int
    accepted: int
    """Connections ever given a place."""
    refused: int
    """Connections turned away: half-open limit, failed hello, no place."""
    faults: int
    """Connections ended because they broke the protocol or a limit."""
    internal_errors: int
    """Connections ended by a fault of our own; each is in the log with its traceback."""
    strikes: int
    banned: int


@dataclass(slots=True)
class _Peer:
    index: int
    scope: trio.CancelScope | None = None
    """Of its present connection."""
    software: str = ""
    messages: int = 0
    bytes: int = 0
    invalid: int = 0


@dataclass(slots=True)
class _Guests:
    """Sessions of one kind, and how many there may be."""

    handler: ClientHandler
    admit: Callable[[bytes], bool]
    places: int
    per_key_max: int
    sessions: dict[ClientSession, None] = field(default_factory=dict)
    per_key: Counter[bytes] = field(default_factory=Counter)


@final
class Listener:
    """Accepts connections until cancelled; see `net` for an example."""

    def __init__(
        self,
        identity: NodeIdentity,
        host: str,
        port: int,
        *,
        peers: PeerInbox,
        clients: ClientHandler,
        observers: ClientHandler | None = None,
        committed_height: Callable[[], int],
        admit_client: Callable[[bytes], bool] = lambda _key: True,
        admit_observer: Callable[[bytes], bool] = lambda _key: True,
        limits: ListenerLimits | None = None,
    ) -> None:
        """`port` 0 takes a free one. Without `observers` none is served. `admit_client` and `admit_observer` judge
        a proven public key."""
        self._identity = identity
        self._host: Final = host
        self._port: Final = port
        self._inbox: Final = peers
        self._committed_height: Final = committed_height
        self._limits: Final = limits or ListenerLimits()
        self._log: Final = structlog.get_logger("net")
        self._peers = _peers_of(identity)
        self._clients: Final = _Guests(
            clients, admit_client, self._limits.clients, self._limits.clients_per_key
        )
        places = self._limits.observers if observers is not None else 0
        self._observers: Final = _Guests(
            observers or clients, admit_observer, places, self._limits.observers_per_key
        )
        self._half_open: Final[Counter[str]] = Counter()
        self._strikes: Final = Strikes()
        self._accepted = 0
        self._refused = 0
        self._faults = 0
        self._internal_errors = 0

    async def run(self, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> Never:
        """Listen and serve; the started value is the port.

        Raises:
            ListenError: PORT_IN_USE, PORT_FORBIDDEN or ADDRESS_UNUSABLE.
        """
        try:
            listeners = await trio.open_tcp_listeners(self._port, host=self._host)
        except OSError as error:
            raise _listen_error(self._host, self._port, error) from None
        port: int = listeners[0].socket.getsockname()[1]
        async with trio.open_nursery() as connections:
            connections.start_soon(self._serve, listeners, connections)
            task_status.started(port)
        raise AssertionError("serve_listeners never returns")

    async def _serve(self, listeners: list[trio.SocketListener], connections: trio.Nursery) -> None:
        await trio.serve_listeners(self._firewall, listeners, handler_nursery=connections)

    def strike(self, index: int) -> None:
        """Validator `index` sent something invalid, e.g. a wrong signature (A20)."""
        peer = self._peers.get(index)
        if peer is None:
            return
        peer.invalid += 1
        if self._strikes.strike(self._identity.validators[index], trio.current_time()):
            self._log.warning("peer_banned", peer=index)
            if peer.scope is not None:
                peer.scope.cancel()

    def change_set(self, identity: NodeIdentity) -> None:
        """Another validator set has taken over: every validator's connection ends, and who belongs to the new
        set dials again and gets its new index. Clients stay."""
        before, self._identity = self._peers, identity
        self._peers = _peers_of(identity)
        for peer in before.values():
            if peer.scope is not None:
                peer.scope.cancel()

    def disconnect_clients(self, code: str, reason: str) -> None:
        """Say goodbye to every client and observer. They come back, and ask again for what they wait for."""
        for session in [*self._clients.sessions, *self._observers.sessions]:
            session.close(code, reason)

    def change_observers(self, places: int) -> None:
        """Other places for observers from now on. Those that are admitted no more are told so and disconnected."""
        self._observers.places = places
        for session in list(self._observers.sessions):
            if not self._observers.admit(session.key):
                session.close("CLIENT_UNKNOWN", "this node does not serve this key any more")

    def statistics(self) -> ListenerStatistics:
        return ListenerStatistics(
            peers=tuple(
                PeerStatistics(
                    p.index, p.scope is not None, p.software, p.messages, p.bytes, p.invalid
                )
                for p in self._peers.values()
            ),
            clients=tuple(session.statistics() for session in self._clients.sessions),
            observers=tuple(session.statistics() for session in self._observers.sessions),
            half_open=self._half_open.total(),
            accepted=self._accepted,
            refused=self._refused,
            faults=self._faults,
            internal_errors=self._internal_errors,
            strikes=self._strikes.total,
            banned=self._strikes.banned,
        )

    # --- one connection -------------------------------------------------------------------------

    async def _firewall(self, transport: trio.SocketStream) -> None:
        """Nothing but a broken invariant leaves here."""
        address = str(transport.socket.getpeername()[0]) if _is_alive(transport) else "?"
        try:
            await self._connection(transport, address)
        except* HandshakeRefused as group:
            self._refused += 1
            self._log.info("connection_refused", address=address, reason=_first(group))
        except* RemoteProtocolError as group:
            self._faults += 1
            self._log.info("connection_fault", address=address, reason=_first(group))
        except* trio.TooSlowError:
            self._faults += 1
            self._log.info("connection_fault", address=address, reason="TOO_SLOW")
        except* LOST:
            self._log.debug("connection_lost", address=address)
        except* Exception:  # noqa: BLE001 - a fault of ours met by one client must not stop the node
            self._internal_errors += 1
            self._log.exception("connection_internal_error", address=address)

    async def _connection(self, transport: trio.SocketStream, address: str) -> None:
        if not self._may_open(address):
            self._refused += 1
            await trio.aclose_forcefully(transport)
            return
        stream = wrap(transport, self._identity.server_context, server_side=True)
        connection = Connection(
            stream,
            idle_seconds=self._limits.idle_seconds,
            frame_seconds=self._limits.frame_seconds,
        )
        async with closing(stream):
            accepted = await self._greet(connection, address)
            self._accepted += 1
            if accepted.index is not None:
                await self._serve_peer(connection, accepted, accepted.index)
            else:
                await self._serve_guest(self._guests(accepted), connection, accepted.key, address)

    def _may_open(self, address: str) -> bool:
        limits = self._limits
        own_machine = address.startswith("127.") or address == "::1"
        per_address = limits.half_open if own_machine else limits.half_open_per_address
        return self._half_open.total() < limits.half_open and self._half_open[address] < per_address

    async def _greet(self, connection: Connection, address: str) -> Accepted:
        """TLS, hello, and the question whether there is a place."""
        self._half_open[address] += 1
        try:
            with trio.fail_after(self._limits.handshake_seconds):
                accepted = await accept(connection, self._identity)
                refusal = self._why_not(accepted)
                if refusal is not None:
                    await say_goodbye(connection, refusal)
                    raise refusal
                return accepted
        finally:
            self._half_open[address] -= 1
            if not self._half_open[address]:
                del self._half_open[address]

    def _why_not(self, accepted: Accepted) -> HandshakeRefused | None:
        seconds = self._strikes.banned_for(accepted.key, trio.current_time())
        if seconds:
            return HandshakeRefused(
                "BANNED", f"too many invalid messages; come back in {seconds:.0f} s"
            )
        if accepted.index is not None:
            return None
        guests = self._guests(accepted)
        if not guests.admit(accepted.key):
            return HandshakeRefused("CLIENT_UNKNOWN", "this node does not serve this key")
        if guests.per_key[accepted.key] >= guests.per_key_max:
            return HandshakeRefused(
                "BUSY", f"this key has {guests.per_key_max} connections; use those"
            )
        if len(guests.sessions) >= guests.places:
            return HandshakeRefused("BUSY", "this node has no place free; try another node")
        return None

    # --- clients and observers ------------------------------------------------------------------

    def _guests(self, accepted: Accepted) -> _Guests:
        return self._observers if accepted.role is PeerRole.OBSERVER else self._clients

    async def _serve_guest(
        self, guests: _Guests, connection: Connection, key: bytes, address: str
    ) -> None:
        session = ClientSession(connection, key, address, self._strikes)
        guests.sessions[session] = None
        guests.per_key[key] += 1
        try:
            await welcome(connection, self._committed_height())
            await session.run(guests.handler)
        finally:
            del guests.sessions[session]
            guests.per_key[key] -= 1
            if not guests.per_key[key]:
                del guests.per_key[key]

    # --- validators -----------------------------------------------------------------------------

    async def _serve_peer(self, connection: Connection, accepted: Accepted, index: int) -> None:
        peer = self._peers.get(index)
        if peer is None or self._identity.validators[index] != accepted.key:
            return  # the set changed while it said hello
        if peer.scope is not None:
            peer.scope.cancel()
        scope = peer.scope = trio.CancelScope()
        peer.software = accepted.software
        self._log.info("peer_connected", peer=index)
        try:
            with scope:
                await welcome(connection, self._committed_height())
                await self._read_peer(connection, peer)
        except RemoteProtocolError as error:
            await say_goodbye(connection, error)
            raise
        finally:
            if peer.scope is scope:
                peer.scope = None
                self._log.info("peer_disconnected", peer=index)

    async def _read_peer(self, connection: Connection, peer: _Peer) -> None:
        inbox, index, limits = self._inbox, peer.index, self._limits
        allowance = Allowance(
            limits.peer_bytes_per_second, limits.peer_burst_bytes, trio.current_time()
        )
        while True:
            raw = await connection.receive()
            if not raw or self._peers.get(index) is not peer:
                return  # over, or its index means somebody else since the set changed
            pause = allowance.spend(sum(map(len, raw)), trio.current_time())
            messages = self._decode(peer, raw)
            ended = bool(messages) and isinstance(messages[-1], Goodbye)
            if ended:
                messages.pop()
            if messages:
                inbox.deliver(index, messages)
            if ended:
                return
            if inbox.is_full():
                await inbox.wait_for_room()
            if pause:
                await trio.sleep(pause)

    def _decode(self, peer: _Peer, raw: list[bytes]) -> list[PeerMessage]:
        """What decodes, up to a Goodbye; each message that does not is a strike and nothing else."""
        messages: list[PeerMessage] = []
        for data in raw:
            peer.messages += 1
            peer.bytes += len(data)
            try:
                message: PeerMessage = decode(PeerMessage, data)
                if len(data) > _size_limit(message):
                    raise RemoteProtocolError("MESSAGE_TOO_LARGE", f"{len(data)} bytes")
            except RemoteProtocolError as error:
                self._log.info("peer_message_invalid", peer=peer.index, reason=str(error))
                self.strike(peer.index)
                continue
            messages.append(message)
            if isinstance(message, Goodbye):
                self._log.info("peer_goodbye", peer=peer.index, code=message.code)
                break
        return messages


def _peers_of(identity: NodeIdentity) -> dict[int, _Peer]:
    others = [i for i in range(len(identity.validators)) if i != identity.index]
    return {index: _Peer(index) for index in others}


def _size_limit(message: PeerMessage) -> int:
    if isinstance(message, Signed):
        return SIGNED_BYTES_MAX[message.kind]
    return MESSAGE_BYTES_MAX[type(message)]


def _is_alive(transport: trio.SocketStream) -> bool:
    """A connection reset before it was accepted has no peer name."""
    try:
        transport.socket.getpeername()
    except OSError:
        return False
    return True


def _first(group: BaseExceptionGroup[BaseException]) -> str:
    """Text of the first plain exception in a group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)


def _listen_error(host: str, port: int, error: OSError) -> ListenError:
    place = f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return ListenError(
            "PORT_IN_USE",
            f"{place} is taken by another program; stop it, or choose another listen_port",
        )
    if error.errno == errno.EACCES:
        return ListenError(
            "PORT_FORBIDDEN", f"{place} is reserved for root; choose a listen_port above 1023"
        )
    return ListenError(
        "ADDRESS_UNUSABLE",
        f"{place}: {error.strerror or error}; listen_host must be an address of this machine",
    )
