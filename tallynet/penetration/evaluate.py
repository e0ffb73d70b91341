"""Evaluating a question, page by page. The same on node and client: it reads through a `View` alone, in an
order that depends on nothing but what it has read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar, cast

from tallynet.errors import LedgerError, RemoteProtocolError
from tallynet.penetration.answers import (
    ChainPart,
    Hit,
    HitRole,
    Holding,
    IdleLot,
    Page,
    PathEvent,
    Position,
    PositionKind,
    Trace,
)
from tallynet.penetration.questions import (
    COVER_MAX,
    LINEAGE_MAX,
    READS_PER_PAGE,
    ROWS_PER_PAGE,
    Chain,
    Down,
    EventsFound,
    Idle,
    Impact,
    Listing,
    Positions,
    Question,
    Up,
    View,
)
from tallynet.records import (
    NETWORK_ID,
    RECORD_TYPES,
    AcquiredBy,
    Document,
    Financing,
    FinancingKind,
    FinancingState,
    Guarantee,
    GuaranteeState,
    Lot,
    LotState,
    Network,
    Organisation,
    Prepayment,
    Record,
    Voucher,
    VoucherStatus,
    WarehouseReceipt,
)

R = TypeVar("R")
Row = Trace | PathEvent | Holding | Position | IdleLot | Hit | ChainPart

LENDING: Final = (
    FinancingKind.LOAN_RECOURSE,
    FinancingKind.LOAN_PLEDGE,
    FinancingKind.BACKSTOP,
    FinancingKind.PREPAYMENT,
)
OWED: Final = (FinancingState.OUTSTANDING, FinancingState.OVERDUE, FinancingState.RECOURSE)
OPEN: Final = (
    LotState.HELD,
    LotState.TRANSFER_PENDING,
    LotState.FINANCING_PENDING,
    LotState.PLEDGED,
)
UNPAID: Final = (VoucherStatus.OVERDUE, VoucherStatus.DEFAULTED, VoucherStatus.WRITTEN_OFF)
ID: Final = 16
START: Final = 8
DAY: Final = 4
_KINDS: Final = {record_type: kind for kind, record_type in RECORD_TYPES.items()}


def evaluate(view: View, question: Question, after: bytes = b"") -> Page[Row]:
    """One page of the answer, from the cursor `after` on.

    Raises:
        LedgerError: RECORD_NOT_FOUND, what the question names does not exist or is not shown.
        RemoteProtocolError: BAD_CURSOR; BAD_ANSWER, an index names what the records deny.
    """
    counted = _Counted(view)
    match question:
        case Up():
            rows = _up(counted, question, after)
        case Down():
            rows = _down(counted, question, after)
        case Positions():
            rows = _positions(counted, question, after)
        case Idle():
            rows = _idle(counted, question, after)
        case Impact():
            rows = _group(counted, question.debtor, after, _impact)
        case Chain():
            rows = _group(counted, question.debtor, after, _chain)
    found: list[Row] = []
    for row, cursor in rows:
        if row is not None:
            found.append(row)
        if counted.reads >= READS_PER_PAGE and cursor is not None:
            return Page(tuple(found), cursor)
    return Page(tuple(found), counted.more)


Rows = Iterator[tuple[Row | None, bytes | None]]
"""Rows with the cursor behind each; None instead of a row where an entry gave none, None instead of a cursor
where the answer cannot be cut."""


class _Counted:
    """A view that counts what it reads, each record once."""

    def __init__(self, view: View) -> None:
        self._view: Final = view
        self._seen: Final[dict[tuple[int, bytes], Record | None]] = {}
        self.reads = 0
        self.more: bytes | None = None
        """Cursor at the end of this page; None: the answer is complete."""

    def find(self, record_type: type[R], id: bytes) -> R | None:
        kind = _KINDS[cast("type[Record]", record_type)]
        if (kind, id) not in self._seen:
            self.reads += 1
            self._seen[kind, id] = self._view.get(kind, id)
        return cast("R | None", self._seen[kind, id])

    def require(self, record_type: type[R], id: bytes) -> R:
        record = self.find(record_type, id)
        if record is None:
            raise LedgerError("RECORD_NOT_FOUND", f"no {record_type.__name__} {id.hex()} is shown")
        return record

    def lot(self, voucher: bytes, start: int) -> Lot | None:
        self.reads += 1
        return self._view.lot(voucher, start)

    def lot_starts(self, voucher: bytes) -> Sequence[int]:
        return self._view.lot_starts(voucher)

    def listing(
        self, listing: Listing, prefix: bytes, after: bytes = b"", limit: int = ROWS_PER_PAGE
    ) -> list[bytes]:
        return self._view.listing(listing, prefix, after, limit)

    def events(self, voucher: bytes, start: int, end: int, below: int) -> EventsFound:
        return self._view.events(voucher, start, end, below)

    @property
    def today(self) -> int:
        return self.require(Network, NETWORK_ID).business_date

    def lineage(self, id: bytes) -> list[tuple[bytes, Organisation]]:
        """An organisation, the one whose branch it is, up to the enterprise."""
        found: list[tuple[bytes, Organisation]] = []
        above: bytes | None = id
        while above is not None and len(found) < LINEAGE_MAX:
            organisation = self.require(Organisation, above)
            found.append((above, organisation))
            above = organisation.parent
        return found


def _number(cursor: bytes, first: int) -> int:
    """The number that a cursor of eight bytes holds; `first` for the empty one."""
    if len(cursor) not in (0, START):
        raise RemoteProtocolError("BAD_CURSOR", "this cursor is not of this question")
    return int.from_bytes(cursor, "big") if cursor else first


def _broken(what: str) -> RemoteProtocolError:
    return RemoteProtocolError("BAD_ANSWER", what)


# --- up ---------------------------------------------------------------------------------------------


def _up(view: _Counted, question: Up, after: bytes) -> Rows:
    voucher = view.require(Voucher, question.voucher)
    lot = _shown_lot(view, question)
    if not after:
        yield _trace(view, question.voucher, voucher, lot), None
    found = view.events(question.voucher, lot.start, lot.end, _number(after, lot.newest_event + 1))
    view.more = None if found.older is None else found.older.to_bytes(START, "big")
    for event in found.events:
        yield PathEvent(event), None


def _shown_lot(view: _Counted, question: Up) -> Lot:
    if question.start in view.lot_starts(question.voucher):
        lot = view.lot(question.voucher, question.start)
        if lot is not None:
            return lot
    raise LedgerError("RECORD_NOT_FOUND", f"no lot that starts at {question.start} is shown")


def _trace(view: _Counted, id: bytes, voucher: Voucher, lot: Lot) -> Trace:
    documents = [(use.document, view.find(Document, use.document)) for use in voucher.documents]
    financing = None if lot.lien is None else view.find(Financing, lot.lien)
    receipts: list[tuple[bytes, WarehouseReceipt | None]] = []
    if lot.lien is not None and financing is not None:
        entries = view.listing(Listing.PLEDGED_RECEIPTS, lot.lien)
        receipts = [(entry[ID:], view.find(WarehouseReceipt, entry[ID:])) for entry in entries]
    guarantees, more = _guarantees(view, voucher)
    return Trace(
        voucher_id=id,
        voucher=voucher,
        lot=lot,
        debtors=tuple(view.lineage(voucher.debtor)),
        documents=_shown(documents),
        guarantees=tuple(guarantees),
        more_guarantees=more,
        financing=financing,
        receipts=_shown(receipts),
    )


def _shown(rows: list[tuple[bytes, R | None]]) -> tuple[tuple[bytes, R], ...]:
    return tuple((id, record) for id, record in rows if record is not None)


def _guarantees(view: _Counted, voucher: Voucher) -> tuple[list[tuple[bytes, Guarantee]], bool]:
    """Those that can still be called for this voucher: its own, its debtor's, its programme's; and whether
    there may be more of them."""
    of_debtor, of_programme = (_covering(view, x) for x in (voucher.debtor, voucher.programme))
    ids = [*voucher.guarantees, *of_debtor, *of_programme]
    found = [row for id in ids for row in _callable(view, id, voucher.currency)]
    return found, COVER_MAX in (len(of_debtor), len(of_programme))


def _covering(view: _Counted, covered: bytes) -> list[bytes]:
    """Guarantees of a debtor or programme that have not expired."""
    entries = view.listing(Listing.GUARANTEES, covered, _expired(view, covered), COVER_MAX)
    return [entry[ID + DAY :] for entry in entries]


def _expired(view: _Counted, covered: bytes) -> bytes:
    """Guarantees whose entry is greater have not expired: today, their last day, is followed by an id."""
    return covered + view.today.to_bytes(DAY, "big")


def _callable(view: _Counted, id: bytes, currency: str) -> Iterator[tuple[bytes, Guarantee]]:
    guarantee = view.find(Guarantee, id)
    if (
        guarantee is not None
        and guarantee.state is GuaranteeState.ACTIVE
        and guarantee.expiry >= view.today
        and guarantee.currency == currency
    ):
        yield id, guarantee


# --- down -------------------------------------------------------------------------------------------


def _down(view: _Counted, question: Down, after: bytes) -> Rows:
    voucher = view.require(Voucher, question.voucher)
    first = _number(after, 0)
    for start, end in _ranges(view, question.voucher, voucher):
        if start >= first:
            lot = view.lot(question.voucher, start)
            if lot is not None and lot.end != end:
                raise _broken("the lots do not tile the voucher")
            cursor = None if end == voucher.face else end.to_bytes(START, "big")
            yield Holding(start, end, voucher.currency, lot, _financier(view, lot)), cursor


def _ranges(view: _Counted, id: bytes, voucher: Voucher) -> list[tuple[int, int]]:
    """The tiling. The starts are in the voucher's own leaf, so none can be left out."""
    starts = view.lot_starts(id)
    return list(zip(starts, [*starts[1:], voucher.face], strict=True))


