"""`tally verify` and what `tally proof` refuses before it asks anybody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tallynet.durable import replace_file
from tallynet.plain import to_plain
from tests.unit.proofs.forgeries import FILES, forged
from tests.unit.proofs.world import GENESIS, VOUCHER
from tools.cli import main
from tools.output import Exit


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "genesis.json").write_text(json.dumps(to_plain(GENESIS)))
    for name, file in FILES.items():
        (tmp_path / name).write_bytes(file)
    return tmp_path


def verify(place: Path, name: str, *words: str) -> int:
    return main(["verify", str(place / name), "--genesis", str(place / "genesis.json"), *words])


@pytest.mark.parametrize("name", FILES)
def test_a_true_file_is_0_and_says_what_it_proves(
    place: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(place, name) == Exit.OK
    assert capsys.readouterr().out.startswith("PROVEN: ")
    assert verify(place, name, "--output", "json") == Exit.OK
    shown = json.loads(capsys.readouterr().out)
    assert (shown["network"], shown["needed"]) == ("sample", 3 if name == "receipt" else 4)


def test_a_forged_file_is_1_with_code_and_reason(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "forged").write_bytes(forged("voucher", voucher=bytes(16)))
    for words in ((), ("--output", "json")):
        assert verify(place, "forged", *words) == Exit.REFUSED
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith("BAD_PROOF: ")
        assert len(shown.err.splitlines()) == 1


def test_files_that_cannot_be_read_are_not_called_false(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(place, "missing") == Exit.USAGE
    assert capsys.readouterr().err.startswith("FILE_MISSING: ")
    (place / "genesis.json").write_text("{")
    assert verify(place, "voucher") == Exit.ENVIRONMENT
    assert capsys.readouterr().err.startswith("GENESIS_INVALID: ")


def test_values_are_shown_as_elsewhere(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(place, "voucher") == 0
    shown = capsys.readouterr().out
    assert f"voucher {VOUCHER.hex()} has the 3 lots below, and no other" in shown
    assert "1,000,000,000.00 CNY" in shown
    assert "PLEDGED to" in shown


@pytest.mark.parametrize(
    "words",
    [
        "--out x",
        "events --from 1 --out x",
        "receipt abc --out x",
        "record nonsense x --out x",
        "mutate --genesis g",
        "mutate x",
        "mutate x --genesis g --count 0",
    ],
)
def test_what_proves_nothing_is_a_usage_error(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["proof", *words.split()]) == Exit.USAGE
    assert capsys.readouterr().err.startswith("USAGE: ")


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "a.proof"
    replace_file(target, b"old")
    replace_file(target, b"new")
    assert target.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a.proof"]
