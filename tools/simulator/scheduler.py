"""Virtual time: a heap of what happens next, ties broken by the seed."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Final

EVENTS_MAX: Final = 3_000_000
"""No run needs a tenth of it; more is a storm of messages, which is a failure of its own."""

Act = Callable[..., object]


class EventStorm(Exception):
    """More events than any run needs: somebody answers somebody for ever."""


class Scheduler:
    """Runs acts in order of virtual time, in microseconds."""

    def __init__(self, seed: int) -> None:
        self.random: Final = random.Random(seed)
        self.now_us = 0
        self.count = 0
        """Acts scheduled so far."""
        self._heap: Final[list[tuple[int, float, int, Act, tuple[object, ...]]]] = []

    def after(self, wait_us: int, act: Act, *arguments: object) -> None:
        """Call `act(*arguments)` when `wait_us` have passed."""
        self.count += 1
        if self.count > EVENTS_MAX:
            raise EventStorm(f"more than {EVENTS_MAX} events")
        entry = (self.now_us + wait_us, self.random.random(), self.count, act, arguments)
        heapq.heappush(self._heap, entry)

    def run(self, until_us: int, stop: Callable[[], bool] | None = None) -> bool:
        """Let time pass up to `until_us`; True as soon as `stop` holds, which is asked now and then."""
        heap = self._heap
        asked = self.now_us
        while heap and heap[0][0] <= until_us:
            self.now_us, _, _, act, arguments = heapq.heappop(heap)
            act(*arguments)
            if stop is not None and self.now_us - asked >= STOP_PERIOD_US:
                asked = self.now_us
                if stop():
                    return True
        self.now_us = until_us
        return stop is not None and stop()


STOP_PERIOD_US: Final = 50_000
"""How often the end of a phase is asked for: asking costs more than an event."""