def _financier(view: _Counted, lot: Lot | None) -> bytes | None:
    if lot is None or lot.lien is None or lot.state is LotState.HELD:
        return None
    financing = view.find(Financing, lot.lien)
    return None if financing is None else financing.funder


# --- positions and idle lots --------------------------------------------------------------------------


def _entries(
    view: _Counted, section: int, listing: Listing, prefix: bytes, after: bytes, first: bytes = b""
) -> Rows:
    """Entries of one index greater than `first` as cursors: section (1) ‖ entry."""
    own = after[1:] if after[:1] == bytes((section,)) and len(after) > 1 else first
    entries = view.listing(listing, prefix, own)
    for entry in entries:
        yield None, bytes((section,)) + entry
    if len(entries) == ROWS_PER_PAGE:
        view.more = bytes((section,)) + entries[-1]


def _section(after: bytes, last: int) -> int:
    if after and after[0] > last:
        raise RemoteProtocolError("BAD_CURSOR", "this cursor is not of this question")
    return after[0] if after else 0


def _positions(view: _Counted, question: Positions, after: bytes) -> Rows:
    organisation = question.organisation
    view.require(Organisation, organisation)
    section = _section(after, 1)
    if section == 0:
        for _, cursor in _entries(view, 0, Listing.OPEN_LOTS, organisation, after):
            yield _held(view, organisation, _entry(cursor)), cursor
        if view.more is not None:
            return
    for _, cursor in _entries(view, 1, Listing.FINANCINGS, organisation, after):
        yield _lent(view, organisation, _entry(cursor)[ID:]), cursor


