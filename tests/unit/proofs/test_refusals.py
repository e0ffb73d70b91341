"""What is no proof is refused, with the code that says why; by a second verifier too."""

from __future__ import annotations

import json

import msgspec
import pytest

from tallynet.codec import decode, encode
from tallynet.genesis import genesis_hash
from tallynet.plain import PlainError, to_plain
from tallynet.proofs import (
    PROOF_BYTES_MAX,
    PROOF_CODES,
    ProofFile,
    ProofRefused,
    check_proof,
    verify_proof,
)
from tests.unit.proofs import independent
from tests.unit.proofs.forgeries import FILES, forgeries
from tests.unit.proofs.world import FIRST, GENESIS
from tools.explanations import EXPLANATIONS

FORGERIES = list(forgeries())
GENESIS_FILE = json.dumps(to_plain(GENESIS)).encode()


@pytest.mark.parametrize(("name", "code", "file"), FORGERIES, ids=[f[0] for f in FORGERIES])
def test_forgeries_are_refused_with_their_code(name: str, code: str, file: bytes) -> None:
    with pytest.raises(ProofRefused) as caught:
        check_proof(file, GENESIS)
    assert caught.value.code == code
    with pytest.raises(independent.Refused):
        independent.verify(file, encode(GENESIS))


def test_every_code_occurs_and_is_explained() -> None:
    shown = {code for _, code, _ in FORGERIES}
    assert set(PROOF_CODES) - shown == {"PROOF_TOO_LARGE"}
    assert set(PROOF_CODES) <= set(EXPLANATIONS)


def test_a_file_over_the_limit_is_not_read() -> None:
    head = FILES["record"][:20]
    for size, code in (
        (PROOF_BYTES_MAX, "PROOF_MALFORMED"),
        (PROOF_BYTES_MAX + 1, "PROOF_TOO_LARGE"),
    ):
        with pytest.raises(ProofRefused) as caught:
            check_proof(head.ljust(size, b"\0"), GENESIS)
        assert caught.value.code == code


@pytest.mark.parametrize(
    "file", [b"", b"\xff", b"[]", b"{}", b"[" * 100_000, GENESIS_FILE[:-1], b'{"version": 1.5}']
)
def test_what_is_no_genesis_file_is_named_as_such(file: bytes) -> None:
    with pytest.raises(PlainError) as caught:
        verify_proof(FILES["record"], file)
    assert caught.value.code == "GENESIS_INVALID"


@pytest.mark.parametrize(
    "change", [{"name": "x"}, {"validators": FIRST[::-1]}, {"epoch_length": 5}]
)
def test_another_genesis_refuses_every_file(change: dict[str, object]) -> None:
    other = msgspec.structs.replace(GENESIS, **change)
    for file in FILES.values():
        with pytest.raises(ProofRefused) as caught:
            check_proof(file, other)
        assert caught.value.code == "PROOF_OTHER_NETWORK"


def test_a_genesis_without_a_sound_set_of_validators_proves_nothing() -> None:
    """Somebody hands out a genesis file whose key of small order signs everything (C1)."""
    weak = msgspec.structs.replace(FIRST[0], public_key=b"\x01" + bytes(31))
    genesis = msgspec.structs.replace(GENESIS, validators=(weak,))
    file = msgspec.structs.replace(
        decode(ProofFile, FILES["record"]), genesis=genesis_hash(genesis)
    )
    with pytest.raises(ProofRefused) as caught:
        check_proof(encode(file), genesis)
    assert caught.value.code == "BAD_HANDOVER"
