"""What opens a document, as a wallet keeps it, readable by its user alone; to be backed up.

wallets/<name>/documents/<label>/secret.json       salt, key, and by what readers are named
wallets/<name>/documents/<label>/ciphertext.bin    what nodes keep
wallets/<name>/reading-<epoch>.key                 opens what was wrapped for this organisation
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from tallynet.documents import OpenedDocument, ReadingPrivateKey, Registration, open_document
from tallynet.durable import sync_directory
from tallynet.hashing import record_id
from tallynet.keyfile import create_key_file, load_key_file
from tallynet.records import Kind
from tools.arguments import UsageError
from tools.output import ERRORS
from tools.wallet import WALLETS, Wallet, WalletError, environment_passphrase

DOCUMENTS: Final = "documents"
SECRET_FILE: Final = "secret.json"
CIPHERTEXT_FILE: Final = "ciphertext.bin"
PART_FILE: Final = "ciphertext.part"
FILE_BYTES_MAX: Final = 32 * 1024 * 1024
"""Far above what the invoice reader takes; keeps a wrong file name from filling the memory."""


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """What opens one document. Binary values in hexadecimal."""

    document: str
    root: str
    key: str
    salt: str = ""
    hint_key: str = ""
    """Of the owner: makes the secrets of readers' hints."""
    hint_secret: str = ""
    """Of a reader: shows that it is one."""


def read_file(path: Path) -> bytes:
    """Content of a user's file. Raises UsageError FILE_MISSING."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise UsageError("FILE_INVALID", f"{path} is larger than {FILE_BYTES_MAX} bytes")
        return path.read_bytes()
    except OSError as error:
        raise UsageError("FILE_MISSING", f"{path}: {error.strerror}") from None


def write_private(path: Path, content: bytes) -> None:
    """A new file that only this user can read, durable before it is used."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    sync_directory(path.parent)


def document_id(sealed: Registration) -> bytes:
    """One id per invoice in the whole network, whoever registers it (voucher law §16.5)."""
    return record_id(Kind.DOCUMENT, b"", sealed.uniqueness_tag)


def keep(directory: Path, sealed: Registration, salt: bytes, key: bytes, hint_key: bytes) -> None:
    """Write what opens the document, before anybody can rely on it."""
    secret = Secret(
        document=document_id(sealed).hex(),
        root=sealed.root.hex(),
        key=key.hex(),
        salt=salt.hex(),
        hint_key=hint_key.hex(),
    )
    write_kept(directory, secret, sealed.ciphertext)


def write_kept(directory: Path, secret: Secret, ciphertext: bytes) -> None:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    given = {name: text for name, text in msgspec.to_builtins(secret).items() if text}
    write_private(directory / SECRET_FILE, (json.dumps(given, indent=1) + "\n").encode())
    write_private(directory / CIPHERTEXT_FILE, ciphertext)


def directory_of(network: Path, wallet: Wallet, label: str) -> Path:
    return network / WALLETS / wallet.name / DOCUMENTS / label


def load_kept(directory: Path) -> tuple[Secret, bytes]:
    """What opens a kept document, and its ciphertext. Raises UsageError, WalletError WALLET_INVALID."""
    path = directory / SECRET_FILE
    try:
        secret = msgspec.json.decode(read_file(path), type=Secret)
        for text in (secret.document, secret.root, secret.key, secret.salt, secret.hint_key):
            bytes.fromhex(text)
    except (msgspec.DecodeError, ValueError) as error:
        raise WalletError("WALLET_INVALID", f"{path}: {error}") from None
    return secret, read_file(directory / CIPHERTEXT_FILE)


def open_kept(directory: Path) -> tuple[Secret, OpenedDocument]:
    """A kept document, checked against its root. Raises also DocumentError."""
    secret, ciphertext = load_kept(directory)
    key, root = bytes.fromhex(secret.key), bytes.fromhex(secret.root)
    return secret, open_document(ciphertext, key, root)


# --- reading keys ---------------------------------------------------------------------------------


def reading_key_path(network: Path, wallet: Wallet, epoch: int) -> Path:
    return network / WALLETS / wallet.name / f"reading-{epoch}.key"


def create_reading_key(path: Path) -> ReadingPrivateKey:
    """Raises KeyFileError KEY_FILE_EXISTS, KEY_FILE_UNUSABLE."""
    return ReadingPrivateKey(create_key_file(path, environment_passphrase()).private_bytes_raw())


def reading_keys(network: Path, wallet: Wallet) -> list[ReadingPrivateKey]:
    """All of a wallet, newest first. Raises KeyFileError."""
    places = (network / WALLETS / wallet.name).glob("reading-*.key")
    newest_first = sorted(places, key=lambda path: (len(path.name), path.name), reverse=True)
    return [
        ReadingPrivateKey(load_key_file(path, environment_passphrase()).private_bytes_raw())
        for path in newest_first
    ]


# --- transfers -------------------------------------------------------------------------------------


def shown(what: str) -> Callable[[int, int, bytes], None]:
    """Says on stderr how far a transfer has come, in whole tenths."""
    told = [-1]

    def progress(done: int, size: int, _piece: bytes) -> None:
        tenths = 10 * done // size
        if tenths > told[0] and ERRORS.is_terminal:
            told[0] = tenths
            end = "\n" if done == size else "\r"
            ERRORS.print(f"{what}: {done:,} of {size:,} bytes", end=end, markup=False)

    return progress


@contextmanager
def part_file(directory: Path) -> Iterator[tuple[bytes, Callable[[int, int, bytes], None]]]:
    """What an interrupted transfer left, and what keeps each further piece as it comes; gone at the end of
    one that succeeds."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = directory / PART_FILE
    have = part.read_bytes() if part.exists() else b""
    show = shown("ciphertext fetched")
    with part.open("ab") as file:

        def progress(done: int, size: int, piece: bytes) -> None:
            if done == len(piece):
                file.truncate(0)  # from the start again: what was kept had another hash
            file.write(piece)
            file.flush()
            show(done, size, piece)

        yield have, progress
    part.unlink()