def _entry(cursor: bytes | None) -> bytes:
    return (cursor or b"")[1:]


def _open_lot(view: _Counted, holder: bytes, entry: bytes) -> tuple[bytes, Voucher, Lot]:
    """What an entry of OPEN_LOTS names, if the records agree."""
    voucher_id = entry[ID + DAY : -START]
    start = int.from_bytes(entry[-START:], "big")
    voucher = view.require(Voucher, voucher_id)
    lot = view.lot(voucher_id, start) if start in view.lot_starts(voucher_id) else None
    if lot is None or lot.holder != holder or lot.state not in OPEN:
        raise _broken("the index names a lot that this organisation does not hold")
    if lot.acquired_day.to_bytes(DAY, "big") != entry[ID : ID + DAY]:
        raise _broken("the index names another day than the lot")
    return voucher_id, voucher, lot


def _held(view: _Counted, holder: bytes, entry: bytes) -> Position:
    voucher_id, voucher, lot = _open_lot(view, holder, entry)
    return Position(
        kind=PositionKind.HELD,
        reference=voucher_id,
        start=lot.start,
        debtor=voucher.debtor,
        group=view.lineage(voucher.debtor)[-1][0],
        currency=voucher.currency,
        amount=lot.end - lot.start,
        maturity=voucher.maturity,
        overdue=voucher.status in UNPAID,
        encumbered=lot.state is not LotState.HELD,
    )


