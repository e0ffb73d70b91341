"""Two validator sets, one after the other: the last block of one and the first life under the other
(protocol §5.8, decision 0042)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.config import ReplicaConfig, Tip
from consensus.effects import Effects
from consensus.events import Persisted
from consensus.journal import VIEW, ViewRecord
from consensus.slots import Content
from consensus.statistics import ReplicaStatus
from tallynet.blocks import Certificate, Commit
from tallynet.codec import decode, encode
from tallynet.errors import InvariantViolated, RemoteProtocolError
from tallynet.messages import (
    Blocks,
    CertifiedBlock,
    FetchBlocks,
    Signed,
    SignedKind,
    Status,
)  # fmt: skip
from tallynet.validators import ValidatorSet
from tests.sim.bench import VALIDATORS_HASH, Bench, signed, transactions
from tests.sim.validators import key_of, signer

NEXT = b"\5" * 32
"""Hash of the set that takes over."""
BEFORE = ValidatorSet(0, tuple(key_of(i) for i in range(1, 5)), b"\7" * 32)
"""Validators 1 to 4; the next set are 0 to 3, so everybody's index changes."""
LENGTH = 4


def last_of_epoch(bench: Bench, following: bytes | None = NEXT, *, tag: str = "last") -> Content:
    """The block that ends the epoch, on top of what the bench has committed; its body is held."""
    ids = transactions(1, tag=tag)
    bench.hold(ids)
    height = bench.replica.committed + 1
    return bench.block(height, bench.tip.block, ids, following=following)


def near_the_end(length: int = LENGTH, **options: object) -> Bench:
    """A backup that has committed all of its epoch but the last block."""
    backup = Bench(epoch_length=length, **options)
    for content in backup.chain(length - 1):
        backup.run_block(content)
    backup.out.clear()
    return backup


def fetched(content: Content, certificate: Certificate) -> CertifiedBlock:
    return CertifiedBlock(content.header_bytes, content.envelopes, certificate, ())


# --- the last block of a set --------------------------------------------------------------------------


def test_5_8_the_last_header_names_the_set_that_the_state_names() -> None:
    backup = near_the_end()
    backup.ledger.following = NEXT
    backup.propose(last_of_epoch(backup))
    assert backup.prepares() == [LENGTH]


@pytest.mark.parametrize("named", [VALIDATORS_HASH, b"\6" * 32])
def test_5_8_a_last_header_that_names_another_set_gets_no_vote_and_convicts_nobody(
    named: bytes,
) -> None:
    backup = near_the_end()
    backup.ledger.following = NEXT
    backup.propose(last_of_epoch(backup, named))
    assert backup.prepares() == []
    assert backup.take(SignedKind.COMPLAINT)
    assert backup.evidence == []


def test_5_8_no_other_header_names_another_set() -> None:
    backup = Bench(epoch_length=LENGTH)
    backup.ledger.following = NEXT
    backup.propose(last_of_epoch(backup))
    assert backup.prepares() == []


def test_5_8_a_leader_names_what_its_state_names() -> None:
    leader = Bench(index=0, epoch_length=1)
    leader.ledger.following = NEXT
    leader.hold(transactions(1))
    leader.tick(20)
    (slot,) = leader.replica._s.slots.values()
    assert slot.accepted is not None
    assert slot.accepted.header.next_validators == NEXT


def test_5_8_nobody_votes_on_the_end_before_its_own_state_has_got_far_enough() -> None:
    """A change decided 16 blocks below the end may be in a block that is not durable here yet."""
    backup = Bench(epoch_length=21)
    contents = backup.chain(20)
    backup.auto_persist = False
    for content in contents:
        backup.run_block(content)
    assert backup.replica.committed == 20
    backup.take(SignedKind.PREPARE)
    backup.ledger.following = NEXT
    backup.propose(last_of_epoch(backup))
    assert backup.prepares() == []
    backup.step(Persisted(backup.replica.turn))
    assert backup.prepares() == [21]


def test_INV_11_a_quorum_that_names_another_set_than_our_state_stops_us() -> None:
    backup = near_the_end()
    backup.ledger.following = NEXT
    other = last_of_epoch(backup, b"\6" * 32)
    backup.commit_all(other)
    backup.receive(
        0,
        Blocks((fetched(other, backup.commit_certificate(other, 0, (0, 2, 3))),)),
    )
    assert backup.replica.statistics().status is ReplicaStatus.DIVERGED
    assert backup.replica.committed == LENGTH - 1


# --- the end of a life --------------------------------------------------------------------------------


def ended() -> Bench:
    backup = near_the_end()
    backup.ledger.following = NEXT
    backup.run_block(last_of_epoch(backup))
    assert backup.replica.committed == LENGTH
    return backup


def silent_but_for_status(effects: Effects) -> bool:
    sent = [send.message for send in (*effects.send_after, *effects.send_now)]
    kinds = [decode(Signed, message).kind for message in sent if b"signed" in message[:10]]
    return len(kinds) == len(sent) and all(kind == SignedKind.STATUS for kind in kinds)


