"""The events that concern one organisation, in the order of the log, and cursors into them.

A cursor is a place of the log, so it means the same after a restart, on another machine, and in a copy that was filled
anew. Events are kept in the transaction that puts in place what they led to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, final

from node.light.database import Database
from tallynet.codec import decode, encode
from tallynet.errors import TallynetError
from tallynet.receipts import Event

__all__ = [
    "CURSOR_FORM",
    "EVENTS_MAX",
    "CursorError",
    "EventLog",
    "Place",
    "SeenEvent",
    "read_cursor",
]

EVENTS_MAX: Final = 100_000
"""Events kept: some 40 MB. A program that was away for longer fills itself again from the lists."""
TRIMMED_AT_ONCE: Final = 1_000
"""So that they are counted seldom."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS events (
    height INTEGER NOT NULL, place INTEGER NOT NULL, time_ms INTEGER NOT NULL, body BLOB NOT NULL,
    subject BLOB NOT NULL, made_by BLOB,
    PRIMARY KEY (height, place)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS events_subject ON events (subject, height, place);
CREATE INDEX IF NOT EXISTS events_made_by ON events (made_by, height, place) WHERE made_by IS NOT NULL;
"""
"""`made_by` is a transaction; what the network does by itself has none."""
CURSOR_FORM: Final = re.compile(r"(0|[1-9][0-9]{0,14})(?:\.(0|[1-9][0-9]{0,8}))?", re.ASCII)


class CursorError(TallynetError):
    """CURSOR_TOO_OLD: the copy does not have all events behind it; QUERY_INVALID: it is none."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Of the next event to read."""

    height: int
    index: int = 0

    @classmethod
    def from_bytes(cls, raw: bytes) -> Place:
        return cls(int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:], "big"))

    def to_bytes(self) -> bytes:
        return self.height.to_bytes(8, "big") + self.index.to_bytes(8, "big")

    @property
    def cursor(self) -> str:
        """Of a reader who has all events before this one: the last of them, `HEIGHT.INDEX`, or a whole block,
        `HEIGHT`."""
        return f"{self.height}.{self.index - 1}" if self.index else f"{max(0, self.height - 1)}"


def read_cursor(text: str) -> Place:
    """The place behind a cursor. Raises CursorError QUERY_INVALID."""
    found = CURSOR_FORM.fullmatch(text)
    if found is None:
        raise CursorError(
            "QUERY_INVALID", "a cursor is the `id` of an event, or a `cursor` of an answer"
        )
    height, index = found.groups()
    return Place(int(height) + 1) if index is None else Place(int(height), int(index) + 1)


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """An event of the committed log."""

    place: Place
    """Its own."""
    event: Event
    time_ms: int
    """Unix milliseconds of its block."""

    @property
    def cursor(self) -> str:
        return Place(self.place.height, self.place.index + 1).cursor


@final
class EventLog:
    """In the file of the copy, whose transactions write it."""

    def __init__(self, base: Database) -> None:
        self._base: Final = base
        base.make(_SCHEMA)
        self._kept_most = self.count_from(Place(0))
        """As many as there are, or more: counting takes a while."""

    @property
    def first(self) -> Place | None:
        """From here on every event is kept; None: from nowhere yet."""
        kept = self._base.fact("events_from")
        return None if kept is None else Place.from_bytes(kept)

    def begin(self, place: Place) -> None:
        """The first event to be kept is the first one from `place` on."""
        self._base.set("events_from", place.to_bytes())

    def keep(self, events: Iterable[SeenEvent]) -> None:
        """Inside of a transaction. Those that are there stay; the oldest go when they become too many."""
        for each in events:
            self._base.execute(
                "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?)",
                (
                    each.place.height, each.place.index, each.time_ms, encode(each.event),
                    each.event.subject, each.event.transaction,
                ),
            )  # fmt: skip
            self._kept_most += 1
        if self._kept_most > EVENTS_MAX:
            self._kept_most = count = self.count_from(Place(0))
            if count > EVENTS_MAX:
                self._trim(count - EVENTS_MAX + min(TRIMMED_AT_ONCE, EVENTS_MAX // 2))

    def _trim(self, count: int) -> None:
        query = "SELECT height, place FROM events ORDER BY height, place LIMIT 1 OFFSET ?"
        ((height, index),) = self._base.rows(query, count)
        self._base.execute("DELETE FROM events WHERE (height, place) < (?, ?)", (height, index))
        self.begin(Place(height, index))

    def after(self, place: Place, limit: int) -> list[SeenEvent]:
        """The events from `place` on.

        Raises:
            CursorError: CURSOR_TOO_OLD: some may be missing.
        """
        first = self.first
        if first is None or place < first:
            since = "none yet" if first is None else f"those behind {first.cursor}"
            raise CursorError(
                "CURSOR_TOO_OLD",
                f"the copy keeps {since}; the reader wants all behind {place.cursor}",
            )
        where = "(height, place) >= (?, ?) ORDER BY height, place LIMIT ?"
        return self._read(where, place.height, place.index, limit)

    def newest_about(self, subject: bytes, limit: int) -> list[SeenEvent]:
        """Of those that are kept about a record; oldest first."""
        where = "subject = ? ORDER BY height DESC, place DESC LIMIT ?"
        return self._read(where, subject, limit)[::-1]

    def made_by(self, transaction: bytes, limit: int) -> list[SeenEvent]:
        """Those that are kept of what a transaction did."""
        return self._read("made_by = ? ORDER BY height, place LIMIT ?", transaction, limit)

    def _read(self, where: str, *values: object) -> list[SeenEvent]:
        query = f"SELECT height, place, time_ms, body FROM events WHERE {where}"
        return [
            SeenEvent(Place(height, index), decode(Event, body), time_ms)
            for height, index, time_ms, body in self._base.rows(query, *values)
        ]

    def count_from(self, place: Place) -> int:
        """How many there are from `place` on."""
        query = "SELECT count(*) FROM events WHERE (height, place) >= (?, ?)"
        ((count,),) = self._base.rows(query, place.height, place.index)
        return int(count)
