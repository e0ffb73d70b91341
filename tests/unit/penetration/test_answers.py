"""Each question against a naive scan of the whole state, over ledgers made from seeds."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from tallynet import commands as c
from tallynet import records as r
from tallynet.errors import LedgerError, RemoteProtocolError
from tallynet.penetration import (
    Chain,
    ChainPart,
    Down,
    Hit,
    HitRole,
    Holding,
    Idle,
    IdleLot,
    Impact,
    Position,
    PositionKind,
    Positions,
    SliceBy,
    Trace,
    Up,
    exposures,
    hits_by_party,
    ladder,
    slices,
)
from tallynet.penetration.evaluate import LENDING, OPEN, OWED, UNPAID
from tallynet.penetration.questions import COVER_MAX, ROWS_PER_PAGE
from tests.unit.penetration.ledgers import SUPPLIERS, Ledger

SEEDS = range(4)
ACTS = 45
PARTIES = (*SUPPLIERS, "bank-2", "core", "rival", "store")
LENT = PositionKind.LENT
CLOSED = (r.VoucherStatus.PENDING_CLAIM, r.VoucherStatus.SETTLED, r.VoucherStatus.CANCELLED)


@cache
def ledger(seed: int) -> Ledger:
    made = Ledger()
    made.wander(seed, ACTS)
    return made


def lots_of(world: Ledger) -> list[tuple[bytes, r.Voucher, r.Lot]]:
    vouchers = dict(world.every(r.Voucher))
    return [(id[:16], vouchers[id[:16]], lot) for id, lot in world.every(r.Lot)]


def top(world: Ledger, id: bytes) -> bytes:
    parent = world.get(r.Organisation, id).parent
    return id if parent is None else top(world, parent)


def test_the_ledgers_have_something_of_everything() -> None:
    """Otherwise the comparisons below would compare nothing with nothing."""
    states: set[r.LotState] = set()
    loans = bought = guaranteed = passed_on = 0
    for seed in SEEDS:
        world = ledger(seed)
        lots = [lot for _, _, lot in lots_of(world)]
        states.update(lot.state for lot in lots)
        loans += sum(f.kind in LENDING and f.state in OWED for _, f in world.every(r.Financing))
        bought += sum(lot.acquired_by is r.AcquiredBy.SALE for lot in lots)
        guaranteed += len(world.every(r.Guarantee))
        passed_on += sum(lot.hops > 1 for lot in lots)
    assert {r.LotState.HELD, r.LotState.PLEDGED, r.LotState.FINANCING_PENDING} <= states
    assert min(loans, bought, guaranteed, passed_on) > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_down_gives_all_lots_of_a_voucher(seed: int) -> None:
    world = ledger(seed)
    for voucher in world.vouchers:
        rows = world.ask("watch", Down(voucher))
        expected = [lot for id, _, lot in lots_of(world) if id == voucher]
        assert [row.lot for row in rows if isinstance(row, Holding)] == expected
        for row in rows:
            assert isinstance(row, Holding) and row.lot is not None
            financing = world.state.get(r.Kind.FINANCING, row.lot.lien or bytes(16))
            assert row.financier == (
                financing.funder if isinstance(financing, r.Financing) else None
            )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", PARTIES)
def test_positions_are_all_that_is_owed(seed: int, name: str) -> None:
    world = ledger(seed)
    me = world.ids[name]
    expected = Counter(
        (PositionKind.HELD, id, lot.start, v.debtor, top(world, v.debtor), lot.end - lot.start,
         v.maturity, v.status in UNPAID)
        for id, v, lot in lots_of(world)
        if lot.holder == me and lot.state in OPEN
    )  # fmt: skip
    expected.update(
        (PositionKind.LENT, id, loan.start, loan.debtor, top(world, loan.debtor),
         loan.principal - loan.repaid, loan.end_day, loan.state is not r.FinancingState.OUTSTANDING)
        for id, loan in world.every(r.Financing)
        if loan.funder == me and loan.kind in LENDING and loan.state in OWED
    )  # fmt: skip
    rows = [row for row in world.ask(name, Positions(me)) if isinstance(row, Position)]
    assert expected == Counter(
        (p.kind, p.reference, p.start, p.debtor, p.group, p.amount, p.maturity, p.overdue)
        for p in rows
    )
    total = sum(p.amount for p in rows)
    assert sum(e.held + e.lent for e in exposures(rows)) == total
    assert sum(rung.held + rung.lent for rung in ladder(rows)) == total
    assert [rung.day for rung in ladder(rows)] == sorted(rung.day for rung in ladder(rows))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("days", [0, 1, 10, 60])
def test_idle_lots_are_held_unfinanced_and_not_passed_on(seed: int, days: int) -> None:
    world = ledger(seed)
    for name in SUPPLIERS:
        rows = world.ask(name, Idle(world.ids[name], days))
        assert Counter(
            (row.voucher, row.start, row.end, row.days) for row in rows if isinstance(row, IdleLot)
        ) == Counter(
            (id, lot.start, lot.end, world.day - lot.acquired_day)
            for id, v, lot in lots_of(world)
            if lot.holder == world.ids[name]
            and lot.state is r.LotState.HELD
            and lot.lien is None
            and lot.acquired_by in (r.AcquiredBy.ISSUE, r.AcquiredBy.TRANSFER)
            and v.status is r.VoucherStatus.ACTIVE
            and world.day - lot.acquired_day >= days
        )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["core", "store", "rival"])
def test_impact_names_everybody_who_is_hit(seed: int, name: str) -> None:
    world = ledger(seed)
    debtor = world.ids[name]
    rows = [row for row in world.ask("watch", Impact(debtor)) if isinstance(row, Hit)]
    financings = dict(world.every(r.Financing))
    expected: Counter[tuple[HitRole, bytes, int]] = Counter()
    loans: set[bytes] = set()
    programmes: set[bytes] = set()
    own: set[bytes] = set()
    group = {debtor, world.ids["store"]} if name == "core" else {debtor}
    for id, voucher, lot in lots_of(world):
        if voucher.debtor not in group or voucher.status in CLOSED:
            continue
        programmes.add(voucher.programme)
        own.add(id)
        amount = lot.end - lot.start - lot.covered
        if lot.state in OPEN and amount:
            expected[HitRole.HOLDER, lot.holder, lot.hops] += amount
            if lot.recourse_from is not None:
                expected[HitRole.RECOURSE, lot.recourse_from, lot.hops] += amount
            loan = financings.get(lot.lien or b"")
            if loan is not None and loan.kind in LENDING and loan.state in OWED:
                assert lot.lien not in loans
                loans.add(lot.lien or b"")
                expected[HitRole.LENDER, loan.funder, lot.hops] += loan.principal - loan.repaid
    for _, guarantee in world.every(r.Guarantee):
        if guarantee.covered in {*group, *programmes, *own} and guarantee.expiry >= world.day:
            expected[HitRole.GUARANTOR, guarantee.guarantor, 0] += guarantee.cap - guarantee.called
    found = {(role, party, tier): amount for party, role, tier, _, amount in hits_by_party(rows)}
    assert found == {key: amount for key, amount in expected.items() if amount}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["core", "store", "rival"])
def test_the_chain_is_all_that_a_debtor_and_its_branches_have_left_to_pay(
    seed: int, name: str
) -> None:
    world = ledger(seed)
    group = {world.ids[name], world.ids["store"]} if name == "core" else {world.ids[name]}
    rows = world.ask("watch", Chain(world.ids[name]))
    parts = [row for row in rows if isinstance(row, ChainPart)]
    expected = Counter(
        (v.debtor, id, lot.start, lot.end - lot.start, lot.hops, lot.holder,
         world.get(r.Organisation, lot.holder).kinds[0], lot.state, v.status in UNPAID)
        for id, v, lot in lots_of(world)
        if v.debtor in group and v.status not in CLOSED and lot.state in OPEN
    )  # fmt: skip
    assert expected == Counter(
        (
            p.debtor,
            p.voucher,
            p.start,
            p.amount,
            p.tier,
            p.holder,
            p.holder_kind,
            p.state,
            p.overdue,
        )
        for p in parts
    )
    total = sum(part.amount for part in parts)
    found = slices(parts, 10)
    for by in SliceBy:
        assert sum(row.amount for row in found if row.by is by) == total
        assert sum(row.lots for row in found if row.by is by) == len(parts)
    idle = sum(
        lot.end - lot.start
        for _, v, lot in lots_of(world)
        if v.debtor in group and v.status is r.VoucherStatus.ACTIVE
        and lot.state is r.LotState.HELD and lot.lien is None
        and lot.acquired_by in (r.AcquiredBy.ISSUE, r.AcquiredBy.TRANSFER)
        and world.day - lot.acquired_day >= 10
    )  # fmt: skip
    assert sum(row.idle for row in found if row.by is SliceBy.TIER) == idle


def test_the_chain_of_an_enterprise_goes_through_all_its_branches() -> None:
    """Branches of branches too, page by page, each once."""
    world = Ledger()
    names = ["core", "store"]
    for number in range(3):
        names.append(f"north-{number}")
        world.branch("core", names[-1])
    for number in range(2):
        names.append(f"corner-{number}")
        world.branch("north-1", names[-1])
    for name in names[2:]:
        world.lines[name] = world.line(r.LineKind.ISSUE, "bank-1", name, 10**12)
    programme = world.open_programme()
    for name in names:
        for _ in range(12):
            world.paper(name, "devices", 100, programme=programme)
    parts = [
        row for row in world.ask("core", Chain(world.ids["core"])) if isinstance(row, ChainPart)
    ]
    assert Counter(world.name(part.debtor) for part in parts) == dict.fromkeys(names, 12)
    assert len(world.pages("core", Chain(world.ids["core"]))) > 1
    north = world.ask("core", Chain(world.ids["north-1"]))
    assert len(north) == 3 * 12


def test_impact_counts_what_was_lent_to_the_debtor_and_goods_it_has_not_shipped() -> None:
    """The debtor as a borrower, and as the maker of goods that a bank has paid."""
    world = Ledger()
    own = world.paper("rival", "devices", 1_000)
    world.pass_on("devices", own, 0, 500, "shop")
    world.borrow("shop", own, 500, 200)
    (hit,) = world.ask("shop", Impact(world.ids["shop"]))
    assert isinstance(hit, Hit)
    assert (hit.role, hit.party, hit.amount) == (HitRole.CREDITOR, world.ids["bank-2"], 160)
    world.join("retail", r.OrganisationKind.DISTRIBUTOR)
    asked = c.PrepaymentRequest(
        world.label, world.ids["devices"], world.ids["bank-2"], world.account("devices"), "CNY", 900,
        "lamp", "case", world.day + 10, world.day + 60,
    )  # fmt: skip
    order = world.ok("retail", asked).created[0].id
    assert world.ask("devices", Impact(world.ids["devices"])) == [], "not paid yet"
    world.line(r.LineKind.BORROWER, "bank-2", "retail", 10_000)
    funded = world.ok("bank-2", c.PrepaymentFund(world.label, order, 900, 43_500, 360, 8_000))
    world.pay_out("bank-2", funded, 900)
    (hit,) = world.ask("devices", Impact(world.ids["devices"]))
    assert isinstance(hit, Hit)
    assert (hit.role, hit.party, hit.amount) == (HitRole.DISTRIBUTOR, world.ids["retail"], 900)
    rows = world.ask("bank-2", Positions(world.ids["bank-2"]))
    lent = {p.debtor: p.amount for p in rows if isinstance(p, Position) and p.kind == LENT}
    assert lent == {world.ids["devices"]: 900, world.ids["rival"]: 160}


def test_a_branch_counts_for_its_enterprise() -> None:
    world = Ledger()
    world.paper("core", "devices", 1_000)
    world.paper("store", "devices", 500)
    rows = world.ask("devices", Positions(world.ids["devices"]))
    (exposure,) = exposures(p for p in rows if isinstance(p, Position))
    assert (exposure.group, exposure.held) == (world.ids["core"], 1_500)


def test_a_guarantee_on_its_last_day_counts_and_then_no_more() -> None:
    world = Ledger()
    world.paper("core", "devices", 1_000)
    world.guarantee(r.GuaranteeScope.DEBTOR, world.ids["core"], 300, days=2)
    question = Impact(world.ids["core"])

    def room() -> list[int]:
        rows = world.ask("watch", question)
        return [
            row.amount for row in rows if isinstance(row, Hit) and row.role is HitRole.GUARANTOR
        ]

    world.roll_to(world.day + 2)
    assert room() == [300]
    world.roll_to(world.day + 1)
    assert room() == []


def test_up_names_the_cover_that_ends_first_and_impact_all_of_it() -> None:
    world = Ledger()
    voucher = world.paper("core", "devices", 1_000)
    own = world.guarantee(r.GuaranteeScope.VOUCHER, voucher, 1)
    programme = world.get(r.Voucher, voucher).programme
    wide = world.guarantee(r.GuaranteeScope.PROGRAMME, programme, 2)
    count = ROWS_PER_PAGE + 3
    ids = [
        world.guarantee(r.GuaranteeScope.DEBTOR, world.ids["core"], 3, days=days)
        for days in range(1, COVER_MAX)
    ]
    (trace,) = world.ask("devices", Up(voucher, 0))
    assert isinstance(trace, Trace)
    assert [id for id, _ in trace.guarantees] == [own, *ids, wide]
    assert not trace.more_guarantees
    while len(ids) < count:
        ids.append(world.guarantee(r.GuaranteeScope.DEBTOR, world.ids["core"], 3, days=90))
    (trace,) = world.ask("devices", Up(voucher, 0))
    assert isinstance(trace, Trace)
    assert [id for id, _ in trace.guarantees][1:COVER_MAX] == ids[: COVER_MAX - 1]
    assert trace.more_guarantees
    rows = [row for row in world.ask("watch", Impact(world.ids["core"])) if isinstance(row, Hit)]
    cover = {row.reference for row in rows if row.role is HitRole.GUARANTOR}
    assert cover == {own, wide, *ids}
    pages = world.pages("watch", Impact(world.ids["core"]))
    assert len(pages) > 1


@pytest.mark.parametrize("seed", SEEDS)
def test_up_gives_documents_debtors_and_lender_of_every_open_lot(seed: int) -> None:
    world = ledger(seed)
    documents, financings = dict(world.every(r.Document)), dict(world.every(r.Financing))
    for id, voucher, lot in lots_of(world):
        (trace,) = world.ask("watch", Up(id, lot.start))
        assert isinstance(trace, Trace)
        assert (trace.voucher, trace.lot) == (voucher, lot)
        assert dict(trace.documents) == {
            u.document: documents[u.document] for u in voucher.documents
        }
        assert trace.financing == financings.get(lot.lien or b"")
        assert trace.debtors[0][0] == voucher.debtor
        assert trace.debtors[-1][0] == top(world, voucher.debtor)


# --- cursors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [b"\x07", b"\x04" + bytes(16), b"\xff" * 64])
def test_a_cursor_of_another_question_is_refused(after: bytes) -> None:
    world = ledger(0)
    for question in (
        Down(world.vouchers[0]),
        Positions(world.ids["core"]),
        Impact(world.ids["core"]),
        Chain(world.ids["core"]),
        Chain(world.ids["store"]),
    ):
        with pytest.raises(RemoteProtocolError, match="BAD_CURSOR"):
            world.page("watch", question, after)


def test_what_does_not_exist_is_refused() -> None:
    world = ledger(0)
    for question in (Impact(bytes(16)), Chain(bytes(16)), Positions(bytes(16)), Idle(bytes(16), 1)):
        with pytest.raises(LedgerError, match="RECORD_NOT_FOUND"):
            world.page("watch", question)
    with pytest.raises(LedgerError, match="NOT_AUTHORISED"):
        world.page("watch", Down(bytes(16)))
