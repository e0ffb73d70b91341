"""Clients: they submit, wait, ask another validator with the same bytes, and believe proofs only."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from tallynet.client.errors import ForkSeen
from tallynet.client.trust import Receipt, Trust
from tallynet.codec import decode
from tallynet.envelope import Envelope
from tallynet.errors import RemoteProtocolError
from tallynet.messages import (
    ClientReply,
    ClientRequest,
    EvidenceKind,
    EvidencePage,
    QueryEvidence,
    Receipts,
    Refused,
    Submit,
)
from tools.simulator.node import SimulatedNode
from tools.simulator.town import Party
from tools.simulator.workload import next_envelope

if TYPE_CHECKING:
    from tools.simulator.run import Run

RETRY_US: Final = 1_500_000
"""Without a receipt for so long, the next validator is asked with the same bytes."""
CLIENT_DELAY_US: Final = 20_000


@dataclass(slots=True)
class Pending:
    """One envelope until its certified receipt arrives, or its validity is over."""

    envelope: Envelope
    submitted_us: int
    refused_by: dict[int, str]
    """Validator -> code, where it was refused for good."""
    first: int
    """Process that is asked first; then the next ones in turn, so that f + 1 tries reach a correct one."""
    tries: int = 0
    told: bool = False
    """Every validator was, and none has refused since: its client waits."""


class SimulatedClient:
    """One organisation's program."""

    def __init__(self, run: Run, party: Party) -> None:
        self._run: Final = run
        self.party: Final = party
        self.trust: Final = Trust(run.town.genesis, check=run.check)
        self._random: Final = Random(run.scheduler.random.getrandbits(64))
        self.pending: Final[dict[bytes, Pending]] = {}
        """By transaction id."""
        self._sessions: Final[dict[int, Session]] = {}
        """By number of the process."""

    def act(self, detail: int) -> bytes | None:
        """Decide on something to do and submit it; its transaction id."""
        node = self._run.some_correct_node(detail)
        if node is None or node.machine is None:
            return None
        now = self._run.scheduler.now_us // 1_000_000 + self._run.town.genesis.time_ms // 1000 + 1
        view = node.machine.executor.view
        envelope = next_envelope(self._run.town, self.party, detail, view, now)
        if envelope is None:
            return None
        self.submit(envelope)
        return envelope.transaction

    def submit(self, envelope: Envelope) -> None:
        """Submit now, and again until there is an answer."""
        if envelope.transaction in self.pending:
            return
        now = self._run.scheduler.now_us
        pending = Pending(envelope, now, {}, self._random.randrange(len(self._run.nodes)))
        self.pending[envelope.transaction] = pending
        self._run.submitted(self, envelope)
        self._try(pending)

    def _try(self, pending: Pending) -> None:
        if self.pending.get(pending.envelope.transaction) is not pending:
            return
        if self.is_over(pending):
            del self.pending[pending.envelope.transaction]
            return
        self._run.scheduler.after(RETRY_US, self._try, pending)
        nodes = self._run.nodes
        if pending.told:
            return
        if self._run.plan.patient and not pending.tries:
            pending.told = True
            for node in nodes:
                self._ask(node, pending)
            pending.tries = len(nodes)
            return
        self._ask(nodes[(pending.first + pending.tries) % len(nodes)], pending)
        pending.tries += 1

    def _ask(self, node: SimulatedNode, pending: Pending) -> None:
        session = self._sessions.get(node.number)
        if session is None or session.machine is not node.machine:
            session = self._sessions[node.number] = Session(self, node)
            self._ask_for_sets(session)
        request = Submit((pending.envelope.raw,))
        if session.waiting is None:
            self._send(session, request)
        else:
            session.waiting.append(request)

    def _ask_for_sets(self, session: Session) -> None:
        """How the validator set has changed, first of all on a new connection: a node closes those it has when
        its set changes, so what comes over this one can be judged."""
        newest = self.trust.succession.newest.since
        after = newest.to_bytes(8, "big") if newest else b""
        self._send(session, QueryEvidence(0, EvidenceKind.HANDOVERS, after))

    def _send(self, session: Session, request: ClientRequest) -> None:
        delay = 50 + self._random.randrange(CLIENT_DELAY_US)
        self._run.scheduler.after(delay, session.node.ask, session, request)

    def hung_up(self, node: SimulatedNode) -> None:
        """The connection to a process is lost."""
        self._sessions.pop(node.number, None)

    def _learned(self, session: Session, page: EvidencePage) -> None:
        """Raises as `Trust.learn`."""
        before = self.trust.succession.count
        self.trust.learn(entry.data for entry in page.entries)
        if page.more and self.trust.succession.count > before:
            self._ask_for_sets(session)
            return
        waiting, session.waiting = session.waiting, None
        for request in waiting or ():
            self._send(session, request)

    def is_over(self, pending: Pending) -> bool:
        """No block can hold it any more, or more than f validators refused it for good."""
        return len(pending.refused_by) > self._run.plan.f or (
            self._run.newest_seconds >= pending.envelope.body.valid_until
        )

    def answered(self, session: Session, raw: bytes) -> None:
        """Bytes of a reply arrive; what does not prove itself is not believed."""
        node = session.node
        try:
            reply = decode(ClientReply, raw)
            if isinstance(reply, EvidencePage):
                self._learned(session, reply)
            elif isinstance(reply, Receipts):
                for receipt in self.trust.receipts(reply):
                    if receipt.code == "OK":  # else of a copy that was not admitted
                        self._acknowledged(receipt)
        except (RemoteProtocolError, ForkSeen) as error:
            self.hung_up(node)
            self._run.misled(self, node, str(error))
            return
        if isinstance(reply, Refused):
            pending = self.pending.get(reply.transaction)
            transient = BUSY if self._run.healed else TRANSIENT
            if pending is not None:
                pending.told = False
                if reply.code not in transient:
                    pending.refused_by[node.index] = reply.code

    def _acknowledged(self, receipt: Receipt) -> None:
        pending = self.pending.pop(receipt.transaction, None)
        if pending is not None:
            self._run.acknowledged(self, pending, receipt)


BUSY: Final = frozenset({"POOL_FULL", "CLIENT_PENDING_LIMIT", "TOO_MANY_WAITING", "NODE_RETIRED"})
"""Refusals that say nothing about the envelope."""
TRANSIENT: Final = BUSY | {
    "KEY_UNKNOWN",
    "RECORD_NOT_FOUND",
    "ORGANISATION_INACTIVE",
    "EXPIRED",
    "VALIDITY_TOO_LONG",
}
"""Refusals that a validator makes because it is behind or its clock is wrong: final once all is well."""


class Session:
    """A client's connection to one process, as the service sees it."""

    __slots__ = ("client", "machine", "node", "waiting")

    key: Final = bytes(32)
    """Nobody's: no simulated client asks what depends on who asks."""

    def __init__(self, client: SimulatedClient, node: SimulatedNode) -> None:
        self.client: Final = client
        self.node: Final = node
        self.machine: Final = node.machine
        """It ends with this one."""
        self.waiting: list[ClientRequest] | None = []
        """Until it is known who validates; None: it is. As many as the client has envelopes pending."""

    def send(self, message: bytes) -> None:
        self.client._run.reply(self, message)
