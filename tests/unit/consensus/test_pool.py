"""The pool: fair order, fairness clocks, expiry, bounds, copies of one transaction."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from consensus.events import Transaction
from consensus.pool import Pool
from tests.sim.bench import copy_of, transactions

SIZE_MAX = 2 * 1024 * 1024


def nothing_known(_: Transaction) -> bool:
    return False


def nothing_waits(_: Transaction) -> bool:
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


def one_of(organisation: int) -> tuple[Transaction, ...]:
    return transactions(1, organisation=bytes([organisation]) * 16)


def take(pool: Pool, count: int, now_ms: int = 0) -> tuple[bytes, ...]:
    return pool.take(count, SIZE_MAX, now_ms, everything_usable, nothing_waits)


def test_5_9_organisations_take_turns_and_each_is_served_oldest_first() -> None:
    pool, (many, few) = filled(5, 2)
    expected = [many[0], few[0], many[1], few[1], many[2], many[3], many[4]]
    assert take(pool, 100) == tuple(t.envelope for t in expected)


def test_the_turn_goes_on_in_the_next_batch() -> None:
    pool, (first, second, third) = filled(2, 2, 2)
    assert take(pool, 2) == (first[0].envelope, second[0].envelope)
    assert take(pool, 2) == (third[0].envelope, first[1].envelope)


def test_a_batch_stops_below_its_byte_limit() -> None:
    pool = Pool(100, SIZE_MAX)
    pool.add((replace(t, size=400) for t in transactions(10)), 0, nothing_known)
    assert len(pool.take(100, 1_000, 0, everything_usable, nothing_waits)) == 2


def test_the_pool_is_bounded_and_says_so() -> None:
    pool = Pool(10, SIZE_MAX)
    pool.add([t for i in range(12) for t in one_of(i)], 0, nothing_known)
    assert (pool.pending, pool.full, pool.refused) == (10, True, 2)


def test_greedy_organisations_leave_a_place_for_everybody_else() -> None:
    pool = Pool(12, SIZE_MAX)
    for i in range(3):
        pool.add(transactions(100, organisation=bytes([i]) * 16), 0, nothing_known)
    assert pool.pending == 6 + 3 + 2, "what is left is what the last one has at most"
    (newcomer,) = one_of(3)
    pool.add([newcomer], 0, nothing_known)
    assert pool.get(newcomer.envelope) is not None


def test_what_is_larger_than_a_batch_is_refused() -> None:
    pool = Pool(10, 1_000)
    pool.add((replace(t, size=1_001) for t in transactions(1)), 0, nothing_known)
    assert (pool.pending, pool.refused) == (0, 1)


def test_known_and_repeated_transactions_are_not_queued() -> None:
    pool = Pool(10, SIZE_MAX)
    first, second = transactions(2)
    pool.add((first, first, second), 0, lambda t: t == second)
    assert pool.pending == 1


def test_in_flight_transactions_are_not_proposed_again_until_they_land() -> None:
    pool, ((first, second, third),) = filled(3)
    pool.fly((second,), 0)
    assert take(pool, 10) == (first.envelope, third.envelope)
    assert take(pool, 10) == ()
    pool.land(5, nothing_known)
    assert take(pool, 10) == (first.envelope, second.envelope, third.envelope)


def test_what_a_block_holds_is_proposed_after_it_only_if_it_was_checked_here() -> None:
    """Blocks may hold what nobody could check; a correct leader proposes what it has checked."""
    pool = Pool(10, SIZE_MAX)
    stranger, checked = transactions(2)
    pool.fly((stranger, checked), 0)
    pool.add((checked,), 0, nothing_known)
    assert pool.pending == 0
    pool.land(0, nothing_known)  # its block was dropped: now it waits like any other
    assert take(pool, 2) == (checked.envelope,)


def test_the_fairness_clock_belongs_to_the_oldest_of_each_organisation() -> None:
    pool, (many, few) = filled(3, 1)
    assert pool.oldest_since_ms() == 0
    pool.fly((many[0],), 700)
    assert pool.oldest_since_ms() == 0  # the other organisation still waits
    pool.fly(few, 800)
    assert pool.oldest_since_ms() == 700
    pool.fly((many[2],), 900)  # not the oldest
    assert pool.oldest_since_ms() == 700
    pool.land(1_000, nothing_known)
    assert pool.oldest_since_ms() == 1_000


def passed(pool: Pool, block: tuple[Transaction, ...], at_ms: int, *, has_room: bool) -> int | None:
    """Another leader's block of these comes; since when is the oldest one passed over?"""
    pool.watch(block, at_ms, has_room=has_room, grace_ms=250)
    return pool.passed_since_ms()


def test_a_block_with_room_passes_over_who_waits_and_is_not_in_it() -> None:
    pool, ((first,), (second,)) = filled(1, 1)
    assert passed(pool, (first,), 900, has_room=True) is None
    assert passed(pool, (second,), 900, has_room=True) == 900
    assert passed(pool, (second,), 1_500, has_room=True) == 900, "since the first time"


def test_a_full_block_passes_over_nobody_who_has_his_turn_later() -> None:
    pool, ((_,), (second,)) = filled(1, 1)
    assert passed(pool, (second,), 900, has_room=False) is None


def test_serving_one_twice_passes_over_the_others() -> None:
    pool, (_, (second, third)) = filled(1, 2)
    assert passed(pool, (second, third), 900, has_room=False) == 900


def test_serving_who_began_to_wait_later_passes_over_the_others() -> None:
    pool, _ = filled(1)
    late = transactions(1, organisation=b"l" * 16)
    pool.add(late, 600, nothing_known)
    assert passed(pool, late, 900, has_room=False) == 900
    pool, _ = filled(1)
    pool.add(late, 200, nothing_known)
    assert passed(pool, late, 900, has_room=False) is None, "the leader may have heard of it first"