def _lent(view: _Counted, funder: bytes, id: bytes) -> Position | None:
    loan = view.require(Financing, id)
    if funder not in (loan.funder, loan.obligor, loan.agent_bank):
        raise _broken("the index names a loan of others")
    if loan.funder != funder or loan.kind not in LENDING or loan.state not in OWED:
        return None
    maturity = loan.end_day
    if loan.kind is FinancingKind.BACKSTOP:
        maturity = view.require(Voucher, loan.voucher).maturity
    return Position(
        kind=PositionKind.LENT,
        reference=id,
        start=loan.start,
        debtor=loan.debtor,
        group=view.lineage(loan.debtor)[-1][0],
        currency=loan.currency,
        amount=loan.principal - loan.repaid,
        maturity=maturity,
        overdue=loan.state is not FinancingState.OUTSTANDING,
        encumbered=False,
    )


def _idle(view: _Counted, question: Idle, after: bytes) -> Rows:
    view.require(Organisation, question.organisation)
    last = view.today - question.days
    for _, cursor in _entries(view, 0, Listing.OPEN_LOTS, question.organisation, after):
        entry = _entry(cursor)
        if int.from_bytes(entry[ID : ID + DAY], "big") > last:
            view.more = None
            return
        voucher_id, voucher, lot = _open_lot(view, question.organisation, entry)
        held = view.today - lot.acquired_day
        row = IdleLot(
            voucher_id, lot.start, lot.end, voucher.currency, voucher.maturity, held
        )  # fmt: skip
        yield row if _is_idle(voucher, lot) else None, cursor


def _is_idle(voucher: Voucher, lot: Lot) -> bool:
    """Could be passed on or financed, and is not: what was bought is an investment."""
    return (
        lot.state is LotState.HELD
        and lot.lien is None
        and lot.acquired_by in (AcquiredBy.ISSUE, AcquiredBy.TRANSFER)
        and voucher.status is VoucherStatus.ACTIVE
    )


# --- a debtor and its branches ------------------------------------------------------------------------


def _group(
    view: _Counted, top: bytes, after: bytes, one: Callable[[_Counted, bytes, bytes], Rows]
) -> Rows:
    """What `one` answers for an enterprise, then for each of its branches and theirs. Cursors: debtor (16) ‖
    cursor of `one`."""
    debtor, inner = (after[:ID], after[ID:]) if after else (top, b"")
    if not _is_of_group(view, top, debtor):
        raise RemoteProtocolError("BAD_CURSOR", "this cursor is not of this question")
    while True:
        for row, cursor in one(view, debtor, inner):
            yield row, None if cursor is None else debtor + cursor
        if view.more is not None:
            view.more = debtor + view.more
            return
        following = _following(view, top, debtor)
        if following is None:
            return
        yield None, following
        debtor, inner = following, b""


