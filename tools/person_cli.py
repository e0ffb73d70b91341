"""`tally light person add|list|role|password|remove`: who may sign in at the pages of a light node."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from node.desk.accounts import Account, AccountError, Accounts, Duty, change, new_account
from node.desk.passwords import Hash, hash_password
from node.light.config import load_light
from tools.arguments import UsageError
from tools.ledger_cli import OutputOption
from tools.output import Output, print_json, print_rows, told
from tools.wallet import load_wallet

__all__ = ["people"]

PASSWORD_FILE_BYTES_MAX: Final = 1_024
people = App(name="person", help="Who may sign in at the pages of a light node, running or not")
RolesOption = Annotated[
    str, Parameter(name="--roles", help="viewer, maker, checker, administrator; with commas")
]
WalletPersonOption = Annotated[
    str,
    Parameter(
        name="--person",
        help="of the wallet, with whose key a maker or checker signs; default: NAME",
    ),
]
PasswordFileOption = Annotated[
    Path | None,
    Parameter(name="--password-file", help="read the password from its first line; default: ask"),
]


@people.command
def add(
    directory: Path,
    name: str,
    *,
    roles: RolesOption,
    person: WalletPersonOption = "",
    password_file: PasswordFileOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Let somebody sign in.

    A viewer looks; a maker proposes acts; a checker approves or declines what others propose, never his own; an
    administrator sees who is signed in, and ends sessions. Makers and checkers are people of the wallet, one
    account each.

    For example:

        tally light person add light li --roles maker --person maker
        tally light person add light wang --roles checker,administrator --person checker

    Parameters
    ----------
    directory
        As made by tally light init.
    name
        To sign in with: lower-case letters, digits, hyphen, point.
    """
    duties = _duties(roles)
    signs = Duty.MAKER in duties or Duty.CHECKER in duties
    account = new_account(
        name, duties, _person(directory, person or name) if signs else "", _password(password_file)
    )

    def edit(accounts: dict[str, Account]) -> None:
        if name in accounts:
            raise AccountError("ACCOUNT_EXISTS", f"there is an account {name!r} already")
        accounts[name] = account

    change(directory, edit)
    _say(output, name, account.duties)


@people.command(name="list")
def list_people(directory: Path, *, output: OutputOption = Output.table) -> None:
    """Print who may sign in, and as what.

    For example:

        tally light person list light

    Parameters
    ----------
    directory
        As made by tally light init.
    """
    load_light(directory)
    accounts = Accounts(directory).all().values()
    if output is Output.json:
        print_json(
            [{"name": a.name, "roles": list(a.duties), "person": a.person} for a in accounts]
        )
        return
    rows = [(a.name, ", ".join(a.duties), a.person or "-") for a in accounts]
    print_rows("people", ("name", "roles", "person of the wallet"), rows)


@people.command
def role(
    directory: Path,
    name: str,
    *,
    roles: RolesOption,
    person: WalletPersonOption = "",
    output: OutputOption = Output.table,
) -> None:
    """Change what somebody may do; open sessions of theirs end.

    For example:

        tally light person role light li --roles maker,checker

    Parameters
    ----------
    directory
        As made by tally light init.
    name
        Of the account.
    """
    duties = _duties(roles)
    signs = Duty.MAKER in duties or Duty.CHECKER in duties

    def edit(accounts: dict[str, Account]) -> None:
        known = _known(accounts, name)
        chosen = _person(directory, person or known.person or name) if signs else ""
        accounts[name] = new_account(name, duties, chosen, known.password)

    change(directory, edit)
    _say(output, name, tuple(sorted(duties)))


@people.command
def password(
    directory: Path,
    name: str,
    *,
    password_file: PasswordFileOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Give somebody another password; open sessions of theirs end.

    For example:

        tally light person password light li

    Parameters
    ----------
    directory
        As made by tally light init.
    name
        Of the account.
    """
    _known(Accounts(directory).all(), name)
    hashed = _password(password_file)

    def edit(accounts: dict[str, Account]) -> None:
        known = _known(accounts, name)
        accounts[name] = new_account(name, known.duties, known.person, hashed)

    change(directory, edit)
    told(output, f"{name} has a new password", name=name)


@people.command
def remove(directory: Path, name: str, *, output: OutputOption = Output.table) -> None:
    """Let somebody in no more; open sessions of theirs end, and what they have proposed is not signed any more.

    For example:

        tally light person remove light li

    Parameters
    ----------
    directory
        As made by tally light init.
    name
        Of the account.
    """

    def edit(accounts: dict[str, Account]) -> None:
        del accounts[_known(accounts, name).name]

    change(directory, edit)
    told(output, f"{name} may not sign in any more", name=name)


def _say(output: Output, name: str, roles: tuple[Duty, ...]) -> None:
    text = f"{name} may sign in as {', '.join(roles)}"
    told(output, text, name=name, roles=[str(role) for role in roles])


def _known(accounts: dict[str, Account], name: str) -> Account:
    if name not in accounts:
        raise AccountError("ACCOUNT_MISSING", f"there is no account {name!r}")
    return accounts[name]


def _duties(text: str) -> tuple[Duty, ...]:
    try:
        return tuple(Duty(part.strip()) for part in text.split(","))
    except ValueError:
        raise UsageError("USAGE", f"{text!r}: roles are {', '.join(Duty)}") from None


def _person(directory: Path, name: str) -> str:
    """Raises AccountError ACCOUNT_INVALID unless the wallet has it."""
    place = directory / load_light(directory).wallet
    names = [each.name for each in load_wallet(place.parent.parent, place.name).people]
    if name not in names:
        raise AccountError(
            "ACCOUNT_INVALID", f"the wallet has no person {name!r}; --person: {', '.join(names)}"
        )
    return name


def _password(file: Path | None) -> Hash:
    """Never an argument: those are seen by everybody on the machine, and kept by shells."""
    if file is not None:
        try:
            with file.open(encoding="utf-8") as opened:
                said = opened.readline(PASSWORD_FILE_BYTES_MAX).rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError("FILE_MISSING", f"{file}: {error}") from None
        return hash_password(said)
    if not sys.stdin.isatty():
        raise UsageError("USAGE", "there is no terminal to ask for a password: --password-file")
    said = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != said:
        raise UsageError("USAGE", "these were two different passwords; try again")
    return hash_password(said)
