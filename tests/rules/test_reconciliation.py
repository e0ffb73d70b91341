"""What debtors owed at the end of each day, kept as it changes and attested by banks (voucher law §8.10)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from watched_world import WatchedWorld

from node.ledger.context import Context
from node.ledger.reconciliation import anchor_id, totals_id
from node.ledger.schedule import HANDLERS, Act
from node.state import Overlay
from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.hashing import owed_root


class Books(WatchedWorld):
    def totals(self, debtor: str = "core") -> tuple[int, int]:
        found = self.get(r.DebtorTotals, totals_id(self.ids[debtor], "CNY"))
        return found.count, found.sum

    def anchor(self, day: int, debtor: str = "core") -> r.ReconciliationAnchor | None:
        found = self.state.get(
            r.Kind.RECONCILIATION_ANCHOR, anchor_id(self.ids[debtor], "CNY", day)
        )
        assert found is None or isinstance(found, r.ReconciliationAnchor)
        return found

    def figures(self, day: int, debtor: str = "core") -> tuple[int, int] | None:
        anchor = self.anchor(day, debtor)
        return None if anchor is None else (anchor.count, anchor.sum)

    def attest(
        self, day: int, count: int, total: int, debtor: str = "core"
    ) -> c.ReconciliationAttest:
        return c.ReconciliationAttest(self.label, self.ids[debtor], "CNY", day, count, total)

    def tomorrow(self) -> int:
        """Ends the day; returns it."""
        self.roll_to(self.day + 1)
        return self.day - 1


@pytest.fixture
def books() -> Books:
    return Books()


# --- totals -------------------------------------------------------------------------------------------


def test_a_voucher_counts_from_its_claim_until_nothing_is_left(books: Books) -> None:
    line = books.line(r.LineKind.ISSUE, "bank-1", "core", 10**12)
    issue = books.issue(1_000, books.document(1_000), books.programme(), line)
    voucher = books.ok("core", issue).created[0].id
    assert books.state.get(r.Kind.DEBTOR_TOTALS, totals_id(books.ids["core"], "CNY")) is None
    books.ok("devices", c.VoucherClaim(books.label, voucher, True))
    assert books.totals() == (1, 1_000)
    second = books.voucher(500)
    assert books.totals() == (2, 1_500)
    document = books.get(r.Voucher, second).documents[0].document
    less = c.VoucherReduce(books.label, second, 0, (r.DocumentUse(document, 100),))
    books.together(less, "core", "devices")
    assert books.totals() == (2, 1_400)
    books.together(c.VoucherCancel(books.label, second), "core", "devices")
    assert books.totals() == (1, 1_000)
    books.roll_to(books.get(r.Voucher, voucher).maturity)
    books.fund(voucher, 600)
    assert books.totals() == (1, 1_000)  # funded, and not paid yet
    paid = c.SettlementPaid(books.label, books.instruction(voucher, 0), 600, books.number())
    books.ok("bank-1", paid)
    assert books.totals() == (1, 400)
    books.fund(voucher, 400)
    rest = c.SettlementPaid(books.label, books.instruction(voucher, 0), 400, books.number())
    books.ok("bank-1", rest)
    assert books.totals() == (0, 0)


def test_passing_on_and_financing_change_nothing_of_what_is_owed(books: Books) -> None:
    voucher = books.voucher(1_000)
    before = books.get(r.DebtorTotals, totals_id(books.ids["core"], "CNY"))
    books.give(voucher, 0, 300, "shop")
    books.sell("devices", voucher, 0, 200, books.offer())
    assert books.get(r.DebtorTotals, totals_id(books.ids["core"], "CNY")) == before


def test_the_root_is_over_every_change_of_what_a_voucher_owes(books: Books) -> None:
    """Whoever follows the debtor's vouchers can compute it."""
    vouchers = [books.voucher(1_000), books.voucher(500)]
    root = owed_root(owed_root(bytes(32), vouchers[0], 1_000), vouchers[1], 500)
    books.together(c.VoucherCancel(books.label, vouchers[0]), "core", "devices")
    root = owed_root(root, vouchers[0], 0)
    day = books.tomorrow()
    anchor = books.anchor(day)
    assert anchor is not None
    assert anchor.root == root


