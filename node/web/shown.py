"""Values as people read them: amounts, days, times, rates, ids."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final

__all__ = ["EPOCH", "EXPONENTS", "amount", "day", "heading", "rate", "seconds", "short", "time"]

EXPONENTS: Final = {"JPY": 0, "KRW": 0, "VND": 0}
"""Digits after the point, where they are not two (ISO 4217)."""
SHORT_DIGITS: Final = 8
"""Of an id where it is not what is looked at: enough to tell a few dozen apart."""
EPOCH: Final = date(1970, 1, 1)


def amount(units: int, currency: str) -> str:
    """123456 -> `1,234.56`; exact, whatever the size."""
    exponent = EXPONENTS.get(currency, 2)
    major, minor = divmod(abs(units), 10**exponent)
    sign = "-" if units < 0 else ""
    return f"{sign}{major:,}" + (f".{minor:0{exponent}d}" if exponent else "")


def day(number: int) -> str:
    """Days since 1970-01-01 -> `2027-05-31`; 0, which stands for no day, is a dash."""
    return (EPOCH + timedelta(days=number)).isoformat() if number else "–"


def time(milliseconds: int) -> str:
    """Unix milliseconds -> `2027-05-31T08:00:00Z`."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(unix: int) -> str:
    """Unix seconds, as `time`; what lies beyond the calendar stands for ever."""
    return time(unix * 1000) if unix < 2**37 else "∞"


def rate(ppm: int) -> str:
    """43500 -> `4.35 %`."""
    whole, rest = divmod(ppm, 10_000)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + " %"


def short(id: bytes) -> str:
    """The first digits of an id."""
    return id.hex()[:SHORT_DIGITS]


def heading(words: str) -> str:
    """`pass on` -> `Pass on`."""
    return words[:1].upper() + words[1:]
