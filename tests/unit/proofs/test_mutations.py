"""No changed proof file is accepted: every byte, and bytes and fields changed in all ways.

`tally proof mutate` does the same for longer. Here some thousand, with two verifiers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from tallynet.codec import encode
from tallynet.plain import to_plain
from tallynet.proofs import EventsStatement, ProofRefused, check_proof
from tests.unit.proofs import independent
from tests.unit.proofs.forgeries import FILES as TRUE
from tests.unit.proofs.world import BLOCKS, GENESIS, file_of
from tools import proof_mutations
from tools.cli import main
from tools.proof_mutations import KINDS, change_field, closed, each_byte, mutations, opened

MUTATIONS = 400
"""Per file, beside every byte; about fifteen seconds of CPU in all."""
FILES = TRUE | {
    "events": file_of(EventsStatement(4, 5, tuple(made.complete() for made in BLOCKS[3:5])))
}
"""The range is short, across the change of the validators: each block costs four signatures."""


def accepted(file: bytes) -> bool:
    try:
        check_proof(file, GENESIS)
    except ProofRefused:
        return False
    return True


def accepted_elsewhere(file: bytes) -> bool:
    try:
        independent.verify(file, encode(GENESIS))
    except independent.Refused:
        return False
    return True


@pytest.mark.parametrize("name", FILES)
def test_no_byte_can_be_changed(name: str) -> None:
    file = FILES[name]
    assert accepted(file) and accepted_elsewhere(file)
    for mutation in each_byte(file, Random(name)):
        assert not accepted(mutation), mutation.hex()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", dict.fromkeys(KINDS), ids=lambda kind: kind.__name__.strip("_"))
def test_no_other_change_is_accepted(name: str, kind: Callable[[bytes, Random], bytes]) -> None:
    file, random = FILES[name], Random(name)
    for _ in range(MUTATIONS // len(set(KINDS))):
        mutation = kind(file, random)
        assert mutation == file or not accepted(mutation), mutation.hex()


@pytest.mark.parametrize("name", FILES)
def test_a_second_verifier_refuses_changed_fields_too(name: str) -> None:
    file, random = FILES[name], Random(name + "again")
    for _ in range(60):
        mutation = change_field(file, random)
        assert mutation == file or not accepted_elsewhere(mutation), mutation.hex()


@pytest.mark.parametrize("name", FILES)
def test_fields_are_changed_inside_encoded_values_too(name: str) -> None:
    """Or what looks like a refused field would be a refused byte."""
    file = FILES[name]
    tree = opened(file)
    assert encode([closed(item) for item in tree]) == file
    header = tree[4][1][0] if name != "events" else tree[4][3][0][0][0]
    assert len(header) == 9
    changed = {change_field(file, Random(i)) for i in range(200)} - {file}
    assert len(changed) > 100


def test_mutations_do_not_repeat_the_file_and_begin_with_each_byte() -> None:
    file = FILES["record"]
    found = list(islice(mutations(file, Random(3)), len(file) + 500))
    assert file not in found
    for place, mutation in enumerate(found[: len(file)]):
        assert [i for i, (a, b) in enumerate(zip(file, mutation, strict=True)) if a != b] == [place]


def test_the_command_counts_and_keeps_an_accepted_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("genesis.json").write_text(json.dumps(to_plain(GENESIS)))
    for name in ("record", "act"):
        Path(name).write_bytes(FILES[name])
    words = ["proof", "mutate", "record", "act", "--genesis", "genesis.json", "--count", "301"]
    assert main([*words, "--json", "figures.json"]) == 0
    assert "0 accepted of 301 mutations" in capsys.readouterr().out
    figures = json.loads(Path("figures.json").read_text())
    assert (figures["accepted"], sum(figures["refused"].values())) == (0, 301)
    monkeypatch.setattr(proof_mutations, "check_proof", lambda *_: None)
    assert main(words) == 6
    assert "PROOF_MUTATED" in capsys.readouterr().err
    assert not accepted(Path("record.accepted").read_bytes())


def test_without_files_the_published_ones_are_changed(capsys: pytest.CaptureFixture[str]) -> None:
    genesis, files = proof_mutations.published()
    assert genesis == GENESIS
    assert {original.name: original.data for original in files} == TRUE
    assert main(["proof", "mutate", "--count", "90", "--seed", "7"]) == 0
    assert "0 accepted of 90 mutations" in capsys.readouterr().out
