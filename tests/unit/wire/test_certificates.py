"""Certificates and envelopes: q distinct validators over one body, and nothing transplanted."""

from __future__ import annotations

from itertools import combinations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tallynet.blocks import (
    Certificate,
    Commit,
    Header,
    Prepare,
    faulty_max,
    header_hash,
    quorum,
    verify_commit,
    verify_prepared,
)
from tallynet.codec import decode, encode
from tallynet.envelope import open_envelope, seal_envelope
from tallynet.errors import RemoteProtocolError
from tallynet.hashing import block_hash, envelope_hash, signed_bytes, transaction_id
from tallynet.signatures import KIND_COMMIT, KIND_ENVELOPE, KIND_PREPARE, verify_kind
from tests.unit.client.serving import envelope

GENESIS = b"g" * 32
KEYS = tuple(Ed25519PrivateKey.from_private_bytes(bytes((i,)) * 32) for i in range(1, 8))
VALIDATORS = tuple(key.public_key().public_bytes_raw() for key in KEYS)
VOTE = Commit(1, 2, 3, b"b" * 32, b"s" * 32, b"r" * 32)


def certificate(
    vote: Commit | Prepare = VOTE,
    signers: tuple[int, ...] = (0, 1, 2, 3, 4),
    *,
    kind: bytes = KIND_COMMIT,
    genesis: bytes = GENESIS,
) -> Certificate:
    body = encode(vote)
    covered = signed_bytes(kind, genesis, body)
    return Certificate(body, signers, tuple(KEYS[i].sign(covered) for i in signers))


@pytest.mark.parametrize(
    ("n", "q"),
    [(1, 1), (4, 3), (5, 4), (6, 4), (7, 5), (8, 6), (9, 6), (10, 7), (13, 9), (100, 67)],
)
def test_quorum_table(n: int, q: int) -> None:
    assert quorum(n) == q


@pytest.mark.parametrize("n", range(1, 101))
def test_two_quorums_share_a_correct_validator_and_the_correct_ones_are_a_quorum(n: int) -> None:
    q, f = quorum(n), faulty_max(n)
    assert 2 * q - n >= f + 1
    assert q <= n - f


def test_any_quorum_of_seven_proves_the_vote() -> None:
    for signers in combinations(range(7), 5):
        assert verify_commit(certificate(signers=signers), GENESIS, VALIDATORS) == VOTE
    everybody = certificate(signers=tuple(range(7)))
    assert verify_commit(everybody, GENESIS, VALIDATORS) == VOTE


GOOD = certificate()
S = GOOD.signatures
OTHER_VOTE = certificate(Commit(1, 2, 3, b"b" * 32, b"x" * 32, b"r" * 32))


@pytest.mark.parametrize(
    ("why", "bad"),
    [
        ("one signer short", Certificate(GOOD.vote, (0, 1, 2, 3), S[:4])),
        ("nobody", Certificate(GOOD.vote, (), ())),
        ("one signer twice", Certificate(GOOD.vote, (0, 1, 2, 3, 3), (*S[:4], S[3]))),
        ("one signer five times", Certificate(GOOD.vote, (0,) * 5, (S[0],) * 5)),
        ("signers out of order", Certificate(GOOD.vote, (1, 0, 2, 3, 4), (S[1], S[0], *S[2:]))),
        ("a signer outside the set", Certificate(GOOD.vote, (0, 1, 2, 3, 7), S)),
        ("a signer far outside", Certificate(GOOD.vote, (0, 1, 2, 3, 65_535), S)),
        ("more signers than signatures", Certificate(GOOD.vote, (0, 1, 2, 3, 4, 5), S)),
        ("more signatures than signers", Certificate(GOOD.vote, (0, 1, 2, 3, 4), (*S, S[0]))),
        ("signatures exchanged", Certificate(GOOD.vote, GOOD.signers, (S[1], S[0], *S[2:]))),
        ("the last signature wrong", Certificate(GOOD.vote, GOOD.signers, (*S[:4], bytes(64)))),
        ("a signature of another vote", Certificate(GOOD.vote, GOOD.signers, (*S[:4], OTHER_VOTE.signatures[4]))),
        ("another vote", Certificate(OTHER_VOTE.vote, GOOD.signers, S)),
        ("an empty vote", Certificate(b"", GOOD.signers, S)),
        ("a trailing byte", Certificate(GOOD.vote + b"\0", GOOD.signers, S)),
        ("signed for another network", certificate(genesis=b"h" * 32)),
        ("signed as another kind", certificate(kind=KIND_PREPARE)),
    ],
)  # fmt: skip
def test_refused(why: str, bad: Certificate) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        verify_commit(bad, GENESIS, VALIDATORS)
    assert caught.value.code == "BAD_CERTIFICATE", why


