"""List trees: one root per list, and proofs without a byte to spare (C6, C7)."""

from __future__ import annotations

import itertools
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallynet.codec import encode
from tallynet.merkle import (
    COUNT_MAX,
    EMPTY_ROOT,
    ListProof,
    ListTree,
    leaf_hash,
    list_root,
    verify_list_proof,
)


def naive_tree(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, read literally."""
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\1" + naive_tree(leaves[:split]) + naive_tree(leaves[split:])).digest()


def naive_root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return EMPTY_ROOT
    return sha256(b"\2" + len(leaves).to_bytes(4, "big") + naive_tree(leaves)).digest()


@pytest.mark.parametrize("count", [*range(34), 63, 64, 65, 500])
def test_the_root_is_the_one_of_rfc_6962_with_the_count_bound_in(count: int) -> None:
    leaves = [str(i).encode() for i in range(count)]
    assert list_root(leaves) == naive_root(leaves)
    assert ListTree([leaf_hash(leaf) for leaf in leaves], hashed=True).root == list_root(leaves)


def test_all_lists_of_at_most_nine_leaves_over_two_values_have_distinct_roots() -> None:
    lists = [x for n in range(10) for x in itertools.product((b"a", b"b"), repeat=n)]
    assert len(lists) == 1023
    assert len({list_root(x) for x in lists}) == len(lists)


@pytest.mark.parametrize("count", range(1, 10))
def test_every_leaf_is_provable_at_its_own_place_only(count: int) -> None:
    leaves = [bytes((i,)) for i in range(count)]
    tree = ListTree(leaves)
    for index, leaf in enumerate(leaves):
        proof = tree.prove(index)
        assert verify_list_proof(tree.root, leaf, proof)
        for place in range(-1, count + 2):
            for size in range(count + 3):
                moved = ListProof(place, size, proof.siblings)
                fits = verify_list_proof(tree.root, leaf, moved)
                assert fits == ((place, size) == (index, count))
        for other in leaves:
            assert verify_list_proof(tree.root, other, proof) == (other == leaf)


@pytest.mark.parametrize("count", range(1, 10))
def test_a_proof_has_exactly_the_siblings_it_needs(count: int) -> None:
    leaves = [bytes((i,)) for i in range(count)]
    tree = ListTree(leaves)
    for index, leaf in enumerate(leaves):
        proof = tree.prove(index)
        siblings = proof.siblings
        for wrong in (
            (*siblings, bytes(32)),
            (bytes(32), *siblings),
            siblings[:-1],
            siblings[1:],
            siblings[::-1],
        ):
            if wrong != siblings:
                assert not verify_list_proof(tree.root, leaf, ListProof(index, count, wrong))


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=40), st.data())
def test_no_flipped_bit_in_a_proof_is_accepted(leaves: list[bytes], data: st.DataObject) -> None:
    tree = ListTree(leaves)
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof = tree.prove(index)
    assert verify_list_proof(tree.root, leaves[index], proof)
    if proof.siblings:
        at = data.draw(st.integers(0, len(proof.siblings) - 1))
        bit = data.draw(st.integers(0, 255))
        flipped = (int.from_bytes(proof.siblings[at], "big") ^ 1 << bit).to_bytes(32, "big")
        siblings = (*proof.siblings[:at], flipped, *proof.siblings[at + 1 :])
        forged = ListProof(index, len(leaves), siblings)
        assert not verify_list_proof(tree.root, leaves[index], forged)


def test_an_inner_node_is_no_leaf_and_a_leaf_is_no_inner_node() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    tree = ListTree([b"a", b"b"])
    assert not verify_list_proof(tree.root, left + right, ListProof(0, 1, ()))
    assert list_root([left + right]) != tree.root
    assert list_root([b"\1" + left + right]) != tree.root


def test_a_duplicated_last_leaf_changes_the_root() -> None:
    """CVE-2012-2459: trees that double an odd last leaf cannot tell these apart."""
    for count in (1, 3, 5, 7, 9):
        leaves = [bytes((i,)) for i in range(count)]
        assert list_root(leaves) != list_root([*leaves, leaves[-1]])


def test_nothing_is_proven_in_an_empty_list() -> None:
    tree = ListTree([])
    assert tree.root == EMPTY_ROOT
    with pytest.raises(IndexError):
        tree.prove(0)
    for count in (0, 1):
        assert not verify_list_proof(EMPTY_ROOT, b"", ListProof(0, count, ()))


def test_a_list_has_at_most_65535_leaves() -> None:
    assert ListTree([b""] * COUNT_MAX, hashed=True).count == COUNT_MAX
    with pytest.raises(ValueError, match="at most"):
        ListTree([b""] * (COUNT_MAX + 1), hashed=True)
    with pytest.raises(IndexError):
        ListTree([b"a"]).prove(1)


def test_the_longest_proof_fits_its_wire_type() -> None:
    tree = ListTree([bytes(32)] * 40_000, hashed=True)
    assert len(tree.prove(0).siblings) == 16
    assert encode(tree.prove(0))
