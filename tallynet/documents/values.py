"""Text of an invoice turned into exact values: minor units, decimals, days.

Amounts follow the lexical form of `xs:decimal` in ASCII digits: optional sign, digits, optional
point. There is no exponent, no grouping, no comma, no full-width digit, and the length is bounded
before any number is built, so that no text costs more than its own length. No floats anywhere.
"""

from __future__ import annotations

import datetime
import re
from typing import Final

from tallynet.documents.errors import InvoiceError
from tallynet.fields import AMOUNT_MAX

__all__ = ["amount_text", "day_from_iso", "day_from_compact", "decimal_text", "minor_units"]

DECIMAL_CHARACTERS_MAX: Final = 40
"""Room for 17 digits of amount or quantity and 20 decimals; unit prices with more are not read."""

DAY_MAX: Final = 200_000
"""The network's last day, in the year 2517 (`tallynet.fields.Day`)."""

_DECIMAL: Final = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?")
_ISO_DAY: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_COMPACT_DAY: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_EPOCH: Final = datetime.date(1970, 1, 1).toordinal()


def _split(text: str, code: str, where: str) -> tuple[bool, str, str]:
    """Whether negative, the digits before and the digits after the point."""
    match = _DECIMAL.fullmatch(text) if len(text) <= DECIMAL_CHARACTERS_MAX else None
    if match is None:
        raise InvoiceError(code, f"{shown(text)} is not a decimal number", where)
    sign, whole, fraction = match.group(1), match.group(2), match.group(3) or ""
    if not whole and not fraction:
        raise InvoiceError(code, f"{shown(text)} has no digits", where)
    return sign == "-", whole, fraction


def minor_units(text: str, exponent: int, where: str) -> int:
    """The amount in minor units, negative allowed; `exponent` is the currency's (CNY 2, JPY 0).

    Zeros beyond the exponent are harmless and common in exports, other digits are refused.

    Raises:
        InvoiceError: INVOICE_AMOUNT_MALFORMED, INVOICE_AMOUNT_TOO_LARGE.
    """
    negative, whole, fraction = _split(text, "INVOICE_AMOUNT_MALFORMED", where)
    if fraction[exponent:].strip("0"):
        raise InvoiceError(
            "INVOICE_AMOUNT_MALFORMED",
            f"{shown(text)} has more than the currency's {exponent} decimals",
            where,
        )
    units = int(f"0{whole}{fraction[:exponent].ljust(exponent, '0')}")
    if units > AMOUNT_MAX:
        raise InvoiceError("INVOICE_AMOUNT_TOO_LARGE", f"{shown(text)} is too large", where)
    return -units if negative else units


def decimal_text(text: str, where: str) -> str:
    """The canonical form of a quantity: no leading or trailing zeros, no `+`, no `-0`.

    Raises:
        InvoiceError: INVOICE_QUANTITY_MALFORMED.
    """
    negative, whole, fraction = _split(text, "INVOICE_QUANTITY_MALFORMED", where)
    whole, fraction = whole.lstrip("0") or "0", fraction.rstrip("0")
    number = f"{whole}.{fraction}" if fraction else whole
    return f"-{number}" if negative and number != "0" else number


def amount_text(units: int, exponent: int) -> str:
    """Minor units as people write them: `amount_text(-123, 2)` is `-1.23`."""
    digits = str(abs(units)).rjust(exponent + 1, "0")
    sign = "-" if units < 0 else ""
    return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}" if exponent else f"{sign}{digits}"


def _day(match: re.Match[str] | None, text: str, form: str, where: str) -> int:
    if match is None:
        raise InvoiceError("INVOICE_DATE_MALFORMED", f"{shown(text)} is not {form}", where)
    try:
        date = datetime.date(int(match.group(1)), int(match.group(2)), int(match.group(3)))
    except ValueError:
        raise InvoiceError(
            "INVOICE_DATE_MALFORMED", f"{shown(text)} is no day of the calendar", where
        ) from None
    day = date.toordinal() - _EPOCH
    if not 0 <= day <= DAY_MAX:
        raise InvoiceError("INVOICE_DATE_MALFORMED", f"{text} is before 1970 or after 2517", where)
    return day


def day_from_iso(text: str, where: str) -> int:
    """Days since 1970-01-01 of `2026-03-31`.

    Raises:
        InvoiceError: INVOICE_DATE_MALFORMED.
    """
    return _day(_ISO_DAY.fullmatch(text), text, "a date like 2026-03-31", where)


def day_from_compact(text: str, where: str) -> int:
    """Days since 1970-01-01 of `20260331`, format 102 of the Cross Industry Invoice.

    Raises:
        InvoiceError: INVOICE_DATE_MALFORMED.
    """
    return _day(_COMPACT_DAY.fullmatch(text), text, "a date like 20260331", where)


def shown(text: str) -> str:
    """Foreign text made fit for a message: quoted, escaped, cut."""
    return ascii(
        text if len(text) <= DECIMAL_CHARACTERS_MAX else text[:DECIMAL_CHARACTERS_MAX] + "..."
    )
