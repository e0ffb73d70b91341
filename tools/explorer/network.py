"""The constants of a network that exists only in memory: keys, signatures, transactions, roots.

Signatures are keyed BLAKE2 under the public key itself, which is enough where nobody computes a forgery and costs a
microsecond. A block's roots are a function of its hash, which stands for the whole chain below it.
"""

from __future__ import annotations

from functools import partial
from hashlib import blake2b, sha256
from typing import Final

from consensus.config import ReplicaConfig
from consensus.events import Transaction
from consensus.votes import Sign
from tallynet.codec import Wire, encode
from tallynet.evidence import culprit
from tallynet.messages import DOMAINS, Signed, SignedKind

GENESIS: Final = sha256(b"a network in memory").digest()
GENESIS_TIME_MS: Final = 1_000_000_000_000
VALIDATORS: Final = 4
"""n; one of them may be faulty."""
KEYS: Final = tuple(bytes([i]) + sha256(b"key %d" % i).digest()[1:] for i in range(VALIDATORS))
"""In order of index."""
_VALIDATORS_HASH: Final = sha256(b"validators").digest()
_VALID_SECONDS: Final = 3_600


def signature(domain: bytes, body: bytes, key: bytes) -> bytes:
    """64 bytes that only the holder of `key` would make."""
    return blake2b(domain + body, key=key, digest_size=64).digest()


def verify(domain: bytes, body: bytes, key: bytes, signed: bytes) -> bool:
    """What a replica calls as `Verify`."""
    return signature(domain, body, key) == signed


def sign_as(index: int, kind: SignedKind, body: bytes) -> bytes:
    """The signature of validator `index`."""
    return signature(DOMAINS[kind], body, KEYS[index])


def signer(index: int) -> Sign:
    """What validator `index` calls as `Sign`."""
    return partial(sign_as, index)


def signed_by(index: int, kind: SignedKind, body: Wire) -> Signed:
    """A signed message of validator `index`."""
    raw = encode(body)
    return Signed(kind, raw, index, sign_as(index, kind, raw))


def accused(proof: bytes) -> int:
    """The validator that a proof convicts. Raises RemoteProtocolError BAD_EVIDENCE when it proves nothing."""
    return culprit(proof, config(0), _check).signer


def _check(domain: bytes, genesis: bytes, body: bytes, key: bytes, signed: bytes) -> bool:
    return genesis == GENESIS and verify(domain, body, key, signed)


def transaction(number: int) -> Transaction:
    """One of a client's transactions; its body is never looked at."""
    return Transaction(
        envelope=sha256(b"envelope %d" % number).digest(),
        id=sha256(b"transaction %d" % number).digest(),
        organisation=b"one organisation",
        valid_until=GENESIS_TIME_MS // 1000 + _VALID_SECONDS,
        size=100,
    )


def roots_of(block: bytes) -> tuple[bytes, bytes]:
    """(state root, receipts root) after a block."""
    return sha256(b"state" + block).digest(), sha256(b"receipts" + block).digest()


def config(index: int) -> ReplicaConfig:
    """Configuration of one validator, with the shipped window and timers. One transaction fills a batch, so that the
    window is used."""
    return ReplicaConfig(
        genesis=GENESIS,
        genesis_time_ms=GENESIS_TIME_MS,
        validators=KEYS,
        validators_hash=_VALIDATORS_HASH,
        index=index,
        batch_transactions_max=1,
    )
