"""Reliability §4 A: what a faulty peer can say that is almost right, and what a rolled-back one repeats.

Rows with tests elsewhere: A1, A3, A4, A11, A13, A14 in `test_view_change`; A5, A6, A15-A19 in
`test_normal_case`; A7, A11 in `tests/sim`; A9 is a matter of structure (the core does no I/O).
"""

from __future__ import annotations

import pytest

from consensus.events import Executed
from consensus.statistics import ReplicaStatistics, ReplicaStatus, WaitingReason
from tallynet.blocks import Prepare
from tallynet.codec import encode
from tallynet.messages import (
    Blocks,
    CertifiedBlock,
    Complaint,
    ComplaintReason,
    FetchVotes,
    NewView,
    PeerMessage,
    PrePrepare,
    Proposal,
    Signed,
    SignedKind,
    Status,
    ViewChange,
)
from tests.sim.bench import Bench, signed, transactions
from tests.sim.validators import GENESIS

HUGE = 2**62


def picture(bench: Bench) -> ReplicaStatistics:
    """Everything that a replica shows, but how many messages it refused."""
    from dataclasses import replace

    return replace(bench.replica.statistics(), refused=0, refused_by_code=())


def said(bench: Bench) -> list[PeerMessage]:
    """What was sent since the last call, but Status and requests for content."""
    found = [m for _, m in bench.out if isinstance(m, Signed) and m.kind != SignedKind.STATUS]
    bench.out.clear()
    return list(found)


def one_of_each(bench: Bench) -> dict[SignedKind, Signed]:
    """A message of every kind that validator 2 may send now, and that would have an effect."""
    (one,) = bench.chain(1)
    bench.propose(one)
    said(bench)
    changes = [bench.view_change(i, 2) for i in (0, 2, 3)]
    return {
        SignedKind.PREPARE: bench.prepare(2, one),
        SignedKind.COMMIT: bench.commit(2, one),
        SignedKind.COMPLAINT: bench.complaint(2),
        SignedKind.VIEW_CHANGE: bench.view_change(2, 1),
        SignedKind.NEW_VIEW: bench.new_view(2, changes),
        SignedKind.STATUS: bench.status(2, committed=5),
    }


@pytest.mark.parametrize("kind", SignedKind)
@pytest.mark.parametrize("other", SignedKind)
def test_A2_C3_a_body_sent_as_another_kind_has_no_effect(
    kind: SignedKind, other: SignedKind
) -> None:
    """The outer kind is no part of the body: it is part of what is signed."""
    if kind == other:
        return
    backup = Bench()
    message = one_of_each(backup)[kind]
    before = picture(backup)
    backup.receive(2, Signed(other, message.body, 2, message.signature))
    assert picture(backup) == before
    assert said(backup) == []


@pytest.mark.parametrize("kind", SignedKind)
@pytest.mark.parametrize("signer", [0, 1, 3, 4, 65_535])
def test_A2_a_message_under_another_signer_has_no_effect(kind: SignedKind, signer: int) -> None:
    backup = Bench()
    message = one_of_each(backup)[kind]
    before = picture(backup)
    backup.receive(2, Signed(kind, message.body, signer, message.signature))
    assert picture(backup) == before
    assert said(backup) == []


@pytest.mark.parametrize("kind", SignedKind)
def test_the_same_message_unspoiled_is_accepted(kind: SignedKind) -> None:
    """Otherwise the two tests above would show nothing."""
    backup = Bench()
    message = one_of_each(backup)[kind]
    backup.receive(2, message)
    assert backup.replica.statistics().refused == 0
    s = backup.replica._s
    effect = {
        SignedKind.PREPARE: lambda: s.slots[1].certificate is not None,
        SignedKind.COMMIT: lambda: s.slots[1].commits.signers() == [2],
        SignedKind.COMPLAINT: lambda: backup.replica._views.complaints == 1,
        SignedKind.VIEW_CHANGE: lambda: 2 in s.changes,
        SignedKind.NEW_VIEW: lambda: s.view == 2,
        SignedKind.STATUS: lambda: backup.replica._catch_up.ahead() == (2,),
    }
    assert effect[kind]()


def test_A8_votes_and_catch_up_bring_the_same_block_it_is_delivered_once() -> None:
    backup = Bench()
    one, two = backup.chain(2)
    certificate = backup.commit_certificate(one, 0, (0, 2, 3))
    block = CertifiedBlock(one.header_bytes, one.envelopes, certificate, ())
    backup.propose(one)
    backup.prepare_all(one)
    backup.receive(3, Blocks((block, block)))
    backup.commit_all(one)
    backup.receive(3, Blocks((block,)))
    backup.step(Executed(one.block, *backup.execute(GENESIS, one.block)))
    assert backup.heights == [1]
    backup.run_block(two)
    assert backup.heights == [1, 2]


