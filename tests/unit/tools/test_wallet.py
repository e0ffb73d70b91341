"""Wallets: keys on disk, encrypted when a passphrase is given."""

from __future__ import annotations

import json
import stat
from hashlib import sha256
from pathlib import Path

import pytest

from tallynet.keyfile import KeyFileError
from tallynet.records import OrganisationKind, Size
from tools.onboarding import OPENING_FILE, new_organisation, registration
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


def test_the_opening_of_the_commitments_stays_in_the_wallet(tmp_path: Path) -> None:
    sponsor = create_wallet(tmp_path, "bank-9", bytes(16), ("BANK",), BANK_PEOPLE)
    kind, size = OrganisationKind.SUPPLIER, Size.MICRO
    wallet = new_organisation(tmp_path, sponsor, "shop", kind, size)
    command = registration(tmp_path, bytes(32), wallet, kind, size, tax_id="T-1")
    path = tmp_path / "wallets" / "shop" / OPENING_FILE
    opening = json.loads(path.read_text())
    salt = bytes.fromhex(opening["salt"])
    tax = sha256(b"tallynet/tax-id" + salt + opening["tax_id"].encode()).digest()
    assert tax == command.tax_id_commitment
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
