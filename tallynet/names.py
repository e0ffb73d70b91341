"""Names and tax ids behind an organisation's pseudonym, opened by proof (voucher law §16.1).

    commitment = SHA-256("tallynet/name" or "tallynet/tax-id" ‖ salt ‖ text)

Each has 32 random bytes of salt of its own, so that who learns the name cannot go on to guess the tax id.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256

from tallynet.records import Organisation

__all__ = ["Fact", "commitment", "fact_commitment", "opens"]


class Fact(StrEnum):
    """What an organisation's record commits to."""

    name = "name"
    tax_id = "tax-id"


def fact_commitment(fact: Fact, salt: bytes, text: str) -> bytes:
    """What goes into the record; `salt` is 32 random bytes, kept by the organisation."""
    return sha256(b"tallynet/" + fact.value.encode() + salt + text.encode()).digest()


def opens(organisation: Organisation, fact: Fact, salt: bytes, text: str) -> bool:
    """Whether this is what the organisation's record, attested by its sponsor, commits to."""
    known = {
        Fact.name: organisation.name_commitment,
        Fact.tax_id: organisation.tax_id_commitment,
    }
    return len(salt) == 32 and fact_commitment(fact, salt, text) == known[fact]


def commitment(purpose: str, owner: bytes, text: str) -> bytes:
    """Commitment to a text that only its parties know, bound to purpose and owner. The text itself
    must carry entropy (an account number, a receipt number); add a salt to what can be guessed."""
    return sha256(b"tallynet/" + purpose.encode() + b"\x00" + owner + text.encode()).digest()
