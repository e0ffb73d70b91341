"""Trade documents: real invoice files read, sealed, disclosed in part and made ready to register."""

from tallynet.documents.errors import (
    DOCUMENT_REMEDIES,
    INVOICE_REMEDIES,
    DocumentError,
    InvoiceError,
)
from tallynet.documents.invoice import CURRENCIES, Invoice, InvoiceFormat, Line, Party
from tallynet.documents.reader import read_invoice
from tallynet.documents.readers import (
    Access,
    ReadingPrivateKey,
    find_access,
    hint_secret,
    open_box,
    seal_box,
    unwrap,
    wrap,
)
from tallynet.documents.registration import (
    OpenedDocument,
    Registration,
    encrypt_document,
    find_lie,
    invoice_fields,
    open_document,
    registration_fields,
    uniqueness_tag,
)
from tallynet.documents.sealed import (
    DisclosedField,
    Disclosure,
    SealedDocument,
    decode_disclosure,
    seal,
    verify_disclosure,
)

__all__ = [
    "Access",
    "ReadingPrivateKey",
    "find_access",
    "find_lie",
    "hint_secret",
    "open_box",
    "seal_box",
    "unwrap",
    "wrap",
    "CURRENCIES",
    "DOCUMENT_REMEDIES",
    "DisclosedField",
    "Disclosure",
    "DocumentError",
    "INVOICE_REMEDIES",
    "Invoice",
    "InvoiceError",
    "InvoiceFormat",
    "Line",
    "OpenedDocument",
    "Party",
    "Registration",
    "SealedDocument",
    "decode_disclosure",
    "encrypt_document",
    "invoice_fields",
    "open_document",
    "read_invoice",
    "registration_fields",
    "seal",
    "uniqueness_tag",
    "verify_disclosure",
]
