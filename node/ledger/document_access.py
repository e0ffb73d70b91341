"""Who may read a sealed document, and what a cheated reader can say (voucher law §8.4, §16.2-3)."""

from __future__ import annotations

import msgspec

from node.ledger.context import Context, refuse
from node.ledger.rulebook import Signers, rule
from tallynet.commands import AccessGrant, DocumentComplaint, ReadingKeySet
from tallynet.hashing import reader_hint, record_id
from tallynet.records import CommandClass, Document, DocumentReader, Kind, ReadingKey


def reader_id(document: bytes, hint: bytes) -> bytes:
    """Id of the key that was wrapped for one reader."""
    return record_id(Kind.DOCUMENT_READER, document, hint)


@rule(
    ReadingKeySet,
    CommandClass.IDENTITY,
    Signers.AD2,
    sentence="Names the key under which documents are encrypted for the organisation.",
    errors=("READER_KEY",),
)
def set_reading_key(context: Context, command: ReadingKeySet) -> None:
    """key.reading.set (voucher law §6, encryption keys by epoch). The public key is taken as it is: whether
    it can be used is seen by whoever encrypts, and who names another one than its own shuts itself out."""
    id = context.acting
    key = ReadingKey(command.epoch, command.suite, command.public_key)
    known = context.find(ReadingKey, id)
    if known is None:
        context.create(id, key)
    elif known.epoch >= command.epoch:
        raise refuse("READER_KEY", f"the reading key is of epoch {known.epoch} already")
    else:
        context.put(id, key)
    context.emit("key.reading.set", Kind.READING_KEY, id, source=context.acting)


@rule(
    AccessGrant,
    CommandClass.DOCUMENT,
    Signers.M,
    sentence="Gives a reader the wrapped key of a document.",
    errors=("READER_KEY",),
)
def grant(context: Context, command: AccessGrant) -> None:
    """document.access.grant (voucher law §8.4): also of a void document, which its readers may have to
    dispute. Under one hint a key is replaced only for a later epoch of the reader's key."""
    if context.require(Document, command.document).owner != context.acting:
        raise refuse("NOT_AUTHORISED", "only the owner grants access")
    id = reader_id(command.document, command.hint)
    reader = DocumentReader(command.document, command.epoch, command.wrapped_key, False)
    known = context.find(DocumentReader, id)
    if known is None:
        context.create(id, reader)
    elif known.epoch >= command.epoch:
        raise refuse("READER_KEY", f"the reader has a key of epoch {known.epoch} already")
    else:
        context.put(id, msgspec.structs.replace(reader, complained=known.complained))
    context.emit("document.access.grant", Kind.DOCUMENT, command.document, reference=id)


@rule(
    DocumentComplaint,
    CommandClass.DOCUMENT,
    Signers.M,
    sentence="Says as a reader that the ciphertext does not match the document's root.",
    errors=("READER_KEY",),
)
def complaint(context: Context, command: DocumentComplaint) -> None:
    """document.complaint (voucher law §8.4): once per reader. Opening the secret of its hint shows that the
    acting organisation was given a key (READER_KEY otherwise).

    Validators hold no ciphertext, so nothing is judged here: whoever holds it can check that it gives the
    fields of the complaint, and the signed command binds the reader to them.
    """
    context.require(Document, command.document)
    id = reader_id(command.document, reader_hint(command.secret, command.document, context.acting))
    reader = context.find(DocumentReader, id)
    if reader is None:
        raise refuse("READER_KEY", "no key of this document was wrapped for this reader")
    if reader.complained:
        raise refuse("STATE_CONFLICT", "this reader has complained already")
    context.put(id, msgspec.structs.replace(reader, complained=True))
    context.emit(
        "document.complaint", Kind.DOCUMENT, command.document, source=context.acting, reference=id
    )
