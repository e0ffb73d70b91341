"""Contexts: what a command line takes from them, and what comes before them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.cli import main
from tools.contexts import CONTEXT_VARIABLE, load, path
from tools.output import Exit


@pytest.fixture
def networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Path]:
    """Two networks whose nodes do not run, `first` and `second` with one bank only, and no context yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv(CONTEXT_VARIABLE)
    monkeypatch.chdir(tmp_path)
    for name, banks in (("first", "4"), ("second", "1")):
        assert main(["testnet", "init", name, "--base-port", "61400", "--validators", banks]) == 0
    capsys.readouterr()
    yield tmp_path


def wallets(capsys: pytest.CaptureFixture[str], *words: str) -> int:
    """How many wallets `tally wallet list` finds, which says in which network it looked."""
    capsys.readouterr()
    assert main(["wallet", "list", "--output", "json", *words]) == 0
    return len(json.loads(capsys.readouterr().out))


def test_the_first_context_is_in_use_and_another_when_it_is_asked_for(
    networks: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["context", "add", "pilot", "--network", "first"]) == 0
    assert main(["context", "add", "trial", "--network", "second"]) == 0
    (networks / "elsewhere").mkdir()
    monkeypatch.chdir(networks / "elsewhere")
    assert wallets(capsys) == 4
    assert main(["context", "use", "trial"]) == 0
    assert wallets(capsys) == 1
    monkeypatch.setenv(CONTEXT_VARIABLE, "pilot")
    assert wallets(capsys) == 4


def test_what_is_typed_and_the_environment_come_first(
    networks: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["context", "add", "pilot", "--network", "first"]) == 0
    assert wallets(capsys, "--network", "second") == 1
    monkeypatch.setenv("TALLY_NETWORK", str(networks / "second"))
    assert wallets(capsys) == 1


def test_who_acts_is_taken_from_the_context_for_its_network_alone(
    networks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claim = ["voucher", "claim", "--voucher", "bank-1/v1"]
    assert main(["context", "add", "pilot", "--network", "first", "--as", "bank-1"]) == 0
    assert main([*claim, "--network", "second"]) == Exit.USAGE
    assert "--as" in capsys.readouterr().err
    assert main([*claim, "--network", "./first"]) == Exit.UNREACHABLE
    assert main(claim) == Exit.UNREACHABLE


def test_output_is_taken_from_the_context(
    networks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["context", "add", "pilot", "--network", "first", "--output", "json"]) == 0
    capsys.readouterr()
    assert main(["explain", "LINE_EXCEEDED"]) == 0
    assert json.loads(capsys.readouterr().out)["code"] == "LINE_EXCEEDED"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("context add pilot --network nowhere", "NETWORK_MISSING"),
        ("context add pilot --network first --as nobody", "WALLET_MISSING"),
        ("context add Pilot! --network first", "CONTEXT_INVALID"),
        ("context use nobody", "CONTEXT_MISSING"),
        ("context remove nobody", "CONTEXT_MISSING"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changes(
    line: str, code: str, networks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["context", "add", "kept", "--network", "first"]) == 0
    before = load()
    assert main(line.split()) == Exit.ENVIRONMENT
    assert capsys.readouterr().err.startswith(f"{code}: ")
    assert load() == before


def test_a_context_that_was_removed_is_used_no_more(
    networks: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["context", "add", "pilot", "--network", "first"]) == 0
    assert main(["context", "remove", "pilot"]) == 0
    assert main(["wallet", "list"]) == Exit.ENVIRONMENT
    monkeypatch.setenv(CONTEXT_VARIABLE, "pilot")
    assert main(["wallet", "list"]) == Exit.ENVIRONMENT
    assert "CONTEXT_MISSING" in capsys.readouterr().err


def test_a_spoiled_file_is_named(networks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["context", "add", "pilot", "--network", "first"]) == 0
    path().write_text("{")
    assert main(["wallet", "list"]) == Exit.ENVIRONMENT
    assert str(path()) in capsys.readouterr().err


def test_a_shell_completes_names_of_wallets_and_contexts(
    networks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["context", "add", "pilot", "--network", "first"]) == 0
    for words, known in (
        ("voucher list --as ba", {"bank-1", "bank-2", "bank-3", "bank-4"}),
        ("voucher list --network second --as ba", {"bank-1"}),
        ("line grant --as bank-1 --obligor ba", {"bank-1", "bank-2", "bank-3", "bank-4"}),
        ("context use p", {"pilot"}),
    ):
        capsys.readouterr()
        main(["__complete", *words.split()])
        lines = capsys.readouterr().out.splitlines()
        assert {line.partition("\t")[0] for line in lines if line[:1].isalnum()} == known
