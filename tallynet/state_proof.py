"""Proofs about the state: that a record has this value, or that there is none, under a state root.

The state is a set of entities: every record but lots, which belong to their voucher. Entity key =
SHA-256(kind ‖ id); its value hash covers the record, for a voucher also all lots in order of start.
The tree over them depends on the set alone, never on its history:

    subtree with no entity       32 zero bytes
    with 1 to 16                 SHA-256(0x42 ‖ key ‖ value hash ‖ ... by key)      a bucket
    with more                    SHA-256(0x43 ‖ left half ‖ right half), four bits of the key at a
                                 time: there are buckets at depths that are multiples of four only
    root                         SHA-256(0x44 ‖ number of entities ‖ tree)

A proof is the path to where the key belongs and the whole bucket there, so inclusion and absence are
one check: the bucket has an entry for the key, or has none. Every byte of a proof is hashed or
implied (C6, C7).
"""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import Annotated, Final

from msgspec import Meta

from tallynet.codec import Wire, decode
from tallynet.errors import RemoteProtocolError
from tallynet.fields import Hash, Uint
from tallynet.records import Kind, Lot, Voucher

__all__ = [
    "BUCKET_MAX", "EMPTY", "LEVEL_BITS", "ROW_BYTES", "StateProof", "bucket_hash", "entity_key",
    "leaf_hash", "lot_row", "node_hash", "tree_root", "verify_lot_proof", "verify_state_proof",
    "verify_voucher_proof", "voucher_leaf_hash",
]  # fmt: skip

BUCKET_MAX: Final = 16
"""Entities in one bucket at most: a proof carries the whole bucket, 1 KiB."""
LEVEL_BITS: Final = 4
"""Key bits per level of the stored 16-ary tree."""
DEPTH_MAX: Final = 64
"""Levels of a 256-bit key."""
EMPTY: Final = bytes(32)
"""Hash of a subtree without entities. Nobody knows a preimage of it."""
ENTRY_BYTES: Final = 64
ROW_BYTES: Final = 40
"""start (8, big-endian) ‖ SHA-256 of the lot record."""
RECORD_BYTES_MAX: Final = 262_144
"""A record is smaller than the envelope that wrote it."""
LOTS_MAX: Final = 65_535
LOT_ID_BYTES: Final = 24

_LEAF: Final = b"\x40"
_VOUCHER_LEAF: Final = b"\x41"
_BUCKET: Final = b"\x42"
_NODE: Final = b"\x43"
_ROOT: Final = b"\x44"

_VOUCHER: Final = int(Kind.VOUCHER)
_LOT: Final = int(Kind.LOT)
_KINDS: Final = tuple(int(kind) for kind in Kind)


# --- hashes -------------------------------------------------------------------------------------


def entity_key(kind_and_id: bytes) -> bytes:
    """Where an entity stands in the tree; the argument opens with the kind byte."""
    return sha256(kind_and_id).digest()


def leaf_hash(kind: int, record: bytes) -> bytes:
    """Value hash of an entity that is no voucher."""
    return sha256(_LEAF + kind.to_bytes(1, "big") + record).digest()


def lot_row(start: int, lot: bytes) -> bytes:
    """One lot's part of its voucher's value hash."""
    return start.to_bytes(8, "big") + sha256(lot).digest()


def voucher_leaf_hash(voucher_hash: bytes, rows: bytes) -> bytes:
    """Value hash of a voucher: SHA-256 of its record, and the rows of all its lots by start."""
    count = len(rows) // ROW_BYTES
    return sha256(_VOUCHER_LEAF + voucher_hash + count.to_bytes(8, "big") + rows).digest()


def bucket_hash(entries: bytes) -> bytes:
    """Hash of 1 to 16 entries, each key ‖ value hash, ascending by key."""
    return sha256(_BUCKET + entries).digest()


def node_hash(pair: bytes) -> bytes:
    """Hash of two neighbouring subtrees, left ‖ right, not both empty."""
    return sha256(_NODE + pair).digest()


def tree_root(count: int, tree: bytes) -> bytes:
    """State root of a tree of `count` entities."""
    return sha256(_ROOT + count.to_bytes(8, "big") + tree).digest()


