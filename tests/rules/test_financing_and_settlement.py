"""Financing, loans and settlement (voucher law §8.7, §8.8, §11, §12) and scenario A of §19."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from law_world import World

from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.fields import from_wide
from tallynet.hashing import record_id

EXPOSURE = (r.LineKind.DEBTOR_EXPOSURE,)


@pytest.fixture
def world() -> World:
    made = World(audited=True)
    made.core_and_suppliers()
    return made


def receipt_number(world: World) -> bytes:
    return sha256(b"receipt" + world.label).digest()


def instructions(world: World, voucher: bytes) -> list[tuple[bytes, r.Instruction]]:
    found = world.state.index_scan(Index.VOUCHER_INSTRUCTIONS, voucher, limit=500)
    return [(key[16:], world.get(r.Instruction, key[16:])) for key in found]


def fund(world: World, voucher: bytes, face: int, penalty: int = 0) -> None:
    world.ok("bank-1", c.FundsReceived(world.label, voucher, face, penalty, receipt_number(world)))


def pay_all(world: World, voucher: bytes) -> dict[str, int]:
    names = {id: name for name, id in world.ids.items()}
    paid: dict[str, int] = {}
    for id, instruction in instructions(world, voucher):
        amount = instruction.amount - instruction.paid
        penalty = instruction.purpose is r.InstructionPurpose.PENALTY
        command = c.InstructionConfirm if penalty else c.SettlementPaid
        world.ok("bank-1", command(world.label, id, amount, receipt_number(world)))
        holder = names[instruction.payee]
        paid[holder] = paid.get(holder, 0) + amount
    return paid


# --- draws ------------------------------------------------------------------------------------------


def test_a_sale_uses_the_line_and_moves_the_holder_on_confirmation_only(world: World) -> None:
    line = world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-2", "core", 1_000)
    voucher, offer = world.voucher(1_000), world.offer(lines_required=EXPOSURE)
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 600, offer))
    assert world.lots(voucher)[1] == ("devices", 400, 1_000, "FINANCING_PENDING")
    assert world.get(r.CreditLine, line).reserved == 600
    world.pay_out("bank-2", drawn, drawn.result[1])
    assert world.lots(voucher)[1] == ("bank-2", 400, 1_000, "HELD")
    assert (world.get(r.CreditLine, line).reserved, world.get(r.CreditLine, line).used) == (0, 600)
    no_line = world.offer("bank-3", lines_required=EXPOSURE)
    world.refused("LINE_EXCEEDED", "devices", world.draw("devices", voucher, 0, 400, no_line))


def test_I4_a_cut_line_stops_new_draws_and_old_ones_stand(world: World) -> None:
    line = world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-2", "core", 1_000)
    voucher, offer = world.voucher(1_000), world.offer(lines_required=EXPOSURE)
    world.sell("devices", voucher, 0, 600, offer)
    cut = c.LineChange(world.label, line, 100, world.day, world.day + 300, ())
    assert world.ok("bank-2", cut).result == (1,)
    world.refused("LINE_EXCEEDED", "devices", world.draw("devices", voucher, 0, 1, offer))
    assert world.lots(voucher)[1] == ("bank-2", 400, 1_000, "HELD")


def test_I16_a_failed_draw_gives_everything_back_exactly(world: World) -> None:
    line = world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-2", "core", 10_000)
    voucher, offer = world.voucher(10_000), world.offer(lines_required=EXPOSURE)
    world.sell("devices", voucher, 0, 100, offer)
    basis = (360).to_bytes(2, "big")
    key = record_id(r.Kind.REMAINDER, world.ids["bank-2"] + world.ids["devices"], b"CNY" + basis)
    before = (world.lots(voucher), world.get(r.Remainder, key), world.get(r.CreditLine, line),
              world.get(r.Offer, offer))  # fmt: skip
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 777, offer))
    instruction = next(x.id for x in drawn.created if x.kind == r.Kind.INSTRUCTION)
    world.ok("bank-2", c.PayoutFail(world.label, instruction))
    after = (world.lots(voucher), world.get(r.Remainder, key), world.get(r.CreditLine, line),
             world.get(r.Offer, offer))  # fmt: skip
    assert after == before
    assert from_wide(before[1].value) == 100 * 43_500 * 91 - 360_000_000


def test_system_payout_expire_undoes_a_draw(world: World) -> None:
    voucher, offer = world.voucher(1_000), world.offer()
    world.ok("devices", world.draw("devices", voucher, 0, 600, offer))
    world.block(seconds=86_400)
    assert world.lots(voucher) == [("devices", 0, 1_000, "HELD")]


def test_early_payment_extinguishes_the_debt(world: World) -> None:
    voucher = world.voucher(1_000)
    offer = world.offer("core", kind=r.FinancingKind.EARLY_PAY,
                        grid=(r.RateBand(365, 0, 10_000),))  # fmt: skip
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 400, offer))
    instruction = next(x for x in drawn.created if x.kind == r.Kind.INSTRUCTION).id
    bank = world.get(r.Instruction, instruction).bank
    assert bank == world.ids["bank-1"], "the payee's bank reports a core's payment"
    world.pay_out("bank-1", drawn, 400)
    assert world.lots(voucher)[1] == ("devices", 600, 1_000, "REDEEMED")
    line = world.ids["line ISSUE bank-1 core"]
    assert world.get(r.CreditLine, line).used == 600


def test_C16_AUTO_takes_the_programme_order_then_the_cheapest_open_offer(world: World) -> None:
    dear = world.offer("bank-2", grid=(r.RateBand(365, 50_000, 10_000),))
    world.offer("bank-3", grid=(r.RateBand(365, 40_000, 10_000),))
    voucher = world.voucher(100_000)
    assert world.ok("devices", world.draw("devices", voucher, 0, 1, None)).result[2] == 40_000
    ordered = world.voucher(100_000, funding_order=(dear,))
    assert world.ok("devices", world.draw("devices", ordered, 0, 1, None)).result[2] == 50_000


def test_draw_refusals(world: World) -> None:
    voucher = world.voucher(1_000)
    offer = world.offer(draw_min=10, draw_max=500, total_cap=600, organisation_cap=550,
                        grid=(r.RateBand(91, 43_500, 10_000),))  # fmt: skip
    draw = lambda amount, **k: world.draw("devices", voucher, 0, amount, k.get("offer", offer))  # noqa: E731
    world.refused("NO_OFFER", "devices", draw(10, offer=bytes(16)))
    world.refused("AMOUNT_RANGE", "devices", draw(0))
    world.refused("AMOUNT_RANGE", "devices", draw(1_001))
    world.refused("OFFER_CAP", "devices", draw(9))
    world.refused("OFFER_CAP", "devices", draw(501))
    world.ok("devices", draw(500))
    world.refused("OFFER_CAP", "devices", draw(51))
    world.refused("NOT_HOLDER", "shop", world.draw("shop", voucher, 0, 10, offer))
    foreign = c.FinancingDraw(
        world.label, offer, voucher, 0, 10, world.account("shop"), r.Purpose.RENT
    )
    world.refused("PAYEE_NOT_ALLOWED", "devices", foreign)
    short = world.offer("bank-3", grid=(r.RateBand(30, 43_500, 10_000),))
    world.refused("TENOR_BAND", "devices", draw(10, offer=short))
    scoped = world.offer("bank-3", debtors=(world.ids["devices"],))
    world.refused("OFFER_SCOPE", "devices", draw(10, offer=scoped))
    world.ok("bank-3", c.OfferRevoke(world.label, scoped))
    world.refused("NO_OFFER", "devices", draw(10, offer=scoped))


def test_SELF_DEALING_a_bank_does_not_finance_itself(world: World) -> None:
    voucher, offer = world.voucher(1_000), world.offer()
    world.sell("devices", voucher, 0, 1_000, offer)
    bind = c.AccountBind(b"main", world.ids["bank-1"], bytes(32), "CNY")
    world.ok("bank-2", bind)
    world.ok("bank-1", c.AccountVerify(world.label, world.account("bank-2")))
    world.refused("SELF_DEALING", "bank-2", world.draw("bank-2", voucher, 0, 10, offer))


def test_only_banks_offer_NOT_LICENSED_and_payouts_are_exact(world: World) -> None:
    voucher, offer = world.voucher(1_000), world.offer()
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 500, offer))
    instruction = next(x.id for x in drawn.created if x.kind == r.Kind.INSTRUCTION)
    number = receipt_number(world)
    wrong = c.PayoutConfirm(world.label, instruction, 500, number)
    world.refused("AMOUNT_MISMATCH", "bank-2", wrong)
    right = c.PayoutConfirm(world.label, instruction, drawn.result[1], number)
    world.refused("NOT_AUTHORISED", "bank-3", right)
    world.ok("bank-2", right)
    again = world.ok("devices", world.draw("devices", voucher, 0, 100, offer))
    second = next(x.id for x in again.created if x.kind == r.Kind.INSTRUCTION)
    reused = c.PayoutConfirm(world.label, second, again.result[1], number)
    world.refused("RECEIPT_REUSED", "bank-2", reused)
    world.refused("KEY_CAP", "bank-2",
                  c.PayoutConfirm(world.label, second, 10**12 + 1, receipt_number(world)),
                  signers=[("machine", r.Role.API)])  # fmt: skip


# --- loans ------------------------------------------------------------------------------------------


def loan(world: World, voucher: bytes, amount: int) -> bytes:
    offer = world.offer(
        "bank-2", kind=r.FinancingKind.LOAN_PLEDGE, grid=(r.RateBand(365, 34_500, 8_000),)
    )
    drawn = world.ok("devices", world.draw("devices", voucher, 0, amount, offer))
    world.pay_out("bank-2", drawn, amount * 8_000 // 10_000)
    return next(x.id for x in drawn.created if x.kind == r.Kind.FINANCING)


def repay(world: World, financing: bytes, amount: int) -> tuple[int, ...]:
    announced = world.ok("devices", c.FinancingRepay(world.label, financing, amount))
    instruction = announced.created[0].id
    confirm = c.RepayConfirm(world.label, instruction, amount, receipt_number(world))
    return world.ok("bank-2", confirm).result


def test_I5_a_loan_pledges_the_range_pays_principal_in_full_and_is_repaid(world: World) -> None:
    voucher = world.voucher(100_000_000)
    financing = loan(world, voucher, 100_000_000)
    assert world.lots(voucher) == [("devices", 0, 100_000_000, "PLEDGED")]
    assert world.get(r.Financing, financing).net == 80_000_000
    pieces = (c.Piece(world.ids["shop"], 1, None),)
    world.refused("LOT_STATE", "devices", c.LotTransfer(world.label, voucher, 0, pieces))
    world.roll_to(world.day + 31)
    interest = (2 * 80_000_000 * 34_500 * 31 + 360_000_000) // 720_000_000
    owed = 80_000_000 + interest
    world.refused("OVERPAYMENT", "devices", c.FinancingRepay(world.label, financing, owed + 1))
    assert repay(world, financing, interest + 30_000_000) == (interest, 30_000_000, 50_000_000)
    assert repay(world, financing, 50_000_000) == (0, 50_000_000, 0)
    assert world.lots(voucher) == [("devices", 0, 100_000_000, "HELD")]
    assert world.state.get(r.Kind.FINANCING, financing) is None


def test_a_repayment_that_never_came_may_be_announced_again(world: World) -> None:
    """Announced and not paid, it would else use up for ever what the borrower may announce."""
    financing = loan(world, world.voucher(1_000_000), 1_000_000)
    announced = world.ok("devices", c.FinancingRepay(world.label, financing, 800_000))
    instruction = announced.created[0].id
    again = c.FinancingRepay(world.label, financing, 1)
    world.refused("OVERPAYMENT", "devices", again)
    world.refused("NOT_AUTHORISED", "bank-1", c.InstructionFail(world.label, instruction))
    world.ok("bank-2", c.InstructionFail(world.label, instruction))
    assert world.state.get(r.Kind.INSTRUCTION, instruction) is None
    assert world.get(r.Financing, financing).repayment_pending == 0
    late = c.RepayConfirm(world.label, instruction, 800_000, receipt_number(world))
    world.refused("RECORD_NOT_FOUND", "bank-2", late)
    assert repay(world, financing, 800_000) == (0, 800_000, 0)


def test_STATE_CONFLICT_a_repayment_for_a_loan_that_settlement_has_repaid(world: World) -> None:
    """The bank returns the money, and nothing is left on its list."""
    voucher = world.voucher(1_000_000)
    financing = loan(world, voucher, 1_000_000)
    world.roll_to(world.get(r.Voucher, voucher).maturity)
    announced = world.ok("devices", c.FinancingRepay(world.label, financing, 800_000))
    instruction = announced.created[0].id
    fund(world, voucher, 1_000_000)
    pay_all(world, voucher)
    assert world.state.get(r.Kind.FINANCING, financing) is None
    late = c.RepayConfirm(world.label, instruction, 800_000, receipt_number(world))
    world.refused("STATE_CONFLICT", "bank-2", late)
    world.ok("bank-2", c.InstructionFail(world.label, instruction))
    listed = world.state.index_scan(Index.BANK_INSTRUCTIONS, world.ids["bank-2"], limit=10)
    assert all(key[16:] != instruction for key in listed)


def test_a_pledged_lot_pays_the_lender_first_and_the_surplus_to_the_borrower(world: World) -> None:
    voucher = world.voucher(1_000_000)
    financing = loan(world, voucher, 1_000_000)
    world.roll_to(world.get(r.Voucher, voucher).maturity)
    fund(world, voucher, 1_000_000)
    assert pay_all(world, voucher) == {"bank-2": 1_000_000}
    interest = (2 * 800_000 * 34_500 * 91 + 360_000_000) // 720_000_000
    surplus = [
        world.get(r.Instruction, key[16:])
        for key in world.state.index_scan(Index.BANK_INSTRUCTIONS, world.ids["bank-2"], limit=10)
    ]
    assert [(x.payee, x.amount) for x in surplus] == [
        (world.ids["devices"], 1_000_000 - 800_000 - interest)
    ]
    assert world.state.get(r.Kind.FINANCING, financing) is None
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.SETTLED


# --- settlement -------------------------------------------------------------------------------------


def test_a_range_bought_beside_the_line_frees_nothing_of_it(world: World) -> None:
    line = world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-2", "core", 1_000)
    voucher, sale = world.voucher(1_000), world.offer()
    under = world.offer(kind=r.FinancingKind.LOAN_PLEDGE, lines_required=EXPOSURE)
    for amount, offer in ((600, sale), (400, under)):
        drawn = world.ok("devices", world.draw("devices", voucher, 0, amount, offer))
        world.pay_out("bank-2", drawn, drawn.result[1])
    world.roll_to(world.get(r.Voucher, voucher).maturity)
    fund(world, voucher, 1_000)
    orders = dict(instructions(world, voucher))
    bought, lent = sorted(orders, key=lambda id: -orders[id].start)
    for id, left in ((bought, 400), (lent, 4)):  # 4 of the range paid the interest
        paid = c.SettlementPaid(world.label, id, orders[id].amount, receipt_number(world))
        world.ok("bank-1", paid)
        assert world.get(r.CreditLine, line).used == left


def test_bought_face_that_is_passed_on_or_sold_on_frees_the_line(world: World) -> None:
    first = world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-2", "core", 1_000)
    second = world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-3", "core", 1_000)
    voucher, offer = world.voucher(1_000), world.offer(lines_required=EXPOSURE)
    world.sell("devices", voucher, 0, 600, offer)
    assert world.get(r.CreditLine, first).used == 600
    pieces = (c.Piece(world.ids["shop"], 100, None),)
    world.ok("bank-2", c.LotTransfer(world.label, voucher, 400, pieces))
    assert world.get(r.CreditLine, first).used == 500
    onward = world.offer("bank-3", lines_required=EXPOSURE)
    world.ok("bank-2", c.AccountBind(b"main", world.ids["bank-1"], bytes(32), "CNY"))
    world.ok("bank-1", c.AccountVerify(world.label, world.account("bank-2")))
    drawn = world.ok("bank-2", world.draw("bank-2", voucher, 400, 200, onward))
    world.pay_out("bank-3", drawn, drawn.result[1])
    assert [world.get(r.CreditLine, line).used for line in (first, second)] == [300, 200]


def test_ranges_that_a_line_counts_and_others_are_not_joined(world: World) -> None:
    world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-2", "core", 1_000)
    voucher, beside = world.voucher(1_000), world.offer()
    under = world.offer(lines_required=EXPOSURE)
    for offer in (under, under, beside, beside):
        world.sell("devices", voucher, 0, 100, offer)
    assert world.lots(voucher) == [
        ("devices", 0, 600, "HELD"), ("bank-2", 600, 800, "HELD"), ("bank-2", 800, 1_000, "HELD"),
    ]  # fmt: skip


def test_partial_funds_are_shared_pro_rata_and_never_overpaid_I13(world: World) -> None:
    voucher = world.voucher(1_000)
    pieces = (c.Piece(world.ids["shop"], 300, None),)
    world.ok("devices", c.LotTransfer(world.label, voucher, 0, pieces))
    world.refused("VOUCHER_STATE", "bank-1",
                  c.FundsReceived(world.label, voucher, 1, 0, receipt_number(world)))  # fmt: skip
    world.roll_to(world.get(r.Voucher, voucher).maturity)
    fund(world, voucher, 100)
    (first, one), (second, two) = sorted(
        instructions(world, voucher), key=lambda entry: entry[1].start
    )
    assert (one.amount, two.amount) == (700, 300)
    pay = lambda id, amount: c.SettlementPaid(world.label, id, amount, receipt_number(world))  # noqa: E731
    world.refused("FUNDS_SHORT", "bank-1", pay(first, 71))
    world.refused("NOT_AUTHORISED", "bank-2", pay(first, 70))
    world.ok("bank-1", pay(first, 70))
    world.ok("bank-1", pay(second, 30))
    world.refused("FUNDS_EXCEEDED", "bank-1",
                  c.FundsReceived(world.label, voucher, 901, 0, receipt_number(world)))  # fmt: skip
    fund(world, voucher, 900)
    assert pay_all(world, voucher) == {"devices": 630, "shop": 270}
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.SETTLED
    world.refused("SETTLEMENT_REPLAY", "bank-1", pay(first, 1))
    line = world.get(r.CreditLine, world.ids["line ISSUE bank-1 core"])
    assert (line.reserved, line.used) == (0, 0)


def test_overdue_blocks_the_issuer_and_late_payment_lifts_it(world: World) -> None:
    voucher = world.voucher(1_000)
    given = world.get(r.Voucher, voucher)
    world.roll_to(given.grace_end)
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.DUE
    world.roll_to(given.grace_end + 1)
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.OVERDUE
    command = world.issue(1, world.document(1), given.programme, given.issue_line)
    world.refused("ISSUER_BLOCKED", "core", command)
    world.roll_to(given.grace_end + 31)
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.DEFAULTED
    fund(world, voucher, 1_000)
    pay_all(world, voucher)
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.SETTLED
    world.ok("core", world.issue(1, world.document(1), given.programme, given.issue_line,
                                 maturity=world.day + 30))  # fmt: skip


def test_a_funded_voucher_is_not_overdue_although_the_bank_is_slow(world: World) -> None:
    voucher = world.voucher(1_000)
    given = world.get(r.Voucher, voucher)
    world.roll_to(given.maturity)
    fund(world, voucher, 1_000)
    world.roll_to(given.grace_end + 5)
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.DUE


def test_at_maturity_a_pending_transfer_pays_the_sender_and_a_pending_draw_is_cancelled(
    world: World,
) -> None:
    voucher = world.voucher(1_000, accept_mode=r.AcceptMode.EXPLICIT)
    maturity = world.get(r.Voucher, voucher).maturity
    world.roll_to(maturity - 1)
    pieces = (c.Piece(world.ids["shop"], 100, None),)
    world.ok("devices", c.LotTransfer(world.label, voucher, 0, pieces))
    world.ok("devices", world.draw("devices", voucher, 0, 50, world.offer()))
    world.roll_to(maturity)
    fund(world, voucher, 1_000)
    assert pay_all(world, voucher) == {"devices": 1_000}
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.SETTLED


def test_a_payout_sent_before_maturity_and_confirmed_after_it_pays_the_buyer(world: World) -> None:
    voucher, offer = world.voucher(1_000), world.offer()
    maturity = world.get(r.Voucher, voucher).maturity
    world.roll_to(maturity - 1)
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 400, offer))
    instruction = next(x.id for x in drawn.created if x.kind == r.Kind.INSTRUCTION)
    world.ok("bank-2", c.InstructionSend(world.label, instruction))
    network = world.get(r.Network, r.NETWORK_ID)
    world.block(seconds=network.next_roll - world.time)
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.DUE
    world.pay_out("bank-2", drawn, drawn.result[1])
    fund(world, voucher, 1_000)
    assert pay_all(world, voucher) == {"devices": 600, "bank-2": 400}


# --- scenario A of §19, as far as this release goes ---------------------------------------------------


def test_scenario_A_one_person_spare_parts_shop(world: World) -> None:
    """¥500,000 issued on Monday 2027-03-01 to a one-person shop, due on Sunday 2027-05-30 (rolls to
    the 31st), grace 5 days; two sales at 4.35 %; unpaid; paid late with penalty on 2027-07-20."""
    voucher = world.voucher(50_000_000, payee="shop")
    given = world.get(r.Voucher, voucher)
    assert given.maturity == world.day + 91, "2027-05-31"
    assert given.grace_end == world.day + 98, "2027-06-07, a Monday"
    offer = world.offer()
    assert world.sell("shop", voucher, 0, 100, offer) == (1, 99)
    assert world.sell("shop", voucher, 0, 10_000_000, offer) == (109_958, 9_890_042)
    key = record_id(
        r.Kind.REMAINDER, world.ids["bank-2"] + world.ids["shop"],
        b"CNY" + (360).to_bytes(2, "big"),
    )  # fmt: skip
    assert from_wide(world.get(r.Remainder, key).value) == 155_850_000
    assert world.lots(voucher) == [
        ("shop", 0, 39_999_900, "HELD"),
        ("bank-2", 39_999_900, 50_000_000, "HELD"),
    ]
    world.roll_to(given.grace_end + 1)
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.OVERDUE
    world.roll_to(given.grace_end + 43)
    number = receipt_number(world)
    too_much = c.FundsReceived(world.label, voucher, 50_000_000, 1_050_001, number)
    world.refused("FUNDS_EXCEEDED", "bank-1", too_much)
    fund(world, voucher, 50_000_000, 1_050_000)
    assert pay_all(world, voucher) == {
        "shop": 39_999_900 + 839_998,
        "bank-2": 10_000_100 + 210_002,
    }
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.SETTLED
