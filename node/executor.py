"""Executes blocks on stacked overlays and keeps their results until they are durable or dropped.

The core asks for an execution as soon as a block is prepared, often before its parent is durable, so
overlays stack. The first execution of a block is the only one: its result is part of our Commit vote.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from consensus.constants import DELIVERED_MAX
from consensus.effects import Deliver, Execute
from node.handovers import handover_of
from node.ledger.execute import BlockResult, admit, execute_block
from node.ledger.remembered import is_remembered
from node.pool import Pool
from node.state import CommittedState, Overlay
from node.store import WriteBatch
from node.unchecked import Unchecked
from tallynet.blocks import Certificate, Header
from tallynet.codec import encode
from tallynet.envelope import Envelope
from tallynet.errors import LedgerError, invariant
from tallynet.messages import WINDOW_MAX

HELD_MAX: Final = 8 * WINDOW_MAX + DELIVERED_MAX
"""Candidates whose bodies are held. A window each, at most, of those accepted in this view, accepted in
the view before it, under a sticky certificate, and chosen by a NewView, and as many that are
certified; and those delivered that are not durable yet."""


@dataclass(frozen=True, slots=True)
class ExecutedBlock:
    """A block and what executing it gave."""

    header: Header
    header_bytes: bytes
    block: bytes
    """Block hash."""
    envelopes: tuple[Envelope, ...]
    result: BlockResult
    state_root: bytes
    overlay: Overlay


@dataclass(frozen=True, slots=True)
class Head:
    """The newest durable block."""

    height: int
    block: bytes
    header_bytes: bytes
    """Empty at genesis."""
    certificate: Certificate | None
    state_root: bytes
    time_ms: int


class Executor:
    """One per node; used on the event loop only."""

    def __init__(
        self,
        *,
        genesis: bytes,
        committed: CommittedState,
        pool: Pool,
        unchecked: Unchecked,
        head: Head,
    ) -> None:
        self._genesis: Final = genesis
        self._committed: Final = committed
        self._pool: Final = pool
        self._unchecked: Final = unchecked
        self._executed: Final[dict[bytes, ExecutedBlock]] = {}
        """By block hash; bounded by the window, rivals are discarded by the core."""
        self._held: Final[dict[bytes, tuple[int, dict[bytes, Envelope]]]] = {}
        """Height and bodies by envelope hash of candidates that went to the store; above the head
        only. At most HELD_MAX."""
        self.head = head
        self._newest: Overlay | CommittedState = committed
        """State after the newest delivered block, durable or about to be."""
        self._view: Overlay | None = None

    @property
    def view(self) -> Overlay:
        """A scratch overlay on the state after the newest delivered block: what the door checks and
        dry runs use. Roll back whatever is written to it."""
        if self._view is None:
            self._view = Overlay(self._newest)
        return self._view

    def _move(self, newest: Overlay | CommittedState) -> None:
        if self._view is not None:
            self._view.drop()
            self._view = None
        self._newest = newest

    def envelope(self, hash: bytes) -> Envelope | None:
        """The body under this envelope hash, if it is held, checked or not: it is the same."""
        found = self._pool.get(hash) or self._unchecked.get(hash)
        if found is None:
            for _, bodies in self._held.values():
                if hash in bodies:
                    return bodies[hash]
        return found

    def execute(self, request: Execute) -> ExecutedBlock:
        """Run the block over its parent's overlay."""
        known = self._executed.get(request.block)
        if known is not None:
            return known
        overlay = Overlay(self._parent(request.header))
        envelopes = tuple(self._require(hash) for hash in request.envelopes)
        result = execute_block(overlay, self._genesis, request.header, envelopes)
        executed = ExecutedBlock(
            request.header,
            request.header_bytes,
            request.block,
            envelopes,
            result,
            overlay.seal(),
            overlay,
        )
        self._executed[request.block] = executed
        return executed

    def _parent(self, header: Header) -> Overlay | CommittedState:
        parent = self._executed.get(header.parent)
        if parent is not None:
            return parent.overlay
        invariant(header.parent == self.head.block, "INV-10 executing over an unknown parent")
        return self._committed

    def _require(self, hash: bytes) -> Envelope:
        envelope = self.envelope(hash)
        invariant(envelope is not None, "INV-4 executing without a body")
        if envelope is None:
            raise LookupError(hash)
        return envelope

    def transactions(self, envelopes: Sequence[bytes]) -> list[bytes]:
        """Ids of the transactions under these envelope hashes, which are held."""
        return [self._require(hash).transaction for hash in envelopes]

    def hold(
        self, batch: WriteBatch, height: int, block: bytes, envelopes: Sequence[bytes]
    ) -> None:
        """Keep the bodies of a candidate block durably."""
        if block not in self._held:
            self._hold(batch, height, block, [self._require(hash) for hash in envelopes])

    def _hold(
        self, batch: WriteBatch, height: int, block: bytes, bodies: Sequence[Envelope]
    ) -> None:
        self.restore_held(block, height, bodies)
        batch.hold(height, block, [envelope.raw for envelope in bodies])

    def retain(self, batch: WriteBatch, above: int, blocks: Iterable[bytes]) -> None:
        """Let go of the bodies of all candidates above this height but these."""
        kept = frozenset(blocks)
        lost = [b for b, (height, _) in self._held.items() if height > above and b not in kept]
        for block in lost:
            height, bodies = self._held.pop(block)
            batch.release(height, block, [envelope.raw for envelope in bodies.values()])

    def deliver(self, batch: WriteBatch, delivery: Deliver) -> ExecutedBlock:
        """Put a final block into the batch: block, receipts, certificate, state."""
        executed = self._executed[delivery.block]
        invariant(executed.state_root == delivery.commit.state_root, "INV-11 state root")
        if delivery.block not in self._held:
            # A block that was caught up with was never a candidate here: its bodies come with it.
            self._hold(batch, delivery.header.height, delivery.block, executed.envelopes)
        batch.deliver(
            height=delivery.header.height,
            block=delivery.block,
            header=delivery.header_bytes,
            envelopes=delivery.envelopes,
            executed={executed.envelopes[i].transaction: i for i in executed.result.admitted},
            certificate=delivery.certificate,
            state_root=executed.state_root,
            receipts=(executed.result.prologue, *executed.result.receipts),
            events=executed.result.events,
            changes=executed.overlay.changes(),
        )
        batch.log(delivery.header.height, executed.result.log)
        self._move(executed.overlay)
        handover = handover_of(
            self.view, delivery.header, delivery.header_bytes, delivery.certificate
        )
        if handover is not None:
            batch.handover(delivery.header.epoch + 1, encode(handover))
        return executed

    def durable(self, executed: ExecutedBlock, certificate: Certificate) -> None:
        """The block's batch is on disk: fold its overlay, move the head, let its bodies go, and
        every copy of the transactions that took effect."""
        executed.overlay.commit()
        del self._executed[executed.block]
        if self._newest is executed.overlay:
            self._move(self._committed)
        height = executed.header.height
        invariant(height == self.head.height + 1, "INV-10 a block out of order became durable")
        for block in [b for b, (h, _) in self._held.items() if h <= height]:
            del self._held[block]
        envelopes = executed.envelopes
        self._pool.remove(envelope.hash for envelope in envelopes)
        self._pool.remove_executed(envelopes[i].transaction for i in executed.result.admitted)
        self._unchecked.drop(envelope.hash for envelope in envelopes)
        self.head = Head(
            executed.header.height,
            executed.block,
            executed.header_bytes,
            certificate,
            executed.state_root,
            executed.header.time_ms,
        )

    def restore_held(self, block: bytes, height: int, bodies: Sequence[Envelope]) -> None:
        """The store holds the bodies of this candidate; here they stay too until it is decided."""
        self._held[block] = (height, {envelope.hash: envelope for envelope in bodies})
        invariant(len(self._held) <= HELD_MAX, "INV-17 held candidates")

    @property
    def overlays(self) -> int:
        """Executed blocks that are not durable yet."""
        return len(self._executed)

    def discard(self, block: bytes) -> None:
        """Drop the overlay of a block that lost."""
        executed = self._executed.pop(block, None)
        if executed is not None:
            executed.overlay.drop()

    def admits(self, envelope: Envelope, time_s: int) -> bool:
        """True iff the law admits it on top of the newest delivered block, not before that one's time."""
        now = max(time_s, self.head.time_ms // 1000)
        try:
            admit(self.view, self._genesis, envelope, now)
        except LedgerError:
            return False
        return True

    def is_remembered(self, transaction: bytes, valid_until: int) -> bool:
        """True iff a delivered block executed this unexpired transaction (INV-14)."""
        return is_remembered(self.view, transaction, valid_until)
