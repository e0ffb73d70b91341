"""The copy of one organisation on disk: records with the height that proved each, and how far the log was read.

One SQLite file, readable by its owner alone. A write is one transaction, durable when it returns, and moves the
cursor together with what the events up to there have changed: after kill -9 the log is read on from where the copy
stands. The copy can be removed at any time; it is filled again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from node.light.concern import about, is_listed
from tallynet.codec import decode, encode
from tallynet.errors import TallynetError
from tallynet.records import RECORD_TYPES, Kind, Lot, Record, lot_id

__all__ = ["RECORDS_MAX", "Change", "Copy", "CopyError", "Kept", "Place", "Sent"]

RECORDS_MAX: Final = 200_000
"""Some 200 MB; an enterprise with more than that runs an observer, or removes the copy, which is then filled
with what is open."""
SENT_MAX: Final = 100_000
"""Commands remembered with their receipts: years of an enterprise, and some 100 MB."""
VERSION: Final = b"1"
_FILE_MODE: Final = 0o600
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (
    kind INTEGER NOT NULL, id BLOB NOT NULL, about BLOB NOT NULL, listed INTEGER NOT NULL,
    height INTEGER NOT NULL, time_ms INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sent (
    id TEXT PRIMARY KEY, digest BLOB NOT NULL, envelope BLOB NOT NULL, receipt BLOB NOT NULL, height INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS records_about ON records (about);
CREATE INDEX IF NOT EXISTS records_listed ON records (kind, listed, id);
"""


