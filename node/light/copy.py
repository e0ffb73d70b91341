"""The copy of one organisation on disk: records with the height that proved each, the events that concern it, and how
far the log was read.

One SQLite file, readable by its owner alone. A write is one transaction, durable when it returns, and moves the
cursor together with the events up to there and what they have changed: after kill -9 the log is read on from where the
copy stands. The copy can be removed at any time; it is filled again, without the events of before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from node.light.concern import about, is_listed
from node.light.database import CopyError, open_for
from node.light.event_log import EventLog, Place, SeenEvent
from tallynet.codec import decode, encode
from tallynet.receipts import Event
from tallynet.records import RECORD_TYPES, Kind, Lot, Record, lot_id

__all__ = ["RECORDS_MAX", "Change", "Copy", "CopyError", "Kept"]

RECORDS_MAX: Final = 200_000
"""Some 200 MB; an enterprise with more than that runs an observer, or removes the copy, which is then filled
with what is open."""
VERSION: Final = b"3"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS records (
    kind INTEGER NOT NULL, id BLOB NOT NULL, about BLOB NOT NULL, listed INTEGER NOT NULL,
    height INTEGER NOT NULL, time_ms INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS records_id ON records (id);
CREATE INDEX IF NOT EXISTS records_about ON records (about);
CREATE INDEX IF NOT EXISTS records_listed ON records (kind, listed, id);
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A record as some block proved it."""

    kind: Kind
    id: bytes
    record: Record
    height: int
    time_ms: int
    """Unix milliseconds of that block."""


@dataclass(frozen=True, slots=True)
class Change:
    """What was read: put in place of what is kept, unless that is newer."""

    kind: Kind
    id: bytes
    record: Record | None
    """None: it is not there, or not shown to this organisation any more."""
    height: int
    time_ms: int
    lots: tuple[Lot, ...] | None = None
    """Of a voucher: all of them. None: they come one by one."""


