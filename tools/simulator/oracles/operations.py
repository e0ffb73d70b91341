"""Oracles 2, 4, 5 and 6: what clients were told, against the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tallynet.client.trust import Receipt
from tallynet.envelope import Envelope
from tools.simulator.oracles.base import Oracle

if TYPE_CHECKING:
    from tools.simulator.clients import Pending, SimulatedClient
    from tools.simulator.run import Run


class Authorisation(Oracle):
    """Oracle 2: what takes effect was submitted, byte for byte, by the client that signed it."""

    name = "authorisation"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._submitted: Final[dict[bytes, None]] = {}

    def submitted(self, client: SimulatedClient, envelope: Envelope) -> None:
        del client
        self._submitted[envelope.raw] = None

    def at_end(self) -> None:
        for height, raw, receipt in self.run.history():
            if receipt.code == "OK" and raw not in self._submitted:
                raise self.violated(f"height {height} carries out what nobody submitted")


UNORDERABLE: Final = ("DUPLICATE_TRANSACTION", "EXPIRED")
"""Receipts that no block can hold when a quorum has checked its transactions before it voted."""


class ExactlyOnce(Oracle):
    """Oracle 5: a transaction takes effect at most once; its receipt is the same for ever; whoever
    was told of it was told the truth."""

    name = "exactly once"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._told: Final[dict[bytes, tuple[int, bytes]]] = {}
        """Transaction -> (height, evidence) as the client holds it."""

    def acknowledged(self, client: SimulatedClient, pending: Pending, receipt: Receipt) -> None:
        del client, pending
        self._told[receipt.transaction] = (receipt.height, receipt.receipt.events_digest)

    def at_end(self) -> None:
        """INV-14 as well: an order of a correct quorum holds nothing twice and nothing expired."""
        effects: dict[bytes, tuple[int, bytes]] = {}
        every: dict[bytes, dict[int, bytes]] = {}
        for height, _, receipt in self.run.history():
            every.setdefault(receipt.transaction, {})[height] = receipt.events_digest
            if receipt.code in UNORDERABLE:
                raise self.violated(f"height {height} orders what is {receipt.code}")
            if receipt.code == "OK":
                if receipt.transaction in effects:
                    raise self.violated(f"a transaction took effect twice, again at {height}")
                effects[receipt.transaction] = (height, receipt.events_digest)
        for transaction, (height, digest) in self._told.items():
            if every.get(transaction, {}).get(height) != digest:
                raise self.violated(
                    f"transaction {transaction.hex()[:12]} was acknowledged at height {height},"
                    " where the chain does not have it"
                )


class RealTimeOrder(Oracle):
    """Oracle 4: the chain's order of operations is one that the clients could have seen: what was
    acknowledged before another operation was submitted stands before it. With the money model, which
    checks each result against that very order, histories are linearizable (Wing and Gong)."""

    name = "linearizability"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._acknowledged_height = 0
        self._floor: Final[dict[bytes, int]] = {}
        """Transaction -> highest height acknowledged before it was submitted."""

    def submitted(self, client: SimulatedClient, envelope: Envelope) -> None:
        del client
        # The same words again are the same operation: what counts is when they were said first.
        self._floor.setdefault(envelope.transaction, self._acknowledged_height)

    def acknowledged(self, client: SimulatedClient, pending: Pending, receipt: Receipt) -> None:
        del client, pending
        if receipt.height <= self._floor[receipt.transaction]:
            raise self.violated(
                f"an operation stands at height {receipt.height}, not after one that was"
                " acknowledged before it was submitted"
            )
        self._acknowledged_height = max(self._acknowledged_height, receipt.height)


class Durability(Oracle):
    """Oracle 6: at the end every correct process holds every acknowledged operation, although all of
    them may have lost their memory at once on the way."""

    name = "durability"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._highest = 0

    def acknowledged(self, client: SimulatedClient, pending: Pending, receipt: Receipt) -> None:
        del client, pending
        self._highest = max(self._highest, receipt.height)

    def at_end(self) -> None:
        for node in self.run.core:
            if node.height < self._highest:
                raise self.violated(
                    f"{node} ends at {node.height}, below an acknowledged operation"
                )
