"""Assignment notices as ISO 20022 tsin.008.001.01, invoice assignment notification. No I/O.

The buyer of ranges tells their debtor whom it owes from now on (notice to the debtor, Civil Code art. 546). One
list per seller; an item is one purchase. Organisations are named as in payment files (`tools.bank.pain001`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from tools.arguments import format_amount, format_day
from tools.bank.pain001 import SCHEME, Party, add_text, serialise

NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:tsin.008.001.01"
NAME_MAX: Final = 35
"""Characters of a party's name (Max35Text)."""
ITEMS_MAX: Final = 1_000
"""In one file: its reader is a person as often as a program."""
NOTICE: Final = (
    "The claims listed here were assigned. At maturity pay as before, through the clearing bank of the voucher:"
    " the ledger pays whom it names as holder then."
)


@dataclass(frozen=True, slots=True)
class Purchase:
    """A range that its holder bought in one act."""

    voucher: bytes
    start: int
    end: int
    currency: str
    seller: Party
    issued: int
    """Day of the voucher's issue."""
    bought: int
    """Day; of ranges that were joined, the latest."""
    maturity: int
    """Day."""

    @property
    def amount(self) -> int:
        """Face, minor units."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Notice:
    """A file to one debtor."""

    message: str
    """At most 32 characters."""
    day: int
    buyer: Party
    debtor: Party
    purchases: Sequence[Purchase]
    """At least one, at most ITEMS_MAX."""


def write(notice: Notice) -> bytes:
    """The file, UTF-8."""
    root = Element("Document", xmlns=NAMESPACE)
    body = SubElement(root, "InvcAssgnmtNtfctn")
    purchases = sorted(
        notice.purchases, key=lambda p: (p.seller.id, p.currency, p.voucher, p.start)
    )
    sellers = {p.seller.id: p.seller for p in purchases}
    marks = {id: f"seller-{number}" for number, id in enumerate(sellers, 1)}
    _letter(body, notice, [(marks[id], seller) for id, seller in sellers.items()])
    lists = [list(group) for _, group in groupby(purchases, lambda p: (p.seller.id, p.currency))]
    for number, group in enumerate(lists, 1):
        _list(body, notice, f"{notice.message}-{number}", marks[group[0].seller.id], group)
    add_text(body, "NtfctnCnt", str(len(lists)))
    add_text(body, "ItmCnt", str(len(purchases)))
    return serialise(root)


def _letter(body: Element, notice: Notice, sellers: Sequence[tuple[str, Party]]) -> None:
    header = SubElement(body, "Hdr")
    letter = SubElement(header, "LttrIdr")
    add_text(letter, "Id", notice.message)
    add_text(letter, "ElctrncOrgnl", "true")
    add_text(header, "Dt", format_day(notice.day))
    _party(header, "Orgtr", "buyer", notice.buyer)
    _party(header, "PmryRcpt", "debtor", notice.debtor)
    _party(header, "AuthstnUsr", "sender", notice.buyer)
    for mark, seller in sellers:
        _party(header, "OthrPty", mark, seller)
    add_text(header, "Ntce", NOTICE)


def _party(parent: Element, tag: str, mark: str, party: Party) -> None:
    element = SubElement(parent, tag)
    add_text(element, "Id", mark)
    trade = SubElement(SubElement(SubElement(element, "Pty"), "BasePty"), "PtyId")
    other = SubElement(SubElement(SubElement(trade, "Id"), "OrgId"), "Othr")
    add_text(other, "Id", party.id.hex())
    add_text(SubElement(other, "SchmeNm"), "Prtry", SCHEME)
    add_text(trade, "Nm", party.name[:NAME_MAX])


def _list(
    body: Element, notice: Notice, id: str, seller: str, purchases: Sequence[Purchase]
) -> None:
    element = SubElement(body, "NtfctnList")
    add_text(element, "Idr", id)
    add_text(element, "IsseDt", format_day(notice.day))
    add_text(element, "Assgne", "buyer")
    add_text(element, "Assgnr", seller)
    parties = SubElement(element, "NtfctnInf")
    add_text(parties, "NtifngPty", "buyer")
    add_text(parties, "NtfctnRcvr", "debtor")
    for purchase in purchases:
        _item(element, purchase)
    add_text(element, "ItmCnt", str(len(purchases)))
    total = sum(purchase.amount for purchase in purchases)
    _amount(element, "TtlReqAmt", total, purchases[0].currency)


def _item(parent: Element, purchase: Purchase) -> None:
    item = SubElement(parent, "FinItm")
    context = SubElement(item, "ItmCntxt")
    add_text(context, "Idr", purchase.voucher.hex())
    add_text(context, "IsseDt", format_day(purchase.issued))
    add_text(context, "Ccy", purchase.currency)
    add_text(item, "CdtDbtInd", "DBIT")
    totals = SubElement(item, "TtlAmt")
    # A voucher promises money, whatever tax the invoices behind it hold.
    _amount(totals, "TtlTaxblAmt", purchase.amount, purchase.currency)
    _amount(totals, "TtlTaxAmt", 0, purchase.currency)
    _amount(totals, "TtlInvcAmt", purchase.amount, purchase.currency)
    add_text(totals, "PmtDueDt", format_day(purchase.maturity))
    _amount(item, "DueAmt", purchase.amount, purchase.currency)
    where = f"fen {purchase.start} to {purchase.end} of voucher {purchase.voucher.hex()}"
    add_text(item, "AddtlInf", f"{where}, bought {format_day(purchase.bought)}")


def _amount(parent: Element, tag: str, amount: int, currency: str) -> None:
    element = add_text(parent, tag, format_amount(amount, currency).replace(",", ""))
    element.set("Ccy", currency)
