"""What every invoice says, whatever format it came in, and the sums that must hold in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from tallynet.documents.errors import InvoiceError
from tallynet.documents.hostile_xml import Node
from tallynet.documents.values import amount_text, minor_units, shown

__all__ = ["CURRENCIES", "Figure", "Invoice", "InvoiceFormat", "Line", "Party", "Sums"]

CURRENCIES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "CNY": 2, "CHF": 2, "CZK": 2, "DKK": 2, "EUR": 2, "GBP": 2, "HKD": 2, "HUF": 2, "JPY": 0,
        "NOK": 2, "PLN": 2, "RON": 2, "SEK": 2, "SGD": 2, "USD": 2,
    }
)  # fmt: skip
"""ISO 4217 exponents for reading. What may be issued is the network's parameter `currencies`."""

LINES_MAX: Final = 10_000
"""A month of a large store's orders; keeps the sealed field map below 2^16 leaves."""

_CURRENCY: Final = re.compile(r"[A-Z]{3}")


class InvoiceFormat(StrEnum):
    UBL = "UBL 2.1"
    CII = "CII D16B"
    EINVOICE = "EInvoice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A seller, buyer or payee as the invoice names it; empty strings where it says nothing."""

    name: str
    tax_id: str
    country: str
    """ISO 3166-1 alpha-2, as written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One item delivered."""

    description: str
    quantity: str
    """Canonical decimal text (`1.5`, `-2`); empty where the format allows none."""
    unit: str
    net_amount: int
    """Minor units, without tax; negative for discounts and returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """An invoice that adds up. Amounts are minor units of `currency`, days count from 1970-01-01.

    Only `read_invoice` makes one, after every check.
    """

    format: InvoiceFormat
    number: str
    code: str
    """Invoice code of older Chinese invoices; empty in all formats read here."""
    issue_date: int
    due_date: int | None
    delivery_date: int | None
    """As stated; never derived from other dates."""
    currency: str
    exponent: int
    """Decimals of `currency`."""
    seller: Party
    buyer: Party
    payee: Party | None
    """Named when somebody other than the seller is to be paid: the claim may be assigned already."""
    order_reference: str | None
    lines: tuple[Line, ...]
    net_total: int
    tax_total: int
    gross_total: int
    prepaid: int
    payable: int
    """What is still owed; the most that a voucher may promise on it."""
    source_sha256: bytes
    """SHA-256 of the file."""


@dataclass(frozen=True, slots=True)
class Figure:
    """An amount with the place where the invoice states it."""

    units: int
    where: str


@dataclass(frozen=True, slots=True)
class Sums:
    """Comparison of what an invoice states with what its parts make, in its own currency."""

    currency: str
    exponent: int

    @classmethod
    def of(cls, code: str, where: str, currencies: Mapping[str, int]) -> Sums:
        """Raises InvoiceError: INVOICE_CURRENCY_MISSING, INVOICE_CURRENCY_UNKNOWN."""
        if not code:
            raise InvoiceError("INVOICE_CURRENCY_MISSING", "no document currency", where)
        if _CURRENCY.fullmatch(code) is None or code not in currencies:
            raise InvoiceError("INVOICE_CURRENCY_UNKNOWN", f"unknown currency {shown(code)}", where)
        return cls(code, currencies[code])

    def figure(self, node: Node) -> Figure:
        """The amount in `node`."""
        return Figure(minor_units(node.own_text(), self.exponent, node.where), node.where)

    def required(self, parent: Node, path: str) -> Figure:
        """The amount at `path`.

        Raises:
            InvoiceError: INVOICE_TOTAL_MISSING when it is absent or empty.
        """
        node = parent.find(path)
        if node is None or not node.own_text():
            raise InvoiceError(
                "INVOICE_TOTAL_MISSING", "the invoice does not state it", parent.where_of(path)
            )
        return self.figure(node)

    def optional(self, parent: Node, path: str, default: int = 0) -> Figure:
        """The amount at `path`, or `default` when the element is absent or empty."""
        node = parent.find(path)
        if node is None or not node.own_text():
            return Figure(default, parent.where_of(path))
        return self.figure(node)

    def agree(self, computed: int, stated: Figure, meaning: str) -> None:
        """Raises InvoiceError: INVOICE_TOTALS_DISAGREE unless both are the same."""
        if computed != stated.units:
            raise InvoiceError(
                "INVOICE_TOTALS_DISAGREE",
                f"{meaning} {amount_text(computed, self.exponent)},"
                f" but {amount_text(stated.units, self.exponent)} is stated",
                stated.where,
            )

    def positive(self, payable: Figure) -> None:
        """Raises InvoiceError: INVOICE_PAYABLE_NOT_POSITIVE."""
        if payable.units <= 0:
            raise InvoiceError(
                "INVOICE_PAYABLE_NOT_POSITIVE",
                f"the amount due is {amount_text(payable.units, self.exponent)}",
                payable.where,
            )


def check_line_count(lines: list[Node], where: str) -> None:
    """Raises InvoiceError: INVOICE_LINE_MISSING, INVOICE_TOO_COMPLEX."""
    if not lines:
        raise InvoiceError("INVOICE_LINE_MISSING", "the invoice has no lines", where)
    if len(lines) > LINES_MAX:
        raise InvoiceError("INVOICE_TOO_COMPLEX", f"{len(lines)} lines, at most {LINES_MAX}", where)


def required_text(parent: Node, path: str, code: str, problem: str) -> str:
    """The text at `path`; refused with `code` when it is absent or empty."""
    text = parent.text(path)
    if not text:
        raise InvoiceError(code, problem, parent.where_of(path))
    return text


def identified(seller: Party, where: str) -> Party:
    """The seller, which must have an id: the uniqueness tag is made of it (voucher law §16.5).

    Raises:
        InvoiceError: INVOICE_SELLER_UNIDENTIFIED.
    """
    if not seller.tax_id:
        raise InvoiceError(
            "INVOICE_SELLER_UNIDENTIFIED", "the seller has neither tax id nor registration", where
        )
    return seller
