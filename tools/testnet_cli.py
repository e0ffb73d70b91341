"""`tally testnet init|up|down|status`: a network of banks on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, Final

import trio
from cyclopts import App, Parameter
from rich.live import Live
from rich.table import Table

from tallynet.errors import TallynetError
from tallynet.messages import NodeState, NodeStatus
from tallynet.plain import to_plain
from tools import testnet_processes
from tools.arguments import UsageError, format_day, parse_day
from tools.connect import connect
from tools.ledger_cli import NETWORK_VARIABLE, OutputOption
from tools.output import OUT, Output, print_json, print_rows, say, table_of, working
from tools.testnet_files import NetworkFile, NodeEntry, Plan, init, load_network

BUSINESS_ZONE: Final = timezone(timedelta(hours=8))
"""Business days are days in Asia/Shanghai, which has no summer time (voucher law §5)."""
WINDOW: Final = 4
"""Blocks in flight, the shipped value (protocol §5.2)."""
WATCH_SECONDS: Final = 1.0
"""Between two tables of `--watch`."""
STATUS_SECONDS_MAX: Final = 5.0
"""A node that answers later than this is shown as not answering."""

Directory = Annotated[Path, Parameter(help="network directory", env_var=NETWORK_VARIABLE)]
NodeOption = Annotated[str, Parameter(name="--node", help="this node alone, e.g. bank-2")]

testnet = App(
    name="testnet",
    help="A network of banks on this machine: each node is a process with its own directory.",
)


def today_in_business_zone() -> date:
    return datetime.now(UTC).astimezone(BUSINESS_ZONE).date()


@testnet.command(name="init")
def init_command(
    directory: Directory = Path("network"),
    *,
    validators: int = 4,
    observers: int = 0,
    hosts: str = "127.0.0.1",
    base_port: Annotated[int, Parameter(env_var="TALLY_BASE_PORT")] = 7100,
    name: str = "testnet",
    day_seconds: int = 86_400,
    business_date: str = "",
    output: OutputOption = Output.table,
) -> None:
    """Make the directories of a new network: genesis, keys, configurations, the banks' wallets.

    For example:

        tally testnet init network --validators 4 --base-port 7100
        tally testnet init network --observers 2

    Parameters
    ----------
    validators
        Voting banks: 4 to 16 (or 1 for development).
    observers
        Nodes that follow without a vote: 0 to 16, on the first host, on the ports after the validators'.
    hosts
        One address, or one per validator separated by commas.
    base_port
        First port; validators on one host take consecutive ones.
    name
        Name of the network in its genesis.
    day_seconds
        Length of a business day in seconds; shorter than 86400 only to watch maturities.
    business_date
        First business date, like 2027-01-04; default: today in UTC+8.
    """
    if not 1 <= day_seconds <= 86_400:
        raise UsageError("USAGE", f"--day-seconds {day_seconds}: 1 to 86400")
    plan = Plan(
        directory,
        validators,
        tuple(part for part in hosts.split(",") if part),
        base_port,
        name,
        time.time_ns() // 1_000_000,
        parse_day(business_date or today_in_business_zone().isoformat()),
        day_seconds,
        WINDOW,
        observers=observers,
        log_level="debug",
    )
    network = init(plan)
    if output is Output.json:
        print_json(_network_plain(network, directory))
        return
    rows = [(node.name, f"{node.host}:{node.port}", node.public_key[:16]) for node in network.nodes]
    print_rows(f"network {network.name!r} in {directory}", ("node", "address", "key"), rows)
    say(f"start it with: tally testnet up {directory}")


def _network_plain(network: NetworkFile, directory: Path) -> dict[str, Any]:
    return {
        "name": network.name,
        "directory": str(directory),
        "nodes": [
            {
                "name": n.name,
                "host": n.host,
                "port": n.port,
                "public_key": n.public_key,
                "observer": n.observer,
                "web": f"http://{n.web}/",
            }
            for n in network.nodes
        ],
    }


@testnet.command
def up(
    directory: Directory = Path("network"),
    *,
    node: NodeOption = "",
    output: OutputOption = Output.table,
) -> None:
    """Start the nodes that do not run, and wait until each listens.

    For example:

        tally testnet up network
        tally testnet up network --node bank-2
    """
    if node:
        _check_name(directory, node)
        with working(f"starting {node}"):
            testnet_processes.restart(directory, node)
    else:
        with starting(directory) as report:
            testnet_processes.start_all(directory, report=report)
    show_status(directory, output)


@testnet.command
def down(
    directory: Directory = Path("network"),
    *,
    node: NodeOption = "",
    output: OutputOption = Output.table,
) -> None:
    """Stop the nodes; they continue where they were when started again.

    For example:

        tally testnet down network
    """
    if node:
        _check_name(directory, node)
    with working("stopping"):
        stopped = (
            testnet_processes.stop(directory, [node])
            if node
            else testnet_processes.stop_all(directory)
        )
    if output is Output.json:
        print_json({"stopped": stopped})
    else:
        say(f"stopped: {', '.join(stopped) or 'nothing ran'}")


@testnet.command
def status(
    directory: Directory = Path("network"),
    *,
    watch: Annotated[
        bool, Parameter(name="--watch", negative=(), help="again every second, until Ctrl-C")
    ] = False,
    output: OutputOption = Output.table,
) -> None:
    """One row per node: what it says about itself, and why there is no block if there is none.

    For example:

        tally testnet status network --watch
    """
    if watch:
        watch_status(directory, output)
    else:
        show_status(directory, output)


def watch_status(directory: Path, output: Output) -> None:
    """The table of `show_status` in place, until Ctrl-C."""
    if output is Output.json or not OUT.is_terminal:
        raise UsageError("USAGE", "--watch is for a terminal; programs ask again when they want to")
    with Live(console=OUT, auto_refresh=False) as live:
        while True:
            live.update(status_table(directory), refresh=True)
            time.sleep(WATCH_SECONDS)


@contextmanager
def starting(directory: Path) -> Iterator[Callable[[str, str], None]]:
    """A table of what the nodes do while they start, where somebody looks at a terminal. What it gives is told."""
    states: dict[str, str] = {}
    begun = time.monotonic()

    def table() -> Table:
        title = f"starting the nodes of {directory}: {time.monotonic() - begun:.0f} s"
        return table_of(title, ("node", "state"), list(states.items()))

    if not OUT.is_terminal:
        yield states.__setitem__
        return
    with Live(console=OUT, get_renderable=table, transient=True):
        yield states.__setitem__


def _check_name(directory: Path, name: str) -> None:
    known = [node.name for node in load_network(directory).nodes]
    if name not in known:
        raise UsageError("USAGE", f"--node {name}: nodes here are {', '.join(known)}")


def show_status(directory: Path, output: Output) -> None:
    """Ask every node and print. Raises TestnetError when there is no network."""
    if output is Output.json:
        network, pids, answers = _ask_network(directory)
        print_json([_status_plain(n, pids[n.name], answers[n.name]) for n in network.nodes])
        return
    OUT.print(status_table(directory))
    network = load_network(directory)
    for node in network.nodes:
        say(f"pages of {node.name}: http://{node.web}/")


def status_table(directory: Path) -> Table:
    """One row per node."""
    network, pids, answers = _ask_network(directory)
    rows = [_status_row(network, n.name, pids[n.name], answers[n.name]) for n in network.nodes]
    columns = (
        "node", "pid", "role", "height", "view", "leader", "business date", "pool", "peers", "waiting for",
    )  # fmt: skip
    return table_of(f"network {network.name!r}", columns, rows)


def _ask_network(
    directory: Path,
) -> tuple[NetworkFile, dict[str, int | None], dict[str, NodeStatus | str]]:
    """The network, process ids and answers by name of the node."""
    network = load_network(directory)
    pids = {process.name: process.pid for process in testnet_processes.processes(directory)}
    return network, pids, trio.run(ask_all, directory, [node.name for node in network.nodes])


async def ask_all(
    directory: Path, names: Sequence[str], *, seconds: float = STATUS_SECONDS_MAX
) -> dict[str, NodeStatus | str]:
    """Each of these nodes' own status, or why it does not answer."""
    answers: dict[str, NodeStatus | str] = {}

    async def ask(name: str) -> None:
        answers[name] = "no answer in time"
        with trio.move_on_after(seconds):
            try:
                async with connect(directory, only=name) as client:
                    answers[name] = await client.status()
            except TallynetError as error:
                answers[name] = error.message

    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(ask, name)
    return answers


