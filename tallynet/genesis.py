"""Genesis: everything the first block stands on. Its hash names the network in every signature."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Annotated

from msgspec import Meta

from tallynet.codec import Wire, encode
from tallynet.fields import Day, Hash, Id, Milliseconds, Name, PublicKey, Seconds, Small, Uint
from tallynet.plain import PlainError, from_plain
from tallynet.records import Algorithm, OrganisationKind, Role, Size, Validator


class GenesisKey(Wire):
    person_commitment: Hash
    roles: tuple[Role, ...]
    algorithm: Algorithm
    public_key: PublicKey
    valid_from: Seconds
    valid_to: Seconds
    cap: Uint


class GenesisOrganisation(Wire):
    """An institution present from the start; the founding banks are those of the validators."""

    id: Id
    kinds: tuple[OrganisationKind, ...]
    size: Size
    industry: Name
    region: Name
    name_commitment: Hash
    tax_id_commitment: Hash
    uniqueness_tag: Hash
    keys: Annotated[tuple[GenesisKey, ...], Meta(min_length=1, max_length=16)]


class GenesisParameter(Wire):
    name: Name
    value: Uint


class Genesis(Wire):
    version: Small
    name: Name
    """For people, e.g. `demo`; the hash is the identity."""
    time_ms: Milliseconds
    """No block is older."""
    business_date: Day
    """First business date; at most the day of `time_ms` in UTC+8 may be later than it."""
    day_seconds: Annotated[int, Meta(ge=1, le=86_400)]
    """Length of a business day: 86,400, then days begin at `day_roll_offset` after midnight UTC+8. A
    testnet may choose less, so that maturity comes within minutes; its first day then begins at
    `time_ms`."""
    window: Small
    """W: blocks in flight (protocol §5.2)."""
    epoch_length: Uint
    validators: Annotated[tuple[Validator, ...], Meta(min_length=1, max_length=100)]
    """Sorted by public key (INV-16)."""
    organisations: Annotated[tuple[GenesisOrganisation, ...], Meta(max_length=1000)]
    """Sorted by id."""
    parameters: Annotated[tuple[GenesisParameter, ...], Meta(max_length=100)]
    """Values in force from the start where they differ from the defaults; sorted by name."""


def read_genesis(data: bytes) -> Genesis:
    """The genesis in the bytes of a `genesis.json`. Whether it is the right one, its hash says.

    Raises:
        PlainError: GENESIS_INVALID, the text says where.
    """
    try:
        return from_plain(Genesis, json.loads(data))
    except (ValueError, RecursionError) as error:
        raise PlainError("GENESIS_INVALID", f"no JSON: {error}") from None
    except PlainError as error:
        raise PlainError("GENESIS_INVALID", error.message) from None


def genesis_hash(genesis: Genesis) -> bytes:
    """SHA-256 of the canonical encoding: the network's identity."""
    return sha256(b"tallynet/genesis" + encode(genesis)).digest()


def validators_hash(validators: tuple[Validator, ...]) -> bytes:
    """What `Header.next_validators` holds."""
    return sha256(b"tallynet/validators" + encode(validators)).digest()
