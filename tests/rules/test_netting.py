"""Netting: what enterprises owe each other on one day is settled by exchange (voucher law §8.8)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from watched_world import WatchedWorld

from node.ledger.redemption import instruction_id
from tallynet import commands as c
from tallynet import records as r
from tallynet.hashing import record_id

RING = ("mill", "port", "rail")
FACE = 1_000
FAR = 10**12


class Ring(WatchedWorld):
    """mill owes port, port owes rail, rail owes mill, 1,000 each, on one day; everybody may hold and owe."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rule_book = self.programme()
        for name in RING:
            self.join(name, r.OrganisationKind.CORE, r.Size.LARGE)
            self.line(r.LineKind.ISSUE, "bank-1", name, FAR)
        self.due = self.day + 90
        self.papers = {
            debtor: self.owe(debtor, payee)
            for debtor, payee in zip(RING, RING[1:] + RING[:1], strict=True)
        }

    def owe(self, debtor: str, payee: str, face: int = FACE, maturity: int | None = None) -> bytes:
        issue = self.issue(
            face, self.document(face, payee, debtor), self.rule_book,
            self.ids[f"line ISSUE bank-1 {debtor}"], payee=self.ids[payee],
            maturity=maturity or self.due,
        )  # fmt: skip
        id = self.ok(debtor, issue).created[0].id
        self.ids[f"voucher {len(self.ids)}"] = id
        self.ok(payee, c.VoucherClaim(self.label, id, True))
        return id

    def net(self, *legs: tuple[bytes, int, int]) -> c.SettlementNet:
        return c.SettlementNet(self.label, tuple(c.NetLeg(*leg) for leg in sorted(legs)))

    def circle(self, amount: int) -> c.SettlementNet:
        return self.net(*((paper, 0, amount) for paper in self.papers.values()))

    def day_of_payment(self) -> None:
        self.roll_to(self.get(r.Voucher, self.papers["mill"]).maturity)

    def day_before(self) -> None:
        """An hour into the last day before it, so that a pay-out begun now is still under way on it."""
        self.roll_to(self.get(r.Voucher, self.papers["mill"]).maturity - 1)
        self.block(seconds=3_600)

    def agreed(self, command: c.SettlementNet, *parties: str) -> None:
        self.together(command, *(parties or RING))

    def refused_together(self, code: str, command: c.SettlementNet, *parties: str) -> None:
        """All but the last consent; the last, who would execute it, is refused, and nothing changes."""
        *first, last = parties or RING
        for party in first:
            self.ok(party, command)
        self.refused(code, last, command)

    def issue_used(self, name: str) -> int:
        return self.get(r.CreditLine, self.ids[f"line ISSUE bank-1 {name}"]).used


@pytest.fixture
def ring() -> Ring:
    world = Ring()
    world.day_of_payment()
    return world


# --- what it does -------------------------------------------------------------------------------------


def test_a_ring_settles_without_money(ring: Ring) -> None:
    ring.agreed(ring.circle(FACE))
    for debtor, paper in ring.papers.items():
        voucher = ring.get(r.Voucher, paper)
        assert (voucher.status, voucher.redeemed) == (r.VoucherStatus.SETTLED, FACE)
        assert (voucher.funds_in, voucher.paid) == (0, 0)
        assert ring.instructions(paper) == []
        assert ring.state.get(r.Kind.INSTRUCTION, instruction_id(paper, 0)) is None
        assert ring.issue_used(debtor) == 0
    ring.roll_to(ring.day + 60)
    assert not any(ring.get(r.Organisation, ring.ids[name]).overdue_count for name in RING)


def test_in_part_the_tail_is_redeemed_and_the_instruction_is_for_the_rest(ring: Ring) -> None:
    ring.agreed(ring.circle(300))
    for debtor, payee in zip(RING, RING[1:] + RING[:1], strict=True):
        paper = ring.papers[debtor]
        assert ring.lots(paper) == [(payee, 0, 700, "HELD"), (payee, 700, 1_000, "REDEEMED")]
        assert ring.instructions(paper) == [(0, 700)]
        assert ring.issue_used(debtor) == 700
    ring.agreed(ring.circle(200))
    paper = ring.papers["mill"]
    assert ring.lots(paper) == [("port", 0, 500, "HELD"), ("port", 500, 1_000, "REDEEMED")]
    ring.fund(paper, 500)
    ring.ok("bank-1", c.SettlementPaid(ring.label, instruction_id(paper, 0), 500, ring.number()))
    assert ring.get(r.Voucher, paper).status is r.VoucherStatus.SETTLED


