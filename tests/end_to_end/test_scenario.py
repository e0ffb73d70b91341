"""`tally scenario` on real validators, audited."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.cli import main
from tools.output import Exit
from tools.scenarios.catalogue import SCENARIOS


def test_the_spare_parts_shop_on_four_validators(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """§19 A to the fen, 141 business days in seconds, and the audit of all four nodes agrees."""
    report = tmp_path / "shown.json"
    assert main(["scenario", "spare-parts-shop", "--json", str(report)]) == Exit.OK
    (shown,) = json.loads(report.read_text())["scenarios"]
    assert shown["passed"]
    assert shown["facts"]["to the shop in the end, fen"] == 8_597_312
    assert shown["facts"]["audited nodes"] == 4
    assert "shown" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["hot-pot"], "there is no scenario 'hot-pot'; did you mean hot-lot?"),
        (["hot-lot", "--small", "--size", "3"], "excludes --small"),
        (["hot-lot", "--size", "-1"], "above 0"),
    ],
)
def test_USAGE(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenario", *words]) == Exit.USAGE
    assert sentence in capsys.readouterr().err


def test_the_list_names_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenario", "--list"]) == Exit.OK
    assert "maturity-cliff" in capsys.readouterr().out


@pytest.mark.parametrize("name", [one.name for one in SCENARIOS if one.network is not None])
def test_what_only_real_validators_can_show(name: str, tmp_path: Path) -> None:
    """B12 and B13: validators fall, lie, join and leave under load, and every node's audit agrees."""
    report = tmp_path / "shown.json"
    assert main(["scenario", name, "--small", "--json", str(report)]) == Exit.OK
    (shown,) = json.loads(report.read_text())["scenarios"]
    assert shown["facts"]["ranges as foretold"] is True
