"""Plans full of liars: as many as the promise allows, or more than it allows."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Final

from tools.simulator.draw import draw
from tools.simulator.options import CHARGED_KINDS, Liar, Plan

FIRST_LEADER: Final = 0
"""Leads the first view of every epoch: half of those plans in which it would be correct let it lie, so
that leaders lie often."""


def draw_lying(seed: int, behaviours: tuple[str, ...]) -> Plan:
    """The plan of a seed, but every validator that may be faulty lies: f of them."""
    plan = draw(seed, behaviours)
    return _with_liars(plan, plan.f, behaviours)


def draw_forensic(seed: int, behaviours: tuple[str, ...]) -> Plan:
    """f+1 to 2f liars: they may break agreement, and nobody correct may be blamed for it."""
    plan = draw(seed, behaviours)
    return _with_liars(plan, Random(seed).randint(plan.f + 1, 2 * plan.f), behaviours)


def _with_liars(plan: Plan, count: int, behaviours: tuple[str, ...]) -> Plan:
    random = Random(plan.seed)
    nodes = set(random.sample(range(plan.n), count))
    if FIRST_LEADER not in nodes and random.random() < 0.5:
        nodes.remove(max(nodes))
        nodes.add(FIRST_LEADER)
    return replace(
        plan,
        liars=tuple(Liar(node, random.choice(behaviours)) for node in sorted(nodes)),
        charged=(),
        dead=(),
        aftershock=False,
        faults=tuple(fault for fault in plan.faults if fault.kind not in CHARGED_KINDS),
    )
