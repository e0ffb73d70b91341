"""Breadth-first over every state of a small network (reliability §9.3).

A state is what each correct replica is in (`local_states`) and which messages could still do something (`horizon`). A
move is one replica's (`replica_moves`). Nothing is ever lost: what is not delivered is just not delivered yet, so a
step of one replica never takes a step from another.

Checked in every state: one chain (INV-23); in every step of a replica: its own invariants, no vote that contradicts
one of its own (INV-3), no correct validator accused (INV-26), no correct replica that distrusts its disk (B12).
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from tools.explorer.adversary import Adversary
from tools.explorer.horizon import Horizon
from tools.explorer.local_states import LocalStates
from tools.explorer.replica_moves import ReplicaMoves, Step
from tools.explorer.scope import Scope
from tools.explorer.snapshots import garbage_dies_young

PROGRESS_STATES: Final = 2_000
"""States between two reports of progress."""

State = tuple[int, ...]
"""Number of each correct replica's local state, crashes left, messages that could still do something."""
SPOKEN: Final = frozenset({"COMPLAINT", "VIEW_CHANGE", "NEW_VIEW"})
"""Kinds named in a transcript, beside votes."""


@dataclass(slots=True)
class Report:
    """What was visited."""

    scope: Scope
    states: int = 0
    transitions: int = 0
    local_states: int = 0
    core_steps: int = 0
    """Different (local state, message) that the core was asked about."""
    depth: int = 0
    complete: bool = False
    """Every state within the scope was visited."""
    seconds: float = 0.0
    """Of the processor."""
    view_max: int = 0
    """Highest view that a replica entered."""
    committed_max: int = 0
    violation: str = ""
    transcript: list[str] = field(default_factory=list)
    """The shortest way to the violation, one line per move."""


