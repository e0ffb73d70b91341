"""The intake of proposals and votes: what is verified, counted, kept for later or held against
its signer.

Every check stands before the first change; a message that fails one changes nothing (A16).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from consensus import accusations
from consensus.journal import open_signed
from consensus.proposals import open_content
from consensus.slots import Candidate, Certified, Content, Slot
from consensus.state import Place, State
from tallynet.blocks import Commit, Prepare
from tallynet.codec import encode
from tallynet.errors import RemoteProtocolError
from tallynet.evidence import Divergence
from tallynet.hashing import block_hash
from tallynet.messages import ComplaintReason, PrePrepare, Signed, SignedKind

Complain = Callable[[ComplaintReason], None]


class Ballots:
    """Fills the slots' candidates and tallies; `complain` belongs to the view change."""

    def __init__(self, state: State, complain: Complain) -> None:
        self._s: Final = state
        self._complain: Final = complain
        self._stash: Final[dict[tuple[int, int, int], tuple[int, int, PrePrepare | Signed]]] = {}
        """(signer, kind, height) -> (epoch, view, message), verified: votes of the next views. At
        most one per signer, phase and height inside the window (INV-17)."""

    # --- messages -------------------------------------------------------------------------------

    def on_preprepare(self, message: PrePrepare) -> None:
        """Accepted when the leader of its view signed a Prepare for the hash of this header, and
        header and envelope hashes belong together. Kept as the candidate of its height; the first one stays.

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
        content = known or open_content(message.header, message.envelopes)
        self._count_prepare(self.slot(prepare.height), signed, prepare, content)

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
            self._count_prepare(self.slot(vote.height), signed, vote, None)
        else:
            self._count_commit(self.slot(vote.height), signed, vote)

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

    def slot(self, height: int) -> Slot:
        """The slot of a height, opened when there is none."""
        slot = self._s.slots.get(height)
        if slot is None:
            slot = self._s.slots[height] = Slot(height, self._s.now_ms)
        return slot

    def _count_prepare(
        self, slot: Slot, signed: Signed, vote: Prepare, content: Content | None
    ) -> None:
        s = self._s
        s.dirty = True
        consistent = slot.prepares.add(signed) is None
        accusations.by_vote(s, slot, signed)
        if signed.signer == s.leader_of(s.view):
            if not consistent:
                self._complain(ComplaintReason.EQUIVOCATION)
            if slot.candidate is None:
                slot.candidate = Candidate(vote.block, signed, again=False)
        candidate = slot.candidate
        if content is not None and candidate is not None and candidate.block == content.block:
            s.keep(content)

    def _count_commit(self, slot: Slot, signed: Signed, vote: Commit) -> None:
        s = self._s
        first = slot.commits.add(signed) is None
        accusations.by_vote(s, slot, signed)
        if not first:
            return
        if slot.commits.count(signed.body) >= s.q:
            self.certify(slot, signed.body)
        self.check_divergence(slot)

    def certify(self, slot: Slot, body: bytes) -> None:
        """q equal Commits: final, whatever else this replica knows of the block."""
        s = self._s
        vote = s.verifier.vote(SignedKind.COMMIT, body)
        if not isinstance(vote, Commit):
            return
        known = s.certified.get(slot.height)
        certificate = slot.commits.certificate(body, s.q)
        if known is None:
            s.certified[slot.height] = Certified(vote.block, certificate, vote)
            s.dirty = True
        elif known.block != vote.block:
            s.fork(vote, certificate, known.block)

    def check_divergence(self, slot: Slot) -> None:
        """f+1 Commits with other roots for a block that we executed (protocol §5.4.5)."""
        s = self._s
        execution = s.executions.get(slot.height)
        if execution is None or execution.roots is None:
            return
        others: list[Signed] = []
        for body in slot.commits.bodies():
            vote = s.verifier.vote(SignedKind.COMMIT, body)
            if not isinstance(vote, Commit) or vote.block != execution.content.block:
                continue
            if (vote.state_root, vote.receipts_root) != execution.roots:
                others += slot.commits.signed(body)
        if len(others) > s.f:
            proof = tuple(encode(signed) for signed in others)
            s.diverge(
                Divergence(
                    s.epoch, slot.height, execution.content.block, *execution.roots, proof, None
                )
            )