def test_A10_nobody_is_locked_on_a_value_that_a_higher_view_replaced() -> None:
    """Prepared in view 0; view 2 selects another block at that height, prepared in view 1."""
    backup = Bench(index=3)
    ids = transactions(2)
    backup.hold(ids)
    mine, theirs = backup.block(1, GENESIS, ids[:1]), backup.block(1, GENESIS, ids[1:], by=1)
    backup.propose(mine)
    backup.prepare_all(mine)
    assert backup.replica._s.prepared[1].view == 0
    certificate = backup.prepared_certificate(theirs, 1, (0, 1, 2))
    changes = [
        backup.view_change(0, 2, [(theirs, certificate)]),
        backup.view_change(1, 2),
        backup.view_change(2, 2),
    ]
    backup.receive(2, backup.new_view(2, changes, [theirs]))
    backup.receive(0, Proposal(theirs.header_bytes, theirs.envelopes))
    backup.prepare_all(theirs, 2)
    backup.commit_all(theirs, 2)
    assert [d.block for d in backup.delivered] == [theirs.block]


def test_A12_a_changing_replica_follows_and_is_normal_again_with_the_next_epoch() -> None:
    """Its status is derived from numbers, so nothing has to be reset."""
    backup = Bench(epoch_length=2)
    one, two, three = backup.chain(3)
    for index in (0, 2, 3):
        backup.receive(index, backup.complaint(index))
    assert backup.replica.statistics().status is ReplicaStatus.CHANGING
    blocks = [
        CertifiedBlock(c.header_bytes, c.envelopes, backup.commit_certificate(c, 0, (0, 2, 3)), ())
        for c in (one, two)
    ]
    backup.receive(2, Blocks((blocks[0],)))
    assert backup.heights == [1]
    assert backup.replica.statistics().status is ReplicaStatus.CHANGING
    backup.receive(2, Blocks((blocks[1],)))
    statistics = backup.replica.statistics()
    assert (statistics.status, statistics.epoch) == (ReplicaStatus.NORMAL, 1)
    backup.prepares()
    backup.propose(three)
    assert backup.prepares() == [3]


def far(bench: Bench, view: int, epoch: int) -> list[Signed]:
    """Everything that validator 2 can say alone about a view or epoch far away."""
    one = bench.block(1, GENESIS, ())
    reason = ComplaintReason.PROGRESS_TIMEOUT
    change = signed(2, SignedKind.VIEW_CHANGE, ViewChange(epoch, view, b"", None, ()))
    own = (encode(change),) * 3
    return [
        signed(2, SignedKind.PREPARE, Prepare(epoch, view, 1, one.block)),
        signed(2, SignedKind.COMPLAINT, Complaint(epoch, view, reason)),
        change,
        signed(view % 4, SignedKind.NEW_VIEW, NewView(epoch, view, own, (), ())),
        signed(2, SignedKind.STATUS, Status(epoch, view, True, 0, 0)),
        signed(2, SignedKind.STATUS, Status(epoch, view, False, HUGE, 0)),
    ]


@pytest.mark.parametrize(("view", "epoch"), [(HUGE, 0), (0, HUGE), (HUGE, HUGE), (1, 1), (HUGE, 1)])
def test_A13_claims_about_far_views_and_epochs_move_nobody_and_cost_nothing(
    view: int, epoch: int
) -> None:
    backup = Bench()
    for _ in range(3):
        for message in far(backup, view, epoch):
            backup.receive(2, message)
    numbers = backup.replica.statistics()
    assert (numbers.epoch, numbers.view, numbers.voted_view) == (0, 0, 0)
    assert numbers.stash == 0
    assert said(backup) == []
    backup.hold(transactions(1))
    assert backup.replica.statistics().waiting.reason is WaitingReason.PROPOSAL


def test_A13_what_a_far_complaint_counts_for_is_the_view_that_others_want_to_leave_too() -> None:
    """It stands for every lower view, but the q-th highest decides."""
    backup = Bench(n=7)
    for index in (2, 3):
        backup.receive(index, backup.complaint(index, view=HUGE))
    for index in (4, 5):
        backup.receive(index, backup.complaint(index))
    bodies = [body for _, body in backup.take(SignedKind.VIEW_CHANGE)]
    assert [body.to_view for body in bodies] == [1]  # type: ignore[attr-defined]


