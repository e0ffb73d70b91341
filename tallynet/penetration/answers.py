"""What the questions answer, and sums over it. Amounts are minor units of the currency beside them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

from tallynet.receipts import Event
from tallynet.records import (
    Document,
    Financing,
    Guarantee,
    Lot,
    LotState,
    Organisation,
    OrganisationKind,
    Voucher,
    WarehouseReceipt,
)

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Part of an answer."""

    rows: tuple[R, ...]
    after: bytes | None
    """Ask again with this cursor; None: that was all."""


@dataclass(frozen=True, slots=True)
class PathEvent:
    """One entry of the voucher's log that concerns the range."""

    event: Event


@dataclass(frozen=True, slots=True)
class Trace:
    """What stands behind a lot: its voucher, its debtor, its cover. Always the first row of `Up`; the events
    of its range follow, newest first."""

    voucher_id: bytes
    voucher: Voucher
    lot: Lot
    debtors: tuple[tuple[bytes, Organisation], ...]
    """The debtor, then the enterprise whose branch it is, up to the top."""
    documents: tuple[tuple[bytes, Document], ...]
    """In the voucher's order. Product line and end buyer are fields of theirs, disclosed by a party and
    checked against `Document.root` (`tallynet.documents.verify_disclosure`)."""
    guarantees: tuple[tuple[bytes, Guarantee], ...]
    """That can still be called: of the voucher, its debtor, its programme."""
    more_guarantees: bool
    """There may be more of the debtor or programme, which end later."""
    financing: Financing | None
    """The loan or pending draw that has a lien; None: none, or its terms are not shown."""
    receipts: tuple[tuple[bytes, WarehouseReceipt], ...]
    """Goods pledged for it as well."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One lot of a voucher."""

    start: int
    end: int
    currency: str
    lot: Lot | None
    """None: its holder is not shown to the asker; the range is."""
    financier: bytes | None
    """Lender under whose lien the lot is, or who will pay for it; None: none, or not shown."""


class PositionKind(IntEnum):
    HELD = 1
    LENT = 2


@dataclass(frozen=True, slots=True)
class Position:
    """Something owed to an organisation."""

    kind: PositionKind
    reference: bytes
    """The financing of a loan, else the voucher."""
    start: int
    debtor: bytes
    group: bytes
    """The enterprise at the top of the debtor: itself, or whose branch it is."""
    currency: str
    amount: int
    """Face of a lot; principal of a loan that was not repaid."""
    maturity: int
    """Day: of the voucher, or end of the loan."""
    overdue: bool
    encumbered: bool
    """A lot under a lien, or on its way elsewhere."""


@dataclass(frozen=True, slots=True)
class IdleLot:
    voucher: bytes
    start: int
    end: int
    currency: str
    maturity: int
    days: int
    """Held so long, by the business date."""


class HitRole(IntEnum):
    HOLDER = 1
    """Holds a lot."""
    LENDER = 2
    """Lent on a lot."""
    RECOURSE = 3
    """Sold or borrowed with recourse: the range may come back to it."""
    GUARANTOR = 4
    """Amount: what can still be called of it, once for all that it covers."""
    CREDITOR = 5
    """Lent to the debtor itself."""
    DISTRIBUTOR = 6
    """Ordered goods that a bank paid and the debtor has not shipped; owes that loan all the same."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One way in which a debtor's failure reaches somebody. Roles overlap: a holder who is paid by a
    guarantor is hit no more, so sums over roles say nothing; sums within one role do."""

    role: HitRole
    party: bytes | None
    """None: not shown to the asker."""
    reference: bytes
    """Voucher, financing, guarantee or prepayment. Loans and guarantees count once each."""
    start: int
    """Of the lot; 0 where there is none."""
    currency: str
    amount: int
    tier: int
    """Transfers from the first payee on; 0 where there is no lot."""


@dataclass(frozen=True, slots=True)
class ChainPart:
    """An open lot of a debtor's voucher; or, once a voucher, what is left to pay of it and not shown to the
    asker."""

    debtor: bytes
    """Whose voucher it is: the one asked about, or a branch of it."""
    voucher: bytes
    start: int
    """Of the lot; 0 for what is not shown."""
    amount: int
    currency: str
    maturity: int
    overdue: bool
    tier: int | None
    """Transfers from the first payee on; None, as the rest: not shown."""
    holder: bytes | None
    holder_kind: OrganisationKind | None
    """The first of its kinds."""
    state: LotState | None
    idle_days: int | None
    """So long held and neither financed nor passed on; None: it is financed, bought, due, or under way."""


