"""How often passwords may be tried: by account, so that one is not guessed, and in all, so that none is found by trying
a common one at many. The same for names that nobody has: an answer says nothing about who has an account.

A browser in which somebody has signed in before has tries of its own for that account, so that whoever tries passwords
elsewhere shuts nobody out who works here.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, final

__all__ = ["Browsers", "Tries"]

WINDOW_SECONDS: Final = 900.0
BY_ACCOUNT_MAX: Final = 5
"""Wrong ones in a window; a person who does not know it any more asks the administrator."""
IN_ALL_MAX: Final = 50
"""Wrong ones in a window: ten people who mistype at once."""
NAMES_MAX: Final = 1_000
"""Remembered; more cannot be tried within a window."""
BROWSERS_MAX: Final = 1_000
"""Ten for each account."""
SECRET_BYTES: Final = 32


@final
class Browsers:
    """In which browsers whose accounts were signed in to; of one process."""

    def __init__(self) -> None:
        self._known: Final[OrderedDict[tuple[str, str], None]] = OrderedDict()
        """Secret of the cookie and name of the account, those of longest ago first."""

    def knows(self, browser: str, name: str) -> bool:
        return (browser, name) in self._known

    def remember(self, browser: str, name: str) -> str:
        """The secret for the browser's cookie: the one that it has, if that is ours."""
        if not any(known == browser for known, _ in self._known):
            browser = secrets.token_hex(SECRET_BYTES)
        self._known[browser, name] = None
        self._known.move_to_end((browser, name))
        while len(self._known) > BROWSERS_MAX:
            self._known.popitem(last=False)
        return browser


@final
class Tries:
    """Of one process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock`: seconds that only grow."""
        self._clock: Final = clock
        self._all: Final[deque[float]] = deque()
        self._by_name: Final[OrderedDict[tuple[str, str], deque[float]]] = OrderedDict()
        """And by the browser, where that knows the account."""

    def allowed(self, name: str, browser: str = "") -> bool:
        """Whether one more may be tried now; `browser`: one that knows the account, else empty."""
        self._forget(self._all)
        own = self._by_name.get((name, browser))
        if own is not None:
            self._forget(own)
        return (bool(browser) or len(self._all) < IN_ALL_MAX) and len(own or ()) < BY_ACCOUNT_MAX

    def begin(self, name: str, browser: str = "") -> None:
        """Counted before it is checked, so that many at once are not all let through."""
        if not browser:
            self._all.append(self._clock())
        self._by_name.setdefault((name, browser), deque()).append(self._clock())
        self._by_name.move_to_end((name, browser))
        while len(self._by_name) > NAMES_MAX:
            self._by_name.popitem(last=False)

    def succeeded(self, name: str, browser: str = "") -> None:
        """Who knows it has mistyped before."""
        own = self._by_name.pop((name, browser), None)
        for at in () if browser else own or ():
            if at in self._all:
                self._all.remove(at)

    def _forget(self, times: deque[float]) -> None:
        while times and times[0] <= self._clock() - WINDOW_SECONDS:
            times.popleft()
