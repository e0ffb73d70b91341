"""How long the newest blocks took, step by step, for the chart of the network page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

__all__ = ["SPAN_MS", "STEP_MS", "RecentLatency", "Step"]

SPAN_MS: Final = 300_000
STEP_MS: Final = 5_000
STEPS_MAX: Final = SPAN_MS // STEP_MS
"""Remembered; blocks come in the order of their times, so the first is the oldest."""


@dataclass(slots=True)
class Step:
    """Blocks whose time lies in one step."""

    blocks: int = 0
    total: float = 0.0
    """Seconds of all together."""
    longest: float = 0.0
    """Seconds."""


@final
class RecentLatency:
    """Seconds from the acceptance of a block's proposal to its commit, by the block's own time."""

    def __init__(self) -> None:
        self._steps: Final[dict[int, Step]] = {}

    def add(self, time_ms: int, seconds: float) -> None:
        number = time_ms // STEP_MS
        step = self._steps.get(number)
        if step is None:
            if len(self._steps) >= STEPS_MAX:
                del self._steps[next(iter(self._steps))]
            step = self._steps[number] = Step()
        step.blocks += 1
        step.total += seconds
        step.longest = max(step.longest, seconds)

    def means_and_longest(self, steps: range) -> tuple[list[float | None], list[float | None]]:
        """Seconds of each of these steps, their numbers in steps of `STEP_MS` since 1970; None where no block was
        made, or none that this process saw proposed."""
        found = [self._steps.get(number) for number in steps]
        means = [None if step is None else step.total / step.blocks for step in found]
        return means, [None if step is None else step.longest for step in found]
