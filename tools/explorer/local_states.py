"""Every state that one replica can be in, each computed once.

A replica is a function of what it was told. So a state gets a number, and what a message does to it is remembered as
(number, message) -> number. A network's state is then a few small numbers, and exploring a network costs look-ups
instead of steps of the core.

A number stands for one memory and one disk, to the byte, so that every way through the numbers is an execution of the
real core. Which of them do the same from here on is in `Local.kind`: only one network of each kind has to be visited.

Timers fire as early as they can: a complaint does nothing until somebody hears it, and it may be heard arbitrarily
late, so this leaves out no behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final

from consensus.constants import T_PROGRESS_MS
from consensus.events import Tick, TransactionsHeld
from tallynet.errors import InvariantViolated
from tallynet.hashing import block_hash
from tools.explorer.canonical import kind_of, signers
from tools.explorer.message_table import MessageTable
from tools.explorer.network import accused, config, transaction
from tools.explorer.process import STEPS_MAX, WALL_MS, Disk, Outcome, Process
from tools.explorer.scope import Scope
from tools.explorer.snapshots import Snapshots

FOREVER_MS: Final = 10**15
"""Longer than any path."""
VERIFIED_MAX: Final = 1 << 20
"""Good signatures remembered by all replicas together: more than one exploration makes."""


class Effect(IntEnum):
    """What an event does to a replica."""

    NOTHING = 0
    COUNTED = 1
    """One more vote or complaint is counted, that is all."""
    CHANGED = 2
    """Something else changed in memory, and nobody can know yet."""
    SPOKE = 3
    """It wrote or said something."""


Place = tuple[int, int, int, int]
"""(view, voted view, committed height, index): what decides which messages a replica can use."""


@dataclass(frozen=True, slots=True)
class Move:
    """What an event does to a replica in one state."""

    effect: Effect
    after: int
    """Number of the state it leads to."""
    said: int = 0
    """Set of the messages that it says."""


@dataclass(slots=True)
class Local:
    """One state of one replica."""

    snapshot: bytes
    kind: int
    """Equal for states that do the same from here on."""
    core: bytes
    """What that depends on, but for counted votes: see `kind_of`."""
    tally: bytes
    """Those."""
    votes: int
    """Set of the own votes of this view: what must not be contradicted."""
    chain: tuple[bytes, ...]
    """Hashes of the blocks delivered."""
    place: Place
    fault: str = ""
    """What is wrong with this state; nothing follows it."""
    moves: dict[int, Move] = field(default_factory=dict)
    """Message -> what it does."""

    @property
    def index(self) -> int:
        """The validator's."""
        return self.place[3]


