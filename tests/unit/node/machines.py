"""Four validators in one process: real machines on real stores, with the wires between them in hand.

What a process does around `node.machine` is a few lines here: events are stepped at once, the taken
batch is committed, messages go into one queue. A test cuts wires, and says what a faulty validator
sends by handing it to `Net.inject`; nothing waits, time is a number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from hashlib import sha256, sha512
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consensus.events import Event, Received, Tick
from node.config import Limits
from node.door import Answers
from node.machine import Clock, Machine, prepare_store
from node.signer import Signer
from node.store import WriteBatch, open_store
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import decode
from tallynet.envelope import Envelope, seal_envelope
from tallynet.genesis import genesis_hash
from tallynet.hashing import signed_bytes
from tallynet.messages import ClientReply, PeerMessage, Receipts, Submit
from tallynet.receipts import CommandReceipt, EnvelopeReceipt
from tallynet.records import Role
from tallynet.signatures import KIND_ENVELOPE, verify_kind
from tests.rules.law_world import World

TICK_MS = 10
GROUP_ORDER = 2**252 + 27_742_317_777_372_353_535_851_937_790_883_648_493
SETTLED_ROUNDS_MAX = 2_000
"""Rounds of deliveries until nothing is under way; more means that messages cause each other."""


class ClientEnd:
    """A client's connection: remembers what the node sent."""

    def __init__(self, key: bytes = bytes(32)) -> None:
        self.key = key
        self.replies: list[ClientReply] = []

    def send(self, message: bytes) -> None:
        self.replies.append(decode(ClientReply, message))  # type: ignore[arg-type]

    def codes(self, envelope: Envelope) -> list[str]:
        """Codes of the receipts that came for this transaction."""
        return [receipt.code for receipt in self._receipts(envelope)]

    def results(self, envelope: Envelope) -> list[tuple[CommandReceipt, ...]]:
        """Receipts of its commands, once for each of those."""
        return [receipt.commands for receipt in self._receipts(envelope)]

    def _receipts(self, envelope: Envelope) -> list[EnvelopeReceipt]:
        receipts = [
            decode(EnvelopeReceipt, proven.receipt)
            for reply in self.replies
            if isinstance(reply, Receipts)
            for proven in reply.receipts
        ]
        return [receipt for receipt in receipts if receipt.transaction == envelope.transaction]


