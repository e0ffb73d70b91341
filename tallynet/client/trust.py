"""What a client believes: the genesis file, hand-overs, signatures of a quorum, and proofs. No I/O.

Every answer of a node goes through here before anybody sees it:

    header bytes --hash--> Commit vote --q signatures of validators--> state root, receipts root
    state root <--proof-- record        receipts root <--list proof-- receipt

Epochs: the first validator set is the one of the genesis, and every later one is believed on a hand-over by
the set before (`tallynet.validators`). Whoever shows a block of a set that is not known yet is asked for
the hand-overs (VALIDATORS_CHANGED until then); a set that was replaced is believed no longer.

Forks: certified blocks are compared with those at hand, at the same height and the two beside it. Two that
contradict each other mean that more than f validators of a set are faulty. If that set is in force, nothing
more is believed (`ForkSeen`). If it was replaced, somebody may have found its old keys: the newer answer is
not believed, and that is all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from tallynet.blocks import Certificate, Commit, Header, SignatureCheck, faulty_max
from tallynet.client.errors import ForkSeen
from tallynet.codec import decode, encode
from tallynet.errors import RemoteProtocolError, TallynetError
from tallynet.genesis import Genesis, genesis_hash
from tallynet.merkle import list_root, verify_list_proof
from tallynet.messages import (
    BlockPage,
    BlockReceipts,
    ProvenReceipt,
    Receipts,
    RecordProof,
    ShownEvent,
)
from tallynet.receipts import EnvelopeReceipt, Event, PrologueReceipt
from tallynet.records import RECORD_TYPES, Kind, Lot, Record
from tallynet.signatures import verify_kind
from tallynet.state_proof import StateProof, verify_state_proof, verify_voucher_proof
from tallynet.validators import Handover, Succession, set_fault

__all__ = ["Block", "BlockLeaves", "Certified", "ProvenRecord", "Receipt", "Trust"]

REMEMBERED_MAX: Final = 256
"""Certified headers kept, so that many receipts of one block cost one check of its signatures, and that what
is shown now can be compared with what was shown before."""
TRUST_PERIOD_SECONDS: Final = 365 * 86_400.0
"""How old the newest thing that is known for sure may be. Keys of a validator set are safe while it is in
force; a year after somebody last looked it may have been replaced, and its keys sold with an old disk."""


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

    @property
    def block(self) -> bytes:
        """Block hash."""
        return self.commit.block

    def contradicts(self, other: Certified) -> bool:
        """Another block at the same height, or other results of the same one."""
        one, two = self.commit, other.commit
        return one.height == two.height and (
            (one.block, one.state_root, one.receipts_root)
            != (two.block, two.state_root, two.receipts_root)
        )


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
    proof: StateProof
    """What shows it, for a proof file."""


@dataclass(frozen=True, slots=True)
class Block:
    block: Certified
    envelopes: tuple[bytes, ...]
    """Envelope hashes in order, proven by the header: `Envelope.hash` of an envelope at hand."""


@dataclass(frozen=True, slots=True)
class BlockLeaves:
    """All receipts of one block."""

    block: Certified
    receipts: tuple[bytes, ...]
    """Encoded: the `PrologueReceipt`, then one `EnvelopeReceipt` per envelope."""


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
        if set_fault(genesis.validators) is not None:
            raise ValueError("the genesis holds a weak or repeated validator key")
        self.succession: Final = Succession.of(genesis, check)
        """Every validator set known."""
        self.newest = newest
        """Highest certified height seen; state below it is refused."""
        self.head: Certified | None = None
        """The block there, if it was seen in this life or kept of an earlier one."""
        self.anchor_ms = genesis.time_ms
        """Unix milliseconds of the newest block that was known for sure when this life began."""
        self.handovers: Final[list[bytes]] = []
        """Encoded hand-overs that were followed, oldest first."""
        self.fork: ForkSeen | None = None
        """Once it is set, nothing is believed any more."""
        self._known: Final[OrderedDict[int, Certified]] = OrderedDict()
        self._ends: Final[dict[int, Certified]] = {}
        """The last block of each validator set that was replaced; as many as there are hand-overs."""

    @property
    def validators(self) -> tuple[bytes, ...]:
        """Public keys of the newest set known."""
        return self.succession.newest.keys

    @property
    def confirmations_needed(self) -> int:
        """f+1 of the newest set known: so many different organisations, and one at least is correct."""
        return faulty_max(len(self.validators)) + 1

    def operator(self, key: bytes) -> bytes | None:
        """The organisation whose validator has this key; None for the key of another node."""
        for validator in self.succession.validators(self.succession.newest.since):
            if validator.public_key == key:
                return validator.organisation
        return None

    def is_anchored(self, now: float, period: float) -> bool:
        """Whether what this life began with is young enough at unix time `now` (seconds)."""
        return now - self.anchor_ms / 1000 <= period

    def resume(self, header: bytes, certificate: Certificate) -> None:
        """Go on from the newest block of an earlier life.

        Raises:
            RemoteProtocolError: it does not hold.
        """
        head = self.certified(header, certificate)
        self.anchor_ms = max(self.anchor_ms, head.time_ms)

    def learn(self, handovers: Iterable[bytes]) -> None:
        """Follow encoded hand-overs, oldest first; known ones change nothing.

        Raises:
            RemoteProtocolError: see `Succession.add`; what came before the bad one is kept.
            ForkSeen: the block that hands over contradicts one that is known.
        """
        for raw in handovers:
            handover = decode(Handover, raw)
            if decode(Header, handover.header).epoch < self.succession.newest.since:
                self.succession.add(handover)  # the same again, or a lie
                continue
            end = self.certified(handover.header, handover.certificate)
            self.succession.add(handover)
            self.handovers.append(raw)
            self._ends[end.height] = end

    def certified(self, header: bytes, certificate: Certificate | None) -> Certified:
        """Check a header against its commit certificate, and against the blocks known.

        Raises:
            RemoteProtocolError: BAD_CERTIFICATE, NETWORK_MISMATCH, VALIDATORS_CHANGED, NO_BLOCK, OLD_SET.
            ForkSeen: another quorum has certified something that contradicts it.
        """
        if self.fork is not None:
            raise self.fork
        if certificate is None:
            raise RemoteProtocolError("NO_BLOCK", "the network has no block yet, nothing is proven")
        height = decode(Header, header).height
        known = self._known.get(height)
        if known is not None and (known.header_bytes, known.certificate) == (header, certificate):
            self._known.move_to_end(height)
            return known
        result = self._check(header, certificate)
        self._compare(result)
        self._known[height] = result
        self._known.move_to_end(height)
        if len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)
        if result.height >= self.newest:
            self.newest, self.head = result.height, result
        return result

    def _compare(self, result: Certified) -> None:
        """With the blocks known at its height and beside it, and with the end of its validators' time."""
        end = min((at for at in self._ends if at >= result.height), default=0)
        if end > result.height and result.time_ms >= self._ends[end].time_ms:
            raise RemoteProtocolError(
                "OLD_SET", f"block {result.height} is later than the last one of its validators"
            )
        for known in (self._known.get(result.height), self._ends.get(result.height)):
            if known is not None and known.contradicts(result):
                raise self._contradiction(known, result)
        for beside in (result.height - 1, result.height + 1):
            for known in (self._known.get(beside), self._ends.get(beside)):
                if known is not None:
                    first, second = sorted((known, result), key=lambda block: block.height)
                    if second.header.parent != first.block:
                        raise self._contradiction(known, result)

    def trace(self, header: bytes, certificate: Certificate) -> bool:
        """Complete the evidence of a fork that was seen in two blocks of which one should follow the other:
        this is the block beside the lower one, if it is. True once two certificates of one height are at
        hand, by which signers convict themselves."""
        if self.fork is None:
            return True
        first, second = (decode(Commit, c.vote) for c in (self.fork.first, self.fork.second))
        if first.height == second.height:
            return True
        lower = self.fork.first if first.height < second.height else self.fork.second
        found = self._check(header, certificate).commit
        if found.height != self.fork.height or found.block == decode(Commit, lower.vote).block:
            return False
        self.fork = ForkSeen(found.height, lower, certificate)
        return True

    def require_link(self, first: Certified, second: Certified) -> None:
        """Raises as `certified` if `second` is not the block that follows `first`."""
        if second.header.parent != first.block:
            raise self._contradiction(first, second)

    def _contradiction(self, known: Certified, other: Certified) -> TallynetError:
        if min(known.commit.epoch, other.commit.epoch) < self.succession.newest.since:
            return RemoteProtocolError(
                "OLD_SET",
                f"block {other.height} contradicts what is known, under validators that were replaced",
            )
        self.fork = ForkSeen(min(known.height, other.height), known.certificate, other.certificate)
        return self.fork

    def _check(self, header: bytes, certificate: Certificate) -> Certified:
        return Certified(*self.succession.certified(header, certificate), header, certificate)

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
        root = block.commit.state_root
        if kind is Kind.VOUCHER and not proof.rows:
            voucher, lots = verify_voucher_proof(root, id, proof) or (None, None)
            return ProvenRecord(voucher, lots, block, proof)
        raw = verify_state_proof(root, kind, id, proof)
        record = None if raw is None else decode(RECORD_TYPES[kind], raw)
        return ProvenRecord(record, None, block, proof)

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

    def all_receipts(self, answer: BlockReceipts) -> BlockLeaves:
        """Every receipt of a block, the block's own first."""
        block = self.certified(answer.header, answer.certificate)
        if list_root(answer.receipts) != block.commit.receipts_root:
            raise RemoteProtocolError("BAD_PROOF", "these are not all receipts of the block")
        return BlockLeaves(block, answer.receipts)

    def block(self, answer: BlockPage) -> Block:
        """A block's header, certificate and envelope hashes."""
        block = self.certified(answer.header, answer.certificate)
        if list_root(answer.envelopes) != block.header.envelopes_root:
            raise RemoteProtocolError("BAD_PROOF", "these are not the block's envelopes")
        return Block(block, answer.envelopes)