def test_every_leg_is_in_its_vouchers_log_with_the_agreement(ring: Ring) -> None:
    before = {paper: ring.get(r.Voucher, paper).event_count for paper in ring.papers.values()}
    ring.agreed(ring.circle(300))
    for paper, count in before.items():
        assert ring.get(r.Voucher, paper).event_count == count + 1
        tail = ring.state.get(r.Kind.LOT, r.lot_id(paper, 700))
        assert isinstance(tail, r.Lot)
        assert tail.newest_event == count


def test_a_party_may_owe_and_hold_in_several_lots(ring: Ring) -> None:
    """mill owes port 1,000; port owes mill 400 and 600 on two further vouchers."""
    world = Ring()
    back = [world.owe("port", "mill", face) for face in (400, 600)]
    world.day_of_payment()
    legs = [(world.papers["mill"], 0, 1_000), (back[0], 0, 400), (back[1], 0, 600)]
    world.agreed(world.net(*legs), "mill", "port")
    for paper in (world.papers["mill"], *back):
        assert world.get(r.Voucher, paper).status is r.VoucherStatus.SETTLED


def test_a_bank_that_bought_is_paid_in_money() -> None:
    """It owes nobody on that day, so its sum would change; what it bought, and its line, stand."""
    world = Ring()
    world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-2", "mill", FAR)
    offer = world.offer(lines_required=(r.LineKind.DEBTOR_EXPOSURE,))
    world.sell("port", world.papers["mill"], 0, 400, offer)
    world.day_of_payment()
    command = world.net((world.papers["mill"], 600, 400), (world.papers["rail"], 0, 400))
    world.refused_together("NET_MISMATCH", command, "bank-2", "mill", "rail")
    world.agreed(world.circle(600))
    line = world.ids["line DEBTOR_EXPOSURE bank-2 mill"]
    assert world.get(r.CreditLine, line).used == 400


def test_a_lot_whose_instruction_is_not_open_yet_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """How far the prologue has come with opening instructions does not matter."""
    world = Ring()
    due = world.get(r.Voucher, world.papers["mill"]).maturity
    world.roll_to(due - 1)
    with monkeypatch.context() as patch:
        patch.setattr("node.ledger.settlement.value", lambda _context, _name: 0)
        world.roll_to(due)
        world.agreed(world.circle(FACE - 1))
    assert world.instructions(world.papers["mill"]) == []
    world.block()
    assert world.instructions(world.papers["mill"]) == [(0, 1)]
    assert world.get(r.Voucher, world.papers["mill"]).instructions_opened == FACE


# --- late, guaranteed, funded -------------------------------------------------------------------------


def test_an_overdue_ring_settles_and_the_block_is_lifted(ring: Ring) -> None:
    ring.roll_to(ring.get(r.Voucher, ring.papers["mill"]).grace_end + 11)
    assert all(ring.get(r.Organisation, ring.ids[name]).blocked_automatic for name in RING)
    ring.agreed(ring.circle(FACE))
    for name in RING:
        organisation = ring.get(r.Organisation, ring.ids[name])
        assert (organisation.blocked_automatic, organisation.overdue_count) == (False, 0)


def test_the_penalty_up_to_the_day_of_netting_stays_a_claim(ring: Ring) -> None:
    paper = ring.papers["mill"]
    ring.roll_to(ring.get(r.Voucher, paper).grace_end + 11)
    ring.agreed(ring.circle(FACE))
    # 10 days x 1,000 fen x 500 ppm a day
    ring.ok("bank-1", c.FundsReceived(ring.label, paper, 0, 5, ring.number()))
    ring.refused(
        "FUNDS_EXCEEDED", "bank-1", c.FundsReceived(ring.label, paper, 0, 1, ring.number())
    )


