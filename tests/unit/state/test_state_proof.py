"""Proofs of value and absence: accepted when true, refused when anything in them was changed."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.state import CommittedState, MemoryReader, Overlay, prove
from node.state.prove import LOTS_IN_PROOF_MAX
from tallynet.codec import decode, encode
from tallynet.errors import RemoteProtocolError
from tallynet.records import Kind, lot_id
from tallynet.state_proof import (
    StateProof,
    bucket_hash,
    entity_key,
    tree_root,
    verify_lot_proof,
    verify_state_proof,
    verify_voucher_proof,
)
from tests.unit.state.samples import lot, record_id, remainder, voucher

LOTS = 40
HELD = record_id("voucher")
EMPTY_VOUCHER = record_id("voucher without lots")
STARTS = tuple(range(0, LOTS * 1_000, 1_000))


def state_of(entities: int) -> tuple[CommittedState, bytes]:
    reader = MemoryReader()
    overlay = Overlay(CommittedState(reader))
    for i in range(entities):
        overlay.put(Kind.REMAINDER, record_id(i), remainder(i))
    overlay.put(Kind.VOUCHER, EMPTY_VOUCHER, voucher(1))
    overlay.put(Kind.VOUCHER, HELD, voucher())
    for start in STARTS:
        overlay.put(Kind.LOT, lot_id(HELD, start), lot(start, start + 1_000, start))
    root = overlay.seal()
    reader.apply(overlay.changes())
    return CommittedState.snapshot(reader), root


STATE, ROOT = state_of(2_000)


def refused(root: bytes, kind: int, id: bytes, proof: StateProof) -> bool:
    try:
        verify_state_proof(root, kind, id, proof)
    except RemoteProtocolError:
        return True
    return False


@pytest.mark.parametrize("number", range(0, 2_000, 97))
def test_present_record_is_proven(number: int) -> None:
    proof = decode(StateProof, encode(prove(STATE, Kind.REMAINDER, record_id(number))))
    record = verify_state_proof(ROOT, Kind.REMAINDER, record_id(number), proof)
    assert record == encode(remainder(number))


@pytest.mark.parametrize("number", range(2_000, 2_050))
def test_absent_record_is_proven_absent(number: int) -> None:
    proof = prove(STATE, Kind.REMAINDER, record_id(number))
    assert verify_state_proof(ROOT, Kind.REMAINDER, record_id(number), proof) is None


def test_empty_state_proves_absence() -> None:
    state = CommittedState(MemoryReader())
    proof = prove(state, Kind.KEY, record_id(1))
    assert verify_state_proof(state.root, Kind.KEY, record_id(1), proof) is None


def test_voucher_proof_shows_every_holder() -> None:
    found = verify_voucher_proof(ROOT, HELD, prove(STATE, Kind.VOUCHER, HELD))
    assert found is not None
    assert found[0] == voucher()
    assert [lot.start for lot in found[1]] == list(STARTS)


def test_voucher_without_lots_and_absent_voucher() -> None:
    proof = prove(STATE, Kind.VOUCHER, EMPTY_VOUCHER)
    assert verify_voucher_proof(ROOT, EMPTY_VOUCHER, proof) == (voucher(1), ())
    absent = record_id("no such voucher")
    assert verify_voucher_proof(ROOT, absent, prove(STATE, Kind.VOUCHER, absent)) is None


@pytest.mark.parametrize("hidden", [0, 1, 20, LOTS - 1])
def test_no_holder_can_be_hidden(hidden: int) -> None:
    proof = prove(STATE, Kind.VOUCHER, HELD)
    lots = proof.lots[:hidden] + proof.lots[hidden + 1 :]
    assert refused(ROOT, Kind.VOUCHER, HELD, msgspec.structs.replace(proof, lots=lots))


def test_lots_in_another_order_or_repeated_are_refused() -> None:
    proof = prove(STATE, Kind.VOUCHER, HELD)
    for lots in (proof.lots[::-1], (*proof.lots, proof.lots[-1]), proof.lots[1:] + proof.lots[:1]):
        assert refused(ROOT, Kind.VOUCHER, HELD, msgspec.structs.replace(proof, lots=lots))


def test_voucher_proof_without_lots_is_no_proof_of_its_holders() -> None:
    proof = prove(STATE, Kind.VOUCHER, HELD)
    short = msgspec.structs.replace(proof, lots=(), rows=STATE.lots(HELD)[1])
    assert verify_state_proof(ROOT, Kind.VOUCHER, HELD, short) == encode(voucher())
    with pytest.raises(RemoteProtocolError, match="BAD_PROOF"):
        verify_voucher_proof(ROOT, HELD, short)


def test_every_lot_is_proven_and_other_starts_are_proven_absent() -> None:
    for start in STARTS:
        proof = prove(STATE, Kind.LOT, lot_id(HELD, start))
        assert verify_lot_proof(ROOT, HELD, start, proof) == lot(start, start + 1_000, start)
    for start in (1, 999, LOTS * 1_000, 2**62):
        proof = prove(STATE, Kind.LOT, lot_id(HELD, start))
        assert verify_lot_proof(ROOT, HELD, start, proof) is None
    absent = record_id("no such voucher")
    proof = prove(STATE, Kind.LOT, lot_id(absent, 0))
    assert verify_lot_proof(ROOT, absent, 0, proof) is None


def test_present_lot_cannot_be_shown_as_absent() -> None:
    proof = prove(STATE, Kind.LOT, lot_id(HELD, 0))
    assert refused(ROOT, Kind.LOT, lot_id(HELD, 0), msgspec.structs.replace(proof, record=None))
    missing = prove(STATE, Kind.LOT, lot_id(record_id("no such voucher"), 0))
    assert refused(ROOT, Kind.LOT, lot_id(HELD, 0), missing)


def test_proof_for_one_record_proves_nothing_about_another() -> None:
    mine, yours = record_id(1), record_id(2)
    proof = prove(STATE, Kind.REMAINDER, mine)
    assert refused(ROOT, Kind.REMAINDER, yours, proof)
    assert refused(ROOT, Kind.BANK_RECEIPT, mine, proof)
    assert refused(sha256(ROOT).digest(), Kind.REMAINDER, mine, proof)
    absence = prove(STATE, Kind.REMAINDER, record_id(2_000))
    assert refused(ROOT, Kind.REMAINDER, mine, absence)


def test_present_record_cannot_be_shown_as_absent_from_a_shorter_path() -> None:
    proof = prove(STATE, Kind.REMAINDER, record_id(1))
    for changed in (
        {"bucket": b"", "record": None},
        {"bucket": b"", "record": None, "depth": proof.depth - 1},
        {"record": None},
        {"depth": 0, "present": b"", "siblings": b"", "bucket": b"", "record": None},
    ):
        assert refused(
            ROOT, Kind.REMAINDER, record_id(1), msgspec.structs.replace(proof, **changed)
        )


def test_inner_node_is_no_bucket() -> None:
    """C6: what stands above a bucket cannot be taken for one."""
    proof = prove(STATE, Kind.REMAINDER, record_id(1))
    fake = msgspec.structs.replace(proof, bucket=proof.siblings[:64], record=None)
    assert refused(ROOT, Kind.REMAINDER, record_id(1), fake)


def test_unknown_kind_and_malformed_lot_id_are_refused() -> None:
    proof = prove(STATE, Kind.REMAINDER, record_id(1))
    assert refused(ROOT, 0, record_id(1), proof)
    assert refused(ROOT, 255, record_id(1), proof)
    assert refused(ROOT, Kind.LOT, HELD, prove(STATE, Kind.LOT, lot_id(HELD, 0)))
    for kind, id in (
        (Kind.LOT, HELD),
        (Kind.VOUCHER, lot_id(HELD, 0)),
        (Kind.VOUCHER, HELD + b"\0"),
    ):
        with pytest.raises(RemoteProtocolError, match="BAD_ID"):
            prove(STATE, kind, id)


def samples() -> Iterator[tuple[Kind, bytes]]:
    yield Kind.REMAINDER, record_id(5)
    yield Kind.REMAINDER, record_id(2_001)
    yield Kind.VOUCHER, HELD
    yield Kind.VOUCHER, record_id("no such voucher")
    yield Kind.LOT, lot_id(HELD, 3_000)
    yield Kind.LOT, lot_id(HELD, 3_001)
    yield Kind.LOT, lot_id(record_id("no such voucher"), 0)


@pytest.mark.parametrize(("kind", "id"), list(samples()))
def test_every_changed_byte_is_refused(kind: Kind, id: bytes) -> None:
    """C7: there is no byte in a proof that is not hashed or implied."""
    data = encode(prove(STATE, kind, id))
    for position in range(len(data)):
        for flip in (0x01, 0x80, 0xFF):
            changed = bytearray(data)
            changed[position] ^= flip
            try:
                proof = decode(StateProof, bytes(changed))
            except RemoteProtocolError:
                continue
            assert refused(ROOT, kind, id, proof), f"byte {position} ^ {flip:#x}"


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_changed_fields_are_refused(data: st.DataObject) -> None:
    kind, id = data.draw(st.sampled_from(list(samples())))
    proof = prove(STATE, kind, id)
    chunk = st.binary(max_size=80)
    field = data.draw(st.sampled_from(StateProof.__struct_fields__))
    value = {
        "count": st.integers(0, 3_000),
        "depth": st.integers(0, 64),
        "record": st.none() | chunk,
        "voucher_hash": st.none() | st.binary(min_size=32, max_size=32),
        "siblings": st.sampled_from(
            (proof.siblings + bytes(32), proof.siblings[32:], b"", proof.siblings + b"\x00")
        ),
        "lots": st.lists(st.sampled_from((*proof.lots, b"", b"\x80")), max_size=3).map(tuple),
    }.get(field, st.one_of(chunk, st.just(getattr(proof, field)).map(lambda x: x and x[:-1])))
    changed = msgspec.structs.replace(proof, **{field: data.draw(value)})
    assert changed == proof or refused(ROOT, kind, id, changed)


def empty_siblings(proof: StateProof) -> list[int]:
    present = int.from_bytes(proof.present, "little")
    return [i for i in range(4 * proof.depth) if not present >> i & 1]


def with_sibling(proof: StateProof, step: int, sibling: bytes) -> StateProof:
    """The proof with one more sibling listed, at `step` from the bucket."""
    present = int.from_bytes(proof.present, "little")
    at = 32 * (present & ((1 << step) - 1)).bit_count()
    return msgspec.structs.replace(
        proof,
        present=(present | 1 << step).to_bytes(len(proof.present), "little"),
        siblings=proof.siblings[:at] + sibling + proof.siblings[at:],
    )


def sparse_state() -> tuple[CommittedState, bytes]:
    """Seventeen entities: one level, some of its children empty."""
    reader = MemoryReader()
    overlay = Overlay(CommittedState(reader))
    for i in range(17):
        overlay.put(Kind.REMAINDER, record_id(i), remainder(i))
    root = overlay.seal()
    reader.apply(overlay.changes())
    return CommittedState.snapshot(reader), root


def test_there_is_one_proof_only() -> None:
    """C7: the same statement in other bytes is refused: listed empties, spare bits, longer paths."""
    state, root = sparse_state()
    tried = 0
    for number in range(60):
        id = record_id(number)
        proof = prove(state, Kind.REMAINDER, id)
        for step in empty_siblings(proof):
            assert refused(root, Kind.REMAINDER, id, with_sibling(proof, step, bytes(32)))
            tried += 1
        spare = with_sibling(proof, 7, bytes(range(32)))
        assert proof.depth == 1
        assert refused(root, Kind.REMAINDER, id, spare)
        if not proof.bucket:
            longer = msgspec.structs.replace(
                proof, depth=2, present=bytes(((proof.present[0] << 4) & 0xFF,))
            )
            assert refused(root, Kind.REMAINDER, id, longer)
            tried += 1000
    assert tried > 1000, "no absent key met an empty child"


def test_absent_voucher_has_no_rows() -> None:
    absent = record_id("no such voucher")
    for kind, id in ((Kind.VOUCHER, absent), (Kind.LOT, lot_id(absent, 0))):
        proof = msgspec.structs.replace(prove(STATE, kind, id), rows=bytes(40))
        assert refused(ROOT, kind, id, proof)


def test_bucket_out_of_order_is_refused_even_under_its_own_root() -> None:
    key = entity_key(bytes((Kind.REMAINDER,)) + record_id(1))
    high, low = b"\xff" * 64, bytes(64)
    for bucket in (high + low, high + high):
        proof = StateProof(1, 0, b"", b"", bucket, None, None, b"", ())
        assert refused(tree_root(1, bucket_hash(bucket)), Kind.REMAINDER, record_id(1), proof)
    proof = StateProof(1, 0, b"", b"", key + low[:31], None, None, b"", ())
    assert refused(tree_root(1, bucket_hash(proof.bucket)), Kind.REMAINDER, record_id(1), proof)


def test_lot_proof_fits_four_kib_with_forty_lots_in_a_large_state() -> None:
    state, root = state_of(70_000)
    largest = 0
    for start in STARTS[::8]:
        data = encode(prove(state, Kind.LOT, lot_id(HELD, start)))
        assert verify_lot_proof(root, HELD, start, decode(StateProof, data)) is not None
        largest = max(largest, len(data))
    # One more level than here, and a full bucket, at a million entities.
    depth, bucket = prove(state, Kind.LOT, lot_id(HELD, 0)).depth, 1024
    assert depth in (4, 5)
    assert (
        largest + (5 - depth) * 128 + bucket - len(prove(state, Kind.LOT, lot_id(HELD, 0)).bucket)
        <= 4096
    )


def test_voucher_with_very_many_lots_is_proven_by_rows() -> None:
    reader = MemoryReader()
    overlay = Overlay(CommittedState(reader))
    overlay.put(Kind.VOUCHER, HELD, voucher())
    count = LOTS_IN_PROOF_MAX + 1
    for start in range(count):
        overlay.put(Kind.LOT, lot_id(HELD, start), lot(start, start + 1))
    root = overlay.seal()
    reader.apply(overlay.changes())
    state = CommittedState.snapshot(reader)
    proof = prove(state, Kind.VOUCHER, HELD)
    assert verify_state_proof(root, Kind.VOUCHER, HELD, proof) == encode(voucher())
    assert len(proof.rows) == 40 * count
    last = prove(state, Kind.LOT, lot_id(HELD, count - 1))
    assert verify_lot_proof(root, HELD, count - 1, last) == lot(count - 1, count)
