"""How often passwords may be tried: by account, so that one is not guessed, and in all, so that none is found by trying
a common one at many. The same for names that nobody has: an answer says nothing about who has an account."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, final

__all__ = ["Tries"]

WINDOW_SECONDS: Final = 900.0
BY_ACCOUNT_MAX: Final = 5
"""Wrong ones in a window; a person who does not know it any more asks the administrator."""
IN_ALL_MAX: Final = 50
"""Wrong ones in a window: ten people who mistype at once."""
NAMES_MAX: Final = 1_000
"""Remembered; more cannot be tried within a window."""


@final
class Tries:
    """Of one process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock`: seconds that only grow."""
        self._clock: Final = clock
        self._all: Final[deque[float]] = deque()
        self._by_name: Final[OrderedDict[str, deque[float]]] = OrderedDict()

    def allowed(self, name: str) -> bool:
        """Whether one more may be tried now."""
        self._forget(self._all)
        own = self._by_name.get(name)
        if own is not None:
            self._forget(own)
        return len(self._all) < IN_ALL_MAX and len(own or ()) < BY_ACCOUNT_MAX

    def begin(self, name: str) -> None:
        """Counted before it is checked, so that many at once are not all let through."""
        self._all.append(self._clock())
        self._by_name.setdefault(name, deque()).append(self._clock())
        self._by_name.move_to_end(name)
        while len(self._by_name) > NAMES_MAX:
            self._by_name.popitem(last=False)

    def succeeded(self, name: str) -> None:
        """Who knows it has mistyped before."""
        own = self._by_name.pop(name, None)
        for at in own or ():
            if at in self._all:
                self._all.remove(at)

    def _forget(self, times: deque[float]) -> None:
        while times and times[0] <= self._clock() - WINDOW_SECONDS:
            times.popleft()