def test_in_default_and_written_off_it_is_still_possible(ring: Ring) -> None:
    ring.roll_to(ring.get(r.Voucher, ring.papers["mill"]).grace_end + 32)
    ring.ok("port", c.SettlementWriteOff(ring.label, ring.papers["mill"]))
    statuses = [ring.get(r.Voucher, paper).status for paper in ring.papers.values()]
    assert statuses == [
        r.VoucherStatus.WRITTEN_OFF, r.VoucherStatus.DEFAULTED, r.VoucherStatus.DEFAULTED,
    ]  # fmt: skip
    ring.agreed(ring.circle(FACE))
    for paper in ring.papers.values():
        assert ring.get(r.Voucher, paper).status is r.VoucherStatus.SETTLED


def test_what_the_debtor_has_funded_is_paid_and_the_rest_can_be_netted(ring: Ring) -> None:
    """No party may net what lies with the clearing bank: it would be paid twice."""
    paper = ring.papers["mill"]
    ring.fund(paper, 400)
    ring.refused_together("AMOUNT_RANGE", ring.circle(601))
    ring.agreed(ring.circle(600))
    assert ring.lots(paper) == [("port", 0, 400, "HELD"), ("port", 400, 1_000, "REDEEMED")]
    ring.ok("bank-1", c.SettlementPaid(ring.label, instruction_id(paper, 0), 400, ring.number()))
    voucher = ring.get(r.Voucher, paper)
    assert (voucher.status, voucher.funds_in, voucher.paid, voucher.redeemed) == (
        r.VoucherStatus.SETTLED, 400, 400, FACE,
    )  # fmt: skip


def test_a_due_voucher_whose_rest_is_netted_never_becomes_overdue(ring: Ring) -> None:
    for paper in ring.papers.values():
        ring.fund(paper, 400)
    ring.agreed(ring.circle(600))
    ring.roll_to(ring.get(r.Voucher, ring.papers["mill"]).grace_end + 40)
    assert ring.get(r.Voucher, ring.papers["mill"]).status is r.VoucherStatus.DUE


def test_a_lot_that_was_paid_in_part_is_netted_once_the_bank_says_that_the_rest_failed(
    ring: Ring,
) -> None:
    paper, order = ring.papers["mill"], instruction_id(ring.papers["mill"], 0)
    ring.fund(paper, 400)
    ring.ok("bank-1", c.SettlementPaid(ring.label, order, 400, ring.number()))
    command = ring.circle(600)
    ring.refused_together("LOT_LOCKED", command)
    ring.ok("bank-1", c.SettlementFailed(ring.label, order))
    ring.ok("rail", command)
    assert ring.get(r.Voucher, paper).status is r.VoucherStatus.SETTLED
    kept = ring.get(r.Instruction, order)
    assert (kept.state, kept.amount, kept.paid) == (r.InstructionState.PAID, 400, 400)
    paid = c.SettlementPaid(ring.label, order, 1, ring.number())
    ring.refused("SETTLEMENT_REPLAY", "bank-1", paid)


def test_what_is_sent_is_not_netted(ring: Ring) -> None:
    ring.ok("bank-1", c.InstructionSend(ring.label, instruction_id(ring.papers["port"], 0)))
    ring.refused_together("LOT_LOCKED", ring.circle(FACE))


def test_a_called_guarantee_is_taken_back_first(ring: Ring) -> None:
    ring.admit("surety", r.OrganisationKind.GUARANTOR)
    paper = ring.papers["mill"]
    cover = c.GuaranteeIssue(
        ring.label, ring.ids["bank-4"], None, r.GuaranteeScope.VOUCHER, paper, "CNY", 500, 0,
        ring.day + 100,
    )  # fmt: skip
    guarantee = ring.ok("surety", cover).created[0].id
    ring.roll_to(ring.get(r.Voucher, paper).grace_end + 1)
    ring.ok("port", c.GuaranteeCall(ring.label, guarantee, paper, 0, 500))
    command = ring.circle(FACE)
    ring.refused_together("LOT_LOCKED", command)
    ring.ok("port", c.GuaranteeRelease(ring.label, guarantee, paper, 0))
    ring.ok("rail", command)
    assert ring.get(r.Guarantee, guarantee).called == 0


