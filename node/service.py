"""What a node does for clients: takes envelopes in at the door, answers questions with proofs.

Every answer about state is taken from one snapshot of the store together with the certificate of the
same height, so that a client can check it. Submits are answered when the block is durable here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from consensus.constants import CLOCK_WINDOW_MS
from consensus.events import Transaction, TransactionsHeld
from node import penetration
from node.door import Answers, Door
from node.event_pages import event_blocks
from node.executor import ExecutedBlock, Executor
from node.ledger.execute import admit, dry_run
from node.pool import Pool, PoolRefused, in_messages, transaction_of
from node.state import CommittedState, Overlay, prove
from node.state.view import Index, StateView
from node.store import Store
from node.unchecked import Unchecked
from node.watch import Watch
from tallynet.blocks import Certificate
from tallynet.codec import decode, decode_trusted, encode
from tallynet.envelope import ENVELOPE_BYTES_MAX, Envelope, EnvelopeBody, open_envelope
from tallynet.errors import LedgerError, RemoteProtocolError, TallynetError
from tallynet.hashing import envelope_hash, transaction_id
from tallynet.merkle import ListTree
from tallynet.messages import (
    BlockPage,
    BlockReceipts,
    Bodies,
    CertifiedBlock,
    ClientRequest,
    DryRun,
    DryRunResult,
    EventPage,
    EvidenceEntry,
    EvidenceKind,
    EvidencePage,
    IndexPage,
    NodeStatus,
    Ping,
    Pong,
    ProvenReceipt,
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
    RequestRefused,
    Submit,
    TransactionPhase,
    TransactionState,
)
from tallynet.receipts import EnvelopeReceipt
from tallynet.records import RECORD_TYPES, Kind

WAITING_PER_TRANSACTION_MAX: Final = 16
"""Sessions that may wait for one transaction; more get `TransactionState` PENDING."""
EVENT_WAITERS_MAX: Final = 1_024
"""Long polls for events; beyond that the oldest is answered empty."""
CLOCK_SKEW_SECONDS: Final = CLOCK_WINDOW_MS // 1000
"""Between the clocks of two validators that vote for each other's proposals."""
EVIDENCE_PER_PAGE: Final = 64
REPLY_BYTES_MAX: Final = 1024 * 1024
"""Receipts in one message: well below the frame limit of 4 MiB, proofs included."""


_ASKED_BY_NAME: Final = frozenset(
    (
        Index.OPEN_VOUCHERS,
        Index.GUARANTEES,
        Index.PLEDGED_RECEIPTS,
        Index.MAKER_PREPAYMENTS,
        Index.BRANCHES,
    )
)
"""Indexes that only penetration queries read, which know who asks."""


class HistoryGone(TallynetError):
    """HISTORY_GONE: what is asked about may lie in blocks that this node does not hold, because it
    deleted them or began with a fetched state. Another node may know."""


def _history_gone(what: str, base: int) -> HistoryGone:
    return HistoryGone(
        "HISTORY_GONE", f"{what}; this node holds blocks from {base} on: ask another node"
    )


