"""End-to-end ids: they fit, they name one instruction, and nothing else looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.bank.references import PARTS_MAX, instruction_of, reference_of

IDS = st.binary(min_size=16, max_size=16)
PARTS = st.integers(1, PARTS_MAX)


@given(IDS, PARTS)
def test_an_id_comes_back_whatever_the_part(id: bytes, part: int) -> None:
    reference = reference_of(id, part)
    assert len(reference) <= 35
    assert instruction_of(reference) == instruction_of(reference.upper()) == id


@given(IDS, PARTS, PARTS)
def test_each_part_has_its_own(id: bytes, one: int, other: int) -> None:
    assert (reference_of(id, one) == reference_of(id, other)) == (one == other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NOTPROVIDED",
        "ab" * 15,
        "ab" * 16 + "0",
        "ab" * 16 + "001",
        "ab" * 16 + "000",
        "zz" * 16,
    ],
)
def test_other_ids_are_nobodys(text: str) -> None:
    assert instruction_of(text) is None


@pytest.mark.parametrize("part", [0, PARTS_MAX + 1])
def test_there_are_no_other_parts(part: int) -> None:
    with pytest.raises(ValueError, match="1 to 999"):
        reference_of(bytes(16), part)
