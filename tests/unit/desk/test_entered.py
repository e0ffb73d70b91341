"""What people enter is read exactly, or refused by the name of its field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.desk.entered import Entered, FieldError
from node.web.shown import amount, day, rate
from tallynet.fields import AMOUNT_MAX
from tallynet.records import Purpose

NAMES = {b"h" * 16: "harbour-tours"}


def entered(text: str) -> Entered:
    return Entered({"x": text}, NAMES)


@given(st.integers(1, AMOUNT_MAX), st.sampled_from(["CNY", "JPY"]))
def test_an_amount_is_read_as_pages_write_it(units: int, currency: str) -> None:
    assert entered(f" {amount(units, currency)} ").amount("x", currency) == units


@given(st.integers(1, 200_000))
def test_a_day_is_read_as_pages_write_it(number: int) -> None:
    assert entered(day(number)).day("x") == number


@given(st.integers(0, 999_999))
def test_a_rate_is_read_as_pages_write_it(ppm: int) -> None:
    assert entered(rate(ppm)).rate("x") == ppm


def test_an_organisation_has_a_name_or_an_id() -> None:
    assert entered("harbour-tours").organisation("x") == b"h" * 16
    assert entered("00" * 16).organisation("x") == bytes(16)
    with pytest.raises(FieldError, match="x"):
        Entered({"x": "twice"}, {b"1" * 16: "twice", b"2" * 16: "twice"}).organisation("x")
    assert entered("PAYROLL").word("x", Purpose) is Purpose.PAYROLL
    assert Entered({"x." + "00" * 16: "yes"}, {}).ids("x") == ["00" * 16]


@pytest.mark.parametrize(
    ("text", "read", "code"),
    [
        ("", lambda e: e.text("x"), "FIELD_MISSING"),
        ("0", lambda e: e.amount("x", "CNY"), "FIELD_AMOUNT"),
        ("0.00", lambda e: e.amount("x", "CNY"), "FIELD_AMOUNT"),
        ("-1", lambda e: e.amount("x", "CNY"), "FIELD_AMOUNT"),
        ("1.005", lambda e: e.amount("x", "CNY"), "FIELD_AMOUNT"),
        ("1,50", lambda e: e.amount("x", "CNY"), "FIELD_AMOUNT"),
        ("20000,50", lambda e: e.amount("x", "CNY"), "FIELD_AMOUNT"),
        ("1,2345.00", lambda e: e.amount("x", "CNY"), "FIELD_AMOUNT"),
        (",500", lambda e: e.amount("x", "CNY"), "FIELD_AMOUNT"),
        ("1.5", lambda e: e.amount("x", "JPY"), "FIELD_AMOUNT"),
        ("1e3", lambda e: e.amount("x", "CNY"), "FIELD_AMOUNT"),
        ("٣", lambda e: e.amount("x", "CNY"), "FIELD_AMOUNT"),
        ("9" * 17, lambda e: e.amount("x", "CNY"), "FIELD_AMOUNT"),
        ("31.5.2027", lambda e: e.day("x"), "FIELD_DAY"),
        ("4,35", lambda e: e.rate("x"), "FIELD_RATE"),
        ("harbour", lambda e: e.organisation("x"), "FIELD_NAME"),
        ("AB" * 16, lambda e: e.id("x"), "FIELD_CHOICE"),
        ("-1", lambda e: e.number("x"), "FIELD_CHOICE"),
        ("payroll", lambda e: e.word("x", Purpose), "FIELD_CHOICE"),
        ("a" * 201, lambda e: e.text("x"), "FIELD_LONG"),
    ],
)
def test_what_cannot_be_read_names_its_field(text: str, read: object, code: str) -> None:
    assert callable(read)
    with pytest.raises(FieldError) as wrong:
        read(entered(text))
    assert (wrong.value.code, wrong.value.field) == (code, "x")
