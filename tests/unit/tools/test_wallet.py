"""Wallets: keys on disk, encrypted when a passphrase is given."""

from __future__ import annotations

import json
import stat
from hashlib import sha256
from pathlib import Path

import pytest

from tallynet.codec import encode
from tallynet.hashing import record_id
from tallynet.keyfile import KeyFileError
from tallynet.names import Fact, fact_commitment
from tallynet.records import Kind, OrganisationKind, Size
from tools.onboarding import OPENING_FILE, new_organisation, registration
from tools.wallet import (
    BANK_PEOPLE,
    PASSPHRASE_VARIABLE,
    WalletError,
    create_wallet,
    load_wallet,
    person_commitment,
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
    known = {Fact.name: command.name_commitment, Fact.tax_id: command.tax_id_commitment}
    for fact, text in ((Fact.name, "shop"), (Fact.tax_id, "T-1")):
        assert opening[fact]["text"] == text
        assert fact_commitment(fact, bytes.fromhex(opening[fact]["salt"]), text) == known[fact]
    assert opening[Fact.name]["salt"] != opening[Fact.tax_id]["salt"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_that_registers_an_enterprise_holds_its_name_or_a_guessable_hash(
    tmp_path: Path,
) -> None:
    """The label stands in a block as it is, and persons are few names that everybody can try."""
    sponsor = create_wallet(tmp_path, "bank-9", bytes(16), ("BANK",), BANK_PEOPLE)
    kind, size = OrganisationKind.SUPPLIER, Size.SMALL
    wallet = new_organisation(tmp_path, sponsor, "harbour-shop", kind, size)
    command = registration(tmp_path, bytes(32), wallet, kind, size, tax_id="T-1")
    assert b"harbour" not in encode(command)
    guess = sha256(b"tallynet/person" + wallet.id + b"harbour-shop/maker").digest()
    assert guess not in {key.person_commitment for key in command.keys}
    assert person_commitment(tmp_path, wallet, "maker") == command.keys[0].person_commitment
    assert wallet.id == record_id(Kind.ORGANISATION, sponsor.id, command.label)
