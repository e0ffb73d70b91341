"""The pictures of a voucher: its face as a bar, cut into lots, and how it came to be cut, act by act. Geometry only; the
template draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from tallynet.receipts import Event
from tallynet.records import Lot, LotState

__all__ = ["HEIGHT", "STRATUM", "WIDTH", "Slab", "Stratum", "slabs", "strata"]

WIDTH: Final = 1_000
"""Of the drawing, in its own units."""
HEIGHT: Final = 56
LABEL_STEP: Final = 24
"""Between two numbers, at least."""
STRATUM: Final = 22
"""Height of a row, with what is between it and the next."""
STRATA_MAX: Final = 40
"""Rows, the newest: more than anybody looks at."""
VISIBLE: Final = 4
"""Least width of a lot: a fen of half a million is there all the same."""


@dataclass(frozen=True, slots=True)
class Slab:
    """A lot, or a range that is not shown."""

    x: float
    width: float
    start: int
    end: int
    lot: Lot | None
    label: float | None
    """Where its number stands, below; None: there are too many for numbers."""


def slabs(face: int, lots: Sequence[Lot]) -> list[Slab]:
    """What tiles the face, from left to right. Widths are to scale but for the smallest, which are as wide as can be
    seen; the others give way in proportion, so that all together are as wide as the drawing."""
    pieces: list[tuple[int, int, Lot | None]] = []
    at = 0
    for lot in lots:
        if lot.start > at:
            pieces.append((at, lot.start, None))
        pieces.append((lot.start, lot.end, lot))
        at = lot.end
    if at < face:
        pieces.append((at, face, None))
    least = min(VISIBLE, WIDTH / max(1, len(pieces)))
    widths = _widths([end - start for start, end, _ in pieces], least)
    lefts = list(accumulate(widths, initial=0.0))[:-1]
    labels = _labels([x + width / 2 for x, width in zip(lefts, widths, strict=True)])
    return [
        Slab(round(x, 2), round(width, 2), start, end, lot, label)
        for (start, end, lot), x, width, label in zip(pieces, lefts, widths, labels, strict=True)
    ]


def _labels(middles: Sequence[float]) -> list[float] | list[None]:
    """Numbers as near below their lots as they fit beside one another."""
    if len(middles) * LABEL_STEP > WIDTH:
        return [None] * len(middles)
    places: list[float] = []
    for middle in middles:
        least = places[-1] + LABEL_STEP if places else LABEL_STEP / 2
        places.append(max(middle, least))
    most = WIDTH - LABEL_STEP / 2
    for i in range(len(places) - 1, -1, -1):
        places[i] = round(min(places[i], most), 2)
        most = places[i] - LABEL_STEP
    return places


def _widths(amounts: Sequence[int], least: float) -> list[float]:
    """Widening some makes others narrower, which may make them too narrow as well: until none is."""
    small: set[int] = set()
    while True:
        room = WIDTH - least * len(small)
        total = sum(amount for i, amount in enumerate(amounts) if i not in small)
        scale = room / total if total else 0.0
        too_small = {i for i, a in enumerate(amounts) if i not in small and a * scale < least}
        if not too_small:
            return [least if i in small else a * scale for i, a in enumerate(amounts)]
        small |= too_small


@dataclass(frozen=True, slots=True)
class Stratum:
    """One act, and the range that it was about."""

    event: Event
    y: int
    x: float
    width: float
    cuts: tuple[float, ...]
    """Where the face had been cut before."""
    tone: LotState
    """In whose colour it is drawn."""

    @property
    def words(self) -> str:
        """Where there is room for some: `inside` the bar, `before` or `after` it."""
        if self.width > WIDTH / 2:
            return "inside"
        return "after" if self.x + self.width / 2 <= WIDTH / 2 else "before"


_TONES: Final = {
    "voucher": LotState.PENDING_CLAIM,
    "lot": LotState.HELD,
    "financing": LotState.PLEDGED,
    "freeze": LotState.CANCELLED,
    "dispute": LotState.CANCELLED,
}
"""By the family of an act; settlement and what the network does by itself look like what is redeemed."""


def strata(face: int, events: Sequence[Event]) -> list[Stratum]:
    """The acts on ranges of a voucher from top to bottom, oldest first, to scale but for what would be too small to
    be seen."""
    rows: list[Stratum] = []
    cuts: set[int] = set()
    ranged = [event for event in events if event.end > event.start]
    for left, event in zip(range(len(ranged), 0, -1), ranged, strict=True):
        if left <= STRATA_MAX:
            width = max(VISIBLE, WIDTH * (event.end - event.start) / face)
            rows.append(
                Stratum(
                    event,
                    len(rows) * STRATUM,
                    round(min(WIDTH * event.start / face, WIDTH - width), 2),
                    round(width, 2),
                    tuple(round(WIDTH * cut / face, 2) for cut in sorted(cuts)),
                    _TONES.get(event.type.partition(".")[0], LotState.REDEEMED),
                )
            )
        cuts |= {event.start, event.end} - {0, face}
    return rows
