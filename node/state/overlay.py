"""Uncommitted changes of one block, stacked on the block before.

Theory of operation. An overlay holds what its block wrote, by key; reads that it cannot answer fall
through to the overlays below and at last to the committed state. Scratch layers (`begin`) are marks in
an undo log: a write notes what it replaced, `rollback` puts that back, `accept` forgets the mark. So
reads pay nothing for them.

Life of an overlay: written by the execution of its block, `seal`ed once (state root, then read-only;
the next block may stack on it), then either `commit`ted, when the store has made its `changes` durable
and the overlay below is committed, or `drop`ped, after those stacked on it. A rival of a block (another
candidate for its height) must be dropped before the winner's changes go to the store.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from hashlib import sha256
from heapq import merge
from typing import Any, Final, cast

from node.state.committed import NO_LOTS, CommittedState, LotRows
from node.state.tables import LOT_KEY_BYTES, RECORD_PREFIX, Changes, Row, lots_key
from node.state.tree import NAME_BYTES, Leaf, update_tree
from node.state.view import Index
from tallynet.codec import encode
from tallynet.errors import invariant
from tallynet.records import Kind, Lot, Record
from tallynet.state_proof import ROW_BYTES, entity_key, leaf_hash, voucher_leaf_hash

READS_MAX: Final = 20_000
"""Records remembered from the layers below, absent ones too: several per command of a full block. The door's view
lives until the next block, and what is asked for there must not grow with who asks."""
INDEX_KEY_BYTES_MAX: Final = 200
"""Well below LMDB's 511, with room for the index byte; the longest key in use has 49."""

_INDEX_PREFIX: Final = tuple(bytes((n,)) for n in range(256))
_LOT: Final = int(Kind.LOT)
_VOUCHER: Final = int(Kind.VOUCHER)
_ABSENT: Final = cast("Any", object())
"""Not in this layer; None means deleted here."""


