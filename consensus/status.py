"""Status: how replicas notice that somebody is behind, and repair it (protocol §5.7 a).

A replica whose blocks do not get committed hands its own votes again to everybody whose Status
shows that they may lack them; nobody has to know what it misses.
"""

from __future__ import annotations

from typing import Final

from consensus.catch_up import CatchUp
from consensus.slots import Slot
from consensus.state import State
from consensus.views import Views
from tallynet.codec import decode, encode
from tallynet.errors import RemoteProtocolError
from tallynet.messages import (
    FetchProposal,
    FetchVotes,
    Newest,
    PrePrepare,
    Proposal,
    Signed,
    SignedKind,
    Status,
)  # fmt: skip


class StatusExchange:
    """Sends and answers Status, and the fetches that are answered from memory."""

    def __init__(self, state: State, views: Views, catch_up: CatchUp) -> None:
        self._s: Final = state
        self._views: Final = views
        self._catch_up: Final = catch_up
        self._next_ms = state.now_ms
        self.seen_ms: Final[dict[int, int]] = {}
        """Validator -> when it was last heard of."""
        self._answered_ms: Final[dict[int, int]] = {}
        """Validator -> when a Status of its was answered last."""

    @property
    def next_ms(self) -> int:
        return self._next_ms

    def tick(self) -> bool:
        """Every T_STATUS: say where this replica stands, and repeat what stands; True when it was time."""
        s = self._s
        if s.now_ms < self._next_ms:
            return False
        self._next_ms = s.now_ms + s.config.status_ms
        self.send(-1)
        self._views.repeat()
        self._catch_up.on_status_tick()
        return True

    def send(self, to: int) -> None:
        s = self._s
        if s.observes:
            s.send_now(to, encode(Newest(s.committed)))
        elif s.n > 1:
            status = Status(s.epoch, s.voted_view, s.changing, s.committed, max(0, s.wall_ms))
            s.send_now(to, encode(s.sign(SignedKind.STATUS, status)))

    def on_status(self, source: int, signed: Signed) -> None:
        """Accepted from its signer only. Of one of another epoch, in which sender and receiver may have
        other indices and keys, the height is taken as a hint of the peer that the connection proves.

        Raises:
            RemoteProtocolError: NOT_FROM_SIGNER, BAD_SIGNATURE.
        """
        s = self._s
        status = decode(Status, signed.body)
        if status.epoch != s.epoch:
            self._catch_up.claim(source, status.committed)
            return
        if signed.signer != source:
            raise RemoteProtocolError("NOT_FROM_SIGNER", "a Status is not passed on")
        if not s.verifier.signed(signed):
            raise RemoteProtocolError("BAD_SIGNATURE", "Status")
        self._catch_up.claim(source, status.committed)
        answered_ms = self._answered_ms.get(source)
        early = answered_ms is not None and s.now_ms - answered_ms < s.config.status_answer_ms
        if early:
            return
        self._answered_ms[source] = s.now_ms
        if status.view < s.voted_view or status.changing:
            self._views.help(source, status)
        elif status.view == s.view and not s.changing:
            self._push(source, status.committed, old_only=True)

    def on_fetch_votes(self, source: int, message: FetchVotes) -> None:
        """Answer with every own vote of this view above the given height."""
        s = self._s
        if (message.epoch, message.view) == (s.epoch, s.view):
            self._push(source, message.committed, old_only=False)

    def _push(self, peer: int, committed: int, *, old_only: bool) -> None:
        """Send own votes of open slots again, as far as the peer's votes do not show that it has
        them; with `old_only`, of those slots that have been open for a Status period."""
        s = self._s
        if not s.may_sign:
            return
        old = s.now_ms - s.config.status_ms
        for height in range(max(committed, s.committed) + 1, s.limit + 1):
            slot = s.slots.get(height)
            if slot is None or (old_only and slot.since_ms > old):
                continue
            if slot.own_prepare is not None and slot.commits.of(peer) is None:
                if slot.prepares.of(peer) is None or not old_only:
                    self._push_proposal(peer, slot)
                s.send_after(peer, encode(slot.own_prepare))
            if slot.own_commit is not None:
                s.send_after(peer, encode(slot.own_commit))

    def _push_proposal(self, peer: int, slot: Slot) -> None:
        """The leader repeats its proposal; others pass on what makes it one, the leader's Prepare. So a
        leader that leaves somebody out, to make the rest wait for its own votes, gains nothing."""
        s = self._s
        content, own, candidate = slot.accepted, slot.own_prepare, slot.candidate
        if s.leads and content is not None and own is not None:
            message = PrePrepare(content.header_bytes, content.envelopes, encode(own))
            s.send_after(peer, encode(message))
        elif candidate is not None and not candidate.again:
            s.send_after(peer, encode(candidate.prepare))

    def on_fetch_proposal(self, source: int, message: FetchProposal) -> None:
        """Answer with the content of a block in flight or committed lately."""
        s = self._s
        content = s.contents.get(message.block)
        if content is None:
            prepared = s.prepared.get(message.height)
            if prepared is not None and prepared.content.block == message.block:
                content = prepared.content
        if content is not None:
            s.send_now(source, encode(Proposal(content.header_bytes, content.envelopes)))

    def restart(self) -> None:
        """First step after a start: say where we are, repeat current votes, ask for others'."""
        s = self._s
        for height in sorted(s.slots if s.may_sign else ()):
            slot = s.slots[height]
            if slot.own_prepare is not None and slot.accepted is not None:
                s.broadcast_after(encode(slot.own_prepare))
            if slot.own_commit is not None:
                s.broadcast_after(encode(slot.own_commit))
        if s.changing and s.view_change and s.may_sign:
            s.broadcast_after(s.view_change)
        if s.n > 1 and not s.observes:
            s.send_now(-1, encode(FetchVotes(s.epoch, s.view, s.committed)))