class CopyError(TallynetError):
    """The copy cannot be used: COPY_CORRUPT, COPY_OTHER, COPY_FULL, COPY_UNUSABLE, COPY_EMPTY. The text names the
    file and what to do."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Of the next event to read."""

    height: int
    index: int = 0


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
class Sent:
    """A command of one of the organisation's programs."""

    id: str
    """The program's own."""
    digest: bytes
    """Of the command, so that an id stands for one only."""
    envelope: bytes
    """Signed."""
    receipt: bytes
    """Encoded; empty while there is none."""
    height: int
    """Of its block; 0 without receipt."""


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
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, _FILE_MODE))
        except OSError as error:
            raise CopyError("COPY_UNUSABLE", f"{path}: {error.strerror}") from None
        self._sql: Final = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            with self._failing():
                self._open(genesis)
        except CopyError:
            self._sql.close()
            raise

    def _open(self, genesis: bytes) -> None:
        # Exclusive: a second light node over the same copy would move its cursor.
        for setting in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
            self._sql.execute(f"PRAGMA {setting}")
        self._sql.executescript(_SCHEMA)
        with self._transaction():
            for name, value in (
                ("version", VERSION),
                ("genesis", genesis),
                ("organisation", self.organisation),
            ):
                kept = self._fact(name)
                if kept is not None and kept != value:
                    raise CopyError(
                        "COPY_OTHER", f"{self.path} has another {name}; name another directory"
                    )
                self._set(name, value)

    def close(self) -> None:
        self._sql.close()

    # --- how far it is ----------------------------------------------------------------------------------

    @property
    def place(self) -> Place | None:
        """Of the next event to read; None: the copy is not filled yet."""
        kept = self._fact("place")
        if kept is None:
            return None
        return Place(int.from_bytes(kept[:8], "big"), int.from_bytes(kept[8:], "big"))

    @property
    def height(self) -> int:
        """Everything in the blocks up to here has been taken in."""
        return int.from_bytes(self._fact("height") or b"", "big")

    @property
    def proven_at(self) -> int | None:
        """Unix seconds at which f+1 validators said that there is nothing above `height`."""
        kept = self._fact("proven_at")
        return None if kept is None else int.from_bytes(kept, "big")

    def __len__(self) -> int:
        """How many records."""
        ((count,),) = self._rows("SELECT count(*) FROM records")
        return int(count)

    # --- what it holds ----------------------------------------------------------------------------------

    def get(self, kind: Kind, id: bytes) -> Kept | None:
        for found in self._kept("kind = ? AND id = ?", int(kind), id):
            return found
        return None

    def kind_of(self, id: bytes) -> Kind | None:
        """The kind of the record with this id, if there is one."""
        for (kind,) in self._rows("SELECT kind FROM records WHERE id = ?", id):
            return Kind(kind)
        return None

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
        self, changes: Iterable[Change], *, place: Place | None = None, height: int = 0
    ) -> None:
        """Take in what was read, and that the log was read up to `place`, and `height` is complete.

        Raises:
            CopyError: COPY_FULL, COPY_UNUSABLE; then nothing has changed.
        """
        with self._failing(), self._transaction():
            for change in changes:
                self._change(change)
            if place is not None:
                raw = place.height.to_bytes(8, "big") + place.index.to_bytes(8, "big")
                self._set("place", raw)
            if height > self.height:
                self._set("height", height.to_bytes(8, "big"))
            if len(self) > RECORDS_MAX:
                raise CopyError(
                    "COPY_FULL",
                    f"{self.path} would hold more than {RECORDS_MAX} records; remove it to fill it with what is open",
                )

    def confirm(self, height: int, at: int) -> None:
        """At unix second `at` there was nothing above `height`, which is taken in."""
        with self._failing(), self._transaction():
            self._set("height", height.to_bytes(8, "big"))
            self._set("proven_at", at.to_bytes(8, "big"))

    # --- commands -----------------------------------------------------------------------------------------

    def sent(self, id: str) -> Sent | None:
        """What was sent under this id."""
        for row in self._rows(
            "SELECT id, digest, envelope, receipt, height FROM sent WHERE id = ?", id
        ):
            return Sent(*row)
        return None

    def waiting(self) -> int:
        """How many commands have no receipt."""
        ((count,),) = self._rows("SELECT count(*) FROM sent WHERE height = 0")
        return int(count)

    def keep_sent(self, sent: Sent) -> None:
        """Keep it, durable when this returns; the oldest with a receipt go when they become too many.

        Raises:
            CopyError: COPY_UNUSABLE.
        """
        with self._failing(), self._transaction():
            self._sql.execute(
                "INSERT INTO sent VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
                " receipt = excluded.receipt, height = excluded.height",
                (sent.id, sent.digest, sent.envelope, sent.receipt, sent.height),
            )
            ((count,),) = self._rows("SELECT count(*) FROM sent")
            self._sql.execute(
                "DELETE FROM sent WHERE rowid IN"
                " (SELECT rowid FROM sent WHERE height > 0 ORDER BY rowid LIMIT ?)",
                (max(0, count - SENT_MAX),),
            )

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
        self._sql.execute(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET"
            " about = excluded.about, listed = excluded.listed, height = excluded.height,"
            " time_ms = excluded.time_ms, body = excluded.body WHERE excluded.height >= height",
            (
                int(kind), id, about(id, record), int(is_listed(self.organisation, record)),
                change.height, change.time_ms, encode(record),
            ),
        )  # fmt: skip

    def _remove(self, kind: Kind, id: bytes) -> None:
        self._sql.execute("DELETE FROM records WHERE kind = ? AND id = ?", (int(kind), id))

    # --- SQL ----------------------------------------------------------------------------------------------

    def _fact(self, name: str) -> bytes | None:
        for (value,) in self._rows("SELECT value FROM facts WHERE name = ?", name):
            return bytes(value)
        return None

    def _set(self, name: str, value: bytes) -> None:
        self._sql.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def _kept(self, where: str, *values: object) -> Iterator[Kept]:
        query = f"SELECT kind, id, height, time_ms, body FROM records WHERE {where}"
        for kind, id, height, time_ms, body in self._rows(query, *values):
            yield Kept(Kind(kind), id, decode(RECORD_TYPES[Kind(kind)], body), height, time_ms)

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._failing():
            return self._sql.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._sql.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._sql.execute("ROLLBACK")
            raise
        self._sql.execute("COMMIT")

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """What SQLite says, as ours."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise CopyError("COPY_UNUSABLE", f"{self.path}: {error}") from None
        except sqlite3.DatabaseError as error:
            raise CopyError(
                "COPY_CORRUPT", f"{self.path}: {error}; remove it, and it is filled again"
            ) from None
