"""After the run: read the stopped nodes' files, judge them, audit them, say what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from tallynet.errors import TallynetError
from tools.audit_nodes import audit_nodes, bars
from tools.chaos.chain import Chain, read_chain
from tools.chaos.checker import Evidence, Finding, judge
from tools.chaos.network import ChaosNetwork
from tools.chaos.record import (
    ACKNOWLEDGED_FILE,
    SUBMITTED_FILE,
    Acknowledged,
    Submitted,
    read_log,
)
from tools.chaos.run import Outcome, Run, Target
from tools.output import ERRORS, print_rows, say

ALARMING: Final = frozenset(
    {
        "connection_internal_error",
        "diverged",
        "forked",
        "invariant violated",
        "lmdb assertion",
        "message_too_large",
        "node cannot run",
        "peer_banned",
        "store failed",
        "this node will not vote",
        "unstructured",
        "votes_stopped",
    }
)
"""Log events that an honest node never has cause for, unless a schedule provokes them."""
PER_NODE: Final = frozenset({"this node will not vote", "votes_stopped"})
"""Of these: allowed for nodes that were barred on purpose."""


def findings(outcome: Outcome, run: Run, allowed: frozenset[str]) -> list[Finding]:
    """Every rule's verdict on a run that has ended."""
    network = run.network
    judged = [name for name in network.names if name not in run.broken]
    acknowledged = read_log(run.logs / ACKNOWLEDGED_FILE, Acknowledged)
    with Progress(*_columns(), console=ERRORS, transient=True) as progress:
        task = progress.add_task("reading chains", total=len(judged))
        chains: list[Chain] = []
        unread = Finding("every honest node's database can be read", len(judged))
        for name in judged:
            try:
                chains.append(read_chain(network.path(name)))
            except TallynetError as error:
                unread.violated(f"{name}: {error}")
            progress.advance(task)
        evidence = Evidence(
            submitted=read_log(run.logs / SUBMITTED_FILE, Submitted),
            acknowledged=acknowledged,
            setup_height=outcome.setup_height,
            chains=chains,
            barred={network.index(name): bar for name, bar in network.barred.items()},
            faulty=frozenset(network.index(name) for name in run.broken),
            open=outcome.finished.open + outcome.finished.refused,
        )
        found = [unread, *judge(evidence)]
        found.append(_audit(network, [chain.node for chain in chains], progress))
    outcome.figures["convicted"] = _convicted(chains, network)
    found.append(_logs(network, run, judged, allowed))
    found.append(_problems(outcome))
    return found


def _convicted(chains: Sequence[Chain], network: ChaosNetwork) -> dict[str, int]:
    """Validators that are proven faulty, and how many nodes hold a proof."""
    counts = Counter(network.names[v] for chain in chains for v in chain.convicted)
    return dict(sorted(counts.items()))


def _columns() -> Iterator[Any]:
    yield from (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())


def _audit(network: ChaosNetwork, names: Iterable[str], progress: Progress) -> Finding:
    found = Finding("tally audit agrees: re-execution, state, money")
    for report in audit_nodes([network.path(name) for name in names], bars(progress)):
        found.checked += report.height
        for difference in report.differences:
            found.violated(f"{report.node}: {difference}")
    return found


def _logs(
    network: ChaosNetwork, run: Run, names: Iterable[str], allowed: frozenset[str]
) -> Finding:
    """No honest node logged what it never should."""
    found = Finding("no alarming event in an honest node's log")
    for name in names:
        alarming = ALARMING - allowed - (PER_NODE if name in run.silent else frozenset())
        for entry in network.log_entries(name):
            found.checked += 1
            if entry.get("event") in alarming:
                found.violated(f"{name}: {entry}")
    return found


def _problems(outcome: Outcome) -> Finding:
    found = Finding("every step of the schedule went as it must", 1)
    for problem in outcome.problems:
        found.violated(problem)
    return found


def show(title: str, found: list[Finding]) -> None:
    """The table, and what was wrong."""
    rows = [
        (f.rule, f"{f.checked:,}", "holds" if f.holds else f"VIOLATED {f.violations} times")
        for f in found
    ]
    print_rows(title, ("rule", "checked", "verdict"), rows)
    for finding in found:
        for problem in finding.problems:
            say(f"{finding.rule}: {problem}")


def show_targets(targets: Sequence[Target]) -> None:
    """Figures with an aim, if there are any."""
    rows = [(t.what, f"{t.value:g}", t.aim, "met" if t.met else "MISSED") for t in targets]
    if rows:
        print_rows("", ("target", "measured", "aim", ""), rows)


def as_json(found: list[Finding]) -> list[dict[str, Any]]:
    return [
        {
            "rule": f.rule, "checked": f.checked, "violations": f.violations,
            "problems": f.problems,
        }
        for f in found
    ]  # fmt: skip


def evidence_text(directory: Path) -> str:
    return f"everything is kept in {directory}: databases, node logs, acknowledgements, events"
