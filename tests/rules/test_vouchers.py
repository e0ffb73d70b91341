"""Vouchers: issue, claim, reject, withdraw, expire (voucher law §8.5), with every refusal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from law_world import DIGEST, World

from tallynet import commands as c
from tallynet import records as r


@pytest.fixture
def world() -> World:
    made = World()
    made.core_and_suppliers()
    made.line(r.LineKind.ISSUE, "bank-1", "core", 10_000)
    return made


def issue(world: World, face: int = 1_000, **changes: object) -> c.VoucherIssue:
    programme = world.programme()
    line = world.ids["line ISSUE bank-1 core"]
    return world.issue(face, world.document(max(1, face)), programme, line, **changes)


def test_issue_reserves_line_and_document_claim_uses_them_I3(world: World) -> None:
    command = issue(world)
    id = world.ok("core", command).created[0].id
    line = world.get(r.CreditLine, command.issue_line)
    assert (line.reserved, line.used) == (1_000, 0)
    assert world.get(r.Document, command.documents[0].document).occupied == 1_000
    world.ok("devices", c.VoucherClaim(world.label, id, True))
    line = world.get(r.CreditLine, command.issue_line)
    assert (line.reserved, line.used) == (0, 1_000)
    assert world.get(r.Voucher, id).status is r.VoucherStatus.ACTIVE


@pytest.mark.parametrize("face", [0, 2**63 - 1])
def test_issue_AMOUNT_RANGE(world: World, face: int) -> None:
    command = world.issue(
        face, world.document(1_000), world.programme(), world.ids["line ISSUE bank-1 core"]
    )
    world.refused("AMOUNT_RANGE", "core", command)


def test_issue_past_the_credit_line_LINE_EXCEEDED_I4(world: World) -> None:
    world.ok("core", issue(world, 10_000))
    world.refused("LINE_EXCEEDED", "core", issue(world, 1))


def test_issue_on_a_suspended_line_LINE_INACTIVE(world: World) -> None:
    line = world.ids["line ISSUE bank-1 core"]
    world.ok("bank-1", c.LineSuspend(world.label, line))
    world.refused("LINE_INACTIVE", "core", issue(world))
    world.ok("bank-1", c.LineResume(world.label, line))
    world.ok("core", issue(world))


def test_issue_TENOR_EXCEEDED_and_DATE_RANGE_I7(world: World) -> None:
    world.refused("TENOR_EXCEEDED", "core", issue(world, maturity=world.day + 367))
    world.refused("DATE_RANGE", "core", issue(world, maturity=world.day))


def test_maturity_on_a_weekend_is_rolled_FOLLOWING(world: World) -> None:
    id = world.ok("core", issue(world)).created[0].id  # 90 days from Monday: a Sunday
    assert world.get(r.Voucher, id).maturity == world.day + 91


def test_maturity_on_a_declared_holiday_is_rolled(world: World) -> None:
    entries = (r.CalendarEntry(world.day + 91, False),)
    for bank in ("bank-1", "bank-2", "bank-3"):
        world.ok(bank, c.CalendarSet(world.label, entries))
    id = world.ok("core", issue(world)).created[0].id
    assert world.get(r.Voucher, id).maturity == world.day + 92


def test_B11_an_invoice_used_twice_across_banks_DOCUMENT_OVERUSED(world: World) -> None:
    command = issue(world)
    world.ok("core", command)
    other = world.line(r.LineKind.ISSUE, "bank-2", "core", 10_000)
    again = world.issue(1_000, command.documents[0].document, command.programme, other)
    world.refused("DOCUMENT_OVERUSED", "core", again)


def test_EXCLUSIVE_documents_back_one_voucher(world: World) -> None:
    programme = world.programme(document_policy=r.DocumentPolicy.EXCLUSIVE)
    line, document = world.ids["line ISSUE bank-1 core"], world.document(1_000)
    world.ok("core", world.issue(400, document, programme, line))
    world.refused("DOCUMENT_OVERUSED", "core", world.issue(400, document, programme, line))


def test_I2_a_rejected_voucher_frees_its_document_a_settled_one_never(world: World) -> None:
    command = issue(world)
    id = world.ok("core", command).created[0].id
    world.ok("devices", c.VoucherReject(world.label, id))
    assert world.get(r.Document, command.documents[0].document).occupied == 0
    assert world.get(r.CreditLine, command.issue_line).reserved == 0
    assert world.lots(id) == [("devices", 0, 1_000, "CANCELLED")]
    world.ok("core", world.issue(
        1_000, command.documents[0].document, command.programme, command.issue_line
    ))  # fmt: skip


def test_issue_DOCUMENT_PARTY_and_sum(world: World) -> None:
    foreign = world.document(1_000, creditor="shop")
    programme, line = world.programme(), world.ids["line ISSUE bank-1 core"]
    world.refused("DOCUMENT_PARTY", "core", world.issue(1_000, foreign, programme, line))
    own = world.document(2_000)
    short = world.issue(1_000, own, programme, line, documents=(r.DocumentUse(own, 999),))
    world.refused("AMOUNT_RANGE", "core", short)


def test_issue_PROMISE_MISSING(world: World) -> None:
    world.refused("PROMISE_MISSING", "core",
                  issue(world, promise=r.Promise(DIGEST, True, False, True)))  # fmt: skip


def test_payer_is_not_payee_section_21(world: World) -> None:
    world.refused("SELF_DEALING", "core", issue(world, payee=world.ids["core"]))


def test_issue_unknown_currency_CURRENCY_MISMATCH(world: World) -> None:
    world.refused("CURRENCY_MISMATCH", "core", issue(world, currency="XXX"))
    create = c.ProgrammeCreate(world.label, r.ProgrammeKind.RECEIVABLE, "XXX", world.rules())
    world.refused("CURRENCY_MISMATCH", "core", create)


def test_only_a_core_issues_NOT_AUTHORISED(world: World) -> None:
    world.refused("NOT_AUTHORISED", "devices", issue(world, payee=world.ids["shop"]))


def test_PROGRAMME_NOT_MEMBER(world: World) -> None:
    programme = world.programme(open_to_all=False)
    line = world.ids["line ISSUE bank-1 core"]
    command = world.issue(1_000, world.document(1_000), programme, line)
    world.refused("PROGRAMME_NOT_MEMBER", "core", command)
    world.ok("devices", c.ProgrammeJoin(world.label, programme))
    world.ok("core", command)


def test_sme_payment_term_warns_section_17(world: World) -> None:
    document = world.document(1_000, delivery=world.day)
    programme, line = world.programme(), world.ids["line ISSUE bank-1 core"]
    receipt = world.ok("core", world.issue(1_000, document, programme, line))
    assert receipt.result[0] == 1
    assert world.get(r.Voucher, receipt.created[0].id).payment_term_warning


def test_claim_by_somebody_else_NOT_PAYEE(world: World) -> None:
    id = world.ok("core", issue(world)).created[0].id
    world.ids["voucher x"] = id
    world.refused("NOT_PAYEE", "shop", c.VoucherClaim(world.label, id, True))
    world.refused("PROMISE_MISSING", "devices", c.VoucherClaim(world.label, id, False))
    world.ok("devices", c.VoucherClaim(world.label, id, True))
    world.refused("VOUCHER_STATE", "devices", c.VoucherClaim(world.label, id, True))


def test_withdraw_and_nothing_circulates_before_claim(world: World) -> None:
    id = world.ok("core", issue(world)).created[0].id
    pieces = (c.Piece(world.ids["shop"], 1, None),)
    world.refused("VOUCHER_STATE", "devices", c.LotTransfer(world.label, id, 0, pieces))
    world.refused("NOT_AUTHORISED", "devices", c.VoucherWithdraw(world.label, id))
    world.ok("core", c.VoucherWithdraw(world.label, id))
    assert world.get(r.Voucher, id).status is r.VoucherStatus.CANCELLED


def test_system_voucher_expire_after_the_claim_deadline(world: World) -> None:
    command = issue(world)
    id = world.ok("core", command).created[0].id
    world.roll_to(world.day + 10)
    assert world.get(r.Voucher, id).status is r.VoucherStatus.PENDING_CLAIM
    world.roll_to(world.day + 1)
    assert world.get(r.Voucher, id).status is r.VoucherStatus.CANCELLED
    assert world.get(r.CreditLine, command.issue_line).reserved == 0


def test_claim_after_the_deadline_CLAIM_EXPIRED(world: World) -> None:
    command = issue(world)
    id = world.ids["voucher late"] = world.ok("core", command).created[0].id
    world.roll_to(world.day + 11)
    world.refused("CLAIM_EXPIRED", "devices", c.VoucherClaim(world.label, id, True))
    world.refused("VOUCHER_STATE", "devices", c.VoucherReject(world.label, id))


def test_claim_of_what_was_withdrawn_VOUCHER_STATE(world: World) -> None:
    id = world.ids["voucher gone"] = world.ok("core", issue(world)).created[0].id
    world.ok("core", c.VoucherWithdraw(world.label, id))
    world.refused("VOUCHER_STATE", "devices", c.VoucherClaim(world.label, id, True))
