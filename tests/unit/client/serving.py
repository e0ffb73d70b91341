"""A small network to test clients against: a real chain with real certificates and proofs, served by
the real listener. It orders whatever arrives, one block per Submit, each envelope with two events, and can be
told to misbehave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256

import msgspec
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from net import ClientHandler, ClientSession, Listener, NodeIdentity, PeerInbox
from tallynet.blocks import Certificate, Commit, Header
from tallynet.client import NodeAddress, build_envelope, key_id
from tallynet.codec import Wire, encode
from tallynet.commands import LotAccept
from tallynet.envelope import Envelope, Mode, open_envelope
from tallynet.genesis import Genesis, genesis_hash, validators_hash
from tallynet.hashing import block_hash, signed_bytes
from tallynet.merkle import ListTree, list_root
from tallynet.merkle import leaf_hash as receipt_hash
from tallynet.messages import (
    BlockPage,
    BlockReceipts,
    ClientRequest,
    DryRun,
    DryRunResult,
    EventBlock,
    EventPage,
    EvidenceEntry,
    EvidenceKind,
    EvidencePage,
    IndexPage,
    NodeState,
    NodeStatus,
    Penetration,
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
    ReceiptEvents,
    Receipts,
    RecordProof,
    Refused,
    RequestRefused,
    Submit,
    TransactionPhase,
    TransactionState,
)
from tallynet.receipts import (
    CommandReceipt,
    EnvelopeReceipt,
    Event,
    PrologueReceipt,
    events_digest,
)
from tallynet.records import Kind, Parameter, ParameterValue, Role, Validator
from tallynet.signatures import KIND_COMMIT
from tallynet.state_proof import StateProof, bucket_hash, entity_key, leaf_hash, tree_root
from tests.unit.net.samples import KEYS, PUBLIC, STRANGER

ORGANISATION = b"o" * 16
COUNTER = b"counter"
"""Id of a parameter record that counts the transactions."""
DAY_SECONDS = 86_400
START = int(time.time()) - DAY_SECONDS // 2
"""The network is half a day old: within the trust period, and too old for any `max_age`."""
FAR = START + DAY_SECONDS - 600
"""A `valid_until` that no test reaches, and that blocks of the network's begin admit already."""


def counted(count: int) -> Parameter:
    return Parameter("count", (ParameterValue(0, count),))


def make_genesis(name: str = "test") -> Genesis:
    validators = tuple(
        Validator(sha256(key).digest()[:16], key, f"bank-{i}") for i, key in enumerate(PUBLIC)
    )
    return Genesis(1, name, 1_000 * START, 19_700, 86_400, 4, 1_000, validators, (), ())


GENESIS = make_genesis()
GENESIS_HASH = genesis_hash(GENESIS)


def envelope(label: int, *, valid_until: int = FAR, genesis: bytes = GENESIS_HASH) -> Envelope:
    key = STRANGER.public_key().public_bytes_raw()
    command = LotAccept(label.to_bytes(4, "big"), b"v" * 16, label)
    return build_envelope(
        genesis, ORGANISATION, Mode.ATOMIC, [command], valid_until,
        [(key_id(key), Role.MAKER, STRANGER)],
    )  # fmt: skip


@dataclass(frozen=True)
class MadeBlock:
    header: bytes
    certificate: Certificate
    envelopes: tuple[bytes, ...]
    receipts: tuple[bytes, ...]
    events: tuple[bytes, ...]
    state: dict[tuple[int, bytes], bytes]

    @property
    def tree(self) -> ListTree:
        return ListTree(self.receipts)


def certify(
    vote: Wire,
    *,
    signers: tuple[int, ...] = (0, 1, 2),
    kind: bytes = KIND_COMMIT,
    genesis: bytes = GENESIS_HASH,
) -> Certificate:
    body = encode(vote)
    covered = signed_bytes(kind, genesis, body)
    return Certificate(body, signers, tuple(KEYS[i].sign(covered) for i in signers))


def state_root(state: dict[tuple[int, bytes], bytes]) -> bytes:
    return tree_root(len(state), bucket_hash(_bucket(state)))


def _bucket(state: dict[tuple[int, bytes], bytes]) -> bytes:
    entries = [
        (entity_key(bytes((kind,)) + id), leaf_hash(kind, record))
        for (kind, id), record in state.items()
    ]
    return b"".join(key + value for key, value in sorted(entries))


