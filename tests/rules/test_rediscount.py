"""Rediscount between banks (voucher law §8.7)."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from followed_world import FollowedWorld

from tallynet import commands as c
from tallynet import records as r

EXPOSURE = (r.LineKind.DEBTOR_EXPOSURE,)


class Bought(FollowedWorld):
    """bank-2 bought [400, 1000) of a voucher under its line; bank-3 has a line of 1,000."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.core_and_suppliers()
        self.sold_line = self.line(r.LineKind.DEBTOR_EXPOSURE, "bank-2", "core", 5_000)
        self.buy_line = self.line(r.LineKind.DEBTOR_EXPOSURE, "bank-3", "core", 1_000)
        self.paper = self.voucher(1_000)
        self.sell("devices", self.paper, 0, 600, self.offer(lines_required=EXPOSURE))

    def offering(self, amount: int = 600, price: int = 590, **changes: object):
        given = {
            "label": b"deal", "voucher": self.paper, "start": 400, "amount": amount,
            "buyer": self.ids["bank-3"], "price": price,
        }  # fmt: skip
        return c.RediscountOffer(**(given | changes))  # type: ignore[arg-type]  # by name

    @property
    def deal(self) -> bytes:
        return self.financing("bank-2", b"deal")

    def accept(self, price: int = 590):
        return c.RediscountAccept(self.label, self.deal, price)

    def confirm(self, amount: int = 590):
        receipt = sha256(b"receipt" + self.label).digest()
        return c.RediscountConfirm(self.label, self.deal, amount, receipt)

    def cancel(self):
        return c.RediscountCancel(self.label, self.deal)

    def exposures(self) -> list[tuple[int, int]]:
        lines = [self.get(r.CreditLine, id) for id in (self.sold_line, self.buy_line)]
        return [(line.reserved, line.used) for line in lines]


@pytest.fixture
def world() -> Bought:
    return Bought()


SELLERS = [("devices", 0, 400, "HELD"), ("bank-2", 400, 1_000, "HELD")]


def test_the_sellers_confirmation_moves_holder_and_exposure(world: Bought) -> None:
    world.ok("bank-2", world.offering(500, 490))
    locked = ("bank-2", 500, 1_000, "FINANCING_PENDING")
    assert world.lots(world.paper)[2] == locked
    instruction = world.ok("bank-3", world.accept(490)).created[0].id
    order = world.get(r.Instruction, instruction)
    assert (order.payer, order.payee, order.amount) == (
        world.ids["bank-3"], world.ids["bank-2"], 490
    )  # fmt: skip
    assert world.exposures() == [(0, 600), (500, 0)]
    assert world.lots(world.paper)[2] == locked
    world.refused("AMOUNT_MISMATCH", "bank-2", world.confirm(489))
    world.ok("bank-2", world.confirm(490))
    assert world.lots(world.paper)[1:] == [
        ("bank-2", 400, 500, "HELD"), ("bank-3", 500, 1_000, "HELD")
    ]  # fmt: skip
    assert world.exposures() == [(0, 100), (0, 500)]
    assert world.state.get(r.Kind.FINANCING, world.deal) is None
    assert world.state.get(r.Kind.INSTRUCTION, instruction) is None


def test_at_settlement_the_buyer_is_paid_and_its_exposure_is_free(world: Bought) -> None:
    world.ok("bank-2", world.offering())
    world.ok("bank-3", world.accept())
    world.ok("bank-2", world.confirm())
    world.roll_to(world.get(r.Voucher, world.paper).maturity)
    world.ok("bank-1", c.FundsReceived(world.label, world.paper, 1_000, 0, bytes(32)))
    settlement = next(
        id for id, (_, start) in world.model.settlements.items() if start == 400
    )  # fmt: skip
    assert world.get(r.Instruction, settlement).payee == world.ids["bank-3"]
    world.ok("bank-1", c.SettlementPaid(world.label, settlement, 600, bytes([1]) * 32))
    assert world.exposures() == [(0, 0), (0, 0)]


def test_only_banks_rediscount_and_only_what_they_bought(world: Bought) -> None:
    world.refused("NOT_LICENSED", "devices", world.offering(10, 10, start=0))
    world.refused("NOT_LICENSED", "bank-2", world.offering(buyer=world.ids["devices"]))
    world.refused("SELF_DEALING", "bank-2", world.offering(buyer=world.ids["bank-2"]))
    world.refused("NOT_HOLDER", "bank-2", world.offering(10, 10, start=0))
    pieces = (c.Piece(world.ids["bank-2"], 100, None),)
    world.ok("devices", c.LotTransfer(world.label, world.paper, 0, pieces))
    world.refused("LOT_STATE", "bank-2", world.offering(10, 10, start=300))
    world.refused("AMOUNT_RANGE", "bank-2", world.offering(601))
    world.refused("AMOUNT_RANGE", "bank-2", world.offering(500, 501))
    world.refused("AMOUNT_RANGE", "bank-2", world.offering(500, 0))


