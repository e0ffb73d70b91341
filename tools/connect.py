"""Client connections for the command line: addresses and genesis from a network directory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallynet.client import Client, NodeAddress
from tallynet.genesis import Genesis, genesis_hash
from tools.testnet_files import GENESIS_FILE, NetworkFile, load_genesis, load_network


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


@asynccontextmanager
async def connect(
    network: Path, *, only: str | None = None, key: Ed25519PrivateKey | None = None
) -> AsyncIterator[Client]:
    """A connected client of this network; `only` restricts it to one node.

    It authenticates with `key`, or a fresh one: who acts on the ledger is said by the envelopes' signatures,
    and who asks matters for penetration queries only.
    """
    nodes = addresses(load_network(network), only)
    genesis, _ = genesis_of(network)
    async with Client.connect(nodes, genesis, key or Ed25519PrivateKey.generate()) as client:
        yield client
