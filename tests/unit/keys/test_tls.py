"""TLS as an envelope: TLS 1.3 only, and nothing in a certificate counts but its key (E7, E8)."""

from __future__ import annotations

import ssl
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tallynet import tls
from tallynet.errors import RemoteProtocolError
from tallynet.tls import certificate_key, check_pin, dialler_context, server_context

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()


def shake(server: ssl.SSLContext, dialler: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """A TLS handshake in memory; the dialler's side and the server's."""
    to_server, to_dialler = ssl.MemoryBIO(), ssl.MemoryBIO()
    d = dialler.wrap_bio(to_dialler, to_server)
    s = server.wrap_bio(to_server, to_dialler, server_side=True)
    for _ in range(10):
        done = 0
        for side in (d, s):
            try:
                side.do_handshake()
                done += 1
            except ssl.SSLWantReadError:
                pass
        if done == 2:
            return d, s
    raise TimeoutError


def test_both_ends_speak_tls_1_3_and_the_dialler_sees_the_servers_key() -> None:
    dialler, server = shake(server_context(KEY), dialler_context())
    assert dialler.version() == server.version() == "TLSv1.3"
    check_pin(dialler.getpeercert(binary_form=True), PUBLIC)


def test_no_session_tickets_are_given() -> None:
    assert server_context(KEY).num_tickets == 0


def test_older_versions_are_refused() -> None:
    dialler = dialler_context()
    assert dialler.minimum_version == server_context(KEY).minimum_version == ssl.TLSVersion.TLSv1_3
    dialler.minimum_version = dialler.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        shake(server_context(KEY), dialler)


def test_another_key_than_the_one_dialled_is_refused_and_both_are_shown() -> None:
    dialler, _ = shake(server_context(KEY), dialler_context())
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    with pytest.raises(RemoteProtocolError, match=PUBLIC.hex()) as caught:
        check_pin(dialler.getpeercert(binary_form=True), other)
    assert caught.value.code == "PEER_WRONG_KEY"
    assert other.hex() in str(caught.value)


def test_an_expired_certificate_of_the_right_key_is_as_good_as_any() -> None:
    certificate = _certificate(KEY, None, last=datetime(2001, 1, 1, tzinfo=UTC))
    dialler, _ = shake(_context(KEY, certificate), dialler_context())
    check_pin(dialler.getpeercert(binary_form=True), PUBLIC)


def test_a_certificate_without_its_private_key_does_not_get_through_tls() -> None:
    other = Ed25519PrivateKey.generate()
    with pytest.raises(ssl.SSLError):
        _context(other, tls._certificate(KEY))


@pytest.mark.parametrize("certificate", [None, b"", b"\x30\x00", b"junk"])
def test_no_certificate_or_an_unreadable_one_is_refused(certificate: bytes | None) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        certificate_key(certificate)
    assert caught.value.code == "PEER_WRONG_KEY"


def test_a_key_of_another_algorithm_is_refused() -> None:
    key = generate_private_key(SECP256R1())
    certificate = _certificate(key, SHA256())
    with pytest.raises(RemoteProtocolError, match="not Ed25519"):
        certificate_key(certificate.public_bytes(Encoding.DER))


def test_the_same_key_always_shows_the_same_certificate() -> None:
    assert tls._certificate(KEY) == tls._certificate(KEY)


def test_no_key_is_left_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    written: list[bytes] = []
    real = Path.write_bytes

    def spy(path: Path, data: bytes) -> int:
        written.append(data)
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", spy)
    server_context(KEY)
    assert list(tmp_path.iterdir()) == []
    assert len(written) == 1
    assert b"ENCRYPTED PRIVATE KEY" in written[0]


def _certificate(
    key: object, algorithm: object, last: datetime = datetime(2100, 1, 1, tzinfo=UTC)
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "anything")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())  # type: ignore[attr-defined]
        .serial_number(1)
        .not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
        .not_valid_after(last)
        .sign(key, algorithm)  # type: ignore[arg-type]
    )


def _context(key: Ed25519PrivateKey, certificate: x509.Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.write(certificate.public_bytes(Encoding.PEM))
        file.flush()
        context.load_cert_chain(file.name)
    return context
