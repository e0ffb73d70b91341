"""B7: vouchers of six lots each that all mature on one day, while a bank's other business goes on."""

from __future__ import annotations

from typing import Final

from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tools.scenarios.issue_storm import issue_many
from tools.scenarios.probe import probing
from tools.scenarios.stage import Stage

LOTS: Final = 6
FACE: Final = 6_000
TENOR: Final = 30
SUPPLIERS: Final = 20
PART: Final = 5_000
"""Vouchers whose lots are looked up and paid at once."""


async def run(stage: Stage, vouchers: int) -> None:
    """Cut each voucher into six lots, let the day come, pay everything."""
    facts = stage.facts
    names = [f"supplier-{i}" for i in range(min(SUPPLIERS, vouchers))]
    holders = [f"holder-{i}" for i in range(LOTS - 1)]
    await stage.join("core", kind=r.OrganisationKind.CORE, size=r.Size.LARGE)
    await stage.join(*names, *holders)
    await stage.grant(r.LineKind.ISSUE, "bank-1", "core", 10**15)
    await stage.programme("core")
    day = await stage.today() + TENOR
    given = await issue_many(stage, names, vouchers, FACE, day)
    pieces = tuple(c.Piece(stage.id(holder), FACE // LOTS, None) for holder in holders)
    for name in names:
        cuts = [
            c.LotTransfer(stage.label(), voucher, 0, pieces)
            for owner, voucher in given if owner == name
        ]  # fmt: skip
        await stage.all_ok(name, cuts)
    facts.note("lots due on one day", vouchers * LOTS)
    async with probing(stage) as probe:
        await probe.another()
        facts.note("longest wait for a receipt before, s", probe.take_longest())
        await stage.roll_to(day)
        await probe.another()
        facts.note("while that day opened, s", probe.take_longest())
        open_ones = await stage.scan(Index.VOUCHER_INSTRUCTIONS, given[0][1])
        facts.require("instructions of the first voucher", len(open_ones), LOTS)
        await _settle(stage, [voucher for _, voucher in given])
        facts.note("while everything was paid, s", probe.take_longest())
    for _, voucher in (given[0], given[-1]):
        status = (await stage.voucher(voucher)).status
        facts.require(f"status of {voucher.hex()[:8]}", status.name, r.VoucherStatus.SETTLED.name)
    line = await stage.line(r.LineKind.ISSUE, "bank-1", "core")
    facts.require("still used of the line, fen", line.used, 0)


async def _settle(stage: Stage, vouchers: list[bytes]) -> None:
    """The debtor pays everything; its bank pays every lot."""
    funds = [
        c.FundsReceived(stage.label(), voucher, FACE, 0, stage.receipt()) for voucher in vouchers
    ]
    await stage.all_ok("bank-1", funds)
    for start in range(0, len(vouchers), PART):
        payments = []
        for voucher in vouchers[start : start + PART]:
            for key in await stage.scan(Index.VOUCHER_INSTRUCTIONS, voucher):
                instruction = key[len(voucher) :]
                payments.append(
                    c.SettlementPaid(stage.label(), instruction, FACE // LOTS, stage.receipt())
                )
        await stage.all_ok("bank-1", payments)
