"""The load of `tally bench`: connections that keep envelopes under way, or send so many per second."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import trio

from tallynet.client import Trust
from tallynet.client.link import Credentials, Link
from tallynet.envelope import Envelope
from tallynet.genesis import Genesis
from tallynet.messages import Receipts, Refused, Submit
from tallynet.receipts import EnvelopeReceipt
from tools.bench_world import BenchFailed
from tools.output import ERRORS

SUBMIT_GROUP: Final = 32
"""Envelopes per Submit message."""
PACE_SECONDS: Final = 0.002
"""Between two looks at what is due: far below the shortest latency."""
DRAIN_SECONDS_MAX: Final = 30.0
"""For the answers that are under way when a phase ends."""


@dataclass(slots=True)
class Load:
    """What one phase of load saw."""

    committed: int = 0
    refused: int = 0
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def percentiles(self) -> dict[str, float]:
        """Milliseconds."""
        if len(self.latencies) < 2:
            return {"p50": 0.0, "p95": 0.0, "p99": 0.0}
        cuts = statistics.quantiles(self.latencies, n=100, method="inclusive")
        return {
            name: round(cuts[i] * 1000, 3) for name, i in (("p50", 49), ("p95", 94), ("p99", 98))
        }


@dataclass(frozen=True, slots=True)
class Work:
    """Signed envelopes."""

    waiting: deque[Envelope]
    """May be sent at any time, in any order."""
    then: dict[bytes, Envelope] = field(default_factory=dict)
    """By transaction: what may be sent once it has been carried out."""
    refusals: dict[bytes, str] = field(default_factory=dict)
    """By transaction: the code that its one command must get, where that is not OK."""

    def answered(self, receipt: EnvelopeReceipt) -> None:
        """What waited for this receipt may be sent. Raises BenchFailed REFUSED when the answer is not the
        right one."""
        expected = self.refusals.get(receipt.transaction, "OK")
        if {command.code for command in receipt.commands} != {expected}:
            raise BenchFailed("REFUSED", f"not {expected}: {receipt}")
        following = self.then.pop(receipt.transaction, None)
        if following is not None:
            self.waiting.append(following)


class Driver:
    """One connection to one validator with at most so many envelopes under way."""

    def __init__(self, genesis: Genesis, work: Work, in_flight: int, load: Load) -> None:
        self._trust: Final = Trust(genesis)
        self._work: Final = work
        self._in_flight: Final = in_flight
        self._sent: Final[dict[bytes, float]] = {}
        self.load = load
        """Where results are counted; a phase gives it the next one."""
        self._room = trio.Event()
        self.link: Link | None = None

    async def open(self, credentials: Credentials, address: Any, nursery: trio.Nursery) -> None:
        self.link = await Link.dial(address, credentials, self._pushed, self._lost)
        nursery.start_soon(self.link.run)

    def _pushed(self, _link: Link, message: Receipts | Refused) -> None:
        now = time.perf_counter()
        if isinstance(message, Refused):
            self._sent.pop(message.transaction, None)
            self.load.refused += 1
            if self.load.refused == 1:
                ERRORS.print(f"refused: {message.code}: {message.reason}")
        else:
            for receipt in self._trust.receipts(message):
                self._work.answered(receipt.receipt)
                self.load.committed += len(receipt.receipt.commands)
                self.load.latencies.append(now - self._sent.pop(receipt.transaction))
        self._room.set()

    def _lost(self, link: Link) -> None:
        if link.trouble is not None:
            raise BenchFailed("CONNECTION_LOST", str(link.trouble))

    async def run(self, until: float, per_second: float = 0.0) -> None:
        """Send until the time comes, as much as there is room for, or so many envelopes per second."""
        if self.link is None:
            raise BenchFailed("CONNECTION_LOST", "not connected")
        if per_second:
            await self._paced(self.link, until, per_second)
        else:
            await self._full(self.link, until)

    async def _full(self, link: Link, until: float) -> None:
        waiting = self._work.waiting
        while time.perf_counter() < until and (waiting or self._sent):
            room = self._in_flight - len(self._sent)
            # Whole groups under load: a client that waits for a little more room sends less often.
            if not waiting or room < min(SUBMIT_GROUP, self._in_flight):
                self._room = trio.Event()
                with trio.move_on_after(max(0.0, until - time.perf_counter())):
                    await self._room.wait()
                continue
            now = time.perf_counter()
            await self._send(link, [now] * min(room, SUBMIT_GROUP, len(waiting)))

    async def _paced(self, link: Link, until: float, per_second: float) -> None:
        """The latency of an envelope counts from the moment at which it was due, so that a network that
        answers late is not asked less often. Without room nothing is due: more than this is not offered."""
        waiting, due = self._work.waiting, time.perf_counter()
        while (now := time.perf_counter()) < until and waiting:
            room = self._in_flight - len(self._sent)
            if not room:
                due = now
            count = min(int((now - due) * per_second), room, SUBMIT_GROUP, len(waiting))
            if count > 0:
                await self._send(link, [due + (at + 1) / per_second for at in range(count)])
                due += count / per_second
            else:
                await trio.sleep(PACE_SECONDS)

    async def _send(self, link: Link, times: Sequence[float]) -> None:
        """An envelope per moment from which its latency counts."""
        group = [self._work.waiting.popleft() for _ in times]
        for envelope, moment in zip(group, times, strict=True):
            self._sent[envelope.transaction] = moment
        await link.send(Submit(tuple(envelope.raw for envelope in group)))

    async def drain(self) -> None:
        with trio.fail_after(DRAIN_SECONDS_MAX):
            while self._sent:
                self._room = trio.Event()
                await self._room.wait()
