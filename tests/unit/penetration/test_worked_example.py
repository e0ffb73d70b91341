"""The figures of docs/concepts/penetration.md."""

from __future__ import annotations

from tallynet import records as r
from tallynet.penetration import (
    HIDDEN,
    Chain,
    ChainPart,
    Down,
    Hit,
    Holding,
    Idle,
    IdleLot,
    Impact,
    Position,
    Positions,
    exposures,
    hits_by_party,
    ladder,
    slices,
)
from tests.unit.penetration.ledgers import Ledger
from tools.arguments import format_day


def example() -> tuple[Ledger, bytes]:
    world = Ledger()
    voucher = world.paper("core", "devices", 100_000, programme=world.open_programme())
    world.pass_on("devices", voucher, 0, 30_000, "paint")
    world.sell("devices", voucher, 0, 20_000, world.sale)
    world.borrow("paint", voucher, 70_000, 10_000)
    world.paper("store", "devices", 40_000, tenor=60)
    world.guarantee(r.GuaranteeScope.DEBTOR, world.ids["core"], 25_000)
    world.roll_to(world.day + 30)
    return world, voucher


def test_the_worked_example() -> None:
    world, voucher = example()

    def down(by: str) -> list[tuple[int, int, str | None, str | None]]:
        return [
            (row.start, row.end, world.name(row.lot.holder) if row.lot else None,
             world.name(row.financier))
            for row in world.ask(by, Down(voucher))
            if isinstance(row, Holding)
        ]  # fmt: skip

    assert down("watch") == [
        (0, 50_000, "devices", None),
        (50_000, 70_000, "bank-2", None),
        (70_000, 90_000, "paint", None),
        (90_000, 100_000, "paint", "bank-2"),
    ]
    assert down("core") == [
        (0, 50_000, "devices", None),
        (50_000, 70_000, "bank-2", None),
        (70_000, 90_000, None, None),
        (90_000, 100_000, None, None),
    ]
    bank = [
        p for p in world.ask("bank-2", Positions(world.ids["bank-2"])) if isinstance(p, Position)
    ]
    (exposure,) = exposures(bank)
    assert world.name(exposure.group) == "core"
    assert (exposure.held, exposure.lent, exposure.overdue) == (20_000, 8_000, 0)
    mine = world.ask("devices", Positions(world.ids["devices"]))
    rungs = ladder(p for p in mine if isinstance(p, Position))
    assert [(format_day(rung.day), rung.held, rung.lent) for rung in rungs] == [
        ("2027-04-30", 40_000, 0),
        ("2027-05-31", 50_000, 0),
    ]
    (exposure,) = exposures(p for p in mine if isinstance(p, Position))
    assert (world.name(exposure.group), exposure.held) == ("core", 90_000)
    idle = world.ask("devices", Idle(world.ids["devices"], 30))
    lengths = [(row.end - row.start, row.days) for row in idle if isinstance(row, IdleLot)]
    assert sorted(lengths) == [(40_000, 30), (50_000, 30)]
    hits = [row for row in world.ask("watch", Impact(world.ids["core"])) if isinstance(row, Hit)]
    assert [
        (world.name(party), role.name, tier, amount)
        for party, role, tier, _, amount in hits_by_party(hits)
    ] == [
        ("devices", "HOLDER", 0, 90_000),
        ("paint", "HOLDER", 1, 30_000),
        ("surety", "GUARANTOR", 0, 25_000),
        ("bank-2", "HOLDER", 0, 20_000),
        ("bank-2", "LENDER", 1, 8_000),
    ]
    parts = [p for p in world.ask("watch", Chain(world.ids["core"])) if isinstance(p, ChainPart)]
    assert [
        (row.by.name, row.value, row.lots, row.amount, row.idle) for row in slices(parts, 30)
    ] == [
        ("TIER", "0", 3, 110_000, 90_000),
        ("TIER", "1", 2, 30_000, 20_000),
        ("HOLDER", "BANK", 1, 20_000, 0),
        ("HOLDER", "SUPPLIER", 4, 120_000, 110_000),
        ("STATE", "HELD", 4, 130_000, 110_000),
        ("STATE", "PLEDGED", 1, 10_000, 0),
    ]
    mine = [p for p in world.ask("core", Chain(world.ids["core"])) if isinstance(p, ChainPart)]
    hidden = [row for row in slices(mine, 30) if row.value == HIDDEN]
    assert [(row.by.name, row.amount) for row in hidden] == [
        ("TIER", 30_000), ("HOLDER", 30_000), ("STATE", 30_000),
    ]  # fmt: skip
