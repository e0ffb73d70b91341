"""What a seed decides before a run begins: shape, weather, who lies, what breaks when, what clients do.

A plan is plain data, so that a failing one can be shrunk and kept: faults and requests are lists to
leave items out of.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from consensus.constants import BATCH_TRANSACTIONS_MAX
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
    CRASH_HEIR = "crash at a change of the validator set"
    PAUSE = "pause"
    PARTITION = "partition"
    ONE_WAY = "one-way partition"
    ISOLATE = "one cut off"
    FUNNEL = "one hears alone and is cut off"
    HOARD = "votes hoarded view by view"
    RESET = "reset of all connections"
    CLOG = "clogged link"
    OUTAGE = "no link at all"
    SLOW_DISK = "slow disk"
    FAIL_COMMIT = "failing commit"
    CLOCK = "clock jump"
    MISCOMPUTE = "record changed unseen"
    BIT_FLIP = "bit flip"
    ROLLBACK = "rolled-back disk"
    REFORMAT = "lost disk"
    UNREGISTER = "lost vote register"


CHARGED_KINDS: Final = (
    FaultKind.MISCOMPUTE, FaultKind.BIT_FLIP, FaultKind.ROLLBACK, FaultKind.REFORMAT,
    FaultKind.UNREGISTER,
)  # fmt: skip
"""Faults that make a validator count as faulty: its promise to remember is broken (B12)."""


DYING_KINDS: Final = frozenset(CHARGED_KINDS) | {
    FaultKind.CRASH, FaultKind.CRASH_LEADER, FaultKind.CRASH_ALL, FaultKind.CRASH_HEIR,
    FaultKind.FAIL_COMMIT,
}  # fmt: skip
"""Faults that end a process."""


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
MOLASSES: Final = Weather(0, 0, 12_000_000, 0, 0, False)
"""So slow that views fail one after the other, until the back-off is at its cap."""


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
    batch_transactions_max: int = BATCH_TRANSACTIONS_MAX
    """One: every transaction fills a batch, and with it the window."""
    spares: int = 0
    """Further banks whose nodes the validators' banks may add to the set."""
    aftershock: bool = False
    """When all is decided the leader dies, unhealed; what is submitted then must be decided too."""
    patient: bool = False
    """Clients tell every validator once and then wait: what a validator holds it must not lose, though nobody
    asks again. Only where no process dies, as pools are not durable."""

    @property
    def f(self) -> int:
        return faulty_max(self.n)

    @property
    def forensic(self) -> bool:
        """More are faulty than agreement can stand: only what holds even then is judged."""
        return len(self.liars) + len(self.charged) > self.f
