"""Readers of documents, as a client sees them: their keys on the chain, what was wrapped for whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.state.view import Index
from tallynet.client import Client
from tallynet.commands import AccessGrant
from tallynet.documents import Access, find_access, hint_secret, wrap
from tallynet.hashing import reader_hint
from tallynet.records import Document, DocumentReader, Kind, ReadingKey
from tools.arguments import UsageError
from tools.kept_documents import part_file, reading_keys
from tools.participant import new_label
from tools.records_by_name import AddressBook
from tools.wallet import Wallet

READERS_MAX: Final = 1_024
"""Wrapped keys of one document that are tried: a fifth of a second."""


@dataclass(frozen=True, slots=True)
class Grantee:
    """A reader to be, with its key on the chain."""

    reader: bytes
    key: ReadingKey


async def reading_keys_of(
    client: Client, book: AddressBook, readers: Sequence[bytes]
) -> list[Grantee]:
    """The proven reading keys of these organisations. Raises UsageError READING_KEY_MISSING."""
    found = []
    for reader in readers:
        key = await client.read(Kind.READING_KEY, reader)
        if not isinstance(key, ReadingKey):
            name = book.names().get(reader, reader.hex())
            raise UsageError(
                "READING_KEY_MISSING",
                f"{name} has no reading key; it makes one with: tally key reading --as {name}",
            )
        found.append(Grantee(reader, key))
    return found


def grants(
    document: bytes, key: bytes, hint_key: bytes, grantees: Sequence[Grantee]
) -> list[AccessGrant]:
    """The commands that give these readers the document's key. Raises DocumentError."""
    made = []
    for grantee in grantees:
        secret = hint_secret(hint_key, grantee.reader)
        wrapped = wrap(Access(key, secret), grantee.key.public_key, document)
        hint = reader_hint(secret, document, grantee.reader)
        made.append(AccessGrant(new_label(), document, hint, grantee.key.epoch, wrapped))
    return made


async def load_document(client: Client, id: bytes) -> Document:
    """The proven record. Raises UsageError RECORD_NOT_FOUND."""
    known = await client.read(Kind.DOCUMENT, id)
    if not isinstance(known, Document):
        raise UsageError("RECORD_NOT_FOUND", f"no document {id.hex()} is registered")
    return known


async def access_of(client: Client, network: Path, wallet: Wallet, document: bytes) -> Access:
    """What was wrapped for this wallet's organisation. Raises DocumentError NOT_A_READER."""
    entries: list[tuple[bytes, bytes]] = []
    async for entry in client.unproven_index_all(Index.DOCUMENT_READERS, document):
        id = entry[len(document) :]
        reader = await client.read(Kind.DOCUMENT_READER, id)
        if isinstance(reader, DocumentReader) and reader.document == document:
            entries.append((id, reader.wrapped_key))
        if len(entries) >= READERS_MAX:
            break
    return find_access(entries, reading_keys(network, wallet), document, wallet.id)


async def fetch(
    client: Client, directory: Path, document: bytes, hash: bytes, secret: bytes
) -> bytes:
    """The ciphertext with this hash. What came is kept as it comes, and gone on from next time."""
    with part_file(directory) as (have, progress):
        return await client.ciphertext(
            Kind.DOCUMENT, document, hash, secret=secret, have=have, progress=progress
        )
