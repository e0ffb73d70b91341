"""A cluster of real replicas in one process under a seeded, hostile scheduler.

Everything the driver of a node does is done here in a few lines: one open transaction gathers the
effects of many steps, a later `sync` makes it durable and lets its messages go; a crash drops what
was not synced. The network loses, delays, duplicates and reorders. Nothing sleeps: time is a number.
The oracles at the end share no code with the replica.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b, sha256

from consensus.config import ReplicaConfig, Tip
from consensus.effects import ALL, Deliver, Effects, Send
from consensus.events import (
    Event,
    Executed,
    Persisted,
    Received,
    Tick,
    Transaction,
    TransactionsHeld,
)
from consensus.replica import Replica
from tallynet.blocks import Certificate, Commit, Prepare, quorum
from tallynet.codec import decode, encode
from tallynet.evidence import culprit
from tallynet.messages import (
    Blocks,
    Bodies,
    CertifiedBlock,
    FetchBlocks,
    FetchBodies,
    PeerMessage,
    PrePrepare,
    Signed,
    SignedKind,
)

GENESIS = sha256(b"simulated network").digest()
GENESIS_TIME_MS = 1_000_000_000_000
TICK_MS = 10
EVENTS_MAX = 2_000_000


def key_of(index: int) -> bytes:
    """Public keys that sort by index; the secret is the same bytes: enough for a simulation."""
    return bytes([index]) + sha256(b"key%d" % index).digest()[1:]


def sign_as(index: int, domain: bytes, body: bytes) -> bytes:
    return blake2b(domain + body, key=key_of(index), digest_size=64).digest()


def verify(domain: bytes, body: bytes, public_key: bytes, signature: bytes) -> bool:
    return blake2b(domain + body, key=public_key, digest_size=64).digest() == signature


def check(domain: bytes, genesis: bytes, body: bytes, key: bytes, signature: bytes) -> bool:
    return genesis == GENESIS and verify(domain, body, key, signature)


def signer(index: int) -> Callable[[SignedKind, bytes], bytes]:
    from tallynet.messages import DOMAINS

    return lambda kind, body: sign_as(index, DOMAINS[kind], body)


SIGNED_BYTES = 56
"""The part of a simulated body that its id covers; what follows stands for the signatures."""


def transaction_of(body: bytes) -> Transaction:
    identity = sha256(b"id" + body[:SIGNED_BYTES]).digest()
    return Transaction(sha256(body).digest(), identity, body[:16], 1_000_000_000 + 3_600, len(body))


def roots_of(parent: bytes, block: bytes, salt: bytes = b"") -> tuple[bytes, bytes]:
    """Deterministic stand-in for execution: any function of the chain will do for the core."""
    return (
        sha256(b"state" + parent + block + salt).digest(),
        sha256(b"receipts" + block + salt).digest(),
    )


@dataclass
class Block:
    header: bytes
    block: bytes
    envelopes: tuple[bytes, ...]
    certificate: Certificate
    state_root: bytes


@dataclass
class Disk:
    """What survives a crash."""

    journal: dict[bytes, bytes] = field(default_factory=dict)
    chain: list[Block] = field(default_factory=list)
    bodies: dict[bytes, bytes] = field(default_factory=dict)
    remembered: dict[bytes, int] = field(default_factory=dict)
    """Transaction id -> height."""


@dataclass
class Turn:
    step: int = 0
    journal: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    holds: list[bytes] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    sends: list[Send] = field(default_factory=list)


class Node:
    """The shell around one replica: a driver in miniature."""

    def __init__(self, cluster: Cluster, index: int, name: str) -> None:
        self.cluster, self.index, self.name = cluster, index, name
        self.disk = Disk()
        self.alive = False
        self.wants_until_ms = 0
        self.salt = b""
        self.replica: Replica

    # LedgerView
    def is_remembered(self, transaction: Transaction) -> bool:
        return transaction.id in self.disk.remembered

    def admits(self, transaction: Transaction, time_s: int) -> bool:
        return True

    def held(self, envelope: bytes) -> Transaction | None:
        body = self.bodies.get(envelope)
        return None if body is None else transaction_of(body)

    def wants_block(self, time_ms: int) -> bool:
        last = len(self.disk.chain)
        return self.cluster.rolls > 0 and last < self.cluster.rolls and time_ms > 0

    # life
    def start(self) -> None:
        chain = self.disk.chain
        config = self.cluster.config(self.index)
        tip = Tip(None, GENESIS, None, 0, config.validators)
        if chain:
            last = chain[-1]
            epoch = len(chain) // config.epoch_length
            tip = Tip(last.header, last.block, last.certificate, epoch, config.validators)
        self.bodies = dict(self.disk.bodies)
        self.roots = {GENESIS: GENESIS} | {b.block: b.state_root for b in chain}
        self.turn, self.writing = Turn(), False
        self.generation = self.cluster.next_generation()
        self.alive = True
        self.steps = 0
        self.replica = Replica(
            config=config,
            sign=signer(self.index),
            verify=verify,
            ledger=self,
            tip=tip,
            journal=dict(self.disk.journal),
            now_ms=self.cluster.now_ms,
            wall_ms=self.wall_ms,
        )
        self.cluster.after(0, self._tick, self.generation)

    def crash(self) -> None:
        self.alive = False

    @property
    def wall_ms(self) -> int:
        return GENESIS_TIME_MS + 1 + self.cluster.now_ms + self.cluster.skew(self.index)

    def _tick(self, generation: int) -> None:
        if self.alive and generation == self.generation:
            self.step(Tick(self.cluster.now_ms, self.wall_ms))
            self.cluster.after(TICK_MS, self._tick, generation)

    def step(self, event: Event) -> None:
        effects = self.replica.step(event)
        self.steps += 1
        self._apply(effects)

    def _apply(self, effects: Effects) -> None:
        turn = self.turn
        turn.step = self.steps
        turn.journal += [(p.key, p.value) for p in effects.persist]
        for hold in effects.hold:
            turn.holds += hold.envelopes
        turn.sends += effects.send_after
        for deliver in effects.deliver:
            turn.blocks.append(self._deliver(deliver))
        for block in effects.discard:
            self.roots.pop(block, None)
        for request in effects.execute:
            missing = [e for e in request.envelopes if e not in self.bodies]
            assert not missing, "executed without bodies"
            parent = self.roots[request.header.parent]
            roots = roots_of(parent, request.block, self.salt)
            self.roots[request.block] = roots[0]
            answer = Executed(request.block, *roots)
            self.cluster.after(self.cluster.delay(3), self._answer, self.generation, answer)
        for accusation in effects.evidence:
            self.cluster.accuse(accusation.proof)
        for send in effects.send_now:
            self.cluster.send(self, send)
        for relay in effects.relay:
            bodies = tuple(self.bodies[e] for e in relay.envelopes)
            self.cluster.send(self, Send(relay.to, encode(Bodies(bodies))))
        if not self.writing:
            self.writing = True
            self.cluster.after(self.cluster.delay(8), self._sync, self.generation)

    def _answer(self, generation: int, event: Executed) -> None:
        if self.alive and generation == self.generation:
            self.step(event)

    def _deliver(self, deliver: Deliver) -> Block:
        roots = roots_of(self.roots[deliver.header.parent], deliver.block, self.salt)
        assert roots == (deliver.commit.state_root, deliver.commit.receipts_root)
        return Block(
            deliver.header_bytes,
            deliver.block,
            deliver.envelopes,
            deliver.certificate,
            roots[0],
        )

    def _sync(self, generation: int) -> None:
        """One transaction becomes durable; then, and only then, its messages leave (INV-5)."""
        if not self.alive or generation != self.generation:
            return
        turn, self.turn, self.writing = self.turn, Turn(), False
        disk = self.disk
        for key, value in turn.journal:
            if value is None:
                disk.journal.pop(key, None)
            else:
                disk.journal[key] = value
        for envelope in turn.holds:
            disk.bodies[envelope] = self.bodies[envelope]
        for block in turn.blocks:
            disk.chain.append(block)
            for envelope in block.envelopes:
                body = disk.bodies[envelope] = self.bodies[envelope]
                disk.remembered[transaction_of(body).id] = len(disk.chain)
            self.cluster.committed(self, len(disk.chain), block)
        for send in turn.sends:
            self.cluster.send(self, send)
        self.step(Persisted(turn.step))

    # messages
    def receive(self, source: int, raw: bytes) -> None:
        message = decode(PeerMessage, raw)  # type: ignore[arg-type]
        if isinstance(message, Bodies):
            self.hold(list(message.bodies))
        elif isinstance(message, FetchBodies):
            found = [self.bodies[e] for e in message.envelopes if e in self.bodies]
            if found:
                self.cluster.send(self, Send(source, encode(Bodies(tuple(found)))))
        elif isinstance(message, FetchBlocks):
            self._serve(source, message.first)
        else:
            if isinstance(message, Blocks):
                for block in message.blocks:
                    for body in block.bodies:
                        self.bodies.setdefault(sha256(body).digest(), body)
            self.step(Received(source, message))

    def _serve(self, source: int, first: int) -> None:
        part = self.disk.chain[first - 1 : first + 7]
        if part:
            blocks = tuple(
                CertifiedBlock(
                    b.header,
                    b.envelopes,
                    b.certificate,
                    tuple(self.disk.bodies[e] for e in b.envelopes),
                )
                for b in part
            )
            self.cluster.send(self, Send(source, encode(Blocks(blocks))))

    def hold(self, bodies: list[bytes]) -> None:
        for body in bodies:
            self.bodies[sha256(body).digest()] = body
        self.step(TransactionsHeld(tuple(transaction_of(b) for b in bodies)))


@dataclass
class Weather:
    """What the network does to messages; drawn per seed."""

    loss: float = 0.0
    duplicate: float = 0.0
    delay_ms: int = 5
    tail: float = 0.0
    """Share of messages that take up to two seconds."""


class Cluster:
    def __init__(
        self,
        seed: int,
        n: int,
        window: int,
        *,
        epoch_length: int = 1000,
        weather: Weather | None = None,
        twins: tuple[int, ...] = (),
    ) -> None:
        self.random = random.Random(seed)
        self.n, self.window, self.epoch_length = n, window, epoch_length
        self.weather = weather or Weather()
        self.now_ms = 0
        self.rolls = 0
        self.twins = twins
        self._heap: list[tuple[int, float, int, Callable[..., None], tuple[object, ...]]] = []
        self._count = 0
        self._generation = 0
        self.cut: set[frozenset[int]] = set()
        self.skews = [0] * n
        self.canonical: dict[int, bytes] = {}
        self.first_commit_ms: dict[bytes, int] = {}
        self.register: dict[tuple[int, int, int, int, int], bytes] = {}
        self.accused: list[int] = []
        self.submitted: list[bytes] = []
        self.trace = sha256()
        self.nodes = [Node(self, i, f"n{i}") for i in range(n)]
        self.nodes += [Node(self, i, f"n{i}'") for i in twins]
        self.drop: Callable[[int, int, PeerMessage], bool] | None = None
        for node in self.nodes:
            node.start()

    def config(self, index: int) -> ReplicaConfig:
        return ReplicaConfig(
            genesis=GENESIS,
            genesis_time_ms=GENESIS_TIME_MS,
            validators=tuple(key_of(i) for i in range(self.n)),
            validators_hash=sha256(b"validators").digest(),
            index=index,
            window=self.window,
            epoch_length=self.epoch_length,
        )

    def skew(self, index: int) -> int:
        return self.skews[index]

    # scheduler
    def next_generation(self) -> int:
        self._generation += 1
        return self._generation

    def delay(self, limit: int) -> int:
        return self.random.randint(0, limit)

    def after(self, wait_ms: int, act: Callable[..., None], *arguments: object) -> None:
        self._count += 1
        entry = (self.now_ms + wait_ms, self.random.random(), self._count, act, arguments)
        heapq.heappush(self._heap, entry)

    def run(self, ms: int, until: Callable[[], bool] | None = None) -> bool:
        """Run for `ms` of virtual time; True as soon as `until` holds."""
        end = self.now_ms + ms
        while self._heap and self._heap[0][0] <= end:
            at, _, _, act, arguments = heapq.heappop(self._heap)
            self.now_ms = at
            act(*arguments)
            if until is not None and until():
                return True
            assert self._count < EVENTS_MAX, "event storm"
        self.now_ms = end
        return until is not None and until()

    # network
    def send(self, node: Node, send: Send) -> None:
        self._oracle_votes(node, send.message)
        for target in self.nodes:
            if target.index != node.index and send.to in (ALL, target.index):
                self._transmit(node, target, send.message)

    def _transmit(self, node: Node, target: Node, raw: bytes) -> None:
        weather = self.weather
        if frozenset((self.place(node), self.place(target))) in self.cut:
            return
        if self.drop is not None:
            message = decode(PeerMessage, raw)  # type: ignore[arg-type]
            if self.drop(node.index, target.index, message):
                return
        copies = 0 if self.random.random() < weather.loss else 1
        copies += self.random.random() < weather.duplicate
        for _ in range(copies):
            limit = 2_000 if self.random.random() < weather.tail else weather.delay_ms
            self.after(self.delay(limit) + 1, self._arrive, node.index, target, raw)

    def place(self, node: Node) -> int:
        return self.nodes.index(node)

    def _arrive(self, source: int, target: Node, raw: bytes) -> None:
        if target.alive:
            self.trace.update(b"%d %d %d " % (self.now_ms, source, target.index) + raw)
            target.receive(source, raw)

    # workload
    def submit(self, count: int = 1, to: Node | None = None, *, copies: int = 1) -> None:
        """A client hands bodies to one node, which gossips them to all; further copies, signed anew,
        each to a node of its own."""
        for _ in range(count):
            body = self.random.randbytes(1) * 16 + self.random.randbytes(SIGNED_BYTES - 16)
            self.submitted.append(body)
            alive = [node for node in self.nodes if node.alive]
            for copy in range(copies):
                node = to or self.random.choice(alive)
                signed = body + bytes([copy] if copy else [])
                node.hold([signed])
                self.send(node, Send(ALL, encode(Bodies((signed,)))))

    def gossip_again(self) -> None:
        """Clients that got no receipt send again, to every node."""
        for node in self.nodes:
            if node.alive:
                done = node.disk.remembered
                left = [b for b in self.submitted if transaction_of(b).id not in done]
                if left:
                    node.hold(left)

    # oracles
    def _oracle_votes(self, node: Node, raw: bytes) -> None:
        """No double vote: everything a correct key let out (oracle 7)."""
        if node.index in self.twins:
            return
        message = decode(PeerMessage, raw)  # type: ignore[arg-type]
        votes = [message]
        if isinstance(message, PrePrepare):
            votes = [decode(Signed, message.prepare)]
        for vote in votes:
            if not isinstance(vote, Signed) or vote.signer != node.index:
                continue
            if vote.kind == SignedKind.PREPARE:
                body: Prepare | Commit = decode(Prepare, vote.body)
            elif vote.kind == SignedKind.COMMIT:
                body = decode(Commit, vote.body)
            else:
                continue
            key = (node.index, int(vote.kind), body.epoch, body.view, body.height)
            assert self.register.setdefault(key, vote.body) == vote.body, f"double vote {key}"

    def committed(self, node: Node, height: int, block: Block) -> None:
        """Agreement and prefix (oracle 1); a quorum's signatures under every block."""
        known = self.canonical.setdefault(height, block.block)
        assert known == block.block, f"fork at height {height}"
        commit = decode(Commit, block.certificate.vote)
        assert (commit.block, commit.height) == (block.block, height)
        assert len(set(block.certificate.signers)) >= quorum(self.n)
        for envelope in block.envelopes:
            self.first_commit_ms.setdefault(envelope, self.now_ms)

    def accuse(self, proof: bytes) -> None:
        """Evidence is sound (oracle 11): it names only those who have a twin."""
        index = culprit(proof, self.config(0), check).signer
        assert index in self.twins, f"evidence against correct validator {index}"
        self.accused.append(index)

    def check_exactly_once(self) -> None:
        """Every id at most once in the chain, and only submitted ones (oracles 2, 5)."""
        wanted = {transaction_of(b).id for b in self.submitted}
        for node in self.nodes:
            bodies = [node.disk.bodies[e] for block in node.disk.chain for e in block.envelopes]
            ids = [transaction_of(body).id for body in bodies]
            assert len(ids) == len(set(ids)), "a transaction twice"
            assert set(ids) <= wanted

    def everywhere(self, nodes: list[Node] | None = None) -> bool:
        """Every submitted transaction is durable at each of `nodes`."""
        return all(
            len(node.disk.remembered) == len(self.submitted)
            for node in (self.nodes if nodes is None else nodes)
        )

    def heights(self) -> list[int]:
        return [len(node.disk.chain) for node in self.nodes]

    def explain(self) -> str:
        return "\n".join(
            f"{node.name} alive={node.alive} {node.replica.statistics()}" for node in self.nodes
        )
