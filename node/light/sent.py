"""Commands of the enterprise's programs, kept under the programs' ids.

    PENDING   signed, and its outcome not known; it is sent until there is one
    DONE      a certified receipt says that it took effect
    REFUSED   a certified receipt says that it did not, and why
    EXPIRED   its validity is over and validators of f+1 organisations know nothing of it: it never happened

All but PENDING are final. The file that holds them stands beside the copy: the copy may be removed at any time, and an
id that was forgotten could be signed for twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, final

from node.light.database import Database

__all__ = ["SENT_MAX", "State", "Sent", "SentCommands"]

SENT_MAX: Final = 100_000
"""Commands remembered: years of an enterprise, and some 100 MB."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS sent (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, digest BLOB NOT NULL, envelope BLOB NOT NULL,
    transaction_id BLOB NOT NULL UNIQUE, valid_until INTEGER NOT NULL, state TEXT NOT NULL, code TEXT NOT NULL,
    message TEXT NOT NULL, receipt BLOB NOT NULL, height INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS sent_state ON sent (state, number);
"""
_COLUMNS: Final = "id, digest, envelope, transaction_id, valid_until, state, code, message, receipt, height, number"


class State(StrEnum):
    """Of a command; see above."""

    PENDING = "PENDING"
    DONE = "DONE"
    REFUSED = "REFUSED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class Sent:
    """A command of one of the organisation's programs."""

    id: str
    """The program's own."""
    digest: bytes
    """Of the command, so that an id stands for one only."""
    envelope: bytes
    """Signed."""
    transaction: bytes
    """Its id on the network."""
    valid_until: int
    """Unix seconds."""
    state: str = State.PENDING
    code: str = ""
    """OK or why it was refused; of a PENDING one what f+1 organisations said last, or empty."""
    message: str = ""
    receipt: bytes = b""
    """Encoded; empty while there is none."""
    height: int = 0
    """Of its block; 0 without receipt."""
    number: int = 0
    """Grows with each command; 0: not kept yet."""


@final
class SentCommands:
    """Used from one thread."""

    def __init__(self, base: Database) -> None:
        """Raises CopyError COPY_CORRUPT, COPY_UNUSABLE."""
        self._base: Final = base
        base.make(_SCHEMA)

    def get(self, id: str) -> Sent | None:
        """What was sent under this id."""
        return next(iter(self._select("WHERE id = ?", id)), None)

    def id_of(self, transaction: bytes) -> str | None:
        """The id under which a transaction was sent, if it was sent here."""
        for (id,) in self._base.rows("SELECT id FROM sent WHERE transaction_id = ?", transaction):
            return str(id)
        return None

    def listed(self, state: State | None, after: int, limit: int) -> list[Sent]:
        """Those in a state, or all, in the order in which they were kept, behind a number."""
        if state is None:
            return self._select("WHERE number > ? ORDER BY number LIMIT ?", after, limit)
        where = "WHERE state = ? AND number > ? ORDER BY number LIMIT ?"
        return self._select(where, state, after, limit)

    def pending(self) -> int:
        """How many have no outcome yet."""
        ((count,),) = self._base.rows("SELECT count(*) FROM sent WHERE state = ?", State.PENDING)
        return int(count)

    def keep(self, sent: Sent) -> None:
        """Keep a new command, durable when this returns. The oldest that have an outcome go when they become too many.

        Raises:
            CopyError: COPY_UNUSABLE.
        """
        with self._base.transaction():
            self._base.execute(
                f"INSERT INTO sent ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
                (
                    sent.id, sent.digest, sent.envelope, sent.transaction, sent.valid_until, sent.state, sent.code,
                    sent.message, sent.receipt, sent.height,
                ),
            )  # fmt: skip
            ((count,),) = self._base.rows("SELECT count(*) FROM sent")
            self._base.execute(
                "DELETE FROM sent WHERE number IN (SELECT number FROM sent WHERE state <> ?"
                " ORDER BY number LIMIT ?)",
                (State.PENDING, max(0, count - SENT_MAX)),
            )

    def note(self, sent: Sent) -> None:
        """Keep what became of one that is PENDING. What is final stays as it is.

        Raises:
            CopyError: COPY_UNUSABLE.
        """
        with self._base.transaction():
            self._base.execute(
                "UPDATE sent SET state = ?, code = ?, message = ?, receipt = ?, height = ?"
                " WHERE id = ? AND state = ?",
                (
                    sent.state, sent.code, sent.message, sent.receipt, sent.height, sent.id, State.PENDING,
                ),
            )  # fmt: skip

    def _select(self, where: str, *values: Any) -> list[Sent]:
        return [
            Sent(*row) for row in self._base.rows(f"SELECT {_COLUMNS} FROM sent {where}", *values)
        ]