def test_a_sum_that_no_record_can_hold_is_refused(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.voucher(1_000)
    monkeypatch.setattr("node.ledger.reconciliation.UINT_MAX", 1_400)
    line = books.ids["line ISSUE bank-1 core"]
    issue = books.issue(500, books.document(500), books.programme(), line)
    voucher = books.ok("core", issue).created[0].id
    books.refused("AMOUNT_RANGE", "devices", c.VoucherClaim(books.label, voucher, True))
    assert books.totals() == (1, 1_000)


# --- system.reconciliation.anchor ---------------------------------------------------------------------


def test_the_first_block_of_a_day_anchors_the_day_before(books: Books) -> None:
    books.voucher(1_000)
    assert books.figures(books.day) is None
    day = books.tomorrow()
    assert books.figures(day) == (1, 1_000)


def test_a_day_without_change_has_no_anchor(books: Books) -> None:
    books.voucher(1_000)
    first = books.tomorrow()
    books.tomorrow()
    books.voucher(500)
    third = books.tomorrow()
    found = [books.figures(day) for day in (first, first + 1, third)]
    assert found == [(1, 1_000), None, (2, 1_500)]


def test_each_debtor_has_its_own(books: Books) -> None:
    books.join("rival", r.OrganisationKind.CORE, r.Size.LARGE)
    line = books.line(r.LineKind.ISSUE, "bank-1", "rival", 10**12)
    issue = books.issue(700, books.document(700, debtor="rival"), books.programme(), line)
    voucher = books.ok("rival", issue).created[0].id
    books.ok("devices", c.VoucherClaim(books.label, voucher, True))
    books.voucher(1_000)
    day = books.tomorrow()
    assert (books.figures(day), books.figures(day, "rival")) == ((1, 1_000), (1, 700))
    keys = books.state.index_scan(Index.DAY_ANCHORS, day.to_bytes(4, "big"), limit=9)
    assert len(keys) == 2
    assert len(books.state.index_scan(Index.DEBTOR_ANCHORS, books.ids["rival"], limit=9)) == 1


def test_a_late_prologue_anchors_what_was_owed_when_the_day_ended(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Touch rule: what changes the totals anchors the day before first."""
    line = books.line(r.LineKind.ISSUE, "bank-1", "core", 10**12)
    waiting = books.ok(
        "core", books.issue(500, books.document(500), books.programme(), line)
    ).created[0].id  # fmt: skip
    books.voucher(1_000)
    day = books.day
    with monkeypatch.context() as patch:
        patch.setattr("node.ledger.prologue.value", lambda _context, _name: 0)
        books.roll_to(day + 1)
        assert books.figures(day) is None
        receipt = books.ok("devices", c.VoucherClaim(books.label, waiting, True))
    assert receipt.created == ()
    assert books.figures(day) == (1, 1_000)
    assert books.totals() == (2, 1_500)
    books.block()
    assert books.figures(day) == (1, 1_000)
    assert books.figures(books.tomorrow()) == (2, 1_500)


def test_attesting_anchors_a_day_that_the_prologue_has_not_come_to(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.voucher(1_000)
    day = books.day
    with monkeypatch.context() as patch:
        patch.setattr("node.ledger.prologue.value", lambda _context, _name: 0)
        books.roll_to(day + 1)
        books.ok("bank-2", books.attest(day, 1, 1_000))
    assert books.figures(day) == (1, 1_000)


class Counting(Overlay):
    """A state that counts the records read."""

    __slots__ = ("reads",)
    reads: int

    def get(self, kind: r.Kind, id: bytes) -> r.Record | None:
        self.reads += 1
        return super().get(kind, id)


def test_the_cost_of_an_anchor_does_not_depend_on_the_vouchers(books: Books) -> None:
    reads = []
    for _ in range(2):
        for _ in range(4):
            books.voucher(100)
        state = Counting(books.committed)
        state.reads = 0
        network = books.get(r.Network, r.NETWORK_ID)
        later = msgspec.structs.replace(network, business_date=network.business_date + 1)
        state.put(r.Kind.NETWORK, r.NETWORK_ID, later)
        context = Context(
            state, genesis=books.hash, time=books.time, transaction=None, acting=bytes(16)
        )
        HANDLERS[Act.RECONCILE](context, totals_id(books.ids["core"], "CNY"))
        assert len(context.events) == 1
        reads.append(state.reads)
    assert reads[0] == reads[1]


# --- reconciliation.attest ----------------------------------------------------------------------------


def test_a_bank_agrees(books: Books) -> None:
    books.voucher(1_000)
    day = books.tomorrow()
    receipt = books.ok("bank-2", books.attest(day, 1, 1_000))
    assert receipt.result == (0,)
    anchor = books.anchor(day)
    assert anchor is not None
    assert anchor.attestations == (r.AnchorAttestation(books.ids["bank-2"], 1, 1_000, books.day),)


def test_other_figures_are_recorded_and_raise_an_alarm(books: Books) -> None:
    books.voucher(1_000)
    day = books.tomorrow()
    assert books.ok("bank-3", books.attest(day, 1, 900)).result == (1,)
    assert books.ok("bank-2", books.attest(day, 2, 1_000)).result == (1,)
    anchor = books.anchor(day)
    assert anchor is not None
    given = [(one.bank, one.count, one.sum) for one in anchor.attestations]
    assert given == [(books.ids["bank-2"], 2, 1_000), (books.ids["bank-3"], 1, 900)]
    assert (anchor.count, anchor.sum) == (1, 1_000)


def test_a_bank_that_found_its_mistake_attests_again(books: Books) -> None:
    books.voucher(1_000)
    day = books.tomorrow()
    books.ok("bank-2", books.attest(day, 1, 900))
    assert books.ok("bank-2", books.attest(day, 1, 1_000)).result == (0,)
    anchor = books.anchor(day)
    assert anchor is not None
    assert [one.sum for one in anchor.attestations] == [1_000]


def test_a_machine_of_the_bank_may_attest(books: Books) -> None:
    books.voucher(1_000)
    day = books.tomorrow()
    books.ok("bank-2", books.attest(day, 1, 1_000), signers=[("machine", r.Role.API)])


Wrong = Callable[[Books, int], c.ReconciliationAttest]
REFUSED: dict[str, tuple[str, str, Wrong]] = {
    "who is no bank": ("NOT_LICENSED", "core", lambda w, day: w.attest(day, 1, 1_000)),
    "a day that is not over": ("RECORD_NOT_FOUND", "bank-2", lambda w, _: w.attest(w.day, 1, 1_000)),
    "a day without change": (
        "RECORD_NOT_FOUND", "bank-2", lambda w, day: w.attest(day - 1, 1, 1_000),
    ),
    "a debtor without vouchers": (
        "RECORD_NOT_FOUND", "bank-2", lambda w, day: w.attest(day, 1, 1_000, "devices"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_change_nothing(books: Books, case: str) -> None:
    code, by, make = REFUSED[case]
    books.voucher(1_000)
    day = books.tomorrow()
    before = books.anchor(day)
    books.refused(code, by, make(books, day))
    assert books.anchor(day) == before


def test_attestations_of_one_anchor_are_bounded(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.ledger.reconciliation.ANCHOR_ATTESTATIONS_MAX", 2)
    books.voucher(1_000)
    day = books.tomorrow()
    for bank in ("bank-1", "bank-2"):
        books.ok(bank, books.attest(day, 1, 1_000))
    books.refused("BATCH_LIMIT", "bank-3", books.attest(day, 1, 1_000))
    books.ok("bank-2", books.attest(day, 1, 999))


# --- the figures of the documentation -----------------------------------------------------------------


def test_the_example_of_the_documentation(books: Books) -> None:
    """docs/concepts/reconciliation.md."""
    first, second = books.voucher(100_000), books.voucher(40_000)
    monday = books.tomorrow()
    offer = books.offer()
    books.give(first, 0, 30_000, "shop")
    books.sell("devices", first, 0, 20_000, offer)
    tuesday = books.tomorrow()
    document = books.get(r.Voucher, second).documents[0].document
    less = c.VoucherReduce(books.label, second, 0, (r.DocumentUse(document, 5_000),))
    books.together(less, "core", "devices")
    wednesday = books.tomorrow()
    found = [books.figures(day) for day in (monday, tuesday, wednesday)]
    assert found == [(2, 140_000), None, (2, 135_000)]
    assert books.ok("bank-1", books.attest(wednesday, 2, 135_000)).result == (0,)
    assert books.ok("bank-2", books.attest(wednesday, 2, 140_000)).result == (1,)
    anchor = books.anchor(monday)
    assert anchor is not None
    assert anchor.root == owed_root(owed_root(bytes(32), first, 100_000), second, 40_000)
