"""A liar of all trades."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from consensus.events import Event
from tallynet.messages import PeerMessage
from tools.simulator.byzantine.base import Behaviour
from tools.simulator.byzantine.copies import Amnesiac
from tools.simulator.byzantine.framer import Framer
from tools.simulator.byzantine.gossip import GossipLiar
from tools.simulator.byzantine.invalid import InvalidLeader
from tools.simulator.byzantine.leaders import Censor, Delayer, Equivocator, Withholder
from tools.simulator.byzantine.mutating import Mutating
from tools.simulator.byzantine.new_view import StaleNewView
from tools.simulator.byzantine.noise import ClockLiar, FutureFlooder, Replayer
from tools.simulator.byzantine.replies import ReplyLiar
from tools.simulator.byzantine.schemer import Schemer
from tools.simulator.byzantine.simple import Selective, Silent
from tools.simulator.byzantine.sync import SyncLiar
from tools.simulator.byzantine.view_change import GoneSilent, Hider, Spammer

if TYPE_CHECKING:
    from tools.simulator.node import SimulatedNode
    from tools.simulator.run import Run

MIXED: Final[tuple[type[Behaviour], ...]] = (
    Amnesiac, Censor, ClockLiar, Delayer, Equivocator, Framer, FutureFlooder, GoneSilent, GossipLiar,
    Hider, InvalidLeader, Mutating, Replayer, ReplyLiar, Schemer, Selective, Silent, Spammer, StaleNewView,
    SyncLiar, Withholder,
)  # fmt: skip
CHANGE_US: Final = 1_000_000


class Mixed(Behaviour):
    """Behaves in another way every second."""

    def __init__(self, run: Run, index: int) -> None:
        super().__init__(run, index)
        self._until_us = CHANGE_US
        self._today = self._drawn()

    def _drawn(self) -> Behaviour:
        drawn = self.random.choice(MIXED)
        return drawn(self.run, self.number)

    def placed(self, node: SimulatedNode) -> None:
        super().placed(node)
        self._today.placed(node)

    @property
    def _now(self) -> Behaviour:
        if self.run.scheduler.now_us >= self._until_us:
            self._until_us = self.run.scheduler.now_us + CHANGE_US
            self._today = self._drawn()
            self._today.placed(self.node)
        return self._today

    def send(self, to: int, message: bytes) -> None:
        self._now.send(to, message)

    def heard(self, source: int, raw: bytes, message: PeerMessage) -> PeerMessage | None:
        return self._now.heard(source, raw, message)

    def event(self, event: Event) -> Event | None:
        return self._now.event(event)

    def beat(self) -> None:
        self._now.beat()

    def reply(self, message: bytes) -> bytes | None:
        return self._now.reply(message)
