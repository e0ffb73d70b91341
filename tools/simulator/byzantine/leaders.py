"""Leaders that equivocate, dawdle, pass somebody over, or keep content to themselves."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from consensus.events import Event, TransactionsHeld
from tallynet.blocks import Header, Prepare
from tallynet.codec import decode, encode
from tallynet.hashing import block_hash
from tallynet.merkle import list_root
from tallynet.messages import (
    Bodies,
    PeerMessage,
    PrePrepare,
    Proposal,
    Signed,
    SignedKind,
)
from tools.simulator.byzantine.base import Behaviour

if TYPE_CHECKING:
    from tools.simulator.run import Run

PLACES_MAX: Final = 64
"""Heights and views for which a liar remembers what it told whom."""
FRIENDS_US: Final = (300_000, 4_000_000)
"""How long a withholding leader favours the same validators."""

Place = tuple[int, int, int]
"""(epoch, view, height)."""


class Echo(Behaviour):
    """Votes for everything that anybody votes for, with the keys of all liars."""

    def __init__(self, run: Run, index: int) -> None:
        super().__init__(run, index)
        self._echoed: Final[OrderedDict[tuple[int, bytes], None]] = OrderedDict()
        self._loud: Final = self.random.random() < 0.5
        """Everybody hears all its votes; otherwise only those who vote the same."""

    def heard(self, source: int, raw: bytes, message: PeerMessage) -> PeerMessage | None:
        del raw
        if (
            isinstance(message, Signed)
            and message.signer not in self.allies
            and message.kind in (SignedKind.PREPARE, SignedKind.COMMIT)
        ):
            self.vote(source, message.kind, message.body)
        return message

    def vote(self, to: int, kind: SignedKind, body: bytes) -> None:
        """Every liar's vote for this body, once to each."""
        for receiver in self.victims if self._loud else (to,):
            if (receiver, body) in self._echoed:
                continue
            self._echoed[(receiver, body)] = None
            if len(self._echoed) > PLACES_MAX * self.core.n:
                self._echoed.popitem(last=False)
            for member in self.allies:
                self.lie(receiver, self.sign_as(member, kind, body))


def own_proposal(index: int, message: PeerMessage) -> tuple[PrePrepare, Signed, Prepare] | None:
    """A proposal by this validator, its Prepare as signed, and as read."""
    if not isinstance(message, PrePrepare):
        return None
    signed = decode(Signed, message.prepare)
    return (message, signed, decode(Prepare, signed.body)) if signed.signer == index else None


