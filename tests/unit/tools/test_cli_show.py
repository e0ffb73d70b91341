"""What people see of records and events, and how they name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallynet.hashing import record_id
from tallynet.receipts import Event
from tallynet.records import (
    FLAG_DISPUTED,
    FLAG_FROZEN,
    NETWORK_ID,
    AcquiredBy,
    AnchorAttestation,
    Kind,
    Lot,
    LotState,
    ReconciliationAnchor,
    lot_id,
)
from tools.arguments import UsageError
from tools.reconciliation_cli import anchor_plain, anchor_row
from tools.records_by_name import AddressBook
from tools.show_cli import event_line, lot_row, record_reference
from tools.wallet import BANK_PEOPLE, create_wallet

BANK, SHOP = bytes([1]) * 16, bytes([2]) * 16
NAMES = {BANK: "bank-1", SHOP: "corner-parts"}


def lot(**changes: object) -> Lot:
    fields = {
        "start": 0, "end": 10_050, "holder": SHOP, "state": LotState.HELD, "pending_to": None,
        "pending_day": 0, "hops": 2, "newest_event": 0, "acquired_day": 20_000,
        "acquired_by": AcquiredBy.TRANSFER, "recourse_from": None, "lien": None, "covered": 0,
        "flags": 0,
    }  # fmt: skip
    return Lot(**(fields | changes))


def test_a_lot_shows_its_amount_and_holder() -> None:
    row = lot_row(lot(), "CNY", NAMES)
    assert row == ("0", "10050", "100.50", "corner-parts", "HELD", "2", "-")


def test_a_pending_transfer_names_its_receiver() -> None:
    row = lot_row(lot(state=LotState.TRANSFER_PENDING, pending_to=BANK), "CNY", NAMES)
    assert "TRANSFER_PENDING to bank-1" in row


def test_flags_of_a_lot_are_words() -> None:
    row = lot_row(lot(flags=FLAG_FROZEN | FLAG_DISPUTED), "JPY", NAMES)
    assert row[-1] == "frozen, disputed"
    assert row[2] == "10,050"


def test_an_unknown_holder_is_shown_by_id() -> None:
    assert "09" * 16 in lot_row(lot(holder=bytes([9]) * 16), "CNY", NAMES)


def test_an_anchor_shows_which_banks_agree() -> None:
    agrees = AnchorAttestation(BANK, 2, 135_000, 20_881)
    differs = AnchorAttestation(SHOP, 2, 140_000, 20_881)
    anchor = ReconciliationAnchor(
        SHOP, "CNY", 20_880, 2, 135_000, bytes(32), (agrees, differs)
    )  # fmt: skip
    *facts, banks = anchor_row(anchor, NAMES)
    assert facts == ["2027-03-03", "corner-parts", "CNY", "2", "1,350.00"]
    assert banks == "bank-1 agrees\ncorner-parts DIFFERS: 2 with 1,400.00"
    assert anchor_plain(anchor)["alarm"]
    assert anchor_plain(anchor)["day"] == "2027-03-03"


def test_an_event_is_one_line() -> None:
    voucher = bytes([7]) * 16
    event = Event("lot.transfer", Kind.VOUCHER, voucher, 3, 0, 100, BANK, SHOP, 100, b"", bytes(32))
    line = event_line(12, 0, 1_800_000_000, event, NAMES)
    assert line.split("  ") == [
        "12.0",
        "2027-01-15T08:00:00Z",
        "lot.transfer",
        f"voucher {voucher.hex()}",
        "[0, 100)",
        "from bank-1",
        "to corner-parts",
        "amount 100 minor units",
    ]
    hidden = event_line(12, 1, 1_800_000_000, None, NAMES)
    assert hidden == "12.1  2027-01-15T08:00:00Z  not shown to this key"


@pytest.fixture
def book(tmp_path: Path) -> AddressBook:
    create_wallet(tmp_path, "bank-1", BANK, ("BANK",), BANK_PEOPLE)
    create_wallet(tmp_path, "corner-parts", SHOP, ("SUPPLIER",), BANK_PEOPLE[:1])
    return AddressBook(tmp_path)


def test_each_kind_of_record_has_a_name(book: AddressBook) -> None:
    offer = record_id(Kind.OFFER, BANK, b"quick")
    assert record_reference(book, Kind.OFFER, "bank-1/quick") == offer
    assert record_reference(book, Kind.OFFER, offer.hex()) == offer
    assert record_reference(book, Kind.ORGANISATION, "corner-parts") == SHOP
    assert record_reference(book, Kind.POLICY, "corner-parts") == SHOP
    assert record_reference(book, Kind.NETWORK, "") == NETWORK_ID
    voucher = record_id(Kind.VOUCHER, SHOP, b"v1")
    assert record_reference(book, Kind.LOT, "corner-parts/v1:500") == lot_id(voucher, 500)


@pytest.mark.parametrize(
    ("kind", "reference"),
    [
        (Kind.VOUCHER, ""),
        (Kind.VOUCHER, "v1"),
        (Kind.VOUCHER, "corner-parts/"),
        (Kind.VOUCHER, "corner-parts/" + "x" * 33),
        (Kind.LOT, "corner-parts/v1"),
        (Kind.LOT, "corner-parts/v1:x"),
        (Kind.CREDIT_LINE, "issue:bank-1"),
        (Kind.CREDIT_LINE, "gift:bank-1:corner-parts"),
    ],
)
def test_what_names_nothing_is_a_usage_error(kind: Kind, reference: str, book: AddressBook) -> None:
    with pytest.raises(UsageError):
        record_reference(book, kind, reference)
