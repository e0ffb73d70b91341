"""Oracle 7: no correct key lets two different votes out for one place; B12: a lost register votes no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from consensus.statistics import ReplicaStatus
from tallynet.blocks import Certificate, Commit
from tallynet.codec import decode
from tallynet.messages import (
    Complaint,
    ComplaintReason,
    NewView,
    PrePrepare,
    Signed,
    SignedKind,
    ViewChange,
)
from tools.simulator.oracles.base import Oracle

if TYPE_CHECKING:
    from tools.simulator.node import SimulatedNode
    from tools.simulator.run import Run

Place = tuple[int, int, int, int, int]
"""(signer, kind, epoch, view, height); height 0 for a ViewChange or NewView."""


class NoDoubleVote(Oracle):
    """Also across restarts, and also where the second vote would do no harm. A vote in a view that
    was left is caught as well: a ViewChange ends every view below it."""

    name = "no double vote"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._register: Final[dict[Place, bytes]] = {}
        self._left: Final[dict[int, tuple[int, int]]] = {}
        self._seen: Final[dict[bytes, None]] = {}

    def sent(self, node: SimulatedNode, message: bytes) -> None:
        if message in self._seen or node.faulty:
            return
        self._seen[message] = None
        value = self.run.decoded(message)
        if isinstance(value, PrePrepare):
            value = decode(Signed, value.prepare)
        if isinstance(value, Signed) and value.signer == node.signer:
            self._signed(node, value)
            if value.kind is SignedKind.NEW_VIEW:
                for raw in decode(NewView, value.body).prepares:
                    self._signed(node, decode(Signed, raw))

    def _signed(self, node: SimulatedNode, signed: Signed) -> None:
        place = self._place(node, signed)
        if place is None:
            return
        known = self._register.setdefault(place, signed.body)
        if known != signed.body:
            raise self.violated(f"{node} signed two bodies for {signed.kind.name} {place[2:]}")

    def _place(self, node: SimulatedNode, signed: Signed) -> Place | None:
        kind, index = signed.kind, node.index
        if kind is SignedKind.PREPARE or kind is SignedKind.COMMIT:
            vote = self.run.vote(signed)
            place = (index, int(kind), vote.epoch, vote.view, vote.height)
            left = self._left.get(index, (0, 0))
            if place not in self._register and (vote.epoch, vote.view) < left:
                raise self.violated(f"{node} votes in view {vote.view} after it left it")
            return place
        if kind is SignedKind.VIEW_CHANGE:
            change = decode(ViewChange, signed.body)
            here = (change.epoch, change.to_view)
            self._left[index] = max(self._left.get(index, (0, 0)), here)
            return (index, int(kind), *here, 0)
        if kind is SignedKind.NEW_VIEW:
            view = decode(NewView, signed.body)
            return (index, int(kind), view.epoch, view.view, 0)
        return None


class Grounds(Oracle):
    """A13: a correct validator leaves a view only after a correct one has complained about it or a later
    one, whatever the f liars complain about, and in whose name. A leader that nobody correct complains
    about stays in office."""

    name = "grounds"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._complained: Final[dict[int, int]] = {}
        """Epoch -> the highest view that a correct validator has complained about."""
        self._seen: Final[dict[bytes, None]] = {}

    def sent(self, node: SimulatedNode, message: bytes) -> None:
        if message in self._seen or node.faulty:
            return
        self._seen[message] = None
        value = self.run.decoded(message)
        if not isinstance(value, Signed) or value.signer != node.signer:
            return
        if value.kind is SignedKind.COMPLAINT:
            complaint = decode(Complaint, value.body)
            highest = self._complained.get(complaint.epoch, -1)
            if complaint.reason is ComplaintReason.JOINED and complaint.view > highest:
                raise self.violated(
                    f"{node} joins complaints about view {complaint.view} of liars only"
                )
            self._complained[complaint.epoch] = max(highest, complaint.view)
        elif value.kind is SignedKind.VIEW_CHANGE:
            change = decode(ViewChange, value.body)
            if change.to_view - 1 > self._complained.get(change.epoch, -1):
                raise self.violated(
                    f"{node} moves to view {change.to_view}, and no correct validator complained"
                )


SILENT: Final = ("votes_stopped", "diverged", "forked")
"""Log lines after which a key signs nothing any more."""


class Amnesia(Oracle):
    """B12: a key whose register is missing, or was lost or rolled back, as its mark shows or a Commit of its
    own that it does not hold, signs nothing but Status; nor does one that has said so once, or that has
    other results than the others. What it signed before may still leave, and be passed on."""

    name = "amnesia"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._said: Final[dict[int, dict[bytes, None]]] = {index: {} for index in run.charged}
        """Validator whose disk may lie -> bodies of the Commits that it ever let go."""

    def started(self, node: SimulatedNode) -> None:
        if node.silent_turn is not None and node.durable < node.silent_turn:
            node.silent_turn = None  # it ended before it could write that down
        if node.silent_turn is None or node.barred or node.machine is None:
            return
        if node.behaviour is not None:
            return
        status = node.machine.replica.statistics().status
        if status not in (ReplicaStatus.MUTE, ReplicaStatus.DIVERGED):
            raise self.violated(f"{node} starts and does not know that it may vote no more")

    def put_by(self, node: SimulatedNode, certificate: Certificate) -> None:
        """Its own Commit is in there, so its register must hold it. Of a view that was left it holds nothing but
        the certificate under that Commit, or a later one: there it need not notice."""
        said, own = self._said.get(node.index), node.signer in certificate.signers
        if said is None or not own or certificate.vote not in said or node.silent_turn is not None:
            return
        vote = decode(Commit, certificate.vote)
        later = node.votes.prepared.get((vote.epoch, vote.height), -1) > vote.view
        if certificate.vote not in node.votes.commits and not later:
            node.silent_turn = node.durable
            self.run.note(node.name, "was shown a Commit of its own that it has forgotten")

    def logged(self, node: SimulatedNode, event: str, fields: dict[str, object]) -> None:
        del fields
        if event in SILENT and node.silent_turn is None:
            node.silent_turn = node.taken + 1

    def signed(self, node: SimulatedNode, kind: SignedKind) -> None:
        if kind is SignedKind.STATUS or node.behaviour is not None:
            return
        if node.barred or node.silent_turn is not None:
            raise self.violated(f"{node} signs a {kind.name} although it may vote no more")

    def sent(self, node: SimulatedNode, message: bytes) -> None:
        said = self._said.get(node.index)
        if node.voted_life == node.starts and said is None:
            return
        value = self.run.decoded(message)
        own = isinstance(value, Signed) and value.signer == node.signer
        if own and said is not None and value.kind is SignedKind.COMMIT:
            said[value.body] = None
        if isinstance(value, PrePrepare) or (own and value.kind is not SignedKind.STATUS):
            node.voted_life = node.starts