def _status_plain(node: NodeEntry, pid: int | None, answer: NodeStatus | str) -> dict[str, Any]:
    head: dict[str, Any] = {"name": node.name, "pid": pid, "web": f"http://{node.web}/"}
    if isinstance(answer, str):
        return head | {"error": answer}
    body = {k: v for k, v in to_plain(answer).items() if k not in ("is", "request", "name")}
    return head | body | {"business_date": format_day(answer.business_date)}


def _status_row(
    network: NetworkFile, name: str, pid: int | None, answer: NodeStatus | str
) -> tuple[str, ...]:
    shown_pid = "-" if pid is None else str(pid)
    if isinstance(answer, str):
        why = "not running" if pid is None else answer
        return (name, shown_pid, "-", "-", "-", "-", "-", "-", "-", why)
    observes = answer.state is NodeState.OBSERVER
    return (
        name,
        shown_pid,
        "observer" if observes else "validator",
        str(answer.committed),
        "-" if observes else str(answer.view),
        "-" if observes else network.nodes[answer.leader].name,
        format_day(answer.business_date),
        str(answer.pending),
        str(answer.peers),
        _waiting_text(answer),
    )


def _waiting_text(answer: NodeStatus) -> str:
    """Why there is no block, and what else an operator has to look at."""
    text = answer.waiting
    if answer.behind:
        text += f"; {answer.behind} blocks behind"
    if answer.waiting_height:
        text += f" (height {answer.waiting_height})"
    if answer.evidence:
        text += f"; {answer.evidence} proofs of misbehaviour: tally evidence list"
    return text
