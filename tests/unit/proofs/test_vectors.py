"""The published vectors are what the code makes, and both verifiers agree about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tallynet.genesis import genesis_hash, read_genesis
from tallynet.proofs import ProofRefused, verify_proof
from tests.unit.proofs import independent
from tests.unit.proofs.vectors import vectors
from tools.proof_text import proven_plain

FILE = Path(__file__).parents[3] / "docs" / "reference" / "proof-vectors.json"
PUBLISHED: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
GENESIS = json.dumps(PUBLISHED["genesis"]["file"]).encode()
ENCODED = bytes.fromhex(PUBLISHED["genesis"]["encoded"])


def test_the_file_is_what_the_code_computes() -> None:
    assert vectors() == PUBLISHED, (
        "run: python -m tests.unit.proofs.vectors > docs/reference/proof-vectors.json"
    )


def test_the_genesis_has_its_hash() -> None:
    assert genesis_hash(read_genesis(GENESIS)).hex() == PUBLISHED["genesis"]["hash"]
    assert independent.Network(ENCODED).hash.hex() == PUBLISHED["genesis"]["hash"]


@pytest.mark.parametrize("vector", PUBLISHED["accepted"], ids=lambda vector: vector["name"])
def test_accepted(vector: dict[str, Any]) -> None:
    file = bytes.fromhex(vector["file"])
    assert proven_plain(verify_proof(file, GENESIS)) == vector["proves"]
    assert independent.verify(file, ENCODED) == vector["proves"]["height"]


@pytest.mark.parametrize("vector", PUBLISHED["refused"], ids=lambda vector: vector["name"])
def test_refused(vector: dict[str, Any]) -> None:
    file = bytes.fromhex(vector["file"])
    with pytest.raises(ProofRefused) as caught:
        verify_proof(file, GENESIS)
    assert caught.value.code == vector["code"]
    with pytest.raises(independent.Refused):
        independent.verify(file, ENCODED)
