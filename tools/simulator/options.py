"""What a seed decides before a run begins: shape, weather, who lies, what breaks when, what clients do.

A plan is plain data, so that a failing one can be shrunk: faults and requests are lists to leave
items out of. Ranges are drawn before values, per seed, so that calm and stormy runs both occur.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final

from node.config import STATE_SYNC_BLOCKS
from tallynet.blocks import faulty_max


class Strategy(Enum):
    """How the scheduler is unfair (reliability §5)."""

    UNIFORM = "uniform"
    PRIORITIES = "priorities"
    """Probabilistic concurrency testing: replicas get priorities, changed at few random points."""
    TARGETED = "targeted"
    """One replica, or whoever leads, hears and is heard late."""


class FaultKind(Enum):
    CRASH = "crash"
    CRASH_LEADER = "crash leader"
    CRASH_ALL = "crash all"
    PAUSE = "pause"
    PARTITION = "partition"
    ONE_WAY = "one-way partition"
    RESET = "reset of all connections"
    CLOG = "clogged link"
    SLOW_DISK = "slow disk"
    FAIL_COMMIT = "failing commit"
    CLOCK = "clock jump"
    BIT_FLIP = "bit flip"
    ROLLBACK = "rolled-back disk"
    REFORMAT = "lost disk"


CHARGED_KINDS: Final = (FaultKind.BIT_FLIP, FaultKind.ROLLBACK, FaultKind.REFORMAT)
"""Faults that make a validator count as faulty: its promise to remember is broken (B12)."""


@dataclass(frozen=True, slots=True)
class Fault:
    kind: FaultKind
    at_ms: int
    node: int
    """Validator index; -1 where the kind has none."""
    length_ms: int
    """How long it lasts, or until the restart."""
    detail: int
    """Seed of whatever else the kind draws."""


@dataclass(frozen=True, slots=True)
class Request:
    """One act of one client; what it is follows from the state at that time and the detail."""

    at_ms: int
    client: int
    detail: int


@dataclass(frozen=True, slots=True)
class Liar:
    """A Byzantine validator."""

    node: int
    behaviour: str
    """Name in `byzantine.BEHAVIOURS`."""


@dataclass(frozen=True, slots=True)
class Weather:
    """What the network does to messages, in thousandths and microseconds."""

    loss: int
    duplicate: int
    delay_us: int
    tail: int
    """Share of messages that take up to `TAIL_US`."""
    flip: int
    """Share of messages in which a byte is changed on the way."""
    fifo: bool
    """Links keep order, as TCP does; otherwise any order."""


TAIL_US: Final = 5_000_000
CALM: Final = Weather(0, 0, 2_000, 0, 0, True)


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    n: int
    window: int
    epoch_length: int
    day_seconds: int
    real_signatures: bool
    strategy: Strategy
    weather: Weather
    liars: tuple[Liar, ...]
    charged: tuple[int, ...]
    """Validators whose disks may lie; with the liars at most f."""
    faults: tuple[Fault, ...]
    requests: tuple[Request, ...]
    length_ms: int
    opening: bool
    """Begin with a prepared market, see `opening`."""
    dead: tuple[int, ...]
    """Correct validators that are not healed at the end: a quorum of correct ones is left."""
    state_sync_blocks: int = STATE_SYNC_BLOCKS
    """As in node.toml: with more blocks missing the state is fetched."""
    keep_blocks: int = 0
    """As in node.toml."""

    @property
    def f(self) -> int:
        return faulty_max(self.n)

    @property
    def forensic(self) -> bool:
        """More are faulty than agreement can stand: only what holds even then is judged."""
        return len(self.liars) + len(self.charged) > self.f


CLIENTS: Final = 8
"""Organisations that act, see `town`."""


def draw(seed: int, behaviours: tuple[str, ...]) -> Plan:
    """The plan of a seed. `behaviours` are the names to choose liars from."""
    random = Random(seed)
    n = random.choice((4, 4, 4, 4, 5, 6, 7, 10) if seed % 4 else (4, 5, 6, 7))
    f = faulty_max(n)
    faulty = random.sample(range(n), random.choice((0, f, f)))
    liars = tuple(
        Liar(node, random.choice(behaviours)) for node in sorted(faulty) if random.random() < 0.7
    )
    charged = tuple(sorted(set(faulty) - {liar.node for liar in liars}))
    length_ms = random.choice((3_000, 6_000, 12_000))
    stormy = random.random() < 0.8
    alive = [i for i in range(n) if i not in faulty]
    spare = f - len(faulty)
    dead = tuple(sorted(random.sample(alive, random.randint(0, spare)))) if spare else ()
    requests = random.randint(8, 30)
    return Plan(
        seed=seed,
        n=n,
        window=random.choice((1, 4)),
        epoch_length=random.choice((5, 20, 1000)),
        day_seconds=random.choice((2, 4, 86_400)),
        real_signatures=seed % 20 == 7,
        strategy=random.choice(
            (Strategy.UNIFORM, Strategy.UNIFORM, Strategy.PRIORITIES, Strategy.TARGETED)
        ),
        weather=_weather(random) if stormy else CALM,
        liars=liars,
        charged=charged,
        faults=_faults(random, n, charged, length_ms) if stormy else (),
        requests=tuple(
            Request(random.randrange(length_ms), random.randrange(CLIENTS), random.getrandbits(48))
            for _ in range(requests)
        ),
        length_ms=length_ms,
        opening=random.random() < 0.7,
        dead=dead,
    )


def _weather(random: Random) -> Weather:
    return Weather(
        loss=random.choice((0, 0, 20, 100, 300)),
        duplicate=random.choice((0, 50, 500)),
        delay_us=random.choice((500, 5_000, 30_000, 100_000)),
        tail=random.choice((0, 0, 10, 50)),
        flip=random.choice((0, 0, 5)),
        fifo=random.random() < 0.7,
    )


_COMMON: Final = (
    FaultKind.CRASH, FaultKind.CRASH, FaultKind.CRASH_LEADER, FaultKind.CRASH_LEADER,
    FaultKind.CRASH_ALL, FaultKind.PAUSE, FaultKind.PARTITION, FaultKind.PARTITION,
    FaultKind.ONE_WAY, FaultKind.RESET, FaultKind.CLOG, FaultKind.SLOW_DISK,
    FaultKind.FAIL_COMMIT, FaultKind.CLOCK,
)  # fmt: skip


def _faults(random: Random, n: int, charged: tuple[int, ...], length_ms: int) -> tuple[Fault, ...]:
    found = []
    for _ in range(random.randint(2, 10)):
        kind = random.choice(_COMMON)
        longest = random.choice((300, 2_000, 6_000))
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
    return tuple(sorted(found, key=lambda fault: fault.at_ms))
