"""Plans made by hand: calm unless a test says otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tools.simulator.options import CALM, Plan, Request, Strategy

CALM_PLAN = Plan(
    seed=1,
    n=4,
    window=4,
    epoch_length=1000,
    day_seconds=86_400,
    real_signatures=False,
    strategy=Strategy.UNIFORM,
    weather=CALM,
    liars=(),
    charged=(),
    faults=(),
    requests=(),
    length_ms=1_000,
    opening=True,
    dead=(),
    aftershock=False,
)


def calm(**changes: Any) -> Plan:
    """The calm plan with something changed."""
    return replace(CALM_PLAN, **changes)


def every(period_ms: int, length_ms: int) -> tuple[Request, ...]:
    """A request of one client after the other, at even times."""
    times = range(0, length_ms, period_ms)
    return tuple(Request(at, number, 1_000 + number) for number, at in enumerate(times))
