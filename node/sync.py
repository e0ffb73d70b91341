"""Answers other validators' requests for what the store or the pool holds.

`FetchBlocks` and `FetchBodies` need no consensus state, so the core never sees them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.executor import Executor
from node.store import Store
from tallynet.codec import encode
from tallynet.hashing import envelope_hash
from tallynet.messages import (
    Blocks,
    BlocksGone,
    Bodies,
    CertifiedBlock,
    FetchBlocks,
    FetchBodies,
)

REPLY_BYTES_MAX: Final = 1024 * 1024
"""A reply well below the frame limit of 4 MiB; the asker asks again for the rest."""
BLOCKS_MAX: Final = 64
BLOCK_BYTES: Final = 1024
"""Reading a block's header, certificate and rows takes as long as so many bytes of bodies."""


@dataclass(frozen=True, slots=True)
class Answer:
    message: bytes | None
    """Encoded; None when there is nothing to say."""
    read_bytes: int
    """What it took: `node.questions`."""


class SyncService:
    def __init__(self, executor: Executor, store: Store) -> None:
        self._executor: Final = executor
        self._store: Final = store

    def blocks(self, request: FetchBlocks) -> Answer:
        """`Blocks` from `first` on, at least one if there is one; `BlocksGone` when there was
        one; None when there is none yet."""
        found: list[CertifiedBlock] = []
        size = 0
        with self._store.reader() as reader:
            for height in range(request.first, request.first + BLOCKS_MAX):
                row = reader.block(height)
                bodies = None if row is None else reader.envelopes(height, row.block)
                if row is None or bodies is None:
                    break
                size += sum(len(body) for body in bodies) + 32 * len(bodies) + BLOCK_BYTES
                if found and size > REPLY_BYTES_MAX:
                    break
                found.append(CertifiedBlock(row.header, row.envelopes, row.certificate, bodies))
            if not found and request.first < (base := reader.base()):
                return Answer(encode(BlocksGone(base)), size)
        return Answer(encode(Blocks(tuple(found))) if found else None, size)

    def bodies(self, request: FetchBodies) -> Answer:
        """`Bodies` of those envelopes that are held or stored; None when none is."""
        found: list[bytes] = []
        size = searched = 0
        stored: dict[bytes, bytes] | None = None
        for hash in request.envelopes:
            envelope = self._executor.envelope(hash)
            body = None if envelope is None else envelope.raw
            if body is None:
                if stored is None:
                    stored = self._stored_bodies(request.height, request.block)
                    searched = sum(map(len, stored.values()))
                body = stored.get(hash)
            if body is None:
                continue
            size += len(body)
            if found and size > REPLY_BYTES_MAX:
                break
            found.append(body)
        return Answer(encode(Bodies(tuple(found))) if found else None, size + searched)

    def _stored_bodies(self, height: int, block: bytes) -> dict[bytes, bytes]:
        """Envelope hash -> encoded envelope of a block in the store, final or not."""
        with self._store.reader() as reader:
            return {envelope_hash(body): body for body in reader.envelopes(height, block) or ()}
