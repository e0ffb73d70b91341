"""Answers that a client can check: records with their proof against the state root."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import msgspec

from node.state.committed import CommittedState
from node.state.tables import LOT_ID_BYTES, VOUCHER_BYTES
from node.state.tree import prove_key
from tallynet.errors import RemoteProtocolError, invariant
from tallynet.records import Kind, lot_id
from tallynet.state_proof import StateProof, entity_key

LOTS_IN_PROOF_MAX: Final = 1_000
"""A voucher with more lots is proven with their rows only; the lots are asked for one by one."""

_ID_BYTES: Final = {Kind.VOUCHER: VOUCHER_BYTES, Kind.LOT: LOT_ID_BYTES}


def prove(
    state: CommittedState, kind: Kind, id: bytes, *, lots_max: int = LOTS_IN_PROOF_MAX
) -> StateProof:
    """Proof that the record (`kind`, `id`) has its value in `state`, or that there is none.

    `state` is a snapshot (`CommittedState.snapshot`), so that record and tree are of one block. A
    voucher comes with all its lots where it has at most `lots_max`; a lot comes with the hash of its voucher
    and the rows of all lots.

    Raises:
        RemoteProtocolError: BAD_ID, the id cannot be one of a voucher or lot.
    """
    length = _ID_BYTES.get(kind)
    if length is not None and len(id) != length:
        raise RemoteProtocolError("BAD_ID", f"an id of {kind.name} has {length} bytes")
    if kind is Kind.LOT:
        return _prove_lot(state, id)
    proof = prove_key(state.node, entity_key(bytes((kind,)) + id))
    record = state.record_bytes(kind, id)
    if kind is not Kind.VOUCHER or record is None:
        return msgspec.structs.replace(proof, record=record)
    starts, row = state.lots(id)
    if len(starts) > lots_max:
        return msgspec.structs.replace(proof, record=record, rows=row)
    lots = tuple(_lot_bytes(state, id, start) for start in starts)
    return msgspec.structs.replace(proof, record=record, lots=lots)


def _prove_lot(state: CommittedState, id: bytes) -> StateProof:
    voucher = id[:16]
    proof = prove_key(state.node, entity_key(bytes((Kind.VOUCHER,)) + voucher))
    voucher_bytes = state.record_bytes(Kind.VOUCHER, voucher)
    if voucher_bytes is None:
        return proof
    return msgspec.structs.replace(
        proof,
        record=state.record_bytes(Kind.LOT, id),
        voucher_hash=sha256(voucher_bytes).digest(),
        rows=state.lots(voucher)[1],
    )


def _lot_bytes(state: CommittedState, voucher: bytes, start: int) -> bytes:
    data = state.record_bytes(Kind.LOT, lot_id(voucher, start))
    invariant(data is not None, "STATE_LOT listed in the row but not stored")
    return data or b""
