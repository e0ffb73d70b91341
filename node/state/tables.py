"""The tables of the state, and what the state needs of whoever keeps them.

Keys and values are bytes. The store keeps the same tables in LMDB; tests and tools keep them in a
dictionary. Nothing in `node.state` knows which.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass
from typing import Final, Protocol

from tallynet.records import Kind

RECORDS: Final = "records"
"""`record_key` -> canonical record bytes, and `lots_key` -> rows of a voucher's lots."""
STATE_TREE: Final = "state_tree"
"""path -> node or bucket of the state tree (`node.state.tree`)."""
INDEXES: Final = "indexes"
"""index (1 byte) ‖ key -> empty."""

STATE_TABLES: Final = (RECORDS, STATE_TREE, INDEXES)

VOUCHER_BYTES: Final = 16
LOT_ID_BYTES: Final = 24
_VOUCHER: Final = bytes((Kind.VOUCHER,))
RECORD_PREFIX: Final = tuple(
    _VOUCHER if number == Kind.LOT else bytes((number,)) for number in range(256)
)
"""First byte of a record's key. A voucher, the row of its lots and its lots lie side by side, so that
an act on a lot rewrites one page of the database instead of three."""
LOT_KEY_BYTES: Final = 1 + LOT_ID_BYTES


def record_key(kind: Kind, id: bytes) -> bytes:
    """Key of a record: kind byte ‖ id; a lot has its voucher's kind byte and a longer id."""
    return RECORD_PREFIX[kind] + id


def lots_key(voucher: bytes) -> bytes:
    """Key of start (8) ‖ SHA-256 of the lot record (32), for all lots of a voucher by start."""
    return _VOUCHER + voucher + b"\x00"


def record_of(key: bytes) -> tuple[Kind, bytes] | None:
    """(kind, id) of a record by its key; None for the key of a row of lots."""
    if key[0] != Kind.VOUCHER:
        return Kind(key[0]), key[1:]
    if len(key) == LOT_KEY_BYTES:
        return Kind.LOT, key[1:]
    return (Kind.VOUCHER, key[1:]) if len(key) == 1 + VOUCHER_BYTES else None


Row = tuple[bytes, bytes | None]
"""Key and new value; None deletes the key, which need not exist."""


class Reader(Protocol):
    """Reads of the newest durable state, or of one snapshot of it."""

    def get(self, table: str, key: bytes) -> bytes | None:
        """The value, or None."""

    def scan(
        self, table: str, prefix: bytes, after: bytes, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """Entries whose key starts with `prefix` and is greater than `after`, ascending, at most
        `limit`; an empty `after` starts at the first."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What one sealed block changes, per table in order of key: the block's part of a commit."""

    records: list[Row]
    tree: list[Row]
    indexes: list[Row]

    def by_table(self) -> tuple[tuple[str, list[Row]], ...]:
        """(table, rows) for every state table."""
        return (
            (RECORDS, self.records),
            (STATE_TREE, self.tree),
            (INDEXES, self.indexes),
        )


def _end_of(keys: list[bytes], prefix: bytes, at: int) -> int:
    """Where the keys with this prefix end, of those from `at` on."""
    head = prefix.rstrip(b"\xff")
    if not head:
        return len(keys)
    return bisect_left(keys, head[:-1] + bytes((head[-1] + 1,)), at)


class MemoryReader:
    """The state tables in memory, for tests and tools: what the store is to a node."""

    def __init__(self) -> None:
        self._tables: Final[dict[str, dict[bytes, bytes]]] = {name: {} for name in STATE_TABLES}
        self._sorted: Final[dict[str, list[bytes]]] = {name: [] for name in STATE_TABLES}

    def copy(self) -> MemoryReader:
        """The same entries, to be changed apart."""
        other = MemoryReader()
        for name in STATE_TABLES:
            other._tables[name].update(self._tables[name])
            other._sorted[name].extend(self._sorted[name])
        return other

    def get(self, table: str, key: bytes) -> bytes | None:
        return self._tables[table].get(key)

    def scan(
        self, table: str, prefix: bytes, after: bytes, limit: int
    ) -> list[tuple[bytes, bytes]]:
        rows = self._tables[table]
        keys = self._sorted[table]
        at = bisect_right(keys, after) if after >= prefix else bisect_left(keys, prefix)
        end = min(_end_of(keys, prefix, at), at + limit)
        return [(key, rows[key]) for key in keys[at:end]]

    def apply(self, changes: Changes) -> None:
        """Make a block's changes part of the tables."""
        for table, rows in changes.by_table():
            kept, keys = self._tables[table], self._sorted[table]
            for key, value in rows:
                if value is not None:
                    if key not in kept:
                        insort(keys, key)
                    kept[key] = value
                elif kept.pop(key, None) is not None:
                    del keys[bisect_left(keys, key)]
