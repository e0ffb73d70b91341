"""Hypothesis strategies for every wire type, read off its annotations."""

from __future__ import annotations

import types
from enum import IntEnum
from functools import cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from msgspec import Meta

from tallynet.codec import Wire

T = TypeVar("T")
LIST_MAX = 3
"""Items generated where more are allowed: limits have tests of their own."""
BYTES_MAX = 80


def values(kind: Any, *metas: Meta) -> st.SearchStrategy[Any]:
    """Values that fit a type, bounds included."""
    origin = get_origin(kind)
    if origin is Annotated:
        inner, *more = get_args(kind)
        return values(inner, *metas, *(m for m in more if isinstance(m, Meta)))
    if origin in (Union, types.UnionType):
        return st.one_of(*(values(option) for option in get_args(kind)))
    if origin is tuple:
        low, high = _length(metas, LIST_MAX)
        return st.lists(values(get_args(kind)[0]), min_size=low, max_size=high).map(tuple)
    if kind is types.NoneType or kind is None:
        return st.none()
    if issubclass(kind, Wire):
        return structs(kind)
    return _scalars(kind, metas)


def _scalars(kind: type, metas: tuple[Meta, ...]) -> st.SearchStrategy[Any]:
    if issubclass(kind, IntEnum):
        return st.sampled_from(list(kind))
    if kind is bool:
        return st.booleans()
    if kind is int:
        lows = [m.ge for m in metas if m.ge is not None]
        highs = [m.le for m in metas if m.le is not None]
        return st.integers(int(max(lows)), int(min(highs)))
    if kind is bytes:
        low, high = _length(metas, BYTES_MAX)
        return st.binary(min_size=low, max_size=high)
    if kind is str:
        patterns = [m.pattern for m in metas if m.pattern]
        if patterns:
            return st.from_regex(patterns[0].replace("^", r"\A").replace("$", r"\Z"))
        low, high = _length(metas, LIST_MAX * 4)
        return st.text(min_size=low, max_size=high)
    raise TypeError(f"no strategy for {kind}")


def _length(metas: tuple[Meta, ...], most: int) -> tuple[int, int]:
    low = max((m.min_length for m in metas if m.min_length is not None), default=0)
    high = min((m.max_length for m in metas if m.max_length is not None), default=low + most)
    return low, max(low, min(high, low + most))


@cache
def structs(kind: type[T]) -> st.SearchStrategy[T]:
    """Instances of a `Wire` type."""
    hints = get_type_hints(kind, include_extras=True)
    fields = {name: values(hints[name]) for name in kind.__struct_fields__}  # type: ignore[attr-defined]
    return st.builds(kind, **fields)
