"""The oracles: each judges one promise from outside and shares no code with what it judges."""

from __future__ import annotations

from typing import Final

from tools.simulator.oracles.accountability import Accountability
from tools.simulator.oracles.agreement import Agreement, Forks
from tools.simulator.oracles.base import Committed, Oracle, Violation
from tools.simulator.oracles.bounds import BoundedResources
from tools.simulator.oracles.clients import LightClients
from tools.simulator.oracles.conduct import HeaderTime, Integrity, Steadfast
from tools.simulator.oracles.evidence import EvidenceSoundness
from tools.simulator.oracles.operations import Authorisation, Durability, ExactlyOnce, RealTimeOrder
from tools.simulator.oracles.state import Money, StateRoots
from tools.simulator.oracles.votes import Amnesia, Grounds, NoDoubleVote

ORACLES: Final[tuple[type[Oracle], ...]] = (
    Agreement, Authorisation, Money, RealTimeOrder, ExactlyOnce, Durability, NoDoubleVote, Amnesia,
    StateRoots, BoundedResources, EvidenceSoundness, LightClients, Grounds, Steadfast, HeaderTime, Integrity,
)  # fmt: skip
"""In the order in which they are asked. Liveness (oracle 9) is the end of a run itself."""
UNCONDITIONAL: Final[tuple[type[Oracle], ...]] = (
    NoDoubleVote, Amnesia, EvidenceSoundness, Accountability,
)  # fmt: skip
"""What holds however many others lie."""

__all__ = ["ORACLES", "UNCONDITIONAL", "Committed", "Forks", "Oracle", "Violation"]
