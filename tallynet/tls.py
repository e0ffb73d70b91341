"""TLS 1.3 as an envelope around the wire: contexts, self-signed certificates, the key pin.

Who somebody is, is the Ed25519 key and nothing else. The server shows it inside a self-signed X.509
certificate, TLS proves that it holds it, and the dialler compares it with the key it expects. Names,
issuers and dates in the certificate mean nothing, so that an expired certificate never stops the
network (E7). Python's ssl cannot ask a dialler for a certificate without a certificate authority;
the dialler signs a hello instead (tallynet/handshake.py, docs/decisions/0021-server-pin-and-signed-hello.md).
"""

from __future__ import annotations

import ssl
import tempfile
from datetime import UTC, datetime
from os import urandom
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from tallynet.errors import RemoteProtocolError

__all__ = ["certificate_key", "check_pin", "dialler_context", "server_context"]

_FIRST_DAY: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LAST_DAY: Final = datetime(9999, 12, 31, tzinfo=UTC)
"""RFC 5280's way to say that a certificate has no meaningful end."""


def server_context(key: Ed25519PrivateKey) -> ssl.SSLContext:
    """What a listener speaks: TLS 1.3, the node's key as its certificate, no session tickets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # a resumed session would skip the proof of the key
    _load_certificate(context, key)
    return context


def dialler_context() -> ssl.SSLContext:
    """What validators and clients dial with. The caller MUST call `check_pin` after the handshake:
    the context accepts every certificate, because only the key in it counts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def certificate_key(certificate: bytes | None) -> bytes:
    """The Ed25519 public key in a DER certificate, `getpeercert(binary_form=True)`.

    Raises:
        RemoteProtocolError: PEER_WRONG_KEY when there is none.
    """
    if certificate is None:
        raise RemoteProtocolError("PEER_WRONG_KEY", "the server showed no certificate")
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
    except Exception:  # noqa: BLE001 - whatever is wrong in it, it is not the server we want
        raise RemoteProtocolError("PEER_WRONG_KEY", "the certificate is unreadable") from None
    if not isinstance(key, Ed25519PublicKey):
        raise RemoteProtocolError("PEER_WRONG_KEY", "the server's key is not Ed25519")
    return key.public_bytes_raw()


def check_pin(certificate: bytes | None, expected: bytes) -> None:
    """The server holds exactly the key that we dialled.

    Raises:
        RemoteProtocolError: PEER_WRONG_KEY; the text shows both keys.
    """
    shown = certificate_key(certificate)
    if shown != expected:
        raise RemoteProtocolError(
            "PEER_WRONG_KEY",
            f"the server's key is {shown.hex()}, expected {expected.hex()};"
            " check the address, or whether this validator's key was replaced",
        )


def _certificate(key: Ed25519PrivateKey) -> x509.Certificate:
    """The same key always gives the same certificate."""
    public = key.public_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tallynet")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(1 + int.from_bytes(public.public_bytes_raw()[:8], "big"))
        .not_valid_before(_FIRST_DAY)
        .not_valid_after(_LAST_DAY)
        .sign(key, None)
    )


def _load_certificate(context: ssl.SSLContext, key: Ed25519PrivateKey) -> None:
    """Python's ssl reads certificates from files only; the key in them is under a password that
    exists for this call alone, so that a file left by a crash is worth nothing."""
    password = urandom(32).hex()
    text = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password.encode())
    )
    with tempfile.TemporaryDirectory(prefix="tallynet-") as directory:
        path = Path(directory) / "certificate.pem"
        path.write_bytes(text + _certificate(key).public_bytes(Encoding.PEM))
        context.load_cert_chain(path, password=password)
