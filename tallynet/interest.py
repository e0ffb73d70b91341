"""The discount of a single quote, in exact integers (voucher law §11): what nodes and both sides compute alike."""

from __future__ import annotations

from typing import Final

__all__ = ["PPM", "denominator", "half_up", "numerator"]

PPM: Final = 1_000_000


def denominator(basis: int) -> int:
    """Of interest in ppm per year of `basis` days."""
    return basis * PPM


def numerator(amount: int, rate_ppm: int, days: int) -> int:
    """Interest of `amount` before division by the denominator."""
    return amount * rate_ppm * days


def half_up(n: int, d: int) -> int:
    """n / d rounded half-up to the minor unit."""
    return (2 * n + d) // (2 * d)
