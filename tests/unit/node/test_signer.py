"""The signer's own guard against a double vote (INV-3)."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.signer import Signer
from tallynet.blocks import Commit, Prepare
from tallynet.codec import encode
from tallynet.errors import InvariantViolated
from tallynet.messages import NewView, SignedKind, ViewChange
from tallynet.signatures import KIND_PREPARE, verify_kind

GENESIS = bytes(32)
A, B = b"a" * 32, b"b" * 32


@pytest.fixture
def signer() -> Signer:
    return Signer(Ed25519PrivateKey.from_private_bytes(b"k" * 32), GENESIS)


def prepare(view: int, height: int, block: bytes) -> bytes:
    return encode(Prepare(0, view, height, block))


def test_a_signature_verifies_in_its_domain(signer: Signer) -> None:
    body = prepare(0, 1, A)
    signature = signer.sign(SignedKind.PREPARE, body)
    assert verify_kind(KIND_PREPARE, GENESIS, body, signer.public_key, signature)


def test_the_same_vote_may_be_signed_again(signer: Signer) -> None:
    body = prepare(0, 1, A)
    assert signer.sign(SignedKind.PREPARE, body) == signer.sign(SignedKind.PREPARE, body)


def test_inv_3_a_second_prepare_for_a_slot_halts(signer: Signer) -> None:
    signer.sign(SignedKind.PREPARE, prepare(0, 1, A))
    with pytest.raises(InvariantViolated, match="INV-3"):
        signer.sign(SignedKind.PREPARE, prepare(0, 1, B))


def test_inv_3_a_second_commit_with_another_root_halts(signer: Signer) -> None:
    signer.sign(SignedKind.COMMIT, encode(Commit(0, 0, 1, A, A, A)))
    with pytest.raises(InvariantViolated, match="INV-3"):
        signer.sign(SignedKind.COMMIT, encode(Commit(0, 0, 1, A, B, A)))


def test_another_view_is_another_slot(signer: Signer) -> None:
    signer.sign(SignedKind.PREPARE, prepare(0, 1, A))
    signer.sign(SignedKind.PREPARE, prepare(1, 1, B))


def test_inv_3_no_vote_in_a_view_that_was_left(signer: Signer) -> None:
    signer.sign(SignedKind.VIEW_CHANGE, encode(ViewChange(0, 2, b"", None, ())))
    with pytest.raises(InvariantViolated, match="left"):
        signer.sign(SignedKind.PREPARE, prepare(1, 1, A))
    signer.sign(SignedKind.PREPARE, prepare(2, 1, A))


def test_inv_1_one_view_change_and_one_new_view_per_view(signer: Signer) -> None:
    """After a restart the core sends the stored ones again; it never makes others."""
    change = encode(ViewChange(0, 2, b"", None, ()))
    assert signer.sign(SignedKind.VIEW_CHANGE, change)
    assert signer.sign(SignedKind.VIEW_CHANGE, change)
    with pytest.raises(InvariantViolated, match="two bodies"):
        signer.sign(SignedKind.VIEW_CHANGE, encode(ViewChange(0, 2, b"h", None, ())))
    signer.sign(SignedKind.NEW_VIEW, encode(NewView(0, 2, (), (), ())))
    with pytest.raises(InvariantViolated, match="two bodies"):
        signer.sign(SignedKind.NEW_VIEW, encode(NewView(0, 2, (b"x",), (), ())))


def test_inv_1_no_view_change_below_one_that_was_signed(signer: Signer) -> None:
    signer.sign(SignedKind.VIEW_CHANGE, encode(ViewChange(0, 5, b"", None, ())))
    with pytest.raises(InvariantViolated, match="left"):
        signer.sign(SignedKind.VIEW_CHANGE, encode(ViewChange(0, 4, b"", None, ())))
    signer.sign(SignedKind.VIEW_CHANGE, encode(ViewChange(1, 1, b"", None, ())))
