"""What a command says, field by field, in the form in which people read each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any, Final, get_type_hints

import msgspec

from tallynet.fields import Day, Ppm

__all__ = ["Told", "told"]

ROWS_MAX: Final = 200
"""Of one command; the rest is in the JSON."""
_AMOUNTS: Final = frozenset(
    (
        "amount", "face", "granted", "cap", "draw_min", "draw_max", "organisation_cap", "total_cap", "min_piece",
        "sum", "start", "end", "total", "minimum", "free_below", "interest", "principal", "net", "face_amount",
        "penalty", "fee", "face_part", "penalty_part",
    )
)  # fmt: skip
"""Fields in minor units."""


@dataclass(frozen=True, slots=True)
class Told:
    name: str
    """Its place, e.g. `pieces[0].receiver`."""
    form: str
    """amount, day, rate, id, bytes, word, flag, none, or text."""
    value: Any


def told(command: msgspec.Struct) -> list[Told]:
    """The fields of a command, those inside others too."""
    found: list[Told] = []
    for row in _fields(command, ""):
        if len(found) >= ROWS_MAX:
            break
        found.append(row)
    return found


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _fields(struct: msgspec.Struct, place: str) -> Iterator[Told]:
    hints = _hints(type(struct))
    for name in struct.__struct_fields__:
        yield from _value(getattr(struct, name), f"{place}{name}", name, hints[name])


def _value(value: Any, place: str, name: str, hint: Any) -> Iterator[Told]:
    if isinstance(value, msgspec.Struct):
        yield from _fields(value, place + ".")
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from _value(item, f"{place}[{number}]", name, None)
    else:
        yield Told(place, _form(value, name, hint), value)


def _form(value: Any, name: str, hint: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, IntEnum):
        return "word"
    if isinstance(value, bytes):
        return "id" if len(value) == 16 else "bytes"
    if isinstance(value, int):
        for form, of in (("day", hint == Day), ("rate", hint == Ppm), ("amount", name in _AMOUNTS)):
            if of:
                return form
    return "text"
