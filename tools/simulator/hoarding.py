"""An adversary that owns the network and reads what it carries: it lets one validator hoard votes.

Rules about certificates matter only when few hold one, which random cuts seldom arrange. In each view
one validator, the hoarder, alone hears the others' Prepares (it alone has the certificate), or alone
hears their Commits (it alone has the block), and is not heard until the others have gone on without
it. All of it is delay and loss, as an asynchronous network may do it.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from tallynet.blocks import Commit, Prepare
from tallynet.codec import decode
from tallynet.errors import RemoteProtocolError
from tallynet.messages import NewView, PrePrepare, Signed, SignedKind, ViewChange

if TYPE_CHECKING:
    from tools.simulator.run import Run

PREPARES: Final = 1
COMMITS: Final = 2
FREE: Final = 0
PATTERNS: Final = (
    (PREPARES, COMMITS, FREE),
    (PREPARES, COMMITS, FREE, FREE),
    (PREPARES, PREPARES, COMMITS, FREE),
    (PREPARES, FREE),
    (COMMITS, FREE),
)
"""What is hoarded in one view after the other, over and over. After a view whose Commits are hoarded comes a
free one: with two of four kept apart nothing would go on."""
APART_VIEWS: Final = {PREPARES: 1, COMMITS: 2}
"""For how many further views the hoarder is not heard and hears no votes: until another block may be certified;
until it is committed."""

LIARS_SHARE: Final = 0.4
"""Of the views in which the hoarder is a liar, if there are any."""

_Place = tuple[int, int]
"""(epoch, view)."""


class Hoarding:
    """One such adversary; `drops` is asked about every message under way."""

    def __init__(self, run: Run, random: Random) -> None:
        self._run: Final = run
        self._pattern: Final = random.choice(PATTERNS) if random.random() < 0.5 else self._plot()
        self._seed: Final = random.getrandbits(32)
        self._now: _Place = (0, 0)
        """Newest view in which a correct validator has voted."""

    def _plot(self) -> tuple[int, ...]:
        """Views in which a liar leads begin when one validator alone holds a block."""
        n = self._run.plan.n
        liars = [liar.node for liar in self._run.plan.liars]
        return tuple(
            FREE if view in liars else COMMITS if (view + 1) % n in liars else PREPARES
            for view in range(n)
        )

    def drops(self, source: int, target: int, raw: bytes) -> bool:
        """True iff this message from one process to another is lost."""
        try:
            message = self._run.decoded(raw)
            kind, place = _place(message)
        except RemoteProtocolError:
            return False  # a liar's
        votes = kind in (SignedKind.PREPARE, SignedKind.COMMIT)
        if votes and place > self._now and not self._run.is_faulty(source):
            self._now = place
        if isinstance(message, Signed) and self._is_hoarded(kind, place):
            return target != self._hoarder(place)
        if votes and self._is_apart(target, place, place[1] - 1):
            return True
        own = kind == SignedKind.PREPARE and self._hoarder(place) == source
        return not own and self._is_apart(source, place, self._now[1])

    def _what(self, view: int) -> int:
        return self._pattern[view % len(self._pattern)]

    def _hoarder(self, place: _Place) -> int:
        random = Random(self._seed + place[1])
        liars = [liar.node for liar in self._run.plan.liars]
        if liars and random.random() < LIARS_SHARE:
            return random.choice(liars)
        return random.randrange(self._run.plan.n)

    def _is_hoarded(self, kind: SignedKind | None, place: _Place) -> bool:
        what = self._what(place[1])
        return (kind, what) in ((SignedKind.PREPARE, PREPARES), (SignedKind.COMMIT, COMMITS))

    def _is_apart(self, number: int, place: _Place, newest: int) -> bool:
        """Whether a process that has hoarded the votes of a view, up to `newest`, is still kept apart from
        what is about this place. A liar is the adversary's friend and tells whom it wants."""
        for view in range(max(0, newest - max(APART_VIEWS.values())), newest + 1):
            what = self._what(view)
            hoards = what != FREE and self._hoarder((self._now[0], view)) == number
            if hoards and not self._run.is_faulty(number):
                until = view + APART_VIEWS[what]
                if place[1] <= until and self._now[1] <= until:
                    return True
        return False


def _place(message: object) -> tuple[SignedKind | None, _Place]:
    """Kind of a message and the view it is about; (0, 0) when it is about none."""
    if isinstance(message, PrePrepare):
        message = decode(Signed, message.prepare)
    if not isinstance(message, Signed):
        return None, (0, 0)
    body: Prepare | Commit | ViewChange | NewView
    if message.kind == SignedKind.PREPARE:
        body = decode(Prepare, message.body)
    elif message.kind == SignedKind.COMMIT:
        body = decode(Commit, message.body)
    elif message.kind == SignedKind.NEW_VIEW:
        body = decode(NewView, message.body)
    elif message.kind == SignedKind.VIEW_CHANGE:
        change = decode(ViewChange, message.body)
        return message.kind, (change.epoch, change.to_view)
    else:
        return message.kind, (0, 0)
    return message.kind, (body.epoch, body.view)
