"""Institutions for tests of the voucher law: three of the four banks admit them."""

from __future__ import annotations

from hashlib import sha256

from law_world import PEOPLE, World

from tallynet import commands as c
from tallynet import records as r


def admit(world: World, name: str, *kinds: r.OrganisationKind) -> bytes:
    """Admit an institution with keys for its people; its id."""
    tag = sha256(name.encode()).digest()
    keys = tuple(world.new_key(name, person, roles) for person, roles in PEOPLE.items())
    for bank in ("bank-1", "bank-2", "bank-3"):
        receipt = world.ok(
            bank,
            c.OrganisationAdmit(world.label, kinds, "services", "home", tag, tag, tag, keys),
        )
    world.ids[name] = receipt.created[0].id
    world.people[name] = tuple(PEOPLE)
    return world.ids[name]
