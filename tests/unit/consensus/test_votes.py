"""Votes: tallies, certificates, the memory of good signatures; quorum arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.votes import Recent, Tally, Verifier
from tallynet.blocks import Prepare, faulty_max, quorum
from tallynet.errors import InvariantViolated, RemoteProtocolError
from tallynet.messages import Signed, SignedKind
from tests.sim.bench import signed
from tests.sim.validators import GENESIS, key_of, verify

KEYS = tuple(key_of(i) for i in range(4))


class CountingVerifier:
    """A verifier that counts how often a signature is really checked."""

    def __init__(self) -> None:
        self.calls = 0
        self.verifier = Verifier(self._verify, GENESIS, KEYS, 100)

    def _verify(self, domain: bytes, body: bytes, key: bytes, signature: bytes) -> bool:
        self.calls += 1
        return verify(domain, body, key, signature)


def votes(count: int, block: bytes = b"b" * 32) -> list[Signed]:
    return [signed(i, SignedKind.PREPARE, Prepare(0, 0, 1, block)) for i in range(count)]


def tallied(count: int) -> Tally:
    tally = Tally()
    for vote in reversed(votes(count)):
        tally.add(vote)
    return tally


@pytest.mark.parametrize("n", range(1, 101))
def test_INV_16_two_quorums_share_a_correct_validator(n: int) -> None:
    """A14, against the definition: two sets of q overlap in at least f+1; q are always alive."""
    f, q = faulty_max(n), quorum(n)
    assert 3 * f + 1 <= n
    assert 2 * q - n >= f + 1
    assert q <= n - f
    assert 2 * (q - 1) - n < f + 1  # and no smaller q would do


def test_A14_quorums_as_published() -> None:
    table = {1: 1, 4: 3, 5: 4, 6: 4, 7: 5, 8: 6, 9: 6, 10: 7, 13: 9}
    assert {n: quorum(n) for n in table} == table


def test_INV_9_a_certificate_lists_signers_in_order() -> None:
    certificate = tallied(3).certificate(votes(1)[0].body, 3)
    assert certificate.signers == (0, 1, 2)
    assert CountingVerifier().verifier.prepared(certificate) == Prepare(0, 0, 1, b"b" * 32)


def test_a_certificate_of_votes_seen_before_costs_no_verification() -> None:
    counting = CountingVerifier()
    for vote in votes(3):
        assert counting.verifier.signed(vote)
    assert counting.calls == 3
    counting.verifier.prepared(tallied(3).certificate(votes(1)[0].body, 3))
    assert counting.calls == 3


def test_a_remembered_signature_does_not_vouch_for_another_signer_kind_or_body() -> None:
    counting = CountingVerifier()
    vote = votes(1)[0]
    assert counting.verifier.signed(vote)
    assert not counting.verifier.signed(Signed(vote.kind, vote.body, 1, vote.signature))
    assert not counting.verifier.signed(Signed(vote.kind, vote.body + b"x", 0, vote.signature))
    assert not counting.verifier.signed(Signed(SignedKind.COMMIT, vote.body, 0, vote.signature))
    assert not counting.verifier.signed(Signed(vote.kind, vote.body, 4, vote.signature))


def test_bad_signatures_are_not_remembered() -> None:
    counting = CountingVerifier()
    forged = Signed(SignedKind.PREPARE, votes(1)[0].body, 0, b"\0" * 64)
    assert not counting.verifier.signed(forged)
    assert not counting.verifier.signed(forged)
    assert counting.calls == 2


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_q_prove_nothing(count: int) -> None:
    body = votes(1)[0].body
    certificate = tallied(3).certificate(body, 3)
    cut = type(certificate)(body, certificate.signers[:count], certificate.signatures[:count])
    with pytest.raises(RemoteProtocolError, match="BAD_CERTIFICATE"):
        CountingVerifier().verifier.prepared(cut)


def test_a_commit_certificate_is_no_prepared_certificate() -> None:
    """C3: the kind is part of what is signed."""
    certificate = tallied(3).certificate(votes(1)[0].body, 3)
    with pytest.raises(RemoteProtocolError):
        CountingVerifier().verifier.committed(certificate)


def test_A16_the_first_vote_of_a_signer_stays() -> None:
    tally = Tally()
    first, other = votes(1)[0], votes(1, b"c" * 32)[0]
    assert tally.add(first) is None
    assert tally.add(first) is None
    assert tally.add(other) == first
    assert (tally.count(first.body), tally.count(other.body)) == (1, 0)


@given(st.lists(st.integers(0, 50)))
def test_the_bounded_memory_keeps_the_latest_and_stays_bounded(keys: list[int]) -> None:
    memory: Recent[int, int] = Recent(8)
    for key in keys:
        memory.put(key, key)
        assert memory.get(key) == key
        assert len(memory._new) + len(memory._old) <= 16
    for key in keys[-8:]:
        assert memory.get(key) == key


def test_INV_9_no_certificate_is_made_of_fewer_than_q() -> None:
    with pytest.raises(InvariantViolated, match="INV-9"):
        tallied(2).certificate(votes(1)[0].body, 3)