def test_5_8_a_replica_signs_nothing_more_when_another_set_takes_over() -> None:
    backup = ended()
    assert backup.replica.ended
    assert backup.replica.statistics().status is ReplicaStatus.RETIRED
    assert decode(ViewRecord, backup.journal[VIEW]) == ViewRecord(1, 0, 0, b"", b"")
    ids = transactions(1, tag="next")
    next_block = backup.block(LENGTH + 1, backup.tip.block, ids)
    assert silent_but_for_status(backup.hold(ids))
    assert silent_but_for_status(backup.propose(next_block))
    for index in (0, 2, 3):
        assert silent_but_for_status(backup.receive(index, backup.prepare(index, next_block)))
        assert silent_but_for_status(backup.receive(index, backup.commit(index, next_block)))
        assert silent_but_for_status(backup.receive(index, backup.complaint(index, epoch=1)))
    assert silent_but_for_status(backup.tick(20_000))
    assert backup.replica.committed == LENGTH
    assert backup.delivered[-1].header.height == LENGTH


def test_5_8_it_still_says_what_it_has_so_that_the_others_get_the_last_block_too() -> None:
    backup = ended()
    backup.out.clear()
    backup.tick(1_000)
    statuses = [body for to, body in backup.take(SignedKind.STATUS)]
    assert statuses
    assert all(isinstance(s, Status) and s.committed == LENGTH for s in statuses)


def test_5_8_votes_of_the_next_epoch_that_came_early_do_not_count_for_the_next_set() -> None:
    backup = near_the_end()
    backup.ledger.following = NEXT
    last = last_of_epoch(backup)
    ids = transactions(1, tag="next")
    backup.hold(ids)
    early = backup.block(LENGTH + 1, last.block, ids)
    backup.commit_all(early)  # as far as the old set's signatures go, they are good
    backup.run_block(last)
    assert backup.replica.committed == LENGTH
    assert backup.replica.ended


def test_5_8_an_end_survives_a_restart() -> None:
    backup = ended()
    backup.restart()
    assert backup.replica.ended
    assert backup.replica.statistics().status is ReplicaStatus.RETIRED
    assert "votes_stopped" not in backup.logs
    assert silent_but_for_status(backup.tick(20_000))


def test_5_8_without_a_change_the_replica_lives_on() -> None:
    backup = near_the_end()
    backup.run_block(last_of_epoch(backup, None))
    assert not backup.replica.ended
    assert backup.replica.statistics().epoch == 1


# --- a life under the next set ------------------------------------------------------------------------


def by_before(vote: Commit, members: tuple[int, ...] = (0, 1, 2)) -> Certificate:
    """A commit certificate by members of the set before, by their indices there."""
    raw = encode(vote)
    return Certificate(raw, members, tuple(signer(i + 1)(SignedKind.COMMIT, raw) for i in members))


def end_of_before(
    bench: Bench, following: bytes = VALIDATORS_HASH, height: int = LENGTH
) -> Content:
    before: ReplicaConfig = replace(
        bench.config, validators_hash=BEFORE.hash, since=0, previous=None
    )
    elsewhere = Bench(epoch_length=LENGTH)
    elsewhere.config = before
    content = elsewhere.block(height, b"\3" * 32, transactions(1), by=0, following=following)
    bench.roots[content.block] = b"\4" * 32
    return content


def commit_of(content: Content) -> Commit:
    header = content.header
    return Commit(header.epoch, 0, header.height, content.block, b"\4" * 32, bytes(32))


def second_life(index: int = 1, **options: object) -> Bench:
    """A replica of the second set, whose tip is the last block of the first."""
    bench = Bench(index, epoch_length=LENGTH, since=1, previous=BEFORE, **options)
    last = end_of_before(bench)
    bench.tip = Tip(last.header_bytes, last.block, by_before(commit_of(last)), 1)
    bench.journal[VIEW] = encode(ViewRecord(1, 0, 0, b"", b""))
    bench.start()
    bench.tick()
    return bench


def test_5_8_a_life_begins_on_the_block_that_the_set_before_certified() -> None:
    bench = second_life()
    assert bench.replica.statistics().status is ReplicaStatus.NORMAL
    ids = transactions(1, tag="first")
    bench.hold(ids)
    bench.run_block(bench.block(LENGTH + 1, bench.tip.block, ids))
    assert bench.replica.committed == LENGTH + 1


def test_INV_12_a_tip_of_the_set_before_that_this_set_certified_is_refused() -> None:
    bench = second_life()
    last = end_of_before(bench)
    raw = encode(commit_of(last))
    own = Certificate(raw, (0, 1, 3), tuple(signer(i)(SignedKind.COMMIT, raw) for i in (0, 1, 3)))
    bench.tip = Tip(last.header_bytes, last.block, own, 1)
    with pytest.raises(RemoteProtocolError, match="signature"):
        bench.start()


