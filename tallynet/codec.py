"""The strict codec: one frozen Struct <-> one canonical CBOR array.

Profile (reliability §8): definite lengths, shortest integers, arrays / bytes / text / unsigned
integers / bool / null only; no maps, tags or floats; depth <= 8. The decoder is total: it returns a
valid value or raises `RemoteProtocolError`. Signatures and hashes are always taken over the bytes
received, never over a re-encoding; the re-encoding here only proves canonical form.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from types import UnionType
from typing import Any, Final, Never, TypeVar, dataclass_transform, overload

import cbor2
import msgspec

from tallynet.errors import RemoteProtocolError

__all__ = ["DEPTH_MAX", "Wire", "decode", "decode_trusted", "encode"]

T = TypeVar("T")

DEPTH_MAX: Final = 8
"""An envelope nests body > commands > command > pieces > piece > document: six levels."""


@dataclass_transform(frozen_default=True)
class Wire(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    forbid_unknown_fields=True,
    gc=False,
):
    """Base of everything that is encoded: positional array, immutable, no unknown fields.

    `gc=False` because wire values never form cycles and are created by the hundred thousand.
    """


def _refuse_tag(*_arguments: object) -> Never:
    raise ValueError("tags are not allowed")


_REFUSE_EVERY_TAG: Final[Any] = defaultdict(lambda: _refuse_tag)


def encode(value: object) -> bytes:
    """The canonical bytes of a `Wire` value."""
    return cbor2.dumps(msgspec.to_builtins(value, builtin_types=(bytes,)))


@overload
def decode(kind: type[T], data: bytes) -> T: ...
@overload
def decode(kind: UnionType, data: bytes) -> Any: ...
def decode(kind: Any, data: bytes) -> Any:
    """The value of type `kind` that `data` encodes. A union must be of tagged types.

    Raises:
        RemoteProtocolError: MALFORMED when the bytes are no CBOR of the profile, SCHEMA when they do
            not fit `kind`, NOT_CANONICAL when another encoding of the same value is the right one.
    """
    try:
        plain = cbor2.loads(
            data,
            max_depth=DEPTH_MAX,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
            semantic_decoders=_REFUSE_EVERY_TAG,
        )
    except Exception as error:  # noqa: BLE001 - cbor2 wraps most, but not all, faults in its type
        raise RemoteProtocolError("MALFORMED", f"not canonical CBOR: {error}") from None
    try:
        member = _member(kind, plain) if isinstance(kind, UnionType) else kind
        value = msgspec.convert(plain, member, strict=True, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise RemoteProtocolError("SCHEMA", f"not a {_name(kind)}: {error}") from None
    # No field has a default and strict conversion changes nothing, so this is the encoding of `value`.
    if cbor2.dumps(plain) != data:
        raise RemoteProtocolError("NOT_CANONICAL", f"not the canonical form of a {_name(kind)}")
    return value


@cache
def _members(union: UnionType) -> dict[object, type[Wire]]:
    """The types of a union by their tags."""
    return {member.__struct_config__.tag: member for member in union.__args__}


def _member(union: UnionType, plain: object) -> type[Wire]:
    """The type in the union that the value says it is. msgspec finds it too, but looks at all of them anew for
    every value of a union that is in no field, which costs twenty times as much as the value.

    Raises msgspec.ValidationError.
    """
    tag = plain[0] if isinstance(plain, list) and plain else None
    member = _members(union).get(tag) if isinstance(tag, str) else None
    if member is None:
        raise msgspec.ValidationError(f"invalid tag {tag!r:.40}")
    return member


def decode_trusted(kind: type[T], data: bytes) -> T:
    """The value of type `kind` in bytes that this process encoded and whose checksum it has verified:
    no check of the canonical form, which costs half of `decode`. Never for bytes from elsewhere.

    Raises:
        msgspec.ValidationError, cbor2.CBORDecodeError: the bytes are not what we wrote.
    """
    return msgspec.convert(cbor2.loads(data), kind, strict=True, builtin_types=(bytes,))


def _name(kind: object) -> str:
    return getattr(kind, "__name__", None) or "message"
