"""The walk down a state tree that is fetched piece by piece and checked from the root.

Theory of operation. The walk is a set of *frames*: nodes and buckets of which the hashes one level down are
known and some of what lies there is not. Every expected hash comes from the frame above, in the end from a
certificate. What arrives is checked against it and turned into rows for the set of state tables that is not
current; a row of the state tree is written only when everything below it is there, so on disk

    a row of the tree with the expected hash   means that its whole subtree is there, records and all
    a record                                   is named by exactly one bucket on disk

The first lets a walk go on after a restart, or under a newer root, where it stopped; the second tells it
what to delete when a subtree is another one now. Frames live in memory only: at most sixteen per level, and
the entities of one bucket.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Protocol

from node.state.entities import leaves_of, records_of, size_of
from node.state.tables import RECORDS, STATE_TREE, Reader
from node.state.tree import (
    NAME_BYTES,
    ROOT_PATH,
    STEPS,
    Leaf,
    count_of,
    entries_of,
    hash_of,
    make_node,
    make_subtree,
)
from tallynet.errors import RemoteProtocolError
from tallynet.messages import (
    STATE_PATHS_MAX,
    StateBucket,
    StateEntities,
    StateEntity,
    StateNode,
)
from tallynet.state_proof import EMPTY, bucket_hash

HASH_BYTES: Final = 32

Table = dict[bytes, bytes | None]
Subtree = StateNode | StateBucket | StateEntities
Want = tuple[bytes, bytes]
"""A path, and the hash of what is there: of a subtree, or the value hash of an entity."""


class Staged(Reader, Protocol):
    """The set of state tables that is not current, as it is on disk."""

    def keys(self, table: str, prefix: bytes, limit: int) -> list[bytes]:
        """The first `limit` keys that start with `prefix`, ascending."""


@dataclass(slots=True, eq=False)
class _Frame:
    path: bytes
    parent: _Frame | None
    """None for the one above the root."""
    children: bytes = b""
    """Of a node: sixteen hashes."""
    leaves: list[Leaf] = field(default_factory=list)
    """Of a bucket."""
    todo: deque[Want] = field(default_factory=deque)
    """What is not here, in order."""
    open: int = 0
    """Parts that are not complete: `todo`, and frames below."""
    count: int = 0
    """Entities in those that are."""
    entities: list[StateEntity] = field(default_factory=list)
    """Of a bucket: what arrived; it is written as one."""
    kept: frozenset[bytes] = frozenset()
    """Of a bucket: names of the entities that are on disk as they should be."""


class StateWalk:
    """One walk under one root. `rows` gathers what has to be written; the caller takes it away and calls
    nothing else before it is on disk."""

    def __init__(self, staged: Staged, tree: bytes) -> None:
        """`tree` is the hash of the whole tree, proven by a certificate."""
        self._staged: Final = staged
        self._above: Final = _Frame(b"", None, open=1)
        self._stack: Final = [self._above]
        """Frames with something to do; the last one is the deepest."""
        self.rows: dict[str, Table] = {RECORDS: {}, STATE_TREE: {}}
        self.entities = 0
        """Entities that are complete so far, for the progress."""
        self._begin(self._above, b"", tree)

    @property
    def done(self) -> bool:
        """Everything under the root is there, or will be with `rows`."""
        return self._above.open == 0

    def wanted(self) -> tuple[tuple[bytes, ...], bool]:
        """What to ask for next: paths, and whether whole subtrees are of use there. They are where
        nothing is on disk; elsewhere one level shows what has changed."""
        while not self._stack[-1].todo:
            self._stack.pop()
        frame = self._stack[-1]
        if frame.leaves:
            return tuple(path for path, _ in frame.todo), True
        paths: list[bytes] = []
        whole = self._is_new(frame.todo[0][0])
        for path, _ in frame.todo:
            if len(paths) == STATE_PATHS_MAX or self._is_new(path) is not whole:
                break
            paths.append(path)
        return tuple(paths), whole

    def _is_new(self, path: bytes) -> bool:
        return not self._staged.keys(STATE_TREE, ROOT_PATH + path, 1)

    # --- answers ------------------------------------------------------------------------------------

    def take(self, subtrees: Sequence[Subtree]) -> int:
        """Check the answer to what was `wanted`, then take all of it in; returns its size in bytes.

        Raises:
            RemoteProtocolError: BAD_STATE or a decoding error: something is not what was asked for.
                Nothing of the answer was taken in.
        """
        frame = self._stack[-1]
        checked: list[tuple[Subtree, list[Leaf]]] = []
        if len(subtrees) > len(frame.todo):
            raise RemoteProtocolError("BAD_STATE", "more subtrees than were asked for")
        for want, subtree in zip(frame.todo, subtrees, strict=False):
            checked.append((subtree, _checked(want, subtree, entity=bool(frame.leaves))))
        size = 0
        for subtree, leaves in checked:
            path, _ = frame.todo.popleft()
            size += self._apply(frame, path, subtree, leaves)
        return size

    def _apply(self, frame: _Frame, path: bytes, subtree: Subtree, leaves: list[Leaf]) -> int:
        if isinstance(subtree, StateNode):
            self._enter_node(frame, path, subtree.children)
            return len(subtree.children)
        if isinstance(subtree, StateBucket):
            self._enter_bucket(frame, path, leaves)
            return len(subtree.names) + len(subtree.values)
        if frame.leaves:
            frame.entities.extend(subtree.entities)
        else:
            self._replace(path, leaves, subtree.entities, frozenset())
        self._came(frame, len(leaves), len(leaves))
        return sum(map(size_of, subtree.entities))

    # --- frames -------------------------------------------------------------------------------------

    def _begin(self, frame: _Frame, path: bytes, expected: bytes) -> None:
        """One part of a frame: there already, to be emptied, or to be asked for."""
        if expected == EMPTY:
            self._replace(path, [], (), frozenset())
            self._came(frame, 0, 0)
            return
        stored = self._staged.get(STATE_TREE, ROOT_PATH + path)
        if hash_of(stored) == expected:
            count = count_of(stored)
            self._came(frame, count, count)
        else:
            frame.todo.append((path, expected))

    def _enter_node(self, parent: _Frame, path: bytes, children: bytes) -> None:
        frame = _Frame(path, parent, children=children, open=len(STEPS))
        # What stands here on disk is another subtree's: a bucket's entities belong further down now.
        stored = self._staged.get(STATE_TREE, ROOT_PATH + path)
        if stored is not None:
            self.rows[STATE_TREE][ROOT_PATH + path] = None
            self._delete_records(name for _, _, name in entries_of(stored) or ())
        self._stack.append(frame)
        for number, step in enumerate(STEPS):
            self._begin(
                frame, path + step, children[number * HASH_BYTES : (number + 1) * HASH_BYTES]
            )

    def _enter_bucket(self, parent: _Frame, path: bytes, leaves: list[Leaf]) -> None:
        old = {name: value for _, value, name in self._entries_below(path)}
        kept = frozenset(name for _, value, name in leaves if old.get(name) == value)
        frame = _Frame(path, parent, leaves=leaves, kept=kept, open=len(leaves))
        self._stack.append(frame)
        frame.todo.extend(
            (steps_of(key), value) for key, value, name in leaves if name not in kept and value
        )
        self._came(frame, len(kept), len(kept), parts=len(kept))

    def _came(self, frame: _Frame, count: int, entities: int, *, parts: int = 1) -> None:
        """Parts of a frame are complete; perhaps the frame is, and the one above it."""
        frame.open -= parts
        frame.count += count
        self.entities += entities
        if frame.open or frame.parent is None:
            return
        if frame.leaves:
            self._replace(frame.path, frame.leaves, frame.entities, frame.kept)
        else:
            self.rows[STATE_TREE][ROOT_PATH + frame.path] = make_node(frame.children, frame.count)
        self._came(frame.parent, frame.count, 0)

    # --- rows ---------------------------------------------------------------------------------------

    def _replace(
        self,
        path: bytes,
        leaves: list[Leaf],
        entities: Iterable[StateEntity],
        kept: frozenset[bytes],
    ) -> None:
        """The subtree at `path` is `leaves` from now on; the records of `kept` are on disk."""
        tree = self.rows[STATE_TREE]
        gone = (name for _, _, name in self._entries_below(path) if name not in kept)
        self._delete_records(gone)
        for key in self._staged.keys(STATE_TREE, ROOT_PATH + path, sys.maxsize):
            tree[key] = None
        tree.update(make_subtree(ROOT_PATH + path, leaves)[1])
        for entity in entities:
            self.rows[RECORDS].update(records_of(entity))

    def _entries_below(self, path: bytes) -> Iterable[tuple[bytes, bytes, bytes]]:
        for _, row in self._staged.scan(STATE_TREE, ROOT_PATH + path, b"", sys.maxsize):
            yield from entries_of(row) or ()

    def _delete_records(self, names: Iterable[bytes]) -> None:
        """Delete entities: the keys of a voucher's lots and their row begin with its name."""
        for name in names:
            for key in self._staged.keys(RECORDS, name, sys.maxsize):
                self.rows[RECORDS][key] = None


