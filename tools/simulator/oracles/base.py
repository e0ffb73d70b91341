"""What every oracle is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tallynet.blocks import Certificate, Commit, Header
from tallynet.client.trust import Receipt
from tallynet.envelope import Envelope
from tallynet.messages import SignedKind

if TYPE_CHECKING:
    from tools.simulator.clients import Pending, SimulatedClient
    from tools.simulator.node import SimulatedNode
    from tools.simulator.run import Run


class Violation(Exception):
    """A promise was broken; the text says which and how."""

    def __init__(self, oracle: str, what: str) -> None:
        super().__init__(f"{oracle}: {what}")
        self.oracle = oracle
        self.what = what


@dataclass(frozen=True, slots=True)
class Committed:
    """A block that became durable at one process."""

    height: int
    block: bytes
    header: Header
    header_bytes: bytes
    certificate: Certificate
    commit: Commit
    names: tuple[bytes, ...]
    """What the block orders, as in its header."""


class Oracle:
    """Told of everything that happens; raises `Violation`. Every method may be left as it is."""

    name = ""

    def __init__(self, run: Run) -> None:
        self.run = run

    def violated(self, what: str) -> Violation:
        return Violation(self.name, what)

    def breached(self, node: SimulatedNode, what: str) -> None:
        """A process does on its disk what it must not do."""

    def put_by(self, node: SimulatedNode, certificate: Certificate) -> None:
        """A block with this certificate is durable at a process whose disk may have lied."""

    def started(self, node: SimulatedNode) -> None:
        """A process has started from its disk."""

    def sent(self, node: SimulatedNode, message: bytes) -> None:
        """A process lets a message go that runs the correct program; its disk may have lied."""

    def committed(self, node: SimulatedNode, block: Committed) -> None:
        """A block is durable at a process that is not faulty."""

    def adopted(self, node: SimulatedNode) -> None:
        """A process goes on from a fetched state, above blocks that it never had."""

    def signed(self, node: SimulatedNode, kind: SignedKind) -> None:
        """A process signs something with its key."""

    def logged(self, node: SimulatedNode, event: str, fields: dict[str, object]) -> None:
        """A process writes a line to its log."""

    def misled(self, client: SimulatedClient, node: SimulatedNode, why: str) -> None:
        """A client refuses an answer of a process, because it does not prove itself."""

    def submitted(self, client: SimulatedClient, envelope: Envelope) -> None:
        """A client sends an envelope for the first time."""

    def acknowledged(self, client: SimulatedClient, pending: Pending, receipt: Receipt) -> None:
        """A client holds a certified receipt."""

    def evidence(self, node: SimulatedNode, proof: bytes) -> None:
        """A correct process keeps a proof of misbehaviour."""

    def sample(self) -> None:
        """Every now and then, to look at how much is held."""

    def at_end(self) -> None:
        """The network has healed and everything is decided."""