class LocalStates:
    """The states met so far, by number, and what leads from one to another."""

    def __init__(self, scope: Scope) -> None:
        self.scope: Final = scope
        self.states: Final[list[Local]] = []
        self.table: Final = MessageTable(scope.byzantine)
        self._numbers: Final[dict[tuple[int, int, bytes], int]] = {}
        self._idle: Final[set[tuple[int, int]]] = set()
        """(kind of state, meaning) of messages that did nothing."""
        self._kinds: Final[dict[tuple[bytes, bytes, int], int]] = {}
        self.transactions: Final = [transaction(number) for number in range(scope.blocks)]
        self.core_steps = 0
        """Events that the core was given."""
        self._snapshots: Final = Snapshots()
        self._by_envelope: Final = {t.envelope: t for t in self.transactions}

    def start(self, index: int) -> Move:
        """How a correct validator begins."""
        one_by_one = replace(
            config(index), window=self.scope.window, progress_max_ms=T_PROGRESS_MS, complaint_life_ms=FOREVER_MS,
            leader_silent_ms=FOREVER_MS, transaction_complain_ms=FOREVER_MS,
            clock_window_ms=FOREVER_MS,
        )  # fmt: skip
        process = Process(one_by_one, self._by_envelope, Disk(), 0, WALL_MS)
        nothing = Local(b"", -1, b"", b"", 0, (), (0, 0, 0, index))
        return self._begin(process, nothing)

    def _begin(self, process: Process, before: Local) -> Move:
        """A process starts: its clients send again what is not committed."""
        left = [t for t in self.transactions if not process.is_remembered(t)]
        outcome = process.handle(TransactionsHeld(tuple(left)))
        return self._arrive(process, outcome, before)

    # --- events -----------------------------------------------------------------------------------

    def deliver(self, number: int, message: int) -> Move:
        """What a message does to a replica."""
        local = self.states[number]
        found = local.moves.get(message)
        if found is None:
            idle = local.kind, self.table.meaning(message)
            if idle in self._idle:
                found = Move(Effect.NOTHING, number)
            else:
                found = self._deliver(number, local, message)
                if found.effect is Effect.NOTHING:
                    self._idle.add(idle)
            local.moves[message] = found
        return found

    def _deliver(self, number: int, local: Local, message: int) -> Move:
        process = self._load(number)
        self.core_steps += 1
        try:
            outcome = process.handle(self.table.event(message, local.index))
        except InvariantViolated as error:
            return self._broken(local, f"halts: {error.code}")
        move = self._arrive(process, outcome, local)
        return Move(Effect.NOTHING, number) if move.effect is Effect.NOTHING else move

    def crash(self, number: int) -> Move:
        """A crash between two events, and a restart from the disk."""
        return self._restart(self.states[number], self._load(number), 0)

    def torn(self, number: int, message: int) -> list[Move]:
        """Crashes while this message is handled, each with a restart: after none, one, two, ... of the steps that it
        leads to were durable."""
        local = self.states[number]
        event = self.table.event(message, local.index)
        found: list[Move] = []
        for turns in range(STEPS_MAX):
            process = self._load(number)
            begun = process.replica.turn
            outcome = process.handle(event, turns_max=turns)
            if process.replica.turn - begun <= turns:
                break
            found.append(self._restart(local, process, self._said(outcome)))
        return found

    def _restart(self, local: Local, process: Process, said: int) -> Move:
        try:
            next_life = process.restarted(process.replica._s.now_ms, WALL_MS)
            move = self._begin(next_life, local)
        except InvariantViolated as error:
            return self._broken(local, f"does not start again: {error.code}")
        return Move(Effect.SPOKE, move.after, move.said | said)

    # --- states -----------------------------------------------------------------------------------

    def _load(self, number: int) -> Process:
        """A process in this state, to be used once."""
        process: Process = self._snapshots.load(self.states[number].snapshot)
        return process

    def _arrive(self, process: Process, outcome: Outcome, before: Local) -> Move:
        """Let the clock run, then give the state a number."""
        self._fire(process, outcome)
        said = self._said(outcome)
        core, tally = kind_of(process)
        votes, fault = self._votes(process, before, said)
        if any(accused(proof) != self.scope.byzantine for proof in outcome.evidence):
            fault = "accuses a correct validator"
        effect = Effect.SPOKE
        if not (outcome.wrote or said or fault):
            effect = Effect.CHANGED
            if core == before.core:
                effect = Effect.NOTHING if tally == before.tally else Effect.COUNTED
        if effect is Effect.NOTHING:
            return Move(effect, -1)
        what = core, tally, self.table.meant(votes)
        kind = self._kinds.setdefault(what, len(self._kinds))
        key = kind, votes, signers(process)
        number = self._numbers.get(key)
        if number is None or fault:
            number = self._numbers[key] = len(self.states)
            state = process.replica._s
            self.states.append(
                Local(
                    snapshot=self._snapshots.save(process),
                    kind=kind,
                    core=core,
                    tally=tally,
                    votes=votes,
                    chain=tuple(block_hash(block.header) for block in process.disk.chain),
                    place=(state.view, state.voted_view, state.committed, state.index),
                    fault=fault,
                )
            )
        return Move(effect, number, said)

    def _fire(self, process: Process, outcome: Outcome) -> None:
        """The progress timer fires at once wherever it is armed, once per view."""
        replica = process.replica
        state, views = replica._s, replica._views
        while (
            replica._deadline_ms is not None
            and views._complaint_view < state.voted_view < self.scope.views - 1
            and state.may_sign
        ):
            outcome.join(process.handle(Tick(replica._deadline_ms, WALL_MS)))

    def _said(self, outcome: Outcome) -> int:
        said = 0
        for send in outcome.sends:
            said |= self.table.sent(send.message)
        return said

    def _broken(self, local: Local, fault: str) -> Move:
        """A replica halts."""
        self.states.append(replace(local, fault=fault, moves={}))
        return Move(Effect.SPOKE, len(self.states) - 1)

    # --- what is wrong with a state -----------------------------------------------------------------

    def _votes(self, process: Process, before: Local, said: int) -> tuple[int, str]:
        """(votes that bind this replica from now on, what a correct one must never do: INV-3, INV-11, B12)."""
        state = process.replica._s
        if state.mute:
            return 0, "takes its own disk for lost"
        if state.divergence is not None:
            return 0, f"stops at height {state.divergence.height}, which others committed otherwise"
        entries, numbers = self.table.entries, self.table.numbers
        left = before.place[1]
        bound_from = state.view if self.scope.crashes else state.voted_view
        cast = {p: body for number in numbers(before.votes) for p, body in entries[number].votes}
        binding, fault = 0, ""
        for number in numbers(before.votes | said & self.table.votes):
            for position, body in entries[number].votes:
                _, view, height = position
                if view >= bound_from:
                    binding |= 1 << number
                if position not in cast and view < left:
                    fault = f"votes in view {view} after its ViewChange to {left}"
                if cast.setdefault(position, body) != body:
                    fault = f"votes twice in view {view} at height {height}"
        return binding, fault
