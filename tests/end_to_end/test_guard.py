"""Nodes end with the command that started them, whatever became of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tools.bench_network import loopback_plan
from tools.testnet_files import init
from tools.testnet_processes import ROOT, processes

STARTS_AND_WAITS = """
import sys
from pathlib import Path
from tools.guard import guarded
from tools.testnet_processes import start_all

network = Path(sys.argv[1])
with guarded(network):
    start_all(network)
    print("started", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_no_node_outlives_a_command_that_had_no_chance_to_clean_up(
    end: str, tmp_path: Path
) -> None:
    network = tmp_path / "network"
    init(loopback_plan(network, 4, "guarded"))
    with subprocess.Popen(
        [sys.executable, "-c", STARTS_AND_WAITS, str(network)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as command:  # fmt: skip
        assert command.stdout is not None
        assert command.stdout.readline() == "started\n"
        nodes = [psutil.Process(node.pid) for node in processes(network) if node.pid is not None]
        assert len(nodes) == 4
        getattr(command, end)()
    _, alive = psutil.wait_procs(nodes, timeout=30)
    assert not alive
