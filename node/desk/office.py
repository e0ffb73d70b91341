"""What the desk is handed by whoever starts the light node: the wallet's people, their signatures, its documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from tallynet.codec import Wire
from tallynet.envelope import Envelope
from tallynet.records import Role

__all__ = ["KeptDocument", "Office", "Person"]


@dataclass(frozen=True, slots=True)
class Person:
    """Of the wallet."""

    name: str
    key: bytes
    """Id of the key on the network."""
    roles: tuple[Role, ...]


class KeptDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What opens a sealed document; without it nobody reads it ever again."""

    document: bytes
    """Its id on the network."""
    root: bytes
    salt: bytes
    key: bytes
    hint_key: bytes
    ciphertext: bytes


Signers = Sequence[tuple[Person, Role]]


@dataclass(frozen=True, slots=True)
class Office:
    people: dict[str, Person]
    """By name."""
    sign: Callable[[Sequence[Wire], Signers, int], Envelope]
    """Signs commands of the organisation, valid until a unix second. Raises TallynetError without a key."""
    keep: Callable[[str, KeptDocument], None]
    """Keeps a document in the wallet under a label, durable when it returns; once more does nothing. Raises
    TallynetError."""