class Session(Protocol):
    """A client's connection, `net.ClientSession`."""

    @property
    def key(self) -> bytes:
        """The client's public key, proven by its hello."""

    def send(self, message: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class StatusSource:
    """What the service asks of the rest of the node."""

    describe: Callable[[int], NodeStatus]
    """NodeStatus for a request number."""
    offer: Callable[[TransactionsHeld], None]
    wants_body: Callable[[bytes], bool]
    """True iff the core misses this envelope under a block."""
    gossip: Callable[[bytes], None]
    is_retired: Callable[[], bool]
    """True iff no block will come here any more."""
    now_seconds: Callable[[], int]


class Service:
    def __init__(
        self,
        *,
        genesis: bytes,
        executor: Executor,
        pool: Pool,
        unchecked: Unchecked,
        store: Store,
        answers: Answers,
        source: StatusSource,
        watch: Watch,
    ) -> None:
        self._genesis: Final = genesis
        self._executor: Final = executor
        self._pool: Final = pool
        self._unchecked: Final = unchecked
        self._store: Final = store
        self._answers: Final = answers
        self._source: Final = source
        self._watch: Final = watch
        self._waiting: Final[dict[bytes, list[Session]]] = {}
        self._event_waiters: Final[deque[tuple[Session, QueryEvents]]] = deque()

    # --- envelopes ----------------------------------------------------------------------------

    def handle(self, session: Session, requests: Iterable[ClientRequest]) -> None:
        """Answer the requests of one client, in order."""
        for request in requests:
            try:
                self._dispatch(session, request)
            except TallynetError as error:
                self._watch.served(type(request), error.code)
                number = getattr(request, "request", 0)
                session.send(encode(RequestRefused(number, error.code, error.message[:400])))
            else:
                self._watch.served(type(request), "OK")

    def _dispatch(self, session: Session, request: ClientRequest) -> None:
        match request:
            case Submit():
                self._submit(session, request)
            case QueryTransaction():
                self._query_transaction(session, request)
            case QueryRecord():
                session.send(encode(self._record(session.key, request)))
            case QueryIndex():
                session.send(encode(self._index(session.key, request)))
            case QueryEvents():
                self._events(session, request)
            case QueryBlock():
                session.send(encode(self._block(request)))
            case QueryReceipts():
                session.send(encode(self._block_receipts(request)))
            case QueryStatus():
                session.send(encode(self._source.describe(request.request)))
            case QueryEvidence():
                session.send(encode(self._evidence(request)))
            case QueryPenetration():
                with self._store.reader() as reader:
                    session.send(encode(penetration.answer(reader, session.key, request)))
            case DryRun():
                session.send(encode(self._dry_run(session.key, request)))
            case Ping():
                session.send(encode(Pong(request.request)))
            case _:
                raise RemoteProtocolError("UNEXPECTED", f"not a request: {type(request).__name__}")

    def _submit(self, session: Session, submit: Submit) -> None:
        held: list[Transaction] = []
        passed_on: list[bytes] = []
        for raw in submit.envelopes:
            try:
                envelope = self._at_the_door(session, raw)
            except TallynetError as error:
                transaction = _name(raw)
                self._watch.refused(transaction, error.code)
                session.send(encode(Refused(transaction, error.code, error.message[:400])))
                continue
            if envelope is not None:
                held.append(self._pool.add(envelope, own=True))
                passed_on.append(envelope.raw)
        if held:
            self._watch.received(held, "client")
            self._source.offer(TransactionsHeld(tuple(held)))
            for message in in_messages(passed_on):
                self._source.gossip(message)

    def _at_the_door(self, session: Session, raw: bytes) -> Envelope | None:
        """A checked envelope to take in and pass on, or None when its receipt was sent at once.

        One that is in the pool already is announced and passed on again: the client asks because it
        waits, and the leader may have lost it (protocol §5.9). The copy that came first stands for
        all others, however they are signed."""
        if self._source.is_retired():
            raise PoolRefused(
                "NODE_RETIRED", "this node is no validator any more; try another node"
            )
        if len(raw) > ENVELOPE_BYTES_MAX:
            raise LedgerError(
                "ENVELOPE_TOO_LARGE", f"{len(raw)} bytes; at most {ENVELOPE_BYTES_MAX} are allowed"
            )
        try:
            envelope = open_envelope(raw)
        except RemoteProtocolError as error:
            raise LedgerError("ENVELOPE_MALFORMED", error.message) from None
        first = self._pool.copy_of(envelope.transaction)
        if first is not None:
            self._wait(session, first.transaction)
            return first
        if self._is_old(envelope) and self._answer_committed(session, envelope.transaction):
            return None
        self._pool.require_room(envelope.body.organisation, len(raw))
        self._admit_from_client(envelope)
        self._wait(session, envelope.transaction)
        return envelope

    def _is_old(self, envelope: Envelope) -> bool:
        """Whether its receipt may be here: ids are remembered until they have expired, so any other is new, and
        needs no look into the store."""
        valid_until = envelope.body.valid_until
        if valid_until <= self._now():
            return True
        return self._executor.is_remembered(envelope.transaction, valid_until)

    def _now(self) -> int:
        return max(self._source.now_seconds(), self._executor.head.time_ms // 1000)

    def _admit(self, envelope: Envelope) -> None:
        now = self._now()
        admit(self._executor.view, self._genesis, envelope, now, skew=CLOCK_SKEW_SECONDS)

    def _admit_from_client(self, envelope: Envelope) -> None:
        try:
            self._admit(envelope)
        except LedgerError as error:
            if error.code != "DUPLICATE_TRANSACTION":
                raise
            # Its receipt is not here. A refusal would read as if it had not been executed.
            with self._store.reader() as reader:
                raise _history_gone("this envelope was executed", reader.base()) from None

    def _wait(self, session: Session, transaction: bytes) -> None:
        sessions = self._waiting.setdefault(transaction, [])
        if session not in sessions:
            if len(sessions) >= WAITING_PER_TRANSACTION_MAX:
                raise PoolRefused("TOO_MANY_WAITING", "ask for the transaction's state instead")
            sessions.append(session)

    def gossiped(self, source: int, bodies: Bodies) -> int:
        """Take in envelopes that validator `source` passed on, or that were asked of it; returns how
        many were invalid.

        What a block names and the core misses is held whatever it is worth: execution decides, for
        everybody alike. A key that is not known here may be registered by a block that is not
        executed here yet: such an envelope waits for it, unproposed.
        """
        held: list[Transaction] = []
        named: list[Transaction] = []
        invalid = 0
        for raw in bodies.bodies:
            try:
                envelope = _open_from_peer(raw)
            except RemoteProtocolError:
                invalid += 1
                continue
            refusal = self._refusal(envelope)
            if not refusal:
                held.append(self._pool.add(envelope))
            elif self._source.wants_body(envelope.hash):
                self._unchecked.named.put(source, envelope)
                named.append(transaction_of(envelope))
            elif refusal == "KEY_UNKNOWN":
                self._unchecked.strangers.put(source, envelope)
            else:
                invalid += refusal in ("SIGNATURE_INVALID", "NETWORK_MISMATCH")
        if held:
            self._watch.received(held, "validator")
            self._source.offer(TransactionsHeld(tuple(held)))
        if named:
            self._source.offer(TransactionsHeld(tuple(named), checked=False))
        return invalid

    def passed_on(self, bodies: Bodies) -> int:
        """Take in what an observer passes on for its clients, as if those were our own, and pass it on; returns
        how many were invalid. What is held already goes no further, or two observers that follow each other
        would pass it round for ever. Nobody waits here: receipts come to the observer with the block."""
        held: list[Envelope] = []
        invalid = 0
        for raw in bodies.bodies if not self._source.is_retired() else ():
            try:
                envelope = _open_from_peer(raw)
                if envelope.hash not in self._pool:
                    self._pool.require_room(envelope.body.organisation, len(raw))
                    self._admit(envelope)
                    held.append(envelope)
            except RemoteProtocolError:
                invalid += 1
            except TallynetError as error:
                invalid += error.code in ("SIGNATURE_INVALID", "NETWORK_MISMATCH")
        if held:
            taken = tuple(self._pool.add(envelope, own=True) for envelope in held)
            self._watch.received(taken, "observer")
            self._source.offer(TransactionsHeld(taken))
            for message in in_messages(envelope.raw for envelope in held):
                self._source.gossip(message)
        return invalid

    def _refusal(self, envelope: Envelope) -> str:
        """Why the pool must not hold an envelope of another validator; empty when it may, or does."""
        if envelope.hash in self._pool:
            return ""
        if not self._pool.has_room(envelope.body.organisation, len(envelope.raw)):
            return "POOL_FULL"
        try:
            self._admit(envelope)
        except LedgerError as error:
            return error.code
        return ""

    def hold_block_bodies(self, source: int, block: CertifiedBlock) -> int:
        """Bodies inside a block that validator `source` calls final: each is held when it has the
        hash that the block names, without the door's checks. Returns how many were wrong; they are
        asked for elsewhere."""
        wrong = abs(len(block.envelopes) - len(block.bodies))
        for hash, raw in zip(block.envelopes, block.bodies, strict=False):
            if self._executor.envelope(hash) is not None:
                continue
            if envelope_hash(raw) != hash:
                wrong += 1
                continue
            try:
                self._unchecked.named.put(source, _open_from_peer(raw))
            except RemoteProtocolError:
                wrong += 1
        return wrong

    def take_in(self, envelopes: Iterable[Envelope]) -> None:
        """Hold and announce those of these envelopes that are admissible now."""
        held = [self._pool.add(e) for e in envelopes if not self._refusal(e)]
        if held:
            self._source.offer(TransactionsHeld(tuple(held)))

    def _try_strangers(self) -> None:
        """A block was executed: it may have registered the keys that were not known."""
        strangers = self._unchecked.strangers.all()
        refusals = [self._refusal(envelope) for envelope in strangers]
        known = [
            e for e, refusal in zip(strangers, refusals, strict=True) if refusal != "KEY_UNKNOWN"
        ]
        if known:
            self._unchecked.strangers.drop(envelope.hash for envelope in known)
            self.take_in(known)

    # --- results ------------------------------------------------------------------------------

    def committed(self, executed: ExecutedBlock, certificate: Certificate) -> None:
        """Answer the clients whose envelopes are in this durable block, and the event waiters.

        A copy that the law did not admit has not used up its id: its receipt is nobody's answer. Who
        waits is refused when no other copy waits for its block here."""
        waiting: dict[Session, list[int]] = {}
        answered: list[bytes] = []
        admitted = frozenset(executed.result.admitted)
        for index, envelope in enumerate(executed.envelopes):
            if index in admitted:
                sessions = self._waiting.pop(envelope.transaction, ())
                for session in sessions:
                    waiting.setdefault(session, []).append(index)
                if sessions:
                    answered.append(envelope.transaction)
            elif self._pool.copy_of(envelope.transaction) is None:
                code = decode_trusted(EnvelopeReceipt, executed.result.receipts[index]).code
                reason = f"ordered in block {executed.header.height} and not admitted there"
                self._refuse(envelope.transaction, code, reason)
        for session, indices in waiting.items():
            for message in _receipts(executed, certificate, indices):
                session.send(message)
        if answered:
            self._watch.answered(executed.header.height, answered)
        for _ in range(len(self._event_waiters)):
            self._events(*self._event_waiters.popleft())
        self._try_strangers()

    def forget(self, session: Session) -> None:
        """The client's connection is gone."""
        for transaction in [t for t, sessions in self._waiting.items() if session in sessions]:
            self._waiting[transaction].remove(session)
            if not self._waiting[transaction]:
                del self._waiting[transaction]
        waiters = [entry for entry in self._event_waiters if entry[0] is not session]
        self._event_waiters.clear()
        self._event_waiters.extend(waiters)

    def expired(self, transactions: Iterable[bytes]) -> None:
        """These were dropped from the pool unexecuted: their validity window is over."""
        transactions = list(transactions)
        self._watch.let_go(transactions, "EXPIRED")
        for transaction in transactions:
            self._refuse(transaction, "EXPIRED", "valid_until passed; sign anew")

    def _refuse(self, transaction: bytes, code: str, reason: str) -> None:
        for session in self._waiting.pop(transaction, ()):
            session.send(encode(Refused(transaction, code, reason)))

    def _answer_committed(self, session: Session, transaction: bytes) -> bool:
        with self._store.reader() as reader:
            place = reader.transaction(transaction)
            if place is None:
                return False
            height, index = place
            block, given = reader.block(height), reader.receipts(height)
        if block is None or given is None:
            return False
        tree = ListTree(given.receipts)
        proven = ProvenReceipt(given.receipts[index + 1], tree.prove(index + 1))
        session.send(encode(Receipts(block.header, block.certificate, (proven,))))
        return True

    def _query_transaction(self, session: Session, query: QueryTransaction) -> None:
        if self._answer_committed(session, query.transaction):
            return
        pending = self._pool.copy_of(query.transaction) is not None
        if not pending:
            self._require_history(f"no transaction {query.transaction.hex()[:16]} is known here")
        phase = TransactionPhase.PENDING if pending else TransactionPhase.UNKNOWN
        if pending:
            self._wait(session, query.transaction)
        session.send(encode(TransactionState(query.request, query.transaction, phase)))

    def _require_history(self, what: str, below: int | None = None) -> None:
        """HISTORY_GONE unless all blocks, or those from `below` on, are held."""
        with self._store.reader() as reader:
            base = reader.base()
        if base > (1 if below is None else below):
            raise _history_gone(what, base)

    # --- questions ----------------------------------------------------------------------------

    def _door(self, state: StateView, key: bytes) -> Door:
        return Door(state, key, self._executor.head.time_ms // 1000, self._answers)

    def _record(self, key: bytes, query: QueryRecord) -> RecordProof:
        if query.kind not in RECORD_TYPES:
            raise RemoteProtocolError("UNKNOWN_KIND", f"no record kind {query.kind}")
        with self._store.reader() as reader:
            state = CommittedState.snapshot(reader)
            kind = Kind(query.kind)
            proof = prove(state, kind, query.id)
            if not self._door(Overlay(state), key).record(kind, query.id):
                proof = msgspec.structs.replace(proof, lots=(), rows=state.lots(query.id)[1])
            tip = reader.tip()
            block = None if tip is None else reader.block(tip.height)
        if block is None:
            return RecordProof(query.request, b"", None, encode(proof))
        return RecordProof(query.request, block.header, block.certificate, encode(proof))

    def _index(self, key: bytes, query: QueryIndex) -> IndexPage:
        try:
            index = Index(query.index)
        except ValueError:
            raise RemoteProtocolError("UNKNOWN_INDEX", f"no index {query.index}") from None
        if index in _ASKED_BY_NAME:
            raise RemoteProtocolError("UNKNOWN_INDEX", f"index {index} is behind query-penetration")
        with self._store.reader() as reader:
            view = Overlay(CommittedState.snapshot(reader))
            self._door(view, key).index(index, query.prefix)
            found = view.index_scan(index, query.prefix, after=query.after, limit=query.limit + 1)
        more = len(found) > query.limit
        return IndexPage(query.request, tuple(found[: query.limit]), more)

    def _events(self, session: Session, query: QueryEvents) -> None:
        first = max(query.height, 1)
        self._require_history(f"the events of block {first} are not here", first)
        with self._store.reader() as reader:
            door = self._door(Overlay(CommittedState.snapshot(reader)), session.key)
            door.log()
            shows = None if self._answers is Answers.EVERYBODY else door.event
            blocks = event_blocks(reader, first, query.receipt, query.event, shows=shows)
        if not blocks and query.wait:
            if len(self._event_waiters) >= EVENT_WAITERS_MAX:
                old, asked = self._event_waiters.popleft()
                old.send(encode(EventPage(asked.request, ())))
            self._event_waiters.append((session, query))
            return
        session.send(encode(EventPage(query.request, blocks)))

    def _block(self, query: QueryBlock) -> BlockPage:
        height = query.height or self._executor.head.height
        if not 1 <= height <= self._executor.head.height:
            raise RemoteProtocolError(
                "NO_SUCH_BLOCK", f"height {height}; blocks 1 to {self._executor.head.height} exist"
            )
        with self._store.reader() as reader:
            block = reader.block(height)
        if block is None:
            self._require_history(f"block {height} is not here", height)
            raise RemoteProtocolError("NO_SUCH_BLOCK", f"height {height} is not stored")
        return BlockPage(query.request, block.header, block.certificate, block.envelopes)

    def _block_receipts(self, query: QueryReceipts) -> BlockReceipts:
        with self._store.reader() as reader:
            block, given = reader.block(query.height), reader.receipts(query.height)
        if block is None or given is None:
            head = self._executor.head.height
            if 1 <= query.height <= head:
                self._require_history(f"block {query.height} is not here", query.height)
            raise RemoteProtocolError(
                "NO_SUCH_BLOCK", f"height {query.height}; blocks 1 to {head} exist"
            )
        return BlockReceipts(query.request, block.header, block.certificate, given.receipts)

    def _evidence(self, query: QueryEvidence) -> EvidencePage:
        found: list[EvidenceEntry] = []
        room, more = REPLY_BYTES_MAX, False
        with self._store.reader() as reader:
            kept = {
                EvidenceKind.PROOFS: reader.evidence,
                EvidenceKind.NEW_VIEWS: reader.new_views,
                EvidenceKind.HANDOVERS: reader.handovers,
            }
            rows = kept[query.kind](query.after)
            for key, data in rows:
                room -= len(data)
                more = bool(found) and (room < 0 or len(found) >= EVIDENCE_PER_PAGE)
                if more:
                    break
                found.append(EvidenceEntry(key, data))
            divergence = reader.divergence()
        return EvidencePage(query.request, tuple(found), more, divergence)

    def _dry_run(self, key: bytes, query: DryRun) -> DryRunResult:
        body = decode(EnvelopeBody, query.body)
        self._door(self._executor.view, key).act(body.organisation)
        head = self._executor.head
        time = self._now()
        receipt, reasons = dry_run(self._executor.view, self._genesis, body, time)
        texts = tuple(reason[:400] for reason in reasons)
        return DryRunResult(query.request, head.height, encode(receipt), texts)


def _open_from_peer(raw: bytes) -> Envelope:
    """Decode an envelope that a validator sent. Raises RemoteProtocolError."""
    if len(raw) > ENVELOPE_BYTES_MAX:
        raise RemoteProtocolError("ENVELOPE_TOO_LARGE", f"{len(raw)} bytes")
    return open_envelope(raw)


def _name(raw: bytes) -> bytes:
    """Transaction id of what was sent, or the hash of the bytes when no body can be read."""
    try:
        return open_envelope(raw).transaction
    except RemoteProtocolError:
        return transaction_id(raw)


def _receipts(
    executed: ExecutedBlock, certificate: Certificate, indices: list[int]
) -> Iterable[bytes]:
    """Encoded `Receipts` messages of bounded size for these positions of a block."""
    result = executed.result
    part: list[ProvenReceipt] = []
    size = 0
    for index in indices:
        receipt = result.receipts[index]
        if part and size + len(receipt) > REPLY_BYTES_MAX:
            yield encode(Receipts(executed.header_bytes, certificate, tuple(part)))
            part, size = [], 0
        part.append(ProvenReceipt(receipt, result.tree.prove(index + 1)))
        size += len(receipt)
    yield encode(Receipts(executed.header_bytes, certificate, tuple(part)))
