"""What a Byzantine validator says instead of what its own honest code wants to say.

A traitor gets every message before it leaves, with the validator's own key in hand, and decides what
leaves. Each class is one behaviour; `TRAITORS` names them all.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from tallynet.blocks import Commit, Header, Prepare
from tallynet.codec import Wire, decode, encode
from tallynet.hashing import block_hash, signed_bytes
from tallynet.messages import (
    DOMAINS,
    Blocks,
    Bodies,
    Complaint,
    ComplaintReason,
    PeerMessage,
    PrePrepare,
    Signed,
    SignedKind,
    Status,
    ViewChange,
)

ALL: Final = -1
"""Destination of a broadcast."""
HUGE_VIEW: Final = 2**62
LATE_SECONDS: Final = 0.9
"""Just under the progress timeout of one second."""
LATE_MAX: Final = 10_000
"""Messages held back; more are lost."""
SPAM_AT_ONCE: Final = 4
REMEMBERED_MAX: Final = 2_000

Said = tuple[int, bytes]
"""(destination, encoded message)"""


@dataclass(frozen=True, slots=True)
class Hand:
    """The validator's key and place, and a clock in seconds."""

    sign: Callable[[bytes], bytes]
    genesis: bytes
    index: int
    validators: int
    now: Callable[[], float]

    def signed(self, kind: SignedKind, body: Wire) -> bytes:
        """An encoded `Signed` of this validator, without any of its own guards."""
        raw = encode(body)
        signature = self.sign(signed_bytes(DOMAINS[kind], self.genesis, raw))
        return encode(Signed(kind, raw, self.index, signature))

    @property
    def peers(self) -> list[int]:
        return [i for i in range(self.validators) if i != self.index]


