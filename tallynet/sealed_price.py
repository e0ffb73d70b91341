"""Prices that only a bank and a holder know: what both commit to, compute and keep (voucher law §16.6).

    terms commitment = SHA-256("tallynet/terms" ‖ salt ‖ terms)
    price commitment = SHA-256("tallynet/price" ‖ HMAC-SHA256(salt, "tallynet/price" ‖ value day) ‖ price)

Terms are the canonical encoding of `PriceTerms`, value day 4 bytes and price 8 bytes, big-endian. The salt is
32 random bytes, one per quote; who knows it can open both commitments, so it is given away only to show them:
to an auditor, or to a court.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated, Final

from msgspec import Meta

from tallynet.codec import Wire, decode, encode
from tallynet.documents import DocumentError, ReadingPrivateKey, open_box, seal_box
from tallynet.errors import RemoteProtocolError
from tallynet.fields import Currency, Day, Hash, Id, Ppm, Units
from tallynet.interest import denominator, half_up, numerator

__all__ = [
    "PriceTerms", "SealedQuote", "decode_quote", "decrypt_quote", "discount", "encrypt_quote",
    "price", "price_commitment", "terms_commitment",
]  # fmt: skip

_TERMS: Final = b"tallynet/terms"
_PRICE: Final = b"tallynet/price"
_BOX: Final = b"tallynet/quote/1"
_BOX_BYTES: Final = 256
"""Plaintext of every encrypted quote: the length of rate and amount does not show."""


class PriceTerms(Wire):
    """What a bank offers for a range."""

    request: Id
    funder: Id
    holder: Id
    face: Units
    currency: Currency
    maturity: Day
    """The discount runs to it from the value day."""
    rate_ppm: Ppm
    """Per year."""
    basis: Annotated[int, Meta(ge=360, le=365)]
    """360 or 365."""
    valid_to: Day


class SealedQuote(Wire):
    """The opening of a quote: kept by both sides, shown to nobody else without a reason."""

    salt: Hash
    terms: PriceTerms


def terms_commitment(quote: SealedQuote) -> bytes:
    """Signed by the bank with its quote, by the holder with its acceptance."""
    return sha256(_TERMS + quote.salt + encode(quote.terms)).digest()


def discount(terms: PriceTerms, value_day: int) -> int:
    """Half-up to one minor unit, as of an open quote (§11)."""
    n = numerator(terms.face, terms.rate_ppm, terms.maturity - value_day)
    return half_up(n, denominator(terms.basis))


def price(terms: PriceTerms, value_day: int) -> int:
    """What the bank pays in all; the platform fee, which the chain computes, is taken from it."""
    return terms.face - discount(terms, value_day)


def price_commitment(quote: SealedQuote, value_day: int) -> bytes:
    """Signed by the holder with its acceptance on `value_day`, by the bank when it has paid.

    Raises:
        DocumentError: TERMS_MALFORMED for terms that leave nothing to be paid.
    """
    paid = price(quote.terms, value_day)
    if paid <= 0:
        raise DocumentError("TERMS_MALFORMED", f"the price on this day would be {paid}")
    key = hmac.digest(quote.salt, _PRICE + value_day.to_bytes(4, "big"), "sha256")
    return sha256(_PRICE + key + paid.to_bytes(8, "big")).digest()


def encrypt_quote(quote: SealedQuote, public_key: bytes) -> bytes:
    """For the holder's reading key; bound to request and bank. Raises DocumentError READING_KEY_INVALID."""
    data = encode(quote)
    framed = (len(data).to_bytes(2, "big") + data).ljust(_BOX_BYTES, b"\x00")
    return seal_box(framed, public_key, _info(quote.terms.request, quote.terms.funder))


def decrypt_quote(
    box: bytes, keys: Iterable[ReadingPrivateKey], request: bytes, funder: bytes, commitment: bytes
) -> SealedQuote:
    """The opening, if it is that of the commitment on the chain.

    Raises:
        DocumentError: TERMS_MALFORMED.
    """
    framed = open_box(box, keys, _info(request, funder))
    if framed is None or len(framed) != _BOX_BYTES:
        raise DocumentError("TERMS_MALFORMED", "no reading key of this wallet opens the quote")
    quote = decode_quote(framed[2 : 2 + int.from_bytes(framed[:2], "big")])
    named = (quote.terms.request, quote.terms.funder)
    if terms_commitment(quote) != commitment or named != (request, funder):
        raise DocumentError("TERMS_MALFORMED", "the terms are not those that the chain commits to")
    return quote


def decode_quote(data: bytes) -> SealedQuote:
    """An opening as somebody keeps it or hands it on. Raises DocumentError TERMS_MALFORMED."""
    try:
        quote = decode(SealedQuote, data)
    except RemoteProtocolError as error:
        raise DocumentError("TERMS_MALFORMED", error.message) from None
    if quote.terms.basis not in (360, 365):
        raise DocumentError("TERMS_MALFORMED", f"a year of {quote.terms.basis} days")
    return quote


def _info(request: bytes, funder: bytes) -> bytes:
    return _BOX + request + funder
