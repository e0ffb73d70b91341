"""Which messages could still do something to whom: everything else is as if it had never been said.

That is what makes states equal that only remember differently how they came about: a view that everybody has left
leaves behind certificates and committed blocks, not who voted when.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from consensus.constants import LOOKAHEAD_WINDOWS
from tools.explorer.local_states import Place
from tools.explorer.message_table import Entry, MessageTable
from tools.explorer.network import VALIDATORS
from tools.explorer.scope import Scope


class Horizon:
    """Sets of messages, by where replicas are."""

    def __init__(self, scope: Scope, table: MessageTable) -> None:
        self._scope: Final = scope
        self._table: Final = table
        self._offered: Final = _Sets(table, self._may_act_now)
        self._useful: Final = _Sets(table, self._may_act)
        self._live: Final[dict[tuple[Place, ...], tuple[int, int]]] = {}

    def offered(self, place: Place) -> int:
        """What a replica here may do something with when it hears it now."""
        return self._offered.at(place)

    def live(self, places: tuple[Place, ...], said: int) -> int:
        """What was said, and the certificates that it makes, as far as it may still do something to somebody."""
        said |= self._table.certified(said)
        live, known = self._live.get(places, (0, -1))
        if known != len(self._table.entries):
            live = self._together(places)
            for place in places:
                live |= self._useful.at(place)
            self._live[places] = live, len(self._table.entries)
        return said & live

    def _may_act_now(self, place: Place, entry: Entry) -> bool:
        """Votes of later views wait: to keep them aside until the view is entered is the same as to hear them then."""
        view, _, committed, _ = place
        if entry.kind in ("propose", "PREPARE", "COMMIT"):
            reach = committed + LOOKAHEAD_WINDOWS * self._scope.window
            if entry.view != view or entry.height > reach:
                return False
        return self._may_act(place, entry)

    def _may_act(self, place: Place, entry: Entry) -> bool:
        view, voted_view, committed, index = place
        kind = entry.kind
        if kind in ("content", "block"):
            return entry.height > committed
        if kind == "certificate" or (entry.source == index and not self._scope.crashes):
            return False  # own messages come back to no use, but for a check after a restart
        if kind in ("propose", "PREPARE", "COMMIT"):
            return entry.view >= view and entry.height > committed
        if kind == "COMPLAINT":
            return voted_view <= entry.view < self._scope.views - 1
        if kind == "VIEW_CHANGE":
            leads = entry.view % VALIDATORS == index
            return entry.view > voted_view or (entry.view == voted_view > view and leads)
        return entry.view > view and entry.view >= voted_view  # NEW_VIEW

    def _together(self, places: tuple[Place, ...]) -> int:
        """Votes that can still become a certificate; certificates and ViewChanges that a liar can still show."""
        entries, byzantine = self._table.entries, self._scope.byzantine
        lowest_view = min(view for view, _, _, _ in places)
        lowest_voted = min(voted for _, voted, _, _ in places)
        lowest_height = min(committed for _, _, committed, _ in places)
        live = 0
        votes = self._table.of("COMMIT") if byzantine is None else self._table.votes
        for number in self._table.numbers(votes):
            positions = [position for position, _ in entries[number].votes]
            if any(v >= lowest_voted and h > lowest_height for _, v, h in positions):
                live |= 1 << number
        for number in self._table.numbers(self._table.of("certificate")):
            if entries[number].height > lowest_height and lowest_view < self._scope.views - 1:
                live |= 1 << number
        for number in self._table.numbers(self._table.of("VIEW_CHANGE")):
            view = entries[number].view
            if view % VALIDATORS == byzantine and view > lowest_view:
                live |= 1 << number
        return live


class _Sets:
    """The messages that belong to a place, each looked at once."""

    def __init__(self, table: MessageTable, belongs: Callable[[Place, Entry], bool]) -> None:
        self._entries: Final = table.entries
        self._belongs: Final = belongs
        self._found: Final[dict[Place, tuple[int, int]]] = {}

    def at(self, place: Place) -> int:
        messages, known = self._found.get(place, (0, 0))
        if known < len(self._entries):
            for number in range(known, len(self._entries)):
                if self._belongs(place, self._entries[number]):
                    messages |= 1 << number
            self._found[place] = messages, len(self._entries)
        return messages
