"""The committed state: what is durable, read through a bounded cache of decoded records."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from node.state.cache import GenerationCache
from node.state.tables import (
    INDEXES,
    LOT_KEY_BYTES,
    RECORDS,
    STATE_TREE,
    Changes,
    Reader,
    lots_key,
    record_key,
)  # fmt: skip
from node.state.tree import root_of
from tallynet.codec import decode_trusted
from tallynet.records import RECORD_TYPES, Kind, Lot, Record

RECORD_CACHE: Final = 100_000
"""Decoded records kept, about 1 KiB each with their fields: some 100 MiB."""
LOT_ROW_CACHE: Final = 20_000
"""Vouchers whose lots are known without a read."""
NODE_CACHE: Final = 40_000
"""Nodes and buckets of the state tree, 1 KiB each: all nodes of a tree of eight million entities."""
ABSENT_CACHE: Final = 40_000
"""Index keys known not to be there, some 6 MiB: each transaction's id is looked for at the door, by the core, in its
proposal and in its block, and found in none of them."""
_REMEMBERED: Final = int(Kind.REMEMBERED)
SCAN_PAGE_MIN: Final = 16
"""Index keys fetched per read at least, so that short scans over removed keys do not crawl."""

LotRows = tuple[tuple[int, ...], bytes]
"""Starts of a voucher's lots, and its row: start ‖ hash of each."""
NO_LOTS: Final[LotRows] = ((), b"")

_TYPES: Final[dict[int, type[Record]]] = {int(k): kind for k, kind in RECORD_TYPES.items()}
_STARTS: Final = struct.Struct(">Q32x")


def lot_rows(row: bytes | None) -> LotRows:
    """A stored row with its starts taken out."""
    if not row:
        return NO_LOTS
    return tuple(start for (start,) in _STARTS.iter_unpack(row)), row


class CommittedState:
    """State after the newest block whose changes have been folded in.

    One thread uses it. Between the commit of a block in the store and `fold`, its overlay must stay
    in the chain of whoever reads: the overlay answers for everything that the block changed.
    Whoever needs one consistent state over several reads while blocks are committed (proofs, dry
    runs) makes a `CommittedState` of its own over a snapshot reader.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        record_cache: int = RECORD_CACHE,
        lot_row_cache: int = LOT_ROW_CACHE,
        node_cache: int = NODE_CACHE,
        absent_cache: int = ABSENT_CACHE,
    ) -> None:
        self.reader: Final = reader
        self._records: Final[GenerationCache[Record]] = GenerationCache(record_cache)
        self._lots: Final[GenerationCache[LotRows]] = GenerationCache(lot_row_cache)
        self._nodes: Final[GenerationCache[bytes]] = GenerationCache(node_cache)
        self._absent: Final[GenerationCache[bool]] = GenerationCache(absent_cache)

    @classmethod
    def snapshot(cls, reader: Reader) -> CommittedState:
        """The state in one snapshot of the store, with small caches: for a query or a dry run."""
        return cls(
            reader, record_cache=1_000, lot_row_cache=100, node_cache=1_000, absent_cache=100
        )

    @property
    def root(self) -> bytes:
        """State root, as in the newest certificate."""
        return root_of(self.node)

    def record(self, key: bytes) -> Record | None:
        """Record by `record_key`."""
        record = self._records.get(key)
        if record is None:
            data = self.reader.get(RECORDS, key)
            if data is None:
                return None
            is_lot = key[0] == Kind.VOUCHER and len(key) == LOT_KEY_BYTES
            kind: type[Record] = Lot if is_lot else _TYPES[key[0]]
            record = decode_trusted(kind, data)
            self._records.put(key, record)
        return record

    def record_bytes(self, kind: Kind, id: bytes) -> bytes | None:
        """The canonical bytes of a record, as they are proven."""
        return self.reader.get(RECORDS, record_key(kind, id))

    def lots(self, voucher: bytes) -> LotRows:
        """Starts and row of a voucher's lots."""
        rows = self._lots.get(voucher)
        if rows is None:
            rows = lot_rows(self.reader.get(RECORDS, lots_key(voucher)))
            if rows is not NO_LOTS:
                self._lots.put(voucher, rows)
        return rows

    def node(self, path: bytes) -> bytes | None:
        """Node or bucket of the state tree."""
        node = self._nodes.get(path)
        if node is None:
            node = self.reader.get(STATE_TREE, path)
            if node is not None:
                self._nodes.put(path, node)
        return node

    def has_index(self, key: bytes) -> bool:
        """Whether index byte ‖ key is there."""
        if self._absent.get(key):
            return False
        found = self.reader.get(INDEXES, key) is not None
        if not found:
            self._absent.put(key, True)
        return found

    def index_keys(self, prefix: bytes, after: bytes, page: int) -> Iterator[bytes]:
        """Index keys with this prefix above `after`, ascending, read `page` at a time."""
        page = max(page, SCAN_PAGE_MIN)
        while True:
            found = self.reader.scan(INDEXES, prefix, after, page)
            for key, _ in found:
                yield key
            if len(found) < page:
                return
            after = found[-1][0]

    def fold(
        self,
        changes: Changes,
        records: dict[bytes, Record | None],
        lots: dict[bytes, LotRows],
    ) -> None:
        """Take in a block that the store has made durable; caches keep what it wrote, but for ids of transactions: every
        block has some, and they are read once, when they expire."""
        self._records.update(
            [row for row in records.items() if row[0][0] != _REMEMBERED or row[1] is None]
        )
        for voucher, rows in lots.items():
            if rows[1]:
                self._lots.put(voucher, rows)
            else:
                self._lots.drop(voucher)
        for key, row in changes.indexes:
            if row is not None:
                self._absent.drop(key)
        self._nodes.update(changes.tree)
