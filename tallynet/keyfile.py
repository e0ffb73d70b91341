"""Ed25519 private keys on disk, for the owner's eyes only (reliability §10).

A key file is created once and never overwritten. It is refused unless it is a plain file that
belongs to this user and that nobody else can read, so that a copy with careless rights is noticed
before it is used.

In the clear it is PEM PKCS#8. Under a passphrase it is a block of our own, scrypt and AES-GCM:
PKCS#8 as the library writes it derives the key by 2,048 rounds of PBKDF2 (0.4 ms a guess, measured),
which a stolen backup does not survive.
"""

from __future__ import annotations

import base64
import binascii
import errno
import os
import stat
import textwrap
from pathlib import Path
from typing import Annotated, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from msgspec import Meta

from tallynet.codec import Wire, decode, encode
from tallynet.durable import sync_directory
from tallynet.errors import RemoteProtocolError, TallynetError

__all__ = [
    "KEY_FILE_BYTES_MAX", "KeyFileError", "create_key_file", "load_key_file", "write_key_file",
]  # fmt: skip

KEY_FILE_BYTES_MAX: Final = 16 * 1024
"""An encrypted Ed25519 key takes about 400 bytes; a larger file is something else."""
SCRYPT_LOG_COST: Final = 15
"""2^15 blocks of 1 KiB: 32 MiB and about 0.1 s for each guess."""
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_BEGIN: Final = b"-----BEGIN TALLYNET ENCRYPTED KEY-----"
_END: Final = b"-----END TALLYNET ENCRYPTED KEY-----"
_PURPOSE: Final = b"tallynet/keyfile/1"


class KeyFileError(TallynetError):
    """A key file cannot be made or used. Codes: KEY_FILE_EXISTS, KEY_FILE_MISSING,
    KEY_FILE_UNSAFE, KEY_FILE_PASSPHRASE, KEY_FILE_INVALID, KEY_FILE_UNUSABLE."""


def create_key_file(path: Path, passphrase: bytes | None = None) -> Ed25519PrivateKey:
    """Make a new key and write it, mode 0600, durable before this returns.

    With `passphrase` the file is encrypted, so that a stolen disk or backup is not a stolen key.

    Raises:
        KeyFileError: KEY_FILE_EXISTS, or KEY_FILE_UNUSABLE when the place cannot be written.
        ValueError: an empty passphrase.
    """
    key = Ed25519PrivateKey.generate()
    write_key_file(path, key, passphrase)
    return key


def write_key_file(path: Path, key: Ed25519PrivateKey, passphrase: bytes | None = None) -> None:
    """Write an existing key, e.g. under a new passphrase into a new file; as `create_key_file`."""
    if passphrase == b"":
        raise ValueError("an empty passphrase protects nothing; pass None to store in the clear")
    if passphrase is None:
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    else:
        text = _seal(key, passphrase)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise KeyFileError(
            "KEY_FILE_EXISTS", f"{path} exists and is never overwritten; choose another name"
        ) from None
    except OSError as error:
        raise _unusable(path, error) from None
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        sync_directory(path.parent)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise _unusable(path, error) from None


def load_key_file(path: Path, passphrase: bytes | None = None) -> Ed25519PrivateKey:
    """Read a key back.

    Raises:
        KeyFileError: the text says which check failed and what to do about it.
    """
    text = _read_safely(path)
    if not text.startswith(_BEGIN):
        if passphrase is not None:
            raise KeyFileError(
                "KEY_FILE_PASSPHRASE",
                f"{path} is not encrypted although a passphrase was given; is it the right file?",
            )
        return _open_plain(path, text)
    if not passphrase:
        raise KeyFileError("KEY_FILE_PASSPHRASE", f"{path} is encrypted; give its passphrase")
    return _open_sealed(path, text, passphrase)


