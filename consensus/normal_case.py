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

from consensus.catch_up import Fetches
from consensus.constants import DELIVERED_MAX, EVIDENCE_MAX
from consensus.effects import Deliver, Execute
from consensus.events import Executed, Transaction
from consensus.evidence import equivocation
from consensus.journal import (
    CommitRecord,
    PreparedRecord,
    SlotRecord,
    commit_key,
    join_ids,
    open_signed,
    prepared_key,
    slot_key,
)  # fmt: skip
from consensus.proposals import (
    build_content,
    chain_fault,
    header_fault,
    open_content,
    transactions_fault,
)  # fmt: skip
from consensus.slots import Candidate, Certified, Content, Execution, Prepared, Slot
from consensus.state import Place, State
from consensus.votes import Tally
from tallynet.blocks import Certificate, Commit, Prepare
from tallynet.codec import encode
from tallynet.errors import RemoteProtocolError, invariant
from tallynet.hashing import block_hash
from tallynet.messages import ComplaintReason, PrePrepare, Signed, SignedKind

Complain = Callable[[ComplaintReason], None]


class NormalCase:
    """Acts on the shared state; `complain` belongs to the view change, `fetches` to catch-up."""

    def __init__(
        self,
        state: State,
        fetches: Fetches,
        complain: Complain,
        on_commit: Callable[[], None],
    ) -> None:
        self._s: Final = state
        self._fetches: Final = fetches
        self._complain: Final = complain
        self._on_commit: Final = on_commit
        self._stash: Final[dict[tuple[int, int, int], tuple[int, int, PrePrepare | Signed]]] = {}
        """(signer, kind, height) -> (epoch, view, message), verified: votes of the next views. At
        most one per signer, phase and height inside the window (INV-17)."""
        self.evidence_count = 0
        self.wanted = False
        """The ledger wants a block although the pool may be empty."""

    # --- messages -------------------------------------------------------------------------------

    def on_preprepare(self, message: PrePrepare) -> None:
        """Accepted when the leader of its view signed a Prepare for the hash of this header, and
        header and ids belong together. Kept as the candidate of its height; the first one stays.

        Raises:
            RemoteProtocolError: a part does not fit the others.
        """
        s = self._s
        signed = open_signed(message.prepare)
        prepare = s.verifier.vote(signed.kind, signed.body)
        if not isinstance(prepare, Prepare):
            raise RemoteProtocolError("BAD_PROPOSAL", "does not hold a Prepare")
        place = s.place(prepare.epoch, prepare.view, prepare.height)
        if place is Place.OTHER or (place is Place.CURRENT and s.changing):
            return
        if signed.signer != s.leader_of(prepare.view):
            raise RemoteProtocolError("BAD_PROPOSAL", "not signed by the leader of its view")
        if block_hash(message.header) != prepare.block:
            raise RemoteProtocolError("BAD_PROPOSAL", "the Prepare is for another header")
        known = s.contents.get(prepare.block)
        slot = s.slots.get(prepare.height)
        current = place is Place.CURRENT and slot is not None
        candidate = slot.candidate if current and slot is not None else None
        if known is not None and candidate is not None and candidate.block == known.block:
            return  # a repeat
        if not s.verifier.signed(signed):
            raise RemoteProtocolError("BAD_SIGNATURE", "Prepare in a proposal")
        if signed.signer == s.index:
            s.check_own(signed, prepare.epoch, prepare.view, prepare.height)
            return
        if place is Place.NEXT:
            self._keep(signed, prepare, message)
            return
        content = known or open_content(message.header, message.transactions)
        self._count_prepare(self._slot(prepare.height), signed, prepare, content)

    def on_vote(self, signed: Signed) -> None:
        """Accepted when the signature is the named validator's and the vote is for this view, inside
        the window. Counted once per validator; a second, different vote is evidence.

        Raises:
            RemoteProtocolError: the body or the signature is bad.
        """
        s = self._s
        vote = s.verifier.vote(signed.kind, signed.body)
        place = s.place(vote.epoch, vote.view, vote.height)
        if place is Place.OTHER:
            if signed.signer == s.index and s.verifier.signed(signed):
                s.check_own(signed, vote.epoch, vote.view, vote.height)
            return
        if place is Place.CURRENT and self._is_surplus(signed, vote):
            return
        if not s.verifier.signed(signed):
            raise RemoteProtocolError("BAD_SIGNATURE", signed.kind.name)
        if signed.signer == s.index:
            s.check_own(signed, vote.epoch, vote.view, vote.height)
        elif place is Place.NEXT:
            self._keep(signed, vote, signed)
        elif isinstance(vote, Prepare):
            self._count_prepare(self._slot(vote.height), signed, vote, None)
        else:
            self._count_commit(self._slot(vote.height), signed, vote)

    def _is_surplus(self, signed: Signed, vote: Prepare | Commit) -> bool:
        """Repeated, or for a certificate that exists: not worth a signature check."""
        s = self._s
        slot = s.slots.get(vote.height)
        if isinstance(vote, Prepare):
            if s.changing:
                return True
            if slot is None:
                return False
            earlier = slot.prepares.of(signed.signer)
            if slot.certificate is not None and slot.certificate.vote == signed.body:
                return True
        else:
            if slot is None:
                return False
            earlier = slot.commits.of(signed.signer)
            certified = s.certified.get(vote.height)
            if certified is not None and certified.certificate.vote == signed.body:
                return True
        return earlier is not None and earlier.body == signed.body

    def _keep(self, signed: Signed, vote: Prepare | Commit, message: PrePrepare | Signed) -> None:
        """Keep a verified message of a next view. A PrePrepare replaces a bare Prepare of the same
        place, an older view makes room for a newer one, otherwise the first one stays."""
        key = (signed.signer, int(signed.kind), vote.height)
        kept = self._stash.get(key)
        if kept is not None:
            same_place = kept[:2] == (vote.epoch, vote.view)
            richer = isinstance(message, PrePrepare) and isinstance(kept[2], Signed)
            if kept[:2] > (vote.epoch, vote.view) or (same_place and not richer):
                return
        self._stash[key] = (vote.epoch, vote.view, message)

    def replay_stash(self) -> None:
        """A view or epoch was entered: handle what was kept for it, forget what has passed."""
        s = self._s
        here = (s.epoch, s.view)
        for key, (epoch, view, message) in list(self._stash.items()):
            if (epoch, view) > here:
                continue
            del self._stash[key]
            if (epoch, view) < here:
                continue
            try:
                if isinstance(message, PrePrepare):
                    self.on_preprepare(message)
                else:
                    self.on_vote(message)
            except RemoteProtocolError as error:
                s.log("refused", source=key[0], code=error.code, reason=error.message)

    def prune_stash(self) -> None:
        """Forget kept messages whose height is committed."""
        committed = self._s.committed
        if self._stash:
            for key in [key for key in self._stash if key[2] <= committed]:
                del self._stash[key]

    @property
    def stash_size(self) -> int:
        return len(self._stash)

    # --- counting -------------------------------------------------------------------------------

    def _slot(self, height: int) -> Slot:
        slot = self._s.slots.get(height)
        if slot is None:
            slot = self._s.slots[height] = Slot(height, self._s.now_ms)
        return slot

    def _count_prepare(
        self, slot: Slot, signed: Signed, vote: Prepare, content: Content | None
    ) -> None:
        s = self._s
        s.dirty = True
        consistent = self._count(slot.prepares, signed)
        if signed.signer == s.leader_of(s.view):
            if not consistent:
                self._complain(ComplaintReason.EQUIVOCATION)
            if slot.candidate is None:
                slot.candidate = Candidate(vote.block, signed, again=False)
        candidate = slot.candidate
        if content is not None and candidate is not None and candidate.block == content.block:
            s.contents[content.block] = content

    def _count_commit(self, slot: Slot, signed: Signed, vote: Commit) -> None:
        s = self._s
        if not self._count(slot.commits, signed):
            return
        if slot.commits.count(signed.body) >= s.q:
            self.certify(slot, signed.body)
        self._check_divergence(slot)

    def _count(self, tally: Tally, signed: Signed) -> bool:
        """False when the signer voted differently before: that pair is evidence."""
        earlier = tally.add(signed)
        if earlier is None:
            return True
        if self.evidence_count < EVIDENCE_MAX:
            self.evidence_count += 1
            self._s.effects.evidence.append(equivocation(earlier, signed))
            self._s.log("equivocation", signer=signed.signer, kind=signed.kind.name)
        return False

    def certify(self, slot: Slot, body: bytes) -> None:
        """q equal Commits: final, whatever else this replica knows of the block."""
        s = self._s
        vote = s.verifier.vote(SignedKind.COMMIT, body)
        if slot.height not in s.certified and isinstance(vote, Commit):
            certificate = slot.commits.certificate(body)
            s.certified[slot.height] = Certified(vote.block, certificate, vote)
            s.dirty = True

    def _check_divergence(self, slot: Slot) -> None:
        """f+1 Commits with other roots for a block that we executed (protocol §5.4.5)."""
        s = self._s
        execution = s.executions.get(slot.height)
        if execution is None or execution.roots is None:
            return
        others = 0
        for body, count in slot.commits.bodies():
            vote = s.verifier.vote(SignedKind.COMMIT, body)
            if not isinstance(vote, Commit) or vote.block != execution.content.block:
                continue
            if (vote.state_root, vote.receipts_root) != execution.roots:
                others += count
        if others > s.f:
            s.diverge(slot.height)

    # --- the stages -----------------------------------------------------------------------------

    def settle(self) -> None:
        """Do everything that has become possible, in height order, until nothing is."""
        s = self._s
        while True:
            s.dirty = False
            self._accept_all()
            self._collect()
            self._execute()
            self._commit()
            delivered = self._deliver()
            proposed = self._propose()
            if not (delivered or proposed or s.dirty):
                return

    def _accept_all(self) -> None:
        """Prepare what the leader proposes, strictly in height order (INV-4)."""
        s = self._s
        if not s.may_vote:
            return
        height = s.top + 1
        while height <= s.limit:
            slot = s.slots.get(height)
            if slot is None or slot.candidate is None or slot.rejected:
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
        fault = header_fault(s.config, header, slot.height) or chain_fault(header, *parent)
        if fault is None and not candidate.again and header.proposer != candidate.prepare.signer:
            fault = "another proposer than the leader"
        if fault is not None:
            self._reject(slot, fault)
            return False
        transactions = self._fetches.bodies(content)
        if transactions is None:
            return False
        fault = transactions_fault(
            s.config,
            content,
            transactions,
            s.ancestors(slot.height),
            s.ledger.is_remembered,
        )
        if fault is not None:
            self._reject(slot, fault)
            return False
        if not candidate.again and not self._is_timely(content):
            return False
        self._accept(slot, candidate, content, transactions)
        return True

    def _is_timely(self, content: Content) -> bool:
        """Rules that may come true later, or be our own fault: wait instead of blaming."""
        s = self._s
        header = content.header
        if abs(header.time_ms - s.wall_ms) > s.config.clock_window_ms:
            return False
        if content.transactions:
            return True
        # Whether an empty block is wanted is decided by the state right below it.
        if header.height != s.committed + 1 or s.delivered:
            return False
        return s.ledger.wants_block(header.time_ms)

    def _reject(self, slot: Slot, fault: str) -> None:
        slot.rejected = True
        self._s.log("proposal_rejected", height=slot.height, reason=fault)
        self._complain(ComplaintReason.INVALID_PROPOSAL)

    def _accept(
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
        slot.accepted = content
        slot.own_prepare = own
        raw = encode(own)
        leader_raw = raw if leads else encode(candidate.prepare)
        s.persist(
            slot_key(height),
            SlotRecord(
                s.epoch, s.view, content.header_bytes, join_ids(content.transactions),
                leader_raw, raw, candidate.again,
            ),
            height,
        )  # fmt: skip
        s.effects.hold.append((content.block, content.transactions))
        s.pool.fly(transactions, s.now_ms)
        slot.prepares.add(own)
        if not leads:
            s.broadcast_after(raw)
        elif not candidate.again:
            s.broadcast_after(encode(PrePrepare(content.header_bytes, content.transactions, raw)))

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
                self._prepared(slot, slot.accepted, slot.prepares.certificate(own.body))
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
                s.view, content.header_bytes, join_ids(content.transactions), certificate
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
                return
            running = s.executions.get(height)
            if running is None or running.content.block != content.block:
                self._discard_from(height)
                s.executions[height] = Execution(content)
                s.effects.execute.append(
                    Execute(
                        content.header, content.header_bytes, content.block, content.transactions
                    )
                )
            parent = content.block
            height += 1

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
                    self._check_divergence(slot)
                return

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
            self.certify(slot, own.body)

    # --- delivery -------------------------------------------------------------------------------

    def _deliver(self) -> bool:
        """Deliver the next certified and executed block; True when there was one (A5, A8)."""
        s = self._s
        height = s.committed + 1
        certified, execution = s.certified.get(height), s.executions.get(height)
        if certified is None or execution is None or execution.roots is None:
            return False
        content = execution.content
        if content.block != certified.block or s.diverged_at is not None:
            return False
        commit = certified.commit
        if execution.roots != (commit.state_root, commit.receipts_root):
            s.diverge(height)  # INV-11: never overwritten
            return False
        invariant(content.header.parent == s.tip_block, "INV-10 parent of a delivered block")
        s.effects.deliver.append(
            Deliver(
                content.header, content.header_bytes, content.block, content.transactions,
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
        del s.executions[height]
        s.prepared.pop(height, None)
        for key in (slot_key(height), commit_key(height), prepared_key(height)):
            s.forget(key)
        s.pool.remove(content.transactions, s.now_ms)
        if len(s.delivered) >= DELIVERED_MAX:
            del s.delivered[next(iter(s.delivered))]
        s.delivered[height] = (s.turn, content.members)
        floor = height - s.config.window
        for block in [b for b, c in s.contents.items() if c.header.height < floor]:
            del s.contents[block]
        self.prune_stash()
        self._on_commit()
        s.dirty = True

    # --- proposing ------------------------------------------------------------------------------

    def _propose(self) -> bool:
        """As leader: propose when the pipeline has room and the batch is full, has waited, or the
        pipeline is empty (protocol §5.4.2)."""
        s = self._s
        if not (s.leads and s.may_vote):
            return False
        height = s.top + 1
        if height > s.limit or not self._may_open(height):
            return False
        batch = self._batch(height)
        if batch is None:
            return False
        parent = s.parent_of(height)
        if parent is None:
            return False
        time_ms = max(s.wall_ms, parent[1] + 1)
        content = build_content(
            s.config, height=height, parent=parent[0], time_ms=time_ms, transactions=batch
        )
        transactions = self._fetches.bodies(content)
        invariant(transactions is not None, "INV-4 proposal without bodies")
        slot = self._slot(height)
        own = s.sign_vote(SignedKind.PREPARE, Prepare(s.epoch, s.view, height, content.block))
        slot.candidate = Candidate(content.block, own, again=False)
        s.contents[content.block] = content
        self._accept(slot, slot.candidate, content, transactions or [])
        return True

    def may_propose(self) -> bool:
        """Cheap pre-check for a leader when transactions arrived: would a proposal be due?"""
        s = self._s
        if s.committed + 1 not in s.slots:
            return True
        return (
            s.pool.pending >= s.config.batch_transactions_max
            or s.pool.pending_bytes >= s.config.batch_bytes_max
            or s.now_ms - s.pool.batch_since_ms >= s.config.batch_wait_ms
        )

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
        while pool.pending:
            full = (
                pool.pending >= config.batch_transactions_max
                or pool.pending_bytes >= config.batch_bytes_max
            )
            waited = s.now_ms - pool.batch_since_ms >= config.batch_wait_ms
            if not (empty_pipeline or full or waited):
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
        ancestors = s.ancestors(height)
        is_remembered = s.ledger.is_remembered

        def usable(transaction: Transaction) -> bool:
            if not earliest < transaction.valid_until <= latest or is_remembered(transaction.id):
                return False
            return not any(transaction.id in members for members in ancestors)

        return s.pool.take(
            s.config.batch_transactions_max, s.config.batch_bytes_max, s.now_ms, usable
        )