@dataclass
class Chain:
    """Blocks of one network, each final when made."""

    blocks: list[MadeBlock] = field(default_factory=list)
    places: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    time_ms: Callable[[int], int] = lambda height: 1_000 * START + height
    genesis: bytes = GENESIS_HASH
    records: dict[tuple[int, bytes], bytes] = field(default_factory=dict)
    """Encoded: what the state of blocks to come holds beside the counter."""
    happening: Callable[[bytes, str], Event] = lambda transaction, what: _event(transaction, what)
    """Events of a transaction: its "accept" and its "note"."""

    def extend(
        self, envelopes: list[Envelope], code: str = "OK", *, admission: str = "OK"
    ) -> MadeBlock:
        """Order and execute envelopes that are new, or order copies that are not admitted."""
        height = len(self.blocks) + 1
        parent = block_hash(self.blocks[-1].header) if self.blocks else self.genesis
        transactions = tuple(e.transaction for e in envelopes)
        hashes = tuple(e.hash for e in envelopes)
        header = encode(
            Header(
                self.genesis, 1, 0, height, parent, list_root(hashes), self.time_ms(height), 0,
                validators_hash(GENESIS.validators),
            )
        )  # fmt: skip
        count = len(self.places) + len(envelopes)
        state = {(int(Kind.PARAMETER), COUNTER): encode(counted(count))} | self.records
        admitted = transactions if admission == "OK" else ()
        events = tuple(
            encode(self.happening(t, what)) for t in admitted for what in ("accept", "note")
        )
        receipts = (
            encode(PrologueReceipt(START + height, 19_700, 0, False, events_digest(()))),
            *(
                encode(_receipt(t, events[2 * i : 2 * i + 2], code, admission))
                for i, t in enumerate(transactions)
            ),
        )
        root = ListTree(receipts).root
        vote = Commit(0, 0, height, block_hash(header), state_root(state), root)
        certificate = certify(vote, genesis=self.genesis)
        made = MadeBlock(header, certificate, hashes, receipts, events, state)
        self.blocks.append(made)
        for index, transaction in enumerate(transactions if admission == "OK" else ()):
            self.places[transaction] = (height, index + 1)
        return made

    def receipt_of(self, transaction: bytes) -> Receipts:
        height, index = self.places[transaction]
        block = self.blocks[height - 1]
        proven = ProvenReceipt(block.receipts[index], block.tree.prove(index))
        return Receipts(block.header, block.certificate, (proven,))

    def proof(self, height: int, kind: int, id: bytes) -> StateProof:
        state = self.blocks[height - 1].state
        return StateProof(
            len(state), 0, b"", b"", _bucket(state), state.get((kind, id)), None, b"", ()
        )

    def parted(self, height: int) -> Chain:
        """Another chain with the same blocks below `height`, by the same validators."""
        kept = {t: place for t, place in self.places.items() if place[0] < height}
        later = lambda at: self.time_ms(at) + 500  # noqa: E731 - a field
        return Chain(self.blocks[: height - 1], kept, later, self.genesis)


def _event(transaction: bytes, what: str) -> Event:
    return Event(f"lot.{what}", 10, b"v" * 16, 0, 0, 0, None, None, 0, b"", transaction)


def _receipt(
    transaction: bytes, events: tuple[bytes, ...], code: str, admission: str = "OK"
) -> EnvelopeReceipt:
    commands = (CommandReceipt(code, (), len(events), ()),) if admission == "OK" else ()
    return EnvelopeReceipt(transaction, admission, commands, events_digest(events))


