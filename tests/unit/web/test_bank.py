"""What a bank's page adds up, and what it warns of: read from a real store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from node.door import Answers
from node.ledger.own_indexes import day_bytes
from node.state import CommittedState, Overlay
from node.state.view import Index
from node.store import open_store
from node.web.book import PageError
from node.web.node_book import NodeBook
from node.web.plain import plain
from node.web.render import Frame, render
from node.web.standing import Standing
from node.web.texts import Language
from node.web.views import bank, organisation
from node.web.views.ask import Ask
from tallynet.receipts import Event
from tallynet.records import (
    AcquiredBy,
    CreditLine,
    FlowAlarm,
    FlowAnchor,
    Kind,
    LineKind,
    LineStatus,
    Lot,
    LotState,
    Organisation,
    OrganisationKind,
    SealedLine,
    VoucherStatus,
    lot_id,
)
from tests.unit.web.samples import DAY, member, voucher
from tests.unit.web.samples import organisation as numbered

BANK, DEBTOR, PAYEE, OTHER_BANK = (numbered(n) for n in range(1, 5))
VOUCHER, LINE, FLOW = b"v" * 16, b"l" * 16, b"f" * 16


def lot(start: int, end: int, holder: bytes) -> Lot:
    return Lot(
        start, end, holder, LotState.HELD, None, 0, 1, 0, DAY, AcquiredBy.SALE, None, None, 0, 0
    )


def line(granted: int, used: int, sealed: SealedLine | None = None) -> CreditLine:
    kind = LineKind.DEBTOR_EXPOSURE
    return CreditLine(
        kind, BANK, DEBTOR, "CNY", granted, 0, used, DAY, DAY + 400, LineStatus.ACTIVE, (), sealed
    )


def flow(alarm: FlowAlarm) -> FlowAnchor:
    return FlowAnchor(DEBTOR, "tickets", DAY, 1, 1, 1, bytes(32), (1,), alarm, None, 0)


def fill(state: Overlay, records: dict[tuple[Kind, bytes], Any]) -> None:
    """Write records, with the index entries by which the page finds them."""
    for (kind, id), record in records.items():
        state.put(kind, id, record)
        match record:
            case Lot():
                state.index_add(
                    Index.OPEN_LOTS, record.holder + day_bytes(record.acquired_day) + id
                )
            case CreditLine():
                for party in (record.grantor, record.obligor):
                    state.index_add(Index.ORGANISATION_LINES, party + id)
            case FlowAnchor():
                state.index_add(Index.PUBLISHER_FLOWS, record.publisher + id)


@contextmanager
def book(
    place: Path,
    records: dict[tuple[Kind, bytes], Any],
    *,
    answers: Answers = Answers.EVERYBODY,
    home: bytes | None = BANK,
) -> Iterator[NodeBook]:
    store = open_store(
        place, genesis=bytes(32), node_key=bytes(32), key_mark=None, map_bytes=1 << 26
    )
    try:
        state = Overlay(CommittedState(store.live_reader()))
        fill(state, records)
        state.seal()
        batch = store.batch()
        batch.state(state.changes())
        store.commit(batch)
        with store.reader() as snapshot:
            yield NodeBook(snapshot, home, answers)
    finally:
        store.close()


def ask(of: NodeBook, id: bytes) -> Ask:
    return Ask(of, {"id": id.hex()}, {}, {}, {}, BANK)


def world(**debtor: Any) -> dict[tuple[Kind, bytes], Any]:
    """A bank that bought 60 of a voucher of 100 and allows its debtor 50."""
    return {
        (Kind.ORGANISATION, BANK): member(OrganisationKind.BANK),
        (Kind.ORGANISATION, OTHER_BANK): member(OrganisationKind.BANK),
        (Kind.ORGANISATION, DEBTOR): msgspec.structs.replace(
            member(OrganisationKind.CORE), **debtor
        ),
        (Kind.VOUCHER, VOUCHER): voucher(DEBTOR, PAYEE),
        (Kind.LOT, lot_id(VOUCHER, 0)): lot(0, 40, BANK),
        (Kind.LOT, lot_id(VOUCHER, 40)): lot(40, 60, BANK),
        (Kind.LOT, lot_id(VOUCHER, 60)): lot(60, 100, OTHER_BANK),
        (Kind.CREDIT_LINE, LINE): line(50, 20),
    }


def concerns(place: Path, records: dict[tuple[Kind, bytes], Any]) -> list[tuple[str, str, int]]:
    with book(place, records) as of:
        shown = plain(bank.view(ask(of, BANK)))
    return [(alarm["concern"], alarm["kind"], alarm["amount"]) for alarm in shown["alarms"]]


def test_exposure_adds_up_what_is_held_of_one_debtor(tmp_path: Path) -> None:
    with book(tmp_path, world()) as of:
        (exposure,) = bank.view(ask(of, BANK))["exposure"]
    assert (exposure.debtor, exposure.held, exposure.lent, exposure.overdue) == (DEBTOR, 60, 0, 0)
    assert (exposure.granted, exposure.used, exposure.free) == (50, 20, 30)


def test_a_sealed_line_is_not_shown_as_one_of_nothing(tmp_path: Path) -> None:
    records = world()
    records[Kind.CREDIT_LINE, LINE] = line(0, 0, SealedLine(3, bytes(32), bytes(32), None))
    frame = Frame(
        Language.EN, "/", "?", "/.json", Standing("bank-1", 1, 0, "NOTHING_TO_DO"),
        is_light=False, home=BANK, names={}, who=None,
    )  # fmt: skip
    with book(tmp_path, records) as of:
        data = bank.view(ask(of, BANK))
    assert [row.sealed for row in data["exposure"]] == [True]
    assert "sealed, commitment 3" in render("bank.html", data, frame)


def test_all_is_well_while_nothing_is_wrong(tmp_path: Path) -> None:
    assert concerns(tmp_path, world()) == []


def test_an_overdue_voucher_counts_for_what_the_bank_holds_of_it(tmp_path: Path) -> None:
    records = world()
    late = msgspec.structs.replace(records[Kind.VOUCHER, VOUCHER], status=VoucherStatus.OVERDUE)
    records[Kind.VOUCHER, VOUCHER] = late
    assert concerns(tmp_path, records) == [("OVERDUE", "VOUCHER", 60)]


@pytest.mark.parametrize(("field", "concern"), [("disputes", "DISPUTE"), ("freezes", "FREEZE")])
def test_disputes_and_freezes_of_a_voucher(tmp_path: Path, field: str, concern: str) -> None:
    records = world()
    held = msgspec.structs.replace(records[Kind.VOUCHER, VOUCHER], **{field: 1})
    records[Kind.VOUCHER, VOUCHER] = held
    assert concerns(tmp_path, records) == [(concern, "VOUCHER", 60)]


def test_a_line_cut_below_its_use_is_over_its_limit(tmp_path: Path) -> None:
    records = world()
    records[Kind.CREDIT_LINE, LINE] = line(15, 20)
    assert concerns(tmp_path, records) == [("OVER_LIMIT", "CREDIT_LINE", 5)]


@pytest.mark.parametrize(
    ("field", "value", "concern"),
    [
        ("freezes", 1, "FREEZE"),
        ("blocked_automatic", True, "BLOCKED"),
        ("blocked_manual", True, "BLOCKED"),
        ("distress_declared", True, "DISTRESS"),
    ],
)
def test_what_befalls_a_debtor(tmp_path: Path, field: str, value: Any, concern: str) -> None:
    assert concerns(tmp_path, world(**{field: value})) == [(concern, "ORGANISATION", 0)]


def test_a_flow_that_has_collapsed(tmp_path: Path) -> None:
    records = world()
    records[Kind.FLOW_ANCHOR, FLOW] = flow(FlowAlarm.COLLAPSED)
    assert concerns(tmp_path / "1", records) == [("COLLAPSE", "ORGANISATION", 0)]
    records[Kind.FLOW_ANCHOR, FLOW] = flow(FlowAlarm.NONE)
    assert concerns(tmp_path / "2", records) == []


def test_a_node_that_answers_parties_shows_what_concerns_its_own_bank(tmp_path: Path) -> None:
    with book(tmp_path, world(), answers=Answers.PARTIES) as of:
        assert len(bank.view(ask(of, BANK))["exposure"]) == 1
        with pytest.raises(PageError) as refused:
            bank.view(ask(of, OTHER_BANK))
        assert refused.value.code == "NOT_AUTHORISED"
        assert not organisation.view(ask(of, DEBTOR))["shown"]
        lots = of.lots(VOUCHER, voucher(DEBTOR, PAYEE))
        assert [(one.start, one.end) for one in lots] == [(0, 40), (40, 60)]


def test_a_node_of_nobody_shows_the_network_alone(tmp_path: Path) -> None:
    with book(tmp_path, world(), answers=Answers.PARTIES, home=None) as of:
        assert isinstance(of.find(Kind.ORGANISATION, DEBTOR), Organisation)
        for kind, id in ((Kind.VOUCHER, VOUCHER), (Kind.CREDIT_LINE, LINE)):
            with pytest.raises(PageError):
                of.find(kind, id)
            assert of.peek(kind, id) is None
        event = Event(
            "voucher.claim", int(Kind.VOUCHER), VOUCHER, 0, 0, 1, None, PAYEE, 1, b"", None
        )
        assert not of.shows(event)
