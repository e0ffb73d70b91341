"""What a node writes beside its blocks: a fetched state and its indexes, and the end of what is old.

Theory of operation. Each of these is cut into pieces of bounded size. Whenever a transaction is about to be
written, `fill` adds the next piece to it; `written` says that it is durable, and the next one may come. So
nothing here holds consensus up for more than some milliseconds, and a crash costs one piece.

    far behind                    fetch the state of a certified height into the other set of tables
    it is complete                derive its indexes from its records
    all of that is durable        one transaction makes it the current state (`adopt`), and this machine
                                  ends: its surroundings build a new one from the store
    the other set is of no use    empty it
    old blocks                    delete them, if the operator says so
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from consensus.config import ReplicaConfig
from consensus.constants import TRANSACTION_TTL_S
from consensus.events import BlocksPaused
from consensus.replica import Replica
from consensus.restart import rebase
from node.ledger.derived import index_keys
from node.shell import Log, Outlet
from node.state import CommittedState, Overlay, root_of
from node.state.tables import INDEXES, RECORDS, STATE_TABLES, STATE_TREE, record_of
from node.state_sync import Head, StateSync, Step
from node.store import Snapshot, Staging, Store, WriteBatch
from node.store.tables import BODIES, RECEIPTS, TRANSACTIONS, VOUCHER_LOG, height_key
from tallynet.blocks import Certificate, Header
from tallynet.codec import decode_trusted, encode
from tallynet.envelope import SignedEnvelope
from tallynet.errors import invariant
from tallynet.hashing import block_hash, transaction_id
from tallynet.messages import NoState, StateHead, StatePart
from tallynet.receipts import Event
from tallynet.records import RECORD_TYPES, Kind
from tallynet.validators import Handover, Succession

RETRY_MS: Final = 30_000
"""After every peer was asked for its state in vain, only blocks are asked for so long."""
INDEXED_RECORDS: Final = 500
"""Records whose index entries are derived for one transaction: about ten milliseconds."""
EMPTIED_ROWS: Final = 1_000
"""Rows deleted, for one transaction, from tables that are of no use."""
PRUNED_BLOCKS: Final = 4
"""Old blocks deleted for one transaction; each has 2 MiB of bodies at most."""
PIECES_MAX: Final = 4_096
"""Rows of bodies or receipts of one block: 2 MiB of bodies are 65, and there are few candidates."""
LOG_MS: Final = 5_000
"""Between two reports of progress."""


class Upkeep:
    """Part of one machine; see the module. Implements `node.shell.Chores`."""

    def __init__(
        self,
        *,
        store: Store,
        replica: Replica,
        config: ReplicaConfig,
        succession: Succession,
        outlet: Outlet,
        offer: Callable[[BlocksPaused], None],
        log: Log,
        state_sync_blocks: int,
        keep_blocks: int,
    ) -> None:
        """`succession` judges certificates and learns of later validator sets; `offer` queues an event for
        the replica."""
        self._store: Final = store
        self._replica: Final = replica
        self._config: Final = config
        self._succession: Final = succession
        self._learned: Final[list[Handover]] = []
        """Not written yet."""
        self._outlet: Final = outlet
        self._offer: Final = offer
        self._log: Final = log
        self._state_sync_blocks: Final = state_sync_blocks
        self.keep_blocks = keep_blocks
        self._staged: Final = store.staged_reader()
        with store.reader() as reader:
            self._staging = reader.staging()
        self._marked = self._staging is not None
        """The store says so too."""
        self._sync: StateSync | None = None
        self._step: Step | None = None
        """Rows that the fetch waits for."""
        self._step_in_flight = False
        self._view: Overlay | None = None
        """Of the other state, while its indexes are derived."""
        self._indexed = False
        """The index of the other state is complete, or will be with the piece that is being written."""
        self._empty = False
        """The other set of tables is."""
        self._looked_at = -1
        """Height at which there was no old block to delete."""
        self._paused = False
        """The replica asks for no blocks."""
        self._retry_ms = 0
        self._logged_ms = 0
        self._now_ms = 0

    @property
    def _complete(self) -> bool:
        """The other state is complete but, perhaps, for its indexes."""
        return self._staging is not None and self._staging.certificate is not None

    # --- fetching -----------------------------------------------------------------------------------

    def tick(self, now_ms: int) -> None:
        """Time passed: begin to fetch the state, ask another peer, or give up for a while."""
        self._now_ms = now_ms
        if self._complete:
            self._pause(True)
            return
        least = self._replica.state_wanted(self._state_sync_blocks)
        if self._sync is None:
            self._begin(least)
        sync = self._sync
        if sync is None:
            return
        if least and not sync.exhausted:
            self._carry_out(sync.tick(now_ms, self._replica.claims, least))
        elif self._step is None:
            self._give_up()
            return
        if now_ms - self._logged_ms >= LOG_MS:
            self._logged_ms = now_ms
            progress = sync.progress()
            self._log(
                "state_sync",
                {
                    "height": progress.height,
                    "source": progress.source,
                    "entities": progress.entities,
                    "of": progress.entities_total,
                    "bytes": progress.bytes,
                },
            )

    def receive(self, source: int, message: StateHead | StatePart | NoState) -> bool:
        """An answer of a peer; False when it was a lie."""
        sync = self._sync
        if sync is None:
            return True
        if isinstance(message, StateHead):
            step = sync.on_head(source, message, self._now_ms)
        elif isinstance(message, StatePart):
            step = sync.on_part(source, message, self._now_ms)
        else:
            step = sync.on_no_state(source, message, self._now_ms)
        if step.fault:
            self._log("state_sync_refused", {"source": source, "reason": step.fault})
        self._carry_out(step)
        return not step.fault

    def learn(self, handover: Handover) -> None:
        """Write down a change of the validator set that is in the succession already."""
        self._learned.append(handover)

    def _begin(self, least: int) -> None:
        """Start or go on with a fetch, once there is nothing in the way of it."""
        if self._staging is not None and self._replica.caught_up:
            self._discard()
        if not least or self._now_ms < self._retry_ms or not (self._staging or self._empty):
            return
        self._log("state_sync_begins", {"least": least, "resumed": self._staging is not None})
        self._staging = self._staging or Staging(b"", (), None, b"")
        self._empty = False
        self._sync = StateSync(
            config=self._config, succession=self._succession, staged=self._staged
        )
        self._pause(True)

    def _pause(self, paused: bool) -> None:
        if self._paused is not paused:
            self._paused = paused
            self._offer(BlocksPaused(paused))

    def _carry_out(self, step: Step) -> None:
        for to, message in step.sends:
            self._outlet.send(to, message)
        self._learned.extend(step.handovers)
        if step.rows:
            self._step = step
        sync = self._sync
        if sync is not None and sync.finished is not None:
            self._fetched(sync.finished)

    def _fetched(self, head: Head) -> None:
        self._log("state_sync_complete", {"height": head.header.height, "entities": head.entities})
        self._sync = None
        self._staging = Staging(head.header_bytes, head.envelopes, head.certificate, b"")

    def _give_up(self) -> None:
        """What was fetched stays for the next attempt."""
        self._log("state_sync_pauses", {"retry_ms": RETRY_MS})
        self._sync = None
        self._retry_ms = self._now_ms + RETRY_MS
        self._pause(False)

    def _discard(self) -> None:
        """The other state is of no use any more; it is emptied piece by piece."""
        self._staging = self._view = None
        self._indexed = self._empty = False
        self._pause(False)

    @property
    def progress(self) -> str:
        """How far the fetch is, for people; empty when there is none."""
        if self._complete:
            return "deriving the indexes of the fetched state"
        if self._sync is None:
            return ""
        done = self._sync.progress()
        if not done.height:
            return "asking for a certified state"
        percent = 100 * done.entities // max(1, done.entities_total)
        return (
            f"fetching the state at height {done.height}: {percent} %, {done.entities} of"
            f" {done.entities_total} entities, {done.bytes >> 20} MiB"
        )

    # --- pieces -------------------------------------------------------------------------------------

    def fill(self, batch: WriteBatch) -> None:
        """Add the next piece to what is about to be written."""
        for handover in self._learned:
            since = decode_trusted(Header, handover.header).epoch + 1
            batch.handover(since, encode(handover))
        self._learned.clear()
        if self._step is not None:
            for table, rows in self._step.rows.items():
                batch.staged(table, rows)
            self._mark(batch, self._staging)
            self._step_in_flight = True
        elif self._complete:
            if not self._indexed:
                self._derive(batch)
        elif self._staging is None and not self._empty:
            self._clear(batch)
        elif self.keep_blocks and self._looked_at != self._replica.committed:
            self._prune(batch)

    def written(self) -> None:
        """What `fill` added is durable."""
        if self._step_in_flight:
            self._step_in_flight = False
            self._step = None
            if self._sync is not None:
                self._carry_out(self._sync.durable(self._now_ms))

    def _derive(self, batch: WriteBatch) -> None:
        """Index entries of the next records of the other state."""
        staging = self._staging
        if staging is None:
            return
        if self._view is None:
            self._view = Overlay(CommittedState.snapshot(self._staged))
        found = self._staged.scan(RECORDS, b"", staging.indexed, INDEXED_RECORDS)
        rows: dict[bytes, bytes | None] = {}
        for key, data in found:
            named = record_of(key)
            if named is not None:
                kind, id = named
                record = decode_trusted(RECORD_TYPES[kind], data)
                for index, entry in index_keys(self._view, kind, id, record):
                    rows[bytes((index,)) + entry] = b""
        if found:
            staging = Staging(staging.header, staging.envelopes, staging.certificate, found[-1][0])
        self._indexed = len(found) < INDEXED_RECORDS
        self._staging = staging
        batch.staged(INDEXES, rows)
        self._mark(batch, staging)

    def _mark(self, batch: WriteBatch, staging: Staging | None) -> None:
        """Let the store know what the other set of tables holds."""
        batch.staging(staging)
        self._marked = staging is not None

    def _clear(self, batch: WriteBatch) -> None:
        """Delete some of what the other set of tables holds."""
        if self._marked:
            self._mark(batch, None)
        for table in STATE_TABLES:
            keys = self._staged.keys(table, b"", EMPTIED_ROWS)
            if keys:
                batch.staged(table, dict.fromkeys(keys))
                return
        self._empty = True

    def _prune(self, batch: WriteBatch) -> None:
        """Delete the oldest blocks, up to `keep_blocks` below the newest. A block stays until none of
        its envelopes is valid any more, so that whoever sends one again gets its receipt; and the last
        header of an epoch stays for ever, with its certificate."""
        with self._store.reader() as reader:
            tip = reader.tip()
            newest = None if tip is None else reader.block(tip.height)
            if tip is None or newest is None:
                return
            time_ms = decode_trusted(Header, newest.header).time_ms - TRANSACTION_TTL_S * 1_000
            done = 0
            for height in reader.block_heights(reader.pruned(), PRUNED_BLOCKS):
                row = reader.block(height)
                if row is None or height > tip.height - self.keep_blocks:
                    break
                if decode_trusted(Header, row.header).time_ms >= time_ms:
                    break
                batch.prune(
                    height,
                    _pieces(reader, height, row.block),
                    keep_header=height % self._config.epoch_length == 0,
                )
                done += 1
        if not done:
            self._looked_at = self._replica.committed

    # --- the change of state --------------------------------------------------------------------------

    def ready(self) -> bool:
        """Whether the other state can become the current one; nothing but `adopt` may be written then.
        A state that blocks have overtaken is given up."""
        staging = self._staging
        if not self._complete or not self._indexed or staging is None:
            return False
        height = decode_trusted(Header, staging.header).height
        if height > self._replica.committed + self._config.window:
            return True
        self._log("state_sync_overtaken", {"height": height})
        self._discard()
        return False

    def adopt(self, batch: WriteBatch) -> None:
        """Fill an empty batch with the change of state. Votes and certificates of the heights that are
        skipped go, see `consensus.restart.rebase`."""
        staging = self._staging
        invariant(
            staging is not None and staging.certificate is not None, "STATE_SYNC not complete"
        )
        if staging is None or staging.certificate is None:
            return
        commit = self._succession.committed(staging.certificate)
        root = root_of(lambda path: self._staged.get(STATE_TREE, path))
        block = block_hash(staging.header)
        invariant(
            (root, block) == (commit.state_root, commit.block),
            "INV-22 the fetched state has changed",
        )
        signed = self._signed_by_us(staging.certificate, commit.epoch)
        with self._store.reader() as reader:
            tip = reader.tip()
            below = 0 if tip is None else tip.height
            batch.adopt(
                generation=reader.generation() + 1,
                height=commit.height,
                block=block,
                row=staging,
                certificate=staging.certificate,
                state_root=root,
                journal=rebase(
                    dict(reader.journal()),
                    height=commit.height,
                    epoch_length=self._config.epoch_length,
                    signed=signed,
                ),
                candidates=_candidates(reader, below, self._config.window),
            )
        self._log("state_adopted", {"height": commit.height, "before": below})
        if signed:
            self._log("votes_stopped", {"reason": "the fetched state's block holds a vote of ours"})

    def _signed_by_us(self, certificate: Certificate, epoch: int) -> bool:
        config = self._config
        if config.observes:
            return False
        voters = self._succession.set_of(epoch).keys
        own = config.validators[config.index]
        return any(voters[signer] == own for signer in certificate.signers)


def _candidates(reader: Snapshot, below: int, window: int) -> list[bytes]:
    """Keys of the bodies of blocks that were proposed above the newest one."""
    found: list[bytes] = []
    for height in range(below + 1, below + 1 + window):
        found += reader.keys(BODIES, height_key(height), PIECES_MAX)
    return found


def _pieces(reader: Snapshot, height: int, block: bytes) -> dict[str, list[bytes]]:
    """Keys of what is held of a block beside its row."""
    bodies = reader.envelopes(height, block) or ()
    ids = [transaction_id(decode_trusted(SignedEnvelope, body).body) for body in bodies]
    return {
        BODIES: reader.keys(BODIES, height_key(height), PIECES_MAX),
        RECEIPTS: reader.keys(RECEIPTS, height_key(height), PIECES_MAX),
        VOUCHER_LOG: _logged(reader, height),
        # A copy that was not admitted here may have been in another block.
        TRANSACTIONS: [id for id in ids if (reader.transaction(id) or (0, 0))[0] == height],
    }


def _logged(reader: Snapshot, height: int) -> list[bytes]:
    """Keys under which the block's events are found by voucher."""
    given = reader.receipts(height)
    events = [decode_trusted(Event, event) for event in (given.events if given else ())]
    return [
        event.subject + event.sequence.to_bytes(8, "big")
        for event in events
        if event.kind == Kind.VOUCHER
    ]
