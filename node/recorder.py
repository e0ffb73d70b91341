"""The numbers of a process, and the story of each transaction in its log.

Everything here is called on the hot path, many thousand times a second, so a number is a field of an
object and recording it is an addition. What is counted elsewhere anyway is not counted again: `node.web.metrics`
reads it when somebody asks. Numbers live as long as the process, machines come and go below them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from typing import Any, Final

from consensus.events import Transaction
from node.executor import ExecutedBlock
from node.recent import RecentLatency
from node.watch import Watch
from tallynet.messages import WINDOW_MAX

__all__ = ["Distribution", "Recorder", "Total"]

SECONDS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""From the fsync of a good disk to a view change."""
ORDERED_MAX: Final = 4 * WINDOW_MAX
"""Blocks under way whose begin is remembered: those of a few views."""
SAMPLED: Final = 16
"""Of so many transactions one is timed, chosen by its id, which is a hash: nobody's are preferred."""
TIMED_MAX: Final = 4_096
"""Of them under way; then the oldest is forgotten, which may have been refused."""
CODES_MAX: Final = 256
"""Of refusals, told apart; ours are fewer, and no label may grow without end."""
EVENTS: Final = (
    "no_block", "complained", "view_change", "new_view", "new_epoch", "proposal_rejected", "misbehaviour",
    "transactions_expired", "state_sync_begins", "state_adopted",
)  # fmt: skip
"""Of the core's log, counted."""


class Distribution:
    """How often a value was at most each of `SECONDS`."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts: Final = [0] * (len(SECONDS) + 1)
        """By bucket; the last one holds what is more than all bounds."""
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.total += seconds


class Total:
    """A sum and how many values went into it."""

    __slots__ = ("count", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.total += seconds


class Recorder(Watch):
    """One per process."""

    def __init__(self, log: Any, *, tells: Callable[[], bool] = lambda: False) -> None:
        """`log` is structlog's. While `tells()`, the log has the story of every transaction: what was received,
        ordered, executed, committed and answered here, at level debug."""
        self._log: Final = log
        self._tells: Final = tells
        self._ordered: Final[dict[bytes, float]] = {}
        """Block -> when it was accepted here first."""
        self._timed: Final[dict[bytes, float]] = {}
        """Transaction -> when a client here brought it."""
        self._executing = 0.0
        self.commit_latency: Final = Distribution()
        self.recent: Final = RecentLatency()
        self.transaction_latency: Final = Distribution()
        self.execution: Final = Distribution()
        self.write: Final = Distribution()
        """Written by the store's thread alone."""
        self.vote_checks: Final = Total()
        self.clients_handled: Final = Total()
        self.loop_lag: Final = Distribution()
        self.clock_skew: Final[dict[str, float]] = {}
        """Validator -> its clock minus ours, seconds, when it said the time last."""
        self.requests: Final[Counter[type]] = Counter()
        self.refusals: Final[Counter[str]] = Counter()
        self.events: Final[Counter[str]] = Counter()
        self.received_from: Final[Counter[str]] = Counter()
        self.blocks = 0
        self.admitted = 0
        self.not_admitted = 0
        self.expired = 0

    # --- of the machine ---------------------------------------------------------------------------

    def received(self, transactions: Sequence[Transaction], origin: str) -> None:
        self.received_from[origin] += len(transactions)
        if origin == "client":
            for transaction in transactions:
                if transaction.id[0] % SAMPLED == 0:
                    self._time(transaction.id)
        if self._tells():
            ids = [transaction.id for transaction in transactions]
            self._log.debug("received", origin=origin, transactions=ids)

    def _time(self, transaction: bytes) -> None:
        if len(self._timed) >= TIMED_MAX:
            del self._timed[next(iter(self._timed))]
        self._timed.setdefault(transaction, perf_counter())

    def ordered(self, height: int, block: bytes, transactions: Callable[[], list[bytes]]) -> None:
        if block in self._ordered:
            return
        if len(self._ordered) >= ORDERED_MAX:
            del self._ordered[next(iter(self._ordered))]
        self._ordered[block] = perf_counter()
        if self._tells():
            self._log.debug("ordered", height=height, block=block, transactions=transactions())

    def executing(self) -> None:
        self._executing = perf_counter()

    def executed(self, block: ExecutedBlock) -> None:
        self.execution.add(perf_counter() - self._executing)
        if self._tells():
            self._tell("executed", block)

    def committed(self, block: ExecutedBlock) -> None:
        begun = self._ordered.pop(block.block, None)
        if begun is not None:
            seconds = perf_counter() - begun
            self.commit_latency.add(seconds)
            self.recent.add(block.header.time_ms, seconds)
        admitted = len(block.result.admitted)
        self.blocks += 1
        self.admitted += admitted
        self.not_admitted += len(block.envelopes) - admitted
        if self._tells():
            self._tell("committed", block)

    def answered(self, height: int, transactions: Sequence[bytes]) -> None:
        now = perf_counter()
        for transaction in transactions:
            if transaction[0] % SAMPLED == 0:
                begun = self._timed.pop(transaction, None)
                if begun is not None:
                    self.transaction_latency.add(now - begun)
        if self._tells():
            self._log.debug("answered", height=height, transactions=list(transactions))

    def let_go(self, transactions: Iterable[bytes], code: str) -> None:
        ids = list(transactions)
        self.expired += len(ids)
        for transaction in ids:
            self._timed.pop(transaction, None)
        if ids and self._tells():
            self._log.debug("let go", code=code, transactions=ids)

    def served(self, request: type, outcome: str) -> None:
        self.requests[request] += 1
        if outcome != "OK":
            self._count_refusal(outcome)

    def refused(self, transaction: bytes, code: str) -> None:
        self._count_refusal(code)
        if self._tells():
            self._log.debug("refused at the door", code=code, transactions=[transaction])

    def _count_refusal(self, code: str) -> None:
        known = code in self.refusals or len(self.refusals) < CODES_MAX
        self.refusals[code if known else "OTHER"] += 1

    def _tell(self, event: str, block: ExecutedBlock) -> None:
        admitted = frozenset(block.result.admitted)
        self._log.debug(
            event,
            height=block.header.height,
            block=block.block,
            transactions=[envelope.transaction for envelope in block.envelopes],
            not_admitted=[
                envelope.transaction
                for position, envelope in enumerate(block.envelopes)
                if position not in admitted
            ],
        )

    # --- of the process ---------------------------------------------------------------------------

    def logged(self, event: str) -> None:
        """The core has said something."""
        if event in EVENTS:
            self.events[event] += 1
