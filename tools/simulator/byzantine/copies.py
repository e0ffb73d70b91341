"""One key in several processes, or in one that forgets (Bano et al., Twins; reliability B12)."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from tallynet.messages import PeerMessage
from tools.simulator.byzantine.base import Behaviour

if TYPE_CHECKING:
    from tools.simulator.run import Run

SIDE_US: Final = (200_000, 3_000_000)
"""How long a validator keeps talking to the same copy."""


class Sides:
    """Which copy of a twin each other validator talks to; now and then to all of them."""

    def __init__(self, run: Run, random: Random, copies: int) -> None:
        self._run: Final = run
        self._random: Final = random
        self._copies: Final = copies
        self._side: dict[int, int] = {}
        self._until_us = 0

    def joined(self, other: int, copy: int) -> bool:
        now = self._run.scheduler.now_us
        if now >= self._until_us:
            random = self._random
            self._until_us = now + random.randint(*SIDE_US)
            apart = random.random() < 0.8
            choices = range(self._copies) if apart else (-1,)
            self._side = {
                i: random.choice(choices) for i in range(self._run.plan.n + self._run.plan.spares)
            }
        return self._side[other] in (copy, -1)


class Twin(Behaviour):
    """Two or three correct processes with one key and a disk each. Other validators hear one of them
    for a while, then perhaps another."""

    def __init__(self, run: Run, index: int, sides: Sides | None = None, copy: int = 0) -> None:
        super().__init__(run, index)
        self.copies = self.random.choice((2, 2, 3))
        self._sides: Final = Sides(run, self.random, self.copies) if sides is None else sides
        self._copy: Final = copy
        self._made = 1

    def another(self) -> Twin:
        self._made += 1
        return Twin(self.run, self.number, self._sides, self._made - 1)

    def send(self, to: int, message: bytes) -> None:
        if self._sides.joined(to, self._copy):
            self.run.lies += self._copy > 0
            self.emit(to, message)

    def heard(self, source: int, raw: bytes, message: PeerMessage) -> PeerMessage | None:
        return message if self._sides.joined(source, self._copy) else None


class Amnesiac(Behaviour):
    """Loses its disk and the mark beside its key now and then, and votes again as if it were new."""

    def beat(self) -> None:
        if self.random.random() < 0.03:
            self.run.lies += 1
            self.node.crash()
            self.node.disk.wipe()
            self.node.mark.marks.clear()
            wait = self.random.randint(1_000, 1_500_000)
            self.run.scheduler.after(wait, self.node.start)
