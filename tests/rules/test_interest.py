"""Interest arithmetic: every vector of voucher law §11, and what must hold for all values (I16)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.ledger import interest as i

DEN = 360 * 1_000_000


@pytest.mark.parametrize(
    ("amount", "rate", "days", "basis", "discount", "remainder"),
    [
        (100, 43_500, 90, 360, 1, 31_500_000),
        (10_000, 43_500, 90, 360, 108, 270_000_000),
        (50_000_000, 43_500, 90, 360, 543_750, 0),
        (50_000_000, 43_500, 90, 365, 536_301, 135_000_000),
    ],
)
def test_discount_vectors(
    amount: int, rate: int, days: int, basis: int, discount: int, remainder: int
) -> None:
    n = i.numerator(amount, rate, days)
    assert i.carried_discount(n, 0, basis) == (discount, remainder)


def test_half_up_vectors() -> None:
    assert i.half_up(i.numerator(10_000, 43_500, 90), DEN) == 109
    assert i.half_up(i.numerator(100_000_000, 26_200, 75), DEN) == 545_833


def test_ten_thousand_draws_of_one_yuan_cost_what_one_draw_costs() -> None:
    n = i.numerator(100, 25_000, 30)
    assert i.half_up(n, DEN) == 0
    assert i.carried_discount(i.numerator(1_000_000, 25_000, 30), 0, 360)[0] == 2_083
    total = remainder = 0
    for _ in range(10_000):
        discount, remainder = i.carried_discount(n, remainder, 360)
        total += discount
    assert (total, remainder) == (2_083, 120_000_000)


def test_ten_draws_and_undoing_the_fifth() -> None:
    n = i.numerator(100, 25_000, 30)
    discounts, remainder = [], 0
    for _ in range(10):
        discount, remainder = i.carried_discount(n, remainder, 360)
        discounts.append(discount)
    assert discounts == [0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    assert remainder == 30_000_000
    assert i.undo_discount(n, 1, remainder, 360) == 315_000_000


def test_loan_bills_never_drift() -> None:
    accrued, bills = 0, []
    for days in (31, 28, 31):
        accrued += i.numerator(100_000_000, 34_500, days)
        interest, accrued = i.bill(accrued, 360)
        bills.append(interest)
    assert bills == [297_083, 268_334, 297_083]
    assert sum(bills) == 862_500


def test_pro_rata_vectors() -> None:
    assert i.pro_rata(7, [10, 10, 10]) == [3, 2, 2]
    assert i.pro_rata(1, [5, 5]) == [1, 0]
    assert i.pro_rata(100, [1, 2, 4]) == [14, 29, 57]


def test_fee_and_split_vectors() -> None:
    assert i.platform_fee(50_000_000, 5, 0, 0) == 25_000
    assert i.reduced_fee(25_000, 3_333) == 16_668
    assert i.split(108_750, 3_333) == (36_246, 72_504)
    assert i.platform_fee(99, 5, 7, 100) == 0


@given(st.lists(st.integers(1, 10**17 - 1), min_size=1, max_size=30), st.integers(0, 10**6))
def test_I16_sum_of_numerators_is_denominator_times_discounts_plus_remainder(
    amounts: list[int], rate: int
) -> None:
    total = numerators = remainder = 0
    for amount in amounts:
        n = i.numerator(amount, rate, 91)
        discount, remainder = i.carried_discount(n, remainder, 360)
        total, numerators = total + discount, numerators + n
    assert numerators == DEN * total + remainder
    assert 0 <= remainder < DEN
    assert total == i.carried_discount(numerators, 0, 360)[0]


@given(st.integers(0, 10**18), st.lists(st.integers(1, 10**17), min_size=1, max_size=40))
def test_pro_rata_gives_out_everything_and_nobody_more_than_one_above_his_share(
    amount: int, weights: list[int]
) -> None:
    shares = i.pro_rata(amount, weights)
    assert sum(shares) == amount
    for share, weight in zip(shares, weights, strict=True):
        assert 0 <= share - amount * weight // sum(weights) <= 1
