"""The cache never shows anything but the newest value of a key, and holds no more than it is told to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.state.cache import GenerationCache

KEYS = st.sampled_from([bytes((i,)) for i in range(7)])
CHANGES = st.lists(st.tuples(KEYS, st.none() | st.integers(0, 9)), min_size=1, max_size=6)


@given(size=st.integers(1, 8), acts=st.lists(KEYS | CHANGES, max_size=60), one_by_one=st.booleans())
def test_it_has_the_newest_value_or_none(
    size: int, acts: list[bytes | list[tuple[bytes, int | None]]], one_by_one: bool
) -> None:
    cache: GenerationCache[int] = GenerationCache(size)
    newest: dict[bytes, int | None] = {}
    for act in acts:
        if isinstance(act, bytes):
            assert cache.get(act) in (None, newest.get(act))
            continue
        newest.update(act)
        if not one_by_one:
            cache.update(act)
        for key, value in act if one_by_one else ():
            if value is None:
                cache.drop(key)
            else:
                cache.put(key, value)
        key, value = act[-1]
        assert cache.get(key) == value, "what was put last is there"
        assert len(cache) <= max(2, size)