# --- the proof ----------------------------------------------------------------------------------


class StateProof(Wire):
    """One record of the state, or its absence, under a state root."""

    count: Uint
    """Number of entities in the state; bound into the root."""
    depth: Annotated[int, Meta(ge=0, le=DEPTH_MAX)]
    """Levels (of four bits) above the bucket."""
    present: Annotated[bytes, Meta(max_length=DEPTH_MAX * LEVEL_BITS // 8)]
    """Bit i (of a little-endian number, in as few bytes as 4 x depth bits need): the i-th sibling
    from the bucket upwards is not empty and stands in `siblings`."""
    siblings: Annotated[bytes, Meta(max_length=DEPTH_MAX * LEVEL_BITS * 32)]
    """Non-empty siblings from the bucket upwards, 32 bytes each."""
    bucket: Annotated[bytes, Meta(max_length=BUCKET_MAX * ENTRY_BYTES)]
    """All entries where the key belongs: key ‖ value hash, ascending; empty for an empty place."""
    record: Annotated[bytes, Meta(max_length=RECORD_BYTES_MAX)] | None
    """The record's bytes; None proves that there is none."""
    voucher_hash: Hash | None
    """Proof about a lot: SHA-256 of the voucher's record, None if there is no such voucher."""
    rows: Annotated[bytes, Meta(max_length=LOTS_MAX * ROW_BYTES)]
    """About a voucher without its `lots`, or about a lot: the rows of all lots."""
    lots: Annotated[
        tuple[Annotated[bytes, Meta(max_length=RECORD_BYTES_MAX)], ...], Meta(max_length=LOTS_MAX)
    ]
    """About a voucher: its complete lots by start; then `rows` is empty because it follows."""


def _bad(why: str) -> RemoteProtocolError:
    return RemoteProtocolError("BAD_PROOF", why)


def verify_state_proof(root: bytes, kind: int, id: bytes, proof: StateProof) -> bytes | None:
    """The bytes of the record (`kind`, `id`) in the state with this root, None if it has none.

    The caller has taken `root` from a verified certificate.

    Raises:
        RemoteProtocolError: BAD_PROOF, the text says why.
    """
    if kind not in _KINDS:
        raise _bad(f"{kind} is not a kind of record")
    if kind == _LOT:
        return _verify_lot(root, id, proof)
    return _verify_entity(root, kind, id, proof, _lots(proof) if kind == _VOUCHER else ())


def _verify_entity(
    root: bytes, kind: int, id: bytes, proof: StateProof, lots: tuple[Lot, ...]
) -> bytes | None:
    """`lots` are those of the proof, decoded."""
    if proof.voucher_hash is not None:
        raise _bad("a voucher's hash belongs to proofs about lots")
    value = _proven_value(root, bytes((kind,)) + id, proof)
    if kind == _VOUCHER:
        rows = _rows(proof, lots)
    elif proof.rows or proof.lots:
        raise _bad("lots belong to vouchers")
    else:
        rows = b""
    if value is None or proof.record is None:
        if value is not None or proof.record is not None or rows:
            raise _bad("the record and its entry in the bucket disagree")
        return None
    if kind == _VOUCHER:
        expected = voucher_leaf_hash(sha256(proof.record).digest(), rows)
    else:
        expected = leaf_hash(kind, proof.record)
    if expected != value:
        raise _bad("the record is not the one in the state")
    return proof.record


def verify_voucher_proof(
    root: bytes, voucher: bytes, proof: StateProof
) -> tuple[Voucher, tuple[Lot, ...]] | None:
    """A voucher and all its lots in order of start, none hidden; None if there is no such voucher.

    Raises:
        RemoteProtocolError: BAD_PROOF, also when the proof leaves the lots out.
    """
    lots = _lots(proof)
    record = _verify_entity(root, _VOUCHER, voucher, proof, lots)
    if record is None:
        return None
    if proof.rows:
        raise _bad("the proof leaves the lots out; ask for the whole voucher")
    return decode(Voucher, record), lots


def verify_lot_proof(root: bytes, voucher: bytes, start: int, proof: StateProof) -> Lot | None:
    """The lot of `voucher` that begins at `start`; None if there is none.

    Raises:
        RemoteProtocolError: BAD_PROOF.
    """
    record = verify_state_proof(root, _LOT, voucher + start.to_bytes(8, "big"), proof)
    return None if record is None else decode(Lot, record)


def _verify_lot(root: bytes, id: bytes, proof: StateProof) -> bytes | None:
    if len(id) != LOT_ID_BYTES:
        raise _bad("the id of a lot is its voucher's id and eight bytes of start")
    voucher, start = id[:-8], id[-8:]
    if proof.lots:
        raise _bad("a proof about one lot carries rows, not lots")
    value = _proven_value(root, bytes((_VOUCHER,)) + voucher, proof)
    if value is None or proof.voucher_hash is None:
        nothing_else = proof.rows == b"" and proof.record is None
        if value is not None or proof.voucher_hash is not None or not nothing_else:
            raise _bad("the voucher and its entry in the bucket disagree")
        return None
    if voucher_leaf_hash(proof.voucher_hash, _checked_rows(proof.rows)) != value:
        raise _bad("the rows are not those of the voucher in the state")
    digest = _row_of(proof.rows, start)
    if proof.record is None and digest is None:
        return None
    if proof.record is None or digest != sha256(proof.record).digest():
        raise _bad("the lot is not the one in the state")
    return proof.record


def _row_of(rows: bytes, start: bytes) -> bytes | None:
    for at in range(0, len(rows), ROW_BYTES):
        if rows[at : at + 8] == start:
            return rows[at + 8 : at + ROW_BYTES]
    return None


def _checked_rows(rows: bytes) -> bytes:
    if len(rows) % ROW_BYTES:
        raise _bad("rows of lots have 40 bytes each")
    return rows


def _lots(proof: StateProof) -> tuple[Lot, ...]:
    """Decoded once, for their starts and for who asked: the dearest part of checking a voucher."""
    return tuple(decode(Lot, lot) for lot in proof.lots)


def _rows(proof: StateProof, lots: tuple[Lot, ...]) -> bytes:
    """Rows of all lots of a voucher, derived from the lots when they are there."""
    if not lots:
        return _checked_rows(proof.rows)
    if proof.rows:
        raise _bad("a proof carries lots or their rows, not both")
    return b"".join(lot_row(lot.start, data) for lot, data in zip(lots, proof.lots, strict=True))


def _proven_value(root: bytes, kind_and_id: bytes, proof: StateProof) -> bytes | None:
    """Value hash of the entity under `root`, None if it is proven absent."""
    key = entity_key(kind_and_id)
    value = _value_in_bucket(proof.bucket, key)
    steps = proof.depth * LEVEL_BITS
    if len(proof.present) != (steps + 7) // 8:
        raise _bad("the bitmap of siblings has the wrong length")
    present = int.from_bytes(proof.present, "little")
    if present >> steps:
        raise _bad("the bitmap of siblings has spare bits")
    if len(proof.siblings) != 32 * present.bit_count():
        raise _bad("the number of siblings differs from the bitmap")
    if proof.depth and not proof.bucket and not present & ((1 << LEVEL_BITS) - 1):
        raise _bad("the path goes on below an empty subtree")
    digest = bucket_hash(proof.bucket) if proof.bucket else EMPTY
    direction = int.from_bytes(key, "big") >> (256 - steps)
    used = 0
    for step in range(steps):
        sibling = EMPTY
        if present >> step & 1:
            sibling = proof.siblings[used : used + 32]
            used += 32
            if sibling == EMPTY:
                raise _bad("an empty sibling is not listed")
        if digest != EMPTY or sibling != EMPTY:
            right = direction >> step & 1
            digest = node_hash(sibling + digest if right else digest + sibling)
    if tree_root(proof.count, digest) != root:
        raise _bad("the proof does not lead to the state root")
    return value


def _value_in_bucket(bucket: bytes, key: bytes) -> bytes | None:
    if len(bucket) % ENTRY_BYTES:
        raise _bad("entries of a bucket have 64 bytes each")
    found = None
    before = b""
    for entry_key, value in struct.iter_unpack("32s32s", bucket):
        if entry_key <= before:
            raise _bad("the entries of a bucket are not in order")
        before = entry_key
        if entry_key == key:
            found = value
    return found