def test_A16_a_second_view_change_does_not_replace_the_first() -> None:
    backup = Bench(index=1)
    (one,) = backup.chain(1)
    backup.receive(2, backup.view_change(2, 1))
    first = backup.replica._s.changes[2]
    certificate = backup.prepared_certificate(one, 0, (0, 2, 3))
    backup.receive(2, backup.view_change(2, 1, [(one, certificate)]))
    backup.receive(2, backup.view_change(2, 0))
    assert backup.replica._s.changes[2] is first


def test_A18_ids_under_another_root_are_never_held_under_the_hash() -> None:
    """A proposal and an answer to a fetch: the hash covers the header, the header the ids."""
    backup, elsewhere = Bench(), Bench()
    (one,) = elsewhere.chain(1)
    other = tuple(t.envelope for t in transactions(1, tag="other"))
    prepare = encode(backup.prepare(0, one))
    backup.receive(0, PrePrepare(one.header_bytes, other, prepare))
    backup.receive(0, backup.prepare(0, one))
    backup.tick(200)
    backup.receive(2, Proposal(one.header_bytes, other))
    assert backup.replica._s.contents == {}
    assert backup.replica.statistics().refused == 2


def test_A20_a_flood_of_invalid_messages_fills_no_log() -> None:
    backup = Bench()
    forged = Signed(SignedKind.COMPLAINT, backup.complaint(2).body, 2, bytes(64))
    for _ in range(1_000):
        backup.receive(2, forged)
    assert backup.logs.count("refused") == 10, "1, 2, 4, ... 512"
    assert backup.replica.statistics().refused == 1_000


# --- replays --------------------------------------------------------------------------------------


def lived(restarted: bool) -> tuple[Bench, list[Signed]]:
    """A replica that has been through a view and a block, and everything that it ever signed."""
    backup = Bench()
    own: list[Signed] = []

    def listen() -> None:
        own.extend(m for _, m in backup.out if isinstance(m, Signed) and m.signer == backup.index)
        backup.out.clear()

    one, two = backup.chain(2)
    backup.run_block(one)
    backup.propose(two)
    backup.tick(300)
    listen()
    for index in (0, 2, 3):
        backup.receive(index, backup.complaint(index))
    base = (one, backup.commit_certificate(one, 0, (0, 2, 3)))
    changes = [backup.view_change(i, 2, committed=base) for i in (0, 2, 3)]
    backup.receive(2, backup.new_view(2, changes))
    three = backup.block(2, one.block, transactions(1, tag="block 2 "), by=2)
    backup.propose(three, view=2)
    backup.receive(3, backup.prepare(3, three, view=2))
    backup.tick(300)
    listen()
    assert {m.kind for m in own} >= {
        SignedKind.PREPARE, SignedKind.COMMIT, SignedKind.STATUS, SignedKind.VIEW_CHANGE,
        SignedKind.COMPLAINT,
    }  # fmt: skip
    if restarted:
        backup.restart()
    backup.out.clear()
    return backup, own


@pytest.mark.parametrize("restarted", [False, True])
def test_our_own_old_messages_replayed_by_a_peer_change_nothing(restarted: bool) -> None:
    """They are all in the register, so they are no sign of a lost one (B12), whatever their age."""
    backup, own = lived(restarted)
    before = picture(backup)
    for message in own:
        backup.receive(3, message)
    assert picture(backup) == before
    assert before.status is ReplicaStatus.NORMAL
    assert said(backup) == []


def test_old_messages_of_others_replayed_move_nobody() -> None:
    """Votes, ViewChanges and complaints of a view that was left, and a NewView that was entered."""
    backup, _ = lived(restarted=False)
    one = backup.block(1, GENESIS, transactions(1, tag="block 1 "))
    before = picture(backup)
    for index in (0, 2, 3):
        for message in (
            backup.prepare(index, one),
            backup.commit(index, one),
            backup.complaint(index),
            backup.view_change(index, 1),
            backup.view_change(index, 2),
        ):
            backup.receive(3, message)
    backup.receive(3, FetchVotes(0, 0, 0))
    assert picture(backup) == before
    assert said(backup) == []


def test_a_replica_that_shows_an_older_state_of_itself_moves_nobody() -> None:
    """A rolled-back peer: its Status falls back, its ViewChange shows less than it committed."""
    backup = Bench()
    (one,) = backup.chain(1)
    backup.propose(one)
    backup.prepare_all(one)
    for index in (2, 3):
        backup.receive(index, backup.commit(index, one))
    backup.receive(2, backup.status(2, committed=1))
    before = picture(backup)
    backup.receive(2, backup.status(2, committed=0))
    backup.receive(2, backup.complaint(2))
    assert picture(backup) == before
    backup.receive(2, backup.view_change(2, 1))
    assert backup.replica.statistics().view == 0
    assert backup.replica.statistics().evidence == 1, "and it convicts itself"
