"""Reads: one consistent snapshot in a short transaction, or single values of the newest state."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from consensus.journal import DIVERGED
from node.state.tables import STATE_TABLES
from node.store.batch import BASE_KEY, GENERATION_KEY, PRUNED_KEY, STAGING_KEY, TIP_KEY
from node.store.errors import StoreFatal
from node.store.tables import (
    BLOCKS,
    BODIES,
    CHECKSUM_BYTES,
    EVIDENCE,
    HANDOVERS,
    JOURNAL,
    META,
    RECEIPTS,
    SEEDS,
    TRANSACTIONS,
    VIEWS,
    VOUCHER_LOG,
    BlockRow,
    Logged,
    ReceiptsRow,
    Staging,
    Tip,
    height_key,
    intact,
    name_in_file,
    unpack,
)  # fmt: skip
from tallynet.codec import decode_trusted

_PLACE: Final = struct.Struct(">QIQQ")


@dataclass(frozen=True, slots=True)
class HeldBlock:
    """Bodies of a candidate for a height."""

    height: int
    block: bytes
    envelopes: tuple[bytes, ...]
    """In block order."""


Damage = Callable[[str], StoreFatal]
"""Makes the fatal error for damage that was found."""


class Snapshot:
    """One read transaction: everything read through it is of the same commit. A `Reader` for
    `CommittedState.snapshot`. Every value's checksum is verified; damage is `StoreFatal`."""

    __slots__ = ("_damage", "_generation", "_tables", "_transaction")

    def __init__(
        self,
        transaction: Any,
        tables: dict[str, Any],
        damage: Damage,
        generation: int | None = None,
    ) -> None:
        """`generation` chooses the tables of the state; None: those that are current in this commit."""
        self._transaction: Final = transaction
        self._tables: Final = tables
        self._damage: Final = damage
        self._generation = generation

    # --- any table --------------------------------------------------------------------------------

    def _place(self, table: str) -> str:
        if table not in STATE_TABLES:
            return table
        if self._generation is None:
            self._generation = self.generation()
        return name_in_file(table, self._generation)

    def get(self, table: str, key: bytes) -> bytes | None:
        place = self._place(table)
        stored: bytes | None = self._transaction.get(key, db=self._tables[place])
        return None if stored is None else self._open(place, key, stored)

    def _open(self, table: str, key: bytes, stored: bytes) -> bytes:
        if not intact(SEEDS[table], key, stored):
            raise _changed(self._damage, table, key)
        return stored[:-CHECKSUM_BYTES]

    def scan(
        self, table: str, prefix: bytes, after: bytes, limit: int
    ) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        for row in self._rows(table, prefix, after):
            if len(found) >= limit:
                break
            found.append(row)
        return found

    def dump(self, table: str, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All rows of a table in order of key: to compare with what a rebuild gives (I14)."""
        return self._rows(table, prefix, b"")

    def keys(self, table: str, prefix: bytes, limit: int) -> list[bytes]:
        """The first `limit` keys that start with `prefix`, their values unread: to delete them."""
        found: list[bytes] = []
        with self._transaction.cursor(db=self._tables[self._place(table)]) as cursor:
            there = cursor.set_range(prefix) if prefix else cursor.first()
            while there and len(found) < limit:
                key: bytes = cursor.key()
                if not key.startswith(prefix):
                    break
                found.append(key)
                there = cursor.next()
        return found

    def _rows(self, table: str, prefix: bytes, after: bytes) -> Iterator[tuple[bytes, bytes]]:
        table = self._place(table)
        with self._transaction.cursor(db=self._tables[table]) as cursor:
            there = cursor.set_range(max(prefix, after)) if prefix or after else cursor.first()
            while there:
                key, stored = cursor.item()
                if not key.startswith(prefix):
                    return
                if key != after:
                    yield key, self._open(table, key, stored)
                there = cursor.next()

    def _large(self, table: str, prefix: bytes) -> bytes | None:
        data = b"".join(value for _, value in self._rows(table, prefix, b""))
        if not data:
            return None
        if int.from_bytes(data[:8], "big") != len(data) - 8:
            raise self._damage(f"pieces of a value in table {table} under {prefix.hex()} are lost")
        return data[8:]

    # --- what the tables mean ---------------------------------------------------------------------

    def meta(self, name: bytes) -> bytes | None:
        return self.get(META, name)

    def tip(self) -> Tip | None:
        """The newest durable block (height 0: the genesis state); None while the store is new."""
        data = self.get(META, TIP_KEY)
        return None if data is None else decode_trusted(Tip, data)

    def generation(self) -> int:
        """How often the two sets of state tables have changed places."""
        return int.from_bytes(self.meta(GENERATION_KEY) or b"", "big")

    def staging(self) -> Staging | None:
        """How far the state that is not current has come; None: nothing of use is there."""
        data = self.meta(STAGING_KEY)
        return None if data is None else decode_trusted(Staging, data)

    def base(self) -> int:
        """From this height on every block is held with its bodies and receipts."""
        fetched = int.from_bytes(self.meta(BASE_KEY) or b"\x01", "big")
        return max(fetched, self.pruned() + 1)

    def pruned(self) -> int:
        """Height up to which old blocks were deleted; 0: none were."""
        return int.from_bytes(self.meta(PRUNED_KEY) or b"", "big")

    def block_heights(self, after: int, limit: int) -> list[int]:
        """Heights above `after` of which a row is stored, ascending."""
        rows = self.scan(BLOCKS, b"", height_key(after), limit)
        return [int.from_bytes(key, "big") for key, _ in rows]

    def journal(self) -> list[tuple[bytes, bytes]]:
        """All entries of the consensus core by key, for its start."""
        return list(self._rows(JOURNAL, b"", b""))

    def evidence(self, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """(key, proof) of every proof of misbehaviour behind key `after`, in order of key."""
        return self._all_large(EVIDENCE, after)

    def new_views(self, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """(epoch ‖ view, encoded `Signed` NewView) of the archive, oldest first."""
        return self._all_large(VIEWS, after)

    def handovers(self, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """(first epoch, encoded `Handover`) of every change of the validator set behind key `after`."""
        return self._all_large(HANDOVERS, after)

    def divergence(self) -> bytes:
        """What the core wrote down when its results differed from others'; empty when they never did."""
        return self.get(JOURNAL, DIVERGED) or b""

    def _all_large(self, table: str, after: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Every value of a table of large values, in order of key."""
        seek = after + b"\xff\xff" if after else b""
        for row, _ in self._rows(table, b"", seek):
            key, chunk = row[:-2], row[-2:]
            data = self._large(table, key) if chunk == bytes(2) else None
            if data is not None:
                yield key, data

    def block(self, height: int) -> BlockRow | None:
        """A final block without bodies; None if it is not stored."""
        data = self.get(BLOCKS, height_key(height))
        return None if data is None else decode_trusted(BlockRow, data)

    def envelopes(self, height: int, block: bytes) -> tuple[bytes, ...] | None:
        """Bodies of a final or candidate block in block order; None if they are not held."""
        data = self._large(BODIES, height_key(height) + block)
        return None if data is None else unpack(data)

    def candidates(self, height: int) -> list[bytes]:
        """Hashes of the blocks whose bodies are held at `height`."""
        rows = self._rows(BODIES, height_key(height), b"")
        return [key[8:40] for key, _ in rows if key[40:] == bytes(2)]

    def held_above(self, height: int) -> list[HeldBlock]:
        """Bodies of all candidates above `height`, for the restart: at most a window's worth."""
        blocks = [
            (int.from_bytes(key[:8], "big"), key[8:40])
            for key, _ in self._rows(BODIES, b"", height_key(height + 1))
            if key[40:] == bytes(2)
        ]
        return [HeldBlock(h, block, self.envelopes(h, block) or ()) for h, block in blocks]

    def receipts(self, height: int) -> ReceiptsRow | None:
        """What a final block gave; None if it is not stored."""
        data = self._large(RECEIPTS, height_key(height))
        return None if data is None else decode_trusted(ReceiptsRow, data)

    def transaction(self, transaction: bytes) -> tuple[int, int] | None:
        """(height, position in the block) of an executed envelope; None if it is unknown."""
        data = self.get(TRANSACTIONS, transaction)
        if data is None:
            return None
        return int.from_bytes(data[:8], "big"), int.from_bytes(data[8:], "big")

    def log(self, voucher: bytes, below: int, limit: int) -> list[Logged]:
        """The newest events of a voucher with a sequence under `below`, newest first, at most `limit`. Those
        in blocks that were deleted, or never held, are missing."""
        found: list[Logged] = []
        place = self._place(VOUCHER_LOG)
        with self._transaction.cursor(db=self._tables[place]) as cursor:
            key = voucher + below.to_bytes(8, "big")
            there = cursor.prev() if cursor.set_range(key) else cursor.last()
            while there and len(found) < limit:
                key, stored = cursor.item()
                if not key.startswith(voucher):
                    break
                place_of = _PLACE.unpack(self._open(place, key, stored))
                found.append(Logged(int.from_bytes(key[16:], "big"), *place_of))
                there = cursor.prev()
        return found


def _changed(damage: Damage, table: str, key: bytes) -> StoreFatal:
    return damage(f"a value in table {table} under {key[:40].hex()} has changed")


class LiveReader:
    """Values of the newest commit, each read in a transaction of its own (0.4 µs: LMDB keeps spare
    ones): for the cache misses of `CommittedState`. It reads one of the two states for good."""

    __slots__ = ("_damage", "_environment", "_generation", "_places", "_tables")

    def __init__(
        self, environment: Any, tables: dict[str, Any], damage: Damage, generation: int
    ) -> None:
        self._environment: Final = environment
        self._tables: Final = tables
        self._damage: Final = damage
        self._generation: Final = generation
        names = {table: name_in_file(table, generation) for table in STATE_TABLES}
        self._places: Final = {t: (tables[name], SEEDS[name]) for t, name in names.items()}

    def get(self, table: str, key: bytes) -> bytes | None:
        place, seed = self._places[table]
        with self._environment.begin() as transaction:
            stored: bytes | None = transaction.get(key, db=place)
        if stored is None:
            return None
        if not intact(seed, key, stored):
            raise _changed(self._damage, name_in_file(table, self._generation), key)
        return stored[:-CHECKSUM_BYTES]

    def scan(
        self, table: str, prefix: bytes, after: bytes, limit: int
    ) -> list[tuple[bytes, bytes]]:
        with self._environment.begin() as transaction:
            return self._snapshot(transaction).scan(table, prefix, after, limit)

    def keys(self, table: str, prefix: bytes, limit: int) -> list[bytes]:
        """As `Snapshot.keys`."""
        with self._environment.begin() as transaction:
            return self._snapshot(transaction).keys(table, prefix, limit)

    def _snapshot(self, transaction: Any) -> Snapshot:
        return Snapshot(transaction, self._tables, self._damage, self._generation)
