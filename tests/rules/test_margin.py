"""Margin calls and buy-back of the goods of a prepayment loan (voucher law §8.9, decision 0084)."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from law_world import PEOPLE, World
from test_agenda import crowd, roll_once
from test_goods import LENT, Stored

from node.ledger.execute import BlockResult
from node.ledger.margin import RECEIPTS_PER_LOAN_MAX, buyback_id, margin_id
from tallynet import commands as c
from tallynet import records as r
from tallynet.envelope import Envelope
from tallynet.hashing import record_id
from tallynet.receipts import CommandReceipt

DAYS = 5
"""`margin_call_days`."""
CARRIED_BY_LOWER_PRICE = 84_000_000
"""70 % of 2,000 cases at ¥600."""


class Called(Stored):
    """The goods of `Stored` are shipped; `board` prices them. 2,000 cases at ¥720 carry ¥1,008,000."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.people["board"] = tuple(PEOPLE)
        self.admit("board", r.OrganisationKind.ORACLE)
        self.fund()
        self.ok("distillery", self.shipping())
        self.end_day = self.get(r.Financing, self.loan).end_day

    def money(self) -> list[object]:
        """Also what a refused call must not change."""
        goods = [self.state.get(r.Kind.WAREHOUSE_RECEIPT, self.goods)]
        return [*super().money(), *goods, self.owed, self.margin, self.buyback]

    @property
    def owed(self) -> int:
        loan = self.state.get(r.Kind.FINANCING, self.loan)
        return loan.principal - loan.repaid if isinstance(loan, r.Financing) else 0

    @property
    def margin(self) -> r.Margin | None:
        found = self.state.get(r.Kind.MARGIN, margin_id(self.loan))
        return found if isinstance(found, r.Margin) else None

    @property
    def buyback(self) -> r.Instruction | None:
        found = self.state.get(r.Kind.INSTRUCTION, buyback_id(self.loan))
        return found if isinstance(found, r.Instruction) else None

    @property
    def short(self) -> tuple[int, int | None] | None:
        """(shortfall, deadline)."""
        margin = self.margin
        return None if margin is None else (margin.shortfall, margin.deadline)

    def price(self, fen: int, receipt: bytes | None = None) -> None:
        self.ok("board", c.WarehouseReceiptPrice(self.label, receipt or self.goods, fen))

    def calling(self) -> c.MarginCall:
        return c.MarginCall(self.label, self.loan)

    def buying(self) -> c.BuybackCall:
        return c.BuybackCall(self.label, self.loan)

    def more_goods(self, cases: int, advance_bps: int = 7_000) -> bytes:
        """The distributor's own, pledged for the loan, at ¥720."""
        receipt = self.ok("store", self.issuing(quantity=cases)).created[0].id
        pledge = c.WarehouseReceiptPledge(self.label, receipt, self.loan, advance_bps)
        self.ok("retail", pledge)
        return receipt

    def paying(self, amount: int) -> c.BuybackConfirm:
        receipt = sha256(b"receipt" + self.label).digest()
        return c.BuybackConfirm(self.label, buyback_id(self.loan), amount, receipt)

    def bought_back(self, amount: int) -> CommandReceipt:
        return self.ok("bank-2", self.paying(amount))


@pytest.fixture
def world() -> Called:
    return Called()


# --- warehouse.margin.call: loan-to-value breached --------------------------------------------------


def test_a_price_that_carries_the_loan_calls_nobody(world: Called) -> None:
    world.price(71_429)
    assert world.short is None
    world.refused("LOAN_TO_VALUE", "bank-2", world.calling())


def test_a_lower_price_is_short_by_what_the_goods_do_not_carry(world: Called) -> None:
    """To the fen: 70 % of 2,000 cases at ¥714.28 are ¥999,992."""
    world.price(71_428)
    assert world.short == (800, None)
    world.price(60_000)
    assert world.short == (LENT - CARRIED_BY_LOWER_PRICE, None)


def test_the_bank_calls_on_the_day_of_the_price(world: Called) -> None:
    world.price(60_000)
    world.refused("NOT_AUTHORISED", "bank-3", world.calling())
    world.refused("NOT_AUTHORISED", "retail", world.calling())
    called = world.ok("bank-2", world.calling())
    assert called.result == (16_000_000, world.day + DAYS)
    assert world.short == (16_000_000, world.day + DAYS)
    world.refused("STATE_CONFLICT", "bank-2", world.calling())


def test_the_network_calls_on_the_day_after_if_no_bank_has(world: Called) -> None:
    world.price(60_000)
    noted = world.day
    world.roll_to(noted + 1)
    assert world.short == (16_000_000, noted + 1 + DAYS)
    world.refused("STATE_CONFLICT", "bank-2", world.calling())


