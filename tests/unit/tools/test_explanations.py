"""Each code is explained in English and in Chinese, and both say the same as far as a program can tell."""

from __future__ import annotations

import json
import re

import pytest

from node.web.texts import Language
from tools.cli import main
from tools.explanations import EXPLANATIONS, explain
from tools.explanations_zh import EXPLANATIONS_ZH

CHINESE = re.compile("[\u4e00-\u9fff]")
QUOTED = re.compile("`[^`]+`")
FILES = re.compile(r"[\w./-]+\.(?:json|toml|sqlite|md|log|txt)\b")


def test_both_tables_have_the_same_codes_in_the_same_order() -> None:
    assert list(EXPLANATIONS_ZH) == list(EXPLANATIONS)


@pytest.mark.parametrize("code", EXPLANATIONS)
def test_a_code_is_explained_in_both_languages(code: str) -> None:
    english, chinese = explain(code), explain(code, Language.ZH)
    assert english == EXPLANATIONS[code] and not CHINESE.search(english)
    assert CHINESE.search(chinese) and chinese.endswith(("。", "？"))
    assert "票据" not in chinese, "a voucher is none"
    for names in (QUOTED, FILES):
        assert sorted(names.findall(chinese)) == sorted(names.findall(english))


@pytest.mark.parametrize("language", Language)
def test_a_code_that_is_not_known_is_not_explained(language: Language) -> None:
    assert explain("OF_TOMORROW", language) == ""


@pytest.mark.parametrize("language", Language)
def test_explain_speaks_the_language_that_is_asked_for(
    language: Language, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["explain", "LINE_EXCEEDED", "--language", language.value]
    meaning = explain("LINE_EXCEEDED", language)
    assert main(words) == 0
    assert capsys.readouterr().out == f"LINE_EXCEEDED (limit): {meaning}\n"
    assert main([*words, "--output", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"code": "LINE_EXCEEDED", "family": "LIMIT", "meaning": meaning}


def test_explain_speaks_english_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "LINE_EXCEEDED"]) == 0
    assert explain("LINE_EXCEEDED") in capsys.readouterr().out