def _is_of_group(view: _Counted, top: bytes, debtor: bytes) -> bool:
    above: bytes | None = debtor
    for _ in range(LINEAGE_MAX):
        if above is None or above == top:
            break
        organisation = view.find(Organisation, above)
        above = None if organisation is None else organisation.parent
    return above == top


def _following(view: _Counted, top: bytes, debtor: bytes) -> bytes | None:
    """The debtor's first branch, else the branch after it of the same parent, else that after the parent."""
    inside = _branch(view, debtor, b"")
    while inside is None and debtor != top:
        parent = view.require(Organisation, debtor).parent or top
        inside, debtor = _branch(view, parent, parent + debtor), parent
    return inside


def _branch(view: _Counted, parent: bytes, after: bytes) -> bytes | None:
    for entry in view.listing(Listing.BRANCHES, parent, after, 1):
        branch = entry[ID:]
        if view.require(Organisation, branch).parent != parent:
            raise _broken("the index names a branch of somebody else")
        return branch
    return None


def _chain(view: _Counted, debtor: bytes, after: bytes) -> Rows:
    view.require(Organisation, debtor)
    for _, cursor in _entries(view, _section(after, 0), Listing.OPEN_VOUCHERS, debtor, after):
        for part in _parts(view, debtor, _entry(cursor)[ID:]):
            yield part, None
        yield None, cursor


def _parts(view: _Counted, debtor: bytes, id: bytes) -> Iterator[ChainPart]:
    """The open lots of a voucher that are shown, then what is left to pay beside them."""
    voucher = _own_voucher(view, debtor, id)
    for lot, unseen in _left_to_pay(view, id, voucher):
        if lot is None:
            yield ChainPart(*_head(id, voucher, 0, unseen), None, None, None, None, None)
        else:
            yield _part(view, id, voucher, lot)


def _left_to_pay(view: _Counted, id: bytes, voucher: Voucher) -> Iterator[tuple[Lot | None, int]]:
    """The open lots of a voucher that are shown, with 0; then, if some are not, None with what is left to pay
    beside them."""
    unseen = voucher.face - voucher.redeemed - voucher.cancelled
    hidden = False
    for start, end in _ranges(view, id, voucher):
        lot = view.lot(id, start)
        if lot is None:
            hidden = True
        elif lot.end != end:
            raise _broken("the lots do not tile the voucher")
        elif lot.state in OPEN:
            unseen -= end - start
            yield lot, 0
    if hidden and unseen > 0:
        yield None, unseen


def _head(
    id: bytes, voucher: Voucher, start: int, amount: int
) -> tuple[bytes, bytes, int, int, str, int, bool]:
    overdue = voucher.status in UNPAID
    return (voucher.debtor, id, start, amount, voucher.currency, voucher.maturity, overdue)


def _part(view: _Counted, id: bytes, voucher: Voucher, lot: Lot) -> ChainPart:
    head = _head(id, voucher, lot.start, lot.end - lot.start)
    kinds = view.require(Organisation, lot.holder).kinds
    idle = view.today - lot.acquired_day if _is_idle(voucher, lot) else None
    return ChainPart(*head, lot.hops, lot.holder, kinds[0], lot.state, idle)


# --- impact -------------------------------------------------------------------------------------------


