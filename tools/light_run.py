"""`python -m tools.light_run DIRECTORY`: a light node as one of the processes of a testnet (`tools.testnet_processes`)."""

from __future__ import annotations

import sys
from pathlib import Path

from tools.light_cli import run

if __name__ == "__main__":
    run(Path(sys.argv[1]))
