"""Key files: for the owner's eyes only, never overwritten, every refusal says what to do."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tallynet.keyfile import (
    KEY_FILE_BYTES_MAX,
    KeyFileError,
    create_key_file,
    load_key_file,
    write_key_file,
)


def code(path: Path, passphrase: bytes | None = None) -> str:
    with pytest.raises(KeyFileError) as caught:
        load_key_file(path, passphrase)
    assert str(path) in str(caught.value)
    return caught.value.code


@pytest.mark.parametrize("passphrase", [None, b"correct horse", "密码".encode()])
def test_a_key_comes_back_as_it_was_made(tmp_path: Path, passphrase: bytes | None) -> None:
    made = create_key_file(tmp_path / "a.key", passphrase)
    assert load_key_file(tmp_path / "a.key", passphrase).private_bytes_raw() == (
        made.private_bytes_raw()
    )


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777 & ~0o600])
def test_the_file_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        create_key_file(tmp_path / "a.key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == 0o600


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    made = create_key_file(tmp_path / "a.key")
    with pytest.raises(KeyFileError) as caught:
        create_key_file(tmp_path / "a.key")
    assert caught.value.code == "KEY_FILE_EXISTS"
    assert load_key_file(tmp_path / "a.key").private_bytes_raw() == made.private_bytes_raw()
    (tmp_path / "link.key").symlink_to(tmp_path / "elsewhere.key")
    with pytest.raises(KeyFileError):
        create_key_file(tmp_path / "link.key")
    assert not (tmp_path / "elsewhere.key").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError) as caught:
        create_key_file(tmp_path / "missing" / "a.key")
    assert caught.value.code == "KEY_FILE_UNUSABLE"


def test_with_a_passphrase_the_key_is_nowhere_in_the_file(tmp_path: Path) -> None:
    made = create_key_file(tmp_path / "a.key", b"correct horse")
    text = (tmp_path / "a.key").read_bytes()
    assert b"ENCRYPTED" in text
    open_form = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert open_form.splitlines()[1] not in text
    other = create_key_file(tmp_path / "b.key", b"correct horse")
    assert other.private_bytes_raw() != made.private_bytes_raw()


def test_the_passphrase_must_be_given_right_and_only_where_it_belongs(tmp_path: Path) -> None:
    create_key_file(tmp_path / "locked.key", b"correct horse")
    create_key_file(tmp_path / "open.key")
    assert code(tmp_path / "locked.key") == "KEY_FILE_PASSPHRASE"
    assert code(tmp_path / "locked.key", b"") == "KEY_FILE_PASSPHRASE"
    assert code(tmp_path / "locked.key", b"wrong") == "KEY_FILE_PASSPHRASE"
    assert code(tmp_path / "open.key", b"correct horse") == "KEY_FILE_PASSPHRASE"
    with pytest.raises(ValueError, match="empty passphrase"):
        create_key_file(tmp_path / "c.key", b"")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_file_that_others_can_open_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.key"
    create_key_file(path)
    path.chmod(mode)
    assert code(path) == "KEY_FILE_UNSAFE"
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_key_file(path)
    path.chmod(0o400)
    load_key_file(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    create_key_file(tmp_path / "a.key")
    os.chown(tmp_path / "a.key", 12_345, -1)
    assert code(tmp_path / "a.key") == "KEY_FILE_UNSAFE"


def test_links_pipes_directories_and_nothing_are_refused(tmp_path: Path) -> None:
    create_key_file(tmp_path / "a.key")
    (tmp_path / "link").symlink_to(tmp_path / "a.key")
    assert code(tmp_path / "link") == "KEY_FILE_UNSAFE"
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert code(tmp_path / "pipe") == "KEY_FILE_UNSAFE"
    (tmp_path / "directory").mkdir()
    assert code(tmp_path / "directory") == "KEY_FILE_UNSAFE"
    assert code(tmp_path / "missing") == "KEY_FILE_MISSING"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"not a key",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN TALLYNET ENCRYPTED KEY-----\n",
        b"-----BEGIN TALLYNET ENCRYPTED KEY-----\n!!!!\n-----END TALLYNET ENCRYPTED KEY-----\n",
        b"-----BEGIN TALLYNET ENCRYPTED KEY-----\nhA8=\n-----END TALLYNET ENCRYPTED KEY-----\n",
        bytes(KEY_FILE_BYTES_MAX + 1),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "a.key"
    path.write_bytes(text)
    path.chmod(0o600)
    passphrase = b"x" if b"ENCRYPTED" in text else None
    assert code(path, passphrase) == "KEY_FILE_INVALID"


def test_every_flipped_byte_of_an_encrypted_file_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallynet.keyfile.SCRYPT_LOG_COST", 14)
    path = tmp_path / "a.key"
    made = create_key_file(path, b"x")
    text = path.read_bytes()
    for place in range(0, len(text), 5):
        path.write_bytes(text[:place] + bytes((text[place] ^ 1,)) + text[place + 1 :])
        try:
            loaded = load_key_file(path, b"x")
        except KeyFileError:
            continue
        assert loaded.private_bytes_raw() == made.private_bytes_raw(), "only the armour changed"


def test_a_key_of_another_algorithm_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    key = X25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    assert code(path) == "KEY_FILE_INVALID"


def test_an_existing_key_can_be_written_under_a_new_passphrase(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    write_key_file(tmp_path / "a.key", key, b"old")
    write_key_file(tmp_path / "b.key", load_key_file(tmp_path / "a.key", b"old"), b"new")
    assert load_key_file(tmp_path / "b.key", b"new").private_bytes_raw() == key.private_bytes_raw()