def _impact(view: _Counted, debtor: bytes, after: bytes) -> Rows:
    view.require(Organisation, debtor)
    section = _section(after, 3)
    if section == 0:
        programmes: set[bytes] = set()
        for _, cursor in _entries(view, 0, Listing.OPEN_VOUCHERS, debtor, after):
            for hit in _voucher_hits(view, debtor, _entry(cursor)[ID:], programmes):
                yield hit, None
            yield None, cursor
        if view.more is not None:
            return
    if section <= 1:
        expired = _expired(view, debtor)
        for _, cursor in _entries(view, 1, Listing.GUARANTEES, debtor, after, expired):
            id = _entry(cursor)[ID + DAY :]
            guarantee = view.find(Guarantee, id)
            yield None if guarantee is None else _guarantor(id, guarantee), cursor
        if view.more is not None:
            return
    if section <= 2:
        for _, cursor in _entries(view, 2, Listing.FINANCINGS, debtor, after):
            yield _creditor(view, debtor, _entry(cursor)[ID:]), cursor
        if view.more is not None:
            return
    for _, cursor in _entries(view, 3, Listing.MAKER_PREPAYMENTS, debtor, after):
        yield _distributor(view, debtor, _entry(cursor)[ID:]), cursor


def _voucher_hits(
    view: _Counted, debtor: bytes, id: bytes, programmes: set[bytes]
) -> Iterator[Hit]:
    """`programmes` are those whose guarantees are on this page already."""
    voucher = _own_voucher(view, debtor, id)
    cover = list(voucher.guarantees)
    if voucher.programme not in programmes:
        programmes.add(voucher.programme)
        cover += _covering(view, voucher.programme)
    for guarantee_id in cover:
        for _, guarantee in _callable(view, guarantee_id, voucher.currency):
            yield _guarantor(guarantee_id, guarantee)
    for lot, unseen in _left_to_pay(view, id, voucher):
        if lot is None:
            yield Hit(HitRole.HOLDER, None, id, 0, voucher.currency, unseen, 0)
        else:
            yield from _lot_hits(view, id, voucher, lot)


def _own_voucher(view: _Counted, debtor: bytes, id: bytes) -> Voucher:
    voucher = view.require(Voucher, id)
    if voucher.debtor != debtor:
        raise _broken("the index names a voucher of another debtor")
    return voucher


def _lot_hits(view: _Counted, id: bytes, voucher: Voucher, lot: Lot) -> Iterator[Hit]:
    amount = lot.end - lot.start - lot.covered
    currency, start, tier = voucher.currency, lot.start, lot.hops
    if amount == 0:
        return
    yield Hit(HitRole.HOLDER, lot.holder, id, start, currency, amount, tier)
    if lot.recourse_from is not None:
        yield Hit(HitRole.RECOURSE, lot.recourse_from, id, start, currency, amount, tier)
    loan = None if lot.lien is None else view.find(Financing, lot.lien)
    if lot.lien is not None and loan is not None and _is_owed(loan):
        owed = loan.principal - loan.repaid
        yield Hit(HitRole.LENDER, loan.funder, lot.lien, start, currency, owed, tier)


def _is_owed(loan: Financing) -> bool:
    return loan.kind in LENDING and loan.state in OWED


def _guarantor(id: bytes, guarantee: Guarantee) -> Hit:
    room = guarantee.cap - guarantee.called
    return Hit(HitRole.GUARANTOR, guarantee.guarantor, id, 0, guarantee.currency, room, 0)


def _creditor(view: _Counted, debtor: bytes, id: bytes) -> Hit | None:
    loan = view.find(Financing, id)
    if loan is None or loan.obligor != debtor or not _is_owed(loan):
        return None
    owed = loan.principal - loan.repaid
    return Hit(HitRole.CREDITOR, loan.funder, id, 0, loan.currency, owed, 0)


def _distributor(view: _Counted, maker: bytes, id: bytes) -> Hit:
    order = view.require(Prepayment, id)
    if order.maker != maker:
        raise _broken("the index names an order of another maker")
    return Hit(HitRole.DISTRIBUTOR, order.distributor, id, 0, order.currency, order.amount, 0)


__all__ = ["Row", "evaluate"]
