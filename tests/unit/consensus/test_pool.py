"""The pool: fair order, fairness clocks, expiry, bounds."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from consensus.events import Transaction
from consensus.pool import Pool
from tests.sim.bench import transactions

SIZE_MAX = 2 * 1024 * 1024


def nothing_known(_: bytes) -> bool:
    return False


def everything_usable(_: Transaction) -> bool:
    return True


def filled(*counts: int) -> tuple[Pool, list[tuple[Transaction, ...]]]:
    """A pool with so many transactions of so many organisations, one organisation after another."""
    pool = Pool(1_000, SIZE_MAX)
    groups = [transactions(n, organisation=bytes([i]) * 16) for i, n in enumerate(counts)]
    for group in groups:
        pool.add(group, 0, nothing_known)
    return pool, groups


def take(pool: Pool, count: int, now_ms: int = 0) -> tuple[bytes, ...]:
    return pool.take(count, SIZE_MAX, now_ms, everything_usable)


def test_5_9_organisations_take_turns_and_each_is_served_oldest_first() -> None:
    pool, (many, few) = filled(5, 2)
    expected = [many[0], few[0], many[1], few[1], many[2], many[3], many[4]]
    assert take(pool, 100) == tuple(t.id for t in expected)


def test_the_turn_goes_on_in_the_next_batch() -> None:
    pool, (first, second, third) = filled(2, 2, 2)
    assert take(pool, 2) == (first[0].id, second[0].id)
    assert take(pool, 2) == (third[0].id, first[1].id)


def test_a_batch_stops_below_its_byte_limit() -> None:
    pool = Pool(100, SIZE_MAX)
    pool.add((replace(t, size=400) for t in transactions(10)), 0, nothing_known)
    assert len(pool.take(100, 1_000, 0, everything_usable)) == 2


def test_the_pool_is_bounded_and_says_so() -> None:
    pool = Pool(10, SIZE_MAX)
    pool.add(transactions(12), 0, nothing_known)
    assert (pool.pending, pool.full, pool.refused) == (10, True, 2)


def test_what_is_larger_than_a_batch_is_refused() -> None:
    pool = Pool(10, 1_000)
    pool.add((replace(t, size=1_001) for t in transactions(1)), 0, nothing_known)
    assert (pool.pending, pool.refused) == (0, 1)


def test_known_and_repeated_transactions_are_not_queued() -> None:
    pool = Pool(10, SIZE_MAX)
    first, second = transactions(2)
    pool.add((first, first, second), 0, lambda identity: identity == second.id)
    assert pool.pending == 1


def test_in_flight_transactions_are_not_proposed_again_until_they_land() -> None:
    pool, ((first, second, third),) = filled(3)
    pool.fly((second,), 0)
    assert take(pool, 10) == (first.id, third.id)
    assert take(pool, 10) == ()
    pool.land(5)
    assert take(pool, 10) == (first.id, second.id, third.id)


def test_a_block_may_hold_what_the_pool_never_saw() -> None:
    pool = Pool(10, SIZE_MAX)
    (stranger,) = transactions(1)
    pool.fly((stranger,), 0)
    assert pool.pending == 0
    pool.land(0)  # its block was dropped: now it waits like any other
    assert take(pool, 1) == (stranger.id,)


def test_the_fairness_clock_belongs_to_the_oldest_of_each_organisation() -> None:
    pool, (many, few) = filled(3, 1)
    assert pool.oldest_since_ms() == 0
    pool.fly((many[0],), 700)
    assert pool.oldest_since_ms() == 0  # the other organisation still waits
    pool.fly(few, 800)
    assert pool.oldest_since_ms() == 700
    pool.fly((many[2],), 900)  # not the oldest
    assert pool.oldest_since_ms() == 700
    pool.land(1_000)
    assert pool.oldest_since_ms() == 1_000


def test_expired_transactions_leave_unless_in_flight() -> None:
    pool = Pool(10, SIZE_MAX)
    early, late, flying = transactions(3)
    early, flying = replace(early, valid_until=100), replace(flying, valid_until=100)
    pool.add((early, late, flying), 0, nothing_known)
    pool.fly((flying,), 0)
    assert pool.expire(99) == 0
    assert pool.expire(100) == 1
    assert pool.get(flying.id) is not None
    assert take(pool, 10) == (late.id,)


def test_unusable_transactions_are_dropped_for_good() -> None:
    pool, ((first, second),) = filled(2)
    assert pool.take(10, SIZE_MAX, 0, lambda t: t.id != first.id) == (second.id,)
    assert pool.get(first.id) is None


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["add", "take", "fly", "remove", "land"]), st.integers(0, 59)),
    max_size=60,
)


@given(ACTIONS)
def test_counters_and_clocks_agree_with_a_naive_model(actions: list[tuple[str, int]]) -> None:
    """The model: which ids are pending, which are in flight; nothing else."""
    universe = [t for i in range(3) for t in transactions(20, organisation=bytes([i]) * 16)]
    pool = Pool(1_000, SIZE_MAX)
    pending: dict[bytes, Transaction] = {}
    flying: dict[bytes, Transaction] = {}
    for now, (action, number) in enumerate(actions):
        chosen = universe[number]
        if action == "add":
            pool.add((chosen,), now, nothing_known)
            if chosen.id not in flying:
                pending.setdefault(chosen.id, chosen)
        elif action == "take":
            for identity in take(pool, number % 7, now):
                flying[identity] = pending.pop(identity)
        elif action == "fly":
            pool.fly((chosen,), now)
            pending.pop(chosen.id, None)
            flying[chosen.id] = chosen
        elif action == "remove":
            pool.remove((chosen.id,), now)
            pending.pop(chosen.id, None)
            flying.pop(chosen.id, None)
        else:
            pool.land(now)
            pending |= flying
            flying.clear()
        assert pool.pending == len(pending)
        assert pool.pending_bytes == sum(t.size for t in pending.values())
        assert (pool.oldest_since_ms() is None) == (not pending)
    left = take(pool, 1_000)
    assert sorted(left) == sorted(pending)
