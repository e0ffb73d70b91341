"""`select_new_view` against a naive version, and its safety argument on random histories."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from consensus.view_change import Base, Entry, OpenViewChange, select_new_view
from tallynet.messages import Signed, SignedKind

WINDOW = 3


def block(height: int, variant: int) -> bytes:
    return sha256(b"%d/%d" % (height, variant)).digest()


def entry(height: int, view: int, variant: int, parent_variant: int) -> Entry:
    return Entry(height, view, block(height, variant), block(height - 1, parent_variant), b"")


def change(signer: int, base: int, entries: list[Entry]) -> OpenViewChange:
    signed = Signed(SignedKind.VIEW_CHANGE, b"", signer, b"")
    kept = [e for e in entries if base < e.height <= base + WINDOW]
    kept = [e for i, e in enumerate(kept) if e.height not in [k.height for k in kept[:i]]]
    kept.sort(key=lambda e: e.height)
    return OpenViewChange(signed, 9, Base(base, block(base, 0), None), tuple(kept))


ENTRIES = st.builds(
    entry, st.integers(1, 6), st.integers(0, 3), st.integers(0, 1), st.integers(0, 1)
)
CHANGES = st.lists(
    st.builds(change, st.integers(0, 6), st.integers(0, 3), st.lists(ENTRIES, max_size=6)),
    min_size=1,
    max_size=5,
)


def naive(changes: list[OpenViewChange]) -> list[bytes]:
    """Read the sentence of protocol §5.6 word by word."""
    base = max(c.base.height for c in changes)
    chain: list[bytes] = []
    parent = block(base, 0)
    for height in range(base + 1, base + WINDOW + 1):
        there = [e for c in changes for e in c.prepared if e.height == height]
        if not there:
            return chain
        highest = max(e.view for e in there)
        first = next(e for e in there if e.view == highest)
        if first.parent != parent:
            return chain
        chain.append(first.block)
        parent = first.block
    return chain


@given(CHANGES)
def test_it_equals_the_naive_reading(changes: list[OpenViewChange]) -> None:
    selection = select_new_view(changes, WINDOW)
    assert [e.block for e in selection.entries] == naive(changes)


@given(CHANGES)
def test_heights_are_consecutive_and_linked_from_the_base(changes: list[OpenViewChange]) -> None:
    selection = select_new_view(changes, WINDOW)
    parent, height = selection.base.block, selection.base.height
    for chosen in selection.entries:
        assert (chosen.height, chosen.parent) == (height + 1, parent)
        parent, height = chosen.block, chosen.height


def test_A3_the_highest_view_wins() -> None:
    old, new = entry(1, 0, 0, 0), entry(1, 2, 1, 0)
    for order in ([old, new], [new, old]):
        changes = [change(i, 0, [e]) for i, e in enumerate(order)]
        assert [e.block for e in select_new_view(changes, WINDOW).entries] == [new.block]


def test_A5_it_stops_at_the_first_gap_and_at_a_parent_mismatch() -> None:
    gap = [change(0, 0, [entry(1, 0, 0, 0), entry(3, 0, 0, 0)])]
    assert [e.height for e in select_new_view(gap, WINDOW).entries] == [1]
    mismatch = [change(0, 0, [entry(1, 0, 0, 0), entry(2, 1, 0, 1)])]
    assert [e.height for e in select_new_view(mismatch, WINDOW).entries] == [1]


def test_the_highest_committed_base_wins() -> None:
    changes = [change(0, 0, [entry(1, 3, 1, 0)]), change(1, 2, [entry(3, 0, 0, 0)])]
    selection = select_new_view(changes, WINDOW)
    assert selection.base.height == 2
    assert [e.height for e in selection.entries] == [3]
