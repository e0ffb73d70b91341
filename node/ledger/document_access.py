"""Who may read a sealed document, and what a cheated reader can say (voucher law §8.4, §16.2-3)."""

from __future__ import annotations

import msgspec

from node.ledger.context import Context, refuse
from node.ledger.rulebook import Signers, rule
from tallynet.commands import AccessGrant, DocumentComplaint
from tallynet.hashing import reader_hint, record_id
from tallynet.records import CommandClass, Document, DocumentReader, Kind


def reader_id(document: bytes, hint: bytes) -> bytes:
    """Id of the key that was wrapped for one reader."""
    return record_id(Kind.DOCUMENT_READER, document, hint)


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
