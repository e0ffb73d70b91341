"""Oracles 3 and 8: the money adds up, and every correct process computes the same state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from node.state import CommittedState
from node.state.tables import STATE_TABLES
from tallynet.codec import decode
from tallynet.envelope import open_envelope
from tallynet.receipts import Event
from tools.money_comparison import money_differences
from tools.money_limits import Mismatch
from tools.money_model import Model, decode_receipts
from tools.simulator.oracles.base import Committed, Oracle

if TYPE_CHECKING:
    from tools.simulator.node import SimulatedNode
    from tools.simulator.run import Run


class Money(Oracle):
    """Oracle 3: an independent naive model replays the commands that the chain says were OK; what it
    then holds is what the state holds, fen by fen."""

    name = "money"

    def at_end(self) -> None:
        model = Model.of(self.run.town.genesis)
        for height, bodies, given in self.run.chain():
            prologue, receipts = decode_receipts(given.receipts)
            events = [decode(Event, event) for event in given.events]
            try:
                model.block(prologue, [open_envelope(b) for b in bodies], receipts, events)
            except Mismatch as mismatch:
                raise self.violated(f"height {height}: {mismatch}") from None
        reference = self.run.core[0]
        if reference.store is None:
            return
        with reference.store.reader() as reader:
            for difference in money_differences(model, CommittedState.snapshot(reader)):
                raise self.violated(f"height {reference.height}: {difference}")


class StateRoots(Oracle):
    """Oracle 8: state and receipts roots are equal at every height; at the end the tables are equal
    byte for byte."""

    name = "state roots"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._roots: Final[dict[int, tuple[bytes, bytes]]] = {}

    def committed(self, node: SimulatedNode, block: Committed) -> None:
        roots = (block.commit.state_root, block.commit.receipts_root)
        if self._roots.setdefault(block.height, roots) != roots:
            raise self.violated(f"{node} holds other roots at height {block.height}")

    def at_end(self) -> None:
        first, *others = [node for node in self.run.core if node.store is not None]
        expected = _dump(first)
        for node in others:
            if node.height == first.height and _dump(node) != expected:
                raise self.violated(f"the tables of {node} and {first} differ at {node.height}")


def _dump(node: SimulatedNode) -> list[list[tuple[bytes, bytes]]]:
    if node.store is None:
        return []
    with node.store.reader() as reader:
        return [list(reader.dump(table)) for table in STATE_TABLES]
