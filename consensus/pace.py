"""How long this replica waits for the leader, and when that is too long (protocol §5.6; reliability E1).

A leader that proposes just before every timeout keeps each of them from expiring and still makes the
network a hundred times slower. What it cannot hide is who is waiting for whom. Time is in one of
three modes:

    IDLE    nothing to do, or this replica waits for itself (changing, behind, not voting)
    FLIGHT  blocks are in flight: everybody works, the leader owes nothing
    OWED    transactions are pending, the window has room, and the pipeline is empty, or, where a whole
            batch is pending, holds less than half a batch: the leader's turn

A correct leader's turn lasts until a transaction has reached it and its proposal has come back. That
is about as long as the votes take, which are measured beside it on the same machines under the same
load: so much is allowed per turn, and what goes beyond is wasted. But a transaction may not have reached
the leader at all: then its turn begins again, once, when it has been given it (decision 0017). The
*efficiency* of a view is the
share of its time with work that was not wasted. It is 1000 ‰ for every correct leader, whatever the
load, the network and the cost of execution; a leader that delays each proposal to 900 ms has 30 ‰. A
leader is slow when its view's efficiency is under half of what is expected: the best of the
recent views when those have shown every leader, else 1000 ‰. Half: a leader has to waste more time than all the
work takes before it is left, which noise on its machine does not do for seconds, and a view change,
which costs less than was wasted already, pays for itself.

Time is known at Ticks only, so time between two Ticks counts for the mode in which it began, and the
replica asks for a Tick as soon as the mode has changed. Integers, and O(1) per Tick.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import Final

from consensus.config import ReplicaConfig
from consensus.constants import (
    PACE_BLOCKS_MAX,
    PACE_GAP_MAX_MS,
    PACE_MEMORY_MS,
    PACE_SHARE,
    PACE_SLACK_MS,
)  # fmt: skip
from consensus.events import Transaction

WHOLE: Final = 1000
"""Permille."""
FULL: Final = 875
"""A block with less had room: the largest envelope is an eighth of a batch's bytes."""


class Mode(Enum):
    IDLE = 1
    FLIGHT = 2
    OWED = 3


def fill_of(config: ReplicaConfig, transactions: Sequence[Transaction]) -> int:
    """How full a block is, in permille of a batch by count or by bytes, whichever is more."""
    size = sum(transaction.size for transaction in transactions)
    return max(
        WHOLE * len(transactions) // config.batch_transactions_max,
        WHOLE * size // config.batch_bytes_max,
    )


