"""UN/CEFACT Cross Industry Invoice (D16B), as EN 16931 uses it."""

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
from tallynet.documents.values import day_from_compact, decimal_text, shown

__all__ = ["ROOT", "read"]

_STANDARD: Final = "urn:un:unece:uncefact:data:standard:"
ROOT: Final = f"{{{_STANDARD}CrossIndustryInvoice:100}}CrossIndustryInvoice"
_PREFIXES: Final = {
    "rsm": f"{_STANDARD}CrossIndustryInvoice:100",
    "ram": f"{_STANDARD}ReusableAggregateBusinessInformationEntity:100",
    "udt": f"{_STANDARD}UnqualifiedDataType:100",
}
_TRADE: Final = "rsm:SupplyChainTradeTransaction"
_AGREEMENT: Final = f"{_TRADE}/ram:ApplicableHeaderTradeAgreement"
_DELIVERY: Final = f"{_TRADE}/ram:ApplicableHeaderTradeDelivery"
_SETTLEMENT: Final = f"{_TRADE}/ram:ApplicableHeaderTradeSettlement"
_SUMMATION: Final = f"{_SETTLEMENT}/ram:SpecifiedTradeSettlementHeaderMonetarySummation"
_DELIVERED: Final = f"{_DELIVERY}/ram:ActualDeliverySupplyChainEvent/ram:OccurrenceDateTime"


def read(element: Element, currencies: Mapping[str, int], source_sha256: bytes) -> Invoice:
    """The invoice under the root `element`. Raises InvoiceError as documented for the codes."""
    root = Node(element, "CrossIndustryInvoice", _PREFIXES)
    type_path, number_path = "rsm:ExchangedDocument/ram:TypeCode", "rsm:ExchangedDocument/ram:ID"
    check_type(root.text(type_path), root.where_of(type_path))
    number = required_text(root, number_path, "INVOICE_NUMBER_MISSING", "no invoice number")
    issued = _day(root, "rsm:ExchangedDocument/ram:IssueDateTime")
    if issued is None:
        place = root.where_of("rsm:ExchangedDocument/ram:IssueDateTime")
        raise InvoiceError("INVOICE_DATE_MISSING", "no date of issue", place)
    currency_path = f"{_SETTLEMENT}/ram:InvoiceCurrencyCode"
    sums = Sums.of(root.text(currency_path), root.where_of(currency_path), currencies)
    tax, tax_parts = _tax(root, sums)
    lines = _lines(root, sums)
    totals = _totals(root, sums, lines, tax, tax_parts)
    seller_path, payee_path = (
        f"{_AGREEMENT}/ram:SellerTradeParty",
        f"{_SETTLEMENT}/ram:PayeeTradeParty",
    )
    return Invoice(
        format=InvoiceFormat.CII,
        number=number,
        code="",
        issue_date=issued,
        due_date=_due(root),
        delivery_date=_day(root, _DELIVERED),
        currency=sums.currency,
        exponent=sums.exponent,
        seller=identified(_party(root, seller_path, "seller"), root.where_of(seller_path)),
        buyer=_party(root, f"{_AGREEMENT}/ram:BuyerTradeParty", "buyer"),
        payee=None if root.find(payee_path) is None else _party(root, payee_path, "payee"),
        order_reference=root.text(
            f"{_AGREEMENT}/ram:BuyerOrderReferencedDocument/ram:IssuerAssignedID"
        )
        or None,
        lines=lines,
        net_total=totals.net.units,
        tax_total=totals.tax.units,
        gross_total=totals.gross.units,
        prepaid=totals.prepaid.units,
        payable=totals.payable.units,
        source_sha256=source_sha256,
    )


def _day(parent: Node, path: str) -> int | None:
    """The day at `path`, a date in format 102 (YYYYMMDD)."""
    node = parent.find(f"{path}/udt:DateTimeString")
    text = "" if node is None else node.own_text()
    if node is None or not text:
        return None
    form = node.attribute("format")
    if form != "102":
        raise InvoiceError(
            "INVOICE_DATE_MALFORMED", f"date format {shown(form)} is not 102 (YYYYMMDD)", node.where
        )
    return day_from_compact(text, node.where)


def _due(root: Node) -> int | None:
    """The one due day. Instalments are refused: a voucher promises one day."""
    settlement = root.find(_SETTLEMENT)
    if settlement is None:
        return None
    days: dict[int, None] = {}
    for terms in settlement.children("ram:SpecifiedTradePaymentTerms"):
        day = _day(terms, "ram:DueDateDateTime")
        if day is not None:
            days[day] = None
    if len(days) > 1:
        raise InvoiceError(
            "INVOICE_ELEMENT_REPEATED",
            "several due dates",
            settlement.where_of("ram:SpecifiedTradePaymentTerms/ram:DueDateDateTime"),
        )
    return next(iter(days), None)


