"""Oracle 12: no client accepts what conflicts with the chain, whatever a validator told it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tallynet.client.trust import Receipt
from tallynet.codec import decode
from tallynet.validators import Handover
from tools.simulator.oracles.base import Committed, Oracle

if TYPE_CHECKING:
    from tools.simulator.clients import Pending, SimulatedClient
    from tools.simulator.node import SimulatedNode
    from tools.simulator.run import Run


class LightClients(Oracle):
    """What a client took for certified is the block that correct validators hold at that height, and whom it
    takes for validators are those that they know; and what a correct validator answers is never refused."""

    name = "light client"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._chain: Final[dict[int, bytes]] = {}
        self._believed: Final[dict[int, bytes]] = {}

    def committed(self, node: SimulatedNode, block: Committed) -> None:
        del node
        self._chain[block.height] = block.header_bytes

    def acknowledged(self, client: SimulatedClient, pending: Pending, receipt: Receipt) -> None:
        del client, pending
        self._believed[receipt.height] = receipt.block.header_bytes

    def misled(self, client: SimulatedClient, node: SimulatedNode, why: str) -> None:
        if not node.faulty:
            raise self.violated(f"{client.party.name} refuses an answer of {node}: {why}")

    def at_end(self) -> None:
        for height, header in self._believed.items():
            if self._chain.get(height) != header:
                raise self.violated(f"a client believes another block at height {height}")
        for client in self.run.clients:
            self._check_sets(client)

    def _check_sets(self, client: SimulatedClient) -> None:
        """Every change of the validator set that it followed is one that correct validators have kept."""
        kept = [(handover.header, handover.validators) for handover in self.run.handovers]
        for raw in client.trust.handovers:
            followed = decode(Handover, raw)
            if (followed.header, followed.validators) not in kept:
                raise self.violated(
                    f"{client.party.name} believes validators that nobody decided on"
                )
