"""Keys on disk while an act's outcome is open: nothing that may be registered is lost."""

from __future__ import annotations

import stat
from pathlib import Path

from tallynet.keyfile import load_key_file
from tools.organisation_cli import next_person, replace_key
from tools.recovery_cli import adopt_keys, recovered, waiting
from tools.wallet import BANK_PEOPLE, WALLETS, create_wallet, load_wallet, private_key


def test_a_rotation_with_unknown_outcome_goes_on_with_the_same_key(tmp_path: Path) -> None:
    path = tmp_path / "maker-next.key"
    first = next_person(path, "maker-next", ("MAKER",))
    assert next_person(path, "maker-next", ("MAKER",)) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_replaced_key_signs_and_the_old_one_is_kept(tmp_path: Path) -> None:
    wallet = create_wallet(tmp_path, "bank-1", bytes(16), ("BANK",), BANK_PEOPLE)
    directory = tmp_path / WALLETS / "bank-1"
    old = wallet.people[0]
    added = next_person(directory / "maker-next.key", "maker-next", old.roles)
    replace_key(tmp_path, wallet, old, added)
    renewed = load_wallet(tmp_path, "bank-1")
    person = renewed.people[0]
    assert (person.name, person.roles) == (old.name, old.roles)
    assert person.public_key == added.public_key
    assert private_key(tmp_path, renewed, person).public_key().public_bytes_raw().hex() == (
        added.public_key
    )
    revoked = directory / f"maker-{old.public_key[:8]}.revoked"
    assert load_key_file(revoked).public_key().public_bytes_raw().hex() == old.public_key
    assert renewed.people[1:] == wallet.people[1:]


def test_recovered_keys_replace_all_though_an_old_key_file_is_lost(tmp_path: Path) -> None:
    wallet = create_wallet(tmp_path, "bank-1", bytes(16), ("BANK",), BANK_PEOPLE)
    directory = tmp_path / WALLETS / "bank-1"
    (directory / "recovery.json").write_text("{}")
    new = [recovered(tmp_path, wallet, person) for person in wallet.people]
    assert new == [recovered(tmp_path, wallet, person) for person in wallet.people]
    (directory / "maker.key").unlink()
    adopt_keys(tmp_path, wallet)
    renewed = load_wallet(tmp_path, "bank-1")
    assert [p.public_key for p in renewed.people] == [p.public_key for p in new]
    assert [(p.name, p.roles) for p in renewed.people] == [(p.name, p.roles) for p in wallet.people]
    assert waiting(tmp_path, renewed) == []
    for person in renewed.people:
        private_key(tmp_path, renewed, person)
