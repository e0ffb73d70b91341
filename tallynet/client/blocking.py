"""The client for plain scripts: the same calls without async, from any thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, final

from anyio.from_thread import BlockingPortal, start_blocking_portal
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallynet.client.client import (
    Client,
    ClientStatistics,
)
from tallynet.client.events import EventEntry
from tallynet.client.heads import HeadComparison
from tallynet.client.link import NodeAddress
from tallynet.client.penetration import ProvenPage
from tallynet.client.sending import SUBMIT_SECONDS
from tallynet.client.store import TrustStore
from tallynet.client.submissions import Outcome
from tallynet.client.trust import TRUST_PERIOD_SECONDS, Block, ProvenRecord, Receipt
from tallynet.client.unproven import UnprovenDryRun, UnprovenPage, UnprovenPhase
from tallynet.envelope import Envelope, EnvelopeBody
from tallynet.errors import TallynetError
from tallynet.genesis import Genesis
from tallynet.messages import NodeStatus
from tallynet.penetration import Question
from tallynet.receipts import Event
from tallynet.records import Kind, Record

__all__ = ["BlockingClient"]


@final
class BlockingClient:
    """Open with `with BlockingClient.connect(...) as client:`. Arguments, results and errors are
    those of `Client`, whose docstrings say more. It runs an event loop in a thread of its own."""

    def __init__(self, client: Client, portal: BlockingPortal) -> None:
        """Use `connect`."""
        self._client: Final = client
        self._portal: Final = portal

    @classmethod
    @contextmanager
    def connect(
        cls,
        nodes: Sequence[NodeAddress],
        genesis: Genesis,
        key: Ed25519PrivateKey,
        *,
        max_age: float | None = None,
        store: TrustStore | None = None,
        newest_height: int = 0,
        trust_period: float = TRUST_PERIOD_SECONDS,
    ) -> Iterator[BlockingClient]:
        """As `Client.connect`."""
        connection = Client.connect(
            nodes,
            genesis,
            key,
            max_age=max_age,
            store=store,
            newest_height=newest_height,
            trust_period=trust_period,
        )
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(connection) as client,
        ):
            yield cls(client, portal)

    @property
    def newest_height(self) -> int:
        """Highest certified height seen."""
        return self._client.trust.newest

    def statistics(self) -> ClientStatistics:
        return self._portal.call(self._client.statistics)

    def submit(self, envelope: Envelope, *, seconds: float = SUBMIT_SECONDS) -> Receipt:
        return self._portal.call(partial(self._client.submit, envelope, seconds=seconds))

    def submit_many(
        self,
        envelopes: Iterable[Envelope],
        *,
        in_flight: int = 200,
        seconds: float = SUBMIT_SECONDS,
    ) -> list[Outcome]:
        call = partial(self._client.submit_many, envelopes, in_flight=in_flight, seconds=seconds)
        return self._portal.call(call)

    def outcome(self, transaction: bytes) -> Receipt | UnprovenPhase:
        return self._portal.call(self._client.outcome, transaction)

    def read(self, kind: Kind, id: bytes) -> Record | None:
        return self._portal.call(self._client.read, kind, id)

    def read_proven(self, kind: Kind, id: bytes) -> ProvenRecord:
        return self._portal.call(self._client.read_proven, kind, id)

    def penetrate(self, question: Question, after: bytes = b"") -> ProvenPage:
        return self._portal.call(self._client.penetrate, question, after)

    def penetrate_all(self, question: Question) -> Iterator[ProvenPage]:
        after: bytes | None = b""
        while after is not None:
            page = self.penetrate(question, after)
            yield page
            after = page.page.after

    def block(self, height: int = 0) -> Block:
        return self._portal.call(self._client.block, height)

    def put_ciphertext(self, kind: Kind, record: bytes, ciphertext: bytes) -> None:
        self._portal.call(self._client.put_ciphertext, kind, record, ciphertext)

    def ciphertext(
        self, kind: Kind, record: bytes, hash: bytes, *, secret: bytes = bytes(32)
    ) -> bytes:
        return self._portal.call(
            partial(self._client.ciphertext, kind, record, hash, secret=secret)
        )

    def compare_heads(self) -> HeadComparison:
        return self._portal.call(self._client.compare_heads)

    def unproven_index(
        self, index: int, prefix: bytes, *, after: bytes = b"", limit: int = 500
    ) -> UnprovenPage:
        return self._portal.call(
            partial(self._client.unproven_index, index, prefix, after=after, limit=limit)
        )

    def unproven_index_all(self, index: int, prefix: bytes) -> Iterator[bytes]:
        after, more = b"", True
        while more:
            page = self.unproven_index(index, prefix, after=after)
            yield from page.entries
            if not page.entries:
                return
            after, more = page.entries[-1], page.more

    def events(
        self,
        from_height: int = 0,
        from_index: int = 0,
        *,
        follow: bool = True,
        where: Callable[[Event], bool] | None = None,
        cursor: str = "",
    ) -> Iterator[EventEntry]:
        events = self._client.events(
            from_height, from_index, follow=follow, where=where, cursor=cursor
        )
        try:
            while True:
                try:
                    yield self._portal.call(events.__anext__)
                except StopAsyncIteration:
                    return
        finally:
            self._portal.call(events.aclose)

    def dry_run(self, body: EnvelopeBody) -> UnprovenDryRun:
        return self._portal.call(self._client.dry_run, body)

    def status(self) -> NodeStatus:
        return self._portal.call(self._client.status)

    def statuses(self) -> dict[NodeAddress, NodeStatus | TallynetError]:
        return self._portal.call(self._client.statuses)
