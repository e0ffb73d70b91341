"""Domain-separated SHA-256: nothing hashed for one purpose can stand for another (C3, C6)."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final

__all__ = [
    "LEAF", "NODE", "block_hash", "body_hash", "envelope_hash", "line_root", "owed_root",
    "reader_hint", "record_id", "signed_bytes", "transaction_id",
]  # fmt: skip

LEAF: Final = b"\x00"
NODE: Final = b"\x01"
_BLOCK: Final = b"\x02"
_ENVELOPE: Final = b"tallynet/envelope"
_PREFIX: Final = b"tallynet/1"


def signed_bytes(kind: bytes, genesis: bytes, body: bytes) -> bytes:
    """What a signature covers: `"tallynet/1" ‖ kind ‖ genesis hash ‖ body` (design §4).

    `kind` is one of the `KIND_` constants of `tallynet.signatures`, all of the same length.
    """
    return _PREFIX + kind + genesis + body


def transaction_id(envelope_body: bytes) -> bytes:
    """SHA-256 of the signed bytes of an envelope; signatures are no part of it (C2)."""
    return sha256(envelope_body).digest()


def envelope_hash(envelope: bytes) -> bytes:
    """Hash of an encoded `SignedEnvelope`, signatures included: what blocks order, so that one hash
    stands for exactly one result of execution."""
    return sha256(_ENVELOPE + envelope).digest()


def block_hash(header: bytes) -> bytes:
    """Hash of an encoded header."""
    return sha256(_BLOCK + header).digest()


def body_hash(body: bytes) -> bytes:
    """Hash under which the consents to a joint act accumulate (voucher law §5)."""
    return sha256(b"tallynet/joint" + body).digest()


def record_id(kind: int, organisation: bytes, label: bytes) -> bytes:
    """Id of the record that a command creates (voucher law §5, Ids).

    `organisation` and `label` are the acting organisation and the command's label; a joint act
    passes the body's hash and an empty label, a by-product its parent's id and a counter.
    """
    return sha256(
        b"tallynet/id/1"
        + kind.to_bytes(2, "big")
        + len(organisation).to_bytes(2, "big")
        + organisation
        + label
    ).digest()[:16]


def owed_root(before: bytes, voucher: bytes, owed: int) -> bytes:
    """Root over the changes of what a debtor owes (voucher law §8.10): the root before, the voucher that
    changed, and what is left to pay of it, in minor units."""
    return sha256(b"tallynet/owed" + before + voucher + owed.to_bytes(8, "big")).digest()


def line_root(before: bytes, commitment: bytes, use: bytes | None) -> bytes:
    """Root over what a sealed line's grantor has committed to since the grant (voucher law §16.7): the root before,
    zeros at the grant, the commitment, and what it counts in, if it is there for a use."""
    return sha256(b"tallynet/told" + before + commitment + (use or b"")).digest()


def reader_hint(secret: bytes, document: bytes, reader: bytes) -> bytes:
    """Under what a reader's wrapped key is kept: an HMAC, so that nobody without `secret` learns who reads
    a document (voucher law §16.3). `secret` is 32 random bytes that the owner gives the reader."""
    return hmac.digest(secret, b"tallynet/reader" + document + reader, "sha256")
