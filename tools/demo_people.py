"""After the story of the demo: light nodes of those who are in it, with an account for each of their people, so that
the next voucher goes its way in the browser alone."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.desk.accounts import Account, Accounts, Duty, change, new_account
from node.desk.passwords import hash_password
from node.light.config import load_light
from tallynet.errors import TallynetError
from tallynet.records import Role
from tools import testnet_processes
from tools.light_cli import LightError, ask, make_light
from tools.wallet import Wallet, load_wallet

__all__ = ["LIGHTS", "Opened", "make_password", "open_lights", "stop_lights"]

LIGHTS: Final = "light"
"""Of the network directory; holds a light node each."""
READY_SECONDS_MAX: Final = 60.0
"""A copy is filled in a second or two; the rest is for a busy machine."""
POLL_SECONDS: Final = 0.1
PASSWORD_WORDS: Final = 3
_DUTIES: Final = {
    Role.MAKER: Duty.MAKER,
    Role.CHECKER: Duty.CHECKER,
    Role.APPROVER: Duty.CHECKER,
    Role.ADMIN: Duty.ADMINISTRATOR,
}


@dataclass(frozen=True, slots=True)
class Opened:
    """A light node with pages."""

    who: str
    address: str
    accounts: tuple[str, ...]


def make_password() -> str:
    """Easy to copy, and of no use elsewhere."""
    return "-".join(secrets.token_hex(2) for _ in range(PASSWORD_WORDS))


def open_lights(network: Path, names: Sequence[str], port: int, password: str) -> list[Opened]:
    """Make and start light nodes of wallets, at ports from this one on, with an account for each person who signs by
    hand, and wait until their copies are proven. Raises TallynetError."""
    for number, name in enumerate(names):
        _start(network, name, port + number, password)
    return [_opened(network, name) for name in names]


def _start(network: Path, name: str, port: int, password: str) -> None:
    directory = network / LIGHTS / name
    make_light(directory, name, network, port)
    accounts = _accounts(load_wallet(network, name), password)
    change(directory, lambda known: known.update({each.name: each for each in accounts}))
    testnet_processes.start(network / LIGHTS, name, module="tools.light_run")


def _opened(network: Path, name: str) -> Opened:
    directory = network / LIGHTS / name
    _wait(directory)
    web = load_light(directory).web
    address = f"http://{web.listen}" if web is not None else ""
    return Opened(name, address, tuple(Accounts(directory).all()))


def _accounts(wallet: Wallet, password: str) -> list[Account]:
    hashed = hash_password(password)
    found: list[Account] = []
    for person in wallet.people:
        duties = tuple({_DUTIES[role] for role in person.role_set if role in _DUTIES})
        if duties:
            found.append(new_account(person.name, duties, person.name, hashed))
    return found


def _wait(directory: Path) -> None:
    until = time.monotonic() + READY_SECONDS_MAX
    while True:
        try:
            if ask(directory, "/status")["proven_at"] is not None:
                return
        except LightError as error:
            if error.code != "LIGHT_UNREACHABLE":
                raise
        if time.monotonic() > until or testnet_processes.find(directory) is None:
            raise TallynetError("LIGHT_UNREACHABLE", f"{directory}: see node.log there")
        time.sleep(POLL_SECONDS)


def stop_lights(network: Path, names: Sequence[str]) -> None:
    testnet_processes.stop(network / LIGHTS, names)
