"""§19 C: a liquor retailer with many stores, its own pool, a distillery's money, goods and waivers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from node.ledger.pools import pool_id
from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.receipts import CommandReceipt
from tools.scenarios.liquor_prepayment import one_plus_n
from tools.scenarios.stage import Stage, codes_of, created

RETAILER: Final = "retailer"
DRAW: Final = 50_000_00
DRAWERS: Final = 20
TENOR: Final = 90
UNPAID: Final = 100
"""Draws of one voucher that wait for their money at once: each is a lot, of which there are at most 200."""
ENTRUSTED: Final = 50_000_000_00
LENT_ON: Final = 1_000_000_00
FEE_FACE: Final = 500_000_00
"""The fee vectors of §11 are on it."""
FREE: Final = (r.RateBand(365, 0, 10_000),)


async def run(stage: Stage, stores: int) -> None:
    """A third of the stores close; there are 2,000 early draws to 1,900 stores, also at smaller sizes."""
    await stage.join(RETAILER, "distillery", kind=r.OrganisationKind.CORE, size=r.Size.LARGE)
    drawers = [f"supplier-{i}" for i in range(DRAWERS)]
    await stage.join(*drawers)
    await stage.grant(r.LineKind.ISSUE, "bank-1", RETAILER, 10**14)
    await stage.programme(RETAILER)
    await _branches(stage, stores, drawers[0])
    await _own_pool(stage, stores * 20 // 19, drawers)
    await _entrusted(stage, drawers[0])
    await one_plus_n(stage)
    await _waivers(stage)


# --- stores ------------------------------------------------------------------------------------------


async def _branches(stage: Stage, stores: int, payee: str) -> None:
    """Every store tries to issue; those that are closed cannot."""
    names = [f"store-{i}" for i in range(stores)]
    await stage.branches(RETAILER, names)
    closed = names[: stores // 3]
    await stage.all_ok(
        RETAILER,
        [
            c.BranchStatusSet(stage.label(), stage.id(name), r.BranchStatus.CLOSED)
            for name in closed
        ],
    )
    today = await stage.today()
    lines = [
        c.LineGrant(
            stage.label(), r.LineKind.ISSUE, stage.id(name), "CNY", DRAW, today, today + 300, ()
        )
        for name in names
    ]  # fmt: skip
    await stage.all_ok("bank-1", lines)
    documents = [stage.document(payee, name, DRAW, stage.label()) for name in names]
    await stage.all_ok(payee, documents)
    issues = [
        stage.issue(
            name, payee, DRAW, today + TENOR, stage.document_id(document),
            programme=stage.programme_id(RETAILER),
        )
        for name, document in zip(names, documents, strict=True)
    ]  # fmt: skip
    receipts = await stage.send(stage.sign(*pair) for pair in zip(names, issues, strict=True))
    codes = [codes_of(receipt)[0] for receipt in receipts]
    facts = stage.facts
    facts.require("stores", len(names), stores)
    facts.require("closed stores", len(closed), stores // 3)
    refused = codes[: len(closed)].count("BRANCH_CLOSED")
    facts.require("closed stores that could not issue", refused, len(closed))
    facts.require("open stores that issued", codes[len(closed) :].count("OK"), stores - len(closed))


# --- pools -------------------------------------------------------------------------------------------


async def _pool(stage: Stage, funder: str, agent: str, kind: r.PoolKind, amount: int) -> bytes:
    commit = c.FundCommit(
        stage.label(), stage.id(funder), stage.id(agent), kind, "CNY", amount, stage.receipt()
    )
    await stage.jointly(commit, funder, agent)
    return pool_id(stage.id(funder), stage.id(agent), kind, "CNY")


async def _own_pool(stage: Stage, draws: int, drawers: Sequence[str]) -> None:
    """The retailer's own money at 0 %, to the last fen; then a bank's."""
    pool = await _pool(stage, RETAILER, "bank-4", r.PoolKind.EARLY_PAY, draws * DRAW)
    offer = await stage.offer(
        RETAILER, kind=r.FinancingKind.EARLY_PAY, grid=FREE, source=pool, draw_max=DRAW
    )
    day = await stage.today() + TENOR
    discounts = 0
    for number, name in enumerate(drawers):
        share = draws // len(drawers) + (number < draws % len(drawers))
        voucher = await stage.promise(RETAILER, name, (share + 1) * DRAW, day)
        for start in range(0, share, UNPAID):
            part = range(min(UNPAID, share - start))
            drawn = await stage.all_ok(
                name, [stage.draw(name, voucher, 0, DRAW, offer) for _ in part]
            )
            discounts += sum(one.result[0] for one in drawn)
            await stage.all_ok("bank-4", [stage.payout(one) for one in drawn])
    facts = stage.facts
    emptied = await stage.record(r.FundPool, r.Kind.FUND_POOL, pool)
    facts.require("early draws", emptied.drawn // DRAW, draws)
    facts.require("discount of all of them, fen", discounts, 0)
    facts.require("left in the retailer's pool, fen", emptied.committed - emptied.drawn, 0)
    last = drawers[-1]
    await stage.refused("FUND_INSUFFICIENT", last, stage.draw(last, voucher, 0, DRAW, offer))
    bank = await stage.offer("bank-2")
    drawn_auto = await stage.one(last, stage.draw(last, voucher, 0, DRAW, None))
    financing = await _financing(stage, drawn_auto)
    facts.require("the next one under AUTO goes to a bank", financing.offer == bank, True)
    await stage.pay_out("bank-2", drawn_auto)


async def _entrusted(stage: Stage, drawer: str) -> None:
    """The distillery's money, lent by its agent bank."""
    pool = await _pool(stage, "distillery", "bank-3", r.PoolKind.ENTRUSTED_LOAN, ENTRUSTED)
    offer = await stage.offer(
        "distillery", kind=r.FinancingKind.LOAN_PLEDGE, grid=(r.RateBand(365, 34_500, 8_000),),
        source=pool,
    )  # fmt: skip
    voucher = await stage.promise(RETAILER, drawer, LENT_ON, await stage.today() + TENOR)
    drawn = await stage.one(drawer, stage.draw(drawer, voucher, 0, LENT_ON, offer))
    await stage.pay_out("bank-3", drawn)
    loan = await _financing(stage, drawn)
    facts = stage.facts
    facts.require("lender of record is the agent bank", loan.agent_bank == stage.id("bank-3"), True)
    facts.require("funder is the distillery", loan.funder == stage.id("distillery"), True)
    facts.require("lent of the entrusted money, fen", loan.principal, LENT_ON * 8 // 10)
    after = await stage.record(r.FundPool, r.Kind.FUND_POOL, pool)
    facts.require("left of it, fen", after.committed - after.drawn, ENTRUSTED - loan.principal)


async def _financing(stage: Stage, drawn: CommandReceipt) -> r.Financing:
    id = created(drawn, r.Kind.FINANCING)
    return await stage.record(r.Financing, r.Kind.FINANCING, id)


# --- waivers -----------------------------------------------------------------------------------------


async def _waivers(stage: Stage) -> None:
    """5 bps on ¥500,000: nothing for a one-person shop, a third less on the coast, later for the rest."""
    facts, today = stage.facts, await stage.today()
    await stage.admit("operator", r.OrganisationKind.OPERATOR)
    await stage.join("kiosk", size=r.Size.MICRO)
    await stage.join("bottler")
    await stage.join("carrier", region="inland")
    terms = r.FeeTerms(today, 5, 0, 0, 0)
    await stage.act("operator", c.FeeScheduleSet(stage.label(), None, terms))
    reduce, scope = r.WaiverKind.REDUCE, r.WaiverScope
    for where, value, kind, bps, days in (
        (scope.SIZE, bytes((r.Size.MICRO,)), r.WaiverKind.EXEMPT, 0, 0),
        (scope.REGION, b"coast", reduce, 3_333, 0),
        (scope.DEBTOR, stage.id(RETAILER), r.WaiverKind.DEFER, 0, 90),
    ):
        grant = c.WaiverGrant(
            stage.label(), None, where, value, kind, bps, days, today, today + 30, 0
        )
        await stage.act("operator", grant)
    offer = await stage.offer("bank-2", grid=FREE)
    for name, fee, withheld in (
        ("kiosk", 0, 0), ("bottler", 16_668, 16_668), ("carrier", 25_000, 0)
    ):  # fmt: skip
        voucher = await stage.promise(RETAILER, name, FEE_FACE, today + TENOR)
        drawn = await stage.one(name, stage.draw(name, voucher, 0, FEE_FACE, offer))
        facts.require(f"fee of {name}, fen", drawn.result[4], fee)
        facts.require(f"net of {name}, fen", drawn.result[1], FEE_FACE - withheld)
        await stage.pay_out("bank-2", drawn)
    facts.require("fees that bank-2 passes on", await _fees(stage, "bank-2"), [(16_668, 0)])
    facts.require("fee that is due later", await _fees(stage, "bank-1"), [(25_000, 90)])


async def _fees(stage: Stage, bank: str) -> list[tuple[int, int]]:
    """(amount, days from now) of the fees that a bank is to pay."""
    found, today = [], await stage.today()
    for key in await stage.scan(Index.BANK_INSTRUCTIONS, stage.id(bank)):
        order = await stage.record(r.Instruction, r.Kind.INSTRUCTION, key[16:])
        if order.purpose is r.InstructionPurpose.FEE:
            found.append((order.amount, order.due - today))
    return found
