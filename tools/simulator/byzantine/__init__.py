"""Validators that lie: each behaviour wraps a correct machine and distorts what it says."""

from __future__ import annotations

from typing import Final

from tools.simulator.byzantine.base import Behaviour, Ring
from tools.simulator.byzantine.copies import Amnesiac, Twin
from tools.simulator.byzantine.framer import Framer
from tools.simulator.byzantine.gossip import GossipLiar
from tools.simulator.byzantine.invalid import FalseHeir, InvalidLeader
from tools.simulator.byzantine.kingmaker import Kingmaker
from tools.simulator.byzantine.leaders import Censor, Delayer, Equivocator, Withholder
from tools.simulator.byzantine.mixed import Mixed
from tools.simulator.byzantine.mutating import Mutating
from tools.simulator.byzantine.new_view import StaleNewView
from tools.simulator.byzantine.noise import ClockLiar, FutureFlooder, Replayer
from tools.simulator.byzantine.replies import ReplyLiar
from tools.simulator.byzantine.schemer import Schemer
from tools.simulator.byzantine.simple import Selective, Silent
from tools.simulator.byzantine.sync import SyncLiar
from tools.simulator.byzantine.usurper import Usurper
from tools.simulator.byzantine.view_change import GoneSilent, Grumbler, Hider, Spammer
from tools.simulator.byzantine.whisperer import Whisperer

BEHAVIOURS: Final[dict[str, type[Behaviour]]] = {
    "silent": Silent,
    "selective": Selective,
    "twin": Twin,
    "amnesiac": Amnesiac,
    "mutator": Mutating,
    "equivocator": Equivocator,
    "delayer": Delayer,
    "censor": Censor,
    "withholder": Withholder,
    "invalid leader": InvalidLeader,
    "stale new view": StaleNewView,
    "schemer": Schemer,
    "spammer": Spammer,
    "grumbler": Grumbler,
    "hider": Hider,
    "kingmaker": Kingmaker,
    "gone silent": GoneSilent,
    "sync liar": SyncLiar,
    "gossip liar": GossipLiar,
    "future flooder": FutureFlooder,
    "replayer": Replayer,
    "clock liar": ClockLiar,
    "reply liar": ReplyLiar,
    "framer": Framer,
    "whisperer": Whisperer,
    "mixed": Mixed,
    "false heir": FalseHeir,
    "usurper": Usurper,
}

__all__ = ["BEHAVIOURS", "Behaviour", "Ring"]