class _SealedKey(Wire):
    """What an encrypted key file holds."""

    cost: Annotated[int, Meta(ge=14, le=20)]
    """Binary logarithm of scrypt's cost; bounded, so that a strange file cannot take all memory."""
    salt: Annotated[bytes, Meta(min_length=16, max_length=16)]
    nonce: Annotated[bytes, Meta(min_length=12, max_length=12)]
    sealed: Annotated[bytes, Meta(min_length=48, max_length=48)]
    """AES-256-GCM of the 32 bytes of private key."""


def _derive(passphrase: bytes, salt: bytes, cost: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=1 << cost, r=8, p=1).derive(passphrase)


def _seal(key: Ed25519PrivateKey, passphrase: bytes) -> bytes:
    salt, nonce = os.urandom(16), os.urandom(12)
    cipher = AESGCM(_derive(passphrase, salt, SCRYPT_LOG_COST))
    sealed = cipher.encrypt(nonce, key.private_bytes_raw(), _PURPOSE)
    text = base64.b64encode(encode(_SealedKey(SCRYPT_LOG_COST, salt, nonce, sealed))).decode()
    return b"\n".join((_BEGIN, *(x.encode() for x in textwrap.wrap(text, 64)), _END, b""))


def _open_sealed(path: Path, text: bytes, passphrase: bytes) -> Ed25519PrivateKey:
    try:
        body = base64.b64decode(b"".join(text.strip().splitlines()[1:-1]), validate=True)
        box = decode(_SealedKey, body)
    except (binascii.Error, RemoteProtocolError):
        raise KeyFileError(
            "KEY_FILE_INVALID", f"{path} is damaged; restore it from its copy"
        ) from None
    try:
        cipher = AESGCM(_derive(passphrase, box.salt, box.cost))
        return Ed25519PrivateKey.from_private_bytes(cipher.decrypt(box.nonce, box.sealed, _PURPOSE))
    except InvalidTag:
        raise KeyFileError(
            "KEY_FILE_PASSPHRASE", f"{path}: wrong passphrase, or a damaged file"
        ) from None


def _open_plain(path: Path, text: bytes) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(text, None)
    except Exception:  # noqa: BLE001 - the library has no one type for "cannot read this"
        raise KeyFileError(
            "KEY_FILE_INVALID", f"{path} holds no PEM private key (PKCS#8, not encrypted)"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError("KEY_FILE_INVALID", f"{path} holds a key that is not Ed25519")
    return key


def _read_safely(path: Path) -> bytes:
    """The file's bytes; the checks are made on the open file, so that it cannot be swapped."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise KeyFileError("KEY_FILE_MISSING", f"{path} does not exist") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise KeyFileError(
                "KEY_FILE_UNSAFE", f"{path} is a symbolic link; name the file itself"
            ) from None
        raise _unusable(path, error) from None
    try:
        _require_owned_file(path, os.fstat(file))
        text = os.read(file, KEY_FILE_BYTES_MAX + 1)
    finally:
        os.close(file)
    if len(text) > KEY_FILE_BYTES_MAX:
        raise KeyFileError("KEY_FILE_INVALID", f"{path} is too large for a key file")
    return text


def _require_owned_file(path: Path, facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise KeyFileError("KEY_FILE_UNSAFE", f"{path} is not a plain file")
    if facts.st_uid != os.geteuid():
        raise KeyFileError(
            "KEY_FILE_UNSAFE",
            f"{path} belongs to user {facts.st_uid}, this process runs as {os.geteuid()};"
            f" run: chown {os.geteuid()} {path}",
        )
    if facts.st_mode & _OTHERS:
        raise KeyFileError(
            "KEY_FILE_UNSAFE",
            f"{path} is open to other users (mode {stat.S_IMODE(facts.st_mode):04o}); if nobody"
            f" has read it, run: chmod 600 {path}; otherwise replace the key",
        )


def _unusable(path: Path, error: OSError) -> KeyFileError:
    return KeyFileError("KEY_FILE_UNUSABLE", f"{path}: {error.strerror or error}")
