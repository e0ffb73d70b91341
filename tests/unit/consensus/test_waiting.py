"""Why there is no block: for every answer one scenario that gives exactly it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consensus.events import Persisted
from consensus.statistics import ReplicaStatus, Waiting, WaitingReason
from tallynet.messages import Blocks, CertifiedBlock, SignedKind
from tests.paper.test_divergence import by_chain_off_ours, by_votes
from tests.sim.bench import Bench, transactions
from tests.sim.validators import GENESIS

Scenario = Callable[[], tuple[Bench, tuple[int, ...], int]]
"""A bench in that state, the validators that are named, the height."""
SCENARIOS: dict[WaitingReason, list[Scenario]] = {}


def shows(reason: WaitingReason) -> Callable[[Scenario], Scenario]:
    def note(scenario: Scenario) -> Scenario:
        SCENARIOS.setdefault(reason, []).append(scenario)
        return scenario

    return note


@shows(WaitingReason.NOTHING_TO_DO)
def idle() -> tuple[Bench, tuple[int, ...], int]:
    return Bench(), (), 0


@shows(WaitingReason.NOTHING_TO_DO)
def votes_alone_are_no_work() -> tuple[Bench, tuple[int, ...], int]:
    backup, elsewhere = Bench(), Bench()
    (one,) = elsewhere.chain(1)
    backup.receive(3, backup.prepare(3, one))
    return backup, (), 0


@shows(WaitingReason.NOTHING_TO_DO)
def mute_and_idle() -> tuple[Bench, tuple[int, ...], int]:
    return Bench(voting=False), (), 0


@shows(WaitingReason.PROPOSAL)
def the_leader_is_silent() -> tuple[Bench, tuple[int, ...], int]:
    backup = Bench()
    backup.hold(transactions(1))
    return backup, (0,), 1


@shows(WaitingReason.CONTENT)
def only_the_leaders_prepare_came() -> tuple[Bench, tuple[int, ...], int]:
    backup, elsewhere = Bench(), Bench()
    (one,) = elsewhere.chain(1)
    backup.receive(0, backup.prepare(0, one))
    return backup, (), 1


@shows(WaitingReason.CONTENT)
def certified_but_the_block_is_not_here() -> tuple[Bench, tuple[int, ...], int]:
    backup, elsewhere = Bench(), Bench()
    (one,) = elsewhere.chain(1)
    backup.commit_all(one)
    return backup, (), 1


@shows(WaitingReason.CONTENT)
def a_new_leader_lacks_what_it_has_to_propose_again() -> tuple[Bench, tuple[int, ...], int]:
    leader, elsewhere = Bench(index=1), Bench()
    (one,) = elsewhere.chain(1)
    certificate = leader.prepared_certificate(one, 0, (0, 2, 3))
    leave(leader, (0, 2, 3))
    for index in (0, 2):
        leader.receive(index, leader.view_change(index, 1, [(one, certificate)]))
    return leader, (), 1


@shows(WaitingReason.BODIES)
def a_transaction_is_missing() -> tuple[Bench, tuple[int, ...], int]:
    backup = Bench()
    ids = transactions(2)
    backup.hold(ids[:1])
    backup.propose(backup.block(1, GENESIS, ids))
    return backup, (), 1


@shows(WaitingReason.BODIES)
def a_certified_block_lacks_a_transaction() -> tuple[Bench, tuple[int, ...], int]:
    backup = Bench()
    one = backup.block(1, GENESIS, transactions(1))
    certificate = backup.commit_certificate(one, 0, (0, 2, 3))
    backup.receive(2, Blocks((CertifiedBlock(one.header_bytes, one.envelopes, certificate, ()),)))
    return backup, (), 1


@shows(WaitingReason.BODIES)
def a_new_leader_lacks_a_transaction() -> tuple[Bench, tuple[int, ...], int]:
    leader = Bench(index=1)
    one = leader.block(1, GENESIS, transactions(1))
    leader.propose(one)
    certificate = leader.prepared_certificate(one, 0, (0, 2, 3))
    leave(leader, (0, 2, 3))
    for index in (0, 2):
        leader.receive(index, leader.view_change(index, 1, [(one, certificate)]))
    return leader, (), 1


@shows(WaitingReason.REJECTED)
def the_proposal_broke_a_rule() -> tuple[Bench, tuple[int, ...], int]:
    backup = Bench()
    ids = transactions(1)
    backup.hold(ids)
    backup.propose(backup.block(1, b"\7" * 32, ids))
    return backup, (0,), 1


@shows(WaitingReason.SPOILED)
def the_leader_proposed_two_blocks_and_ours_lost() -> tuple[Bench, tuple[int, ...], int]:
    backup = Bench()
    first, second, third = transactions(3)
    backup.hold((first, second, third))
    ours, theirs = backup.block(1, GENESIS, [first]), backup.block(1, GENESIS, [second])
    backup.propose(ours)
    certificate = backup.commit_certificate(theirs, 0, (0, 2, 3))
    backup.receive(
        2, Blocks((CertifiedBlock(theirs.header_bytes, theirs.envelopes, certificate, ()),))
    )
    assert backup.heights == [1]
    return backup, (0,), 2


@shows(WaitingReason.CLOCK)
def the_leaders_clock_is_off() -> tuple[Bench, tuple[int, ...], int]:
    backup = Bench()
    ids = transactions(1)
    backup.hold(ids)
    backup.propose(backup.block(1, GENESIS, ids, time_ms=backup.wall_ms + 60_000))
    return backup, (0,), 1


@shows(WaitingReason.EMPTY_BLOCK)
def an_empty_block_is_not_due_here() -> tuple[Bench, tuple[int, ...], int]:
    backup = Bench()
    backup.propose(backup.block(1, GENESIS, []))
    return backup, (0,), 1


@shows(WaitingReason.PREPARES)
def some_have_not_prepared() -> tuple[Bench, tuple[int, ...], int]:
    backup = Bench(n=7)
    (one,) = backup.chain(1)
    backup.propose(one)
    backup.receive(3, backup.prepare(3, one))
    return backup, (2, 4, 5, 6), 1


@shows(WaitingReason.PREPARES)
def who_prepared_something_else_is_still_waited_for() -> tuple[Bench, tuple[int, ...], int]:
    backup = Bench()
    first, second = transactions(2)
    backup.hold((first, second))
    backup.propose(backup.block(1, GENESIS, [first]))
    backup.receive(3, backup.prepare(3, backup.block(1, GENESIS, [second])))
    return backup, (2, 3), 1


@shows(WaitingReason.PREPARES)
def a_full_window_waits_for_its_first_block() -> tuple[Bench, tuple[int, ...], int]:
    leader = Bench(index=0, window=2)
    leader.hold(transactions(1_600))
    return leader, (1, 2, 3), 1


@shows(WaitingReason.EXECUTION)
def prepared_and_executing() -> tuple[Bench, tuple[int, ...], int]:
    backup = Bench()
    backup.auto_execute = False
    (one,) = backup.chain(1)
    backup.propose(one)
    backup.prepare_all(one)
    return backup, (), 1


@shows(WaitingReason.EXECUTION)
def fetched_and_executing() -> tuple[Bench, tuple[int, ...], int]:
    backup = Bench()
    backup.auto_execute = False
    (one,) = backup.chain(1)
    certificate = backup.commit_certificate(one, 0, (0, 2, 3))
    backup.receive(2, Blocks((CertifiedBlock(one.header_bytes, one.envelopes, certificate, ()),)))
    return backup, (), 1


@shows(WaitingReason.COMMITS)
def some_have_not_committed() -> tuple[Bench, tuple[int, ...], int]:
    backup = Bench()
    (one,) = backup.chain(1)
    backup.propose(one)
    backup.prepare_all(one)
    backup.receive(3, backup.commit(3, one))
    return backup, (0, 2), 1


@shows(WaitingReason.COMMITS)
def who_committed_to_other_roots_is_still_waited_for() -> tuple[Bench, tuple[int, ...], int]:
    backup = Bench()
    (one,) = backup.chain(1)
    backup.propose(one)
    backup.prepare_all(one)
    backup.receive(3, backup.commit(3, one, roots=(b"\1" * 32, b"\2" * 32)))
    return backup, (0, 2, 3), 1


@shows(WaitingReason.DISK)
def the_disk_does_not_answer() -> tuple[Bench, tuple[int, ...], int]:
    backup = Bench()
    backup.auto_persist = False
    (one,) = backup.chain(1)
    backup.propose(one)
    backup.tick(1_000)
    return backup, (), 1


@shows(WaitingReason.DISK)
def a_leader_waits_for_its_own_disk_before_an_empty_block() -> tuple[Bench, tuple[int, ...], int]:
    leader = Bench(index=0)
    leader.ledger.wanted = True
    leader.tick()
    leader.auto_persist = False
    (one,) = [slot.accepted for slot in leader.replica._s.slots.values()]
    assert one is not None
    leader.prepare_all(one)
    leader.commit_all(one)
    leader.replica._proposer.wanted = True
    assert leader.heights == [1]
    return leader, (), 2


def leave(bench: Bench, who: tuple[int, ...], view: int = 0) -> None:
    for index in who:
        bench.receive(index, bench.complaint(index, view=view))


@shows(WaitingReason.VIEW_CHANGES)
def some_have_not_left_the_view() -> tuple[Bench, tuple[int, ...], int]:
    backup = Bench()
    leave(backup, (0, 2))
    backup.receive(3, backup.view_change(3, 1))
    backup.receive(2, backup.view_change(2, 7))
    return backup, (0, 2), 1


@shows(WaitingReason.NEW_VIEW)
def the_next_leader_does_not_open_its_view() -> tuple[Bench, tuple[int, ...], int]:
    backup = Bench(index=3)
    leave(backup, (0, 2))
    for index in (0, 2):
        backup.receive(index, backup.view_change(index, 1))
    return backup, (1,), 1


@shows(WaitingReason.BLOCKS)
def others_have_committed_more() -> tuple[Bench, tuple[int, ...], int]:
    backup = Bench()
    backup.hold(transactions(1))
    for index, committed in ((0, 5), (2, 3), (3, 0)):
        backup.receive(index, backup.status(index, committed=committed))
    return backup, (0, 2), 1


@shows(WaitingReason.BLOCKS)
def a_certificate_above_a_gap() -> tuple[Bench, tuple[int, ...], int]:
    backup, elsewhere = Bench(), Bench()
    _, two = elsewhere.chain(2)
    backup.commit_all(two)
    return backup, (), 1


@shows(WaitingReason.BLOCKS)
def a_new_leader_lacks_the_committed_block_its_view_starts_from() -> tuple[
    Bench, tuple[int, ...], int
]:
    leader, elsewhere = Bench(index=1), Bench()
    (one,) = elsewhere.chain(1)
    base = (one, leader.commit_certificate(one, 0, (0, 2, 3)))
    leave(leader, (0, 2, 3))
    leader.receive(0, leader.view_change(0, 1, committed=base))
    leader.receive(2, leader.view_change(2, 1))
    return leader, (0,), 1


@shows(WaitingReason.MUTE)
def it_has_no_vote_and_the_voters_do_nothing() -> tuple[Bench, tuple[int, ...], int]:
    backup = Bench(voting=False)
    (one,) = backup.chain(1)
    backup.propose(one)
    backup.receive(2, backup.commit(2, one))
    return backup, (0, 1, 3), 1


@shows(WaitingReason.DIVERGED)
def its_results_are_others() -> tuple[Bench, tuple[int, ...], int]:
    return by_votes(), (), 1


@shows(WaitingReason.FORKED)
def a_quorum_is_on_another_chain() -> tuple[Bench, tuple[int, ...], int]:
    return by_chain_off_ours(), (), 2


@shows(WaitingReason.RETIRED)
def another_set_has_taken_over() -> tuple[Bench, tuple[int, ...], int]:
    backup = Bench(epoch_length=1)
    backup.ledger.following = bytes(32)
    ids = transactions(1)
    backup.hold(ids)
    backup.run_block(backup.block(1, GENESIS, ids, following=bytes(32)))
    return backup, (), 0


def test_every_reason_has_a_scenario() -> None:
    assert set(SCENARIOS) == set(WaitingReason)


@pytest.mark.parametrize(
    ("reason", "scenario"),
    [(reason, scenario) for reason in WaitingReason for scenario in SCENARIOS[reason]],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_exactly_this_is_said(reason: WaitingReason, scenario: Scenario) -> None:
    bench, validators, height = scenario()
    assert bench.replica.statistics().waiting == Waiting(reason, validators, height)


# --- the log --------------------------------------------------------------------------------------


def said(bench: Bench) -> list[dict[str, object]]:
    return [fields for name, fields in bench.log if name == "no_block"]


def test_a_reason_is_logged_when_it_has_stood_for_a_second_with_work() -> None:
    backup = Bench(progress_ms=32_000)
    backup.hold(transactions(1))
    backup.tick(900)
    assert said(backup) == []
    backup.tick(400)
    (line,) = said(backup)
    assert (line["code"], line["validators"], line["height"]) == ("PROPOSAL", (0,), 1)


def test_it_is_logged_again_when_it_changes_and_once_a_minute() -> None:
    backup = Bench(progress_ms=32_000, leader_silent_ms=10**6)
    ids = transactions(1)
    backup.hold(ids)
    backup.tick(5_000)
    backup.propose(backup.block(1, GENESIS, ids))
    backup.tick(5_000)
    assert [line["code"] for line in said(backup)] == ["PROPOSAL", "PREPARES"]
    assert said(backup)[1]["validators"] == (2, 3)
    backup.tick(58_000)
    assert len(said(backup)) == 3, "the same again after a minute"


def test_without_work_nothing_is_said() -> None:
    backup = Bench(leader_silent_ms=10**6)
    backup.tick(20_000)
    assert said(backup) == []


def test_while_blocks_flow_nothing_is_said() -> None:
    backup = Bench(leader_silent_ms=10**6)
    backup.hold(transactions(3, tag="waiting"))
    parent = GENESIS
    for height in range(1, 9):
        ids = transactions(1, tag=f"block {height}")
        backup.hold(ids)
        content = backup.block(height, parent, ids)
        backup.run_block(content)
        parent = content.block
        backup.tick(800)
    assert said(backup) == []


def test_flapping_is_not_logged() -> None:
    """A reason that changes back and forth faster than it is worth telling fills no log."""
    backup = Bench(n=7, leader_silent_ms=10**6, progress_ms=32_000)
    backup.hold(transactions(1))
    for round_ in range(40):
        for index in (2, 3, 4):
            backup.receive(index, backup.status(index, committed=round_ % 2))
        backup.tick(250)
    assert said(backup) == []


def test_a_changing_replica_says_whom_it_misses_although_it_has_no_work() -> None:
    backup = Bench(progress_ms=32_000)
    leave(backup, (0, 2))
    backup.receive(3, backup.view_change(3, 1))
    backup.tick(1_500)
    (line,) = said(backup)
    assert (line["code"], line["validators"]) == ("VIEW_CHANGES", (0, 2))
    assert backup.replica.statistics().status is ReplicaStatus.CHANGING
    assert backup.take(SignedKind.VIEW_CHANGE)


def test_a_disk_that_answers_again_is_no_reason_any_more() -> None:
    backup, _, _ = the_disk_does_not_answer()
    backup.step(Persisted(backup.replica.turn))
    assert backup.replica.statistics().waiting.reason is WaitingReason.PREPARES
