"""Fee schedules, waivers and the fee of a draw (voucher law §8.3, §11), with every refusal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from followed_world import FollowedWorld as World

from node.ledger.fees import TERMS_MAX
from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.fields import AMOUNT_MAX

REDUCE, EXEMPT, DEFER = r.WaiverKind.REDUCE, r.WaiverKind.EXEMPT, r.WaiverKind.DEFER
MICRO = bytes((r.Size.MICRO,))


@pytest.fixture
def world() -> World:
    made = World()
    made.core_and_suppliers()
    made.admit("operator", r.OrganisationKind.OPERATOR)
    return made


def terms(world: World, **changes: object) -> r.FeeTerms:
    given = {
        "effective_day": world.day, "bps": 5, "minimum": 0, "free_below": 0, "debtor_bps": 0,
    }  # fmt: skip
    return r.FeeTerms(**(given | changes))  # type: ignore[arg-type]  # by name


def charge(world: World, **changes: object) -> None:
    """The network's fee from today on: 5 bps unless said otherwise."""
    world.ok("operator", c.FeeScheduleSet(world.label, None, terms(world, **changes)))


def waiver(world: World, scope: r.WaiverScope, value: bytes, **changes: object) -> c.WaiverGrant:
    given = {
        "label": world.label, "programme": None, "scope": scope, "value": value, "kind": EXEMPT,
        "bps": 0, "days": 0, "valid_from": world.day, "valid_to": world.day + 30, "cap_total": 0,
    }  # fmt: skip
    return c.WaiverGrant(**(given | changes))  # type: ignore[arg-type]  # by name


def drawn_fee(world: World, voucher: bytes, amount: int, offer: bytes, who: str = "devices") -> int:
    """The drawer's share of the fee of a draw that stays open."""
    return world.ok(who, world.draw(who, voucher, 0, amount, offer)).result[4]


def fees_to_pay(world: World, bank: str) -> list[tuple[str, int, int]]:
    """(payer, amount, due) of the FEE instructions of a bank."""
    names = {id: name for name, id in world.ids.items()}
    found = []
    for key in world.state.index_scan(Index.BANK_INSTRUCTIONS, world.ids[bank], limit=99):
        order = world.get(r.Instruction, key[16:])
        if order.purpose is r.InstructionPurpose.FEE:
            assert order.payee == world.ids["operator"]
            found.append((names[order.payer], order.amount, order.due))
    return found


# --- fee.schedule.set -------------------------------------------------------------------------------


def test_operator_sets_the_networks_fee_and_an_owner_its_programmes(world: World) -> None:
    world.refused("NOT_AUTHORISED", "core", c.FeeScheduleSet(world.label, None, terms(world)))
    programme = world.programme()
    own = c.FeeScheduleSet(world.label, programme, terms(world))
    world.refused("NOT_AUTHORISED", "operator", own)
    world.ok("core", own)
    charge(world)
    world.admit("other", r.OrganisationKind.OPERATOR)
    world.refused("NOT_AUTHORISED", "other", c.FeeScheduleSet(world.label, None, terms(world)))


@pytest.mark.parametrize(
    "changes",
    [
        {"effective_day": 20_877}, {"bps": 10_001}, {"debtor_bps": 10_001},
        {"minimum": AMOUNT_MAX + 1}, {"free_below": AMOUNT_MAX + 1},
    ],
)  # fmt: skip
def test_terms_that_make_no_sense_FEE_INVALID(world: World, changes: dict[str, object]) -> None:
    command = c.FeeScheduleSet(world.label, None, terms(world, **changes))
    world.refused("FEE_INVALID", "operator", command)


def test_a_later_word_replaces_what_was_set_for_its_day_and_after(world: World) -> None:
    voucher, offer = world.voucher(10**8), world.offer()
    charge(world)
    charge(world, bps=20, effective_day=world.day + 3)
    charge(world, bps=10, effective_day=world.day + 1)
    assert drawn_fee(world, voucher, 10_000, offer) == 5
    world.roll_to(world.day + 1)
    assert drawn_fee(world, voucher, 10_000, offer) == 10
    world.roll_to(world.day + 3)
    assert drawn_fee(world, voucher, 10_000, offer) == 10


def test_dated_terms_are_bounded_BATCH_LIMIT(world: World) -> None:
    for day in range(TERMS_MAX):
        charge(world, effective_day=world.day + day)
    late = terms(world, effective_day=world.day + TERMS_MAX)
    world.refused("BATCH_LIMIT", "operator", c.FeeScheduleSet(world.label, None, late))


# --- the fee of a draw ------------------------------------------------------------------------------


def test_a_sale_is_paid_out_less_discount_and_fee_and_the_bank_passes_the_fee_on(
    world: World,
) -> None:
    charge(world)
    voucher, offer = world.voucher(50_000_000), world.offer(grid=(r.RateBand(365, 0, 10_000),))
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 50_000_000, offer))
    assert drawn.result[1] == 50_000_000 - 25_000, "5 bps of 500,000 yuan"
    assert fees_to_pay(world, "bank-2") == []
    world.pay_out("bank-2", drawn, drawn.result[1])
    assert fees_to_pay(world, "bank-2") == [("devices", 25_000, world.day)]


