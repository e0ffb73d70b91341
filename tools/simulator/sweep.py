"""Many seeds in several processes, their figures, and what broke a promise, shrunk.

Processes are spawned, so that each has hash seeds of its own: every 50th seed is run again, by whoever
is free, and must leave the same trace (INV-20).
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tallynet.errors import TallynetError
from tools.simulator.child import parse_line
from tools.simulator.judge import judge
from tools.simulator.options import Plan
from tools.simulator.plan_files import one_line, parse_plan, plan_json
from tools.simulator.seeds import plan_of
from tools.simulator.shrink import shrink
from tools.simulator.variants import ANY

ROOT: Final = Path(__file__).resolve().parents[2]
REPEAT_EVERY: Final = 50
"""One seed in so many runs twice."""
CHUNK: Final = 4
"""Seeds per task: enough that handing over costs nothing, few enough that progress is seen."""
QUEUED_PER_JOB: Final = 3
"""Tasks handed out ahead, so that nobody waits; the rest stays with the parent."""
SHRUNK_MAX: Final = 10
"""Violations that are shrunk; when there are more, these say everything."""
HASH_SECONDS_MAX: Final = 120
"""For the one run in a child with another hash seed."""


class SweepError(TallynetError):
    """The sweep itself cannot go on. Codes: SIMULATE_CHILD."""


@dataclass(slots=True)
class Failure:
    """A seed whose run broke a promise."""

    seed: int
    what: str
    plan: Plan | None = None
    """Shrunk; None when there were too many to shrink."""

    @property
    def oracle(self) -> str:
        return self.what.partition(":")[0]


@dataclass(slots=True)
class Totals:
    """What a set of seeds gave."""

    seeds: int = 0
    cpu_seconds: float = 0.0
    """Of the processes that ran them, shrinking not counted."""
    simulated_ms: int = 0
    events: int = 0
    blocks: int = 0
    acknowledged: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    coverage: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    traces: dict[int, str] = field(default_factory=dict)
    """Of the seeds that are run twice."""

    def add(self, other: Totals) -> None:
        """Take in another set. A seed that left two traces is a violation."""
        self.seeds += other.seeds
        self.cpu_seconds += other.cpu_seconds
        self.simulated_ms += other.simulated_ms
        self.events += other.events
        self.blocks += other.blocks
        self.acknowledged += other.acknowledged
        self.faults.update(other.faults)
        self.coverage.update(other.coverage)
        self.failures += other.failures
        for seed, trace in other.traces.items():
            self.note_trace(seed, trace)

    def note_trace(self, seed: int, trace: str) -> None:
        if self.traces.setdefault(seed, trace) != trace:
            self.failures.append(Failure(seed, "determinism: one seed left two traces"))


def run_seeds(seeds: tuple[int, ...]) -> Totals:
    """Judge these seeds in this process."""
    totals = Totals()
    started = time.process_time()
    for seed in seeds:
        outcome = judge(plan_of(seed))
        totals.seeds += 1
        totals.simulated_ms += outcome.simulated_ms
        totals.events += outcome.events
        totals.blocks += outcome.height
        totals.acknowledged += outcome.acknowledged
        totals.faults.update(outcome.faults)
        totals.coverage.update(outcome.coverage)
        totals.failures += [Failure(seed, what) for what in outcome.violations]
        if seed % REPEAT_EVERY == 0:
            totals.traces[seed] = outcome.trace
    totals.cpu_seconds = time.process_time() - started
    return totals


def shrink_seed(seed: int, oracle: str) -> bytes:
    """The shrunk plan of a failed seed, as JSON: plans of the parent and of a worker are then the same
    bytes."""
    return plan_json(shrink(plan_of(seed), oracle, lambda plan: judge(plan).oracle).plan)


Watch = Callable[[Totals], None]
"""Told after every task and after every shrinking."""


def sweep(seeds: Iterable[int], *, jobs: int, watch: Watch = lambda _: None) -> Totals:
    """Judge seeds in `jobs` processes and shrink what fails.

    Raises:
        SweepError: SIMULATE_CHILD, a process died.
    """
    totals = Totals()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        tasks = _tasks(pool, seeds)
        running: set[Future[Totals]] = set()
        try:
            while True:
                while len(running) < jobs * QUEUED_PER_JOB and (task := next(tasks, None)):
                    running.add(task)
                if not running:
                    break
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    totals.add(future.result())
                    watch(totals)
            for _ in _shrink_failures(pool, totals):
                watch(totals)
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                text = "a process of the sweep died; is there enough memory?"
                raise SweepError("SIMULATE_CHILD", text) from None
            raise
    return totals


def _tasks(pool: ProcessPoolExecutor, seeds: Iterable[int]) -> Iterator[Future[Totals]]:
    """Chunks of seeds; those to repeat come a second time, later and alone."""
    part: list[int] = []
    for seed in seeds:
        part.append(seed)
        if len(part) == CHUNK:
            yield pool.submit(run_seeds, tuple(part))
            yield from (pool.submit(run_again, s) for s in part if s % REPEAT_EVERY == 0)
            part = []
    if part:
        yield pool.submit(run_seeds, tuple(part))
        yield from (pool.submit(run_again, s) for s in part if s % REPEAT_EVERY == 0)


def run_again(seed: int) -> Totals:
    """The trace of a seed once more; it does not count as another seed."""
    return Totals(traces={seed: judge(plan_of(seed)).trace})


def _shrink_failures(pool: ProcessPoolExecutor, totals: Totals) -> Iterator[Failure]:
    shrinkable = [f for f in totals.failures if f.oracle != "determinism"][:SHRUNK_MAX]
    futures = [pool.submit(shrink_seed, f.seed, f.oracle) for f in shrinkable]
    for failure, future in zip(shrinkable, futures, strict=True):
        failure.plan = parse_plan(future.result(), f"the shrunk seed {failure.seed}")
        yield failure


def check_hash_seed(seed: int) -> Failure | None:
    """One seed here and in a child process with another PYTHONHASHSEED must leave one trace.

    Raises:
        SweepError: SIMULATE_CHILD, the child failed.
    """
    other = "1" if os.environ.get("PYTHONHASHSEED") == "0" else "0"
    command = [sys.executable, "-m", "tools.simulator.child", ANY, str(seed), "1"]
    run = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": other},
        capture_output=True,
        text=True,
        check=False,
        timeout=HASH_SECONDS_MAX,
    )
    if run.returncode:
        raise SweepError("SIMULATE_CHILD", f"the child process failed: {run.stderr.strip()[-400:]}")
    if parse_line(run.stdout.splitlines()[0]).trace != judge(plan_of(seed)).trace:
        return Failure(seed, "determinism: another PYTHONHASHSEED leaves another trace")
    return None


def figures(totals: Totals, wall_seconds: float) -> dict[str, Any]:
    """The figures of a sweep, for JSON."""
    return {
        "seeds": totals.seeds,
        "seconds": round(wall_seconds, 1),
        "cpu_seconds": round(totals.cpu_seconds, 1),
        "seeds_per_second": round(totals.seeds / max(wall_seconds, 1e-9), 2),
        "seeds_per_second_per_core": round(totals.seeds / max(totals.cpu_seconds, 1e-9), 2),
        "simulated_hours": round(totals.simulated_ms / 3_600_000, 2),
        "events": totals.events,
        "blocks": totals.blocks,
        "acknowledged": totals.acknowledged,
        "faults": dict(sorted(totals.faults.items())),
        "coverage": dict(sorted(totals.coverage.items())),
        "violations": [
            {
                "seed": failure.seed,
                "what": failure.what,
                "plan": "" if failure.plan is None else one_line(failure.plan),
            }
            for failure in totals.failures
        ],
    }
