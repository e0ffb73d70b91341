"""A liar that lets one validator alone know of an envelope, and blames the leader for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallynet.messages import Bodies, Complaint, ComplaintReason, SignedKind
from tools.simulator.byzantine.base import Behaviour

if TYPE_CHECKING:
    from tools.simulator.run import Run


class Whisperer(Behaviour):
    """What clients bring to it goes to one correct validator that does not lead. That one waits, and its
    complaint and the liar's are f + 1."""

    def __init__(self, run: Run, index: int) -> None:
        super().__init__(run, index)
        self._whispered = b""
        self._ear = -1
        """Who hears it."""

    def send(self, to: int, message: bytes) -> None:
        if not isinstance(self.run.decoded(message), Bodies):
            self.emit(to, message)
            return
        if message != self._whispered:
            leader = self.core.leader_of(self.core.view)
            self._whispered = message
            self._ear = self.random.choice([i for i in self.victims if i != leader])
        if to == self._ear:
            self.emit(to, message)
        else:
            self.withhold()

    def beat(self) -> None:
        core = self.core
        reason = ComplaintReason.PROGRESS_TIMEOUT
        self.lie_to_all(
            self.sign(SignedKind.COMPLAINT, Complaint(core.epoch, core.voted_view, reason))
        )
