"""What correct validators may rely on from themselves and from each other, besides blocks and votes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from consensus.constants import CLOCK_WINDOW_MS
from tools.simulator.oracles.base import Committed, Oracle
from tools.simulator.oracles.votes import SILENT

if TYPE_CHECKING:
    from tools.simulator.node import SimulatedNode
    from tools.simulator.run import Run


class Steadfast(Oracle):
    """A correct validator never stops voting for good: its register is there, its results are those of
    the others. And it never accuses a correct leader of what only a liar does, unless the network has
    left that view without it: then what the leader built on may have lost."""

    name = "conduct"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._newest: tuple[int, int] = (0, 0)
        """(epoch, view) of the newest certificate."""

    def committed(self, node: SimulatedNode, block: Committed) -> None:
        del node
        self._newest = max(self._newest, (block.commit.epoch, block.commit.view))

    def logged(self, node: SimulatedNode, event: str, fields: dict[str, object]) -> None:
        if node.faulty:
            return
        if event in SILENT:
            raise self.violated(f"{node}, which is correct, says {event}: {fields}")
        if event == "complained" and fields["reason"] in ACCUSATIONS:
            epoch, view = int(str(fields["epoch"])), int(str(fields["view"]))
            leader = view % len(self.run.succession.set_of(epoch).keys)
            if not self.run.is_faulty_in(epoch, leader) and (epoch, view) >= self._newest:
                raise self.violated(
                    f"{node} accuses the correct leader {leader}: {fields['reason']}"
                )


ACCUSATIONS: Final = ("INVALID_PROPOSAL", "EQUIVOCATION")


class HeaderTime(Oracle):
    """C9: a block's time is near the clock of some correct voter, so that no leader can make validity
    end early or last long."""

    name = "header time"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._known: Final[dict[int, None]] = {}

    def committed(self, node: SimulatedNode, block: Committed) -> None:
        del node
        if block.height in self._known:
            return
        self._known[block.height] = None
        ahead = block.header.time_ms - self.run.true_wall_ms()
        if ahead > CLOCK_WINDOW_MS and not self.run.clocks_unreliable:
            raise self.violated(f"the time of height {block.height} is {ahead} ms ahead")


class Integrity(Oracle):
    """B10: no process runs on a disk with a changed value in it; the scan at its start finds it. Nor uses one
    that changed later. B11: where a commit has failed nothing more is written."""

    name = "integrity"

    def started(self, node: SimulatedNode) -> None:
        if node.disk.is_damaged():
            raise self.violated(f"{node} starts on a damaged disk")

    def breached(self, node: SimulatedNode, what: str) -> None:
        raise self.violated(f"{node} {what}")
