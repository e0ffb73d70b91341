"""Wallets: the keys of one organisation's people on this machine, and the address book.

A testnet keeps every organisation's wallet under `wallets/`; a real enterprise has its own only. The
wallet file holds public facts; private keys lie beside it as key files (0600).

    names.json                     {organisation: name} of all of them, for web pages
    wallets/<name>/wallet.json     {"name", "organisation", "kinds", "people": [...]}
    wallets/<name>/<person>.key    Ed25519 private key
    wallets/<name>/salt            what the wallet's commitments are salted with
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Meta

from tallynet.errors import TallynetError
from tallynet.hashing import record_id
from tallynet.keyfile import create_key_file, load_key_file
from tallynet.records import Kind, Role

WALLETS: Final = "wallets"
PASSPHRASE_VARIABLE: Final = "TALLY_PASSPHRASE"
WALLET_FILE: Final = "wallet.json"
SALT_FILE: Final = "salt"
NAMES_FILE: Final = "names.json"
"""Of the network directory: the address book that its nodes' web pages show."""
WalletName = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]


class WalletError(TallynetError):
    """A wallet is missing or cannot be used; the text says which and what to do."""


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One person's signing key."""

    name: WalletName
    roles: tuple[str, ...]
    public_key: str
    """Hex."""

    @property
    def key_id(self) -> bytes:
        return key_id(bytes.fromhex(self.public_key))

    @property
    def role_set(self) -> tuple[Role, ...]:
        return tuple(sorted(Role[name] for name in self.roles))


class Wallet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: WalletName
    organisation: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    """Hex id on the network."""
    kinds: tuple[str, ...]
    people: tuple[Person, ...]

    @property
    def id(self) -> bytes:
        return bytes.fromhex(self.organisation)


@dataclass(frozen=True, slots=True)
class PersonPlan:
    """Who gets a key in a new wallet."""

    name: str
    roles: tuple[Role, ...]


BANK_PEOPLE: Final = (
    PersonPlan("maker", (Role.MAKER, Role.ADMIN)),
    PersonPlan("checker", (Role.CHECKER, Role.ADMIN)),
    PersonPlan("approver", (Role.APPROVER,)),
    PersonPlan("machine", (Role.API,)),
)
CORE_PEOPLE: Final = BANK_PEOPLE[:3]
SMALL_PEOPLE: Final = BANK_PEOPLE[:2]
MICRO_PEOPLE: Final = (PersonPlan("owner", (Role.MAKER, Role.ADMIN)),)
"""A one-person shop: one signer, within `single_signer_max`."""


def key_id(public_key: bytes) -> bytes:
    """Id of a key record: a function of the public key alone."""
    return record_id(Kind.KEY, b"", public_key)


def salt_of(network: Path, wallet: Wallet, purpose: str) -> bytes:
    """32 bytes that nobody outside of this wallet can guess; the same ones for the same purpose.

    Raises WalletError WALLET_INVALID.
    """
    path = network / WALLETS / wallet.name / SALT_FILE
    try:
        secret = bytes.fromhex(path.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise WalletError("WALLET_INVALID", f"{path}: {error}") from None
    return hmac.digest(secret, b"tallynet/salt/" + purpose.encode(), "sha256")


def person_commitment(network: Path, wallet: Wallet, person: str) -> bytes:
    """Salted commitment to a person: the same for all keys of one (I10), and no name to be guessed."""
    salt = salt_of(network, wallet, "person")
    return sha256(b"tallynet/person" + salt + f"{wallet.name}/{person}".encode()).digest()


def create_wallet(
    network: Path, name: str, organisation: bytes, kinds: Sequence[str], plan: Sequence[PersonPlan]
) -> Wallet:
    """Make keys for `plan` and write the wallet. Raises WalletError WALLET_EXISTS."""
    directory = network / WALLETS / name
    if (directory / WALLET_FILE).exists():
        raise WalletError("WALLET_EXISTS", f"{directory} exists already; choose another name")
    directory.mkdir(parents=True, exist_ok=True)
    _create_salt(directory / SALT_FILE)
    people = tuple(_create_person(directory, person) for person in plan)
    wallet = Wallet(name, organisation.hex(), tuple(kinds), people)
    write_wallet(network, wallet)
    return wallet


def _create_salt(path: Path) -> None:
    """Kept if it is there: commitments may stand on it already."""
    if path.exists():
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(os.urandom(32).hex())


def _create_person(directory: Path, plan: PersonPlan) -> Person:
    key = create_key_file(directory / f"{plan.name}.key", environment_passphrase())
    public = key.public_key().public_bytes_raw().hex()
    return Person(plan.name, tuple(role.name for role in plan.roles), public)


def write_wallet(network: Path, wallet: Wallet) -> None:
    path = network / WALLETS / wallet.name / WALLET_FILE
    path.write_text(json.dumps(msgspec.to_builtins(wallet), indent=2) + "\n", encoding="utf-8")
    if any(wallet.id):  # it has its id on the network
        _enter_name(network / NAMES_FILE, wallet)


def _enter_name(path: Path, wallet: Wallet) -> None:
    """Add a wallet to the address book, which nodes may be reading."""
    book = json.loads(path.read_bytes()) if path.exists() else {}
    book[wallet.organisation] = wallet.name
    ahead = path.with_suffix(".new")
    ahead.write_text(json.dumps(book, indent=1) + "\n", encoding="utf-8")
    ahead.replace(path)


def load_wallet(network: Path, name: str) -> Wallet:
    """Raises WalletError WALLET_MISSING or WALLET_INVALID."""
    path = network / WALLETS / name / WALLET_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Wallet)
    except FileNotFoundError:
        known = ", ".join(wallet.name for wallet in load_wallets(network)) or "none"
        raise WalletError("WALLET_MISSING", f"no wallet {name!r} here; known: {known}") from None
    except msgspec.DecodeError as error:
        raise WalletError("WALLET_INVALID", f"{path}: {error}") from None


def load_wallets(network: Path) -> list[Wallet]:
    """All wallets of a network directory, by name."""
    files = sorted((network / WALLETS).glob(f"*/{WALLET_FILE}"))
    return [load_wallet(network, file.parent.name) for file in files]


def private_key(network: Path, wallet: Wallet, person: Person) -> Ed25519PrivateKey:
    """The person's private key from its file, which may be encrypted. Raises KeyFileError."""
    path = network / WALLETS / wallet.name / f"{person.name}.key"
    return load_key_file(path, environment_passphrase())


def environment_passphrase() -> bytes | None:
    """The passphrase of key files, from TALLY_PASSPHRASE: new ones are encrypted with it, encrypted
    ones are opened with it. Not set: key files are readable by their owner alone, and not encrypted."""
    text = os.environ.get(PASSPHRASE_VARIABLE)
    return text.encode() if text else None
