"""Envelopes: 1..1000 commands of one organisation under one set of signatures (voucher law §5)."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from tallynet.codec import Wire, decode, encode
from tallynet.commands import Command
from tallynet.fields import Hash, Id, Seconds, Signature, Small
from tallynet.hashing import envelope_hash, transaction_id
from tallynet.records import Role

ENVELOPE_VERSION: Final = 1
ENVELOPE_BYTES_MAX: Final = 256 * 1024
"""Largest encoded envelope (protocol §5.2); a thousand transfers take about 70 KiB."""
COMMANDS_MAX: Final = 1000
SIGNERS_MAX: Final = 8
"""Enough for maker, checker and approver with spares; each costs a verification."""


class Mode(IntEnum):
    ATOMIC = 1
    INDEPENDENT = 2


class Signer(Wire):
    """Who signs, in which role; inside the signed bytes, so no mutilated copy can burn the id."""

    key: Id
    role: Role


class EnvelopeBody(Wire):
    """The signed bytes of an envelope. Transaction id = SHA-256 of their encoding."""

    version: Small
    genesis: Hash
    organisation: Id
    """Acting organisation."""
    mode: Mode
    commands: Annotated[tuple[Command, ...], Meta(min_length=1, max_length=COMMANDS_MAX)]
    valid_until: Seconds
    signers: Annotated[tuple[Signer, ...], Meta(min_length=1, max_length=SIGNERS_MAX)]


class SignedEnvelope(Wire):
    """An envelope body as bytes, with exactly one signature per listed signer, in order."""

    body: bytes
    signatures: tuple[Signature, ...]


class Envelope:
    """A decoded envelope with its bytes. Build with `open_envelope`."""

    __slots__ = (
        "body", "hash", "raw", "signatures", "signatures_verified", "signed", "transaction",
    )  # fmt: skip

    def __init__(
        self,
        raw: bytes,
        signed: bytes,
        body: EnvelopeBody,
        signatures: tuple[bytes, ...],
    ) -> None:
        self.raw: Final = raw
        """The encoded `SignedEnvelope`, as received."""
        self.signed: Final = signed
        """The encoded `EnvelopeBody`: what signatures and the id cover."""
        self.body: Final = body
        self.signatures: Final = signatures
        self.transaction: Final = transaction_id(signed)
        """Transaction id: what is executed at most once, whichever copy of it a block holds."""
        self.hash: Final = envelope_hash(raw)
        """Envelope hash, signatures included: what blocks, pools and messages name a copy by."""
        self.signatures_verified = False
        """Set once every signature was found valid. A key id is the hash of its public key, so this
        is a function of the bytes alone and need not be found out twice."""


def open_envelope(raw: bytes) -> Envelope:
    """Decode the bytes of a `SignedEnvelope`. Signatures are not checked here.

    Raises:
        RemoteProtocolError: the bytes are no envelope.
    """
    outer = decode(SignedEnvelope, raw)
    return Envelope(raw, outer.body, decode(EnvelopeBody, outer.body), outer.signatures)


def seal_envelope(body: EnvelopeBody, signatures: tuple[bytes, ...]) -> Envelope:
    """Join a body and its signatures; the body is encoded once, here."""
    signed = encode(body)
    raw = encode(SignedEnvelope(signed, signatures))
    return Envelope(raw, signed, body, signatures)