def test_minimum_and_free_below(world: World) -> None:
    charge(world, minimum=100, free_below=50)
    voucher, offer = world.voucher(10_000), world.offer()
    assert drawn_fee(world, voucher, 49, offer) == 0
    assert drawn_fee(world, voucher, 1_000, offer) == 100
    world.refused("NET_NOT_POSITIVE", "devices", world.draw("devices", voucher, 0, 100, offer))


def test_the_debtor_bears_its_share_by_an_instruction_of_its_own(world: World) -> None:
    charge(world, bps=100, debtor_bps=3_333)
    voucher, offer = world.voucher(10_875_000), world.offer()
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 10_875_000, offer))
    assert drawn.result[4] == 72_504
    world.pay_out("bank-2", drawn, drawn.result[1])
    assert fees_to_pay(world, "bank-2") == [("devices", 72_504, world.day)]
    assert fees_to_pay(world, "bank-1") == [("core", 36_246, world.day)]


def test_nothing_is_taken_from_loan_principal(world: World) -> None:
    charge(world)
    voucher = world.voucher(1_000_000)
    offer = world.offer(kind=r.FinancingKind.LOAN_PLEDGE, grid=(r.RateBand(365, 34_500, 8_000),))
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 1_000_000, offer))
    assert drawn.result[1] == 800_000
    world.pay_out("bank-2", drawn, 800_000)
    assert fees_to_pay(world, "bank-1") == [("devices", 500, world.day)], "its account is there"


def test_a_batch_counts_as_one_draw(world: World) -> None:
    """Three small draws under the free limit each, together above it: one fee, with the minimum once."""
    charge(world, minimum=100, free_below=500)
    voucher, offer = world.voucher(10_000), world.offer(grid=(r.RateBand(365, 0, 10_000),))
    draws = (c.BatchDraw(400, r.Purpose.PAYROLL),) * 3
    account = world.account("devices")
    batch = c.FinancingDrawBatch(world.label, offer, voucher, 0, draws, account)
    drawn = world.ok("devices", batch)
    assert (drawn.result[1], drawn.result[4]) == (1_100, 100)
    world.pay_out("bank-2", drawn, 1_100)
    assert fees_to_pay(world, "bank-2") == [("devices", 100, world.day)]


def test_an_accepted_quote_owes_the_fee_of_a_draw(world: World) -> None:
    charge(world)
    grant = waiver(world, r.WaiverScope.DRAWER, world.ids["devices"], kind=REDUCE, bps=3_333)
    id = world.ok("operator", grant).created[0].id
    voucher, banks = world.voucher(50_000_000), (world.ids["bank-2"],)
    account, goods = world.account("devices"), r.Purpose.GOODS
    ask = c.FinancingRequestOpen(world.label, voucher, 0, 50_000_000, account, goods, banks)
    opened = world.ok("devices", ask).created
    request = next(x.id for x in opened if x.kind == r.Kind.FINANCING_REQUEST)
    quote = c.FinancingQuote(
        world.label, request, 50_000_000, r.FinancingKind.SALE, 0, 360, 10_000, (), False, world.day
    )
    world.ok("bank-2", quote)
    assert world.get(r.Waiver, id).used == 0, "a request costs nothing"
    drawn = world.ok("devices", c.FinancingAccept(world.label, request, world.ids["bank-2"]))
    assert (drawn.result[1], drawn.result[4]) == (50_000_000 - 16_668, 16_668)
    assert world.get(r.Waiver, id).used == 8_332
    world.pay_out("bank-2", drawn, drawn.result[1])
    assert fees_to_pay(world, "bank-2") == [("devices", 16_668, world.day)]


def test_a_fee_is_confirmed_by_the_bank_that_was_instructed_AMOUNT_MISMATCH(world: World) -> None:
    charge(world)
    voucher, offer = world.voucher(1_000_000), world.offer(grid=(r.RateBand(365, 0, 10_000),))
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 1_000_000, offer))
    world.pay_out("bank-2", drawn, 999_500)
    (key,) = world.state.index_scan(Index.BANK_INSTRUCTIONS, world.ids["bank-2"], limit=9)
    confirm = c.InstructionConfirm(world.label, key[16:], 499, bytes(32))
    world.refused("AMOUNT_MISMATCH", "bank-2", confirm)
    world.ok("bank-2", c.InstructionConfirm(world.label, key[16:], 500, bytes(32)))
    assert fees_to_pay(world, "bank-2") == []


def test_the_programmes_own_fee_comes_before_the_networks(world: World) -> None:
    charge(world, bps=100)
    voucher, offer = world.voucher(10_000), world.offer()
    programme = world.get(r.Voucher, voucher).programme
    world.ok("core", c.FeeScheduleSet(world.label, programme, terms(world, bps=0)))
    assert drawn_fee(world, voucher, 10_000, offer) == 0


