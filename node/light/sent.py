"""Commands of the enterprise's programs, kept under the programs' ids.

A file of its own beside the copy: the copy may be removed at any time, and an id that was forgotten could be signed
for twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from node.light.database import Database

__all__ = ["SENT_MAX", "Sent", "SentCommands"]

SENT_MAX: Final = 100_000
"""Commands remembered: years of an enterprise, and some 100 MB."""
VERSION: Final = b"1"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS sent (
    id TEXT PRIMARY KEY, digest BLOB NOT NULL, envelope BLOB NOT NULL, valid_until INTEGER NOT NULL,
    receipt BLOB NOT NULL, height INTEGER NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """A command of one of the organisation's programs."""

    id: str
    """The program's own."""
    digest: bytes
    """Of the command, so that an id stands for one only."""
    envelope: bytes
    """Signed."""
    valid_until: int
    """Unix seconds."""
    receipt: bytes = b""
    """Encoded; empty while there is none."""
    height: int = 0
    """Of its block; 0 without receipt."""


@final
class SentCommands:
    """Used from one thread."""

    def __init__(self, path: Path, genesis: bytes, organisation: bytes) -> None:
        """Open, or make; one process at a time.

        Raises:
            CopyError: COPY_CORRUPT, COPY_OTHER, COPY_UNUSABLE.
        """
        self._base: Final = Database(path, _SCHEMA)
        self._base.require({"genesis": genesis, "organisation": organisation, "version": VERSION})

    def close(self) -> None:
        self._base.close()

    def get(self, id: str) -> Sent | None:
        """What was sent under this id."""
        query = "SELECT id, digest, envelope, valid_until, receipt, height FROM sent WHERE id = ?"
        for row in self._base.rows(query, id):
            return Sent(*row)
        return None

    def waiting(self, now: int) -> int:
        """How many have no receipt and can still get one at unix second `now`."""
        query = "SELECT count(*) FROM sent WHERE height = 0 AND valid_until >= ?"
        ((count,),) = self._base.rows(query, now)
        return int(count)

    def unanswered(self, now: int) -> list[Sent]:
        """Those that `waiting` counts, in the order in which they were kept."""
        query = (
            "SELECT id, digest, envelope, valid_until, receipt, height FROM sent"
            " WHERE height = 0 AND valid_until >= ? ORDER BY rowid"
        )
        return [Sent(*row) for row in self._base.rows(query, now)]

    def keep(self, sent: Sent, now: int) -> None:
        """Keep it, durable when this returns; what is under its id already only gets the receipt. The oldest that
        have one, or cannot get one any more, go when they become too many.

        Raises:
            CopyError: COPY_UNUSABLE.
        """
        with self._base.transaction():
            self._base.execute(
                "INSERT INTO sent VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
                " receipt = excluded.receipt, height = excluded.height",
                (sent.id, sent.digest, sent.envelope, sent.valid_until, sent.receipt, sent.height),
            )
            ((count,),) = self._base.rows("SELECT count(*) FROM sent")
            self._base.execute(
                "DELETE FROM sent WHERE rowid IN (SELECT rowid FROM sent WHERE height > 0"
                " OR valid_until < ? ORDER BY rowid LIMIT ?)",
                (now, max(0, count - SENT_MAX)),
            )
