"""The plain statements of I1 to I16 notice a state that breaks them: each is shown one, made from a sound one."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import law_invariants as law
from test_law_machine import LONGEST_DAYS, market

from node.state import CommittedState
from node.state.tables import INDEXES
from node.state.view import Index
from tallynet import records as r


def some(kind: r.Kind, /, **wanted: object) -> bytes:
    """Id of a record of the market in which these fields are so."""
    return next(
        id
        for id, record in sorted(law.records_of(market().tables)[kind].items())
        if all(getattr(record, name) == value for name, value in wanted.items())
    )


def changed(kind: r.Kind, id: bytes, **fields: object) -> law.Records:
    """The market's records, one of them spoiled."""
    records = dict(law.records_of(market().tables))
    spoiled = msgspec.structs.replace(records[kind][id], **fields)
    return defaultdict(dict, {**records, kind: {**records[kind], id: spoiled}})


ACTIVE = {"status": r.VoucherStatus.ACTIVE}
ISSUE = {"kind": r.LineKind.ISSUE}
ON_A_BORROWER = {"kind": r.LineKind.BORROWER}
Check = Callable[[law.Records], Iterator[str]]


def spoil(kind: r.Kind, wanted: dict[str, object], **fields: object) -> Callable[[], law.Records]:
    return lambda: changed(kind, some(kind, **wanted), **fields)


def sealed(history: bytes) -> law.Records:
    """The market with one of its lines sealed."""
    line = some(r.Kind.CREDIT_LINE, **ON_A_BORROWER)
    state = r.SealedLine(7, bytes(32), history, None)
    return changed(r.Kind.CREDIT_LINE, line, sealed=state, granted=0, reserved=0, used=0)


CASES: dict[str, tuple[Check, Callable[[], law.Records]]] = {
    "I1 a gap": (law.I1_lots_tile_the_face, spoil(r.Kind.LOT, {"start": 0}, start=1)),
    "I1 redeemed": (law.I1_lots_tile_the_face, spoil(r.Kind.VOUCHER, ACTIVE, redeemed=1)),
    "I2": (law.I2_documents_are_used_up_to_their_total, spoil(r.Kind.DOCUMENT, {}, occupied=1)),
    "I3": (law.I3_issue_lines_count_what_was_promised, spoil(r.Kind.CREDIT_LINE, ISSUE, used=1)),
    "bought face": (
        law.exposure_lines_count_what_was_bought_and_lent,
        spoil(r.Kind.LOT, {"state": r.LotState.HELD}, flags=r.FLAG_COUNTED),
    ),
    "ended, and counted": (
        law.exposure_lines_count_what_was_bought_and_lent,
        spoil(r.Kind.LOT, {}, flags=r.FLAG_COUNTED, state=r.LotState.REDEEMED),
    ),
    "a borrower's line": (
        law.exposure_lines_count_what_was_bought_and_lent,
        spoil(r.Kind.CREDIT_LINE, ON_A_BORROWER, used=1),
    ),
    "I4": (
        lambda after: law.I4_no_line_grows_beyond_what_is_granted(
            law.records_of(market().tables), after
        ),
        spoil(r.Kind.CREDIT_LINE, ISSUE, used=10**12),
    ),
    "I5": (
        law.I5_an_encumbered_range_has_one_financing,
        spoil(r.Kind.LOT, {"start": 0}, state=r.LotState.PLEDGED, lien=bytes(16)),
    ),
    "I7": (
        lambda records: law.I7_no_maturity_beyond_the_longest_tenor(records, LONGEST_DAYS),
        spoil(r.Kind.VOUCHER, ACTIVE, maturity=30_000),
    ),
    "I13": (law.I8_I13_nobody_is_paid_more_than_came_in, spoil(r.Kind.VOUCHER, ACTIVE, paid=1)),
    "I8": (
        law.I8_I13_nobody_is_paid_more_than_came_in,
        spoil(r.Kind.LOT, {"start": 0}, covered=10**12),
    ),
    "holder's freezes": (law.holds_are_counted, spoil(r.Kind.ORGANISATION, {}, freezes=1)),
    "voucher's disputes": (law.holds_are_counted, spoil(r.Kind.VOUCHER, ACTIVE, disputes=1)),
    "totals": (law.totals_are_what_vouchers_owe, spoil(r.Kind.DEBTOR_TOTALS, {}, sum=1)),
    "I15 counted": (
        lambda after: law.I15_a_sealed_line_goes_on_by_its_commitments(after, after),
        spoil(r.Kind.CREDIT_LINE, ON_A_BORROWER, sealed=r.SealedLine(1, bytes(32), bytes(32), None), used=1),
    ),
    "I15 another commitment": (
        lambda after: law.I15_a_sealed_line_goes_on_by_its_commitments(sealed(bytes(32)), after),
        lambda: sealed(b"c" * 32),
    ),
    "I11": (
        lambda before: law.I11_hops_never_shrink(before, law.records_of(market().tables)),
        spoil(r.Kind.LOT, {"start": 0}, hops=3),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_it_notices_and_finds_nothing_wrong_with_the_market(case: str) -> None:
    check, broken = CASES[case]
    assert list(check(law.records_of(market().tables))) == []
    assert list(check(broken())) != []


def test_I14_notices_an_entry_too_few_and_one_too_many() -> None:
    tables = market().tables
    records, state = law.records_of(tables), CommittedState(tables)
    assert list(law.I14_indexes_rebuild(tables, state, records)) == []
    without = {**records, r.Kind.LOT: {}}
    assert any(
        sentence.startswith(f"index {Index.OPEN_LOTS.name}")
        for sentence in law.I14_indexes_rebuild(tables, state, without)
    )
    assert tables.scan(INDEXES, bytes((Index.OPEN_LOTS,)), b"", 1)
