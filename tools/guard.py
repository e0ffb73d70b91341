"""Nodes that end with the command that started them, however that ends: an error, Ctrl-C, kill -9.

`python -m tools.guard DIRECTORY` waits for the end of its input, which comes in every case, and then kills
every node of the network in DIRECTORY. It has a session of its own, so that Ctrl-C does not reach it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tools import testnet_processes
from tools.testnet_processes import ROOT

__all__ = ["guarded"]

GUARD_SECONDS_MAX: Final = 30.0
"""To kill some nodes and lift some mounts."""


@contextmanager
def guarded(network: Path) -> Iterator[None]:
    """However this process ends, the nodes and mounts of `network` do too."""
    guard = subprocess.Popen(
        [sys.executable, "-m", "tools.guard", str(network.absolute())],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield
    finally:
        if guard.stdin is not None:
            guard.stdin.close()
        guard.wait(GUARD_SECONDS_MAX)


def _kill_everything(directory: Path) -> None:
    """End the nodes of a network, paused ones and light ones too, and take its file systems away."""
    running = [testnet_processes.find(place.parent) for place in directory.glob("light/*/node.pid")]
    if (directory / "network.json").exists():
        running += [node.pid for node in testnet_processes.processes(directory)]
    for pid in running:
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in reversed(mounts):
        if mount.startswith(f"{directory}/"):
            subprocess.run(["umount", "--lazy", mount], check=False)


if __name__ == "__main__":
    sys.stdin.read()
    _kill_everything(Path(sys.argv[1]))
