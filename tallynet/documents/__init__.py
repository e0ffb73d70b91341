"""Trade documents: real invoice files read, sealed, disclosed in part and made ready to register."""

from tallynet.documents.errors import (
    DOCUMENT_REMEDIES,
    INVOICE_REMEDIES,
    DocumentError,
    InvoiceError,
)
from tallynet.documents.invoice import CURRENCIES, Invoice, InvoiceFormat, Line, Party
from tallynet.documents.reader import read_invoice

__all__ = [
    "CURRENCIES",
    "DOCUMENT_REMEDIES",
    "DocumentError",
    "INVOICE_REMEDIES",
    "Invoice",
    "InvoiceError",
    "InvoiceFormat",
    "Line",
    "Party",
    "read_invoice",
]