# --- refusals -----------------------------------------------------------------------------------------


def test_not_before_the_day_of_payment() -> None:
    world = Ring()
    world.refused_together("VOUCHER_STATE", world.circle(FACE))


def test_nobody_gets_richer(ring: Ring) -> None:
    """Each party's sum unchanged, else NET_MISMATCH."""
    uneven = [
        (ring.papers["mill"], 0, 300),
        (ring.papers["port"], 0, 300),
        (ring.papers["rail"], 0, 299),
    ]
    ring.refused_together("NET_MISMATCH", ring.net(*uneven))
    chain = ring.net((ring.papers["mill"], 0, 300), (ring.papers["port"], 0, 300))
    ring.refused_together("NET_MISMATCH", chain)


def test_only_what_is_due_on_one_day() -> None:
    world = Ring()
    late = world.owe("port", "mill", maturity=world.due + 7)
    world.roll_to(world.get(r.Voucher, late).maturity)
    command = world.net((world.papers["mill"], 0, 500), (late, 0, 500))
    world.refused_together("NET_MISMATCH", command, "mill", "port")


def test_all_parties_and_only_they(ring: Ring) -> None:
    command = ring.circle(FACE)
    ring.refused("NOT_AUTHORISED", "devices", command)
    assert ring.ok("mill", command).result == (1, 3)
    assert ring.ok("port", command).result == (2, 3)
    ring.refused("CONSENT_REPEATED", "mill", command)
    assert ring.get(r.Voucher, ring.papers["mill"]).redeemed == 0


@pytest.mark.parametrize("legs", [((0, 500), (0, 500)), ((1, 500), (0, 500))])
def test_legs_are_sorted_and_each_lot_once(ring: Ring, legs: tuple[tuple[int, int], ...]) -> None:
    papers = sorted(ring.papers.values())
    named = tuple(c.NetLeg(papers[at], 0, amount) for at, amount in legs)
    ring.refused("SCHEMA_INVALID", "mill", c.SettlementNet(ring.label, named))


def test_amounts_within_the_lot(ring: Ring) -> None:
    for amount in (0, 1_001):
        ring.refused_together("AMOUNT_RANGE", ring.circle(amount))


def test_an_unknown_lot(ring: Ring) -> None:
    legs = [(ring.papers["mill"], 5, 10), (ring.papers["port"], 0, 10)]
    ring.refused("RECORD_NOT_FOUND", "mill", ring.net(*legs))


def test_a_frozen_lot_is_not_netted(ring: Ring) -> None:
    part = c.FrozenPart(ring.papers["mill"], 0, FACE, False)
    order = c.FreezeOrder(ring.label, ring.ids["port"], bytes(32), (part,), ring.day + 3)
    ring.ok("court", order)
    ring.refused_together("LOT_FROZEN", ring.circle(FACE))


def test_nor_anything_of_a_holder_who_is_frozen_as_a_whole(ring: Ring) -> None:
    order = c.FreezeOrder(ring.label, ring.ids["rail"], bytes(32), (), ring.day + 3)
    ring.ok("court", order)
    ring.refused_together("LOT_FROZEN", ring.circle(FACE))


def test_once_the_freeze_has_expired_it_is(ring: Ring) -> None:
    part = c.FrozenPart(ring.papers["mill"], 0, FACE, False)
    ring.ok("court", c.FreezeOrder(ring.label, ring.ids["port"], bytes(32), (part,), ring.day))
    ring.roll_to(ring.day + 1)
    ring.agreed(ring.circle(FACE))


def test_a_disputed_lot_is_not_netted(ring: Ring) -> None:
    opening = c.DisputeOpen(ring.label, ring.papers["rail"], (c.DisputedRange(0, FACE),), bytes(32))
    ring.ok("mill", opening)
    ring.refused_together("LOT_DISPUTED", ring.circle(FACE))


