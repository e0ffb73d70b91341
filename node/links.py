"""Whom a node dials, and as what: a validator the others of its set, an observer the nodes that it follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from net import NodeIdentity
from node.config import ConfigError, PeerAddress
from node.handovers import Life
from tallynet.messages import PeerRole
from tallynet.validators import Succession

Address = tuple[str, int]
FOLLOWED_MAX: Final = 100
"""Nodes that one observer follows: as many as there may be validators. The first ones of the file count."""
NAME_MAX: Final = 64
"""Characters of a name in a status."""


@dataclass(frozen=True, slots=True)
class Links:
    """What one life of a node is built on."""

    dialler: NodeIdentity
    listener: NodeIdentity
    """An observer lets nobody in as a validator."""
    addresses: Mapping[int, Address]
    """By validator index, or by number of the node that is followed."""
    followed: tuple[str, ...] = ()
    """Names of the nodes that are followed where it observes, by number."""
    missing: tuple[bytes, ...] = ()
    """Validators of the set without an address here."""


def links_of(
    life: Life,
    *,
    genesis: bytes,
    key: Ed25519PrivateKey,
    peers: Iterable[PeerAddress],
    names: Succession,
) -> Links:
    """`peers` is what the configuration lists, `names` knows the validators' names.

    Raises:
        ConfigError: NOTHING_TO_FOLLOW, an observer without peers; CONFIG_INVALID, a weak key.
    """
    own = key.public_key().public_bytes_raw()
    listed = {bytes.fromhex(peer.public_key): (peer.host, peer.port) for peer in peers}
    listed.pop(own, None)
    if not life.observes:
        keys = life.voters.keys
        identity = NodeIdentity(genesis=genesis, key=key, validators=keys)
        others = [index for index in range(len(keys)) if index != life.index]
        found = {index: listed[keys[index]] for index in others if keys[index] in listed}
        missing = tuple(keys[index] for index in others if index not in found)
        return Links(identity, identity, found, missing=missing)
    if not listed:
        raise ConfigError(
            "NOTHING_TO_FOLLOW", "an observer needs at least one [[peers]] entry: a node to follow"
        )
    followed = list(listed)[:FOLLOWED_MAX]
    try:
        dialler = NodeIdentity(
            genesis=genesis, key=key, validators=tuple(followed), role=PeerRole.OBSERVER
        )
    except ValueError:
        raise ConfigError(
            "CONFIG_INVALID", "[[peers]] public_key: one of the keys is weak"
        ) from None
    return Links(
        dialler,
        NodeIdentity(genesis=genesis, key=key, validators=()),
        {number: listed[public] for number, public in enumerate(followed)},
        tuple(_name(names, public, listed[public]) for public in followed),
    )


def fitting(
    life: Life | None, succession: Succession, key: bytes, *, only_observes: bool, join: bool
) -> Life:
    """The life that a node begins with, when its key fits its role. A validator observes until the banks have
    added its key, and when they have removed it.

    Raises:
        ConfigError: KEY_VALIDATES, an observer with a validator's key; KEY_NOT_VALIDATOR, a validator with none.
    """
    if only_observes and life is not None:
        if key in (*life.voters.keys, *succession.newest.keys):
            raise ConfigError(
                "KEY_VALIDATES",
                "this key is a validator's, and the others count on its vote; give the observer a key of its own",
            )
        return life
    if life is None or (life.observes and not join and key not in succession.keys):
        raise ConfigError(
            "KEY_NOT_VALIDATOR",
            "this key is no validator of the network; use the key that was named in the genesis, set join = true"
            ' and let the banks add it, or role = "observer"',
        )
    return life


def _name(names: Succession, public: bytes, address: Address) -> str:
    """Of a validator its name; of an observer, which no record knows, where it listens."""
    return names.name_of(public) or f"{address[0]}:{address[1]}"[:NAME_MAX]
