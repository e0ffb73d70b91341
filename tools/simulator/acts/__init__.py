"""What the parties of a simulated network do."""

from __future__ import annotations

from random import Random

from node.state import Overlay
from tools.simulator.acts.banks import BankAct
from tools.simulator.acts.base import Act
from tools.simulator.acts.core import CoreAct
from tools.simulator.acts.suppliers import SupplierAct
from tools.simulator.town import Party, Town

__all__ = ["Act", "act_of"]


def act_of(town: Town, party: Party, random: Random, view: Overlay) -> Act:
    """The decision that `party` takes now."""
    kind = BankAct if party.is_bank else CoreAct if party.name == "core" else SupplierAct
    return kind(town, party, random, view)