def steps_of(key: bytes) -> bytes:
    """The path of 64 steps that spells an entity's key."""
    return bytes(step for byte in key for step in (byte >> 4, byte & 15))


def _checked(want: Want, subtree: Subtree, *, entity: bool) -> list[Leaf]:
    """The leaves that a subtree shows, none for a node, after it has been found to be what is wanted."""
    path, expected = want
    if subtree.path != path:
        raise RemoteProtocolError("BAD_STATE", "an answer to another question")
    if entity:
        return _checked_entity(want, subtree)
    leaves: list[Leaf] = []
    if isinstance(subtree, StateNode):
        digest = hash_of(make_node(subtree.children, 0))
    elif isinstance(subtree, StateBucket):
        leaves = _leaves_of_bucket(subtree)
        digest = bucket_hash(b"".join(key + (value or b"") for key, value, _ in leaves))
    else:
        leaves = leaves_of(subtree.entities)
        digest, _ = make_subtree(ROOT_PATH + path, leaves)
    if digest != expected:
        raise RemoteProtocolError("BAD_STATE", "a subtree that is not the one in the state")
    return leaves


def _checked_entity(want: Want, subtree: Subtree) -> list[Leaf]:
    if not isinstance(subtree, StateEntities) or len(subtree.entities) != 1:
        raise RemoteProtocolError("BAD_STATE", "one entity was asked for")
    leaves = leaves_of(subtree.entities)
    key, value, _ = leaves[0]
    if (steps_of(key), value) != want:
        raise RemoteProtocolError("BAD_STATE", "an entity that is not the one in the state")
    return leaves


def _leaves_of_bucket(bucket: StateBucket) -> list[Leaf]:
    count = len(bucket.names) // NAME_BYTES
    if len(bucket.names) != count * NAME_BYTES or len(bucket.values) != count * HASH_BYTES:
        raise RemoteProtocolError("BAD_STATE", "names and value hashes do not pair up")
    names = [bucket.names[at * NAME_BYTES : (at + 1) * NAME_BYTES] for at in range(count)]
    return [
        (sha256(name).digest(), bucket.values[at * HASH_BYTES : (at + 1) * HASH_BYTES], name)
        for at, name in enumerate(names)
    ]
