"""A validator below its sockets and threads: store, pool, executor, replica and service, put together.

The process (`node.validator`) and the simulator (`tools.simulator`) run this same code; they differ in
who delivers messages, who tells the time and who writes the batches that `shell.take` returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from consensus.config import ReplicaConfig, Tip
from consensus.constants import BATCH_TRANSACTIONS_MAX
from consensus.events import Event, Received
from consensus.replica import Replica
from consensus.statistics import ReplicaStatus, WaitingReason
from consensus.votes import Sign, Verify
from node.config import STATE_SYNC_BLOCKS, Limits
from node.executor import ExecutedBlock, Executor, Head
from node.followers import Followers
from node.handovers import Life, Standing, handover_of, life_of, load_succession
from node.ledger.genesis_state import load as load_genesis_state
from node.ledger.membership import validators_of
from node.ledger_view import NodeLedgerView
from node.pool import Pool, PoolStatistics, in_messages
from node.questions import CORE_ANSWER_BYTES, Questions
from node.service import Service, StatusSource
from node.shell import Log, Outlet, Shell
from node.signer import Signer
from node.state import CommittedState, Overlay
from node.state_server import StateServer
from node.store import Store
from node.sync import Answer, SyncService
from node.unchecked import Unchecked
from node.upkeep import Upkeep
from node.watch import Watch
from tallynet.blocks import Certificate, Header, SignatureCheck
from tallynet.ciphertexts import CiphertextPiece, FetchCiphertext, NoCiphertext
from tallynet.codec import decode
from tallynet.envelope import Envelope, open_envelope
from tallynet.errors import TallynetError, invariant
from tallynet.genesis import Genesis, validators_hash
from tallynet.messages import (
    Blocks,
    Bodies,
    FetchBlocks,
    FetchBodies,
    FetchProposal,
    FetchState,
    FetchStateHead,
    FetchVotes,
    Newest,
    NodeState,
    NodeStatus,
    NoState,
    PeerMessage,
    SignedKind,
    StateHead,
    StatePart,
)
from tallynet.records import NETWORK_ID, Kind, Network
from tallynet.validators import Handover

WAITING_TEXT_MAX: Final = 400
"""Of `NodeStatus.waiting`; with a hundred validators not all names fit, `waiting_for` has them."""
_INDEX_FIELDS: Final = ("validator", "leader", "source")
"""Fields of the core's log lines that hold one validator's index."""
_STATES: Final = {
    ReplicaStatus.NORMAL: NodeState.NORMAL,
    ReplicaStatus.CHANGING: NodeState.CHANGING,
    ReplicaStatus.MUTE: NodeState.MUTE,
    ReplicaStatus.DIVERGED: NodeState.DIVERGED,
    ReplicaStatus.RETIRED: NodeState.RETIRED,
    ReplicaStatus.OBSERVER: NodeState.OBSERVER,
}


NO_ORGANISATION: Final = bytes(16)
"""In the status of a node that validates for nobody."""
_UNREACHED: Final = "none of the nodes that it follows can be reached"


class NoMember(TallynetError):
    """NO_MEMBER: the node's key is in no validator set that it knows of, and it has nobody to follow."""

    def __init__(self, message: str) -> None:
        super().__init__("NO_MEMBER", message)


@dataclass(frozen=True, slots=True)
class PeerSeen:
    """Another node, as this one knows it."""

    name: str
    claimed: int
    """Height that it says it has committed; 0: it said nothing yet."""
    heard_ms_ago: int | None
    """Since its last message; None: there was none."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as the machine's surroundings tell it."""

    now_ms: Callable[[], int]
    """Monotonic milliseconds."""
    wall_ms: Callable[[], int]
    """Unix milliseconds."""


class Peers(Outlet, Protocol):
    """The other validators, or the nodes that an observer follows, seen from here."""

    def connected(self) -> int:
        """How many can be sent to right now."""


