"""Liars that only choose whom to talk to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tools.simulator.byzantine.base import Behaviour

if TYPE_CHECKING:
    from tools.simulator.run import Run


class Silent(Behaviour):
    """Hears everything and says nothing."""

    def send(self, to: int, message: bytes) -> None:
        del to, message
        self.withhold()


class Selective(Behaviour):
    """Talks to some validators only, and to others now and then."""

    def __init__(self, run: Run, index: int) -> None:
        super().__init__(run, index)
        self._friends: Final = frozenset(
            self.random.sample(self.others, self.random.randint(1, len(self.others)))
        )

    def send(self, to: int, message: bytes) -> None:
        if to in self._friends or self.random.random() < 0.05:
            self.emit(to, message)
        else:
            self.withhold()
