"""The nodes a client may talk to: which one is in use, dialling, and going on to the next one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import anyio
from anyio.abc import TaskGroup
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallynet.client.errors import (
    ClientClosed,
    ConnectionLost,
    ForkSeen,
    NotConnected,
    RequestFailed,
)
from tallynet.client.link import ANSWER_SECONDS, Credentials, Link, NodeAddress
from tallynet.client.trust import Trust
from tallynet.codec import Wire
from tallynet.errors import RemoteProtocolError
from tallynet.messages import EvidenceKind, EvidencePage, QueryEvidence, Receipts, Refused

__all__ = ["Nodes"]

REDIAL_SECONDS_FIRST: Final = 0.2
REDIAL_SECONDS_MAX: Final = 2.0
_NOT_A_LIE: Final = ("NO_BLOCK",)
"""Checks that fail although the node may be honest."""

T = TypeVar("T", bound=Wire)
R = TypeVar("R")


class _Endpoint:
    """One address and the link to it, if there is one."""

    __slots__ = ("address", "link", "lock", "pause", "retry_at", "trouble")

    def __init__(self, address: NodeAddress) -> None:
        self.address: Final = address
        self.link: Link | None = None
        self.lock: Final = anyio.Lock()
        self.pause = REDIAL_SECONDS_FIRST
        self.retry_at = 0.0
        self.trouble: ConnectionLost | None = None


class Nodes:
    """Links to nodes, numbered in the order given; one is in use, others are dialled when needed."""

    def __init__(
        self,
        addresses: Sequence[NodeAddress],
        trust: Trust,
        key: Ed25519PrivateKey,
        tasks: TaskGroup,
        *,
        on_receipts: Callable[[Receipts], None],
        on_refused: Callable[[int, bytes, Refused], None],
        on_fork: Callable[[ForkSeen], None],
        on_lost: Callable[[int], None],
    ) -> None:
        """`on_receipts` raises RemoteProtocolError for receipts that do not hold; the others get the
        node's number, `on_refused` also its public key."""
        self._endpoints: Final = [_Endpoint(address) for address in addresses]
        self._trust: Final = trust
        self._key: Final = key
        self._tasks: Final = tasks
        self._on_receipts: Final = on_receipts
        self._on_refused: Final = on_refused
        self._on_fork: Final = on_fork
        self._on_lost: Final = on_lost
        self._first = 0
        """The node in use, or the one tried first."""
        self._moving = False
        self._closed = False
        self.connections_lost = 0
        self.lies = 0
        """Answers that did not hold."""
        self.last_lie: ConnectionLost | None = None
        """The last of them: which node, what was wrong, with its code."""

    def __len__(self) -> int:
        return len(self._endpoints)

    def address(self, node: int) -> NodeAddress:
        return self._endpoints[node].address

    def is_open(self, node: int) -> bool:
        link = self._endpoints[node].link
        return link is not None and link.open

    def is_dialling(self, node: int) -> bool:
        return self._endpoints[node].lock.locked()

    def close(self) -> None:
        """No more links; the open ones end with the task group."""
        self._closed = True

    def go_on(self) -> None:
        """Use the next node from here on, even if it must be dialled and others need not."""
        self._first = (self._first + 1) % len(self._endpoints)
        self._moving = True

    def leave(self, node: int) -> None:
        """Go on if this node is the one in use: it takes nothing any more."""
        if self._first == node:
            self.go_on()

    async def ask(
        self,
        make: Callable[[int], Wire],
        expect: type[T],
        check: Callable[[T], R],
        *,
        seconds: float = ANSWER_SECONDS,
    ) -> R:
        """Ask one node after the other until one gives an answer that holds. A refusal is one node's word:
        it counts when f+1 organisations' validators refuse, or nobody else can be asked.

        Raises:
            NotConnected, RequestFailed, ForkSeen, and what `check` raises other than RemoteProtocolError.
        """
        reasons: list[str] = []
        refusals: dict[bytes, RequestFailed] = {}
        for _ in range(len(self._endpoints) + 1):
            try:
                _, link = await self.reach()
            except NotConnected as error:
                reasons.append(error.message)
                break
            if link.server_key in refusals:
                break
            try:
                return await self.ask_link(link, make, expect, check, seconds=seconds)
            except ConnectionLost as error:
                reasons.append(f"{error.message} ({error.code})")
            except RequestFailed as error:
                refusals[link.server_key] = error
                if self._is_enough(refusals):
                    break
            self.go_on()
        if refusals:
            raise next(iter(refusals.values()))
        raise NotConnected("; ".join(reasons))

    def _is_enough(self, refusals: dict[bytes, RequestFailed]) -> bool:
        """Another node may still hold what this one has deleted; for anything else one correct one will do."""
        if any(error.code == "HISTORY_GONE" for error in refusals.values()):
            return False
        operators = {self._trust.operator(key) for key in refusals} - {None}
        return len(operators) >= self._trust.confirmations_needed

    async def ask_link(
        self,
        link: Link,
        make: Callable[[int], Wire],
        expect: type[T],
        check: Callable[[T], R],
        *,
        seconds: float = ANSWER_SECONDS,
    ) -> R:
        """Ask one node; it is not listened to any more when its answer does not hold.

        Raises:
            ConnectionLost, RequestFailed, and what `check` raises other than RemoteProtocolError.
        """
        answer = await link.ask(make, expect, seconds=seconds)
        try:
            return check(answer)
        except RemoteProtocolError as error:
            if error.code in _NOT_A_LIE:
                raise RequestFailed(error.code, error.message) from None
            raise self._disbelieve(link, error) from None

    def _disbelieve(self, link: Link, error: RemoteProtocolError) -> ConnectionLost:
        self.lies += 1
        self.last_lie = ConnectionLost(error.code, f"{link.address}: {error.message}")
        link.close(error)
        return self.last_lie

    async def reach(self) -> tuple[int, Link]:
        """The node in use, or the next one that answers. Raises NotConnected."""
        if self._closed:
            raise ClientClosed
        order = [(self._first + step) % len(self) for step in range(len(self))]
        moving, self._moving = self._moving, False
        for node in order if not moving else ():
            link = self._endpoints[node].link
            if link is not None and link.open:
                self._first = node
                return node, link
        reasons: list[str] = []
        for node in order:
            try:
                link = await self.open(node, patient=len(self) == 1)
            except ConnectionLost as error:
                reasons.append(f"{error.message} ({error.code})")
                continue
            self._first = node
            return node, link
        raise NotConnected("; ".join(reasons))

    async def open(self, node: int, *, patient: bool = False) -> Link:
        """The link to a node, dialled if needed; soon after a failure only if `patient`, and then
        not before the back-off is over. Raises ConnectionLost."""
        endpoint = self._endpoints[node]
        async with endpoint.lock:
            if endpoint.link is not None and endpoint.link.open:
                return endpoint.link
            wait = endpoint.retry_at - anyio.current_time()
            if wait > 0 and endpoint.trouble is not None:
                if not patient:
                    raise endpoint.trouble
                await anyio.sleep(wait)
            try:
                link = await self._dial(endpoint.address)
            except ConnectionLost as error:
                endpoint.trouble = error
                endpoint.retry_at = anyio.current_time() + endpoint.pause
                endpoint.pause = min(2 * endpoint.pause, REDIAL_SECONDS_MAX)
                raise
            endpoint.link, endpoint.pause = link, REDIAL_SECONDS_FIRST
            return link

    async def _dial(self, address: NodeAddress) -> Link:
        """A link over which everything was learned that the node knows of changes of the validator set. A
        node closes its links when its set changes, so what comes over this one can be judged."""
        trust = self._trust
        credentials = Credentials(trust.genesis_hash, trust.succession.keys, self._key)
        link = await Link.dial(address, credentials, self._pushed, self._lost)
        self._tasks.start_soon(link.run)
        while await self._learn(link):
            pass
        return link

    async def _learn(self, link: Link) -> bool:
        """The next page of hand-overs; whether there are more. Raises ConnectionLost."""
        succession = self._trust.succession
        newest = succession.newest.since
        after = newest.to_bytes(8, "big") if newest else b""
        try:
            page = await link.ask(
                lambda n: QueryEvidence(n, EvidenceKind.HANDOVERS, after), EvidencePage
            )
            self._trust.learn(entry.data for entry in page.entries)
        except RemoteProtocolError as error:
            raise self._disbelieve(link, error) from None
        except RequestFailed as error:
            raise ConnectionLost(error.code, f"{link.address}: {error.message}") from None
        return page.more and succession.newest.since > newest

    def _lost(self, link: Link) -> None:
        if self._closed:
            return
        self.connections_lost += 1
        node = self._node_of(link)
        if node is not None:
            self._endpoints[node].link = None
            self._on_lost(node)

    def _pushed(self, link: Link, message: Receipts | Refused) -> None:
        if isinstance(message, Receipts):
            try:
                self._on_receipts(message)
            except RemoteProtocolError as error:
                raise self._disbelieve(link, error) from None
            except ForkSeen as error:
                self._on_fork(error)
            return
        node = self._node_of(link)
        if node is not None:
            self._on_refused(node, link.server_key, message)

    def _node_of(self, link: Link) -> int | None:
        for node, endpoint in enumerate(self._endpoints):
            if endpoint.link is link:
                return node
        return None
