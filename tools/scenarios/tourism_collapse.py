"""§19 B: a smart-tourism software company whose bookings collapse, and its device suppliers."""

from __future__ import annotations

import os
from typing import Final

import msgspec

from node.ledger.flow import flow_id
from node.ledger.pools import pool_id
from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.documents import seal, verify_disclosure
from tallynet.fields import from_wide
from tools.scenarios.flow_anchors import anchor
from tools.scenarios.issue_storm import issue_many
from tools.scenarios.stage import Stage, codes_of, created

STREAM: Final = "bookings"
NORMAL: Final = 14_000_000
"""Units a day."""
WEEK: Final = (142_857,) * 6 + (142_858,)
"""1,000,000 in all."""
HISTORY_DAYS: Final = 35
ALARM_DAY: Final = 5
"""Of the bad week; and the day of the good week on which the alarm ends."""
TENOR: Final = 90
DRAW: Final = 50_000_00
GRANTED, CUT_TO, IN_USE = 60_000_000_00, 20_000_000_00, 30_000_000_00
PARTS: Final = 4
"""Draws that bring the line of bank-1 into use, each below `controlled_payment_min`."""
EXPOSURE: Final = r.LineKind.DEBTOR_EXPOSURE


async def run(stage: Stage, suppliers: int) -> None:
    """The week, the cut, the hand-over from the core's pool to the second bank, and who is touched."""
    names = [f"supplier-{i}" for i in range(suppliers)]
    tiers = [f"installer-{i}" for i in range(suppliers // 3)]
    await stage.join("core", kind=r.OrganisationKind.CORE, size=r.Size.LARGE)
    await stage.join("integrator", *names, *tiers)
    await stage.grant(r.LineKind.ISSUE, "bank-1", "core", 10**13)
    await stage.grant(EXPOSURE, "bank-1", "core", GRANTED)
    offers = await _sources(stage, suppliers // 3 * DRAW)
    await stage.programme("core", funding_order=offers)
    day = await stage.today() + TENOR
    given = await issue_many(stage, names, suppliers, 2 * DRAW, day)
    passed_on = []
    for (name, voucher), tier in zip(given, tiers, strict=False):
        pieces = (c.Piece(stage.id(tier), DRAW // 2, None),)
        passed_on.append(stage.sign(name, c.LotTransfer(stage.label(), voucher, 0, pieces)))
    await stage.send_ok(passed_on)
    await _use_line(stage, offers[1], day)
    await _week(stage)
    await _draws(stage, given, offers)
    await _who_is_touched(stage, given, names, tiers)
    await _product_line(stage)


async def _sources(stage: Stage, money: int) -> tuple[bytes, bytes, bytes]:
    """The programme's funding order: the core's own pool at 0 %, then bank-1, then bank-2."""
    core, agent, kind = stage.id("core"), stage.id("bank-4"), r.PoolKind.EARLY_PAY
    commit = c.FundCommit(stage.label(), core, agent, kind, "CNY", money, stage.receipt())
    await stage.jointly(commit, "core", "bank-4")
    pool = await stage.offer(
        "core", kind=r.FinancingKind.EARLY_PAY, grid=(r.RateBand(365, 0, 10_000),),
        source=pool_id(core, agent, kind, "CNY"),
    )  # fmt: skip
    first = await stage.offer("bank-1", lines_required=(EXPOSURE,))
    return pool, first, await stage.offer("bank-2")


async def _use_line(stage: Stage, offer: bytes, day: int) -> None:
    """Half of bank-1's line is in use before the bad week."""
    voucher = await stage.promise("core", "integrator", IN_USE, day)
    for _ in range(PARTS):
        part = stage.draw("integrator", voucher, 0, IN_USE // PARTS, offer)
        await stage.pay_out("bank-1", await stage.one("integrator", part))


async def _flow(stage: Stage) -> r.FlowAnchor:
    id = flow_id(stage.id("core"), STREAM)
    return await stage.record(r.FlowAnchor, r.Kind.FLOW_ANCHOR, id)


async def _days(stage: Stage, sums: tuple[int, ...]) -> list[bool]:
    """Anchor a day after the other; whether the alarm stands after each."""
    found = []
    for units in sums:
        today = await stage.today()
        await stage.act("core", anchor(stage, STREAM, today, units))
        found.append((await _flow(stage)).alarm is r.FlowAlarm.COLLAPSED)
        if len(found) == ALARM_DAY and found[-1]:
            await _cut(stage)
        await stage.roll_to(today + 1)
    return found


async def _week(stage: Stage) -> None:
    """35 normal days, seven bad ones, five normal ones."""
    facts, today = stage.facts, await stage.today()
    history = [anchor(stage, STREAM, today - back, NORMAL) for back in range(HISTORY_DAYS, 0, -1)]
    await stage.all_ok("core", history)
    bad = await _days(stage, WEEK)
    facts.require("bookings of the bad week", sum(WEEK), 1_000_000)
    facts.require("alarm on day", bad.index(True) + 1, ALARM_DAY)
    frozen = from_wide((await _flow(stage)).frozen_baseline or b"")
    facts.require("frozen baseline of 28 days", frozen, 28 * NORMAL)
    good = await _days(stage, (NORMAL,) * ALARM_DAY)
    facts.require("clear on day", good.index(False) + 1, ALARM_DAY)


async def _cut(stage: Stage) -> None:
    """On the day of the alarm: what is above the new limit stands, nothing new is taken."""
    daily = (await _flow(stage)).daily
    stage.facts.require("units of the last seven days", sum(daily[-7:]), 28_714_285)
    stage.facts.require("of the seven before the bad week", 7 * NORMAL, 98_000_000)
    today = await stage.today()
    line = stage.line_id(EXPOSURE, "bank-1", "core")
    cut = c.LineChange(stage.label(), line, CUT_TO, today, today + 500, ())
    await stage.act("bank-1", cut)
    after = await stage.line(EXPOSURE, "bank-1", "core")
    stage.facts.require("in use after the cut, fen", after.used, IN_USE)
    stage.facts.require("over limit, fen", after.used + after.reserved - after.granted, 10**9)


async def _draws(
    stage: Stage, given: list[tuple[str, bytes]], offers: tuple[bytes, bytes, bytes]
) -> None:
    """Everybody draws at once under AUTO: the pool for the first third, bank-2 for the others."""
    facts = stage.facts
    name, voucher = given[0]
    await stage.refused("LINE_EXCEEDED", name, stage.draw(name, voucher, 0, DRAW, offers[1]))
    draws = [stage.sign(n, stage.draw(n, v, 0, DRAW, None)) for n, v in given]
    receipts = await stage.send(draws)
    facts.require("answers under AUTO", sorted({codes_of(x)[0] for x in receipts}), ["OK"])
    payers = {offers[0]: "bank-4", offers[2]: "bank-2"}
    payouts: dict[str, list[c.PayoutConfirm]] = {bank: [] for bank in payers.values()}
    for receipt in receipts:
        (drawn,) = receipt.commands
        id = created(drawn, r.Kind.FINANCING)
        financing = await stage.record(r.Financing, r.Kind.FINANCING, id)
        payouts[payers[financing.offer or b""]].append(stage.payout(drawn))
    for bank, commands in payouts.items():
        await stage.all_ok(bank, commands)
    early = len(given) // 3
    facts.require("paid early from the core's pool", len(payouts["bank-4"]), early)
    facts.require("sold to bank-2", len(payouts["bank-2"]), len(given) - early)
    still = await stage.line(EXPOSURE, "bank-1", "core")
    facts.require("draws of bank-1 that stand, fen", still.used, IN_USE)


async def _who_is_touched(
    stage: Stage, given: list[tuple[str, bytes]], names: list[str], tiers: list[str]
) -> None:
    """Down: every supplier and its tier, but for the integrator, which sold all it had. Up: every funder.
    From the company's vouchers, each of which is proven with all its lots."""
    core = stage.id("core")
    suppliers: dict[bytes, int] = {}
    sold, redeemed = 0, 0
    for key in await stage.scan(Index.DEBTOR_VOUCHERS, core):
        for lot in await stage.lots(key[len(core) :]):
            redeemed += lot.end - lot.start if lot.state is r.LotState.REDEEMED else 0
            if lot.acquired_by is r.AcquiredBy.SALE:
                sold += (lot.end - lot.start) * (lot.holder == stage.id("bank-2"))
            else:
                suppliers[lot.holder] = max(suppliers.get(lot.holder, 0), lot.hops + 1)
    expected = {stage.id(name): 1 for name in names} | {stage.id(name): 2 for name in tiers}
    facts = stage.facts
    facts.require("every supplier is found with its tier", suppliers == expected, True)
    facts.require("suppliers of tier 2", list(suppliers.values()).count(2), len(tiers))
    early = len(given) // 3 * DRAW
    facts.require("funded by the core itself, fen", redeemed, early)
    facts.require("funded by bank-2, fen", sold, len(given) * DRAW - early)


async def _product_line(stage: Stage) -> None:
    """An order whose product line a bank can check, and whose prices it never sees."""
    order = seal(
        [
            ("lines/00001/description", b"ticket gate"),
            ("lines/00001/net_amount", b"4200000"),
            ("lines/00001/product_line", b"access control"),
        ],
        os.urandom(32),
    )
    registered = msgspec.structs.replace(
        stage.document("integrator", "core", 4_200_000, stage.label()),
        document_type=r.DocumentType.ORDER, root=order.root,
    )  # fmt: skip
    await stage.act("integrator", registered)
    shown = order.disclose(["lines/00001/product_line"])
    id = stage.document_id(registered)
    known = await stage.record(r.Document, r.Kind.DOCUMENT, id)
    facts = stage.facts
    facts.require("product line proven", verify_disclosure(known.root, shown), True)
    facts.require("fields shown", [field.path for field in shown.fields],
                  ["lines/00001/product_line"])  # fmt: skip
    lie = msgspec.structs.replace(shown.fields[0], value=b"catering")
    forged = msgspec.structs.replace(shown, fields=(lie,))
    facts.require("another product line proven", verify_disclosure(known.root, forged), False)
