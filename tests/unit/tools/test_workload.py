"""The shares that are drawn are the law's (voucher law §18), within what a fixed seed may miss by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import sqrt
from random import Random
from statistics import mean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallynet.records import Purpose
from tools.workload import distributions as d
from tools.workload.acts import COMMANDS, MIX, ActKind, acts, life
from tools.workload.distributions import Outcome
from tools.workload.lots import Held, Lots

DRAWS = 20_000


def shares(drawn: Counter[object]) -> dict[object, float]:
    """Percent."""
    return {key: 100 * count / drawn.total() for key, count in drawn.items()}


def test_face_is_lognormal_with_the_laws_median_and_mean() -> None:
    random = Random(1)
    faces = [d.face(random) for _ in range(DRAWS)]
    assert median(faces) == pytest.approx(d.FACE_MEDIAN, rel=0.03)
    assert mean(faces) == pytest.approx(432_000_00, rel=0.1)
    assert min(faces) == d.FACE_MIN
    assert max(faces) <= d.FACE_MAX


def test_suppliers_of_a_core_are_30_to_900_and_half_of_the_cores_have_100() -> None:
    random = Random(1)
    counts = [d.suppliers(random) for _ in range(DRAWS)]
    assert median(counts) == pytest.approx(100, abs=4)
    assert (min(counts), max(counts)) == (30, 900)


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (d.tenor, {30: 15, 60: 35, 90: 30, 180: 20}),
        (d.depth, {0: 45, 1: 30, 2: 15, 3: 7, 4: 3}),
    ],
)
def test_tenors_and_depths(draw: Callable[[Random], int], expected: dict[int, int]) -> None:
    random = Random(1)
    drawn = shares(Counter(draw(random) for _ in range(DRAWS)))
    assert drawn == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(("tier", "expected"), [(0, 3), (1, 2), (2, 1.3), (7, 1.3)])
def test_pieces_of_a_transfer_by_tier(tier: int, expected: float) -> None:
    random = Random(1)
    drawn = [d.pieces(random, tier) for _ in range(DRAWS)]
    assert mean(drawn) == pytest.approx(expected, rel=0.03)
    assert min(drawn) == 1


def test_ordinary_draws_take_whole_lots_parts_and_now_and_then_a_little() -> None:
    random, lot = Random(1), 10**12
    drawn = [d.drawn_amount(random, lot) for _ in range(DRAWS)]
    assert 100 * drawn.count(lot) / DRAWS == pytest.approx(70, abs=1)
    small = [amount for amount in drawn if amount <= d.SMALL_MAX]
    assert 100 * len(small) / DRAWS == pytest.approx(5, abs=0.5)
    assert min(small) >= d.SMALL_MIN
    parts = [amount for amount in drawn if d.SMALL_MAX < amount < lot]
    assert min(parts) >= lot * 5 // 100
    assert max(parts) <= lot * 95 // 100


def test_purposes_of_small_shops() -> None:
    random = Random(1)
    drawn = shares(Counter(d.small_purpose(random) for _ in range(DRAWS)))
    assert 50 <= drawn[Purpose.PAYROLL] <= 60
    assert 20 <= drawn[Purpose.RENT] <= 40


@pytest.mark.parametrize(
    ("one", "percent"),
    [
        (Outcome.CLAIM_REFUSED, 1.5), (Outcome.TRANSFER_DECLINED, 1), (Outcome.PAYOUT_FAILED, 0.5),
        (Outcome.OVERDUE, 1), (Outcome.PARTIAL_PAYMENT, 0.5), (Outcome.DOUBLE_FINANCED, 0.2),
        (Outcome.DISPUTED, 0.3), (Outcome.FROZEN, 0.02),
    ],
)  # fmt: skip
def test_outcomes(one: Outcome, percent: float) -> None:
    random, draws = Random(1), 10 * DRAWS
    drawn = [d.outcome(random, *d.OUTCOMES) for _ in range(draws)]
    error = 10 * sqrt(percent / draws)  # one standard deviation, percent
    assert 100 * drawn.count(one) / draws == pytest.approx(percent, abs=3 * error)


def test_the_mix_of_100_commands() -> None:
    commands: Counter[object] = Counter()
    for act in acts(1, DRAWS * 5):
        commands[act.kind] += COMMANDS[act.kind]  # type: ignore[assignment]  # may be a share
    assert sum(MIX.values()) == 100
    assert commands.total() == pytest.approx(DRAWS * 5, abs=3)
    assert shares(commands) == pytest.approx(MIX, abs=0.7)


def test_a_transfer_has_0_6_accepts() -> None:
    """Transfers from first payees and from later tiers, in the shares that final depths leave room for."""
    random = Random(1)
    accepts, transfers = 0, 0
    for _ in range(DRAWS):
        one = life(random)
        for tier in range(one.depth):
            transfers += 1
            accepts += d.pieces(random, tier) if one.explicit else 0
    assert accepts / transfers == pytest.approx(0.6, abs=0.05)
    assert COMMANDS[ActKind.TRANSFER] == 1.6


def test_one_seed_one_stream() -> None:
    assert list(acts(7, 500)) == list(acts(7, 500))
    assert list(acts(7, 500)) != list(acts(8, 500))


# --- lots -------------------------------------------------------------------------------------------


def test_equal_neighbours_join_and_others_do_not() -> None:
    lots = Lots("a", 100)
    (lot,) = lots.all()
    first, second = lots.carve(lot, 30), lots.carve(lot, 20)
    assert (first, second) == (Held(70, 100, "a", 0), Held(50, 70, "a", 0))
    lots.give(Held(70, 100, "b", 1))
    lots.give(Held(50, 70, "b", 2))
    assert [x.start for x in lots.all()] == [0, 50, 70]
    lots.carve(lots.all()[1], 20)
    lots.give(second)
    assert lots.all() == [Held(0, 70, "a", 0), Held(70, 100, "b", 1)]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 50), st.sampled_from("abc"))))
def test_held_ranges_tile_the_face_whatever_is_passed_on(
    moves: list[tuple[int, int, str]],
) -> None:
    lots = Lots("a", 1_000)
    for place, amount, receiver in moves:
        held = lots.all()
        lot = held[place % len(held)]
        part = lots.carve(lot, min(amount, lot.length))
        lots.give(Held(part.start, part.end, receiver, lot.hops + 1))
    starts = [lot.start for lot in lots.all()]
    assert starts == [0, *(lot.end for lot in lots.all()[:-1])]
    assert lots.all()[-1].end == 1_000
