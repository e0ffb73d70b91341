"""How people write values on the command line: amounts, days, rates, names of records.

Everything is parsed strictly; what cannot be read is a `UsageError` that shows the expected form.

    amounts      500000.00   in the currency's major unit, exact to its exponent
    days         2027-05-31
    rates        4.35%       per year; 0.05% per day for penalties
    ratios       80%         to the basis point
    organisations   the name of a wallet, or 32 hexadecimal digits
    records      OWNER/LABEL, the wallet that made it and the label it was given, or 32 hexadecimal digits
    lines        KIND:GRANTOR:OBLIGOR[:CUR], e.g. issue:bank-1:harbour-tours
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Final

from tallynet.errors import TallynetError

EXPONENTS: Final = {"CNY": 2, "EUR": 2, "USD": 2, "GBP": 2, "JPY": 0}
"""Exponents of the currencies the command line can read and print."""
_EPOCH: Final = date(1970, 1, 1)
_HEX_ID: Final = re.compile("[0-9a-f]{32}")


class UsageError(TallynetError):
    """The command line cannot be understood; exit code 2."""


def parse_amount(text: str, currency: str = "CNY") -> int:
    """`500000.00` -> 50000000 fen."""
    exponent = EXPONENTS.get(currency)
    if exponent is None:
        raise UsageError("USAGE", f"unknown currency {currency!r}; known: {', '.join(EXPONENTS)}")
    match = re.fullmatch(r"(-?)([0-9]{1,17})(?:\.([0-9]{1,6}))?", text)
    if match is None or len(match[3] or "") > exponent:
        raise UsageError(
            "USAGE", f"{text!r} is no amount; write it like 1234.50 ({exponent} decimals at most)"
        )
    units = int(match[2] + (match[3] or "").ljust(exponent, "0"))
    if match[1]:
        raise UsageError(
            "AMOUNT_RANGE", f"{text!r} is negative; amounts start at the smallest unit"
        )
    return units


def format_amount(units: int, currency: str = "CNY") -> str:
    """50000000 fen -> `500,000.00`."""
    exponent = EXPONENTS.get(currency, 2)
    major, minor = divmod(units, 10**exponent)
    return f"{major:,}" + (f".{minor:0{exponent}d}" if exponent else "")


def parse_day(text: str) -> int:
    """`2027-05-31` -> days since 1970-01-01."""
    try:
        return (date.fromisoformat(text) - _EPOCH).days
    except ValueError:
        raise UsageError("USAGE", f"{text!r} is no day; write it like 2027-05-31") from None


def format_day(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()


def _parse_percent(text: str, scale: int, example: str) -> int:
    match = re.fullmatch(r"([0-9]{1,4})(?:\.([0-9]{1,4}))?%", text)
    decimals = (match[2] or "") if match else ""
    if match is None or len(decimals) > scale:
        raise UsageError("USAGE", f"{text!r} is no percentage; write it like {example}")
    return int(match[1] + decimals.ljust(scale, "0"))


def parse_rate(text: str) -> int:
    """`4.35%` -> 43500 ppm."""
    return _parse_percent(text, 4, "4.35%")


def format_rate(ppm: int) -> str:
    whole, rest = divmod(ppm, 10_000)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + "%"


def parse_ratio(text: str) -> int:
    """`80%` -> 8000 bps."""
    return _parse_percent(text, 2, "80%")


def parse_hex_id(text: str) -> bytes | None:
    """The id if `text` is 32 hexadecimal digits, else None."""
    return bytes.fromhex(text) if _HEX_ID.fullmatch(text) else None
