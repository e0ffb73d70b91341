"""The thin client: talks to any node, believes only proofs (design §8). Runs on asyncio and trio."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar, final

import anyio
from anyio.abc import TaskGroup
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallynet.blocks import Certificate, faulty_max
from tallynet.client.ciphertexts import Progress, get_ciphertext, put_ciphertext
from tallynet.client.errors import (
    ClientBusy,
    ClientClosed,
    ConnectionLost,
    NotConnected,
    RequestFailed,
    StaleAnswer,
    SubmissionError,
)
from tallynet.client.link import ANSWER_SECONDS, Link, NodeAddress
from tallynet.client.nodes import Nodes
from tallynet.client.penetration import ProvenPage, proven_page
from tallynet.client.submissions import Outcome, Submission, Submissions
from tallynet.client.trust import Block, BlockLeaves, Certified, ProvenRecord, Receipt, Trust
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
    EventAt,
    EventPage,
    EvidenceKind,
    EvidencePage,
    IndexPage,
    NodeStatus,
    Penetration,
    QueryBlock,
    QueryEvents,
    QueryEvidence,
    QueryIndex,
    QueryPenetration,
    QueryReceipts,
    QueryRecord,
    QueryStatus,
    QueryTransaction,
    Receipts,
    RecordProof,
    Refused,
    Submit,
    TransactionPhase,
    TransactionState,
)
from tallynet.penetration import Question
from tallynet.receipts import EnvelopeReceipt, Event
from tallynet.records import Kind, Record

__all__ = ["Client", "ClientStatistics", "DryRunReport", "EventEntry"]

OPEN_SUBMISSIONS_MAX: Final = 20_000
"""As many as a node's pool holds; about 20 MB here."""
SUBMIT_ENVELOPES_MAX: Final = 1_000
SUBMIT_BYTES_MAX: Final = 1024 * 1024
"""One Submit message; far below the frame limit, so that a node answers others in between."""
SUBMIT_SECONDS: Final = 60.0
RECONNECT_SECONDS: Final = 1.0
"""Between two attempts of a follower of events to find a node."""
BEHIND_SECONDS: Final = 5.0
"""How long nodes may take to catch up with what this client has seen already."""
BEHIND_POLL_SECONDS: Final = 0.02
EVENTS_WAIT_SECONDS: Final = 3600.0
"""A long poll ends with the connection, not with a clock."""

T = TypeVar("T", bound=Wire)
R = TypeVar("R")
P = TypeVar("P", ProvenRecord, ProvenPage)


@dataclass(frozen=True, slots=True)
class EventEntry:
    """An event of the committed log, as one node tells it: no proof. Read the record it names when
    it matters."""

    height: int
    index: int
    time: int
    """Unix seconds of its block."""
    event: Event


@dataclass(frozen=True, slots=True)
class DryRunReport:
    """What one node says would happen now; nothing was ordered."""

    height: int
    receipt: EnvelopeReceipt
    reasons: tuple[str, ...]
    """One per command, empty for OK."""


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


