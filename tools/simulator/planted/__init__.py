"""Bugs planted on purpose: the simulator is worth what it finds of these (reliability §6)."""

from __future__ import annotations

from typing import Final

from tools.simulator.planted.durability import DURABILITY
from tools.simulator.planted.law import LAW
from tools.simulator.planted.members import MEMBERS
from tools.simulator.planted.normal_case import NORMAL_CASE
from tools.simulator.planted.plant import Plant
from tools.simulator.planted.view_changes import VIEW_CHANGES

PLANTS: Final[tuple[Plant, ...]] = (
    *VIEW_CHANGES, *NORMAL_CASE, *DURABILITY, *LAW, *MEMBERS,
)  # fmt: skip

__all__ = ["PLANTS", "Plant"]