def test_a_pledged_lot_is_its_lenders() -> None:
    world = Ring()
    offer = world.offer(kind=r.FinancingKind.LOAN_PLEDGE, grid=(r.RateBand(365, 0, 8_000),))
    drawn = world.ok("port", world.draw("port", world.papers["mill"], 0, FACE, offer))
    world.pay_out("bank-2", drawn, 800)
    world.day_of_payment()
    world.refused_together("LOT_ENCUMBERED", world.circle(FACE))


def test_an_enforced_lot_carries_its_lien_still() -> None:
    world = Ring()
    offer = world.offer(kind=r.FinancingKind.LOAN_PLEDGE, grid=(r.RateBand(365, 0, 8_000),))
    drawn = world.ok("port", world.draw("port", world.papers["mill"], 0, FACE, offer))
    world.pay_out("bank-2", drawn, 800)
    world.roll_to(world.get(r.Voucher, world.papers["mill"]).grace_end + 1)
    world.ok("bank-2", c.FinancingEnforce(world.label, drawn.created[0].id))
    world.refused_together("LOT_ENCUMBERED", world.circle(FACE), "mill", "port", "rail", "bank-2")


def test_a_draw_that_was_sent_locks_its_lot() -> None:
    world = Ring()
    world.day_before()
    drawn = world.ok("port", world.draw("port", world.papers["mill"], 0, FACE, world.offer()))
    world.ok("bank-2", c.InstructionSend(world.label, drawn.created[1].id))
    world.day_of_payment()
    world.refused_together("LOT_LOCKED", world.circle(FACE), "mill", "rail", "port")


def test_a_consent_given_as_a_holder_is_void_once_another_holds_the_lot() -> None:
    world = Ring()
    world.day_before()
    command = world.circle(FACE)
    world.ok("port", command)
    world.give(world.papers["mill"], 0, FACE, "shop", by="port")
    world.day_of_payment()
    world.ok("mill", command)
    world.ok("rail", command)
    # shop has a say now, and would lose what port gains
    world.refused("NET_MISMATCH", "shop", command)


def test_suspension_stops_no_payment(ring: Ring) -> None:
    ring.ok("regulator", c.VoucherSuspend(ring.label, ring.papers["mill"]))
    ring.agreed(ring.circle(FACE))


def test_the_example_of_the_documentation() -> None:
    world = Ring()
    owed = {"mill": ("port", 500_000), "port": ("rail", 400_000), "rail": ("mill", 450_000)}
    papers = {debtor: world.owe(debtor, *to) for debtor, to in owed.items()}
    world.day_of_payment()
    world.agreed(world.net(*((paper, 0, 400_000) for paper in papers.values())))
    left = {debtor: sum(x for _, x in world.instructions(papers[debtor])) for debtor in owed}
    assert left == {"mill": 100_000, "port": 0, "rail": 50_000}
    assert world.get(r.Voucher, papers["port"]).status is r.VoucherStatus.SETTLED


# --- property -----------------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(amounts=st.lists(st.integers(1, 400), min_size=1, max_size=3))
def test_each_partys_receivable_less_payable_is_what_it_was(amounts: list[int]) -> None:
    world = Ring()
    world.day_of_payment()

    def position(name: str) -> int:
        total = 0
        for debtor, paper in world.papers.items():
            for holder, start, end, state in world.lots(paper):
                if state == "HELD":
                    total += (end - start) * ((holder == name) - (debtor == name))
        return total

    before = {name: position(name) for name in RING}
    left = FACE
    for amount in amounts:
        part = min(amount, left)
        if part:
            world.agreed(world.circle(part))
            left -= part
        assert {name: position(name) for name in RING} == before
        for paper in world.papers.values():
            assert sum(x for _, x in world.instructions(paper)) == left


def test_the_agreement_is_known_by_its_body(ring: Ring) -> None:
    """Labels differ, the body does not: the consents gather."""
    legs = ring.circle(FACE).legs
    for party, result in zip(RING, ((1, 3), (2, 3), ()), strict=True):
        assert ring.ok(party, c.SettlementNet(ring.label, legs)).result == result
    assert ring.state.get(r.Kind.CONSENT, record_id(r.Kind.CONSENT, bytes(32), b"")) is None
