"""What a proof file holds, and how one is put together.

    ProofFile = "tallynet.proof", version, genesis hash, hand-overs, one statement

The hand-overs lead from the validators of the genesis to those who signed the statement's block. Certificates
have the signatures of exactly a quorum, and only the hand-overs that are needed are there: each byte of a
file is hashed, signed or implied, and a statement cannot be said in two ways by leaving evidence out.

A statement says how far it goes (heights, number of fields or events), so that cutting something off contradicts
it. What is not shown stays unsaid: a file is about one block, and says nothing about later ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tallynet.blocks import Certificate, Header, quorum
from tallynet.codec import Wire, decode, encode
from tallynet.documents.sealed import FIELDS_MAX, Disclosure
from tallynet.fields import Hash, Height, Id, Small
from tallynet.genesis import Genesis, genesis_hash
from tallynet.merkle import ListProof
from tallynet.state_proof import StateProof
from tallynet.validators import Handover, Succession

__all__ = [
    "EVENT_BLOCKS_MAX", "HANDOVERS_IN_FILE_MAX", "HISTORY_EVENTS_MAX", "PROOF_BYTES_MAX", "PROOF_TAG",
    "PROOF_VERSION", "AbsenceStatement", "ActStatement", "BlockEvents", "Statement", "DocumentStatement", "EventsStatement", "FinalBlock",
    "HistoryStatement", "ProofFile", "ReceiptStatement", "ReceiptAndEvents", "RecordStatement", "VoucherStatement", "make_proof",
]  # fmt: skip

PROOF_TAG: Final = "tallynet.proof"
PROOF_VERSION: Final = 1
PROOF_BYTES_MAX: Final = 32 * 1024 * 1024
"""Twice the largest voucher that the encoding allows (65,535 lots); a verifier reads a file whole."""
HANDOVERS_IN_FILE_MAX: Final = 4_096
"""Changes of the validator set since the genesis: a century of forty a year."""
EVENT_BLOCKS_MAX: Final = 10_000
"""Of one range; each brings a certificate of its own. Longer ranges are several files."""
RECEIPTS_MAX: Final = 65_535
"""Of one block, as its list tree allows."""
EVENTS_MAX: Final = 65_535
"""Of one envelope: a thousand commands with at most 65 events each."""
HISTORY_EVENTS_MAX: Final = 65_535
"""Of one voucher; 500 lots are passed on eight times each and paid with a few thousand."""


RecordId = Annotated[bytes, Meta(min_length=1, max_length=40)]


class FinalBlock(Wire):
    """A block that a quorum of validators signed."""

    header: bytes
    """Encoded `Header`."""
    certificate: Certificate
    """Commit certificate with exactly a quorum of signatures."""


class RecordStatement(Wire, tag="record"):
    """A record, no voucher, has this value."""

    block: FinalBlock
    kind: Small
    id: RecordId
    proof: StateProof


class AbsenceStatement(Wire, tag="absence"):
    """There is no such record."""

    block: FinalBlock
    kind: Small
    id: RecordId
    asked: Hash
    """`entity_key` of kind and id. What is absent is hashed nowhere else: a damaged id would make this the
    absence of another record, as true and of no use."""
    proof: StateProof


class VoucherStatement(Wire, tag="voucher"):
    """A voucher and all its lots: they tile [0, face), so nobody's part is left out."""

    block: FinalBlock
    voucher: Id
    proof: StateProof


class HistoryStatement(Wire, tag="history"):
    """A voucher, all its lots, and everything that ever happened to it."""

    block: FinalBlock
    voucher: Id
    proof: StateProof
    events: Annotated[tuple[bytes, ...], Meta(max_length=HISTORY_EVENTS_MAX)]
    """Its whole log from the first event on; the voucher's record holds their number and accumulator."""


class ReceiptStatement(Wire, tag="receipt"):
    """What became of an envelope."""

    block: FinalBlock
    receipt: bytes
    """Encoded `EnvelopeReceipt`."""
    proof: ListProof
    """Against the receipts root that the quorum signed."""


