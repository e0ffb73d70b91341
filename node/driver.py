"""The shell around the pure replica: events in, effects out, one durable transaction at a time.

Theory of operation. Everything that happens (messages, clients, time, end of a write) is turned into
events and stepped through the replica on the event loop, a bounded number per turn. The effects of
many steps gather in one open `_Turn`: puts for the store, messages that may leave only after it,
replies to clients. While the writer thread commits one turn, the next one fills (group commit).
When a commit has returned, and only then, that turn's messages leave (INV-5; protocol §5.5), its
blocks become the committed state that reads are answered from, and its clients get receipts.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Protocol

import structlog
import trio

from consensus.effects import ALL, Effects, Execute, Send
from consensus.events import Event, Executed, Persisted, Received, Tick
from consensus.replica import Replica
from node.executor import ExecutedBlock, Executor
from node.store import Store, WriteBatch
from node.writer import Writer
from tallynet.blocks import Certificate
from tallynet.errors import invariant
from tallynet.messages import PeerMessage

EVENTS_PER_DRAIN_MAX: Final = 200
"""Events stepped between two checkpoints, so that timers and sockets are never starved
(reliability §13, trio facts)."""
INBOX_MAX: Final = 8_192
"""Peer messages waiting for the core; when it is full, connections are not read (back-pressure)."""
TICK_BUSY_SECONDS: Final = 0.005
"""While work is in flight: half the batch wait of 10 ms."""
TICK_IDLE_SECONDS: Final = 0.1
"""Otherwise: well below T_STATUS (250 ms), and cheap enough for an idle node."""


class Outlet(Protocol):
    """Where messages to other validators go; `net.mesh.Mesh` in a node."""

    def send(self, to: int, message: bytes) -> None: ...

    def broadcast(self, message: bytes) -> None: ...


class _Turn:
    """What one transaction makes durable, and what it lets go afterwards."""

    __slots__ = ("batch", "delivered", "sends", "step")

    def __init__(self, batch: WriteBatch) -> None:
        self.batch: Final = batch
        self.sends: Final[list[Send]] = []
        self.delivered: Final[list[tuple[ExecutedBlock, Certificate]]] = []
        self.step = 0
        """Number of the last step whose effects are in here."""

    @property
    def empty(self) -> bool:
        return not (len(self.batch) or self.sends or self.delivered)


class Driver:
    """Runs one replica. Construct inside trio; `run` returns only by cancellation or a fatal error."""

    def __init__(
        self,
        *,
        replica: Replica,
        executor: Executor,
        store: Store,
        outlet: Outlet,
        on_committed: Callable[[ExecutedBlock, Certificate], None],
    ) -> None:
        """`on_committed` is called for every block, in order, once it is durable."""
        self._replica: Final = replica
        self._executor: Final = executor
        self._store: Final = store
        self._outlet: Final = outlet
        self._on_committed: Final = on_committed
        self._log: Final = structlog.get_logger("driver")
        self._inbox: Final[deque[Event]] = deque()
        self._wake: Final = trio.Event()
        self._awake = self._wake
        self._drained = trio.Event()
        self._turn = _Turn(store.batch())
        self._writing: _Turn | None = None
        self._durable_step = 0
        self._fatal_error: BaseException | None = None
        self._writer: Final = Writer(self._written, self._failed)

    # --- input --------------------------------------------------------------------------------

    def offer(self, event: Event) -> None:
        """Queue one event for the core."""
        self._inbox.append(event)
        self._awake.set()

    def offer_messages(self, source: int, messages: Iterable[PeerMessage]) -> None:
        """Queue decoded messages of one validator."""
        self._inbox.extend(Received(source, message) for message in messages)
        self._awake.set()

    @property
    def inbox_full(self) -> bool:
        return len(self._inbox) >= INBOX_MAX

    async def wait_for_room(self) -> None:
        """Back-pressure: returns when the inbox has been drained below its bound."""
        while self.inbox_full:
            await self._drained.wait()

    # --- the loop -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Step events until cancelled; re-raises what made the writer fail."""
        try:
            next_tick = 0.0
            while True:
                if trio.current_time() >= next_tick:
                    self._step(self._tick())
                    pause = TICK_BUSY_SECONDS if self._replica.busy else TICK_IDLE_SECONDS
                    next_tick = trio.current_time() + pause
                for _ in range(min(EVENTS_PER_DRAIN_MAX, len(self._inbox))):
                    self._step(self._inbox.popleft())
                self._drained.set()
                self._drained = trio.Event()
                self._flush()
                if self._fatal_error is not None:
                    raise self._fatal_error
                if self._inbox:
                    await trio.lowlevel.checkpoint()
                    continue
                self._awake = trio.Event()
                with trio.move_on_at(next_tick):
                    await self._awake.wait()
        finally:
            self._writer.close()

    def _tick(self) -> Tick:
        return Tick(time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000)

    def _step(self, event: Event) -> None:
        """One event through the core; executions it asks for are answered at once."""
        queue: deque[Event] = deque((event,))
        while queue:
            effects = self._replica.step(queue.popleft())
            self._apply(effects)
            queue.extend(self._execute(request) for request in effects.execute)

    def _apply(self, effects: Effects) -> None:
        for name, fields in effects.log:
            self._log.info(name, **fields)
        turn = self._turn
        turn.step = self._replica.turn
        for entry in effects.persist:
            turn.batch.journal(entry.key, entry.value)
        for hold in effects.hold:
            self._executor.hold(turn.batch, hold.height, hold.block, hold.transactions)
        turn.sends.extend(effects.send_after)
        for send in effects.send_now:
            self._send(send)
        for delivery in effects.deliver:
            executed = self._executor.deliver(turn.batch, delivery)
            turn.delivered.append((executed, delivery.certificate))
        for block in effects.discard:
            self._executor.discard(block)

    def _execute(self, request: Execute) -> Executed:
        result = self._executor.execute(request)
        return Executed(request.block, result.state_root, result.result.receipts_root)

    def _send(self, send: Send) -> None:
        if send.to == ALL:
            self._outlet.broadcast(send.message)
        else:
            self._outlet.send(send.to, send.message)

    # --- durability -------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Hand the open turn to the writer, if it is free and there is something to write."""
        if self._writing is not None or self._turn.empty:
            return
        turn, self._turn = self._turn, _Turn(self._store.batch())
        self._writing = turn
        if len(turn.batch):
            self._writer.submit(lambda: self._store.commit(turn.batch))
        else:
            self._written()

    def _written(self) -> None:
        turn, self._writing = self._writing, None
        invariant(turn is not None, "INV-5 a write ended that nobody started")
        if turn is None:
            return
        self._durable_step = turn.step
        self._release(turn)
        for executed, certificate in turn.delivered:
            self._executor.durable(executed, certificate)
            self._on_committed(executed, certificate)
        self.offer(Persisted(turn.step))

    def _release(self, turn: _Turn) -> None:
        """The second gate: nothing of a turn leaves before the turn is durable (INV-5)."""
        invariant(turn.step <= self._durable_step, "INV-5 a message ahead of its write")
        for send in turn.sends:
            self._send(send)

    def _failed(self, error: BaseException) -> None:
        self._fatal_error = error
        self._awake.set()
