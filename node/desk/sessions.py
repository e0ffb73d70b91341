"""Who is signed in. Kept in memory: a session ends with the process, when it has not been used for a while, after a
working day, and when its account is changed or removed."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from node.desk.accounts import Account, Accounts
from node.web.who import Who

__all__ = ["Session", "Sessions"]

IDLE_SECONDS: Final = 1_800.0
"""Half an hour away from the desk."""
SESSION_SECONDS: Final = 12 * 3_600.0
"""A working day."""
SESSIONS_MAX: Final = 64
"""The one that was not used for longest is closed when there are more."""
SECRET_BYTES: Final = 32


@dataclass(slots=True)
class Session:
    account: Account
    """As it was when it signed in."""
    who: Who
    opened: float
    used: float


@final
class Sessions:
    """Of one process."""

    def __init__(self, accounts: Accounts, clock: Callable[[], float]) -> None:
        """`clock`: seconds that only grow."""
        self._accounts: Final = accounts
        self._clock: Final = clock
        self._open: Final[dict[str, Session]] = {}
        """Secret of the cookie -> session, least recently used first."""

    def begin(self, account: Account) -> str:
        """The secret for the browser's cookie."""
        if len(self._open) >= SESSIONS_MAX:
            del self._open[next(iter(self._open))]
        secret, now = secrets.token_hex(SECRET_BYTES), self._clock()
        duties = frozenset(duty.value for duty in account.duties)
        who = Who(account.name, duties, secrets.token_hex(SECRET_BYTES))
        self._open[secret] = Session(account, who, now, now)
        return secret

    def get(self, secret: str, *, uses: bool = True) -> Session | None:
        """The session with this secret, if it still stands; `uses`: somebody did something, no page by itself.

        Raises:
            AccountError: ACCOUNTS_UNUSABLE.
        """
        session = self._open.get(secret)
        if session is None:
            return None
        now, account = self._clock(), self._accounts.get(session.account.name)
        if (
            account is None
            or account.stamp != session.account.stamp
            or now - session.used > IDLE_SECONDS
            or now - session.opened > SESSION_SECONDS
        ):
            del self._open[secret]
            return None
        if uses:
            session.used = now
            self._open[secret] = self._open.pop(secret)
        return session

    def end(self, secret: str) -> None:
        self._open.pop(secret, None)

    def end_all(self, name: str) -> None:
        """Those of one account."""
        for secret, session in list(self._open.items()):
            if session.account.name == name:
                del self._open[secret]

    def counted(self) -> dict[str, int]:
        """Sessions that stand, by account."""
        found: dict[str, int] = {}
        for secret in list(self._open):
            session = self.get(secret, uses=False)
            if session is not None:
                found[session.account.name] = found.get(session.account.name, 0) + 1
        return found