def prepare_store(store: Store, genesis: Genesis, genesis_hash: bytes) -> bool:
    """Write the genesis state into a new store; False when there is a state already."""
    state = CommittedState(store.live_reader())
    overlay = Overlay(state)
    if overlay.get(Kind.NETWORK, NETWORK_ID) is not None:
        return False
    load_genesis_state(overlay, genesis, genesis_hash)
    overlay.seal()
    batch = store.batch()
    batch.state(overlay.changes())
    store.commit(batch)
    return True


def _no_signature(_kind: SignedKind, _body: bytes) -> bytes:
    """What an observer's core signs with: it holds no key."""
    invariant(False, "INV-8 an observer signs nothing")
    return b""


def _check_of(verify: Verify, genesis_hash: bytes) -> SignatureCheck:
    """Votes' signatures, checked as the core's are."""

    def check(
        kind: bytes, genesis: bytes, body: bytes, public_key: bytes, signature: bytes
    ) -> bool:
        return genesis == genesis_hash and verify(kind, body, public_key, signature)

    return check


class Machine:
    """One validator's state and behaviour. Built from a prepared store; used by one thread."""

    def __init__(
        self,
        *,
        name: str,
        genesis: Genesis,
        genesis_hash: bytes,
        signer: Signer,
        verify: Verify,
        store: Store,
        peers: Peers,
        limits: Limits,
        clock: Clock,
        offer: Callable[[Event], None],
        log: Log,
        state_sync_blocks: int = STATE_SYNC_BLOCKS,
        keep_blocks: int = 0,
        batch_transactions_max: int = BATCH_TRANSACTIONS_MAX,
        standing: Standing = Standing.VOTES,
        followed: tuple[str, ...] = (),
        watch: Watch | None = None,
    ) -> None:
        """`verify` checks votes of validators; `offer` takes events that `shell.step` must get, in
        order. `state_sync_blocks` and `keep_blocks`: see `node.config`; `batch_transactions_max`, which all
        validators have to agree on: see `consensus.config`. `followed` names the nodes that this one
        follows where it observes; `peers` and `receive` mean them by their numbers then. `watch` is told what
        happens.

        When `shell.finished` is set, another state has taken the place of the one that this machine was
        built on, or another validator set that of its own: `close` it and build a new one from the store.

        Raises:
            NoMember: the key is in no validator set known here.
            InvariantViolated: what is stored cannot be a correct replica's (INV-12).
        """
        self._name: Final = name
        self._genesis: Final = genesis
        self._genesis_hash: Final = genesis_hash
        self._key: Final = signer.public_key
        self._standing = standing
        self._batch_transactions_max: Final = batch_transactions_max
        self._followed: Final = followed
        self._watch: Final = watch or Watch()
        self._store: Final = store
        self._peers: Final = peers
        self._log: Final = log
        self._clock: Final = clock
        self._offer: Final = offer
        self._pool: Final = Pool(
            total_max=limits.pending_total, per_organisation_max=limits.pending_per_organisation
        )
        self._unchecked: Final = Unchecked()
        committed = CommittedState(store.live_reader())
        head, tip = self._restore(committed)
        self._succession: Final = load_succession(store, genesis, _check_of(verify, genesis_hash))
        life = life_of(self._succession, head.height, signer.public_key, self._standing)
        if life is None or (life.observes and not followed):
            raise NoMember(
                f"the key {signer.public_key.hex()[:16]} is in no validator set known here"
            )
        self._life: Final = life
        self._members: Final = self._succession.validators(life.voters.since)
        """By validator index."""
        self._voters: Final = tuple(member.name for member in self._members)
        self._sources: Final = followed if life.observes else self._voters
        """Names of those whom messages come from."""
        self._check_state(committed, head)
        self.executor: Final = Executor(
            genesis=genesis_hash,
            committed=committed,
            pool=self._pool,
            unchecked=self._unchecked,
            head=head,
        )
        self._held_at_start: Final = self._restore_held(head.height)
        with store.reader() as reader:
            journal = dict(reader.journal())
            accused = [key for key, _ in reader.evidence()]
        config = self._replica_config()
        sign: Sign = _no_signature if life.observes else signer.sign
        self.replica: Final = Replica(
            config=config,
            sign=sign,
            verify=verify,
            ledger=NodeLedgerView(self.executor),
            tip=tip,
            journal=journal,
            accused=accused,
            now_ms=clock.now_ms(),
            wall_ms=clock.wall_ms(),
        )
        self._upkeep: Final = Upkeep(
            store=store,
            replica=self.replica,
            config=config,
            succession=self._succession,
            outlet=peers,
            offer=offer,
            log=self._log_named,
            state_sync_blocks=state_sync_blocks,
            keep_blocks=keep_blocks,
        )
        self._state_server: Final = StateServer(store)
        self.shell: Final = Shell(
            replica=self.replica,
            executor=self.executor,
            outlet=peers,
            on_committed=self._committed,
            log=self._log_named,
            chores=self._upkeep,
            on_tick=self._tick,
            is_succeeded=self._is_succeeded,
            watch=self._watch,
        )
        self.service: Final = Service(
            genesis=genesis_hash,
            executor=self.executor,
            pool=self._pool,
            unchecked=self._unchecked,
            store=store,
            answers=limits.answers,
            source=StatusSource(
                self.describe,
                offer,
                self.replica.wants_body,
                peers.broadcast,
                lambda: self.replica.ended,
                lambda: clock.wall_ms() // 1000,
            ),
            watch=self._watch,
        )
        self._sync: Final = SyncService(self.executor, store)
        self._questions: Final = Questions()
        self.followers: Final = Followers(
            sync=self._sync,
            states=self._state_server,
            newest=lambda: self.executor.head.height,
            pass_on=self.service.passed_on,
            bytes_per_second=limits.observer_bytes_per_second,
        )

    def learn(self, handovers: Iterable[Handover]) -> None:
        """Changes of the validator set that somebody else showed: how a node that was retired hears that it
        belongs to a later set, and one that slept that it belongs to none.

        Raises:
            RemoteProtocolError: see `Succession.add`.
        """
        for handover in handovers:
            if self._succession.add(handover):
                self._upkeep.learn(handover)
        if self._is_succeeded():
            self.shell.leave()

    def observe(self) -> None:
        """The others are known to be past the last block of the set that this node was in: nobody needs it
        there any more, and it goes on as an observer."""
        self._standing = Standing.OBSERVES
        self.shell.leave()

    def reconfigure(self, limits: Limits, keep_blocks: int) -> None:
        """Other bounds from now on; see `node.reload` for those that can change."""
        self._pool.set_bounds(
            total_max=limits.pending_total, per_organisation_max=limits.pending_per_organisation
        )
        self.followers.bytes_per_second = limits.observer_bytes_per_second
        self._upkeep.keep_blocks = keep_blocks

    def start(self) -> None:
        """Take in again what was in flight before the restart, as far as it is admissible."""
        self.service.take_in(self._held_at_start)

    def close(self) -> None:
        """Let go of the store; nothing else may be called afterwards."""
        self._state_server.close()

    @property
    def life(self) -> Life:
        """The validator set that this machine lives in, and its place there."""
        return self._life

    @property
    def voters(self) -> tuple[str, ...]:
        """Names by validator index."""
        return self._voters

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of those whom `peers` reaches, by their numbers."""
        return self._sources

    @property
    def pool(self) -> PoolStatistics:
        """What waits for a block here."""
        return self._pool.statistics()

    @property
    def fetching(self) -> str:
        """How far the fetch of a state is, for people; empty when there is none."""
        return self._upkeep.progress

    def _is_succeeded(self) -> bool:
        """This node lives on under another set, or in another role."""
        life = life_of(self._succession, self.executor.head.height, self._key, self._standing)
        return life is not None and life != self._life

    # --- from the store -------------------------------------------------------------------------

    def _replica_config(self) -> ReplicaConfig:
        return ReplicaConfig(
            genesis=self._genesis_hash,
            genesis_time_ms=self._genesis.time_ms,
            validators=self._life.voters.keys,
            validators_hash=self._life.voters.hash,
            index=self._life.index,
            followed=len(self._followed) if self._life.observes else 0,
            since=self._life.voters.since,
            previous=self._life.previous,
            voting=not (self._store.vote_bar or self._life.observes),
            window=self._genesis.window,
            batch_transactions_max=self._batch_transactions_max,
            epoch_length=self._genesis.epoch_length,
        )

    def _restore(self, committed: CommittedState) -> tuple[Head, Tip]:
        """Where the stored chain ends."""
        with self._store.reader() as reader:
            tip = reader.tip()
            row = None if tip is None else reader.block(tip.height)
        if tip is None or row is None:
            root = committed.root
            head = Head(0, self._genesis_hash, b"", None, root, self._genesis.time_ms)
            return head, Tip(None, self._genesis_hash, None, 0)
        header = decode(Header, row.header)
        head = Head(
            tip.height, tip.block, row.header, row.certificate, tip.state_root, header.time_ms
        )
        epoch = tip.height // self._genesis.epoch_length
        return head, Tip(row.header, tip.block, row.certificate, epoch)

    def _check_state(self, committed: CommittedState, head: Head) -> None:
        """The newest block is certified by its set, and the state agrees on who follows (INV-12)."""
        if head.certificate is not None:
            self._succession.committed(head.certificate)
        epoch = head.height // self._genesis.epoch_length
        overlay = Overlay(committed)
        named = validators_hash(validators_of(overlay, epoch))
        overlay.drop()
        invariant(self._succession.set_of(epoch).hash == named, "INV-12 another validator set")

    def _restore_held(self, height: int) -> list[Envelope]:
        """Bodies of candidates above the head: a prepared block may have to be executed again."""
        envelopes: list[Envelope] = []
        with self._store.reader() as reader:
            for above in range(height + 1, height + 1 + self._genesis.window):
                for block in reader.candidates(above):
                    bodies = [open_envelope(b) for b in reader.envelopes(above, block) or ()]
                    self.executor.restore_held(block, above, bodies)
                    envelopes.extend(bodies)
        return envelopes

    # --- traffic ------------------------------------------------------------------------------

    def receive(
        self, source: int, messages: Iterable[PeerMessage | Newest]
    ) -> tuple[list[PeerMessage | Newest], int]:
        """Messages of one validator, or of one node that is followed: bodies, fetches and states are dealt with here. Returns what the
        core has to get, in order, and how many envelopes or parts of a state were invalid."""
        for_core: list[PeerMessage | Newest] = []
        invalid = 0
        for message in messages:
            match message:
                case Bodies():
                    invalid += self.service.gossiped(source, message)
                case (
                    FetchBlocks()
                    | FetchBodies()
                    | FetchProposal()
                    | FetchState()
                    | FetchStateHead()
                    | FetchVotes()
                ):
                    self._questions.put(source, message)
                case StateHead() | StatePart() | NoState():
                    invalid += not self._upkeep.receive(source, message)
                case FetchCiphertext() | CiphertextPiece() | NoCiphertext():
                    pass  # a process has taken them out before (`node.ciphertexts`)
                case Blocks():
                    for block in message.blocks:
                        invalid += self.service.hold_block_bodies(source, block)
                    for_core.append(message)
                case _:
                    for_core.append(message)
        self._answer()
        return for_core, invalid

    def pass_on_again(self, number: int) -> None:
        """A node that is followed can be reached again: what own clients wait for may not have come there. As
        much as one message holds; clients ask again for the rest."""
        for message in in_messages(envelope.raw for envelope in self._pool.own()):
            self._peers.send(number, message)
            return

    def _answer(self) -> None:
        """As many questions of other validators as may be answered now."""
        now_ms = self._clock.now_ms()
        while (asked := self._questions.take(now_ms)) is not None:
            source, question = asked
            match question:
                case FetchBlocks():
                    answer = self._sync.blocks(question)
                case FetchBodies():
                    answer = self._sync.bodies(question)
                case FetchStateHead():
                    answer = self._state_server.head(source, question, now_ms)
                case FetchState():
                    answer = self._state_server.part(source, question, now_ms)
                case FetchProposal() | FetchVotes():
                    self._offer(Received(source, question))
                    answer = Answer(None, CORE_ANSWER_BYTES)
            self._questions.charge(source, answer.read_bytes, now_ms)
            if answer.message is not None:
                self._peers.send(source, answer.message)

    def _tick(self, now_ms: int) -> None:
        self._upkeep.tick(now_ms)
        self._answer()

    def _committed(self, executed: ExecutedBlock, certificate: Certificate) -> None:
        if self.replica.ended:
            handover = handover_of(
                self.executor.view, executed.header, executed.header_bytes, certificate
            )
            if handover is not None:
                self._succession.add(handover)
                if not self._is_succeeded():
                    self._log("validator_retired", {"height": executed.header.height})
        self.service.committed(executed, certificate)

    def drop_expired(self) -> None:
        """Let go of envelopes whose validity ended while they waited, and of a state that nobody fetches
        any more; call every few seconds."""
        self.service.expired(self._pool.remove_expired(self.executor.head.time_ms // 1000))
        self._state_server.tick(self._clock.now_ms())

    # --- what the node says of itself -----------------------------------------------------------

    def describe(self, request: int) -> NodeStatus:
        """Answer to a status query."""
        numbers = self.replica.statistics()
        waiting = numbers.waiting
        names = self._names(waiting.validators)
        text = waiting.reason.value + (f": {', '.join(names)}" if names else "")
        text = self._upkeep.progress or text
        code, state = waiting.reason.name, _STATES[numbers.status]
        connected, observes = self._peers.connected(), self._life.observes
        if observes and not connected and numbers.status is ReplicaStatus.OBSERVER:
            text, code = _UNREACHED, "UNREACHED"
        head = self.executor.head
        if state is NodeState.RETIRED and head.height < numbers.committed:
            # Its part is over with a block that is durable here; until then it has yet to write that one.
            state, code, text = NodeState.NORMAL, WaitingReason.DISK.name, WaitingReason.DISK.value
        network = self.executor.view.get(Kind.NETWORK, NETWORK_ID)
        index = len(self._members) if observes else self._life.index
        return NodeStatus(
            request,
            self._name,
            NO_ORGANISATION if observes else self._members[index].organisation,
            numbers.epoch,
            numbers.view,
            numbers.leader,
            index,
            head.height,
            head.block,
            head.state_root,
            network.business_date if isinstance(network, Network) else 0,
            len(self._pool),
            connected,
            text[:WAITING_TEXT_MAX],
            state,
            code,
            names,
            waiting.height,
            numbers.evidence,
            numbers.behind,
            self.followers.count,
        )

    def peers(self) -> tuple[PeerSeen, ...]:
        """What is known of the other validators, or of the nodes that this one follows."""
        return tuple(
            PeerSeen(self._sources[peer.index], peer.claimed, peer.heard_ms_ago)
            for peer in self.replica.peers()
        )

    def _names(self, numbers: Iterable[int]) -> tuple[str, ...]:
        return tuple(self._sources[number] for number in numbers)

    def _log_named(self, event: str, fields: dict[str, object]) -> None:
        """Pass a log line of the core on, with the names of validators instead of their indices."""
        named = dict(fields)
        for field in _INDEX_FIELDS:
            index = fields.get(field)
            names = self._sources if field == "source" else self._voters
            if isinstance(index, int) and 0 <= index < len(names):
                named[field] = names[index]
        validators = fields.get("validators")
        if isinstance(validators, tuple):
            named["validators"] = self._names(validators)
        self._log(event, named)
