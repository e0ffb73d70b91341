"""Executed transaction ids, remembered until they expire (voucher law §5; INV-14).

The ids lie in a derived index ordered by expiry; the state commits to them with one leaf per bucket of
64 seconds, whose accumulator chains the ids in order of execution.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from node.state.view import Index, StateView
from tallynet.envelope import Envelope
from tallynet.records import Kind, Remembered

BUCKET_SECONDS: Final = 64
PURGE_PER_BLOCK_MAX: Final = 4_000
"""Ids forgotten per block: more than a block can add, so the index never grows for good."""
_EMPTY: Final = Remembered(0, bytes(32))


def _key(valid_until: int, transaction: bytes) -> bytes:
    return valid_until.to_bytes(8, "big") + transaction


def _bucket_id(valid_until: int) -> bytes:
    return (valid_until // BUCKET_SECONDS).to_bytes(16, "big")


def is_remembered(state: StateView, envelope: Envelope) -> bool:
    return state.index_has(Index.REMEMBERED, _key(envelope.body.valid_until, envelope.transaction))


def remember(state: StateView, envelope: Envelope) -> None:
    """Put one admitted envelope into the index; `commit` later updates the buckets."""
    state.index_add(Index.REMEMBERED, _key(envelope.body.valid_until, envelope.transaction))


def commit(state: StateView, admitted: Sequence[Envelope]) -> None:
    """Fold the admitted envelopes of a block into the leaves of their buckets."""
    buckets: dict[bytes, list[bytes]] = {}
    for envelope in admitted:
        ids = buckets.setdefault(_bucket_id(envelope.body.valid_until), [])
        ids.append(envelope.transaction)
    for bucket in sorted(buckets):
        record = state.get(Kind.REMEMBERED, bucket)
        old = record if isinstance(record, Remembered) else _EMPTY
        ids = buckets[bucket]
        accumulator = sha256(old.accumulator + b"".join(ids)).digest()
        state.put(Kind.REMEMBERED, bucket, Remembered(old.count + len(ids), accumulator))


def forget(state: StateView, time: int) -> None:
    """Drop ids with `valid_until <= time`, and buckets that lie wholly before `time`."""
    first = state.index_scan(Index.REMEMBERED, b"", limit=1)
    if not first or int.from_bytes(first[0][:8], "big") > time:
        return
    keys = state.index_scan(Index.REMEMBERED, b"", limit=PURGE_PER_BLOCK_MAX)
    for key in keys:
        valid_until = int.from_bytes(key[:8], "big")
        if valid_until > time:
            return
        state.index_remove(Index.REMEMBERED, key)
        bucket = _bucket_id(valid_until)
        whole = (valid_until // BUCKET_SECONDS + 1) * BUCKET_SECONDS <= time
        if whole and state.get(Kind.REMEMBERED, bucket) is not None:
            state.delete(Kind.REMEMBERED, bucket)
