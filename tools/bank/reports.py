"""What a bank's payment system says of payments: pain.002, camt.054 and camt.053 files into rows. No I/O.

The files are read as invoices are: no document type, no entity, nothing external, bounded. Names of elements are
those of all versions from pain.002.001.03 and camt.053/054.001.02 on, where an amount of one transaction among several
stands in `AmtDtls` in the old and in `Amt` in the new ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from tallynet.documents.errors import INVOICE_REMEDIES, InvoiceError
from tallynet.documents.hostile_xml import Node, local_name, parse
from tools.arguments import EXPONENTS, UsageError, parse_day

BYTES_MAX: Final = 16 * 1024 * 1024
"""10,000 entries of about 1.5 kB."""
ELEMENTS_MAX: Final = 600_000
"""10,000 entries of 60 elements, as banks write them; about 250 MiB while it is read."""
_NAMESPACE: Final = re.compile(
    r"urn:iso:std:iso:20022:tech:xsd:(pain\.002|camt\.053|camt\.054)\.001\.([0-9]{2})"
)
_OLDEST: Final = {"pain.002": 3, "camt.053": 2, "camt.054": 2}
_AMOUNT: Final = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,5}))?")
_ACCEPTED: Final = frozenset({"ACCP", "ACFC", "ACSP", "ACTC", "ACWC", "ACWP", "PDNG", "RCVD"})
_SETTLED: Final = frozenset({"ACCC", "ACSC"})


class Said(StrEnum):
    """What a row says of its payment."""

    ACCEPTED = "accepted"
    """Taken in, not yet booked."""
    BOOKED = "booked"
    REJECTED = "rejected"
    RETURNED = "returned"
    """Booked, and came back."""
    UNCLEAR = "unclear"
    """A status that says nothing of this one payment."""


@dataclass(frozen=True, slots=True)
class Row:
    """One payment in a file."""

    place: str
    """The element, for messages."""
    reference: str
    """End-to-end id; empty where there is none."""
    said: Said
    amount: int | None
    """Minor units. None: the file does not say."""
    currency: str
    credit: bool | None
    """Whether money came in. None: the file does not say."""
    entry: str
    """The bank's own reference of the booking; empty where there is none."""
    day: int | None
    """Of the booking."""
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    kind: str
    """pain.002, camt.053 or camt.054."""
    rows: tuple[Row, ...]
    closed: frozenset[tuple[int, str]]
    """A statement's days and currencies, also of a day without a booking."""


def read_report(data: bytes, name: str) -> Report:
    """The rows of a file. Raises UsageError FILE_INVALID with the place of what is wrong."""
    try:
        root = parse(data, bytes_max=BYTES_MAX, elements_max=ELEMENTS_MAX)
        return _report(root.tag, Node(root, local_name(root), _prefixes(root.tag)))
    except InvoiceError as error:
        place = f"{error.where}: " if error.where else ""
        raise UsageError("FILE_INVALID", f"{name}: {place}{_what(error)}") from None
    except UsageError as error:
        raise UsageError("FILE_INVALID", f"{name}: {error.message}") from None


def _what(error: InvoiceError) -> str:
    """What is wrong, without the advice for invoices."""
    text = error.message.removeprefix(f"{error.where}: ") if error.where else error.message
    return text.removesuffix(f"; {INVOICE_REMEDIES[error.code]}")


def _prefixes(tag: str) -> dict[str, str]:
    return {"i": tag.partition("}")[0].removeprefix("{") if tag.startswith("{") else ""}


def _report(tag: str, document: Node) -> Report:
    match = _NAMESPACE.fullmatch(document.prefixes["i"])
    if (
        local_name(document.element) != "Document"
        or match is None
        or int(match[2]) < _OLDEST[match[1]]
    ):
        raise UsageError(
            "FILE_INVALID",
            "not a pain.002.001.03, camt.053.001.02 or camt.054.001.02 or a later version of one: "
            f"{tag[:120]!r}",
        )
    kind = match[1]
    if kind == "pain.002":
        return Report(kind, tuple(_statuses(document)), frozenset())
    path = "BkToCstmrStmt/Stmt" if kind == "camt.053" else "BkToCstmrDbtCdtNtfctn/Ntfctn"
    rows = tuple(_entries(document, path))
    booked = {(row.day, row.currency) for row in rows if row.day is not None}
    return Report(kind, rows, frozenset(booked | set(_closings(document, path))))


# --- pain.002 -------------------------------------------------------------------------------------


def _statuses(document: Node) -> Iterator[Row]:
    report = _need(document, "CstmrPmtStsRpt")
    group = _status(_text(report, "OrgnlGrpInfAndSts/GrpSts"))
    blocks = report.children("i:OrgnlPmtInfAndSts")
    if not blocks and group is Said.REJECTED:
        reason = _reason(_need(report, "OrgnlGrpInfAndSts"))
        message = _text(report, "OrgnlGrpInfAndSts/OrgnlMsgId")
        yield Row(report.where, "", Said.REJECTED, None, "", None, message, None, reason)
    for block in blocks:
        for transaction in block.children("i:TxInfAndSts"):
            yield _of_status(transaction, _status(_text(block, "PmtInfSts")) or group)


def _of_status(transaction: Node, inherited: Said | None) -> Row:
    """A transaction without a status of its own has that of its block, or of the file."""
    said = _status(_text(transaction, "TxSts")) or inherited or Said.UNCLEAR
    amount, currency = _amount(transaction, "OrgnlTxRef/Amt/InstdAmt")
    entry = _text(transaction, "AcctSvcrRef")
    if said is Said.BOOKED and not entry:
        said = Said.ACCEPTED  # settled, and the booking with its reference is still to come
    return Row(
        transaction.where, _text(transaction, "OrgnlEndToEndId"), said, amount, currency, None,
        entry, None, _reason(transaction),
    )  # fmt: skip


