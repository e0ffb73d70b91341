"""Made-up validators for tests of the core alone: their keys, their signatures, what execution results in.

Cheap and deterministic stand-ins; whole validators with real execution run in `tools.simulator`.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b, sha256
from typing import Final

from tallynet.messages import DOMAINS, SignedKind

GENESIS: Final = sha256(b"simulated network").digest()
GENESIS_TIME_MS: Final = 1_000_000_000_000


def key_of(index: int) -> bytes:
    """Public keys that sort by index; the secret is the same bytes."""
    return bytes([index]) + sha256(b"key%d" % index).digest()[1:]


def signer(index: int) -> Callable[[SignedKind, bytes], bytes]:
    """What a replica of this index signs with."""
    return lambda kind, body: _signature(DOMAINS[kind], body, key_of(index))


def verify(domain: bytes, body: bytes, public_key: bytes, signature: bytes) -> bool:
    """The counterpart of `signer`, as a replica calls it."""
    return _signature(domain, body, public_key) == signature


def check(domain: bytes, genesis: bytes, body: bytes, key: bytes, signature: bytes) -> bool:
    """The counterpart of `signer`, as judges of evidence call it."""
    return genesis == GENESIS and verify(domain, body, key, signature)


def _signature(domain: bytes, body: bytes, key: bytes) -> bytes:
    return blake2b(domain + body, key=key, digest_size=64).digest()


def roots_of(parent: bytes, block: bytes) -> tuple[bytes, bytes]:
    """(state root, receipts root) of a block on a state root: any function of the chain will do."""
    return sha256(b"state" + parent + block).digest(), sha256(b"receipts" + block).digest()