class Overlay:
    """Changes of one block; a `TransactionalView` for the rules (see the module)."""

    __slots__ = (
        "_below", "_changes", "_committed", "_dropped", "_indexes", "_lots", "_marks",
        "_nodes", "_reads", "_records", "_root", "_sorted", "_starts", "_undo",
    )  # fmt: skip

    def __init__(self, parent: Overlay | CommittedState) -> None:
        """`parent` is the state after the block before."""
        self._below: Overlay | None = None
        self._dropped: bool = False
        if isinstance(parent, Overlay):
            invariant(not parent._dropped, "STATE_OVERLAY stacked on a dropped overlay")
            self._committed: CommittedState = parent._committed
            self._below = None if parent.committed else parent
        else:
            self._committed = parent
        self._records: dict[bytes, Record | None] = {}
        self._reads: dict[bytes, Record | None] = {}
        """What was found below: it stays the same while this layer is written, durable or not."""
        self._starts: dict[bytes, tuple[int, ...]] = {}
        """Starts of the lots of every voucher with a lot created or removed here."""
        self._indexes: dict[bytes, bool] = {}
        """True: added here, False: removed here."""
        self._sorted: dict[int, list[bytes]] = {}
        """Keys of `_indexes` in order, for the indexes that were scanned."""
        self._undo: list[tuple[dict[bytes, Any], bytes, Any]] = []
        self._marks: list[int] = []
        self._changes: Changes | None = None
        self._root = b""
        self._lots: dict[bytes, LotRows] = {}
        self._nodes: dict[bytes, bytes | None] = {}

    # --- records --------------------------------------------------------------------------------

    def get(self, kind: Kind, id: bytes) -> Record | None:
        # Every rule reads, mostly what this block wrote or has read before: no call for that.
        key = RECORD_PREFIX[kind] + id
        record: Record | None = self._records.get(key, _ABSENT)
        if record is _ABSENT:
            record = self._reads.get(key, _ABSENT)
        return self._read(key) if record is _ABSENT else record

    def _read(self, key: bytes) -> Record | None:
        if len(self._reads) >= READS_MAX:
            self._reads.clear()
        record = self._reads[key] = self._find(key)
        return record

    def _find(self, key: bytes) -> Record | None:
        layer: Overlay | None = self
        while layer is not None:
            record: Record | None = layer._records.get(key, _ABSENT)
            if record is not _ABSENT:
                return record
            layer = layer._below
        return self._committed.record(key)

    def put(self, kind: Kind, id: bytes, record: Record) -> None:
        key = RECORD_PREFIX[kind] + id
        if kind == _LOT:
            start = int.from_bytes(id[16:], "big")
            if len(id) != 24 or type(record) is not Lot or record.start != start:
                invariant(False, "STATE_LOT the id is not that of the lot")
            # One that this block has written already is among the starts.
            if self._records.get(key) is None:
                self._add_start(id[:16], start)
        self._write(self._records, key, record)

    def delete(self, kind: Kind, id: bytes) -> None:
        key = RECORD_PREFIX[kind] + id
        invariant(self._find(key) is not None, "STATE_DELETE of a record that does not exist")
        if kind == _LOT:
            voucher, start = id[:16], int.from_bytes(id[16:], "big")
            starts = self.lot_starts(voucher)
            at = bisect_left(starts, start)
            self._write(self._starts, voucher, starts[:at] + starts[at + 1 :])
        self._write(self._records, key, None)

    def _write(self, into: dict[bytes, Any], key: bytes, value: object) -> None:
        if self._marks:
            self._undo.append((into, key, into.get(key, _ABSENT)))
        elif self._changes is not None:
            invariant(False, "STATE_SEALED write into a sealed overlay")
        into[key] = value

    # --- lots -----------------------------------------------------------------------------------

    def lot_starts(self, voucher: bytes) -> tuple[int, ...]:
        layer: Overlay | None = self
        while layer is not None:
            starts = layer._starts.get(voucher)
            if starts is not None:
                return starts
            layer = layer._below
        return self._committed.lots(voucher)[0]

    def _add_start(self, voucher: bytes, start: int) -> None:
        starts = self.lot_starts(voucher)
        at = bisect_left(starts, start)
        if at == len(starts) or starts[at] != start:
            self._write(self._starts, voucher, (*starts[:at], start, *starts[at:]))

    # --- indexes --------------------------------------------------------------------------------

    def index_add(self, index: Index, key: bytes) -> None:
        self._index(index, key, True)

    def index_remove(self, index: Index, key: bytes) -> None:
        self._index(index, key, False)

    def _index(self, index: Index, key: bytes, there: bool) -> None:
        full = _INDEX_PREFIX[index] + key
        before = self._indexes.get(full)
        if before is there:
            invariant(False, "STATE_INDEX key added or removed twice")
        if before is None:
            invariant(len(key) <= INDEX_KEY_BYTES_MAX, "STATE_INDEX key too long")
            order = self._sorted.get(index)
            if order is not None:
                insort(order, full)
        self._write(self._indexes, full, there)

    def index_has(self, index: Index, key: bytes) -> bool:
        full = _INDEX_PREFIX[index] + key
        decision = self._decision(full)
        return self._committed.has_index(full) if decision is None else decision

    def _decision(self, full: bytes) -> bool | None:
        """What the layers say about an index key; None: nothing."""
        layer: Overlay | None = self
        while layer is not None:
            there = layer._indexes.get(full)
            if there is not None:
                return there
            layer = layer._below
        return None

    def index_scan(
        self, index: Index, prefix: bytes, *, after: bytes = b"", limit: int
    ) -> list[bytes]:
        full_prefix = _INDEX_PREFIX[index] + prefix
        full_after = _INDEX_PREFIX[index] + after if after else b""
        streams: list[Iterator[bytes]] = []
        layer: Overlay | None = self
        while layer is not None:
            order = layer._sorted.get(index)
            if order is None:
                order = layer._sort(index)
            at = bisect_left(order, full_prefix)
            if full_after >= full_prefix:
                at = bisect_right(order, full_after)
            if at < len(order) and order[at].startswith(full_prefix):
                streams.append(_keys_from(order, at, full_prefix))
            layer = layer._below
        base = self._committed.index_keys(full_prefix, full_after, limit)
        found: list[bytes] = []
        before = b""
        for key in merge(base, *streams) if streams else base:
            if len(found) == limit:
                break
            if key != before:
                before = key
                if not streams or self._decision(key) is not False:
                    found.append(key[1:])
        return found

    def _sort(self, index: int) -> list[bytes]:
        head = _INDEX_PREFIX[index]
        order = self._sorted[index] = sorted(key for key in self._indexes if key[:1] == head)
        return order

    # --- scratch layers ---------------------------------------------------------------------------

    def begin(self) -> None:
        invariant(self._changes is None, "STATE_SEALED scratch layer on a sealed overlay")
        if self._below is not None and self._below.committed:
            self._below = None
        self._marks.append(len(self._undo))

    def accept(self) -> None:
        self._marks.pop()
        if not self._marks:
            self._undo.clear()

    def rollback(self) -> None:
        mark = self._marks.pop()
        undo = self._undo
        while len(undo) > mark:
            into, key, old = undo.pop()
            if old is not _ABSENT:
                into[key] = old
                continue
            del into[key]
            if into is self._indexes and (order := self._sorted.get(key[0])) is not None:
                del order[bisect_left(order, key)]

    # --- from execution to commit -----------------------------------------------------------------

    def seal(self) -> bytes:
        """End the block's execution: encode what it wrote, sweep the state tree, return the state
        root. From here on the overlay is read-only. Sealing again returns the same root."""
        if self._changes is None:
            invariant(not self._marks, "STATE_SEAL with an open scratch layer")
            below = self._below
            invariant(
                below is None or (below._changes is not None and not below._dropped),
                "STATE_SEAL before the block below, or after it was dropped",
            )
            self._changes = self._make_changes()
        return self._root

    @property
    def root(self) -> bytes:
        """State root of a sealed overlay."""
        invariant(self._changes is not None, "STATE_SEAL root of an open overlay")
        return self._root

    @property
    def committed(self) -> bool:
        """True once folded into the committed state."""
        return self._changes is _FOLDED

    def changes(self) -> Changes:
        """What the store must make durable for this block. Only for a sealed overlay."""
        changes = self._changes
        invariant(
            changes is not None and changes is not _FOLDED, "STATE_CHANGES of an open overlay"
        )
        return cast("Changes", changes)

    def commit(self) -> None:
        """Fold into the committed state what the store has made durable, oldest block first.
        Overlays stacked on this one go on reading the same values."""
        changes = self.changes()
        below = self._below
        invariant(below is None or below.committed, "STATE_COMMIT before the block below")
        invariant(not self._dropped, "STATE_COMMIT of a dropped overlay")
        self._committed.fold(changes, self._records, self._lots)
        self._changes = _FOLDED
        self._forget()

    def drop(self) -> None:
        """Nothing happened. Overlays stacked on this one are of no use any more: drop them first."""
        invariant(not self.committed, "STATE_DROP of a committed overlay")
        self._dropped = True
        self._forget()

    def _forget(self) -> None:
        self._below = None
        self._records = {}
        self._reads = {}
        self._starts = {}
        self._indexes = {}
        self._sorted = {}
        self._lots = {}
        self._nodes = {}
        self._undo = []

    def node(self, path: bytes) -> bytes | None:
        """Node or bucket of the state tree as of this block (the one below while unsealed)."""
        layer: Overlay | None = self
        while layer is not None:
            node: bytes | None = layer._nodes.get(path, _ABSENT)
            if node is not _ABSENT:
                return node
            layer = layer._below
        return self._committed.node(path)

    def lots(self, voucher: bytes) -> LotRows:
        """Starts and row of a voucher's lots as of this block (the one below while unsealed)."""
        layer: Overlay | None = self
        while layer is not None:
            rows = layer._lots.get(voucher)
            if rows is not None:
                return rows
            layer = layer._below
        return self._committed.lots(voucher)

    def _make_changes(self) -> Changes:
        records: list[Row] = []
        leaves: list[Leaf] = []
        vouchers: dict[bytes, bytes | None] = {}
        touched: dict[bytes, list[tuple[int, bytes | None]]] = {}
        written = self._records
        for key in sorted(written):
            record, kind, size = written[key], key[0], len(key)
            data = None if record is None else encode(record)
            records.append((key, data))
            if size == LOT_KEY_BYTES and kind == _VOUCHER:
                digest = None if data is None else sha256(data).digest()
                lot = (int.from_bytes(key[17:], "big"), digest)
                if (lots := touched.get(key[1:17])) is None:
                    lots = touched[key[1:17]] = []
                lots.append(lot)
                continue
            if size != NAME_BYTES:
                invariant(False, "STATE_ID not of 16 bytes")
            if kind == _VOUCHER:
                vouchers[key[1:]] = data
                touched.setdefault(key[1:], [])
            else:
                value = None if data is None else leaf_hash(kind, data)
                leaves.append((entity_key(key), value, key))
        for voucher, lots in touched.items():
            leaves.append(self._voucher_leaf(voucher, vouchers, lots, records))
        records.sort()
        leaves.sort()
        self._root, nodes = update_tree(self.node, leaves)
        self._nodes = nodes
        self._reads = {}
        indexes: list[Row] = [
            (key, b"" if there else None) for key, there in sorted(self._indexes.items())
        ]
        return Changes(records, sorted(nodes.items()), indexes)

    def _voucher_leaf(
        self,
        voucher: bytes,
        vouchers: dict[bytes, bytes | None],
        lots: list[tuple[int, bytes | None]],
        records: list[Row],
    ) -> Leaf:
        """Leaf of a voucher of which the record or lots changed; notes the new row of its lots."""
        key = RECORD_PREFIX[_VOUCHER] + voucher
        if voucher in vouchers:
            data = vouchers[voucher]
        else:
            record = self._find(key)
            data = None if record is None else encode(record)
        starts, row = self.lots(voucher)
        if lots:
            starts, row = _changed_row(starts, row, lots)
            self._lots[voucher] = (starts, row) if row else NO_LOTS
            records.append((lots_key(voucher), row or None))
        if data is None:
            invariant(not row, "STATE_LOT lots without their voucher")
            return entity_key(key), None, key
        return entity_key(key), voucher_leaf_hash(sha256(data).digest(), row), key


_FOLDED: Final = Changes([], [], [])
"""Stands for the changes of an overlay that has been committed."""


def _keys_from(order: list[bytes], at: int, prefix: bytes) -> Iterator[bytes]:
    while at < len(order) and order[at].startswith(prefix):
        yield order[at]
        at += 1


def _changed_row(
    starts: tuple[int, ...], row: bytes, lots: list[tuple[int, bytes | None]]
) -> LotRows:
    """Row after some lots (ascending by start) were written or, without hash, removed."""
    new_starts: list[int] = []
    pieces: list[bytes] = []
    position = 0
    for start, digest in lots:
        at = bisect_left(starts, start, position)
        new_starts.extend(starts[position:at])
        pieces.append(row[position * ROW_BYTES : at * ROW_BYTES])
        if digest is not None:
            new_starts.append(start)
            pieces.append(start.to_bytes(8, "big") + digest)
        position = at + (at < len(starts) and starts[at] == start)
    new_starts.extend(starts[position:])
    pieces.append(row[position * ROW_BYTES :])
    return tuple(new_starts), b"".join(pieces)