@dataclass
class Server:
    """One node."""

    chain: Chain
    index: int
    mute: bool = False
    """Takes envelopes and says nothing, for ever."""
    hang_up: bool = False
    """Closes the connection on every Submit, after ordering it."""
    vanish: bool = False
    """Closes the connection on the next Submit, before looking at it."""
    refuse: list[tuple[str, str]] = field(default_factory=list)
    """Refusals for the next Submits."""
    behind: int = 0
    """Shows a state so many blocks old."""
    lie: Callable[[Wire], Wire] | None = None
    """Changes every answer."""
    garble: Callable[[Wire], bytes | None] | None = None
    """What goes on the wire instead of an answer, as it is: no frame is put around it. None: as usual."""
    handovers: list[EvidenceEntry] = field(default_factory=list)
    """Changes of the validator set that it shows, two at a time."""
    indexes: dict[int, list[bytes]] | None = None
    """What it lists, sorted; None: ten entries, whatever is asked for."""
    hides: set[bytes] = field(default_factory=set)
    """Ids of records that it does not show."""
    port: int = 0
    submits: list[tuple[bytes, ...]] = field(default_factory=list)
    waiters: list[tuple[ClientSession, QueryEvents]] = field(default_factory=list)

    @property
    def address(self) -> NodeAddress:
        return NodeAddress("127.0.0.1", self.port)

    def handle(self, session: ClientSession, requests: list[ClientRequest]) -> None:
        for request in requests:
            reply = self._answer(session, request)
            if reply is not None:
                self._say(session, reply)

    def _say(self, session: ClientSession, reply: Wire) -> None:
        reply = self.lie(reply) if self.lie else reply
        raw = self.garble(reply) if self.garble else None
        if raw is None:
            session.send(encode(reply))
            return
        session._outbox.put(raw)
        session.close("RESTART", "the node restarts")

    def _answer(self, session: ClientSession, request: ClientRequest) -> Wire | None:
        match request:
            case Submit():
                return self._submit(session, request)
            case QueryTransaction(number, transaction):
                if transaction in self.chain.places:
                    return self.chain.receipt_of(transaction)
                return TransactionState(number, transaction, TransactionPhase.UNKNOWN)
            case QueryRecord(number, _, id) if id in self.hides:
                return RequestRefused(number, "NOT_AUTHORISED", "it is not shown")
            case QueryRecord(number, kind, id):
                return self._record(number, kind, id)
            case QueryIndex(number, index, prefix, after, limit):
                held = [bytes((i,)) for i in range(10)]
                if self.indexes is not None:
                    held = self.indexes.get(index, [])
                entries = [entry for entry in held if entry > after and entry.startswith(prefix)]
                return IndexPage(number, tuple(entries[:limit][:4]), len(entries) > 4)
            case QueryEvents():
                return self._events(session, request)
            case QueryBlock(number, height):
                return self._block(number, height)
            case QueryReceipts(number, height):
                return self._block_receipts(number, height)
            case QueryStatus(number):
                return self._status(number)
            case QueryPenetration(number):
                block = self.chain.blocks[self.height - 1]
                nothing = ((), (), (), ())
                return Penetration(number, block.header, block.certificate, *nothing, None, False)
            case DryRun(number):
                receipt = encode(_receipt(bytes(32), (), "LOT_STATE"))
                return DryRunResult(number, self.height, receipt, ("the lot is elsewhere",))
            case QueryEvidence(number, EvidenceKind.HANDOVERS, after):
                shown = [entry for entry in self.handovers if entry.key > after]
                return EvidencePage(number, tuple(shown[:2]), len(shown) > 2, b"")
            case QueryEvidence(number):
                return EvidencePage(number, (), False, b"")
            case Ping(number):
                return Pong(number)
        return None

    @property
    def height(self) -> int:
        return max(0, len(self.chain.blocks) - self.behind)

    def _submit(self, session: ClientSession, request: Submit) -> Wire | None:
        self.submits.append(request.envelopes)
        if self.vanish:
            self.vanish = False
            session.close("RESTART", "the node restarts")
            return None
        if self.mute:
            return None
        envelopes = [open_envelope(raw) for raw in request.envelopes]
        if self.refuse:
            code, reason = self.refuse.pop(0)
            for one in envelopes:
                session.send(encode(Refused(one.transaction, code, reason)))
            return None
        fresh = [e for e in envelopes if e.transaction not in self.chain.places]
        if fresh:
            self.chain.extend(fresh)
            for waiter, query in self.waiters:
                waiter.send(encode(self._event_page(query)))
            self.waiters.clear()
        if self.hang_up:
            session.close("RESTART", "the node restarts")
            return None
        for one in envelopes[:-1]:
            self._say(session, self.chain.receipt_of(one.transaction))
        return self.chain.receipt_of(envelopes[-1].transaction)

    def _record(self, number: int, kind: int, id: bytes) -> Wire:
        if not self.height:
            return RecordProof(number, b"", None, b"")
        block = self.chain.blocks[self.height - 1]
        proof = encode(self.chain.proof(self.height, kind, id))
        return RecordProof(number, block.header, block.certificate, proof)

    def _block(self, number: int, height: int) -> Wire:
        height = height or self.height
        if not 1 <= height <= self.height:
            return RequestRefused(number, "NO_SUCH_BLOCK", f"no block {height}")
        block = self.chain.blocks[height - 1]
        return BlockPage(number, block.header, block.certificate, block.envelopes)

    def _block_receipts(self, number: int, height: int) -> Wire:
        if not 1 <= height <= self.height:
            return RequestRefused(number, "NO_SUCH_BLOCK", f"no block {height}")
        block = self.chain.blocks[height - 1]
        return BlockReceipts(number, block.header, block.certificate, block.receipts)

    def _events(self, session: ClientSession, query: QueryEvents) -> Wire | None:
        page = self._event_page(query)
        if query.wait and not page.blocks:
            self.waiters.append((session, query))
            return None
        return page

    def _event_page(self, query: QueryEvents) -> EventPage:
        """Two blocks at most, the second one up to the first event of its last envelope."""
        blocks = []
        receipt, event = query.receipt, query.event
        for height in range(max(query.height, 1), min(self.height, max(query.height, 1) + 1) + 1):
            block = self.chain.blocks[height - 1]
            blocks.append(_event_block(block, receipt, event, cut=len(blocks) == 1))
            receipt = event = 0
        return EventPage(query.request, tuple(blocks))

    def _status(self, number: int) -> NodeStatus:
        return NodeStatus(
            number, f"bank-{self.index}", bytes(16), 0, 0, 0, self.index, self.height, bytes(32),
            bytes(32), 19_700, 0, 3, "nothing to do", NodeState.NORMAL, "NOTHING_TO_DO", (), 0, 0, 0, 0,
        )  # fmt: skip


