"""How fast one peer may send; more is read later, not refused."""

from __future__ import annotations

from typing import Final

__all__ = ["Allowance"]


class Allowance:
    """A bucket of bytes that fills at a steady rate. Time is passed in, in seconds."""

    __slots__ = ("_burst", "_left", "_rate", "_then")

    def __init__(self, bytes_per_second: float, burst: float, now: float) -> None:
        """Starts full: `burst` bytes may come at once."""
        self._rate: Final = bytes_per_second
        self._burst: Final = burst
        self._left = burst
        self._then = now

    def spend(self, size: int, now: float) -> float:
        """Account for bytes that arrived; returns for how many seconds to read no more."""
        self._left = min(self._burst, self._left + (now - self._then) * self._rate) - size
        self._then = now
        return max(0.0, -self._left / self._rate)
