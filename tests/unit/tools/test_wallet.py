"""Wallets: keys on disk, encrypted when a passphrase is given."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tallynet.keyfile import KeyFileError
from tools.wallet import (
    BANK_PEOPLE,
    PASSPHRASE_VARIABLE,
    WalletError,
    create_wallet,
    load_wallet,
    private_key,
)


def test_a_wallet_is_read_back_and_its_keys_are_private(tmp_path: Path) -> None:
    made = create_wallet(tmp_path, "bank-9", bytes(16), ("BANK",), BANK_PEOPLE)
    assert load_wallet(tmp_path, "bank-9") == made
    for person in made.people:
        file = tmp_path / "wallets" / "bank-9" / f"{person.name}.key"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        key = private_key(tmp_path, made, person)
        assert key.public_key().public_bytes_raw().hex() == person.public_key


def test_with_a_passphrase_the_keys_are_encrypted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "correct horse")
    made = create_wallet(tmp_path, "bank-9", bytes(16), ("BANK",), BANK_PEOPLE[:1])
    person = made.people[0]
    assert private_key(tmp_path, made, person).public_key().public_bytes_raw().hex() == (
        person.public_key
    )
    for wrong in ("wrong", ""):
        monkeypatch.setenv(PASSPHRASE_VARIABLE, wrong)
        with pytest.raises(KeyFileError):
            private_key(tmp_path, made, person)


def test_wallet_errors_name_what_is_known(tmp_path: Path) -> None:
    create_wallet(tmp_path, "bank-9", bytes(16), ("BANK",), BANK_PEOPLE[:1])
    with pytest.raises(WalletError, match="bank-9"):
        load_wallet(tmp_path, "nobody")
    with pytest.raises(WalletError, match="another name"):
        create_wallet(tmp_path, "bank-9", bytes(16), ("BANK",), BANK_PEOPLE[:1])
