"""From a plan that breaks a promise to a small one that breaks the same promise.

Left out or calmed as far as the violation stays: faults, liars, damaged disks, requests (delta debugging,
Zeller and Hildebrandt 2002), then the dead, the aftershock, weather, scheduler, length. Every step is a
whole run, so tries and time are bounded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from tools.simulator.options import CALM, CHARGED_KINDS, Plan, Strategy

TRIES_MAX: Final = 400
"""Runs of one shrinking; faults and requests of a plan are at most a hundred items."""
SECONDS_MAX: Final = 120.0

_CALMER: Final[tuple[dict[str, Any], ...]] = (
    {"dead": ()}, {"aftershock": False}, {"real_signatures": False}, {"weather": CALM},
    {"strategy": Strategy.UNIFORM}, {"day_seconds": 86_400}, {"epoch_length": 1000},
)  # fmt: skip
_CALMER_WEATHER: Final[tuple[dict[str, Any], ...]] = (
    {"tail": 0}, {"duplicate": 0}, {"loss": 0}, {"flip": 0}, {"fifo": True},
)  # fmt: skip

Breaks = Callable[[Plan], str]
"""The oracle that a plan's run offends; empty: none."""


@dataclass(slots=True)
class Shrunk:
    """The result of a shrinking."""

    plan: Plan
    tries: int


def shrink(
    plan: Plan,
    oracle: str,
    breaks: Breaks,
    *,
    tries_max: int = TRIES_MAX,
    seconds_max: float = SECONDS_MAX,
) -> Shrunk:
    """The smallest plan found whose run still offends `oracle`."""
    return _Shrinking(plan, oracle, breaks, tries_max, seconds_max).run()


class _Shrinking:
    def __init__(
        self, plan: Plan, oracle: str, breaks: Breaks, tries_max: int, seconds_max: float
    ) -> None:
        self._plan = plan
        self._oracle: Final = oracle
        self._breaks: Final = breaks
        self._left = tries_max
        self._tries_max: Final = tries_max
        self._until: Final = time.monotonic() + seconds_max

    def run(self) -> Shrunk:
        before = None
        while before != self._plan and self._may_try():
            before = self._plan
            self._leave_out("faults")
            self._leave_out("liars")
            self._leave_out("charged")
            self._leave_out("requests")
            for change in _CALMER:
                self._try(replace(self._plan, **change))
            for change in _CALMER_WEATHER:
                weather = replace(self._plan.weather, **change)
                self._try(replace(self._plan, weather=weather))
            self._shorten()
        return Shrunk(self._plan, self._tries_max - self._left)

    def _may_try(self) -> bool:
        return self._left > 0 and time.monotonic() < self._until

    def _try(self, plan: Plan) -> bool:
        """Take a plan if its run still offends the oracle."""
        if plan == self._plan or not self._may_try():
            return False
        self._left -= 1
        if self._breaks(plan) != self._oracle:
            return False
        self._plan = plan
        return True

    def _leave_out(self, name: str) -> None:
        """Delta debugging over one list of the plan: leave out ever smaller parts of it."""
        items: Sequence[object] = getattr(self._plan, name)
        size = len(items)
        while size and self._may_try():
            at = 0
            while at < len(items) and self._may_try():
                rest = (*items[:at], *items[at + size :])
                change: dict[str, Any] = {name: rest}
                if self._try(_consistent(replace(self._plan, **change))):
                    items = rest
                else:
                    at += size
            size //= 2

    def _shorten(self) -> None:
        """Heal earlier: what would happen later goes."""
        while self._may_try():
            length = self._plan.length_ms * 3 // 4
            plan = replace(
                self._plan,
                length_ms=length,
                faults=tuple(f for f in self._plan.faults if f.at_ms < length),
                requests=tuple(r for r in self._plan.requests if r.at_ms < length),
            )
            if length < 100 or not self._try(plan):
                return


def _consistent(plan: Plan) -> Plan:
    """Damage only for disks that are charged for it."""
    kept = tuple(
        fault
        for fault in plan.faults
        if fault.kind not in CHARGED_KINDS or fault.node in plan.charged
    )
    return replace(plan, faults=kept)
