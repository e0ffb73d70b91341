"""`tally testnet join`, `tally node ready`, `tally validator add`: a bank's node becomes a validator.

    testnet join     makes the node's directory and tells the other nodes its address
    node ready       the new key signs what the newest block's state is: the file goes to the banks
    validator add    each bank compares the file with the chain and consents

`tally validator remove` needs no file and stands in the command table.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import msgspec
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cyclopts import App, Parameter

from tallynet import commands as c
from tallynet.blocks import Commit
from tallynet.client import Client, NodeAddress
from tallynet.codec import decode, encode
from tallynet.genesis import genesis_hash
from tallynet.hashing import signed_bytes
from tallynet.keyfile import load_key_file
from tallynet.plain import from_plain, to_plain
from tallynet.signatures import KIND_READY
from tools.arguments import UsageError
from tools.connect import connect
from tools.ledger_cli import (
    DEFAULT_NETWORK,
    AsOption,
    Common,
    NetworkOption,
    OutputOption,
    execute,
)
from tools.organisation_cli import DryRunOption, SignAsOption, check_name, read_json
from tools.output import Output, told
from tools.participant import new_label
from tools.records_by_name import AddressBook
from tools.testnet_files import add_node, load_genesis
from tools.wallet import environment_passphrase


def join(
    name: str,
    *,
    port: int,
    host: str = "127.0.0.1",
    observer: Annotated[bool, Parameter(name="--observer", negative=())] = False,
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Make the directory of a further node, and add its address to those of the others.

    It observes until the banks have made it a validator.

    For example:

        tally testnet join bank-5 --port 7104
        tally testnet join auditor --port 7105 --observer

    Parameters
    ----------
    name
        The node's name: that of its bank.
    port
        Where it listens.
    host
        Its address.
    observer
        It never votes; the others need not know its address.
    """
    check_name(name)
    node = add_node(network, name, host, port, observer=observer)
    told(
        output,
        f"{network / name}: key {node.public_key}",
        directory=str(network / name),
        public_key=node.public_key,
    )


def ready(
    directory: Path,
    file: Path,
    *,
    organisation: str,
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Let a node's key sign that it knows the newest state: what the banks ask for before they add it.

    For example:

        tally node ready network/bank-5 bank-5.ready --organisation bank-5

    Parameters
    ----------
    directory
        The node's directory.
    file
        Is overwritten; give it to every bank of the quorum within 1,000 blocks.
    organisation
        The bank: wallet name or id.
    """
    id = AddressBook(network).organisation(organisation)
    command = trio.run(readiness, directory, id)
    file.write_text(json.dumps(to_plain(command), indent=1) + "\n", encoding="utf-8")
    height = command.ready.height
    told(output, f"{file}: ready at height {height}", file=str(file), height=height)


async def readiness(directory: Path, organisation: bytes) -> c.ValidatorAdd:
    """What the banks sign to make the node of this directory, which is that of `organisation`, a validator."""
    from node.config import load_config

    config = load_config(directory)
    genesis = load_genesis(directory / config.genesis_file)
    key = load_key_file(directory / config.key_file, environment_passphrase())
    nodes = [
        NodeAddress(peer.host, peer.port, bytes.fromhex(peer.public_key)) for peer in config.peers
    ]
    async with Client.connect(nodes, genesis, Ed25519PrivateKey.generate()) as client:
        commit = decode(Commit, (await client.certificate()).vote)
    body = encode(c.ReadyBody(organisation, commit.height, commit.state_root))
    signature = key.sign(signed_bytes(KIND_READY, genesis_hash(genesis), body))
    return c.ValidatorAdd(
        new_label(),
        organisation,
        config.name,
        key.public_key().public_bytes_raw(),
        c.Ready(commit.height, commit.state_root, signature),
    )


def validator_add(
    *,
    as_: AsOption,
    ready: Path,
    network: NetworkOption = DEFAULT_NETWORK,
    sign_as: SignAsOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
) -> None:
    """Make a bank's node a validator, in place of the bank's node before it: a joint act of the bank quorum.

    Compares what the node says of the state with the chain first.

    For example:

        tally validator add --as bank-1 --ready bank-5.ready

    Parameters
    ----------
    ready
        The file of `tally node ready`.
    """
    command = from_plain(c.ValidatorAdd, read_json(ready))
    trio.run(_compare, network, command.ready)
    command = msgspec.structs.replace(command, label=new_label())
    execute(Common(network, as_, "", sign_as, dry_run, output), command)


async def _compare(network: Path, ready: c.Ready) -> None:
    async with connect(network) as client:
        commit = decode(Commit, (await client.certificate(ready.height)).vote)
    if commit.state_root != ready.state_root:
        raise UsageError(
            "USAGE", f"the node's state at height {ready.height} is not that of the network"
        )


def add_membership_commands(nouns: dict[str, App], testnet: App, node: App) -> None:
    """Add the commands of this module."""
    testnet.command(join)
    node.command(ready)
    nouns["validator"].command(validator_add, name="add")


__all__ = ["add_membership_commands", "readiness"]
