"""What stands between the pure replica and the world: effects in, one durable transaction at a time out.

Theory of operation. Every event is stepped through the replica. The effects of many steps gather in
one open `Turn`: puts for the store, messages that may leave only after it, blocks whose clients wait.
While one turn is being written the next one fills (group commit). When a write has returned, and only
then, that turn's messages leave (INV-5; protocol §5.5), its blocks become the committed state that
reads are answered from, and its clients get receipts.

Nothing here waits, reads a clock or touches a disk: `node.driver` does that for a process, and
`tools.simulator` for a simulated one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from consensus.effects import ALL, Effects, Execute, Hold, Relay, Send
from consensus.events import Event, Executed, Persisted, Tick
from consensus.replica import Replica
from node.executor import ExecutedBlock, Executor
from node.pool import in_messages
from node.store import WriteBatch
from node.watch import Watch
from tallynet.blocks import Certificate
from tallynet.errors import invariant

Log = Callable[[str, dict[str, object]], None]
"""(event name, fields)."""


TURN_SENDS_MAX: Final = 8_192
"""Messages that wait for one write, as many as the queue to a peer takes. Only a disk that hangs for minutes
gets there; what is dropped is repeated every Status period like any lost message."""


class Outlet(Protocol):
    """Where messages to other validators go; `net.mesh.Mesh` in a node."""

    def send(self, to: int, message: bytes) -> None: ...

    def broadcast(self, message: bytes) -> None: ...


class Chores(Protocol):
    """Work beside consensus that is written along, a bounded piece at a time (`node.upkeep`)."""

    def fill(self, batch: WriteBatch) -> None:
        """Add the next piece, if there is one, to what is about to be written."""

    def written(self) -> None:
        """What was added last is durable."""

    def ready(self) -> bool:
        """Whether another state can take the place of the current one."""

    def adopt(self, batch: WriteBatch) -> None:
        """Fill an empty batch with that change."""


class Turn:
    """What one transaction makes durable, and what it lets go afterwards."""

    __slots__ = ("batch", "delivered", "sends", "step")

    def __init__(self) -> None:
        self.batch: Final = WriteBatch()
        self.sends: Final[list[Send]] = []
        self.delivered: Final[list[tuple[ExecutedBlock, Certificate]]] = []
        self.step = 0
        """Number of the last step whose effects are in here."""

    @property
    def empty(self) -> bool:
        return not (len(self.batch) or self.sends or self.delivered)


class Shell:
    """Steps one replica and carries out its effects in the order that `Effects` demands."""

    def __init__(
        self,
        *,
        replica: Replica,
        executor: Executor,
        outlet: Outlet,
        on_committed: Callable[[ExecutedBlock, Certificate], None],
        log: Log,
        chores: Chores,
        on_tick: Callable[[int], None],
        is_succeeded: Callable[[], bool],
        watch: Watch,
    ) -> None:
        """`on_committed` is called for every block, in order, once it is durable; `log` gets the
        events that `Effects.log` names; `on_tick` is told the time after every Tick. `is_succeeded`
        says, when the replica has ended, whether this node belongs to the set that follows. `watch` listens."""
        self.replica: Final = replica
        self._executor: Final = executor
        self._outlet: Final = outlet
        self._on_committed: Final = on_committed
        self._log: Final = log
        self._chores: Final = chores
        self._on_tick: Final = on_tick
        self._closing = False
        """Nothing is stepped any more: what is on disk is about to be replaced."""
        self._last: Turn | None = None
        """The turn that does it."""
        self._is_succeeded: Final = is_succeeded
        self._watch: Final = watch
        self._leaving = False
        self.finished = False
        """Another state has taken the place of the one this machine was built on, or another validator set
        that of its own: build a new one."""
        self._turn = Turn()
        self._writing: Turn | None = None
        self._durable_step = 0

    def leave(self) -> None:
        """This node lives on in another role: finish as soon as all is written."""
        self._leaving = True

    # --- events -----------------------------------------------------------------------------------

    def step(self, event: Event) -> None:
        """One event through the core; executions it asks for are answered at once."""
        if self._closing:
            return
        queue: deque[Event] = deque((event,))
        while queue:
            effects = self.replica.step(queue.popleft())
            self._apply(effects)
            queue.extend(self._execute(request) for request in effects.execute)
        if isinstance(event, Tick):
            self._on_tick(event.now_ms)

    def _apply(self, effects: Effects) -> None:
        for name, fields in effects.log:
            self._log(name, fields)
        turn = self._turn
        turn.step = self.replica.turn
        for entry in effects.persist:
            turn.batch.journal(entry.key, entry.value)
        for retain in effects.retain:
            self._executor.retain(turn.batch, retain.above, retain.blocks)
        for hold in effects.hold:
            self._executor.hold(turn.batch, hold.height, hold.block, hold.envelopes)
            self._tell_ordered(hold)
        room = TURN_SENDS_MAX - len(turn.sends)
        turn.sends.extend(effects.send_after[:room])
        for accusation in effects.evidence:
            turn.batch.evidence(accusation.key, accusation.proof)
        for archived in effects.archive:
            turn.batch.archive(archived.epoch, archived.view, archived.new_view)
        for send in effects.send_now:
            self._send(send)
        for relay in effects.relay:
            self._relay(relay)
        for delivery in effects.deliver:
            executed = self._executor.deliver(turn.batch, delivery)
            turn.delivered.append((executed, delivery.certificate))
        for block in effects.discard:
            self._executor.discard(block)

    def _tell_ordered(self, hold: Hold) -> None:
        self._watch.ordered(
            hold.height, hold.block, lambda: self._executor.transactions(hold.envelopes)
        )

    def _execute(self, request: Execute) -> Executed:
        self._watch.executing()
        result = self._executor.execute(request)
        self._watch.executed(result)
        return Executed(request.block, result.state_root, result.result.receipts_root)

    def _send(self, send: Send) -> None:
        if send.to == ALL:
            self._outlet.broadcast(send.message)
        else:
            self._outlet.send(send.to, send.message)

    def _relay(self, relay: Relay) -> None:
        found = [self._executor.envelope(hash) for hash in relay.envelopes]
        for message in in_messages(envelope.raw for envelope in found if envelope is not None):
            self._outlet.send(relay.to, message)

    # --- durability -------------------------------------------------------------------------------

    def take(self) -> WriteBatch | None:
        """Close the open turn and return what has to be written for it, possibly nothing; None while
        the turn before is being written, or when there is nothing to do. Call `written` once the
        batch is durable."""
        if self._writing is not None or self.finished:
            return None
        self._closing = self._closing or self._chores.ready()
        if not self._closing:
            self._chores.fill(self._turn.batch)
        elif self._turn.empty:
            self._chores.adopt(self._turn.batch)
            self._last = self._turn
        if self._turn.empty:
            self.finished = self._leaving
            return None
        turn, self._turn = self._turn, Turn()
        self._writing = turn
        return turn.batch

    def written(self) -> Persisted:
        """The batch that was taken is durable: let its messages go, answer its clients. The event
        returned has to be stepped."""
        turn, self._writing = self._writing, None
        invariant(turn is not None, "INV-5 a write ended that nobody started")
        if turn is None:
            raise LookupError("no write under way")
        self._durable_step = max(self._durable_step, turn.step)
        self._release(turn)
        for executed, certificate in turn.delivered:
            self._executor.durable(executed, certificate)
            self._on_committed(executed, certificate)
            self._watch.committed(executed)
        self._chores.written()
        succeeded = self.replica.ended and self._is_succeeded()
        self.finished = turn is self._last or succeeded
        return Persisted(self._durable_step)

    def _release(self, turn: Turn) -> None:
        """The second gate: nothing of a turn leaves before the turn is durable (INV-5)."""
        invariant(turn.step <= self._durable_step, "INV-5 a message ahead of its write")
        for send in turn.sends:
            self._send(send)
