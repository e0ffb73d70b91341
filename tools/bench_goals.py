"""What Tallynet must cost: every published figure with its goal, and the judgement of what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

Figures = Mapping[str, float]
"""By name, of one run."""
Results = Mapping[str, Sequence[Figures]]
"""Runs by part of the suite."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One row of the table."""

    part: str
    """Of the suite, in which it is measured."""
    figure: str
    """Its name in a run of that part."""
    text: str
    bound: float
    unit: str
    at_least: bool = False
    """The figure must reach the bound; else it must stay at or below it."""
    digits: int = 1

    @property
    def goal(self) -> str:
        """For people."""
        return f"{'≥' if self.at_least else '≤'} {self.shown(self.bound)}"

    def shown(self, value: float) -> str:
        """A value with its unit."""
        return f"{value:,.{self.digits}f} {self.unit}".rstrip()

    def is_met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


class Judged(NamedTuple):
    """A goal and what was measured for it."""

    goal: Goal
    median: float
    least: float
    most: float
    runs: int
    verify_us: float | None
    """What one verification took in the same runs, for figures of CPU."""

    @property
    def is_met(self) -> bool:
        """By the median."""
        return self.goal.is_met(self.median)

    @property
    def measured(self) -> str:
        """Median, and the range of several runs."""
        shown = self.goal.shown(self.median)
        if self.runs > 1:
            least, most = (f"{value:,.{self.goal.digits}f}" for value in (self.least, self.most))
            shown += f" ({least} – {most})"
        return shown if self.verify_us is None else f"{shown}; a verification {self.verify_us} µs"


def _at_least(part: str, figure: str, text: str, bound: float, unit: str, digits: int = 0) -> Goal:
    return Goal(part, figure, text, bound, unit, True, digits)


GOALS: Final = (
    _at_least(
        "transfers", "commands_per_second",
        "one-command transfers, signed and durable, sustained", 4_500, "/s",
    ),
    Goal("transfers", "cpu_us", "the same: CPU per command and validator", 100, "µs"),
    Goal("transfers", "cpu_verifications", "the same, in signature verifications", 2.6, "×", digits=2),
    _at_least("envelopes", "commands_per_second", "envelopes of 100 commands", 9_000, "/s"),
    Goal("envelopes", "cpu_us", "the same: CPU per command and validator", 50, "µs"),
    Goal("transfers", "light_p50_ms", "latency with one envelope under way, p50", 10, "ms"),
    Goal("transfers", "light_p99_ms", "the same, p99", 30, "ms"),
    Goal("transfers", "half_p99_ms", "latency at half of the highest load, p99", 250, "ms", digits=0),
    _at_least(
        "transfers", "dead_share", "throughput with one of four validators dead", 90, "%"
    ),
    Goal(
        "lots", "cpu_ratio", "CPU per command with many live lots, by that with few", 1.15, "×", digits=2
    ),
    Goal(
        "lots", "anonymous_mb",
        "memory of a validator beyond the mapped file, full load, many lots", 600, "MB", digits=0,
    ),
    _at_least(
        "transfers", "catch_up_per_core_second", "catching up by executing blocks, per CPU second", 8_000, "/s"
    ),
    Goal("join", "seconds", "joining with the state of a million records", 60, "s"),
    Goal("join", "p99_ratio", "p99 of the network meanwhile, by that before", 2, "×", digits=2),
    Goal("idle", "cpu_percent", "CPU of an idle validator, of one core", 1, "%", digits=2),
    Goal("idle", "resident_mb", "resident memory of an idle validator", 90, "MB"),
    Goal("transfers", "disk_bytes", "bytes on disk per one-command transfer", 1_000, "", digits=0),
    _at_least("proofs", "served", "proofs served per CPU second, slowest kind", 3_000, "/s"),
    _at_least("proofs", "verified", "proofs checked per CPU second, slowest kind", 3_000, "/s"),
    Goal("pages", "slowest_few_ms", "slowest web page, a few vouchers", 50, "ms"),
    Goal("pages", "slowest_many_ms", "slowest web page, a million lots", 200, "ms"),
    Goal("validators", "ratio_7", "CPU per command and validator of 7, by that of 4", 1.15, "×", digits=2),
    Goal("validators", "ratio_10", "the same of 10", 1.15, "×", digits=2),
    Goal("validators", "ratio_16", "the same of 16", 1.15, "×", digits=2),
)  # fmt: skip
"""In the order of the table."""


def judge(results: Results) -> Iterator[Judged]:
    """Every goal for which there is a measurement, in order."""
    for goal in GOALS:
        runs = [run for run in results.get(goal.part, ()) if goal.figure in run]
        if not runs:
            continue
        values = [run[goal.figure] for run in runs]
        verified = [run["verify_us"] for run in runs] if goal.figure == "cpu_us" else []
        yield Judged(
            goal, statistics.median(values), min(values), max(values), len(values),
            round(statistics.median(verified), 1) if verified else None,
        )  # fmt: skip


def rows(results: Results) -> list[tuple[str, str, str, str]]:
    """figure, goal, measured, met?"""
    judged = {each.goal: each for each in judge(results)}
    table = []
    for goal in GOALS:
        found = judged.get(goal)
        met = "" if found is None else "yes" if found.is_met else "NO"
        measured = "not measured" if found is None else found.measured
        table.append((goal.text, goal.goal, measured, met))
    return table
