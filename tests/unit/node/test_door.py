"""What a node shows to whom, record by record, index by index, event by event (voucher law §16)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.config import Limits, load_config
from node.door import PUBLIC, Answers, Door
from node.ledger.guarantees import call_id
from node.ledger.redemption import instruction_id
from node.state import CommittedState, Overlay
from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.client.events import EventEntry, EventLog
from tallynet.client.trust import Trust
from tallynet.codec import decode, encode
from tallynet.errors import LedgerError
from tallynet.messages import (
    DryRun,
    DryRunResult,
    EventPage,
    IndexPage,
    QueryEvents,
    QueryIndex,
    QueryRecord,
    RecordProof,
    RequestRefused,
)
from tests.rules.law_world import public_of
from tests.unit.penetration.test_proofs import Served

STRANGER = bytes(range(32))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """devices keeps [0,400) and sold [400,500) to bank-2; shop has [500,700), paint [700,1000), pledged."""
    made = Served(tmp_path_factory.mktemp("net"))
    made.world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-2", "core", 10**9)
    made.net.settle()
    for node in made.net.nodes:
        node.machine.service._answers = Answers.PARTIES  # type: ignore[misc]
    yield made
    made.close()


def key_of(by: str) -> bytes:
    return STRANGER if by == "a stranger" else public_of(by, "maker")


def shown(served: Served, by: str, kind: r.Kind, id: bytes) -> r.Record | str | None:
    """The record as a client of this organisation proves it, or the code of the refusal."""
    reply = served.send(key_of(by), QueryRecord(1, kind, id))
    if isinstance(reply, RequestRefused):
        return reply.code
    assert isinstance(reply, RecordProof)
    return Trust(served.net.world.genesis).record(kind, id, reply).record


def readers(served: Served, kind: r.Kind, id: bytes) -> list[str]:
    """Who of these is shown a record."""
    return [by for by in EVERYBODY if not isinstance(shown(served, by, kind, id), str)]


EVERYBODY = ["core", "devices", "shop", "paint", "steel", "bank-2", "bank-3", "watch", "a stranger"]


def test_the_network_itself_is_shown_to_everybody(served: Served) -> None:
    world = served.world
    programme = world.get(r.Voucher, served.voucher).programme
    for kind, id in (
        (r.Kind.NETWORK, r.NETWORK_ID),
        (r.Kind.ORGANISATION, world.ids["devices"]),
        (r.Kind.PROGRAMME, programme),
    ):
        assert readers(served, kind, id) == EVERYBODY


def test_a_voucher_is_shown_to_the_debtors_side_and_to_parties_to_its_lots(served: Served) -> None:
    assert readers(served, r.Kind.VOUCHER, served.voucher) == [
        "core", "devices", "shop", "paint", "bank-2", "watch",
    ]  # fmt: skip


def test_lots_come_with_a_voucher_only_to_who_may_see_them_all(served: Served) -> None:
    trust = Trust(served.net.world.genesis)
    query = QueryRecord(1, r.Kind.VOUCHER, served.voucher)
    lots = {
        by: trust.record(r.Kind.VOUCHER, served.voucher, served.send(key_of(by), query)).lots  # type: ignore[arg-type]
        for by in ("watch", "shop")
    }
    assert lots["shop"] is None and lots["watch"] is not None and len(lots["watch"]) == 4


def test_a_lot_is_shown_to_its_holder_and_lender(served: Served) -> None:
    id = r.lot_id(served.voucher, 700)
    assert [by for by in readers(served, r.Kind.LOT, id) if by != "core"] == [
        "paint", "bank-2", "watch",
    ]  # fmt: skip


def test_a_loan_is_shown_to_its_two_sides(served: Served) -> None:
    assert readers(served, r.Kind.FINANCING, served.loan) == ["paint", "bank-2", "watch"]


def test_issue_lines_protect_everyone_and_other_lines_are_the_parties_own(served: Served) -> None:
    world = served.world
    lines = dict(world.every(r.CreditLine))
    issue = [id for id, line in lines.items() if line.kind is r.LineKind.ISSUE]
    other = [(id, line) for id, line in lines.items() if line.kind is not r.LineKind.ISSUE]
    assert issue and other
    assert readers(served, r.Kind.CREDIT_LINE, issue[0]) == EVERYBODY[:-1]
    for id, line in other:
        names = [world.name(line.grantor), world.name(line.obligor), "watch"]
        assert readers(served, r.Kind.CREDIT_LINE, id) == [by for by in EVERYBODY if by in names]


def test_an_offer_is_shown_to_whom_it_names_and_to_who_could_draw_but_not_to_other_funders(
    served: Served,
) -> None:
    world = served.world
    offer = {by: world.offer("bank-2", debtors=(world.ids[by],)) for by in ("core", "steel")}
    served.net.settle()
    holders = ["devices", "shop", "paint"]
    assert readers(served, r.Kind.OFFER, offer["core"]) == ["core", *holders, "bank-2", "watch"]
    assert readers(served, r.Kind.OFFER, offer["steel"]) == ["steel", "bank-2", "watch"]


def test_that_there_is_no_such_record_is_proven_to_organisations(served: Served) -> None:
    assert shown(served, "steel", r.Kind.FINANCING, bytes(16)) is None
    assert shown(served, "a stranger", r.Kind.FINANCING, bytes(16)) == "KEY_UNKNOWN"
    assert shown(served, "steel", r.Kind.FINANCING, served.loan) == "NOT_AUTHORISED"


def test_a_machine_reads_what_its_organisation_reads(served: Served) -> None:
    query = QueryRecord(1, r.Kind.VOUCHER, served.voucher)
    assert isinstance(served.send(public_of("core", "machine"), query), RecordProof)


@pytest.mark.parametrize(
    ("index", "of", "readers_"),
    [
        (Index.ORGANISATIONS, b"", EVERYBODY),
        (Index.OPEN_LOTS, "shop", ["shop", "watch"]),
        (Index.PARTY_FINANCINGS, "bank-2", ["bank-2", "watch"]),
        (Index.ORGANISATION_LINES, "core", ["core", "watch"]),
        (Index.VOUCHER_HOLDS, "voucher", ["core", "devices", "shop", "paint", "bank-2", "watch"]),
        (Index.OPEN_LOTS, b"", ["watch"]),
        (Index.UNIQUENESS_TAGS, b"", ["watch"]),
        (Index.OPEN_OFFERS, b"CNY", ["core", "devices", "shop", "paint", "steel", "watch"]),
    ],
)
def test_an_index_is_listed_for_whom_its_prefix_names(
    served: Served, index: Index, of: str | bytes, readers_: list[str]
) -> None:
    ids = served.world.ids | {"voucher": served.voucher}
    prefix = ids[of] if isinstance(of, str) else of
    found = [
        by
        for by in EVERYBODY
        if isinstance(served.send(key_of(by), QueryIndex(1, index, prefix, b"", 9)), IndexPage)
    ]
    assert found == readers_


def log_of(served: Served, by: str) -> list[EventEntry]:
    log = EventLog(Trust(served.net.world.genesis), 1)
    entries: list[EventEntry] = []
    while True:
        page = served.send(
            key_of(by), QueryEvents(1, log.height, log.receipt, log.event, wait=False)
        )
        assert isinstance(page, EventPage), page
        if not page.blocks:
            return entries
        entries += log.take(decode(EventPage, encode(page)))


def test_everybody_of_the_network_proves_the_whole_log_and_reads_his_own(served: Served) -> None:
    whole = log_of(served, "watch")
    assert all(entry.event is not None for entry in whole)
    for by in ("paint", "bank-2", "steel", "core"):
        seen = log_of(served, by)
        assert [(e.height, e.index) for e in seen] == [(e.height, e.index) for e in whole]
        hidden = [w.event for w, s in zip(whole, seen, strict=True) if s.event is None]
        own = served.world.ids[by]
        assert hidden
        assert not any(own in (event.source, event.target) for event in hidden if event)
        for event in (entry.event for entry in seen):
            if event is not None and event.type.startswith("financing."):
                assert own in (event.source, event.target), "a price is between two sides"
    draw = [
        e.event for e in log_of(served, "paint") if e.event and e.event.type == "financing.draw"
    ]
    assert draw and not [
        e for e in log_of(served, "steel") if e.event and e.event.subject == served.voucher
    ]
    reply = served.send(STRANGER, QueryEvents(1, 1, 0, 0, wait=False))
    assert isinstance(reply, RequestRefused) and reply.code == "KEY_UNKNOWN"


def test_only_ones_own_act_can_be_tried_out(served: Served) -> None:
    world = served.net.world
    body = world.envelope("steel", c.LotAccept(world.label, served.voucher, 0)).body
    found = [
        by
        for by in EVERYBODY
        if isinstance(served.send(key_of(by), DryRun(1, encode(body))), DryRunResult)
    ]
    assert found == ["steel"]


def test_an_open_door_shows_everything(served: Served) -> None:
    with served.net.nodes[0].store.reader() as reader:
        door = Door(Overlay(CommittedState.snapshot(reader)), STRANGER, 0, Answers.EVERYBODY)
        assert door.record(r.Kind.FINANCING, served.loan)
        door.index(Index.OPEN_LOTS, b"")
        door.log()
        door.act(bytes(16))
        shut = Door(Overlay(CommittedState.snapshot(reader)), STRANGER, 0, Answers.PARTIES)
        for ask in (
            shut.log,
            lambda: shut.act(bytes(16)),
            lambda: shut.index(Index.OPEN_LOTS, b""),
        ):
            with pytest.raises(LedgerError, match="KEY_UNKNOWN"):
                ask()


def doors(served: Served, *records: tuple[r.Kind, bytes, r.Record]) -> Iterator[tuple[str, Door]]:
    """Who asks, and what a node shows him that has these records too."""
    with served.net.nodes[0].store.reader() as reader:
        state = Overlay(CommittedState.snapshot(reader))
        for kind, id, record in records:
            state.put(kind, id, record)
        for by in EVERYBODY:
            yield by, Door(state, key_of(by), 0, Answers.PARTIES)


def let_in(door: Door, kind: r.Kind, id: bytes) -> bool:
    try:
        door.record(kind, id)
    except LedgerError:
        return False
    return True


@pytest.mark.parametrize("id_of", [instruction_id, call_id], ids=["debtor's", "guarantor's"])
def test_a_lot_is_shown_to_the_bank_that_is_to_pay_for_it(
    served: Served, id_of: Callable[[bytes, int], bytes]
) -> None:
    """It has to know what of it is funded; of other lots it is shown nothing."""
    ids = served.world.ids
    order = r.Instruction(
        ids["core"], ids["devices"], None, 400, 0, "CNY", 20_892, r.InstructionPurpose.SETTLEMENT,
        served.voucher, 0, ids["bank-3"], r.InstructionState.NEW, None,
    )  # fmt: skip
    id = id_of(served.voucher, 0)
    for by, door in doors(served, (r.Kind.INSTRUCTION, id, order)):
        if by == "bank-3":
            assert let_in(door, r.Kind.LOT, r.lot_id(served.voucher, 0))
            assert not let_in(door, r.Kind.LOT, r.lot_id(served.voucher, 700))
    for by, door in doors(served):
        if by == "bank-3":
            assert not let_in(door, r.Kind.LOT, r.lot_id(served.voucher, 0))


def test_a_used_receipt_is_shown_to_every_organisation_that_knows_its_id(served: Served) -> None:
    used = r.BankReceipt(bytes(16), 20_892)
    asking = [by for by, door in doors(served, (r.Kind.BANK_RECEIPT, bytes(16), used))
              if let_in(door, r.Kind.BANK_RECEIPT, bytes(16))]  # fmt: skip
    assert asking == EVERYBODY[:-1]


def test_parties_alone_are_answered_unless_the_configuration_says_otherwise(tmp_path: Path) -> None:
    assert Limits().answers is Answers.PARTIES
    (tmp_path / "node.toml").write_text(
        'name = "n"\nlisten_host = "h"\nlisten_port = 1\npeers = []\n[limits]\nanswers = "everybody"\n'
    )
    assert load_config(tmp_path).limits.answers is Answers.EVERYBODY
    assert r.Kind.VOUCHER not in PUBLIC and r.Kind.FINANCING not in PUBLIC


def test_documents_and_their_wrapped_keys_are_shown_to_every_organisation_that_knows_the_id(
    served: Served,
) -> None:
    """A reader is not to be told from others; a reading key is what everybody encrypts for."""
    document = served.world.get(r.Voucher, served.voucher).documents[0].document
    assert readers(served, r.Kind.DOCUMENT, document) == EVERYBODY[:-1]
    query = QueryIndex(1, Index.DOCUMENT_READERS, document, b"", 10)
    assert isinstance(served.send(public_of("steel", "maker"), query), IndexPage)
    assert isinstance(served.send(STRANGER, query), RequestRefused)
    listing = QueryIndex(1, Index.DOCUMENT_READERS, b"", b"", 10)
    assert isinstance(served.send(public_of("steel", "maker"), listing), RequestRefused)
    assert shown(served, "a stranger", r.Kind.READING_KEY, served.world.ids["steel"]) is None
