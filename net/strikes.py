"""Counting invalid messages per key; too many shut the key out for a while (A20)."""

from __future__ import annotations

from typing import Final

from net.limits import BAN_SECONDS, STRIKES_KEYS_MAX, STRIKES_MAX

__all__ = ["Strikes"]


class Strikes:
    """Time is passed in, in seconds of any clock that never goes back."""

    __slots__ = ("_banned", "_counts", "total")

    def __init__(self) -> None:
        self._counts: Final[dict[bytes, tuple[int, float]]] = {}
        """Key -> strikes, and when the first of them fell."""
        self._banned: Final[dict[bytes, float]] = {}
        """Key -> end of its ban."""
        self.total = 0
        """Strikes ever counted, for statistics."""

    def strike(self, key: bytes, now: float) -> bool:
        """Count one invalid message; True when the key is banned by it."""
        self.total += 1
        count, since = self._counts.pop(key, (0, now))
        if now - since >= BAN_SECONDS:
            count, since = 0, now
        if count + 1 >= STRIKES_MAX:
            self._banned[key] = now + BAN_SECONDS
            _forget_oldest(self._banned)
            return True
        self._counts[key] = (count + 1, since)
        _forget_oldest(self._counts)
        return False

    def banned_for(self, key: bytes, now: float) -> float:
        """Seconds until the key is let in again; 0 when it is not banned."""
        end = self._banned.get(key, now)
        if end <= now:
            self._banned.pop(key, None)
            return 0.0
        return end - now

    @property
    def banned(self) -> int:
        """Keys shut out, some of which may just have served their time."""
        return len(self._banned)


def _forget_oldest(table: dict[bytes, tuple[int, float]] | dict[bytes, float]) -> None:
    if len(table) > STRIKES_KEYS_MAX:
        del table[next(iter(table))]
