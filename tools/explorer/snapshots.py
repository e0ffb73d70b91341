"""Processes as bytes, and back: a state to return to as often as needed.

Values that never change are kept beside the bytes and shared by everything made from them, which makes a snapshot
small and fast; with them the memory of good signatures, because what is good for one replica is good for all.
"""

from __future__ import annotations

import gc
import io
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from consensus.config import ReplicaConfig
from consensus.events import Transaction
from consensus.slots import Candidate, Content, Prepared
from consensus.view_change import OpenViewChange
from consensus.votes import Verifier
from tallynet.blocks import Certificate
from tallynet.messages import Signed
from tools.explorer.network import GENESIS, KEYS, verify

VERIFIED_MAX: Final = 1 << 18
"""Good signatures remembered, per generation."""
OWN_VERIFIER: Final = -1
"""Stands in a snapshot for a replica's memory of good signatures."""
UNCHANGING: Final = frozenset(
    {
        Candidate, Certificate, Content, OpenViewChange, Prepared, ReplicaConfig, Signed,
        Transaction,
    }
)  # fmt: skip


@contextmanager
def garbage_dies_young() -> Iterator[None]:
    """Processes are cycles of objects that are thrown away after one event; what else there is stays to the end. So the
    collector looks at young objects in large batches, and at old ones never: that doubles the speed."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 10, 1_000_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)


class Snapshots:
    """Makes and reads snapshots; one cannot read those of another."""

    def __init__(self) -> None:
        self._verifier: Final = Verifier(verify, GENESIS, KEYS, VERIFIED_MAX)
        self._shared: Final[list[object]] = []
        self._places: Final[dict[int, int]] = {}
        """Identity of a shared value -> its place."""

    def save(self, value: object) -> bytes:
        """Anything made of processes."""
        buffer = io.BytesIO()
        _Pickler(buffer, self._place).dump(value)
        return buffer.getvalue()

    def load(self, saved: bytes) -> Any:
        """A copy of what was saved."""
        return _Unpickler(io.BytesIO(saved), self._value).load()

    def _place(self, value: object) -> int | None:
        kind = type(value)
        if kind is Verifier:
            return OWN_VERIFIER
        if kind not in UNCHANGING:
            return None
        place = self._places.get(id(value))
        if place is None:
            place = self._places[id(value)] = len(self._shared)
            self._shared.append(value)
        return place

    def _value(self, place: int) -> object:
        return self._verifier if place == OWN_VERIFIER else self._shared[place]


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, place: Callable[[object], int | None]) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.persistent_id = place  # type: ignore[method-assign]  # a method of ours would cost twice the time


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, value: Callable[[int], object]) -> None:
        super().__init__(file)
        self.persistent_load = value  # type: ignore[method-assign]
