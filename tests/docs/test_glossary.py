"""The glossary says what the pages say, says it once, and leads to pages that are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.web.texts import TEXTS
from node.web.words import ACTS, WORDS
from tools.glossary import GLOSSARY, Entry

DOCS = Path(__file__).resolve().parents[2] / "docs"
ENTRIES = [entry for chapter in GLOSSARY.values() for entry in chapter]


def said_on_pages() -> dict[str, set[str]]:
    """English words of the pages -> what stands for them in Chinese."""
    found: dict[str, set[str]] = {}
    pairs = [
        *TEXTS.values(),
        *ACTS.values(),
        *(p for table in WORDS.values() for p in table.values()),
    ]
    for chinese, english in pairs:
        found.setdefault(english.lower(), set()).add(chinese)
    return found


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.words[1])
def test_an_entry_agrees_with_the_pages_and_leads_somewhere(entry: Entry) -> None:
    chinese, english = entry.words
    assert chinese in said_on_pages().get(english.lower(), {chinese})
    assert (DOCS / entry.page).is_file()
    assert entry.sentence.endswith(".")
    assert "票据" not in chinese


def test_each_word_stands_in_the_glossary_once() -> None:
    words = [entry.words for entry in ENTRIES]
    assert len(words) == len(set(words))
