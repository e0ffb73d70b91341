"""What a planted bug is, and how it gets into a copy of the source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tallynet.errors import TallynetError
from tools.simulator.variants import ANY


class PlantError(TallynetError):
    """A planted bug cannot be planted. Codes: PLANT_STALE, PLANT_UNKNOWN."""


@dataclass(frozen=True, slots=True)
class Plant:
    """One wrong edit of the product."""

    name: str
    rule: str
    """What it breaks: rows of the reliability programme (A1, B12), invariants (INV-4)."""
    file: str
    old: str
    """Stands in the file exactly once."""
    new: str
    variant: str = ANY
    """Seeds of this variant meet it soonest."""


def planted(plant: Plant, source: str) -> str:
    """The file's text with the bug. Raises PlantError PLANT_STALE: the code has changed."""
    if source.count(plant.old) != 1:
        raise PlantError(
            "PLANT_STALE",
            f"{plant.name}: the text to replace stands {source.count(plant.old)} times in"
            f" {plant.file}; write it anew in tools/simulator/planted",
        )
    return source.replace(plant.old, plant.new)


def plant_into(plant: Plant, root: Path) -> None:
    """Edit a copy of the source tree. Raises PlantError PLANT_STALE."""
    path = root / plant.file
    path.write_text(planted(plant, path.read_text(encoding="utf-8")), encoding="utf-8")
