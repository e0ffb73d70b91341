"""Changes of a voucher by agreement or authority, flags and merge of lots (voucher law §8.5, §8.6)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from watched_world import WatchedWorld

from tallynet import commands as c
from tallynet import records as r


@pytest.fixture
def world() -> WatchedWorld:
    return WatchedWorld()


def document_of(world: WatchedWorld, voucher: bytes) -> bytes:
    return world.get(r.Voucher, voucher).documents[0].document


def reduce(world: WatchedWorld, voucher: bytes, amount: int, start: int = 0) -> c.VoucherReduce:
    use = r.DocumentUse(document_of(world, voucher), amount)
    return c.VoucherReduce(world.label, voucher, start, (use,))


def extend(world: WatchedWorld, voucher: bytes, day: int, *parties: str) -> c.VoucherExtend:
    return c.VoucherExtend(
        world.label, voucher, day, tuple(sorted(world.ids[party] for party in parties))
    )


# --- voucher.cancel -----------------------------------------------------------------------------------


def test_cancel_by_core_and_sole_holder_releases_line_and_documents(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    document = document_of(world, voucher)
    world.together(c.VoucherCancel(world.label, voucher), "core", "devices")
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.CANCELLED
    assert world.lots(voucher) == [("devices", 0, 1_000, "CANCELLED")]
    assert world.line_used() == (0, 0)
    assert world.get(r.Document, document).occupied == 0
    world.roll_to(world.day + 120)


def test_cancel_is_for_its_parties_and_each_consents_once(world: WatchedWorld) -> None:
    command = c.VoucherCancel(world.label, world.voucher(1_000))
    world.refused("NOT_AUTHORISED", "shop", command)
    world.ok("devices", command)
    world.refused("CONSENT_REPEATED", "devices", command)


def test_a_consent_is_void_once_another_holds_the_lot(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    command = c.VoucherCancel(world.label, voucher)
    world.ok("devices", command)
    world.give(voucher, 0, 1_000, "shop")
    assert world.ok("core", command).result == (1, 2)
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.ACTIVE


@pytest.mark.parametrize("how", ["transferred", "financed", "given back"])
def test_cancel_of_what_others_have_rights_in_LOT_ENCUMBERED(world: WatchedWorld, how: str) -> None:
    voucher, holder = world.voucher(1_000), "devices"
    if how == "transferred":
        world.give(voucher, 0, 1, "shop")
    elif how == "financed":
        world.ok("devices", world.draw("devices", voucher, 0, 1_000, world.offer()))
    else:
        world.give(voucher, 0, 1_000, "shop")
        world.give(voucher, 0, 1_000, holder, by="shop")
    command = c.VoucherCancel(world.label, voucher)
    world.ok(holder, command)
    world.refused("LOT_ENCUMBERED", "core", command)


def test_cancel_before_the_claim_VOUCHER_STATE(world: WatchedWorld) -> None:
    line = world.line(r.LineKind.ISSUE, "bank-1", "core", 1_000)
    issue = world.issue(1_000, world.document(1_000), world.programme(), line)
    command = c.VoucherCancel(world.label, world.ok("core", issue).created[0].id)
    world.ok("devices", command)
    world.refused("VOUCHER_STATE", "core", command)


# --- voucher.reduce -----------------------------------------------------------------------------------


def test_reduce_cancels_the_tail_and_frees_document_and_line(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    world.give(voucher, 0, 300, "shop")
    world.together(reduce(world, voucher, 200), "devices", "core")
    assert world.lots(voucher) == [
        ("devices", 0, 500, "HELD"), ("devices", 500, 700, "CANCELLED"), ("shop", 700, 1_000, "HELD"),
    ]  # fmt: skip
    assert world.line_used() == (0, 800)
    assert world.get(r.Document, document_of(world, voucher)).occupied == 800
    world.roll_to(world.get(r.Voucher, voucher).maturity)
    assert world.instructions(voucher) == [(0, 500), (700, 300)]


def test_what_the_first_payee_bought_back_frees_its_line_too(world: WatchedWorld) -> None:
    """A bank may be the payee of a voucher and buy a part of it later, under its line on the debtor."""
    world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-2", "core", 1_000)
    voucher = world.voucher(1_000, payee="bank-2")
    world.give(voucher, 0, 300, "devices", by="bank-2")
    world.sell(
        "devices", voucher, 700, 300, world.offer(lines_required=(r.LineKind.DEBTOR_EXPOSURE,))
    )
    assert world.line_used("DEBTOR_EXPOSURE", "bank-2") == (0, 300)
    world.together(reduce(world, voucher, 100, start=700), "bank-2", "core")
    assert world.line_used("DEBTOR_EXPOSURE", "bank-2") == (0, 200)


def test_reduced_to_nothing_the_voucher_is_cancelled(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    document = document_of(world, voucher)
    world.together(reduce(world, voucher, 400), "core", "devices")
    world.together(reduce(world, voucher, 600), "core", "devices")
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.CANCELLED
    assert world.get(r.Document, document).uses == 0


def test_a_reduced_voucher_can_be_cancelled(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    world.together(reduce(world, voucher, 400), "core", "devices")
    world.together(c.VoucherCancel(world.label, voucher), "core", "devices")
    assert world.line_used() == (0, 0)


def test_reduce_what_was_paid_early_and_cancelled_is_settled(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    band = (r.RateBand(365, 0, 10_000),)
    early = world.offer("core", kind=r.FinancingKind.EARLY_PAY, grid=band)
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 400, early))
    world.pay_out("bank-1", drawn, 400)
    world.together(reduce(world, voucher, 600), "core", "devices")
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.SETTLED


@pytest.mark.parametrize(
    ("code", "amount"), [("AMOUNT_RANGE", 0), ("AMOUNT_RANGE", 1_001), ("AMOUNT_RANGE", 2**63 - 1)]
)
def test_reduce_refuses_amounts(world: WatchedWorld, code: str, amount: int) -> None:
    command = reduce(world, world.voucher(1_000), amount)
    world.ok("core", command)
    world.refused(code, "devices", command)


def test_reduce_by_a_foreign_document_DOCUMENT_PARTY(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    other = document_of(world, world.voucher(1_000))
    command = c.VoucherReduce(world.label, voucher, 0, (r.DocumentUse(other, 1),))
    world.ok("core", command)
    world.refused("DOCUMENT_PARTY", "devices", command)


def test_reduce_of_a_pledged_lot_LOT_ENCUMBERED(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    world.ok("devices", world.draw("devices", voucher, 0, 1_000, world.offer()))
    command = reduce(world, voucher, 1)
    world.ok("core", command)
    world.refused("LOT_ENCUMBERED", "devices", command)


def test_reduce_of_what_the_payee_passed_on_NOT_HOLDER(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    world.give(voucher, 0, 1_000, "shop")
    command = reduce(world, voucher, 1)
    world.ok("core", command)
    world.refused("NOT_HOLDER", "devices", command)


def test_reduce_needs_a_lot_of_its_own_LOT_LIMIT(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000, max_lots=1)
    command = reduce(world, voucher, 1)
    world.ok("core", command)
    world.refused("LOT_LIMIT", "devices", command)
    world.together(reduce(world, voucher, 1_000), "core", "devices")


# --- voucher.extend -----------------------------------------------------------------------------------


def test_extend_moves_maturity_grace_and_agenda(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    world.give(voucher, 0, 300, "shop")
    old = world.get(r.Voucher, voucher)
    world.together(
        extend(world, voucher, old.maturity + 28, "devices", "shop"), "core", "devices", "shop"
    )
    new = world.get(r.Voucher, voucher)
    assert new.maturity == old.maturity + 28
    assert new.grace_end == old.grace_end + 28
    world.roll_to(old.maturity)
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.ACTIVE
    world.roll_to(new.grace_end + 1)
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.OVERDUE


def test_extend_asks_the_lender_and_moves_the_end_of_the_loan(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    lend = world.offer(kind=r.FinancingKind.LOAN_PLEDGE, grid=(r.RateBand(365, 1, 8_000),))
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 500, lend))
    world.pay_out("bank-2", drawn, 400)
    later = world.get(r.Voucher, voucher).maturity + 28
    without = extend(world, voucher, later, "devices")
    world.ok("core", without)
    world.refused("HOLDER_CONSENT_MISSING", "devices", without)
    command = extend(world, voucher, later, "devices", "bank-2")
    world.together(command, "bank-2", "core", "devices")
    loan = next(x.id for x in drawn.created if x.kind == r.Kind.FINANCING)
    world.roll_to(world.get(r.Voucher, voucher).grace_end)
    assert world.get(r.Financing, loan).state is r.FinancingState.OUTSTANDING
    world.roll_to(world.day + 1)
    assert world.get(r.Financing, loan).state is r.FinancingState.OVERDUE


def test_extend_with_a_holder_who_is_not_named_HOLDER_CONSENT_MISSING(
    world: WatchedWorld,
) -> None:
    voucher = world.voucher(1_000)
    command = extend(world, voucher, world.day + 200, "devices")
    world.ok("core", command)
    world.give(voucher, 0, 300, "shop")
    world.refused("HOLDER_CONSENT_MISSING", "devices", command)


def test_extend_within_the_tenor_of_the_day_of_issue_TENOR_EXCEEDED_I7(
    world: WatchedWorld,
) -> None:
    voucher = world.voucher(1_000)
    issued = world.get(r.Voucher, voucher).issue_day
    for bank in ("bank-1", "bank-2", "bank-3"):
        world.ok(bank, c.ParameterSet(world.label, "max_tenor_days", world.day + 1, 100))
    world.roll_to(world.day + 5)
    beyond = extend(world, voucher, issued + 366, "devices")
    world.ok("core", beyond)
    world.refused("TENOR_EXCEEDED", "devices", beyond)
    world.together(extend(world, voucher, issued + 365, "devices"), "core", "devices")


def test_extend_to_an_earlier_day_DATE_RANGE(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    same = extend(world, voucher, world.get(r.Voucher, voucher).maturity, "devices")
    world.ok("core", same)
    world.refused("DATE_RANGE", "devices", same)


def test_extend_after_maturity_VOUCHER_STATE(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    world.roll_to(world.get(r.Voucher, voucher).maturity)
    command = extend(world, voucher, world.day + 30, "devices")
    world.ok("core", command)
    world.refused("VOUCHER_STATE", "devices", command)


def test_extend_keeps_the_small_suppliers_payment_term_PAYMENT_TERM_EXCEEDED(
    world: WatchedWorld,
) -> None:
    """A voucher within 60 days of delivery cannot be moved beyond where the law denies that at issue."""
    for bank in ("bank-1", "bank-2", "bank-3"):
        world.ok(bank, c.ParameterSet(world.label, "sme_payment_deny", world.day + 1, 1))
    world.roll_to(world.day + 1)
    line = world.line(r.LineKind.ISSUE, "bank-1", "core", 10**12)
    document = world.document(1_000, delivery=world.day)
    issue = world.issue(1_000, document, world.programme(), line, maturity=world.day + 50)
    voucher = world.ok("core", issue).created[0].id
    world.ok("devices", c.VoucherClaim(world.label, voucher, True))
    command = extend(world, voucher, world.day + 80, "devices")
    world.ok("core", command)
    world.refused("PAYMENT_TERM_EXCEEDED", "devices", command)


# --- voucher.review -----------------------------------------------------------------------------------


def long_voucher(world: WatchedWorld) -> bytes:
    line = world.line(r.LineKind.ISSUE, "bank-1", "core", 10**12)
    issue = world.issue(
        1_000, world.document(1_000), world.programme(), line, maturity=world.day + 200
    )
    voucher = world.ok("core", issue).created[0].id
    world.ok("devices", c.VoucherClaim(world.label, voucher, True))
    return voucher


def test_a_long_tenor_is_financed_only_after_a_banks_review_REVIEW_REQUIRED(
    world: WatchedWorld,
) -> None:
    voucher, offer = long_voucher(world), world.offer()
    draw = world.draw("devices", voucher, 0, 100, offer)
    world.refused("REVIEW_REQUIRED", "devices", draw)
    world.refused("NOT_LICENSED", "shop", c.VoucherReview(world.label, voucher))
    world.ok("bank-2", c.VoucherReview(world.label, voucher))
    assert world.get(r.Voucher, voucher).extra_review_by == world.ids["bank-2"]
    world.refused("STATE_CONFLICT", "bank-2", c.VoucherReview(world.label, voucher))
    world.ok("devices", draw)


def test_a_short_tenor_needs_no_review_STATE_CONFLICT(world: WatchedWorld) -> None:
    world.refused("STATE_CONFLICT", "bank-2", c.VoucherReview(world.label, world.voucher(1_000)))


def test_a_longer_tenor_is_reviewed_anew(world: WatchedWorld) -> None:
    voucher = long_voucher(world)
    world.ok("bank-2", c.VoucherReview(world.label, voucher))
    world.together(extend(world, voucher, world.day + 300, "devices"), "core", "devices")
    draw = world.draw("devices", voucher, 0, 100, world.offer())
    world.refused("REVIEW_REQUIRED", "devices", draw)


# --- voucher.suspend, voucher.resume ------------------------------------------------------------------


def test_a_suspended_voucher_is_neither_transferred_nor_financed_but_paid(
    world: WatchedWorld,
) -> None:
    voucher, offer = world.voucher(1_000), world.offer()
    world.ok("regulator", c.VoucherSuspend(world.label, voucher))
    piece = (c.Piece(world.ids["shop"], 1, None),)
    transfer = c.LotTransfer(world.label, voucher, 0, piece)
    world.refused("VOUCHER_SUSPENDED", "devices", transfer)
    world.refused("VOUCHER_SUSPENDED", "devices", world.draw("devices", voucher, 0, 1, offer))
    world.roll_to(world.get(r.Voucher, voucher).maturity)
    world.fund(voucher, 1_000)
    pay = c.SettlementPaid(world.label, world.instruction(voucher, 0), 1_000, world.number())
    world.ok("bank-1", pay)
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.SETTLED


def test_only_the_authority_that_suspended_resumes(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    world.refused("NOT_AUTHORISED", "core", c.VoucherSuspend(world.label, voucher))
    world.refused("STATE_CONFLICT", "court", c.VoucherResume(world.label, voucher))
    world.ok("court", c.VoucherSuspend(world.label, voucher))
    world.refused("STATE_CONFLICT", "regulator", c.VoucherSuspend(world.label, voucher))
    world.refused("NOT_AUTHORISED", "regulator", c.VoucherResume(world.label, voucher))
    world.ok("court", c.VoucherResume(world.label, voucher))
    world.give(voucher, 0, 1, "shop")


def test_a_suspended_voucher_stays_with_its_sender(world: WatchedWorld) -> None:
    """DEEMED acceptance is a transfer; so is an explicit one."""
    voucher = world.voucher(1_000, accept_mode=r.AcceptMode.DEEMED, deemed_days=3)
    world.give(voucher, 0, 100, "shop")
    world.ok("court", c.VoucherSuspend(world.label, voucher))
    world.refused("VOUCHER_SUSPENDED", "shop", c.LotAccept(world.label, voucher, 900))
    world.roll_to(world.day + 3)
    assert world.lots(voucher) == [("devices", 0, 1_000, "HELD")]


# --- pending transfers and time -----------------------------------------------------------------------


def test_a_pending_transfer_cannot_be_accepted_from_maturity_on(world: WatchedWorld) -> None:
    """Voucher law §9: at DUE a pending transfer pays the sender, also one that silence would accept."""
    voucher = world.voucher(1_000, accept_mode=r.AcceptMode.DEEMED, deemed_days=3)
    maturity = world.get(r.Voucher, voucher).maturity
    world.roll_to(maturity - 3)
    world.give(voucher, 0, 100, "shop")
    world.roll_to(maturity)
    assert world.lots(voucher) == [("devices", 0, 1_000, "HELD")]


# --- lot.flag.set, lot.merge --------------------------------------------------------------------------


def flag(world: WatchedWorld, voucher: bytes, start: int, on: bool) -> c.LotFlagSet:
    return c.LotFlagSet(world.label, voucher, start, on)


def test_a_flagged_lot_is_not_transferred_but_financed_TRANSFER_BARRED(
    world: WatchedWorld,
) -> None:
    voucher = world.voucher(1_000)
    world.ok("devices", flag(world, voucher, 0, True))
    transfer = c.LotTransfer(world.label, voucher, 0, (c.Piece(world.ids["shop"], 1, None),))
    world.refused("TRANSFER_BARRED", "devices", transfer)
    world.sell("devices", voucher, 0, 400, world.offer())
    world.refused("NOT_HOLDER", "devices", flag(world, voucher, 600, False))
    world.ok("bank-2", flag(world, voucher, 600, False))
    world.ok("devices", flag(world, voucher, 0, False))
    world.give(voucher, 0, 1, "shop")


def test_the_payee_keeps_what_it_agreed_with_the_issuer_TRANSFER_BARRED(
    world: WatchedWorld,
) -> None:
    line = world.line(r.LineKind.ISSUE, "bank-1", "core", 1_000)
    issue = world.issue(1_000, world.document(1_000), world.programme(), line)
    voucher = world.ok("core", issue).created[0].id
    world.refused("NOT_HOLDER", "devices", flag(world, voucher, 0, True))
    world.ok("core", flag(world, voucher, 0, True))
    world.ok("devices", c.VoucherClaim(world.label, voucher, True))
    world.refused("NOT_HOLDER", "core", flag(world, voucher, 0, False))
    world.refused("TRANSFER_BARRED", "devices", flag(world, voucher, 0, False))


def test_a_flag_is_set_once_STATE_CONFLICT(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    world.refused("STATE_CONFLICT", "devices", flag(world, voucher, 0, False))


def test_flags_keep_neighbours_apart_until_they_are_equal(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    world.give(voucher, 0, 300, "shop")
    world.ok("shop", flag(world, voucher, 700, True))
    world.give(voucher, 0, 200, "shop")
    assert len(world.lots(voucher)) == 3
    world.refused("NOT_MERGEABLE", "shop", c.LotMerge(world.label, voucher, 500))
    world.ok("shop", flag(world, voucher, 700, False))
    assert world.lots(voucher)[1:] == [("shop", 500, 1_000, "HELD")]


def test_merge_of_anothers_lot_NOT_HOLDER(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    world.refused("NOT_HOLDER", "shop", c.LotMerge(world.label, voucher, 0))
