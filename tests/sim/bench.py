"""One real replica on a bench: feed it what its peers would send and look at what it wants done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256

from consensus.config import ReplicaConfig, Tip
from consensus.effects import ALL, Deliver, Effects
from consensus.events import (
    Event,
    Executed,
    Persisted,
    Received,
    Tick,
    Transaction,
    TransactionsHeld,
)
from consensus.proposals import build_content
from consensus.replica import Replica
from consensus.slots import Content
from tallynet.blocks import Certificate, Commit, Prepare
from tallynet.codec import Wire, decode, encode
from tallynet.messages import (
    Complaint,
    ComplaintReason,
    NewView,
    PeerMessage,
    PreparedEntry,
    PrePrepare,
    Signed,
    SignedKind,
    Status,
    ViewChange,
)
from tests.sim.validators import GENESIS, GENESIS_TIME_MS, key_of, roots_of, signer, verify

VALIDATORS_HASH = sha256(b"validators").digest()


def transactions(
    count: int, *, organisation: bytes = b"o" * 16, tag: str = ""
) -> tuple[Transaction, ...]:
    return tuple(
        Transaction(
            sha256(f"{tag}{organisation!r}{i} signed".encode()).digest(),
            sha256(f"{tag}{organisation!r}{i}".encode()).digest(),
            organisation,
            1_000_003_000,
            200,
        )
        for i in range(count)
    )


def copy_of(transaction: Transaction) -> Transaction:
    """The same transaction under other signatures."""
    return replace(transaction, envelope=sha256(b"copy" + transaction.envelope).digest())


def signed(index: int, kind: SignedKind, body: Wire) -> Signed:
    raw = encode(body)
    return Signed(kind, raw, index, signer(index)(kind, raw))


class Ledger:
    def __init__(self) -> None:
        self.remembered: set[bytes] = set()
        """Transaction ids."""
        self.inadmissible: set[bytes] = set()
        """Envelope hashes of copies that execution does not admit."""
        self.bodies: dict[bytes, Transaction] = {}
        self.wanted = False
        self.following = VALIDATORS_HASH
        """Hash of the set that validates the next epoch."""

    def is_remembered(self, transaction: Transaction) -> bool:
        return transaction.id in self.remembered

    def admits(self, transaction: Transaction, time_s: int) -> bool:
        return transaction.envelope not in self.inadmissible

    def held(self, envelope: bytes) -> Transaction | None:
        return self.bodies.get(envelope)

    def wants_block(self, time_ms: int) -> bool:
        return self.wanted

    def next_validators(self, epoch: int) -> bytes:
        return self.following


class Bench:
    """Replica `index` of `n`. `out` collects (to, message) of every step since the last `take`."""

    def __init__(self, index: int = 1, n: int = 4, **options: object) -> None:
        self.n = n
        self.config = replace(
            ReplicaConfig(
                genesis=GENESIS,
                genesis_time_ms=GENESIS_TIME_MS,
                validators=tuple(key_of(i) for i in range(n)),
                validators_hash=VALIDATORS_HASH,
                index=index,
            ),
            **options,  # type: ignore[arg-type]
        )
        self.index = index
        self.ledger = Ledger()
        self.journal: dict[bytes, bytes] = {}
        self.accused: list[bytes] = []
        self.now_ms = 0
        self.tip = Tip(None, GENESIS, None, 0)
        self.roots = {GENESIS: GENESIS}
        self.start()

    def start(self) -> None:
        self.out: list[tuple[int, PeerMessage]] = []
        self.delivered: list[Deliver] = []
        self.executes: list[Content] = []
        self.logs: list[str] = []
        self.log: list[tuple[str, dict[str, object]]] = []
        self.auto_persist = True
        self.evidence: list[bytes] = []
        """Encoded proofs that steps since the start have emitted; `accused` are the keys of all."""
        self.discarded: list[bytes] = []
        self.relayed: list[tuple[int, tuple[bytes, ...]]] = []
        """(leader, envelope hashes) that it was given."""
        self.auto_execute = True
        self.replica = Replica(
            config=self.config,
            sign=signer(self.index),
            verify=verify,
            ledger=self.ledger,
            tip=self.tip,
            journal=dict(self.journal),
            accused=self.accused,
            now_ms=self.now_ms,
            wall_ms=self.wall_ms,
        )

    @property
    def wall_ms(self) -> int:
        return GENESIS_TIME_MS + 1 + self.now_ms

    def restart(self) -> None:
        """Crash after everything so far was durable, and start again."""
        self.start()
        self.tick()

    # events
    def step(self, event: Event) -> Effects:
        effects = self.replica.step(event)
        for entry in effects.persist:
            if entry.value is None:
                self.journal.pop(entry.key, None)
            else:
                self.journal[entry.key] = entry.value
        for deliver in effects.deliver:
            self.delivered.append(deliver)
            admitted = [e for e in deliver.envelopes if e not in self.ledger.inadmissible]
            self.ledger.remembered.update(self.ledger.bodies[e].id for e in admitted)
            self.tip = Tip(
                deliver.header_bytes,
                deliver.block,
                deliver.certificate,
                deliver.header.height // self.config.epoch_length,
            )
        self.out += [
            (s.to, decode(PeerMessage, s.message)) for s in effects.send_after + effects.send_now
        ]  # type: ignore[arg-type]
        self.logs += [name for name, _ in effects.log]
        self.log += effects.log
        self.accused += [accusation.key for accusation in effects.evidence]
        self.evidence += [accusation.proof for accusation in effects.evidence]
        self.discarded += effects.discard
        self.relayed += [(relay.to, relay.envelopes) for relay in effects.relay]
        if self.auto_persist and (effects.persist or effects.deliver):
            self.step(Persisted(self.replica.turn))
        for request in effects.execute:
            if self.auto_execute:
                self.step(
                    Executed(request.block, *self.execute(request.header.parent, request.block))
                )
        return effects

    def execute(self, parent: bytes, block: bytes) -> tuple[bytes, bytes]:
        roots = roots_of(self.roots.get(parent, parent), block)
        self.roots[block] = roots[0]
        return roots

    def tick(self, ms: int = 0) -> Effects:
        """Let time pass in steps of at most 50 ms."""
        effects = self.step(Tick(self.now_ms, self.wall_ms))
        while ms > 0:
            self.now_ms += min(ms, 50)
            ms -= 50
            effects = self.step(Tick(self.now_ms, self.wall_ms))
        return effects

    def receive(self, source: int, message: PeerMessage) -> Effects:
        return self.step(Received(source, message))

    def hold(self, held: Iterable[Transaction], *, checked: bool = True) -> Effects:
        held = tuple(held)
        for transaction in held:
            self.ledger.bodies[transaction.envelope] = transaction
        return self.step(TransactionsHeld(held, checked))

    # what peers say
    def block(
        self,
        height: int,
        parent: bytes,
        ids: Sequence[Transaction],
        *,
        by: int = 0,
        time_ms: int | None = None,
        following: bytes | None = None,
    ) -> Content:
        """`following`: hash of the set that the header names; None: the current one's."""
        return build_content(
            replace(self.config, index=by),
            height=height,
            parent=parent,
            time_ms=self.wall_ms + height if time_ms is None else time_ms,
            envelopes=tuple(t.envelope for t in ids),
            next_validators=following,
        )

    def chain(self, count: int, *, size: int = 1, by: int = 0) -> list[Content]:
        """Consecutive blocks from genesis, whose bodies are then held."""
        blocks: list[Content] = []
        parent = GENESIS
        for height in range(1, count + 1):
            ids = transactions(size, tag=f"block {height} ")
            self.hold(ids)
            blocks.append(self.block(height, parent, ids, by=by))
            parent = blocks[-1].block
        return blocks

    def epoch_of(self, content: Content) -> int:
        return content.header.epoch

    def prepare(self, index: int, content: Content, view: int = 0) -> Signed:
        header = content.header
        return signed(
            index, SignedKind.PREPARE, Prepare(header.epoch, view, header.height, content.block)
        )

    def commit(
        self, index: int, content: Content, view: int = 0, roots: tuple[bytes, bytes] | None = None
    ) -> Signed:
        header = content.header
        if roots is None:
            roots = roots_of(self.roots.get(header.parent, header.parent), content.block)
            self.roots.setdefault(content.block, roots[0])
        return signed(
            index,
            SignedKind.COMMIT,
            Commit(header.epoch, view, header.height, content.block, *roots),
        )

    def propose(self, content: Content, view: int = 0, leader: int | None = None) -> Effects:
        leader = view % self.n if leader is None else leader
        prepare = encode(self.prepare(leader, content, view))
        return self.receive(leader, PrePrepare(content.header_bytes, content.envelopes, prepare))

    def prepare_all(self, content: Content, view: int = 0) -> None:
        for i in range(self.n):
            if i != self.index:
                self.receive(i, self.prepare(i, content, view))

    def commit_all(self, content: Content, view: int = 0) -> None:
        for i in range(self.n):
            if i != self.index:
                self.receive(i, self.commit(i, content, view))

    def run_block(self, content: Content, view: int = 0) -> None:
        """A whole block from proposal to delivery."""
        self.propose(content, view)
        self.prepare_all(content, view)
        self.commit_all(content, view)

    def prepared_certificate(
        self, content: Content, view: int, signers: Sequence[int]
    ) -> Certificate:
        votes = [self.prepare(i, content, view) for i in signers]
        return Certificate(votes[0].body, tuple(signers), tuple(v.signature for v in votes))

    def commit_certificate(
        self, content: Content, view: int, signers: Sequence[int]
    ) -> Certificate:
        votes = [self.commit(i, content, view) for i in signers]
        return Certificate(votes[0].body, tuple(signers), tuple(v.signature for v in votes))

    def complaint(self, index: int, view: int = 0, epoch: int = 0) -> Signed:
        return signed(
            index, SignedKind.COMPLAINT, Complaint(epoch, view, ComplaintReason.PROGRESS_TIMEOUT)
        )

    def view_change(
        self,
        index: int,
        to_view: int,
        prepared: Sequence[tuple[Content, Certificate]] = (),
        committed: tuple[Content, Certificate] | None = None,
        epoch: int = 0,
    ) -> Signed:
        return signed(
            index,
            SignedKind.VIEW_CHANGE,
            ViewChange(
                epoch,
                to_view,
                b"" if committed is None else committed[0].header_bytes,
                None if committed is None else committed[1],
                tuple(PreparedEntry(c.header_bytes, certificate) for c, certificate in prepared),
            ),
        )

    def new_view(
        self, view: int, changes: Sequence[Signed], again: Sequence[Content] = (), epoch: int = 0
    ) -> Signed:
        leader = view % self.n
        return signed(
            leader,
            SignedKind.NEW_VIEW,
            NewView(
                epoch,
                view,
                tuple(encode(c) for c in changes),
                tuple(c.header_bytes for c in again),
                tuple(encode(self.prepare(leader, c, view)) for c in again),
            ),
        )

    def status(
        self,
        index: int,
        view: int = 0,
        committed: int = 0,
        *,
        changing: bool = False,
        epoch: int = 0,
    ) -> Signed:
        return signed(
            index, SignedKind.STATUS, Status(epoch, view, changing, committed, self.wall_ms)
        )

    # what the replica said
    def take(self, kind: type[PeerMessage] | SignedKind) -> list[tuple[int, Wire]]:
        """(to, body) of everything of this kind since the last call; other kinds stay."""
        found: list[tuple[int, Wire]] = []
        rest: list[tuple[int, PeerMessage]] = []
        bodies = {
            SignedKind.PREPARE: Prepare,
            SignedKind.COMMIT: Commit,
            SignedKind.COMPLAINT: Complaint,
            SignedKind.VIEW_CHANGE: ViewChange,
            SignedKind.NEW_VIEW: NewView,
            SignedKind.STATUS: Status,
        }
        for to, message in self.out:
            if isinstance(kind, SignedKind):
                if isinstance(message, Signed) and message.kind == kind:
                    found.append((to, decode(bodies[kind], message.body)))
                    continue
            elif isinstance(message, kind):
                found.append((to, message))
                continue
            rest.append((to, message))
        self.out = rest
        return found

    def prepares(self) -> list[int]:
        """Heights of the Prepares sent to all since the last call (own proposals included)."""
        heights = [b.height for to, b in self.take(SignedKind.PREPARE) if to == ALL]  # type: ignore[attr-defined]
        for to, message in self.take(PrePrepare):
            if to == ALL:
                heights.append(decode(Prepare, decode(Signed, message.prepare).body).height)  # type: ignore[attr-defined]
        return heights

    def commits(self) -> list[int]:
        """Heights of the Commits sent to all since the last call."""
        return [b.height for to, b in self.take(SignedKind.COMMIT) if to == ALL]  # type: ignore[attr-defined]

    @property
    def heights(self) -> list[int]:
        return [d.header.height for d in self.delivered]