class Traitor:
    """An honest one; behaviours override `says`, `unprompted` or both."""

    def __init__(self, hand: Hand, chance: random.Random) -> None:
        self._hand: Final = hand
        self._chance: Final = chance
        self._status: Status | None = None
        """Where the validator stands, as it says itself."""

    def distort(self, to: int, message: bytes) -> list[Said]:
        """What leaves when the validator wants to send `message`."""
        decoded: PeerMessage = decode(PeerMessage, message)
        if isinstance(decoded, Signed) and decoded.kind == SignedKind.STATUS:
            self._status = decode(Status, decoded.body)
        return self.says(to, message, decoded)

    def says(self, to: int, message: bytes, decoded: PeerMessage) -> list[Said]:
        return [(to, message)]

    def unprompted(self) -> list[Said]:
        """Said now and then, fifty times a second."""
        return []

    def _halves(self) -> tuple[list[int], list[int]]:
        peers = self._hand.peers
        return peers[: len(peers) // 2], peers[len(peers) // 2 :]


class Equivocator(Traitor):
    """As leader two blocks for one height, one for each half; as backup two votes."""

    def says(self, to: int, message: bytes, decoded: PeerMessage) -> list[Said]:
        other = self._other(decoded)
        if other is None:
            return [(to, message)]
        if to != ALL:
            return [(to, self._chance.choice((message, other)))]
        left, right = self._halves()
        return [(peer, message) for peer in left] + [(peer, other) for peer in right]

    def _other(self, decoded: PeerMessage) -> bytes | None:
        if isinstance(decoded, PrePrepare):
            header = decode(Header, decoded.header)
            late = encode(msgspec.structs.replace(header, time_ms=header.time_ms + 1))
            vote = decode(Prepare, decode(Signed, decoded.prepare).body)
            vote = msgspec.structs.replace(vote, block=block_hash(late))
            return encode(
                PrePrepare(late, decoded.envelopes, self._hand.signed(SignedKind.PREPARE, vote))
            )
        if isinstance(decoded, Signed) and decoded.kind in (SignedKind.PREPARE, SignedKind.COMMIT):
            wrong = {"block": self._chance.randbytes(32)}
            return self._hand.signed(decoded.kind, msgspec.structs.replace(_vote(decoded), **wrong))
        return None


class Mutator(Traitor):
    """Every vote is changed in one place and signed again, or its signature is broken."""

    def says(self, to: int, message: bytes, decoded: PeerMessage) -> list[Said]:
        if not isinstance(decoded, Signed) or decoded.kind == SignedKind.STATUS:
            return [(to, message)]
        if decoded.kind not in (SignedKind.PREPARE, SignedKind.COMMIT):
            return [(to, self._broken(decoded))]
        vote = _vote(decoded)
        choices: list[dict[str, object]] = [
            {"block": self._chance.randbytes(32)},
            {"height": vote.height + 1},
            {"view": vote.view + 1},
            {"epoch": vote.epoch + 1},
        ]
        if isinstance(vote, Commit):
            choices += [
                {"state_root": self._chance.randbytes(32)},
                {"receipts_root": self._chance.randbytes(32)},
            ]
        change = self._chance.choice([*choices, None])
        if change is None:
            return [(to, self._broken(decoded))]
        mutated = msgspec.structs.replace(vote, **change)
        return [(to, self._hand.signed(decoded.kind, mutated))]

    def _broken(self, signed: Signed) -> bytes:
        signature = bytearray(signed.signature)
        signature[self._chance.randrange(len(signature))] ^= 1 << self._chance.randrange(8)
        return encode(msgspec.structs.replace(signed, signature=bytes(signature)))


class Withholder(Traitor):
    """Proposes, votes, and gives nobody the bodies under its proposals."""

    def says(self, to: int, message: bytes, decoded: PeerMessage) -> list[Said]:
        return [] if isinstance(decoded, Bodies | Blocks) else [(to, message)]


class Laggard(Traitor):
    """As leader it lets every proposal wait until just before the others lose patience."""

    def __init__(self, hand: Hand, chance: random.Random) -> None:
        super().__init__(hand, chance)
        self._late: Final[deque[tuple[float, Said]]] = deque(maxlen=LATE_MAX)

    def says(self, to: int, message: bytes, decoded: PeerMessage) -> list[Said]:
        if not isinstance(decoded, PrePrepare):
            return [(to, message)]
        self._late.append((self._hand.now() + LATE_SECONDS, (to, message)))
        return []

    def unprompted(self) -> list[Said]:
        due = []
        while self._late and self._late[0][0] <= self._hand.now():
            due.append(self._late.popleft()[1])
        return due


class Spammer(Traitor):
    """Complaints and ViewChanges for views that nobody will reach."""

    def unprompted(self) -> list[Said]:
        status = self._status
        if status is None:
            return []
        said = []
        for _ in range(SPAM_AT_ONCE):
            view = self._chance.choice((HUGE_VIEW, status.view + self._chance.randrange(1, 100)))
            change = ViewChange(status.epoch, view, b"", None, ())
            complaint = Complaint(status.epoch, view, ComplaintReason.PROGRESS_TIMEOUT)
            said.append((ALL, self._hand.signed(SignedKind.VIEW_CHANGE, change)))
            said.append((ALL, self._hand.signed(SignedKind.COMPLAINT, complaint)))
        return said


class Parrot(Traitor):
    """Says everything that it ever said again and again."""

    def __init__(self, hand: Hand, chance: random.Random) -> None:
        super().__init__(hand, chance)
        self._said: Final[list[Said]] = []

    def says(self, to: int, message: bytes, decoded: PeerMessage) -> list[Said]:
        if len(self._said) < REMEMBERED_MAX:
            self._said.append((to, message))
        else:
            self._said[self._chance.randrange(REMEMBERED_MAX)] = (to, message)
        return [(to, message)]

    def unprompted(self) -> list[Said]:
        count = min(SPAM_AT_ONCE, len(self._said))
        return self._chance.sample(self._said, count)


def _vote(signed: Signed) -> Prepare | Commit:
    if signed.kind == SignedKind.PREPARE:
        return decode(Prepare, signed.body)
    return decode(Commit, signed.body)


TRAITORS: Final[dict[str, type[Traitor]]] = {
    "equivocate": Equivocator,
    "mutate": Mutator,
    "withhold": Withholder,
    "delay": Laggard,
    "spam": Spammer,
    "stale": Parrot,
}
"""By the name that the command line uses."""
