"""A simulated disk: behaves like an LMDB environment, loses what was not committed, and breaks.

`node.store.Store` runs on it unchanged. A transaction that is not ended by its `with` block leaves no
trace. Read transactions see the state of their beginning. Damage is done by `flip`; `failure` makes
commits raise as LMDB does on a broken or full disk. What a process must not do on such a disk is noted in
`breach`: to use a damaged value (B10), to write again after a commit has failed (B11).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Any, Final

import lmdb

from node.store.tables import CHECKSUM_BYTES, SEEDS, sealed

MAIN: Final = "main"
PAGE_VALUES: Final = 40
"""Neighbouring values that are damaged together at most: as many share a page of 4 KiB."""
Rows = dict[bytes, bytes]


class Table:
    """Sorted rows of one named database."""

    __slots__ = ("keys", "rows")

    def __init__(self, rows: Rows | None = None) -> None:
        self.rows: Rows = {} if rows is None else rows
        self.keys: list[bytes] = sorted(self.rows)

    def put(self, key: bytes, value: bytes) -> None:
        if key not in self.rows:
            insort(self.keys, key)
        self.rows[key] = value

    def delete(self, key: bytes) -> bool:
        if self.rows.pop(key, None) is None:
            return False
        del self.keys[bisect_left(self.keys, key)]
        return True

    def copy(self) -> Table:
        made = Table.__new__(Table)
        made.rows, made.keys = dict(self.rows), list(self.keys)
        return made


Image = dict[str, Rows]
"""Everything on a disk at one moment."""


@dataclass(frozen=True, slots=True)
class CommitFailure:
    """How commits fail until the disk is mended."""

    text: str
    """Of LMDB's error."""
    lands: bool = False
    """The last write of all failed, after everything had reached the disk: the process hears of a failure,
    and finds the batch at its next start."""


class _Damaged(bytes):
    """A stored value in which a bit has flipped: a checksum may be computed over it, but whoever takes
    something out of it uses it."""

    disk: SimulatedDisk

    def __getitem__(self, at: Any) -> Any:
        self.disk.breach = "uses a damaged value"
        return super().__getitem__(at)