@final
class Copy:
    """Open with `open_copy`; used from one thread. What `CopyError` says beside COPY_FULL is for people to mend."""

    def __init__(self, path: Path, genesis: bytes, organisation: bytes) -> None:
        """Open, or make; one process at a time.

        Raises:
            CopyError: COPY_CORRUPT, COPY_OTHER, COPY_UNUSABLE.
        """
        self.path: Final = path
        self.organisation: Final = organisation
        self._base: Final = open_for(path, genesis, organisation, VERSION)
        self._base.make(_SCHEMA)
        self.events: Final = EventLog(self._base)

    def close(self) -> None:
        self._base.close()

    # --- how far it is ----------------------------------------------------------------------------------

    @property
    def place(self) -> Place | None:
        """Of the next event to read; None: the copy is not filled yet."""
        kept = self._base.fact("place")
        return None if kept is None else Place.from_bytes(kept)

    @property
    def height(self) -> int:
        """Everything in the blocks up to here has been taken in."""
        return int.from_bytes(self._base.fact("height") or b"", "big")

    @property
    def proven_at(self) -> int | None:
        """Unix seconds at which f+1 validators said that there is nothing above `height`."""
        kept = self._base.fact("proven_at")
        return None if kept is None else int.from_bytes(kept, "big")

    def __len__(self) -> int:
        """How many records."""
        ((count,),) = self._base.rows("SELECT count(*) FROM records")
        return int(count)

    # --- what it holds ----------------------------------------------------------------------------------

    def get(self, kind: Kind, id: bytes) -> Kept | None:
        for found in self._kept("kind = ? AND id = ?", int(kind), id):
            return found
        return None

    def kind_of(self, id: bytes) -> Kind | None:
        """The kind of the record with this id, if there is one."""
        for (kind,) in self._base.rows("SELECT kind FROM records WHERE id = ?", id):
            return Kind(kind)
        return None

    def concerns(self, event: Event) -> bool:
        """Whether an event is this organisation's, or about a record of the copy."""
        if self.organisation in (event.source, event.target):
            return True
        return any(self.kind_of(id) is not None for id in (event.subject, event.reference))

    def about(self, id: bytes) -> list[Kept]:
        """What changes with a record: the lots of a voucher, its financings, their instructions."""
        return list(self._kept("about = ?", id))

    def listed(self, kind: Kind, *, after: bytes = b"", limit: int = RECORDS_MAX) -> list[Kept]:
        """Those that are this organisation's affair, by id."""
        where = "kind = ? AND listed = 1 AND id > ? ORDER BY id LIMIT ?"
        return list(self._kept(where, int(kind), after, limit))

    def all(self, kind: Kind, *, after: bytes = b"", limit: int = RECORDS_MAX) -> list[Kept]:
        """Those in the background as well, by id."""
        where = "kind = ? AND id > ? ORDER BY id LIMIT ?"
        return list(self._kept(where, int(kind), after, limit))

    # --- writing ------------------------------------------------------------------------------------------

    def apply(
        self,
        changes: Iterable[Change],
        *,
        place: Place | None = None,
        height: int = 0,
        seen: Iterable[SeenEvent] = (),
    ) -> None:
        """Take in what was read, and that the log was read up to `place`, and `height` is complete. Of the events
        `seen` on the way those are kept that are its own, or about what the copy holds before or after.

        Raises:
            CopyError: COPY_FULL, COPY_UNUSABLE; then nothing has changed.
        """
        with self._base.transaction():
            seen = list(seen)
            concerned = {each.place for each in seen if self.concerns(each.event)}
            for change in changes:
                self._change(change)
            if place is not None:
                if self.place is None:
                    self.events.begin(place)
                self._base.set("place", place.to_bytes())
            self.events.keep(
                each for each in seen if each.place in concerned or self.concerns(each.event)
            )
            if height > self.height:
                self._base.set("height", height.to_bytes(8, "big"))
            if len(self) > RECORDS_MAX:
                raise CopyError(
                    "COPY_FULL",
                    f"{self.path} would hold more than {RECORDS_MAX} records; remove it to fill it with what is open",
                )

    def confirm(self, height: int, at: int) -> None:
        """At unix second `at` there was nothing above `height`, which is taken in."""
        with self._base.transaction():
            self._base.set("height", height.to_bytes(8, "big"))
            self._base.set("proven_at", at.to_bytes(8, "big"))

    def _change(self, change: Change) -> None:
        known = self.get(change.kind, change.id)
        if known is not None and known.height > change.height:
            return
        self._put(change, change.id, change.record)
        if change.lots is not None or (change.kind is Kind.VOUCHER and change.record is None):
            lots = {lot_id(change.id, lot.start): lot for lot in change.lots or ()}
            for kept in self.about(change.id):
                if kept.kind is Kind.LOT and kept.id not in lots and kept.height <= change.height:
                    self._remove(Kind.LOT, kept.id)
            for id, lot in lots.items():
                self._put(change, id, lot)

    def _put(self, change: Change, id: bytes, record: Record | None) -> None:
        kind = Kind.LOT if isinstance(record, Lot) else change.kind
        if record is None:
            self._remove(kind, id)
            return
        self._base.execute(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET"
            " about = excluded.about, listed = excluded.listed, height = excluded.height,"
            " time_ms = excluded.time_ms, body = excluded.body WHERE excluded.height >= height",
            (
                int(kind), id, about(id, record), int(is_listed(self.organisation, record)),
                change.height, change.time_ms, encode(record),
            ),
        )  # fmt: skip

    def _remove(self, kind: Kind, id: bytes) -> None:
        self._base.execute("DELETE FROM records WHERE kind = ? AND id = ?", (int(kind), id))

    def _kept(self, where: str, *values: object) -> Iterator[Kept]:
        query = f"SELECT kind, id, height, time_ms, body FROM records WHERE {where}"
        for kind, id, height, time_ms, body in self._base.rows(query, *values):
            yield Kept(Kind(kind), id, decode(RECORD_TYPES[Kind(kind)], body), height, time_ms)
