"""Who is being waited for: why there is no block, and whether it is the leader's turn.

The answer is about the lowest height that is not committed, because everything above waits for it. It is
derived from the state alone, in the order in which a block passes through its stages, so it cannot
contradict what the replica really does.
"""

from __future__ import annotations

from typing import Final

from consensus.catch_up import CatchUp, Fetches
from consensus.constants import T_WAITING_AGAIN_MS, T_WAITING_MS
from consensus.pace import WHOLE, Mode
from consensus.proposing import Proposer
from consensus.slots import Content
from consensus.state import State
from consensus.statistics import Waiting, WaitingReason
from consensus.views import Views
from consensus.votes import Tally
from tallynet.messages import Signed


class Waits:
    """Only reads; its log lines are its one effect."""

    def __init__(
        self, state: State, fetches: Fetches, catch_up: CatchUp, views: Views, proposer: Proposer
    ) -> None:
        self._s: Final = state
        self._fetches: Final = fetches
        self._catch_up: Final = catch_up
        self._views: Final = views
        self._proposer: Final = proposer
        self._seen: tuple[int, Waiting] | None = None
        """(committed, answer) of the last look, and since when it has been so."""
        self._since_ms = 0
        self._logged: Waiting | None = None
        self._logged_ms = 0

    # --- work and turns -------------------------------------------------------------------------

    @property
    def work(self) -> bool:
        """Something a correct leader would be making progress with. Votes alone are not: a single
        faulty peer could send those."""
        s = self._s
        if s.pool.pending or s.certified or self._proposer.wanted:
            return True
        return any(slot.candidate is not None for slot in s.slots.values())

    def mode(self) -> Mode:
        """Whose turn it is, for the leader's pace."""
        s = self._s
        if s.leads or not s.may_vote or self._lacks_blocks():
            return Mode.IDLE
        top = s.top
        pending = s.pool.pending
        if not pending:
            return Mode.FLIGHT if top > s.committed else Mode.IDLE
        if self._owes(top) and not self._others_are_ahead(top + 1):
            return Mode.OWED
        return Mode.FLIGHT

    def _owes(self, top: int) -> bool:
        """The pipeline is empty; or less than half a batch is in it although a whole one waits: a
        leader of tiny blocks hides behind a pipeline that is never empty."""
        s = self._s
        if top == s.committed:
            return True
        if not s.pool.holds_batch(s.config.batch_transactions_max):
            return False
        fill = sum(s.slots[height].fill for height in range(s.committed + 1, top + 1))
        return 2 * fill < WHOLE

    def _others_are_ahead(self, height: int) -> bool:
        """f+1 others, so one correct one at least, have voted on the next proposal: the leader has
        sent it, and only this replica lacks it."""
        s = self._s
        slot = s.slots.get(height)
        if slot is None:
            return False
        voters = sorted({*slot.prepares.signers(), *slot.commits.signers()})
        return len(voters) - (s.leader_of(s.view) in voters) > s.f

    # --- the answer -----------------------------------------------------------------------------

    def now(self) -> Waiting:
        """Why no block is being committed at this moment."""
        s = self._s
        height = s.committed + 1
        if s.divergence is not None:
            fork = s.divergence.is_fork
            reason = WaitingReason.FORKED if fork else WaitingReason.DIVERGED
            return Waiting(reason, (), s.divergence.height)
        if s.ended:
            return Waiting(WaitingReason.RETIRED)
        if s.undurable_ms >= T_WAITING_MS:
            return Waiting(WaitingReason.DISK, (), height)
        if height in s.certified:
            return self._for_certified(height)
        if self._lacks_blocks():
            return Waiting(WaitingReason.BLOCKS, self._catch_up.ahead(), height)
        if s.mute:
            return self._mute(height)
        if s.changing:
            return self._for_view()
        if not self.work:
            return Waiting(WaitingReason.NOTHING_TO_DO)
        if s.spoiled:
            return Waiting(WaitingReason.SPOILED, (s.leader_of(s.view),), height)
        return self._for_slot(height)

    def _lacks_blocks(self) -> bool:
        """Something above is known to be final: f+1 claim it, or a certificate or the base of the view's
        NewView shows it."""
        s = self._s
        return bool(s.certified or self._catch_up.behind or s.committed < s.base)

    def _for_certified(self, height: int) -> Waiting:
        s = self._s
        certified = s.certified[height]
        content = s.contents.get(certified.block)
        running = s.executions.get(height)
        if running is not None and running.content.block == certified.block:
            return Waiting(WaitingReason.EXECUTION, (), height)
        if content is None:
            return Waiting(WaitingReason.CONTENT, (), height)
        return Waiting(WaitingReason.BODIES, (), height)

    def _mute(self, height: int) -> Waiting:
        if not self.work:
            return Waiting(WaitingReason.NOTHING_TO_DO)
        slot = self._s.slots.get(height)
        voted = [] if slot is None else slot.commits.signers()
        return Waiting(WaitingReason.MUTE, self._others(voted), height)

    def _for_view(self) -> Waiting:
        """A view opens with q ViewChanges, once its leader holds what they select."""
        s = self._s
        height = s.committed + 1
        missing = self._views.waiting_for()
        if s.n - len(missing) < s.q:
            return Waiting(WaitingReason.VIEW_CHANGES, missing, height)
        leader = s.leader_of(s.voted_view)
        if leader != s.index:
            return Waiting(WaitingReason.NEW_VIEW, (leader,), height)
        if self._views.lacks_blocks():
            return Waiting(WaitingReason.BLOCKS, self._catch_up.ahead(), height)
        if self._fetches.missing_contents:
            return Waiting(WaitingReason.CONTENT, (), height)
        return Waiting(WaitingReason.BODIES, (), height)

    def _for_slot(self, height: int) -> Waiting:
        s = self._s
        slot = s.slots.get(height)
        leader = (s.leader_of(s.view),)
        if slot is None or slot.candidate is None:
            if s.leads and s.delivered:  # the next empty block depends on the last one's result
                return Waiting(WaitingReason.DISK, (), height)
            return Waiting(WaitingReason.PROPOSAL, leader, height)
        if slot.accepted is None:
            if slot.rejected:
                return Waiting(WaitingReason.REJECTED, leader, height)
            content = s.contents.get(slot.candidate.block)
            if content is None:
                return Waiting(WaitingReason.CONTENT, (), height)
            return self._to_accept(content, height)
        if slot.certificate is None:
            return self._for_votes(WaitingReason.PREPARES, slot.prepares, slot.own_prepare, height)
        if slot.own_commit is None:
            return Waiting(WaitingReason.EXECUTION, (), height)
        return self._for_votes(WaitingReason.COMMITS, slot.commits, slot.own_commit, height)

    def _to_accept(self, content: Content, height: int) -> Waiting:
        s = self._s
        leader = (s.leader_of(s.view),)
        if self._fetches.lacks_bodies(content.block):
            return Waiting(WaitingReason.BODIES, (), height)
        if abs(content.header.time_ms - s.wall_ms) > s.config.clock_window_ms:
            return Waiting(WaitingReason.CLOCK, leader, height)
        if s.delivered:
            return Waiting(WaitingReason.DISK, (), height)
        return Waiting(WaitingReason.EMPTY_BLOCK, leader, height)

    def _for_votes(
        self, reason: WaitingReason, tally: Tally, own: Signed | None, height: int
    ) -> Waiting:
        """Who has not voted for exactly what we voted for; a vote for something else does not help."""
        agree = [
            signer
            for signer in tally.signers()
            if own is not None and (vote := tally.of(signer)) is not None and vote.body == own.body
        ]
        return Waiting(reason, self._others(agree), height)

    def _others(self, voted: list[int]) -> tuple[int, ...]:
        return tuple(i for i in range(self._s.n) if i not in voted)

    # --- the log --------------------------------------------------------------------------------

    def watch(self) -> None:
        """Every T_STATUS: say so when one answer has stood for a second although there is work, again
        when it has changed for a second, and once a minute while it stands."""
        s = self._s
        if not self.work and not s.changing and s.divergence is None:
            self._seen = self._logged = None
            return
        found = (s.committed, self.now())
        if found != self._seen:
            if self._seen is None or self._seen[0] != s.committed:
                self._logged = None
            self._seen, self._since_ms = found, s.now_ms
            return
        waiting = found[1]
        stood_ms = s.now_ms - self._since_ms
        repeated = waiting == self._logged and s.now_ms - self._logged_ms < T_WAITING_AGAIN_MS
        if stood_ms < T_WAITING_MS or repeated:
            return
        self._logged, self._logged_ms = waiting, s.now_ms
        s.log(
            "no_block",
            code=waiting.reason.name,
            reason=waiting.reason.value,
            validators=waiting.validators,
            height=waiting.height,
            stood_ms=stood_ms,
        )