def _status(code: str) -> Said | None:
    if not code or code == "PART":
        return None
    if code in _SETTLED:
        return Said.BOOKED
    if code in _ACCEPTED:
        return Said.ACCEPTED
    return Said.REJECTED if code in ("RJCT", "CANC") else Said.UNCLEAR


def _reason(node: Node) -> str:
    """The first reason given, as its code and text."""
    for given in node.children("i:StsRsnInf"):
        code = _text(given, "Rsn/Cd") or _text(given, "Rsn/Prtry")
        texts = [each.own_text() for each in given.children("i:AddtlInf")]
        return " ".join(part for part in (code, *texts[:1]) if part)
    return ""


# --- camt -----------------------------------------------------------------------------------------


def _entries(document: Node, path: str) -> Iterator[Row]:
    root, _, each = path.partition("/")
    for account in _need(document, root).children(f"i:{each}"):
        for entry in account.children("i:Ntry"):
            yield from _of_entry(entry)


def _closings(document: Node, path: str) -> Iterator[tuple[int, str]]:
    """Day and currency of each closing balance."""
    root, _, each = path.partition("/")
    for account in _need(document, root).children(f"i:{each}"):
        for balance in account.children("i:Bal"):
            _, currency = _amount(balance, "Amt")
            day = _day(_text(balance, "Dt/Dt") or _text(balance, "Dt/DtTm"), balance)
            if _text(balance, "Tp/CdOrPrtry/Cd") == "CLBD" and day is not None:
                yield day, currency


def _of_entry(entry: Node) -> Iterator[Row]:
    """A row per transaction of a booking; one for the booking where it names none."""
    details = [
        transaction
        for group in entry.children("i:NtryDtls")
        for transaction in group.children("i:TxDtls")
    ]
    amount, currency = _amount(entry, "Amt")
    if amount is None:
        raise UsageError("FILE_INVALID", f"{entry.where}: an entry without an amount")
    if not details:
        yield _row(entry, entry, amount, currency, several=False)
    for transaction in details:
        own, own_currency = _own_amount(transaction)
        if own is None and len(details) == 1:
            own, own_currency = amount, currency
        yield _row(entry, transaction, own, own_currency, several=len(details) > 1)


def _own_amount(transaction: Node) -> tuple[int | None, str]:
    amount, currency = _amount(transaction, "Amt")
    return (amount, currency) if currency else _amount(transaction, "AmtDtls/TxAmt/Amt")


def _row(entry: Node, node: Node, amount: int | None, currency: str, *, several: bool) -> Row:
    reference = _text(node, "Refs/EndToEndId") if node is not entry else ""
    own = _text(node, "Refs/AcctSvcrRef") if node is not entry else ""
    booking = _text(entry, "AcctSvcrRef") or _text(entry, "NtryRef")
    if several and booking and not own:
        own = f"{booking}/{reference}"  # one booking of many payments: a receipt for each
    returned = node is not entry and node.find("i:RtrInf") is not None
    day = _text(entry, "BookgDt/Dt") or _text(entry, "BookgDt/DtTm")
    return Row(
        node.where, reference, _said(entry, returned), amount, currency, _side(entry, node),
        own or booking, _day(day, entry), _text(entry, "AddtlNtryInf"),
    )  # fmt: skip


def _said(entry: Node, returned: bool) -> Said:
    status = _text(entry, "Sts/Cd") if _has_children(entry, "Sts") else _text(entry, "Sts")
    if returned or _text(entry, "RvslInd") in ("true", "1"):
        return Said.RETURNED
    return Said.BOOKED if status == "BOOK" else Said.ACCEPTED


def _has_children(node: Node, name: str) -> bool:
    found = node.find(f"i:{name}")
    return found is not None and len(found.element) > 0


def _side(entry: Node, node: Node) -> bool:
    side = (_text(node, "CdtDbtInd") if node is not entry else "") or _text(entry, "CdtDbtInd")
    if side not in ("CRDT", "DBIT"):
        raise UsageError("FILE_INVALID", f"{entry.where}: CdtDbtInd is CRDT or DBIT")
    return side == "CRDT"


def _day(text: str, node: Node) -> int | None:
    if not text:
        return None
    try:
        return parse_day(date.fromisoformat(text[:10]).isoformat())
    except ValueError:
        raise UsageError("FILE_INVALID", f"{node.where}: no day: {text[:20]!r}") from None


# --- elements -------------------------------------------------------------------------------------


def _path(path: str) -> str:
    return "/".join(f"i:{step}" for step in path.split("/"))


def _text(node: Node, path: str) -> str:
    return node.text(_path(path))


def _need(node: Node, path: str) -> Node:
    found = node.find(_path(path))
    if found is None:
        raise UsageError("FILE_INVALID", f"{node.where_of(_path(path))} is missing")
    return found


def _amount(node: Node, path: str) -> tuple[int | None, str]:
    """Minor units and currency; (None, "") where there is no such element."""
    found = node.find(_path(path))
    if found is None:
        return None, ""
    currency, text = found.attribute("Ccy"), found.own_text()
    match = _AMOUNT.fullmatch(text)
    if match is None or currency not in EXPONENTS:
        raise UsageError(
            "FILE_INVALID",
            f"{found.where}: {text[:30]!r} {currency[:10]!r} is no amount known here",
        )
    exponent, decimals = EXPONENTS[currency], (match[2] or "").rstrip("0")
    if len(decimals) > exponent:
        raise UsageError("FILE_INVALID", f"{found.where}: {text} has parts of the smallest unit")
    return int(match[1] + decimals.ljust(exponent, "0")), currency
