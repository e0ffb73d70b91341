"""A new leader that chooses what the new view starts from (reliability A1, A3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from consensus.view_change import OpenViewChange, open_view_change, select_new_view
from tallynet.blocks import Commit, Header, Prepare
from tallynet.codec import decode, encode
from tallynet.errors import RemoteProtocolError
from tallynet.hashing import block_hash
from tallynet.messages import (
    NewView,
    PeerMessage,
    PrePrepare,
    Signed,
    SignedKind,
    ViewChange,
)
from tools.simulator.byzantine.base import opened
from tools.simulator.byzantine.leaders import Echo, rival_of

if TYPE_CHECKING:
    from tools.simulator.run import Run


class StaleNewView(Echo):
    """As the new leader it tells different validators different beginnings: from ViewChanges picked to
    hide certificates, from older ones, or with a list that they do not select; and proposes other blocks in
    the place of those that it left out, and votes for them."""

    def __init__(self, run: Run, index: int) -> None:
        super().__init__(run, index)
        self._several: Final = self.random.random() < 0.5
        """Everybody gets one of its own."""
        self._ways: Final = self.random.sample(WAYS, len(WAYS))
        """The same all the time, so that it often gets as far as its favourite can."""
        self._made: dict[bytes, NewView] = {}
        self._rivals: Final[dict[bytes, None]] = {}
        """Block hashes."""

    def send(self, to: int, message: bytes) -> None:
        value = self.run.decoded(message)
        if not (isinstance(value, Signed) and value.kind is SignedKind.NEW_VIEW):
            self.emit(to, message)
            return
        if value.signer != self.index:
            self.emit(to, message)
            return
        true = decode(NewView, value.body)
        if self._several or message not in self._made:
            self._made = {message: self._other(true)}
        made = self._made[message]
        if not self.lie(to, self.sign(SignedKind.NEW_VIEW, made)):
            self.emit(to, message)
        elif (rival := self._rival(true, made)) is not None:
            self.lie(to, rival)

    def _rival(self, true: NewView, made: NewView) -> PrePrepare | None:
        """A new block in the place of the first one that was left out."""
        left_out = next((raw for raw in true.proposals if raw not in made.proposals), None)
        rival = rival_of(self, left_out, true.view)
        if rival is not None:
            self._rivals[block_hash(rival.header)] = None
        return rival

    def heard(self, source: int, raw: bytes, message: PeerMessage) -> PeerMessage | None:
        if isinstance(message, Signed) and message.kind is SignedKind.COMMIT:
            vote = opened(Commit, message.body)
            if vote is not None and vote.block in self._rivals:
                super().heard(source, raw, message)
        return message

    def _other(self, true: NewView) -> NewView:
        """Another NewView, by the first way that has something to change."""
        for way in self._ways:
            made = way(self, true)
            if made != true:
                return made
        return true

    # --- what it has to choose from -------------------------------------------------------------

    def changes(self, view: int) -> list[OpenViewChange]:
        """A ViewChange of everybody who sent one for this view; the liars' hide all they can."""
        core = self.core
        found: dict[int, OpenViewChange] = {}
        heard = [message for _, _, message in self.ring.archive.all("VIEW_CHANGE")]
        for signed in (*heard, *self._own(view)):
            if not isinstance(signed, Signed):
                continue
            body = opened(ViewChange, signed.body)
            if body is None or body.to_view != view:
                continue
            try:
                found[signed.signer] = open_view_change(
                    signed, config=core.config, verifier=core.verifier, epoch=core.epoch
                )
            except RemoteProtocolError:
                continue
        return [found[signer] for signer in sorted(found)]

    def _own(self, view: int) -> list[Signed]:
        """ViewChanges of the liars that hide every certificate, from the oldest base known."""
        core = self.core
        bases = self.heard_changes(core.epoch)
        oldest = ViewChange(core.epoch, view, core.tip_header, core.tip_certificate, ())
        if bases and self.random.random() < 0.5:
            oldest = replace(bases[0], to_view=view, prepared=())
        return [self.sign_as(member, SignedKind.VIEW_CHANGE, oldest) for member in self.allies]

    def announce(self, changes: list[OpenViewChange], view: int) -> NewView:
        """A NewView that these ViewChanges select."""
        core = self.core
        entries = select_new_view(changes, core.config.window).entries if changes else ()
        return NewView(
            core.epoch,
            view,
            tuple(encode(change.signed) for change in changes),
            tuple(entry.header_bytes for entry in entries),
            tuple(
                self.prepare(view, entry.height, entry.block) for entry in entries
            ),
        )  # fmt: skip

    def prepare(self, view: int, height: int, block: bytes) -> bytes:
        vote = Prepare(self.core.epoch, view, height, block)
        return encode(self.sign(SignedKind.PREPARE, vote))


