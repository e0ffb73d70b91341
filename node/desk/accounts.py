"""Who may sign in at the pages of a light node, and what each may do.

A file beside the copy, readable by its owner alone, changed by `tally light person` under a lock and read again here
when it has changed, so that whoever is removed is out with the next request.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, final

import msgspec
from msgspec import Meta

from node.desk.passwords import Hash
from tallynet.durable import replace_file
from tallynet.errors import TallynetError

__all__ = ["ACCOUNTS_FILE", "Account", "AccountError", "Accounts", "Duty", "change", "new_account"]

ACCOUNTS_FILE: Final = "people.json"
ACCOUNTS_MAX: Final = 100
"""People of one enterprise who act on the network."""
FILE_BYTES_MAX: Final = 1024 * 1024
_EXPOSED: Final = stat.S_IRWXG | stat.S_IRWXO


class Duty(StrEnum):
    """What an account may do; everybody may look."""

    VIEWER = "viewer"
    MAKER = "maker"
    """Proposes acts."""
    CHECKER = "checker"
    """Approves or declines what others propose."""
    ADMINISTRATOR = "administrator"
    """Sees who has an account and who is signed in, and ends sessions."""


_SIGNING: Final = frozenset((Duty.MAKER, Duty.CHECKER))


class AccountError(TallynetError):
    """ACCOUNTS_UNUSABLE: the file; ACCOUNT_EXISTS, ACCOUNT_MISSING, ACCOUNT_INVALID: what is asked of it."""


class Account(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}\Z")]
    duties: tuple[Duty, ...]
    person: str
    """Of the wallet, with whose key it signs; empty: it signs nothing."""
    password: Hash
    stamp: str
    """New with each change: sessions from before end."""

    def may(self, duty: Duty) -> bool:
        return duty in self.duties

    @property
    def signs(self) -> bool:
        return bool(_SIGNING & set(self.duties))


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    accounts: tuple[Account, ...] = ()


Change = Callable[[dict[str, Account]], None]


def new_account(name: str, duties: tuple[Duty, ...], person: str, password: Hash) -> Account:
    """Raises AccountError ACCOUNT_INVALID."""
    made = Account(name, tuple(sorted(set(duties))), person, password, secrets.token_hex(8))
    try:
        return msgspec.convert(msgspec.to_builtins(made), Account)
    except msgspec.ValidationError as error:
        raise AccountError(
            "ACCOUNT_INVALID", f"account {name!r}: {error}; lower-case letters, digits, - and ."
        ) from None


@final
class Accounts:
    """The file, as it is now."""

    def __init__(self, directory: Path) -> None:
        """Raises AccountError ACCOUNTS_UNUSABLE."""
        self._path: Final = directory / ACCOUNTS_FILE
        self._seen: tuple[int, int, int] | None = None
        self._accounts: dict[str, Account] = {}
        self._refresh()

    def get(self, name: str) -> Account | None:
        return self.all().get(name)

    def all(self) -> dict[str, Account]:
        """By name. A file that cannot be read any more lets nobody in: raises AccountError ACCOUNTS_UNUSABLE."""
        self._refresh()
        return self._accounts

    def _refresh(self) -> None:
        try:
            now = self._path.stat()
        except FileNotFoundError:
            self._seen, self._accounts = None, {}
            return
        except OSError as error:
            raise AccountError("ACCOUNTS_UNUSABLE", f"{self._path}: {error.strerror}") from None
        seen = (now.st_ino, now.st_size, now.st_mtime_ns)
        if seen != self._seen:
            self._accounts = _read(self._path)
            self._seen = seen


def change(directory: Path, edit: Change) -> None:
    """Change the accounts of a light node, running or not; durable when it returns.

    Raises:
        AccountError: ACCOUNTS_UNUSABLE, ACCOUNT_INVALID, and what `edit` raises; then nothing has changed.
    """
    path = directory / ACCOUNTS_FILE
    with _locked(directory):
        accounts = _read(path) if path.exists() else {}
        edit(accounts)
        _check(accounts)
        _write(path, accounts)


def _check(accounts: dict[str, Account]) -> None:
    if len(accounts) > ACCOUNTS_MAX:
        raise AccountError("ACCOUNT_INVALID", f"at most {ACCOUNTS_MAX} accounts; remove one")
    signing = [account for account in accounts.values() if account.signs]
    for account in signing:
        if not account.person:
            raise AccountError(
                "ACCOUNT_INVALID",
                f"{account.name} signs, so it needs a person of the wallet: --person",
            )
    for person in {account.person for account in signing}:
        names = [account.name for account in signing if account.person == person]
        if len(names) > 1:
            raise AccountError(
                "ACCOUNT_INVALID",
                f"{' and '.join(sorted(names))} are the same person {person!r}: one account each",
            )


def _read(path: Path) -> dict[str, Account]:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(FILE_BYTES_MAX)
        found = msgspec.json.decode(raw, type=_File).accounts
    except OSError as error:
        raise AccountError("ACCOUNTS_UNUSABLE", f"{path}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise AccountError("ACCOUNTS_UNUSABLE", f"{path}: {error}; put a copy back") from None
    if mode & _EXPOSED:
        raise AccountError("ACCOUNTS_UNUSABLE", f"{path}: others may read it; chmod 600 {path}")
    return {account.name: account for account in found}


def _write(path: Path, accounts: dict[str, Account]) -> None:
    body = msgspec.json.encode(_File(tuple(accounts[name] for name in sorted(accounts))))
    try:
        replace_file(path, body + b"\n", 0o600)
    except OSError as error:
        raise AccountError("ACCOUNTS_UNUSABLE", f"{path}: {error.strerror}") from None


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """One change at a time, of whatever process."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise AccountError("ACCOUNTS_UNUSABLE", f"{directory}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
