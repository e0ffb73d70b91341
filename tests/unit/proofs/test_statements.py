"""One statement of each kind: what the file says is what the ledger holds."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from node.state import prove
from node.state.prove import LOTS_IN_PROOF_MAX
from tallynet.blocks import quorum
from tallynet.codec import decode, encode
from tallynet.plain import to_plain
from tallynet.proofs import (
    DocumentStatement,
    EventsFact,
    EventsStatement,
    FieldsFact,
    HistoryFact,
    ProofFile,
    Proven,
    ReceiptFact,
    RecordFact,
    Statement,
    VoucherFact,
    VoucherStatement,
    check_proof,
    make_proof,
    verify_proof,
)
from tallynet.records import Kind, lot_id
from tallynet.state_proof import LOTS_MAX
from tests.unit.proofs import independent
from tests.unit.proofs.forgeries import FILES
from tests.unit.proofs.world import (
    BLOCKS,
    DOCUMENT,
    FACE,
    FIELDS,
    GENESIS,
    HISTORY,
    NETWORK,
    SEALED,
    SECOND,
    STATE,
    STATEMENTS,
    VOUCHER,
    Made,
    chain,
    envelope,
    file_of,
    handover,
    record_id,
    remainder,
    state,
)
from tools.proof_text import print_proven, proven_plain


def proven(name: str) -> Proven:
    return check_proof(FILES[name], GENESIS)


@pytest.mark.parametrize("name", STATEMENTS)
def test_true_files_are_accepted_and_name_block_and_signers(name: str) -> None:
    found = proven(name)
    height = {"receipt": 2, "act": 5}.get(name, 6)
    assert (found.network, found.genesis) == (NETWORK, GENESIS)
    assert (found.block.header.height, found.block.header.time_ms) == (
        height,
        1_800_000_000_000 + height,
    )
    assert found.handovers == (height > 4)
    assert len(found.block.signers) == quorum(len(found.block.validators))
    assert found.block.validators == (SECOND if height > 4 else GENESIS.validators)
    assert independent.verify(FILES[name], encode(GENESIS)) == height


def test_the_genesis_file_is_all_that_is_needed() -> None:
    genesis = json.dumps(to_plain(GENESIS)).encode()
    assert verify_proof(FILES["voucher"], genesis) == proven("voucher")


def test_a_record_and_its_absence() -> None:
    assert proven("record").fact == RecordFact(Kind.REMAINDER, record_id(7), remainder(7))
    assert proven("absence").fact == RecordFact(Kind.KEY, record_id("nobody"), None)


def test_a_lot_is_shown_without_the_others() -> None:
    fact = proven("lot").fact
    assert isinstance(fact, RecordFact)
    assert (fact.kind, fact.id) == (Kind.LOT, lot_id(VOUCHER, 0))
    others = [encode(lot) for lot in _lots("voucher")[1:]]
    assert not any(other in FILES["lot"] for other in others)


def _lots(name: str) -> tuple[object, ...]:
    fact = proven(name).fact
    assert isinstance(fact, VoucherFact)
    return fact.lots


def test_a_voucher_with_all_its_lots() -> None:
    fact = proven("voucher").fact
    assert isinstance(fact, VoucherFact)
    assert [lot.start for lot in fact.lots] == [0, *(lot.end for lot in fact.lots)][:-1]
    assert fact.lots[-1].end == fact.voucher.face == FACE


def test_a_voucher_with_more_lots_than_a_node_shows_at_once() -> None:
    """The file holds them all, however many there are."""
    count = LOTS_IN_PROOF_MAX + 200
    large, root = state(count)
    assert prove(large, Kind.VOUCHER, VOUCHER).lots == ()
    whole = prove(large, Kind.VOUCHER, VOUCHER, lots_max=LOTS_MAX)
    file = file_of(VoucherStatement(chain(root)[-1].final, VOUCHER, whole))
    fact = check_proof(file, GENESIS).fact
    assert isinstance(fact, VoucherFact)
    assert len(fact.lots) == count


def test_the_history_of_a_voucher() -> None:
    fact = proven("history").fact
    assert isinstance(fact, HistoryFact)
    assert tuple(encode(event) for event in fact.events) == HISTORY
    assert [event.sequence for event in fact.events] == [0, 1, 2]


def test_a_receipt_with_and_without_what_was_asked() -> None:
    result, act = proven("receipt").fact, proven("act").fact
    assert isinstance(result, ReceiptFact) and isinstance(act, ReceiptFact)
    assert (result.receipt.transaction, result.index) == (envelope(2).transaction, 0)
    assert result.envelope is None
    assert act.envelope is not None and act.envelope.raw == envelope(15).raw
    assert (act.receipt.transaction, act.index) == (envelope(15).transaction, 1)


def test_events_of_a_range_of_blocks() -> None:
    fact = proven("events").fact
    assert isinstance(fact, EventsFact)
    places = [(event.height, event.index) for event in fact.events]
    assert places == [(1, 0), (1, 1), (2, 0)]
    assert tuple(encode(event.event) for event in fact.events) == HISTORY


def test_fields_of_a_document_without_the_others() -> None:
    fact = proven("document").fact
    assert isinstance(fact, FieldsFact)
    assert fact.fields == {path: value for path, value in FIELDS if path != "due_day"}
    assert fact.document.root == SEALED.root
    assert b"20700" not in FILES["document"]


def test_only_the_signatures_and_hand_overs_that_are_needed_are_kept() -> None:
    rich = chain(spare=1)
    for name, statement in STATEMENTS.items():
        file = make_proof(GENESIS, [handover(rich)], _of(statement, rich))
        assert file == FILES[name], name
    assert decode(ProofFile, FILES["receipt"]).handovers == ()


def _of(statement: Statement, blocks: list[Made]) -> Statement:
    """The same statement of the same block, certified as in `blocks`."""
    if isinstance(statement, EventsStatement):
        return EventsStatement(1, 6, tuple(made.complete() for made in blocks))
    headers = [made.final.header for made in blocks]
    return replace(statement, block=blocks[headers.index(statement.block.header)].final)


# --- properties -------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(lots=st.integers(1, 60))
def test_any_number_of_lots_is_proven_complete(lots: int) -> None:
    made, root = state(lots)
    statement = VoucherStatement(chain(root)[-1].final, VOUCHER, prove(made, Kind.VOUCHER, VOUCHER))
    file = file_of(statement)
    fact = check_proof(file, GENESIS).fact
    assert isinstance(fact, VoucherFact)
    assert sum(lot.end - lot.start for lot in fact.lots) == FACE
    assert len(fact.lots) == lots
    independent.verify(file, encode(GENESIS))


@given(paths=st.sets(st.sampled_from([path for path, _ in FIELDS]), min_size=1))
def test_any_choice_of_fields_is_proven(paths: set[str]) -> None:
    shown = SEALED.disclose(paths)
    proof = prove(STATE, Kind.DOCUMENT, DOCUMENT)
    statement = DocumentStatement(BLOCKS[-1].final, DOCUMENT, proof, len(paths), shown)
    fact = check_proof(file_of(statement), GENESIS).fact
    assert isinstance(fact, FieldsFact)
    assert fact.fields == {path: value for path, value in FIELDS if path in paths}


@given(first=st.integers(1, 6), length=st.integers(0, 5))
def test_any_range_of_blocks_is_proven(first: int, length: int) -> None:
    last = min(6, first + length)
    blocks = tuple(made.complete() for made in BLOCKS[first - 1 : last])
    file = file_of(EventsStatement(first, last, blocks))
    found = check_proof(file, GENESIS)
    assert isinstance(found.fact, EventsFact)
    assert (found.fact.first, found.fact.last, found.handovers) == (first, last, last > 4)
    assert len(found.fact.events) == sum(
        len(part) for made in BLOCKS[first - 1 : last] for part in made.events
    )
    independent.verify(file, encode(GENESIS))


# --- how it is shown --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_fact_can_be_printed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = proven(name)
    print_proven(found)
    shown = capsys.readouterr().out
    assert shown.startswith("PROVEN: ")
    assert "2027-01-15 08:00:00 UTC (2027-01-15 16:00:00 UTC+8)" in shown
    needed = len(found.block.signers)
    assert f"{needed} of {len(found.block.validators)} validators" in shown
    plain = proven_plain(found)
    assert json.loads(json.dumps(plain)) == plain
    assert (plain["height"], plain["needed"]) == (found.block.header.height, needed)
