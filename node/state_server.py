"""Hands out the newest state to nodes that are too far behind for blocks (decision 0040).

Theory of operation. A state can be fetched only as a whole, over many requests, so it must stand still
meanwhile: the server keeps one read transaction of the store open, its *pin*, and answers from that. A
pin costs disk, because pages that commits replace cannot be used again while somebody may read them; so
there is one at most, shared by all who fetch, and it ends when nobody has asked for a while, or after
some minutes in any case. Whoever was not done goes on with a newer state, of which most is the same.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, TypeVar

from node.state.entities import load_entity, size_of
from node.state.tables import STATE_TREE
from node.state.tree import (
    CHILDREN_BYTES,
    ROOT_PATH,
    STEPS,
    children_of,
    count_of,
    entries_of,
    hash_of,
)
from node.store import BlockRow, Snapshot, Store
from node.sync import Answer
from tallynet.codec import decode_trusted, encode
from tallynet.messages import (
    STATE_ENTITIES_MAX,
    STATE_PART_BYTES,
    FetchState,
    FetchStateHead,
    NoState,
    StateBucket,
    StateEntities,
    StateEntity,
    StateHead,
    StateNode,
    StatePart,
)
from tallynet.validators import HANDOVERS_MAX, Handover

PIN_MS_MAX: Final = 600_000
"""At the 5 MB/s that a validator reads from another, ten minutes carry 3 GB. At ten commits a second of a
hundred pages each, the file grows by 2.4 GB meanwhile, once: the pages are used again afterwards."""
PIN_SHARED_MS_MAX: Final = PIN_MS_MAX // 2
"""An older pin is not offered to newcomers: too little of its time is left."""
PIN_IDLE_MS: Final = 15_000
"""Who has not asked for so long has gone: three times the patience of the asker."""
READ_BYTES_MAX: Final = 2 * STATE_PART_BYTES
"""Read for one request at most, so that an answer does not hold the loop for more than some milliseconds:
subtrees that turn out not to fit are read in vain."""
ENTITY_BYTES_MIN: Final = 64
"""No entity takes less in a message; a subtree of more than a part's worth is not tried as a whole."""

T = TypeVar("T", StateNode, StateBucket, StateEntities)


@dataclass(slots=True)
class _Pin:
    stack: ExitStack
    """Closing it ends the read transaction."""
    snapshot: Snapshot
    height: int
    row: BlockRow
    since_ms: int
    users: dict[int, int] = field(default_factory=dict)
    """Validator, or observer by a negative number -> when it asked last."""


