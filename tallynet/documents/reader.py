"""The one way in: the bytes of an invoice file become an `Invoice`, or an `InvoiceError`."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from tallynet.documents import cii, einvoice, ubl
from tallynet.documents.errors import InvoiceError
from tallynet.documents.hostile_xml import local_name, parse
from tallynet.documents.invoice import CURRENCIES, Invoice
from tallynet.documents.values import shown

__all__ = ["read_invoice"]


def read_invoice(data: bytes, *, currencies: Mapping[str, int] = CURRENCIES) -> Invoice:
    """The invoice in `data`, whose figures agree with each other.

    The format is known by root element and namespace, never by file name. `currencies` maps ISO 4217
    codes to exponents, as the network's parameter does. Whether the invoice is genuine is not
    checked here: that is what attestations are for (voucher law §8.4).

    Raises:
        InvoiceError: with one of the codes of `INVOICE_REMEDIES`; nothing else, whatever the bytes.
    """
    root = parse(data)
    digest = sha256(data).digest()
    if root.tag == ubl.ROOT:
        return ubl.read(root, currencies, digest)
    if root.tag == cii.ROOT:
        return cii.read(root, currencies, digest)
    if root.tag == einvoice.ROOT:
        return einvoice.read(root, currencies, digest)
    if root.tag == ubl.CREDIT_NOTE_ROOT:
        raise InvoiceError("INVOICE_CREDIT_NOTE", "a UBL CreditNote", "CreditNote")
    raise InvoiceError("INVOICE_FORMAT_UNKNOWN", f"unknown root element {shown(local_name(root))}")
