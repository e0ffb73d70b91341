"""Leaving a view and entering the next: complaints, ViewChanges, NewViews (protocol §5.6).

    NORMAL in v --q complaints about v--> CHANGING to v+1 --NewView(v+1)--> NORMAL in v+1
        |  f+1 complaints: complain too            |  timer: complain about v+1
        |  f+1 ViewChanges for higher views: adopt the (f+1)-th highest
        +-- a valid NewView of any higher view enters it at once

Nobody is moved by one claim, and nobody is stranded: whoever is ahead hands its proof (NewView, or
complaints and ViewChanges) to whoever shows a lower view in its Status.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from consensus import accusations
from consensus.catch_up import CatchUp, Fetches
from consensus.constants import LOOKAHEAD_WINDOWS
from consensus.effects import Archived
from consensus.journal import open_signed
from consensus.slots import Candidate, Slot
from consensus.state import State
from consensus.view_change import (
    Entry,
    OpenNewView,
    OpenViewChange,
    Selection,
    open_new_view,
    open_view_change,
    select_new_view,
)  # fmt: skip
from tallynet.blocks import Prepare
from tallynet.codec import decode, encode
from tallynet.errors import RemoteProtocolError, invariant
from tallynet.evidence import Conviction, NewViewsEvidence, Rule
from tallynet.messages import (
    Complaint,
    ComplaintReason,
    NewView,
    PreparedEntry,
    Signed,
    SignedKind,
    Status,
    ViewChange,
)  # fmt: skip


class Views:
    """Acts on the view numbers of the shared state; `on_enter` runs when a view was entered."""

    def __init__(
        self, state: State, fetches: Fetches, catch_up: CatchUp, on_enter: Callable[[], None]
    ) -> None:
        self._s: Final = state
        self._fetches: Final = fetches
        self._catch_up: Final = catch_up
        self._on_enter: Final = on_enter
        self._complaints: Final[dict[int, tuple[int, int, Signed]]] = {}
        """Signer -> (view, received at, message): the highest view it complained about (A13)."""
        self.complaint: Signed | None = None
        """The own complaint that stands, repeated until its reason has gone."""
        self._reason = ComplaintReason.JOINED
        self._complaint_view = -1
        self._again: list[tuple[Entry, Signed]] = []
        """Chosen by the NewView of this view, ascending, not placed yet."""

    # --- complaints -----------------------------------------------------------------------------

    def complain(self, reason: ComplaintReason, view: int | None = None) -> None:
        """Ask to leave the current view, or the one being changed to; keep voting meanwhile."""
        s = self._s
        about = s.voted_view if view is None else view
        if not s.may_sign or self._complaint_view >= about:
            return
        signed = s.sign(SignedKind.COMPLAINT, Complaint(s.epoch, about, reason))
        self.complaint, self._complaint_view, self._reason = signed, about, reason
        self._complaints[s.index] = (about, s.now_ms, signed)
        s.send_now(-1, encode(signed))
        s.log("complained", epoch=s.epoch, view=about, reason=reason.name)
        s.dirty = True

    def withdraw(self) -> None:
        """A block was committed: take the own complaint back when its reason has gone."""
        s = self._s
        if self.complaint is None or s.changing or self._complaint_view > s.view:
            return
        if self._reason == ComplaintReason.TRANSACTION_TIMEOUT:
            passed = s.pool.passed_since_ms()
            stands = passed is not None and (s.now_ms - passed >= s.config.transaction_complain_ms)
        elif self._reason == ComplaintReason.JOINED:
            stands = len(self._fresh_complaints()) - 1 > s.f
        elif self._reason == ComplaintReason.SLOW_LEADER:
            stands = s.pace.is_slow
        else:
            stands = self._reason in (
                ComplaintReason.INVALID_PROPOSAL,
                ComplaintReason.EQUIVOCATION,
            )
        if not stands:
            self.complaint, self._complaint_view = None, -1
            self._complaints.pop(s.index, None)

    def on_complaint(self, signed: Signed) -> None:
        """Accepted when signed by a validator, in this epoch, about the view we are in or a higher
        one. One per validator is kept, the highest. Raises RemoteProtocolError BAD_SIGNATURE."""
        s = self._s
        body = decode(Complaint, signed.body)
        if body.epoch != s.epoch or body.view < s.view:
            return
        known = self._complaints.get(signed.signer)
        if known is not None and known[0] > body.view:
            return
        repeated = known is not None and known[2] == signed
        if not repeated and not s.verifier.signed(signed):
            raise RemoteProtocolError("BAD_SIGNATURE", "Complaint")
        if signed.signer == s.index:
            return  # sent before a restart; it neither binds us nor proves anything
        self._complaints[signed.signer] = (body.view, s.now_ms, signed)
        s.dirty = True

    def _fresh_complaints(self) -> list[int]:
        """Views complained about lately, highest first."""
        s = self._s
        oldest = s.now_ms - s.config.complaint_life_ms
        return sorted(
            (
                view
                for signer, (view, at_ms, _) in self._complaints.items()
                if at_ms >= oldest or signer == s.index
            ),
            reverse=True,
        )

    # --- moving ---------------------------------------------------------------------------------

    def settle(self) -> None:
        """Apply the three rules that may move this replica, then try to open the view it leads."""
        s = self._s
        if s.may_sign and (self._complaints or s.changes):
            views = self._fresh_complaints()
            if len(views) > s.f and views[s.f] >= s.voted_view:
                self.complain(ComplaintReason.JOINED, views[s.f])
                views = self._fresh_complaints()
            if len(views) >= s.q and views[s.q - 1] >= s.voted_view:
                self._change_to(views[s.q - 1] + 1)
            targets = sorted((c.to_view for c in s.changes.values()), reverse=True)
            if len(targets) > s.f and targets[s.f] > s.voted_view:
                self._change_to(targets[s.f])
        if s.changing and s.may_sign and s.leader_of(s.voted_view) == s.index:
            self._open_view()

    def _change_to(self, view: int) -> None:
        """Stop voting, write that down, send the ViewChange (protocol §5.5)."""
        s = self._s
        invariant(view > s.voted_view, "INV-1 voted view decreases")
        s.voted_view = view
        s.failed_views += 1
        signed = s.sign(
            SignedKind.VIEW_CHANGE,
            ViewChange(
                epoch=s.epoch,
                to_view=view,
                committed_header=s.tip_header,
                committed=s.tip_certificate,
                prepared=tuple(
                    PreparedEntry(p.content.header_bytes, p.certificate)
                    for _, p in sorted(s.prepared.items())
                ),
            ),
        )
        s.view_change = encode(signed)
        s.persist_view()
        s.broadcast_after(s.view_change)
        change = self._open_change(signed)
        shown = [entry.height for entry in change.prepared]
        invariant(shown == sorted(s.prepared), "INV-4b a ViewChange that hides a certificate")
        s.changes[s.index] = change
        s.log("view_change", epoch=s.epoch, to_view=view)

    def _open_change(self, signed: Signed) -> OpenViewChange:
        """Own ones pass the same validation as others' (A3)."""
        s = self._s
        return open_view_change(signed, config=s.config, verifier=s.verifier, epoch=s.epoch)

    def on_view_change(self, signed: Signed) -> None:
        """Accepted when everything in it verifies; the highest per validator is kept.

        Raises:
            RemoteProtocolError: see `open_view_change`.
        """
        s = self._s
        body = decode(ViewChange, signed.body)
        if body.epoch != s.epoch or body.to_view <= s.view:
            return
        known = s.changes.get(signed.signer)
        if known is not None and known.to_view >= body.to_view:
            second = Conviction(signed.signer, Rule.VIEW_CHANGES, body.epoch, body.to_view, 0)
            repeated = known.to_view > body.to_view or known.signed.body == signed.body
            if repeated or s.is_accused(second):
                return
        change = self._open_change(signed)
        accusations.by_change(s, change)
        if signed.signer == s.index:
            s.fall_silent("a ViewChange of ours that the register does not hold")
            return
        if known is not None and known.to_view == body.to_view:
            return  # the first one stays (A16)
        s.changes[signed.signer] = change
        if change.base.height > s.committed:
            self._catch_up.claim(signed.signer, change.base.height)
        s.dirty = True

    # --- the new leader -------------------------------------------------------------------------

    def _open_view(self) -> None:
        """With q ViewChanges for the view this replica leads: propose again what they select.

        First it gets what it lacks, committed blocks and the contents and bodies of the chosen
        ones: its Prepares say that it holds them (INV-4)."""
        s = self._s
        ours = [c for _, c in sorted(s.changes.items()) if c.to_view == s.voted_view]
        # Any q of them will do. Those naming nothing that we lack come first: whoever holds a
        # certificate back, and the block under it, cannot keep the view from opening.
        ready = [change for change in ours if self._is_ready(change)]
        if len(ready) < s.q:
            return
        changes = ready[: s.q]
        self._announce(changes, select_new_view(changes, s.config.window))

    def _is_ready(self, change: OpenViewChange) -> bool:
        """Everything that this ViewChange may select is held; asks for what is not."""
        if change.base.height > self._s.committed:
            self._catch_up.ask()
            return False
        held = [self._holds(entry) for entry in change.prepared]  # no short cut: ask for all
        return all(held)

    def _holds(self, entry: Entry) -> bool:
        s = self._s
        if entry.height <= s.committed:
            return True
        content = s.contents.get(entry.block)
        if content is None:
            self._fetches.want_content(entry.block, entry.height, at_once=True)
            return False
        return self._fetches.bodies(content) is not None

    def _announce(self, changes: list[OpenViewChange], selection: Selection) -> None:
        s = self._s
        view = s.voted_view
        prepares = tuple(
            s.sign(SignedKind.PREPARE, Prepare(s.epoch, view, entry.height, entry.block))
            for entry in selection.entries
        )
        signed = s.sign(
            SignedKind.NEW_VIEW,
            NewView(
                epoch=s.epoch,
                view=view,
                view_changes=tuple(encode(change.signed) for change in changes),
                proposals=tuple(entry.header_bytes for entry in selection.entries),
                prepares=tuple(encode(prepare) for prepare in prepares),
            ),
        )
        raw = encode(signed)
        s.broadcast_after(raw)
        self._enter(self._own(signed), raw)

    def _own(self, signed: Signed) -> OpenNewView:
        """Own ones pass the same validation as others' (A3, INV-13)."""
        s = self._s
        try:
            return open_new_view(signed, config=s.config, verifier=s.verifier, epoch=s.epoch)
        except RemoteProtocolError:
            invariant(False, "INV-13 our own NewView")
            raise

    # --- entering -------------------------------------------------------------------------------

    def on_new_view(self, signed: Signed) -> None:
        """Accepted when everything in it verifies and recomputes (INV-13), for a view higher than
        ours and not below the one we changed to (INV-3).

        Raises:
            RemoteProtocolError: see `open_new_view`.
        """
        s = self._s
        body = decode(NewView, signed.body)
        if body.epoch == s.epoch and body.view == s.view and s.new_view:
            self._compare(signed)
        if body.epoch != s.epoch or body.view <= s.view or body.view < s.voted_view:
            return
        opened = open_new_view(signed, config=s.config, verifier=s.verifier, epoch=s.epoch)
        if signed.signer == s.index:
            s.fall_silent("a NewView of ours that the register does not hold")
        for change in opened.view_changes:
            accusations.by_change(s, change)
            if change.signed.signer == s.index and change.to_view > s.voted_view:
                s.fall_silent("a ViewChange of ours that the register does not hold")
        self._enter(opened, encode(signed))

    def _compare(self, signed: Signed) -> None:
        """Is a NewView of the view we are in the one that opened it here?"""
        s = self._s
        raw = encode(signed)
        second = Conviction(signed.signer, Rule.NEW_VIEWS, s.epoch, s.view, 0)
        if raw == s.new_view or s.is_accused(second):
            return
        s.accuse(NewViewsEvidence(s.new_view, raw))
        if signed.signer == s.index and s.verifier.signed(signed):
            s.fall_silent("a NewView of ours that the register does not hold")

    def _enter(self, opened: OpenNewView, raw: bytes) -> None:
        s = self._s
        invariant(opened.view > s.view, "INV-1 view decreases")
        if opened.view > s.voted_view:
            s.failed_views += 1
        s.keep_contents([entry.block for entry in opened.selection.entries])
        for slot in s.slots.values():
            s.forget_votes(slot.height)
        s.slots.clear()
        self._fetches.clear()
        s.view = opened.view
        s.voted_view = max(s.voted_view, opened.view)
        s.new_view = raw
        s.effects.archive.append(Archived(s.epoch, s.view, raw))
        s.spoiled = False
        s.view_since_ms = s.now_ms
        s.pace.leave_view()
        s.persist_view()
        s.pool.land(s.now_ms, s.ledger.is_remembered)
        self.place_candidates(opened)
        base = opened.selection.base.height
        if base > s.committed:
            for change in opened.view_changes:
                if change.base.height == base and change.signed.signer != s.index:
                    self._catch_up.claim(change.signed.signer, base)
            self._catch_up.ask()
        self._forget_passed()
        s.dirty = True
        s.log("new_view", epoch=s.epoch, view=s.view, again=len(opened.selection.entries))
        self._on_enter()

    def place_candidates(self, opened: OpenNewView) -> None:
        """The chosen blocks become the candidates of the new view, above its base."""
        self._s.base = opened.selection.base.height
        self._again = list(zip(opened.selection.entries, opened.prepares, strict=True))
        self.place_due()

    def place_due(self) -> None:
        """Place the chosen blocks that the window has reached; a replica far behind the new view's
        base gets there by fetching blocks first (INV-7)."""
        s = self._s
        highest = s.committed + LOOKAHEAD_WINDOWS * s.config.window
        while self._again and self._again[0][0].height <= highest:
            entry, prepare = self._again.pop(0)
            if entry.height <= s.committed:
                continue
            slot = s.slots.get(entry.height)
            if slot is None:
                slot = s.slots[entry.height] = Slot(entry.height, s.now_ms)
            s.dirty = True
            slot.candidate = Candidate(entry.block, prepare, again=True)
            slot.prepares.add(prepare)
            if prepare.signer == s.index:
                slot.own_prepare = prepare

    def _forget_passed(self) -> None:
        """Complaints and ViewChanges for the views now passed."""
        s = self._s
        for signer in [i for i, (view, _, _) in self._complaints.items() if view < s.view]:
            del self._complaints[signer]
        for signer in [i for i, change in s.changes.items() if change.to_view <= s.view]:
            del s.changes[signer]
        if self._complaint_view < s.view:
            self.complaint, self._complaint_view = None, -1

    def enter_epoch(self) -> None:
        """The last block of the epoch is committed: views restart at 0 (protocol §5.8)."""
        s = self._s
        for slot in s.slots.values():
            s.forget_votes(slot.height)
        s.slots.clear()
        s.epoch += 1
        s.view = s.voted_view = s.failed_views = 0
        self._again = []
        s.view_change = s.new_view = b""
        s.spoiled = False
        s.view_since_ms = s.now_ms
        s.pace.leave_view()
        self._complaints.clear()
        s.changes.clear()
        self.complaint, self._complaint_view = None, -1
        s.persist_view()
        s.pool.land(s.now_ms, s.ledger.is_remembered)
        s.ended = s.hands_over
        s.log("new_epoch", epoch=s.epoch, validators_change=s.ended)
        if not s.ended:  # what is kept for the next epoch was verified with this set's keys
            self._on_enter()

    def restore(self) -> None:
        """After a restart: the NewView of this view and the own ViewChange stand again."""
        s = self._s
        if s.view_change and s.changing:
            s.changes[s.index] = self._open_change(open_signed(s.view_change))

    # --- helping those behind -------------------------------------------------------------------

    def help(self, peer: int, status: Status) -> None:
        """A peer of this epoch shows a lower view: hand it what will move it."""
        s = self._s
        if s.new_view and (s.view > status.view or (s.view == status.view and status.changing)):
            s.send_after(peer, s.new_view)
        if not s.changing:
            return
        if status.view < s.voted_view:
            for signer in sorted(self._complaints):
                view, _, signed = self._complaints[signer]
                if view >= status.view:
                    s.send_now(peer, encode(signed))
        for signer in sorted(s.changes):
            change = s.changes[signer]
            if change.to_view > status.view or (
                change.to_view == status.view and s.leader_of(status.view) == peer
            ):
                s.send_after(peer, encode(change.signed))

    def repeat(self) -> None:
        """Every T_STATUS: complain again while the complaint stands."""
        s = self._s
        if self.complaint is not None and s.may_sign:
            s.send_now(-1, encode(self.complaint))

    @property
    def complaints(self) -> int:
        """Validators with a complaint, fresh or not."""
        return len(self._complaints)

    def lacks_blocks(self) -> bool:
        """A ViewChange for our view stands on a block that we have not committed yet."""
        s = self._s
        return any(
            change.to_view == s.voted_view and change.base.height > s.committed
            for change in s.changes.values()
        )

    def waiting_for(self) -> tuple[int, ...]:
        """Validators whose ViewChange for our view is missing."""
        s = self._s
        return tuple(
            i
            for i in range(s.n)
            if (change := s.changes.get(i)) is None or change.to_view != s.voted_view
        )
