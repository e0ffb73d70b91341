"""Who may sign in: a file that only its owner reads, and what must not stand in it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from node.desk import accounts as keeping
from node.desk.accounts import (
    ACCOUNTS_FILE,
    Account,
    AccountError,
    Accounts,
    Duty,
    change,
    new_account,
)
from tests.unit.desk.people import HASHED, account, write

MAKER, CHECKER, VIEWER = Duty.MAKER, Duty.CHECKER, Duty.VIEWER


def test_a_change_is_seen_by_whoever_reads_at_once(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    assert accounts.all() == {}
    write(tmp_path, account("li", MAKER))
    assert accounts.get("li") == Accounts(tmp_path).get("li") is not None
    write(tmp_path)
    assert accounts.get("li") is None
    (tmp_path / ACCOUNTS_FILE).unlink()
    assert accounts.all() == {}


def test_only_the_owner_can_read_it_and_another_file_lets_nobody_in(tmp_path: Path) -> None:
    write(tmp_path, account("li", MAKER))
    path = tmp_path / ACCOUNTS_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    accounts = Accounts(tmp_path)
    raw = path.read_bytes()
    path.unlink()
    path.write_bytes(raw)
    path.chmod(0o640)
    os.utime(path, ns=(1, 1))
    with pytest.raises(AccountError, match="chmod 600"):
        accounts.get("li")
    path.chmod(0o600)
    path.write_bytes(b"{}}")
    with pytest.raises(AccountError) as broken:
        accounts.get("li")
    assert broken.value.code == "ACCOUNTS_UNUSABLE"


def test_one_person_of_the_wallet_signs_with_one_account(tmp_path: Path) -> None:
    write(tmp_path, account("li", MAKER, person="p"), account("boss", VIEWER, person="p"))
    before = Accounts(tmp_path).all()
    with pytest.raises(AccountError, match="same person"):
        write(tmp_path, account("li", MAKER, person="p"), account("wang", CHECKER, person="p"))
    with pytest.raises(AccountError, match="needs a person"):
        write(tmp_path, new_account("li", (MAKER,), "", HASHED))
    assert Accounts(tmp_path).all() == before, "what is refused changes nothing"


@pytest.mark.parametrize("name", ["", "Li", "-li", "li wang", "李", "l" * 64, "li\n"])
def test_names_are_plain(name: str) -> None:
    with pytest.raises(AccountError) as wrong:
        account(name, VIEWER)
    assert wrong.value.code == "ACCOUNT_INVALID"


def test_there_are_not_endlessly_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "ACCOUNTS_MAX", 2)
    three = [account(f"a{i}", VIEWER) for i in range(3)]
    write(tmp_path, *three[:2])
    with pytest.raises(AccountError, match="at most 2"):
        write(tmp_path, *three)


def test_changes_at_once_are_all_kept(tmp_path: Path) -> None:
    def add(number: int) -> None:
        def edit(known: dict[str, Account]) -> None:
            known[f"a{number}"] = account(f"a{number}", VIEWER)

        change(tmp_path, edit)

    threads = [threading.Thread(target=add, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(Accounts(tmp_path).all()) == [f"a{i}" for i in range(8)]
