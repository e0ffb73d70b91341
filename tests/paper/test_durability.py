"""Protocol §5.5 and §5.7: restart, amnesia, catch-up; reliability B1-B7, B12."""

from __future__ import annotations

import pytest

from consensus.constants import CATCH_UP_BLOCKS_MAX
from consensus.slots import Content
from consensus.statistics import ReplicaStatus, WaitingReason
from tallynet.blocks import Certificate
from tallynet.errors import InvariantViolated
from tallynet.messages import (
    Blocks,
    CertifiedBlock,
    FetchBlocks,
    FetchProposal,
    FetchVotes,
    PrePrepare,
    Proposal,
    Signed,
    SignedKind,
)
from tests.sim.bench import Bench, transactions
from tests.sim.validators import GENESIS, key_of


def certified(
    bench: Bench, content: object, signers: tuple[int, ...] = (0, 2, 3)
) -> CertifiedBlock:
    certificate = bench.commit_certificate(content, 0, signers)  # type: ignore[arg-type]
    return CertifiedBlock(content.header_bytes, content.envelopes, certificate, ())  # type: ignore[attr-defined]


def test_B5_after_a_restart_the_identical_votes_go_out_again() -> None:
    backup = Bench()
    (one,) = backup.chain(1)
    backup.propose(one)
    backup.prepare_all(one)
    sent = [m for _, m in backup.out if isinstance(m, Signed) and m.kind != SignedKind.STATUS]
    assert len(sent) == 2
    backup.restart()
    again = [m for _, m in backup.out if isinstance(m, Signed) and m.kind != SignedKind.STATUS]
    assert again == sent
    assert backup.take(FetchVotes) != []


def test_B1_after_a_restart_no_other_block_gets_the_vote() -> None:
    backup = Bench()
    first, second = transactions(2)
    backup.hold((first, second))
    backup.propose(backup.block(1, GENESIS, [first]))
    backup.restart()
    backup.out.clear()
    backup.propose(backup.block(1, GENESIS, [second]))
    assert backup.prepares() == []


def test_a_leader_continues_after_a_restart_above_its_own_proposals() -> None:
    leader = Bench(index=0, batch_transactions_max=1)
    leader.hold(transactions(1))
    leader.restart()
    assert leader.prepares() == [1]  # repeated as a Prepare
    leader.hold(transactions(1, tag="next"))
    leader.tick(20)
    assert leader.prepares() == [2]


def test_a_view_survives_a_restart() -> None:
    backup = Bench(index=3)
    (one,) = backup.chain(1)
    change = backup.view_change(0, 1, [(one, backup.prepared_certificate(one, 0, (0, 1, 2)))])
    changes = [change, backup.view_change(1, 1), backup.view_change(2, 1)]
    backup.receive(1, backup.new_view(1, changes, [one]))
    backup.restart()
    statistics = backup.replica.statistics()
    assert (statistics.view, statistics.voted_view) == (1, 1)
    backup.tick(10)
    assert backup.take(FetchProposal) != []
    backup.receive(0, Proposal(one.header_bytes, one.envelopes))
    assert backup.prepares() == [1]


def test_INV_1_a_view_that_was_left_stays_left_across_a_restart() -> None:
    backup = Bench()
    one, two = backup.chain(2)
    backup.propose(one)
    for index in (0, 2, 3):
        backup.receive(index, backup.complaint(index))
    (_, before), *_ = backup.take(SignedKind.VIEW_CHANGE)
    backup.restart()
    assert backup.replica.statistics().status is ReplicaStatus.CHANGING
    ((_, after),) = backup.take(SignedKind.VIEW_CHANGE)
    assert before == after
    backup.prepares()
    backup.propose(two)
    assert backup.prepares() == []


def test_sticky_certificates_survive_a_restart() -> None:
    backup = Bench()
    (one,) = backup.chain(1)
    backup.propose(one)
    backup.prepare_all(one)
    backup.restart()
    for index in (0, 2, 3):
        backup.receive(index, backup.complaint(index))
    (_, change), *_ = backup.take(SignedKind.VIEW_CHANGE)
    assert [e.header for e in change.prepared] == [one.header_bytes]  # type: ignore[attr-defined]


def test_the_journal_is_empty_again_when_everything_is_committed() -> None:
    backup = Bench()
    for content in backup.chain(6):
        backup.run_block(content)
    assert backup.heights == [1, 2, 3, 4, 5, 6]
    assert list(backup.journal) == [b"view"]
    backup.restart()
    assert backup.replica.statistics().committed == 6


