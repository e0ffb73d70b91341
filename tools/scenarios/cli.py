"""`tally scenario`: play scenarios of the catalogue on four real validators, and audit them."""

from __future__ import annotations

import difflib
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import trio
from cyclopts import Parameter

from tallynet.errors import TallynetError
from tools.arguments import UsageError
from tools.figures import write_figures
from tools.output import ERRORS, OUT, Exit, print_rows, say
from tools.scenarios.catalogue import SCENARIOS, Scenario
from tools.scenarios.network_stage import Network, audit_all, on_network
from tools.scenarios.stage import Facts


def scenario(
    *names: str,
    list_: Annotated[
        bool, Parameter(name="--list", negative=(), help="show the scenarios and leave")
    ] = False,
    small: Annotated[bool, Parameter(negative=(), help="a first look: seconds")] = False,
    size: Annotated[int, Parameter(help="how much of it; default: what the law asks for")] = 0,
    json_file: Annotated[
        Path | None, Parameter(name="--json", help="write what was shown to this file")
    ] = None,
    keep: Annotated[
        Path | None, Parameter(name="--keep", help="make the networks below here and leave them")
    ] = None,
) -> None:
    """Play stories and loads by name on real validators, then audit every one.

    Each scenario gets a network of its own on this machine, whose days pass when the scenario says so.
    It fails, with exit code 1, when a figure is not what the voucher law says.

    For example:

        tally scenario --list
        tally scenario hot-lot --small
        tally scenario spare-parts-shop maturity-cliff --json shown.json
    """
    if list_:
        rows = [(s.name, s.row, f"{s.size:,} {s.unit}", s.shows) for s in SCENARIOS]
        print_rows("scenarios", ("scenario", "row", "size", "shows"), rows)
        raise SystemExit(Exit.OK)
    if size < 0 or (size and small):
        raise UsageError("USAGE", "--size is a number above 0, and excludes --small")
    shown = [_play(one, size or (one.small if small else one.size), keep) for one in _chosen(names)]
    write_figures(json_file, {"scenarios": shown})
    raise SystemExit(Exit.OK if all(one["passed"] for one in shown) else Exit.REFUSED)


def _chosen(names: tuple[str, ...]) -> list[Scenario]:
    known = {scenario.name: scenario for scenario in SCENARIOS}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            raise UsageError("USAGE", f"there is no scenario {name!r}{hint}; see --list")
    return [known[name] for name in names] or list(SCENARIOS)


def _play(scenario: Scenario, size: int, keep: Path | None) -> dict[str, Any]:
    """One scenario on a network of its own."""
    OUT.print(f"[bold]{scenario.name}[/bold] ({scenario.row}): {scenario.shows}")
    started = time.monotonic()
    facts = Facts()
    failure = ""
    with ExitStack() as stack:
        if keep is None:
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="tally-scenario-"))
            directory = Path(scratch) / scenario.name
        else:
            directory = keep / scenario.name
        with ERRORS.status(f"{size:,} {scenario.unit}"):
            try:
                facts = trio.run(_on_network, scenario, size, directory, facts)
                facts.values.update(audit_all(directory))
            except* TallynetError as group:
                failure = "; ".join(_sentences(group))
    facts.note("seconds", round(time.monotonic() - started, 1))
    for name, value in facts.values.items():
        say(f"  {name}: {value}")
    OUT.print("  [red]failed[/red]: " + failure if failure else "  [green]shown[/green]")
    return {
        "name": scenario.name, "size": size, "passed": not failure, "failure": failure,
        "facts": facts.values,
    }  # fmt: skip


async def _on_network(scenario: Scenario, size: int, directory: Path, facts: Facts) -> Facts:
    async with on_network(directory, facts, scenario.network or Network()) as stage:
        await scenario.run(stage, size)
    return facts


def _sentences(group: BaseExceptionGroup[TallynetError]) -> list[str]:
    found: list[str] = []
    for error in group.exceptions:
        found += _sentences(error) if isinstance(error, BaseExceptionGroup) else [str(error)]
    return found
