"""Chinese fully digitalised e-invoice (数电票): XML with the root `EInvoice`.

It is issued through the tax authority's platform, always in yuan, with a number of 20 digits and no
invoice code. It states neither due date nor delivery date nor prepayments, so all of it is payable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from xml.etree.ElementTree import Element

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
from tallynet.documents.values import amount_text, day_from_iso, decimal_text, shown

__all__ = ["ROOT", "read"]

ROOT: Final = "EInvoice"
_PREFIXES: Final = {"": ""}
_BASIC: Final = "EInvoiceData/BasicInformation"
_BLUE: Final = "Header/InherentLabel/InIssuType/LabelCode"
"""`Y` on an ordinary (blue, 蓝字) invoice, `N` on a red one (红字) that takes an invoice back."""
_NUMBER: Final = re.compile(r"[0-9]{20}")
_TIME: Final = re.compile(r"([^ T]*)(?:[ T][0-9]{2}:[0-9]{2}:[0-9]{2})?")
_NO_TAX: Final = "***"
"""What stands for the tax of exempt items (免税)."""


def read(element: Element, currencies: Mapping[str, int], source_sha256: bytes) -> Invoice:
    """The invoice under the root `element`. Raises InvoiceError as documented for the codes."""
    root = Node(element, ROOT, _PREFIXES)
    if root.text(_BLUE) == "N":
        raise InvoiceError("INVOICE_CREDIT_NOTE", "a red invoice (红字)", root.where_of(_BLUE))
    sums = Sums.of("CNY", ROOT, currencies)
    number = _number(root)
    issued = _issued(root)
    net = sums.required(root, f"{_BASIC}/TotalAmWithoutTax")
    tax = _tax(root, f"{_BASIC}/TotalTaxAm", sums)
    gross = sums.required(root, f"{_BASIC}/TotalTax-includedAmount")
    lines = _lines(root, sums, net, tax)
    sums.agree(net.units + tax.units, gross, "net and tax make")
    if gross.units < 0:
        raise InvoiceError(
            "INVOICE_CREDIT_NOTE",
            f"a red invoice (红字) over {amount_text(gross.units, sums.exponent)}",
            gross.where,
        )
    sums.positive(gross)
    seller = _party(root, "Seller")
    return Invoice(
        format=InvoiceFormat.EINVOICE,
        number=number,
        code="",
        issue_date=issued,
        due_date=None,
        delivery_date=None,
        currency=sums.currency,
        exponent=sums.exponent,
        seller=identified(seller, root.where_of("EInvoiceData/SellerInformation/SellerIdNum")),
        buyer=_party(root, "Buyer"),
        payee=None,
        order_reference=None,
        lines=lines,
        net_total=net.units,
        tax_total=tax.units,
        gross_total=gross.units,
        prepaid=0,
        payable=gross.units,
        source_sha256=source_sha256,
    )


def _number(root: Node) -> str:
    path = "TaxSupervisionInfo/InvoiceNumber"
    number = required_text(root, path, "INVOICE_NUMBER_MISSING", "no invoice number")
    if _NUMBER.fullmatch(number) is None:
        raise InvoiceError(
            "INVOICE_NUMBER_MALFORMED", f"{shown(number)} is not 20 digits", root.where_of(path)
        )
    return number


def _issued(root: Node) -> int:
    """`2026-03-31` or `2026-03-31 10:30:00`; the time of day does not matter."""
    path = "TaxSupervisionInfo/IssueTime"
    text = required_text(root, path, "INVOICE_DATE_MISSING", "no date of issue")
    match = _TIME.fullmatch(text)
    return day_from_iso(text if match is None else match.group(1), root.where_of(path))


def _tax(parent: Node, path: str, sums: Sums) -> Figure:
    if parent.text(path) == _NO_TAX:
        return Figure(0, parent.where_of(path))
    return sums.required(parent, path)


def _lines(root: Node, sums: Sums, net: Figure, tax: Figure) -> tuple[Line, ...]:
    """The items; their amounts and taxes add up to the totals, to the fen."""
    data = root.find("EInvoiceData")
    nodes = [] if data is None else data.children("IssuItemInformation")
    check_line_count(nodes, root.where_of("EInvoiceData/IssuItemInformation"))
    lines = tuple(_line(node, sums) for node in nodes)
    sums.agree(sum(line.net_amount for line in lines), net, "the items add up to")
    taxes = sum(
        0 if node.text("ComTaxAm") in ("", _NO_TAX) else sums.required(node, "ComTaxAm").units
        for node in nodes
    )
    sums.agree(taxes, tax, "the items' taxes add up to")
    return lines


def _line(node: Node, sums: Sums) -> Line:
    """Services and discount lines have neither quantity nor unit."""
    quantity = node.text("Quantity")
    return Line(
        description=required_text(node, "ItemName", "INVOICE_LINE_MISSING", "an item without name"),
        quantity=decimal_text(quantity, node.where_of("Quantity")) if quantity else "",
        unit=node.text("MeaUnits"),
        net_amount=sums.required(node, "Amount").units,
    )


def _party(root: Node, side: str) -> Party:
    """`side` is `Seller` or `Buyer`, which is also how its elements begin."""
    path = f"EInvoiceData/{side}Information"
    name = required_text(
        root, f"{path}/{side}Name", "INVOICE_PARTY_MISSING", f"the {side.lower()} has no name"
    )
    return Party(name=name, tax_id=root.text(f"{path}/{side}IdNum"), country="CN")