def _tax(root: Node, sums: Sums) -> tuple[Figure, tuple[int, ...]]:
    """The tax total and its parts by category; also refuses second currencies anywhere."""
    summation, settlement = root.find(_SUMMATION), root.find(_SETTLEMENT)
    if summation is None or settlement is None:
        raise InvoiceError("INVOICE_TOTAL_MISSING", "no totals", root.where_of(_SUMMATION))
    amounts = [(node, node) for node in summation.children("ram:TaxTotalAmount")]
    accounting = root.text(f"{_SETTLEMENT}/ram:TaxCurrencyCode")
    own, books = tax_total(amounts, sums.currency, accounting)
    check_currencies(root, sums.currency, books)
    if own is None:
        return Figure(0, summation.where_of("ram:TaxTotalAmount")), ()
    parts = tuple(
        sums.required(part, "ram:CalculatedAmount").units
        for part in settlement.children("ram:ApplicableTradeTax")
    )
    return sums.figure(own[1]), parts


def _totals(
    root: Node, sums: Sums, lines: tuple[Line, ...], tax: Figure, tax_parts: tuple[int, ...]
) -> Totals:
    settlement = root.find(_SETTLEMENT)
    entries = [] if settlement is None else settlement.children("ram:SpecifiedTradeAllowanceCharge")
    allowances, charges = allowances_and_charges(
        entries, "ram:ChargeIndicator/udt:Indicator", "ram:ActualAmount", sums
    )
    totals = Totals(
        lines=sums.required(root, f"{_SUMMATION}/ram:LineTotalAmount"),
        allowances=sums.optional(root, f"{_SUMMATION}/ram:AllowanceTotalAmount", allowances),
        charges=sums.optional(root, f"{_SUMMATION}/ram:ChargeTotalAmount", charges),
        net=sums.required(root, f"{_SUMMATION}/ram:TaxBasisTotalAmount"),
        tax=tax,
        tax_parts=tax_parts,
        gross=sums.required(root, f"{_SUMMATION}/ram:GrandTotalAmount"),
        prepaid=sums.optional(root, f"{_SUMMATION}/ram:TotalPrepaidAmount"),
        rounding=sums.optional(root, f"{_SUMMATION}/ram:RoundingAmount"),
        payable=sums.required(root, f"{_SUMMATION}/ram:DuePayableAmount"),
    )
    totals.check(sums, lines, allowances, charges)
    return totals


def _lines(root: Node, sums: Sums) -> tuple[Line, ...]:
    trade = root.find(_TRADE)
    nodes = [] if trade is None else trade.children("ram:IncludedSupplyChainTradeLineItem")
    check_line_count(nodes, root.where_of(f"{_TRADE}/ram:IncludedSupplyChainTradeLineItem"))
    return tuple(_line(node, sums) for node in nodes)


def _line(node: Node, sums: Sums) -> Line:
    quantity_path = "ram:SpecifiedLineTradeDelivery/ram:BilledQuantity"
    quantity = required_text(node, quantity_path, "INVOICE_LINE_MISSING", "a line without quantity")
    place = node.find(quantity_path)
    return Line(
        description=required_text(
            node,
            "ram:SpecifiedTradeProduct/ram:Name",
            "INVOICE_LINE_MISSING",
            "a line without description",
        ),
        quantity=decimal_text(quantity, node.where_of(quantity_path)),
        unit="" if place is None else place.attribute("unitCode"),
        net_amount=sums.required(
            node,
            "ram:SpecifiedLineTradeSettlement"
            "/ram:SpecifiedTradeSettlementLineMonetarySummation/ram:LineTotalAmount",
        ).units,
    )


def _party(root: Node, path: str, role: str) -> Party:
    node = root.find(path)
    if node is None:
        raise InvoiceError("INVOICE_PARTY_MISSING", f"no {role}", root.where_of(path))
    name = node.text("ram:Name")
    if not name:
        raise InvoiceError(
            "INVOICE_PARTY_MISSING", f"the {role} has no name", node.where_of("ram:Name")
        )
    return Party(
        name=name,
        tax_id=_tax_id(node),
        country=node.text("ram:PostalTradeAddress/ram:CountryID"),
    )


def _tax_id(node: Node) -> str:
    """VAT number (scheme VA), else tax number (FC), else the register's number, else a single id.

    Raises:
        InvoiceError: INVOICE_ELEMENT_REPEATED for two different numbers of one scheme.
    """
    numbers: dict[str, str] = {}
    for registration in node.children("ram:SpecifiedTaxRegistration"):
        identifier = registration.find("ram:ID")
        text = "" if identifier is None else identifier.own_text()
        if identifier is None or not text:
            continue
        scheme = identifier.attribute("schemeID")
        if numbers.setdefault(scheme, text) != text:
            raise InvoiceError(
                "INVOICE_ELEMENT_REPEATED", "two different tax ids", identifier.where
            )
    for scheme in ("VA", "FC"):
        if scheme in numbers:
            return numbers[scheme]
    registered = node.text("ram:SpecifiedLegalOrganization/ram:ID")
    if registered:
        return registered
    for name in ("ram:ID", "ram:GlobalID"):
        known = node.children(name)
        if len(known) == 1:
            return known[0].own_text()
    return ""
