"""Validators' signatures in a simulation: keyed BLAKE2 in most runs, Ed25519 in some.

Verifying Ed25519 takes 38 µs, a keyed hash 2 µs; the protocol around them is the same. Clients always
sign with Ed25519, because the voucher law verifies that itself.
"""

from __future__ import annotations

from hashlib import blake2b, sha256
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallynet.hashing import signed_bytes
from tallynet.signatures import verify_kind


class CheapKey:
    """Looks like an Ed25519 private key. Its public key is also its secret: who knows the set of
    validators can sign for all of them, which no part of the product does."""

    def __init__(self, public: bytes) -> None:
        self._public: Final = public

    def public_key(self) -> CheapKey:
        return self

    def public_bytes_raw(self) -> bytes:
        return self._public

    def sign(self, message: bytes) -> bytes:
        return blake2b(message, key=self._public, digest_size=64).digest()


def verify_cheap(kind: bytes, genesis: bytes, body: bytes, key: bytes, signature: bytes) -> bool:
    """The counterpart of `tallynet.signatures.verify_kind`."""
    expected = blake2b(signed_bytes(kind, genesis, body), key=key, digest_size=64).digest()
    return expected == signature


def validator_keys(n: int, *, real: bool) -> list[Any]:
    """Keys of n validators, in ascending order of their public keys (INV-16)."""
    keys: list[Any] = []
    for i in range(n):
        seed = sha256(b"validator %d" % i).digest()
        # The top byte stays low: a canonical y coordinate, which key checks ask for.
        cheap = CheapKey(seed[:31] + b"\x11")
        keys.append(Ed25519PrivateKey.from_private_bytes(seed) if real else cheap)
    return sorted(keys, key=lambda key: bytes(key.public_key().public_bytes_raw()))


class SpareKey(CheapKey):
    """Of a bank that may become a validator: what it says of its readiness the law verifies, so it is
    signed with Ed25519."""

    def __init__(self, real: Ed25519PrivateKey) -> None:
        super().__init__(real.public_key().public_bytes_raw())
        self.real: Final = real


def spare_keys(count: int, *, real: bool) -> list[Any]:
    """Keys of nodes outside the genesis; they sort anywhere among the others."""
    made = [
        Ed25519PrivateKey.from_private_bytes(sha256(b"spare %d" % i).digest()) for i in range(count)
    ]
    return list(made) if real else [SpareKey(key) for key in made]


def check_of(*, real: bool) -> Any:
    """(kind, genesis, body, public key, signature) -> valid."""
    return verify_kind if real else verify_cheap
