"""The copy on disk: what a write leaves behind, and what it refuses to be opened as."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from node.light import copy as copying
from node.light.concern import Want, wanted
from node.light.copy import Change, Copy
from node.light.database import CopyError
from node.light.event_log import Place
from tallynet.receipts import Event
from tallynet.records import (
    AcquiredBy,
    CreditLine,
    Kind,
    LineKind,
    LineStatus,
    Lot,
    LotState,
    lot_id,
)

OWN, OTHER, VOUCHER, LINE = b"o" * 16, b"p" * 16, b"v" * 16, b"l" * 16
GENESIS = b"g" * 32


def line(granted: int, obligor: bytes = OWN) -> CreditLine:
    return CreditLine(
        LineKind.ISSUE,
        OTHER,
        obligor,
        "CNY",
        granted,
        0,
        0,
        1,
        9,
        LineStatus.ACTIVE,
        (),
        None,
    )


def lot(start: int, end: int, holder: bytes = OWN, state: LotState = LotState.HELD) -> Lot:
    return Lot(start, end, holder, state, None, 0, 0, 0, 0, AcquiredBy.ISSUE, None, None, 0, 0)


def lot_change(lot: Lot, height: int = 1) -> Change:
    return Change(Kind.LOT, lot_id(VOUCHER, lot.start), lot, height, 0)


def open_copy(directory: Path, *, genesis: bytes = GENESIS, organisation: bytes = OWN) -> Copy:
    return Copy(directory / "copy.sqlite", genesis, organisation)


def test_it_is_readable_by_its_owner_alone_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    copy = open_copy(tmp_path)
    assert copy.place is None and copy.proven_at is None
    copy.apply([Change(Kind.CREDIT_LINE, LINE, line(5), 3, 4)], place=Place(3, 2), height=2)
    copy.confirm(3, 1_000)
    copy.close()
    assert stat.S_IMODE((tmp_path / "copy.sqlite").stat().st_mode) == 0o600
    again = open_copy(tmp_path)
    assert (again.place, again.height, again.proven_at) == (Place(3, 2), 3, 1_000)
    (kept,) = again.listed(Kind.CREDIT_LINE)
    assert (kept.record, kept.height, kept.time_ms) == (line(5), 3, 4)
    again.close()


def test_what_is_older_does_not_come_back(tmp_path: Path) -> None:
    copy = open_copy(tmp_path)
    for height, granted in ((5, 50), (4, 40)):
        copy.apply([Change(Kind.CREDIT_LINE, LINE, line(granted), height, 0)])
    copy.apply([Change(Kind.CREDIT_LINE, LINE, None, 4, 0)])
    kept = copy.get(Kind.CREDIT_LINE, LINE)
    assert kept is not None and kept.record == line(50)
    copy.apply([Change(Kind.CREDIT_LINE, LINE, None, 5, 0)])
    assert copy.get(Kind.CREDIT_LINE, LINE) is None
    copy.close()


def test_a_write_that_does_not_fit_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = open_copy(tmp_path)
    copy.apply([Change(Kind.CREDIT_LINE, LINE, line(1), 1, 0)], place=Place(2))
    monkeypatch.setattr(copying, "RECORDS_MAX", 2)
    many = [Change(Kind.CREDIT_LINE, bytes([i]) * 16, line(i), 2, 0) for i in range(3)]
    with pytest.raises(CopyError) as caught:
        copy.apply(many, place=Place(3))
    assert caught.value.code == "COPY_FULL"
    assert len(copy) == 1 and copy.place == Place(2), "the cursor stays with the records"
    copy.close()


def test_all_lots_of_a_voucher_take_the_place_of_those_that_were(tmp_path: Path) -> None:
    copy = open_copy(tmp_path)
    copy.apply([lot_change(lot(0, 60)), lot_change(lot(60, 100))])
    copy.apply([Change(Kind.VOUCHER, VOUCHER, None, 2, 0)])
    assert len(copy) == 0, "a voucher that is not shown any more takes its lots along"
    copy.close()


def test_open_lots_that_are_held_or_offered_are_listed(tmp_path: Path) -> None:
    copy = open_copy(tmp_path)
    copy.apply(
        [
            lot_change(lot(0, 10)),
            lot_change(lot(10, 20, OTHER)),
            lot_change(lot(20, 30, state=LotState.REDEEMED)),
        ]
    )
    assert [kept.id for kept in copy.listed(Kind.LOT)] == [lot_id(VOUCHER, 0)]
    assert len(copy.about(VOUCHER)) == 3
    after = copy.all(Kind.LOT, after=lot_id(VOUCHER, 0), limit=1)
    assert [kept.id for kept in after] == [lot_id(VOUCHER, 10)]
    copy.close()


@pytest.mark.parametrize("other", [{"genesis": b"h" * 32}, {"organisation": OTHER}])
def test_a_copy_of_something_else_is_refused(tmp_path: Path, other: dict[str, bytes]) -> None:
    open_copy(tmp_path).close()
    with pytest.raises(CopyError) as caught:
        open_copy(tmp_path, **other)
    assert caught.value.code == "COPY_OTHER"


def test_a_file_that_is_no_copy_is_refused(tmp_path: Path) -> None:
    (tmp_path / "copy.sqlite").write_bytes(b"not a copy at all " * 1_000)
    with pytest.raises(CopyError) as caught:
        open_copy(tmp_path)
    assert caught.value.code == "COPY_CORRUPT"


def test_two_processes_do_not_share_one(tmp_path: Path) -> None:
    copy = open_copy(tmp_path)
    with pytest.raises(CopyError) as caught:
        open_copy(tmp_path)
    assert caught.value.code == "COPY_UNUSABLE"
    copy.close()


def test_an_event_makes_its_subject_and_its_reference_be_read() -> None:
    cut = Event("lot.transfer", 9, VOUCHER, 1, 20, 50, OWN, OTHER, 0, LINE, None)
    spans = frozenset(((20, 50), (50, 51)))
    assert list(wanted(cut)) == [Want(Kind.VOUCHER, VOUCHER, spans), Want(None, LINE)]
    foreign = Event("key.add", int(Kind.KEY), b"k" * 16, 0, 0, 0, OWN, None, 0, b"", None)
    assert list(wanted(foreign)) == []
