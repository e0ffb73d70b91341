"""The plan of a seed: the seed alone says everything."""

from __future__ import annotations

from tools.simulator.byzantine import BEHAVIOURS
from tools.simulator.draw import draw
from tools.simulator.lying import draw_forensic, draw_lying
from tools.simulator.options import Plan
from tools.simulator.variants import FORENSIC, LIARS, variant_of


def plan_of(seed: int) -> Plan:
    """What the sweeps run for this seed, and what `tally simulate --seed` replays."""
    behaviours = tuple(BEHAVIOURS)
    variant = variant_of(seed)
    if variant == LIARS:
        return draw_lying(seed, behaviours)
    if variant == FORENSIC:
        return draw_forensic(seed, behaviours)
    return draw(seed, behaviours)
