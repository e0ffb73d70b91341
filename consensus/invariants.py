"""What must hold after every step, in production too: O(W), and a breach halts the node.

The invariants of the protocol (§6) and where each is checked. "Here" is `Invariants`: after every step, the
bounds at every Tick.

    INV  what                                        checked
    ---  ------------------------------------------  ---------------------------------------------------------
    1    numbers never decrease                      here (memory); `restart`, against tip and journal; `Signer`
    2    one acceptance per place                    `NormalCase.accept`
    3    one vote per place, none in a left view     `State.sign_vote`; again in `node.signer`, by the bytes
    4    Prepare and Commit have what they claim     here (parent, own Prepare, certificate, roots); bodies in
                                                     `NormalCase`, `Proposer`, `node.executor`
    4b   certificates are sticky                     here (a view never lower, gone only when committed);
                                                     `Views` (a ViewChange carries exactly what is held)
    5    durable before sent                         `Replica` (turns), `node.shell` (each batch, and at the
                                                     outlet)
    6    Commits are prefix-closed                   here
    7    slots inside window and epoch               here; `NormalCase.accept`
    8    no vote while changing, mute or diverged    `State.sign`, `State.sign_vote`
    9    certificates: q distinct, one body          `Tally.certificate`, where one is made; `tallynet.blocks`,
                                                     where one comes in
    10   one chain, executed in order                here (executions); `NormalCase` (delivery); `node.executor`;
                                                     a certificate against our chain is a fork, not a crash
    11   roots equal                                 `NormalCase`, `Ballots`: divergence, never overwritten
    12   bytes from disk hash to their key           `State` (tip), `restart` (journal), `node.store` (checksums)
    13   a NewView is its recomputation              `view_change.open_new_view`, own ones too
    14   no transaction twice, none expired          `proposals.transactions_fault`, `Proposer`, `Pool`
    15   other epochs and non-members change nothing `State.place`, `Replica`; tests only
    16   the configuration makes sense               `ReplicaConfig`, `constants`
    17   everything is bounded                       here; in the node by the bounds beside each queue
    18   a timer exactly when needed, capped         here
    19   decoding is total                           `tallynet.codec`; fuzzing
    20   equal events, equal effects                 lint; simulator
    21   the money                                   ledger rules; audit; simulator
    22   snapshot root                               state sync
    23-27                                            simulator and soak only
"""

from __future__ import annotations

from typing import Final

from consensus.ballots import Ballots
from consensus.catch_up import CatchUp, Fetches
from consensus.constants import (
    CATCH_UP_BLOCKS_MAX,
    CONTENTS_MAX,
    DELIVERED_MAX,
    EVIDENCE_PER_VALIDATOR_MAX,
    FETCHES_MAX,
    LOOKAHEAD_WINDOWS,
)  # fmt: skip
from consensus.slots import Slot
from consensus.state import State
from consensus.views import Views
from consensus.waiting import Waits
from tallynet.blocks import Commit
from tallynet.errors import invariant
from tallynet.messages import WINDOW_MAX, SignedKind


