"""Sealed documents: one root on the chain, any field provable alone (voucher law §16.2-4).

A document is a map from paths to values. Each field becomes one leaf of a Merkle tree:

    salt = HKDF-SHA256(document salt, info = path)                             32 bytes
    leaf = SHA-256(0x00 ‖ len(path) ‖ path ‖ salt ‖ len(value) ‖ value)
    node = SHA-256(0x01 ‖ left ‖ right)

Lengths are 4 bytes, big-endian: without them the border between path, salt and value could be moved
and one leaf would stand for several fields. The tree is padded to a power of two with leaves that
are HKDF output too (info = 0x00 ‖ `padding` ‖ index: no path contains a zero byte), so nobody but
the holder of the document salt can tell them from fields, and the holder can build the tree again.

Leaves stand in the order of their hashes, not of their paths: the position of a disclosed `payable`
would otherwise tell how many lines the invoice has. What still shows is the power of two.

Salts make leaves unguessable: a disclosure reveals the salts of its own fields and no other's.
Whoever built the tree could have put two leaves with one path into it; only a reader of the whole
document, who seals the fields again, can exclude that. `registration.open_document` does.
"""

from __future__ import annotations

import hmac
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from msgspec import Meta

from tallynet.codec import Wire, decode
from tallynet.documents.errors import DocumentError
from tallynet.errors import RemoteProtocolError
from tallynet.fields import Hash, Small
from tallynet.hashing import LEAF, NODE

__all__ = [
    "DisclosedField",
    "Disclosure",
    "SealedDocument",
    "decode_disclosure",
    "seal",
    "verify_disclosure",
]

SALT_BYTES: Final = 32
DEPTH_MAX: Final = 16
FIELDS_MAX: Final = 2**DEPTH_MAX
"""An invoice of 10,000 lines has 40,027 fields."""

PATH_BYTES_MAX: Final = 256
VALUE_BYTES_MAX: Final = 65_536
"""A field is a name, a number or a short text; files are sealed by their hash."""

_LENGTH_BYTES: Final = 4
_PADDING_INFO: Final = b"\x00padding"


class DisclosedField(Wire):
    """One field with everything that ties it to the root."""

    path: Annotated[str, Meta(min_length=1, max_length=PATH_BYTES_MAX)]
    salt: Hash
    value: Annotated[bytes, Meta(max_length=VALUE_BYTES_MAX)]
    index: Small
    siblings: Annotated[tuple[Hash, ...], Meta(max_length=DEPTH_MAX)]
    """From the leaf up."""


class Disclosure(Wire):
    """Some fields of a document, by ascending path. Says nothing about the others."""

    fields: Annotated[tuple[DisclosedField, ...], Meta(min_length=1, max_length=FIELDS_MAX)]


@dataclass(frozen=True, slots=True)
class SealedDocument:
    """The holder's side of a sealed document. Keep it secret: it contains every salt."""

    root: bytes
    fields: Mapping[str, bytes]
    salts: Mapping[str, bytes]
    _positions: Mapping[str, int]
    _levels: Sequence[Sequence[bytes]]
    """All hashes from the leaves up; the last level is the root alone."""

    def disclose(self, paths: Iterable[str]) -> Disclosure:
        """Values, salts and Merkle paths of `paths`, and of nothing else.

        Raises:
            DocumentError: DOCUMENT_PATH_UNKNOWN for none, an unknown or a repeated path.
        """
        wanted = sorted(paths, key=str.encode)
        if not wanted or len(set(wanted)) != len(wanted):
            raise DocumentError("DOCUMENT_PATH_UNKNOWN", "no path, or one path twice")
        return Disclosure(tuple(self._disclosed(path) for path in wanted))

    def _disclosed(self, path: str) -> DisclosedField:
        index = self._positions.get(path)
        if index is None:
            raise DocumentError("DOCUMENT_PATH_UNKNOWN", f"no field {path!a}")
        siblings = tuple(
            level[(index >> height) ^ 1] for height, level in enumerate(self._levels[:-1])
        )
        return DisclosedField(path, self.salts[path], self.fields[path], index, siblings)


def _expand(pseudorandom_key: bytes, info: bytes) -> bytes:
    return HKDFExpand(algorithm=SHA256(), length=SALT_BYTES, info=info).derive(pseudorandom_key)


def _leaf(path: bytes, salt: bytes, value: bytes) -> bytes:
    return sha256(
        LEAF
        + len(path).to_bytes(_LENGTH_BYTES, "big")
        + path
        + salt
        + len(value).to_bytes(_LENGTH_BYTES, "big")
        + value
    ).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(NODE + left + right).digest()