def test_a_price_that_recovers_on_the_same_day_calls_nobody(world: Called) -> None:
    world.price(60_000)
    world.price(72_000)
    assert world.short is None
    world.roll_to(world.day + 2)
    assert world.short is None


def test_the_days_of_a_call_are_a_dated_parameter(world: Called) -> None:
    command = c.ParameterSet(world.label, "margin_call_days", world.day + 1, 9)
    for bank in ("bank-1", "bank-2", "bank-3"):
        world.ok(bank, command)
    world.roll_to(world.day + 1)
    world.price(60_000)
    assert world.ok("bank-2", world.calling()).result == (16_000_000, world.day + 9)


# --- cured: at pledge, repay, price -----------------------------------------------------------------


@pytest.fixture
def called(world: Called) -> Called:
    """¥160,000 are short since today."""
    world.price(60_000)
    world.ok("bank-2", world.calling())
    return world


def test_goods_pledged_for_the_same_loan_cure(called: Called) -> None:
    """317 cases at ¥720 carry ¥159,768, one more is enough."""
    called.more_goods(317)
    assert called.short == (23_200, called.day + DAYS), "the deadline stays"
    called.more_goods(1)
    assert called.short is None
    called.roll_to(called.day + DAYS + 2)
    assert called.buyback is None


def test_a_repayment_cures(called: Called) -> None:
    called.repay(15_999_999)
    assert called.short == (1, called.day + DAYS)
    called.repay(1)
    assert called.short is None


def test_a_price_cures(called: Called) -> None:
    called.price(71_428)
    assert called.short == (800, called.day + DAYS)
    called.price(71_429)
    assert called.short is None


def test_a_cured_loan_can_be_called_again(called: Called) -> None:
    called.price(72_000)
    called.roll_to(called.day + 3)
    called.price(60_000)
    assert called.ok("bank-2", called.calling()).result == (16_000_000, called.day + DAYS)


def test_a_release_counts_all_goods_of_the_loan(called: Called) -> None:
    """warehouse.receipt.release: remaining value x advance_bps >= outstanding x 10000."""
    called.more_goods(400)
    called.repay(40_000_000)
    called.refused("QUANTITY_EXCEEDED", "bank-2", called.release(801))
    called.ok("bank-2", called.release(800))
    # 1,200 cases at ¥600 alone would carry ¥504,000 of ¥600,000, with the 400 at ¥720 it is ¥705,600.
    called.price(47_428)
    assert called.short == (480, None)


def test_a_loan_takes_so_many_receipts(world: Called) -> None:
    for _ in range(RECEIPTS_PER_LOAN_MAX - 1):
        world.more_goods(1)
    one = world.ok("store", world.issuing()).created[0].id
    pledge = c.WarehouseReceiptPledge(world.label, one, world.loan, 7_000)
    world.refused("BATCH_LIMIT", "retail", pledge)


# --- who is never called ----------------------------------------------------------------------------


def test_goods_pledged_before_the_shipment_are_not_called(world: Called) -> None:
    """A maker that has not shipped owes a refund; until then goods carry nothing and need not."""
    world.line(r.LineKind.BORROWER, "bank-3", "retail", LENT)
    world.ok("retail", world.requesting(label=b"second", bank=world.ids["bank-3"]))
    order = record_id(r.Kind.PREPAYMENT, world.ids["retail"], b"second")
    world.pay_out("bank-3", world.ok("bank-3", world.funding(prepayment=order)), LENT)
    loan = world.financing("bank-3", b"loan")
    receipt = world.ok("store", world.issuing(quantity=1)).created[0].id
    world.ok("retail", c.WarehouseReceiptPledge(world.label, receipt, loan, 7_000))
    world.price(1, receipt)
    world.refused("LOAN_TO_VALUE", "bank-3", c.MarginCall(world.label, loan))
    world.refused("LOAN_TO_VALUE", "bank-3", c.BuybackCall(world.label, loan))


def test_a_loan_on_a_voucher_has_its_range(world: Called) -> None:
    world.core_and_suppliers()
    voucher = world.voucher(1_000)
    offer = world.offer(kind=r.FinancingKind.LOAN_PLEDGE, grid=(r.RateBand(365, 0, 8_000),))
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 1_000, offer))
    world.pay_out("bank-2", drawn, 800)
    loan = drawn.created[0].id
    world.refused("STATE_CONFLICT", "bank-2", c.MarginCall(world.label, loan))
    world.refused("STATE_CONFLICT", "bank-2", c.BuybackCall(world.label, loan))


# --- warehouse.buyback.call -------------------------------------------------------------------------


