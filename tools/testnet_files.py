"""The directories of a local testnet: made once, then they could be copied to n machines.

DIR/genesis.json            the network's identity, the same file everywhere
DIR/network.json            where the nodes listen, for clients and `testnet up`
DIR/wallets/<name>/         keys of each organisation's people
DIR/<bank-i>/node.toml      one node: configuration, key, genesis, data, log
DIR/<observer-i>/node.toml  the same for a node without a vote
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tallynet.errors import TallynetError
from tallynet.genesis import (
    Genesis,
    GenesisKey,
    GenesisOrganisation,
    GenesisParameter,
    genesis_hash,
)
from tallynet.hashing import record_id
from tallynet.keyfile import create_key_file
from tallynet.plain import from_plain, to_plain
from tallynet.records import Algorithm, Kind, OrganisationKind, Size, Validator
from tools.onboarding import committed_facts
from tools.wallet import (
    BANK_PEOPLE,
    NAMES_FILE,
    Wallet,
    create_wallet,
    environment_passphrase,
    person_commitment,
)

GENESIS_FILE: Final = "genesis.json"
NETWORK_FILE: Final = "network.json"
NODE_KEY_FILE: Final = "node.key"
CONFIG_FILE: Final = "node.toml"
FOREVER: Final = 2**40
"""Keys of a testnet do not expire."""
VALIDATORS_MAX: Final = 16
"""Processes on one machine; the protocol itself allows more."""
OBSERVERS_MAX: Final = 16
"""The same; each validator serves eight, and more follow those."""
WEB_PORTS_ABOVE: Final = VALIDATORS_MAX + OBSERVERS_MAX
"""A node's web pages are so many ports above its own, where no other node listens."""


class TestnetError(TallynetError):
    """The testnet directory cannot be made or used; the text says why and what to do."""

    __test__ = False  # the name begins like a test class


class NodeEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    host: str
    port: Annotated[int, Meta(ge=1, le=65_535)]
    public_key: str
    observer: bool = False
    """It has no vote; clients of the command line talk to it when it is named."""

    @property
    def web(self) -> str:
        """`HOST:PORT` of its web pages, on its own machine."""
        host = self.host if self.host.startswith("127.") else "127.0.0.1"
        return f"{host}:{self.port + WEB_PORTS_ABOVE}"


class NetworkFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`network.json`: addresses of all nodes: the genesis' validators in order of index, then others."""

    name: str
    nodes: tuple[NodeEntry, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What `tally testnet init` was asked for."""

    directory: Path
    validators: int
    hosts: tuple[str, ...]
    base_port: int
    name: str
    time_ms: int
    business_date: int
    day_seconds: int
    window: int
    parameters: tuple[tuple[str, int], ...] = ()
    pending_per_organisation: int = 256
    epoch_length: int = 1_000
    observers: int = 0
    log_level: str = "info"


def init(plan: Plan) -> NetworkFile:
    """Make all directories of a new network. Raises TestnetError; then nothing was made."""
    _check(plan)
    plan.directory.mkdir(parents=True, exist_ok=True)
    banks = [f"bank-{i + 1}" for i in range(plan.validators)]
    wallets = [_bank_wallet(plan.directory, bank) for bank in banks]
    keys = {bank: _node_key(plan.directory / bank) for bank in banks}
    validators = sorted(
        (Validator(wallet.id, keys[wallet.name], wallet.name) for wallet in wallets),
        key=lambda validator: validator.public_key,
    )
    genesis = Genesis(
        1,
        plan.name,
        plan.time_ms,
        plan.business_date,
        plan.day_seconds,
        plan.window,
        plan.epoch_length,
        tuple(validators),
        tuple(
            sorted(
                (_founder(plan.directory, w) for w in wallets),
                key=lambda organisation: organisation.id,
            )
        ),
        tuple(GenesisParameter(name, value) for name, value in sorted(plan.parameters)),
    )
    network = NetworkFile(
        plan.name, tuple(_entry(plan, banks, validator) for validator in validators)
    )
    _write_genesis(plan.directory / GENESIS_FILE, genesis)
    for node in network.nodes:
        _write_node(plan, network, node, genesis)
    _write_network(plan.directory, network)
    for number in range(plan.observers):
        port = plan.base_port + plan.validators + number
        add_node(plan.directory, f"observer-{number + 1}", plan.hosts[0], port, observer=True)
    return load_network(plan.directory)


def _check(plan: Plan) -> None:
    if plan.validators != 1 and not 4 <= plan.validators <= VALIDATORS_MAX:
        raise TestnetError(
            "VALIDATORS",
            f"--validators {plan.validators}: 4 to {VALIDATORS_MAX} (or 1 for development);"
            " fewer than 4 tolerate no fault",
        )
    if (plan.directory / NETWORK_FILE).exists():
        raise TestnetError(
            "NETWORK_EXISTS", f"{plan.directory} holds a network already; choose another directory"
        )
    if len(plan.hosts) not in (1, plan.validators):
        raise TestnetError(
            "HOSTS", f"--hosts names {len(plan.hosts)}; give one or exactly {plan.validators}"
        )
    if not 0 <= plan.observers <= OBSERVERS_MAX:
        raise TestnetError("OBSERVERS", f"--observers {plan.observers}: 0 to {OBSERVERS_MAX}")
    if not 1024 <= plan.base_port <= 65_535 - 2 * WEB_PORTS_ABOVE:
        raise TestnetError("PORT", f"--base-port {plan.base_port}: choose 1024 to 65000")


def _bank_wallet(network: Path, name: str) -> Wallet:
    organisation = record_id(Kind.ORGANISATION, b"founder", name.encode())
    return create_wallet(network, name, organisation, ("BANK", "CLEARING"), BANK_PEOPLE)


def _node_key(directory: Path) -> bytes:
    directory.mkdir(parents=True, exist_ok=True)
    key = create_key_file(directory / NODE_KEY_FILE, environment_passphrase())
    return key.public_key().public_bytes_raw()


def _founder(network: Path, wallet: Wallet) -> GenesisOrganisation:
    name_hash, tax_hash = committed_facts(network, wallet, wallet.name)
    keys = tuple(
        GenesisKey(
            person_commitment(network, wallet, person.name),
            person.role_set,
            Algorithm.ED25519,
            bytes.fromhex(person.public_key),
            0,
            FOREVER,
            10**13 if person.name == "machine" else 0,
        )
        for person in wallet.people
    )
    return GenesisOrganisation(
        wallet.id,
        (OrganisationKind.BANK, OrganisationKind.CLEARING),
        Size.LARGE,
        "banking",
        "home",
        name_hash,
        tax_hash,
        sha256(b"tallynet/unique" + wallet.name.encode()).digest(),
        keys,
    )


def _entry(plan: Plan, banks: list[str], validator: Validator) -> NodeEntry:
    position = banks.index(validator.name)
    if len(plan.hosts) == 1:
        host, port = plan.hosts[0], plan.base_port + position
    else:
        host, port = plan.hosts[position], plan.base_port
    return NodeEntry(validator.name, host, port, validator.public_key.hex())


def add_node(
    network_directory: Path, name: str, host: str, port: int, *, observer: bool = False
) -> NodeEntry:
    """Make the directory of a further node that follows all others: one that may become a validator, whose
    address is added to everybody's files, or an observer.

    Raises:
        TestnetError: NODE_EXISTS; then nothing was made.
    """
    network = load_network(network_directory)
    directory = network_directory / name
    if name in [node.name for node in network.nodes] or (directory / NODE_KEY_FILE).exists():
        raise TestnetError("NODE_EXISTS", f"{directory} holds a node already")
    node = NodeEntry(name, host, port, _node_key(directory).hex(), observer)
    shutil.copy(network_directory / GENESIS_FILE, directory / GENESIS_FILE)
    config = (
        f'name = "{name}"\nlisten_host = "{host}"\nlisten_port = {port}\n'
        + ('role = "observer"\n' if observer else "join = true\n")
        + _web_text(node)
        + "".join(map(_peer_text, network.nodes))
    )
    (directory / CONFIG_FILE).write_text(config, encoding="utf-8")
    for other in () if observer else network.nodes:
        path = network_directory / other.name / CONFIG_FILE
        path.write_text(path.read_text(encoding="utf-8") + _peer_text(node), encoding="utf-8")
    _write_network(network_directory, NetworkFile(network.name, (*network.nodes, node)))
    return node


def _web_text(node: NodeEntry) -> str:
    return f'\n[web]\nlisten = "{node.web}"\nnames = "../{NAMES_FILE}"\n'


def _peer_text(peer: NodeEntry) -> str:
    return (
        f'\n[[peers]]\npublic_key = "{peer.public_key}"\nhost = "{peer.host}"\nport = {peer.port}\n'
    )


def _write_network(directory: Path, network: NetworkFile) -> None:
    text = json.dumps(msgspec.to_builtins(network), indent=2) + "\n"
    (directory / NETWORK_FILE).write_text(text, encoding="utf-8")


def _write_genesis(path: Path, genesis: Genesis) -> None:
    path.write_text(json.dumps(to_plain(genesis), indent=1) + "\n", encoding="utf-8")


def _write_node(plan: Plan, network: NetworkFile, node: NodeEntry, genesis: Genesis) -> None:
    directory = plan.directory / node.name
    _write_genesis(directory / GENESIS_FILE, genesis)
    peers = "".join(_peer_text(peer) for peer in network.nodes if peer != node)
    (directory / CONFIG_FILE).write_text(
        f"# Node of {node.name} on network {network.name!r} ({genesis_hash(genesis).hex()[:16]})\n"
        f'name = "{node.name}"\n'
        f'listen_host = "{node.host}"\n'
        f"listen_port = {node.port}\n"
        f'log_level = "{plan.log_level}"\n'
        f"{'peers = []' if len(network.nodes) == 1 else ''}\n"
        f"[limits]\npending_per_organisation = {plan.pending_per_organisation}\n"
        # This directory holds the keys of all of them: there is nobody to hide anything from.
        'answers = "everybody"\n'
        f"{_web_text(node)}"
        f"{peers}",
        encoding="utf-8",
    )


def load_genesis(path: Path) -> Genesis:
    """Read a genesis file. Raises TestnetError GENESIS_MISSING or PlainError FILE_INVALID."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TestnetError("GENESIS_MISSING", f"{path} does not exist") from None
    except ValueError as error:
        raise TestnetError("GENESIS_INVALID", f"{path}: {error}") from None
    return from_plain(Genesis, plain)


def load_network(directory: Path) -> NetworkFile:
    """Read `network.json`. Raises TestnetError NETWORK_MISSING or NETWORK_INVALID."""
    path = directory / NETWORK_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=NetworkFile)
    except FileNotFoundError:
        raise TestnetError(
            "NETWORK_MISSING",
            f"{path} does not exist; make a network with: tally testnet init {directory}",
        ) from None
    except msgspec.DecodeError as error:
        raise TestnetError("NETWORK_INVALID", f"{path}: {error}") from None
