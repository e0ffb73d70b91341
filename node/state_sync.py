"""Fetches the state of a certified height from other validators (protocol §5.7 c; decision 0040).

Theory of operation. A commit certificate signs the state root, and the state tree under that root names
every subtree by its hash: so the tree is the manifest. One peer at a time is asked. It offers a certified
block with the outline of its state (`StateHead`), then answers for subtree after subtree (`StatePart`).
Every part is checked against the hash that is expected there (`node.state_walk`). One that does not fit is
a lie: nothing of it is kept, its sender gets a strike, and the next peer is asked. A liar wastes one
request; a peer that is silent or slow is left; what was fetched stays. The next peer may offer another
height: only what differs there is fetched.

A pure state machine: events come in, a `Step` goes out. Rows wait until they are durable before more is
asked for, so memory holds one part and the way down to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from consensus.config import ReplicaConfig
from consensus.proposals import epoch_of, open_content
from node.state_walk import Staged, StateWalk, Table
from tallynet.blocks import Certificate, Commit, Header
from tallynet.codec import encode
from tallynet.errors import RemoteProtocolError, invariant
from tallynet.evidence import header_fault
from tallynet.messages import FetchState, FetchStateHead, NoState, StateHead, StatePart
from tallynet.state_proof import tree_root
from tallynet.validators import HANDOVERS_MAX, Handover, Succession

ANSWER_MS: Final = 5_000
"""A part of 256 KiB takes 50 ms at the rate at which validators read from each other; who needs a hundred
times that is left for another."""
RATE_PERIOD_MS: Final = 10_000
RATE_BYTES_MIN: Final = 160 * 1024
"""Who sends less than this in so much waiting is left too: a small honest answer shortly before the time is
over, again and again, is what a liar has left to keep us busy with (B7)."""


@dataclass(slots=True)
class Step:
    """What the surroundings have to do after an event."""

    sends: list[tuple[int, bytes]] = field(default_factory=list)
    """(validator, message), at once."""
    handovers: list[Handover] = field(default_factory=list)
    """Changes of the validator set that were learned: to be kept before a state under them is."""
    rows: dict[str, Table] = field(default_factory=dict)
    """Per state table of the set that is not current; None deletes. Call `durable` once they are."""
    fault: str = ""
    """What was wrong with the message: its sender gets a strike."""


@dataclass(frozen=True, slots=True)
class Head:
    """A certified block and the outline of its state, checked."""

    header: Header
    header_bytes: bytes
    block: bytes
    envelopes: tuple[bytes, ...]
    """Their hashes, as under the header."""
    certificate: Certificate
    commit: Commit
    entities: int
    tree: bytes
    """Hash of the whole tree."""


@dataclass(frozen=True, slots=True)
class Progress:
    """For the log and the status."""

    height: int
    """0: nobody has offered a state yet."""
    source: int
    """Validator that is asked; of an observer, number of the node."""
    entities: int
    """In complete subtrees."""
    entities_total: int
    bytes: int
    """Received and checked, of all heights."""


class StateSync:
    """One fetch: `tick` it and hand it the answers, until `finished` is set."""

    def __init__(
        self,
        *,
        config: ReplicaConfig,
        succession: Succession,
        staged: Staged,
    ) -> None:
        """`succession` judges certificates; what peers show of later sets is added to it."""
        self._config: Final = config
        self._succession: Final = succession
        self._staged: Final = staged
        self._source = config.index
        self._head: Head | None = None
        self._walk: StateWalk | None = None
        """Under the head; both are set or none."""
        self._asked_ms = 0
        self._due_ms: int | None = None
        """When the request that is out counts as unanswered; None: none is out."""
        self._writing = False
        """Rows are on their way to the disk."""
        self._others: Final = config.reach - (not config.observes)
        """Peers that there are."""
        self._vain = 0
        """Peers turned to since one was of use."""
        self._waited_ms = 0
        self._waited_bytes = 0
        self._bytes = 0
        self._claims: Mapping[int, int] = {}
        self._least = 0
        self._asked_least = 0
        """Of the offer that was asked for last; `_least` moves on."""
        self.finished: Head | None = None
        """The state of this block is complete on disk."""

    @property
    def exhausted(self) -> bool:
        """Every peer that could be asked was asked in vain, one after the other."""
        return self._vain > self._others

    def progress(self) -> Progress:
        head, walk = self._head, self._walk
        if head is None or walk is None:
            return Progress(0, self._source, 0, 0, self._bytes)
        return Progress(head.header.height, self._source, walk.entities, head.entities, self._bytes)

    # --- events -------------------------------------------------------------------------------------

    def tick(self, now_ms: int, claims: Mapping[int, int], least: int) -> Step:
        """Time passed. `claims` are the heights that peers say they have, `least` the lowest height
        whose state is of use now."""
        step = Step()
        self._claims, self._least = claims, least
        idle = self._head is None if self._due_ms is None else now_ms >= self._due_ms
        if idle and not self._writing and self.finished is None:
            self._turn_to_next(step, now_ms)
        return step

    def on_head(self, source: int, message: StateHead, now_ms: int) -> Step:
        """A peer offers a state."""
        step = Step()
        if not self._expected(source) or self._head is not None:
            return step
        try:
            if self._follow(step, message):
                self._ask_head(step, now_ms)
                return step
            self._head = self._open(message)
        except RemoteProtocolError as error:
            step.fault = error.message
            self._turn_to_next(step, now_ms)
            return step
        self._due_ms = None
        self._walk = StateWalk(self._staged, self._head.tree)
        self._go_on(step, now_ms)
        return step

    def on_part(self, source: int, message: StatePart, now_ms: int) -> Step:
        """Subtrees arrive."""
        step = Step()
        head, walk = self._head, self._walk
        if not self._expected(source) or head is None or walk is None:
            return step
        if message.height != head.header.height:
            return step
        try:
            size = walk.take(message.subtrees)
        except RemoteProtocolError as error:
            step.fault = error.message
            self._turn_to_next(step, now_ms)
            return step
        self._vain = 0
        self._bytes += size
        self._due_ms = None
        if self._is_slow(now_ms - self._asked_ms, size):
            step.rows = walk.rows
            self._writing = True
            self._leave()
        else:
            self._go_on(step, now_ms)
        return step

    def on_no_state(self, source: int, message: NoState, now_ms: int) -> Step:
        """The peer does not hand the state out, or not any more."""
        step = Step()
        head = self._head
        asked = self._asked_least if head is None else head.header.height
        if self._expected(source) and message.height == asked:
            self._turn_to_next(step, now_ms)
        return step

    def durable(self, now_ms: int) -> Step:
        """The rows of the last step that had some are on disk."""
        step = Step()
        invariant(self._writing, "INV-5 rows are durable that were never written")
        self._writing = False
        if self._walk is not None:
            self._walk.rows = {table: {} for table in self._walk.rows}
            self._go_on(step, now_ms)
        return step

    # --- the walk -----------------------------------------------------------------------------------

    def _go_on(self, step: Step, now_ms: int) -> None:
        """Write what there is to write, else ask for more, else be done."""
        head, walk = self._head, self._walk
        if head is None or walk is None:
            return
        if any(walk.rows.values()):
            step.rows = walk.rows
            self._writing = True
        elif walk.done:
            invariant(walk.entities == head.entities, "INV-22 a certified state of another size")
            self.finished = head
        else:
            paths, whole = walk.wanted()
            self._ask(step, encode(FetchState(head.header.height, whole, paths)), now_ms)

    def _follow(self, step: Step, message: StateHead) -> bool:
        """Learn of later validator sets, one after the other; True when there are more than one message
        holds. Raises RemoteProtocolError."""
        for handover in message.handovers:
            if not self._succession.add(handover):
                raise RemoteProtocolError("BAD_HANDOVER", "a change that was not asked for")
            step.handovers.append(handover)
        return len(message.handovers) == HANDOVERS_MAX

    def _open(self, message: StateHead) -> Head:
        """Check an offer. Raises RemoteProtocolError."""
        commit = self._succession.committed(message.certificate)
        content = open_content(message.header, message.envelopes)
        height, config = commit.height, self._config
        fault = header_fault(self._succession, content.header, height)
        if commit.block != content.block:
            fault = "the certificate is for another block"
        elif commit.epoch != epoch_of(height, config.epoch_length):
            fault = "a certificate of another epoch"
        elif commit.state_root != tree_root(message.entities, message.tree):
            fault = "the outline is not that of the certified state"
        elif height < self._asked_least:
            fault = "a height below the one that was asked for"
        if fault is not None:
            raise RemoteProtocolError("BAD_STATE", fault)
        return Head(
            content.header, message.header, content.block, message.envelopes,
            message.certificate, commit, message.entities, message.tree,
        )  # fmt: skip

    # --- peers --------------------------------------------------------------------------------------

    def _expected(self, source: int) -> bool:
        """Whether an answer of this peer is waited for; what comes late is of no interest."""
        return source == self._source and self._due_ms is not None

    def _is_slow(self, waited_ms: int, size: int) -> bool:
        self._waited_ms += waited_ms
        self._waited_bytes += size
        if self._waited_ms < RATE_PERIOD_MS:
            return False
        slow = self._waited_bytes < RATE_BYTES_MIN
        self._waited_ms = self._waited_bytes = 0
        return slow

    def _leave(self) -> None:
        """Forget where this peer was; what it gave is on disk or on its way there."""
        self._head = self._walk = None
        self._due_ms = None
        self._waited_ms = self._waited_bytes = 0

    def _turn_to_next(self, step: Step, now_ms: int) -> None:
        """Leave this peer and ask the next one that claims a height of use."""
        self._leave()
        n = self._config.reach
        for distance in range(1, n + 1):
            peer = (self._source + distance) % n
            if peer != self._config.index and self._claims.get(peer, 0) >= self._least:
                self._source = peer
                self._vain += 1
                self._asked_least = self._least
                self._ask_head(step, now_ms)
                return
        self._vain = self._others + 1

    def _ask_head(self, step: Step, now_ms: int) -> None:
        since = self._succession.newest.since
        self._ask(step, encode(FetchStateHead(self._asked_least, since)), now_ms)

    def _ask(self, step: Step, message: bytes, now_ms: int) -> None:
        step.sends.append((self._source, message))
        self._asked_ms = now_ms
        self._due_ms = now_ms + ANSWER_MS
