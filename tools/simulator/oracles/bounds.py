"""Oracle 10: nothing that a process holds grows without its bound."""

from __future__ import annotations

from consensus.constants import EVIDENCE_PER_VALIDATOR_MAX, POOL_MAX
from tools.simulator.oracles.base import Oracle


class BoundedResources(Oracle):
    """Sampled while everything goes wrong: pool, stash, blocks in flight, proofs, overlays."""

    name = "bounded resources"

    def sample(self) -> None:
        plan = self.run.plan
        for node in self.run.nodes:
            if node.machine is None or node.behaviour is not None:
                continue
            numbers = node.machine.replica.statistics()
            overlays = node.machine.executor.overlays
            bounds = (
                ("pool", numbers.pool, POOL_MAX),
                ("stash", numbers.stash, 4 * plan.window * (plan.n + plan.spares)),
                ("blocks in flight", numbers.in_flight, plan.window),
                ("evidence", numbers.evidence, EVIDENCE_PER_VALIDATOR_MAX * (plan.n + plan.spares)),
                ("overlays", overlays, 2 * 64 + plan.window),
            )
            for what, held, most in bounds:
                if held > most:
                    raise self.violated(f"{node} holds {held} of {what}; at most {most}")

    def at_end(self) -> None:
        """All is decided: what is left over was forgotten somewhere."""
        for node in self.run.core:
            if node.machine is None:
                continue
            replica, held = node.machine.replica, node.machine.executor.overlays
            open_blocks = replica.statistics().in_flight + replica.committed - node.height
            if held > open_blocks:
                raise self.violated(f"{node} ends with {held} overlays, {open_blocks} open blocks")
