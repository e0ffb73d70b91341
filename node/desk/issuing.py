"""A core promises to pay: a voucher from an invoice, uploaded or registered before; and its payee's answer."""

from __future__ import annotations

import os
from typing import Final

import trio

from node.desk.case import Action, Case, Choice, Draft, Fact, Field, Form
from node.desk.entered import FieldError
from node.desk.office import KeptDocument
from node.light.copy import Kept
from node.state.view import Index
from node.web.shown import amount, day, short
from node.web.words import word
from tallynet.codec import Wire
from tallynet.commands import DocumentRegister, VoucherClaim, VoucherIssue, VoucherReject
from tallynet.documents import Invoice, Registration, read_invoice, registration_fields
from tallynet.hashing import record_id
from tallynet.names import commitment
from tallynet.records import (
    CreditLine,
    Document,
    DocumentUse,
    Kind,
    LineKind,
    LineStatus,
    Programme,
    Promise,
    Voucher,
)

__all__ = ["ACTIONS"]

KEY_BYTES: Final = 32
_ISSUE: Final = (
    Field("payee", "organisation"),
    Field("face", "amount", optional=True),
    Field("maturity", "day"),
    Field("programme", "choice"),
    Field("issue_line", "choice"),
    Field("clearing_bank", "choice", optional=True),
    Field("promise", "text"),
)


# --- issue ----------------------------------------------------------------------------------------------


async def _issue_form(case: Case) -> Form:
    network = await case.chain.network()
    lines = _lines(case)
    banks = dict.fromkeys(line.grantor for _, line in lines)
    facts = [Fact("field_business_date", "day", network.business_date)]
    if network.day_seconds < 86_400:
        facts.append(Fact("day_lasts", "text", f"{network.day_seconds} s"))
    documents = [Choice(kept.id.hex(), _document_label(case, kept)) for kept in _documents(case)]
    source = [Field("invoice", "file", optional=bool(documents))]
    if documents:
        source.append(Field("document", "choice", optional=True))
    return Form(
        [*source, *_ISSUE],
        facts,
        {
            "document": documents,
            "programme": await _programmes(case),
            "issue_line": [
                Choice(id.hex(), f"{case.name(line.grantor)}, {_free(line)}") for id, line in lines
            ],
            "clearing_bank": [Choice(bank.hex(), case.name(bank)) for bank in banks],
        },
    )


def _lines(case: Case) -> list[tuple[bytes, CreditLine]]:
    return [
        (kept.id, kept.record)
        for kept in case.copy.listed(Kind.CREDIT_LINE)
        if isinstance(kept.record, CreditLine)
        and kept.record.kind is LineKind.ISSUE
        and kept.record.obligor == case.home
        and kept.record.status is LineStatus.ACTIVE
    ]


def _free(line: CreditLine) -> str:
    return f"{amount(line.granted - line.used - line.reserved, line.currency)} {line.currency}"


def _documents(case: Case) -> list[Kept]:
    """Invoices to be paid by it on which more can be promised."""
    return [
        kept
        for kept in case.copy.listed(Kind.DOCUMENT)
        if isinstance(kept.record, Document)
        and kept.record.debtor == case.home
        and kept.record.occupied < kept.record.total
    ]


def _document_label(case: Case, kept: Kept) -> str:
    document = kept.record
    if not isinstance(document, Document):
        return short(kept.id)
    left = amount(document.total - document.occupied, document.currency)
    return f"{case.name(document.creditor)}, {left} {document.currency}, {short(kept.id)}"


async def _programmes(case: Case) -> list[Choice]:
    found: list[Choice] = []
    for id in await case.chain.listed(Index.OWNER_PROGRAMMES, case.home):
        programme = await case.chain.require(Programme, Kind.PROGRAMME, id)
        mode = word(programme.accept_mode, case.language)
        found.append(Choice(id.hex(), f"{short(id)}, {programme.currency}, {mode}"))
    return found


