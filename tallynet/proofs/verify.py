"""The verifier of proof files: bytes in, a typed fact out, or one refusal with a code.

    genesis file --hash--> hand-overs --q signatures each--> validators of the block's epoch
    block header <--hash-- Commit vote --q signatures--> state root, receipts root
    state root <--path-- record, or its absence      receipts root <--list path-- receipt

It needs no network, no clock and no node: the same file gives the same answer for ever. Every rule is the one
function that nodes and clients use as well; here stands only what a file must hold and nothing beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from itertools import pairwise
from typing import Final

from tallynet.blocks import Certificate, Commit, Header, quorum
from tallynet.codec import decode, encode
from tallynet.documents.sealed import verify_disclosure
from tallynet.envelope import open_envelope
from tallynet.errors import RemoteProtocolError
from tallynet.genesis import Genesis, genesis_hash, read_genesis
from tallynet.hashing import block_hash, envelope_hash
from tallynet.merkle import ListProof, list_root, verify_list_proof
from tallynet.proofs.facts import (
    EventsFact,
    Fact,
    FieldsFact,
    HistoryFact,
    Proven,
    ProvenBlock,
    ProvenEvent,
    ReceiptFact,
    RecordFact,
    VoucherFact,
)
from tallynet.proofs.files import (
    PROOF_BYTES_MAX,
    PROOF_TAG,
    PROOF_VERSION,
    AbsenceStatement,
    ActStatement,
    BlockEvents,
    DocumentStatement,
    EventsStatement,
    FinalBlock,
    HistoryStatement,
    ProofFile,
    ReceiptStatement,
    RecordStatement,
    Statement,
    VoucherStatement,
)
from tallynet.receipts import EnvelopeReceipt, Event, PrologueReceipt, events_digest
from tallynet.records import RECORD_TYPES, Document, Kind, Lot, Voucher
from tallynet.state_proof import StateProof, entity_key, verify_state_proof, verify_voucher_proof
from tallynet.validators import Succession, set_fault

__all__ = ["PROOF_CODES", "ProofRefused", "check_proof", "verify_proof"]

PROOF_CODES: Final = (
    "PROOF_TOO_LARGE", "PROOF_FORMAT", "PROOF_VERSION", "PROOF_MALFORMED", "PROOF_OTHER_NETWORK",
    "PROOF_SURPLUS", "PROOF_INCOMPLETE", "PROOF_CONTRADICTION", "BAD_HANDOVER", "BAD_CERTIFICATE",
    "BAD_PROOF", "BAD_DISCLOSURE",
)  # fmt: skip
"""Every code of `ProofRefused`."""

_CODES: Final = {
    "MALFORMED": "PROOF_MALFORMED",
    "SCHEMA": "PROOF_MALFORMED",
    "NOT_CANONICAL": "PROOF_MALFORMED",
    "VALIDATORS_CHANGED": "PROOF_INCOMPLETE",
    "NETWORK_MISMATCH": "PROOF_OTHER_NETWORK",
}
"""What a fault that is a client's or a peer's elsewhere is called in a file: hand-overs that lead to the set of
the block were left out, if they exist."""
_HEAD: Final = encode((PROOF_TAG,))[1:]
"""What follows the first byte (an array of five) of every file, of whatever version."""


class ProofRefused(RemoteProtocolError):
    """The file proves nothing; `code` is one of `PROOF_CODES`, the text says where it breaks."""


def verify_proof(file: bytes, genesis: bytes) -> Proven:
    """What a proof file proves to somebody who trusts the genesis file, `genesis` being its bytes.

    Raises:
        ProofRefused: it proves nothing.
        PlainError: GENESIS_INVALID, `genesis` is no genesis file.
    """
    return check_proof(file, read_genesis(genesis))


def check_proof(file: bytes, genesis: Genesis) -> Proven:
    """The same for a genesis that was read already.

    Raises:
        ProofRefused: it proves nothing.
    """
    try:
        return _checked(_opened(file), genesis)
    except RemoteProtocolError as error:
        raise ProofRefused(_CODES.get(error.code, error.code), error.message) from None


def _checked(proof: ProofFile, genesis: Genesis) -> Proven:
    own = genesis_hash(genesis)
    if proof.genesis != own:
        raise ProofRefused(
            "PROOF_OTHER_NETWORK",
            f"about network {proof.genesis.hex()}; the genesis is {own.hex()}",
        )
    if set_fault(genesis.validators) is not None:
        raise ProofRefused("BAD_HANDOVER", "the genesis holds no sound set of validators")
    succession = Succession.of(genesis)
    for handover in proof.handovers:
        if not succession.add(handover):
            raise ProofRefused("PROOF_SURPLUS", "a hand-over stands there twice")
        _require_quorum(succession, handover.certificate)
    block, fact = _proven(succession, proof.statement)
    if succession.newest.since > block.header.epoch:
        raise ProofRefused("PROOF_SURPLUS", "a hand-over is later than the block")
    return Proven(genesis, own, len(proof.handovers), block, fact)


def _opened(file: bytes) -> ProofFile:
    if len(file) > PROOF_BYTES_MAX:
        raise ProofRefused("PROOF_TOO_LARGE", f"more than {PROOF_BYTES_MAX:,} bytes")
    if file[1 : 1 + len(_HEAD)] != _HEAD:
        raise ProofRefused("PROOF_FORMAT", "this is no proof file")
    version = file[1 + len(_HEAD) : 2 + len(_HEAD)]
    if version != bytes((PROOF_VERSION,)):
        raise ProofRefused("PROOF_VERSION", f"this program reads version {PROOF_VERSION}")
    return decode(ProofFile, file)


def _require_quorum(succession: Succession, certificate: Certificate) -> None:
    """A verified certificate has no more signatures than it needs."""
    keys = succession.set_of(decode(Commit, certificate.vote).epoch).keys
    if len(certificate.signers) != quorum(len(keys)):
        raise ProofRefused("PROOF_SURPLUS", "a certificate has more signatures than a quorum")


def _final(succession: Succession, block: FinalBlock) -> tuple[ProvenBlock, Commit]:
    header, commit = succession.certified(block.header, block.certificate)
    _require_quorum(succession, block.certificate)
    validators = succession.validators(header.epoch)
    signers = block.certificate.signers
    return ProvenBlock(header, block_hash(block.header), signers, validators), commit


def _proven(succession: Succession, statement: Statement) -> tuple[ProvenBlock, Fact]:
    match statement:
        case RecordStatement():
            return _record(succession, statement)
        case AbsenceStatement():
            return _absence(succession, statement)
        case VoucherStatement():
            return _voucher(succession, statement)
        case HistoryStatement():
            return _history(succession, statement)
        case DocumentStatement():
            return _document(succession, statement)
        case ReceiptStatement():
            return _receipt(succession, statement)
        case ActStatement():
            return _act(succession, statement)
        case EventsStatement():
            return _events(succession, statement)


# --- statements about the state -------------------------------------------------------------------------


def _record(succession: Succession, statement: RecordStatement) -> tuple[ProvenBlock, Fact]:
    block, commit = _final(succession, statement.block)
    raw = verify_state_proof(commit.state_root, statement.kind, statement.id, statement.proof)
    kind = Kind(statement.kind)
    if raw is None:
        raise ProofRefused("PROOF_CONTRADICTION", "there is no such record")
    if kind is Kind.VOUCHER:
        raise ProofRefused("PROOF_INCOMPLETE", "a voucher is shown with its lots, as `voucher`")
    return block, RecordFact(kind, statement.id, decode(RECORD_TYPES[kind], raw))


def _absence(succession: Succession, statement: AbsenceStatement) -> tuple[ProvenBlock, Fact]:
    block, commit = _final(succession, statement.block)
    raw = verify_state_proof(commit.state_root, statement.kind, statement.id, statement.proof)
    kind = Kind(statement.kind)
    if raw is not None:
        raise ProofRefused("PROOF_CONTRADICTION", "there is such a record")
    if statement.asked != entity_key(bytes((kind,)) + statement.id):
        raise ProofRefused("PROOF_CONTRADICTION", "another record was asked for")
    return block, RecordFact(kind, statement.id, None)


def _voucher(succession: Succession, statement: VoucherStatement) -> tuple[ProvenBlock, Fact]:
    block, commit = _final(succession, statement.block)
    voucher, lots = _whole_voucher(commit.state_root, statement.voucher, statement.proof)
    return block, VoucherFact(statement.voucher, voucher, lots)


def _history(succession: Succession, statement: HistoryStatement) -> tuple[ProvenBlock, Fact]:
    block, commit = _final(succession, statement.block)
    voucher, lots = _whole_voucher(commit.state_root, statement.voucher, statement.proof)
    accumulator = bytes(32)
    for event in statement.events:
        accumulator = sha256(accumulator + event).digest()
    if len(statement.events) != voucher.event_count or accumulator != voucher.event_accumulator:
        raise ProofRefused("PROOF_INCOMPLETE", "these are not all events of the voucher")
    events = tuple(decode(Event, event) for event in statement.events)
    return block, HistoryFact(statement.voucher, voucher, lots, events)


def _whole_voucher(root: bytes, id: bytes, proof: StateProof) -> tuple[Voucher, tuple[Lot, ...]]:
    if proof.rows:
        raise ProofRefused("PROOF_INCOMPLETE", "the file leaves the lots of the voucher out")
    found = verify_voucher_proof(root, id, proof)
    if found is None:
        raise ProofRefused("PROOF_CONTRADICTION", "there is no such voucher")
    voucher, lots = found
    edges = (0, *(lot.end for lot in lots))
    if tuple(lot.start for lot in lots) != edges[:-1] or edges[-1] != voucher.face:
        raise ProofRefused("PROOF_INCOMPLETE", "the lots do not tile the face of the voucher")
    return voucher, lots


def _document(succession: Succession, statement: DocumentStatement) -> tuple[ProvenBlock, Fact]:
    block, commit = _final(succession, statement.block)
    raw = verify_state_proof(commit.state_root, Kind.DOCUMENT, statement.document, statement.proof)
    if raw is None:
        raise ProofRefused("PROOF_CONTRADICTION", "there is no such document")
    document = decode(Document, raw)
    if not verify_disclosure(document.root, statement.disclosure):
        raise ProofRefused("BAD_DISCLOSURE", "a field is not one of the registered document")
    shown = {field.path: field.value for field in statement.disclosure.fields}
    if len(shown) != statement.fields:
        raise ProofRefused("PROOF_CONTRADICTION", f"{statement.fields} fields are said to be shown")
    return block, FieldsFact(statement.document, document, shown)


# --- statements about the log -----------------------------------------------------------------------------


def _receipt(succession: Succession, statement: ReceiptStatement) -> tuple[ProvenBlock, Fact]:
    block, commit = _final(succession, statement.block)
    receipt = _certified_receipt(commit, statement.receipt, statement.proof)
    return block, ReceiptFact(receipt, statement.proof.index - 1, None)


def _act(succession: Succession, statement: ActStatement) -> tuple[ProvenBlock, Fact]:
    block, commit = _final(succession, statement.block)
    receipt = _certified_receipt(commit, statement.receipt, statement.proof)
    hash = envelope_hash(statement.envelope)
    if not verify_list_proof(block.header.envelopes_root, hash, statement.place):
        raise ProofRefused("BAD_PROOF", "the envelope is not in its block")
    envelope = open_envelope(statement.envelope)
    if (statement.place.index, statement.place.count) != (
        statement.proof.index - 1,
        statement.proof.count - 1,
    ):
        raise ProofRefused("PROOF_CONTRADICTION", "the receipt is that of another envelope")
    if envelope.transaction != receipt.transaction:
        raise ProofRefused("PROOF_CONTRADICTION", "the receipt names another transaction")
    return block, ReceiptFact(receipt, statement.place.index, envelope)


def _certified_receipt(commit: Commit, receipt: bytes, proof: ListProof) -> EnvelopeReceipt:
    if not verify_list_proof(commit.receipts_root, receipt, proof):
        raise ProofRefused("BAD_PROOF", "the receipt is not in its block")
    if proof.index == 0:
        raise ProofRefused("PROOF_CONTRADICTION", "this is the block's own receipt, no envelope's")
    return decode(EnvelopeReceipt, receipt)


def _events(succession: Succession, statement: EventsStatement) -> tuple[ProvenBlock, Fact]:
    found = [_final(succession, part.block) for part in statement.blocks]
    heights = [block.header.height for block, _ in found]
    if (
        heights != list(range(statement.first, statement.first + len(heights)))
        or heights[-1] != statement.last
    ):
        raise ProofRefused("PROOF_INCOMPLETE", "the blocks are not all from the first to the last")
    for (before, _), (after, _) in pairwise(found):
        if after.header.parent != before.hash:
            raise ProofRefused(
                "PROOF_CONTRADICTION", f"block {after.header.height} follows another"
            )
    events = [
        event
        for (block, commit), part in zip(found, statement.blocks, strict=True)
        for event in _events_of(block.header, commit, part)
    ]
    return found[-1][0], EventsFact(statement.first, statement.last, tuple(events))


def _events_of(header: Header, commit: Commit, part: BlockEvents) -> Iterator[ProvenEvent]:
    """All events of one block: every receipt is there, and with each all its events."""
    if list_root([given.receipt for given in part.receipts]) != commit.receipts_root:
        raise ProofRefused("PROOF_INCOMPLETE", f"not all receipts of block {header.height}")
    index = 0
    for place, given in enumerate(part.receipts):
        if events_digest(given.events) != _digest(place, given.receipt):
            raise ProofRefused("PROOF_INCOMPLETE", f"not all events of block {header.height}")
        for event in given.events:
            yield ProvenEvent(header.height, index, header.time_ms, decode(Event, event))
            index += 1


def _digest(place: int, receipt: bytes) -> bytes:
    """Of the events that a leaf of the receipts tree counts; the block's own stands first."""
    if place == 0:
        return decode(PrologueReceipt, receipt).events_digest
    return decode(EnvelopeReceipt, receipt).events_digest
