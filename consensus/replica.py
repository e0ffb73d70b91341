"""One validator's consensus as a pure state machine: `step(event) -> Effects`.

Theory of operation. A replica is always in one view of one epoch, either NORMAL or CHANGING (it has
signed a ViewChange for a higher view and casts no Prepare or Commit until it enters one). Six parts
act on one shared `State`, each in its own module with its rules:

    Ballots          intake of proposals and votes                           (protocol §5.3)
    NormalCase       acceptance, Prepare, Commit, execution, delivery        (protocol §5.4)
    Proposer         the leader's batches                                    (protocol §5.4.2)
    Views            complaints, ViewChange, NewView, helping laggards       (protocol §5.6)
    CatchUp/Fetches  missing blocks, contents, bodies                        (protocol §5.7)
    StatusExchange   heartbeat, sending votes again                          (protocol §5.7 a)

A step handles one event, then lets the parts do everything that has become possible, in a fixed
order, until nothing changes; then it sets the one timer and checks the invariants. A message that
breaks a rule raises inside its handler before anything changed, is counted, and has no other
effect. Nothing here reads a clock, draws a random number or iterates over a set: equal events give
equal effects (INV-20).

What is final is decided by certificates alone: a block with q equal Commits is executed and
delivered in height order, whatever view this replica is in, and even when it does not vote at all.
`FetchBodies` and `FetchBlocks` are answered by the driver, which has the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from consensus.ballots import Ballots
from consensus.catch_up import CatchUp, Fetches
from consensus.config import ReplicaConfig, Tip
from consensus.effects import Effects, Persist, Relay
from consensus.events import (
    BlocksPaused,
    Event,
    Executed,
    Persisted,
    Received,
    Tick,
    TransactionsHeld,
)  # fmt: skip
from consensus.invariants import Invariants
from consensus.journal import read_journal
from consensus.ledger_view import LedgerView
from consensus.normal_case import NormalCase
from consensus.proposing import Proposer
from consensus.restart import restore
from consensus.state import State
from consensus.statistics import PeerStatistics, ReplicaStatistics, ReplicaStatus
from consensus.status import StatusExchange
from consensus.views import Views
from consensus.votes import Sign, Verify
from consensus.waiting import Waits
from tallynet.errors import RemoteProtocolError, invariant
from tallynet.messages import (
    Blocks,
    BlocksGone,
    ComplaintReason,
    FetchProposal,
    FetchVotes,
    Newest,
    PeerMessage,
    PrePrepare,
    Proposal,
    Signed,
    SignedKind,
)  # fmt: skip


class Replica:
    """See the module. Not thread-safe; never calls back except `sign`, `verify` and `ledger`."""

    def __init__(
        self,
        *,
        config: ReplicaConfig,
        sign: Sign,
        verify: Verify,
        ledger: LedgerView,
        tip: Tip,
        journal: Mapping[bytes, bytes],
        accused: Iterable[bytes] = (),
        now_ms: int,
        wall_ms: int,
    ) -> None:
        """Start from genesis or continue from `tip` and `journal`, the entries persisted before, and
        `accused`, the keys of the proofs that are kept.

        Raises:
            InvariantViolated: tip and journal cannot belong to a correct replica (INV-12).
        """
        s = self._s = State(config, sign, verify, ledger, tip, now_ms, wall_ms, accused)
        self._fetches: Final = Fetches(s)
        self._catch_up: Final = CatchUp(s, self._fetches)
        self._views: Final = Views(s, self._fetches, self._catch_up, self._entered_view)
        self._ballots: Final = Ballots(s, self._views.complain)
        self._normal: Final = NormalCase(
            s, self._fetches, self._ballots, self._views.complain, self._committed
        )
        self._proposer: Final = Proposer(s, self._fetches, self._ballots, self._normal)
        self._status: Final = StatusExchange(s, self._views, self._catch_up)
        self._waits: Final = Waits(s, self._fetches, self._catch_up, self._views, self._proposer)
        self._deadline_ms: int | None = None
        """Progress timer while NORMAL, view-change timer while CHANGING (INV-18)."""
        self._deadline_of: tuple[int, ...] = ()
        self._refused: Final[dict[tuple[int, str], int]] = {}
        self._fresh = restore(s, self._views, read_journal(journal))
        self._stale = [key for key in sorted(journal) if s.journaled.get(key, 0) < 0]
        self._invariants: Final = Invariants(
            s, self._ballots, self._fetches, self._catch_up, self._views, self._waits
        )
        self._started = False

    # --- the step -------------------------------------------------------------------------------

    def step(self, event: Event) -> Effects:
        """Handle one event. Steps are numbered from 1; `Persisted.turn` counts in these numbers."""
        s = self._s
        s.turn += 1
        effects = s.effects = Effects()
        if not self._started:
            self._start()
        if s.ended:
            self._after_the_end(event)
        elif isinstance(event, Received):
            self._received(event)
        elif isinstance(event, TransactionsHeld):
            self._held(event)
        elif isinstance(event, Tick):
            self._tick(event)
        elif isinstance(event, Executed):
            self._normal.on_executed(event)
        elif isinstance(event, BlocksPaused):
            self._catch_up.paused = event.paused
        else:
            self._persisted(event)
        self._settle()
        self._set_timer()
        s.note_writes()
        self._invariants.check(self._deadline_ms)
        if isinstance(event, Tick):
            self._invariants.check_bounds()
        return effects

    def _after_the_end(self, event: Event) -> None:
        """Others may need to hear of the last block of this set, which is what a Status says; whoever fetches
        it is answered by the driver. A replica of the next set is another one (protocol §5.8)."""
        s = self._s
        if isinstance(event, Tick):
            s.now_ms, s.wall_ms = event.now_ms, event.wall_ms
            self._catch_up.paused = True
            self._status.tick()
        elif isinstance(event, Persisted):
            self._persisted(event)
        s.dirty = False

    def _settle(self) -> None:
        """Do everything that has become possible until nothing is."""
        s = self._s
        while s.dirty:
            s.dirty = False
            delivered = self._normal.advance()
            proposed = self._proposer.propose()
            self._views.settle()
            s.dirty = s.dirty or delivered or proposed

    @property
    def turn(self) -> int:
        """Number of the last step."""
        return self._s.turn

    @property
    def next_tick_ms(self) -> int:
        """When the next `Tick` may change something, messages aside; never before the last one + 1.
        Later steps may move it forward or back."""
        s = self._s
        due = self._status.next_ms
        if s.ended:
            return max(due, s.now_ms + 1)
        if self._deadline_ms is not None and self._deadline_ms < due:
            due = self._deadline_ms
        fetch = self._fetches.next_due_ms()
        if fetch is not None and fetch < due:
            due = fetch
        late_at_ms = s.pace.late_at_ms
        if late_at_ms is not None and late_at_ms < due:
            due = late_at_ms
        if s.pace.changed(self._waits.mode()):
            due = s.now_ms + 1
        early_ms = self._normal.early_ms()
        if early_ms is not None and s.now_ms + early_ms < due:
            due = s.now_ms + early_ms
        return max(due, s.now_ms + 1)

    def _start(self) -> None:
        self._started = True
        s = self._s
        for key in self._stale:
            s.effects.persist.append(Persist(key, None))
            s.journaled.pop(key, None)
        if self._fresh is not None:
            s.fall_silent(self._fresh)
        else:
            s.persist_view()
        self._status.restart()

    def _persisted(self, event: Persisted) -> None:
        s = self._s
        invariant(event.turn < s.turn, "INV-5 durable turn from the future")
        s.note_durable(event.turn)
        delivered = s.delivered
        for height in [h for h, (turn, _) in delivered.items() if turn <= event.turn]:
            _, transactions = delivered.pop(height)
            s.pool.drop_copies(transactions, s.now_ms, s.ledger.is_remembered)
            s.dirty = True

    def _held(self, event: TransactionsHeld) -> None:
        s = self._s
        if event.checked and not s.observes:  # it passes them on, and has no leader to watch
            s.pool.add(event.transactions, s.now_ms, s.ledger.is_remembered)
        self._fetches.on_held(event.transactions)
        if s.leads and s.pool.pending and self._proposer.is_due():
            s.dirty = True

    # --- messages -------------------------------------------------------------------------------

    def _received(self, event: Received) -> None:
        s = self._s
        source = event.source
        if not 0 <= source < s.reach or source == s.index:
            self._refuse(source, RemoteProtocolError("NOT_A_PEER", "not another validator"))
            return
        self._status.seen_ms[source] = s.now_ms
        try:
            self._dispatch(source, event)
        except RemoteProtocolError as error:
            self._refuse(source, error)

    def _dispatch(self, source: int, event: Received) -> None:
        message = event.message
        if self._s.observes:
            self._followed(source, message)
        elif isinstance(message, Signed):
            self._signed(source, message)
        elif self._s.joining:
            return  # INV-15: nothing below the own set's epochs can be judged
        elif isinstance(message, PrePrepare):
            self._ballots.on_preprepare(message)
        elif isinstance(message, Proposal):
            self._fetches.on_proposal(message)
        elif isinstance(message, Blocks):
            self._catch_up.on_blocks(source, message)
        elif isinstance(message, BlocksGone):
            self._catch_up.on_gone(source, message)
        elif isinstance(message, FetchProposal):
            self._status.on_fetch_proposal(source, message)
        elif isinstance(message, FetchVotes):
            self._status.on_fetch_votes(source, message)

    def _followed(self, source: int, message: PeerMessage | Newest) -> None:
        """An observer hears of blocks alone, not of votes."""
        if isinstance(message, Newest):
            self._catch_up.on_newest(source, message.height)
        elif isinstance(message, Blocks):
            self._catch_up.on_blocks(source, message)
        elif isinstance(message, BlocksGone):
            self._catch_up.on_gone(source, message)

    def _signed(self, source: int, message: Signed) -> None:
        kind = message.kind
        if message.signer >= self._s.n and kind != SignedKind.STATUS:
            raise RemoteProtocolError("NOT_A_VALIDATOR", f"signer {message.signer}")
        if kind == SignedKind.PREPARE or kind == SignedKind.COMMIT:
            self._ballots.on_vote(message)
        elif kind == SignedKind.STATUS:
            self._status.on_status(source, message)
        elif self._s.joining:
            return  # INV-15
        elif kind == SignedKind.COMPLAINT:
            self._views.on_complaint(message)
        elif kind == SignedKind.VIEW_CHANGE:
            self._views.on_view_change(message)
        else:
            self._views.on_new_view(message)

    def _refuse(self, source: int, error: RemoteProtocolError) -> None:
        """Count; log the first and then ever more rarely, so that no peer can flood the log."""
        key = (source if 0 <= source < self._s.reach else -1, error.code)
        count = self._refused[key] = self._refused.get(key, 0) + 1
        if count & (count - 1) == 0:
            self._s.log(
                "refused", source=source, code=error.code, reason=error.message, count=count
            )

    # --- time -----------------------------------------------------------------------------------

    def _tick(self, event: Tick) -> None:
        s = self._s
        invariant(event.now_ms >= s.now_ms, "INV-1 monotonic time went back")
        s.now_ms, s.wall_ms = event.now_ms, event.wall_ms
        s.pace.tick(s.now_ms, self._waits.mode())
        self._relay()
        # Nobody waits for what a leader may refuse whose clock is ahead, as far as it may be.
        ahead_ms = 0 if s.leads else s.config.clock_window_ms
        dropped = s.pool.expire((s.wall_ms + ahead_ms) // 1000, s.now_ms)
        if dropped:
            s.log("transactions_expired", count=dropped)
        if not s.slots and not s.delivered:
            self._proposer.wanted = s.ledger.wants_block(max(s.wall_ms, s.tip_time_ms + 1))
        self._fetches.ask()
        if self._status.tick():
            self._waits.watch()
            self._forget_inadmissible()
        if not s.changing:
            self._watch_leader()
        if self._deadline_ms is not None and s.now_ms >= self._deadline_ms:
            self._deadline_ms = None
            self._views.complain(ComplaintReason.PROGRESS_TIMEOUT)
        if s.slots or s.certified or s.pool.pending or s.changing or self._proposer.wanted:
            s.dirty = True

    def _relay(self) -> None:
        """Give the leader what it seems not to know of, before anybody may blame it for that: with one
        liar's help one correct validator alone could change the view (Castro & Liskov 1999, §4.2;
        decision 0017)."""
        s, config = self._s, self._s.config
        if s.leads or s.changing or s.observes:
            return
        late_at_ms = s.pace.late_at_ms
        if late_at_ms is not None and s.now_ms >= late_at_ms:
            known = s.pool.relayed
            envelopes = s.pool.relay(config.batch_transactions_max, config.batch_bytes_max)
            s.pace.tell(news=bool(envelopes) and not known)
        else:
            envelopes = s.pool.relay_passed_over()
        if envelopes:
            s.effects.relay.append(Relay(s.leader_of(s.view), envelopes))

    def _forget_inadmissible(self) -> None:
        """Every T_STATUS, while the leader may soon be blamed: what the law would not admit any more, a
        correct leader that heard of it later does not take."""
        s = self._s
        if s.leads or (
            s.pace.late_at_ms is None and not s.pace.told and s.pool.passed_over is None
        ):
            return
        dropped = s.pool.drop_oldest_unless(
            lambda transaction: s.ledger.admits(transaction, s.wall_ms // 1000),
            s.config.batch_transactions_max,
            s.now_ms,
        )
        if dropped:
            s.log("transactions_inadmissible", count=dropped)

    def _watch_leader(self) -> None:
        """Complain about a leader that is silent, passes a transaction over (§5.9) or is slow (E1)."""
        s, config = self._s, self._s.config
        leader = s.leader_of(s.view)
        if leader == s.index:
            return
        heard = max(self._status.seen_ms.get(leader, 0), s.view_since_ms)
        if s.now_ms - heard >= config.leader_silent_ms:
            self._views.complain(ComplaintReason.LEADER_SILENT)
        passed = s.pool.passed_since_ms()
        if passed is not None and s.now_ms - passed >= config.transaction_complain_ms:
            self._views.complain(ComplaintReason.TRANSACTION_TIMEOUT)
        if s.pace.is_slow:
            self._views.complain(ComplaintReason.SLOW_LEADER)

    def _set_timer(self) -> None:
        s = self._s
        if s.ended:
            self._deadline_ms, self._deadline_of = None, ()
            return
        if s.changing:
            purpose: tuple[int, ...] = (s.epoch, s.voted_view)
        elif self._waits.work:
            purpose = (s.epoch, s.view, s.committed)
        else:
            self._deadline_ms, self._deadline_of = None, ()
            return
        if self._deadline_ms is None or purpose != self._deadline_of:
            self._deadline_ms = s.now_ms + self._patience_ms()
            self._deadline_of = purpose

    def _patience_ms(self) -> int:
        """T_PROGRESS, doubled per view change since the last commit, capped (A11)."""
        config = self._s.config
        exponent = min(self._s.failed_views, 16)
        return min(config.progress_ms << exponent, config.progress_max_ms)

    # --- what parts tell each other ---------------------------------------------------------------

    def _entered_view(self) -> None:
        self._ballots.replay_stash()

    def _committed(self) -> None:
        """A block was delivered: progress."""
        s = self._s
        s.failed_views = 0
        s.pace.committed()
        self._fetches.forget_passed()
        self._views.withdraw()
        self._proposer.wanted = False
        self._views.place_due()
        if s.committed == s.epoch_end:
            self._views.enter_epoch()
        self._catch_up.on_delivered()

    # --- what the driver asks ---------------------------------------------------------------------

    def wants_body(self, envelope: bytes) -> bool:
        """True iff this body is missing under a block: it has to be held whatever it is worth."""
        return self._fetches.wants_body(envelope)

    @property
    def committed(self) -> int:
        """Height of the newest block delivered, durable or about to be."""
        return self._s.committed

    @property
    def ended(self) -> bool:
        """Another set validates from the next block on; this replica does nothing more."""
        return self._s.ended

    @property
    def claims(self) -> dict[int, int]:
        """Validator -> height it claims to have committed."""
        return self._catch_up.claims

    @property
    def caught_up(self) -> bool:
        """The others are known not to be ahead by more than the window."""
        return self._catch_up.caught_up

    def state_wanted(self, blocks_max: int) -> int:
        """Least height of a state that should be fetched instead of blocks, 0 for none: see
        `CatchUp.state_wanted`."""
        return self._catch_up.state_wanted(0 if self._s.joining else blocks_max)

    # --- statistics -------------------------------------------------------------------------------

    def _refused_by_code(self) -> tuple[tuple[str, int], ...]:
        counts: dict[str, int] = {}
        for (_, code), count in self._refused.items():
            counts[code] = counts.get(code, 0) + count
        return tuple(sorted(counts.items()))

    def peers(self) -> tuple[PeerStatistics, ...]:
        """What is known of the others, by index."""
        s = self._s
        claims, seen = self._catch_up.claims, self._status.seen_ms
        return tuple(
            PeerStatistics(
                peer, claims.get(peer, 0), s.now_ms - seen[peer] if peer in seen else None
            )
            for peer in range(s.reach)
            if s.observes or peer != s.index
        )

    def statistics(self) -> ReplicaStatistics:
        """A frozen picture of this replica."""
        s = self._s
        status = ReplicaStatus.NORMAL
        if s.divergence is not None:
            status = ReplicaStatus.DIVERGED
        elif s.observes:
            status = ReplicaStatus.OBSERVER
        elif s.ended:
            status = ReplicaStatus.RETIRED
        elif s.mute:
            status = ReplicaStatus.MUTE
        elif s.changing:
            status = ReplicaStatus.CHANGING
        return ReplicaStatistics(
            index=s.index,
            epoch=s.epoch,
            view=s.view,
            voted_view=s.voted_view,
            leader=s.leader_of(s.voted_view),
            status=status,
            committed=s.committed,
            in_flight=s.top - s.committed,
            pool=s.pool.pending,
            pool_full=s.pool.full,
            pool_refused=s.pool.refused,
            behind=self._catch_up.behind,
            stash=self._ballots.stash_size,
            evidence=len(s.accused) + s.accused_before,
            refused=sum(self._refused.values()),
            refused_by_code=self._refused_by_code(),
            failed_views=s.failed_views,
            waiting=self._waits.now(),
        )
