"""The gate: each planted bug, in a copy of the source of its own, must break a promise within a bounded
number of seeds. A simulator that cannot find these would find nothing else either.
"""

from __future__ import annotations

import difflib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from tools.figures import write_figures
from tools.output import ERRORS, Exit, print_rows, say
from tools.simulator.child import Line, parse_line
from tools.simulator.planted import PLANTS
from tools.simulator.planted.plant import Plant, PlantError, plant_into
from tools.simulator.sweep import ROOT

SEEDS_MAX: Final = 2_000
"""Per bug (reliability §6)."""
HASHED_SEEDS: Final = 12
"""Seeds that run under two PYTHONHASHSEEDs before the rest: one process cannot see an order that depends
on it."""
PACKAGES: Final = ("tallynet", "consensus", "net", "node", "tools")


@dataclass(frozen=True, slots=True)
class Catch:
    """What became of one planted bug."""

    name: str
    rule: str
    caught: bool
    seeds: int
    """Runs until it was caught, or all of them."""
    oracle: str
    what: str


def chosen_plants(names: Sequence[str]) -> list[Plant]:
    """The plants of these names, or all. Raises PlantError PLANT_UNKNOWN."""
    known = {plant.name: plant for plant in PLANTS}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            raise PlantError("PLANT_UNKNOWN", f"there is no planted bug {name!r}{hint}")
    return [known[name] for name in names] or list(PLANTS)


def run_gate(names: Sequence[str], *, jobs: int, json_file: Path | None) -> Exit:
    """Plant, sweep, print; returns the exit code."""
    plants = chosen_plants(names)
    catches = hunt(plants, jobs)
    order = {plant.name: number for number, plant in enumerate(plants)}
    catches.sort(key=lambda catch: order[catch.name])
    _print(catches)
    write_figures(json_file, {"planted": [asdict(catch) for catch in catches]})
    return Exit.OK if all(catch.caught for catch in catches) else Exit.REFUSED


def hunt(plants: Sequence[Plant], jobs: int, seeds_max: int = SEEDS_MAX) -> list[Catch]:
    """What became of each, in the order of their ends; `jobs` at a time. Raises PlantError."""
    catches: list[Catch] = []
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[now]}")  # fmt: skip
    with (
        Progress(*columns, console=ERRORS, transient=True) as progress,
        ThreadPoolExecutor(jobs) as pool,
    ):
        task = progress.add_task("planted bugs", total=len(plants), now="")

        def watch(plant: Plant, seeds: int) -> None:
            progress.update(task, now=f"{plant.name}: {seeds} seeds")

        futures = [pool.submit(catch, plant, watch, seeds_max) for plant in plants]
        try:
            for future in as_completed(futures):
                found = future.result()
                catches.append(found)
                progress.advance(task)
                end = f"caught by {found.oracle}" if found.caught else "SURVIVED"
                progress.console.print(f"{found.name}: {end}, {found.seeds:,} seeds")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return catches


Watch = Callable[[Plant, int], None]
"""(bug, seeds so far)."""


def catch(
    plant: Plant, watch: Watch = lambda _plant, _seeds: None, seeds_max: int = SEEDS_MAX
) -> Catch:
    """Hunt one bug. Raises PlantError PLANT_STALE."""
    with _tree(plant) as root:
        return _Hunt(plant, root, watch, seeds_max).run()


class _Hunt:
    def __init__(self, plant: Plant, root: Path, watch: Watch, seeds_max: int) -> None:
        self._plant: Final = plant
        self._root: Final = root
        self._watch: Final = watch
        self._seeds_max: Final = seeds_max
        self._seeds = 0
        self._traces: Final[dict[int, str]] = {}
        self._next = 0

    def run(self) -> Catch:
        hashed = min(HASHED_SEEDS, self._seeds_max)
        return (
            self._sweep(hashed)
            or self._compare(hashed)
            or self._sweep(self._seeds_max - hashed)
            or self._result("")
        )

    def _result(self, what: str) -> Catch:
        plant, oracle = self._plant, what.partition(":")[0]
        return Catch(plant.name, plant.rule, bool(what), self._seeds, oracle, what)

    def _sweep(self, count: int) -> Catch | None:
        for line in self._child("0", self._next, count):
            self._seeds += 1
            self._next = line.seed + 1
            self._traces[line.seed] = line.trace
            self._watch(self._plant, self._seeds)
            if line.violation:
                return self._result(line.violation)
        return None

    def _compare(self, count: int) -> Catch | None:
        for line in self._child("1", 0, count):
            if self._traces[line.seed] != line.trace:
                return self._result(f"determinism: seed {line.seed} leaves two traces")
        return None

    def _child(self, hash_seed: str, first: int, count: int) -> Iterator[Line]:
        if not count:
            return
        command = [sys.executable, "-m", "tools.simulator.child"]
        environment = {
            "PYTHONPATH": str(self._root), "PYTHONSAFEPATH": "1", "PYTHONHASHSEED": hash_seed,
        }  # fmt: skip
        with subprocess.Popen(
            [*command, self._plant.variant, str(first), str(count)],
            cwd=self._root, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as child:  # fmt: skip
            try:
                for text in child.stdout or ():
                    yield parse_line(text)
                errors = "" if child.stderr is None else child.stderr.read()
                child.wait()
            finally:
                child.kill()
        if child.returncode:
            errors = errors.strip()[-400:] or "its process was killed; is there enough memory?"
            raise PlantError("PLANT_STALE", f"{self._plant.name}: {errors}")


@contextmanager
def _tree(plant: Plant) -> Iterator[Path]:
    """A copy of the source with the bug. Compiled files come along, so that only one is compiled."""
    with tempfile.TemporaryDirectory(prefix="tally-planted-") as scratch:
        root = Path(scratch)
        for package in PACKAGES:
            shutil.copytree(ROOT / package, root / package)
        plant_into(plant, root)
        yield root


def _print(catches: Sequence[Catch]) -> None:
    rows = [
        (c.name, c.rule, "caught" if c.caught else "SURVIVED", f"{c.seeds:,}", c.oracle)
        for c in catches
    ]
    print_rows("", ("planted bug", "rule", "", "seeds", "caught by"), rows)
    caught = [c.seeds for c in catches if c.caught]
    median = statistics.median(caught) if caught else 0
    say(f"caught {len(caught)} of {len(catches)}; median {median:g} seeds")