def test_a_missed_deadline_is_a_buyback_of_the_maker(called: Called) -> None:
    deadline = called.day + DAYS
    called.repay(1_000_000)
    called.roll_to(deadline)
    assert (called.buyback, called.short) == (None, (15_000_000, deadline))
    called.refused("LOAN_TO_VALUE", "bank-2", called.buying())
    called.roll_to(deadline + 1)
    order = called.buyback
    assert order is not None
    assert called.margin is None
    assert (order.payer, order.payee, order.bank, order.amount, order.purpose) == (
        called.ids["distillery"], called.ids["bank-2"], called.ids["bank-2"], 99_000_000,
        r.InstructionPurpose.BUYBACK,
    )  # fmt: skip
    called.refused("STATE_CONFLICT", "bank-2", called.buying())
    called.refused("STATE_CONFLICT", "bank-2", called.calling())


def test_a_price_after_the_deadline_is_too_late(called: Called) -> None:
    called.roll_to(called.day + DAYS + 1)
    called.price(90_000)
    assert called.buyback is not None


def test_a_loan_unpaid_at_its_end_is_called_for_all_that_is_outstanding(world: Called) -> None:
    world.roll_to(world.end_day)
    assert world.short is None
    world.refused("LOAN_TO_VALUE", "bank-2", world.buying())
    world.roll_to(world.end_day + 1)
    assert world.short == (LENT, world.end_day + 1 + DAYS), "though the goods would carry it"
    world.more_goods(1_000)
    assert world.short == (LENT, world.end_day + 1 + DAYS), "only repayment cures"
    world.roll_to(world.end_day + 1 + DAYS)
    assert world.buyback is None
    world.roll_to(world.end_day + 2 + DAYS)
    assert world.buyback is not None
    assert world.buyback.amount == LENT


def test_the_bank_need_not_wait_after_the_end(world: Called) -> None:
    world.roll_to(world.end_day + 1)
    world.refused("NOT_AUTHORISED", "bank-3", world.buying())
    called = world.ok("bank-2", world.buying())
    assert (called.result, called.created[0].id) == ((LENT,), buyback_id(world.loan))
    assert world.margin is None


def test_a_written_off_loan_is_bought_back_too(world: Called) -> None:
    world.roll_to(world.end_day + 1)
    world.ok("bank-2", c.FinancingWriteOff(world.label, world.loan))
    world.ok("bank-2", world.buying())
    world.bought_back(LENT)
    assert world.owed == 0


