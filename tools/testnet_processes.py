"""The processes of a local testnet: one per node, started, watched and ended.

Each node writes its log as JSON lines to `<node>/node.log` and its process id to `<node>/node.pid`.
A pid file alone proves nothing, so it also holds the process's start time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from tools.testnet_files import TestnetError, load_network

ROOT: Final = Path(__file__).resolve().parent.parent
START_SECONDS_MAX: Final = 30.0
"""A node opens its store and listens within a second; the rest is for a busy machine."""
STOP_SECONDS_MAX: Final = 15.0
"""Then SIGTERM becomes SIGKILL, which loses nothing either."""
_POLL_SECONDS: Final = 0.05
NODE_MODULE: Final = "node.run"
READY_MARK: Final = '"event": "node listening"'


_children: Final[dict[int, subprocess.Popen[bytes]]] = {}
"""Nodes that this process started, by process id: they have to be reaped."""


@dataclass(frozen=True, slots=True)
class NodeProcess:
    name: str
    directory: Path
    pid: int | None
    """None: not running."""


def _pid_file(directory: Path) -> Path:
    return directory / "node.pid"


def find(directory: Path) -> int | None:
    """Process id of the node of this directory if it runs."""
    try:
        pid_text, started_text = _pid_file(directory).read_text().split()
        process = psutil.Process(int(pid_text))
        child = _children.get(process.pid)
        if child is not None and child.poll() is not None:
            del _children[process.pid]
            return None
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process.pid if f"{process.create_time():.2f}" == started_text else None
    except (OSError, ValueError, psutil.Error):
        return None


def processes(network_directory: Path) -> list[NodeProcess]:
    """All nodes of a network, in order of validator index."""
    network = load_network(network_directory)
    return [
        NodeProcess(node.name, network_directory / node.name, find(network_directory / node.name))
        for node in network.nodes
    ]


def start(
    network_directory: Path,
    name: str,
    *,
    module: str = NODE_MODULE,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start one node, with further environment variables if given. Fault tools start it through
    another module, with further arguments. Raises TestnetError NODE_RUNNING.
    """
    directory = network_directory / name
    if find(directory) is not None:
        raise TestnetError("NODE_RUNNING", f"{name} runs already")
    with (directory / "node.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(directory), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | dict(environment or {}),
            start_new_session=True,
        )
    _children[process.pid] = process
    started = psutil.Process(process.pid).create_time()
    _pid_file(directory).write_text(f"{process.pid} {started:.2f}\n")
    return process


def _no_report(_name: str, _state: str) -> None:
    """For who does not watch."""


def start_all(
    network_directory: Path,
    *,
    module: str = NODE_MODULE,
    report: Callable[[str, str], None] = _no_report,
) -> dict[str, subprocess.Popen[bytes]]:
    """Start the nodes that do not run and wait until each listens. `report` is told (name, what it does).

    Raises:
        TestnetError: NODE_FAILED with the end of that node's log; the others are stopped again.
    """
    network = load_network(network_directory)
    offsets = {node.name: _log_size(network_directory / node.name) for node in network.nodes}
    started: dict[str, subprocess.Popen[bytes]] = {}
    for node in network.nodes:
        running = find(network_directory / node.name) is not None
        if not running:
            started[node.name] = start(network_directory, node.name, module=module)
        report(node.name, "runs already" if running else "starting")
    try:
        for name, process in started.items():
            wait_until_listening(network_directory / name, process, offsets[name])
            report(name, "listening")
    except BaseException:
        stop(network_directory, list(started))
        raise
    return started


def _log_size(directory: Path) -> int:
    log = directory / "node.log"
    return log.stat().st_size if log.exists() else 0


def log_since(directory: Path, offset: int) -> str:
    """What a node logged after byte `offset`."""
    log = directory / "node.log"
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(offset)
        return file.read().decode(errors="replace")


def wait_until_listening(directory: Path, process: subprocess.Popen[bytes], offset: int) -> None:
    """Return when the node says that it listens. Raises TestnetError NODE_FAILED."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while READY_MARK not in (text := log_since(directory, offset)):
        if process.poll() is not None or time.monotonic() > deadline:
            last = "\n".join(text.strip().splitlines()[-5:]) or "(nothing logged)"
            raise TestnetError(
                "NODE_FAILED",
                f"{directory.name} did not start (exit code {process.poll()}). Its log ends:\n{last}",
            )
        time.sleep(_POLL_SECONDS)


def restart(network_directory: Path, name: str) -> subprocess.Popen[bytes]:
    """Start one node and wait until it listens."""
    directory = network_directory / name
    offset = _log_size(directory)
    process = start(network_directory, name)
    wait_until_listening(directory, process, offset)
    return process


def kill(network_directory: Path, name: str, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to a running node. Raises TestnetError NODE_NOT_RUNNING."""
    pid = find(network_directory / name)
    if pid is None:
        raise TestnetError("NODE_NOT_RUNNING", f"{name} does not run")
    os.kill(pid, number)
    if number == signal.SIGKILL:
        _wait_gone(network_directory / name, time.monotonic() + STOP_SECONDS_MAX)


def stop(network_directory: Path, names: Sequence[str]) -> list[str]:
    """End these nodes; returns those that ran. SIGTERM first, SIGKILL after STOP_SECONDS_MAX."""
    running = {n: pid for n in names if (pid := find(network_directory / n)) is not None}
    for pid in running.values():
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS_MAX
    for name, pid in running.items():
        if not _wait_gone(network_directory / name, deadline):
            os.kill(pid, signal.SIGKILL)
            _wait_gone(network_directory / name, deadline + STOP_SECONDS_MAX)
        _pid_file(network_directory / name).unlink(missing_ok=True)
    return list(running)


def stop_all(network_directory: Path) -> list[str]:
    return stop(network_directory, [node.name for node in load_network(network_directory).nodes])


def _wait_gone(directory: Path, deadline: float) -> bool:
    """True once the node's process has ended."""
    while find(directory) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


__all__ = [
    "NodeProcess",
    "find",
    "kill",
    "log_since",
    "processes",
    "restart",
    "start",
    "start_all",
    "stop",
    "stop_all",
    "wait_until_listening",
]
