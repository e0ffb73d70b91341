"""Executed transaction ids, remembered until they expire (voucher law §5; INV-14).

A record holds the ids of one block that expire within one bucket of 64 seconds, so that the state commits
to every id and a node that joins with the state alone refuses the same repetitions (decision 0041). A
derived index finds an id, another the records by expiry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from node.state.view import Index, StateView
from tallynet.envelope import Envelope
from tallynet.records import Kind, Remembered

BUCKET_SECONDS: Final = 64
PURGE_RECORDS_MAX: Final = 1_000
"""Records forgotten per block: twice what a block of 500 envelopes can add, so they never pile up."""
PURGE_IDS_MAX: Final = 4_000
"""And ids, give or take one record: more than a block can add too, and some ten milliseconds."""
BUCKET_BYTES: Final = 8
ID_BYTES: Final = 32


def bucket_of(valid_until: int) -> bytes:
    """The bucket in which an id expires."""
    return (valid_until // BUCKET_SECONDS).to_bytes(BUCKET_BYTES, "big")


def ids_of(record: Remembered) -> list[bytes]:
    """The ids of a record in order of execution."""
    joined = record.transactions
    return [joined[at : at + ID_BYTES] for at in range(0, len(joined), ID_BYTES)]


def is_remembered(state: StateView, transaction: bytes, valid_until: int) -> bool:
    """True iff an envelope with this id and expiry was executed and the id is not forgotten yet."""
    return state.index_has(Index.REMEMBERED, bucket_of(valid_until) + transaction)


def remember(state: StateView, envelope: Envelope) -> None:
    """Put one admitted envelope into the index; `commit` writes the records of the block."""
    state.index_add(Index.REMEMBERED, bucket_of(envelope.body.valid_until) + envelope.transaction)


def commit(state: StateView, height: int, admitted: Sequence[Envelope]) -> None:
    """Write the records of the envelopes that the block at `height` admitted."""
    buckets: dict[bytes, list[bytes]] = {}
    for envelope in admitted:
        ids = buckets.setdefault(bucket_of(envelope.body.valid_until), [])
        ids.append(envelope.transaction)
    for bucket in sorted(buckets):
        id = bucket + height.to_bytes(8, "big")
        state.put(Kind.REMEMBERED, id, Remembered(b"".join(buckets[bucket])))
        state.index_add(Index.REMEMBERED_BLOCKS, id)


def forget(state: StateView, time: int) -> None:
    """Drop the buckets that lie wholly before `time`: their envelopes are refused as expired."""
    passed = time // BUCKET_SECONDS
    # The first tells that nothing has passed, as nearly always: reading all of a thousand would cost more than a block.
    first = state.index_scan(Index.REMEMBERED_BLOCKS, b"", limit=1)
    if not first or int.from_bytes(first[0][:BUCKET_BYTES], "big") >= passed:
        return
    removed = 0
    for id in state.index_scan(Index.REMEMBERED_BLOCKS, b"", limit=PURGE_RECORDS_MAX):
        bucket = id[:BUCKET_BYTES]
        if int.from_bytes(bucket, "big") >= passed or removed >= PURGE_IDS_MAX:
            return
        record = state.get(Kind.REMEMBERED, id)
        ids = ids_of(record) if isinstance(record, Remembered) else []
        for transaction in ids:
            state.index_remove(Index.REMEMBERED, bucket + transaction)
        state.index_remove(Index.REMEMBERED_BLOCKS, id)
        state.delete(Kind.REMEMBERED, id)
        removed += len(ids)
