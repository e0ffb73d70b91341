"""Range lots and transfers (voucher law §7, §8.6)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from law_world import DIGEST, World

from node.ledger import ranges
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


def test_a_receiver_that_was_not_identified_KYC_INSUFFICIENT(world: World) -> None:
    voucher = world.voucher(1_000)
    for level in (0, 1):
        kyc = c.KycSet(world.label, world.ids["t"], level, r.Size.SMALL, "tourism", "coast")
        world.ok("bank-1", kyc)
        transfer = c.LotTransfer(world.label, voucher, 0, piece(world, "t", 10))
        if level:
            world.ok("devices", transfer)
        else:
            world.refused("KYC_INSUFFICIENT", "devices", transfer)


def test_a_programme_that_wants_a_document_for_each_piece_DOCUMENT_REQUIRED(world: World) -> None:
    voucher = world.voucher(1_000, document_required_on_transfer=True)

    def passing(document: bytes | None) -> c.LotTransfer:
        return c.LotTransfer(world.label, voucher, 0, (c.Piece(world.ids["t"], 10, document),))

    world.refused("DOCUMENT_REQUIRED", "devices", passing(None))
    world.refused("DOCUMENT_REQUIRED", "devices", passing(bytes(16)))
    world.refused("DOCUMENT_PARTY", "devices", passing(world.document(10, "t", "core")))
    world.ok("devices", passing(world.document(10, "t", "devices")))


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


# --- lot.merge: adjacent and equal (§7, §8.6) -------------------------------------------------------
#
# Every act of today that leaves equal neighbours joins them itself. Lots that were left apart are what a rule of
# before, or one to come, may leave; here a transfer does.


def never(_left: r.Lot, _right: r.Lot) -> bool:
    return False


def apart(world: World, monkeypatch: pytest.MonkeyPatch, *amounts: int) -> bytes:
    """A voucher of which `t` holds equal neighbours, from the tail: so many fen each."""
    voucher = world.voucher(1_000)
    with monkeypatch.context() as patched:
        patched.setattr(ranges, "_joinable", never)
        for amount in amounts:
            world.ok("devices", c.LotTransfer(world.label, voucher, 0, piece(world, "t", amount)))
            world.roll_to(world.day + 1)
    return voucher


def merging(world: World, voucher: bytes, start: int) -> c.LotMerge:
    return c.LotMerge(world.label, voucher, start)


def lot_of(world: World, voucher: bytes, start: int) -> r.Lot:
    found = world.state.get(r.Kind.LOT, r.lot_id(voucher, start))
    assert isinstance(found, r.Lot)
    return found


def test_lot_merge_joins_a_lot_with_its_equal_neighbours(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    voucher = apart(world, monkeypatch, 100, 200, 300)
    assert world.lots(voucher) == [
        ("devices", 0, 400, "HELD"), ("t", 400, 700, "HELD"), ("t", 700, 900, "HELD"),
        ("t", 900, 1_000, "HELD"),
    ]  # fmt: skip
    newest = lot_of(world, voucher, 400)
    before = world.get(r.Voucher, voucher)
    world.refused("NOT_HOLDER", "devices", merging(world, voucher, 700))
    receipt = world.ok("t", merging(world, voucher, 700))
    assert receipt.events == 1
    assert world.lots(voucher) == [("devices", 0, 400, "HELD"), ("t", 400, 1_000, "HELD")]
    joined = lot_of(world, voucher, 400)
    assert (joined.newest_event, joined.acquired_day) == (newest.newest_event, newest.acquired_day)
    assert (joined.hops, joined.acquired_by) == (newest.hops, newest.acquired_by)
    after = world.get(r.Voucher, voucher)
    assert after.event_count == before.event_count + 1
    assert after.event_accumulator != before.event_accumulator
    world.refused("NOT_MERGEABLE", "t", merging(world, voucher, 400))
    world.refused("RECORD_NOT_FOUND", "t", merging(world, voucher, 700))


def test_a_merged_lot_is_passed_on_as_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    voucher = apart(world, monkeypatch, 100, 200)
    world.ok("t", merging(world, voucher, 700))
    world.ok("t", c.LotTransfer(world.label, voucher, 700, piece(world, "shop", 250)))
    assert world.lots(voucher)[1:] == [("t", 700, 750, "HELD"), ("shop", 750, 1_000, "HELD")]


def test_lot_merge_makes_room_for_another_lot_LOT_LIMIT(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    voucher = world.voucher(1_000, max_lots=3)
    with monkeypatch.context() as patched:
        patched.setattr(ranges, "_joinable", never)
        for _ in range(2):
            world.ok("devices", c.LotTransfer(world.label, voucher, 0, piece(world, "t", 100)))
    part = c.LotTransfer(world.label, voucher, 0, piece(world, "shop", 10))
    world.refused("LOT_LIMIT", "devices", part)
    world.ok("t", merging(world, voucher, 800))
    world.ok("devices", part)


def test_a_flag_keeps_lots_apart_NOT_MERGEABLE(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    voucher = apart(world, monkeypatch, 100, 200)
    with monkeypatch.context() as patched:
        patched.setattr(ranges, "_joinable", never)
        world.ok("t", c.LotFlagSet(world.label, voucher, 900, True))
    world.refused("NOT_MERGEABLE", "t", merging(world, voucher, 700))
    world.refused("NOT_MERGEABLE", "t", merging(world, voucher, 900))
    with monkeypatch.context() as patched:
        patched.setattr(ranges, "_joinable", never)
        world.ok("t", c.LotFlagSet(world.label, voucher, 700, True))
    world.ok("t", merging(world, voucher, 700))
    assert lot_of(world, voucher, 700).flags == r.FLAG_NO_TRANSFER


def test_a_pledge_keeps_lots_apart_LOT_STATE_and_NOT_MERGEABLE(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    voucher = apart(world, monkeypatch, 100, 200)
    offer = world.offer(kind=r.FinancingKind.LOAN_PLEDGE, grid=(r.RateBand(365, 0, 8_000),))
    drawn = world.ok("t", world.draw("t", voucher, 900, 100, offer))
    world.refused("LOT_LOCKED", "t", merging(world, voucher, 900))
    world.refused("NOT_MERGEABLE", "t", merging(world, voucher, 700))
    world.pay_out("bank-2", drawn, 80)
    assert world.lots(voucher)[1:] == [("t", 700, 900, "HELD"), ("t", 900, 1_000, "PLEDGED")]
    world.refused("LOT_STATE", "t", merging(world, voucher, 900))
    world.refused("NOT_MERGEABLE", "t", merging(world, voucher, 700))


def test_the_tier_keeps_lots_apart_NOT_MERGEABLE(world: World) -> None:
    """One lot came to `shop` at the first hop, its neighbour at the second."""
    voucher = world.voucher(1_000)
    world.ok("devices", c.LotTransfer(world.label, voucher, 0, piece(world, "t", 100)))
    world.ok("t", c.LotTransfer(world.label, voucher, 900, piece(world, "shop", 100)))
    world.ok("devices", c.LotTransfer(world.label, voucher, 0, piece(world, "shop", 200)))
    assert world.lots(voucher)[1:] == [("shop", 700, 900, "HELD"), ("shop", 900, 1_000, "HELD")]
    assert [lot_of(world, voucher, start).hops for start in (700, 900)] == [1, 2]
    for start in (700, 900):
        world.refused("NOT_MERGEABLE", "shop", merging(world, voucher, start))


def test_how_they_were_acquired_keeps_lots_apart_NOT_MERGEABLE(world: World) -> None:
    """A bank bought one lot and was given its neighbour; both at the same tier."""
    voucher, offer = world.voucher(1_000), world.offer()
    world.ok("devices", c.LotTransfer(world.label, voucher, 0, piece(world, "t", 100)))
    world.sell("t", voucher, 900, 100, offer)
    world.ok("devices", c.LotTransfer(world.label, voucher, 0, piece(world, "bank-2", 50)))
    bought, received = lot_of(world, voucher, 900), lot_of(world, voucher, 850)
    assert (received.end, received.holder) == (bought.start, bought.holder)
    assert (bought.hops, received.hops) == (1, 1)
    assert bought.acquired_by is not received.acquired_by
    world.refused("NOT_MERGEABLE", "bank-2", merging(world, voucher, 900))


def test_lot_merge_while_the_voucher_is_due_VOUCHER_STATE(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each lot has a settlement instruction of its own by then."""
    voucher = apart(world, monkeypatch, 100, 200)
    world.roll_to(world.get(r.Voucher, voucher).maturity)
    world.refused("VOUCHER_STATE", "t", merging(world, voucher, 700))


def test_lot_merge_of_what_a_court_holds_LOT_FROZEN(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.admit("court", r.OrganisationKind.COURT_AGENT)
    voucher = apart(world, monkeypatch, 100, 200)
    part = c.FrozenPart(voucher, 900, 100, False)
    world.ok("court", c.FreezeOrder(world.label, world.ids["t"], DIGEST, (part,), world.day + 9))
    world.refused("LOT_FROZEN", "t", merging(world, voucher, 900))
    world.refused("NOT_MERGEABLE", "t", merging(world, voucher, 700))
    world.ok("court", c.FreezeOrder(world.label, world.ids["t"], DIGEST, (), world.day + 9))
    world.refused("LOT_FROZEN", "t", merging(world, voucher, 700))
