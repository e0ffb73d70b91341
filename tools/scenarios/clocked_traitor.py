"""`python -m tools.scenarios.clocked_traitor DIRECTORY`: a validator under a moved clock that equivocates when
it is told to (SIGUSR1), whenever it leads."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import trio

from tools.chaos.byzantine_node import ByzantineValidator, run
from tools.scenarios.clocked_node import ClockedValidator

BEHAVIOUR: Final = "equivocate"


class ClockedTraitor(ClockedValidator, ByzantineValidator):
    """The one's clock, the other's mouth."""


if __name__ == "__main__":
    trio.run(run, Path(sys.argv[1]), BEHAVIOUR, ClockedTraitor)
