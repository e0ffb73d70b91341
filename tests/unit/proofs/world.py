"""A small network with everything that a proof file can be about, the same in each run: six blocks, a change of
the validators after the fourth, and a state with a voucher, its lots and a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.state import CommittedState, MemoryReader, Overlay, prove
from tallynet.blocks import Certificate, Commit, Header, quorum
from tallynet.client import build_envelope, key_id
from tallynet.codec import encode
from tallynet.commands import LotAccept
from tallynet.documents import seal
from tallynet.envelope import Envelope, Mode
from tallynet.genesis import Genesis, genesis_hash, validators_hash
from tallynet.hashing import block_hash, signed_bytes
from tallynet.merkle import ListTree, list_root
from tallynet.proofs import (
    AbsenceStatement,
    ActStatement,
    BlockEvents,
    DocumentStatement,
    EventsStatement,
    FinalBlock,
    HistoryStatement,
    ReceiptAndEvents,
    ReceiptStatement,
    RecordStatement,
    Statement,
    VoucherStatement,
    make_proof,
)
from tallynet.receipts import (
    CommandReceipt,
    EnvelopeReceipt,
    Event,
    PrologueReceipt,
    events_digest,
)
from tallynet.records import (
    Document,
    DocumentStatus,
    DocumentType,
    Kind,
    Role,
    Validator,
    lot_id,
)
from tallynet.signatures import KIND_COMMIT
from tallynet.state_proof import entity_key
from tallynet.validators import Handover
from tests.unit.state.samples import lot, record_id, remainder, voucher

EPOCH = 4
FACE = 10**11
MEMBERS = tuple(
    Ed25519PrivateKey.from_private_bytes(sha256(b"bank %d" % i).digest()) for i in range(6)
)
KEY_OF = {key.public_key().public_bytes_raw(): key for key in MEMBERS}
CLIENT = Ed25519PrivateKey.from_private_bytes(sha256(b"client").digest())
DOCUMENT = record_id("document")
VOUCHER = record_id("voucher")
FIELDS = (("due_day", b"20700"), ("payable", b"100000000000"), ("seller/name", b"Gate Devices"))


def members(*numbers: int) -> tuple[Validator, ...]:
    """A validator set."""
    found = (
        Validator(bytes((i,)) * 16, MEMBERS[i].public_key().public_bytes_raw(), f"bank-{i}")
        for i in numbers
    )
    return tuple(sorted(found, key=lambda validator: validator.public_key))


FIRST, SECOND = members(0, 1, 2, 3), members(1, 2, 3, 4, 5)
GENESIS = Genesis(1, "sample", 1_800_000_000_000, 20_833, 86_400, 4, EPOCH, FIRST, (), ())
NETWORK = genesis_hash(GENESIS)
SEALED = seal(FIELDS, sha256(b"document salt").digest())


def sign(vote: Commit, by: Sequence[Validator], count: int | None = None) -> Certificate:
    """By the first of these, a quorum or `count`."""
    body = encode(vote)
    signers = tuple(range(quorum(len(by)) if count is None else count))
    covered = signed_bytes(KIND_COMMIT, NETWORK, body)
    return Certificate(
        body, signers, tuple(KEY_OF[by[i].public_key].sign(covered) for i in signers)
    )


def envelope(number: int) -> Envelope:
    public = CLIENT.public_key().public_bytes_raw()
    command = LotAccept(number.to_bytes(4, "big"), VOUCHER, number)
    signer = (key_id(public), Role.MAKER, CLIENT)
    return build_envelope(NETWORK, b"o" * 16, Mode.ATOMIC, [command], 1_800_000_600, [signer])


# --- the state --------------------------------------------------------------------------------------


def _event(sequence: int, transaction: bytes | None) -> bytes:
    return encode(
        Event("lot.accept", Kind.VOUCHER, VOUCHER, sequence, 0, FACE, None, b"h" * 16, FACE, b"", transaction)
    )  # fmt: skip


HISTORY = tuple(_event(i, envelope(i).transaction if i else None) for i in range(3))


def _accumulated(events: Sequence[bytes]) -> bytes:
    digest = bytes(32)
    for event in events:
        digest = sha256(digest + event).digest()
    return digest


def state(lots: int = 3, *, gap: int = 0) -> tuple[CommittedState, bytes]:
    """The voucher with so many lots, a document and a hundred other records; and the state root. `gap` units
    of the face are in no lot, as no ledger would have it."""
    reader = MemoryReader()
    overlay = Overlay(CommittedState(reader))
    for i in range(100):
        overlay.put(Kind.REMAINDER, record_id(i), remainder(i))
    held = msgspec.structs.replace(voucher(3), face=FACE, event_accumulator=_accumulated(HISTORY))
    overlay.put(Kind.VOUCHER, VOUCHER, held)
    edges = [(FACE - gap) * i // lots for i in range(lots + 1)]
    for start, end in pairwise(edges):
        overlay.put(Kind.LOT, lot_id(VOUCHER, start), lot(start, end, start))
    overlay.put(Kind.DOCUMENT, DOCUMENT, _document())
    root = overlay.seal()
    reader.apply(overlay.changes())
    return CommittedState.snapshot(reader), root


def _document() -> Document:
    return Document(
        DocumentType.INVOICE, b"o" * 16, sha256(b"tag").digest(), SEALED.root, sha256(b"c").digest(),
        (b"a" * 16, b"o" * 16), b"o" * 16, b"a" * 16, "CNY", FACE, FACE, 1, 20_600,
        DocumentStatus.ACTIVE, (),
    )  # fmt: skip


STATE, STATE_ROOT = state()


# --- the chain --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """One block."""

    final: FinalBlock
    envelopes: tuple[Envelope, ...]
    receipts: tuple[bytes, ...]
    events: tuple[tuple[bytes, ...], ...]
    """By receipt."""

    def complete(self) -> BlockEvents:
        parts = zip(self.receipts, self.events, strict=True)
        return BlockEvents(self.final, tuple(ReceiptAndEvents(*part) for part in parts))


def _receipts(
    height: int, envelopes: Sequence[Envelope]
) -> tuple[tuple[bytes, ...], tuple[tuple[bytes, ...], ...]]:
    own = (HISTORY[0],) if height == 1 else ()
    receipts = [
        encode(PrologueReceipt(1_800_000_000 + height, 20_833, 0, False, events_digest(own)))
    ]
    events: list[tuple[bytes, ...]] = [own]
    for index, sent in enumerate(envelopes):
        given = (HISTORY[height],) if height < 3 and index == 0 else ()
        done = CommandReceipt("OK", (), len(given), (height,))
        receipts.append(
            encode(EnvelopeReceipt(sent.transaction, "OK", (done,), events_digest(given)))
        )
        events.append(given)
    return tuple(receipts), tuple(events)


def chain(root: bytes = STATE_ROOT, spare: int = 0) -> list[Made]:
    """Six blocks of two envelopes each, the third without any. Certificates have `spare` signatures more
    than a quorum."""
    made: list[Made] = []
    parent = NETWORK
    for height in range(1, 7):
        numbers = () if height == 3 else (height, 10 + height)
        envelopes = tuple(envelope(n) for n in numbers)
        receipts, events = _receipts(height, envelopes)
        epoch = (height - 1) // EPOCH
        header = encode(
            Header(
                NETWORK, 1, epoch, height, parent, list_root([e.hash for e in envelopes]),
                1_800_000_000_000 + height, 0, validators_hash(FIRST if height < EPOCH else SECOND),
            )
        )  # fmt: skip
        voters = SECOND if epoch else FIRST
        vote = Commit(epoch, 0, height, block_hash(header), root, list_root(receipts))
        certificate = sign(vote, voters, quorum(len(voters)) + spare)
        made.append(Made(FinalBlock(header, certificate), envelopes, receipts, events))
        parent = block_hash(header)
    return made


BLOCKS = chain()


def handover(blocks: Sequence[Made] = BLOCKS) -> Handover:
    """From the first set to the second."""
    last = blocks[EPOCH - 1].final
    return Handover(last.header, last.certificate, SECOND)


# --- what can be proven -----------------------------------------------------------------------------


def statements(
    blocks: Sequence[Made] = BLOCKS, state: CommittedState = STATE
) -> dict[str, Statement]:
    """One of each kind, by name; those about the state are of the newest block."""
    newest, absent = blocks[-1].final, record_id("nobody")
    receipts = [ListTree(made.receipts) for made in blocks]
    fifth = blocks[4]
    place = ListTree([e.hash for e in fifth.envelopes]).prove(1)
    shown = SEALED.disclose(["payable", "seller/name"])
    whole = prove(state, Kind.VOUCHER, VOUCHER)
    return {
        "record": RecordStatement(
            newest, Kind.REMAINDER, record_id(7), prove(state, Kind.REMAINDER, record_id(7))
        ),
        "absence": AbsenceStatement(
            newest,
            Kind.KEY,
            absent,
            entity_key(bytes((Kind.KEY,)) + absent),
            prove(state, Kind.KEY, absent),
        ),
        "lot": RecordStatement(
            newest, Kind.LOT, lot_id(VOUCHER, 0), prove(state, Kind.LOT, lot_id(VOUCHER, 0))
        ),
        "voucher": VoucherStatement(newest, VOUCHER, whole),
        "history": HistoryStatement(newest, VOUCHER, whole, HISTORY),
        "receipt": ReceiptStatement(blocks[1].final, blocks[1].receipts[1], receipts[1].prove(1)),
        "act": ActStatement(
            fifth.final, fifth.receipts[2], receipts[4].prove(2), fifth.envelopes[1].raw, place
        ),
        "events": EventsStatement(1, 6, tuple(made.complete() for made in blocks)),
        "document": DocumentStatement(
            newest, DOCUMENT, prove(state, Kind.DOCUMENT, DOCUMENT), 2, shown
        ),
    }


STATEMENTS = statements()


def file_of(statement: Statement) -> bytes:
    """A proof file."""
    return make_proof(GENESIS, [handover()], statement)
