"""From a seed to a plan, by the ranges of its variant. Ranges are drawn before values, so that calm and stormy runs both occur."""

from __future__ import annotations

from random import Random
from typing import Final

from node.config import STATE_SYNC_BLOCKS
from tallynet.blocks import faulty_max
from tools.simulator.options import (
    CALM,
    CHARGED_KINDS,
    Fault,
    FaultKind,
    Liar,
    Plan,
    Request,
    Strategy,
    Weather,
)
from tools.simulator.variants import VARIANTS, Variant, variant_of

CLIENTS: Final = 9
"""Organisations that act, see `town`."""
REAL_SIGNATURES_PERCENT: Final = 5
"""Runs in which validators sign with Ed25519 (reliability §5)."""
STATE_SYNC_EARLY: Final = 8
"""So few missing blocks that runs get there; more than their windows, which the votes in the journal need."""
AFTERSHOCK_PERCENT: Final = 40
""" Of the runs whose faults leave room for it."""


def draw(seed: int, behaviours: tuple[str, ...]) -> Plan:
    """A plan; `behaviours` are the names to choose liars from. `seeds.plan_of` is the plan of a seed."""
    random = Random(seed)
    variant = VARIANTS[variant_of(seed)]
    n = random.choice(variant.sizes)
    f = faulty_max(n)
    faulty = random.sample(
        range(n + variant.spares), f if _happens(random, variant.faulty_percent) else 0
    )
    liars = tuple(
        Liar(node, random.choice(variant.behaviours or behaviours))
        for node in sorted(faulty)
        if _happens(random, variant.lying_percent)
    )
    charged = tuple(sorted(set(faulty) - {liar.node for liar in liars}))
    length_ms = random.choice(variant.lengths_ms)
    stormy = _happens(random, variant.storm_percent)
    spare = f - len(faulty)
    alive = [i for i in range(n) if i not in faulty]
    dead = tuple(sorted(random.sample(alive, random.randint(0, spare))))
    return Plan(
        seed=seed,
        n=n,
        window=random.choice(variant.windows),
        epoch_length=random.choice(variant.epoch_lengths),
        day_seconds=random.choice((2, 4, 86_400)),
        real_signatures=_happens(random, REAL_SIGNATURES_PERCENT),
        strategy=random.choice(
            (Strategy.UNIFORM, Strategy.UNIFORM, Strategy.PRIORITIES, Strategy.TARGETED)
        ),
        weather=(variant.weather or _weather(random, variant)) if stormy else CALM,
        liars=liars,
        charged=charged,
        faults=_faults(random, variant, n, charged, length_ms) if stormy else (),
        requests=_requests(random, variant, length_ms),
        length_ms=length_ms,
        opening=_happens(random, variant.opening_percent),
        dead=dead,
        aftershock=spare > len(dead)
        and _happens(random, AFTERSHOCK_PERCENT)
        and not variant.spares,
        spares=variant.spares,
        state_sync_blocks=random.choice((STATE_SYNC_BLOCKS, STATE_SYNC_BLOCKS, STATE_SYNC_EARLY)),
    )


def _happens(random: Random, percent: int) -> bool:
    return random.randrange(100) < percent


def _requests(random: Random, variant: Variant, length_ms: int) -> tuple[Request, ...]:
    return tuple(
        Request(random.randrange(length_ms), random.randrange(CLIENTS), random.getrandbits(48))
        for _ in range(random.randint(*variant.requests))
    )


def _weather(random: Random, variant: Variant) -> Weather:
    return Weather(
        loss=random.choice(variant.losses),
        duplicate=random.choice((0, 50, 500)),
        delay_us=random.choice(variant.delays_us),
        tail=random.choice((0, 0, 10, 50)),
        flip=random.choice((0, 0, 5)),
        fifo=_happens(random, 70),
    )


def _faults(
    random: Random, variant: Variant, n: int, charged: tuple[int, ...], length_ms: int
) -> tuple[Fault, ...]:
    found = []
    for _ in range(random.randint(*variant.faults)):
        kind = random.choice(variant.kinds)
        longest = random.choice(variant.longest_ms)
        found.append(
            Fault(
                kind,
                random.randrange(length_ms),
                random.randrange(n),
                random.randint(50, longest),
                random.getrandbits(48),
            )
        )
    for node in charged:
        for _ in range(random.randint(1, 2)):
            kind = random.choice(CHARGED_KINDS)
            at = random.randrange(length_ms // 4, length_ms)
            found.append(Fault(kind, at, node, random.randint(50, 2_000), random.getrandbits(48)))
    if variant.outage:
        at = random.randrange(3_000)
        found.append(Fault(FaultKind.OUTAGE, at, -1, length_ms - at, 0))
    return tuple(sorted(found, key=lambda fault: fault.at_ms))
