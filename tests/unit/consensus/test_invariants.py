"""Every invariant that is checked after a step can fail: one corruption of the state for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from consensus.constants import CONTENTS_MAX, DELIVERED_MAX, FETCHES_MAX
from consensus.events import Persisted, Tick
from consensus.slots import Execution, Prepared
from tallynet.blocks import Commit
from tallynet.codec import encode
from tallynet.errors import InvariantViolated
from tallynet.messages import Signed, SignedKind
from tests.sim.bench import Bench, transactions
from tests.sim.validators import signer

Corruption = Callable[[Bench], None]


def prepared_two() -> Bench:
    """Blocks 1 and 2 prepared and committed to by us, nothing final."""
    backup = Bench()
    for content in backup.chain(2):
        backup.propose(content)
        backup.receive(2, backup.prepare(2, content))
    assert backup.commits() == [1, 2]
    return backup


def state(bench: Bench):  # type: ignore[no-untyped-def]
    return bench.replica._s


def voted_view_falls(bench: Bench) -> None:
    state(bench).voted_view = -1


def committed_falls(bench: Bench) -> None:
    state(bench).committed = -1


def view_above_voted_view(bench: Bench) -> None:
    state(bench).view = 3


def certificate_forgotten(bench: Bench) -> None:
    del state(bench).prepared[2]


def certificate_of_a_lower_view(bench: Bench) -> None:
    s = state(bench)
    s.prepared[2] = Prepared(-1, s.prepared[2].content, s.prepared[2].certificate)


def certificate_beyond_the_epoch(bench: Bench) -> None:
    s = state(bench)
    s.prepared[10**6] = s.prepared[2]


def gap(bench: Bench) -> None:
    state(bench).slots[1].accepted = None


def other_parent(bench: Bench) -> None:
    s = state(bench)
    header = type(s.slots[2].accepted.header)(
        **{
            name: getattr(s.slots[2].accepted.header, name)
            for name in s.slots[2].accepted.header.__struct_fields__
        }
        | {"parent": b"\7" * 32}
    )
    s.slots[2].accepted = replace(s.slots[2].accepted, header=header)
    s.executions.clear()


def no_own_prepare(bench: Bench) -> None:
    state(bench).slots[1].own_prepare = None


def commit_without_the_one_below(bench: Bench) -> None:
    state(bench).slots[1].own_commit = None
    state(bench).executions.clear()
    state(bench).slots[1].certificate = None


def commit_without_a_certificate(bench: Bench) -> None:
    state(bench).slots[2].certificate = None


def commit_to_other_roots(bench: Bench) -> None:
    slot = state(bench).slots[1]
    body = encode(Commit(0, 0, 1, slot.accepted.block, b"\1" * 32, b"\2" * 32))
    slot.own_commit = Signed(SignedKind.COMMIT, body, 1, signer(1)(SignedKind.COMMIT, body))


def slot_beyond_the_window(bench: Bench) -> None:
    s = state(bench)
    s.slots[99] = s.slots[2]


def accepted_beyond_the_window(bench: Bench) -> None:
    s = state(bench)
    s.slots[7] = s.slots[2]


def executions_with_a_gap(bench: Bench) -> None:
    s = state(bench)
    s.executions[9] = s.executions.pop(2)


def executed_off_its_parent(bench: Bench) -> None:
    s = state(bench)
    s.executions[1] = Execution(s.slots[2].accepted, {})


def timer_without_need(bench: Bench) -> None:
    bench.replica._set_timer = lambda: None  # type: ignore[method-assign]
    bench.replica._deadline_ms = None


def timer_beyond_the_cap(bench: Bench) -> None:
    bench.replica._set_timer = lambda: None  # type: ignore[method-assign]
    bench.replica._deadline_ms = 10**9


def pool_over_its_bound(bench: Bench) -> None:
    state(bench).pool.pending = 10**6


def stash_over_its_bound(bench: Bench) -> None:
    bench.replica._ballots._stash.update({(0, 1, h): (0, 1, None) for h in range(99)})  # type: ignore[misc]


def fetches_over_their_bound(bench: Bench) -> None:
    wants = bench.replica._fetches._contents
    bench.replica._fetches.want_content(b"x", 1, at_once=False)
    wants.update(dict.fromkeys(map(str.encode, map(str, range(2 * FETCHES_MAX))), wants[b"x"]))


def claims_of_strangers(bench: Bench) -> None:
    for peer in range(9):
        bench.replica._catch_up.claim(peer, 0)


def changes_of_strangers(bench: Bench) -> None:
    bench.receive(2, bench.view_change(2, 1))
    state(bench).changes.update({i: state(bench).changes[2] for i in range(9)})


def contents_over_their_bound(bench: Bench) -> None:
    s = state(bench)
    content = s.slots[2].accepted
    s.contents.update({b"%d" % i: content for i in range(CONTENTS_MAX + 1)})


def delivered_over_their_bound(bench: Bench) -> None:
    state(bench).delivered.update({i: (0, frozenset()) for i in range(DELIVERED_MAX + 1)})


def evidence_over_its_bound(bench: Bench) -> None:
    state(bench).accused.update({b"%d" % i: None for i in range(99)})


CORRUPTIONS: dict[Corruption, str] = {
    voted_view_falls: "INV-1",
    committed_falls: "INV-",
    view_above_voted_view: "INV-1",
    certificate_forgotten: "INV-4b",
    certificate_of_a_lower_view: "INV-4b",
    certificate_beyond_the_epoch: "INV-4b",
    gap: "INV-4 accepted above a gap",
    other_parent: "INV-4 parent",
    no_own_prepare: "INV-4",
    commit_without_the_one_below: "INV-6",
    commit_without_a_certificate: "INV-4",
    commit_to_other_roots: "INV-4 Commit to other roots",
    slot_beyond_the_window: "INV-7",
    accepted_beyond_the_window: "INV-7",
    executions_with_a_gap: "INV-10",
    executed_off_its_parent: "INV-10",
    timer_without_need: "INV-18",
    timer_beyond_the_cap: "INV-18",
    pool_over_its_bound: "INV-17 pool",
    stash_over_its_bound: "INV-17 stash",
    fetches_over_their_bound: "INV-17 fetches",
    claims_of_strangers: "INV-17 claims",
    changes_of_strangers: "INV-17 view changes",
    contents_over_their_bound: "INV-17 contents",
    delivered_over_their_bound: "INV-17 delivered",
    evidence_over_its_bound: "INV-17 evidence",
}


@pytest.mark.parametrize("corrupt", CORRUPTIONS, ids=lambda c: c.__name__)
def test_a_corruption_halts_the_replica(corrupt: Corruption) -> None:
    bench = prepared_two()
    corrupt(bench)
    with pytest.raises(InvariantViolated, match=CORRUPTIONS[corrupt]):
        bench.replica._invariants.check(bench.replica._deadline_ms)
        bench.replica._invariants.check_bounds()


def test_they_are_checked_after_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = prepared_two()
    certificate_forgotten(bench)
    with pytest.raises(InvariantViolated, match="INV-4b"):
        bench.replica.step(Tick(bench.now_ms, bench.wall_ms))


def test_INV_5_durability_of_the_future_halts() -> None:
    bench = prepared_two()
    with pytest.raises(InvariantViolated, match="INV-5"):
        bench.replica.step(Persisted(10**6))


def test_delivery_waits_for_the_disk_when_too_much_is_undurable() -> None:
    """INV-17: a disk that is slower than catching up limits it, instead of memory growing."""
    backup = Bench(window=1, epoch_length=10**6)
    backup.auto_persist = False
    for content in backup.chain(DELIVERED_MAX + 3):
        backup.run_block(content)
    assert len(backup.heights) == DELIVERED_MAX
    backup.step(Persisted(backup.replica.turn))
    assert len(backup.heights) > DELIVERED_MAX


def test_requests_for_contents_make_room_for_each_other() -> None:
    backup = Bench()
    for i in range(3 * FETCHES_MAX):
        backup.replica._fetches.want_content(i.to_bytes(32, "big"), 1, at_once=False)
    assert backup.replica._fetches.count == FETCHES_MAX
    backup.tick(10)


def test_the_pool_keeps_its_bound_when_a_new_view_brings_everything_back() -> None:
    backup = Bench(pool_max=500)
    many = [t for i in range(800) for t in transactions(1, organisation=i.to_bytes(16, "big"))]
    backup.hold(many[:500])
    pool = backup.replica._s.pool
    pool.fly(many[:300], 0)
    backup.hold(many[500:])
    assert pool.pending == 500
    pool.land(0, lambda _: False)
    assert pool.pending == 500
    backup.tick(10)
