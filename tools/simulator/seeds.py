"""The plan of a seed: the seed alone says everything."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from consensus.constants import BATCH_TRANSACTIONS_MAX
from tools.simulator.byzantine import BEHAVIOURS
from tools.simulator.draw import draw
from tools.simulator.lying import draw_forensic, draw_lying
from tools.simulator.options import DYING_KINDS, Plan
from tools.simulator.variants import FORENSIC, LIARS, variant_of

BY_VARIANT: Final = ("false heir", "usurper")
"""Liars that a variant asks for by name: they do nothing where epochs are long, or nobody hoards votes."""


def plan_of(seed: int) -> Plan:
    """What the sweeps run for this seed, and what `tally simulate --seed` replays."""
    plan = _drawn(seed)
    die = plan.spares or any(fault.kind in DYING_KINDS for fault in plan.faults)
    # Of every variant some.
    return replace(
        plan,
        patient=not die and seed // 3 % 2 == 0,
        batch_transactions_max=1 if seed // 2 % 2 == 0 else BATCH_TRANSACTIONS_MAX,
    )


def _drawn(seed: int) -> Plan:
    behaviours = tuple(name for name in BEHAVIOURS if name not in BY_VARIANT)
    variant = variant_of(seed)
    if variant == LIARS:
        return draw_lying(seed, behaviours)
    if variant == FORENSIC:
        return draw_forensic(seed, behaviours)
    return draw(seed, behaviours)
