"""A node that lies in every way that is known, each lie made of what an honest node would have answered.

Below it is an honest chain and the real listener (`serving`), so each lie is as good as a liar can make it who
holds the keys of f validators: everything but the forged part is right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

from tallynet.blocks import Certificate, Commit, Header, Prepare
from tallynet.codec import Wire, decode, encode
from tallynet.frames import frame
from tallynet.hashing import block_hash, signed_bytes
from tallynet.merkle import ListProof, leaf_hash
from tallynet.messages import (
    BlockPage,
    EventBlock,
    EventPage,
    EvidenceEntry,
    EvidencePage,
    IndexPage,
    Pong,
    ProvenReceipt,
    ReceiptEvents,
    Receipts,
    RecordProof,
)
from tallynet.receipts import EnvelopeReceipt, Event
from tallynet.records import Kind
from tallynet.signatures import KIND_COMMIT, KIND_PREPARE
from tallynet.state_proof import StateProof
from tests.unit.client.serving import (
    COUNTER,
    GENESIS_HASH,
    Chain,
    certify,
    counted,
    envelope,
    make_genesis,
    replace,
)
from tests.unit.net.samples import KEYS


class Ask(Enum):
    """What the client asks when it is lied to."""

    RECORD = "a record"
    ABSENT = "a record that is absent"
    RECEIPT = "what became of a transaction"
    BLOCK = "a block"
    EVENTS = "the log"
    INDEX = "an index"
    EVIDENCE = "proofs of misbehaviour"


@dataclass(frozen=True)
class Attack:
    """One lie."""

    name: str
    ask: Ask
    codes: tuple[str, ...]
    """What the client calls it."""
    lie: Callable[[Chain, Wire], Wire] = lambda _chain, reply: reply
    garble: Callable[[Wire], bytes] | None = None
    """Instead: what goes on the wire."""


def make_chain() -> Chain:
    """Three blocks of two envelopes each: 10, 11; 20, 21; 30, 31."""
    chain = Chain()
    for label in (10, 20, 30):
        chain.extend([envelope(label), envelope(label + 1)])
    return chain


OTHER = make_genesis("another")

# --- headers and certificates -------------------------------------------------------------------------


def signed(vote: bytes, signers: tuple[int, ...], kind: bytes = KIND_COMMIT) -> Certificate:
    covered = signed_bytes(kind, GENESIS_HASH, vote)
    return Certificate(vote, signers, tuple(KEYS[i].sign(covered) for i in signers))


def certificate_lie(change: Callable[[Chain, Certificate], Certificate]) -> Callable[..., Wire]:
    """Another certificate with everything else as it is."""

    def lie(chain: Chain, reply: Wire) -> Wire:
        return replace(reply, certificate=change(chain, reply.certificate))  # type: ignore[attr-defined]

    return lie


def vote_lie(**changes: object) -> Callable[..., Wire]:
    """The signatures of one vote under another."""

    def change(_chain: Chain, certificate: Certificate) -> Certificate:
        vote = replace(decode(Commit, certificate.vote), **changes)
        return replace(certificate, vote=encode(vote))

    return certificate_lie(change)


def header_lie(**changes: object) -> Callable[..., Wire]:
    """Another header under the certificate of the true one."""

    def lie(_chain: Chain, reply: Wire) -> Wire:
        header = decode(Header, reply.header)  # type: ignore[attr-defined]
        return replace(reply, header=encode(replace(header, **changes)))

    return lie


def minted(chain: Chain, reply: Wire) -> Wire:
    """A block of their own making, with a state in which the counter stands at a million, by f = 1."""
    del chain
    assert isinstance(reply, RecordProof)
    header = encode(replace(decode(Header, reply.header), time_ms=1))
    vote = replace(decode(Commit, reply.certificate.vote), block=block_hash(header))  # type: ignore[union-attr]
    return replace(reply, header=header, certificate=certify(vote, signers=(0,)))


def prepares_as_commit(chain: Chain, certificate: Certificate) -> Certificate:
    """The block is prepared, but not committed: its votes under the name of the others."""
    del chain
    return signed(certificate.vote, (0, 1, 2), KIND_PREPARE)


def prepare_vote(chain: Chain, certificate: Certificate) -> Certificate:
    del chain
    commit = decode(Commit, certificate.vote)
    prepare = encode(Prepare(commit.epoch, commit.view, commit.height, commit.block))
    return signed(prepare, (0, 1, 2), KIND_PREPARE)


def of_another_network(chain: Chain, reply: Wire) -> Wire:
    """A block of a network with the same validators, certified there: where the same keys are used twice."""
    del chain
    from tallynet.genesis import genesis_hash

    other = Chain(genesis=genesis_hash(OTHER))
    other.extend([envelope(30)])
    other.extend([envelope(31)])
    if isinstance(reply, Receipts):
        return other.receipt_of(envelope(30).transaction)
    block = other.blocks[-1]
    proof = encode(other.proof(2, Kind.PARAMETER, COUNTER))
    return replace(reply, header=block.header, certificate=block.certificate, proof=proof)


CERTIFICATES = (
    Attack("block-minted-by-f", Ask.RECORD, ("BAD_CERTIFICATE",), minted),
    Attack(
        "certificate-by-f", Ask.RECORD, ("BAD_CERTIFICATE",),
        certificate_lie(lambda _, c: signed(c.vote, (0,))),
    ),
    Attack(
        "certificate-one-short", Ask.RECORD, ("BAD_CERTIFICATE",),
        certificate_lie(lambda _, c: signed(c.vote, (0, 1))),
    ),
    Attack(
        "signer-twice", Ask.RECORD, ("BAD_CERTIFICATE",),
        certificate_lie(lambda _, c: signed(c.vote, (0, 1, 1))),
    ),
    Attack(
        "signers-out-of-order", Ask.RECORD, ("BAD_CERTIFICATE",),
        certificate_lie(lambda _, c: signed(c.vote, (2, 1, 0))),
    ),
    Attack(
        "signer-beyond-the-set", Ask.RECORD, ("BAD_CERTIFICATE",),
        certificate_lie(lambda _, c: replace(c, signers=(0, 1, 4))),
    ),
    Attack(
        "more-signatures-than-signers", Ask.RECORD, ("BAD_CERTIFICATE",),
        certificate_lie(lambda _, c: replace(c, signatures=(*c.signatures, bytes(64)))),
    ),
    Attack(
        "signature-of-zeros", Ask.RECORD, ("BAD_CERTIFICATE",),
        certificate_lie(lambda _, c: replace(c, signatures=(bytes(64), *c.signatures[1:]))),
    ),
    Attack(
        "certificate-of-another-block", Ask.RECORD, ("BAD_CERTIFICATE",),
        certificate_lie(lambda chain, _: chain.blocks[1].certificate),
    ),
    Attack("vote-with-another-view", Ask.RECORD, ("BAD_CERTIFICATE",), vote_lie(view=1)),
    Attack("vote-with-another-epoch", Ask.RECORD, ("BAD_CERTIFICATE",), vote_lie(epoch=1)),
    Attack("vote-with-another-height", Ask.RECORD, ("BAD_CERTIFICATE",), vote_lie(height=4)),
    Attack(
        "vote-with-another-state-root", Ask.RECORD, ("BAD_CERTIFICATE",),
        vote_lie(state_root=bytes(32)),
    ),
    Attack(
        "vote-with-another-receipts-root", Ask.RECEIPT, ("BAD_CERTIFICATE",),
        vote_lie(receipts_root=bytes(32)),
    ),
    Attack("prepares-shown-as-commits", Ask.RECORD, ("BAD_CERTIFICATE",), certificate_lie(prepares_as_commit)),
    Attack("prepare-vote-as-commit", Ask.RECORD, ("SCHEMA",), certificate_lie(prepare_vote)),
    Attack(
        "signed-for-another-network", Ask.RECORD, ("BAD_CERTIFICATE",),
        certificate_lie(lambda _, c: certify(decode(Commit, c.vote), genesis=bytes(32))),
    ),
    Attack("block-of-another-network", Ask.RECORD, ("NETWORK_MISMATCH",), of_another_network),
    Attack("header-with-another-time", Ask.RECORD, ("BAD_CERTIFICATE",), header_lie(time_ms=1)),
    Attack(
        "header-with-other-envelopes", Ask.BLOCK, ("BAD_CERTIFICATE",),
        header_lie(envelopes_root=bytes(32)),
    ),
    Attack("header-with-another-parent", Ask.RECORD, ("BAD_CERTIFICATE",), header_lie(parent=bytes(32))),
    Attack(
        "header-naming-another-set", Ask.RECORD, ("VALIDATORS_CHANGED",),
        header_lie(next_validators=bytes(32)),
    ),
)  # fmt: skip

# --- state ---------------------------------------------------------------------------------------------


def proof_lie(**changes: object) -> Callable[..., Wire]:
    def lie(_chain: Chain, reply: Wire) -> Wire:
        assert isinstance(reply, RecordProof)
        proof = decode(StateProof, reply.proof)
        return replace(reply, proof=encode(replace(proof, **changes)))

    return lie


def proof_of(height: int, id: bytes) -> Callable[..., Wire]:
    """A true proof about something else."""

    def lie(chain: Chain, reply: Wire) -> Wire:
        return replace(reply, proof=encode(chain.proof(height, Kind.PARAMETER, id)))

    return lie


def padded(chain: Chain, reply: Wire) -> Wire:
    del chain
    return replace(reply, proof=reply.proof + b"\0")  # type: ignore[attr-defined]


STATE = (
    Attack("record-changed", Ask.RECORD, ("BAD_PROOF",), proof_lie(record=encode(counted(7)))),
    Attack("record-denied", Ask.RECORD, ("BAD_PROOF",), proof_lie(record=None)),
    Attack(
        "record-denied-by-an-empty-place", Ask.RECORD, ("BAD_PROOF",),
        proof_lie(record=None, bucket=b""),
    ),
    Attack("absence-denied", Ask.ABSENT, ("BAD_PROOF",), proof_of(3, COUNTER)),
    Attack("state-of-another-block", Ask.RECORD, ("BAD_PROOF",), proof_of(2, COUNTER)),
    Attack("state-proof-wrong-count", Ask.RECORD, ("BAD_PROOF",), proof_lie(count=2)),
    Attack(
        "state-proof-extra-sibling", Ask.RECORD, ("BAD_PROOF",),
        proof_lie(depth=1, present=b"\x01", siblings=sha256(b"s").digest()),
    ),
    Attack(
        "state-proof-goes-below-nothing", Ask.ABSENT, ("BAD_PROOF",),
        proof_lie(depth=1, present=b"\0", bucket=b""),
    ),
    Attack("state-proof-with-lots", Ask.RECORD, ("BAD_PROOF",), proof_lie(lots=(b"",))),
    Attack("state-proof-with-spare-bytes", Ask.RECORD, ("MALFORMED", "NOT_CANONICAL"), padded),
    Attack(
        "state-proof-of-zeros", Ask.RECORD, ("MALFORMED", "SCHEMA"),
        lambda _, reply: replace(reply, proof=bytes(100_000)),
    ),
)  # fmt: skip

# --- receipts ------------------------------------------------------------------------------------------


def receipt_lie(change: Callable[[Chain, ProvenReceipt], ProvenReceipt]) -> Callable[..., Wire]:
    def lie(chain: Chain, reply: Wire) -> Wire:
        assert isinstance(reply, Receipts)
        return replace(reply, receipts=tuple(change(chain, each) for each in reply.receipts))

    return lie


def list_proof_lie(**changes: object) -> Callable[..., Wire]:
    return receipt_lie(lambda _, shown: replace(shown, proof=replace(shown.proof, **changes)))


def rejected(chain: Chain, shown: ProvenReceipt) -> ProvenReceipt:
    del chain
    receipt = decode(EnvelopeReceipt, shown.receipt)
    return replace(shown, receipt=encode(replace(receipt, code="EXPIRED", commands=())))


def inner_node(chain: Chain, shown: ProvenReceipt) -> ProvenReceipt:
    del shown
    leaves = [leaf_hash(receipt) for receipt in chain.blocks[2].receipts]
    return ProvenReceipt(leaves[0] + leaves[1], ListProof(0, 2, (leaves[2],)))


def prologue(chain: Chain, shown: ProvenReceipt) -> ProvenReceipt:
    del shown
    block = chain.blocks[2]
    return ProvenReceipt(block.receipts[0], block.tree.prove(0))


def of_another_block(chain: Chain, shown: ProvenReceipt) -> ProvenReceipt:
    del shown
    block = chain.blocks[1]
    return ProvenReceipt(block.receipts[1], block.tree.prove(1))


RECEIPTS = (
    Attack("receipt-forged-as-rejected", Ask.RECEIPT, ("BAD_PROOF",), receipt_lie(rejected)),
    Attack("receipt-at-another-index", Ask.RECEIPT, ("BAD_PROOF",), list_proof_lie(index=2)),
    Attack("receipt-of-another-count", Ask.RECEIPT, ("BAD_PROOF",), list_proof_lie(count=4)),
    Attack("receipt-index-beyond-the-count", Ask.RECEIPT, ("BAD_PROOF",), list_proof_lie(index=9)),
    Attack(
        "receipt-with-extra-sibling", Ask.RECEIPT, ("BAD_PROOF",),
        receipt_lie(lambda _, s: replace(
            s, proof=replace(s.proof, siblings=(*s.proof.siblings, bytes(32)))
        )),
    ),
    Attack("receipt-without-siblings", Ask.RECEIPT, ("BAD_PROOF",), list_proof_lie(siblings=())),
    Attack("inner-node-as-receipt", Ask.RECEIPT, ("BAD_PROOF",), receipt_lie(inner_node)),
    Attack("prologue-as-receipt", Ask.RECEIPT, ("BAD_PROOF",), receipt_lie(prologue)),
    Attack("receipt-of-another-block", Ask.RECEIPT, ("BAD_PROOF",), receipt_lie(of_another_block)),
    Attack("receipt-of-another-network", Ask.RECEIPT, ("NETWORK_MISMATCH",), of_another_network),
)  # fmt: skip

# --- blocks and the log --------------------------------------------------------------------------------


def block_at(height: int) -> Callable[..., Wire]:
    def lie(chain: Chain, reply: Wire) -> Wire:
        assert isinstance(reply, BlockPage)
        block = chain.blocks[height - 1]
        return BlockPage(reply.request, block.header, block.certificate, block.envelopes)

    return lie


def log_lie(change: Callable[[EventBlock], EventBlock], at: int = 0) -> Callable[..., Wire]:
    """Another block at that position of the page."""

    def lie(_chain: Chain, reply: Wire) -> Wire:
        assert isinstance(reply, EventPage)
        blocks = [change(b) if i == at else b for i, b in enumerate(reply.blocks)]
        return replace(reply, blocks=tuple(blocks))

    return lie


def events_lie(change: Callable[[ReceiptEvents], ReceiptEvents]) -> Callable[..., Wire]:
    """Other events of the first envelope."""

    def of_block(block: EventBlock) -> EventBlock:
        first, own, *rest = block.receipts
        return replace(block, receipts=(first, change(own), *rest))

    return log_lie(of_block)


def hashed(*events: bytes) -> bytes:
    return b"".join(sha256(event).digest() for event in events)


def made_up(shown: ReceiptEvents) -> ReceiptEvents:
    event = replace(decode(Event, shown.events[0]), amount=1_000_000)
    return replace(shown, events=(encode(event), *shown.events[1:]))


def without_block(chain: Chain, reply: Wire) -> Wire:
    del chain
    assert isinstance(reply, EventPage)
    return replace(reply, blocks=reply.blocks[1:])


def cut_short(block: EventBlock) -> EventBlock:
    """As if the rest came later; and then the next block follows."""
    *shown, last = block.receipts
    return replace(block, receipts=tuple(shown), after=leaf_hash(last.receipt))


LOG = (
    Attack("block-at-another-height", Ask.BLOCK, ("BAD_PROOF",), block_at(3)),
    Attack(
        "block-without-an-envelope", Ask.BLOCK, ("BAD_PROOF",),
        lambda _, reply: replace(reply, envelopes=reply.envelopes[:1]),  # type: ignore[attr-defined]
    ),
    Attack("event-changed", Ask.EVENTS, ("BAD_PROOF",), events_lie(made_up)),
    Attack(
        "event-left-out", Ask.EVENTS, ("BAD_PROOF",),
        events_lie(lambda s: replace(s, events=s.events[1:])),
    ),
    Attack(
        "event-put-in", Ask.EVENTS, ("BAD_PROOF",),
        events_lie(lambda s: replace(s, events=(*s.events, s.events[0]))),
    ),
    Attack(
        "events-in-another-order", Ask.EVENTS, ("BAD_PROOF",),
        events_lie(lambda s: replace(s, events=s.events[::-1])),
    ),
    Attack(
        "event-said-to-be-read-already", Ask.EVENTS, ("EVENTS_MISSING",),
        events_lie(lambda s: replace(s, before=hashed(s.events[0]), events=s.events[1:])),
    ),
    Attack(
        "event-said-to-come-later", Ask.EVENTS, ("EVENTS_MISSING",),
        events_lie(lambda s: replace(s, events=s.events[:1], after=hashed(s.events[1]))),
    ),
    Attack(
        "hidden-hash-of-nothing", Ask.EVENTS, ("BAD_PROOF",),
        events_lie(lambda s: replace(s, hidden=bytes(32))),
    ),
    Attack(
        "event-hidden-behind-another-hash", Ask.EVENTS, ("BAD_PROOF",),
        events_lie(lambda s: replace(s, events=(b"", s.events[1]), hidden=bytes(32))),
    ),
    Attack(
        "hashes-of-no-length", Ask.EVENTS, ("BAD_PROOF",),
        events_lie(lambda s: replace(s, hidden=b"short")),
    ),
    Attack(
        "receipt-left-out", Ask.EVENTS, ("BAD_PROOF",),
        log_lie(lambda b: replace(b, receipts=b.receipts[:-1])),
    ),
    Attack(
        "receipt-said-to-be-read-already", Ask.EVENTS, ("EVENTS_MISSING",),
        log_lie(lambda b: replace(
            b, receipts=b.receipts[1:], before=leaf_hash(b.receipts[0].receipt)
        )),
    ),
    Attack(
        "receipts-none", Ask.EVENTS, ("EVENTS_MISSING",),
        log_lie(lambda b: replace(b, receipts=())),
    ),
    Attack("block-left-out", Ask.EVENTS, ("EVENTS_MISSING",), without_block),
    Attack("block-cut-short", Ask.EVENTS, ("EVENTS_MISSING",), log_lie(cut_short)),
    Attack(
        "block-shown-twice", Ask.EVENTS, ("EVENTS_MISSING",),
        lambda _, reply: replace(reply, blocks=(reply.blocks[0], *reply.blocks)),  # type: ignore[attr-defined]
    ),
)  # fmt: skip

# --- lists and streams -----------------------------------------------------------------------------------


def endless(_chain: Chain, reply: Wire) -> Wire:
    """The same entry for ever."""
    if isinstance(reply, IndexPage):
        return IndexPage(reply.request, (b"\x05", b"\x05"), more=True)
    assert isinstance(reply, EvidencePage)
    entry = EvidenceEntry(b"k", b"")
    return EvidencePage(reply.request, (entry, entry), more=True, divergence=b"")


STREAMS = (
    Attack("index-that-never-ends", Ask.INDEX, ("BAD_ANSWER",), endless),
    Attack(
        "index-of-something-else", Ask.INDEX, ("BAD_ANSWER",),
        lambda _, reply: IndexPage(reply.request, (b"\x07",), more=False),  # type: ignore[attr-defined]
    ),
    Attack("evidence-that-never-ends", Ask.EVIDENCE, ("BAD_ANSWER",), endless),
    Attack(
        "answer-of-another-type", Ask.RECORD, ("UNEXPECTED",),
        lambda _, reply: Pong(reply.request),  # type: ignore[attr-defined]
    ),
    Attack(
        "frame-of-100-megabytes", Ask.RECORD, ("FRAME_TOO_LARGE",),
        garble=lambda _: (100 << 20).to_bytes(4, "big") + bytes(10_000),
    ),
    Attack("frame-of-nothing", Ask.RECORD, ("FRAME_EMPTY",), garble=lambda _: bytes(4)),
    Attack(
        "answer-that-breaks-off", Ask.RECORD, ("CONNECTION_LOST",),
        garble=lambda reply: frame(encode(reply) + bytes(1_000))[:-900],
    ),
    Attack("answer-of-noise", Ask.RECORD, ("MALFORMED",), garble=lambda _: frame(b"\xff" * 500)),
    Attack(
        "answer-of-deep-nesting", Ask.RECORD, ("MALFORMED",),
        garble=lambda _: frame(b"\x81" * 1_000_000),
    ),
    Attack(
        "answer-in-another-encoding", Ask.RECORD, ("NOT_CANONICAL", "MALFORMED"),
        garble=lambda reply: frame(b"\x98" + bytes([encode(reply)[0] & 31]) + encode(reply)[1:]),
    ),
)  # fmt: skip

ATTACKS = (*CERTIFICATES, *STATE, *RECEIPTS, *LOG, *STREAMS)
