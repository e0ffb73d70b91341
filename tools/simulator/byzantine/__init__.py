"""Validators that lie: each behaviour wraps a correct machine and distorts what it says."""

from __future__ import annotations

from typing import Final

from tools.simulator.byzantine.base import Behaviour, Ring
from tools.simulator.byzantine.copies import Amnesiac, Twin
from tools.simulator.byzantine.simple import Selective, Silent

BEHAVIOURS: Final[dict[str, type[Behaviour]]] = {
    "silent": Silent,
    "selective": Selective,
    "twin": Twin,
    "amnesiac": Amnesiac,
}

__all__ = ["BEHAVIOURS", "Behaviour", "Ring"]