def rival_of(liar: Behaviour, place: bytes | None, view: int) -> PrePrepare | None:
    """Another block for the place of the one with this header, with the same content, proposed by the liar in a
    view that it leads; None if nobody has told it that content."""
    for _, _, message in liar.ring.archive.all("PrePrepare"):
        if isinstance(message, PrePrepare) and message.header == place:
            header = decode(Header, message.header)
            time_ms = max(header.time_ms + 1, liar.node.wall_ms() // 1000 * 1000)
            forged = encode(replace(header, time_ms=time_ms, proposer=liar.index))
            vote = Prepare(liar.core.epoch, view, header.height, block_hash(forged))
            prepare = encode(liar.sign(SignedKind.PREPARE, vote))
            return PrePrepare(forged, message.envelopes, prepare)
    return None


class Equivocator(Echo):
    """Proposes two or three blocks for one height, each to some, and votes for all of them. Some go on like
    that: whoever was given a rival gets its children, a chain of his own."""

    def __init__(self, run: Run, index: int) -> None:
        super().__init__(run, index)
        self._rivals: Final[OrderedDict[Place, list[PrePrepare]]] = OrderedDict()
        self._given: Final[OrderedDict[tuple[Place, int], int]] = OrderedDict()
        self._loyal: Final = self.random.choice((0.0, 0.5, 1.0))
        """How often somebody who asks again is told the same."""
        self._chains: Final = self.random.random() < 0.5

    def send(self, to: int, message: bytes) -> None:
        found = own_proposal(self.index, self.run.decoded(message))
        if found is None:
            self.emit(to, message)
            return
        proposal, _, vote = found
        place = (vote.epoch, vote.view, vote.height)
        rivals = self._rivals.get(place)
        if rivals is None:
            rivals = self._rivals[place] = self._make(proposal, vote)
            if len(self._rivals) > PLACES_MAX:
                self._rivals.popitem(last=False)
        chosen = self._given.get((place, to))
        if chosen is None or self.random.random() > self._loyal:
            chosen = self._next_of(place, to, len(rivals))
            self._given[(place, to)] = chosen
            if len(self._given) > PLACES_MAX * self.core.n:
                self._given.popitem(last=False)
        if chosen and self.lie(to, rivals[chosen]):
            rival = decode(Signed, rivals[chosen].prepare)
            self.vote(to, rival.kind, rival.body)
            return
        self.emit(to, message)

    def _next_of(self, place: Place, to: int, count: int) -> int:
        before = self._given.get((_below(place), to)) if self._chains else None
        return self.random.randrange(count) if before is None else min(before, count - 1)

    def _make(self, proposal: PrePrepare, vote: Prepare) -> list[PrePrepare]:
        """The true proposal and its rivals, all of them valid blocks."""
        header = decode(Header, proposal.header)
        below = self._rivals.get(_below((vote.epoch, vote.view, vote.height)), [])
        ids = proposal.envelopes
        made = [proposal]
        for number in range(1, self.random.randint(2, 3)):
            kept = ids[:-1] if len(ids) > 1 and self.random.random() < 0.5 else ids[::-1]
            follows = self._chains and number < len(below)
            parent = block_hash(below[number].header) if follows else header.parent
            rival = encode(
                replace(
                    header,
                    parent=parent,
                    time_ms=header.time_ms + number,
                    envelopes_root=list_root(kept),
                )
            )
            body = encode(replace(vote, block=block_hash(rival)))
            made.append(PrePrepare(rival, kept, encode(self.sign(SignedKind.PREPARE, body))))
        return made


def _below(place: Place) -> Place:
    epoch, view, height = place
    return epoch, view, height - 1


class Delayer(Behaviour):
    """Every proposal leaves just before the others lose their patience (Aardvark, Prime; E1)."""

    def __init__(self, run: Run, index: int) -> None:
        super().__init__(run, index)
        self._wait_us: Final = self.random.choice((300_000, 700_000, 950_000))

    def send(self, to: int, message: bytes) -> None:
        if own_proposal(self.index, self.run.decoded(message)) is None:
            self.emit(to, message)
        elif not self.lie(to, message, self._wait_us):
            self.withhold()


class Censor(Behaviour):
    """Never proposes the envelopes of one organisation (E2)."""

    def __init__(self, run: Run, index: int) -> None:
        super().__init__(run, index)
        self._victim: Final = self.random.choice(run.town.clients).id

    def event(self, event: Event) -> Event | None:
        if not isinstance(event, TransactionsHeld):
            return event
        kept = tuple(t for t in event.transactions if t.organisation != self._victim)
        self.run.lies += len(event.transactions) - len(kept)
        return TransactionsHeld(kept)


class Withholder(Behaviour):
    """Proposes what only some can get: bodies, block contents and whole proposals go to its friends
    of the moment alone."""

    def __init__(self, run: Run, index: int) -> None:
        super().__init__(run, index)
        self._friends: frozenset[int] = frozenset()
        self._until_us = 0

    def _is_friend(self, other: int) -> bool:
        now = self.run.scheduler.now_us
        if now >= self._until_us:
            self._until_us = now + self.random.randint(*FRIENDS_US)
            some = self.random.sample(self.others, self.random.randint(0, len(self.others)))
            self._friends = frozenset(some)
        return other in self._friends

    def send(self, to: int, message: bytes) -> None:
        if self._is_friend(to):
            self.emit(to, message)
            return
        content = self.run.decoded(message)
        if isinstance(content, PrePrepare):
            self.lie(to, content.prepare)  # a proposal known by its hash only
        elif isinstance(content, Bodies | Proposal):
            self.withhold()
        else:
            self.emit(to, message)
