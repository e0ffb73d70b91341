"""One SQLite file of the light node: durable transactions, one process at a time, errors as ours."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, final

from tallynet.errors import TallynetError

__all__ = ["CopyError", "Database", "open_for"]

_FILE_MODE: Final = 0o600
_FACTS: Final = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""


class CopyError(TallynetError):
    """What the light node keeps cannot be used: COPY_CORRUPT, COPY_OTHER, COPY_FULL, COPY_UNUSABLE, COPY_EMPTY. The
    text names the file and what to do."""


@final
class Database:
    """Used from one thread; readable by its owner alone."""

    def __init__(self, path: Path) -> None:
        """Open, or make.

        Raises:
            CopyError: COPY_CORRUPT, COPY_UNUSABLE.
        """
        self.path: Final = path
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, _FILE_MODE))
        except OSError as error:
            raise CopyError("COPY_UNUSABLE", f"{path}: {error.strerror}") from None
        self._sql: Final = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            with self._failing():
                # Exclusive: a second light node over the same file would move its cursor.
                for setting in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
                    self._sql.execute(f"PRAGMA {setting}")
                self._sql.executescript(_FACTS)
        except CopyError:
            self.close()
            raise

    def close(self) -> None:
        self._sql.close()

    def make(self, schema: str) -> None:
        """Add tables, if they are not there. Raises CopyError COPY_CORRUPT, COPY_UNUSABLE."""
        with self._failing():
            self._sql.executescript(schema)

    def require(self, facts: Mapping[str, bytes]) -> None:
        """Have the file stand for these facts from now on; it is closed when it stands for others.

        Raises:
            CopyError: COPY_OTHER, COPY_UNUSABLE.
        """
        try:
            with self.transaction():
                for name, value in facts.items():
                    kept = self.fact(name)
                    if kept is not None and kept != value:
                        raise CopyError(
                            "COPY_OTHER", f"{self.path} has another {name}; name another directory"
                        )
                    self.set(name, value)
        except CopyError:
            self.close()
            raise

    def fact(self, name: str) -> bytes | None:
        for (value,) in self.rows("SELECT value FROM facts WHERE name = ?", name):
            return bytes(value)
        return None

    def set(self, name: str, value: bytes) -> None:
        self.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._failing():
            return self._sql.execute(query, values).fetchall()

    def execute(self, statement: str, values: tuple[object, ...]) -> None:
        """Inside of a `transaction`."""
        with self._failing():
            self._sql.execute(statement, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it is durable at the end, or nothing has changed. Raises CopyError COPY_UNUSABLE."""
        with self._failing():
            self._sql.execute("BEGIN IMMEDIATE")
        try:
            yield
            with self._failing():
                self._sql.execute("COMMIT")
        except BaseException:
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")
            raise

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """What SQLite says, as ours."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise CopyError("COPY_UNUSABLE", f"{self.path}: {error}") from None
        except sqlite3.DatabaseError as error:
            raise CopyError("COPY_CORRUPT", f"{self.path}: {error}") from None


def open_for(path: Path, genesis: bytes, organisation: bytes, version: bytes) -> Database:
    """The file of one organisation on one network.

    Raises:
        CopyError: COPY_CORRUPT, COPY_OTHER, COPY_UNUSABLE.
    """
    base = Database(path)
    base.require({"genesis": genesis, "organisation": organisation, "version": version})
    return base
