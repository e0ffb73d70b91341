"""Messages about ciphertexts, which travel beside the blocks: a chain orders their hashes only (§16.2).

A ciphertext is filed under the record that names its hash: a Document, or a FinancingRequest with sealed
quotes. It moves in pieces, each named by its offset, so that whoever was interrupted goes on where it stopped.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from tallynet.codec import Wire
from tallynet.fields import Hash, Id, Small, Uint

__all__ = [
    "CIPHERTEXT_BYTES_MAX",
    "PIECE_BYTES_MAX",
    "CiphertextPart",
    "CiphertextPiece",
    "CiphertextState",
    "FetchCiphertext",
    "NoCiphertext",
    "PutCiphertext",
    "QueryCiphertext",
]

PIECE_BYTES_MAX: Final = 128 * 1024
"""At 100 Mbit/s it keeps a vote behind it waiting for 10 ms."""
CIPHERTEXT_BYTES_MAX: Final = 16 * 1024 * 1024 + 64
"""The largest size class of a document, with nonce and tag."""

Piece = Annotated[bytes, Meta(max_length=PIECE_BYTES_MAX)]
Size = Annotated[int, Meta(ge=1, le=CIPHERTEXT_BYTES_MAX)]


class PutCiphertext(Wire, tag="put.ciphertext"):
    """Keep a piece, which continues what is held. Answered by `CiphertextState`, which says from where to go
    on; without data it only asks that."""

    request: Uint
    kind: Small
    """Of the record that names the hash, or is about to."""
    record: Id
    hash: Hash
    """SHA-256 of the whole ciphertext."""
    size: Size
    """Of the whole."""
    offset: Uint
    data: Piece


class CiphertextState(Wire, tag="ciphertext.state"):
    request: Uint
    held: Uint
    """So many bytes from the start are here; all of them: the ciphertext is kept, and durable."""


class QueryCiphertext(Wire, tag="query.ciphertext"):
    """Give the piece from `offset` on. Answered by `CiphertextPart`; by CIPHERTEXT_ON_ITS_WAY while the node
    fetches it from others."""

    request: Uint
    kind: Small
    record: Id
    hash: Hash
    secret: Hash
    """Of the reader's hint, which shows that the asking organisation is a reader; zeros where a party asks."""
    offset: Uint


class CiphertextPart(Wire, tag="ciphertext.part"):
    request: Uint
    size: Size
    """Of the whole."""
    data: Piece
    """Nothing beyond its end."""


class FetchCiphertext(Wire, tag="fetch.ciphertext"):
    """Between nodes: the same question, for a client of the asking node. Answered by `CiphertextPiece` or
    `NoCiphertext`."""

    kind: Small
    record: Id
    hash: Hash
    offset: Uint


class CiphertextPiece(Wire, tag="ciphertext.piece"):
    hash: Hash
    size: Size
    offset: Uint
    data: Annotated[bytes, Meta(min_length=1, max_length=PIECE_BYTES_MAX)]


class NoCiphertext(Wire, tag="no.ciphertext"):
    """It is not whole here."""

    hash: Hash
