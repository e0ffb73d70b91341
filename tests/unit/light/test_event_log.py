"""Events that the copy keeps, and cursors into them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.light import event_log
from node.light.copy import Change, Copy
from node.light.database import CopyError
from node.light.event_log import CursorError, Place, SeenEvent, read_cursor
from tallynet.receipts import Event
from tallynet.records import AcquiredBy, Kind, Lot, LotState, lot_id

OWN, OTHER, RECORD = b"o" * 16, b"p" * 16, b"r" * 16
GENESIS = b"g" * 32
LOT = Lot(0, 9, OWN, LotState.HELD, None, 0, 0, 0, 0, AcquiredBy.ISSUE, None, None, 0, 0)


def seen(height: int, index: int, *, source: bytes = OWN, subject: bytes = RECORD) -> SeenEvent:
    event = Event("lot.transfer", 9, subject, 0, 0, 0, source, None, 0, b"", None)
    return SeenEvent(Place(height, index), event, 1_000 * height)


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    opened = Copy(tmp_path / "copy.sqlite", GENESIS, OWN)
    opened.apply((), place=Place(5), height=4)
    yield opened
    opened.close()


def cursors(copy: Copy, place: Place) -> list[str]:
    return [each.cursor for each in copy.events.after(place, 100)]


def test_events_come_with_the_place_and_go_on_behind_a_cursor(copy: Copy, tmp_path: Path) -> None:
    copy.apply((), place=Place(6, 3), seen=[seen(6, 2), seen(5, 0)])
    copy.close()
    again = Copy(tmp_path / "copy.sqlite", GENESIS, OWN)
    assert (again.place, cursors(again, Place(5))) == (Place(6, 3), ["5.0", "6.2"])
    assert cursors(again, read_cursor("5.0")) == ["6.2"]
    assert cursors(again, read_cursor("6.2")) == []
    assert [each.event for each in again.events.after(read_cursor("5"), 1)] == [seen(6, 2).event]
    assert again.events.count_from(Place(5)) == 2
    again.close()


def test_an_event_that_is_read_again_is_kept_once(copy: Copy) -> None:
    for _ in range(2):
        copy.apply((), place=Place(6), seen=[seen(5, 0)])
    assert cursors(copy, Place(5)) == ["5.0"]


def test_events_of_others_about_nothing_that_it_holds_are_left_out(copy: Copy) -> None:
    copy.apply((), place=Place(6), seen=[seen(5, 0, source=OTHER), seen(5, 1)])
    assert cursors(copy, Place(5)) == ["5.1"]


def test_an_event_about_what_it_holds_since_the_same_write_is_kept(copy: Copy) -> None:
    change = Change(Kind.LOT, lot_id(RECORD, 0), LOT, 5, 0)
    about = seen(5, 1, source=OTHER, subject=lot_id(RECORD, 0))
    copy.apply([change], place=Place(6), seen=[about])
    assert cursors(copy, Place(5)) == ["5.1"]


def test_events_go_with_the_write_that_does_not_fit(
    copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.light.copy.RECORDS_MAX", -1)
    with pytest.raises(CopyError):
        copy.apply((), place=Place(6), seen=[seen(5, 0)])
    assert (copy.place, cursors(copy, Place(5))) == (Place(5), [])


def test_what_is_not_kept_any_more_is_said_to_be_too_old(
    copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "EVENTS_MAX", 4)
    copy.apply((), place=Place(6, 5), seen=[seen(6, index) for index in range(5)])
    assert copy.events.first == Place(6, 3), "some are left off at once"
    assert cursors(copy, read_cursor("6.2")) == ["6.3", "6.4"]
    with pytest.raises(CursorError) as old:
        copy.events.after(read_cursor("6.1"), 1)
    assert old.value.code == "CURSOR_TOO_OLD"


def test_a_copy_that_is_filled_anew_has_no_event_of_before(copy: Copy) -> None:
    with pytest.raises(CursorError) as old:
        copy.events.after(read_cursor("3"), 1)
    assert old.value.code == "CURSOR_TOO_OLD"
    assert cursors(copy, read_cursor("4")) == []


@given(st.integers(1, 10**9), st.integers(0, 10**6))
def test_a_cursor_is_read_as_the_place_behind_what_it_names(height: int, index: int) -> None:
    assert read_cursor(Place(height, index).cursor) == Place(height, index)


@pytest.mark.parametrize(
    "text", ["", "x", "1.", ".1", "-1", "01", "1.01", "1.1.1", "१", "1" * 16, "1\n"]
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(CursorError) as wrong:
        read_cursor(text)
    assert wrong.value.code == "QUERY_INVALID"