def test_B12_a_chain_without_a_register_means_no_votes() -> None:
    backup = Bench()
    one, two = backup.chain(2)
    backup.run_block(one)
    backup.journal.clear()
    backup.restart()
    assert backup.replica.statistics().status is ReplicaStatus.MUTE
    backup.prepares()
    backup.propose(two)
    backup.prepare_all(two)
    assert backup.prepares() == []
    backup.commit_all(two)
    assert backup.heights == [2]  # it still follows
    backup.journal.pop(b"view", None)
    backup.restart()
    assert backup.replica.statistics().status is ReplicaStatus.MUTE


def test_B12_a_vote_of_ours_that_we_do_not_remember_means_no_votes() -> None:
    """The disk was replaced by a fresh one; a peer shows a Commit with our signature."""
    backup = Bench()
    (one,) = backup.chain(1)
    backup.receive(2, backup.commit(1, one))
    assert backup.replica.statistics().status is ReplicaStatus.MUTE
    assert b"mute" in backup.journal
    backup.propose(one)
    assert backup.prepares() == []
    backup.restart()
    assert backup.replica.statistics().status is ReplicaStatus.MUTE


def test_B12_a_certificate_with_our_unknown_signature_means_no_votes() -> None:
    backup = Bench()
    (one,) = backup.chain(1)
    backup.receive(2, Blocks((certified(backup, one, (1, 2, 3)),)))
    assert backup.replica.statistics().status is ReplicaStatus.MUTE
    assert backup.heights == [1]


def in_view_1(backup: Bench, prepared: Content | None) -> None:
    """View 0 ends, in which this validator saw q Prepares for that block, or for none."""
    if prepared is not None:
        backup.propose(prepared)
        for index in (1, 2):
            backup.receive(index, backup.prepare(index, prepared))
    for index in (0, 1, 2):
        backup.receive(index, backup.complaint(index))
    changes = [backup.view_change(i, 1) for i in (0, 1, 2)]
    if prepared is not None:
        certificate = backup.prepared_certificate(prepared, 0, (0, 1, 2))
        changes[0] = backup.view_change(0, 1, [(prepared, certificate)])
    backup.receive(1, backup.new_view(1, changes, [] if prepared is None else [prepared]))
    assert backup.replica.statistics().view == 1


@pytest.mark.parametrize("whole", [True, False])
def test_B12_a_commit_of_ours_in_a_view_that_was_left_needs_the_certificate_under_it(
    whole: bool,
) -> None:
    """An older copy of the register was put back, and the next view entered from there."""
    backup = Bench(index=3)
    (one,) = backup.chain(1)
    in_view_1(backup, one if whole else None)
    backup.receive(2, backup.commit(3, one))
    silent = backup.replica.statistics().status is ReplicaStatus.MUTE
    assert silent is not whole


def test_B12_a_vote_of_ours_in_a_view_that_we_only_move_to_means_no_votes() -> None:
    backup = Bench(index=3)
    (one,) = backup.chain(1)
    for index in (0, 1, 2):
        backup.receive(index, backup.complaint(index))
    assert backup.replica.statistics().status is ReplicaStatus.CHANGING
    backup.receive(2, backup.commit(3, one, view=1))
    assert backup.replica.statistics().status is ReplicaStatus.MUTE


def test_B12_another_view_change_of_ours_for_the_same_view_means_no_votes() -> None:
    backup = Bench()
    for index in (0, 2, 3):
        backup.receive(index, backup.complaint(index))
    (one,) = backup.chain(1)
    certificate = backup.prepared_certificate(one, 0, (0, 2, 3))
    backup.receive(2, backup.view_change(1, 1, [(one, certificate)]))
    assert backup.replica.statistics().status is ReplicaStatus.MUTE
    assert backup.evidence == []


def test_B12_another_new_view_of_ours_for_the_same_view_means_no_votes() -> None:
    leader = Bench(index=1)
    for index in (0, 2, 3):
        leader.receive(index, leader.complaint(index))
    for index in (0, 2):
        leader.receive(index, leader.view_change(index, 1))
    assert leader.replica.statistics().view == 1
    leader.receive(3, leader.new_view(1, [leader.view_change(i, 1) for i in (0, 2, 3)]))
    assert leader.replica.statistics().status is ReplicaStatus.MUTE
    assert leader.evidence == []


def test_own_votes_that_come_back_are_no_alarm() -> None:
    backup = Bench()
    (one,) = backup.chain(1)
    backup.propose(one)
    backup.prepare_all(one)
    for message in [m for _, m in backup.out if isinstance(m, Signed)]:
        backup.receive(2, message)
    assert backup.replica.statistics().status is ReplicaStatus.NORMAL


def test_INV_12_a_tip_whose_certificate_is_bad_halts() -> None:
    backup = Bench()
    (one,) = backup.chain(1)
    backup.run_block(one)
    good = backup.tip
    assert good.certificate is not None
    cut = Certificate(good.certificate.vote, good.certificate.signers, (b"\0" * 64,) * 3)
    from dataclasses import replace

    from tallynet.errors import RemoteProtocolError

    backup.tip = replace(good, certificate=cut)
    with pytest.raises((InvariantViolated, RemoteProtocolError)):
        backup.start()


