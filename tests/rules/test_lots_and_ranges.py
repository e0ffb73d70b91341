"""Range lots and transfers (voucher law §7, §8.6)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from law_world import World

from tallynet import commands as c
from tallynet import records as r


@pytest.fixture
def world() -> World:
    made = World()
    made.core_and_suppliers()
    made.join("t", r.OrganisationKind.SUPPLIER)
    return made


def piece(world: World, to: str, amount: int) -> tuple[c.Piece, ...]:
    return (c.Piece(world.ids[to], amount, None),)


def test_section_7_worked_example(world: World) -> None:
    voucher, offer = world.voucher(10_000), world.offer(grid=(r.RateBand(365, 100, 10_000),))
    assert world.lots(voucher) == [("devices", 0, 10_000, "HELD")]
    world.sell("devices", voucher, 0, 100, offer)
    assert world.lots(voucher) == [("devices", 0, 9_900, "HELD"), ("bank-2", 9_900, 10_000, "HELD")]
    world.sell("devices", voucher, 0, 100, offer)
    assert world.lots(voucher) == [("devices", 0, 9_800, "HELD"), ("bank-2", 9_800, 10_000, "HELD")]
    world.ok("devices", c.LotTransfer(world.label, voucher, 0, piece(world, "t", 3_000)))
    assert world.lots(voucher) == [
        ("devices", 0, 6_800, "HELD"),
        ("t", 6_800, 9_800, "HELD"),
        ("bank-2", 9_800, 10_000, "HELD"),
    ]


def test_B5_99_draws_of_one_yuan_leave_two_lots(world: World) -> None:
    voucher, offer = world.voucher(10_000), world.offer(grid=(r.RateBand(365, 100, 10_000),))
    for _ in range(99):
        world.sell("devices", voucher, 0, 100, offer)
    assert world.lots(voucher) == [("devices", 0, 100, "HELD"), ("bank-2", 100, 10_000, "HELD")]


def test_pieces_are_carved_in_order_the_first_takes_the_tail(world: World) -> None:
    voucher = world.voucher(1_000)
    pieces = piece(world, "t", 10) + piece(world, "shop", 20)
    world.ok("devices", c.LotTransfer(world.label, voucher, 0, pieces))
    assert world.lots(voucher) == [
        ("devices", 0, 970, "HELD"), ("shop", 970, 990, "HELD"), ("t", 990, 1_000, "HELD"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "amount", "to"),
    [
        ("AMOUNT_RANGE", 0, "t"),
        ("AMOUNT_RANGE", 1_001, "t"),
        ("AMOUNT_RANGE", 2**63 - 1, "t"),
        ("RECEIVER_NOT_ELIGIBLE", 1, "devices"),
        ("RECEIVER_NOT_ELIGIBLE", 1, "core"),
    ],
)
def test_lot_transfer_refusals(world: World, code: str, amount: int, to: str) -> None:
    voucher = world.voucher(1_000)
    world.refused(code, "devices", c.LotTransfer(world.label, voucher, 0, piece(world, to, amount)))


def test_lot_transfer_by_somebody_else_NOT_HOLDER(world: World) -> None:
    voucher = world.voucher(1_000)
    world.refused(
        "NOT_HOLDER", "t", c.LotTransfer(world.label, voucher, 0, piece(world, "shop", 1))
    )


def test_PIECE_TOO_SMALL(world: World) -> None:
    voucher = world.voucher(1_000, min_piece=100)
    transfer = c.LotTransfer(world.label, voucher, 0, piece(world, "t", 99))
    world.refused("PIECE_TOO_SMALL", "devices", transfer)


def test_HOP_LIMIT(world: World) -> None:
    voucher = world.voucher(1_000, max_hops=1)
    world.ok("devices", c.LotTransfer(world.label, voucher, 0, piece(world, "t", 1_000)))
    world.refused("HOP_LIMIT", "t", c.LotTransfer(world.label, voucher, 0, piece(world, "shop", 1)))


def test_LOT_LIMIT_but_whole_lots_always_move(world: World) -> None:
    voucher = world.voucher(1_000, max_lots=2)
    world.ok("devices", c.LotTransfer(world.label, voucher, 0, piece(world, "t", 10)))
    part = c.LotTransfer(world.label, voucher, 0, piece(world, "shop", 10))
    world.refused("LOT_LIMIT", "devices", part)
    world.ok("devices", c.LotTransfer(world.label, voucher, 0, piece(world, "shop", 990)))


def test_EXPLICIT_accept_decline_recall(world: World) -> None:
    voucher = world.voucher(1_000, accept_mode=r.AcceptMode.EXPLICIT)
    send = c.LotTransfer(world.label, voucher, 0, piece(world, "t", 100))
    for command, by in ((c.LotDecline, "t"), (c.LotRecall, "devices")):
        world.ok("devices", send)
        assert world.lots(voucher)[1] == ("devices", 900, 1_000, "TRANSFER_PENDING")
        world.refused("NOT_HOLDER" if by == "devices" else "NOT_AUTHORISED", "shop",
                      command(world.label, voucher, 900))  # fmt: skip
        world.ok(by, command(world.label, voucher, 900))
        assert world.lots(voucher) == [("devices", 0, 1_000, "HELD")]
    world.ok("devices", send)
    world.refused("LOT_LOCKED", "devices",
                  c.LotTransfer(world.label, voucher, 900, piece(world, "shop", 1)))  # fmt: skip
    world.ok("t", c.LotAccept(world.label, voucher, 900))
    assert world.lots(voucher)[1] == ("t", 900, 1_000, "HELD")


def test_EXPLICIT_returns_after_its_deadline(world: World) -> None:
    voucher = world.voucher(1_000, accept_mode=r.AcceptMode.EXPLICIT)
    world.ok("devices", c.LotTransfer(world.label, voucher, 0, piece(world, "t", 100)))
    world.roll_to(world.day + 5)
    assert len(world.lots(voucher)) == 2
    world.roll_to(world.day + 1)
    assert world.lots(voucher) == [("devices", 0, 1_000, "HELD")]


def test_DEEMED_accepts_after_n_days(world: World) -> None:
    voucher = world.voucher(1_000, accept_mode=r.AcceptMode.DEEMED, deemed_days=3)
    world.ok("devices", c.LotTransfer(world.label, voucher, 0, piece(world, "t", 100)))
    world.roll_to(world.day + 3)
    assert world.lots(voucher)[1] == ("t", 900, 1_000, "HELD")


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 400)), max_size=12))
def test_I1_lots_tile_the_face_and_no_fen_changes_hands_unasked(
    acts: list[tuple[int, int, int]],
) -> None:
    world = World()
    world.core_and_suppliers()
    world.join("t", r.OrganisationKind.SUPPLIER)
    names = ("devices", "shop", "t", "bank-3")
    voucher = world.voucher(1_000)
    owner = ["devices"] * 1_000  # the naive model: who owns each fen
    for giver, receiver, amount in acts:
        lots = [x for x in world.lots(voucher) if x[0] == names[giver]]
        if not lots:
            continue
        _, start, end, _ = lots[0]
        pieces = piece(world, names[receiver], amount)
        receipt = world.run(names[giver], c.LotTransfer(world.label, voucher, start, pieces))
        if receipt.code == "OK":
            owner[end - amount : end] = [names[receiver]] * amount
    lots = world.lots(voucher)
    assert [x[1] for x in lots] == [0, *[x[2] for x in lots[:-1]]]
    assert lots[-1][2] == 1_000
    assert [name for name, start, end, _ in lots for _ in range(start, end)] == owner
