"""What one replica may do next, given what it may hear.

A move is what makes it write or say something: one message, or the few that it takes together. What is heard before
that changes only memory, and is heard when it is needed, so that no state is counted twice for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tools.explorer.local_states import Effect, LocalStates

SILENT_MAX: Final = 3
"""Messages heard in one move before the one that makes the replica speak. No rule needs more: of a block that it has
never heard of, three Commits and then the content."""
COUNTED_TOGETHER: Final = frozenset({"PREPARE", "COMMIT", "COMPLAINT"})
"""Kinds of which only several do something."""
Topic = tuple[str, int, int] | int
"""(kind, view, height) of messages that are counted together; the number of one that stands alone."""

End = tuple[int, int]
"""(kind of the state that a move leads to, set of the meanings that it says)."""
_Silence = tuple[int, tuple[int, ...], Topic | None, tuple[int, ...]]
"""(state reached without speaking, messages heard, topic that is being counted, places of those that changed something)."""


@dataclass(frozen=True, slots=True)
class Step:
    """One move of one replica."""

    after: int
    """Its local state afterwards."""
    said: int
    """Set of the messages that it says."""
    heard: tuple[int, ...]
    """In order."""
    crash: bool = False
    """It crashes before the last one is dealt with, or, having heard nothing, just so; and restarts."""


class ReplicaMoves:
    """Moves by local state and set of messages on offer, each found once."""

    def __init__(self, local_states: LocalStates) -> None:
        self._locals: Final = local_states
        self._topics: Final[list[Topic]] = []
        self._steps: Final[dict[tuple[int, int], list[Step]]] = {}
        self._crashes: Final[dict[tuple[int, int], list[Step]]] = {}

    def steps(self, number: int, offer: int) -> list[Step]:
        """Every way to speak."""
        found = self._steps.get((number, offer))
        if found is None:
            messages = self._locals.table.numbers(offer)
            found = self._steps[number, offer] = self._find(number, messages)
        return found

    def _find(self, number: int, offer: list[int]) -> list[Step]:
        """Breadth-first over what may be heard in silence, up to what makes the replica speak.

        While a vote is counted that did not complete anything yet, only votes of the same topic go on: others do not
        need it. A message that changed something else in silence belongs to the move only if the same could not be
        reached by hearing it afterwards.
        """
        deliver = self._locals.deliver
        found: dict[End, Step] = {}
        frontier: list[_Silence] = [(number, (), None, ())]
        seen = {number}
        for silent in range(SILENT_MAX + 1):
            further: list[_Silence] = []
            for at, heard, topic, changed in frontier:
                for message in offer:
                    if topic is not None and topic != self._topic(message):
                        continue
                    move = deliver(at, message)
                    path = (*heard, message)
                    if move.effect is Effect.SPOKE:
                        end = self._end(move.after, move.said)
                        if end not in found and not self._is_redundant(number, path, changed, end):
                            found[end] = Step(move.after, move.said, path)
                    elif move.after not in seen and silent < SILENT_MAX:
                        seen.add(move.after)
                        if move.effect is Effect.COUNTED:
                            further.append((move.after, path, self._topic(message), changed))
                        else:
                            further.append((move.after, path, None, (*changed, len(heard))))
            frontier = further
        return list(found.values())

    def _is_redundant(
        self, number: int, path: tuple[int, ...], changed: tuple[int, ...], end: End
    ) -> bool:
        """One of the messages that changed something in silence could as well be heard after this move."""
        deliver = self._locals.deliver
        for place in changed:
            at = number
            for message in path[:place] + path[place + 1 : -1]:
                at = deliver(at, message).after
            move = deliver(at, path[-1])
            later = deliver(move.after, path[place])
            same = self._end(later.after, move.said | later.said) == end
            if move.effect is Effect.SPOKE and same:
                return True
        return False

    def _end(self, after: int, said: int) -> End:
        """What a move comes to: of two that come to the same one is enough."""
        return self._locals.states[after].kind, self._locals.table.meant(said)

    def crashes(self, number: int, offer: int) -> list[Step]:
        """Every crash: between two events, or in the middle of one that makes the replica speak."""
        found = self._crashes.get((number, offer))
        if found is None:
            move = self._locals.crash(number)
            ends = {self._end(move.after, move.said): Step(move.after, move.said, (), crash=True)}
            for step in self.steps(number, offer):
                at = number
                for message in step.heard[:-1]:
                    at = self._locals.deliver(at, message).after
                for move in self._locals.torn(at, step.heard[-1]):
                    torn = Step(move.after, move.said, step.heard, crash=True)
                    ends.setdefault(self._end(move.after, move.said), torn)
            found = self._crashes[number, offer] = list(ends.values())
        return found

    def _topic(self, message: int) -> Topic:
        topics, entries = self._topics, self._locals.table.entries
        while len(topics) <= message:
            entry = entries[len(topics)]
            together = entry.kind in COUNTED_TOGETHER
            topics.append((entry.kind, entry.view, entry.height) if together else len(topics))
        return topics[message]
