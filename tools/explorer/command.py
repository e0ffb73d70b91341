"""What `tally explore` and `tally twins` do and print."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tools.arguments import UsageError
from tools.explorer.scenarios import SCENARIOS, TWO_WAY
from tools.explorer.scope import EXPLORATIONS
from tools.explorer.search import Explorer, Report
from tools.explorer.twins import Tally, replay, run_range
from tools.figures import write_figures
from tools.output import ERRORS, Exit, print_rows, say

CHUNK: Final = 320
"""Scenarios between two reports of progress: whole groups, a few seconds."""
RANGE: Final = re.compile(r"([0-9]{1,12}):([0-9]{1,12})")


def run_explore(states: int, window: int | None, *, byzantine: bool, json_file: Path | None) -> int:
    """Explore, print, optionally write JSON; returns the exit code."""
    if states < 1:
        raise UsageError("USAGE", f"--states {states}: at least 1")
    chosen = [
        scope
        for scope in EXPLORATIONS
        if window in (None, scope.window) and byzantine == (scope.byzantine is not None)
    ]
    if not chosen:
        raise UsageError("USAGE", f"--window {window}: 1 or 2")
    reports: list[Report] = []
    for scope in chosen:
        with _progress(scope.describe(), states) as advance:
            reports.append(Explorer(scope).run(states, lambda report: advance(report.states)))
        if reports[-1].violation:
            break
    _print_reports(reports)
    write_figures(json_file, {"states_max": states, "explorations": [_plain(r) for r in reports]})
    if reports[-1].violation:
        _print_violation(reports[-1])
        return int(Exit.DIFFERENCE)
    return int(Exit.OK)


def _print_reports(reports: Iterable[Report]) -> None:
    rows = [
        (
            *report.scope.columns(),
            f"{report.states:,}" + ("" if report.complete else " +"),
            f"{report.transitions:,}",
            f"{report.local_states:,}",
            f"{report.core_steps:,}",
            str(report.depth),
            f"{report.seconds:.1f}",
        )
        for report in reports
    ]
    columns = (
        "W", "blocks", "views", "crashes", "liar", "start", "states", "transitions", "local states",
        "core steps", "depth", "CPU s",
    )  # fmt: skip
    print_rows("States visited; + means that there are more", columns, rows)


def _plain(report: Report) -> dict[str, Any]:
    scope = report.scope
    return {
        "window": scope.window, "blocks": scope.blocks, "views": scope.views,
        "crashes": scope.crashes, "byzantine": scope.byzantine, "start": scope.start.name,
        "states": report.states, "complete": report.complete, "transitions": report.transitions,
        "local_states": report.local_states, "core_steps": report.core_steps,
        "depth": report.depth, "view_max": report.view_max,
        "committed_max": report.committed_max, "cpu_seconds": round(report.seconds, 2),
        "violation": report.violation, "transcript": report.transcript,
    }  # fmt: skip


def _print_violation(report: Report) -> None:
    say(f"VIOLATION in: {report.scope.describe()}")
    for number, line in enumerate(report.transcript, 1):
        say(f"{number:>4}  {line}")
    say(f"      {report.violation}")


def replay_twins(scenario: int) -> int:
    """Tell what happens in one scenario; returns the exit code."""
    if not 0 <= scenario < SCENARIOS:
        raise UsageError("USAGE", f"--scenario {scenario}: 0 to {SCENARIOS - 1}")
    found = replay(scenario, say)
    return int(Exit.DIFFERENCE if found.violation else Exit.OK)


def run_twins(scenarios: str, jobs: int, json_file: Path | None) -> int:
    """Run a range of scenarios, print counts, optionally write JSON; returns the exit code."""
    numbers = _range(scenarios)
    if jobs < 1:
        raise UsageError("USAGE", f"--jobs {jobs}: at least 1")
    begun = time.monotonic()
    tally = Tally()
    with _progress("scenarios", len(numbers)) as advance:
        for part in _parts(numbers, jobs):
            tally.add(part)
            advance(tally.scenarios)
    seconds = time.monotonic() - begun
    _print_tally(tally, seconds)
    write_figures(json_file, _tally_plain(numbers, jobs, tally, seconds))
    return int(Exit.DIFFERENCE if tally.violations else Exit.OK)


def _range(text: str) -> range:
    match = RANGE.fullmatch(text)
    if match is None or not int(match[1]) < int(match[2]) <= SCENARIOS:
        raise UsageError(
            "USAGE", f"--scenarios {text}: write FIRST:END, within 0:{SCENARIOS}; those below {TWO_WAY} have two sets"
        )  # fmt: skip
    return range(int(match[1]), int(match[2]))


def _parts(numbers: range, jobs: int) -> Iterator[Tally]:
    chunks = [numbers[at : at + CHUNK] for at in range(0, len(numbers), CHUNK)]
    if jobs == 1:
        yield from map(run_range, chunks)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(run_range, chunks)


def _print_tally(tally: Tally, seconds: float) -> None:
    rows = [
        ("scenarios", f"{tally.scenarios:,}"),
        ("blocks committed", f"{tally.blocks:,}"),
        ("view changes", f"{tally.views:,}"),
        ("scenarios in which the twin was caught", f"{tally.caught:,}"),
        ("events handled by replicas", f"{tally.steps:,}"),
        ("violations", f"{tally.violations:,}"),
        ("seconds", f"{seconds:.1f}"),
        ("scenarios per second", f"{tally.scenarios / seconds:.0f}"),
    ]
    print_rows("", ("twins", "figure"), rows)
    for number, what in tally.first:
        say(f"scenario {number}: {what}; see: tally twins --scenario {number}")


def _tally_plain(numbers: range, jobs: int, tally: Tally, seconds: float) -> dict[str, Any]:
    return {
        "first": numbers.start, "end": numbers.stop, "jobs": jobs, "scenarios": tally.scenarios,
        "blocks": tally.blocks, "view_changes": tally.views, "caught": tally.caught,
        "events": tally.steps, "violations": tally.violations, "first_violations": tally.first,
        "seconds": round(seconds, 2),
    }  # fmt: skip


@contextmanager
def _progress(what: str, total: int) -> Iterator[Any]:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()  # fmt: skip
    with Progress(*columns, console=ERRORS, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)
