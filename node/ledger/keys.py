"""Keys of an organisation's people (voucher law §8.2; reliability C1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from node.ledger.authority import requirement
from node.ledger.context import Context, refuse
from node.ledger.rulebook import Signers, rule
from node.state.view import Index
from tallynet.commands import KeyAdd, KeyRevoke, KeyRotate, NewKey
from tallynet.hashing import record_id
from tallynet.records import CommandClass, Key, Kind, Organisation, Role
from tallynet.signatures import KIND_REGISTER, key_is_sound, verify_kind

KEYS_MAX: Final = 64
"""Live keys of one organisation: a bank's back office, and a bound for scans."""


def register_keys(context: Context, organisation: bytes, keys: Sequence[NewKey]) -> None:
    """Register keys with proof of possession. Raises KEY_WEAK, SIGNATURE_INVALID, ID_IN_USE,
    DATE_RANGE, BATCH_LIMIT."""
    present = context.state.index_scan(Index.ORGANISATION_KEYS, organisation, limit=KEYS_MAX + 1)
    if len(present) + len(keys) > KEYS_MAX:
        raise refuse("BATCH_LIMIT", f"an organisation has at most {KEYS_MAX} keys")
    for key in keys:
        id = put_key(context, organisation, key, revoked=False)
        context.state.index_add(Index.ORGANISATION_KEYS, organisation + id)
        context.emit("key.add", Kind.KEY, id, target=organisation)


def put_key(context: Context, organisation: bytes, new: NewKey, *, revoked: bool) -> bytes:
    """Check and write one key; returns its id. Raises as `register_keys`."""
    if not key_is_sound(new.public_key):
        raise refuse("KEY_WEAK", "the public key is not canonical or of small order")
    if not new.roles or tuple(sorted(set(new.roles))) != new.roles:
        raise refuse("SCHEMA_INVALID", "roles must be sorted and distinct, at least one")
    if Role.API in new.roles and (len(new.roles) > 1 or new.cap == 0):
        raise refuse("SCHEMA_INVALID", "a machine key has the role API alone, and a cap")
    if new.valid_from >= new.valid_to:
        raise refuse("DATE_RANGE", "the key's validity ends before it begins")
    possession = verify_kind(
        KIND_REGISTER, context.genesis, new.public_key, new.public_key, new.possession
    )
    if not possession:
        raise refuse("SIGNATURE_INVALID", "the proof of possession does not fit the key")
    id = record_id(Kind.KEY, b"", new.public_key)
    context.create(
        id,
        Key(
            organisation, new.person_commitment, new.roles, new.algorithm, new.public_key,
            new.valid_from, new.valid_to, revoked, new.cap,
        ),
    )  # fmt: skip
    return id


def require_administrable(
    context: Context, id: bytes, organisation: Organisation, keys: Sequence[Key | NewKey]
) -> None:
    """These keys, not yet expired, can still sign what changes keys: enough distinct persons, each role
    held (§8.2). Otherwise only a recovery would help.

    Raises LedgerError POLICY_TOO_WEAK.
    """
    roles, persons = requirement(context, id, organisation, CommandClass.IDENTITY, Signers.AD2, 0)
    held = [key for key in keys if key.valid_to > context.time]
    able = {key.person_commitment for key in held if any(role in key.roles for role in roles)}
    if len(able) < persons or any(all(role not in key.roles for key in held) for role in roles):
        names = " and ".join(role.name for role in roles)
        raise refuse("POLICY_TOO_WEAK", f"{persons} distinct persons must remain as {names}")


@rule(
    KeyAdd,
    CommandClass.IDENTITY,
    Signers.AD2,
    sentence="Adds a key of one of the organisation's people.",
    errors=("KEY_WEAK",),
)
def add(context: Context, command: KeyAdd) -> None:
    """key.add (voucher law §8.2)."""
    register_keys(context, context.acting, (command.key,))


@rule(
    KeyRotate,
    CommandClass.IDENTITY,
    Signers.AD2,
    sentence="Replaces a key by a new one.",
    errors=("POLICY_TOO_WEAK", "KEY_WEAK"),
)
def rotate(context: Context, command: KeyRotate) -> None:
    """key.rotate (voucher law §8.2)."""
    _revoke(context, command.old)
    register_keys(context, context.acting, (command.key,))
    _require_own_administrable(context)


@rule(
    KeyRevoke,
    CommandClass.IDENTITY,
    Signers.AD2,
    sentence="Revokes a key for good.",
    errors=("POLICY_TOO_WEAK",),
)
def revoke(context: Context, command: KeyRevoke) -> None:
    """key.revoke (voucher law §8.2). The last persons who can change keys are replaced, not revoked."""
    _revoke(context, command.key)
    _require_own_administrable(context)


def _require_own_administrable(context: Context) -> None:
    id = context.acting
    require_administrable(context, id, context.require(Organisation, id), live_keys(context, id))


def live_key_ids(context: Context, organisation: bytes) -> list[bytes]:
    """Ids of the keys that were not revoked."""
    found = context.state.index_scan(Index.ORGANISATION_KEYS, organisation, limit=KEYS_MAX)
    return [key[len(organisation) :] for key in found]


def live_keys(context: Context, organisation: bytes) -> list[Key]:
    """The keys that were not revoked."""
    return [context.require(Key, id) for id in live_key_ids(context, organisation)]


def _revoke(context: Context, id: bytes) -> None:
    key = context.require(Key, id)
    if key.organisation != context.acting:
        raise refuse("NOT_AUTHORISED", "the key belongs to another organisation")
    if key.revoked:
        raise refuse("STATE_CONFLICT", "the key is revoked already")
    retire(context, id, key)
    context.emit("key.revoke", Kind.KEY, id, source=context.acting)


def retire(context: Context, id: bytes, key: Key) -> None:
    """A live key is revoked for good."""
    context.put(id, msgspec.structs.replace(key, revoked=True))
    context.state.index_remove(Index.ORGANISATION_KEYS, key.organisation + id)


def enliven(context: Context, id: bytes, key: Key) -> None:
    """A key that was registered as revoked may sign from now on."""
    context.put(id, msgspec.structs.replace(key, revoked=False))
    context.state.index_add(Index.ORGANISATION_KEYS, key.organisation + id)
