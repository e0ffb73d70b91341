"""Sealed prices: request, sealed quote, acceptance, pay-out, settlement (voucher law §16.6; I15)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from law_world import DIGEST, World

from node.ledger.rulebook import RULES
from node.state.tables import STATE_TABLES
from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import encode
from tallynet.hashing import record_id
from tallynet.receipts import CommandReceipt
from tallynet.sealed_price import (
    PriceTerms,
    SealedQuote,
    discount,
    price,
    price_commitment,
    terms_commitment,
)

SALT = bytes(range(32))
RATE = 43_517
FACE = 1_000_000


@pytest.fixture
def world() -> World:
    made = World(audited=True)
    made.core_and_suppliers()
    return made


def created(receipt: CommandReceipt, kind: r.Kind) -> bytes:
    return next(item.id for item in receipt.created if item.kind == kind)


def ask(world: World, voucher: bytes, amount: int = FACE) -> bytes:
    command = c.FinancingRequestOpen(
        world.label, voucher, 0, amount, world.account("devices"), r.Purpose.GOODS,
        tuple(sorted((world.ids["bank-2"], world.ids["bank-3"]))),
    )  # fmt: skip
    return created(world.ok("devices", command), r.Kind.FINANCING_REQUEST)


def opening(world: World, voucher: bytes, request: bytes, bank: str = "bank-2") -> SealedQuote:
    asked = world.get(r.FinancingRequest, request)
    terms = PriceTerms(
        request, world.ids[bank], asked.holder, asked.end - asked.start, asked.currency,
        world.get(r.Voucher, voucher).maturity, RATE, 360, world.day + 1,
    )  # fmt: skip
    return SealedQuote(SALT, terms)


def quote(world: World, given: SealedQuote, **changes: object) -> c.FinancingQuoteSealed:
    fields = {
        "label": world.label, "request": given.terms.request, "amount": given.terms.face,
        "terms_commitment": terms_commitment(given), "ciphertext_hash": DIGEST, "lines": (),
        "registration_required": False, "valid_to": world.day + 1,
    }  # fmt: skip
    return c.FinancingQuoteSealed(**(fields | changes))  # type: ignore[arg-type]  # by name


def accept(world: World, given: SealedQuote, **changes: object) -> c.FinancingAcceptSealed:
    fields = {
        "label": world.label, "request": given.terms.request, "funder": given.terms.funder,
        "terms_commitment": terms_commitment(given),
        "price_commitment": price_commitment(given, world.day), "value_day": world.day,
    }  # fmt: skip
    return c.FinancingAcceptSealed(**(fields | changes))  # type: ignore[arg-type]  # by name


def confirm(
    world: World, drawn: CommandReceipt, given: SealedQuote, **changes: object
) -> c.PayoutConfirmSealed:
    fields = {
        "label": world.label, "instruction": created(drawn, r.Kind.INSTRUCTION),
        "face": given.terms.face, "price_commitment": price_commitment(given, world.day),
        "receipt_commitment": record_id(99, b"", world.label) * 2,
    }  # fmt: skip
    return c.PayoutConfirmSealed(**(fields | changes))  # type: ignore[arg-type]  # by name


def sealed_deal(world: World) -> tuple[bytes, SealedQuote, CommandReceipt]:
    """A voucher whose first payee has accepted a sealed quote of bank-2 for a part of it."""
    voucher = world.voucher(2 * FACE)
    given = opening(world, voucher, ask(world, voucher))
    world.ok("bank-2", quote(world, given))
    return voucher, given, world.ok("devices", accept(world, given))


def test_a_range_is_sold_at_a_price_that_no_record_and_no_event_holds(world: World) -> None:
    voucher, given, drawn = sealed_deal(world)
    financing = world.get(r.Financing, created(drawn, r.Kind.FINANCING))
    order = world.get(r.Instruction, financing.instruction)
    assert (financing.rate_ppm, financing.basis, financing.discount, financing.net) == (0, 0, 0, 0)
    assert (order.amount, order.price_commitment) == (0, price_commitment(given, world.day))
    assert drawn.result == (0, 0, 0, given.terms.maturity - world.day, 0)
    paid = world.ok("bank-2", confirm(world, drawn, given))
    assert paid.code == "OK"
    assert world.lots(voucher) == [
        ("devices", 0, FACE, "HELD"), ("bank-2", FACE, 2 * FACE, "HELD"),
    ]  # fmt: skip


def states(world: World) -> bytes:
    """Every value of the state tables."""
    return b"".join(
        value
        for table in STATE_TABLES
        for _, value in world.tables.scan(table, b"", b"", sys.maxsize)
    )


def test_the_whole_state_holds_neither_rate_nor_price_while_an_open_deal_shows_both(
    world: World,
) -> None:
    _, given, _ = sealed_deal(world)
    secrets = [encode(price(given.terms, world.day)), encode(RATE)]
    assert [secret in states(world) for secret in secrets] == [False, False]
    voucher = world.voucher(FACE)
    request = ask(world, voucher)
    open_quote = c.FinancingQuote(
        world.label, request, FACE, r.FinancingKind.SALE, RATE, 360, 10_000, (), False, world.day
    )
    world.ok("bank-2", open_quote)
    world.ok("devices", c.FinancingAccept(world.label, request, world.ids["bank-2"]))
    assert [secret in states(world) for secret in secrets] == [True, True]


def test_the_discount_is_that_of_an_open_quote(world: World) -> None:
    voucher = world.voucher(FACE)
    given = opening(world, voucher, ask(world, voucher))
    open_quote = c.FinancingQuote(
        world.label, given.terms.request, FACE, r.FinancingKind.SALE, RATE, 360, 10_000, (), False,
        world.day,
    )  # fmt: skip
    world.ok("bank-3", open_quote)
    accepted = c.FinancingAccept(world.label, given.terms.request, world.ids["bank-3"])
    drawn = world.ok("devices", accepted)
    assert drawn.result[:2] == (discount(given.terms, world.day), price(given.terms, world.day))


def test_the_bank_is_paid_the_face_at_maturity_as_for_any_range(world: World) -> None:
    voucher, given, drawn = sealed_deal(world)
    world.ok("bank-2", confirm(world, drawn, given))
    world.roll_to(world.get(r.Voucher, voucher).maturity)
    world.ok("bank-1", c.FundsReceived(world.label, voucher, 2 * FACE, 0, DIGEST))
    instruction = next(
        id for id, order in settlements(world, voucher) if order.payee == world.ids["bank-2"]
    )
    world.ok("bank-1", c.SettlementPaid(world.label, instruction, FACE, bytes(32)))
    assert ("bank-2", FACE, 2 * FACE, "REDEEMED") in world.lots(voucher)


def settlements(world: World, voucher: bytes) -> list[tuple[bytes, r.Instruction]]:
    keys = world.state.index_scan(Index.VOUCHER_INSTRUCTIONS, voucher, limit=9)
    return [(key[16:], world.get(r.Instruction, key[16:])) for key in keys]


def test_both_sides_sign_for_the_same_terms_AMOUNT_MISMATCH(world: World) -> None:
    voucher = world.voucher(FACE)
    given = opening(world, voucher, ask(world, voucher))
    world.ok("bank-2", quote(world, given))
    world.refused("AMOUNT_MISMATCH", "devices", accept(world, given, terms_commitment=DIGEST))
    world.ok("devices", accept(world, given))


def test_the_bank_confirms_the_price_that_the_holder_committed_to_AMOUNT_MISMATCH(
    world: World,
) -> None:
    _, given, drawn = sealed_deal(world)
    for changes in ({"price_commitment": DIGEST}, {"face": FACE - 1}):
        world.refused("AMOUNT_MISMATCH", "bank-2", confirm(world, drawn, given, **changes))
    open_one = c.PayoutConfirm(world.label, created(drawn, r.Kind.INSTRUCTION), 0, bytes(32))
    world.refused("AMOUNT_MISMATCH", "bank-2", open_one)
    world.refused("NOT_AUTHORISED", "bank-3", confirm(world, drawn, given))
    done = confirm(world, drawn, given)
    world.ok("bank-2", done)


def test_an_open_pay_out_is_not_confirmed_by_a_commitment_AMOUNT_MISMATCH(world: World) -> None:
    voucher, offer = world.voucher(FACE), world.offer()
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 100, offer))
    id = created(drawn, r.Kind.INSTRUCTION)
    command = c.PayoutConfirmSealed(world.label, id, 100, DIGEST, DIGEST)
    world.refused("AMOUNT_MISMATCH", "bank-2", command)


def test_a_commitment_for_another_day_is_refused_DATE_RANGE(world: World) -> None:
    voucher = world.voucher(FACE)
    given = opening(world, voucher, ask(world, voucher))
    world.ok("bank-2", quote(world, given))
    late = accept(world, given)
    world.roll_to(world.day + 1)
    world.refused("DATE_RANGE", "devices", late)
    world.ok("devices", accept(world, given))


def test_sealed_and_open_quotes_are_accepted_each_in_its_way_STATE_CONFLICT(world: World) -> None:
    voucher = world.voucher(FACE)
    request = ask(world, voucher)
    given = opening(world, voucher, request)
    world.ok("bank-2", quote(world, given))
    open_quote = c.FinancingQuote(
        world.label, request, FACE, r.FinancingKind.SALE, RATE, 360, 10_000, (), False, world.day
    )
    world.ok("bank-3", open_quote)
    open_way = c.FinancingAccept(world.label, request, world.ids["bank-2"])
    world.refused("STATE_CONFLICT", "devices", open_way)
    sealed_way = accept(world, given, funder=world.ids["bank-3"])
    world.refused("STATE_CONFLICT", "devices", sealed_way)
    world.ok("devices", c.FinancingAccept(world.label, request, world.ids["bank-3"]))


def test_only_a_bank_that_was_asked_quotes_sealed_NOT_LICENSED(world: World) -> None:
    world.admit("factor", r.OrganisationKind.FACTOR)
    voucher = world.voucher(FACE)
    command = c.FinancingRequestOpen(
        world.label, voucher, 0, FACE, world.account("devices"), r.Purpose.GOODS,
        (world.ids["factor"],),
    )  # fmt: skip
    request = created(world.ok("devices", command), r.Kind.FINANCING_REQUEST)
    given = opening(world, voucher, request)
    world.refused("NOT_LICENSED", "factor", quote(world, given))
    world.refused("NOT_AUTHORISED", "bank-2", quote(world, given))


def test_a_programme_that_seals_prices_takes_no_open_quote_to_buy_PROGRAMME_RULE(
    world: World,
) -> None:
    voucher = world.voucher(FACE, price_mode=r.PriceMode.SEALED)
    request = ask(world, voucher)
    open_quote = c.FinancingQuote(
        world.label, request, FACE, r.FinancingKind.SALE, RATE, 360, 10_000, (), False, world.day
    )
    world.refused("PROGRAMME_RULE", "bank-2", open_quote)
    given = opening(world, voucher, request)
    world.ok("bank-2", quote(world, given))
    drawn = world.ok("devices", accept(world, given))
    world.ok("bank-2", confirm(world, drawn, given))


def test_lines_count_the_face_and_a_failed_pay_out_gives_everything_back(world: World) -> None:
    line = world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-2", "core", FACE)
    voucher = world.voucher(2 * FACE)
    given = opening(world, voucher, ask(world, voucher))
    world.ok("bank-2", quote(world, given, lines=(r.LineKind.DEBTOR_EXPOSURE,)))
    drawn = world.ok("devices", accept(world, given))
    assert world.get(r.CreditLine, line).reserved == FACE
    world.ok("bank-2", c.PayoutFail(world.label, created(drawn, r.Kind.INSTRUCTION)))
    assert world.get(r.CreditLine, line).reserved == 0
    assert world.lots(voucher) == [("devices", 0, 2 * FACE, "HELD")]


def test_the_fee_is_known_although_the_price_is_not(world: World) -> None:
    world.admit("operator", r.OrganisationKind.OPERATOR)
    terms = r.FeeTerms(world.day, 5, 0, 0, 0)
    world.ok("operator", c.FeeScheduleSet(world.label, None, terms))
    _, given, drawn = sealed_deal(world)
    fee = FACE * 5 // 10_000
    assert drawn.result[4] == fee
    financing = world.get(r.Financing, created(drawn, r.Kind.FINANCING))
    assert financing.fee is not None
    assert financing.fee.drawer == fee
    world.ok("bank-2", confirm(world, drawn, given))


def test_a_policy_and_a_machine_keys_cap_look_at_the_face() -> None:
    command = c.PayoutConfirmSealed(b"l", bytes(16), FACE, DIGEST, DIGEST)
    assert RULES[c.PayoutConfirmSealed].amount(command) == FACE
