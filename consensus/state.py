"""The state that the parts of a replica share, and the few primitive acts on it.

Who changes what: `normal_case` slots, contents, certificates and the tip; `views` the view numbers;
`catch_up` certified blocks and contents it fetched. Everything else only reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final

from consensus.config import ReplicaConfig, Tip
from consensus.constants import (
    CONTENTS_MAX,
    EVIDENCE_BYTES_MAX,
    EVIDENCE_PER_VALIDATOR_MAX,
    FETCHES_MAX,
    LOOKAHEAD_WINDOWS,
    VERIFIED_MAX,
)  # fmt: skip
from consensus.effects import ALL, Accusation, Effects, Persist, Retain, Send
from consensus.journal import DIVERGED, MUTE, VIEW, ViewRecord, commit_key, slot_key
from consensus.ledger_view import LedgerView
from consensus.pace import Pace
from consensus.pool import Pool
from consensus.slots import Certified, Content, Execution, Prepared, Slot
from consensus.view_change import OpenViewChange
from consensus.votes import Sign, Verifier, Verify
from tallynet.blocks import Certificate, Commit, Header, Prepare, faulty_max, quorum
from tallynet.codec import Wire, decode, encode
from tallynet.errors import RemoteProtocolError, invariant
from tallynet.evidence import NO_ROOT, Conviction, Divergence, Evidence, culprit, epoch_of_key
from tallynet.hashing import block_hash
from tallynet.messages import WINDOW_MAX, Signed, SignedKind


class Place(Enum):
    """Where a vote's (epoch, view, height) lies from here."""

    CURRENT = 1
    NEXT = 2
    """One of the next views, or view 0 of the next epoch: kept aside until we are there."""
    OTHER = 3
    """Passed, or too far ahead: dropped."""


