"""A stream of intended acts whose commands come in the mix of the voucher law §18."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from random import Random
from typing import Final

from tools.workload import distributions as d
from tools.workload.distributions import Outcome


class ActKind(Enum):
    """What is meant."""

    TRANSFER = auto()
    """And the receivers' answers."""
    SMALL_DRAW = auto()
    """Draw and payout."""
    FINANCE = auto()
    """Draw, instruction sent, payout."""
    SETTLE = auto()
    """Funds received, and two lots paid."""
    ISSUE = auto()
    """And claim."""
    DOCUMENT = auto()
    ANCHOR = auto()
    ADMIN = auto()


MIX: Final = {
    ActKind.TRANSFER: 42, ActKind.SMALL_DRAW: 26, ActKind.FINANCE: 18, ActKind.SETTLE: 6,
    ActKind.ISSUE: 4, ActKind.DOCUMENT: 2, ActKind.ANCHOR: 1, ActKind.ADMIN: 1,
}  # fmt: skip
"""Commands of 100."""
COMMANDS: Final = {
    ActKind.TRANSFER: 1.6, ActKind.SMALL_DRAW: 2, ActKind.FINANCE: 3, ActKind.SETTLE: 3,
    ActKind.ISSUE: 2, ActKind.DOCUMENT: 1, ActKind.ANCHOR: 1, ActKind.ADMIN: 1,
}  # fmt: skip
"""Mean commands of an act."""
_POSSIBLE: Final = {
    ActKind.TRANSFER: (Outcome.TRANSFER_DECLINED, Outcome.DISPUTED, Outcome.FROZEN),
    ActKind.SMALL_DRAW: (Outcome.PAYOUT_FAILED,),
    ActKind.FINANCE: (Outcome.PAYOUT_FAILED, Outcome.DOUBLE_FINANCED),
    ActKind.SETTLE: (Outcome.OVERDUE, Outcome.PARTIAL_PAYMENT),
    ActKind.ISSUE: (Outcome.CLAIM_REFUSED,),
}
_WEIGHTS: Final = tuple(MIX[kind] / COMMANDS[kind] for kind in ActKind)


@dataclass(frozen=True, slots=True)
class Life:
    """What becomes of one voucher."""

    face: int
    tenor: int
    """Days."""
    depth: int
    """Hops in the end."""
    explicit: bool
    """Receivers accept each piece."""


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that somebody means to do."""

    kind: ActKind
    outcome: Outcome
    detail: int
    """Seed of whatever else is drawn for it: leaving out one act changes no other."""


def life(random: Random) -> Life:
    """A voucher's face, tenor, depth, and how it is passed on."""
    explicit = random.randrange(100) < d.EXPLICIT_PERCENT
    return Life(d.face(random), d.tenor(random), d.depth(random), explicit)


def acts(seed: int, commands: int) -> Iterator[Act]:
    """Acts of about so many commands in all."""
    random = Random(seed)
    left = float(commands)
    while left > 0:
        kind = random.choices(tuple(ActKind), _WEIGHTS)[0]
        left -= COMMANDS[kind]
        yield Act(kind, d.outcome(random, *_POSSIBLE.get(kind, ())), random.getrandbits(48))
