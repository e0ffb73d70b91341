"""A liar whose vote decides, and who gives it to one validator only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from tallynet.codec import decode
from tallynet.messages import Signed, SignedKind, ViewChange
from tools.simulator.byzantine.base import Behaviour

if TYPE_CHECKING:
    from tools.simulator.run import Run


class Kingmaker(Behaviour):
    """In each view one validator alone gets its Prepares, or its Commits, and in its ViewChanges it holds
    nothing. While one of the others is cut off, nobody else comes to a certificate: one validator
    prepares what nobody knows of, or commits what the others can still leave behind (A3)."""

    def __init__(self, run: Run, index: int) -> None:
        super().__init__(run, index)
        self._chosen: Final[dict[tuple[int, int], tuple[SignedKind, int]]] = {}
        """(epoch, view) -> the phase that is for one only, and for whom."""

    def send(self, to: int, message: bytes) -> None:
        value = self.run.decoded(message)
        if not isinstance(value, Signed) or value.signer != self.index:
            self.emit(to, message)
        elif value.kind is SignedKind.VIEW_CHANGE:
            bare = replace(decode(ViewChange, value.body), prepared=())
            self.lie(to, self.sign(SignedKind.VIEW_CHANGE, bare))
        elif value.kind in (SignedKind.PREPARE, SignedKind.COMMIT):
            vote = self.run.vote(value)
            phase, king = self._of(vote.epoch, vote.view)
            if value.kind is phase and to != king:
                self.withhold()
            else:
                self.emit(to, message)
        else:
            self.emit(to, message)

    def _of(self, epoch: int, view: int) -> tuple[SignedKind, int]:
        if (epoch, view) not in self._chosen:
            phase = self.random.choice((SignedKind.PREPARE, SignedKind.COMMIT))
            self._chosen[(epoch, view)] = (phase, self.random.choice(self.victims))
        return self._chosen[(epoch, view)]
