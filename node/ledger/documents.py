"""Sealed trade documents: one per invoice in the whole network, used up to its total (§8.4; I2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from node.ledger.context import Context, refuse, require_amount
from node.ledger.organisations import has_kind, require_active
from node.ledger.programmes import require_currency
from node.ledger.rulebook import Joint, Signers, rule
from node.state.view import Index
from tallynet.commands import DocumentAttest, DocumentRegister, DocumentVoid
from tallynet.errors import invariant
from tallynet.hashing import record_id
from tallynet.receipts import Created
from tallynet.records import (
    Attestation,
    CommandClass,
    Document,
    DocumentPolicy,
    DocumentStatus,
    DocumentUse,
    Kind,
    Organisation,
    OrganisationKind,
    Voucher,
)

ATTESTATIONS_MAX: Final = 64
"""On one document: its 18 parties at most can say all three things, and some banks and oracles too."""


def document_id(uniqueness_tag: bytes) -> bytes:
    """Id of the document with this tag: a function of the invoice alone, so that every bank finds the
    same record (§16.5)."""
    return record_id(Kind.DOCUMENT, b"", uniqueness_tag)


@rule(
    DocumentRegister,
    CommandClass.DOCUMENT,
    Signers.M,
    api=True,
    sentence="Registers a sealed trade document under its uniqueness tag.",
    errors=("DOCUMENT_DUPLICATE", "DOCUMENT_CONFLICT"),
)
def register(context: Context, command: DocumentRegister) -> None:
    """document.register (voucher law §8.4): the same tag and root gives a named party the existing
    id; another root under the tag is DOCUMENT_CONFLICT."""
    parties = {command.creditor, command.debtor, *command.parties}
    if context.acting not in parties:
        raise refuse("DOCUMENT_PARTY", "only a party of a document can register it")
    if command.creditor == command.debtor:
        raise refuse("SELF_DEALING", "creditor and debtor are the same organisation")
    for party in sorted(parties):
        require_active(context, party, receiving=True)
    require_currency(command.currency)
    require_amount(command.total, "total")
    id = document_id(command.uniqueness_tag)
    known = context.find(Document, id)
    if known is not None:
        _same(context, id, known, command)
        return
    context.create(
        id,
        Document(
            command.document_type, context.acting, command.uniqueness_tag, command.root,
            command.ciphertext_hash, tuple(sorted(parties)), command.creditor, command.debtor,
            command.currency, command.total, 0, 0, command.delivery_day, DocumentStatus.ACTIVE, (),
        ),
    )  # fmt: skip
    for party in sorted(parties):
        context.state.index_add(Index.PARTY_DOCUMENTS, party + id)
    context.emit(
        "document.register", Kind.DOCUMENT, id, source=command.debtor, target=command.creditor,
        amount=command.total,
    )  # fmt: skip


def _same(context: Context, id: bytes, known: Document, command: DocumentRegister) -> None:
    if known.root != command.root:
        raise refuse(
            "DOCUMENT_CONFLICT", "this invoice is registered with other contents or other salts"
        )
    if context.acting not in known.parties:
        raise refuse("DOCUMENT_DUPLICATE", "this invoice is registered already by other parties")
    context.created.append(Created(int(Kind.DOCUMENT), id))


@rule(
    DocumentAttest,
    CommandClass.DOCUMENT,
    Signers.M,
    sentence="Attests that an invoice is genuine, goods were received or a contract is sealed.",
    errors=("ORACLE_REQUIRED", "DOCUMENT_STATE"),
)
def attest(context: Context, command: DocumentAttest) -> None:
    """document.attest (voucher law §8.4): by an oracle, a bank, or a party other than the owner, whose own
    word is no attestation. Each says each thing once."""
    document = context.require(Document, command.document)
    attestor = context.require(Organisation, context.acting)
    counterparty = context.acting in document.parties and context.acting != document.owner
    if not counterparty and not has_kind(attestor, OrganisationKind.ORACLE, OrganisationKind.BANK):
        raise refuse("ORACLE_REQUIRED", "an oracle, a bank or a counterparty attests")
    _require_active(document)
    if any((a.kind, a.attestor) == (command.kind, context.acting) for a in document.attestations):
        raise refuse("STATE_CONFLICT", "this organisation has attested this already")
    if len(document.attestations) >= ATTESTATIONS_MAX:
        raise refuse("BATCH_LIMIT", f"a document has at most {ATTESTATIONS_MAX} attestations")
    attestation = Attestation(command.kind, context.acting, context.today)
    attestations = (*document.attestations, attestation)
    context.put(command.document, msgspec.structs.replace(document, attestations=attestations))
    context.emit("document.attest", Kind.DOCUMENT, command.document, source=context.acting)


def _require_active(document: Document) -> None:
    if document.status is not DocumentStatus.ACTIVE:
        raise refuse("DOCUMENT_STATE", "the document is void")


def _who_voids(context: Context, command: DocumentVoid) -> Sequence[bytes]:
    """An oracle alone; else owner and debtor, with the creditor where somebody else is the owner."""
    if has_kind(context.require(Organisation, context.acting), OrganisationKind.ORACLE):
        return (context.acting,)
    document = context.require(Document, command.document)
    return document.owner, document.creditor, document.debtor


@rule(
    DocumentVoid,
    CommandClass.DOCUMENT,
    Signers.M,
    joint=Joint.PARTIES,
    parties=_who_voids,
    sentence="Declares a document void: no new use, no new financing; vouchers stand.",
    errors=("DOCUMENT_STATE",),
)
def void(context: Context, command: DocumentVoid) -> None:
    """document.void (voucher law §8.4): no new use. The flag DOCUMENT_VOID of a voucher is no field of its
    own: it follows from the documents that the voucher names, so that one act flags any number of them and
    none is ever cancelled (Civil Code 763)."""
    document = context.require(Document, command.document)
    _require_active(document)
    context.put(command.document, msgspec.structs.replace(document, status=DocumentStatus.VOID))
    context.emit("document.void", Kind.DOCUMENT, command.document, source=context.acting)


def require_none_void(context: Context, voucher: Voucher) -> None:
    """For every act that begins a financing of a voucher. It names 64 documents at most.

    Raises LedgerError DOCUMENT_VOID.
    """
    for use in voucher.documents:
        if context.require(Document, use.document).status is DocumentStatus.VOID:
            raise refuse("DOCUMENT_VOID", f"document {use.document.hex()} is void")


def occupy(
    context: Context,
    uses: Sequence[DocumentUse],
    *,
    creditor: bytes,
    debtor: bytes,
    face: int,
    currency: str,
    policy: DocumentPolicy,
) -> list[Document]:
    """Use documents for a voucher (§8.5): active, parties match, within their totals, sum = face.

    Raises LedgerError DOCUMENT_STATE, DOCUMENT_PARTY, CURRENCY_MISMATCH, DOCUMENT_OVERUSED,
    AMOUNT_RANGE, STATE_CONFLICT.
    """
    ids = [use.document for use in uses]
    if len(set(ids)) != len(ids):
        raise refuse("STATE_CONFLICT", "a document is listed twice")
    documents = [context.require(Document, id) for id in ids]
    for document, use in zip(documents, uses, strict=True):
        _require_active(document)
        if (document.creditor, document.debtor) != (creditor, debtor):
            raise refuse("DOCUMENT_PARTY", "creditor and debtor of the document do not match")
        if document.currency != currency:
            raise refuse("CURRENCY_MISMATCH", f"the document is in {document.currency}")
        require_amount(use.amount, "document amount")
    if sum(use.amount for use in uses) != face:
        raise refuse("AMOUNT_RANGE", "the amounts of the documents do not sum to the face")
    for document, use in zip(documents, uses, strict=True):
        free = document.total - document.occupied
        if use.amount > free or (policy is DocumentPolicy.EXCLUSIVE and document.uses):
            raise refuse(
                "DOCUMENT_OVERUSED",
                f"document {use.document.hex()} has {free} of {document.total} free"
                + (" and is used by another voucher" if document.uses else ""),
            )
    for document, use in zip(documents, uses, strict=True):
        _put(context, use.document, document, use.amount, 1)
    return documents


def release(context: Context, uses: Sequence[DocumentUse]) -> None:
    """A voucher was cancelled: its documents are free again (I2)."""
    for use in uses:
        _put(context, use.document, context.require(Document, use.document), -use.amount, -1)


def release_part(
    context: Context, uses: Sequence[DocumentUse], less: Sequence[DocumentUse]
) -> tuple[DocumentUse, ...]:
    """A credit note: each document named in `less` backs its voucher by so much less. Returns the uses
    that are left. Raises LedgerError STATE_CONFLICT, AMOUNT_RANGE."""
    cut = {use.document: use.amount for use in less}
    if len(cut) != len(less):
        raise refuse("STATE_CONFLICT", "a document is listed twice")
    if not cut.keys() <= {use.document for use in uses}:
        raise refuse("DOCUMENT_PARTY", "a document does not back this voucher")
    left: list[DocumentUse] = []
    for use in uses:
        amount = cut.get(use.document)
        if amount is None:
            left.append(use)
            continue
        require_amount(amount, "document amount")
        if amount > use.amount:
            raise refuse("AMOUNT_RANGE", f"{amount} of the {use.amount} that a document backs")
        rest = use.amount - amount
        if rest:
            left.append(DocumentUse(use.document, rest))
        document = context.require(Document, use.document)
        _put(context, use.document, document, -amount, 0 if rest else -1)
    return tuple(left)


def _put(context: Context, id: bytes, document: Document, amount: int, uses: int) -> None:
    changed = msgspec.structs.replace(
        document, occupied=document.occupied + amount, uses=document.uses + uses
    )
    invariant(0 <= changed.occupied <= changed.total, "LEDGER_I2 document occupancy")
    context.put(id, changed)
