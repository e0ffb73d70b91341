"""Files that are no proof, with the code that says why. Most are made by somebody who has a true proof file; some by
a quorum of validators that signs what no ledger would hold, which shows that the rule itself is checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from node.state import prove
from tallynet.blocks import Commit, Header
from tallynet.codec import decode, encode
from tallynet.documents import Disclosure
from tallynet.hashing import block_hash
from tallynet.merkle import ListTree
from tallynet.proofs import FinalBlock, ProofFile, Statement
from tallynet.records import Kind
from tests.unit.proofs.world import (
    BLOCKS,
    FIRST,
    GENESIS,
    SECOND,
    STATE,
    STATEMENTS,
    VOUCHER,
    chain,
    file_of,
    handover,
    sign,
    state,
    statements,
)

FILES: Final = {name: file_of(statement) for name, statement in STATEMENTS.items()}
"""A true proof file of each kind."""


def forged(name: str, **changes: Any) -> bytes:
    """A true file with fields of its statement replaced."""
    file = decode(ProofFile, FILES[name])
    return encode(replace(file, statement=replace(file.statement, **changes)))


def with_handovers(name: str, *handovers: Any) -> bytes:
    return encode(replace(decode(ProofFile, FILES[name]), handovers=handovers))


def _statement(name: str) -> Any:
    statement: Statement = decode(ProofFile, FILES[name]).statement
    return statement


def forgeries() -> Iterator[tuple[str, str, bytes]]:
    """(what is wrong, code, file)"""
    yield from _files()
    yield from _signatures()
    yield from _handovers()
    yield from _states()
    yield from _logs()
    yield from _documents()


def _files() -> Iterator[tuple[str, str, bytes]]:
    true = FILES["record"]
    file = decode(ProofFile, true)
    yield "an empty file", "PROOF_FORMAT", b""
    yield "another kind of file", "PROOF_FORMAT", encode(GENESIS)
    yield "a later version", "PROOF_VERSION", encode(replace(file, version=2))
    yield "a byte behind the end", "PROOF_MALFORMED", true + b"\0"
    yield "the last byte missing", "PROOF_MALFORMED", true[:-1]
    longer = FILES["events"].replace(b"\x66events\x01\x06", b"\x66events\x18\x01\x06")
    yield "a number that could be shorter", "PROOF_MALFORMED", longer
    yield "an element too many", "PROOF_MALFORMED", b"\x86" + true[1:] + b"\0"
    yield "another network", "PROOF_OTHER_NETWORK", encode(replace(file, genesis=bytes(32)))


def _signatures() -> Iterator[tuple[str, str, bytes]]:
    block = BLOCKS[-1].final
    vote = decode(Commit, block.certificate.vote)

    def signed(certificate: Any) -> bytes:
        return forged("record", block=FinalBlock(block.header, certificate))

    few = replace(
        block.certificate,
        signers=block.certificate.signers[:-1],
        signatures=block.certificate.signatures[:-1],
    )
    yield "one signature too few", "BAD_CERTIFICATE", signed(few)
    yield "one signature too many", "PROOF_SURPLUS", signed(sign(vote, SECOND, 5))
    yield "signed by the validators before", "BAD_CERTIFICATE", signed(sign(vote, FIRST, 4))
    other = replace(vote, state_root=bytes(32))
    yield (
        "another state root",
        "BAD_CERTIFICATE",
        signed(replace(block.certificate, vote=encode(other))),
    )
    yield "another state", "BAD_PROOF", signed(sign(other, SECOND))
    yield (
        "of another block",
        "BAD_CERTIFICATE",
        signed(sign(replace(vote, block=bytes(32)), SECOND)),
    )
    yield "of another height", "BAD_CERTIFICATE", signed(sign(replace(vote, height=7), SECOND))
    yield "of another epoch", "BAD_CERTIFICATE", signed(sign(replace(vote, epoch=0), FIRST))
    header = encode(replace(decode(Header, block.header), genesis=bytes(32)))
    moved = FinalBlock(header, sign(replace(vote, block=block_hash(header)), SECOND))
    yield "a block of another network", "PROOF_OTHER_NETWORK", forged("record", block=moved)
    surplus = replace(
        handover(), certificate=sign(decode(Commit, handover().certificate.vote), FIRST, 4)
    )
    yield (
        "a hand-over with a signature too many",
        "PROOF_SURPLUS",
        with_handovers("record", surplus),
    )


def _handovers() -> Iterator[tuple[str, str, bytes]]:
    true = handover()
    yield "the hand-over is missing", "PROOF_INCOMPLETE", with_handovers("record")
    yield "a hand-over twice", "PROOF_SURPLUS", with_handovers("record", true, true)
    yield "a hand-over after the block", "PROOF_SURPLUS", with_handovers("receipt", true)
    yield (
        "a hand-over to others",
        "BAD_HANDOVER",
        with_handovers("record", replace(true, validators=FIRST)),
    )
    third = BLOCKS[2].final
    early = replace(true, header=third.header, certificate=third.certificate)
    yield "a hand-over within an epoch", "BAD_HANDOVER", with_handovers("record", early)
    mixed = replace(true, certificate=third.certificate)
    yield "a hand-over that nobody signed", "BAD_HANDOVER", with_handovers("record", mixed)


def _states() -> Iterator[tuple[str, str, bytes]]:
    record, absent = _statement("record"), _statement("absence")
    changed = record.proof.record[:-1] + bytes((record.proof.record[-1] ^ 1,))
    yield (
        "another value",
        "BAD_PROOF",
        forged("record", proof=replace(record.proof, record=changed)),
    )
    yield "no value", "BAD_PROOF", forged("record", proof=replace(record.proof, record=None))
    yield "another record", "BAD_PROOF", forged("record", id=bytes(16))
    yield (
        "another count of records",
        "BAD_PROOF",
        forged("record", proof=replace(record.proof, count=record.proof.count + 1)),
    )
    yield (
        "absent but there",
        "PROOF_CONTRADICTION",
        forged("absence", kind=record.kind, id=record.id, proof=record.proof),
    )
    yield (
        "there but absent",
        "PROOF_CONTRADICTION",
        forged("record", kind=absent.kind, id=absent.id, proof=absent.proof),
    )
    yield "absence of what was not asked", "PROOF_CONTRADICTION", forged("absence", asked=bytes(32))
    yield from _vouchers()


def _vouchers() -> Iterator[tuple[str, str, bytes]]:
    whole = _statement("voucher").proof
    yield (
        "a lot left out",
        "BAD_PROOF",
        forged("voucher", proof=replace(whole, lots=whole.lots[1:])),
    )
    rows = replace(whole, lots=(), rows=STATE.lots(VOUCHER)[1])
    yield "all lots left out", "PROOF_INCOMPLETE", forged("voucher", proof=rows)
    yield (
        "a voucher without its lots",
        "PROOF_INCOMPLETE",
        forged("record", kind=int(Kind.VOUCHER), id=VOUCHER, proof=rows),
    )
    absent = prove(STATE, Kind.VOUCHER, bytes(16))
    yield (
        "no such voucher",
        "PROOF_CONTRADICTION",
        forged("voucher", voucher=bytes(16), proof=absent),
    )
    gap, root = state(gap=1)
    made = statements(chain(root), gap)
    yield "lots that do not tile the face", "PROOF_INCOMPLETE", file_of(made["voucher"])
    events = _statement("history").events
    yield "the newest event left out", "PROOF_INCOMPLETE", forged("history", events=events[:-1])
    yield "the first event left out", "PROOF_INCOMPLETE", forged("history", events=events[1:])
    yield "events in another order", "PROOF_INCOMPLETE", forged("history", events=events[::-1])


def _logs() -> Iterator[tuple[str, str, bytes]]:
    second, fifth = BLOCKS[1], BLOCKS[4]
    tree = ListTree(second.receipts)
    yield "another receipt", "BAD_PROOF", forged("receipt", receipt=second.receipts[2])
    yield (
        "the block's own receipt",
        "PROOF_CONTRADICTION",
        forged("receipt", receipt=second.receipts[0], proof=tree.prove(0)),
    )
    place = ListTree([sent.hash for sent in fifth.envelopes]).prove(0)
    yield "another envelope", "BAD_PROOF", forged("act", envelope=fifth.envelopes[0].raw)
    yield (
        "the envelope before",
        "PROOF_CONTRADICTION",
        forged("act", envelope=fifth.envelopes[0].raw, place=place),
    )
    blocks = _statement("events").blocks
    yield "a block left out", "PROOF_INCOMPLETE", forged("events", blocks=blocks[:2] + blocks[3:])
    yield "the last block left out", "PROOF_INCOMPLETE", forged("events", blocks=blocks[:-1])
    yield "other heights", "PROOF_INCOMPLETE", forged("events", first=2, last=7)
    part = blocks[1]
    short = replace(part, receipts=part.receipts[:-1])
    yield (
        "a receipt left out",
        "PROOF_INCOMPLETE",
        forged("events", blocks=(blocks[0], short, *blocks[2:])),
    )
    quiet = replace(part.receipts[1], events=())
    silent = replace(part, receipts=(part.receipts[0], quiet, *part.receipts[2:]))
    yield (
        "an event left out",
        "PROOF_INCOMPLETE",
        forged("events", blocks=(blocks[0], silent, *blocks[2:])),
    )
    yield (
        "a block that follows another",
        "PROOF_CONTRADICTION",
        forged("events", blocks=(*blocks[:-1], replace(blocks[-1], block=_stray()))),
    )


def _stray() -> FinalBlock:
    """A sixth block on another fifth one, signed by a quorum all the same."""
    header = encode(replace(decode(Header, BLOCKS[5].final.header), parent=bytes(32)))
    vote = decode(Commit, BLOCKS[5].final.certificate.vote)
    return FinalBlock(header, sign(replace(vote, block=block_hash(header)), SECOND))


def _documents() -> Iterator[tuple[str, str, bytes]]:
    true = _statement("document")
    first, second = true.disclosure.fields
    dearer = replace(first, value=b"1" + first.value)
    yield (
        "another value of a field",
        "BAD_DISCLOSURE",
        forged("document", disclosure=Disclosure((dearer, second))),
    )
    yield (
        "fields in another order",
        "BAD_DISCLOSURE",
        forged("document", disclosure=Disclosure((second, first))),
    )
    yield (
        "a field left out",
        "PROOF_CONTRADICTION",
        forged("document", disclosure=Disclosure((first,))),
    )
    absent = prove(STATE, Kind.DOCUMENT, bytes(16))
    yield (
        "no such document",
        "PROOF_CONTRADICTION",
        forged("document", document=bytes(16), proof=absent),
    )
