"""Following the acknowledgement log while the load writes it: what the network has committed, seen from
outside."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec
import trio

from tools.chaos.record import ACKNOWLEDGED_FILE, Acknowledged, LogReader

POLL_SECONDS: Final = 0.05

View = tuple[int, int]
"""(epoch, view), ascending."""


class Tail:
    """Acknowledgements so far, in the order of the log."""

    def __init__(self, logs: Path) -> None:
        self._reader: Final = LogReader(logs / ACKNOWLEDGED_FILE)
        self._decoder: Final = msgspec.json.Decoder(Acknowledged)
        self.at_ns: Final[list[int]] = []
        """When each was in the client's hands, ascending."""
        self.views: Final[list[View]] = []
        self._sums: Final[list[int]] = [0]
        """Commands acknowledged before each."""
        self.height = 0
        """Highest acknowledged."""

    def poll(self) -> None:
        """Read what is new."""
        for line in self._reader.lines():
            entry = self._decoder.decode(line)
            # Entries of one write stand in the order of arrival; a later write is later.
            self.at_ns.append(max(entry.at_ns, self.at_ns[-1] if self.at_ns else 0))
            self.views.append((entry.epoch, entry.view))
            self._sums.append(self._sums[-1] + entry.commands)
            self.height = max(self.height, entry.height)

    @property
    def count(self) -> int:
        """Envelopes acknowledged."""
        return len(self.at_ns)

    @property
    def commands(self) -> int:
        return self._sums[-1]

    @property
    def age_seconds(self) -> float:
        """Since the last acknowledgement; infinite before the first."""
        return (time.monotonic_ns() - self.at_ns[-1]) / 1e9 if self.at_ns else float("inf")

    @property
    def view(self) -> View:
        """Of the newest acknowledgement."""
        return self.views[-1] if self.views else (0, 0)

    def commands_between(self, begin_ns: int, end_ns: int) -> int:
        """Commands acknowledged in [begin, end)."""
        return (
            self._sums[bisect_left(self.at_ns, end_ns)]
            - self._sums[bisect_left(self.at_ns, begin_ns)]
        )

    def longest_gap_seconds(self, begin_ns: int, end_ns: int) -> float:
        """Longest time without an acknowledgement in an interval, its ends counted as one each."""
        inside = self.at_ns[bisect_left(self.at_ns, begin_ns) : bisect_right(self.at_ns, end_ns)]
        points = [begin_ns, *inside, end_ns]
        return max(b - a for a, b in pairwise(points)) / 1e9

    async def acknowledged_after(
        self, since_ns: int, seconds: float, *, beyond: View | None = None
    ) -> float | None:
        """Seconds from `since_ns` to the first acknowledgement after it, with `beyond` to the first of
        a later view; None when there is none within `seconds` from now."""
        checked = bisect_right(self.at_ns, since_ns)
        with trio.move_on_after(seconds):
            while True:
                self.poll()
                for position in range(checked, self.count):
                    if beyond is None or self.views[position] > beyond:
                        return (self.at_ns[position] - since_ns) / 1e9
                checked = self.count
                await trio.sleep(POLL_SECONDS)
        return None
