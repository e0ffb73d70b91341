"""What the voucher law sees of the state: records by id, lots by voucher, derived indexes.

Implemented by `Overlay` (uncommitted changes of one block, stacked on its parent) over the
committed state. Reads see the newest write below them; nothing here touches a disk by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol

from tallynet.records import Kind, Record


class Index(IntEnum):
    """Derived indexes: sorted sets of byte keys. They stay outside the state root and rebuild from
    records to the same bytes (I14)."""

    DEBTOR_VOUCHERS = 2
    """debtor ‖ voucher."""
    PAYEE_VOUCHERS = 3
    """first payee ‖ voucher."""
    SCHEDULE_DAYS = 4
    """day (4 bytes) ‖ act (1) ‖ id: what the block prologue does on or after a business date."""
    SCHEDULE_SECONDS = 5
    """seconds (8 bytes) ‖ act (1) ‖ id: what it does from a header time on."""
    REMEMBERED = 6
    """bucket of expiry (8 bytes) ‖ transaction id: executed and not forgotten."""
    ORGANISATION_KEYS = 7
    """organisation ‖ key: those not revoked."""
    ORGANISATION_ACCOUNTS = 8
    """organisation ‖ account."""
    ORGANISATION_LINES = 9
    """grantor or obligor ‖ line."""
    FUNDER_OFFERS = 10
    """funder ‖ offer."""
    OPEN_OFFERS = 11
    """currency (3) ‖ lowest rate ppm (4) ‖ offer: what AUTO searches, cheapest first."""
    PARTY_FINANCINGS = 12
    """funder, obligor or agent bank ‖ financing."""
    BANK_INSTRUCTIONS = 13
    """bank ‖ instruction: NEW, SENT or FAILED."""
    VOUCHER_INSTRUCTIONS = 14
    """voucher ‖ instruction: settlement instructions not yet PAID or CANCELLED."""
    UNIQUENESS_TAGS = 15
    """tag of an organisation (32) ‖ organisation."""
    PARTY_DOCUMENTS = 16
    """party ‖ document."""
    OWNER_PROGRAMMES = 17
    """owner ‖ programme."""
    ORGANISATIONS = 18
    """organisation."""
    PARTY_PENDING = 19
    """receiver ‖ voucher ‖ start: lots in TRANSFER_PENDING towards this receiver."""
    REMEMBERED_BLOCKS = 20
    """bucket of expiry (8 bytes) ‖ height (8): records of executed transaction ids, soonest first."""
    PARTY_REQUESTS = 31
    """holder or asked funder ‖ request for quotes."""
    VOUCHER_HOLDS = 39
    """voucher ‖ kind (1) ‖ freeze or dispute: those in force on ranges of the voucher."""
    ORGANISATION_FREEZES = 40
    """organisation ‖ freeze: those in force on everything that it holds."""
    PUBLISHER_FLOWS = 41
    """publisher ‖ flow anchor."""
    WAIVERS = 42
    """hash of the scope (16) ‖ last day (4 bytes) ‖ waiver that is not revoked."""
    OPEN_LOTS = 61
    """holder ‖ day acquired (4) ‖ voucher ‖ start: lots that somebody is still to be paid for."""
    OPEN_VOUCHERS = 62
    """debtor ‖ voucher: claimed and not yet settled."""
    GUARANTEES = 63
    """covered debtor or programme ‖ expiry (4) ‖ guarantee: ACTIVE ones; a voucher lists its own."""
    PLEDGED_RECEIPTS = 64
    """financing ‖ warehouse receipt: goods pledged for it."""
    MAKER_PREPAYMENTS = 65
    """maker ‖ prepayment: paid and not shipped."""
    BRANCHES = 66
    """parent ‖ branch."""
    DEBTOR_ANCHORS = 71
    """debtor ‖ day (4) ‖ reconciliation anchor."""
    DAY_ANCHORS = 72
    """day (4) ‖ reconciliation anchor."""


class StateView(Protocol):
    """Read and write access for rules. `Kind.LOT` ids are `records.lot_id(voucher, start)`."""

    def get(self, kind: Kind, id: bytes) -> Record | None:
        """The record, or None."""

    def put(self, kind: Kind, id: bytes, record: Record) -> None:
        """Create or replace a record."""

    def delete(self, kind: Kind, id: bytes) -> None:
        """Remove a record that exists."""

    def lot_starts(self, voucher: bytes) -> Sequence[int]:
        """Starts of all lots of a voucher, ascending. O(lots of this voucher) at most, in memory."""

    def index_add(self, index: Index, key: bytes) -> None:
        """Add a key that is not there."""

    def index_remove(self, index: Index, key: bytes) -> None:
        """Remove a key that is there."""

    def index_has(self, index: Index, key: bytes) -> bool: ...

    def index_scan(
        self, index: Index, prefix: bytes, *, after: bytes = b"", limit: int
    ) -> list[bytes]:
        """Keys that start with `prefix` and are greater than `after`, ascending, at most `limit`.
        Cost is proportional to the answer, never to the index."""


class TransactionalView(StateView, Protocol):
    """A view with nested scratch layers: one for an envelope, one for each command in it."""

    def begin(self) -> None:
        """Open a scratch layer; writes go there."""

    def accept(self) -> None:
        """Fold the newest scratch layer into the one below."""

    def rollback(self) -> None:
        """Drop the newest scratch layer: nothing happened."""
