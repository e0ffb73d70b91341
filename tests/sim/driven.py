"""Runs without a script: a test lets time pass and says who submits what where.

Nobody waits for receipts here and nobody sends again, so that what happens is what the test does.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from consensus.replica import Replica
from tallynet.commands import DocumentRegister
from tallynet.envelope import Envelope
from tallynet.messages import Submit
from tallynet.records import DocumentType, Role
from tests.sim.plans import calm
from tools.simulator.acts.base import CURRENCY
from tools.simulator.clients import Session, SimulatedClient
from tools.simulator.node import SimulatedNode
from tools.simulator.run import Run

VALIDITY_SECONDS = 600


class _Deaf(Session):
    """A session whose client does not listen."""

    def send(self, message: bytes) -> None:
        del message


class DrivenRun(Run):
    """A started network in which nothing has happened yet."""

    def __init__(self, **changes: Any) -> None:
        """`changes` are those of the calm plan."""
        super().__init__(calm(**{"opening": False, "length_ms": 0, **changes}))
        self._documents = 0
        self.storm()

    def let_pass(self, ms: int) -> None:
        self.scheduler.run(self.scheduler.now_us + ms * 1000)

    @property
    def now_ms(self) -> int:
        return self.scheduler.now_us // 1000

    def documents(self, count: int) -> list[Envelope]:
        """So many envelopes that everybody admits, of one organisation after the other: the cheapest that
        a machine may sign alone."""
        return [self._document() for _ in range(count)]

    def _document(self) -> Envelope:
        parties = self.town.clients
        number = self._documents
        self._documents += 1
        party, other = parties[number % len(parties)], parties[(number + 1) % len(parties)]
        digest = sha256(b"document %d" % number).digest()
        command = DocumentRegister(
            b"%d" % number, DocumentType.INVOICE, digest, digest, digest, party.id, other.id, (),
            CURRENCY, 100, None,
        )  # fmt: skip
        valid_until = self.true_wall_ms() // 1000 + VALIDITY_SECONDS
        return self.town.envelope(party, [command], valid_until, signers=[("machine", Role.API)])

    def _client_of(self, envelope: Envelope) -> SimulatedClient:
        return next(c for c in self.clients if c.party.id == envelope.body.organisation)

    def submit(self, node: SimulatedNode, envelopes: Sequence[Envelope]) -> None:
        """Clients of one validator hand these over at once; it passes them on in one message."""
        for envelope in envelopes:
            self.submitted(self._client_of(envelope), envelope)
        if envelopes:
            node.ask(
                _Deaf(self.clients[0], node), Submit(tuple(envelope.raw for envelope in envelopes))
            )

    def replica(self, index: int) -> Replica:
        """The consensus core of a validator that runs."""
        machine = self.nodes[index].machine
        assert machine is not None, f"validator {index} does not run"
        return machine.replica

    def views(self) -> list[int]:
        """Of every process that runs."""
        machines = [node.machine for node in self.nodes if node.machine is not None]
        return [machine.replica.statistics().view for machine in machines]
