"""Wire values as plain dictionaries for people: field names, hex, enum names; and back again.

Files that people read (genesis.json) and output (`--output json`) use this form; hashes and
signatures never do. `from_plain(T, to_plain(x)) == x` for every wire value of type T.
"""

from __future__ import annotations

import types
from enum import IntEnum
from functools import cache
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from tallynet.codec import Wire, decode, encode
from tallynet.errors import TallynetError

__all__ = ["UNION_TAG", "PlainError", "from_plain", "to_plain"]

T = TypeVar("T")
UNION_TAG: Final = "is"


class PlainError(TallynetError):
    """A file or argument does not have the expected shape; the text says where."""


def to_plain(value: object) -> Any:
    """Dictionaries, lists, strings, integers, booleans and None only."""
    if isinstance(value, msgspec.Struct):
        tag = value.__struct_config__.tag
        head = {UNION_TAG: tag} if tag else {}
        return head | {name: to_plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, IntEnum):
        return value.name
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind: type[T], plain: Any) -> T:
    """The wire value of type `kind` that `plain` describes.

    Raises:
        PlainError: FILE_INVALID, naming the place, e.g. `validators[2].public_key`.
    """
    value = _build(kind, plain, "")
    try:
        return decode(kind, encode(value))
    except TallynetError as error:
        raise PlainError("FILE_INVALID", error.message) from None


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _wrong(place: str, what: str) -> PlainError:
    return PlainError("FILE_INVALID", f"{place or 'top level'}: {what}")


def _build(kind: Any, plain: Any, place: str) -> Any:
    origin = get_origin(kind)
    if origin is Annotated:
        return _build(get_args(kind)[0], plain, place)
    if origin in (Union, types.UnionType):
        return _build_union(get_args(kind), plain, place)
    if origin is tuple:
        if not isinstance(plain, list):
            raise _wrong(place, "expected a list")
        item = get_args(kind)[0]
        return tuple(_build(item, p, f"{place}[{i}]") for i, p in enumerate(plain))
    if isinstance(kind, type) and issubclass(kind, Wire):
        return _build_struct(kind, plain, place)
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        if not isinstance(plain, str) or plain not in kind.__members__:
            raise _wrong(place, f"expected one of {', '.join(kind.__members__)}")
        return kind[plain]
    if kind is bytes:
        try:
            return bytes.fromhex(plain)
        except (TypeError, ValueError):
            raise _wrong(place, "expected hexadecimal digits") from None
    if type(plain) is not kind:
        raise _wrong(place, f"expected {kind.__name__}")
    return plain


def _build_union(kinds: tuple[Any, ...], plain: Any, place: str) -> Any:
    if plain is None and type(None) in kinds:
        return None
    options = [k for k in kinds if k is not type(None)]
    if len(options) == 1:
        return _build(options[0], plain, place)
    tags = {k.__struct_config__.tag: k for k in options}
    if not isinstance(plain, dict) or plain.get(UNION_TAG) not in tags:
        raise _wrong(place, f'expected "{UNION_TAG}" to be one of {", ".join(sorted(tags))}')
    return _build_struct(tags[plain[UNION_TAG]], plain, place)


def _build_struct(kind: type[Wire], plain: Any, place: str) -> Wire:
    if not isinstance(plain, dict):
        raise _wrong(place, "expected an object")
    fields = kind.__struct_fields__
    unknown = sorted(set(plain) - set(fields) - {UNION_TAG})
    if unknown:
        raise _wrong(place, f"unknown field {unknown[0]!r}; known: {', '.join(fields)}")
    hints = _hints(kind)
    values = {}
    for name in fields:
        inner = f"{place}.{name}" if place else name
        if name not in plain:
            raise _wrong(inner, "missing")
        values[name] = _build(hints[name], plain[name], inner)
    return kind(**values)
