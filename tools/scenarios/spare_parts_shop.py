"""§19 A: a one-person spare-parts shop, a software company in distress, a backstop of three banks."""

from __future__ import annotations

from typing import Final

from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.fields import from_wide
from tallynet.hashing import record_id
from tools.scenarios.overdue_cascade import backstop
from tools.scenarios.stage import MONDAY, Stage, created

FACE: Final = 500_000_00
DISTRESS_DAY: Final = MONDAY + 50
"""2027-04-20."""
PAID_DAY: Final = MONDAY + 141
"""2027-07-20."""


async def run(stage: Stage, _size: int) -> None:
    """Issue, two draws, distress, the backstop, late payment with penalty, and the surplus."""
    await stage.join("core", kind=r.OrganisationKind.CORE, size=r.Size.LARGE)
    await stage.join("shop", size=r.Size.MICRO)
    await stage.grant(r.LineKind.ISSUE, "bank-1", "core", 10**12)
    await stage.programme("core")
    voucher = await stage.promise("core", "shop", FACE, MONDAY + 90)
    given = await stage.voucher(voucher)
    stage.facts.require("maturity, rolled to Monday", given.maturity - MONDAY, 91)
    await _draws(stage, voucher)
    pool = await backstop(stage, 10**10)
    await stage.roll_to(DISTRESS_DAY)
    await _distress(stage, pool, voucher)
    await stage.roll_to(given.grace_end + 1)
    status = (await stage.voucher(voucher)).status
    stage.facts.require("the day after grace", status.name, r.VoucherStatus.OVERDUE.name)
    await stage.roll_to(PAID_DAY)
    await _late_payment(stage, voucher)


async def _draws(stage: Stage, voucher: bytes) -> None:
    """¥1 for wages and ¥100,000 for goods, the same day."""
    facts = stage.facts
    offer = await stage.offer("bank-2")
    for amount, purpose, expected in (
        (100, r.Purpose.PAYROLL, (1, 99)),
        (100_000_00, r.Purpose.GOODS, (109_958, 9_890_042)),
    ):
        drawn = await stage.one("shop", stage.draw("shop", voucher, 0, amount, offer, purpose))
        facts.require(f"discount and net of {amount} fen", tuple(drawn.result[:2]), expected)
        await stage.pay_out("bank-2", drawn)
    key = record_id(
        r.Kind.REMAINDER, stage.id("bank-2") + stage.id("shop"), b"CNY" + (360).to_bytes(2, "big")
    )
    remainder = await stage.record(r.Remainder, r.Kind.REMAINDER, key)
    facts.require("remainder", from_wide(remainder.value), 155_850_000)
    lots = [(lot.start, lot.end) for lot in await stage.lots(voucher)]
    facts.require("lots", lots, [(0, 39_999_900), (39_999_900, FACE)])


async def _distress(stage: Stage, pool: bytes, voucher: bytes) -> None:
    """Two banks open the event, the debtor declares; it may not issue; the pool lends on the rest."""
    opened = c.DistressOpen(b"storm", ("coast",), ("tourism",), DISTRESS_DAY, DISTRESS_DAY + 200)
    event = created(await stage.jointly(opened, "bank-1", "bank-2"), r.Kind.DISTRESS_EVENT)
    await stage.act("core", c.DistressDeclare(stage.label()))
    document = stage.document("shop", "core", 100, stage.label())
    await stage.act("shop", document)
    issue = stage.issue("core", "shop", 100, DISTRESS_DAY + 60, stage.document_id(document))
    await stage.refused("ISSUER_BLOCKED", "core", issue)
    trigger = c.BackstopTrigger(stage.label(), pool, stage.id("core"), None, event)
    await stage.act("bank-3", trigger)
    draw = c.BackstopDraw(
        stage.label(), pool, voucher, 0, 39_999_900, stage.account("shop"), r.Purpose.PAYROLL
    )
    drawn = await stage.one("shop", draw)
    stage.facts.require("lent by the backstop, fen", drawn.result[0], 31_999_920)
    for item in drawn.created:
        if item.kind == r.Kind.INSTRUCTION:
            order = await stage.record(r.Instruction, r.Kind.INSTRUCTION, item.id)
            bank = next(
                name for name in ("bank-2", "bank-3", "bank-4") if stage.id(name) == order.bank
            )
            paid = c.PayoutConfirm(stage.label(), item.id, order.amount, stage.receipt())
            await stage.act(bank, paid)


async def _late_payment(stage: Stage, voucher: bytes) -> None:
    """The debtor pays all with 42 days of penalty; the loan is served, the rest is the shop's."""
    facts = stage.facts
    funds = c.FundsReceived(stage.label(), voucher, FACE, 1_050_000, stage.receipt())
    await stage.act("bank-1", funds)
    to_shop = 0
    done = False
    while not done:
        done = True
        for bank in ("bank-1", "bank-3"):
            for key in await stage.scan(Index.BANK_INSTRUCTIONS, stage.id(bank)):
                order = await stage.record(r.Instruction, r.Kind.INSTRUCTION, key[16:])
                done = False
                await stage.act(bank, _confirm(stage, key[16:], order))
                facts.note(f"{bank} pays {order.purpose.name}", order.amount)
                if order.payee == stage.id("shop"):
                    to_shop += order.amount
    facts.require("to the shop in the end, fen", to_shop, 8_597_312)
    status = (await stage.voucher(voucher)).status
    facts.require("in the end", status.name, r.VoucherStatus.SETTLED.name)
    await stage.act("core", c.DistressEnd(stage.label()))
    again = await stage.promise("core", "shop", 100, PAID_DAY + 60)
    facts.note("after distress.end it issues again", again.hex()[:8])


def _confirm(
    stage: Stage, id: bytes, order: r.Instruction
) -> c.SettlementPaid | c.InstructionConfirm:
    """What confirms that an instruction was paid."""
    if order.purpose is r.InstructionPurpose.SETTLEMENT:
        return c.SettlementPaid(stage.label(), id, order.amount, stage.receipt())
    return c.InstructionConfirm(stage.label(), id, order.amount, stage.receipt())
