"""B7: vouchers of six lots each that all mature on one day, while other vouchers change hands."""

from __future__ import annotations

import time
from typing import Final

from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tools.scenarios.issue_storm import issue_many
from tools.scenarios.stage import ENVELOPE_COMMANDS, Stage

LOTS: Final = 6
FACE: Final = 6_000
TENOR: Final = 30
SUPPLIERS: Final = 20
PROBES: Final = 40
"""Transfers of other vouchers while the batches run."""


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
    other = await stage.promise("core", names[0], PROBES, day + 60)
    calm = await _probe(stage, names[0], other, holders[0], PROBES // 2)
    facts.note("lots due on one day", vouchers * LOTS)
    await stage.roll_to(day)
    facts.note("a transfer before, ms", calm)
    open_ones = await stage.scan(Index.VOUCHER_INSTRUCTIONS, given[0][1])
    facts.require("instructions of the first voucher", len(open_ones), LOTS)
    busy = await _settle(stage, [voucher for _, voucher in given], names[0], other, holders[0])
    facts.note("a transfer meanwhile, ms", busy)
    for _, voucher in (given[0], given[-1]):
        status = (await stage.voucher(voucher)).status
        facts.require(f"status of {voucher.hex()[:8]}", status.name, r.VoucherStatus.SETTLED.name)
    line = await stage.line(r.LineKind.ISSUE, "bank-1", "core")
    facts.require("still used of the line, fen", line.used, PROBES)


async def _settle(
    stage: Stage, vouchers: list[bytes], owner: str, other: bytes, holder: str
) -> float:
    """The debtor pays everything; its bank pays every lot. Between the parts, one transfer is timed."""
    funds = [
        c.FundsReceived(stage.label(), voucher, FACE, 0, stage.receipt()) for voucher in vouchers
    ]
    await stage.all_ok("bank-1", funds)
    part = ENVELOPE_COMMANDS * max(1, len(vouchers) // (PROBES // 2) // ENVELOPE_COMMANDS)
    slowest = 0.0
    probes = PROBES // 2
    for start in range(0, len(vouchers), part):
        payments = []
        for voucher in vouchers[start : start + part]:
            for key in await stage.scan(Index.VOUCHER_INSTRUCTIONS, voucher):
                instruction = key[len(voucher) :]
                payments.append(
                    c.SettlementPaid(stage.label(), instruction, FACE // LOTS, stage.receipt())
                )
        await stage.all_ok("bank-1", payments)
        if probes:
            probes -= 1
            slowest = max(slowest, await _probe(stage, owner, other, holder, 1))
    return slowest


async def _probe(stage: Stage, owner: str, voucher: bytes, holder: str, count: int) -> float:
    """Pass on a fen at a time; the longest wait, milliseconds."""
    slowest = 0.0
    for _ in range(count):
        piece = (c.Piece(stage.id(holder), 1, None),)
        started = time.perf_counter()
        await stage.act(owner, c.LotTransfer(stage.label(), voucher, 0, piece))
        slowest = max(slowest, time.perf_counter() - started)
    return round(slowest * 1000, 1)