def test_LOT_LOCKED_an_offered_range_does_not_move(world: Bought) -> None:
    world.ok("bank-2", world.offering())
    pieces = (c.Piece(world.ids["shop"], 100, None),)
    world.refused("LOT_LOCKED", "bank-2", c.LotTransfer(world.label, world.paper, 400, pieces))
    world.refused("LOT_LOCKED", "bank-2", world.offering(label=b"again"))


def test_LINE_EXCEEDED_the_buyers_exposure_needs_room(world: Bought) -> None:
    world.ok("bank-3", c.LineChange(world.label, world.buy_line, 599, world.day, world.day + 9, ()))
    world.ok("bank-2", world.offering())
    world.refused("LINE_EXCEEDED", "bank-3", world.accept())
    world.ok("bank-2", world.cancel())
    assert world.lots(world.paper) == SELLERS
    without = world.offering(label=b"other", buyer=world.ids["bank-4"])
    other = world.ok("bank-2", without).created[0].id
    world.refused("LINE_EXCEEDED", "bank-4", c.RediscountAccept(world.label, other, 590))


def test_only_the_named_bank_accepts_and_signs_for_the_price(world: Bought) -> None:
    world.ok("bank-2", world.offering())
    world.refused("NOT_AUTHORISED", "bank-4", world.accept())
    world.refused("AMOUNT_MISMATCH", "bank-3", world.accept(591))
    world.refused("STATE_CONFLICT", "bank-2", world.confirm())
    world.ok("bank-3", world.accept())
    world.refused("STATE_CONFLICT", "bank-3", world.accept())
    world.refused("NOT_AUTHORISED", "bank-3", world.confirm())


def test_DOCUMENT_VOID_no_rediscount_of_a_voucher_whose_document_is_void(world: Bought) -> None:
    world.admit("oracle", r.OrganisationKind.ORACLE)
    world.ok("bank-2", world.offering(100, 90))
    document = world.get(r.Voucher, world.paper).documents[0].document
    world.ok("oracle", c.DocumentVoid(world.label, document))
    world.refused("DOCUMENT_VOID", "bank-3", world.accept(90))
    world.refused("DOCUMENT_VOID", "bank-2", world.offering(label=b"more", amount=100, price=90))
    world.ok("bank-2", world.cancel())


def test_QUOTE_EXPIRED_an_offer_lapses_after_three_days(world: Bought) -> None:
    world.ok("bank-2", world.offering())
    world.roll_to(world.day + 3)
    assert world.lots(world.paper)[1][3] == "FINANCING_PENDING"
    world.roll_to(world.day + 1)
    assert world.lots(world.paper) == SELLERS
    world.refused("RECORD_NOT_FOUND", "bank-3", world.accept())


def test_an_accepted_rediscount_expires_unpaid(world: Bought) -> None:
    world.ok("bank-2", world.offering())
    world.ok("bank-3", world.accept())
    world.block(seconds=86_400)
    assert world.lots(world.paper) == SELLERS
    assert world.exposures() == [(0, 600), (0, 0)]


def test_either_bank_cancels_but_a_payment_under_way_only_the_buyer(world: Bought) -> None:
    world.ok("bank-2", world.offering())
    world.refused("NOT_AUTHORISED", "bank-4", world.cancel())
    world.ok("bank-3", world.cancel())
    world.ok("bank-2", world.offering())
    instruction = world.ok("bank-3", world.accept()).created[0].id
    world.ok("bank-3", c.InstructionSend(world.label, instruction))
    world.refused("STATE_CONFLICT", "bank-2", world.cancel())
    world.ok("bank-3", world.cancel())
    assert world.lots(world.paper) == SELLERS
    assert world.exposures() == [(0, 600), (0, 0)]


@pytest.mark.parametrize("accepted", [False, True])
def test_at_maturity_an_unsent_rediscount_is_cancelled(world: Bought, accepted: bool) -> None:
    maturity = world.get(r.Voucher, world.paper).maturity
    world.roll_to(maturity - 1)
    world.ok("bank-2", world.offering())
    if accepted:
        world.ok("bank-3", world.accept())
    network = world.get(r.Network, r.NETWORK_ID)
    world.block(seconds=network.next_roll - world.time)
    assert world.lots(world.paper) == SELLERS
    assert world.exposures() == [(0, 600), (0, 0)]


def test_a_payment_sent_before_maturity_and_confirmed_after_it_counts(world: Bought) -> None:
    world.roll_to(world.get(r.Voucher, world.paper).maturity - 1)
    world.ok("bank-2", world.offering())
    instruction = world.ok("bank-3", world.accept()).created[0].id
    world.ok("bank-3", c.InstructionSend(world.label, instruction))
    network = world.get(r.Network, r.NETWORK_ID)
    world.block(seconds=network.next_roll - world.time)
    world.ok("bank-2", world.confirm())
    assert world.lots(world.paper)[1] == ("bank-3", 400, 1_000, "HELD")
    settlement = next(id for id, (_, start) in world.model.settlements.items() if start == 400)
    assert world.get(r.Instruction, settlement).payee == world.ids["bank-3"]