def _least(liar: StaleNewView, true: NewView) -> NewView:
    """The q ViewChanges that carry least: valid, and it must do no harm."""
    changes = sorted(liar.changes(true.view), key=lambda c: (c.base.height, len(c.prepared)))
    chosen = sorted(changes[: liar.core.q], key=lambda c: c.signed.signer)
    return liar.announce(chosen, true.view)


def _any(liar: StaleNewView, true: NewView) -> NewView:
    changes = liar.changes(true.view)
    chosen = liar.random.sample(changes, min(liar.core.q, len(changes)))
    return liar.announce(sorted(chosen, key=lambda c: c.signed.signer), true.view)


def _too_few(liar: StaleNewView, true: NewView) -> NewView:
    """Those that carry least, at least one less than it takes."""
    changes = sorted(liar.changes(true.view), key=lambda c: len(c.prepared))
    chosen = changes[: liar.random.randint(1, liar.core.q - 1)]
    return liar.announce(sorted(chosen, key=lambda c: c.signed.signer), true.view)


def _forged(liar: StaleNewView, true: NewView) -> NewView:
    """Everybody's ViewChange without what it holds, under signatures of something else."""
    forged = []
    for raw in true.view_changes:
        signed = decode(Signed, raw)
        bare = replace(decode(ViewChange, signed.body), prepared=())
        forged.append(encode(replace(signed, body=encode(bare))))
    return replace(true, view_changes=tuple(forged), proposals=(), prepares=())


def _liars_twice(liar: StaleNewView, true: NewView) -> NewView:
    """One signer several times, until there are q."""
    changes = [c for c in liar.changes(true.view) if c.signed.signer in liar.allies]
    chosen = (changes * liar.core.q)[: liar.core.q]
    return liar.announce(chosen, true.view)


def _older(liar: StaleNewView, true: NewView) -> NewView:
    """ViewChanges for another view among them."""
    raws = [raw for _, raw, _ in liar.ring.archive.all("VIEW_CHANGE")]
    liar.random.shuffle(raws)
    chosen: dict[int, bytes] = {}
    for raw in (*raws, *true.view_changes):
        chosen.setdefault(decode(Signed, raw).signer, raw)
    some = sorted(chosen)[: liar.core.q]
    return replace(true, view_changes=tuple(chosen[signer] for signer in some))


def _dropped(liar: StaleNewView, true: NewView) -> NewView:
    """The list without its end, or empty."""
    keep = liar.random.choice((0, max(0, len(true.proposals) - 1)))
    return replace(true, proposals=true.proposals[:keep], prepares=true.prepares[:keep])


def _replaced(liar: StaleNewView, true: NewView) -> NewView:
    """A block of its own in the place of a chosen one, or behind the chosen ones."""
    if true.proposals:
        at = liar.random.randrange(len(true.proposals))
        header = decode(Header, true.proposals[at])
    else:
        at = 0
        header = Header(
            liar.core.config.genesis, 1, liar.core.epoch, liar.core.committed + 1,
            liar.core.tip_block, liar.random.randbytes(32), liar.core.tip_time_ms + 1, liar.index,
            liar.core.config.validators_hash,
        )  # fmt: skip
    forged = encode(replace(header, time_ms=header.time_ms + 1))
    prepare = liar.prepare(true.view, header.height, block_hash(forged))
    return replace(
        true,
        proposals=(*true.proposals[:at], forged, *true.proposals[at + 1 :]),
        prepares=(*true.prepares[:at], prepare, *true.prepares[at + 1 :]),
    )


def _doubled(liar: StaleNewView, true: NewView) -> NewView:
    del liar
    return replace(true, proposals=true.proposals * 2, prepares=true.prepares * 2)


def _hidden(liar: StaleNewView, true: NewView) -> NewView:
    """The list of all ViewChanges, beside a set that hides some of it."""
    least = _least(liar, true)
    return replace(true, view_changes=least.view_changes)


WAYS: Final[tuple[Callable[[StaleNewView, NewView], NewView], ...]] = (
    _least, _any, _too_few, _liars_twice, _older, _dropped, _replaced, _doubled, _hidden, _forged,
)  # fmt: skip
