"""A bank that goes on working, one small command after the other: how long does the network let it wait?"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from tools.scenarios.stage import Stage

PAUSE_SECONDS: Final = 0.05


class Probe:
    """See the module."""

    def __init__(self, stage: Stage, by: str) -> None:
        self._stage: Final = stage
        self._by: Final = by
        self._longest = 0.0
        self._received = trio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        stage = self._stage
        while True:
            command = stage.document(self._by, "bank-1", 1, stage.label())
            begin = time.perf_counter()
            await stage.one(self._by, command)
            self._longest = max(self._longest, time.perf_counter() - begin)
            self._received.set()
            self._received = trio.Event()
            await trio.sleep(PAUSE_SECONDS)

    async def another(self) -> None:
        """Until a command that begins from now on has its receipt."""
        for _ in range(2):
            await self._received.wait()

    def take_longest(self) -> float:
        """The longest wait since the last time that this was asked, in seconds, rounded to hundredths."""
        longest, self._longest = self._longest, 0.0
        return round(longest, 2)


@asynccontextmanager
async def probing(stage: Stage, by: str = "bank-2") -> AsyncIterator[Probe]:
    """A probe that works while the context lasts."""
    probe = Probe(stage, by)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(probe.run)
        yield probe
        nursery.cancel_scope.cancel()