@given(st.data())
def test_a_certificate_with_any_byte_changed_is_refused(data: st.DataObject) -> None:
    encoded = encode(GOOD)
    place = data.draw(st.integers(0, len(encoded) - 1))
    flip = data.draw(st.integers(1, 255))
    mutated = encoded[:place] + bytes((encoded[place] ^ flip,)) + encoded[place + 1 :]
    with pytest.raises(RemoteProtocolError):
        verify_commit(decode(Certificate, mutated), GENESIS, VALIDATORS)


def test_prepares_never_pass_for_commits_nor_the_reverse() -> None:
    prepared = certificate(Prepare(1, 2, 3, b"b" * 32), kind=KIND_PREPARE)
    assert verify_prepared(prepared, GENESIS, VALIDATORS) == Prepare(1, 2, 3, b"b" * 32)
    with pytest.raises(RemoteProtocolError):
        verify_commit(prepared, GENESIS, VALIDATORS)
    with pytest.raises(RemoteProtocolError):
        verify_prepared(GOOD, GENESIS, VALIDATORS)


def test_a_prepare_body_signed_as_commit_is_no_commit() -> None:
    for vote, check in ((Prepare(1, 2, 3, b"b" * 32), verify_commit),):
        with pytest.raises(RemoteProtocolError) as caught:
            check(certificate(vote, kind=KIND_COMMIT), GENESIS, VALIDATORS)
        assert caught.value.code == "SCHEMA"


def test_the_old_set_cannot_certify_for_a_new_one() -> None:
    new_set = (*VALIDATORS[1:], VALIDATORS[0])
    with pytest.raises(RemoteProtocolError, match="BAD_CERTIFICATE"):
        verify_commit(GOOD, GENESIS, new_set)


def test_every_signature_of_a_certificate_is_checked() -> None:
    asked: list[bytes] = []

    def check(kind: bytes, genesis: bytes, body: bytes, key: bytes, signature: bytes) -> bool:
        asked.append(key)
        return verify_kind(kind, genesis, body, key, signature)

    verify_commit(GOOD, GENESIS, VALIDATORS, check)
    assert asked == list(VALIDATORS[:5])


HEADER = Header(GENESIS, 1, 0, 5, b"p" * 32, b"t" * 32, 1_700_000_000_000, 2, b"n" * 32)


@pytest.mark.parametrize("field", Header.__struct_fields__)
def test_every_field_of_a_header_is_in_its_hash(field: str) -> None:
    """A18: no two headers share a hash."""
    fields = {name: getattr(HEADER, name) for name in Header.__struct_fields__}
    value = fields[field]
    other = Header(**fields | {field: bytes(32) if isinstance(value, bytes) else value + 1})
    assert header_hash(other) != header_hash(HEADER) == block_hash(encode(HEADER))


def test_the_transaction_id_covers_the_body_and_no_signature() -> None:
    """C2: re-signing gives no second identity; changing anything signed does."""
    sealed = envelope(1)
    resigned = seal_envelope(sealed.body, (bytes(64),))
    assert resigned.transaction == sealed.transaction == transaction_id(sealed.signed)
    assert envelope(2).transaction != sealed.transaction
    assert envelope(1, valid_until=1).transaction != sealed.transaction


def test_the_envelope_hash_covers_every_byte() -> None:
    """C2: blocks order one copy; two copies of one transaction never share a hash."""
    sealed = envelope(1)
    assert open_envelope(sealed.raw).hash == sealed.hash == envelope_hash(sealed.raw)
    assert seal_envelope(sealed.body, (bytes(64),)).hash != sealed.hash
    assert seal_envelope(sealed.body, ()).hash != sealed.hash
    assert envelope(2).hash != sealed.hash != sealed.transaction


def test_an_envelope_opens_to_the_bytes_that_were_signed() -> None:
    sealed = envelope(1)
    opened = open_envelope(sealed.raw)
    assert (opened.signed, opened.body, opened.signatures) == (
        sealed.signed, sealed.body, sealed.signatures,
    )  # fmt: skip
    (signer,) = opened.signatures
    public = KEYS[0].public_key().public_bytes_raw()
    assert not verify_kind(KIND_ENVELOPE, sealed.body.genesis, opened.signed, public, signer)


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_changed_envelope_is_no_envelope_or_another_transaction_or_unsigned(
    place: int, flip: int
) -> None:
    from tests.unit.net.samples import STRANGER

    sealed = envelope(1)
    place %= len(sealed.raw)
    raw = sealed.raw[:place] + bytes((sealed.raw[place] ^ flip,)) + sealed.raw[place + 1 :]
    try:
        other = open_envelope(raw)
    except RemoteProtocolError:
        return
    public = STRANGER.public_key().public_bytes_raw()
    assert len(other.signatures) != 1 or not verify_kind(
        KIND_ENVELOPE, other.body.genesis, other.signed, public, other.signatures[0]
    )


@pytest.mark.parametrize("raw", [b"", b"\x82\x40\x80", encode(HEADER)])
def test_what_is_no_envelope_is_refused(raw: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        open_envelope(raw)
