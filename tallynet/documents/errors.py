"""Refusals of invoices and sealed documents: stable codes, each with what to do about it."""

from __future__ import annotations

from typing import Final

from tallynet.errors import TallynetError, invariant

__all__ = ["DOCUMENT_REMEDIES", "INVOICE_REMEDIES", "DocumentError", "InvoiceError"]

INVOICE_REMEDIES: Final[dict[str, str]] = {
    "INVOICE_TOO_LARGE": "send the invoice without embedded attachments",
    "INVOICE_TOO_COMPLEX": "split the delivery into several invoices",
    "INVOICE_ENCODING": "save the file as UTF-8",
    "INVOICE_NOT_XML": "export the invoice again; a PDF or a picture cannot be read",
    "INVOICE_ENTITY_FORBIDDEN": "remove the document type declaration; no invoice format has one",
    "INVOICE_FORMAT_UNKNOWN": (
        "send a UBL 2.1 Invoice, a UN/CEFACT Cross Industry Invoice (D16B) or a fully digitalised"
        " e-invoice (EInvoice)"
    ),
    "INVOICE_CREDIT_NOTE": "send the invoice that it corrects; nobody owes money on a credit note",
    "INVOICE_TYPE_UNSUPPORTED": "send a commercial invoice (type code 380)",
    "INVOICE_ELEMENT_REPEATED": "leave exactly one; two readers could take different ones",
    "INVOICE_ELEMENT_MALFORMED": "export the invoice again in its standard form",
    "INVOICE_TEXT_TOO_LONG": "shorten the text",
    "INVOICE_NUMBER_MISSING": "give the invoice its number",
    "INVOICE_NUMBER_MALFORMED": "take the 20 digits from the tax authority's file",
    "INVOICE_DATE_MISSING": "give the invoice its date of issue",
    "INVOICE_DATE_MALFORMED": "write a calendar date that exists, in the form of the format",
    "INVOICE_CURRENCY_MISSING": "name the currency by its ISO 4217 code",
    "INVOICE_CURRENCY_UNKNOWN": "use a currency that the network's parameter `currencies` lists",
    "INVOICE_SECOND_CURRENCY": (
        "invoice in one currency; only the tax total may be repeated in the accounting currency"
    ),
    "INVOICE_PARTY_MISSING": "name the party",
    "INVOICE_SELLER_UNIDENTIFIED": "give the seller's tax id; it protects the invoice from reuse",
    "INVOICE_LINE_MISSING": "say what was delivered",
    "INVOICE_AMOUNT_MALFORMED": (
        "write ASCII digits with a point and no more decimals than the currency has"
    ),
    "INVOICE_AMOUNT_TOO_LARGE": "split the invoice; amounts end at 10^17 - 1 minor units",
    "INVOICE_QUANTITY_MALFORMED": "write ASCII digits with a point",
    "INVOICE_TOTAL_MISSING": "state the total; it is never guessed",
    "INVOICE_TOTALS_DISAGREE": "correct the invoice; its own figures contradict each other",
    "INVOICE_PAYABLE_NOT_POSITIVE": "nothing is left to pay, so nothing can be promised",
}
"""Every code of `InvoiceError`, with what the sender should do. Codes are stable for ever."""

DOCUMENT_REMEDIES: Final[dict[str, str]] = {
    "DOCUMENT_FIELDS_INVALID": "give 1 to 65,536 fields with distinct, non-empty paths",
    "DOCUMENT_SALT_INVALID": "give 32 random bytes, kept with the document",
    "DOCUMENT_KEY_INVALID": "give 32 random bytes, one key per document",
    "DOCUMENT_PATH_UNKNOWN": "ask for paths that the document has, each once",
    "DOCUMENT_SOURCE_MISMATCH": "give the very file that the invoice was read from",
    "DOCUMENT_TOO_LARGE": "send the invoice without embedded attachments",
    "DOCUMENT_CIPHERTEXT_INVALID": "ask for the ciphertext and its key again",
    "DOCUMENT_ROOT_MISMATCH": "do not lend on it; the ciphertext is not the registered document",
    "DOCUMENT_HONEST": "there is nothing to complain about",
    "DOCUMENT_MALFORMED": "ask for the disclosure again",
    "READING_KEY_INVALID": "ask the reader to name another reading key: `tally key reading`",
    "NOT_A_READER": "ask the owner of the document for access: `tally document grant`",
    "LINE_STATE_MALFORMED": "ask the grantor to open the line again; do not rely on this",
    "TERMS_MALFORMED": "ask the funder for a new quote; do not accept this one",
}
"""Every code of `DocumentError`, with what the caller should do."""


class InvoiceError(TallynetError):
    """An invoice cannot be read. Nothing was changed; the file is wrong, not the program.

    `where` names the element, `Invoice/LegalMonetaryTotal/PayableAmount`, or is empty when the
    file as a whole is meant. `message` says what is wrong and what to do.
    """

    def __init__(self, code: str, message: str, where: str = "") -> None:
        invariant(code in INVOICE_REMEDIES, "INVOICE_CODE_UNKNOWN")
        place = f"{where}: " if where else ""
        super().__init__(code, f"{place}{message}; {INVOICE_REMEDIES[code]}")
        self.where: Final = where


class DocumentError(TallynetError):
    """A document cannot be sealed, opened or disclosed as asked. Nothing was changed."""

    def __init__(self, code: str, message: str) -> None:
        invariant(code in DOCUMENT_REMEDIES, "DOCUMENT_CODE_UNKNOWN")
        super().__init__(code, f"{message}; {DOCUMENT_REMEDIES[code]}")
