"""From an invoice to what `document.register` carries, and back from a ciphertext to its fields.

The chain sees a uniqueness tag, a root, the hash of a ciphertext, a total and a delivery day; the
document itself stays with the parties, encrypted (voucher law §16.2, §16.5).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Final
from unicodedata import normalize

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Meta

from tallynet.codec import Wire, decode, encode
from tallynet.documents.errors import DocumentError
from tallynet.documents.invoice import Invoice, Party
from tallynet.documents.sealed import SealedDocument, seal
from tallynet.errors import RemoteProtocolError
from tallynet.fields import Hash
from tallynet.records import DocumentType

__all__ = [
    "OpenedDocument",
    "Registration",
    "encrypt_document",
    "find_lie",
    "invoice_fields",
    "open_document",
    "registration_fields",
    "uniqueness_tag",
]

KEY_BYTES: Final = 32
CLASS_BYTES_MIN: Final = 4 * 1024
CLASS_BYTES_MAX: Final = 16 * 1024 * 1024
"""A 2 MiB file of 10,000 lines with its field map fits."""

_NONCE_BYTES: Final = 12
_LENGTH_BYTES: Final = 4
_ASSOCIATED: Final = b"tallynet/document/1"
_TAG_PREFIX: Final = b"inv/v1"
_NOT_IN_TAX_ID: Final = re.compile(r"[\s.\-/]+")


class _Content(Wire):
    """What the ciphertext holds: enough to build the root again, and the original file."""

    document_salt: Hash
    fields: Annotated[tuple[tuple[str, bytes], ...], Meta(max_length=65_536)]
    source: bytes


@dataclass(frozen=True, slots=True)
class OpenedDocument:
    """A ciphertext that was opened and whose root is right."""

    fields: Mapping[str, bytes]
    source: bytes
    """The original file, whose SHA-256 is the field `source_sha256`."""
    sealed: SealedDocument
    """The same with every salt: what discloses single fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The arguments of `document.register`, but for the organisations.

    The caller finds creditor and debtor by `seller_tax_id` and `buyer_tax_id` (empty where the
    invoice has none), must look at `payee` (somebody else is to be paid), and keeps `ciphertext`.
    """

    document_type: DocumentType
    uniqueness_tag: bytes
    root: bytes
    ciphertext_hash: bytes
    currency: str
    total: int
    """Amount still payable, in minor units: the most that vouchers may promise on it."""
    delivery_day: int | None
    seller_tax_id: str
    buyer_tax_id: str
    payee: Party | None
    sealed: SealedDocument
    ciphertext: bytes


def invoice_fields(invoice: Invoice) -> list[tuple[str, bytes]]:
    """The canonical field map of an invoice, by ascending path (voucher law §16.2).

    Every path of the header is always there; what the invoice does not state has an empty value,
    so that absence can be proven too. Text is UTF-8, numbers are decimal, amounts minor units,
    days days since 1970-01-01. Lines are `lines/00001/...`, five digits so that paths sort.
    """
    fields: dict[str, str] = {
        "code": invoice.code,
        "currency": invoice.currency,
        "delivery_day": _optional(invoice.delivery_date),
        "due_day": _optional(invoice.due_date),
        "format": invoice.format.value,
        "gross_total": str(invoice.gross_total),
        "issue_day": str(invoice.issue_date),
        "line_count": str(len(invoice.lines)),
        "net_total": str(invoice.net_total),
        "number": invoice.number,
        "order_reference": invoice.order_reference or "",
        "payable": str(invoice.payable),
        "prepaid": str(invoice.prepaid),
        "tax_total": str(invoice.tax_total),
    }
    nobody = Party(name="", tax_id="", country="")
    parties = {"seller": invoice.seller, "buyer": invoice.buyer, "payee": invoice.payee or nobody}
    for role, party in parties.items():
        fields[f"{role}/name"] = party.name
        fields[f"{role}/tax_id"] = party.tax_id
        fields[f"{role}/country"] = party.country
    for number, line in enumerate(invoice.lines, 1):
        fields[f"lines/{number:05}/description"] = line.description
        fields[f"lines/{number:05}/quantity"] = line.quantity
        fields[f"lines/{number:05}/unit"] = line.unit
        fields[f"lines/{number:05}/net_amount"] = str(line.net_amount)
    encoded = {path: text.encode() for path, text in fields.items()}
    encoded["source_sha256"] = invoice.source_sha256
    return sorted(encoded.items(), key=lambda item: item[0].encode())


def _optional(day: int | None) -> str:
    return "" if day is None else str(day)


def uniqueness_tag(seller_tax_id: str, code: str, number: str, date: int, total: int) -> bytes:
    """The public tag under which an invoice exists once in the network (voucher law §16.5).

    SHA-256(`inv/v1` ‖ seller's tax id ‖ code ‖ number ‖ date ‖ total), each part UTF-8 text after
    its length in 4 bytes. `date` counts days since 1970-01-01, `total` is the gross total in minor
    units, both as decimal text. The tax id loses spaces, dots, hyphens and slashes and is put in
    capitals, the number loses spaces, and in both full-width and other compatibility forms become
    plain ones (NFKC): writing them differently makes no second invoice. The file format has no part
    in it, so that UBL and CII copies of one invoice are one.
    """
    parts = (
        _NOT_IN_TAX_ID.sub("", normalize("NFKC", seller_tax_id)).upper(),
        code,
        "".join(normalize("NFKC", number).split()),
        str(date),
        str(total),
    )
    digest = sha256(_TAG_PREFIX)
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(_LENGTH_BYTES, "big") + encoded)
    return digest.digest()


def encrypt_document(plaintext: bytes, key: bytes) -> bytes:
    """Nonce ‖ AES-256-GCM of the padded plaintext, whose length shows only a power of two.

    `key` is 32 random bytes for this document alone. The nonce is an HMAC of the plaintext, so that
    the same call gives the same bytes, and a key used for two documents by mistake reveals neither.

    Raises:
        DocumentError: DOCUMENT_KEY_INVALID, DOCUMENT_TOO_LARGE.
    """
    if len(key) != KEY_BYTES:
        raise DocumentError("DOCUMENT_KEY_INVALID", f"{len(key)} bytes of key")
    framed = len(plaintext).to_bytes(_LENGTH_BYTES, "big") + plaintext
    size = max(CLASS_BYTES_MIN, 1 << (len(framed) - 1).bit_length())
    if size > CLASS_BYTES_MAX:
        raise DocumentError("DOCUMENT_TOO_LARGE", f"{len(plaintext)} bytes")
    padded = framed.ljust(size, b"\x00")
    nonce_key = hmac.digest(key, _ASSOCIATED + b"/nonce", "sha256")
    nonce = hmac.digest(nonce_key, padded, "sha256")[:_NONCE_BYTES]
    return nonce + AESGCM(key).encrypt(nonce, padded, _ASSOCIATED)


def registration_fields(
    invoice: Invoice, source: bytes, *, document_salt: bytes, document_key: bytes
) -> Registration:
    """Everything that `document.register` needs for `invoice`, read from the file `source`.

    `document_salt` and `document_key` are 32 random bytes each; seller and buyer who both want to
    register must share them, or their roots differ (DOCUMENT_CONFLICT).

    Raises:
        DocumentError: DOCUMENT_SOURCE_MISMATCH, DOCUMENT_SALT_INVALID, DOCUMENT_KEY_INVALID,
            DOCUMENT_TOO_LARGE.
    """
    if sha256(source).digest() != invoice.source_sha256:
        raise DocumentError("DOCUMENT_SOURCE_MISMATCH", "the invoice was read from another file")
    fields = invoice_fields(invoice)
    sealed = seal(fields, document_salt)
    plaintext = encode(_Content(document_salt, tuple(fields), source))
    ciphertext = encrypt_document(plaintext, document_key)
    return Registration(
        document_type=DocumentType.INVOICE,
        uniqueness_tag=uniqueness_tag(
            invoice.seller.tax_id,
            invoice.code,
            invoice.number,
            invoice.issue_date,
            invoice.gross_total,
        ),
        root=sealed.root,
        ciphertext_hash=sha256(ciphertext).digest(),
        currency=invoice.currency,
        total=invoice.payable,
        delivery_day=invoice.delivery_date,
        seller_tax_id=invoice.seller.tax_id,
        buyer_tax_id=invoice.buyer.tax_id,
        payee=invoice.payee,
        sealed=sealed,
        ciphertext=ciphertext,
    )


def open_document(ciphertext: bytes, key: bytes, root: bytes) -> OpenedDocument:
    """The document in `ciphertext`, after building its root again (voucher law §16.3).

    Raises:
        DocumentError: DOCUMENT_KEY_INVALID; DOCUMENT_CIPHERTEXT_INVALID when the key does not fit
            or the content has no meaning; DOCUMENT_ROOT_MISMATCH when the ciphertext lies.
    """
    opened = _read(ciphertext, key)
    if not _is_registered(opened, root):
        raise DocumentError("DOCUMENT_ROOT_MISMATCH", "the content is not what was registered")
    return opened


def find_lie(ciphertext: bytes, key: bytes, root: bytes) -> SealedDocument | None:
    """What a ciphertext gives instead of the registered document: the fields for `document.complaint`.
    None when nothing can be read in it at all, which is a lie too.

    Raises:
        DocumentError: DOCUMENT_HONEST when it is what was registered; DOCUMENT_KEY_INVALID.
    """
    try:
        opened = _read(ciphertext, key)
    except DocumentError as error:
        if error.code == "DOCUMENT_KEY_INVALID":
            raise
        return None
    if _is_registered(opened, root):
        raise DocumentError("DOCUMENT_HONEST", "the ciphertext gives the registered document")
    return opened.sealed


def _is_registered(opened: OpenedDocument, root: bytes) -> bool:
    source_hash = opened.fields.get("source_sha256")
    return opened.sealed.root == root and source_hash == sha256(opened.source).digest()


def _read(ciphertext: bytes, key: bytes) -> OpenedDocument:
    """Whatever is in a ciphertext. Raises DocumentError as `open_document`, but for the root."""
    if len(key) != KEY_BYTES:
        raise DocumentError("DOCUMENT_KEY_INVALID", f"{len(key)} bytes of key")
    if len(ciphertext) > CLASS_BYTES_MAX + 64:
        raise DocumentError("DOCUMENT_TOO_LARGE", f"{len(ciphertext)} bytes")
    content = _content(_decrypted(ciphertext, key))
    try:
        sealed = seal(content.fields, content.document_salt)
    except DocumentError as error:
        raise DocumentError("DOCUMENT_CIPHERTEXT_INVALID", error.message) from None
    return OpenedDocument(sealed.fields, content.source, sealed)


def _decrypted(ciphertext: bytes, key: bytes) -> bytes:
    nonce, sealed = ciphertext[:_NONCE_BYTES], ciphertext[_NONCE_BYTES:]
    try:
        padded = AESGCM(key).decrypt(nonce, sealed, _ASSOCIATED)
    except (InvalidTag, ValueError):
        raise DocumentError(
            "DOCUMENT_CIPHERTEXT_INVALID", "the key does not open the ciphertext"
        ) from None
    length = int.from_bytes(padded[:_LENGTH_BYTES], "big")
    if length > len(padded) - _LENGTH_BYTES:
        raise DocumentError("DOCUMENT_CIPHERTEXT_INVALID", "the padding is wrong")
    return padded[_LENGTH_BYTES : _LENGTH_BYTES + length]


def _content(plaintext: bytes) -> _Content:
    try:
        return decode(_Content, plaintext)
    except RemoteProtocolError as error:
        raise DocumentError("DOCUMENT_CIPHERTEXT_INVALID", error.message) from None
