"""A bounded cache that costs one dictionary look-up on a hit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Generic, TypeVar

V = TypeVar("V")


class GenerationCache(Generic[V]):
    """Keeps between `size` / 2 and `size` entries: whatever was used since the last turn-over.

    Two dictionaries instead of a linked list: an entry found in the old generation moves to the
    young one; when the young one is full it becomes the old one and the rest is forgotten. Hits cost
    a third of an ordered LRU's, and what falls out is nearly the same.
    """

    __slots__ = ("_half", "_old", "_young")

    def __init__(self, size: int) -> None:
        self._half: Final = max(1, size >> 1)
        self._young: dict[bytes, V] = {}
        self._old: dict[bytes, V] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: bytes) -> V | None:
        value = self._young.get(key)
        if value is None:
            value = self._old.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: bytes, value: V) -> None:
        """Keep `value`; a copy in the old generation is never read again."""
        if len(self._young) >= self._half and key not in self._young:
            self._old = self._young
            self._young = {}
        self._young[key] = value

    def update(self, changes: Iterable[tuple[bytes, V | None]]) -> None:
        """Put what has a value, drop what is None: many at once, without a call for each."""
        young, old, half = self._young, self._old, self._half
        for key, value in changes:
            if value is None:
                young.pop(key, None)
                old.pop(key, None)
                continue
            if len(young) >= half and key not in young:
                old = self._old = young
                young = self._young = {}
            young[key] = value

    def drop(self, key: bytes) -> None:
        """Forget the key if it is here."""
        self._young.pop(key, None)
        self._old.pop(key, None)