class ActStatement(Wire, tag="act"):
    """What was asked in an envelope, signatures included, and what became of it."""

    block: FinalBlock
    receipt: bytes
    proof: ListProof
    envelope: bytes
    """The encoded `SignedEnvelope` that the block ordered."""
    place: ListProof
    """Of its envelope hash, against the header's envelopes root."""


class ReceiptAndEvents(Wire):
    """One leaf of a block's receipts tree with the events that it counts."""

    receipt: bytes
    """Encoded `PrologueReceipt` in the first place, else `EnvelopeReceipt`."""
    events: Annotated[tuple[bytes, ...], Meta(max_length=EVENTS_MAX)]


class BlockEvents(Wire):
    block: FinalBlock
    receipts: Annotated[tuple[ReceiptAndEvents, ...], Meta(min_length=1, max_length=RECEIPTS_MAX)]
    """All of them, in order."""


class EventsStatement(Wire, tag="events"):
    """Everything that happened from one height to another."""

    first: Height
    last: Height
    blocks: Annotated[tuple[BlockEvents, ...], Meta(min_length=1, max_length=EVENT_BLOCKS_MAX)]


class DocumentStatement(Wire, tag="document"):
    """Fields of a registered document, without its other fields."""

    block: FinalBlock
    document: Id
    proof: StateProof
    """Of the `Document` record, which holds the root."""
    fields: Annotated[int, Meta(ge=1, le=FIELDS_MAX)]
    """How many are shown."""
    disclosure: Disclosure


Statement = (
    RecordStatement | AbsenceStatement | VoucherStatement | HistoryStatement | ReceiptStatement | ActStatement | EventsStatement | DocumentStatement
)  # fmt: skip


class ProofFile(Wire, tag=PROOF_TAG):
    version: Small
    genesis: Hash
    """Of the network."""
    handovers: Annotated[tuple[Handover, ...], Meta(max_length=HANDOVERS_IN_FILE_MAX)]
    """From the genesis on, oldest first, up to the set that signed the newest block of the statement."""
    statement: Statement


def make_proof(genesis: Genesis, handovers: Iterable[Handover], statement: Statement) -> bytes:
    """The bytes of a proof file. `handovers` are all that are known, oldest first.

    Nothing is verified but the hand-overs: give the result to `verify_proof` before it is relied on.

    Raises:
        RemoteProtocolError: a hand-over does not hold.
    """
    succession = Succession.of(genesis)
    newest = (
        statement.blocks[-1].block if isinstance(statement, EventsStatement) else statement.block
    )
    epoch = decode(Header, newest.header).epoch
    needed: list[Handover] = []
    for handover in handovers:
        ended = decode(Header, handover.header).epoch
        if ended < epoch and succession.add(handover):
            trimmed = _trimmed(handover.certificate, succession, ended)
            needed.append(msgspec.structs.replace(handover, certificate=trimmed))
    file = ProofFile(
        PROOF_VERSION, genesis_hash(genesis), tuple(needed), _with_quorums(statement, succession)
    )
    return encode(file)


def _with_quorums(statement: Statement, succession: Succession) -> Statement:
    """The same statement; no certificate has more signatures than a quorum."""

    def final(block: FinalBlock) -> FinalBlock:
        epoch = decode(Header, block.header).epoch
        return FinalBlock(block.header, _trimmed(block.certificate, succession, epoch))

    if isinstance(statement, EventsStatement):
        blocks = tuple(BlockEvents(final(part.block), part.receipts) for part in statement.blocks)
        return EventsStatement(statement.first, statement.last, blocks)
    return msgspec.structs.replace(statement, block=final(statement.block))


def _trimmed(certificate: Certificate, succession: Succession, epoch: int) -> Certificate:
    count = quorum(len(succession.set_of(epoch).keys))
    return Certificate(
        certificate.vote, certificate.signers[:count], certificate.signatures[:count]
    )