class Validator:
    """One machine with its store. Also the outlet through which it speaks."""

    def __init__(self, net: Net, index: int, directory: Path) -> None:
        self.net, self.index, self.directory = net, index, directory
        self.inbox: deque[Event] = deque()
        self.logs: list[str] = []
        self.told: list[tuple[str, dict[str, object]]] = []
        """The same with their fields."""
        self.invalid = 0
        """Envelopes and parts of a state for which a peer got a strike."""
        self.extra: dict[str, object] = getattr(self, "extra", {})
        """Further arguments of this machine."""
        self.fate: Callable[[WriteBatch], str] = lambda _batch: ""
        """Whether the process dies around the commit of a batch: "dies before" it, or "dies after"."""
        self.start()

    def start(self) -> None:
        """Boot from what the store holds."""
        net = self.net
        self.open()
        prepare_store(self.store, net.world.genesis, net.world.hash)
        self.signer = Signer(net.keys[self.index], net.world.hash)
        self.build()

    def open(self) -> None:
        """The store alone."""
        net = self.net
        key = net.keys[self.index]
        self.store = open_store(
            self.directory,
            genesis=net.world.hash,
            node_key=key.public_key().public_bytes_raw(),
            key_mark=None,
            map_bytes=net.map_bytes,
        )

    def build(self) -> None:
        """A machine from what is stored."""
        net = self.net
        self.inbox.clear()
        self.machine = Machine(
            name=f"bank-{self.index + 1}",
            genesis=net.world.genesis,
            genesis_hash=net.world.hash,
            signer=self.signer,
            verify=lambda kind, body, public, signature: verify_kind(
                kind, net.world.hash, body, public, signature
            ),
            store=self.store,
            peers=self,
            limits=net.limits,
            clock=Clock(lambda: net.now_ms, lambda: net.wall_ms),
            offer=self.inbox.append,
            log=self.note,
            **{**net.options, **self.extra},  # type: ignore[arg-type]
        )
        self.machine.start()

    def note(self, event: str, fields: dict[str, object]) -> None:
        self.logs.append(event)
        self.told.append((event, fields))

    def restart(self) -> None:
        """Stop after the last commit and boot again."""
        self.machine.close()
        self.store.close()
        self.start()

    # Peers
    def connected(self) -> int:
        return self.net.n - 1

    def send(self, to: int, message: bytes) -> None:
        """To the node whose key has this index in the set that this one lives in."""
        key = self.machine.life.voters.keys[to]
        self.net.wire.append((self.index, self.net.number_of(key), message))

    def broadcast(self, message: bytes) -> None:
        life = self.machine.life
        for to in range(len(life.voters.keys)):
            if to != life.index:
                self.send(to, message)

    # what arrives
    def receive(self, number: int, *messages: PeerMessage) -> None:
        """From the node of this number; one that is not in the same set finds the door closed."""
        keys = self.machine.life.voters.keys
        public = self.net.keys[number].public_key().public_bytes_raw()
        if public not in keys:
            return
        source = keys.index(public)
        for_core, invalid = self.machine.receive(source, messages)
        self.invalid += invalid
        self.inbox.extend(Received(source, message) for message in for_core)

    def submit(self, *envelopes: Envelope, client: ClientEnd | None = None) -> ClientEnd:
        client = client or ClientEnd()
        self.machine.service.handle(client, (Submit(tuple(e.raw for e in envelopes)),))
        return client

    def work(self) -> bool:
        """Step what is in the inbox and make it durable; False when there was nothing."""
        shell = self.machine.shell
        busy = bool(self.inbox)
        while self.inbox:
            shell.step(self.inbox.popleft())
        batch = shell.take()
        if batch is not None:
            fate = self.fate(batch)
            if len(batch) and fate != "dies before":
                self.store.commit(batch)
            if fate:
                self.restart()
                return True
            self.inbox.append(shell.written())
        if shell.finished:
            self.machine.close()
            self.build()
        return busy or batch is not None

    @property
    def height(self) -> int:
        return self.machine.executor.head.height

    @property
    def root(self) -> bytes:
        return self.machine.executor.head.state_root

    @property
    def diverged(self) -> bool:
        return "diverged" in self.logs


class Net:
    """The network between the machines. `passes(source, to, message)` cuts wires."""

    def __init__(
        self,
        directory: Path,
        n: int = 4,
        *,
        epoch_length: int = 1_000,
        map_bytes: int = 1 << 26,
        spares: int = 0,
        **options: object,
    ) -> None:
        """`spares` are keys of nodes that the genesis does not know, numbered after the others; `options`
        are further arguments of every machine."""
        self.n = n
        self.directory = directory
        self.map_bytes = map_bytes
        self.options = options
        self.limits = Limits(answers=Answers.EVERYBODY)
        self.world = World()
        self.keys = sorted(
            (Ed25519PrivateKey.from_private_bytes(sha256(bytes([i])).digest()) for i in range(n)),
            key=lambda key: key.public_key().public_bytes_raw(),
        )
        spare = [sha256(b"spare %d" % i).digest() for i in range(spares)]
        validators = tuple(
            r.Validator(bytes([i + 1]) * 16, key.public_key().public_bytes_raw(), f"bank-{i + 1}")
            for i, key in enumerate(self.keys)
        )
        self.world.genesis = msgspec.structs.replace(
            self.world.genesis, validators=validators, epoch_length=epoch_length
        )
        self.keys += [Ed25519PrivateKey.from_private_bytes(seed) for seed in spare]
        self.world.hash = genesis_hash(self.world.genesis)
        self.now_ms = 0
        self.wire: deque[tuple[int, int, bytes]] = deque()
        self.passes: Callable[[int, int, PeerMessage], bool] = lambda source, to, message: True
        self.nodes = [Validator(self, i, directory / str(i)) for i in range(n)]

    def number_of(self, public: bytes) -> int:
        """Of the node with this key."""
        return [key.public_key().public_bytes_raw() for key in self.keys].index(public)

    def close(self) -> None:
        for node in self.nodes:
            node.machine.close()
            node.store.close()

    @property
    def wall_ms(self) -> int:
        return self.world.time * 1000 + self.now_ms

    def settle(self) -> None:
        """Deliver and step until nothing is under way."""
        for _ in range(SETTLED_ROUNDS_MAX):
            busy = [node.work() for node in self.nodes]
            if not self.wire and not any(busy):
                return
            for _ in range(len(self.wire)):
                source, to, raw = self.wire.popleft()
                message = decode(PeerMessage, raw)  # type: ignore[arg-type]
                if to < len(self.nodes) and self.passes(source, to, message):
                    self.nodes[to].receive(source, message)
        raise AssertionError("messages without end")

    def run(self, ms: int, until: Callable[[], bool] = lambda: False) -> bool:
        """Let so much time pass; True as soon as `until` holds."""
        self.settle()
        end = self.now_ms + ms
        while self.now_ms < end and not until():
            self.now_ms += TICK_MS
            for node in self.nodes:
                node.inbox.append(Tick(self.now_ms, self.wall_ms))
                node.machine.followers.serve(self.now_ms)
            self.settle()
        return until()

    def inject(self, source: int, to: int, *messages: PeerMessage) -> None:
        """A faulty validator `source` says this to `to` alone."""
        self.nodes[to].receive(source, *messages)
        self.settle()

    def cut_off(self, index: int) -> None:
        """Nothing reaches validator `index` or leaves it."""
        self.passes = lambda source, to, _message: index not in (source, to)

    def heal(self) -> None:
        self.passes = lambda source, to, message: True

    def agree(self) -> bool:
        """All at one height with one state, and nobody has stopped voting."""
        heads = {(node.height, node.root) for node in self.nodes}
        return len(heads) == 1 and not any(node.diverged for node in self.nodes)


