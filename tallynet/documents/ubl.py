"""OASIS UBL 2.1 `Invoice`, as EN 16931 uses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from xml.etree.ElementTree import Element

from tallynet.documents.en16931 import (
    Totals,
    allowances_and_charges,
    check_currencies,
    check_type,
    tax_total,
)
from tallynet.documents.errors import InvoiceError
from tallynet.documents.hostile_xml import Node
from tallynet.documents.invoice import (
    Figure,
    Invoice,
    InvoiceFormat,
    Line,
    Party,
    Sums,
    check_line_count,
    identified,
    required_text,
)
from tallynet.documents.values import day_from_iso, decimal_text, shown

__all__ = ["CREDIT_NOTE_ROOT", "ROOT", "read"]

_SCHEMA: Final = "urn:oasis:names:specification:ubl:schema:xsd:"
ROOT: Final = f"{{{_SCHEMA}Invoice-2}}Invoice"
CREDIT_NOTE_ROOT: Final = f"{{{_SCHEMA}CreditNote-2}}CreditNote"
_PREFIXES: Final = {
    "cac": f"{_SCHEMA}CommonAggregateComponents-2",
    "cbc": f"{_SCHEMA}CommonBasicComponents-2",
}
_EXTENSIONS: Final = frozenset({f"{{{_SCHEMA}CommonExtensionComponents-2}}UBLExtensions"})
"""Foreign content by definition (signatures, national additions): never read."""

_TOTALS: Final = "cac:LegalMonetaryTotal"


def read(element: Element, currencies: Mapping[str, int], source_sha256: bytes) -> Invoice:
    """The invoice under the root `element`. Raises InvoiceError as documented for the codes."""
    root = Node(element, "Invoice", _PREFIXES)
    check_type(root.text("cbc:InvoiceTypeCode"), "Invoice/InvoiceTypeCode")
    number = required_text(root, "cbc:ID", "INVOICE_NUMBER_MISSING", "no invoice number")
    issued = required_text(root, "cbc:IssueDate", "INVOICE_DATE_MISSING", "no date of issue")
    place = "Invoice/DocumentCurrencyCode"
    sums = Sums.of(root.text("cbc:DocumentCurrencyCode"), place, currencies)
    tax, tax_parts = _tax(root, sums)
    lines = _lines(root, sums)
    totals = _totals(root, sums, lines, tax, tax_parts)
    seller = _party(root, "cac:AccountingSupplierParty/cac:Party", "seller")
    payee_path = "cac:PayeeParty"
    return Invoice(
        format=InvoiceFormat.UBL,
        number=number,
        code="",
        issue_date=day_from_iso(issued, "Invoice/IssueDate"),
        due_date=_day(root, "cbc:DueDate"),
        delivery_date=_day(root, "cac:Delivery/cbc:ActualDeliveryDate"),
        currency=sums.currency,
        exponent=sums.exponent,
        seller=identified(seller, "Invoice/AccountingSupplierParty/Party"),
        buyer=_party(root, "cac:AccountingCustomerParty/cac:Party", "buyer"),
        payee=None if root.find(payee_path) is None else _party(root, payee_path, "payee"),
        order_reference=root.text("cac:OrderReference/cbc:ID") or None,
        lines=lines,
        net_total=totals.net.units,
        tax_total=totals.tax.units,
        gross_total=totals.gross.units,
        prepaid=totals.prepaid.units,
        payable=totals.payable.units,
        source_sha256=source_sha256,
    )


def _day(root: Node, path: str) -> int | None:
    text = root.text(path)
    return day_from_iso(text, root.where_of(path)) if text else None


def _tax(root: Node, sums: Sums) -> tuple[Figure, tuple[int, ...]]:
    """The tax total and its parts by category; also refuses second currencies anywhere."""
    payment = root.text("cbc:PaymentCurrencyCode")
    if payment and payment != sums.currency:
        raise InvoiceError(
            "INVOICE_SECOND_CURRENCY",
            f"to be paid in {shown(payment)}, invoiced in {sums.currency}",
            root.where_of("cbc:PaymentCurrencyCode"),
        )
    amounts: list[tuple[Node, Node]] = []
    for container in root.children("cac:TaxTotal"):
        amount = container.find("cbc:TaxAmount")
        if amount is None:
            raise InvoiceError(
                "INVOICE_TOTAL_MISSING", "a tax total without amount", container.where
            )
        amounts.append((container, amount))
    own, books = tax_total(amounts, sums.currency, root.text("cbc:TaxCurrencyCode"))
    check_currencies(root, sums.currency, books, _EXTENSIONS)
    if own is None:
        return Figure(0, root.where_of("cac:TaxTotal/cbc:TaxAmount")), ()
    parts = tuple(
        sums.required(part, "cbc:TaxAmount").units for part in own[0].children("cac:TaxSubtotal")
    )
    return sums.figure(own[1]), parts


def _totals(
    root: Node, sums: Sums, lines: tuple[Line, ...], tax: Figure, tax_parts: tuple[int, ...]
) -> Totals:
    allowances, charges = allowances_and_charges(
        root.children("cac:AllowanceCharge"), "cbc:ChargeIndicator", "cbc:Amount", sums
    )
    totals = Totals(
        lines=sums.required(root, f"{_TOTALS}/cbc:LineExtensionAmount"),
        allowances=sums.optional(root, f"{_TOTALS}/cbc:AllowanceTotalAmount", allowances),
        charges=sums.optional(root, f"{_TOTALS}/cbc:ChargeTotalAmount", charges),
        net=sums.required(root, f"{_TOTALS}/cbc:TaxExclusiveAmount"),
        tax=tax,
        tax_parts=tax_parts,
        gross=sums.required(root, f"{_TOTALS}/cbc:TaxInclusiveAmount"),
        prepaid=sums.optional(root, f"{_TOTALS}/cbc:PrepaidAmount"),
        rounding=sums.optional(root, f"{_TOTALS}/cbc:PayableRoundingAmount"),
        payable=sums.required(root, f"{_TOTALS}/cbc:PayableAmount"),
    )
    totals.check(sums, lines, allowances, charges)
    return totals


def _lines(root: Node, sums: Sums) -> tuple[Line, ...]:
    nodes = root.children("cac:InvoiceLine")
    check_line_count(nodes, root.where_of("cac:InvoiceLine"))
    return tuple(_line(node, sums) for node in nodes)


def _line(node: Node, sums: Sums) -> Line:
    quantity = required_text(
        node, "cbc:InvoicedQuantity", "INVOICE_LINE_MISSING", "a line without quantity"
    )
    place = node.find("cbc:InvoicedQuantity")
    return Line(
        description=required_text(
            node, "cac:Item/cbc:Name", "INVOICE_LINE_MISSING", "a line without description"
        ),
        quantity=decimal_text(quantity, node.where_of("cbc:InvoicedQuantity")),
        unit="" if place is None else place.attribute("unitCode"),
        net_amount=sums.required(node, "cbc:LineExtensionAmount").units,
    )


def _party(root: Node, path: str, role: str) -> Party:
    """Registered name (BT-27, BT-44) before trading name; ids as in `_tax_id`."""
    node = root.find(path)
    if node is None:
        raise InvoiceError("INVOICE_PARTY_MISSING", f"no {role}", root.where_of(path))
    name = node.text("cac:PartyLegalEntity/cbc:RegistrationName") or node.text(
        "cac:PartyName/cbc:Name"
    )
    if not name:
        raise InvoiceError("INVOICE_PARTY_MISSING", f"the {role} has no name", node.where)
    return Party(
        name=name,
        tax_id=_tax_id(node),
        country=node.text("cac:PostalAddress/cac:Country/cbc:IdentificationCode"),
    )


def _tax_id(node: Node) -> str:
    """VAT number, else another tax number, else the company register's number, else a single id.

    Raises:
        InvoiceError: INVOICE_ELEMENT_REPEATED for two different numbers of one kind.
    """
    vat: dict[str, None] = {}
    other: dict[str, None] = {}
    for scheme in node.children("cac:PartyTaxScheme"):
        number = scheme.text("cbc:CompanyID")
        if number:
            kind = vat if scheme.text("cac:TaxScheme/cbc:ID").upper() == "VAT" else other
            kind[number] = None
    for numbers in (vat, other):
        if len(numbers) > 1:
            raise InvoiceError(
                "INVOICE_ELEMENT_REPEATED",
                "two different tax ids",
                node.where_of("cac:PartyTaxScheme"),
            )
        if numbers:
            return next(iter(numbers))
    registered = node.text("cac:PartyLegalEntity/cbc:CompanyID")
    if registered:
        return registered
    known = node.children("cac:PartyIdentification")
    return known[0].text("cbc:ID") if len(known) == 1 else ""
