"""Guarantees and subrogation (voucher law §8.8)."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from followed_world import FollowedWorld
from law_world import PEOPLE

from node.ledger.guarantees import GUARANTEES_MAX
from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r


class Guaranteed(FollowedWorld):
    """devices holds a voucher of 1,000 by core; `surety` guarantees 600 of it through bank-4."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.core_and_suppliers()
        self.people["surety"] = tuple(PEOPLE)
        self.admit("surety", r.OrganisationKind.GUARANTOR)
        self.paper = self.voucher(1_000)
        self.dues = self.get(r.Voucher, self.paper)
        self.cover = self.ok("surety", self.issuing()).created[0].id

    def issuing(self, **changes: object) -> c.GuaranteeIssue:
        given = {
            "label": self.label, "bank": self.ids["bank-4"], "beneficiary": None,
            "scope": r.GuaranteeScope.VOUCHER, "covered": self.paper, "currency": "CNY",
            "cap": 600, "fee": 6, "expiry": self.dues.grace_end + 40,
        }  # fmt: skip
        return c.GuaranteeIssue(**(given | changes))  # type: ignore[arg-type]

    def go_overdue(self) -> None:
        self.roll_to(self.dues.grace_end + 1)

    def call(self, amount: int, start: int = 0, **changes: object) -> c.GuaranteeCall:
        given = {
            "label": self.label, "guarantee": self.cover, "voucher": self.paper, "start": start,
            "amount": amount,
        }  # fmt: skip
        return c.GuaranteeCall(**(given | changes))  # type: ignore[arg-type]

    def receipt_number(self) -> bytes:
        return sha256(b"receipt" + self.label).digest()

    def confirm(self, amount: int, start: int = 0) -> c.GuaranteePayConfirm:
        number = self.receipt_number()
        return c.GuaranteePayConfirm(self.label, self.paper, start, amount, number)

    def take_back(self, start: int = 0) -> c.GuaranteeRelease:
        return c.GuaranteeRelease(self.label, self.cover, self.paper, start)

    def counts(self) -> tuple[int, int]:
        """Called, paid."""
        cover = self.get(r.Guarantee, self.cover)
        return cover.called, cover.paid

    def fund(self, amount: int) -> None:
        number = self.receipt_number()
        self.ok("bank-1", c.FundsReceived(self.label, self.paper, amount, 0, number))

    def settle(self, start: int, amount: int) -> r.Instruction:
        id = next(i for i, key in self.model.settlements.items() if key == (self.paper, start))
        self.ok("bank-1", c.SettlementPaid(self.label, id, amount, self.receipt_number()))
        return self.get(r.Instruction, id)

    def orders_of(self, bank: str, purpose: r.InstructionPurpose) -> list[tuple[bytes, int]]:
        """(payee, amount) of a bank's open instructions for one purpose."""
        keys = self.state.index_scan(Index.BANK_INSTRUCTIONS, self.ids[bank], limit=500)
        found = [self.get(r.Instruction, key[16:]) for key in keys]
        return [(order.payee, order.amount) for order in found if order.purpose is purpose]

    def pledge(self, amount: int) -> bytes:
        """devices borrows 80 % on the tail from bank-2."""
        offer = self.offer(
            kind=r.FinancingKind.LOAN_PLEDGE, grid=(r.RateBand(365, 0, 8_000),)
        )  # fmt: skip
        drawn = self.ok("devices", self.draw("devices", self.paper, 0, amount, offer))
        self.pay_out("bank-2", drawn, amount * 8 // 10)
        return next(x.id for x in drawn.created if x.kind == r.Kind.FINANCING)


@pytest.fixture
def world() -> Guaranteed:
    return Guaranteed()


# --- issue ------------------------------------------------------------------------------------------


def test_a_guarantee_is_listed_in_its_voucher(world: Guaranteed) -> None:
    assert world.get(r.Voucher, world.paper).guarantees == (world.cover,)


def test_guarantors_and_banks_guarantee_and_a_bank_pays(world: Guaranteed) -> None:
    world.refused("NOT_LICENSED", "devices", world.issuing())
    world.refused("NOT_LICENSED", "surety", world.issuing(bank=world.ids["surety"]))
    world.refused("AMOUNT_RANGE", "surety", world.issuing(cap=0))
    world.refused("DATE_RANGE", "surety", world.issuing(expiry=world.day - 1))
    world.refused("RECORD_NOT_FOUND", "surety", world.issuing(covered=bytes(16)))
    world.ok("bank-2", world.issuing())


def test_SELF_DEALING_nobody_guarantees_its_own_debt_or_pays_itself(world: Guaranteed) -> None:
    scope = r.GuaranteeScope.DEBTOR
    world.refused("SELF_DEALING", "surety", world.issuing(scope=scope, covered=world.ids["surety"]))
    world.sell("devices", world.paper, 0, 100, world.offer())
    own = world.ok("bank-2", world.issuing()).created[0].id
    world.go_overdue()
    world.refused("SELF_DEALING", "bank-2", world.call(50, 900, guarantee=own))


def test_BATCH_LIMIT_a_voucher_has_so_many_guarantees(world: Guaranteed) -> None:
    for _ in range(GUARANTEES_MAX - 1):
        world.ok("surety", world.issuing())
    world.refused("BATCH_LIMIT", "surety", world.issuing())


# --- call -------------------------------------------------------------------------------------------


def test_a_guarantee_is_called_from_OVERDUE_on(world: Guaranteed) -> None:
    world.refused("VOUCHER_STATE", "devices", world.call(100))
    world.roll_to(world.dues.grace_end)
    world.refused("VOUCHER_STATE", "devices", world.call(100))
    world.roll_to(world.dues.grace_end + 1)
    world.ok("devices", world.call(100))
    purpose = r.InstructionPurpose.GUARANTEE
    assert world.orders_of("bank-4", purpose) == [(world.ids["devices"], 100)]
    assert world.counts() == (100, 0)


def test_GUARANTEE_CAP_calls_stay_within_the_cap(world: Guaranteed) -> None:
    other = world.voucher(1_000)
    elsewhere = world.ok("surety", world.issuing(covered=other)).created[0].id
    world.go_overdue()
    world.refused("GUARANTEE_CAP", "devices", world.call(601))
    world.refused("GUARANTEE_CAP", "devices", world.call(1, guarantee=elsewhere))
    world.ok("devices", world.call(600))


@pytest.mark.parametrize("scope", [r.GuaranteeScope.DEBTOR, r.GuaranteeScope.PROGRAMME])
def test_a_debtor_or_a_programme_can_be_covered(world: Guaranteed, scope: r.GuaranteeScope) -> None:
    debtor = scope is r.GuaranteeScope.DEBTOR
    covered = world.ids["core"] if debtor else world.dues.programme
    wide = world.ok("surety", world.issuing(scope=scope, covered=covered)).created[0].id
    world.go_overdue()
    world.ok("devices", world.call(100, guarantee=wide))
    world.ok("bank-4", world.confirm(100))
    assert world.lots(world.paper)[1] == ("surety", 900, 1_000, "HELD")


def test_only_holder_or_named_beneficiary_call_and_a_lot_once(world: Guaranteed) -> None:
    named = world.ok("surety", world.issuing(beneficiary=world.ids["shop"])).created[0].id
    world.go_overdue()
    world.refused("NOT_HOLDER", "shop", world.call(100))
    world.refused("NOT_AUTHORISED", "devices", world.call(100, guarantee=named))
    world.refused("AMOUNT_RANGE", "devices", world.call(1_001))
    world.ok("devices", world.call(100))
    world.refused("STATE_CONFLICT", "devices", world.call(100))


def test_a_guarantee_covers_what_the_debtor_has_not_funded(world: Guaranteed) -> None:
    world.go_overdue()
    world.fund(700)
    world.refused("AMOUNT_RANGE", "devices", world.call(301))
    world.ok("devices", world.call(300))


def test_after_its_last_day_a_guarantee_is_not_called(world: Guaranteed) -> None:
    world.roll_to(world.dues.grace_end + 41)
    world.refused("STATE_CONFLICT", "devices", world.call(100))


# --- payment ----------------------------------------------------------------------------------------


def test_paid_the_guarantor_holds_the_range_and_is_paid_by_the_debtor(world: Guaranteed) -> None:
    world.go_overdue()
    world.ok("devices", world.call(600))
    world.refused("NOT_AUTHORISED", "bank-1", world.confirm(600))
    world.refused("AMOUNT_MISMATCH", "bank-4", world.confirm(599))
    world.ok("bank-4", world.confirm(600))
    assert world.lots(world.paper) == [
        ("devices", 0, 400, "HELD"), ("surety", 400, 1_000, "HELD")
    ]  # fmt: skip
    lot = world.get(r.Lot, r.lot_id(world.paper, 400))
    assert (lot.acquired_by, lot.hops) == (r.AcquiredBy.GUARANTEE, 0)
    assert world.counts() == (600, 600)
    line = world.get(r.CreditLine, world.ids["line ISSUE bank-1 core"])
    assert line.used == 1_000, "the debtor still owes it all"
    world.fund(1_000)
    assert world.settle(400, 600).payee == world.ids["surety"]
    assert world.settle(0, 400).payee == world.ids["devices"]
    assert world.get(r.Voucher, world.paper).status is r.VoucherStatus.SETTLED


def test_a_whole_lot_passes_with_its_instruction(world: Guaranteed) -> None:
    pieces = (c.Piece(world.ids["shop"], 300, None),)
    world.ok("devices", c.LotTransfer(world.label, world.paper, 0, pieces))
    world.go_overdue()
    world.ok("shop", world.call(300, 700))
    world.ok("bank-4", world.confirm(300, 700))
    world.fund(1_000)
    assert world.settle(700, 300).payee == world.ids["surety"]


def test_GUARANTEE_NOT_CALLED_no_payment_without_a_call(world: Guaranteed) -> None:
    world.go_overdue()
    world.refused("GUARANTEE_NOT_CALLED", "bank-4", world.confirm(100))
    world.ok("devices", world.call(100))
    world.ok("bank-4", world.confirm(100))
    world.refused("GUARANTEE_NOT_CALLED", "bank-4", world.confirm(100))


def test_RECEIPT_REUSED_a_bank_receipt_pays_one_call(world: Guaranteed) -> None:
    world.go_overdue()
    world.ok("devices", world.call(100))
    first = world.confirm(100)
    world.ok("bank-4", first)
    world.ok("devices", world.call(100))
    world.refused("RECEIPT_REUSED", "bank-4", first)


def test_what_the_debtor_paid_since_the_call_is_not_owed(world: Guaranteed) -> None:
    world.go_overdue()
    world.ok("devices", world.call(600))
    world.fund(700)
    world.settle(0, 700)
    world.refused("AMOUNT_MISMATCH", "bank-4", world.confirm(600))
    world.ok("bank-4", world.confirm(300))
    assert world.counts() == (300, 300)
    assert world.lots(world.paper)[0] == ("surety", 0, 300, "HELD")


def test_a_buying_banks_exposure_is_free_when_the_guarantor_pays(world: Guaranteed) -> None:
    line = world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-2", "core", 1_000)
    offer = world.offer(lines_required=(r.LineKind.DEBTOR_EXPOSURE,))
    world.sell("devices", world.paper, 0, 500, offer)
    world.go_overdue()
    world.ok("bank-2", world.call(200, 500))
    world.ok("bank-4", world.confirm(200, 500))
    assert world.get(r.CreditLine, line).used == 300


def test_the_lender_of_a_pledged_range_calls_and_the_surplus_is_the_borrowers(
    world: Guaranteed,
) -> None:
    """400 pledged for 320 without interest: the guarantor pays 400, 80 go on to the borrower."""
    loan = world.pledge(400)
    world.go_overdue()
    world.refused("NOT_HOLDER", "bank-3", world.call(400, 600))
    world.ok("bank-2", world.call(400, 600))
    world.ok("bank-4", world.confirm(400, 600))
    assert world.lots(world.paper)[1] == ("surety", 600, 1_000, "HELD")
    assert world.state.get(r.Kind.FINANCING, loan) is None
    surplus = world.orders_of("bank-2", r.InstructionPurpose.SURPLUS)
    assert surplus == [(world.ids["devices"], 80)]


def test_part_of_a_pledged_range_repays_part_of_the_loan(world: Guaranteed) -> None:
    loan = world.pledge(400)
    world.go_overdue()
    world.ok("devices", world.call(100, 600))
    world.ok("bank-4", world.confirm(100, 600))
    assert world.get(r.Financing, loan).repaid == 100
    assert world.lots(world.paper)[1:] == [
        ("devices", 600, 900, "PLEDGED"), ("surety", 900, 1_000, "HELD")
    ]  # fmt: skip


# --- release ----------------------------------------------------------------------------------------


def test_the_named_beneficiary_frees_the_guarantor(world: Guaranteed) -> None:
    named = world.ok("surety", world.issuing(beneficiary=world.ids["devices"])).created[0].id
    release = c.GuaranteeRelease(world.label, named, None, 0)
    world.refused("NOT_AUTHORISED", "shop", release)
    world.ok("devices", release)
    world.refused("STATE_CONFLICT", "devices", release)
    world.go_overdue()
    world.refused("STATE_CONFLICT", "devices", world.call(100, guarantee=named))
    everybody = c.GuaranteeRelease(world.label, world.cover, None, 0)
    world.refused("NOT_AUTHORISED", "devices", everybody)


def test_a_call_is_taken_back_until_the_payment_is_sent(world: Guaranteed) -> None:
    world.go_overdue()
    world.refused("GUARANTEE_NOT_CALLED", "devices", world.take_back())
    order = world.ok("devices", world.call(100)).created[0].id
    world.refused("NOT_AUTHORISED", "bank-4", world.take_back())
    world.ok("devices", world.take_back())
    assert world.counts() == (0, 0)
    order = world.ok("devices", world.call(200)).created[0].id
    world.ok("bank-4", c.InstructionSend(world.label, order))
    world.refused("NOT_AUTHORISED", "devices", world.take_back())
    world.ok("bank-4", world.take_back())
    assert world.counts() == (0, 0)
