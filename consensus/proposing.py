"""The leader's side: when to propose, and what.

At once when nothing is in flight; otherwise a full batch only, as long as the window has room
(decision 0024). No block is empty unless the ledger wants one.
"""

from __future__ import annotations

from typing import Final

from consensus.ballots import Ballots
from consensus.catch_up import Fetches
from consensus.events import Transaction
from consensus.normal_case import NormalCase
from consensus.proposals import build_content
from consensus.slots import Candidate
from consensus.state import State
from tallynet.blocks import Prepare
from tallynet.errors import invariant
from tallynet.messages import SignedKind


class Proposer:
    """Takes batches from the pool and accepts the own proposals first."""

    def __init__(
        self, state: State, fetches: Fetches, ballots: Ballots, normal: NormalCase
    ) -> None:
        self._s: Final = state
        self._fetches: Final = fetches
        self._ballots: Final = ballots
        self._normal: Final = normal
        self.wanted = False
        """The ledger wants a block although the pool may be empty."""

    def propose(self) -> bool:
        """As leader: propose when the pipeline is empty, or has room and the batch is full."""
        s = self._s
        if not (s.leads and s.may_vote):
            return False
        height = s.top + 1
        if height > s.limit or not self._may_open(height):
            return False
        following = s.next_validators(height)
        if following is None:
            return False
        batch = self._batch(height)
        if batch is None:
            return False
        parent = s.parent_of(height)
        if parent is None:
            return False
        time_ms = max(s.wall_ms, parent[1] + 1)
        content = build_content(
            s.config,
            height=height,
            parent=parent[0],
            time_ms=time_ms,
            envelopes=batch,
            next_validators=following,
        )
        transactions = self._fetches.bodies(content)
        invariant(transactions is not None, "INV-4 proposal without bodies")
        slot = self._ballots.slot(height)
        own = s.sign_vote(SignedKind.PREPARE, Prepare(s.epoch, s.view, height, content.block))
        slot.candidate = Candidate(content.block, own, again=False)
        s.keep(content)
        self._normal.accept(slot, slot.candidate, content, transactions or [])
        return True

    def is_due(self) -> bool:
        """Cheap pre-check for a leader when transactions arrived: would a proposal be due?"""
        s = self._s
        if s.committed + 1 not in s.slots:
            return True
        return s.pool.holds_batch(s.config.batch_transactions_max)

    def _may_open(self, height: int) -> bool:
        """Nothing may stand at or above this height yet: neither a block to propose again, nor a
        certified one that this leader has still to fetch."""
        s = self._s
        slot = s.slots.get(height)
        if slot is not None and slot.candidate is not None:
            return False
        return not s.certified or max(s.certified) < height

    def _batch(self, height: int) -> tuple[bytes, ...] | None:
        s = self._s
        pool, config = s.pool, s.config
        empty_pipeline = height == s.committed + 1
        if pool.pending:
            if not (empty_pipeline or pool.holds_batch(config.batch_transactions_max)):
                return None
            batch = self._take(height)
            if batch:
                return batch
        if empty_pipeline and self.wanted and not s.delivered:
            time_ms = max(s.wall_ms, s.tip_time_ms + 1)
            if s.ledger.wants_block(time_ms):
                return ()
        return None

    def _take(self, height: int) -> tuple[bytes, ...]:
        s = self._s
        parent = s.parent_of(height)
        time_ms = max(s.wall_ms, 0 if parent is None else parent[1] + 1)
        earliest = time_ms // 1000
        latest = earliest + s.config.transaction_ttl_s
        undecided = s.undecided_below(height)
        is_remembered = s.ledger.is_remembered

        def usable(transaction: Transaction) -> bool:
            return earliest < transaction.valid_until <= latest and not is_remembered(transaction)

        def waits(transaction: Transaction) -> bool:
            return any(transaction.id in ids for ids in undecided)

        return s.pool.take(
            s.config.batch_transactions_max, s.config.batch_bytes_max, s.now_ms, usable, waits
        )
