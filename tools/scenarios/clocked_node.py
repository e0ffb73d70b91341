"""`python -m tools.scenarios.clocked_node DIRECTORY`: a validator whose wall clock is moved by a file.

`clock.offset` beside its directory holds the seconds that the network's time is ahead of this machine's.
The shipped node has no such switch: the file is read here, and everything else is the node.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

from node.machine import Clock
from node.run import main
from node.validator import Validator

CLOCK_FILE: Final = "clock.offset"
READ_EVERY_MS: Final = 20
"""Nodes differ by less than the window that proposals are accepted in."""


class MovedClock:
    """This machine's clock and the offset in a file."""

    def __init__(self, file: Path) -> None:
        self._file: Final = file
        self._read_ms = 0
        self._offset_ms = 0

    @staticmethod
    def now_ms() -> int:
        """Monotonic milliseconds."""
        return time.monotonic_ns() // 1_000_000

    def wall_ms(self) -> int:
        """Unix milliseconds of the network."""
        now_ms = self.now_ms()
        if now_ms - self._read_ms >= READ_EVERY_MS:
            self._read_ms = now_ms
            self._offset_ms = int(float(self._file.read_text(encoding="ascii")) * 1000)
        return time.time_ns() // 1_000_000 + self._offset_ms


class ClockedValidator(Validator):
    """The shipped validator under a clock that can be moved on."""

    def _make_clock(self) -> Clock:
        clock = MovedClock(self._directory.parent / CLOCK_FILE)
        return Clock(clock.now_ms, clock.wall_ms)


if __name__ == "__main__":
    sys.exit(main(ClockedValidator))
