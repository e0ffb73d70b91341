"""The normal case: propose, Prepare, Commit, deliver (protocol §5.4).

Each height of the window passes through the same stages, and each stage is one method that looks at
the heights in order and does what has become possible:

    candidate --accept--> accepted --collect--> prepared --execute--> executed --commit--> committed
       ^  leader's Prepare     ^ own Prepare       ^ q Prepares           ^ own Commit        |
       |                                                                                      v
    PrePrepare or NewView                                   q equal Commits = certified --deliver

A certificate of Commits overtakes everything: what is certified is executed and delivered whether
or not this replica took part, which is also how catch-up works.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from consensus.ballots import Ballots, Complain
from consensus.catch_up import Fetches
from consensus.constants import DELIVERED_MAX
from consensus.effects import Deliver, Execute, Hold
from consensus.events import Executed, Transaction
from consensus.journal import (
    CommitRecord,
    PreparedRecord,
    SlotRecord,
    commit_key,
    join_hashes,
    prepared_key,
    slot_key,
)  # fmt: skip
from consensus.pace import FULL, WHOLE, fill_of
from consensus.proposals import chain_fault, transactions_fault
from consensus.slots import Candidate, Certified, Content, Execution, Prepared, Slot, ids_of
from consensus.state import State
from tallynet.blocks import Certificate, Commit, Prepare
from tallynet.codec import encode
from tallynet.errors import invariant
from tallynet.evidence import Divergence, HeaderEvidence, vote_fault
from tallynet.messages import ComplaintReason, PrePrepare, SignedKind


class NormalCase:
    """Acts on the shared state; `complain` belongs to the view change, `fetches` to catch-up."""

    def __init__(
        self,
        state: State,
        fetches: Fetches,
        ballots: Ballots,
        complain: Complain,
        on_commit: Callable[[], None],
    ) -> None:
        self._s: Final = state
        self._fetches: Final = fetches
        self._ballots: Final = ballots
        self._complain: Final = complain
        self._on_commit: Final = on_commit

    # --- the stages -----------------------------------------------------------------------------

    def advance(self) -> bool:
        """Every stage once, in height order; True when a block was delivered."""
        self._accept_all()
        self._collect()
        self._execute()
        self._commit()
        return self._deliver()

    def _accept_all(self) -> None:
        """Prepare what the leader proposes, strictly in height order (INV-4), once everything up to
        the new view's base is committed here: below it another block is final already (INV-13)."""
        s = self._s
        if not s.may_vote or s.committed < s.base:
            return
        height = s.top + 1
        while height <= s.limit:
            slot = s.slots.get(height)
            if slot is None or slot.rejected:
                return
            if slot.candidate is None:
                if slot.prepares.signers():
                    self._fetches.want_proposal(height)
                return
            content = s.contents.get(slot.candidate.block)
            if content is None:
                self._fetches.want_content(
                    slot.candidate.block, height, at_once=slot.candidate.again
                )
                return
            if not self._accept_one(slot, slot.candidate, content):
                return
            height += 1

    def _accept_one(self, slot: Slot, candidate: Candidate, content: Content) -> bool:
        s = self._s
        parent = s.parent_of(slot.height)
        if parent is None:
            return False
        header = content.header
        vote = s.verifier.vote(SignedKind.PREPARE, candidate.prepare.body)
        fault = vote_fault(s.config, header, vote) or chain_fault(header, *parent)
        if fault is None and not candidate.again and header.proposer != candidate.prepare.signer:
            fault = "another proposer than the leader"
        if fault is None:
            following = s.next_validators(slot.height)
            if following is None:
                return False
            if header.next_validators != following:
                fault = "another validator set for the next epoch"
        if fault is not None:
            self._reject(slot, candidate, content, fault)
            return False
        transactions = self._fetches.bodies(content)
        if transactions is None:
            return False
        fault = transactions_fault(
            s.config,
            content,
            transactions,
            s.ledger.is_remembered,
        )
        if fault is not None:
            self._reject(slot, candidate, content, fault)
            return False
        # Whether a copy below took effect is known when its block is durable, to the leader perhaps
        # before us. It is refused then, or accepted; no vote before that (INV-14).
        ids = ids_of(transactions)
        if not all(below.keys().isdisjoint(ids) for below in s.undecided_below(slot.height)):
            return False
        if not candidate.again and not self._is_timely(content):
            return False
        self.accept(slot, candidate, content, transactions)
        return True

    def _is_timely(self, content: Content) -> bool:
        """Rules that may come true later, or be our own fault: wait instead of blaming."""
        s = self._s
        header = content.header
        if abs(header.time_ms - s.wall_ms) > s.config.clock_window_ms:
            return False
        if content.envelopes:
            return True
        # Whether an empty block is wanted is decided by the state right below it.
        if header.height != s.committed + 1 or s.delivered:
            return False
        return s.ledger.wants_block(header.time_ms)

    def early_ms(self) -> int | None:
        """How long until the clock lets the next proposal be accepted, if that is what it waits for."""
        s = self._s
        slot = s.slots.get(s.top + 1) if s.slots else None
        if slot is None or slot.candidate is None or slot.rejected or slot.candidate.again:
            return None
        content = s.contents.get(slot.candidate.block)
        if content is None:
            return None
        early = content.header.time_ms - s.config.clock_window_ms - s.wall_ms
        return early if early > 0 else None

    def _reject(self, slot: Slot, candidate: Candidate, content: Content, fault: str) -> None:
        slot.rejected = True
        leader = candidate.prepare.signer
        self._s.log("proposal_rejected", leader=leader, height=slot.height, reason=fault)
        self._s.accuse(HeaderEvidence(encode(candidate.prepare), content.header_bytes))
        self._complain(ComplaintReason.INVALID_PROPOSAL)

    def accept(
        self,
        slot: Slot,
        candidate: Candidate,
        content: Content,
        transactions: list[Transaction],
    ) -> None:
        """Write the slot down, then Prepare (protocol §5.4.3). The leader's PrePrepare is its
        Prepare; for a block proposed again that already went out inside the NewView."""
        s = self._s
        height = slot.height
        invariant(slot.accepted is None, "INV-2 second acceptance")
        invariant(s.committed < height <= s.limit, "INV-7 acceptance outside the window")
        leads = candidate.prepare.signer == s.index
        own = candidate.prepare if leads else slot.own_prepare
        if own is None:
            own = s.sign_vote(SignedKind.PREPARE, Prepare(s.epoch, s.view, height, content.block))
        fill = fill_of(s.config, transactions)
        if not leads and not candidate.again:
            room = fill < FULL
            s.pool.watch(transactions, s.now_ms, has_room=room, grace_ms=s.config.status_ms)
        slot.accepted = content
        slot.transactions = ids_of(transactions)
        slot.fill = fill
        if 2 * fill >= WHOLE or not s.pool.holds_batch(s.config.batch_transactions_max):
            s.pace.end_turn()
        slot.own_prepare = own
        raw = encode(own)
        leader_raw = raw if leads else encode(candidate.prepare)
        s.persist(
            slot_key(height),
            SlotRecord(
                s.epoch, s.view, content.header_bytes, join_hashes(content.envelopes),
                leader_raw, raw, candidate.again,
            ),
            height,
        )  # fmt: skip
        s.effects.hold.append(Hold(height, content.block, content.envelopes))
        s.pool.fly(transactions, s.now_ms)
        slot.prepares.add(own)
        if not leads:
            s.broadcast_after(raw)
        elif not candidate.again:
            s.broadcast_after(encode(PrePrepare(content.header_bytes, content.envelopes, raw)))

    def _collect(self) -> None:
        """q Prepares for an accepted block: a certificate, sticky until its height commits."""
        s = self._s
        if s.changing:
            return  # what a ViewChange reported stays what is held (INV-4b)
        height = s.committed + 1
        while (slot := s.slots.get(height)) is not None and slot.accepted is not None:
            own = slot.own_prepare
            open_ = slot.certificate is None and own is not None
            if open_ and own is not None and slot.prepares.count(own.body) >= s.q:
                self._prepared(slot, slot.accepted, slot.prepares.certificate(own.body, s.q))
            height += 1

    def _prepared(self, slot: Slot, content: Content, certificate: Certificate) -> None:
        s = self._s
        known = s.prepared.get(slot.height)
        invariant(known is None or known.view < s.view, "INV-4b certificate view decreases")
        slot.certificate = certificate
        s.prepared[slot.height] = Prepared(s.view, content, certificate)
        s.persist(
            prepared_key(slot.height),
            PreparedRecord(
                s.view, content.header_bytes, join_hashes(content.envelopes), certificate
            ),
            slot.height,
        )

    def _execute(self) -> None:
        """Hand prepared and certified blocks to execution, each on top of the one below."""
        s = self._s
        height = s.committed + 1
        parent = s.tip_block
        while (content := self._executable(height)) is not None:
            if content.header.parent != parent:
                self._check_chain(height, content, parent)
                return
            running = s.executions.get(height)
            if running is None or running.content.block != content.block:
                self._discard_from(height)
                s.executions[height] = Execution(content, self._transactions(height, content))
                s.effects.execute.append(
                    Execute(content.header, content.header_bytes, content.block, content.envelopes)
                )
            parent = content.block
            height += 1

    def _check_chain(self, height: int, content: Content, parent: bytes) -> None:
        """A certified block must follow the certified or committed one below it, or a quorum is on
        another chain. Above a block that is only prepared it merely shows that this one has lost."""
        s = self._s
        certified = s.certified.get(height)
        below_is_final = height == s.committed + 1 or height - 1 in s.certified
        if certified is not None and below_is_final and certified.block == content.block:
            s.fork(certified.commit, certified.certificate, parent)

    def _executable(self, height: int) -> Content | None:
        s = self._s
        slot = s.slots.get(height)
        certified = s.certified.get(height)
        if certified is None:
            return None if slot is None or slot.certificate is None else slot.accepted
        content = s.contents.get(certified.block)
        if content is None:
            self._fetches.want_content(certified.block, height, at_once=True)
            return None
        running = s.executions.get(height)
        if running is not None and running.content.block == content.block:
            return content
        if slot is not None and slot.accepted is content:
            return content
        return None if self._fetches.bodies(content) is None else content

    def _transactions(self, height: int, content: Content) -> dict[bytes, None]:
        """Transaction ids of a block whose bodies are held."""
        slot = self._s.slots.get(height)
        if slot is not None and slot.accepted is content:
            return slot.transactions
        transactions = self._fetches.bodies(content)
        invariant(transactions is not None, "INV-4 executing without bodies")
        return ids_of(transactions or ())

    def _discard_from(self, height: int) -> None:
        """Drop overlays from `height` up, children before parents."""
        s = self._s
        for above in sorted((h for h in s.executions if h >= height), reverse=True):
            s.effects.discard.append(s.executions.pop(above).content.block)

    def on_executed(self, event: Executed) -> None:
        """Roots of a block that was handed to execution; others are of discarded overlays."""
        s = self._s
        for height, execution in s.executions.items():
            if execution.content.block == event.block:
                roots = (event.state_root, event.receipts_root)
                invariant(execution.roots in (None, roots), "INV-11 one block, two results")
                execution.roots = roots
                s.dirty = True
                slot = s.slots.get(height)
                if slot is not None:
                    self._check_own_commit(slot, event.block, roots)
                    self._ballots.check_divergence(slot)
                return

    def _check_own_commit(self, slot: Slot, block: bytes, roots: tuple[bytes, bytes]) -> None:
        """Before a restart the same block must have given the same roots, or one of the two
        executions was wrong and nobody can say which."""
        if slot.own_commit is not None:
            vote = self._s.verifier.vote(SignedKind.COMMIT, slot.own_commit.body)
            if not isinstance(vote, Commit) or vote.block != block:
                return
            if (vote.state_root, vote.receipts_root) != roots:
                before = (encode(slot.own_commit),)
                self._s.diverge(Divergence(vote.epoch, slot.height, block, *roots, before, None))

    def _commit(self) -> None:
        """Commit(s) only above Commit(s-1) of this view or a committed s-1 (INV-4, INV-6)."""
        s = self._s
        if not s.may_vote:
            return
        height, parent = s.committed + 1, s.tip_block
        while (slot := s.slots.get(height)) is not None:
            content, execution = slot.accepted, s.executions.get(height)
            if content is None or slot.certificate is None or content.header.parent != parent:
                return
            if execution is None or execution.roots is None:
                return
            if execution.content.block != content.block:
                return
            if slot.own_commit is None:
                self._commit_one(slot, content, execution.roots)
            parent = content.block
            height += 1

    def _commit_one(self, slot: Slot, content: Content, roots: tuple[bytes, bytes]) -> None:
        s = self._s
        own = s.sign_vote(
            SignedKind.COMMIT, Commit(s.epoch, s.view, slot.height, content.block, *roots)
        )
        slot.own_commit = own
        raw = encode(own)
        s.persist(commit_key(slot.height), CommitRecord(s.epoch, s.view, raw), slot.height)
        s.broadcast_after(raw)
        slot.commits.add(own)
        if slot.commits.count(own.body) >= s.q:
            self._ballots.certify(slot, own.body)

    # --- delivery -------------------------------------------------------------------------------

    def _deliver(self) -> bool:
        """Deliver the next certified and executed block; True when there was one (A5, A8)."""
        s = self._s
        height = s.committed + 1
        certified, execution = s.certified.get(height), s.executions.get(height)
        if len(s.delivered) >= DELIVERED_MAX:
            return False
        if certified is None or execution is None or execution.roots is None:
            return False
        content = execution.content
        if content.block != certified.block or s.divergence is not None:
            return False
        following = s.next_validators(height)
        if following is None:
            return False
        commit = certified.commit
        expected = (commit.state_root, commit.receipts_root, content.header.next_validators)
        if (*execution.roots, following) != expected:
            s.diverge(  # INV-11: never overwritten
                Divergence(
                    commit.epoch, height, content.block, *execution.roots, (), certified.certificate
                )
            )
            return False
        invariant(content.header.parent == s.tip_block, "INV-10 parent of a delivered block")
        s.effects.deliver.append(
            Deliver(
                content.header, content.header_bytes, content.block, content.envelopes,
                certified.certificate, commit,
            )
        )  # fmt: skip
        self._advance_tip(height, content, certified)
        return True

    def _advance_tip(self, height: int, content: Content, certified: Certified) -> None:
        s = self._s
        slot = s.slots.pop(height, None)
        if slot is not None and slot.accepted is not None:
            s.spoiled = s.spoiled or slot.accepted.block != content.block
        s.committed = height
        s.tip_block, s.tip_time_ms = content.block, content.header.time_ms
        s.tip_header, s.tip_certificate = content.header_bytes, certified.certificate
        del s.certified[height]
        execution = s.executions.pop(height)
        s.prepared.pop(height, None)
        for key in (slot_key(height), commit_key(height), prepared_key(height)):
            s.forget(key)
        s.pool.remove(content.envelopes, s.now_ms)
        s.delivered[height] = (s.turn, execution.transactions)
        floor = height - s.config.window
        for block in [b for b, c in s.contents.items() if c.header.height < floor]:
            del s.contents[block]
        self._ballots.prune_stash()
        self._on_commit()
        s.dirty = True
