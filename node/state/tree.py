"""The state tree: a canonical Merkle tree over entities, updated once per block in one sweep.

The hashes are defined in `tallynet.state_proof`. Stored are 16-ary nodes and buckets, by path (not by
content, so that nothing has to be collected later): `/` followed by one byte per four bits of key.

    bucket   0x42 ‖ (key ‖ value hash) x 1..16, ascending
    node     32 bytes of header (0x43 ‖ number of entities, 8 bytes ‖ zeros), then slots 1..31 of 32
             bytes: slot 1 is the node's hash, slots 2i and 2i+1 are the halves of slot i, slots 16..31
             are the children. A changed child costs four hashes of 64 adjacent bytes.

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
Leaf = tuple[bytes, bytes | None]
"""Entity key and its new value hash; None removes it."""

ROOT_PATH: Final = b"/"
_BUCKET_TAG: Final = 0x42
_NODE_TAG: Final = 0x43
_BUCKET_HEAD: Final = bytes((_BUCKET_TAG,))
_ENTRY: Final = 64
_BUCKET_BYTES_MAX: Final = BUCKET_MAX * _ENTRY
_NODE_BYTES: Final = 1024
_STEPS: Final = tuple(bytes((nibble,)) for nibble in range(16))
_NOTHING: Final = bytes(64)


def root_of(load: Load) -> bytes:
    """State root of a stored tree."""
    stored = load(ROOT_PATH)
    return tree_root(_count(stored), _hash(stored))


def _count(stored: bytes | None) -> int:
    if stored is None:
        return 0
    if stored[0] == _NODE_TAG:
        return int.from_bytes(stored[1:9], "big")
    return len(stored) >> 6


def _hash(stored: bytes | None) -> bytes:
    if stored is None:
        return EMPTY
    return stored[32:64] if stored[0] == _NODE_TAG else bucket_hash(stored[1:])


def update_tree(load: Load, leaves: list[Leaf]) -> tuple[bytes, dict[bytes, bytes | None]]:
    """State root after `leaves` changed, and the nodes to write (None: to delete), by path.

    `leaves` ascends by key, each key once; removing a key that is not there changes nothing.
    """
    sweep = _Sweep(load, leaves)
    tree, count = EMPTY, 0
    if leaves:
        sweep.visit(ROOT_PATH, 0, len(leaves))
        stored = sweep.written.get(ROOT_PATH)
        tree, count = _hash(stored), _count(stored)
    else:
        return root_of(load), sweep.written
    return tree_root(count, tree), sweep.written


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
        entries = b"" if stored is None else stored[1:]
        merged = _merge(entries, self._leaves, first, last)
        return self._place(path, merged), (len(merged) - len(entries)) >> 6

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
            child, child_growth = self.visit(path + _STEPS[nibble], first, end)
            slot = 16 + nibble
            node[slot << 5 : (slot + 1) << 5] = child
            changed.append(slot)
            growth += child_growth
            first = end
        count = int.from_bytes(node[1:9], "big") + growth
        if count <= BUCKET_MAX:
            return self._place(path, self._gather(path)), growth
        node[1:9] = count.to_bytes(8, "big")
        _hash_slots(node, changed)
        self.written[path] = bytes(node)
        return bytes(node[32:64]), growth

    def _gather(self, path: bytes) -> bytes:
        """Entries of all children of a node that shrank to a bucket, which drops the children."""
        pieces: list[bytes] = []
        for step in _STEPS:
            child = path + step
            stored = self.written[child] if child in self.written else self._load(child)
            if stored is not None:
                invariant(stored[0] == _BUCKET_TAG, "STATE_TREE small subtree is not a bucket")
                pieces.append(stored[1:])
                self.written[child] = None
        return b"".join(pieces)

    def _place(self, path: bytes, entries: bytes) -> bytes:
        """Write the canonical subtree of `entries` at `path`; its hash."""
        if len(entries) <= _BUCKET_BYTES_MAX:
            if not entries:
                self.written[path] = None
                return EMPTY
            self.written[path] = _BUCKET_HEAD + entries
            return bucket_hash(entries)
        depth = len(path) - 1
        at, shift = depth >> 1, 0 if depth & 1 else 4
        node = bytearray(_NODE_BYTES)
        node[0] = _NODE_TAG
        node[1:9] = (len(entries) >> 6).to_bytes(8, "big")
        changed: list[int] = []
        first = 0
        while first < len(entries):
            nibble = entries[first + at] >> shift & 15
            end = first + _ENTRY
            while end < len(entries) and entries[end + at] >> shift & 15 == nibble:
                end += _ENTRY
            slot = 16 + nibble
            child = self._place(path + _STEPS[nibble], entries[first:end])
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


def _merge(entries: bytes, leaves: list[Leaf], first: int, last: int) -> bytes:
    """Entries of a bucket after leaves[first:last]."""
    if last - first == 1:
        key, value = leaves[first]
        at = _find(entries, key)
        end = at + _ENTRY if entries[at : at + 32] == key else at
        return entries[:at] + (b"" if value is None else key + value) + entries[end:]
    values: dict[bytes, bytes | None] = {
        entries[at : at + 32]: entries[at + 32 : at + _ENTRY]
        for at in range(0, len(entries), _ENTRY)
    }
    values.update(leaves[first:last])
    return b"".join(key + value for key, value in sorted(values.items()) if value is not None)


def _find(entries: bytes, key: bytes) -> int:
    """Offset of the first entry whose key is not below `key`."""
    for at in range(0, len(entries), _ENTRY):
        if entries[at : at + 32] >= key:
            return at
    return len(entries)


def prove_key(load: Load, key: bytes) -> StateProof:
    """Path and bucket for an entity key; the caller adds record and lots (`node.state.prove`)."""
    stored = load(ROOT_PATH)
    count = _count(stored)
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
        path += _STEPS[nibble]
        stored = load(path)
    siblings = [sibling for level in reversed(levels) for sibling in level]
    present = sum(1 << i for i, sibling in enumerate(siblings) if sibling != EMPTY)
    return StateProof(
        count=count,
        depth=len(levels),
        present=present.to_bytes((len(siblings) + 7) >> 3, "little"),
        siblings=b"".join(sibling for sibling in siblings if sibling != EMPTY),
        bucket=b"" if stored is None else stored[1:],
        record=None,
        voucher_hash=None,
        rows=b"",
        lots=(),
    )
