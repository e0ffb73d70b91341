"""`tally heads`: whether all nodes show one chain, and which block is the newest."""

from __future__ import annotations

from pathlib import Path

import trio
from cyclopts import App

from tallynet.client import HeadComparison
from tools.connect import asking
from tools.ledger_cli import DEFAULT_NETWORK, NetworkOption, OutputOption
from tools.output import Output, print_json, print_rows


def heads(*, network: NetworkOption = DEFAULT_NETWORK, output: OutputOption = Output.table) -> None:
    """Ask every node for its newest block and compare: does one withhold blocks, is there one chain?

    The error FORK_SEEN means that two quorums contradict each other; the proof is kept in the network
    directory, for `tally forensics`.

    For example:

        tally heads
    """
    found = trio.run(_heads, network)
    if output is Output.json:
        print_json(
            {
                "heads": {str(address): height for address, height in found.heads},
                "newest": found.newest,
                "organisations": found.operators,
                "needed": found.needed,
            }
        )
        return
    rows = [(str(address), str(height)) for address, height in found.heads]
    title = f"one chain, by {found.operators} organisations ({found.needed} are enough)"
    print_rows(title, ("node", "newest block"), rows)


async def _heads(network: Path) -> HeadComparison:
    async with asking(network) as client:
        return await client.compare_heads()


def add_heads_command(app: App) -> None:
    """Add the command of this module."""
    app.command(heads, name="heads")


__all__ = ["add_heads_command"]
