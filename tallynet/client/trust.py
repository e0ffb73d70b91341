"""What a client believes: the genesis file, signatures of a quorum, and proofs. No I/O.

Every answer of a node goes through here before anybody sees it:

    header bytes --hash--> Commit vote --q signatures of validators--> state root, receipts root
    state root <--proof-- record        receipts root <--list proof-- receipt

Epochs: the validator set is the one of the genesis. A header that names another set for what follows is
refused (VALIDATORS_CHANGED) instead of being believed on the old set's word for ever; a client then
needs a newer trust anchor from its bank.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from tallynet.blocks import Certificate, Commit, Header, SignatureCheck, verify_commit
from tallynet.codec import decode, encode
from tallynet.errors import RemoteProtocolError
from tallynet.genesis import Genesis, genesis_hash, validators_hash
from tallynet.hashing import block_hash
from tallynet.merkle import list_root, verify_list_proof
from tallynet.messages import BlockPage, ProvenReceipt, Receipts, RecordProof, ShownEvent
from tallynet.receipts import EnvelopeReceipt, Event, PrologueReceipt
from tallynet.records import RECORD_TYPES, Kind, Lot, Record
from tallynet.signatures import key_is_sound, verify_kind
from tallynet.state_proof import StateProof, verify_state_proof

__all__ = ["Block", "Certified", "ProvenRecord", "Receipt", "Trust"]

REMEMBERED_MAX: Final = 256
"""Certified headers kept, so that many receipts of one block cost one check of its signatures."""


@dataclass(frozen=True, slots=True)
class Certified:
    """A header and the quorum's word on it."""

    header: Header
    commit: Commit
    header_bytes: bytes
    certificate: Certificate

    @property
    def height(self) -> int:
        return self.commit.height

    @property
    def time_ms(self) -> int:
        """Header time, unix milliseconds."""
        return self.header.time_ms


@dataclass(frozen=True, slots=True)
class Receipt:
    """A certified result; `evidence` proves it to anybody who holds the genesis file."""

    receipt: EnvelopeReceipt
    block: Certified
    evidence: bytes
    """Encoded `Receipts` message with this receipt alone."""

    @property
    def transaction(self) -> bytes:
        return self.receipt.transaction

    @property
    def height(self) -> int:
        return self.block.height

    @property
    def code(self) -> str:
        """OK when the envelope was admitted; its commands have codes of their own."""
        return self.receipt.code

    @property
    def ok(self) -> bool:
        """Admitted, and every command took effect."""
        return self.code == "OK" and all(c.code == "OK" for c in self.receipt.commands)


@dataclass(frozen=True, slots=True)
class ProvenRecord:
    """A record, or its absence, in the state of one block."""

    record: Record | None
    """None: proven absent."""
    lots: tuple[Lot, ...] | None
    """All lots of a voucher by start, none hidden; None for other kinds, and for a voucher with so
    many that they must be read one by one."""
    block: Certified


@dataclass(frozen=True, slots=True)
class Block:
    block: Certified
    envelopes: tuple[bytes, ...]
    """Envelope hashes in order, proven by the header: `Envelope.hash` of an envelope at hand."""


