"""Which ranges of a voucher its holders can still move: the carving of the voucher law §7, foretold.

So acts can be signed before the ones that they build on have been carried out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Held:
    """A range that its holder can move."""

    start: int
    end: int
    holder: str
    hops: int

    @property
    def length(self) -> int:
        return self.end - self.start


class Lots:
    """The held ranges of one voucher."""

    def __init__(self, first_payee: str, face: int) -> None:
        self._lots: dict[int, Held] = {0: Held(0, face, first_payee, 0)}

    def all(self) -> list[Held]:
        """By start."""
        return [self._lots[start] for start in sorted(self._lots)]

    def carve(self, lot: Held, amount: int) -> Held:
        """Take the last `amount` fen of a held lot away."""
        current = self._lots.pop(lot.start)
        if amount < current.length:
            self._lots[lot.start] = replace(current, end=current.end - amount)
        return replace(current, start=current.end - amount)

    def give(self, lot: Held) -> None:
        """A range that is held again, joined with equal neighbours: the right one, then the left one."""
        right = self._lots.get(lot.end)
        if right is not None and _equal(lot, right):
            del self._lots[right.start]
            lot = replace(lot, end=right.end)
        left = next((x for x in self._lots.values() if x.end == lot.start), None)
        if left is not None and _equal(lot, left):
            lot = replace(lot, start=left.start)
        self._lots[lot.start] = lot


def _equal(one: Held, other: Held) -> bool:
    return (one.holder, one.hops) == (other.holder, other.hops)
