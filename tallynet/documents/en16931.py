"""What UBL and the Cross Industry Invoice share: the rules of the European standard EN 16931.

Type codes are UNTDID 1001. Totals follow the standard's rules BR-CO-10 to BR-CO-16, exactly: the
standard leaves no rounding tolerance between stated totals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from tallynet.documents.errors import InvoiceError
from tallynet.documents.hostile_xml import Node
from tallynet.documents.invoice import Figure, Line, Sums
from tallynet.documents.values import shown

__all__ = ["Totals", "allowances_and_charges", "check_currencies", "check_type", "tax_total"]

INVOICE_TYPES: Final = frozenset(
    {"82", "326", "380", "383", "386", "388", "389", "395", "780", "875", "876", "877"}
)
"""Documents that state a claim. Not among them: 325 pro forma, 384 correction (what it corrects may
back a voucher already), 393 factored (the claim is sold), 751 for the books only."""

CREDIT_NOTE_TYPES: Final = frozenset(
    {"81", "83", "261", "262", "296", "308", "381", "396", "420", "458", "502", "503", "532"}
)


def check_type(code: str, where: str) -> None:
    """Raises InvoiceError: INVOICE_CREDIT_NOTE, INVOICE_TYPE_UNSUPPORTED."""
    if code in CREDIT_NOTE_TYPES:
        raise InvoiceError("INVOICE_CREDIT_NOTE", f"type code {code} is a credit note", where)
    if code not in INVOICE_TYPES:
        what = f"type code {shown(code)} does not state a claim" if code else "no type code"
        raise InvoiceError("INVOICE_TYPE_UNSUPPORTED", what, where)


def check_currencies(
    root: Node, currency: str, accounting: Element | None, skip: frozenset[str] = frozenset()
) -> None:
    """Every amount is in the document's currency, except inside the `accounting` tax total.

    Raises:
        InvoiceError: INVOICE_SECOND_CURRENCY.
    """
    exempt = set() if accounting is None else set(accounting.iter())
    for node in root.descendants(skip):
        stated = node.element.get("currencyID")
        if stated is not None and stated != currency and node.element not in exempt:
            raise InvoiceError(
                "INVOICE_SECOND_CURRENCY",
                f"the amount is in {shown(stated)}, the invoice in {currency}",
                node.where,
            )


def tax_total(
    totals: Sequence[tuple[Node, Node]], currency: str, accounting_currency: str
) -> tuple[tuple[Node, Node] | None, Element | None]:
    """Which of the tax totals (container, amount) counts, and which only repeats it for the books.

    EN 16931 allows two: one in the document's currency (BT-110) and one in the accounting currency
    (BT-111). The second is no money anybody owes here; it is not read. `currencyID` may be absent
    in the Cross Industry Invoice and then means the document's currency.

    Raises:
        InvoiceError: INVOICE_SECOND_CURRENCY, INVOICE_ELEMENT_REPEATED.
    """
    own: tuple[Node, Node] | None = None
    books: Element | None = None
    for container, amount in totals:
        stated = amount.element.get("currencyID", currency)
        if stated == currency:
            if own is not None:
                raise InvoiceError(
                    "INVOICE_ELEMENT_REPEATED", f"two tax totals in {currency}", amount.where
                )
            own = (container, amount)
        elif stated == accounting_currency:
            if books is not None:
                raise InvoiceError(
                    "INVOICE_ELEMENT_REPEATED", f"two tax totals in {stated}", amount.where
                )
            books = container.element
        else:
            raise InvoiceError(
                "INVOICE_SECOND_CURRENCY",
                f"a tax total is in {shown(stated)}, which is not the accounting currency",
                amount.where,
            )
    return own, books


def allowances_and_charges(
    nodes: Sequence[Node], indicator: str, amount: str, sums: Sums
) -> tuple[int, int]:
    """What the document's own allowances and its charges add up to.

    Raises:
        InvoiceError: INVOICE_ELEMENT_MALFORMED for an indicator that is no `xs:boolean`,
            INVOICE_TOTAL_MISSING for one without an amount.
    """
    allowances = charges = 0
    for node in nodes:
        text = node.text(indicator)
        units = sums.required(node, amount).units
        if text in ("true", "1"):
            charges += units
        elif text in ("false", "0"):
            allowances += units
        else:
            raise InvoiceError(
                "INVOICE_ELEMENT_MALFORMED",
                f"{shown(text)} says neither allowance (false) nor charge (true)",
                node.where_of(indicator),
            )
    return allowances, charges


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The figures of one invoice, as stated."""

    lines: Figure
    allowances: Figure
    charges: Figure
    net: Figure
    tax: Figure
    tax_parts: tuple[int, ...]
    gross: Figure
    prepaid: Figure
    rounding: Figure
    payable: Figure

    def check(self, sums: Sums, lines: Sequence[Line], allowances: int, charges: int) -> None:
        """Every sum of the standard, from the lines to the amount due.

        Raises:
            InvoiceError: INVOICE_TOTALS_DISAGREE, INVOICE_PAYABLE_NOT_POSITIVE.
        """
        sums.agree(sum(line.net_amount for line in lines), self.lines, "the lines add up to")
        sums.agree(allowances, self.allowances, "the allowances add up to")
        sums.agree(charges, self.charges, "the charges add up to")
        net = self.lines.units - self.allowances.units + self.charges.units
        sums.agree(net, self.net, "lines less allowances plus charges make")
        if self.tax_parts:
            sums.agree(sum(self.tax_parts), self.tax, "the taxes by category add up to")
        sums.agree(self.net.units + self.tax.units, self.gross, "net and tax make")
        payable = self.gross.units - self.prepaid.units + self.rounding.units
        sums.agree(payable, self.payable, "gross less prepaid plus rounding makes")
        sums.positive(self.payable)
