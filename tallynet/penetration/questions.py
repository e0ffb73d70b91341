"""The questions, and what evaluating them reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

from tallynet.codec import Wire
from tallynet.fields import Id, Small, Units
from tallynet.receipts import Event
from tallynet.records import Kind, Lot, Record

READS_PER_PAGE: Final = 100
"""Records after which a page ends, at the next entry of its index. A record comes with a proof of some 2 KiB,
a voucher of 500 lots with 20 KiB of their hashes, a lot with nothing more. The largest entry is such a
voucher with 500 loans: the page stays below 3 MiB, and a frame holds 4."""
ROWS_PER_PAGE: Final = 50
"""Entries of one index that a page looks at."""
COVER_MAX: Final = 16
"""Guarantees of a debtor or programme that are looked at beside a voucher, those that end first; as many as
the voucher itself may list."""
LINEAGE_MAX: Final = 8
"""Organisations from a branch up to its enterprise; branches are at most three deep."""


class Up(Wire, tag="up"):
    """What stands behind the lot of a voucher that begins at `start`."""

    voucher: Id
    start: Units


class Down(Wire, tag="down"):
    """All lots of a voucher: who holds them, and who financed them."""

    voucher: Id


class Positions(Wire, tag="positions"):
    """What is owed to an organisation: lots that it holds, loans that it gave."""

    organisation: Id


class Idle(Wire, tag="idle"):
    """Lots that an organisation has held for so many days without financing them or passing them on."""

    organisation: Id
    days: Small


class Impact(Wire, tag="impact"):
    """Who is hit if this debtor fails, with all its branches."""

    debtor: Id


class Chain(Wire, tag="chain"):
    """Every part of what a debtor and its branches have left to pay: how far it has travelled, who has it."""

    debtor: Id


Question = Up | Down | Positions | Idle | Impact | Chain


class Listing(IntEnum):
    """Derived indexes that a question reads, by their number in the node's state."""

    FINANCINGS = 12
    """funder or obligor ‖ financing."""
    OPEN_LOTS = 61
    """holder ‖ day acquired (4) ‖ voucher ‖ start."""
    OPEN_VOUCHERS = 62
    """debtor ‖ voucher."""
    GUARANTEES = 63
    """covered debtor or programme ‖ expiry (4) ‖ guarantee."""
    PLEDGED_RECEIPTS = 64
    """financing ‖ warehouse receipt."""
    MAKER_PREPAYMENTS = 65
    """maker ‖ prepayment."""
    BRANCHES = 66
    """parent ‖ branch."""


@dataclass(frozen=True, slots=True)
class EventsFound:
    """Some events of a voucher about a range, newest first."""

    events: tuple[Event, ...]
    older: int | None
    """Sequence under which to go on looking; None: there are none that are held."""
    gone: bool
    """Older ones are in blocks that the node does not hold."""


class View(Protocol):
    """What a question reads: the state of one block, as far as the asker may see it."""

    def get(self, kind: Kind, id: bytes) -> Record | None:
        """The record; None: there is none, or it is not shown to the asker."""

    def lot(self, voucher: bytes, start: int) -> Lot | None:
        """A lot that `lot_starts` names; None: it is not shown to the asker."""

    def lot_starts(self, voucher: bytes) -> Sequence[int]:
        """Starts of all lots, ascending. The voucher was read before."""

    def listing(self, listing: Listing, prefix: bytes, after: bytes, limit: int) -> list[bytes]:
        """Entries of an index that begin with `prefix` and are greater than `after`, ascending."""

    def events(self, voucher: bytes, start: int, end: int, below: int) -> EventsFound:
        """Events of the voucher with a sequence under `below` that concern the range, newest first."""