def _event_block(block: MadeBlock, first: int, event: int, *, cut: bool) -> EventBlock:
    shown = []
    for index in range(first, len(block.receipts)):
        own = block.events[2 * (index - 1) : 2 * index] if index else ()
        end = 1 if cut and index == len(block.receipts) - 1 and event == 0 and own else len(own)
        hashes = [sha256(each).digest() for each in own]
        before, after = b"".join(hashes[:event]), b"".join(hashes[end:])
        shown.append(ReceiptEvents(block.receipts[index], before, own[event:end], b"", after))
        event = 0
    leaves = b"".join(map(receipt_hash, block.receipts[:first]))
    return EventBlock(block.header, block.certificate, leaves, tuple(shown), b"")


@contextmanager
def serving(
    count: int = 4,
    *,
    chain: Chain | None = None,
    keys: tuple[Ed25519PrivateKey, ...] = KEYS,
    genesis: bytes = GENESIS_HASH,
) -> Iterator[list[Server]]:
    """`count` nodes over one chain, in a thread of their own, so that the client may run on any
    event loop in this one."""
    shared = chain or Chain()
    servers = [Server(shared, index) for index in range(count)]
    ready = threading.Event()
    loop: list[tuple[trio.lowlevel.TrioToken, trio.CancelScope]] = []
    failed: list[BaseException] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for server in servers:
                identity = NodeIdentity(genesis=genesis, key=keys[server.index], validators=PUBLIC)
                listener = Listener(
                    identity, "127.0.0.1", 0,
                    peers=PeerInbox(lambda _s, _m: None, lambda: False, trio.sleep_forever),
                    clients=ClientHandler(server.handle, lambda _session: None),
                    committed_height=lambda server=server: server.height,
                )  # fmt: skip
                server.port = await nursery.start(listener.run)
            loop.append((trio.lowlevel.current_trio_token(), nursery.cancel_scope))
            ready.set()

    def thread_main() -> None:
        try:
            trio.run(main)
        except BaseException as error:  # noqa: BLE001 - raised again in the test
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=thread_main, name="servers")
    thread.start()
    ready.wait(10)
    try:
        yield servers
    finally:
        if loop:
            token, scope = loop[0]
            token.run_sync_soon(scope.cancel)
        thread.join(10)
    if failed:
        raise failed[0]


replace = msgspec.structs.replace