class SimulatedDisk:
    """What survives a crash of the process: named tables. Also stands for the LMDB environment."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.failure: CommitFailure | None = None
        """What the next commits end with; None: they work."""
        self.landed = 0
        """Write transactions that reached the disk."""
        self.breach = ""
        """What a process did that it must not; empty: nothing."""
        self._failed = False
        """A commit of the process that runs has failed."""
        self._readers = 0
        self._damaged: list[tuple[str, bytes, bytes]] = []
        """(table, key, value) as left by `flip`."""

    def begin_life(self) -> None:
        """Another process opens the database."""
        self._failed = False

    # --- faults ---------------------------------------------------------------------------------

    def image(self) -> Image:
        """A copy of everything, as a backup would take it."""
        return {name: dict(table.rows) for name, table in self.tables.items()}

    def restore(self, image: Image) -> None:
        """Put an older image back."""
        self.tables = {name: Table(dict(rows)) for name, rows in image.items()}

    def wipe(self) -> None:
        self.tables = {}

    def empty(self, name: str) -> None:
        """Lose one table, as a copy made record by record that leaves it out."""
        self.tables[name] = Table()

    def flip(self, random: Random) -> str:
        """Flip one bit in each of some neighbouring values; says where."""
        names = sorted(name for name, table in self.tables.items() if table.rows)
        if not names:
            return "an empty disk"
        name = random.choice(names)
        if random.random() < 0.5:  # else the small tables, on which all stands, would seldom be met
            sizes = [len(self.tables[name].rows) for name in names]
            (name,) = random.choices(names, sizes)
        table = self.tables[name]
        first = random.randrange(len(table.keys))
        for key in table.keys[first : first + random.randint(1, PAGE_VALUES)]:
            if isinstance(table.rows[key], _Damaged):
                continue
            value = bytearray(table.rows[key])
            at = random.randrange(len(value) * 8)
            value[at >> 3] ^= 1 << (at & 7)
            damaged = table.rows[key] = _Damaged(value)
            damaged.disk = self
            self._damaged.append((name, key, damaged))
        return f"{name}/{table.keys[first][:12].hex()}"

    def is_damaged(self) -> bool:
        """Whether a damaged value is still there."""
        return any(
            (table := self.tables.get(name)) is not None and table.rows.get(key) is value
            for name, key, value in self._damaged
        )

    def change_record(self, name: str, key: bytes, change: Callable[[bytes], bytes]) -> None:
        """Change a stored value and its checksum with it, if it is there undamaged."""
        table = self.tables.get(name)
        stored = None if table is None else table.rows.get(key)
        if table is not None and stored is not None and not isinstance(stored, _Damaged):
            value = change(stored[:-CHECKSUM_BYTES])
            table.rows[key] = sealed(SEEDS[name], key, value)

    # --- the LMDB environment -------------------------------------------------------------------

    def begin(self, *, write: bool = False, buffers: bool = False) -> Transaction:
        del buffers  # values are immutable bytes either way
        return Transaction(self, write)

    def open_db(self, name: bytes, *, txn: object = None, create: bool = True) -> str:
        del txn
        text = name.decode()
        if text not in self.tables:
            if not create:
                raise lmdb.NotFoundError("no such database")
            self.tables[text] = Table()
        return text

    def info(self) -> dict[str, int]:
        return {"last_pgno": sum(len(t.rows) for t in self.tables.values()), "map_size": 64 << 30}

    def stat(self) -> dict[str, int]:
        return {"psize": 4096, "entries": len(self.tables)}

    def reader_check(self) -> int:
        return 0

    def close(self) -> None:
        return None


class Transaction:
    """One transaction; a write is undone when its block raises, or when its commit fails."""

    __slots__ = ("_disk", "_tables", "_undo", "_write")

    def __init__(self, disk: SimulatedDisk, write: bool) -> None:
        self._disk = disk
        self._write = write
        self._tables = disk.tables
        self._undo: list[tuple[str, bytes, bytes | None]] = []

    def __enter__(self) -> Transaction:
        if not self._write:
            self._disk._readers += 1
            return self
        if self._disk._failed:
            self._disk.breach = "writes again after a commit has failed"
        if self._disk._readers:
            # Readers keep what they see: the writer works on copies.
            tables = self._disk.tables
            self._tables = self._disk.tables = {n: t.copy() for n, t in tables.items()}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        disk = self._disk
        if not self._write:
            disk._readers -= 1
            return
        failure = disk.failure if self._undo else None  # where nothing changed LMDB writes nothing
        if kind is None and (failure is None or failure.lands):
            disk.landed += 1
        else:
            self._take_back()
        if kind is None and failure is not None:
            disk._failed = True
            raise lmdb.Error(failure.text)

    def _take_back(self) -> None:
        for name, key, value in reversed(self._undo):
            if value is None:
                self._tables[name].delete(key)
            else:
                self._tables[name].put(key, value)

    def _note(self, name: str, key: bytes) -> Table:
        table = self._tables[name]
        self._undo.append((name, key, table.rows.get(key)))
        return table

    def get(self, key: bytes, default: bytes | None = None, db: str = MAIN) -> bytes | None:
        table = self._tables.get(db)
        return default if table is None else table.rows.get(key, default)

    def put(self, key: bytes, value: bytes, db: str = MAIN) -> bool:
        self._note(db, key).put(key, value)
        return True

    def delete(self, key: bytes, value: bytes = b"", db: str = MAIN) -> bool:
        del value
        return self._note(db, key).delete(key)

    def stat(self, db: str = MAIN) -> dict[str, int]:
        if db == MAIN:
            return {"entries": len(self._tables)}
        return {"entries": len(self._tables[db].rows)}

    def cursor(self, db: str = MAIN) -> Cursor:
        if db == MAIN:
            names = Table({name.encode(): b"" for name in self._tables})
            return Cursor(self, MAIN, names)
        return Cursor(self, db, self._tables[db])


class Cursor:
    """A position in one table."""

    __slots__ = ("_at", "_name", "_table", "_transaction")

    def __init__(self, transaction: Transaction, name: str, table: Table) -> None:
        self._transaction = transaction
        self._name = name
        self._table = table
        self._at = 0

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter([(key, self._table.rows[key]) for key in self._table.keys])

    def _there(self) -> bool:
        return self._at < len(self._table.keys)

    def first(self) -> bool:
        self._at = 0
        return self._there()

    def set_range(self, key: bytes) -> bool:
        self._at = bisect_left(self._table.keys, key)
        return self._there()

    def next(self) -> bool:
        self._at += 1
        return self._there()

    def key(self) -> bytes:
        return self._table.keys[self._at] if self._there() else b""

    def item(self) -> tuple[bytes, bytes]:
        key = self._table.keys[self._at]
        return key, self._table.rows[key]

    def delete(self) -> bool:
        """Delete the row here; the cursor then stands on the next one, as LMDB's does."""
        if not self._there():
            return False
        return self._transaction.delete(self._table.keys[self._at], db=self._name)

    def putmulti(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        for key, value in items:
            self._transaction.put(key, value, db=self._name)

    def iternext(self, keys: bool = True, values: bool = True) -> Iterator[tuple[bytes, bytes]]:
        del keys, values
        return iter(self)