def _checked(fields: Iterable[tuple[str, bytes]]) -> dict[str, bytes]:
    """The fields by ascending path, each path once."""
    by_path: dict[str, bytes] = {}
    for path, value in fields:
        # printable excludes zero bytes, which mark padding, and surrogates, which have no UTF-8
        if not path.isprintable() or not 1 <= len(path.encode()) <= PATH_BYTES_MAX:
            raise DocumentError("DOCUMENT_FIELDS_INVALID", f"bad path {path[:40]!a}")
        if path in by_path:
            raise DocumentError("DOCUMENT_FIELDS_INVALID", f"path {path!a} occurs twice")
        if len(value) > VALUE_BYTES_MAX:
            raise DocumentError("DOCUMENT_FIELDS_INVALID", f"the value of {path!a} is too long")
        by_path[path] = value
    if not 1 <= len(by_path) <= FIELDS_MAX:
        raise DocumentError("DOCUMENT_FIELDS_INVALID", f"{len(by_path)} fields")
    return dict(sorted(by_path.items(), key=lambda item: item[0].encode()))


def seal(fields: Iterable[tuple[str, bytes]], document_salt: bytes) -> SealedDocument:
    """The tree over `fields` (path, value); the same fields and salt always give the same root.

    `document_salt` is 32 random bytes, secret, one per document.

    Raises:
        DocumentError: DOCUMENT_FIELDS_INVALID, DOCUMENT_SALT_INVALID.
    """
    if len(document_salt) != SALT_BYTES:
        raise DocumentError("DOCUMENT_SALT_INVALID", f"{len(document_salt)} bytes of salt")
    by_path = _checked(fields)
    # RFC 5869 extraction with the default (all-zero) salt, done once for all paths
    pseudorandom_key = hmac.digest(bytes(32), document_salt, "sha256")
    salts = {path: _expand(pseudorandom_key, path.encode()) for path in by_path}
    leaves = {path: _leaf(path.encode(), salts[path], by_path[path]) for path in by_path}
    size = 1 << (len(leaves) - 1).bit_length()
    padding = [
        _expand(pseudorandom_key, _PADDING_INFO + index.to_bytes(_LENGTH_BYTES, "big"))
        for index in range(size - len(leaves))
    ]
    level = sorted([*leaves.values(), *padding])
    place = {leaf: position for position, leaf in enumerate(level)}
    levels = [level]
    while len(level) > 1:
        level = [_node(level[i], level[i + 1]) for i in range(0, len(level), 2)]
        levels.append(level)
    positions = {path: place[leaf] for path, leaf in leaves.items()}
    return SealedDocument(level[0], by_path, salts, positions, levels)


def decode_disclosure(data: bytes) -> Disclosure:
    """The disclosure that somebody sent (canonical CBOR); `codec.encode` is the other direction.

    Raises:
        DocumentError: DOCUMENT_MALFORMED.
    """
    try:
        return decode(Disclosure, data)
    except RemoteProtocolError as error:
        raise DocumentError("DOCUMENT_MALFORMED", error.message) from None


def _well_formed(field: DisclosedField, depth: int) -> bool:
    """Also for values that were built by hand and never decoded."""
    return (
        isinstance(field, DisclosedField)
        and isinstance(field.path, str)
        and 1 <= len(field.path) <= PATH_BYTES_MAX
        and isinstance(field.salt, bytes)
        and len(field.salt) == SALT_BYTES
        and isinstance(field.value, bytes)
        and len(field.value) <= VALUE_BYTES_MAX
        and isinstance(field.index, int)
        and isinstance(field.siblings, tuple)
        and len(field.siblings) == depth
        and 0 <= field.index < 1 << depth
        and all(isinstance(hash_, bytes) and len(hash_) == 32 for hash_ in field.siblings)
    )


def _root_of(field: DisclosedField) -> bytes:
    digest = _leaf(field.path.encode("utf-8", "surrogatepass"), field.salt, field.value)
    for height, sibling in enumerate(field.siblings):
        right = field.index >> height & 1
        digest = _node(sibling, digest) if right else _node(digest, sibling)
    return digest


def verify_disclosure(root: bytes, disclosure: Disclosure) -> bool:
    """True iff every disclosed field stands under `root`; total: malformed input is just False.

    Fields must ascend by path, each path once, all at the same depth of the tree.
    """
    if not isinstance(disclosure, Disclosure) or not isinstance(disclosure.fields, tuple):
        return False
    fields = disclosure.fields
    if not 1 <= len(fields) <= FIELDS_MAX or not isinstance(fields[0], DisclosedField):
        return False
    if not isinstance(fields[0].siblings, tuple) or len(fields[0].siblings) > DEPTH_MAX:
        return False
    depth = len(fields[0].siblings)
    if not all(_well_formed(field, depth) for field in fields):
        return False
    paths = [field.path.encode("utf-8", "surrogatepass") for field in fields]
    if any(first >= second for first, second in itertools.pairwise(paths)):
        return False
    return all(_root_of(field) == root for field in fields)
