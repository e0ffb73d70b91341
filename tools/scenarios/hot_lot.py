"""B5: ¥1 draws from one lot, one by one, a hundred to an envelope, and two hundred to a batch."""

from __future__ import annotations

from typing import Final

from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.receipts import CommandReceipt
from tools.scenarios.stage import Stage, require_ok

DRAW: Final = 100
"""Fen."""
TENOR: Final = 30
RATE: Final = 25_000
"""Ppm a year: the vector of the voucher law §11."""
BATCH: Final = 200
UNPAID: Final = 100
"""Draws that wait for their money at once: each is a lot, and a voucher has at most 200."""


async def run(stage: Stage, draws: int) -> None:
    """A one-person shop empties three vouchers of `draws` yuan each."""
    facts = stage.facts
    await stage.join("core", kind=r.OrganisationKind.CORE, size=r.Size.LARGE)
    await stage.join("shop", size=r.Size.MICRO)
    await stage.grant(r.LineKind.ISSUE, "bank-1", "core", 10**12)
    await stage.programme("core")
    today = await stage.today()
    offers = [await stage.offer("bank-2", grid=(r.RateBand(365, RATE, 10_000),))]
    offers += [await stage.offer("bank-3", grid=(r.RateBand(365, RATE, 10_000),))]
    offers += [await stage.offer("bank-4", grid=(r.RateBand(365, RATE, 10_000),))]
    exact = draws * DRAW * RATE * TENOR // (360 * 10**6)
    for way, offer, bank in zip(WAYS, offers, ("bank-2", "bank-3", "bank-4"), strict=True):
        # One fen stays, so that the lot that is drawn from is there to the end.
        voucher = await stage.promise("core", "shop", draws * DRAW + 1, today + TENOR)
        discount = await WAYS[way](stage, voucher, offer, bank, draws)
        facts.require(f"{way}: discount of {draws} draws, fen", discount, exact)
        lots = await stage.lots(voucher)
        facts.require(f"{way}: lots left", [(lot.start, lot.end) for lot in lots],
                      [(0, 1), (1, draws * DRAW + 1)])  # fmt: skip
    open_ones = await stage.scan(Index.PARTY_FINANCINGS, stage.id("shop"))
    facts.require("financings left open", len(open_ones), 0)


async def single(stage: Stage, voucher: bytes, offer: bytes, bank: str, draws: int) -> int:
    """One command an envelope."""
    discount = 0
    for count in _parts(draws, UNPAID):
        commands = [stage.draw("shop", voucher, 0, DRAW, offer) for _ in range(count)]
        receipts = await stage.send(stage.sign("shop", command) for command in commands)
        require_ok(receipts)
        discount += await _pay(stage, bank, [receipt.commands[0] for receipt in receipts])
    return discount


async def enveloped(stage: Stage, voucher: bytes, offer: bytes, bank: str, draws: int) -> int:
    """A hundred draws an envelope."""
    discount = 0
    for count in _parts(draws, UNPAID):
        commands = [stage.draw("shop", voucher, 0, DRAW, offer) for _ in range(count)]
        discount += await _pay(stage, bank, await stage.all_ok("shop", commands))
    return discount


async def batched(stage: Stage, voucher: bytes, offer: bytes, bank: str, draws: int) -> int:
    """Two hundred draws, one carve, one instruction."""
    discount = 0
    for count in _parts(draws, BATCH):
        parts = tuple(c.BatchDraw(DRAW, r.Purpose.PAYROLL) for _ in range(count))
        command = c.FinancingDrawBatch(
            stage.label(), offer, voucher, 0, parts, stage.account("shop")
        )
        drawn = await stage.one("shop", command)
        await stage.pay_out(bank, drawn)
        discount += drawn.result[0]
    return discount


def _parts(whole: int, most: int) -> list[int]:
    """`whole` in parts of at most `most`."""
    return [min(most, whole - start) for start in range(0, whole, most)]


async def _pay(stage: Stage, bank: str, drawn: list[CommandReceipt]) -> int:
    """Pay everything out; the sum of the discounts."""
    await stage.all_ok(bank, [stage.payout(one) for one in drawn])
    return sum(one.result[0] for one in drawn)


WAYS: Final = {"one by one": single, "enveloped": enveloped, "batched": batched}
