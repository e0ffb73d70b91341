"""`tally doctor` and `tally node check-config`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.text import Text

from node.config import CONFIG_FILE
from tools.arguments import UsageError
from tools.doctor.config_check import config_faults
from tools.doctor.findings import Finding, Verdict
from tools.doctor.report import examine, has_fault, plain
from tools.ledger_cli import DEFAULT_NETWORK, NetworkOption, OutputOption
from tools.output import ERRORS, OUT, Exit, Output, print_json, say
from tools.testnet_files import load_network

ConfigOption = Annotated[
    Path | None, Parameter(name="--config", help="one node's node.toml, instead of a network")
]
_COLOURS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAULT: "bold red"}


def node_directories(network: Path, config: Path | None) -> list[Path]:
    """The node whose configuration is named, or all nodes of a network directory.

    Raises:
        TestnetError: NETWORK_MISSING.
        UsageError: USAGE, the file has another name than nodes look for.
    """
    if config is None:
        return [network / node.name for node in load_network(network).nodes]
    if config.name != CONFIG_FILE:
        raise UsageError(
            "USAGE", f"--config {config}: a node's configuration is called {CONFIG_FILE}"
        )
    return [config.parent]


def doctor(
    *,
    network: NetworkOption = DEFAULT_NETWORK,
    config: ConfigOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Say what is wrong with a node, running or not, and what to do about it. Changes nothing.

    The exit code is 1 when there is a fault. Run it as the user that runs the node.

    For example:

        tally doctor --network network
        tally doctor --config /etc/tallynet/bank-1/node.toml
    """
    report: dict[str, list[Finding]] = {}
    columns = SpinnerColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=ERRORS, transient=True, disable=not ERRORS.is_terminal) as bar:
        task = bar.add_task("")
        for directory in node_directories(network, config):
            bar.update(task, description=f"examining {directory}")
            report[directory.resolve().name] = examine(directory)
    if output is Output.json:
        print_json(plain(report))
    else:
        for name, findings in report.items():
            OUT.print(Text(name, "bold"))
            for finding in findings:
                _print(finding)
    if has_fault(report):
        raise SystemExit(int(Exit.REFUSED))


def _print(finding: Finding) -> None:
    verdict = finding.verdict
    OUT.print(f"  [{_COLOURS[verdict]}]{verdict.value:8}[/]", end="")
    remedy = f" -- {finding.remedy}" if finding.remedy else ""
    say(f"{finding.check}: {finding.message}{remedy}")


def check_config(file: Path, *, output: OutputOption = Output.table) -> None:
    """Every fault of a node's configuration file, with its line and what to do.

    The exit code is 1 when there is one. A node that runs takes changes of some settings on SIGHUP.

    For example:

        tally node check-config network/bank-1/node.toml

    Parameters
    ----------
    file
        A node.toml.
    """
    faults = config_faults(file)
    if output is Output.json:
        print_json([msgspec.to_builtins(fault) for fault in faults])
    elif not faults:
        say(f"{file}: no fault")
    for fault in faults if output is Output.table else ():
        place = f"{file}:{fault.line}" if fault.line else str(file)
        field = f"{fault.field} " if fault.field else ""
        say(f"{place}: {field}{fault.message} -- {fault.remedy}")
    if faults:
        raise SystemExit(int(Exit.REFUSED))


__all__ = ["check_config", "doctor", "node_directories"]