class SliceBy(IntEnum):
    TIER = 1
    HOLDER = 2
    STATE = 3


@dataclass(frozen=True, slots=True)
class Slice:
    """Part of a debtor's chain, in one currency."""

    by: SliceBy
    value: str
    """Tier as a number, kind of holder, or state; `HIDDEN` for what is not shown."""
    currency: str
    lots: int
    """Vouchers, for what is not shown."""
    amount: int
    overdue: int
    """Of `amount`, as is the next."""
    idle: int


HIDDEN = "hidden"


@dataclass(frozen=True, slots=True)
class Exposure:
    """What one enterprise and its branches owe, in one currency."""

    group: bytes
    currency: str
    held: int
    lent: int
    overdue: int
    """Of both."""


@dataclass(frozen=True, slots=True)
class Rung:
    """What falls due on one day, in one currency."""

    day: int
    currency: str
    held: int
    lent: int


def exposures(positions: Iterable[Position]) -> list[Exposure]:
    """By debtor group and currency, in order of group. A loan counts for the debtor of the voucher behind
    it, who pays it in the end."""
    sums: dict[tuple[bytes, str], list[int]] = {}
    for position in positions:
        row = sums.setdefault((position.group, position.currency), [0, 0, 0])
        row[0 if position.kind is PositionKind.HELD else 1] += position.amount
        row[2] += position.amount if position.overdue else 0
    return [Exposure(*key, *sums[key]) for key in sorted(sums)]


def ladder(positions: Iterable[Position]) -> list[Rung]:
    """By day and currency, earliest first; past days are what is overdue, or ends today or earlier."""
    sums: dict[tuple[int, str], list[int]] = {}
    for position in positions:
        row = sums.setdefault((position.maturity, position.currency), [0, 0])
        row[0 if position.kind is PositionKind.HELD else 1] += position.amount
    return [Rung(*key, *sums[key]) for key in sorted(sums)]


def slices(parts: Iterable[ChainPart], days: int) -> list[Slice]:
    """The chain by tier, by kind of holder and by state; each adds up to the whole. Idle is what has lain
    for `days` or longer."""
    sums: dict[tuple[SliceBy, str, str], list[int]] = {}
    for part in parts:
        idle = part.idle_days is not None and part.idle_days >= days
        for by, value in _values(part):
            row = sums.setdefault((by, value, part.currency), [0, 0, 0, 0])
            row[0] += 1
            row[1] += part.amount
            row[2] += part.amount if part.overdue else 0
            row[3] += part.amount if idle else 0
    # Tiers are at most 20 (voucher law §17), and sort as numbers.
    keys = sorted(sums, key=lambda key: (key[0], key[1].rjust(2), key[2]))
    return [Slice(*key, *sums[key]) for key in keys]


def _values(part: ChainPart) -> list[tuple[SliceBy, str]]:
    tier, kind, state = part.tier, part.holder_kind, part.state
    return [
        (SliceBy.TIER, HIDDEN if tier is None else str(tier)),
        (SliceBy.HOLDER, HIDDEN if kind is None else kind.name),
        (SliceBy.STATE, HIDDEN if state is None else state.name),
    ]


def hits_by_party(hits: Iterable[Hit]) -> list[tuple[bytes | None, HitRole, int, str, int]]:
    """(party, role, tier, currency, amount), each loan and guarantee counted once; largest sums first."""
    sums: dict[tuple[bytes | None, HitRole, int, str], int] = {}
    counted: set[bytes] = set()
    for hit in hits:
        if hit.role in (HitRole.LENDER, HitRole.GUARANTOR):
            if hit.reference in counted:
                continue
            counted.add(hit.reference)
        key = (hit.party, hit.role, hit.tier, hit.currency)
        sums[key] = sums.get(key, 0) + hit.amount
    rows = [(*key, amount) for key, amount in sums.items()]
    return sorted(rows, key=lambda row: (-row[4], row[1], row[0] or b"", row[2], row[3]))