class Explorer:
    """Explores one scope. `run` once."""

    def __init__(self, scope: Scope) -> None:
        self.scope: Final = scope
        self.locals: Final = LocalStates(scope)
        self._table: Final = self.locals.table
        self._adversary: Final = (
            None
            if scope.byzantine is None
            else Adversary(scope, scope.byzantine, self._table, self.locals.transactions)
        )
        self._horizon: Final = Horizon(scope, self._table)
        self._replica: Final = ReplicaMoves(self.locals)
        self._prologue: Final[list[tuple[int, Step]]] = []
        self._states: Final[list[State]] = []
        self._parents: Final = array("q")
        self._report: Final = Report(scope)

    # --- the search -------------------------------------------------------------------------------

    def run(self, states_max: int, progress: Callable[[Report], None] | None = None) -> Report:
        """Visit up to `states_max` states, nearest first; stops at the first violation."""
        begun = time.process_time()
        with garbage_dies_young():
            self._visit(states_max, lambda: progress and progress(self._summed_up(begun)))
        report = self._summed_up(begun)
        if report.violation:
            report.transcript = self._transcript()
        return report

    def _visit(self, states_max: int, pause: Callable[[], object]) -> None:
        report, states = self._report, self._states
        start = self._begin()
        visited = {self._kind(start)}
        states.append(start)
        self._parents.append(-1)
        for position in range(len(self.scope.correct)):
            self._check(start, position)
        depth_end = 1
        """First state that is one move further away."""
        at = 0
        while at < len(states) and len(states) < states_max and not report.violation:
            if at == depth_end:
                report.depth += 1
                depth_end = len(states)
            for position, step in self._moves(states[at]):
                report.transitions += 1
                after = self._after(states[at], position, step)
                kind = self._kind(after)
                if kind not in visited:
                    visited.add(kind)
                    states.append(after)
                    self._parents.append(at)
                    self._check(after, position)
                    if report.violation:
                        break
            at += 1
            if at % PROGRESS_STATES == 0:
                pause()
        report.complete = at == len(states) and not report.violation

    def _summed_up(self, begun: float) -> Report:
        report, local_states = self._report, self.locals.states
        report.states = len(self._states)
        report.local_states = len(local_states)
        report.core_steps = self.locals.core_steps
        report.seconds = time.process_time() - begun
        return report

    def _begin(self) -> State:
        """Every replica starts, then hears what the scope's start says."""
        begun = [self.locals.start(index) for index in self.scope.correct]
        said = 0
        for move in begun:
            said |= move.said
        ids = tuple(move.after for move in begun)
        state: State = (*ids, self.scope.crashes, self._live(ids, said))
        for index, kind, view, height in self.scope.start.script:
            if index not in self.scope.correct:
                continue
            position = self.scope.correct.index(index)
            for message in self._table.numbers(state[-1] & self._table.of(kind)):
                entry = self._table.entries[message]
                if (entry.view, entry.height) == (view, height) and entry.source != index:
                    move = self.locals.deliver(state[position], message)
                    step = Step(move.after, move.said, (message,))
                    self._prologue.append((position, step))
                    state = self._after(state, position, step)
        return state

    def _check(self, state: State, position: int) -> None:
        """What is wrong with a new state, which one replica's move led to."""
        states = self.locals.states
        moved = states[state[position]]
        if moved.fault:
            self._report.violation = f"validator {moved.index} {moved.fault}"
        for number in state[:-2]:
            chain = states[number].chain
            common = min(len(chain), len(moved.chain))
            if chain[:common] != moved.chain[:common]:
                other = states[number].index
                self._report.violation = (
                    f"validators {moved.index} and {other} committed different chains"
                )
        self._report.view_max = max(self._report.view_max, moved.place[0])
        self._report.committed_max = max(self._report.committed_max, len(moved.chain))

    def _after(self, state: State, position: int, step: Step) -> State:
        ids = (*state[:position], step.after, *state[position + 1 : -2])
        return (*ids, state[-2] - step.crash, self._live(ids, state[-1] | step.said))

    def _kind(self, state: State) -> tuple[int, ...]:
        """Equal for states from which the same can happen."""
        states = self.locals.states
        kinds = [states[number].kind for number in state[:-2]]
        return (*kinds, state[-2], self._table.meant(state[-1]))

    def _live(self, ids: tuple[int, ...], said: int) -> int:
        states = self.locals.states
        return self._horizon.live(tuple([states[number].place for number in ids]), said)

    def _moves(self, state: State) -> Iterator[tuple[int, Step]]:
        """Everything that may happen next: (position of a replica, what it does)."""
        heard = state[-1]
        if self._adversary is not None:
            heard |= self._adversary.repertoire(heard)
        for position, number in enumerate(state[:-2]):
            offer = heard & self._horizon.offered(self.locals.states[number].place)
            for step in self._replica.steps(number, offer):
                yield position, step
            if state[-2]:
                for step in self._replica.crashes(number, offer):
                    yield position, step

    # --- the way to a violation ---------------------------------------------------------------------

    def _transcript(self) -> list[str]:
        """The moves that led to the newest state, from the start."""
        way = [len(self._states) - 1]
        while self._parents[way[-1]] >= 0:
            way.append(self._parents[way[-1]])
        way.reverse()
        lines = [self._line(position, step) for position, step in self._prologue]
        for before, after in pairwise(way):
            state = self._states[before]
            lines.append(
                next(
                    self._line(position, step)
                    for position, step in self._moves(state)
                    if self._after(state, position, step) == self._states[after]
                )
            )
        return lines

    def _line(self, position: int, step: Step) -> str:
        entries, numbers = self._table.entries, self._table.numbers
        after = self.locals.states[step.after]
        heard = "; ".join(entries[message].text for message in step.heard)
        said = "; ".join(
            entries[message].text
            for message in numbers(step.said)
            if entries[message].votes or entries[message].kind in SPOKEN
        )
        parts = [f"hears {heard}" if heard else "", "crashes and restarts" if step.crash else ""]
        parts.append(f"says {said}" if said else "")
        view, voted_view, committed, index = after.place
        place = f"view {view}" + (f", changing to {voted_view}" if voted_view > view else "")
        what = ", ".join(part for part in parts if part)
        return f"validator {index} {what} [{place}, committed {committed}]"
