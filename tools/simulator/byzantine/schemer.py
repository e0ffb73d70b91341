"""The strongest attack on agreement that one liar can mount: everything that could hide a committed block,
at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tallynet.messages import PeerMessage
from tools.simulator.byzantine.base import Behaviour, kind_of
from tools.simulator.byzantine.leaders import Equivocator
from tools.simulator.byzantine.new_view import StaleNewView
from tools.simulator.byzantine.simple import Selective
from tools.simulator.byzantine.view_change import Hider

if TYPE_CHECKING:
    from tools.simulator.node import SimulatedNode
    from tools.simulator.run import Run


class Schemer(Behaviour):
    """Proposes several blocks, votes for all of them but to few, hides certificates in its ViewChanges
    and picks the ViewChanges of the views that it opens."""

    def __init__(self, run: Run, index: int) -> None:
        super().__init__(run, index)
        self._equivocator: Final = Equivocator(run, index)
        self._hider: Final = Hider(run, index)
        self._opener: Final = StaleNewView(run, index)
        self._selective: Final = Selective(run, index)
        self._parts: Final[dict[str, Behaviour]] = {
            "PrePrepare": self._equivocator,
            "VIEW_CHANGE": self._hider,
            "NEW_VIEW": self._opener,
            "PREPARE": self._selective,
            "COMMIT": self._selective,
        }

    def placed(self, node: SimulatedNode) -> None:
        super().placed(node)
        for part in (self._equivocator, self._hider, self._opener, self._selective):
            part.placed(node)

    def send(self, to: int, message: bytes) -> None:
        part = self._parts.get(kind_of(self.run.decoded(message)))
        if part is None:
            self.emit(to, message)
        else:
            part.send(to, message)

    def heard(self, source: int, raw: bytes, message: PeerMessage) -> PeerMessage | None:
        return self._equivocator.heard(source, raw, message)

    def beat(self) -> None:
        self._hider.beat()
