"""B14: a week of holidays: business falls a hundredfold, what is due waits, and then it all comes back."""

from __future__ import annotations

from typing import Final

from node.ledger.flow import flow_id
from node.ledger.redemption import instruction_id
from tallynet import commands as c
from tallynet import records as r
from tools.scenarios.flow_anchors import anchor
from tools.scenarios.issue_storm import issue_many
from tools.scenarios.stage import MONDAY, Stage

FALL: Final = 100
FIRST: Final = MONDAY + 7
"""A Monday; the week before is a normal one."""
BACK: Final = FIRST + 7
SUPPLIERS: Final = 20
FACE: Final = 1_000_00
DRAW: Final = 1_00
UNITS: Final = 14_000_000
STREAM: Final = "bookings"
HISTORY_DAYS: Final = 35
ALARM_DAY: Final = 5
"""Of the holidays, and of the first normal week after them."""


async def run(stage: Stage, vouchers: int) -> None:
    """`vouchers` vouchers are due in the holidays; on a normal day as many are passed on in part."""
    facts = stage.facts
    names = [f"supplier-{i}" for i in range(min(SUPPLIERS, vouchers))]
    await stage.join("core", kind=r.OrganisationKind.CORE, size=r.Size.LARGE)
    await stage.join("shop", size=r.Size.MICRO)
    await stage.join(*names)
    days = range(FIRST, BACK)
    entries = tuple(r.CalendarEntry(day, working=False) for day in days)
    await stage.jointly(c.CalendarSet(stage.label(), entries), "bank-1", "bank-2", "bank-3")
    await stage.grant(r.LineKind.ISSUE, "bank-1", "core", 10**13)
    await stage.programme("core")
    given: list[tuple[str, bytes]] = []
    for number, day in enumerate(days):
        count = vouchers // len(days) + (number < vouchers % len(days))
        given += await issue_many(stage, names, count, FACE, day)
    due = {(await stage.voucher(voucher)).maturity for _, voucher in given}
    facts.require("all are due on the first working day after", due == {BACK}, True)
    shop = await stage.promise("core", "shop", vouchers * DRAW, BACK + 60)
    careful = await stage.offer("bank-2", stop_on_flow_collapse=True)
    bold = await stage.offer("bank-3")
    await _history(stage)
    normal = await _normal_day(stage, given)
    await _normal_week(stage)
    facts.require("alarm on day of the holidays",
                  await _holidays(stage, shop, max(1, normal // FALL), careful, bold), ALARM_DAY)  # fmt: skip
    facts.note("commands of a normal day", normal)
    facts.note("of a holiday", max(1, normal // FALL) + 1)
    facts.note("of the first day after", await _everything_due(stage, given))
    facts.require("alarm over on day of the next week", await _back_to_normal(stage), ALARM_DAY)
    after = stage.draw("shop", shop, 0, DRAW, careful)
    await stage.pay_out("bank-2", await stage.one("shop", after))


async def _collapsed(stage: Stage) -> bool:
    id = flow_id(stage.id("core"), STREAM)
    flow = await stage.record(r.FlowAnchor, r.Kind.FLOW_ANCHOR, id)
    return flow.alarm is r.FlowAlarm.COLLAPSED


async def _history(stage: Stage) -> None:
    days = range(MONDAY - HISTORY_DAYS, MONDAY)
    await stage.all_ok("core", [anchor(stage, STREAM, day, UNITS) for day in days])


async def _normal_day(stage: Stage, given: list[tuple[str, bytes]]) -> int:
    """Every voucher is passed on in part; how many commands that were."""
    names = sorted({name for name, _ in given})
    next_one = dict(zip(names, [*names[1:], names[0]], strict=True))
    envelopes = []
    for name, voucher in given:
        piece = (c.Piece(stage.id(next_one[name]), DRAW, None),)
        envelopes.append(stage.sign(name, c.LotTransfer(stage.label(), voucher, 0, piece)))
    return len(await stage.send_ok(envelopes))


async def _normal_week(stage: Stage) -> None:
    for day in range(MONDAY, FIRST):
        await stage.act("core", anchor(stage, STREAM, day, UNITS))
        await stage.roll_to(day + 1)


async def _holidays(stage: Stage, shop: bytes, draws: int, careful: bytes, bold: bytes) -> int:
    """Small draws and anchors are all that happens; the day on which the alarm is raised. From then on the
    careful bank waits, and the bold one still pays."""
    raised = 0
    for number, day in enumerate(range(FIRST, BACK), 1):
        await stage.act("core", anchor(stage, STREAM, day, UNITS // FALL))
        if await _collapsed(stage):
            raised = raised or number
            refused = stage.draw("shop", shop, 0, DRAW, careful)
            await stage.refused("FLOW_COLLAPSED", "shop", refused)
        offer, bank = (bold, "bank-3") if raised else (careful, "bank-2")
        commands = [stage.draw("shop", shop, 0, DRAW, offer) for _ in range(draws)]
        drawn = await stage.all_ok("shop", commands)
        await stage.all_ok(bank, [stage.payout(one) for one in drawn])
        await stage.roll_to(day + 1)
    return raised


async def _everything_due(stage: Stage, given: list[tuple[str, bytes]]) -> int:
    """The first working day: what was due in a week is funded and paid at once."""
    facts = stage.facts
    funds = [
        c.FundsReceived(stage.label(), voucher, FACE, 0, stage.receipt()) for _, voucher in given
    ]
    await stage.all_ok("bank-1", funds)
    payments = []
    for _, voucher in given:
        for lot in await stage.lots(voucher):
            paid = c.SettlementPaid(
                stage.label(), instruction_id(voucher, lot.start), lot.end - lot.start,
                stage.receipt(),
            )  # fmt: skip
            payments.append(paid)
    await stage.all_ok("bank-1", payments)
    statuses = {(await stage.voucher(voucher)).status.name for _, voucher in given}
    facts.require("status of what was due in the holidays", sorted(statuses),
                  [r.VoucherStatus.SETTLED.name])  # fmt: skip
    return len(funds) + len(payments)


async def _back_to_normal(stage: Stage) -> int:
    """The day on which the alarm ends."""
    cleared = 0
    for number, day in enumerate(range(BACK, BACK + ALARM_DAY), 1):
        await stage.act("core", anchor(stage, STREAM, day, UNITS))
        if not cleared and not await _collapsed(stage):
            cleared = number
        await stage.roll_to(day + 1)
    return cleared