def test_INV_12_an_unreadable_journal_halts() -> None:
    backup = Bench()
    backup.journal = {b"view": b"\x00"}
    with pytest.raises(InvariantViolated):
        backup.start()


def test_INV_16_keys_are_unique_sorted_and_enough() -> None:
    for keys in ((key_of(1), key_of(0)), tuple(key_of(i) for i in range(3)), (key_of(0),) * 4):
        with pytest.raises(InvariantViolated):
            Bench(index=0, validators=keys)


def test_5_7_a_peer_ahead_is_asked_for_blocks_and_only_certificates_count() -> None:
    backup = Bench()
    one, two = backup.chain(2)
    backup.receive(2, backup.status(2, committed=2))
    backup.tick(600)
    assert backup.take(FetchBlocks) == [(2, FetchBlocks(1))]
    backup.receive(2, Blocks((certified(backup, one), certified(backup, two))))
    assert backup.heights == [1, 2]


def test_B6_a_short_or_foreign_certificate_is_refused() -> None:
    backup = Bench()
    one, two = backup.chain(2)
    good = certified(backup, one)
    for bad in (
        certified(backup, one, (0, 2)),
        CertifiedBlock(two.header_bytes, two.envelopes, good.certificate, ()),
        CertifiedBlock(good.header, transactions(1)[0:0], good.certificate, ()),
        CertifiedBlock(
            good.header,
            good.envelopes,
            Certificate(good.certificate.vote, (0, 2, 2), good.certificate.signatures),
            (),
        ),
    ):
        backup.receive(2, Blocks((bad,)))
    assert backup.heights == []
    assert backup.replica.statistics().refused == 4
    backup.receive(2, Blocks((good,)))
    assert backup.heights == [1]


def test_B7_a_liar_about_heights_only_wastes_its_own_turn() -> None:
    backup = Bench()
    (one,) = backup.chain(1)
    backup.receive(3, backup.status(3, committed=2**62))
    backup.tick(600)
    assert backup.take(FetchBlocks) == [(3, FetchBlocks(1))]
    backup.receive(2, backup.status(2, committed=1))
    backup.tick(1_300)
    asked = [to for to, _ in backup.take(FetchBlocks)]
    assert 2 in asked
    backup.receive(2, Blocks((certified(backup, one),)))
    assert backup.heights == [1]


def test_B7_who_hands_out_blocks_one_by_one_is_not_asked_twice_in_a_row() -> None:
    """Found by the simulator: a faulty peer that answered truly, with one block every 600 ms, was asked
    again each time, and whoever had fallen behind never caught up with a growing chain."""
    backup = Bench()
    one, two = backup.chain(2)
    for peer in (0, 2, 3):
        backup.receive(peer, backup.status(peer, committed=40))
    backup.tick(600)
    ((first, _),) = backup.take(FetchBlocks)
    backup.receive(first, Blocks((certified(backup, one),)))
    ((second, _),) = backup.take(FetchBlocks)
    backup.receive(second, Blocks((certified(backup, two),)))
    ((third, request),) = backup.take(FetchBlocks)
    assert len({first, second, third}) == 3
    assert request == FetchBlocks(3)


def test_blocks_beyond_what_is_next_are_not_kept() -> None:
    backup = Bench()
    _, two = backup.chain(2)
    backup.receive(2, Blocks((certified(backup, two),)))
    assert backup.replica._s.certified == {}
    assert CATCH_UP_BLOCKS_MAX == 64


def test_missing_bodies_of_a_certified_block_are_fetched() -> None:
    backup = Bench()
    ids = transactions(2)
    content = backup.block(1, GENESIS, ids)
    backup.receive(2, Blocks((certified(backup, content),)))
    assert backup.heights == []
    assert backup.replica.statistics().waiting.reason is WaitingReason.BODIES
    backup.hold(ids)
    assert backup.heights == [1]


def test_5_7_a_lost_votes_are_sent_again_to_who_shows_no_progress() -> None:
    backup = Bench()
    (one,) = backup.chain(1)
    backup.propose(one)
    backup.tick(100)
    backup.out.clear()
    backup.receive(3, backup.status(3))
    assert backup.take(SignedKind.PREPARE) == []  # it has just been sent
    backup.tick(200)
    backup.out.clear()
    backup.receive(3, backup.status(3))
    both = [to for to, _ in backup.take(SignedKind.PREPARE)]
    assert both == [3, 3], "the leader's, which makes it a proposal, and ours"
    backup.receive(3, backup.commit(3, one))
    backup.receive(3, backup.status(3))
    assert backup.take(SignedKind.PREPARE) == []  # its Commit shows that it has prepared


