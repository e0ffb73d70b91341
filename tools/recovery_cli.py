"""`tally recovery start|adopt`: new keys for an organisation that lost its own.

These make keys, so they are not in the command table. Both banks must attest the same keys: the first
makes them and the act's body, the second consents to that body.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import msgspec
import trio
from cyclopts import App

from tallynet import commands as c
from tallynet.plain import from_plain, to_plain
from tools.connect import genesis_of
from tools.ledger_cli import (
    DEFAULT_NETWORK,
    AsOption,
    Common,
    NetworkOption,
    OutputOption,
    execute,
)
from tools.onboarding import new_key
from tools.organisation_cli import (
    DryRunOption,
    SignAsOption,
    next_person,
    read_json,
    registered_key,
    replace_key,
)
from tools.output import Output, told
from tools.participant import new_label
from tools.wallet import WALLETS, Person, Wallet, WalletError, load_wallet, person_commitment

RECOVERY_FILE: Final = "recovery.json"
"""Body of the joint act: both banks must send the same."""


def start(
    *,
    as_: AsOption,
    organisation: str,
    network: NetworkOption = DEFAULT_NETWORK,
    sign_as: SignAsOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
) -> None:
    """Attest new keys of an organisation that lost its own: a joint act of its sponsor and a second bank.

    The first bank makes a new key for each person of the wallet; the second
    repeats the command. Any live key can stop it with tally recovery cancel
    until the time lock (parameter recovery_timelock_days) has passed.

    For example:

        tally recovery start --as bank-1 --organisation harbour-tours

        tally recovery start --as bank-2 --organisation harbour-tours

    Parameters
    ----------
    organisation
        Wallet of the organisation.
    """
    wallet = load_wallet(network, organisation)
    path = network / WALLETS / wallet.name / RECOVERY_FILE
    if not path.exists():
        genesis = genesis_of(network)[1]
        keys = tuple(recovered_key(network, genesis, wallet, person) for person in wallet.people)
        body = c.RecoverStart(new_label(), wallet.id, keys)
        path.write_text(json.dumps(to_plain(body), indent=1) + "\n", encoding="utf-8")
    command = from_plain(c.RecoverStart, read_json(path))
    command = msgspec.structs.replace(command, label=new_label())
    execute(Common(network, as_, "", sign_as, dry_run, output), command)


def recovered(network: Path, wallet: Wallet, person: Person) -> Person:
    """The person with the key that is to replace its own, made if it is not there yet."""
    name = f"{person.name}-recovered"
    return next_person(network / WALLETS / wallet.name / f"{name}.key", name, person.roles)


def recovered_key(network: Path, genesis: bytes, wallet: Wallet, person: Person) -> c.NewKey:
    """The new key as the act carries it; the person stays the same (I10)."""
    new = new_key(network, genesis, wallet, recovered(network, wallet, person))
    same = person_commitment(network, wallet, person.name)
    return msgspec.structs.replace(new, person_commitment=same)


def adopt(
    *,
    organisation: str,
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Let the wallet use the recovered keys once their time lock has passed.

    For example:

        tally recovery adopt --organisation harbour-tours

    Parameters
    ----------
    organisation
        Wallet of the organisation.
    """
    wallet = load_wallet(network, organisation)
    path = network / WALLETS / wallet.name / RECOVERY_FILE
    if not path.exists():
        raise WalletError("RECOVERY_MISSING", f"no recovery of {organisation} was started here")
    for old in waiting(network, wallet):
        key = trio.run(registered_key, network, recovered(network, wallet, old).key_id)
        if key is None or key.revoked:
            raise WalletError("RECOVERY_PENDING", f"the new key of {old.name} is not in force")
    adopt_keys(network, wallet)
    told(
        output,
        f"wallet {organisation} signs with its recovered keys",
        wallet=organisation,
    )


def waiting(network: Path, wallet: Wallet) -> list[Person]:
    """The people whose recovered key is not their own yet: all, unless an adoption was interrupted."""
    directory = network / WALLETS / wallet.name
    return [one for one in wallet.people if (directory / f"{one.name}-recovered.key").exists()]


def adopt_keys(network: Path, wallet: Wallet) -> None:
    """Make the recovered keys the people's own; lost key files may be missing."""
    directory = network / WALLETS / wallet.name
    for old in waiting(network, wallet):
        (directory / f"{old.name}.key").touch(mode=0o600)
        replace_key(
            network, load_wallet(network, wallet.name), old, recovered(network, wallet, old)
        )
    (directory / RECOVERY_FILE).unlink()


def add_recovery_commands(nouns: dict[str, App]) -> None:
    """Add the commands of this module to their noun."""
    nouns["recovery"].command(start, name="start")
    nouns["recovery"].command(adopt, name="adopt")
