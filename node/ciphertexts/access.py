"""Who may put a ciphertext here and who may have it, by the state of the chain (voucher law §16.2-3).

Whoever has it has bytes that only a wrapped key opens; that a node shows them to readers and parties alone
keeps sizes and times from the curious.
"""

from __future__ import annotations

from typing import Final

from node.ciphertexts.store import Address
from node.state.view import StateView
from node.visibility import PEOPLE, Sight, asker_of
from tallynet.ciphertexts import PutCiphertext, QueryCiphertext
from tallynet.errors import LedgerError
from tallynet.hashing import reader_hint, record_id
from tallynet.records import (
    Document,
    DocumentReader,
    FinancingRequest,
    Kind,
    Record,
    Role,
)

FEEDERS: Final = PEOPLE | {Role.API}
"""Machine keys register documents, so they bring their ciphertexts too (voucher law §4)."""


def named_hashes(record: Record | None) -> dict[bytes, bytes]:
    """Hashes of ciphertexts that a record names, each with the organisation that is charged for it."""
    match record:
        case Document():
            return {record.ciphertext_hash: record.owner}
        case FinancingRequest():
            return {
                q.sealed.ciphertext_hash: q.funder for q in record.quotes if q.sealed is not None
            }
        case _:
            return {}


def _refusal() -> LedgerError:
    return LedgerError(
        "NOT_AUTHORISED", "there is no such ciphertext, or it is not shown to this organisation"
    )


def record_of(state: StateView, kind: int, id: bytes) -> Record | None:
    """The record that may name a ciphertext; None also for a kind that never does."""
    if kind not in (Kind.DOCUMENT, Kind.FINANCING_REQUEST):
        return None
    return state.get(Kind(kind), id)


def is_named(state: StateView, address: Address) -> bool:
    """Whether the record of this address names its hash now."""
    named = named_hashes(record_of(state, address.kind, address.record))
    return named.get(address.hash) == address.owner


def address_for_put(state: StateView, put: PutCiphertext, key: bytes, time: int) -> Address:
    """Where a client's ciphertext is filed: under the record that names it, by a party of it; or, for a
    while, under one that its organisation is about to write.

    Raises LedgerError KEY_UNKNOWN, KEY_REVOKED, NOT_AUTHORISED.
    """
    asker = asker_of(state, key, time, FEEDERS)
    if put.kind not in (Kind.DOCUMENT, Kind.FINANCING_REQUEST):
        raise _refusal()
    record = record_of(state, put.kind, put.record)
    match record:
        case None if put.kind == Kind.DOCUMENT:
            return Address(asker, put.kind, put.record, put.hash)
        case Document() if asker in record.parties and record.ciphertext_hash == put.hash:
            return Address(record.owner, put.kind, put.record, put.hash)
        case FinancingRequest() if asker in record.funders:
            return Address(asker, put.kind, put.record, put.hash)
        case _:
            raise _refusal()


def address_for_query(state: StateView, query: QueryCiphertext, key: bytes, time: int) -> Address:
    """Where the ciphertext is filed that this client may have.

    Raises LedgerError KEY_UNKNOWN, KEY_REVOKED, NOT_AUTHORISED.
    """
    asker = asker_of(state, key, time)
    record = record_of(state, query.kind, query.record)
    owner = named_hashes(record).get(query.hash)
    if record is None or owner is None:
        raise _refusal()
    if not Sight(state, asker).ciphertext(record, owner) and not _is_reader(state, query, asker):
        raise _refusal()
    return Address(owner, query.kind, query.record, query.hash)


def _is_reader(state: StateView, query: QueryCiphertext, asker: bytes) -> bool:
    """The secret makes the hint under which a key was wrapped for this organisation."""
    hint = reader_hint(query.secret, query.record, asker)
    id = record_id(Kind.DOCUMENT_READER, query.record, hint)
    return isinstance(state.get(Kind.DOCUMENT_READER, id), DocumentReader)
