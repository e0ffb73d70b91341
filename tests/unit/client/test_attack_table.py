"""The documentation lists every attack that is tested, and no other."""

from __future__ import annotations

from pathlib import Path

from tests.unit.client.attack_table import lies, others
from tests.unit.client.malicious import ATTACKS

PAGE = Path(__file__).parents[3] / "docs" / "concepts" / "light-client.md"


def test_the_tables_are_those_of_the_suite() -> None:
    text = PAGE.read_text()
    for table in (lies(), others()):
        assert table in text, "run: python -m tests.unit.client.attack_table"


def test_names_are_unique_and_many() -> None:
    names = [attack.name for attack in ATTACKS]
    assert len(set(names)) == len(names) >= 30