def test_a_draw_that_fails_costs_nothing_and_gives_its_waiver_back(world: World) -> None:
    charge(world)
    grant = waiver(world, r.WaiverScope.REGION, b"coast", kind=REDUCE, bps=5_000)
    id = world.ok("operator", grant).created[0].id
    voucher, offer = world.voucher(1_000_000), world.offer()
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 1_000_000, offer))
    assert world.get(r.Waiver, id).used == 250
    instruction = next(x.id for x in drawn.created if x.kind == r.Kind.INSTRUCTION)
    world.ok("bank-2", c.PayoutFail(world.label, instruction))
    assert world.get(r.Waiver, id).used == 0
    assert fees_to_pay(world, "bank-2") == []


# --- waivers ----------------------------------------------------------------------------------------


def test_scenario_C_exempt_for_MICRO_reduced_by_region_deferred_for_the_retailer(
    world: World,
) -> None:
    charge(world)
    world.join("far", r.OrganisationKind.SUPPLIER)
    kyc = c.KycSet(world.label, world.ids["far"], 2, r.Size.SMALL, "tourism", "inland")
    world.ok("bank-1", kyc)
    for scope, value, how in (
        (r.WaiverScope.SIZE, MICRO, {}),
        (r.WaiverScope.REGION, b"coast", {"kind": REDUCE, "bps": 3_333}),
        (r.WaiverScope.DEBTOR, world.ids["core"], {"kind": DEFER, "days": 90}),
    ):
        world.ok("operator", waiver(world, scope, value, **how))
    offer = world.offer(grid=(r.RateBand(365, 0, 10_000),))
    expected = {"shop": 0, "devices": 16_668, "far": 25_000}
    for who, fee in expected.items():
        voucher = world.voucher(50_000_000, payee=who)
        drawn = world.ok(who, world.draw(who, voucher, 0, 50_000_000, offer))
        assert drawn.result[4] == fee
        assert drawn.result[1] == 50_000_000 - (0 if who == "far" else fee), "a later fee is later"
        world.pay_out("bank-2", drawn, drawn.result[1])
    assert fees_to_pay(world, "bank-2") == [("devices", 16_668, world.day)]
    assert fees_to_pay(world, "bank-1") == [("far", 25_000, world.day + 90)]


def test_the_highest_reduction_wins_and_a_full_cap_is_passed_over(world: World) -> None:
    charge(world)
    for scope, value, bps, cap in (
        (r.WaiverScope.INDUSTRY, b"tourism", 2_000, 0),
        (r.WaiverScope.DRAWER, world.ids["devices"], 6_000, 400),
    ):
        grant = waiver(world, scope, value, kind=REDUCE, bps=bps, cap_total=cap)
        world.ok("operator", grant)
    voucher, offer = world.voucher(10**7), world.offer()
    assert drawn_fee(world, voucher, 1_000_000, offer) == 200
    assert drawn_fee(world, voucher, 1_000_000, offer) == 400, "300 of 400 are used"


def test_one_waiver_per_scope_and_day_WAIVER_OVERLAP(world: World) -> None:
    region = r.WaiverScope.REGION
    id = world.ok("operator", waiver(world, region, b"coast")).created[0].id
    last = waiver(world, region, b"coast", valid_from=world.day + 30, valid_to=world.day + 40)
    world.refused("WAIVER_OVERLAP", "operator", last)
    after = waiver(world, region, b"coast", valid_from=world.day + 31, valid_to=world.day + 40)
    world.ok("operator", after)
    world.ok("operator", waiver(world, r.WaiverScope.INDUSTRY, b"coast"))
    world.ok("operator", c.WaiverRevoke(world.label, id))
    world.ok("operator", waiver(world, region, b"coast"))


@pytest.mark.parametrize(
    "changes",
    [
        {"valid_from": 20_877}, {"valid_to": 20_877}, {"bps": 1}, {"kind": REDUCE},
        {"kind": REDUCE, "bps": 10_001}, {"days": 1}, {"kind": DEFER},
        {"scope": r.WaiverScope.SIZE, "value": b"9"},
    ],
)  # fmt: skip
def test_waivers_that_make_no_sense_FEE_INVALID(world: World, changes: dict[str, object]) -> None:
    given = {"scope": r.WaiverScope.REGION, "value": b"coast"} | changes
    world.refused("FEE_INVALID", "operator", waiver(world, **given))  # type: ignore[arg-type]  # by name


def test_a_waiver_is_granted_by_whose_fee_it_is_and_revoked_by_who_granted_it(
    world: World,
) -> None:
    grant = waiver(world, r.WaiverScope.REGION, b"coast")
    world.refused("NOT_AUTHORISED", "core", grant)
    id = world.ok("operator", grant).created[0].id
    world.refused("NOT_AUTHORISED", "core", c.WaiverRevoke(world.label, id))
    charge(world)
    voucher, offer = world.voucher(1_000_000), world.offer()
    assert drawn_fee(world, voucher, 100_000, offer) == 0
    world.ok("operator", c.WaiverRevoke(world.label, id))
    world.refused("STATE_CONFLICT", "operator", c.WaiverRevoke(world.label, id))
    assert drawn_fee(world, voucher, 100_000, offer) == 50