class StateServer:
    """One per node. `close` before the store is closed."""

    def __init__(self, store: Store) -> None:
        self._store: Final = store
        self._pin: _Pin | None = None

    @property
    def pinned(self) -> int:
        """Height of the state that is held ready; 0 for none."""
        return 0 if self._pin is None else self._pin.height

    def head(self, source: int, request: FetchStateHead, now_ms: int) -> Answer:
        """`StateHead` of a state that stays available for a while, or `NoState`."""
        pin = self._pin
        if pin is not None and not self._serves(pin, request.least, now_ms):
            if self._is_used(pin, source, now_ms):
                return _none(request.least)
            self.close()
            pin = None
        if pin is None:
            pin = self._pin = self._take(request.least, now_ms)
        if pin is None:
            return _none(request.least)
        pin.users[source] = now_ms
        root = pin.snapshot.get(STATE_TREE, ROOT_PATH)
        row = pin.row
        after = b"" if not request.since else request.since.to_bytes(8, "big")
        handovers = islice(pin.snapshot.handovers(after), HANDOVERS_MAX)
        head = encode(
            StateHead(
                row.header, row.envelopes, row.certificate, count_of(root), hash_of(root),
                tuple(decode_trusted(Handover, handover) for _, handover in handovers),
            )
        )  # fmt: skip
        return Answer(head, len(head))

    @staticmethod
    def _is_used(pin: _Pin, source: int, now_ms: int) -> bool:
        """Somebody else would lose the state that it fetches. A validator does not wait for observers."""
        others = [peer for peer, last in pin.users.items() if now_ms - last < PIN_IDLE_MS]
        return any(peer != source and (peer >= 0 or source < 0) for peer in others)

    @staticmethod
    def _serves(pin: _Pin, least: int, now_ms: int) -> bool:
        return pin.height >= least and now_ms - pin.since_ms < PIN_SHARED_MS_MAX

    def _take(self, least: int, now_ms: int) -> _Pin | None:
        with ExitStack() as stack:
            snapshot = stack.enter_context(self._store.reader())
            tip = snapshot.tip()
            row = None if tip is None else snapshot.block(tip.height)
            if tip is None or row is None or tip.height < least:
                return None
            return _Pin(stack.pop_all(), snapshot, tip.height, row, now_ms)
        return None

    def part(self, source: int, request: FetchState, now_ms: int) -> Answer:
        """`StatePart` with the first of the subtrees asked for, or `NoState`."""
        pin = self._pin
        if pin is None or pin.height != request.height:
            return _none(request.height)
        pin.users[source] = now_ms
        found: list[StateNode | StateBucket | StateEntities] = []
        answer = _Part(pin.snapshot)
        for path in request.paths:
            subtree = answer.subtree(path, whole=request.whole)
            if subtree is None:
                break
            found.append(subtree)
        part = encode(StatePart(request.height, tuple(found)) if found else NoState(request.height))
        return Answer(part, max(len(part), answer.read_bytes // 2))

    def tick(self, now_ms: int) -> None:
        """Give the pin up when its time is over or nobody uses it."""
        pin = self._pin
        if pin is not None:
            last = max(pin.users.values(), default=pin.since_ms)
            if now_ms - pin.since_ms >= PIN_MS_MAX or now_ms - last >= PIN_IDLE_MS:
                self.close()

    def close(self) -> None:
        """End the read transaction, if there is one."""
        if self._pin is not None:
            self._pin.stack.close()
            self._pin = None


def _none(height: int) -> Answer:
    return Answer(encode(NoState(height)), 0)


class _Part:
    """Fills one part; `room` and `left` only shrink."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot: Final = snapshot
        self._room = STATE_PART_BYTES
        self._entities = STATE_ENTITIES_MAX
        self._left = READ_BYTES_MAX
        self._empty = True

    @property
    def read_bytes(self) -> int:
        """Of entities, whether they fitted or not. Twice a part's worth may be read for a correct asker."""
        return READ_BYTES_MAX - self._left

    def subtree(
        self, path: bytes, *, whole: bool
    ) -> StateNode | StateBucket | StateEntities | None:
        """What there is at `path` in the best form that fits; None when no more fits, or for a path
        where there is nothing, which an honest asker does not ask for."""
        if self._left <= 0:
            return None
        stored = self._snapshot.get(STATE_TREE, ROOT_PATH + path)
        if stored is None:
            return self._one(path)
        if whole:
            entities = self._gather(path, stored)
            if entities is not None:
                size = sum(map(size_of, entities))
                if size > self._room or len(entities) > self._entities:
                    return None
                return self._add(StateEntities(path, tuple(entities)), size, len(entities))
        entries = entries_of(stored)
        if entries is None:
            if self._room < CHILDREN_BYTES:
                return None
            return self._add(StateNode(path, children_of(stored)), CHILDREN_BYTES, 0)
        size = sum(len(value) + len(name) for _, value, name in entries)
        if self._room < size:
            return None
        names = b"".join(name for _, _, name in entries)
        values = b"".join(value for _, value, _ in entries)
        return self._add(StateBucket(path, names, values), size, 0)

    def _add(self, subtree: T, size: int, entities: int) -> T:
        self._room -= size
        self._entities -= entities
        self._empty = False
        return subtree

    def _gather(self, path: bytes, stored: bytes) -> list[StateEntity] | None:
        """All entities below `path`, unless they are too many for any part."""
        if count_of(stored) * ENTITY_BYTES_MIN > STATE_PART_BYTES:
            return None
        found: list[StateEntity] = []
        size = 0
        for _, row in self._snapshot.dump(STATE_TREE, ROOT_PATH + path):
            for _, _, name in entries_of(row) or ():
                entity = load_entity(self._snapshot, name)
                size += size_of(entity)
                if size > STATE_PART_BYTES:
                    self._left -= size
                    return None
                found.append(entity)
        self._left -= size
        return found

    def _one(self, key_path: bytes) -> StateEntities | None:
        """The entity whose key is spelled by a path of 64 steps: always sent, however large, when the
        part is empty."""
        if any(step >= len(STEPS) for step in key_path):
            return None
        key = bytes(a << 4 | b for a, b in zip(key_path[::2], key_path[1::2], strict=False))
        for depth in range(len(key_path), -1, -1):
            stored = self._snapshot.get(STATE_TREE, ROOT_PATH + key_path[:depth])
            if stored is None:
                continue
            for found, _, name in entries_of(stored) or ():
                if found == key:
                    entity = load_entity(self._snapshot, name)
                    size = size_of(entity)
                    if size > self._room and not self._empty:
                        return None
                    return self._add(StateEntities(key_path, (entity,)), size, 1)
            return None
        return None
