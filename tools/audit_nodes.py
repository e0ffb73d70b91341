"""Audits of several nodes at once, a process each, and what they say of each other."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import Empty
from typing import Any, Final

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from node.store import StoreError
from tools.arguments import format_amount
from tools.audit import Report, audit_node, node_directories
from tools.output import ERRORS, Exit, Output, print_rows, say

POLL_SECONDS: Final = 0.2
"""How often the children are asked how far they are."""

Watch = Callable[[Path, int, int], None]
"""(node directory, blocks done, blocks in all)"""


def run_audit(directories: Sequence[Path], output: Output = Output.table) -> int:
    """Audit nodes and compare them with each other; prints a table or JSON; returns the exit code."""
    nodes = node_directories(directories)
    with audit_progress() as watch:
        reports = audit_nodes(nodes, watch)
    _compare_nodes(reports)
    if output is Output.json:
        print(json.dumps([_as_json(report) for report in reports], indent=2))
    else:
        _print(reports)
    return int(Exit.OK if all(report.agrees for report in reports) else Exit.REFUSED)


def _as_json(report: Report) -> dict[str, object]:
    return {name: getattr(report, name) for name in Report.__dataclass_fields__} | {
        "agrees": report.agrees
    }


def _compare_nodes(reports: Sequence[Report]) -> None:
    """Nodes of one network may end at different heights, never at different roots for one height."""
    by_height: dict[int, Report] = {}
    for report in reports:
        other = by_height.setdefault(report.height, report)
        if other.state_root != report.state_root:
            report.differ(f"state root at {report.height} differs from {other.node}'s")


def _print(reports: Sequence[Report]) -> None:
    rows = [
        (
            report.node,
            str(report.height),
            str(report.commands),
            str(report.vouchers),
            format_amount(report.face),
            format_amount(report.live),
            format_amount(report.redeemed),
            format_amount(report.cancelled),
            report.state_root[:16],
            "all, executed" if report.executed else f"from {report.first_block}, certified",
            "agrees" if report.agrees else "DIFFERS",
        )
        for report in reports
    ]
    columns = (
        "node", "height", "commands", "vouchers", "face", "live", "redeemed", "cancelled",
        "state root", "blocks", "audit",
    )  # fmt: skip
    print_rows("Every fen: face = live + redeemed + cancelled", columns, rows)
    for report in reports:
        for difference in report.differences:
            say(f"{report.node}: {difference}")


def audit_nodes(directories: Sequence[Path], watch: Watch = lambda *_: None) -> list[Report]:
    """Audit stopped nodes, as many at a time as there are cores; reports in the order given. Raises what
    `tools.audit.audit_node` raises, and StoreError STORE_UNREADABLE for a child that was killed."""
    jobs = max(1, min(len(directories), os.cpu_count() or 1))
    context = multiprocessing.get_context("spawn")
    done = context.Queue()
    with ProcessPoolExecutor(jobs, context, _begin, (done,)) as pool:
        futures = [pool.submit(_audit_in_child, directory) for directory in directories]
        waiting = set(futures)
        try:
            while waiting:
                finished, waiting = wait(waiting, POLL_SECONDS, FIRST_COMPLETED)
                _tell(done, watch)
                for future in finished:
                    future.result()
        except BrokenProcessPool:
            raise StoreError(
                "STORE_UNREADABLE",
                "a process that audited a node was killed: free memory, and audit node by node",
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


_done: Any = None
"""In a child: where it says how far it is."""


def _begin(done: Any) -> None:
    global _done
    _done = done


def _audit_in_child(directory: Path) -> Report:
    return audit_node(directory, partial(_put, directory))


def _put(directory: Path, blocks: int, total: int) -> None:
    _done.put((directory, blocks, total))


def _tell(done: Any, watch: Watch) -> None:
    """Everything that the children have said so far."""
    while True:
        try:
            watch(*done.get_nowait())
        except Empty:
            return


def bars(progress: Progress) -> Watch:
    """A bar for each node that is being audited."""
    tasks: dict[Path, TaskID] = {}

    def watch(node: Path, done: int, total: int) -> None:
        if node not in tasks:
            tasks[node] = progress.add_task(f"auditing {node.name}", total=None)
        progress.update(tasks[node], completed=done, total=total)

    return watch


@contextmanager
def audit_progress() -> Iterator[Watch]:
    """Bars on standard error, while it lasts."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()  # fmt: skip
    with Progress(*columns, console=ERRORS, transient=True) as progress:
        yield bars(progress)