def test_the_amount_is_all_that_is_owed_with_its_interest() -> None:
    """3.6 % of ¥1,000,000 in 61 days are ¥6,100."""
    made = Stored()
    made.ok("retail", made.requesting())
    made.pay_out("bank-2", made.ok("bank-2", made.funding(rate_ppm=36_000)), LENT)
    made.ok("distillery", made.shipping())
    end = made.get(r.Financing, made.loan).end_day
    made.roll_to(end + 1)
    called = made.ok("bank-2", c.BuybackCall(made.label, made.loan))
    days = end + 1 - made.get(r.Financing, made.loan).value_day
    assert called.result == (LENT + LENT * 36_000 * days // 360_000_000,)


# --- warehouse.buyback.confirm ----------------------------------------------------------------------


@pytest.fixture
def owing(called: Called) -> Called:
    """The maker has to buy back since today."""
    called.roll_to(called.day + DAYS + 1)
    return called


def test_the_money_repays_the_loan_and_the_goods_are_the_makers(owing: Called) -> None:
    owing.refused("AMOUNT_MISMATCH", "bank-2", owing.paying(LENT - 1))
    owing.refused("NOT_AUTHORISED", "bank-1", owing.paying(LENT))
    owing.bought_back(LENT)
    receipt = owing.get(r.WarehouseReceipt, owing.goods)
    assert (receipt.owner, receipt.pledgee, receipt.financing) == (
        owing.ids["distillery"], None, None
    )  # fmt: skip
    assert owing.ranges(owing.goods) == (0, 2_000, 2_000)
    assert owing.state.get(r.Kind.FINANCING, owing.loan) is None
    assert owing.used() == (0, 0)
    assert owing.buyback is None
    owing.ok("store", owing.deliver(2_000))


def test_other_instructions_are_not_confirmed_as_a_buyback(owing: Called) -> None:
    announced = owing.ok("retail", c.FinancingRepay(owing.label, owing.loan, 1))
    wrong = c.BuybackConfirm(owing.label, announced.created[0].id, 1, bytes(32))
    owing.refused("STATE_CONFLICT", "bank-2", wrong)
    plain = c.InstructionConfirm(owing.label, buyback_id(owing.loan), LENT, bytes(32))
    owing.refused("STATE_CONFLICT", "bank-2", plain)


def test_a_bank_receipt_confirms_once(owing: Called) -> None:
    used = sha256(b"used").digest()
    announced = owing.ok("retail", c.FinancingRepay(owing.label, owing.loan, 1))
    owing.ok("bank-2", c.RepayConfirm(owing.label, announced.created[0].id, 1, used))
    again = c.BuybackConfirm(owing.label, buyback_id(owing.loan), LENT - 1, used)
    owing.refused("RECEIPT_REUSED", "bank-2", again)


def test_what_was_released_stays_the_borrowers(world: Called) -> None:
    world.repay(40_000_000)
    world.ok("bank-2", world.release(800))
    world.ok("store", world.deliver(300))
    world.roll_to(world.end_day + 1)
    world.ok("bank-2", world.buying())
    bought = world.bought_back(60_000_000).created[0].id
    assert (world.ranges(world.goods), world.ranges(bought)) == (
        (0, 500, 800), (0, 1_200, 1_200)
    )  # fmt: skip
    assert world.get(r.WarehouseReceipt, world.goods).owner == world.ids["retail"]
    assert world.get(r.WarehouseReceipt, bought).owner == world.ids["distillery"]


def test_goods_that_the_borrower_added_are_not_the_makers(called: Called) -> None:
    more = called.more_goods(10)
    called.roll_to(called.day + DAYS + 1)
    called.bought_back(LENT)
    assert called.get(r.WarehouseReceipt, more).owner == called.ids["retail"]
    called.ok("bank-2", called.release(10, more))


def test_what_the_borrower_repays_meanwhile_the_maker_owes_no_more(owing: Called) -> None:
    owing.repay(30_000_000)
    assert owing.buyback is not None
    assert owing.buyback.amount == 70_000_000
    owing.refused("AMOUNT_MISMATCH", "bank-2", owing.paying(LENT))
    owing.bought_back(70_000_000)
    assert owing.owed == 0


def test_a_loan_that_is_repaid_needs_no_buyback(owing: Called) -> None:
    owing.repay(LENT)
    assert owing.buyback is None
    owing.refused("RECORD_NOT_FOUND", "bank-2", owing.paying(LENT))
    assert owing.get(r.WarehouseReceipt, owing.goods).owner == owing.ids["retail"]


def test_a_loan_that_is_repaid_is_called_no_more(called: Called) -> None:
    called.repay(LENT)
    assert called.margin is None


def test_interest_after_the_call_stays_the_borrowers() -> None:
    made = Stored()
    made.ok("retail", made.requesting())
    made.pay_out("bank-2", made.ok("bank-2", made.funding(rate_ppm=36_000)), LENT)
    made.ok("distillery", made.shipping())
    end = made.get(r.Financing, made.loan).end_day
    made.roll_to(end + 1)
    amount = made.ok("bank-2", c.BuybackCall(made.label, made.loan)).result[0]
    made.roll_to(made.day + 10)
    receipt = sha256(b"bought").digest()
    made.ok("bank-2", c.BuybackConfirm(made.label, buyback_id(made.loan), amount, receipt))
    loan = made.get(r.Financing, made.loan)
    assert loan.principal - loan.repaid == 100_000, "ten days of 3.6 %"
    made.roll_to(made.day + 10)
    assert made.state.get(r.Kind.MARGIN, margin_id(made.loan)) is None, (
        "no goods are left to call for"
    )


# --- however far the agenda has come (touch rule, §5) -----------------------------------------------


class Swept(Called):
    """Without the money model, which knows no backlog: it does at once what the day brings."""

    def block(self, *envelopes: Envelope, seconds: int = 1) -> BlockResult:
        return World.block(self, *envelopes, seconds=seconds)

    def into_backlog(self) -> None:
        """Two days on; what fell due on them waits."""
        crowd(self, self.day + 1, 4 * 200)
        roll_once(self)
        roll_once(self)


@pytest.fixture
def late() -> Swept:
    return Swept()


def test_a_price_after_a_deadline_that_waits_on_the_agenda_is_too_late(late: Swept) -> None:
    late.price(60_000)
    late.ok("bank-2", late.calling())
    late.roll_to(late.day + DAYS - 1)
    late.into_backlog()
    assert late.margin is not None, "the agenda has not come to it"
    late.price(90_000)
    assert late.margin is None
    assert late.buyback is not None


def test_a_call_that_waits_on_the_agenda_has_the_deadline_of_its_day(late: Swept) -> None:
    late.price(60_000)
    noted = late.day
    late.into_backlog()
    assert late.short == (16_000_000, None)
    late.refused("STATE_CONFLICT", "bank-2", late.calling())
    late.repay(1)
    assert late.short == (15_999_999, noted + 1 + DAYS)


def test_a_loan_is_unpaid_though_its_end_waits_on_the_agenda(late: Swept) -> None:
    late.roll_to(late.end_day - 1)
    late.into_backlog()
    assert late.get(r.Financing, late.loan).state is r.FinancingState.OUTSTANDING
    assert late.ok("bank-2", late.buying()).result == (LENT,)
    late.roll_to(late.day + 2)
    assert late.margin is None
    late.bought_back(LENT)
    assert late.owed == 0