class Invariants:
    """Remembers what may only grow; `check` compares and halts (`tallynet.errors.InvariantViolated`)."""

    def __init__(
        self,
        state: State,
        ballots: Ballots,
        fetches: Fetches,
        catch_up: CatchUp,
        views: Views,
        waits: Waits,
    ) -> None:
        self._s: Final = state
        self._ballots: Final = ballots
        self._fetches: Final = fetches
        self._catch_up: Final = catch_up
        self._views: Final = views
        self._waits: Final = waits
        self._floor = (state.epoch, state.view, state.voted_view, state.committed)
        self._certificates: dict[int, int] = {}
        """Height -> view of the sticky certificate there."""

    def check(self, deadline_ms: int | None) -> None:
        """After a step that set the one timer to `deadline_ms`."""
        s = self._s
        self._numbers()
        self._timer(deadline_ms)
        if s.prepared or self._certificates:
            self._sticky()
        if s.slots:
            self._slots()
        if s.executions:
            self._executions()

    def _numbers(self) -> None:
        s = self._s
        floor = (s.epoch, s.view, s.voted_view, s.committed)
        if floor != self._floor:
            epoch, view, voted_view, committed = self._floor
            invariant(s.epoch >= epoch and s.committed >= committed, "INV-1")
            invariant(
                s.epoch > epoch or (s.view >= view and s.voted_view >= voted_view), "INV-1 view"
            )
            self._floor = floor
        invariant(s.view <= s.voted_view, "INV-1 view above voted view")

    def _timer(self, deadline_ms: int | None) -> None:
        s = self._s
        pending = (s.changing or self._waits.work) and not s.ended
        invariant((deadline_ms is not None) == pending, "INV-18 timer")
        if deadline_ms is not None:
            invariant(deadline_ms - s.now_ms <= s.config.progress_max_ms, "INV-18 cap")

    def check_bounds(self) -> None:
        """At every Tick: nothing grows far between two of them."""
        s = self._s
        window = s.config.window
        invariant(s.pool.pending <= s.config.pool_max, "INV-17 pool")
        invariant(self._ballots.stash_size <= 4 * window * s.n, "INV-17 stash")
        invariant(self._fetches.count <= 2 * FETCHES_MAX, "INV-17 fetches")
        invariant(self._catch_up.claimants <= s.reach, "INV-17 claims")
        invariant(len(s.changes) <= s.n and self._views.complaints <= s.n, "INV-17 view changes")
        invariant(len(s.contents) <= CONTENTS_MAX, "INV-17 contents")
        ahead = CATCH_UP_BLOCKS_MAX + LOOKAHEAD_WINDOWS * WINDOW_MAX
        invariant(len(s.certified) <= ahead, "INV-17 certified")
        invariant(len(s.executions) <= ahead, "INV-17 executions")
        invariant(len(s.delivered) <= DELIVERED_MAX, "INV-17 delivered")
        invariant(len(s.accused) <= EVIDENCE_PER_VALIDATOR_MAX * s.n, "INV-17 evidence")

    def _sticky(self) -> None:
        s = self._s
        held = {height: prepared.view for height, prepared in s.prepared.items()}
        for height, view in self._certificates.items():
            if height > s.committed:
                invariant(held.get(height, -1) >= view, "INV-4b a certificate was forgotten")
        for height in held:
            invariant(s.committed < height <= s.epoch_end, "INV-4b certificate outside the epoch")
        self._certificates = held

    def _slots(self) -> None:
        s = self._s
        window_end = s.committed + LOOKAHEAD_WINDOWS * s.config.window
        highest = min(s.committed + s.config.window, s.epoch_end)
        for height, slot in s.slots.items():
            invariant(s.committed < height <= window_end, "INV-7 slot outside the window")
            invariant(slot.accepted is None or height <= highest, "INV-7 accepted above the window")
        gap = False
        parent = s.tip_block
        for height in range(s.committed + 1, s.limit + 1):
            slot_here = s.slots.get(height)
            accepted = None if slot_here is None else slot_here.accepted
            if slot_here is None or accepted is None:
                gap = True
                continue
            invariant(not gap, "INV-4 accepted above a gap")
            invariant(s.spoiled or accepted.header.parent == parent, "INV-4 parent")
            invariant(slot_here.own_prepare is not None, "INV-4 accepted without a Prepare")
            if slot_here.own_commit is not None:
                self._own_commit(slot_here, accepted.block)
            parent = accepted.block

    def _own_commit(self, slot: Slot, block: bytes) -> None:
        s = self._s
        below = s.slots.get(slot.height - 1)
        invariant(below is None or below.own_commit is not None or s.spoiled, "INV-6 prefix")
        invariant(slot.certificate is not None, "INV-4 Commit without certificate")
        running = s.executions.get(slot.height)
        if slot.own_commit is None or running is None or running.roots is None:
            return
        if running.content.block == block and s.divergence is None:
            vote = s.verifier.vote(SignedKind.COMMIT, slot.own_commit.body)
            roots = (vote.state_root, vote.receipts_root) if isinstance(vote, Commit) else None
            invariant(roots == running.roots, "INV-4 Commit to other roots than ours")

    def _executions(self) -> None:
        s = self._s
        parent = s.tip_block
        for height in range(s.committed + 1, s.committed + 1 + len(s.executions)):
            running = s.executions.get(height)
            invariant(running is not None, "INV-10 executions with a gap")
            if running is not None:
                invariant(running.content.header.parent == parent, "INV-10 executed off its parent")
                parent = running.content.block