async def _issue(case: Case) -> Draft:
    entered = case.entered
    payee = entered.organisation("payee")
    line = await case.chain.require(CreditLine, Kind.CREDIT_LINE, entered.id("issue_line"))
    bank = entered.id("clearing_bank") if entered.get("clearing_bank") else line.grantor
    promise = commitment("promise", case.home, entered.text("promise"))
    maturity, programme = entered.day("maturity"), entered.id("programme")
    if case.upload:
        invoice, sealed, kept = await trio.to_thread.run_sync(_seal, case.upload)
        document, currency, left = kept.document, sealed.currency, sealed.total
        register = [_register(case, sealed, payee)]
        notes = _invoice_notes(invoice)
    else:
        if not entered.get("document"):
            raise FieldError("FIELD_MISSING", "invoice")
        document = entered.id("document")
        known = await case.chain.require(Document, Kind.DOCUMENT, document)
        currency, left = known.currency, known.total - known.occupied
        register, notes, kept = [], case.notes(_document_facts(known), currency), None
    face = entered.amount("face", currency) if entered.get("face") else left
    issue = VoucherIssue(
        case.label, payee, currency, face, maturity, Promise(promise, True, True, True),
        (DocumentUse(document, face),), programme, entered.id("issue_line"), bank,
    )  # fmt: skip
    notes.append(("enter_promise", entered.text("promise")))
    return Draft(currency, face, payee, [*register, issue], notes, kept)


def _seal(source: bytes) -> tuple[Invoice, Registration, KeptDocument]:
    """Raises InvoiceError."""
    invoice = read_invoice(source)
    salt, key, hint_key = os.urandom(KEY_BYTES), os.urandom(KEY_BYTES), os.urandom(KEY_BYTES)
    sealed = registration_fields(invoice, source, document_salt=salt, document_key=key)
    document = record_id(Kind.DOCUMENT, b"", sealed.uniqueness_tag)
    kept = KeptDocument(document, sealed.root, salt, key, hint_key, sealed.ciphertext)
    return invoice, sealed, kept


def _register(case: Case, sealed: Registration, creditor: bytes) -> DocumentRegister:
    return DocumentRegister(
        case.label, sealed.document_type, sealed.uniqueness_tag, sealed.root, sealed.ciphertext_hash, creditor,
        case.home, (), sealed.currency, sealed.total, sealed.delivery_day,
    )  # fmt: skip


def _invoice_notes(invoice: Invoice) -> list[tuple[str, str]]:
    """What whoever checks compares with the paper."""
    notes = [
        ("invoice_number", invoice.number),
        ("invoice_seller", f"{invoice.seller.name} {invoice.seller.tax_id or ''}".strip()),
        ("invoice_buyer", f"{invoice.buyer.name} {invoice.buyer.tax_id or ''}".strip()),
        ("invoice_day", day(invoice.issue_date)),
        ("invoice_payable", f"{amount(invoice.payable, invoice.currency)} {invoice.currency}"),
    ]
    if invoice.payee is not None:
        notes.append(("invoice_payee", invoice.payee.name))
    return notes


def _document_facts(document: Document) -> list[Fact]:
    return [
        Fact("as_signed_creditor", "org", document.creditor),
        Fact("as_signed_total", "money", document.total),
        Fact("promised_before", "money", document.occupied),
        Fact("as_signed_delivery_day", "day", document.delivery_day or 0),
    ]


# --- claim, reject --------------------------------------------------------------------------------------


def _voucher_facts(voucher: Voucher) -> list[Fact]:
    return [
        Fact("field_debtor", "org", voucher.debtor),
        Fact("field_face", "money", voucher.face),
        Fact("field_maturity", "day", voucher.maturity),
        Fact("claim_until", "day", voucher.claim_deadline),
        Fact("field_clearing_bank", "org", voucher.clearing_bank),
    ]


async def _answer_form(case: Case) -> Form:
    _, voucher = await case.voucher()
    return Form((), _voucher_facts(voucher), currency=voucher.currency)


async def _claim(case: Case) -> Draft:
    id, voucher = await case.voucher()
    return _answer(case, voucher, VoucherClaim(case.label, id, True))


async def _reject(case: Case) -> Draft:
    id, voucher = await case.voucher()
    return _answer(case, voucher, VoucherReject(case.label, id))


def _answer(case: Case, voucher: Voucher, command: Wire) -> Draft:
    notes = case.notes(_voucher_facts(voucher), voucher.currency)
    return Draft(voucher.currency, voucher.face, voucher.debtor, [command], notes)


ACTIONS: Final = (
    Action("issue", "voucher.issue", (), _issue_form, _issue),
    Action("claim", "voucher.claim", ("voucher",), _answer_form, _claim),
    Action("reject", "voucher.reject", ("voucher",), _answer_form, _reject),
)
