"""Client connections for the command line: addresses and genesis from a network directory."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallynet.client import Client, NodeAddress, TrustStore
from tallynet.genesis import Genesis, genesis_hash
from tallynet.keyfile import KeyFileError
from tools.output import working
from tools.testnet_files import GENESIS_FILE, NetworkFile, load_genesis, load_network
from tools.wallet import load_wallet, private_key

TRUST_DIRECTORY: Final = "trust"
"""In a network directory: what its commands have seen of the network."""


def genesis_of(network: Path) -> tuple[Genesis, bytes]:
    """The genesis of a network directory and its hash."""
    genesis = load_genesis(network / GENESIS_FILE)
    return genesis, genesis_hash(genesis)


def addresses(file: NetworkFile, only: str | None = None) -> list[NodeAddress]:
    """Where the validators listen; `only` names one node, which may be an observer."""
    return [
        NodeAddress(node.host, node.port, bytes.fromhex(node.public_key))
        for node in file.nodes
        if (not node.observer if only is None else node.name == only)
    ]


def _key_of(network: Path, acting: str) -> Ed25519PrivateKey | None:
    """Whoever acts with another key may do so although this one is missing or encrypted."""
    if not acting:
        return None
    wallet = load_wallet(network, acting)
    for person in wallet.people:
        with suppress(KeyFileError):
            return private_key(network, wallet, person)
    return None


@asynccontextmanager
async def connect(
    network: Path,
    *,
    only: str | None = None,
    key: Ed25519PrivateKey | None = None,
    acting: str = "",
) -> AsyncIterator[Client]:
    """A connected client of this network; `only` restricts it to one node.

    It authenticates with `key`, or the first key that can be read in the wallet `acting`, or a fresh one: who acts on
    the ledger is said by the envelopes' signatures; who asks decides what a node shows. What it has seen is kept in the network directory, if
    this user may write there.
    """
    nodes = addresses(load_network(network), only)
    genesis, _ = genesis_of(network)
    asking = key or _key_of(network, acting) or Ed25519PrivateKey.generate()
    store = TrustStore(network / TRUST_DIRECTORY) if os.access(network, os.W_OK) else None
    async with Client.connect(nodes, genesis, asking, store=store) as client:
        yield client


@asynccontextmanager
async def asking(
    network: Path, *, key: Ed25519PrivateKey | None = None, acting: str = ""
) -> AsyncIterator[Client]:
    """The same for questions whose answers take a while: a line moves meanwhile. Print when it is over."""
    with working("asking the network"):
        async with connect(network, key=key, acting=acting) as client:
            yield client
