"""A command starts soon: it does not bring along what it does not use."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("lmdb", "starlette", "consensus", "node.store", "tools.simulator", "tools.scenarios")


def test_an_ordinary_command_imports_neither_node_nor_simulator() -> None:
    code = "import sys, tools.cli; tools.cli.main(['explain', 'OK']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "tools.cli" in loaded
    assert not loaded & set(HEAVY)
