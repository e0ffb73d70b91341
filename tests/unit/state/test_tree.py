"""The state tree against its definition: a few lines that know nothing of nodes or batches."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given, settings
from hypothesis import strategies as st

from node.state.tree import (
    NAME_BYTES,
    ROOT_PATH,
    children_of,
    count_of,
    entries_of,
    hash_of,
    make_node,
    make_subtree,
    prove_key,
    root_of,
    update_tree,
)
from tallynet.state_proof import tree_root

EMPTY = bytes(32)


def naive_root(entities: dict[bytes, bytes]) -> bytes:
    """The root as the docstring of `tallynet.state_proof` defines it, computed from scratch."""
    entries = sorted(entities.items())
    return sha256(b"\x44" + len(entries).to_bytes(8, "big") + naive_subtree(entries, 0)).digest()


def naive_subtree(entries: list[tuple[bytes, bytes]], bit: int) -> bytes:
    if not entries:
        return EMPTY
    if bit % 4 == 0 and len(entries) <= 16:
        return sha256(b"\x42" + b"".join(key + value for key, value in entries)).digest()
    right = [e for e in entries if int.from_bytes(e[0], "big") >> (255 - bit) & 1]
    left = [e for e in entries if e not in right]
    return sha256(b"\x43" + naive_subtree(left, bit + 1) + naive_subtree(right, bit + 1)).digest()


def name_of(key: bytes) -> bytes:
    """Stands for a kind and an id; a real key is the hash of them."""
    return sha256(b"name" + key).digest()[:NAME_BYTES]


class Tree:
    """Stored nodes in a dictionary."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, bytes] = {}
        self.entities: dict[bytes, bytes] = {}

    def update(self, changes: dict[bytes, bytes | None]) -> bytes:
        leaves = [(key, value, name_of(key)) for key, value in sorted(changes.items())]
        root, written = update_tree(self.nodes.get, leaves)
        for path, node in written.items():
            if node is None:
                self.nodes.pop(path, None)
            else:
                self.nodes[path] = node
        for key, value in changes.items():
            if value is None:
                self.entities.pop(key, None)
            else:
                self.entities[key] = value
        return root


def crowded_key(number: int) -> bytes:
    """Keys in three crowds that share 0, 3 and 33 nibbles, so that few keys make deep trees; the
    first one leaves most first nibbles out, so that whole halves of the root are empty."""
    rest = sha256(b"%d" % number).digest()
    return (
        bytes((rest[0] & 0xC7,)) + rest[1:],
        b"\x12\x30" + rest[2:],
        bytes(16) + b"\x05" + rest[17:],
    )[number % 3]


CHANGES = st.dictionaries(
    st.integers(0, 150).map(crowded_key),
    st.one_of(st.none(), st.integers(0, 3).map(lambda n: bytes((n,)) * 32)),
    max_size=120,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(CHANGES, min_size=1, max_size=6))
def test_root_equals_definition_after_any_sequence_of_batches(
    batches: list[dict[bytes, bytes | None]],
) -> None:
    tree = Tree()
    for batch in batches:
        root = tree.update(batch)
        assert root == naive_root(tree.entities)
        assert root == root_of(tree.nodes.get)


@settings(max_examples=60, deadline=None)
@given(CHANGES, CHANGES)
def test_stored_nodes_depend_on_the_set_of_entities_only(
    first: dict[bytes, bytes | None], second: dict[bytes, bytes | None]
) -> None:
    slowly, at_once = Tree(), Tree()
    slowly.update(first)
    for change in second.items():
        slowly.update(dict((change,)))
    at_once.update(dict(slowly.entities))
    assert slowly.nodes == at_once.nodes


def test_removing_everything_leaves_no_node_behind() -> None:
    tree = Tree()
    tree.update({crowded_key(i): bytes(32) for i in range(150)})
    assert len(tree.nodes) > 40
    root = tree.update({crowded_key(i): None for i in range(150)})
    assert tree.nodes == {}
    assert root == tree_root(0, EMPTY)


def test_emptying_a_whole_branch_gives_the_root_of_a_tree_that_never_had_it() -> None:
    tree = Tree()
    tree.update({crowded_key(i): bytes(32) for i in range(150)})
    for nibble in range(16):
        gone: dict[bytes, bytes | None] = {
            key: None for key in tree.entities if key[0] >> 4 == nibble
        }
        assert tree.update(gone) == naive_root(tree.entities)


def test_seventeenth_entity_splits_the_bucket_and_its_removal_joins_it() -> None:
    tree = Tree()
    keys = [sha256(b"%d" % i).digest() for i in range(17)]
    tree.update({key: bytes(32) for key in keys[:16]})
    assert list(tree.nodes) == [ROOT_PATH]
    before = dict(tree.nodes)
    tree.update({keys[16]: bytes(32)})
    assert len(tree.nodes) > 1
    tree.update({keys[16]: None})
    assert tree.nodes == before


def test_two_sets_that_differ_have_different_roots() -> None:
    roots = set()
    for count in range(40):
        entities = {crowded_key(i): bytes((7,)) * 32 for i in range(count)}
        roots.add(naive_root(entities))
        if entities:
            roots.add(naive_root(entities | {crowded_key(0): bytes((8,)) * 32}))
    assert len(roots) == 79


def test_path_of_a_key_in_a_deep_crowd_has_one_level_per_shared_nibble() -> None:
    tree = Tree()
    tree.update({crowded_key(3 * i + 2): bytes(32) for i in range(17)})
    assert prove_key(tree.nodes.get, crowded_key(2)).depth == 35


# --- subtrees, as a node that fetches the state puts them together ----------------------------------------


@settings(max_examples=60, deadline=None)
@given(CHANGES)
def test_names_stay_beside_their_entries(changes: dict[bytes, bytes | None]) -> None:
    tree = Tree()
    tree.update(changes)
    found = [entry for row in tree.nodes.values() for entry in entries_of(row) or ()]
    assert sorted(found) == [(k, v, name_of(k)) for k, v in sorted(tree.entities.items())]


@settings(max_examples=60, deadline=None)
@given(CHANGES)
def test_every_subtree_can_be_made_from_its_entities_or_from_its_children(
    changes: dict[bytes, bytes | None],
) -> None:
    tree = Tree()
    tree.update(changes)
    for path, row in tree.nodes.items():
        below = {p: r for p, r in tree.nodes.items() if p.startswith(path)}
        leaves = sorted(entry for r in below.values() for entry in entries_of(r) or ())
        assert make_subtree(path, list(leaves)) == (hash_of(row), below)
        assert count_of(row) == len(leaves)
        if entries_of(row) is None:
            assert make_node(children_of(row), len(leaves)) == row
