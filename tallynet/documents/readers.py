"""For whom a document is encrypted: keys wrapped with HPKE, readers whom nobody else can name (§16.3).

The owner wraps two secrets for each reader under the reader's public key (RFC 9180, hybrid of ML-KEM-768
and X25519, so that what stands on a chain for ever stays closed): the document's key, and the secret of
the hint under which the wrapped key is kept. A reader finds its own by trying to open each: what was wrapped
for others does not open, and nothing else tells them apart. The hint's secret then shows to whom the reader
wants to show it, and to nobody before, that a key was wrapped for it.

The private half is made of 32 random bytes, expanded as in X-Wing (draft-connolly-cfrg-xwing-kem), so that a
key file holds it like any other key.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import shake_256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from tallynet.documents.errors import DocumentError
from tallynet.errors import invariant
from tallynet.hashing import reader_hint, record_id
from tallynet.records import Kind

__all__ = [
    "SECRET_BYTES",
    "Access",
    "ReadingPrivateKey",
    "find_access",
    "hint_secret",
    "open_box",
    "seal_box",
    "unwrap",
    "wrap",
]

SECRET_BYTES: Final = 32
_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_SEED_BYTES: Final = 64
_MLKEM_PUBLIC_BYTES: Final = 1_184
_EXPANSION: Final = b"tallynet/reading/1"
_WRAP: Final = b"tallynet/wrap/1"
_HINT: Final = b"tallynet/hint/1"


class ReadingPrivateKey:
    """The private half of an organisation's reading key."""

    def __init__(self, seed: bytes) -> None:
        """`seed` is 32 random bytes that serve nothing else."""
        invariant(len(seed) == SECRET_BYTES, "READING_SEED")
        expanded = shake_256(_EXPANSION + seed).digest(_SEED_BYTES + SECRET_BYTES)
        self._mlkem: Final = MLKEM768PrivateKey.from_seed_bytes(expanded[:_SEED_BYTES])
        self._x25519: Final = X25519PrivateKey.from_private_bytes(expanded[_SEED_BYTES:])

    @property
    def public_bytes(self) -> bytes:
        """As `records.ReadingKey` has them."""
        mlkem = self._mlkem.public_key().public_bytes_raw()
        return mlkem + self._x25519.public_key().public_bytes_raw()

    def decrypt(self, box: bytes, info: bytes) -> bytes | None:
        """What was encrypted for this key, or None: it is for somebody else, or for another purpose."""
        try:
            return _SUITE.decrypt(box, MLKEM768X25519PrivateKey(self._mlkem, self._x25519), info)
        except (InvalidTag, ValueError):
            return None


def seal_box(plaintext: bytes, public_key: bytes, info: bytes) -> bytes:
    """Encrypt for the holder of a reading key; `info` says what for, and must be the same at opening.

    Raises:
        DocumentError: READING_KEY_INVALID.
    """
    try:
        key = MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(public_key[:_MLKEM_PUBLIC_BYTES]),
            X25519PublicKey.from_public_bytes(public_key[_MLKEM_PUBLIC_BYTES:]),
        )
        return _SUITE.encrypt(plaintext, key, info)
    except ValueError as error:
        raise DocumentError("READING_KEY_INVALID", f"nothing can be encrypted: {error}") from None


def open_box(box: bytes, keys: Iterable[ReadingPrivateKey], info: bytes) -> bytes | None:
    """The plaintext under the first of `keys` that opens the box; None if none does."""
    for key in keys:
        plaintext = key.decrypt(box, info)
        if plaintext is not None:
            return plaintext
    return None


def hint_secret(hint_key: bytes, reader: bytes) -> bytes:
    """The secret of one reader's hint. The owner keeps 32 random bytes per document, `hint_key`, and so
    gives a reader the same secret again when its key changes; readers learn nothing about each other."""
    return hmac.digest(hint_key, _HINT + reader, "sha256")


@dataclass(frozen=True, slots=True)
class Access:
    """What a reader was given."""

    key: bytes
    """Of the document."""
    secret: bytes
    """Of the reader's hint: shows to whom it is shown that the reader was given a key."""


def wrap(access: Access, public_key: bytes, document: bytes) -> bytes:
    """A `WrappedKey`; bound to the document, so that it means nothing elsewhere.

    Raises:
        DocumentError: READING_KEY_INVALID.
    """
    return seal_box(access.key + access.secret, public_key, _WRAP + document)


def unwrap(wrapped: bytes, keys: Iterable[ReadingPrivateKey], document: bytes) -> Access | None:
    """What was wrapped, or None if it was for another reader."""
    opened = open_box(wrapped, keys, _WRAP + document)
    if opened is None or len(opened) != 2 * SECRET_BYTES:
        return None
    return Access(opened[:SECRET_BYTES], opened[SECRET_BYTES:])


def find_access(
    entries: Iterable[tuple[bytes, bytes]],
    keys: Iterable[ReadingPrivateKey],
    document: bytes,
    reader: bytes,
) -> Access:
    """The reader's own among `entries` of (record id, wrapped key) of a document.

    One under a hint that is not made with the secret inside is passed over: the reader could not show
    that it is a reader.

    Raises:
        DocumentError: NOT_A_READER.
    """
    own = tuple(keys)
    for id, wrapped in entries:
        access = unwrap(wrapped, own, document)
        if access is None:
            continue
        hint = reader_hint(access.secret, document, reader)
        if id == record_id(Kind.DOCUMENT_READER, document, hint):
            return access
    raise DocumentError("NOT_A_READER", "no key of this document was wrapped for this organisation")