def test_who_has_just_arrived_is_not_passed_over() -> None:
    pool, ((_,), (second,)) = filled(1, 1)
    assert passed(pool, (second,), 249, has_room=True) is None


def test_a_new_view_and_being_served_end_it() -> None:
    pool, ((first,), (second,)) = filled(1, 1)
    assert passed(pool, (second,), 900, has_room=True) == 900
    pool.land(1_000, nothing_known)
    assert pool.passed_since_ms() is None
    assert passed(pool, (second,), 2_000, has_room=True) == 2_000
    pool.fly((first,), 2_100)
    assert pool.passed_since_ms() is None


def test_expired_transactions_leave_unless_in_flight() -> None:
    pool = Pool(10, SIZE_MAX)
    early, late, flying = transactions(3)
    early, flying = replace(early, valid_until=100), replace(flying, valid_until=100)
    pool.add((early, late, flying), 0, nothing_known)
    pool.fly((flying,), 0)
    assert pool.expire(99, 0) == 0
    assert pool.expire(100, 0) == 1
    assert pool.get(flying.envelope) is not None
    assert take(pool, 10) == (late.envelope,)


def test_unusable_transactions_are_dropped_for_good() -> None:
    pool, ((first, second),) = filled(2)
    assert pool.take(10, SIZE_MAX, 0, lambda t: t != first, nothing_waits) == (second.envelope,)
    assert pool.get(first.envelope) is None


def test_of_two_copies_one_waits_and_another_in_flight_does_not_disturb_it() -> None:
    pool = Pool(10, SIZE_MAX)
    (first,) = transactions(1)
    again, third = copy_of(first), copy_of(copy_of(first))
    pool.add((first, again), 0, nothing_known)
    assert pool.pending == 1
    pool.fly((third,), 500)
    assert (pool.pending, pool.oldest_since_ms()) == (1, 0)
    pool.fly((first,), 600)
    pool.add((again,), 700, nothing_known)  # the first may be lost with its block
    assert (pool.pending, pool.oldest_since_ms()) == (1, 700)
    pool.land(800, nothing_known)
    assert take(pool, 10) == (first.envelope,)


def test_what_waits_for_a_copy_in_flight_keeps_its_place_and_its_clock() -> None:
    """Else a leader could starve it with copies that the law does not admit."""
    pool, (many, few) = filled(3, 1)
    blocked = {many[0].id, few[0].id}
    batch = pool.take(10, SIZE_MAX, 900, everything_usable, lambda t: t.id in blocked)
    assert batch == (many[1].envelope, many[2].envelope)
    assert (pool.pending, pool.oldest_since_ms()) == (2, 0)
    assert set(take(pool, 10)) == {many[0].envelope, few[0].envelope}
    assert pool.oldest_since_ms() is None


def test_copies_of_what_took_effect_leave_and_others_stay() -> None:
    pool = Pool(10, SIZE_MAX)
    done, other = transactions(2)
    pool.add((copy_of(done), copy_of(other)), 0, nothing_known)
    pool.drop_copies((done.id, other.id, b"?" * 32), 0, lambda t: t.id == done.id)
    assert take(pool, 10) == (copy_of(other).envelope,)


def test_what_took_effect_by_a_copy_does_not_land() -> None:
    pool = Pool(10, SIZE_MAX)
    done, other = transactions(2)
    pool.add((done, other), 0, nothing_known)
    pool.fly((done, other), 0)
    pool.land(0, lambda t: t == done)
    assert take(pool, 10) == (other.envelope,)


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["add", "take", "fly", "remove", "land"]), st.integers(0, 59)),
    max_size=60,
)


@given(ACTIONS)
def test_counters_and_clocks_agree_with_a_naive_model(actions: list[tuple[str, int]]) -> None:
    """The model: what was announced, in order, and what is in flight; nothing else."""
    groups = [transactions(10, organisation=bytes([i]) * 16) for i in range(3)]
    universe = [t for group in groups for first in group for t in (first, copy_of(first))]
    pool = Pool(1_000, SIZE_MAX)
    known: dict[bytes, Transaction] = {}
    flying: set[bytes] = set()

    def pending() -> dict[bytes, Transaction]:
        return {e: t for e, t in known.items() if e not in flying}

    for now, (action, number) in enumerate(actions):
        chosen = universe[number]
        if action == "add":
            pool.add((chosen,), now, nothing_known)
            if chosen.id not in {t.id for t in pending().values()}:
                known.setdefault(chosen.envelope, chosen)
        elif action == "take":
            flying |= set(take(pool, number % 7, now))
        elif action == "fly":
            pool.fly((chosen,), now)
            flying.add(chosen.envelope)
        elif action == "remove":
            pool.remove((chosen.envelope,), now)
            known.pop(chosen.envelope, None)
            flying.discard(chosen.envelope)
        else:
            pool.land(now, nothing_known)
            flying.clear()
            firsts: dict[bytes, Transaction] = {}
            for transaction in known.values():
                firsts.setdefault(transaction.id, transaction)
            known = {t.envelope: t for t in firsts.values()}
        waiting = pending()
        assert pool.pending == len(waiting)
        assert pool.pending_bytes == sum(t.size for t in waiting.values())
        assert (pool.oldest_since_ms() is None) == (not waiting)
        assert all((pool.get(t.envelope) is not None) == (t.envelope in known) for t in universe)
    left = take(pool, 1_000)
    assert sorted(left) == sorted(pending())
