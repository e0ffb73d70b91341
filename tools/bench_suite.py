"""`tally bench --suite`: every published figure by one command, part by part.

The results file is written after every run. The same command with the same file goes on where an interrupted
one stopped; the parts named by `--only` are all that is measured then.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import psutil
import trio

from tallynet.errors import TallynetError
from tools.bench_goals import judge, rows
from tools.bench_parts import PARTS, Part, Scale
from tools.bench_plot import Point, plot
from tools.bench_world import BenchFailed
from tools.figures import machine
from tools.output import ERRORS, Exit, print_rows
from tools.testnet_processes import ROOT

RUNS_MAX: Final = 100
PATIENCE: Final = 4
"""A part may take so many times as long as it should, then the suite goes on without it."""
DOCUMENT: Final = ROOT / "docs" / "performance.md"
PLOT: Final = DOCUMENT.with_suffix(".svg")
BEGIN, END = (
    "<!-- figures: written by tally bench --suite --write-docs -->",
    "<!-- end of figures -->",
)
_HEADINGS: Final = ("figure", "goal", "measured", "met")


@dataclass(slots=True)
class Results:
    """What has been measured so far."""

    machine: str
    commit: str
    parts: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    """Figures of every run, by part."""

    @classmethod
    def load(cls, file: Path | None, commit: str) -> Results:
        """Those in the file, if it is there and of this machine and commit.

        Raises:
            BenchFailed: RESULTS_OTHER, RESULTS_UNREADABLE.
        """
        here = cls(machine(), commit)
        if file is None or not file.exists():
            return here
        try:
            found = msgspec.json.decode(file.read_bytes(), type=cls)
        except msgspec.DecodeError as error:
            raise BenchFailed("RESULTS_UNREADABLE", f"{file}: {error}") from None
        if (found.machine, found.commit) != (here.machine, here.commit):
            raise BenchFailed(
                "RESULTS_OTHER",
                f"{file} is of another machine or commit ({found.machine}; {found.commit or 'not named'});"
                " choose another file",
            )
        return found

    def write(self, file: Path | None) -> None:
        if file is not None:
            beside = file.with_name(file.name + ".new")
            beside.write_bytes(msgspec.json.format(msgspec.json.encode(self)) + b"\n")
            beside.replace(file)

    @property
    def points(self) -> list[Point]:
        """Of the curve; empty while it has not been measured."""
        runs = self.parts.get("curve", ())
        if not runs:
            return []
        run = runs[-1]
        count = sum(name.startswith("offered_") for name in run)
        return [
            Point(run[f"committed_{n}"], run[f"p50_ms_{n}"], run[f"p99_ms_{n}"])
            for n in range(count)
        ]


def chosen(only: str, parts: Sequence[Part] = PARTS) -> list[Part]:
    """Those of a comma-separated list; all of them when it is empty. Raises BenchFailed USAGE."""
    names = [name.strip() for name in only.split(",") if name.strip()]
    known = {part.name: part for part in parts}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BenchFailed("USAGE", f"--only {unknown[0]}: the parts are {', '.join(known)}")
    return [part for part in parts if not names or part.name in names]


def run_suite(
    *,
    runs: int,
    only: str,
    json_file: Path | None,
    commit: str,
    write_docs: bool,
    scale: Scale | None = None,
    parts: Sequence[Part] = PARTS,
) -> int:
    """Measure what is missing, print the table; returns the exit code, DIFFERENCE if a goal is not met or a part
    failed. Raises BenchFailed."""
    if not 1 <= runs <= RUNS_MAX:
        raise BenchFailed("USAGE", f"--runs is 1 to {RUNS_MAX}")
    results = Results.load(json_file, commit)
    failed = False
    for part in chosen(only, parts):
        missing = min(runs, part.runs_max) - len(results.parts.get(part.name, ()))
        if missing > 0:
            failed |= not _measured(part, scale or Scale(), missing, results, json_file)
    print_rows(results.machine, _HEADINGS, rows(results.parts))
    if write_docs:
        write_document(results, DOCUMENT, PLOT)
    unmet = any(not judged.is_met for judged in judge(results.parts))
    return int(Exit.DIFFERENCE if failed or unmet else Exit.OK)


def _measured(
    part: Part, scale: Scale, missing: int, results: Results, json_file: Path | None
) -> bool:
    """Whether the part could be measured; one that cannot does not end the suite."""
    ERRORS.rule(f"{part.name}: {part.title}, {missing} runs, about {part.minutes:g} minutes")
    started, done = time.monotonic(), True
    try:
        trio.run(_runs, part, scale, missing, results, json_file)
    except* (TallynetError, trio.TooSlowError, psutil.Error) as group:
        done = False
        for error in _leaves(group):
            ERRORS.print(f"{part.name} failed: {error!r}", markup=False)
    ERRORS.print(f"{part.name} took {time.monotonic() - started:.0f} s")
    return done


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


async def _runs(
    part: Part, scale: Scale, missing: int, results: Results, json_file: Path | None
) -> None:
    with trio.fail_after(PATIENCE * part.minutes * 60):
        async with part.opened(scale) as once:
            for number in range(missing):
                ERRORS.print(f"{part.name}: run {number + 1} of {missing}")
                figures = {name: round(value, 3) for name, value in (await once()).items()}
                results.parts.setdefault(part.name, []).append(figures)
                results.write(json_file)
                ERRORS.print(json.dumps(figures), markup=False)


# --- the document -----------------------------------------------------------------------------------


def write_document(results: Results, document: Path, picture: Path) -> None:
    """Replace what stands between the markers, and the plot if there is one. Raises BenchFailed NO_MARKERS."""
    text = document.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise BenchFailed("NO_MARKERS", f"{document} has no lines {BEGIN} and {END}")
    points = results.points
    if points:
        picture.write_text(plot(points, "Latency by throughput, one command per envelope"), "utf-8")
    figures = _figures(results, picture.name if points else "")
    document.write_text(f"{head}{BEGIN}\n\n{figures}\n{END}{tail}", encoding="utf-8")


def _figures(results: Results, picture: str) -> str:
    commit = f", commit {results.commit}" if results.commit else ""
    lines = [f"{results.machine}{commit}.", "", *_table(_HEADINGS, rows(results.parts)), ""]
    if picture:
        lines += [f"![Latency by throughput]({picture})", ""]
    return "\n".join(lines)


def _table(headings: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (headings, ["---"] * len(headings), *body)]
