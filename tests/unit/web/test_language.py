"""In which language a page is."""

from __future__ import annotations

import pytest

from node.web.language import preferred


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("fr,zh-Hant;q=0.3,en;q=0.2", "zh"),
        ("fr, de;q=0.9", "en"),
        ("ZH", "zh"),
        ("en;q=0.1, zh;q=0.11", "zh"),
        ("zh;q=much, en;q=0.1", "en"),
        ("zh;q=0", "en"),
        ("," * 5_000 + "zh", "en"),
    ],
)
def test_the_browsers_preference_decides(accept: str, language: str) -> None:
    assert preferred(accept) == language
