"""Accounts for tests: the dearest part of one is made once."""

from __future__ import annotations

from pathlib import Path

from node.desk.accounts import Account, Duty, change, new_account
from node.desk.passwords import hash_password

__all__ = ["PASSWORD", "account", "write"]

PASSWORD = "three words together"
HASHED = hash_password(PASSWORD)


def account(name: str, *duties: Duty, person: str = "") -> Account:
    return new_account(name, duties, person or name, HASHED)


def write(directory: Path, *accounts: Account) -> None:
    """Those and nobody else."""

    def edit(known: dict[str, Account]) -> None:
        known.clear()
        known.update({each.name: each for each in accounts})

    change(directory, edit)
