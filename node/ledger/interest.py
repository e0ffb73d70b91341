"""Interest arithmetic in exact integers (voucher law §11). Pure functions, no state.

Amounts are minor units, rates ppm per year, basis 360 or 365 days; `denominator = basis x 10^6`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tallynet.interest import PPM, denominator, half_up, numerator

__all__ = [
    "BPS", "PPM", "bill", "carried_discount", "denominator", "half_up", "numerator", "platform_fee",
    "pro_rata", "reduced_fee", "split", "undo_discount",
]  # fmt: skip

BPS: Final = 10_000


def carried_discount(n: int, remainder: int, basis: int) -> tuple[int, int]:
    """(discount, new remainder) of a draw under an offer: the sum over many draws is that of one."""
    total = n + remainder
    discount = max(0, total // denominator(basis))
    return discount, total - discount * denominator(basis)


def undo_discount(n: int, discount: int, remainder: int, basis: int) -> int:
    """The remainder after a draw with this discount failed: `r := r - (n - discount x den)`."""
    return remainder - (n - discount * denominator(basis))


def bill(accrued: int, basis: int) -> tuple[int, int]:
    """(interest, rest) of a loan's accrued numerator: half-up, the possibly negative rest stays, so
    that bills never drift."""
    interest = half_up(accrued, denominator(basis))
    return interest, accrued - interest * denominator(basis)


def platform_fee(base: int, bps: int, minimum: int, free_below: int) -> int:
    """`max(minimum, ceil(base x bps / 10000))`, zero below `free_below`."""
    if base < free_below:
        return 0
    return max(minimum, -(-base * bps // BPS))


def reduced_fee(fee: int, bps: int) -> int:
    """A waiver that reduces by `bps`."""
    return fee - fee * bps // BPS


def split(amount: int, bps: int) -> tuple[int, int]:
    """(debtor's share, drawer's share) of an interest or fee."""
    share = amount * bps // BPS
    return share, amount - share


def pro_rata(amount: int, weights: Sequence[int]) -> list[int]:
    """Shares by weight: floor, leftover units to the largest remainders, ties to the earlier entry."""
    total = sum(weights)
    if total == 0:
        return [0] * len(weights)
    shares = [amount * weight // total for weight in weights]
    left = amount - sum(shares)
    order = sorted(range(len(weights)), key=lambda i: (-(amount * weights[i] % total), i))
    for i in order[:left]:
        shares[i] += 1
    return shares
