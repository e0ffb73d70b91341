"""Values on the command line are read strictly."""

import pytest

from tools.arguments import (
    UsageError,
    format_amount,
    format_day,
    format_rate,
    parse_amount,
    parse_day,
    parse_rate,
    parse_ratio,
)


@pytest.mark.parametrize(
    ("text", "units"),
    [("0.01", 1), ("1", 100), ("500000.00", 50_000_000), ("0", 0), ("12.3", 1230)],
)
def test_amounts_are_exact(text: str, units: int) -> None:
    assert parse_amount(text) == units


@pytest.mark.parametrize(
    "text", ["", "1.234", "1,000.00", "1e5", " 1", "１００", "1.", ".5", "1_0"]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write it like"):
        parse_amount(text)


def test_a_negative_amount_has_its_own_code() -> None:
    with pytest.raises(UsageError) as caught:
        parse_amount("-1.00")
    assert caught.value.code == "AMOUNT_RANGE"


def test_an_unknown_currency_is_named() -> None:
    with pytest.raises(UsageError, match="XYZ"):
        parse_amount("1.00", "XYZ")


def test_printing_reverses_reading() -> None:
    assert format_amount(50_000_001) == "500,000.01"
    assert format_amount(7, "JPY") == "7"
    assert format_day(parse_day("2027-05-31")) == "2027-05-31"
    assert format_rate(parse_rate("4.35%")) == "4.35%"


def test_rates_and_ratios() -> None:
    assert parse_rate("4.35%") == 43_500
    assert parse_rate("0.05%") == 500
    assert parse_ratio("80%") == 8_000
    with pytest.raises(UsageError):
        parse_ratio("80.123%")
    with pytest.raises(UsageError):
        parse_day("31.05.2027")
