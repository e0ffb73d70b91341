"""Amounts, quantities and days: exact, strict, bounded."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallynet.documents import InvoiceError
from tallynet.documents.values import (
    amount_text,
    day_from_compact,
    day_from_iso,
    decimal_text,
    minor_units,
)
from tallynet.fields import AMOUNT_MAX


@pytest.mark.parametrize(
    ("text", "exponent", "units"),
    [
        ("0", 2, 0),
        ("-0", 2, 0),
        ("1", 2, 100),
        ("+1.5", 2, 150),
        ("-109.98", 2, -10998),
        (".05", 2, 5),
        ("5.", 2, 500),
        ("0012.300000", 2, 1230),
        ("7.000", 0, 7),
        ("999999999999999.99", 2, AMOUNT_MAX),
    ],
)
def test_amount_in_minor_units(text: str, exponent: int, units: int) -> None:
    assert minor_units(text, exponent, "") == units


@pytest.mark.parametrize(
    "text",
    ["", "+", ".", "-.", "1,00", "1.000,00", "1 000", "1_000", "1e3", "1E3", "0x1", "NaN", "INF",
     "--1", "1.2.3", "１", "٣", "1\n", " 1", "¥1", "1.001", "9" * 41],
)  # fmt: skip
def test_amount_malformed(text: str) -> None:
    with pytest.raises(InvoiceError) as caught:
        minor_units(text, 2, "here")
    assert (caught.value.code, caught.value.where) == ("INVOICE_AMOUNT_MALFORMED", "here")


def test_amount_too_large_by_one_fen() -> None:
    with pytest.raises(InvoiceError) as caught:
        minor_units("1000000000000000.00", 2, "")
    assert caught.value.code == "INVOICE_AMOUNT_TOO_LARGE"


@given(st.integers(-AMOUNT_MAX, AMOUNT_MAX), st.integers(0, 4))
def test_amount_text_reads_back(units: int, exponent: int) -> None:
    assert minor_units(amount_text(units, exponent), exponent, "") == units
    assert Decimal(amount_text(units, exponent)) == Decimal(units).scaleb(-exponent)


@given(st.from_regex(r"\A[+-]?[0-9]{1,15}(\.[0-9]{0,15})?\Z"))
def test_quantity_is_canonical_and_equal(text: str) -> None:
    canonical = decimal_text(text, "")
    assert Decimal(canonical) == Decimal(text)
    assert decimal_text(canonical, "") == canonical
    assert canonical == "0" or not canonical.endswith((".", "-0", "+"))
    if "." in canonical:
        assert not canonical.endswith("0")


@given(st.dates(datetime.date(1970, 1, 1), datetime.date(2500, 1, 1)))
def test_days_count_from_1970(date: datetime.date) -> None:
    days = (date - datetime.date(1970, 1, 1)).days
    assert day_from_iso(date.isoformat(), "") == days
    assert day_from_compact(date.strftime("%Y%m%d").zfill(8), "") == days


@pytest.mark.parametrize(
    "text",
    ["2027-2-3", "2027-02-29", "2027-00-01", "2027-13-01", "0000-01-01", "1969-12-31", "9999-01-01",
     "2027-03-05Z", "2027-03-05+08:00", "20270305", "2027/03/05", "２０２７-03-05", ""],
)  # fmt: skip
def test_day_malformed(text: str) -> None:
    with pytest.raises(InvoiceError) as caught:
        day_from_iso(text, "")
    assert caught.value.code == "INVOICE_DATE_MALFORMED"
