"""`tally debug bundle`: one archive for whoever helps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from tools.bundle import write_bundle
from tools.doctor.cli import ConfigOption, node_directories
from tools.ledger_cli import DEFAULT_NETWORK, NetworkOption, OutputOption
from tools.output import Output, print_json, say, working

debug = App(name="debug", help="For whoever looks for the cause of trouble")


@debug.command
def bundle(
    *,
    out: Annotated[Path, Parameter(name="--out", help="new archive, .tar.gz")],
    network: NetworkOption = DEFAULT_NETWORK,
    config: ConfigOption = None,
    log: Annotated[
        Path | None, Parameter(name="--log", help="the node's log, where it is not node.log")
    ] = None,
    output: OutputOption = Output.table,
) -> None:
    """Pack settings, versions, the doctor's report, status, metrics and the end of the log of a node into one archive.

    It holds no key, wallet, passphrase, record or document. Look through it before you give it away.

    For example:

        tally debug bundle --config network/bank-1/node.toml --out bank-1.tar.gz
    """
    directories = node_directories(network, config)
    with working(f"packing {out}"):
        size = write_bundle(out, directories, log)
    if output is Output.json:
        print_json({"file": str(out), "bytes": size})
        return
    say(f"{out}: {size} bytes")


__all__ = ["debug"]
