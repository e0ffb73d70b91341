"""`python -m tools.chaos.guard DIRECTORY`: ends a run's nodes and mounts when the run is over.

It waits for the end of its input, which comes however the run ends, kill -9 included, and then kills
every node of the network in DIRECTORY. It has a session of its own, so that Ctrl-C does not reach it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tools.chaos.network import kill_everything

if __name__ == "__main__":
    sys.stdin.read()
    kill_everything(Path(sys.argv[1]))
