"""The distributions of the voucher law §18. Every function draws from the generator that it is given."""

from __future__ import annotations

import math
from enum import Enum, auto
from itertools import accumulate
from random import Random
from typing import Final

from tallynet.records import Purpose

YUAN: Final = 100
"""Fen."""
FACE_MEDIAN: Final = 120_000 * YUAN
FACE_SIGMA: Final = 1.6
FACE_MIN, FACE_MAX = 1_000 * YUAN, 10**9 * YUAN

SUPPLIERS_MIN, SUPPLIERS_MAX = 30, 900
SUPPLIERS_EXPONENT: Final = 1.365
"""Gives the law's median of 100."""

TENORS: Final = {30: 15, 60: 35, 90: 30, 180: 20}
"""Days, percent."""
DEPTHS: Final = {0: 45, 1: 30, 2: 15, 3: 7, 4: 3}
"""Hops that a voucher makes in the end, percent; 4 stands for four and more."""
PIECES_MEAN: Final = (3.0, 2.0, 1.3)
"""Receivers of a transfer by the sender's tier: of the first payee, of the next, of all others."""
EXPLICIT_PERCENT: Final = 24
"""Vouchers whose receivers accept each piece: with the pieces above 0.6 accepts for each transfer."""

SMALL_MIN, SMALL_MAX = 1 * YUAN, 1_000 * YUAN
"""A small draw."""
SMALL_PURPOSES: Final = {Purpose.PAYROLL: 55, Purpose.RENT: 30, Purpose.GOODS: 15}
"""What a small shop draws for, percent."""


DRAW_WHOLE, DRAW_PART, DRAW_SMALL = 70, 25, 5
"""Ordinary draws by how much of a lot they take, percent; a part is 5 to 95 % of it."""
PART_BPS: Final = (500, 9_500)


class Outcome(Enum):
    """What becomes of an act."""

    DONE = auto()
    CLAIM_REFUSED = auto()
    TRANSFER_DECLINED = auto()
    DISPUTED = auto()
    FROZEN = auto()
    PAYOUT_FAILED = auto()
    OVERDUE = auto()
    PARTIAL_PAYMENT = auto()
    DOUBLE_FINANCED = auto()


OUTCOMES: Final = {
    Outcome.CLAIM_REFUSED: 150, Outcome.TRANSFER_DECLINED: 100, Outcome.DISPUTED: 30,
    Outcome.FROZEN: 2, Outcome.PAYOUT_FAILED: 50, Outcome.OVERDUE: 100,
    Outcome.PARTIAL_PAYMENT: 50, Outcome.DOUBLE_FINANCED: 20,
}  # fmt: skip
"""Acts of 10,000 that can end so."""


_SUPPLIER_COUNTS: Final = range(SUPPLIERS_MIN, SUPPLIERS_MAX + 1)
_SUPPLIER_WEIGHTS: Final = tuple(accumulate(n**-SUPPLIERS_EXPONENT for n in _SUPPLIER_COUNTS))


def face(random: Random) -> int:
    """Face of a voucher, fen."""
    drawn = random.lognormvariate(math.log(FACE_MEDIAN), FACE_SIGMA)
    return int(min(max(drawn, FACE_MIN), FACE_MAX))


def suppliers(random: Random) -> int:
    """Suppliers of one core."""
    return random.choices(_SUPPLIER_COUNTS, cum_weights=_SUPPLIER_WEIGHTS)[0]


def tenor(random: Random) -> int:
    """Days from issue to maturity."""
    return random.choices(tuple(TENORS), tuple(TENORS.values()))[0]


def depth(random: Random) -> int:
    """Hops that a voucher makes in the end."""
    return random.choices(tuple(DEPTHS), tuple(DEPTHS.values()))[0]


def pieces(random: Random, tier: int) -> int:
    """Receivers of one transfer: 1 and a geometric number of more."""
    stop = 1 / PIECES_MEAN[min(tier, len(PIECES_MEAN) - 1)]
    found = 1
    while random.random() >= stop:
        found += 1
    return found


def small_amount(random: Random) -> int:
    """A small draw, fen."""
    return random.randint(SMALL_MIN, SMALL_MAX)


def small_purpose(random: Random) -> Purpose:
    """What a small shop draws for."""
    return random.choices(tuple(SMALL_PURPOSES), tuple(SMALL_PURPOSES.values()))[0]


def drawn_amount(random: Random, lot: int) -> int:
    """An ordinary draw from a lot of so many fen."""
    percent = random.randrange(100)
    if percent < DRAW_WHOLE:
        return lot
    if percent < DRAW_WHOLE + DRAW_PART:
        return max(1, lot * random.randint(*PART_BPS) // 10_000)
    return min(lot, small_amount(random))


def outcome(random: Random, *possible: Outcome) -> Outcome:
    """One of the possible outcomes, or that it is done."""
    left = random.randrange(10_000)
    for one in possible:
        if left < OUTCOMES[one]:
            return one
        left -= OUTCOMES[one]
    return Outcome.DONE
