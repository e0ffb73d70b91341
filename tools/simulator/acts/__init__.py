"""What the parties of a simulated network do."""

from __future__ import annotations

from random import Random
from typing import Final

from node.state import Overlay
from tools.simulator.acts.banks import BankAct
from tools.simulator.acts.base import Act
from tools.simulator.acts.core import CoreAct
from tools.simulator.acts.court import CourtAct
from tools.simulator.acts.suppliers import SupplierAct
from tools.simulator.town import COURT, Party, Town

__all__ = ["Act", "act_of"]


_KINDS: Final[dict[str, type[Act]]] = {"core": CoreAct, COURT: CourtAct}


def act_of(town: Town, party: Party, random: Random, view: Overlay) -> Act:
    """The decision that `party` takes now."""
    if party.is_bank:
        return BankAct(town, party, random, view)
    kind = _KINDS.get(party.name, SupplierAct)
    return kind(town, party, random, view)
