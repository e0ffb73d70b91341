"""§19 C, 1+N: a bank lends a distributor what it pays the distillery; the goods are released as it repays."""

from __future__ import annotations

from typing import Final

from tallynet import commands as c
from tallynet import records as r
from tools.scenarios.stage import Stage, created

LENT: Final = 1_000_000_00
CASES: Final = 2_000
CASE_VALUE: Final = 720_00
ADVANCE_BPS: Final = 7_000
REPAID: Final = 400_000_00
FREE_CASES: Final = 800


async def one_plus_n(stage: Stage) -> None:
    """The distillery is on the stage; distributor and warehouse join."""
    facts = stage.facts
    await stage.join("distributor", kind=r.OrganisationKind.DISTRIBUTOR)
    await stage.admit("warehouse", r.OrganisationKind.WAREHOUSE)
    await stage.grant(r.LineKind.BORROWER, "bank-2", "distributor", LENT)
    loan, goods = await _shipped(stage)
    pledged = await _receipt(stage, goods)
    facts.require("cases pledged to the bank", pledged.pledged, CASES)
    advance = CASES * CASE_VALUE * ADVANCE_BPS // 10_000
    facts.require("70 % of their value, fen", advance, 1_008_000_00)
    deliver = c.WarehouseReceiptDeliver(stage.label(), goods, 1)
    await stage.refused("RECEIPT_PLEDGED", "warehouse", deliver)
    announced = await stage.one("distributor", c.FinancingRepay(stage.label(), loan, REPAID))
    repaid = c.RepayConfirm(
        stage.label(), created(announced, r.Kind.INSTRUCTION), REPAID, stage.receipt()
    )
    await stage.act("bank-2", repaid)
    too_many = c.WarehouseReceiptRelease(stage.label(), goods, FREE_CASES + 1)
    await stage.refused("QUANTITY_EXCEEDED", "bank-2", too_many)
    await stage.act("bank-2", c.WarehouseReceiptRelease(stage.label(), goods, FREE_CASES))
    pledged_ones = c.WarehouseReceiptDeliver(stage.label(), goods, FREE_CASES + 1)
    await stage.refused("RECEIPT_PLEDGED", "warehouse", pledged_ones)
    await stage.act("warehouse", c.WarehouseReceiptDeliver(stage.label(), goods, FREE_CASES))
    after = await _receipt(stage, goods)
    facts.require("cases released and delivered", CASES - after.stored, FREE_CASES)
    facts.require("cases still pledged", after.pledged, CASES - FREE_CASES)


async def _receipt(stage: Stage, id: bytes) -> r.WarehouseReceipt:
    return await stage.record(r.WarehouseReceipt, r.Kind.WAREHOUSE_RECEIPT, id)


async def _shipped(stage: Stage) -> tuple[bytes, bytes]:
    """Requested, granted, paid to the distillery's account and no other, and shipped; the ids of the loan
    and of the goods."""
    today, request = await stage.today(), stage.label()

    def asking(account: str) -> c.PrepaymentRequest:
        return c.PrepaymentRequest(
            request, stage.id("distillery"), stage.id("bank-2"), stage.account(account), "CNY",
            LENT, "B-12", "case", today + 10, today + 60,
        )  # fmt: skip

    await stage.refused("PAYEE_FIXED", "distributor", asking("distributor"))
    order = created(await stage.one("distributor", asking("distillery")), r.Kind.PREPAYMENT)
    fund = c.PrepaymentFund(stage.label(), order, LENT, 0, 360, ADVANCE_BPS)
    funded = await stage.one("bank-2", fund)
    instruction = created(funded, r.Kind.INSTRUCTION)
    paid = await stage.record(r.Instruction, r.Kind.INSTRUCTION, instruction)
    to_maker = (paid.payee, paid.account) == (stage.id("distillery"), stage.account("distillery"))
    stage.facts.require("paid to the maker alone", to_maker, True)
    stage.facts.require("paid to the maker, fen", paid.amount, LENT)
    payout = c.PayoutConfirm(stage.label(), instruction, LENT, stage.receipt())
    await stage.act("bank-2", payout)
    ship = c.PrepaymentShip(
        stage.label(), order, stage.id("warehouse"), "hall-3", CASES, CASE_VALUE
    )
    shipped = await stage.one("distillery", ship)
    return created(funded, r.Kind.FINANCING), created(shipped, r.Kind.WAREHOUSE_RECEIPT)