def test_INV_12_a_tip_that_hands_over_to_a_third_set_is_refused() -> None:
    bench = second_life()
    last = end_of_before(bench, NEXT)
    bench.tip = Tip(last.header_bytes, last.block, by_before(commit_of(last)), 1)
    with pytest.raises(InvariantViolated):
        bench.start()


def change_on(bench: Bench, content: Content, certificate: Certificate) -> Signed:
    return bench.view_change(2, 1, committed=(content, certificate), epoch=1)


def test_5_8_a_view_change_may_stand_on_the_last_block_of_the_set_before() -> None:
    bench = second_life()
    last = end_of_before(bench)
    bench.receive(2, change_on(bench, last, by_before(commit_of(last))))
    assert bench.replica.statistics().refused == 0
    assert 2 in bench.replica._s.changes


def test_INV_15_nothing_else_that_the_set_before_certified_counts() -> None:
    for height, following, members in (
        (LENGTH - 1, BEFORE.hash, (0, 1, 2)),
        (LENGTH, NEXT, (0, 1, 2)),
        (LENGTH, VALIDATORS_HASH, (0, 1)),
    ):
        bench = second_life()
        block = end_of_before(bench, following, height)
        bench.receive(2, change_on(bench, block, by_before(commit_of(block), members)))
        assert bench.replica.statistics().refused == 1, (height, following, members)
        assert 2 not in bench.replica._s.changes


def test_INV_15_a_set_that_was_replaced_certifies_no_later_block() -> None:
    """Long range: keys of the old set sign on when the new one has taken over."""
    bench = second_life()
    ids = transactions(1, tag="forged")
    bench.hold(ids)
    forged = bench.block(LENGTH + 1, bench.tip.block, ids)
    certificate = by_before(commit_of(forged))
    bench.receive(0, Blocks((fetched(forged, certificate),)))
    assert bench.replica.statistics().refused == 1
    assert bench.replica.committed == LENGTH


def test_5_8_a_certificate_of_the_set_before_is_nobodys_signature_here() -> None:
    """Index 1 was another validator: our own signature there would mean a lost register (B12)."""
    bench = second_life(1)
    last = end_of_before(bench)
    certificate = by_before(commit_of(last), (0, 1, 2))
    bench.receive(0, Blocks((fetched(last, certificate),)))
    assert "votes_stopped" not in bench.logs
    assert bench.replica.statistics().status is ReplicaStatus.NORMAL


def test_proofs_against_the_set_before_take_no_room_from_those_against_this_one() -> None:
    bench = second_life()
    bench.accused = [
        bytes((1,)) + (2).to_bytes(2, "big") + bytes(16) + i.to_bytes(8, "big") for i in range(16)
    ]
    bench.start()
    bench.tick()
    ids, others = transactions(1, tag="one"), transactions(1, tag="two")
    for chosen in (ids, others):
        bench.hold(chosen)
        block = bench.block(LENGTH + 1, bench.tip.block, chosen)
        bench.receive(2, bench.prepare(2, block))
    assert len(bench.evidence) == 1
    assert bench.replica.statistics().evidence == 17


# --- between sets -------------------------------------------------------------------------------------


def test_5_8_who_lags_behind_a_change_learns_of_it_from_a_status_with_another_index() -> None:
    """The sender's index in its set is 9; the connection says who it is here."""
    backup = Bench(epoch_length=LENGTH)
    status = Status(3, 0, False, 3 * LENGTH + 2, backup.wall_ms)
    raw = encode(status)
    for source in (2, 3):
        backup.receive(source, Signed(SignedKind.STATUS, raw, 9, bytes(64)))
    assert backup.replica.claims == {2: 3 * LENGTH + 2, 3: 3 * LENGTH + 2}
    backup.tick(1_000)
    assert backup.take(FetchBlocks)


def test_5_8_a_status_of_the_same_epoch_is_its_signers_only() -> None:
    backup = Bench()
    backup.receive(2, backup.status(3, committed=50))
    assert backup.replica.statistics().refused == 1
    assert backup.replica.claims == {}


def test_5_8_who_joins_signs_nothing_until_it_has_a_state_of_its_own_epochs() -> None:
    bench = Bench(epoch_length=LENGTH, since=2, previous=replace(BEFORE, since=1))
    (one,) = bench.chain(1)
    bench.run_block(one)
    for index in (0, 2, 3):
        bench.receive(index, bench.complaint(index))
        bench.receive(index, signed(index, SignedKind.STATUS, Status(2, 0, False, 9, 0)))
    bench.tick(10_000)
    kinds = {m.kind for _, m in bench.out if isinstance(m, Signed)}
    assert kinds == {SignedKind.STATUS}
    assert bench.replica.committed == 0
    assert bench.replica.state_wanted(1_000) == 5
