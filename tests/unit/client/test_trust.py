"""What a light client must not believe (reliability §11), without a network."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallynet.blocks import Certificate, Commit, Prepare
from tallynet.client.trust import REMEMBERED_MAX, Trust
from tallynet.codec import decode, encode
from tallynet.errors import RemoteProtocolError
from tallynet.hashing import block_hash, signed_bytes
from tallynet.merkle import ListProof, ListTree
from tallynet.messages import BlockPage, BlockReceipts, ProvenReceipt, Receipts, RecordProof
from tallynet.receipts import EnvelopeReceipt
from tallynet.records import Kind
from tallynet.signatures import KIND_COMMIT, KIND_PREPARE
from tallynet.state_proof import StateProof
from tests.unit.client.serving import (
    COUNTER,
    GENESIS,
    Chain,
    certify,
    counted,
    envelope,
    make_genesis,
    replace,
)
from tests.unit.net.samples import KEYS

CHAIN = Chain()
for _label in range(1, 4):
    CHAIN.extend([envelope(10 * _label), envelope(10 * _label + 1)])
B1, B2, B3 = CHAIN.blocks
RECEIPTS = CHAIN.receipt_of(envelope(30).transaction)
VOTE = decode(Commit, B3.certificate.vote)


def code(header: bytes, certificate: Certificate | None) -> str:
    trust = Trust(GENESIS)
    with pytest.raises(RemoteProtocolError) as caught:
        trust.certified(header, certificate)
    assert trust.newest == 0, "a lie teaches nothing"
    return caught.value.code


def signed_by(vote: bytes, keys: list[int], kind: bytes = KIND_COMMIT) -> Certificate:
    covered = signed_bytes(kind, Trust(GENESIS).genesis_hash, vote)
    return Certificate(vote, tuple(keys), tuple(KEYS[i].sign(covered) for i in keys))


def test_an_honest_chain_is_believed() -> None:
    trust = Trust(GENESIS)
    for height, block in enumerate(CHAIN.blocks, 1):
        assert trust.certified(block.header, block.certificate).height == height
    assert trust.newest == 3


def test_before_the_first_block_nothing_is_proven() -> None:
    assert code(b"", None) == "NO_BLOCK"


def test_certificates_of_too_few_or_of_the_wrong_votes_are_refused() -> None:
    vote = B3.certificate.vote
    other = encode(replace(VOTE, block=block_hash(B2.header)))
    prepare = encode(Prepare(0, 0, 3, VOTE.block))
    cases = {
        "forged by f": signed_by(vote, [0]),
        "one short of a quorum": signed_by(vote, [0, 1]),
        "one signer twice": replace(
            B3.certificate, signers=(0, 1, 1), signatures=(*B3.certificate.signatures[:2],) * 1
            + (B3.certificate.signatures[1],),
        ),
        "a signer beyond the set": replace(B3.certificate, signers=(0, 1, 9)),
        "the certificate of another block": B2.certificate,
        "signed for another block": signed_by(other, [0, 1, 2]),
        "Prepares shown as Commits": signed_by(prepare, [0, 1, 2], KIND_PREPARE),
        "Prepare bodies signed as Commits": signed_by(prepare, [0, 1, 2]),
        "Commits signed as Prepares": signed_by(vote, [0, 1, 2], KIND_PREPARE),
        "a swapped state root": replace(
            B3.certificate, vote=encode(replace(VOTE, state_root=bytes(32)))
        ),
        "a swapped receipts root": replace(
            B3.certificate, vote=encode(replace(VOTE, receipts_root=bytes(32)))
        ),
    }  # fmt: skip
    for why, certificate in cases.items():
        assert code(B3.header, certificate) in ("BAD_CERTIFICATE", "SCHEMA"), why


@pytest.mark.parametrize("change", [{"height": 4}, {"epoch": 1}, {"view": 1}, {"height": 2}])
def test_height_and_epoch_of_vote_and_header_must_agree(change: dict[str, int]) -> None:
    certificate = certify(replace(VOTE, **change))
    if "view" in change:
        assert Trust(GENESIS).certified(B3.header, certificate).height == 3
    else:
        assert code(B3.header, certificate) == "BAD_CERTIFICATE"


def test_a_header_with_any_byte_changed_is_refused() -> None:
    for place in range(len(B3.header)):
        header = B3.header[:place] + bytes((B3.header[place] ^ 1,)) + B3.header[place + 1 :]
        code(header, B3.certificate)


def test_a_block_of_another_network_is_refused() -> None:
    trust = Trust(make_genesis("another"))
    with pytest.raises(RemoteProtocolError) as caught:
        trust.certified(B1.header, B1.certificate)
    assert caught.value.code == "NETWORK_MISMATCH"


def test_another_validator_set_ends_the_old_ones_word() -> None:
    """Long range: keys of the old set may be stolen later (C10)."""
    from tallynet.blocks import Header

    header = encode(replace(decode(Header, B3.header), next_validators=bytes(32)))
    certificate = certify(replace(VOTE, block=block_hash(header)))
    assert code(header, certificate) == "VALIDATORS_CHANGED"


def test_a_genesis_with_a_weak_or_repeated_key_is_not_trusted() -> None:
    validators = GENESIS.validators
    weak = replace(validators[0], public_key=b"\1" + bytes(31))
    for bad in ((weak, *validators[1:]), (validators[0], *validators[:3])):
        with pytest.raises(ValueError, match="weak or repeated"):
            Trust(replace(GENESIS, validators=bad))


def test_signatures_of_a_block_are_checked_once_and_another_certificate_again() -> None:
    trust = Trust(GENESIS)
    first = trust.certified(B3.header, B3.certificate)
    assert trust.certified(B3.header, B3.certificate) is first
    forged = replace(B3.certificate, signatures=(bytes(64),) * 3)
    with pytest.raises(RemoteProtocolError):
        trust.certified(B3.header, forged)
    other_quorum = certify(VOTE, signers=(1, 2, 3))
    assert trust.certified(B3.header, other_quorum).commit == first.commit


def test_what_is_remembered_is_bounded() -> None:
    chain, trust = Chain(), Trust(GENESIS)
    for label in range(REMEMBERED_MAX + 5):
        made = chain.extend([envelope(label)])
        trust.certified(made.header, made.certificate)
    assert len(trust._known) == REMEMBERED_MAX


# --- receipts ---------------------------------------------------------------------------------------


def refused_receipt(message: Receipts) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        Trust(GENESIS).receipts(message)
    return caught.value.code


def with_proof(**changes: object) -> Receipts:
    proven = RECEIPTS.receipts[0]
    return replace(RECEIPTS, receipts=(replace(proven, proof=replace(proven.proof, **changes)),))


def test_a_receipt_is_believed_with_its_proof_only() -> None:
    (receipt,) = Trust(GENESIS).receipts(RECEIPTS)
    assert receipt.transaction == envelope(30).transaction
    proof = RECEIPTS.receipts[0].proof
    forged = [
        with_proof(index=proof.index + 1),
        with_proof(index=0),
        with_proof(count=proof.count + 1),
        with_proof(count=1, index=0),
        with_proof(siblings=()),
        with_proof(siblings=(*proof.siblings, bytes(32))),
        with_proof(siblings=proof.siblings[::-1]),
        replace(RECEIPTS, header=B2.header),
        replace(RECEIPTS, certificate=B2.certificate),
        replace(RECEIPTS, header=B2.header, certificate=B2.certificate),
    ]
    for message in forged:
        assert refused_receipt(message) in ("BAD_PROOF", "BAD_CERTIFICATE")


def test_a_forged_refusal_inside_a_receipt_is_not_believed() -> None:
    proven = RECEIPTS.receipts[0]
    receipt = decode(EnvelopeReceipt, proven.receipt)
    forged = encode(replace(receipt, code="EXPIRED", commands=()))
    message = replace(RECEIPTS, receipts=(replace(proven, receipt=forged),))
    assert refused_receipt(message) == "BAD_PROOF"


def test_one_bad_receipt_spoils_the_message() -> None:
    good = RECEIPTS.receipts[0]
    bad = replace(good, receipt=good.receipt + b"\0")
    assert refused_receipt(replace(RECEIPTS, receipts=(good, bad))) == "BAD_PROOF"


def test_the_prologues_receipt_and_an_inner_node_are_no_receipts() -> None:
    tree = B3.tree
    prologue = ProvenReceipt(B3.receipts[0], tree.prove(0))
    assert refused_receipt(replace(RECEIPTS, receipts=(prologue,))) == "BAD_PROOF"
    inner = ListTree(B3.receipts)._levels[1]
    node = ProvenReceipt(inner[0] + inner[-1], ListProof(0, 1, ()))
    assert refused_receipt(replace(RECEIPTS, receipts=(node,))) == "BAD_PROOF"


@settings(max_examples=300)
@given(st.data())
def test_no_mutation_of_a_receipts_message_is_believed(data: st.DataObject) -> None:
    encoded = encode(RECEIPTS)
    place = data.draw(st.integers(0, len(encoded) - 1))
    flip = data.draw(st.integers(1, 255))
    mutated = encoded[:place] + bytes((encoded[place] ^ flip,)) + encoded[place + 1 :]
    with pytest.raises(RemoteProtocolError):
        Trust(GENESIS).receipts(decode(Receipts, mutated))


# --- records ----------------------------------------------------------------------------------------


def answer(height: int = 3, id: bytes = COUNTER, **changes: object) -> RecordProof:
    block = CHAIN.blocks[height - 1]
    proof = replace(CHAIN.proof(height, Kind.PARAMETER, id), **changes)
    return RecordProof(1, block.header, block.certificate, encode(proof))


def test_a_record_and_its_absence_are_believed_with_their_proofs() -> None:
    trust = Trust(GENESIS)
    assert trust.record(Kind.PARAMETER, COUNTER, answer()).record == counted(6)
    assert trust.record(Kind.PARAMETER, b"nothing", answer(id=b"nothing")).record is None


def refused_record(id: bytes, message: RecordProof, kind: Kind = Kind.PARAMETER) -> None:
    with pytest.raises(RemoteProtocolError):
        Trust(GENESIS).record(kind, id, message)


def test_forged_proofs_of_records_are_refused() -> None:
    refused_record(COUNTER, answer(record=encode(counted(7))))
    refused_record(COUNTER, answer(record=None))
    refused_record(COUNTER, answer(count=2))
    refused_record(COUNTER, answer(bucket=b""))
    refused_record(COUNTER, answer(depth=1))
    refused_record(COUNTER, answer(depth=1, present=b"\0"))
    refused_record(COUNTER, answer(rows=bytes(40)))
    refused_record(COUNTER, answer(lots=(b"",)))
    refused_record(COUNTER, answer(voucher_hash=bytes(32)))
    refused_record(COUNTER, answer(id=b"nothing"))
    refused_record(b"nothing", answer())
    refused_record(COUNTER, answer(), kind=Kind.CALENDAR)
    refused_record(COUNTER, replace(answer(), certificate=B2.certificate))
    refused_record(COUNTER, replace(answer(), proof=answer(2).proof))
    refused_record(COUNTER, replace(answer(), proof=answer().proof + b"\0"))
    refused_record(COUNTER, replace(answer(), proof=bytes(100_000)))


@settings(max_examples=300)
@given(st.data())
def test_no_mutation_of_a_record_proof_is_believed_for_another_value(data: st.DataObject) -> None:
    encoded = encode(answer())
    place = data.draw(st.integers(len(encode("record")) + 2, len(encoded) - 1))
    flip = data.draw(st.integers(1, 255))
    mutated = encoded[:place] + bytes((encoded[place] ^ flip,)) + encoded[place + 1 :]
    with pytest.raises(RemoteProtocolError):
        Trust(GENESIS).record(Kind.PARAMETER, COUNTER, decode(RecordProof, mutated))


def test_old_state_is_provable_and_its_height_says_that_it_is_old() -> None:
    trust = Trust(GENESIS, newest=3)
    assert trust.record(Kind.PARAMETER, COUNTER, answer(1)).block.height == 1
    assert trust.newest == 3


def test_envelopes_that_are_not_the_blocks_are_refused() -> None:
    page = BlockPage(1, B3.header, B3.certificate, B3.envelopes)
    assert Trust(GENESIS).block(page).envelopes == B3.envelopes
    for other in (B3.envelopes[:1], B3.envelopes[::-1], (), (*B3.envelopes, bytes(32))):
        with pytest.raises(RemoteProtocolError):
            Trust(GENESIS).block(replace(page, envelopes=other))


def test_receipts_that_are_not_all_of_the_block_are_refused() -> None:
    page = BlockReceipts(1, B3.header, B3.certificate, B3.receipts)
    assert Trust(GENESIS).all_receipts(page).receipts == B3.receipts
    for other in (B3.receipts[1:], B3.receipts[:-1], B3.receipts[::-1], (), (*B3.receipts, b"")):
        with pytest.raises(RemoteProtocolError):
            Trust(GENESIS).all_receipts(replace(page, receipts=other))


def test_state_proofs_have_no_field_without_a_use() -> None:
    assert StateProof.__struct_fields__ == (
        "count", "depth", "present", "siblings", "bucket", "record", "voucher_hash", "rows", "lots",
    )  # fmt: skip
