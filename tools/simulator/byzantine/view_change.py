"""Liars in the view change: who shouts, who hides what it holds, who helps and then says no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from tallynet.blocks import Prepare
from tallynet.codec import decode, encode
from tallynet.errors import RemoteProtocolError
from tallynet.messages import (
    Complaint,
    ComplaintReason,
    NewView,
    PreparedEntry,
    Signed,
    SignedKind,
    ViewChange,
)
from tools.simulator.byzantine.base import Behaviour

if TYPE_CHECKING:
    from tools.simulator.run import Run

AHEAD: Final = (0, 1, 1, 2, 3, 7, 1000, 2**62)
"""How far ahead of its own view a spammer shouts."""
SPAM_MAX: Final = 6
"""Messages of a spammer per beat."""
HELD_MAX: Final = 32
SILENCE_US: Final = (1_000_000, 40_000_000)
HELP_US: Final = (500_000, 8_000_000)


class Spammer(Behaviour):
    """Complaints, ViewChanges and NewViews for views and epochs near and absurdly far (A13)."""

    def beat(self) -> None:
        for _ in range(self.random.randrange(SPAM_MAX)):
            self.lie(self.random.choice(self.victims), self._shout())

    def _shout(self) -> Signed:
        core, random = self.core, self.random
        epoch = random.choice((core.epoch, core.epoch, core.epoch + 1, 2**62))
        view = core.voted_view + random.choice(AHEAD)
        member = random.choice(self.allies)
        kind = random.randrange(4)
        if kind == 0:
            reason = random.choice(list(ComplaintReason))
            body: Complaint | ViewChange | NewView = Complaint(epoch, view, reason)
            return self.sign_as(member, SignedKind.COMPLAINT, body)
        change = ViewChange(epoch, view, core.tip_header, core.tip_certificate, ())
        if kind <= 2:
            return self.sign_as(member, SignedKind.VIEW_CHANGE, change)
        view += (member - view) % self.core.n  # one that it would lead
        changes = [
            encode(self.sign_as(i, SignedKind.VIEW_CHANGE, replace(change, to_view=view)))
            for i in self.allies
        ]
        heard = [raw for _, raw, _ in self.ring.archive.all("VIEW_CHANGE")]
        several = (*changes, *random.sample(heard, min(len(heard), core.q - 1)))
        by_signer = {decode(Signed, raw).signer: raw for raw in several}
        body = NewView(epoch, view, tuple(by_signer[i] for i in sorted(by_signer)), (), ())
        return self.sign_as(member, SignedKind.NEW_VIEW, body)


class Grumbler(Behaviour):
    """Complains about every view as soon as it sees it, in its own name and with forged signatures in
    those of others (A13)."""

    def beat(self) -> None:
        core = self.core
        body = Complaint(core.epoch, core.voted_view, self.random.choice(list(ComplaintReason)))
        own = self.sign(SignedKind.COMPLAINT, body)
        for victim in self.victims:
            self.lie(victim, own)
            other = self.random.randrange(self.core.n)
            forged = Signed(SignedKind.COMPLAINT, own.body, other, self.random.randbytes(64))
            self.lie(victim, forged)


class Hider(Behaviour):
    """Its ViewChanges leave out certificates that it holds, and show others that everybody has long
    forgotten; different validators get different ones."""

    def __init__(self, run: Run, index: int) -> None:
        super().__init__(run, index)
        self._held: Final[dict[tuple[int, int], PreparedEntry]] = {}
        """(height, view) -> certificate, kept although it was replaced."""
        self._several: Final = self.random.random() < 0.5
        self._told: dict[int, Signed] = {}

    def send(self, to: int, message: bytes) -> None:
        value = self.run.decoded(message)
        if not (isinstance(value, Signed) and value.kind is SignedKind.VIEW_CHANGE):
            self.emit(to, message)
            return
        if value.signer != self.index:
            self.emit(to, message)
            return
        true = decode(ViewChange, value.body)
        if self._several or true.to_view not in self._told:
            told = self.sign(SignedKind.VIEW_CHANGE, self._distorted(true))
            self._told = {true.to_view: told}
        if not self.lie(to, self._told[true.to_view]):
            self.emit(to, message)

    def beat(self) -> None:
        for height, prepared in self.core.prepared.items():
            entry = PreparedEntry(prepared.content.header_bytes, prepared.certificate)
            self._held[(height, prepared.view)] = entry
        while len(self._held) > HELD_MAX:
            del self._held[next(iter(self._held))]

    def _distorted(self, true: ViewChange) -> ViewChange:
        random = self.random
        shown: dict[int, PreparedEntry] = {}
        way = random.randrange(3)
        if way == 0:
            shown = {}
        elif way == 1:  # what it holds, with gaps
            for entry in true.prepared:
                if random.random() < 0.5:
                    shown[_height(entry)] = entry
        else:  # older certificates in their place
            for (height, view), entry in self._held.items():
                if view < true.to_view and random.random() < 0.7:
                    shown[height] = entry
        changed = replace(true, prepared=tuple(shown[height] for height in sorted(shown)))
        return self._older_base(changed) if random.random() < 0.3 else changed

    def _older_base(self, change: ViewChange) -> ViewChange:
        """As if it had committed less."""
        others = self.heard_changes(change.epoch)
        if not others:
            return change
        older = others[0]
        return replace(change, committed_header=older.committed_header, committed=older.committed)


def _height(entry: PreparedEntry) -> int:
    try:
        return decode(Prepare, entry.certificate.vote).height
    except RemoteProtocolError:
        return 0


class GoneSilent(Behaviour):
    """Helps others out of their view, ever so eagerly, and then says nothing for a long time: whoever
    it did not help may be left behind (A11)."""

    def __init__(self, run: Run, index: int) -> None:
        super().__init__(run, index)
        self._silent_until_us = 0
        self._help_until_us = self.random.randint(*HELP_US)
        self._helped: list[int] = []

    @property
    def _silent(self) -> bool:
        return self.run.scheduler.now_us < self._silent_until_us

    def send(self, to: int, message: bytes) -> None:
        if self._silent:
            self.withhold()
        else:
            self.emit(to, message)

    def beat(self) -> None:
        now = self.run.scheduler.now_us
        if self._silent:
            return
        if now >= self._help_until_us:
            self._silent_until_us = now + self.random.randint(*SILENCE_US)
            self._help_until_us = self._silent_until_us + self.random.randint(*HELP_US)
            count = self.random.randint(1, len(self.victims))
            self._helped = self.random.sample(self.victims, count)
            return
        core = self.core
        complaint = Complaint(core.epoch, core.voted_view, ComplaintReason.PROGRESS_TIMEOUT)
        change = ViewChange(
            core.epoch, core.voted_view + 1, core.tip_header, core.tip_certificate, ()
        )
        for to in self._helped:
            self.lie(to, self.sign(SignedKind.COMPLAINT, complaint))
            self.lie(to, self.sign(SignedKind.VIEW_CHANGE, change))
