"""The bounds of one exploration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tools.explorer.network import VALIDATORS

Hearing = tuple[int, str, int, int]
"""(validator, kind, view, height): it hears all messages of this kind, about this view and height, that are under way."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where an exploration begins."""

    name: str
    script: tuple[Hearing, ...] = ()
    """What happens before, in order."""


def _all(validators: tuple[int, ...], kind: str, view: int, *heights: int) -> tuple[Hearing, ...]:
    return tuple((i, kind, view, height) for height in heights for i in validators)


def _left(validators: tuple[int, ...], view: int) -> tuple[Hearing, ...]:
    """They leave a view."""
    return _all(validators, "COMPLAINT", view, 0)


BEGINNING: Final = Start("beginning")
"""Nothing has happened."""
_ACCEPTED: Final = _all((1, 2, 3), "propose", 0, 1, 2)
CERTIFICATES: Final = Start(
    "certificates", (*_ACCEPTED, *_all((2,), "PREPARE", 0, 1, 2), *_all((3,), "PREPARE", 0, 1))
)
"""Everybody has accepted what validator 0 proposed; validator 2 holds the certificates of all blocks, validator 3 that of
the lowest."""
GAP: Final = Start(
    "gap",
    (
        *_ACCEPTED, *_all((1, 2, 3), "PREPARE", 0, 2), *_left((1, 2, 3), 0),
        *_all((1,), "VIEW_CHANGE", 1, 0),
    ),
)  # fmt: skip
"""Three hold the certificate of the upper of two blocks without that of the lower, and view 1 was opened from their
ViewChanges: what the window adds to PBFT."""
AGAIN: Final = Start(
    "again",
    (
        *_ACCEPTED, *_all((1, 2, 3), "PREPARE", 0, 1, 2), *_all((0,), "block", 0, 1),
        *_left((1, 2, 3), 0), *_all((1,), "VIEW_CHANGE", 1, 0), *_all((2, 3), "NEW_VIEW", 1, 0),
    ),
)  # fmt: skip
"""Validator 0 alone has committed the lowest block; the others have left view 0 and accepted the same again in view 1."""
CONFLICT: Final = Start(
    "conflict",
    (
        *_ACCEPTED, *_all((2,), "PREPARE", 0, 1), *_left((0, 1, 3), 0),
        *_all((1,), "VIEW_CHANGE", 1, 0), *_all((0, 3), "NEW_VIEW", 1, 0),
        *_all((0, 3), "propose", 1, 1), *_all((0, 1, 3), "PREPARE", 1, 1),
        *_all((0,), "block", 0, 1),
    ),
)  # fmt: skip
"""Validator 2 holds the certificate of a block of view 0, the others that of another block of view 1 at the same height,
which validator 0 has committed."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What may happen, and how often."""

    window: int
    """W, blocks in flight."""
    blocks: int
    """Transactions, each of which makes a block."""
    views: int
    """Views 0 .. views - 1 are entered; nobody complains about the last."""
    crashes: int = 0
    """Crashes with restart, of all replicas together."""
    byzantine: int | None = None
    """Index of the validator that may say anything; all others are correct."""
    start: Start = BEGINNING

    def columns(self) -> tuple[str, ...]:
        """For people: W, blocks, views, crashes, the Byzantine validator, start."""
        liar = "-" if self.byzantine is None else str(self.byzantine)
        numbers = self.window, self.blocks, self.views, self.crashes
        return (*(str(number) for number in numbers), liar, self.start.name)

    def describe(self) -> str:
        """One line for people."""
        window, blocks, views, crashes, liar, start = self.columns()
        return f"W={window} blocks={blocks} views={views} crashes={crashes} liar={liar} {start}"

    @property
    def correct(self) -> tuple[int, ...]:
        """Indices of the validators that run a replica."""
        return tuple(i for i in range(VALIDATORS) if i != self.byzantine)


EXPLORATIONS: Final = (
    Scope(1, 1, 2),
    Scope(1, 1, 2, crashes=1, start=CERTIFICATES),
    Scope(1, 1, 3, start=CONFLICT),
    Scope(2, 2, 1),
    Scope(2, 2, 2, start=CERTIFICATES),
    Scope(2, 2, 2, start=GAP),
    Scope(2, 2, 3, start=AGAIN),
    Scope(1, 1, 2, byzantine=0),
    Scope(1, 1, 2, byzantine=1, start=CERTIFICATES),
    Scope(2, 2, 2, byzantine=1, start=CERTIFICATES),
)
"""What `tally explore` visits: both windows; one and two view changes with certificates outstanding; a crash at any point
of a step; a liar that leads view 0 or view 1."""
