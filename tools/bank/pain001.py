"""Payments as ISO 20022 pain.001.001.09, customer credit transfer initiation. No I/O.

One payment information block per currency and execution date. Organisations are named by their ledger ids, under
the scheme name TALLYNET, and by the wallets' names where there are such; names are not on the chain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from tools.arguments import format_amount, format_day

NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
SCHEME: Final = "TALLYNET"
PAYMENTS_MAX: Final = 10_000
"""In one file: about 12 MB. What is over waits for the next file."""
TEXT_MAX: Final = 140
"""Characters of a line of remittance information, and of a name (Max140Text)."""
SUM_DIGITS_MAX: Final = 18
"""Of a control sum (DecimalNumber)."""
_IBAN: Final = re.compile("[A-Z]{2}[0-9]{2}[A-Z0-9]{1,30}")


@dataclass(frozen=True, slots=True)
class Party:
    id: bytes
    """Of the ledger."""
    name: str
    """Of a wallet here, or the id."""


@dataclass(frozen=True, slots=True)
class Payment:
    """One credit transfer."""

    reference: str
    """End-to-end id."""
    instruction: bytes
    payer: Party
    payee: Party
    account: str | None
    """Number, or the ledger's id of the account where the number is not known. None: the ledger names none."""
    account_bank: Party | None
    amount: int
    """Minor units."""
    currency: str
    execution: int
    """Day."""
    purpose: str
    remittance: str


@dataclass(frozen=True, slots=True)
class Initiation:
    """A file of payments of one bank."""

    message: str
    """Message id: at most 25 characters, so that there is room for the number of a block."""
    created: str
    """ISO date and time."""
    bank: Party
    debits: Mapping[str, str]
    """Currency -> the account that the bank pays from."""
    payments: Sequence[Payment]
    """At most PAYMENTS_MAX, and for each currency there is an account."""


def write(initiation: Initiation) -> bytes:
    """The file, UTF-8."""
    payments = sorted(initiation.payments, key=_block)
    root = Element("Document", xmlns=NAMESPACE)
    body = SubElement(root, "CstmrCdtTrfInitn")
    header = SubElement(body, "GrpHdr")
    add_text(header, "MsgId", initiation.message)
    add_text(header, "CreDtTm", initiation.created)
    _totals(header, payments)
    _party(header, "InitgPty", initiation.bank)
    for number, (_, group) in enumerate(groupby(payments, _block), 1):
        _information(body, initiation, number, list(group))
    return serialise(root)


def _block(payment: Payment) -> tuple[str, int]:
    return payment.currency, payment.execution


def _information(
    body: Element, initiation: Initiation, number: int, payments: Sequence[Payment]
) -> None:
    currency, execution = _block(payments[0])
    block = SubElement(body, "PmtInf")
    add_text(block, "PmtInfId", f"{initiation.message}-{number}")
    add_text(block, "PmtMtd", "TRF")
    add_text(block, "BtchBookg", "false")
    _totals(block, payments)
    add_text(SubElement(block, "ReqdExctnDt"), "Dt", format_day(execution))
    _party(block, "Dbtr", initiation.bank)
    account = SubElement(block, "DbtrAcct")
    _account(account, initiation.debits[currency])
    add_text(account, "Ccy", currency)
    _agent(block, "DbtrAgt", initiation.bank)
    for payment in payments:
        _transfer(block, initiation.bank, payment)


def _transfer(block: Element, bank: Party, payment: Payment) -> None:
    transfer = SubElement(block, "CdtTrfTxInf")
    add_text(SubElement(transfer, "PmtId"), "EndToEndId", payment.reference)
    amount = add_text(SubElement(transfer, "Amt"), "InstdAmt", plain_amount(payment))
    amount.set("Ccy", payment.currency)
    if payment.payer.id != bank.id:
        _party(transfer, "UltmtDbtr", payment.payer)
    if payment.account_bank is not None:
        _agent(transfer, "CdtrAgt", payment.account_bank)
    _party(transfer, "Cdtr", payment.payee)
    if payment.account is not None:
        _account(SubElement(transfer, "CdtrAcct"), payment.account)
    add_text(SubElement(transfer, "Purp"), "Prtry", payment.purpose)
    add_text(SubElement(transfer, "RmtInf"), "Ustrd", payment.remittance[:TEXT_MAX])


def plain_amount(payment: Payment) -> str:
    """In major units, without separators: 1234.50."""
    return format_amount(payment.amount, payment.currency).replace(",", "")


def _totals(parent: Element, payments: Sequence[Payment]) -> None:
    """Number and control sum, which adds up amounts whatever their currency; left out where the standard has no
    room for it."""
    add_text(parent, "NbOfTxs", str(len(payments)))
    total = _sum([plain_amount(payment) for payment in payments])
    if len(total.replace(".", "")) <= SUM_DIGITS_MAX:
        add_text(parent, "CtrlSum", total)


def _sum(amounts: Sequence[str]) -> str:
    """Exact, whatever the number of decimals."""
    places = max((len(amount.partition(".")[2]) for amount in amounts), default=0)
    total = 0
    for amount in amounts:
        whole, _, decimals = amount.partition(".")
        total += int(whole + decimals.ljust(places, "0"))
    whole, rest = divmod(total, 10**places)
    return f"{whole}.{rest:0{places}d}" if places else str(whole)


def _party(parent: Element, tag: str, party: Party) -> None:
    element = SubElement(parent, tag)
    add_text(element, "Nm", party.name[:TEXT_MAX])
    _other(SubElement(SubElement(element, "Id"), "OrgId"), party.id.hex())


def _agent(parent: Element, tag: str, bank: Party) -> None:
    institution = SubElement(SubElement(parent, tag), "FinInstnId")
    add_text(institution, "Nm", bank.name[:TEXT_MAX])
    _other(institution, bank.id.hex())


def _account(parent: Element, number: str) -> None:
    identification = SubElement(parent, "Id")
    if is_iban(number):
        add_text(identification, "IBAN", number)
    else:
        add_text(SubElement(identification, "Othr"), "Id", number)


def _other(parent: Element, id: str) -> None:
    other = SubElement(parent, "Othr")
    add_text(other, "Id", id)
    add_text(SubElement(other, "SchmeNm"), "Prtry", SCHEME)


def serialise(root: Element) -> bytes:
    """A file of this root, UTF-8, indented."""
    indent(root)
    content: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def add_text(parent: Element, tag: str, text: str) -> Element:
    """A child that holds nothing but this text."""
    element = SubElement(parent, tag)
    element.text = text
    return element


def is_iban(text: str) -> bool:
    """Whether a number is an IBAN with right check digits (ISO 13616)."""
    if _IBAN.fullmatch(text) is None:
        return False
    digits = "".join(str(int(character, 36)) for character in text[4:] + text[:4])
    return int(digits) % 97 == 1
