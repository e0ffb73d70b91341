"""Liars that only choose whom to talk to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tools.simulator.byzantine.base import Behaviour, kind_of

if TYPE_CHECKING:
    from tools.simulator.run import Run

FRIENDS_US: Final = (500_000, 5_000_000)
"""How long the same validators are told."""


class Silent(Behaviour):
    """Hears everything and says nothing."""

    def send(self, to: int, message: bytes) -> None:
        del to, message
        self.withhold()


class Selective(Behaviour):
    """Tells each kind of message to some validators only, now and then to others: a vote that reaches
    one validator makes a certificate that only this one has."""

    def __init__(self, run: Run, index: int) -> None:
        super().__init__(run, index)
        self._few: Final = self.random.random() < 0.5
        self._friends: dict[str, frozenset[int]] = {}
        """Kind of message -> who hears it."""
        self._until_us = 0

    def send(self, to: int, message: bytes) -> None:
        if self.tells(to, kind_of(self.run.decoded(message))):
            self.emit(to, message)
        else:
            self.withhold()

    def tells(self, to: int, kind: str) -> bool:
        now = self.run.scheduler.now_us
        if now >= self._until_us:
            self._until_us = now + self.random.randint(*FRIENDS_US)
            self._friends.clear()
        if kind not in self._friends:
            count = 1 if self._few else self.random.randint(0, len(self.others))
            self._friends[kind] = frozenset(self.random.sample(self.others, count))
        return to in self._friends[kind] or self.random.random() < 0.05
