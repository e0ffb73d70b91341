"""Building signed envelopes."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallynet.codec import encode
from tallynet.commands import Command
from tallynet.envelope import (
    COMMANDS_MAX,
    ENVELOPE_BYTES_MAX,
    ENVELOPE_VERSION,
    Envelope,
    EnvelopeBody,
    Mode,
    Signer,
    open_envelope,
    seal_envelope,
)
from tallynet.errors import RemoteProtocolError, TallynetError
from tallynet.hashing import record_id, signed_bytes
from tallynet.records import Kind, Role
from tallynet.signatures import KIND_ENVELOPE

__all__ = ["EnvelopeError", "build_envelope", "key_id"]


class EnvelopeError(TallynetError):
    """An envelope cannot be built: ENVELOPE_MALFORMED, ENVELOPE_TOO_LARGE or COMMAND_COUNT."""


def key_id(public_key: bytes) -> bytes:
    """Record id of a registered key (voucher law §5, Ids)."""
    return record_id(Kind.KEY, b"", public_key)


def build_envelope(
    genesis: bytes,
    organisation: bytes,
    mode: Mode,
    commands: Sequence[Command],
    valid_until: int,
    signers: Sequence[tuple[bytes, Role, Ed25519PrivateKey]],
) -> Envelope:
    """Sign `commands` of `organisation` as one envelope.

    `genesis` is the genesis hash, `valid_until` unix seconds after which the envelope can no longer
    take effect, `signers` the key id, role and private key of everybody who signs. Two envelopes with
    equal contents are one transaction; if both are meant, let `valid_until` or a label differ.

    Raises:
        EnvelopeError: a field is out of range, the commands are none or more than a thousand, or the
            envelope is larger than 256 KiB.
    """
    if not 1 <= len(commands) <= COMMANDS_MAX:
        raise EnvelopeError(
            "COMMAND_COUNT",
            f"{len(commands)} commands; an envelope holds 1 to {COMMANDS_MAX}, use several",
        )
    body = EnvelopeBody(
        ENVELOPE_VERSION,
        genesis,
        organisation,
        mode,
        tuple(commands),
        valid_until,
        tuple(Signer(key, role) for key, role, _ in signers),
    )
    covered = signed_bytes(KIND_ENVELOPE, genesis, encode(body))
    envelope = seal_envelope(body, tuple(private.sign(covered) for _, _, private in signers))
    _require_sound(envelope)
    return envelope


def _require_sound(envelope: Envelope) -> None:
    """Constructors check no ranges; finding out here is cheaper than at the node's door."""
    if len(envelope.raw) > ENVELOPE_BYTES_MAX:
        raise EnvelopeError(
            "ENVELOPE_TOO_LARGE",
            f"{len(envelope.raw)} bytes, at most {ENVELOPE_BYTES_MAX}; split it into several",
        )
    try:
        open_envelope(envelope.raw)
    except RemoteProtocolError as error:
        raise EnvelopeError("ENVELOPE_MALFORMED", error.message) from None