@final
class Client:
    """Open with `async with Client.connect(...) as client:`; safe to use from many tasks at once.

    Answers about state are proven; `events`, `index`, `status` and `dry_run` are one node's word and
    say so.
    """

    def __init__(
        self,
        nodes: Sequence[NodeAddress],
        trust: Trust,
        key: Ed25519PrivateKey,
        max_age: float | None,
        tasks: TaskGroup,
    ) -> None:
        """Use `connect`."""
        self.trust: Final = trust
        """The verifier; keep `trust.newest` and pass it to the next `connect`."""
        self._nodes: Final = Nodes(
            nodes,
            trust,
            key,
            tasks,
            on_receipts=self._on_receipts,
            on_refused=self._on_refused,
            on_lost=self._on_lost,
        )
        self._max_age: Final = max_age
        self._tasks: Final = tasks
        self._submissions: Final = Submissions()
        self._wake = anyio.Event()
        self._watchers: Final[dict[bytes, list[Callable[[Receipt], None]]]] = {}
        self._closed = False
        self._confirmed: tuple[int, float] = (0, 0.0)
        """Height that f+1 nodes called the newest, and when."""

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        nodes: Sequence[NodeAddress],
        genesis: Genesis,
        key: Ed25519PrivateKey,
        *,
        max_age: float | None = None,
        newest_height: int = 0,
    ) -> AsyncIterator[Client]:
        """Connect to the first of `nodes` that answers; the others are used when it does not.

        Args:
            key: whom the node sees; it need not be registered on the ledger.
            max_age: seconds; state in a block older than that is believed only when f+1 validators
                call it the newest. None: state never goes back, but may be withheld.
            newest_height: `client.trust.newest` of an earlier run.

        Raises:
            NotConnected: with the reason of every node.
            ValueError: no nodes, or a weak key in the genesis.
        """
        if not nodes:
            raise ValueError("name at least one node")
        trust = Trust(genesis, newest=newest_height)
        error: Exception | None = None
        async with anyio.create_task_group() as tasks:
            client = cls(nodes, trust, key, max_age, tasks)
            try:
                await client._nodes.reach()
                tasks.start_soon(client._shepherd)
                yield client
            except Exception as body_error:  # noqa: BLE001 - raised again below, outside the group
                error = body_error
            finally:
                client._close()
                tasks.cancel_scope.cancel()
        if error is not None:
            raise error

    def _close(self) -> None:
        self._closed = True
        self._nodes.close()
        self._submissions.close(ClientClosed())

    def statistics(self) -> ClientStatistics:
        nodes = self._nodes
        return ClientStatistics(
            connected=tuple(str(nodes.address(n)) for n in range(len(nodes)) if nodes.is_open(n)),
            waiting=len(self._submissions),
            newest_height=self.trust.newest,
            connections_lost=nodes.connections_lost,
            lies=nodes.lies,
        )

    # --- envelopes ------------------------------------------------------------------------------

    async def submit(self, envelope: Envelope, *, seconds: float = SUBMIT_SECONDS) -> Receipt:
        """Have an envelope ordered and executed; returns its certified, checked receipt.

        The receipt may say that commands were refused by the voucher law: see `Receipt.ok`. Calling again with the same envelope gives the same receipt.

        Raises:
            SubmissionRefused: the nodes did not take it in; nothing was ordered, they say.
            OutcomeUnknown: no receipt within `seconds` or until `valid_until`: ask again.
            ClientBusy: too many are waiting.
        """
        return await self._finish(self._start(envelope), seconds)

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
                    outcomes.append(await self._outcome_of(window.popleft(), seconds))
                window.append(self._start(envelope))
            while window:
                outcomes.append(await self._outcome_of(window.popleft(), seconds))
        finally:
            for submission in window:
                self._submissions.leave(submission)
        return outcomes

    async def outcome(self, transaction: bytes) -> Receipt | TransactionPhase:
        """What became of a transaction: its checked receipt, or PENDING or UNKNOWN by one node's
        word. UNKNOWN after `valid_until`, from f+1 nodes, means that it never happened.

        Raises:
            NotConnected: nobody to ask.
        """
        found: list[Receipt | TransactionPhase] = []
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
                found.append(state.phase)
            except TallynetError as error:
                failed.append(error)
            done.set()

        self._watchers.setdefault(transaction, []).append(watch)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                await done.wait()
                tasks.cancel_scope.cancel()
        finally:
            self._watchers[transaction].remove(watch)
            if not self._watchers[transaction]:
                del self._watchers[transaction]
        if not found:
            raise failed[0]
        return found[0]

    def _start(self, envelope: Envelope) -> Submission:
        if self._closed:
            raise ClientClosed
        if len(self._submissions) >= OPEN_SUBMISSIONS_MAX:
            raise ClientBusy(OPEN_SUBMISSIONS_MAX)
        submission = self._submissions.add(envelope, anyio.current_time())
        self._wake.set()
        return submission

    async def _finish(self, submission: Submission, seconds: float) -> Receipt:
        try:
            # No checkpoint for one that is done: `submit_many` then refills a whole block's worth
            # before the shepherd runs, and it leaves in one message.
            if not submission.done.is_set():
                with anyio.move_on_after(seconds):
                    await submission.done.wait()
        finally:
            self._submissions.leave(submission)
        return submission.result()

    async def _outcome_of(self, submission: Submission, seconds: float) -> Outcome:
        try:
            return await self._finish(submission, seconds)
        except SubmissionError as error:
            return error

    async def _shepherd(self) -> None:
        """Sends what is due, for as long as the client lives."""
        while True:
            due = self._submissions.take_due(anyio.current_time(), time.time())
            first = [s for s in due if s.rounds == 0]
            again = [s for s in due if s.rounds > 0]
            if first:
                await self._hand_out_first(first)
            if again:
                for node in range(len(self._nodes)):
                    if not self._nodes.is_dialling(node):
                        self._tasks.start_soon(self._hand_out_again, node, again)
                for submission in again:
                    self._submissions.handed_out(submission, anyio.current_time())
            self._wake = anyio.Event()
            pause = self._submissions.next_due() - anyio.current_time()
            if pause > 0:
                with anyio.move_on_after(min(pause, 3600.0)):
                    await self._wake.wait()

    async def _hand_out_first(self, submissions: list[Submission]) -> None:
        """To one node, the one in use."""
        try:
            node, link = await self._nodes.reach()
            await self._send(node, link, submissions)
        except (NotConnected, ConnectionLost):
            pass  # the next round goes to everybody
        for submission in submissions:
            self._submissions.handed_out(submission, anyio.current_time())

    async def _hand_out_again(self, node: int, submissions: list[Submission]) -> None:
        try:
            link = await self._nodes.open(node)
            await self._send(node, link, [s for s in submissions if not s.done.is_set()])
        except ConnectionLost:
            pass  # other nodes have it, and the next round tries again

    async def _send(self, node: int, link: Link, submissions: list[Submission]) -> None:
        part: list[Submission] = []
        size = 0
        for submission in submissions:
            raw = submission.envelope.raw
            if part and (len(part) == SUBMIT_ENVELOPES_MAX or size + len(raw) > SUBMIT_BYTES_MAX):
                await self._send_part(node, link, part)
                part, size = [], 0
            part.append(submission)
            size += len(raw)
        if part:
            await self._send_part(node, link, part)

    async def _send_part(self, node: int, link: Link, part: list[Submission]) -> None:
        for submission in part:
            self._submissions.sent(submission, node)
        await link.send(Submit(tuple(s.envelope.raw for s in part)))

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
        """Young enough, or called the newest by f+1 validators, one of whom at least is honest.
        False: there is something newer, read again."""
        if self._max_age is None:
            return True
        if time.time() - block.time_ms / 1000 <= self._max_age:
            return True
        height, confirmed_at = self._confirmed
        now = anyio.current_time()
        if height < block.height or now - confirmed_at > self._max_age:
            await self._confirm()
        return block.height >= self.trust.newest

    async def _confirm(self) -> None:
        """Ask f+1 validators for their newest block. Raises StaleAnswer when too few answer."""
        needed = faulty_max(len(self.trust.validators)) + 1
        answered: set[bytes] = set()
        for node in range(len(self._nodes)):
            try:
                link = await self._nodes.open(node)
                await self._nodes.ask_link(
                    link, lambda n: QueryBlock(n, 0), BlockPage, self.trust.block
                )
            except (ConnectionLost, RequestFailed):
                continue
            if link.server_key in self.trust.validators:
                answered.add(link.server_key)
            if len(answered) >= needed:
                self._confirmed = (self.trust.newest, anyio.current_time())
                return
        raise StaleAnswer(
            "STATE_TOO_OLD",
            f"the newest block shown is older than {self._max_age:g} s, and {len(answered)} of the"
            f" {needed} validators needed confirm that there is no newer one; name more nodes",
        )

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

    # --- one node's word ------------------------------------------------------------------------

    async def index(
        self, index: int, prefix: bytes, *, after: bytes = b"", limit: int = 500
    ) -> tuple[list[bytes], bool]:
        """Entries of a derived index that begin with `prefix`, and whether there are more after the
        last one. Not proven: a node may leave entries out; read each record to be sure of it."""
        page = await self._nodes.ask(
            lambda n: QueryIndex(n, index, prefix, after, limit), IndexPage, lambda p: p
        )
        return list(page.entries), page.more

    async def index_all(self, index: int, prefix: bytes) -> AsyncIterator[bytes]:
        """All entries of an index that begin with `prefix`, page by page."""
        after, more = b"", True
        while more:
            entries, more = await self.index(index, prefix, after=after)
            for entry in entries:
                yield entry
            if not entries:
                return
            after = entries[-1]

    async def events(
        self, from_height: int = 0, from_index: int = 0, *, follow: bool = True
    ) -> AsyncGenerator[EventEntry, None]:
        """Events from a position on, in order, none twice; with `follow` it waits for new ones for
        ever, through lost connections. To resume, pass the last entry's height and index + 1."""
        height, index = from_height, from_index
        while True:
            try:
                page, entries = await self._event_page(height, index, follow)
            except NotConnected:
                if not follow:
                    raise
                await anyio.sleep(RECONNECT_SECONDS)
                continue
            for entry in entries:
                if (entry.height, entry.index) >= (height, index):
                    yield entry
            height, index = max((height, index), (page.next_height, page.next_index))
            if not entries:
                if not follow:
                    return
                await anyio.sleep(BEHIND_POLL_SECONDS)

    async def _event_page(
        self, height: int, index: int, wait: bool
    ) -> tuple[EventPage, list[EventEntry]]:
        return await self._nodes.ask(
            lambda n: QueryEvents(n, height, index, wait),
            EventPage,
            lambda page: (page, [_event(entry) for entry in page.events]),
            seconds=EVENTS_WAIT_SECONDS if wait else ANSWER_SECONDS,
        )

    async def dry_run(self, body: EnvelopeBody) -> DryRunReport:
        """Execute on a node's newest state without ordering; no signatures needed. One node's word."""
        return await self._nodes.ask(
            lambda n: DryRun(n, encode(body)), DryRunResult, _dry_run_report
        )

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
        return await self._nodes.ask(
            lambda n: QueryEvidence(n, kind, after), EvidencePage, lambda p: p
        )

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

    # --- what nodes push ------------------------------------------------------------------------

    def _on_lost(self, node: int) -> None:
        self._submissions.lost(node, anyio.current_time())
        self._wake.set()

    def _on_refused(self, node: int, message: Refused) -> None:
        if message.code == "NODE_RETIRED":
            self._nodes.leave(node)
        self._submissions.refused(
            node, message.transaction, message.code, message.reason, anyio.current_time()
        )
        self._wake.set()

    def _on_receipts(self, message: Receipts) -> None:
        for receipt in self.trust.receipts(message):
            if receipt.code != "OK":
                continue  # a copy that was not admitted; this transaction may still take effect
            self._submissions.receipted(receipt)
            for watch in self._watchers.get(receipt.transaction, ()):
                watch(receipt)


def _at_height(height: int, block: Block) -> Block:
    if height and block.block.height != height:
        raise RemoteProtocolError("BAD_PROOF", f"a block at {block.block.height}, not at {height}")
    return block


def _event(entry: EventAt) -> EventEntry:
    return EventEntry(entry.height, entry.index, entry.time, decode(Event, entry.event))


def _dry_run_report(result: DryRunResult) -> DryRunReport:
    receipt = decode(EnvelopeReceipt, result.receipt)
    return DryRunReport(result.height, receipt, result.reasons)