# --- envelopes ------------------------------------------------------------------------------------


def new_key(net: Net, person: str = "new") -> Envelope:
    """Bank 1 registers a key for a new person, who may make and check."""
    key = net.world.new_key("bank-1", person, (Role.MAKER, Role.CHECKER))
    return net.world.envelope("bank-1", c.KeyAdd(net.world.label, key))


def offer(net: Net, maker: str = "maker", by: str = "bank-1") -> Envelope:
    """An offer of a bank, made by this person; the law wants an approver too."""
    signers = [(maker, Role.MAKER), ("checker", Role.CHECKER)]
    return net.world.envelope(by, _terms(net), signers=signers, valid_for=3_600)


def approved_offer(net: Net, by: str = "bank-1") -> Envelope:
    """An offer of a bank, signed by all it takes: a record more."""
    return net.world.envelope(by, _terms(net), valid_for=3_600)


def _terms(net: Net) -> c.OfferCreate:
    world = net.world
    return c.OfferCreate(
        world.label, r.FinancingKind.SALE, "CNY", (), (), (r.RateBand(365, 43_500, 10_000),), 360,
        1, 10**12, 0, 10**12, world.day, world.day + 300, (), False, True, False, None,
    )  # fmt: skip


def mutilated(envelope: Envelope, filler: int = 0) -> Envelope:
    """The same signed bytes under signatures of nobody."""
    garbage = tuple(bytes([filler]) * 64 for _ in envelope.signatures)
    return seal_envelope(envelope.body, garbage)


def resigned(envelope: Envelope, key: Ed25519PrivateKey, nonce: int) -> Envelope:
    """The same signed bytes, where the first signer, whose key this is, signed with a nonce of his choice:
    valid, and different for every nonce."""
    other = sha256(b"nonce %d" % nonce).digest()
    commitment = Ed25519PrivateKey.from_private_bytes(other).public_key().public_bytes_raw()
    message = signed_bytes(KIND_ENVELOPE, envelope.body.genesis, envelope.signed)
    challenge = sha512(commitment + key.public_key().public_bytes_raw() + message).digest()
    secret = _scalar(other) + int.from_bytes(challenge, "little") * _scalar(key.private_bytes_raw())
    signature = commitment + (secret % GROUP_ORDER).to_bytes(32, "little")
    return seal_envelope(envelope.body, (signature, *envelope.signatures[1:]))


def _scalar(seed: bytes) -> int:
    """The secret scalar behind an Ed25519 private key (RFC 8032, 5.1.5)."""
    number = int.from_bytes(sha512(seed).digest()[:32], "little")
    return number & ((1 << 254) - 8) | (1 << 254)
