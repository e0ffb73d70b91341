"""The state tree: a canonical Merkle tree over entities, updated once per block in one sweep.

The hashes are defined in `tallynet.state_proof`. Stored are 16-ary nodes and buckets, by path (not by
content, so that nothing has to be collected later): `/` followed by one byte per four bits of key.

    bucket   0x42 ‖ (key ‖ value hash) x 1..16, ascending ‖ name of each: its kind and id, 17 bytes
    node     32 bytes of header (0x43 ‖ number of entities, 8 bytes ‖ zeros), then slots 1..31 of 32
             bytes: slot 1 is the node's hash, slots 2i and 2i+1 are the halves of slot i, slots 16..31
             are the children. A changed child costs four hashes of 64 adjacent bytes.

The names are not hashed, the keys are hashes of them: they say which records lie below a path, which is
what a node that fetches the state asks for (`node.state_sync`).

Canonical: a subtree of at most 16 entities is a bucket, a larger one a node, an empty one is not
stored. Splitting and joining follow from the number of entities alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tallynet.errors import invariant
from tallynet.state_proof import (
    BUCKET_MAX,
    EMPTY,
    LEVEL_BITS,
    StateProof,
    bucket_hash,
    node_hash,
    tree_root,
)  # fmt: skip

Load = Callable[[bytes], bytes | None]
"""Stored node or bucket at a path, None where there is none."""
Leaf = tuple[bytes, bytes | None, bytes]
"""Entity key, its new value hash (None removes it), and its name."""

ROOT_PATH: Final = b"/"
_BUCKET_TAG: Final = 0x42
_NODE_TAG: Final = 0x43
_BUCKET_HEAD: Final = bytes((_BUCKET_TAG,))
NAME_BYTES: Final = 17
"""Kind (1) and id (16) of an entity; lots belong to their voucher."""
CHILDREN: Final = 16
CHILDREN_BYTES: Final = CHILDREN * 32
_ENTRY: Final = 64
_BUCKET_ROW: Final = _ENTRY + NAME_BYTES
_BUCKET_BYTES_MAX: Final = BUCKET_MAX * _ENTRY
_NODE_BYTES: Final = 1024
STEPS: Final = tuple(bytes((nibble,)) for nibble in range(CHILDREN))
"""One level down each: appended to a path."""
_NOTHING: Final = bytes(64)


def root_of(load: Load) -> bytes:
    """State root of a stored tree."""
    stored = load(ROOT_PATH)
    return tree_root(count_of(stored), hash_of(stored))


def count_of(stored: bytes | None) -> int:
    """Entities below a stored node or in a bucket; 0 for an empty place."""
    if stored is None:
        return 0
    if stored[0] == _NODE_TAG:
        return int.from_bytes(stored[1:9], "big")
    return len(stored) // _BUCKET_ROW


def hash_of(stored: bytes | None) -> bytes:
    """Hash of the subtree of a stored node or bucket; EMPTY for an empty place."""
    if stored is None:
        return EMPTY
    return stored[32:64] if stored[0] == _NODE_TAG else bucket_hash(_entries(stored))


def _entries(bucket: bytes) -> bytes:
    return bucket[1 : 1 + len(bucket) // _BUCKET_ROW * _ENTRY]


def _names(bucket: bytes) -> bytes:
    return bucket[1 + len(bucket) // _BUCKET_ROW * _ENTRY :]


def entries_of(stored: bytes) -> list[tuple[bytes, bytes, bytes]] | None:
    """(key, value hash, name) of every entity of a bucket, ascending; None for a node."""
    if stored[0] == _NODE_TAG:
        return None
    entries, names = _entries(stored), _names(stored)
    return [
        (
            entries[at * _ENTRY : at * _ENTRY + 32],
            entries[at * _ENTRY + 32 : (at + 1) * _ENTRY],
            names[at * NAME_BYTES : (at + 1) * NAME_BYTES],
        )
        for at in range(len(entries) // _ENTRY)
    ]


def children_of(node: bytes) -> bytes:
    """Hashes of the sixteen children of a stored node, joined; EMPTY for an empty one."""
    return node[_NODE_BYTES - CHILDREN_BYTES :]


def make_node(children: bytes, count: int) -> bytes:
    """The stored form of a node above these sixteen children (`children_of`), `count` entities below."""
    node = bytearray(_NODE_BYTES)
    node[0] = _NODE_TAG
    node[1:9] = count.to_bytes(8, "big")
    node[_NODE_BYTES - CHILDREN_BYTES :] = children
    _hash_slots(node, [slot for slot in range(16, 32) if any(node[slot << 5 : (slot + 1) << 5])])
    return bytes(node)


def make_subtree(path: bytes, leaves: list[Leaf]) -> tuple[bytes, dict[bytes, bytes]]:
    """Hash and stored rows of the canonical subtree at `path` with these entities, ascending by key, all
    below it."""
    sweep = _Sweep(lambda _path: None, [])
    entries = b"".join(key + (value or EMPTY) for key, value, _ in leaves)
    digest = sweep.place(path, entries, b"".join(name for _, _, name in leaves))
    return digest, {at: row for at, row in sweep.written.items() if row is not None}


def update_tree(load: Load, leaves: list[Leaf]) -> tuple[bytes, dict[bytes, bytes | None]]:
    """State root after `leaves` changed, and the nodes to write (None: to delete), by path.

    `leaves` ascends by key, each key once; removing a key that is not there changes nothing.
    """
    sweep = _Sweep(load, leaves)
    if not leaves:
        return root_of(load), sweep.written
    sweep.visit(ROOT_PATH, 0, len(leaves))
    stored = sweep.written.get(ROOT_PATH)
    return tree_root(count_of(stored), hash_of(stored)), sweep.written


class _Sweep:
    """One pass over the paths of all changed leaves."""

    __slots__ = ("_leaves", "_load", "written")

    def __init__(self, load: Load, leaves: list[Leaf]) -> None:
        self._load: Final = load
        self._leaves: Final = leaves
        self.written: Final[dict[bytes, bytes | None]] = {}

    def visit(self, path: bytes, first: int, last: int) -> tuple[bytes, int]:
        """Apply leaves[first:last], all below `path`; hash of the subtree and its growth."""
        stored = self._load(path)
        if stored is not None and stored[0] == _NODE_TAG:
            return self._visit_node(path, bytearray(stored), first, last)
        entries, names = (b"", b"") if stored is None else (_entries(stored), _names(stored))
        merged, merged_names = _merge(entries, names, self._leaves, first, last)
        return self.place(path, merged, merged_names), (len(merged) - len(entries)) >> 6

    def _visit_node(self, path: bytes, node: bytearray, first: int, last: int) -> tuple[bytes, int]:
        leaves = self._leaves
        depth = len(path) - 1
        at, shift = depth >> 1, 0 if depth & 1 else 4
        growth = 0
        changed: list[int] = []
        while first < last:
            nibble = leaves[first][0][at] >> shift & 15
            end = first + 1
            while end < last and leaves[end][0][at] >> shift & 15 == nibble:
                end += 1
            child, child_growth = self.visit(path + STEPS[nibble], first, end)
            slot = 16 + nibble
            node[slot << 5 : (slot + 1) << 5] = child
            changed.append(slot)
            growth += child_growth
            first = end
        count = int.from_bytes(node[1:9], "big") + growth
        if count <= BUCKET_MAX:
            return self.place(path, *self._gather(path)), growth
        node[1:9] = count.to_bytes(8, "big")
        _hash_slots(node, changed)
        self.written[path] = bytes(node)
        return bytes(node[32:64]), growth

    def _gather(self, path: bytes) -> tuple[bytes, bytes]:
        """Entries and names of all children of a node that shrank to a bucket, which drops the
        children."""
        entries: list[bytes] = []
        names: list[bytes] = []
        for step in STEPS:
            child = path + step
            stored = self.written[child] if child in self.written else self._load(child)
            if stored is not None:
                invariant(stored[0] == _BUCKET_TAG, "STATE_TREE small subtree is not a bucket")
                entries.append(_entries(stored))
                names.append(_names(stored))
                self.written[child] = None
        return b"".join(entries), b"".join(names)

    def place(self, path: bytes, entries: bytes, names: bytes) -> bytes:
        """Write the canonical subtree of `entries` at `path`; its hash."""
        if len(entries) <= _BUCKET_BYTES_MAX:
            if not entries:
                self.written[path] = None
                return EMPTY
            self.written[path] = _BUCKET_HEAD + entries + names
            return bucket_hash(entries)
        depth = len(path) - 1
        at, shift = depth >> 1, 0 if depth & 1 else 4
        node = bytearray(_NODE_BYTES)
        node[0] = _NODE_TAG
        count = len(entries) >> 6
        node[1:9] = count.to_bytes(8, "big")
        changed: list[int] = []
        first = 0
        while first < count:
            nibble = entries[(first << 6) + at] >> shift & 15
            end = first + 1
            while end < count and entries[(end << 6) + at] >> shift & 15 == nibble:
                end += 1
            slot = 16 + nibble
            child = self.place(
                path + STEPS[nibble],
                entries[first << 6 : end << 6],
                names[first * NAME_BYTES : end * NAME_BYTES],
            )
            node[slot << 5 : (slot + 1) << 5] = child
            changed.append(slot)
            first = end
        _hash_slots(node, changed)
        self.written[path] = bytes(node)
        return bytes(node[32:64])


def _hash_slots(node: bytearray, slots: list[int]) -> None:
    """Recompute what lies above the changed children (ascending slots)."""
    for _ in range(LEVEL_BITS):
        parents: list[int] = []
        before = 0
        for slot in slots:
            parent = slot >> 1
            if parent == before:
                continue
            before = parent
            parents.append(parent)
            pair = bytes(node[parent << 6 : (parent + 1) << 6])
            node[parent << 5 : (parent + 1) << 5] = EMPTY if pair == _NOTHING else node_hash(pair)
        slots = parents


def _merge(
    entries: bytes, names: bytes, leaves: list[Leaf], first: int, last: int
) -> tuple[bytes, bytes]:
    """Entries and names of a bucket after leaves[first:last]."""
    if last - first == 1:
        key, value, name = leaves[first]
        at = _find(entries, key)
        end = at + (entries[at << 6 : (at << 6) + 32] == key)
        new, new_name = (b"", b"") if value is None else (key + value, name)
        return (
            entries[: at << 6] + new + entries[end << 6 :],
            names[: at * NAME_BYTES] + new_name + names[end * NAME_BYTES :],
        )
    found: dict[bytes, tuple[bytes | None, bytes]] = {
        entries[at << 6 : (at << 6) + 32]: (
            entries[(at << 6) + 32 : (at + 1) << 6],
            names[at * NAME_BYTES : (at + 1) * NAME_BYTES],
        )
        for at in range(len(entries) >> 6)
    }
    for key, value, name in leaves[first:last]:
        found[key] = (value, name)
    left = [(key, value, name) for key, (value, name) in sorted(found.items()) if value is not None]
    return b"".join(key + value for key, value, _ in left), b"".join(name for _, _, name in left)


def _find(entries: bytes, key: bytes) -> int:
    """Number of the first entry whose key is not below `key`."""
    for at in range(len(entries) >> 6):
        if entries[at << 6 : (at << 6) + 32] >= key:
            return at
    return len(entries) >> 6


def prove_key(load: Load, key: bytes) -> StateProof:
    """Path and bucket for an entity key; the caller adds record and lots (`node.state.prove`)."""
    stored = load(ROOT_PATH)
    count = count_of(stored)
    path = ROOT_PATH
    levels: list[list[bytes]] = []
    while stored is not None and stored[0] == _NODE_TAG:
        depth = len(path) - 1
        nibble = key[depth >> 1] >> (0 if depth & 1 else 4) & 15
        slot = 16 + nibble
        level: list[bytes] = []
        while slot > 1:
            sibling = slot ^ 1
            level.append(stored[sibling << 5 : (sibling + 1) << 5])
            slot >>= 1
        levels.append(level)
        path += STEPS[nibble]
        stored = load(path)
    siblings = [sibling for level in reversed(levels) for sibling in level]
    present = sum(1 << i for i, sibling in enumerate(siblings) if sibling != EMPTY)
    return StateProof(
        count=count,
        depth=len(levels),
        present=present.to_bytes((len(siblings) + 7) >> 3, "little"),
        siblings=b"".join(sibling for sibling in siblings if sibling != EMPTY),
        bucket=b"" if stored is None else _entries(stored),
        record=None,
        voucher_hash=None,
        rows=b"",
        lots=(),
    )
