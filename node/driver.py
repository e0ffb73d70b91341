"""The loop of a validator process: events in, one durable transaction at a time.

Everything that happens (messages, clients, time, end of a write) is turned into events and stepped
through `node.shell` on the event loop, a bounded number per turn; the writer thread commits what it
gathers.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import trio

from consensus.events import Event, Received, Tick
from node.machine import Clock
from node.shell import Shell
from node.store import Store, WriteBatch
from node.writer import Writer
from tallynet.messages import Newest, PeerMessage

EVENTS_PER_DRAIN_MAX: Final = 200
"""Events stepped between two checkpoints, so that timers and sockets are never starved
(reliability §13, trio facts)."""
INBOX_MAX: Final = 8_192
"""Peer messages waiting for the core; when it is full, connections are not read (back-pressure)."""
TICK_SECONDS_MIN: Final = 0.002
"""Time is looked at no more often than this: a fifth of the batch wait."""


class Driver:
    """Runs one machine. Construct inside trio."""

    def __init__(
        self,
        shell: Shell,
        store: Store,
        clock: Clock,
        on_write: Callable[[float], None],
    ) -> None:
        """`on_write` is told on the writer's thread how many seconds a durable write took."""
        self._shell: Final = shell
        self._clock: Final = clock
        self._store: Final = store
        self._on_write: Final = on_write
        self._inbox: Final[deque[Event]] = deque()
        self._awake = trio.Event()
        self._drained = trio.Event()
        self._fatal_error: BaseException | None = None
        self._writer: Final = Writer(self._written, self._failed)

    # --- input --------------------------------------------------------------------------------

    def offer(self, event: Event) -> None:
        """Queue one event for the core."""
        self._inbox.append(event)
        self._awake.set()

    def offer_messages(self, source: int, messages: Iterable[PeerMessage | Newest]) -> None:
        """Queue decoded messages of one validator, or of one node that is followed."""
        self._inbox.extend(Received(source, message) for message in messages)
        self._awake.set()

    @property
    def inbox_full(self) -> bool:
        return len(self._inbox) >= INBOX_MAX

    @property
    def has_backlog(self) -> bool:
        """More waits than is stepped in one go: what is less urgent than consensus should wait too."""
        return len(self._inbox) > EVENTS_PER_DRAIN_MAX

    async def wait_for_room(self) -> None:
        """Back-pressure: returns when the inbox has been drained below its bound."""
        while self.inbox_full:
            await self._drained.wait()

    # --- the loop -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Step events until cancelled, or until another state has taken the place of the one that the
        machine was built on; re-raises what made the writer fail."""
        try:
            last_tick = -TICK_SECONDS_MIN
            while not self._shell.finished:
                if trio.current_time() >= max(self._next_tick(), last_tick + TICK_SECONDS_MIN):
                    last_tick = trio.current_time()
                    self._shell.step(self._tick())
                for _ in range(min(EVENTS_PER_DRAIN_MAX, len(self._inbox))):
                    self._shell.step(self._inbox.popleft())
                self._drained.set()
                self._drained = trio.Event()
                self._flush()
                if self._fatal_error is not None:
                    raise self._fatal_error
                if self._inbox:
                    await trio.lowlevel.checkpoint()
                    continue
                self._awake = trio.Event()
                with trio.move_on_at(max(self._next_tick(), last_tick + TICK_SECONDS_MIN)):
                    await self._awake.wait()
        finally:
            self._writer.close()
            self._inbox.clear()
            self._drained.set()

    def _next_tick(self) -> float:
        """On trio's clock, which need not be the monotonic one of the core."""
        wait_ms = self._shell.replica.next_tick_ms - self._clock.now_ms()
        return trio.current_time() + wait_ms / 1000

    def _tick(self) -> Tick:
        return Tick(self._clock.now_ms(), self._clock.wall_ms())

    # --- durability -------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Hand the open turn to the writer, if it is free and there is something to write."""
        batch = self._shell.take()
        if batch is None:
            return
        if len(batch):
            self._writer.submit(lambda: self._write(batch))
        else:
            self._written()

    def _write(self, batch: WriteBatch) -> None:
        begun = time.perf_counter()
        self._store.commit(batch)
        self._on_write(time.perf_counter() - begun)

    def _written(self) -> None:
        self.offer(self._shell.written())

    def _failed(self, error: BaseException) -> None:
        self._fatal_error = error
        self._awake.set()
