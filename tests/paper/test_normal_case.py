"""Protocol §5.3 and §5.4: one test per rule of the normal case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.effects import ALL
from consensus.proposals import open_content
from consensus.statistics import ReplicaStatus, WaitingReason
from tallynet.blocks import Header, quorum
from tallynet.codec import decode, encode
from tallynet.evidence import culprit
from tallynet.messages import (
    FetchBlocks,
    FetchBodies,
    FetchProposal,
    PrePrepare,
    Proposal,
    Signed,
    SignedKind,
)
from tests.sim.bench import Bench, copy_of, signed, transactions
from tests.sim.validators import GENESIS, check


def test_5_4_1_an_idle_network_proposes_nothing() -> None:
    leader = Bench(index=0)
    leader.tick(10_000)
    assert leader.prepares() == []
    assert leader.replica.statistics().waiting.reason is WaitingReason.NOTHING_TO_DO


def test_5_4_2_the_leader_proposes_at_once_when_nothing_is_in_flight() -> None:
    leader = Bench(index=0)
    leader.hold(transactions(1))
    assert leader.prepares() == [1]


def test_0024_behind_a_block_in_flight_only_a_full_batch_is_proposed() -> None:
    leader = Bench(index=0)
    leader.hold(transactions(1))
    leader.hold(transactions(1, tag="later"))
    leader.tick(900)
    ((_, first),) = leader.take(PrePrepare)
    assert isinstance(first, PrePrepare)
    content = open_content(first.header, first.envelopes)
    leader.prepare_all(content)
    leader.commit_all(content)
    assert leader.prepares() == [2]


def test_5_4_2_a_full_batch_does_not_wait() -> None:
    leader = Bench(index=0)
    leader.hold(transactions(1))
    leader.hold(transactions(700, tag="later"))
    proposals = [m for _, m in leader.take(PrePrepare)]
    assert [len(p.envelopes) for p in proposals] == [1, 500]  # type: ignore[attr-defined]


def test_5_2_a_batch_holds_at_most_two_mebibytes_of_bodies() -> None:
    leader = Bench(index=0)
    leader.hold(replace(t, size=256 * 1024) for t in transactions(20))
    (_, first), *_ = leader.take(PrePrepare)
    assert len(first.envelopes) == 8  # type: ignore[attr-defined]


def test_5_4_2_no_prepare_before_all_bodies_are_held() -> None:
    backup = Bench()
    ids = transactions(2)
    backup.hold(ids[:1])
    content = backup.block(1, GENESIS, ids)
    backup.propose(content)
    assert backup.prepares() == []
    assert backup.take(FetchBodies) == []  # gossip gets its chance first
    backup.tick(50)
    assert backup.take(FetchBodies) == [(0, FetchBodies(1, content.block, (ids[1].envelope,)))]
    assert backup.replica.statistics().waiting.reason is WaitingReason.BODIES
    backup.hold(ids[1:])
    assert backup.prepares() == [1]


def test_5_4_3_one_preprepare_per_view_and_height_the_first_stays() -> None:
    backup = Bench()
    first, second = transactions(2)
    backup.hold((first, second))
    one, other = backup.block(1, GENESIS, [first]), backup.block(1, GENESIS, [second])
    backup.propose(one)
    backup.propose(other)
    assert backup.prepares() == [1]
    assert len(backup.evidence) == 1
    (_, complaint), *_ = backup.take(SignedKind.COMPLAINT)
    assert complaint.reason.name == "EQUIVOCATION"  # type: ignore[attr-defined]


def test_5_4_3_the_slot_and_its_bodies_are_written_before_the_prepare_leaves() -> None:
    backup = Bench()
    ids = transactions(1)
    backup.hold(ids)
    content = backup.block(1, GENESIS, ids)
    effects = backup.propose(content)
    assert [e.key[:4] for e in effects.persist] == [b"slot"]
    assert [h.envelopes for h in effects.hold] == [content.envelopes]
    kinds = [decode(Signed, s.message).kind for s in effects.send_after]
    assert kinds == [SignedKind.PREPARE]
    assert effects.send_now == []


def test_5_4_3_the_leaders_preprepare_counts_as_its_prepare() -> None:
    backup = Bench()
    (content,) = backup.chain(1)
    backup.propose(content)  # the leader's and our own
    assert backup.commits() == []
    backup.receive(2, backup.prepare(2, content))
    assert backup.commits() == [1]


@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_5_4_4_q_prepares_make_it_prepared(n: int) -> None:
    backup = Bench(n=n)
    (content,) = backup.chain(1)
    backup.propose(content)
    for index in range(2, quorum(n) - 1):
        backup.receive(index, backup.prepare(index, content))
        assert backup.commits() == []
    backup.receive(n - 1, backup.prepare(n - 1, content))
    assert backup.commits() == [1]


def test_5_4_4_the_commit_follows_execution_and_its_certificate_is_durable_first() -> None:
    backup = Bench()
    (content,) = backup.chain(1)
    backup.auto_execute = False
    backup.propose(content)
    effects = backup.receive(2, backup.prepare(2, content))
    assert [e.key[:8] for e in effects.persist] == [b"prepared"]
    assert [e.block for e in effects.execute] == [content.block]
    assert backup.commits() == []
    assert backup.replica.statistics().waiting.reason is WaitingReason.EXECUTION


def test_5_4_4_commit_only_above_the_commit_below() -> None:
    """INV-6: block 2 is prepared first, its Commit waits for that of block 1."""
    backup = Bench()
    one, two = backup.chain(2)
    backup.propose(one)
    backup.propose(two)
    backup.receive(2, backup.prepare(2, two))
    assert backup.commits() == []
    backup.receive(2, backup.prepare(2, one))
    assert backup.commits() == [1, 2]


def test_5_6_prepare_only_above_an_accepted_parent() -> None:
    """INV-4: a parent that was not accepted in this view blocks the blocks above it."""
    backup = Bench()
    one, two = backup.chain(2)
    backup.propose(two)
    assert backup.prepares() == []
    backup.propose(one)
    assert backup.prepares() == [1, 2]


def test_5_6_a_block_that_does_not_follow_the_accepted_one_is_refused() -> None:
    backup = Bench()
    one, _ = backup.chain(2)
    ids = transactions(1, tag="stray")
    backup.hold(ids)
    stray = backup.block(2, b"\x07" * 32, ids)
    backup.propose(one)
    backup.propose(stray)
    assert backup.prepares() == [1]
    assert backup.replica.statistics().waiting.reason is WaitingReason.PREPARES
    (_, complaint), *_ = backup.take(SignedKind.COMPLAINT)
    assert complaint.reason.name == "INVALID_PROPOSAL"  # type: ignore[attr-defined]


def test_5_4_5_q_equal_commits_make_it_final() -> None:
    backup = Bench()
    (content,) = backup.chain(1)
    backup.propose(content)
    backup.prepare_all(content)
    backup.receive(2, backup.commit(2, content))
    assert backup.heights == []
    backup.receive(3, backup.commit(3, content))
    assert backup.heights == [1]
    assert len(backup.delivered[0].certificate.signers) == 3


def test_5_4_5_commits_on_different_roots_do_not_add_up() -> None:
    """A17: the tally key is the whole signed body."""
    backup = Bench()
    (content,) = backup.chain(1)
    backup.propose(content)
    backup.prepare_all(content)
    backup.receive(2, backup.commit(2, content, roots=(b"\1" * 32, b"\2" * 32)))
    backup.receive(3, backup.commit(3, content))
    assert backup.heights == []


def test_5_4_5_f_plus_1_other_roots_stop_our_votes() -> None:
    backup = Bench()
    one, two = backup.chain(2)
    backup.propose(one)
    backup.prepare_all(one)
    wrong = (b"\1" * 32, b"\2" * 32)
    backup.receive(2, backup.commit(2, one, roots=wrong))
    assert backup.replica.statistics().status is ReplicaStatus.NORMAL
    backup.receive(3, backup.commit(3, one, roots=wrong))
    assert backup.replica.statistics().status is ReplicaStatus.DIVERGED
    assert "diverged" in backup.logs
    backup.prepares()
    backup.propose(two)
    assert backup.prepares() == []


def test_INV_11_a_certificate_on_other_roots_is_never_delivered() -> None:
    backup = Bench()
    (content,) = backup.chain(1)
    wrong = (b"\1" * 32, b"\2" * 32)
    for index in (0, 2, 3):
        backup.receive(index, backup.commit(index, content, roots=wrong))
    backup.propose(content)
    assert backup.heights == []
    assert backup.replica.statistics().status is ReplicaStatus.DIVERGED


def test_5_4_5_blocks_are_delivered_in_height_order() -> None:
    """A5, A8: the certificate of block 2 comes first."""
    backup = Bench()
    one, two = backup.chain(2)
    for content in (one, two):
        backup.propose(content)
        backup.prepare_all(content)
    backup.commit_all(two)
    assert backup.heights == []
    backup.commit_all(one)
    assert backup.heights == [1, 2]


def test_certified_without_the_proposal_the_content_is_fetched_from_peers() -> None:
    backup = Bench()
    (content,) = backup.chain(1)
    backup.commit_all(content)
    backup.tick()
    (_, request), *_ = backup.take(FetchProposal)
    assert request == FetchProposal(1, content.block)
    backup.receive(2, Proposal(content.header_bytes, content.envelopes))
    assert backup.heights == [1]


def test_5_7_a_certified_block_whose_proposal_nobody_keeps_is_fetched_as_a_block() -> None:
    """Found by the simulator, seeds 88 and 98: a replica that heard q Commits and no proposal asked for
    blocks above the one it lacked, and its peers had dropped the proposal long ago."""
    backup = Bench(window=1)
    one, _ = backup.chain(2)
    backup.commit_all(one)
    for peer in (0, 2, 3):
        backup.receive(peer, backup.status(peer, committed=30))
    backup.tick(300)
    assert {m.first for _, m in backup.take(FetchBlocks)} == {1}


def test_INV_7_nothing_above_the_window_is_accepted() -> None:
    backup = Bench(window=2)
    chain = backup.chain(3)
    for content in chain:
        backup.propose(content)
    assert backup.prepares() == [1, 2]
    backup.prepare_all(chain[0])
    backup.commit_all(chain[0])
    assert backup.prepares() == [3]


def test_INV_7_the_leader_fills_the_window_and_stops() -> None:
    leader = Bench(index=0, window=2)
    leader.hold(transactions(1600))
    assert leader.prepares() == [1, 2]


@pytest.mark.parametrize("fault", ["twice", "copies", "expired", "too long", "remembered", "copy"])
def test_INV_14_duplicate_or_expired_ids_reject_the_batch(fault: str) -> None:
    backup = Bench()
    time_s = backup.wall_ms // 1000
    first, second = transactions(2)
    if fault == "expired":
        second = replace(second, valid_until=time_s)
    if fault == "too long":
        second = replace(second, valid_until=time_s + 86_402)
    backup.hold((first, second))
    if fault in ("remembered", "copy"):
        backup.ledger.remembered.add(second.id)
    below = backup.block(1, GENESIS, [first])
    backup.propose(below)
    copy = copy_of(second)
    backup.hold((copy,), checked=False)
    again = {"twice": [second, second], "copies": [second, copy], "copy": [copy]}
    again = again.get(fault, [second])
    backup.propose(backup.block(2, below.block, again))
    assert backup.prepares() == [1]
    assert "proposal_rejected" in backup.logs


@pytest.mark.parametrize("admitted", [True, False])
@pytest.mark.parametrize("same_bytes", [True, False])
def test_INV_14_what_a_block_below_holds_is_voted_on_when_its_effect_is_known(
    admitted: bool, same_bytes: bool
) -> None:
    """The copy below may be one that the law does not admit; the leader may know that before us. So
    neither a vote nor blame before the block below is durable, and then exactly one of the two."""
    backup = Bench()
    (first,) = transactions(1)
    copy = first if same_bytes else copy_of(first)
    backup.hold((first, copy))
    one = backup.block(1, GENESIS, [first])
    if not admitted:
        backup.ledger.inadmissible.add(first.envelope)
    backup.propose(one)
    two = backup.block(2, one.block, [copy])
    backup.propose(two)
    backup.prepare_all(one)
    assert backup.prepares() == [1]
    assert "proposal_rejected" not in backup.logs
    backup.commit_all(one)
    assert backup.prepares() == ([] if admitted else [2])
    assert ("proposal_rejected" in backup.logs) == admitted


def test_INV_14_a_block_just_delivered_counts_before_the_ledger_knows_it() -> None:
    backup = Bench()
    ids = transactions(1, tag="block 1 ")
    (one,) = backup.chain(1)
    backup.run_block(one)
    backup.ledger.remembered.clear()
    backup.replica._s.delivered[1] = (10**9, {ids[0].id: None})  # its write has not returned
    backup.prepares()
    backup.propose(backup.block(2, one.block, ids))
    assert backup.prepares() == []


def test_C2_the_leader_keeps_the_genuine_copy_while_a_mutilated_one_is_in_flight() -> None:
    """The other copy came in with a NewView, from a leader that was faulty; it wastes its slot."""
    leader = Bench()
    (genuine,) = transactions(1)
    bad = copy_of(genuine)
    leader.ledger.inadmissible.add(bad.envelope)
    leader.hold((bad,), checked=False)
    one = leader.block(1, GENESIS, [bad])
    prepared = [(one, leader.prepared_certificate(one, 0, (0, 2, 3)))]
    leader.propose(one)
    for index in (0, 2, 3):
        leader.receive(index, leader.complaint(index))
    leader.hold((genuine,))
    for index in (2, 3):
        leader.receive(index, leader.view_change(index, 1, prepared))
    assert leader.replica.statistics().view == 1
    leader.tick(100)
    assert [m for _, m in leader.take(PrePrepare)] == []
    leader.prepare_all(one, view=1)
    leader.commit_all(one, view=1)
    assert leader.heights == [1]
    ((_, proposal),) = leader.take(PrePrepare)
    assert proposal.envelopes == (genuine.envelope,)  # type: ignore[attr-defined]


def test_C2_a_copy_that_took_effect_is_not_proposed_again_nor_its_leader_blamed() -> None:
    """Everybody holds another valid copy than the one that the leader proposed."""
    backup = Bench()
    (first,) = transactions(1)
    backup.hold((copy_of(first),))
    backup.hold((first,), checked=False)
    backup.run_block(backup.block(1, GENESIS, [first]))
    assert backup.heights == [1]
    assert backup.replica.statistics().pool == 0
    for _ in range(60):
        backup.tick(100)
        backup.receive(0, backup.status(0, committed=1))
    assert backup.take(SignedKind.COMPLAINT) == []


def test_9_the_time_of_a_first_proposal_lies_within_the_clock_window() -> None:
    backup = Bench()
    ids = transactions(1)
    backup.hold(ids)
    backup.propose(backup.block(1, GENESIS, ids, time_ms=backup.wall_ms + 2_500))
    assert backup.prepares() == []
    assert backup.take(SignedKind.COMPLAINT) == []  # it may be our clock
    backup.tick(600)
    assert backup.prepares() == [1]


def test_9_a_block_is_younger_than_its_parent() -> None:
    backup = Bench()
    first, second = transactions(2)
    backup.hold((first, second))
    one = backup.block(1, GENESIS, [first])
    backup.propose(one)
    backup.propose(backup.block(2, one.block, [second], time_ms=one.header.time_ms))
    assert backup.prepares() == [1]


def test_empty_blocks_only_when_the_ledger_wants_one() -> None:
    backup = Bench()
    backup.propose(backup.block(1, GENESIS, []))
    assert backup.prepares() == []
    backup.ledger.wanted = True
    backup.tick(20)
    assert backup.prepares() == [1]


def test_the_leader_proposes_an_empty_block_when_the_ledger_wants_one() -> None:
    leader = Bench(index=0)
    leader.ledger.wanted = True
    leader.tick()
    assert leader.prepares() == [1]
    leader.tick(100)
    assert leader.prepares() == []  # one at a time: the next depends on the result


@pytest.mark.parametrize("field", ["genesis", "version", "epoch", "next_validators", "proposer"])
def test_5_3_a_header_of_another_network_epoch_or_proposer_is_refused(field: str) -> None:
    """A2, A18: every field comes from the hashed bytes and is checked."""
    backup = Bench()
    ids = transactions(1)
    backup.hold(ids)
    good = backup.block(1, GENESIS, ids)
    other = {"genesis": b"\1" * 32, "version": 2, "epoch": 1, "next_validators": b"\2" * 32}
    header = decode(Header, good.header_bytes)
    wrong = Header(
        **{name: getattr(header, name) for name in header.__struct_fields__}
        | {field: other.get(field, 3)}
    )
    from consensus.proposals import open_content

    content = open_content(encode(wrong), good.envelopes)
    prepare = backup.prepare(0, replace(good, block=content.block))
    backup.receive(0, PrePrepare(content.header_bytes, content.envelopes, encode(prepare)))
    assert backup.prepares() == []


def test_A2_ids_that_are_not_under_the_header_are_refused_without_blame() -> None:
    backup = Bench()
    first, second = transactions(2)
    backup.hold((first, second))
    content = backup.block(1, GENESIS, [first])
    backup.receive(
        0, PrePrepare(content.header_bytes, (second.envelope,), encode(backup.prepare(0, content)))
    )
    assert backup.prepares() == []
    assert backup.replica.statistics().refused == 1
    assert backup.take(SignedKind.COMPLAINT) == []
    backup.propose(content)
    assert backup.prepares() == [1]


def test_a_proposal_of_somebody_else_than_the_leader_is_refused() -> None:
    backup = Bench()
    (content,) = backup.chain(1, by=2)
    backup.propose(content, leader=2)
    assert backup.prepares() == []
    assert backup.replica.statistics().refused == 1


def test_A16_an_invalid_vote_changes_nothing_and_the_first_valid_one_stays() -> None:
    backup = Bench()
    (content,) = backup.chain(1)
    backup.propose(content)
    backup.commits()
    forged = backup.prepare(2, content)
    backup.receive(2, Signed(forged.kind, forged.body, 2, b"\0" * 64))
    backup.receive(2, Signed(forged.kind, forged.body, 3, forged.signature))
    assert backup.commits() == []
    backup.receive(2, forged)
    assert backup.commits() == [1]


def test_A15_a_signer_counts_once() -> None:
    backup = Bench(n=7)
    (content,) = backup.chain(1)
    backup.propose(content)
    for _ in range(5):
        backup.receive(2, backup.prepare(2, content))
    assert backup.commits() == []


def test_a_second_different_vote_is_evidence_that_convicts_its_signer_only() -> None:
    backup = Bench()
    (content,) = backup.chain(1)
    backup.propose(content)
    backup.prepare_all(content)
    backup.receive(2, backup.commit(2, content, roots=(b"\1" * 32, b"\2" * 32)))
    backup.receive(2, backup.commit(2, content))
    (proof,) = backup.evidence
    assert culprit(proof, backup.config, check).signer == 2


def test_INV_15_messages_of_another_epoch_or_of_no_member_change_nothing() -> None:
    backup = Bench()
    (content,) = backup.chain(1)
    before = backup.replica.statistics()
    from tallynet.blocks import Prepare

    backup.receive(2, signed(2, SignedKind.PREPARE, Prepare(5, 0, 1, content.block)))
    backup.receive(2, signed(9, SignedKind.PREPARE, Prepare(0, 0, 1, content.block)))
    backup.receive(9, backup.prepare(2, content))
    backup.receive(2, signed(2, SignedKind.PREPARE, Prepare(0, 2**62, 1, content.block)))
    backup.receive(2, signed(2, SignedKind.PREPARE, Prepare(0, 0, 2**62, content.block)))
    after = backup.replica.statistics()
    assert replace(after, refused=0, refused_by_code=()) == before
    assert after.refused == 2


def test_A6_messages_of_the_next_view_are_kept_one_per_signer_phase_and_height() -> None:
    backup = Bench()
    (content,) = backup.chain(1)
    for _ in range(3):
        backup.receive(2, backup.prepare(2, content, view=1))
    assert backup.replica.statistics().stash == 1
    backup.receive(2, backup.prepare(2, content, view=3))
    assert backup.replica.statistics().stash == 1
    assert backup.prepares() == []


@pytest.mark.parametrize("window", [1, 4])
def test_n_1_commits_alone(window: int) -> None:
    alone = Bench(index=0, n=1, window=window)
    alone.hold(transactions(1300))
    for _ in range(5):
        alone.tick(20)
    assert alone.heights[:3] == [1, 2, 3]
    assert alone.out == []


def test_5_8_nothing_above_the_end_of_an_epoch_before_it_is_committed() -> None:
    """INV-7, INV-15: then views restart and the next epoch's blocks are of epoch 1."""
    backup = Bench(epoch_length=2)
    one, two, three = backup.chain(3)
    for content in (one, two, three):
        backup.propose(content)
    assert backup.prepares() == [1, 2]
    for content in (one, two):
        backup.prepare_all(content)
        backup.commit_all(content)
    assert backup.heights == [1, 2]
    assert backup.replica.statistics().epoch == 1
    assert backup.prepares() == [3]  # it had been kept aside
    assert three.header.epoch == 1


def test_messages_go_to_all_others() -> None:
    leader = Bench(index=0)
    leader.hold(transactions(1))
    assert [to for to, _ in leader.take(PrePrepare)] == [ALL]
