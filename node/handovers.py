"""From one validator set to the next, as this node keeps it: what proves a change, and in whose set it lives.

A node lives under one set at a time. Which one follows from what is stored alone: the genesis, the
hand-overs, and how far the chain has come.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from consensus.config import OBSERVER
from node.ledger.membership import validators_of
from node.state.view import StateView
from node.store import Store
from tallynet.blocks import Certificate, Header, SignatureCheck
from tallynet.codec import decode, decode_trusted, encode
from tallynet.errors import invariant
from tallynet.genesis import Genesis, validators_hash
from tallynet.records import NETWORK_ID, Kind, Network
from tallynet.validators import Handover, Succession, ValidatorSet


class Standing(Enum):
    """What a node may be."""

    VOTES = 1
    """A validator, or nothing: it has nobody to follow."""
    FOLLOWS = 2
    """A validator where its key is one, else an observer."""
    OBSERVES = 3
    """An observer."""


@dataclass(frozen=True, slots=True)
class Life:
    """One node's time under one set."""

    voters: ValidatorSet
    previous: ValidatorSet | None
    index: int
    """In `voters`; OBSERVER: it belongs to none."""

    @property
    def observes(self) -> bool:
        """It has no vote here."""
        return self.index == OBSERVER


def handover_of(
    state: StateView, header: Header, header_bytes: bytes, certificate: Certificate
) -> Handover | None:
    """The change of the validator set that a final block proves; None where there is none. `state` is the
    block's own."""
    network = state.get(Kind.NETWORK, NETWORK_ID)
    if not isinstance(network, Network) or header.height % network.epoch_length:
        return None
    following = validators_of(state, header.epoch + 1)
    if following == network.validators:
        return None
    named = validators_hash(following)
    invariant(header.next_validators == named, "INV-11 a final block names another set")
    return Handover(header_bytes, certificate, following)


def load_succession(store: Store, genesis: Genesis, check: SignatureCheck) -> Succession:
    """Every validator set that this node knows of, verified again (INV-12).

    Raises:
        RemoteProtocolError: BAD_HANDOVER or BAD_CERTIFICATE, what is stored does not hold.
    """
    succession = Succession.of(genesis, check)
    with store.reader() as reader:
        for _, handover in reader.handovers():
            succession.add(decode_trusted(Handover, handover))
    return succession


def keep_handovers(store: Store, handovers: Iterable[Handover]) -> None:
    """Write down what a node learned of its network before it lives in any set. For the store's thread."""
    batch = store.batch()
    for handover in handovers:
        batch.handover(decode(Header, handover.header).epoch + 1, encode(handover))
    store.commit(batch)


def life_of(
    succession: Succession, height: int, key: bytes, standing: Standing = Standing.VOTES
) -> Life | None:
    """In which set the node with this key lives when its chain has come to `height`: the one that votes on
    the next block; else the newest known, into which it can only come with a fetched state; else the one
    of the last block, in which it has nothing more to say but that there is this block.

    Where its key is in none of them, or only in one that is known to be replaced by a set without it, it
    observes, if it may, under the set that votes on the next block: nobody in that set listens to it any more.
    None: it is nowhere.
    """
    length = succession.epoch_length
    current = succession.set_of(height // length)
    last = succession.set_of(max(0, height - 1) // length)
    newest = succession.newest
    removed = key in current.keys and key not in newest.keys
    nowhere = standing is Standing.OBSERVES or (standing is Standing.FOLLOWS and removed)
    for voters in () if nowhere else (current, newest, last):
        if key in voters.keys:
            return Life(voters, succession.before(voters), voters.keys.index(key))
    if standing is Standing.VOTES:
        return None
    return Life(current, succession.before(current), OBSERVER)