class Pace:
    """Time with work in the current view, by who was waited for."""

    __slots__ = (
        "_blocks", "_config", "_flight_ms", "_now_ms", "_owed_since_ms", "_recent",
        "_stamped", "_told", "_turn_ended", "_yielded", "busy_ms", "wasted_ms",
    )  # fmt: skip

    def __init__(self, config: ReplicaConfig, now_ms: int) -> None:
        self._config: Final = config
        self._now_ms = now_ms
        self._stamped = Mode.IDLE
        """The mode at the last Tick: time since then is its."""
        self._owed_since_ms = now_ms
        """Since when the turn of the leader lasts that is counted now."""
        self._turn_ended = True
        """Since the last Tick the leader has done what it owed."""
        self._told = False
        """In this turn the leader was given what it may not have known of."""
        self._flight_ms = 0
        self._blocks = 0
        """Time in FLIGHT and blocks committed, halved together: what a block takes."""
        self._recent: Final[deque[tuple[int, int]]] = deque(maxlen=len(config.validators))
        """(when, efficiency) of the last measured views: once around all leaders."""
        self._yielded = False
        """A block was committed in this view. Before that the progress timer judges, which doubles: in a
        network slower than T_PACE no leader could ever prove itself otherwise."""
        self.busy_ms = 0
        """Time with work in this view, ms."""
        self.wasted_ms = 0
        """Of that, waiting for the leader beyond what is allowed."""

    def changed(self, mode: Mode) -> bool:
        """Another mode than at the last Tick: the next one should come at once."""
        return mode is not self._stamped

    def end_turn(self) -> None:
        """The leader has done what it owed; if it owes again, that is another turn."""
        self._turn_ended = True

    def tick(self, now_ms: int, mode: Mode) -> None:
        """Time has passed in the mode of the last Tick; now it is `mode`. A longer gap than Ticks are apart
        means that this process itself stood still, which is nobody's fault: it counts as a short one."""
        before, self._now_ms = self._now_ms, now_ms
        gap = min(now_ms - before, PACE_GAP_MAX_MS)
        stamped, self._stamped = self._stamped, mode
        if stamped is Mode.OWED:
            self.busy_ms += gap
            self._owed_since_ms += now_ms - before - gap
            free = self._owed_since_ms + self.allowance_ms
            self.wasted_ms += min(gap, max(0, now_ms - free))
        elif stamped is Mode.FLIGHT:
            self.busy_ms += gap
            self._flight_ms += gap
        if mode is Mode.OWED and (self._turn_ended or stamped is not Mode.OWED):
            self._owed_since_ms = now_ms
            self._turn_ended = self._told = False
        if self.busy_ms >= 2 * self._config.pace_ms:
            self.busy_ms //= 2
            self.wasted_ms //= 2

    @property
    def late_at_ms(self) -> int | None:
        """When the leader's turn will have lasted for as long as it may: time to give it what it may not
        know of. None when it is not its turn, or was done in this turn."""
        if self._stamped is not Mode.OWED or self._turn_ended or self._told:
            return None
        return self._owed_since_ms + self.allowance_ms

    @property
    def told(self) -> bool:
        """It is still the leader's turn, and it was given all that."""
        return self._stamped is Mode.OWED and self._told

    def tell(self, *, news: bool) -> None:
        """It was given all that. When nothing else pends that it is known to know, all this may be `news`
        to it, and its turn begins again."""
        self._told = True
        if news:
            self._owed_since_ms = self._now_ms

    def committed(self) -> None:
        """A block was delivered."""
        self._yielded = True
        self._blocks += 1
        if self._blocks >= PACE_BLOCKS_MAX:
            self._blocks //= 2
            self._flight_ms //= 2

    @property
    def allowance_ms(self) -> int:
        """How long the leader may let us wait: for one network round trip and one write. The votes for a block take as long, or longer. Where the network is so slow that the cap
        counts, T_PROGRESS is too short for it anyway."""
        block_ms = self._flight_ms // self._blocks if self._blocks else 0
        return PACE_SLACK_MS + min(block_ms, self._config.progress_ms // 4)

    @property
    def efficiency(self) -> int | None:
        """Permille of this view; None before it has been observed for long enough."""
        if not self._yielded or self.busy_ms < self._config.pace_ms:
            return None
        return WHOLE * (self.busy_ms - self.wasted_ms) // self.busy_ms

    @property
    def expected(self) -> int:
        """Permille that a leader can be expected to reach: all, unless the last views have shown
        lately that no leader does. A slow network so stops changing views after one round, and tries
        again when that is long ago."""
        oldest = self._now_ms - PACE_MEMORY_MS
        recent = [value for at_ms, value in self._recent if at_ms >= oldest]
        return max(recent) if len(recent) == self._recent.maxlen else WHOLE

    @property
    def is_slow(self) -> bool:
        """The leader of this view should be left."""
        reached = self.efficiency
        return reached is not None and PACE_SHARE * reached < self.expected

    def leave_view(self) -> None:
        """Another view or epoch begins: remember what this one reached."""
        reached = self.efficiency
        if reached is not None:
            self._recent.append((self._now_ms, reached))
        self.busy_ms = self.wasted_ms = 0
        self._yielded = False
        self._stamped = Mode.IDLE
        self._turn_ended = True
