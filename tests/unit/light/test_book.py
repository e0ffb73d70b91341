"""What the pages of a light node say of vouchers and transactions: as much as the copy has seen happen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from node.light.book import CopyBook
from node.light.copy import Change, Copy
from node.light.event_log import Place, SeenEvent
from node.web.book import PageError
from tallynet.receipts import Event
from tallynet.records import Kind, Voucher
from tests.unit.web.samples import organisation, voucher

OWN, DEBTOR = organisation(1), organisation(2)
GENESIS, VOUCHER = b"g" * 32, b"v" * 16
ISSUED, PASSED_ON = b"1" * 32, b"2" * 32


def seen(height: int, sequence: int, transaction: bytes | None) -> SeenEvent:
    event = Event(
        "lot.transfer", int(Kind.VOUCHER), VOUCHER, sequence, 0, 9, OWN, DEBTOR, 9, b"", transaction
    )
    return SeenEvent(Place(height), event, 1_000 * height)


SEEN = [seen(5, 0, ISSUED), seen(7, 1, PASSED_ON), seen(9, 2, None)]


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    opened = Copy(tmp_path / "copy.sqlite", GENESIS, OWN)
    opened.apply((), place=Place(5), height=4)
    yield opened
    opened.close()


def known(copy: Copy, events: list[SeenEvent], *, of: int) -> Voucher:
    """A voucher of which the chain has so many events, and the copy these."""
    record = msgspec.structs.replace(voucher(DEBTOR, OWN), event_count=of)
    copy.apply([Change(Kind.VOUCHER, VOUCHER, record, 9, 0)], place=Place(10), seen=events)
    return record


def test_the_history_of_a_voucher_is_complete_when_the_copy_saw_all_of_it(copy: Copy) -> None:
    record = known(copy, SEEN, of=3)
    history = CopyBook(copy).history(VOUCHER, record)
    assert history.complete
    assert [event.sequence for event in history.events] == [0, 1, 2], "oldest first"


def test_it_says_so_when_the_copy_began_later(copy: Copy) -> None:
    record = known(copy, SEEN[1:], of=3)
    history = CopyBook(copy).history(VOUCHER, record)
    assert not history.complete
    assert [event.sequence for event in history.events] == [1, 2]


def test_a_transaction_is_what_the_copy_saw_it_change(copy: Copy) -> None:
    known(copy, SEEN, of=3)
    happened = CopyBook(copy).happened(PASSED_ON)
    assert (happened.height, happened.time_ms) == (7, 7_000)
    assert [event.sequence for event in happened.events] == [1]
    assert happened.hidden == 0


def test_of_others_transactions_it_knows_nothing(copy: Copy) -> None:
    known(copy, SEEN, of=3)
    with pytest.raises(PageError) as nothing:
        CopyBook(copy).happened(b"3" * 32)
    assert nothing.value.code == "RECORD_NOT_FOUND"


def test_what_the_copy_has_forgotten_is_missing_in_the_history(
    copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.light.book.EVENTS_MAX", 2)
    record = known(copy, SEEN, of=3)
    history = CopyBook(copy).history(VOUCHER, record)
    assert ([event.sequence for event in history.events], history.complete) == ([1, 2], False)
