"""Which ranges a seed's plan is drawn from. The seed alone chooses the variant, so that a seed alone
replays a run, and every variant gets its share of any range of seeds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from tools.simulator.options import MOLASSES, FaultKind, Weather

_K = FaultKind
COMMON: Final = (
    _K.CRASH, _K.CRASH, _K.CRASH_LEADER, _K.CRASH_LEADER, _K.CRASH_ALL, _K.PAUSE, _K.PARTITION,
    _K.PARTITION, _K.ONE_WAY, _K.RESET, _K.CLOG, _K.SLOW_DISK, _K.FAIL_COMMIT, _K.CLOCK,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Variant:
    """Ranges; a value is drawn from each. Pairs are the least and the most."""

    sizes: tuple[int, ...] = (4, 4, 4, 4, 5, 6, 7, 10)
    """Validators."""
    lengths_ms: tuple[int, ...] = (3_000, 6_000, 12_000)
    """Until the network heals."""
    requests: tuple[int, int] = (8, 30)
    faults: tuple[int, int] = (2, 10)
    kinds: tuple[FaultKind, ...] = COMMON
    longest_ms: tuple[int, ...] = (300, 2_000, 6_000)
    """How long a fault lasts at most."""
    windows: tuple[int, ...] = (1, 4)
    epoch_lengths: tuple[int, ...] = (5, 20, 1000)
    storm_percent: int = 80
    """Share of plans with bad weather and faults at all."""
    faulty_percent: int = 67
    """Share of plans with f faulty validators."""
    lying_percent: int = 70
    """Share of the faulty ones that lie; the disks of the others do."""
    outage: bool = False
    """Everybody is cut off from everybody until the network heals."""
    losses: tuple[int, ...] = (0, 0, 20, 100, 300)
    delays_us: tuple[int, ...] = (500, 5_000, 30_000, 100_000)
    weather: Weather | None = None
    """None: drawn."""
    behaviours: tuple[str, ...] = ()
    """Of the liars; empty: all there are."""
    opening_percent: int = 70
    """Share of plans that begin with a prepared market. In small runs it took a third of
    the time (profile)."""
    spares: int = 0
    """Banks that may become validators."""


_OPENERS: Final = Variant(
    sizes=(4,),
    lengths_ms=(10_000,),
    requests=(20, 50),
    faults=(2, 4),
    kinds=(_K.HOARD, _K.HOARD, _K.CRASH_LEADER),
    longest_ms=(600,),
    losses=(0,),
    delays_us=(500, 5_000, 30_000),
    epoch_lengths=(1000,),
    storm_percent=100,
    faulty_percent=100,
    lying_percent=100,
    behaviours=("stale new view", "stale new view", "stale new view", "schemer"),
)
"""A liar opens views after votes were hoarded."""
LIARS: Final = "liars"
FORENSIC: Final = "forensic"
VARIANTS: Final[dict[str, Variant]] = {
    "mixed": Variant(),
    "small": Variant(
        sizes=(4,), lengths_ms=(3_000,), requests=(8, 16), faults=(1, 5), opening_percent=25
    ),
    "sizes": Variant(sizes=(4, 5, 6, 7)),
    LIARS: Variant(sizes=(4, 4, 5, 7)),
    FORENSIC: Variant(sizes=(4, 7)),
    "crashes": Variant(
        sizes=(4, 4, 5),
        lengths_ms=(5_000,),
        faults=(8, 16),
        kinds=(_K.CRASH, _K.CRASH_LEADER, _K.CRASH_ALL, _K.CRASH_ALL, _K.FAIL_COMMIT, _K.SLOW_DISK),
        longest_ms=(100, 600),
        storm_percent=100,
        faulty_percent=30,
    ),
    "views": Variant(
        sizes=(4, 4, 5, 6),
        lengths_ms=(10_000,),
        requests=(60, 120),
        faults=(10, 20),
        kinds=(_K.FUNNEL, _K.FUNNEL, _K.FUNNEL, _K.ISOLATE, _K.CRASH_LEADER, _K.ONE_WAY),
        longest_ms=(1_500, 3_000),
        losses=(0, 0, 0, 50),
        delays_us=(20_000, 60_000, 150_000),
        windows=(4,),
        epoch_lengths=(1000,),
        storm_percent=100,
        faulty_percent=50,
    ),
    "hoards": Variant(
        sizes=(4,),
        lengths_ms=(8_000,),
        requests=(20, 50),
        faults=(2, 4),
        kinds=(_K.HOARD, _K.HOARD, _K.PAUSE, _K.CRASH_LEADER),
        longest_ms=(600,),
        losses=(0,),
        delays_us=(500, 5_000, 30_000),
        epoch_lengths=(1000,),
        storm_percent=100,
        faulty_percent=0,
    ),
    "openers": _OPENERS,
    "usurpers": replace(_OPENERS, behaviours=("usurper",)),
    "kings": Variant(
        sizes=(4, 4, 4, 5),
        lengths_ms=(10_000,),
        requests=(60, 120),
        faults=(12, 20),
        kinds=(_K.ISOLATE, _K.ISOLATE, _K.HOARD, _K.FUNNEL, _K.CRASH_LEADER),
        longest_ms=(1_200, 2_500),
        epoch_lengths=(1000,),
        storm_percent=100,
        faulty_percent=100,
        lying_percent=100,
        losses=(0,),
        delays_us=(5_000, 30_000, 80_000),
        behaviours=("kingmaker", "kingmaker", "kingmaker", "hider", "equivocator", "mixed"),
    ),
    "outage": Variant(
        sizes=(4,),
        lengths_ms=(60_000, 90_000),
        requests=(5, 15),
        faults=(0, 2),
        epoch_lengths=(20, 1000),
        storm_percent=100,
        outage=True,
    ),
    "molasses": Variant(
        sizes=(4,),
        lengths_ms=(250_000,),
        requests=(3, 6),
        faults=(0, 0),
        epoch_lengths=(1000,),
        storm_percent=100,
        faulty_percent=0,
        weather=MOLASSES,
    ),
    "disks": Variant(
        sizes=(4, 4, 7),
        lengths_ms=(6_000,),
        kinds=(_K.CRASH, _K.CRASH_LEADER, _K.CRASH_LEADER, _K.CRASH_ALL, _K.FAIL_COMMIT, _K.SLOW_DISK),
        epoch_lengths=(5, 5, 20, 1000),
        faulty_percent=100,
        lying_percent=0,
    ),
    "heirs": Variant(
        sizes=(4,),
        lengths_ms=(6_000,),
        requests=(30, 60),
        epoch_lengths=(5,),
        storm_percent=50,
        faulty_percent=100,
        lying_percent=100,
        behaviours=("false heir",),
    ),
    "spoilers": Variant(
        sizes=(4,),
        lengths_ms=(10_000,),
        requests=(60, 120),
        faults=(6, 12),
        kinds=(_K.CRASH_LEADER,),
        longest_ms=(1_500, 2_500),
        losses=(0,),
        windows=(4,),
        epoch_lengths=(1000,),
        storm_percent=100,
        faulty_percent=100,
        lying_percent=100,
        behaviours=("invalid leader",),
    ),
    "alone": Variant(
        sizes=(1,),
        lengths_ms=(5_000,),
        requests=(30, 60),
        faults=(8, 16),
        kinds=(_K.CRASH, _K.CRASH, _K.FAIL_COMMIT, _K.SLOW_DISK, _K.SLOW_DISK),
        longest_ms=(100, 600),
        storm_percent=100,
        faulty_percent=0,
    ),
    "swindlers": Variant(
        sizes=(4,),
        lengths_ms=(6_000, 8_000),
        requests=(60, 90),
        faults=(0, 4),
        epoch_lengths=(5, 20),
        faulty_percent=100,
        lying_percent=100,
        behaviours=("reply liar",),
        spares=2,
    ),
    "market": Variant(
        sizes=(4,),
        lengths_ms=(12_000,),
        requests=(150, 250),
        faults=(0, 2),
        epoch_lengths=(20, 1000),
        storm_percent=30,
        faulty_percent=0,
        opening_percent=100,
    ),
    "members": Variant(
        sizes=(4, 4, 5),
        lengths_ms=(8_000, 12_000),
        requests=(60, 120),
        faults=(2, 8),
        kinds=(*COMMON, _K.ISOLATE, _K.CRASH_HEIR, _K.CRASH_HEIR, _K.CRASH_HEIR),
        epoch_lengths=(5, 20, 20),
        losses=(0, 0, 20, 100),
        spares=2,
    ),
}  # fmt: skip
"""By name; a planted bug may ask for one of them."""

_ROTA: Final = (
    "mixed", "small", "liars", "small", "kings", "crashes", "small", "views", "liars", "small",
    "mixed", "disks", "liars", "small", "crashes", "sizes", "openers", "hoards", "forensic", "mixed",
)  # fmt: skip
"""The variant of seed s stands at s modulo the length, but for those that take long."""
_RARE: Final = (
    (150, "market"),
    (200, "molasses"),
    (40, "outage"),
    (100, "heirs"),
    (50, "usurpers"),
    (20, "members"),
    (25, "spoilers"),
    (30, "swindlers"),
    (45, "alone"),
)
"""Every so many-th seed, counted from its own end."""


def variant_of(seed: int) -> str:
    """Name of the variant that a seed's plan is drawn from."""
    for period, variant in _RARE:
        if seed % period == period - 1:
            return variant
    return _ROTA[seed % len(_ROTA)]


ANY: Final = "any"
"""Stands for every variant."""


def seeds_of(variant: str, first: int, count: int) -> Iterator[int]:
    """The next `count` seeds from `first` on that are drawn from a variant, or from `ANY`."""
    seed = first
    while count:
        if variant in (ANY, variant_of(seed)):
            yield seed
            count -= 1
        seed += 1
