"""The thin client: talks to any node, believes only proofs (design §8). Runs on asyncio and trio."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, TypeVar, final

import anyio
from anyio.abc import TaskGroup
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallynet.blocks import Certificate
from tallynet.client.ciphertexts import Progress, get_ciphertext, put_ciphertext
from tallynet.client.errors import (
    ClientClosed,
    ConnectionLost,
    ForkSeen,
    RequestFailed,
    StaleAnswer,
    TrustStoreError,
)
from tallynet.client.events import EventEntry
from tallynet.client.following import read_log
from tallynet.client.heads import HeadComparison, Heads
from tallynet.client.link import NodeAddress
from tallynet.client.nodes import Nodes
from tallynet.client.penetration import ProvenPage, proven_page
from tallynet.client.sending import SUBMIT_SECONDS, Sender
from tallynet.client.several import agreed_dry_run, is_refused, is_unknown, united_index
from tallynet.client.store import TrustStore
from tallynet.client.submissions import Outcome, Submission
from tallynet.client.trust import (
    TRUST_PERIOD_SECONDS,
    Block,
    BlockLeaves,
    Certified,
    ProvenRecord,
    Receipt,
    Trust,
)
from tallynet.client.unproven import UnprovenDryRun, UnprovenPage, UnprovenPhase
from tallynet.codec import Wire, decode, encode
from tallynet.envelope import Envelope, EnvelopeBody
from tallynet.errors import RemoteProtocolError, TallynetError
from tallynet.evidence import Divergence
from tallynet.genesis import Genesis
from tallynet.messages import (
    BlockPage,
    BlockReceipts,
    DryRun,
    DryRunResult,
    EvidenceKind,
    EvidencePage,
    IndexPage,
    NodeStatus,
    Penetration,
    QueryBlock,
    QueryEvidence,
    QueryIndex,
    QueryPenetration,
    QueryReceipts,
    QueryRecord,
    QueryStatus,
    QueryTransaction,
    RecordProof,
    Refused,
    TransactionState,
)
from tallynet.penetration import Question
from tallynet.receipts import EnvelopeReceipt, Event
from tallynet.records import Kind, Record

__all__ = ["Client", "ClientStatistics"]

COMPARE_SECONDS: Final = 600.0
"""Between two comparisons of heads that nobody asked for: so long may somebody hide blocks from a client that
names no `max_age`, and so soon is another chain found out."""
SAVE_SECONDS: Final = 10.0
"""What was seen since is lost with the process; the next life is no more than that behind."""
TRACE_SECONDS: Final = 5.0
"""At the end of a client that saw a fork: to complete the evidence."""
BEHIND_SECONDS: Final = 5.0
"""How long nodes may take to catch up with what this client has seen already."""
BEHIND_POLL_SECONDS: Final = 0.02

T = TypeVar("T", bound=Wire)
R = TypeVar("R")
P = TypeVar("P", ProvenRecord, ProvenPage)


@dataclass(frozen=True, slots=True)
class ClientStatistics:
    connected: tuple[str, ...]
    """Addresses with an open connection."""
    waiting: int
    """Envelopes without receipt."""
    newest_height: int
    """Highest certified height seen."""
    connections_lost: int
    lies: int
    """Answers that did not hold; each ended its connection."""
    last_lie: str
    """Which node the last of them came from and what was wrong with it, with its code; else empty."""
    fork: bool
    """Two chains were seen: nothing is answered any more."""


@final
class Client:
    """Open with `async with Client.connect(...) as client:`; safe to use from many tasks at once.

    Answers about state, the log, blocks and receipts are proven. What one node says of itself (`status`),
    and what has Unproven in its name, is its word.
    """

    def __init__(
        self,
        nodes: Sequence[NodeAddress],
        trust: Trust,
        key: Ed25519PrivateKey,
        max_age: float | None,
        store: TrustStore | None,
        tasks: TaskGroup,
    ) -> None:
        """Use `connect`."""
        self.trust: Final = trust
        """The verifier."""
        sender = Sender(trust, len(nodes), tasks)
        self._sender: Final = sender
        self._nodes: Final = Nodes(
            nodes,
            trust,
            key,
            tasks,
            on_receipts=sender.on_receipts,
            on_refused=self._on_refused,
            on_fork=sender.on_fork,
            on_lost=sender.on_lost,
        )
        self._heads: Final = Heads(self._nodes, trust)
        self._max_age: Final = max_age
        self._store: Final = store

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        nodes: Sequence[NodeAddress],
        genesis: Genesis,
        key: Ed25519PrivateKey,
        *,
        max_age: float | None = None,
        store: TrustStore | None = None,
        newest_height: int = 0,
        trust_period: float = TRUST_PERIOD_SECONDS,
    ) -> AsyncIterator[Client]:
        """Connect to the first of `nodes` that answers; the others are used when it does not.

        Args:
            key: whom the node sees; it need not be registered on the ledger.
            max_age: seconds; state is believed only when f+1 validators named the newest block no longer
                ago than that. None: state never goes back, but may be withheld for a while.
            store: where to keep, between runs, what was seen.
            newest_height: height seen in an earlier run, without a store.
            trust_period: seconds; a genesis or a kept block older than that is believed only when f+1
                validators, whose keys stand in `nodes`, show chains that follow from it.

        Raises:
            NotConnected: with the reason of every node.
            StaleAnswer: ANCHOR_TOO_OLD.
            TrustStoreError: the store cannot be used, or has seen a fork.
            ValueError: no nodes, or a weak key in the genesis.
        """
        if not nodes:
            raise ValueError("name at least one node")
        trust = Trust(genesis, newest=newest_height)
        if store is not None:
            store.resume(trust)
        error: Exception | None = None
        async with anyio.create_task_group() as tasks:
            client = cls(nodes, trust, key, max_age, store, tasks)
            try:
                await client._nodes.reach()
                await client._require_anchor(trust_period)
                tasks.start_soon(client._sender.run, client._nodes)
                tasks.start_soon(client._look_around)
                if store is not None:
                    tasks.start_soon(client._keep, store)
                yield client
            except Exception as body_error:  # noqa: BLE001 - raised again below, outside the group
                error = body_error
            finally:
                if trust.fork is not None and store is not None:
                    with anyio.move_on_after(TRACE_SECONDS, shield=True):
                        await client._heads.trace()
                client._close()
                tasks.cancel_scope.cancel()
        if store is not None and (trust.head is not None or trust.fork is not None):
            try:
                store.save(trust)
            except TrustStoreError as not_saved:
                error = error or not_saved
        if error is not None:
            raise error

    async def _require_anchor(self, period: float) -> None:
        """What this life begins with may be too old to be believed without looking around."""
        if self.trust.is_anchored(time.time(), period):
            return
        result = await self._heads.compare(named=True)
        result.require(
            "ANCHOR_TOO_OLD", "the genesis, or the block kept last, is older than the trust period"
        )

    async def _look_around(self) -> None:
        """Compare heads now and then, for as long as the client lives."""
        while len(self._nodes) > 1:
            await anyio.sleep(COMPARE_SECONDS)
            try:
                await self._heads.compare()
            except ForkSeen as error:
                self._sender.on_fork(error)
                return

    async def _keep(self, store: TrustStore) -> None:
        """Save what is new, for as long as the client lives. What goes wrong is said by the last save."""
        saved = self.trust.head
        while True:
            await anyio.sleep(SAVE_SECONDS)
            if self.trust.head is not saved or self.trust.fork is not None:
                saved = self.trust.head
                with suppress(TrustStoreError):
                    await anyio.to_thread.run_sync(store.save, self.trust)

    def _close(self) -> None:
        self._nodes.close()
        self._sender.close(ClientClosed())

    def statistics(self) -> ClientStatistics:
        nodes = self._nodes
        return ClientStatistics(
            connected=tuple(str(nodes.address(n)) for n in range(len(nodes)) if nodes.is_open(n)),
            waiting=len(self._sender),
            newest_height=self.trust.newest,
            connections_lost=nodes.connections_lost,
            lies=nodes.lies,
            last_lie="" if nodes.last_lie is None else str(nodes.last_lie),
            fork=self.trust.fork is not None,
        )

    # --- envelopes ------------------------------------------------------------------------------

    async def submit(self, envelope: Envelope, *, seconds: float = SUBMIT_SECONDS) -> Receipt:
        """Have an envelope ordered and executed; returns its certified, checked receipt.

        The receipt may say that commands were refused by the voucher law: see `Receipt.ok`. Calling again with the same envelope gives the same receipt.

        Raises:
            SubmissionRefused: f+1 validators did not take it in; nothing was ordered, they say.
            OutcomeUnknown: no receipt within `seconds` or until `valid_until`: ask again.
            ClientBusy: too many are waiting.
            ForkSeen: nothing can be believed, this one's fate included.
        """
        return await self._sender.finish(self._sender.start(envelope), seconds)

    async def submit_many(
        self,
        envelopes: Iterable[Envelope],
        *,
        in_flight: int = 200,
        seconds: float = SUBMIT_SECONDS,
    ) -> list[Outcome]:
        """Submit many, keeping `in_flight` of them under way; their outcomes in order.

        Errors are returned in the envelope's place instead of raised. A node holds 256 envelopes of
        one organisation unless configured otherwise.
        """
        outcomes: list[Outcome] = []
        window: deque[Submission] = deque()
        try:
            for envelope in envelopes:
                if len(window) >= in_flight:
                    outcomes.append(await self._sender.outcome_of(window.popleft(), seconds))
                window.append(self._sender.start(envelope))
            while window:
                outcomes.append(await self._sender.outcome_of(window.popleft(), seconds))
        finally:
            for submission in window:
                self._sender.leave(submission)
        return outcomes

    async def outcome(self, transaction: bytes) -> Receipt | UnprovenPhase:
        """What became of a transaction: its checked receipt, or PENDING or UNKNOWN by one node's word.

        Raises:
            NotConnected: nobody to ask.
        """
        found: list[Receipt | UnprovenPhase] = []
        failed: list[TallynetError] = []
        done = anyio.Event()

        def watch(receipt: Receipt) -> None:
            found.append(receipt)
            done.set()

        async def ask() -> None:
            try:
                state = await self._nodes.ask(
                    lambda n: QueryTransaction(n, transaction), TransactionState, lambda s: s
                )
                found.append(UnprovenPhase(state.phase))
            except TallynetError as error:
                failed.append(error)
            done.set()

        with self._sender.watching(transaction, watch):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                await done.wait()
                tasks.cancel_scope.cancel()
        if not found:
            raise failed[0]
        return found[0]

    def _on_refused(self, node: int, key: bytes, message: Refused) -> None:
        if message.code == "NODE_RETIRED":
            self._nodes.leave(node)
        self._sender.on_refused(node, key, message)

    # --- records --------------------------------------------------------------------------------

    async def read(self, kind: Kind, id: bytes) -> Record | None:
        """The record, proven, or None, proven as well; see `read_proven`."""
        return (await self.read_proven(kind, id)).record

    async def read_proven(self, kind: Kind, id: bytes) -> ProvenRecord:
        """A record with the block that proves it; never of a state older than one seen before.

        Raises:
            StaleAnswer: every node is behind, or the state is older than `max_age` and fewer than
                f+1 validators confirm it.
            NotConnected: nobody to ask.
        """
        return await self._newest(
            lambda n: QueryRecord(n, kind, id),
            RecordProof,
            lambda answer: self.trust.record(kind, id, answer),
        )

    async def penetrate(self, question: Question, after: bytes = b"") -> ProvenPage:
        """One page about who stands behind a voucher, who holds it, or who is hit; from the cursor `after`
        on, which is `page.after` of the page before. Connect with a key of one of the organisation's
        people: a node shows each what it may see.

        Raises:
            RequestFailed: KEY_UNKNOWN, KEY_REVOKED, NOT_AUTHORISED, RECORD_NOT_FOUND, BAD_CURSOR.
            StaleAnswer, NotConnected: as `read_proven`.
        """
        return await self._newest(
            lambda n: QueryPenetration(n, question, after),
            Penetration,
            lambda answer: proven_page(self.trust, question, after, answer),
        )

    async def penetrate_all(self, question: Question) -> AsyncIterator[ProvenPage]:
        """All pages of an answer, one after the other."""
        after: bytes | None = b""
        while after is not None:
            page = await self.penetrate(question, after)
            yield page
            after = page.page.after

    async def _newest(
        self, make: Callable[[int], Wire], expect: type[T], check: Callable[[T], P]
    ) -> P:
        """An answer about state that is never older than what was seen before, and no older than
        `max_age` allows."""
        deadline = anyio.current_time() + BEHIND_SECONDS
        while True:
            floor = self.trust.newest
            proven = await self._nodes.ask(make, expect, check)
            if proven.block.height >= floor and await self._is_fresh(proven.block):
                return proven
            if anyio.current_time() >= deadline:
                raise StaleAnswer(
                    "STATE_WENT_BACK",
                    f"no node shows block {floor}, which this client has seen; try other nodes",
                )
            self._nodes.go_on()
            await anyio.sleep(BEHIND_POLL_SECONDS)

    async def _is_fresh(self, block: Certified) -> bool:
        """Called the newest, or later, by f+1 validators no longer than `max_age` ago. False: there is
        something newer, read again. The block's own time is not asked: by a clock that is a day behind,
        a state of yesterday is young."""
        if self._max_age is None or self._heads.confirmed(block.height, self._max_age):
            return True
        result = await self._heads.compare()
        result.require("STATE_TOO_OLD", f"state must be no older than {self._max_age:g} s")
        return block.height >= self.trust.newest

    async def compare_heads(self) -> HeadComparison:
        """Ask every node for its newest block: whether somebody withholds blocks, or shows another chain.

        Raises:
            StaleAnswer: HEADS_UNCONFIRMED: too few answered to be sure.
            ForkSeen: two certified blocks contradict each other; the store keeps the evidence.
        """
        result = await self._heads.compare(everybody=True)
        result.require("HEADS_UNCONFIRMED", "heads were to be compared")
        return result

    async def block(self, height: int = 0) -> Block:
        """Header, certificate and envelope hashes at `height`, checked; 0: the newest.

        Raises:
            RequestFailed: NO_SUCH_BLOCK.
        """
        return await self._nodes.ask(
            lambda n: QueryBlock(n, height),
            BlockPage,
            lambda answer: _at_height(height, self.trust.block(answer)),
        )

    async def block_receipts(self, height: int) -> BlockLeaves:
        """All receipts of the block at `height`, proven complete.

        Raises:
            RequestFailed: NO_SUCH_BLOCK, HISTORY_GONE.
        """

        def checked(answer: BlockReceipts) -> BlockLeaves:
            leaves = self.trust.all_receipts(answer)
            if leaves.block.height != height:
                raise RemoteProtocolError(
                    "BAD_PROOF", f"a block at {leaves.block.height}, not at {height}"
                )
            return leaves

        return await self._nodes.ask(lambda n: QueryReceipts(n, height), BlockReceipts, checked)

    async def certificate(self, height: int = 0) -> Certificate:
        """The commit certificate at `height`, checked; 0: the newest.

        Raises:
            RequestFailed: NO_SUCH_BLOCK.
        """

        def checked(page: BlockPage) -> Certificate:
            _at_height(height, self.trust.block(page))
            if page.certificate is None:
                raise RemoteProtocolError("BAD_BLOCK", "a block without certificate")
            return page.certificate

        return await self._nodes.ask(lambda n: QueryBlock(n, height), BlockPage, checked)

    # --- ciphertexts ----------------------------------------------------------------------------

    async def put_ciphertext(
        self, kind: Kind, record: bytes, ciphertext: bytes, progress: Progress | None = None
    ) -> None:
        """Have a node keep the ciphertext whose hash a record names, or is about to; goes on where an
        earlier attempt stopped. See `tallynet.client.ciphertexts`."""
        await put_ciphertext(self._nodes, kind, record, ciphertext, progress)

    async def ciphertext(
        self,
        kind: Kind,
        record: bytes,
        hash: bytes,
        *,
        secret: bytes = bytes(32),
        have: bytes = b"",
        progress: Progress | None = None,
    ) -> bytes:
        """The ciphertext with this hash, checked; `secret` of the reader's hint, unless a party asks. See
        `tallynet.client.ciphertexts`."""
        return await get_ciphertext(self._nodes, kind, record, hash, secret, have, progress)

    # --- the log --------------------------------------------------------------------------------

    async def events(
        self,
        from_height: int = 0,
        from_index: int = 0,
        *,
        follow: bool = True,
        where: Callable[[Event], bool] | None = None,
        cursor: str = "",
    ) -> AsyncGenerator[EventEntry, None]:
        """Events from a position on, in order, none twice and none left out: each page is proven whole. With
        `follow` it waits for new ones for ever, through lost connections and other nodes.

        To resume, pass the last entry's height and index + 1; that block is read from its begin again, so
        that the count is not a node's. With `where` only the events that it likes are given, chosen here
        after everything was checked; those that the node does not show are left out then.

        Args:
            cursor: name under which the store keeps how far this reader came: it goes on there. Kept when
                a block is done with and at the end. An entry counts as read when the next one is asked for:
                the one given last, and after a crash those of its block, may come again.

        Raises:
            StaleAnswer: STATE_WENT_BACK, without `follow`: every node's log ends below what was seen.
            NotConnected: nobody to ask, without `follow`.
            ForkSeen, TrustStoreError.
        """
        store = self._store if cursor else None
        if cursor and store is None:
            raise ValueError("a cursor is kept in the trust store; connect with one")
        done = (from_height, from_index)
        if store is not None:
            done = max(done, store.cursor(self.trust, cursor))
        kept = done
        try:
            async with aclosing(read_log(self._nodes, self.trust, *done, follow=follow)) as entries:
                async for entry in entries:
                    if store is not None and entry.height > done[0] and done > kept:
                        store.move_cursor(self.trust, cursor, *done)
                        kept = done
                    if where is None or (entry.event is not None and where(entry.event)):
                        yield entry
                    done = (entry.height, entry.index + 1)
        finally:
            if store is not None and done > kept:
                store.move_cursor(self.trust, cursor, *done)

    # --- one node's word ------------------------------------------------------------------------

    async def unproven_index(
        self, index: int, prefix: bytes, *, after: bytes = b"", limit: int = 500
    ) -> UnprovenPage:
        """Entries of a derived index that begin with `prefix`. Not proven: a node may leave entries out;
        read each record to be sure of it."""

        def checked(page: IndexPage) -> UnprovenPage:
            last = after
            for entry in page.entries:
                if entry <= last or not entry.startswith(prefix):
                    raise RemoteProtocolError("BAD_ANSWER", "entries that were not asked for")
                last = entry
            return UnprovenPage(page.entries, page.more)

        return await self._nodes.ask(
            lambda n: QueryIndex(n, index, prefix, after, limit), IndexPage, checked
        )

    async def unproven_index_all(self, index: int, prefix: bytes) -> AsyncIterator[bytes]:
        """All entries of an index that begin with `prefix`, page by page; as `unproven_index`."""
        after, more = b"", True
        while more:
            page = await self.unproven_index(index, prefix, after=after)
            for entry in page.entries:
                yield entry
            if not page.entries:
                return
            after, more = page.entries[-1], page.more

    async def united_index(self, index: int, prefix: bytes) -> set[bytes]:
        """All entries that one of f+1 validators lists; as `unproven_index_all`, but nobody alone leaves one
        out. See `tallynet.client.several`."""
        return await united_index(self._nodes, self.trust, index, prefix)

    async def is_refused(self, kind: Kind, id: bytes) -> bool:
        """Whether f+1 validators do not show a record; see `tallynet.client.several`."""
        return await is_refused(self._nodes, self.trust, kind, id)

    async def is_unknown(self, transaction: bytes, height: int) -> bool:
        """Whether f+1 validators that have all blocks up to `height` know nothing of a transaction, and no receipt
        comes meanwhile; see `tallynet.client.several`."""
        unknown = False
        with anyio.CancelScope() as known:
            with self._sender.watching(transaction, lambda _receipt: known.cancel()):
                unknown = await is_unknown(self._nodes, self.trust, transaction, height)
        return unknown and not known.cancel_called

    async def dry_run(self, body: EnvelopeBody) -> UnprovenDryRun:
        """Execute on a node's newest state without ordering; no signatures needed. One node's word."""
        return await self._nodes.ask(
            lambda n: DryRun(n, encode(body)), DryRunResult, _dry_run_report
        )

    async def agreed_dry_run(self, body: EnvelopeBody) -> UnprovenDryRun:
        """The same as f+1 validators say it alike; see `tallynet.client.several`."""
        return await agreed_dry_run(self._nodes, self.trust, body, _dry_run_report)

    async def evidence(self, kind: EvidenceKind) -> AsyncIterator[bytes]:
        """What a node keeps against validators: proofs of misbehaviour, or its archive of NewViews. Check each
        one yourself (`tallynet.evidence.culprit`); the node could leave some out."""
        after, more = b"", True
        while more:
            page = await self._evidence_page(kind, after)
            for entry in page.entries:
                yield entry.data
            more = page.more and bool(page.entries)
            after = page.entries[-1].key if page.entries else b""

    async def divergence(self) -> Divergence | None:
        """Why a node says that its results differ from others'; None when it does not say so."""
        page = await self._evidence_page(EvidenceKind.PROOFS, b"\xff")
        return decode(Divergence, page.divergence) if page.divergence else None

    async def _evidence_page(self, kind: EvidenceKind, after: bytes) -> EvidencePage:
        def checked(page: EvidencePage) -> EvidencePage:
            last = after
            for entry in page.entries:
                if entry.key <= last:
                    raise RemoteProtocolError("BAD_ANSWER", "entries that were not asked for")
                last = entry.key
            return page

        return await self._nodes.ask(lambda n: QueryEvidence(n, kind, after), EvidencePage, checked)

    async def status(self) -> NodeStatus:
        """What the node in use says about itself."""
        return await self._nodes.ask(QueryStatus, NodeStatus, lambda s: s)

    async def statuses(self) -> dict[NodeAddress, NodeStatus | TallynetError]:
        """What every node says about itself, or why it does not answer."""
        found: dict[int, NodeStatus | TallynetError] = {}

        async def ask(node: int) -> None:
            try:
                link = await self._nodes.open(node)
                found[node] = await link.ask(QueryStatus, NodeStatus)
            except (ConnectionLost, RequestFailed) as error:
                found[node] = error

        async with anyio.create_task_group() as tasks:
            for node in range(len(self._nodes)):
                tasks.start_soon(ask, node)
        return {self._nodes.address(node): found[node] for node in sorted(found)}


def _at_height(height: int, block: Block) -> Block:
    if height and block.block.height != height:
        raise RemoteProtocolError("BAD_PROOF", f"a block at {block.block.height}, not at {height}")
    return block


def _dry_run_report(result: DryRunResult) -> UnprovenDryRun:
    receipt = decode(EnvelopeReceipt, result.receipt)
    return UnprovenDryRun(result.height, receipt, result.reasons)