class Trust:
    """The verifier of one network. Raises RemoteProtocolError for every answer that does not hold."""

    def __init__(
        self, genesis: Genesis, *, newest: int = 0, check: SignatureCheck = verify_kind
    ) -> None:
        """`newest` is the highest certified height seen in an earlier life, if that was kept; `check`
        verifies the validators' signatures (another one only on a simulated network).

        Raises:
            ValueError: the genesis holds a weak or repeated validator key (C1).
        """
        self.genesis: Final = genesis
        self.genesis_hash: Final = genesis_hash(genesis)
        self.validators: Final = tuple(v.public_key for v in genesis.validators)
        if len(set(self.validators)) != len(self.validators) or not all(
            map(key_is_sound, self.validators)
        ):
            raise ValueError("the genesis holds a weak or repeated validator key")
        self.newest = newest
        """Highest certified height seen; state below it is refused."""
        self._verify: Final = check
        self._set_hash: Final = validators_hash(genesis.validators)
        self._known: Final[OrderedDict[bytes, Certified]] = OrderedDict()

    def certified(self, header: bytes, certificate: Certificate | None) -> Certified:
        """Check a header against its commit certificate.

        Raises:
            RemoteProtocolError: BAD_CERTIFICATE, NETWORK_MISMATCH, VALIDATORS_CHANGED, NO_BLOCK.
        """
        if certificate is None:
            raise RemoteProtocolError("NO_BLOCK", "the network has no block yet, nothing is proven")
        known = self._known.get(header)
        if known is not None and known.certificate == certificate:
            self._known.move_to_end(header)
            return known
        result = self._check(header, certificate)
        self._known[header] = result
        if len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)
        self.newest = max(self.newest, result.height)
        return result

    def _check(self, header_bytes: bytes, certificate: Certificate) -> Certified:
        header = decode(Header, header_bytes)
        if header.genesis != self.genesis_hash:
            raise RemoteProtocolError("NETWORK_MISMATCH", "the block belongs to another network")
        commit = verify_commit(certificate, self.genesis_hash, self.validators, self._verify)
        if commit.block != block_hash(header_bytes):
            raise RemoteProtocolError("BAD_CERTIFICATE", "the certificate is for another block")
        if (commit.height, commit.epoch) != (header.height, header.epoch):
            raise RemoteProtocolError("BAD_CERTIFICATE", "height or epoch differ from the header")
        if header.next_validators != self._set_hash:
            raise RemoteProtocolError(
                "VALIDATORS_CHANGED", "the validator set is no longer the one in the genesis file"
            )
        return Certified(header, commit, header_bytes, certificate)

    def receipts(self, message: Receipts) -> list[Receipt]:
        """Every receipt of a message, or none of them when one does not hold."""
        block = self.certified(message.header, message.certificate)
        return [self._receipt(block, proven) for proven in message.receipts]

    def _receipt(self, block: Certified, proven: ProvenReceipt) -> Receipt:
        if not verify_list_proof(block.commit.receipts_root, proven.receipt, proven.proof):
            raise RemoteProtocolError("BAD_PROOF", "the receipt is not in its block")
        if proven.proof.index == 0:
            raise RemoteProtocolError("BAD_PROOF", "the prologue's receipt is no envelope's")
        receipt = decode(EnvelopeReceipt, proven.receipt)
        evidence = encode(Receipts(block.header_bytes, block.certificate, (proven,)))
        return Receipt(receipt, block, evidence)

    def record(self, kind: Kind, id: bytes, answer: RecordProof) -> ProvenRecord:
        """The record (`kind`, `id`) in the state that the answer proves.

        The caller compares `block.height` with what it has seen before.
        """
        block = self.certified(answer.header, answer.certificate)
        proof = decode(StateProof, answer.proof)
        raw = verify_state_proof(block.commit.state_root, kind, id, proof)
        if raw is None:
            return ProvenRecord(None, None, block)
        lots = None
        if kind is Kind.VOUCHER and not proof.rows:
            lots = tuple(decode(Lot, lot) for lot in proof.lots)
        return ProvenRecord(decode(RECORD_TYPES[kind], raw), lots, block)

    def event(self, shown: ShownEvent) -> Event:
        """One event of the committed log."""
        block = self.certified(shown.header, shown.certificate)
        if not verify_list_proof(block.commit.receipts_root, shown.receipt, shown.proof):
            raise RemoteProtocolError("BAD_PROOF", "the receipt is not in its block")
        if shown.proof.index:
            digest = decode(EnvelopeReceipt, shown.receipt).events_digest
        else:
            digest = decode(PrologueReceipt, shown.receipt).events_digest
        own = sha256(shown.event).digest()
        hashes = [shown.hashes[at : at + 32] for at in range(0, len(shown.hashes), 32)]
        if sha256(shown.hashes).digest() != digest or own not in hashes:
            raise RemoteProtocolError("BAD_PROOF", "the event is not one of its receipt")
        return decode(Event, shown.event)

    def block(self, answer: BlockPage) -> Block:
        """A block's header, certificate and envelope hashes."""
        block = self.certified(answer.header, answer.certificate)
        if list_root(answer.envelopes) != block.header.envelopes_root:
            raise RemoteProtocolError("BAD_PROOF", "these are not the block's envelopes")
        return Block(block, answer.envelopes)
