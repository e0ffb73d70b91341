"""Reliability §12, INV-26: what is proven against whom, and that nothing else proves anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from consensus.constants import EVIDENCE_PER_VALIDATOR_MAX
from tallynet.blocks import Header
from tallynet.codec import Wire, decode, encode
from tallynet.errors import RemoteProtocolError
from tallynet.evidence import (
    Conviction,
    HeaderEvidence,
    HiddenEvidence,
    NewViewsEvidence,
    Rule,
    ViewChangesEvidence,
    VotesEvidence,
    culprit,
)
from tallynet.hashing import block_hash
from tallynet.messages import Blocks, CertifiedBlock, PrePrepare, Signed, SignedKind
from tests.sim.bench import Bench, signed, transactions
from tests.sim.validators import GENESIS, check

OTHER_ROOTS = (b"\1" * 32, b"\2" * 32)


def convictions(bench: Bench) -> list[Conviction]:
    """What the replica keeps, as the public verifier reads it; each step at most once."""
    return [culprit(proof, bench.config, check) for proof in bench.evidence]


def two_blocks(bench: Bench) -> tuple[object, object]:
    first, second = transactions(2)
    bench.hold((first, second))
    return bench.block(1, GENESIS, [first]), bench.block(1, GENESIS, [second])


def test_two_prepares_at_one_place() -> None:
    backup = Bench()
    one, other = two_blocks(backup)
    backup.propose(one)  # type: ignore[arg-type]
    backup.receive(2, backup.prepare(2, one))  # type: ignore[arg-type]
    backup.receive(2, backup.prepare(2, other))  # type: ignore[arg-type]
    assert convictions(backup) == [Conviction(2, Rule.VOTES, 0, 0, 1)]


def test_two_commits_with_different_roots() -> None:
    backup = Bench()
    one, _ = two_blocks(backup)
    backup.receive(2, backup.commit(2, one))  # type: ignore[arg-type]
    backup.receive(2, backup.commit(2, one, roots=OTHER_ROOTS))  # type: ignore[arg-type]
    assert convictions(backup) == [Conviction(2, Rule.VOTES, 0, 0, 1)]


@pytest.mark.parametrize("commit_first", [False, True])
def test_a_prepare_and_a_commit_for_different_blocks(commit_first: bool) -> None:
    backup = Bench()
    one, other = two_blocks(backup)
    votes = [backup.prepare(2, one), backup.commit(2, other)]  # type: ignore[arg-type]
    for vote in reversed(votes) if commit_first else votes:
        backup.receive(2, vote)
    assert convictions(backup) == [Conviction(2, Rule.VOTES, 0, 0, 1)]


def test_a_prepare_and_a_commit_for_one_block_prove_nothing() -> None:
    backup = Bench()
    (one,) = backup.chain(1)
    backup.run_block(one)
    assert backup.evidence == []
    both = VotesEvidence(encode(backup.prepare(2, one)), encode(backup.commit(2, one)))
    with pytest.raises(RemoteProtocolError, match="contradict"):
        culprit(encode(both), backup.config, check)


def test_a_certificate_of_catch_up_convicts_who_voted_otherwise() -> None:
    backup = Bench()
    one, other = two_blocks(backup)
    backup.receive(2, backup.commit(2, one))  # type: ignore[arg-type]
    certificate = backup.commit_certificate(other, 0, (0, 2, 3))  # type: ignore[arg-type]
    block = CertifiedBlock(other.header_bytes, other.envelopes, certificate, ())  # type: ignore[attr-defined]
    backup.receive(3, Blocks((block,)))
    assert convictions(backup) == [Conviction(2, Rule.VOTES, 0, 0, 1)]


def test_two_certificates_of_one_view_convict_everybody_in_both() -> None:
    """A fork: the second certificate contradicts a committed block."""
    backup = Bench()
    one, other = two_blocks(backup)
    backup.propose(one)  # type: ignore[arg-type]
    backup.prepare_all(one)  # type: ignore[arg-type]
    for index in (2, 3):
        backup.receive(index, backup.commit(index, one))  # type: ignore[arg-type]
    assert backup.heights == [1]
    certificate = backup.commit_certificate(other, 0, (0, 2, 3))  # type: ignore[arg-type]
    block = CertifiedBlock(other.header_bytes, other.envelopes, certificate, ())  # type: ignore[attr-defined]
    backup.receive(3, Blocks((block,)))
    assert {c.signer for c in convictions(backup)} == {2, 3}
    assert "forked" in backup.logs


def test_two_view_changes_for_one_view() -> None:
    backup = Bench()
    (one,) = backup.chain(1)
    with_certificate = [(one, backup.prepared_certificate(one, 0, (0, 2, 3)))]
    backup.receive(2, backup.view_change(2, 1))
    backup.receive(2, backup.view_change(2, 1, with_certificate))
    assert convictions(backup) == [Conviction(2, Rule.VIEW_CHANGES, 0, 1, 0)]
    backup.receive(2, backup.view_change(2, 1))
    assert len(backup.evidence) == 1, "the same again is known"


def test_a_view_change_inside_a_new_view_is_compared_too() -> None:
    backup = Bench(index=3)
    (one,) = backup.chain(1)
    certificate = backup.prepared_certificate(one, 0, (0, 1, 2))
    backup.receive(2, backup.view_change(2, 1, [(one, certificate)]))
    backup.receive(1, backup.new_view(1, [backup.view_change(i, 1) for i in (0, 1, 2)]))
    assert Conviction(2, Rule.VIEW_CHANGES, 0, 1, 0) in convictions(backup)


def test_two_new_views_for_one_view() -> None:
    backup = Bench(index=3)
    changes = [backup.view_change(i, 1) for i in (0, 1, 2)]
    own = [backup.view_change(i, 1) for i in (0, 1, 3)]
    backup.receive(1, backup.new_view(1, changes))
    backup.receive(1, backup.new_view(1, changes))
    assert backup.evidence == []
    backup.receive(0, backup.new_view(1, own))
    assert convictions(backup) == [Conviction(1, Rule.NEW_VIEWS, 0, 1, 0)]


@pytest.mark.parametrize("change_first", [False, True])
def test_a_view_change_that_hides_a_certificate(change_first: bool) -> None:
    backup = Bench()
    (one,) = backup.chain(1)
    messages = [backup.commit(2, one), backup.view_change(2, 1)]
    for message in reversed(messages) if change_first else messages:
        backup.receive(2, message)
    assert convictions(backup) == [Conviction(2, Rule.HIDDEN, 0, 0, 1)]


def test_a_view_change_that_shows_it_hides_nothing() -> None:
    backup = Bench()
    (one,) = backup.chain(1)
    backup.receive(2, backup.commit(2, one))
    certificate = backup.prepared_certificate(one, 0, (0, 2, 3))
    backup.receive(2, backup.view_change(2, 1, [(one, certificate)]))
    backup.receive(3, backup.commit(3, one))
    base = (one, backup.commit_certificate(one, 0, (0, 2, 3)))
    backup.receive(3, backup.view_change(3, 1, committed=base))
    assert backup.evidence == []


def test_a_view_change_below_what_its_signer_helped_to_commit() -> None:
    """The Commit is in the certificate of the newest block here."""
    backup = Bench()
    (one,) = backup.chain(1)
    backup.propose(one)
    backup.prepare_all(one)
    for index in (2, 3):
        backup.receive(index, backup.commit(index, one))
    backup.receive(3, backup.view_change(3, 1))
    assert convictions(backup) == [Conviction(3, Rule.HIDDEN, 0, 0, 1)]


def test_a_view_change_that_hides_the_certificate_below() -> None:
    """Commit(2) says that 1 is prepared as well: showing 2 alone hides 1 (INV-6)."""
    backup = Bench()
    one, two = backup.chain(2)
    commit = backup.commit(2, two)
    shown = [(two, backup.prepared_certificate(two, 0, (0, 2, 3)))]
    proof = HiddenEvidence(encode(commit), encode(backup.view_change(2, 1, shown)))
    assert culprit(encode(proof), backup.config, check).rule is Rule.HIDDEN
    both = [(c, backup.prepared_certificate(c, 0, (0, 2, 3))) for c in (one, two)]
    honest = HiddenEvidence(encode(commit), encode(backup.view_change(2, 1, both)))
    with pytest.raises(RemoteProtocolError, match="hides nothing"):
        culprit(encode(honest), backup.config, check)


def test_hidden_needs_the_view_to_be_left_and_numbers_are_only_compared() -> None:
    """A13: a Commit at height 2^62 neither loops nor allocates."""
    from tallynet.blocks import Commit

    backup = Bench()
    far = Commit(0, 5, 2**62, b"\1" * 32, *OTHER_ROOTS)
    commit = encode(signed(2, SignedKind.COMMIT, far))
    same_view = HiddenEvidence(commit, encode(backup.view_change(2, 5)))
    with pytest.raises(RemoteProtocolError, match="hides nothing"):
        culprit(encode(same_view), backup.config, check)
    higher = HiddenEvidence(commit, encode(backup.view_change(2, 6)))
    assert culprit(encode(higher), backup.config, check).signer == 2
    other_epoch = HiddenEvidence(commit, encode(backup.view_change(2, 6, epoch=1)))
    with pytest.raises(RemoteProtocolError, match="hides nothing"):
        culprit(encode(other_epoch), backup.config, check)


def with_header(bench: Bench, **changes: object) -> tuple[bytes, tuple[bytes, ...], Signed]:
    """A proposal of the leader of view 0 with a forged header: header, ids, Prepare."""
    ids = transactions(1)
    bench.hold(ids)
    good = bench.block(1, GENESIS, ids)
    fields = {name: getattr(good.header, name) for name in good.header.__struct_fields__}
    header = encode(Header(**(fields | changes)))
    return header, good.envelopes, bench.prepare(0, replace(good, block=block_hash(header)))


@pytest.mark.parametrize(
    "changes",
    [
        {"genesis": b"\1" * 32},
        {"version": 2},
        {"epoch": 1},
        {"height": 2},
        {"proposer": 9},
        {"proposer": 3},
    ],
)
def test_a_proposal_that_no_validator_may_make(changes: dict[str, object]) -> None:
    """Proposer 3 leads no view up to 0."""
    backup = Bench()
    header, ids, prepare = with_header(backup, **changes)
    backup.receive(0, PrePrepare(header, ids, encode(prepare)))
    assert convictions(backup) == [Conviction(0, Rule.HEADER, 0, 0, 1)]


@pytest.mark.parametrize("changes", [{"parent": b"\3" * 32}, {"next_validators": b"\2" * 32}])
def test_a_fault_that_depends_on_more_than_the_header_is_no_proof(
    changes: dict[str, object],
) -> None:
    """A wrong parent may be the parent of a block that we missed; another set may be the one behind a
    hand-over that who judges has missed."""
    backup = Bench()
    header, ids, prepare = with_header(backup, **changes)
    backup.receive(0, PrePrepare(header, ids, encode(prepare)))
    assert "proposal_rejected" in backup.logs
    assert backup.evidence == []


def test_a_view_change_whose_certificate_names_an_impossible_header_is_refused() -> None:
    """Otherwise a correct new leader could be made to Prepare one, and be convicted for it."""
    backup = Bench()
    (one,) = backup.chain(1, by=3)
    certificate = backup.prepared_certificate(one, 0, (0, 2, 3))
    backup.receive(2, backup.view_change(2, 1, [(one, certificate)]))
    assert backup.replica.statistics().refused == 1


def test_evidence_is_kept_once_per_signer_rule_and_place_across_restarts() -> None:
    backup = Bench()
    one, other = two_blocks(backup)
    for _ in range(2):
        backup.receive(2, backup.prepare(2, one))  # type: ignore[arg-type]
        backup.receive(2, backup.prepare(2, other))  # type: ignore[arg-type]
        backup.receive(2, backup.prepare(2, other))  # type: ignore[arg-type]
    assert len(backup.evidence) == 1
    backup.restart()
    assert backup.replica.statistics().evidence == 1
    backup.receive(2, backup.prepare(2, one))  # type: ignore[arg-type]
    backup.receive(2, backup.prepare(2, other))  # type: ignore[arg-type]
    assert backup.evidence == []


def test_no_culprit_crowds_out_another() -> None:
    backup = Bench()
    for view in range(1, 40):
        backup.receive(2, backup.view_change(2, view))
        (one,) = backup.chain(1)
        certificate = backup.prepared_certificate(one, 0, (0, 2, 3))
        backup.receive(2, backup.view_change(2, view, [(one, certificate)]))
    assert len(backup.evidence) == EVIDENCE_PER_VALIDATOR_MAX
    backup.receive(3, backup.view_change(3, 1))
    backup.receive(3, backup.view_change(3, 1, [(one, certificate)]))
    assert convictions(backup)[-1].signer == 3


def test_evidence_of_ones_own_is_not_kept() -> None:
    """Two votes of ours: then it is our register that is lost (B12), and we know it."""
    backup = Bench()
    one, other = two_blocks(backup)
    backup.propose(one)  # type: ignore[arg-type]
    backup.receive(2, backup.prepare(1, other))  # type: ignore[arg-type]
    assert backup.evidence == []
    assert "votes_stopped" in backup.logs


# --- the framer -----------------------------------------------------------------------------------


def genuine(bench: Bench) -> dict[str, Wire]:
    one, other = two_blocks(bench)
    header, _, prepare = with_header(bench, version=2)
    first, second = bench.prepare(2, one), bench.prepare(2, other)  # type: ignore[arg-type]
    changes = [bench.view_change(i, 1) for i in (0, 1, 2)]
    certificate = bench.prepared_certificate(one, 0, (0, 2, 3))  # type: ignore[arg-type]
    shown = bench.view_change(2, 1, [(one, certificate)])  # type: ignore[list-item]
    views = [bench.new_view(1, changes), bench.new_view(1, [*changes[:2], bench.view_change(3, 1)])]
    return {
        "votes": VotesEvidence(encode(first), encode(second)),
        "view changes": ViewChangesEvidence(encode(changes[2]), encode(shown)),
        "new views": NewViewsEvidence(encode(views[0]), encode(views[1])),
        "hidden": HiddenEvidence(encode(bench.commit(2, one)), encode(changes[2])),  # type: ignore[arg-type]
        "header": HeaderEvidence(encode(prepare), header),
    }


def forged(raw: bytes) -> bytes:
    message = decode(Signed, raw)
    return encode(Signed(message.kind, message.body, message.signer, bytes(64)))


def by_another(raw: bytes) -> bytes:
    message = decode(Signed, raw)
    return encode(Signed(message.kind, message.body, (message.signer + 1) % 4, message.signature))


def no_member(raw: bytes) -> bytes:
    message = decode(Signed, raw)
    return encode(Signed(message.kind, message.body, 77, message.signature))


def other_kind(raw: bytes) -> bytes:
    message = decode(Signed, raw)
    kind = SignedKind.COMPLAINT if message.kind != SignedKind.COMPLAINT else SignedKind.STATUS
    return encode(Signed(kind, message.body, message.signer, message.signature))


@pytest.mark.parametrize("what", ["votes", "view changes", "new views", "hidden", "header"])
def test_a_genuine_proof_convicts(what: str) -> None:
    backup = Bench()
    found = culprit(encode(genuine(backup)[what]), backup.config, check)
    assert found.rule.name.lower().replace("_", " ") == what


@pytest.mark.parametrize("what", ["votes", "view changes", "new views", "hidden", "header"])
@pytest.mark.parametrize("spoil", [forged, by_another, no_member, other_kind, lambda raw: raw[:-1]])
def test_a_proof_with_one_spoiled_part_convicts_nobody(
    what: str, spoil: Callable[[bytes], bytes]
) -> None:
    backup = Bench()
    proof = genuine(backup)[what]
    for field in proof.__struct_fields__:
        if field == "header":
            continue
        parts = {name: getattr(proof, name) for name in proof.__struct_fields__}
        spoiled = type(proof)(**(parts | {field: spoil(parts[field])}))
        with pytest.raises(RemoteProtocolError):
            culprit(encode(spoiled), backup.config, check)


@pytest.mark.parametrize("what", ["votes", "view changes", "new views"])
def test_the_same_message_twice_convicts_nobody(what: str) -> None:
    """Signed again with another nonce it is still the same statement (C2)."""
    backup = Bench()
    proof = genuine(backup)[what]
    twice = type(proof)(proof.first, forged(proof.first))  # type: ignore[call-arg, attr-defined]
    with pytest.raises(RemoteProtocolError):
        culprit(encode(twice), backup.config, check)


def test_a_proof_of_another_network_convicts_nobody() -> None:
    backup = Bench()
    elsewhere = replace(backup.config, genesis=b"\7" * 32)
    for proof in genuine(backup).values():
        with pytest.raises(RemoteProtocolError):
            culprit(encode(proof), elsewhere, check)


def test_an_honest_header_convicts_nobody() -> None:
    backup = Bench()
    (one,) = backup.chain(1)
    proof = HeaderEvidence(encode(backup.prepare(0, one)), one.header_bytes)
    with pytest.raises(RemoteProtocolError, match="possible"):
        culprit(encode(proof), backup.config, check)


# --- the archive ----------------------------------------------------------------------------------


def test_every_new_view_that_opened_a_view_is_archived_with_its_step() -> None:
    backup = Bench(index=3)
    new_view = backup.new_view(1, [backup.view_change(i, 1) for i in (0, 1, 2)])
    effects = backup.receive(1, new_view)
    assert [(a.epoch, a.view, a.new_view) for a in effects.archive] == [(0, 1, encode(new_view))]
    leader = Bench(index=1)
    for index in (0, 2, 3):
        leader.receive(index, leader.complaint(index))
    archived = []
    for index in (0, 2):
        archived += leader.receive(index, leader.view_change(index, 1)).archive
    assert [(a.epoch, a.view) for a in archived] == [(0, 1)]
