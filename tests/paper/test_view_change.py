"""Protocol §5.6: one test per rule of the view change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from consensus.constants import PACE_SLACK_MS
from consensus.slots import Content
from consensus.statistics import ReplicaStatus, WaitingReason
from tallynet.blocks import Certificate
from tallynet.codec import decode, encode
from tallynet.messages import (
    Blocks,
    CertifiedBlock,
    FetchBlocks,
    NewView,
    Proposal,
    Signed,
    SignedKind,
)  # fmt: skip
from tests.sim.bench import Bench, signed, transactions
from tests.sim.validators import GENESIS, GENESIS_TIME_MS


def complaints(bench: Bench) -> list[int]:
    return [body.view for _, body in bench.take(SignedKind.COMPLAINT)]  # type: ignore[attr-defined]


def view_changes(bench: Bench) -> list[int]:
    return [body.to_view for _, body in bench.take(SignedKind.VIEW_CHANGE)]  # type: ignore[attr-defined]


def enter_view(bench: Bench, view: int) -> None:
    changes = [bench.view_change(i, view) for i in range(bench.n) if i != bench.index]
    bench.receive(view % bench.n, bench.new_view(view, changes[: bench.replica._s.q]))
    assert bench.replica.statistics().view == view


def test_a_complaint_comes_from_the_progress_timer() -> None:
    backup = Bench()
    backup.hold(transactions(1))
    backup.tick(950)
    assert complaints(backup) == []
    backup.tick(100)
    assert complaints(backup)[0] == 0


def test_INV_18_without_work_there_is_no_timer() -> None:
    backup = Bench(leader_silent_ms=10**9)
    backup.tick(20_000)
    assert complaints(backup) == []


def test_votes_of_one_peer_do_not_arm_the_timer() -> None:
    backup = Bench(leader_silent_ms=10**9)
    (content,) = backup.chain(1)
    backup.replica._s.pool.remove(content.envelopes, 0)
    backup.receive(3, backup.prepare(3, content))
    backup.tick(5_000)
    assert complaints(backup) == []


def test_a_complaint_comes_from_five_seconds_of_a_silent_leader() -> None:
    backup = Bench()
    backup.tick(4_900)
    assert complaints(backup) == []
    backup.tick(200)
    assert set(complaints(backup)) == {0}


def test_a_complaint_comes_from_a_transaction_passed_over() -> None:
    """§5.9: other organisations' blocks flow, this one's oldest transaction never gets in."""
    backup = Bench(pace_ms=SLOW_IS_FINE)
    backup.hold(transactions(1, organisation=b"v" * 16))
    others_flow(backup, range(1, 14))
    assert backup.heights == list(range(1, 14))
    bodies = [body for _, body in backup.take(SignedKind.COMPLAINT)]
    assert {(b.view, b.reason.name) for b in bodies} == {(0, "TRANSACTION_TIMEOUT")}  # type: ignore[attr-defined]


SLOW_IS_FINE = 10**6
"""Pace of a leader that is judged by other rules here."""


def others_flow(backup: Bench, heights: range, view: int = 0, parent: bytes = GENESIS) -> bytes:
    """Blocks of one transaction each, every 450 ms, whoever else waits; returns the last one."""
    for height in heights:
        ids = transactions(1, tag=f"block {height}")
        backup.hold(ids)
        content = backup.block(height, parent, ids, by=view % backup.n)
        backup.run_block(content, view)
        parent = content.block
        backup.tick(450)
    return parent


def test_the_leader_is_given_what_it_seems_not_to_know_long_before_a_timer_may_accuse_it() -> None:
    """Castro & Liskov 1999, §4.2; decision 0017."""
    backup = Bench()
    held = transactions(3)
    backup.hold(held)
    backup.tick(PACE_SLACK_MS + backup.config.progress_ms // 4)
    assert backup.relayed == [(0, tuple(t.envelope for t in held))]
    assert complaints(backup) == []


def test_it_is_given_a_batch_at_most() -> None:
    backup = Bench(batch_transactions_max=2, batch_bytes_max=500)
    few = transactions(3)
    backup.hold(few)
    backup.tick(300)
    assert backup.relayed == [(0, tuple(t.envelope for t in few[:2]))]
    large = Bench(batch_bytes_max=500)
    large.hold(replace(t, size=300) for t in few)
    large.tick(300)
    assert large.relayed == [(0, (few[0].envelope,))]


def test_everything_is_given_to_each_leader_once() -> None:
    backup = Bench()
    (held,) = transactions(1)
    backup.hold([held])
    backup.tick(900)
    enter_view(backup, 2)
    backup.tick(900)
    assert backup.relayed == [(0, (held.envelope,)), (2, (held.envelope,))]


def test_nobody_is_blamed_for_what_the_law_would_not_admit_any_more() -> None:
    """A key is revoked while an envelope that it signed waits here alone: the leader refuses it."""
    backup = Bench()
    (held,) = transactions(1)
    backup.hold([held])
    backup.tick(300)
    backup.ledger.inadmissible.add(held.envelope)
    backup.tick(2_000)
    assert backup.relayed == [(0, (held.envelope,))]
    assert complaints(backup) == []
    assert backup.replica.statistics().pool == 0


def test_nor_for_what_may_have_expired_by_the_leaders_clock() -> None:
    """It may be two seconds ahead (C9): nobody blames it for what ends within them, and a leader whose own
    clock says so proposes it all the same."""
    ending = [replace(t, valid_until=GENESIS_TIME_MS // 1000 + 2) for t in transactions(1)]
    backup = Bench(leader_silent_ms=10**9)
    backup.hold(ending)
    backup.tick(5_000)
    assert complaints(backup) == []
    leader = Bench(index=0)
    leader.hold(ending)
    leader.tick()
    assert leader.prepares() == [1]


def test_who_leads_gives_nobody_anything() -> None:
    leader = Bench(index=0, window=1)
    leader.hold(transactions(3))
    leader.tick(900)
    assert leader.relayed == []


def test_the_leader_is_given_what_its_blocks_pass_over() -> None:
    backup = Bench(pace_ms=SLOW_IS_FINE)
    (victim,) = transactions(1, organisation=b"v" * 16)
    tip = others_flow(backup, range(1, 3))
    backup.hold([victim])
    content = backup.block(3, tip, ids := transactions(1, tag="block 3"))
    backup.hold(ids)
    backup.propose(content)  # in flight: it is not the leader's turn
    backup.tick(300)
    backup.prepare_all(content)
    backup.commit_all(content)
    later = transactions(1, tag="block 4")
    backup.hold(later)
    backup.propose(backup.block(4, content.block, later))
    backup.tick(50)
    assert backup.relayed == [(0, (victim.envelope,))]


def test_the_transaction_timer_restarts_under_a_new_leader() -> None:
    backup = Bench(pace_ms=SLOW_IS_FINE)
    backup.hold(transactions(1, organisation=b"v" * 16))
    tip = others_flow(backup, range(1, 11))
    base = (backup.delivered[-1], backup.delivered[-1].certificate)
    changes = [backup.view_change(i, 2, committed=base) for i in (0, 2, 3)]  # type: ignore[arg-type]
    backup.receive(2, backup.new_view(2, changes))
    tip = others_flow(backup, range(11, 21), 2, tip)
    assert complaints(backup) == []
    others_flow(backup, range(21, 25), 2, tip)
    assert set(complaints(backup)) == {2}


def test_who_waits_long_in_a_fair_queue_is_not_passed_over() -> None:
    """Decision 0015: full blocks that serve one organisation after the other, too slowly for 5 s."""
    backup = Bench(batch_transactions_max=2, pace_ms=SLOW_IS_FINE)
    queue = [
        t for i in range(20) for t in transactions(1, organisation=bytes([i]) * 16, tag=f"{i}")
    ]
    backup.hold(queue)
    parent = GENESIS
    for height in range(1, 11):
        content = backup.block(height, parent, queue[2 * height - 2 : 2 * height])
        backup.run_block(content)
        parent = content.block
        backup.tick(900)
    assert backup.heights == list(range(1, 11))
    assert complaints(backup) == []


def test_the_complainer_keeps_voting() -> None:
    backup = Bench()
    (content,) = backup.chain(1)
    backup.tick(1_100)
    assert complaints(backup)
    backup.propose(content)
    assert backup.prepares() == [1]


def test_a_complaint_is_taken_back_when_blocks_flow() -> None:
    backup = Bench()
    (content,) = backup.chain(1)
    backup.tick(1_100)
    assert complaints(backup)
    backup.propose(content)
    backup.run_block(content)
    complaints(backup)
    backup.tick(600)
    assert complaints(backup) == []


def test_f_plus_1_complaints_join_and_q_complaints_move() -> None:
    backup = Bench(n=7)
    for index in (2, 3):
        backup.receive(index, backup.complaint(index))
    assert complaints(backup) == []
    backup.receive(4, backup.complaint(4))
    assert complaints(backup) == [0]
    assert view_changes(backup) == []
    backup.receive(5, backup.complaint(5))
    assert view_changes(backup) == [1]
    assert backup.replica.statistics().status is ReplicaStatus.CHANGING


def test_q_complaints_move_no_further_than_the_qth_highest() -> None:
    backup = Bench(n=7)
    for index in (2, 3, 4):
        backup.receive(index, backup.complaint(index, view=9))
    backup.receive(5, backup.complaint(5))
    assert view_changes(backup) == [1]


def test_each_view_changed_to_in_vain_doubles_the_patience() -> None:
    backup = Bench()
    for view in (0, 1, 2):
        for index in (0, 2, 3):
            backup.receive(index, backup.complaint(index, view=view))
    assert view_changes(backup) == [1, 2, 3]
    assert backup.replica._patience_ms() == 8_000


def test_INV_4b_a_certificate_outlives_the_commit_of_another_height() -> None:
    backup = Bench()
    one, two = backup.chain(2)
    for content in (one, two):
        backup.propose(content)
        backup.prepare_all(content)
    backup.commit_all(one)
    for index in (0, 2, 3):
        backup.receive(index, backup.complaint(index))
    (_, change), *_ = backup.take(SignedKind.VIEW_CHANGE)
    assert [e.header for e in change.prepared] == [two.header_bytes]  # type: ignore[attr-defined]
    assert change.committed_header == one.header_bytes  # type: ignore[attr-defined]


def test_old_complaints_do_not_add_up() -> None:
    backup = Bench()
    backup.receive(2, backup.complaint(2))
    backup.tick(3_000)
    backup.receive(3, backup.complaint(3))
    assert complaints(backup) == []


def test_INV_8_no_prepare_or_commit_while_changing() -> None:
    backup = Bench()
    one, two = backup.chain(2)
    backup.propose(one)
    backup.prepares()
    for index in (0, 2, 3):
        backup.receive(index, backup.complaint(index))
    backup.propose(two)
    backup.prepare_all(one)
    assert backup.prepares() == []
    assert backup.commits() == []


def test_5_5_voted_view_is_durable_before_the_view_change_leaves() -> None:
    backup = Bench()
    backup.receive(2, backup.complaint(2))
    effects = backup.receive(3, backup.complaint(3))
    assert [e.key for e in effects.persist] == [b"view"]
    assert len(effects.send_after) == 1


def test_one_claim_moves_nobody() -> None:
    """A13: huge numbers neither move nor allocate."""
    backup = Bench()
    backup.receive(2, backup.complaint(2, view=2**62))
    backup.receive(2, backup.view_change(2, 2**62))
    backup.tick(100)
    assert backup.replica.statistics().voted_view == 0


def test_f_plus_1_view_changes_adopt_the_f_plus_1st_highest() -> None:
    backup = Bench(n=7)
    for index, to_view in ((2, 9), (3, 5)):
        backup.receive(index, backup.view_change(index, to_view))
    assert view_changes(backup) == []
    backup.receive(4, backup.view_change(4, 4))
    assert view_changes(backup) == [4]


def test_A14_f_plus_1_rules_follow_n() -> None:
    for n, f in ((4, 1), (5, 1), (6, 1), (7, 2)):
        backup = Bench(n=n)
        for index in range(2, 2 + f):
            backup.receive(index, backup.complaint(index))
        assert complaints(backup) == [], n
        backup.receive(0, backup.complaint(0))
        assert complaints(backup) == [0], n


def test_the_timer_doubles_per_failed_view_up_to_the_cap_and_resets_at_a_commit() -> None:
    backup = Bench(progress_max_ms=3_000)
    backup.hold(transactions(1))
    patience = []
    for view in (2, 3, 4):
        enter_view(backup, view)
        patience.append(backup.replica._patience_ms())
    assert patience == [2_000, 3_000, 3_000]
    ids = transactions(1)
    content = backup.block(1, GENESIS, ids, by=0)
    backup.run_block(content, view=4)
    assert backup.heights == [1]
    assert backup.replica._patience_ms() == 1_000


def test_sticky_certificates_survive_another_proposal_and_are_all_reported() -> None:
    """INV-4b: prepared in view 0, another block accepted in view 2: still reported."""
    backup = Bench()
    (one,) = backup.chain(1)
    backup.propose(one)
    backup.prepare_all(one)
    changes = [backup.view_change(i, 2) for i in (0, 2, 3)]
    backup.receive(2, backup.new_view(2, changes))
    ids = transactions(1, tag="other")
    backup.hold(ids)
    backup.prepares()
    backup.propose(backup.block(1, GENESIS, ids, by=2), view=2)
    assert backup.prepares() == [1]
    for index in (0, 2, 3):
        backup.receive(index, backup.complaint(index, view=2))
    (_, change), *_ = backup.take(SignedKind.VIEW_CHANGE)
    assert [entry.header for entry in change.prepared] == [one.header_bytes]  # type: ignore[attr-defined]


def ready_to_lead(n: int = 4, **options: object) -> tuple[Bench, list[Signed]]:
    leader = Bench(index=1, n=n, **options)
    return leader, [leader.view_change(i, 1) for i in range(n) if i != 1]


def move(leader: Bench) -> None:
    for index in range(leader.n):
        if index != leader.index:
            leader.receive(index, leader.complaint(index))


def test_the_new_leader_needs_q_view_changes_for_its_view() -> None:
    leader, changes = ready_to_lead()
    move(leader)
    leader.receive(2, leader.view_change(2, 5))
    assert leader.take(SignedKind.NEW_VIEW) == []
    assert leader.replica.statistics().waiting.reason is WaitingReason.VIEW_CHANGES
    leader.receive(0, changes[0])
    leader.receive(3, changes[2])
    ((_, new_view),) = leader.take(SignedKind.NEW_VIEW)
    assert isinstance(new_view, NewView)
    assert len(new_view.view_changes) == 3
    assert leader.replica.statistics().status is ReplicaStatus.NORMAL


def test_the_new_leader_proposes_again_what_was_prepared_and_then_goes_on() -> None:
    leader, _ = ready_to_lead(batch_transactions_max=1)
    (one,) = leader.chain(1)
    certificate = leader.prepared_certificate(one, 0, (0, 2, 3))
    move(leader)
    leader.receive(0, leader.view_change(0, 1, [(one, certificate)]))
    leader.tick()
    assert leader.take(SignedKind.NEW_VIEW) == []  # it lacks the content
    from tallynet.messages import FetchProposal, Proposal

    assert leader.take(FetchProposal)[0][1] == FetchProposal(1, one.block)
    leader.receive(0, Proposal(one.header_bytes, one.envelopes))
    leader.receive(2, leader.view_change(2, 1))
    ((_, new_view),) = leader.take(SignedKind.NEW_VIEW)
    assert new_view.proposals == (one.header_bytes,)  # type: ignore[attr-defined]
    leader.hold(transactions(1, tag="next"))
    leader.tick(20)
    assert leader.prepares() == [2]


def test_a_withheld_block_does_not_keep_the_view_from_opening() -> None:
    """One ViewChange names a certificate whose block nobody serves; q others do not."""
    leader, changes = ready_to_lead(n=5)
    (one,) = leader.chain(1)
    certificate = leader.prepared_certificate(one, 0, (0, 2, 3, 4))
    move(leader)
    leader.receive(0, leader.view_change(0, 1, [(one, certificate)]))
    for change in changes[1:]:
        leader.receive(change.signer, change)
    ((_, new_view),) = leader.take(SignedKind.NEW_VIEW)
    assert new_view.proposals == ()  # type: ignore[attr-defined]


def test_a_backup_prepares_the_blocks_of_a_valid_new_view_again() -> None:
    backup = Bench(index=3)
    one, two = backup.chain(2)
    backup.propose(one)
    backup.propose(two)
    backup.prepares()
    signers = (0, 1, 2)
    change = backup.view_change(
        0,
        1,
        [(c, backup.prepared_certificate(c, 0, signers)) for c in (one, two)],
    )
    changes = [change, backup.view_change(1, 1), backup.view_change(2, 1)]
    effects = backup.receive(1, backup.new_view(1, changes, [one, two]))
    assert backup.prepares() == [1, 2]
    assert effects.persist[-1].key[:4] == b"slot"
    assert b"view" in [e.key for e in effects.persist]


def test_reproposals_skip_the_clock_window() -> None:
    backup = Bench(index=3)
    (one,) = backup.chain(1)
    backup.propose(one)
    backup.tick(10_000)
    backup.prepares()
    change = backup.view_change(0, 1, [(one, backup.prepared_certificate(one, 0, (0, 1, 2)))])
    changes = [change, backup.view_change(1, 1), backup.view_change(2, 1)]
    backup.receive(1, backup.new_view(1, changes, [one]))
    assert backup.prepares() == [1]


def mutated(backup: Bench, what: str) -> tuple[list[Signed], Sequence[object]]:
    one, two = backup.chain(2)
    certificate = backup.prepared_certificate(one, 0, (0, 1, 2))
    honest = [
        backup.view_change(0, 1, [(one, certificate)]),
        backup.view_change(1, 1),
        backup.view_change(2, 1),
    ]
    short = backup.prepared_certificate(one, 0, (0, 2))
    doubled = Certificate(
        certificate.vote, (0, 0, 2), (certificate.signatures[0],) * 2 + certificate.signatures[2:]
    )
    cases: dict[str, tuple[list[Signed], list[object]]] = {
        "dropped": (honest, []),
        "replaced": (honest, [two]),
        "added": (honest, [one, two]),
        "too few": (honest[:2], [one]),
        "repeated": ([honest[0], honest[0], honest[1]], [one]),
        "unordered": (honest[::-1], [one]),
        "other view": ([honest[0], honest[1], backup.view_change(2, 2)], [one]),
        "other epoch": ([honest[0], honest[1], backup.view_change(2, 1, epoch=1)], [one]),
        "short certificate": ([backup.view_change(0, 1, [(one, short)]), *honest[1:]], [one]),
        "double signer": ([backup.view_change(0, 1, [(one, doubled)]), *honest[1:]], [one]),
        "other header": ([backup.view_change(0, 1, [(two, certificate)]), *honest[1:]], [two]),
        "future certificate": (
            [
                backup.view_change(0, 1, [(one, backup.prepared_certificate(one, 1, (0, 1, 2)))]),
                *honest[1:],
            ],
            [one],
        ),
        "forged change": (
            [Signed(honest[0].kind, honest[0].body, 0, b"\0" * 64), *honest[1:]],
            [one],
        ),
        "given but not claimed": (
            [with_certificate_without_header(backup, one), *honest[1:]],
            [],
        ),
        "claimed but absent": (
            [signed_without_certificate(backup, one.header_bytes), *honest[1:]],
            [],
        ),
    }
    return cases[what]


def with_certificate_without_header(backup: Bench, content: Content) -> Signed:
    from tallynet.messages import ViewChange

    certificate = backup.commit_certificate(content, 0, (0, 1, 2))
    return signed(0, SignedKind.VIEW_CHANGE, ViewChange(0, 1, b"", certificate, ()))


def signed_without_certificate(backup: Bench, header: bytes) -> Signed:
    from tallynet.messages import ViewChange

    return signed(0, SignedKind.VIEW_CHANGE, ViewChange(0, 1, header, None, ()))


@pytest.mark.parametrize(
    "what",
    [
        "dropped", "replaced", "added", "too few", "repeated", "unordered", "other view",
        "other epoch", "short certificate", "double signer", "other header",
        "future certificate", "forged change", "claimed but absent", "given but not claimed",
    ],
)  # fmt: skip
def test_INV_13_a_new_view_that_is_not_the_recomputation_is_refused(what: str) -> None:
    backup = Bench(index=3)
    changes, again = mutated(backup, what)
    backup.receive(1, backup.new_view(1, changes, again))  # type: ignore[arg-type]
    assert backup.replica.statistics().view == 0
    assert backup.replica.statistics().refused == 1


def test_A1_a_list_that_differs_is_refused_even_with_fitting_prepares() -> None:
    """The new leader swaps the prepared block for one of its own at the same height."""
    backup = Bench(index=3)
    (one,) = backup.chain(1)
    ids = transactions(1, tag="swapped")
    backup.hold(ids)
    swapped = backup.block(1, GENESIS, ids, by=1)
    change = backup.view_change(0, 1, [(one, backup.prepared_certificate(one, 0, (0, 1, 2)))])
    changes = [change, backup.view_change(1, 1), backup.view_change(2, 1)]
    honest = decode(NewView, backup.new_view(1, changes, [one]).body)
    for again, prepared in ((swapped, one), (one, swapped), (swapped, swapped)):
        forged = NewView(
            0,
            1,
            honest.view_changes,
            (again.header_bytes,),
            (encode(backup.prepare(1, prepared, view=1)),),
        )
        backup.receive(1, signed(1, SignedKind.NEW_VIEW, forged))
        assert backup.replica.statistics().view == 0
    backup.receive(1, signed(1, SignedKind.NEW_VIEW, honest))
    assert backup.replica.statistics().view == 1


def test_A3_everybody_selects_the_certificate_of_the_highest_view() -> None:
    backup = Bench(index=3)
    ids = transactions(2)
    backup.hold(ids)
    old, new = backup.block(1, GENESIS, ids[:1]), backup.block(1, GENESIS, ids[1:], by=1)
    changes = [
        backup.view_change(0, 2, [(old, backup.prepared_certificate(old, 0, (0, 1, 2)))]),
        backup.view_change(1, 2, [(new, backup.prepared_certificate(new, 1, (0, 1, 2)))]),
        backup.view_change(2, 2),
    ]
    backup.receive(2, backup.new_view(2, changes, [old]))
    assert backup.replica.statistics().view == 0
    backup.receive(2, backup.new_view(2, changes, [new]))
    assert backup.replica.statistics().view == 2
    backup.receive(1, Proposal(new.header_bytes, new.envelopes))
    assert backup.prepares() == [1]


def test_a_new_view_by_another_than_its_leader_is_refused() -> None:
    backup = Bench(index=3)
    changes = [backup.view_change(i, 1) for i in (0, 1, 2)]
    honest = backup.new_view(1, changes)
    forged = signed(
        2, SignedKind.NEW_VIEW, NewView(0, 1, tuple(encode(c) for c in changes), (), ())
    )
    backup.receive(2, forged)
    assert backup.replica.statistics().view == 0
    backup.receive(0, honest)  # anybody may pass it on
    assert backup.replica.statistics().view == 1


def test_a_new_view_below_the_voted_view_is_not_entered() -> None:
    """INV-3: after ViewChange(2) nothing of view 1 may be signed."""
    backup = Bench(index=3)
    for index in (0, 1):
        backup.receive(index, backup.view_change(index, 2))
    assert view_changes(backup) == [2]
    backup.receive(1, backup.new_view(1, [backup.view_change(i, 1) for i in (0, 1, 2)]))
    assert backup.replica.statistics().view == 0


def test_while_changing_the_timer_complains_about_the_view_changed_to() -> None:
    backup = Bench()
    for index in (0, 2, 3):
        backup.receive(index, backup.complaint(index))
    complaints(backup)
    backup.tick(2_100)
    assert 1 in complaints(backup)
    assert view_changes(backup) == [1]  # but moves only with q complaints


def test_laggards_are_handed_the_new_view() -> None:
    backup = Bench()
    enter_view(backup, 2)
    backup.take(SignedKind.NEW_VIEW)
    backup.receive(3, backup.status(3, view=0))
    assert [to for to, _ in backup.take(SignedKind.NEW_VIEW)] == [3]
    backup.tick(backup.config.status_ms)
    backup.receive(3, backup.status(3, view=2, changing=True))
    assert [to for to, _ in backup.take(SignedKind.NEW_VIEW)] == [3]
    backup.receive(3, backup.status(3, view=2))
    assert backup.take(SignedKind.NEW_VIEW) == []


def test_whoever_sends_status_after_status_is_handed_it_at_half_the_period() -> None:
    backup = Bench()
    enter_view(backup, 2)
    for _ in range(100):
        backup.receive(3, backup.status(3, view=0))
        backup.receive(0, backup.status(0, view=0))
        backup.tick(10)
    handed = [to for to, _ in backup.take(SignedKind.NEW_VIEW)]
    assert handed.count(3) == handed.count(0) == 1 + 1_000 // (backup.config.status_ms // 2 + 5)


def test_laggards_are_handed_the_complaints_that_moved_us() -> None:
    backup = Bench()
    for index in (0, 2):
        backup.receive(index, backup.complaint(index))
    backup.out.clear()
    backup.receive(3, backup.status(3, view=0))
    assert sorted(complaints(backup)) == [0, 0, 0]
    assert view_changes(backup) == [1]


def test_stashed_messages_count_once_their_view_is_entered() -> None:
    backup = Bench(index=3)
    (one,) = backup.chain(1, by=1)
    backup.propose(one, view=1)
    backup.receive(0, backup.prepare(0, one, view=1))
    assert backup.prepares() == []
    backup.receive(1, backup.new_view(1, [backup.view_change(i, 1) for i in (0, 1, 2)]))
    assert backup.prepares() == [1]
    assert backup.commits() == [1]


def test_a_replica_behind_the_base_fetches_and_delays_nobody() -> None:
    backup = Bench(index=3)
    (one,) = backup.chain(1)
    certificate = backup.commit_certificate(one, 0, (0, 1, 2))
    changes = [
        backup.view_change(0, 1, committed=(one, certificate)),
        backup.view_change(1, 1),
        backup.view_change(2, 1),
    ]
    backup.receive(1, backup.new_view(1, changes))
    assert backup.replica.statistics().view == 1
    assert backup.take(FetchBlocks) == [(0, FetchBlocks(1))]


def test_INV_13_below_the_base_of_its_new_view_a_replica_does_not_vote() -> None:
    """One liar led view 1, alone had the certificate of the block committed at height 1, and now
    proposes another one there to those who have not got it: two blocks would be final."""
    backup = Bench(index=2)
    (final,) = backup.chain(1)
    ids = transactions(2, tag="other")
    backup.hold(ids)
    other = backup.block(1, GENESIS, ids[:1], by=1)
    certificate = backup.commit_certificate(final, 0, (0, 1, 3))
    prepared = [(final, backup.prepared_certificate(final, 0, (0, 1, 3)))]
    changes = [
        backup.view_change(0, 1, prepared),
        backup.view_change(1, 1, committed=(final, certificate)),
        backup.view_change(3, 1, prepared),
    ]
    backup.receive(1, backup.new_view(1, changes))
    backup.propose(other, view=1)
    backup.restart()
    backup.propose(other, view=1)
    backup.prepare_all(other, view=1)
    assert backup.prepares() == []
    assert backup.commits() == []
    block = CertifiedBlock(final.header_bytes, final.envelopes, certificate, ())
    backup.receive(0, Blocks((block,)))
    assert backup.heights == [1]
    backup.propose(backup.block(2, final.block, ids[1:], by=1), view=1)
    assert backup.prepares() == [2]


def test_A7_an_expired_timer_of_a_committed_height_does_nothing() -> None:
    backup = Bench()
    one, _ = backup.chain(2)
    backup.tick(900)
    backup.propose(one)
    backup.run_block(one)
    backup.tick(200)
    assert complaints(backup) == []


def test_a_spoiled_view_gets_no_more_votes() -> None:
    """We accepted block A, the others certified B at the same height: the leader equivocated."""
    backup = Bench()
    first, second, third = transactions(3)
    backup.hold((first, second, third))
    ours, theirs = backup.block(1, GENESIS, [first]), backup.block(1, GENESIS, [second])
    backup.propose(ours)
    backup.commit_all(theirs)
    backup.tick()
    from tallynet.messages import Proposal

    backup.receive(2, Proposal(theirs.header_bytes, theirs.envelopes))
    assert [d.block for d in backup.delivered] == [theirs.block]
    backup.prepares()
    backup.propose(backup.block(2, theirs.block, [third]))
    assert backup.prepares() == []
