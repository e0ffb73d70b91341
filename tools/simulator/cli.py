"""`tally simulate`: one seed for people, many seeds for figures, planted bugs for the worth of both."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tools.arguments import UsageError
from tools.figures import write_figures
from tools.output import ERRORS, Exit, print_rows, say
from tools.simulator.options import Plan
from tools.simulator.plan_files import describe_plan, one_line, read_plan, write_plan
from tools.simulator.planted.gate import run_gate
from tools.simulator.run import LAST_EVENTS, Outcome, Run
from tools.simulator.seeds import plan_of
from tools.simulator.sweep import Failure, Totals, check_hash_seed, figures, sweep
from tools.simulator.variants import variant_of

COVERAGE_SHOWN: Final = 12
"""Rarest pairs of command and outcome in the table; all of them are in the JSON."""


def simulate(
    *names: str,
    seed: Annotated[int | None, Parameter(help="replay one run and show it")] = None,
    plan: Annotated[Path | None, Parameter(help="replay the run of a kept plan")] = None,
    events: Annotated[int, Parameter(help="last events shown of one run")] = LAST_EVENTS,
    seeds: Annotated[str | None, Parameter(help="sweep the seeds A up to before B: A:B")] = None,
    small: Annotated[
        bool, Parameter(negative=(), help="of those, only small runs: 4 validators, 3 s")
    ] = False,
    planted: Annotated[
        bool, Parameter(negative=(), help="sweep copies of the source with one bug each")
    ] = False,
    jobs: Annotated[int | None, Parameter(help="processes; default: one per core")] = None,
    json_file: Annotated[
        Path | None, Parameter(name="--json", help="write the figures to this file")
    ] = None,
    keep: Annotated[
        Path | None,
        Parameter(
            help="directory for the plans of violations; default: where --json goes, or here"
        ),
    ] = None,
) -> None:
    """Run real validators on simulated clocks, disks and links, and judge what they promise.

    For example:

        tally simulate --seeds 0:1000
        tally simulate --seed 42
        tally simulate --planted sticky-on-entering

    Parameters
    ----------
    names
        With --planted: the bugs to plant; default: all of them.
    """
    chosen = [given for given in (seed, plan, seeds, planted or None) if given is not None]
    if len(chosen) != 1:
        raise UsageError("USAGE", "give one of --seed N, --plan FILE, --seeds A:B, --planted")
    if names and not planted:
        raise UsageError("USAGE", "names of bugs go with --planted")
    workers = _jobs(jobs)
    if seed is not None:
        code = _replay(plan_of(seed), events)
    elif plan is not None:
        code = _replay(read_plan(plan), events)
    elif seeds is not None:
        code = _sweep(_range(seeds), workers, small=small, json_file=json_file, keep=keep)
    else:
        code = run_gate(names, jobs=workers, json_file=json_file)
    if code:
        raise SystemExit(int(code))


def _jobs(given: int | None) -> int:
    if given is not None and given < 1:
        raise UsageError("USAGE", "--jobs is at least 1")
    return given or len(os.sched_getaffinity(0))


def _range(text: str) -> range:
    first, colon, last = text.partition(":")
    if not (colon and first.isdecimal() and last.isdecimal() and int(first) < int(last)):
        raise UsageError("USAGE", f"{text!r} is no range of seeds; write it like 0:1000")
    return range(int(first), int(last))


# --- one run ------------------------------------------------------------------------------------


def _replay(plan: Plan, events: int) -> Exit:
    for line in describe_plan(plan):
        say(line)
    run = Run(plan, keep=max(1, events))
    with ERRORS.status("running"):
        outcome = run.go()
    say(f"\nthe last {events} events")
    for line in run.last_events()[-events:] if events > 0 else ():
        say(line)
    say("")
    _print_outcome(outcome)
    return Exit.REFUSED if outcome.violations else Exit.OK


def _print_outcome(outcome: Outcome) -> None:
    say(
        f"{outcome.simulated_ms / 1000:.1f} s of simulated time, {outcome.events} events,"
        f" height {outcome.height}, {outcome.acknowledged} acknowledged, trace {outcome.trace}"
    )
    for violation in outcome.violations:
        say(f"BROKEN PROMISE: {violation}")
    if not outcome.violations:
        say("every promise was kept")


# --- many runs ------------------------------------------------------------------------------------


def _sweep(
    seeds: range, jobs: int, *, small: bool, json_file: Path | None, keep: Path | None
) -> Exit:
    chosen = [s for s in seeds if not small or variant_of(s) == "small"]
    if not chosen:
        raise UsageError("USAGE", "there is no small seed in this range; make it longer")
    started = time.monotonic()
    with _progress() as progress:
        task = progress.add_task("simulating", total=len(chosen), rate="", violations=0)

        def watch(totals: Totals) -> None:
            rate = f"{totals.seeds / (time.monotonic() - started):.1f}/s"
            progress.update(
                task, completed=totals.seeds, rate=rate, violations=len(totals.failures)
            )

        totals = sweep(chosen, jobs=jobs, watch=watch)
        wall_seconds = time.monotonic() - started
        failure = check_hash_seed(chosen[0])
    if failure is not None:
        totals.failures.append(failure)
    found = figures(totals, wall_seconds)
    _print_totals(totals, found)
    directory = keep or (Path() if json_file is None else json_file.parent)
    for failure in totals.failures:
        _print_failure(failure, directory)
    write_figures(json_file, found)
    return Exit.REFUSED if totals.failures else Exit.OK


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}  {task.fields[violations]} violations"),
        TimeRemainingColumn(), console=ERRORS, transient=True,
    )  # fmt: skip


def _print_totals(totals: Totals, found: dict[str, Any]) -> None:
    rows = [
        ("seeds", f"{totals.seeds:,}"),
        ("seeds per second", f"{found['seeds_per_second']} ({found['seeds_per_second_per_core']} per core)"),
        ("simulated time", f"{found['simulated_hours']} h"),
        ("events", f"{totals.events:,}"),
        ("blocks, acknowledged", f"{totals.blocks:,}, {totals.acknowledged:,}"),
        *((f"fault: {kind}", f"{count:,}") for kind, count in sorted(totals.faults.items())),
        ("violations", str(len(totals.failures))),
    ]  # fmt: skip
    print_rows("", ("measure", "value"), rows)
    rare = Counter(totals.coverage).most_common()[: -COVERAGE_SHOWN - 1 : -1]
    title = f"{len(totals.coverage)} pairs of command and outcome; the rarest"
    print_rows(title, ("command, outcome", "times"), [(pair, f"{n:,}") for pair, n in rare])


def _print_failure(failure: Failure, directory: Path) -> None:
    say(f"\nseed {failure.seed}: {failure.what}")
    if failure.plan is None:
        say(f"    replay: tally simulate --seed {failure.seed}")
        return
    path = directory / f"plan-{failure.seed}.json"
    write_plan(failure.plan, path)
    say(f"    shrunk: {one_line(failure.plan)}")
    say(f"    replay: tally simulate --plan {path}")
