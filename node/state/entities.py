"""Entities as they travel: from the records of a state to a message, and back after checking.

An entity is a record, or a voucher with all its lots (`tallynet.state_proof`). Its name is its kind and
id, the key of its record.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from itertools import pairwise
from typing import Final

from node.state.tables import RECORDS, Reader, lots_key, record_key
from node.state.tree import Leaf
from tallynet.codec import decode
from tallynet.errors import RemoteProtocolError, invariant
from tallynet.messages import StateEntity
from tallynet.records import Kind, Lot, lot_id
from tallynet.state_proof import (
    ROW_BYTES,
    entity_key,
    leaf_hash,
    lot_row,
    voucher_leaf_hash,
)

OVERHEAD_BYTES: Final = 32
"""Of one entity in a message, name and lengths."""
_KINDS: Final = tuple(int(kind) for kind in Kind if kind is not Kind.LOT)


def load_entity(reader: Reader, name: bytes) -> StateEntity:
    """The entity of this name. It must exist."""
    record = reader.get(RECORDS, name)
    invariant(record is not None, "STATE_TREE names a record that is not stored")
    lots: list[bytes] = []
    if name[0] == Kind.VOUCHER:
        voucher = name[1:]
        row = reader.get(RECORDS, lots_key(voucher)) or b""
        for at in range(0, len(row), ROW_BYTES):
            start = int.from_bytes(row[at : at + 8], "big")
            lot = reader.get(RECORDS, record_key(Kind.LOT, lot_id(voucher, start)))
            invariant(lot is not None, "STATE_LOT listed in the row but not stored")
            lots.append(lot or b"")
    return StateEntity(name, record or b"", tuple(lots))


def size_of(entity: StateEntity) -> int:
    """Bytes that the entity takes in a message, at most."""
    lots = sum(len(lot) + 3 for lot in entity.lots)
    return OVERHEAD_BYTES + len(entity.record) + lots


def leaf_of(entity: StateEntity) -> Leaf:
    """What the state tree holds of an entity from elsewhere: key, value hash, name.

    Raises:
        RemoteProtocolError: BAD_STATE, no entity can look like this; MALFORMED and the like, for lots.
    """
    kind = entity.name[0]
    if kind not in _KINDS:
        raise RemoteProtocolError("BAD_STATE", f"no entity is of kind {kind}")
    if kind != Kind.VOUCHER:
        if entity.lots:
            raise RemoteProtocolError("BAD_STATE", "lots belong to vouchers")
        return entity_key(entity.name), leaf_hash(kind, entity.record), entity.name
    value = voucher_leaf_hash(sha256(entity.record).digest(), _row_of_lots(entity))
    return entity_key(entity.name), value, entity.name


def _row_of_lots(entity: StateEntity) -> bytes:
    return b"".join(lot_row(decode(Lot, lot).start, lot) for lot in entity.lots)


def leaves_of(entities: Iterable[StateEntity]) -> list[Leaf]:
    """The leaves of entities that must ascend by key. In any other order some could hide: of two runs of
    entities below one step only the last shows in the hash.

    Raises:
        RemoteProtocolError: BAD_STATE.
    """
    leaves = [leaf_of(entity) for entity in entities]
    if any(a[0] >= b[0] for a, b in pairwise(leaves)):
        raise RemoteProtocolError("BAD_STATE", "the entities do not ascend by key")
    return leaves


def records_of(entity: StateEntity) -> dict[bytes, bytes]:
    """The rows of an entity whose hash was checked, as the state stores them."""
    rows = {entity.name: entity.record}
    if entity.lots:
        voucher = entity.name[1:]
        rows[lots_key(voucher)] = _row_of_lots(entity)
        for lot in entity.lots:
            rows[record_key(Kind.LOT, lot_id(voucher, decode(Lot, lot).start))] = lot
    return rows
