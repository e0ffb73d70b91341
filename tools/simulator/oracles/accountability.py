"""Reliability §1: with more than f faulty validators the network stops, or leaves evidence that names at
least f+1 of them and never an honest one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from node.store.errors import corrupt
from node.store.snapshot import Snapshot
from tallynet.forensics import Statements
from tools.evidence_cli import Source, add_source, first_conflict
from tools.simulator.oracles.base import Oracle

if TYPE_CHECKING:
    from tools.simulator.node import SimulatedNode


class Accountability(Oracle):
    """What `tally forensics` makes of the disks of the correct validators, running or stopped."""

    name = "accountability"

    def at_end(self) -> None:
        nodes = [node for node in self.run.nodes if not node.faulty and node.disk.tables]
        sources = [self._source(node) for node in nodes]
        fork = first_conflict(sources)
        statements = Statements(self.run.succession, self.run.check)
        for source in sources:
            add_source(statements, source, fork)
        named = {conviction.signer for conviction, _ in statements.convictions()}
        for signer in sorted(named):
            if not self.run.is_faulty(signer):
                raise self.violated(f"forensics names the correct validator {signer}")
        if fork is not None and len(named) <= self.run.plan.f:
            raise self.violated(f"a fork at height {fork} names {sorted(named)} only")

    def _source(self, node: SimulatedNode) -> Source:
        tables = {name: name for name in node.disk.tables}
        with node.disk.begin() as transaction:
            stored = Snapshot(transaction, tables, lambda what: corrupt(Path(node.name), what))
            return Source.of_store(node.name, stored)