def test_5_7_a_a_leader_sends_a_lost_proposal_again() -> None:
    leader = Bench(index=0)
    leader.hold(transactions(1))
    leader.tick(300)
    leader.out.clear()
    leader.receive(3, leader.status(3))
    assert [to for to, _ in leader.take(PrePrepare)] == [3]


def test_E1_who_is_left_out_by_the_leader_gets_the_proposal_from_others() -> None:
    """Otherwise a leader could keep a correct vote away and make everybody wait for its own."""
    left_out, backup = Bench(index=3), Bench(index=2)
    (one,) = backup.chain(1)
    left_out.chain(1)
    backup.propose(one)
    backup.tick(300)
    backup.out.clear()
    backup.receive(3, backup.status(3))
    for to, message in backup.out:
        assert to == 3
        left_out.receive(2, message)
    left_out.tick(200)
    assert left_out.take(FetchProposal) != []
    left_out.receive(2, Proposal(one.header_bytes, one.envelopes))
    assert left_out.prepares() == [1]


def test_E1_who_voted_is_asked_for_a_proposal_that_did_not_come() -> None:
    """A leader that lets its proposals reach one after the other gains nothing: whoever has one passes it on."""
    left_out, backup = Bench(index=3), Bench(index=2)
    (one,) = backup.chain(1)
    left_out.chain(1)
    backup.propose(one)
    left_out.out.clear()
    left_out.receive(2, left_out.prepare(2, one))
    assert left_out.take(FetchVotes) == [], "it may be under way"
    left_out.tick(10)
    ((asked, question),) = left_out.take(FetchVotes)
    assert asked == 2
    backup.out.clear()
    backup.receive(3, question)
    for _, message in backup.out:
        left_out.receive(2, message)
    left_out.tick(10)
    assert [to for to, _ in left_out.take(FetchProposal)] == [2]
    left_out.receive(2, Proposal(one.header_bytes, one.envelopes))
    assert left_out.prepares() == [1]


def test_E1_votes_for_what_nobody_proposed_cost_a_question_now_and_then() -> None:
    left_out = Bench(index=3)
    (one,) = left_out.chain(1)
    left_out.out.clear()
    left_out.receive(2, left_out.prepare(2, one))
    for _ in range(100):
        left_out.tick(10)
    assert [to for to, _ in left_out.take(FetchVotes)] == [2, 0, 1, 2, 0, 1, 2]


def test_fetch_votes_and_fetch_proposal_are_answered() -> None:
    backup = Bench()
    (one,) = backup.chain(1)
    backup.propose(one)
    backup.out.clear()
    backup.receive(2, FetchVotes(0, 0, 0))
    assert [to for to, _ in backup.take(SignedKind.PREPARE)] == [2, 2], "the leader's and ours"
    backup.receive(2, FetchVotes(0, 1, 0))
    assert backup.take(SignedKind.PREPARE) == []
    backup.receive(2, FetchProposal(1, one.block))
    assert backup.take(Proposal) == [(2, Proposal(one.header_bytes, one.envelopes))]


def test_a_status_passed_on_by_another_is_refused() -> None:
    backup = Bench()
    backup.receive(3, backup.status(2, committed=9))
    assert backup.replica.statistics().refused == 1
    backup.tick(600)
    assert backup.take(FetchBlocks) == []


def test_B3_a_restored_copy_follows_without_a_vote() -> None:
    backup = Bench(voting=False)
    (one,) = backup.chain(1)
    backup.propose(one)
    backup.tick(6_000)
    assert backup.prepares() == []
    assert backup.take(SignedKind.COMPLAINT) == []
    backup.commit_all(one)
    assert backup.heights == [1]
    backup.tick(300)
    assert backup.take(SignedKind.STATUS) != []


def test_an_overlay_of_a_block_that_lost_is_discarded() -> None:
    backup = Bench()
    first, second = transactions(2)
    backup.hold((first, second))
    ours, theirs = backup.block(1, GENESIS, [first]), backup.block(1, GENESIS, [second])
    backup.propose(ours)
    backup.receive(2, backup.prepare(2, ours))
    assert backup.commits() == [1]
    backup.receive(3, Blocks((certified(backup, theirs),)))
    assert backup.discarded == [ours.block]
    assert [d.block for d in backup.delivered] == [theirs.block]


def test_different_results_of_one_block_across_a_restart_stop_the_votes() -> None:
    backup = Bench()
    (one,) = backup.chain(1)
    backup.propose(one)
    backup.receive(2, backup.prepare(2, one))
    backup.auto_execute = False
    backup.start()
    backup.auto_execute = False
    backup.tick()
    from consensus.events import Executed

    backup.step(Executed(one.block, b"\1" * 32, b"\2" * 32))
    assert backup.replica.statistics().status is ReplicaStatus.DIVERGED