class State:
    """Shared state of one replica. Plain attributes; the rules live in the parts."""

    def __init__(
        self,
        config: ReplicaConfig,
        sign: Sign,
        verify: Verify,
        ledger: LedgerView,
        tip: Tip,
        now_ms: int,
        wall_ms: int,
        accused: Iterable[bytes] = (),
    ) -> None:
        n = len(config.validators)
        self.config: Final = config
        self.index: Final = config.index
        self.n: Final = n
        self.f: Final = faulty_max(n)
        self.observes: Final = config.observes
        self.reach: Final = config.reach
        self._alone: Final = not self.observes and n == 1
        self.q: Final = quorum(n)
        self.ledger: Final = ledger
        self.verifier: Final = Verifier(
            verify, config.genesis, config.validators, VERIFIED_MAX, config.commit_keys
        )
        self.pool: Final = Pool(config.pool_max, config.batch_bytes_max)
        self.pace: Final = Pace(config, now_ms)
        self._sign: Final = sign
        self.effects = Effects()
        self.turn = 0
        self.durable_turn = 0
        self._written_turn = 0
        """Last turn that wanted something durable."""
        self._undurable_since_ms = now_ms
        """Since when the write has lasted that is under way, if one is."""
        self.now_ms = now_ms
        self.wall_ms = wall_ms

        self.committed = 0
        self.tip_block = tip.block
        self.tip_header = b""
        self.tip_certificate = tip.certificate
        self.tip_time_ms = config.genesis_time_ms
        self.ended = False
        """Another set validates from the next block on: this replica signs nothing more in its life."""
        self._load_tip(tip)
        self.epoch = self.committed // config.epoch_length

        self.view = 0
        self.voted_view = 0
        self.view_change = b""
        self.new_view = b""
        self.base = 0
        """Height of the committed block that the NewView of this view starts from. Somebody has
        proved everything up to it final, so nothing there is voted on, whether we have it or not."""
        self.view_since_ms = now_ms
        self.failed_views = 0
        """View changes since the last commit: the exponent of the back-off."""

        self.slots: Final[dict[int, Slot]] = {}
        self.contents: Final[dict[bytes, Content]] = {}
        self.prepared: Final[dict[int, Prepared]] = {}
        self.certified: Final[dict[int, Certified]] = {}
        self.executions: Final[dict[int, Execution]] = {}
        self.delivered: Final[dict[int, tuple[int, dict[bytes, None]]]] = {}
        """Height -> (turn, transaction ids) of blocks whose delivery was not reported durable yet:
        the ledger view may not know what they executed."""
        self.journaled: Final[dict[bytes, int]] = {}
        """Journal keys written, with their heights; deleted when the height is committed."""

        self.changes: Final[dict[int, OpenViewChange]] = {}
        """Signer -> its ViewChange for the highest view (A13)."""
        kept = sorted(accused)
        self.accused: Final = dict.fromkeys(
            key for key in kept if epoch_of_key(key) >= config.since
        )
        """Keys of the proofs that are kept against this set: an index of another one is somebody else."""
        self.accused_before: Final = len(kept) - len(self.accused)
        """Proofs that are kept against validators of earlier sets."""

        self.mute = not config.voting
        """Signs nothing but Status: told so, or the vote register is not to be trusted (B12)."""
        self.divergence: Divergence | None = None
        """A quorum or f+1 computed other roots than we did, or a quorum certified another chain. Durable: a
        restart does not make our results right."""
        self.spoiled = False
        """A certified block contradicts a vote of ours in this view: the leader equivocated, and no
        more votes are cast until the next view."""
        self.dirty = True
        """Something changed that the rules have to look at."""

    def _load_tip(self, tip: Tip) -> None:
        """Who joins may stand on a block of sets that it knows nothing of here: nothing but its height is
        used then, and the driver has verified it."""
        config = self.config
        if tip.header is None or tip.certificate is None:
            invariant(tip.header is None and tip.certificate is None, "INV-12 half a tip")
            invariant(tip.block == config.genesis, "INV-12 tip is not genesis")
        else:
            header = decode(Header, tip.header)
            commit = decode(Commit, tip.certificate.vote)
            if config.commit_keys(commit) is not None:
                commit = self.verifier.committed(tip.certificate)
            invariant(block_hash(tip.header) == tip.block == commit.block, "INV-12 tip hash")
            invariant(header.height == commit.height, "INV-12 tip height")
            self.committed = header.height
            self.tip_header = tip.header
            self.tip_time_ms = header.time_ms
            hands_over = self._hands_over(header)
            self.ended = hands_over and header.epoch >= config.since
            last_before = self.committed == config.since * config.epoch_length
            invariant(not (hands_over and last_before), "INV-12 tip of another set")
        invariant(tip.epoch == self.committed // config.epoch_length, "INV-12 tip epoch")

    def _hands_over(self, header: Header) -> bool:
        """The block ends an epoch and names another set for the next one."""
        ends = header.height % self.config.epoch_length == 0
        return ends and header.next_validators != self.config.validators_hash

    # --- where we are ---------------------------------------------------------------------------

    @property
    def joining(self) -> bool:
        """Still below the epochs of the own set: only a fetched state leads there."""
        return self.epoch < self.config.since

    @property
    def hands_over(self) -> bool:
        """The newest committed block names another set for what follows."""
        return bool(self.tip_header) and self._hands_over(decode(Header, self.tip_header))

    def next_validators(self, height: int) -> bytes | None:
        """Which set the header of `height` in this epoch must name. At the epoch's end the state decides,
        by what was executed up to WINDOW_MAX below (`node.ledger.membership`); None until the ledger
        view is known to have got so far."""
        if height != self.epoch_end:
            return self.config.validators_hash
        durable = min(self.delivered) - 1 if self.delivered else self.committed
        if durable < height - WINDOW_MAX:
            return None
        return self.ledger.next_validators(self.epoch + 1)

    @property
    def epoch_end(self) -> int:
        """Last height of the current epoch; nothing above it is voted on (INV-7)."""
        return (self.epoch + 1) * self.config.epoch_length

    @property
    def limit(self) -> int:
        """Highest height that may be accepted now (INV-7)."""
        return min(self.committed + self.config.window, self.epoch_end)

    @property
    def changing(self) -> bool:
        """Derived from durable numbers, not a flag of its own (A12)."""
        return self.voted_view > self.view

    @property
    def may_sign(self) -> bool:
        return not (self.mute or self.ended or self.joining) and self.divergence is None

    @property
    def may_vote(self) -> bool:
        """Prepare and Commit are allowed (INV-8)."""
        return self.voted_view == self.view and self.may_sign and not self.spoiled

    def leader_of(self, view: int) -> int:
        """validators[view mod n] (protocol §5.6; no rotation in this version)."""
        return view % self.n

    @property
    def leads(self) -> bool:
        """This replica is the leader of the view it is in."""
        return self.view % self.n == self.index and not self.changing

    @property
    def top(self) -> int:
        """Highest accepted height; accepted ones are consecutive above the committed one."""
        height = self.committed
        slots = self.slots
        while (slot := slots.get(height + 1)) is not None and slot.accepted is not None:
            height += 1
        return height

    def parent_of(self, height: int) -> tuple[bytes, int] | None:
        """(hash, time in ms) of the block that `height` must follow in this view: committed or
        accepted (INV-4); None when neither is so."""
        if height == self.committed + 1:
            return self.tip_block, self.tip_time_ms
        below = self.slots.get(height - 1)
        if below is None or below.accepted is None:
            return None
        return below.accepted.block, below.accepted.header.time_ms

    def undecided_below(self, height: int) -> list[dict[bytes, None]]:
        """Transaction ids of every block below `height` of which the ledger view may not know yet
        whether it executed them: the copy that it holds may be one that the law does not admit."""
        sets = [transactions for _, transactions in self.delivered.values()]
        for below in range(self.committed + 1, height):
            slot = self.slots.get(below)
            if slot is not None and slot.accepted is not None:
                sets.append(slot.transactions)
        return sets

    def place(self, epoch: int, view: int, height: int) -> Place:
        """Where a vote belongs. Numbers from the wire are only compared, never counted to (A13)."""
        if not self.committed < height <= self.committed + LOOKAHEAD_WINDOWS * self.config.window:
            return Place.OTHER
        if self.joining:
            return Place.OTHER
        if epoch == self.epoch:
            if height > self.epoch_end or view < self.view:
                return Place.OTHER
            if view == self.view:
                return Place.CURRENT
            return Place.NEXT if view <= self.voted_view + 1 else Place.OTHER
        if epoch == self.epoch + 1 and view == 0 and height > self.epoch_end:
            return Place.NEXT
        return Place.OTHER

    # --- the disk -------------------------------------------------------------------------------

    def note_writes(self) -> None:
        """The step ends: has it wanted something durable?"""
        if self.effects.persist or self.effects.deliver:
            if self.durable_turn >= self._written_turn:
                self._undurable_since_ms = self.now_ms
            self._written_turn = self.turn

    def note_durable(self, turn: int) -> None:
        """Everything up to this turn is on disk."""
        self.durable_turn = max(self.durable_turn, turn)
        self._undurable_since_ms = self.now_ms

    @property
    def undurable_ms(self) -> int:
        """For how long the disk has not answered; 0 when nothing waits for it."""
        if self.durable_turn >= self._written_turn:
            return 0
        return self.now_ms - self._undurable_since_ms

    # --- primitive acts -------------------------------------------------------------------------

    def sign(self, kind: SignedKind, body: Wire) -> Signed:
        """Sign a body with the own key."""
        allowed = self.may_sign or (kind == SignedKind.STATUS and not self.observes)
        invariant(allowed, "INV-8 signature of a mute replica")
        raw = encode(body)
        signed = Signed(kind, raw, self.index, self._sign(kind, raw))
        self.verifier.remember(signed)
        return signed

    def sign_vote(self, kind: SignedKind, vote: Prepare | Commit) -> Signed:
        """Sign a Prepare or Commit of the current view (INV-3, INV-8)."""
        invariant(self.may_vote, "INV-8 vote while not allowed to")
        invariant(
            vote.epoch == self.epoch and vote.view == self.view == self.voted_view,
            "INV-3 vote in another view",
        )
        return self.sign(kind, vote)

    def keep(self, content: Content) -> None:
        """Hold a block's content; when there are too many, those of no use go first."""
        if len(self.contents) >= CONTENTS_MAX:
            named = [e.block for _, c in sorted(self.changes.items()) for e in c.prepared]
            self.keep_contents(named[-FETCHES_MAX:])
        self.contents[content.block] = content

    def keep_contents(self, named: Iterable[bytes]) -> None:
        """Drop every content, with its bodies, but those `named`, accepted in this view, under a sticky or a commit
        certificate, in execution, or committed lately: the rest could only grow with the number of
        views."""
        blocks = [slot.accepted.block for slot in self.slots.values() if slot.accepted is not None]
        blocks += [
            slot.candidate.block for slot in self.slots.values() if slot.candidate is not None
        ]
        blocks += [prepared.content.block for prepared in self.prepared.values()]
        blocks += [certified.block for certified in self.certified.values()]
        blocks += [execution.content.block for execution in self.executions.values()]
        kept = dict.fromkeys([*blocks, *named])
        self.effects.retain.append(Retain(self.committed, tuple(kept)))
        for block in [
            block
            for block, content in self.contents.items()
            if block not in kept and content.header.height > self.committed
        ]:
            del self.contents[block]

    def persist(self, key: bytes, record: Wire, height: int) -> None:
        """Write a journal entry that dies with its height."""
        self.journaled[key] = height
        self.effects.persist.append(Persist(key, encode(record)))

    def forget(self, key: bytes) -> None:
        """Delete a journal entry, if it was written."""
        if self.journaled.pop(key, None) is not None:
            self.effects.persist.append(Persist(key, None))

    def forget_votes(self, height: int) -> None:
        """Drop the journaled slot and Commit of a view being left; a sticky certificate stays."""
        self.forget(slot_key(height))
        self.forget(commit_key(height))

    def persist_view(self) -> None:
        record = ViewRecord(self.epoch, self.view, self.voted_view, self.view_change, self.new_view)
        self.effects.persist.append(Persist(VIEW, encode(record)))

    def send_after(self, to: int, message: bytes) -> None:
        """Send once this step is durable."""
        if not self._alone:
            self.effects.send_after.append(Send(to, message))

    def send_now(self, to: int, message: bytes) -> None:
        if not self._alone:
            self.effects.send_now.append(Send(to, message))

    def broadcast_after(self, message: bytes) -> None:
        self.send_after(ALL, message)

    def log(self, name: str, **fields: object) -> None:
        self.effects.log.append((name, fields))

    def is_accused(self, found: Conviction) -> bool:
        """One more such proof would not be kept: it is not worth verifying."""
        share = sum(key[1:3] == found.key[1:3] for key in self.accused)
        return found.key in self.accused or share >= EVIDENCE_PER_VALIDATOR_MAX

    def accuse(self, proof: Evidence) -> None:
        """Keep a proof, unless it proves nothing, says what is known, or its culprit has filled its
        share. Whatever leads here, only what the public verifier accepts is kept (INV-26)."""
        raw = encode(proof)
        if len(raw) > EVIDENCE_BYTES_MAX:
            return
        try:
            found = culprit(raw, self.config, self.verifier.check)
        except RemoteProtocolError:
            return
        if found.epoch < self.config.since:
            return  # by a validator of the set before, whoever has that index now
        if found.signer == self.index or self.is_accused(found):
            return  # against ourselves it is the register that is lost: see `check_own`
        self.accused[found.key] = None
        self.effects.evidence.append(Accusation(found.key, raw))
        self.log(
            "misbehaviour",
            validator=found.signer,
            rule=found.rule.name,
            what=found.rule.sentence,
            epoch=found.epoch,
            view=found.view,
            height=found.height,
        )

    def fall_silent(self, why: str) -> None:
        """Never vote again with this key on this disk (B12)."""
        if not self.mute:
            self.mute = True
            self.effects.persist.append(Persist(MUTE, b"\x01"))
            self.log("votes_stopped", reason=why)

    def diverge(self, found: Divergence) -> None:
        """Others executed this block to other roots, or certified another one: stop, loudly, and for good
        (protocol §5.4.5, INV-11). Nothing is signed any more but Status, nothing is delivered."""
        if self.divergence is None:
            self.divergence = found
            self.effects.persist.append(Persist(DIVERGED, encode(found)))
            self.log(
                "forked" if found.is_fork else "diverged",
                height=found.height,
                block=found.block,
                state_root=found.state_root,
                receipts_root=found.receipts_root,
                votes=len(found.others),
                certified=found.certificate is not None,
            )

    def fork(self, commit: Commit, certificate: Certificate, ours: bytes) -> None:
        """A valid certificate contradicts our block `ours`: more than f validators are faulty."""
        self.diverge(
            Divergence(commit.epoch, commit.height, ours, NO_ROOT, NO_ROOT, (), certificate)
        )

    def check_own(self, message: Signed, epoch: int, view: int, height: int) -> None:
        """A verified message carries our own signature. If the register does not know it, the
        register is older than our votes: amnesia (B12)."""
        if not self._remembers(message, epoch, view, height):
            self.fall_silent("a vote of ours that the register does not hold")

    def _remembers(self, message: Signed, epoch: int, view: int, height: int) -> bool:
        """Whether an own vote can be of the history that the register holds."""
        if (epoch, view) > (self.epoch, self.view):
            return False  # nobody votes in a view before it is entered, which is written down
        if epoch < self.epoch or height <= self.committed:
            return True
        is_prepare = message.kind == SignedKind.PREPARE
        if view < self.view:
            # Votes in views that were left are deleted. The certificate under a Commit is sticky (INV-4b).
            prepared = self.prepared.get(height)
            return is_prepare or (prepared is not None and prepared.view >= view)
        slot = self.slots.get(height)
        if slot is None:
            return False
        own = slot.own_prepare if is_prepare else slot.own_commit
        return own is not None and own.body == message.body
