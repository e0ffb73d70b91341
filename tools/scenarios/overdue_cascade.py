"""B8: one core stops paying, and what its suppliers and their banks can do about it."""

from __future__ import annotations

from typing import Final

from tallynet import commands as c
from tallynet import records as r
from tools.scenarios.issue_storm import issue_many
from tools.scenarios.stage import Stage, created

FACE: Final = 100_000_00
TENOR: Final = 30


async def run(stage: Stage, suppliers: int) -> None:
    """A third borrowed with recourse, a third holds a guarantee, a third borrows from the backstop."""
    facts = stage.facts
    names = [f"supplier-{i}" for i in range(suppliers)]
    await stage.join("core", kind=r.OrganisationKind.CORE, size=r.Size.LARGE)
    await stage.join(*names)
    await stage.grant(r.LineKind.ISSUE, "bank-1", "core", 10**13)
    await stage.programme("core")
    day = await stage.today() + TENOR
    given = dict(await issue_many(stage, names, suppliers, FACE, day))
    borrowed, guaranteed, lent = names[0::3], names[1::3], names[2::3]
    offer = await stage.offer(
        "bank-2", kind=r.FinancingKind.LOAN_RECOURSE, grid=(r.RateBand(365, 43_500, 10_000),)
    )
    financings = {}
    for name in borrowed:
        drawn = await stage.one(name, stage.draw(name, given[name], 0, FACE, offer))
        await stage.pay_out("bank-2", drawn)
        financings[name] = created(drawn, r.Kind.FINANCING)
    guarantee = c.GuaranteeIssue(
        stage.label(), stage.id("bank-4"), None, r.GuaranteeScope.DEBTOR, stage.id("core"), "CNY",
        len(guaranteed) * FACE, 0, day + 200,
    )  # fmt: skip
    promised = created(await stage.one("bank-3", guarantee), r.Kind.GUARANTEE)
    pool = await backstop(stage, suppliers * FACE)
    await stage.roll_to((await stage.voucher(given[names[0]])).grace_end + 1)
    statuses = {(await stage.voucher(voucher)).status.name for voucher in given.values()}
    facts.require("status of every voucher", sorted(statuses), [r.VoucherStatus.OVERDUE.name])
    document = stage.document(names[0], "core", FACE, stage.label())
    await stage.act(names[0], document)
    late = stage.issue(
        "core", names[0], FACE, await stage.today() + 90, stage.document_id(document)
    )
    await stage.refused("ISSUER_BLOCKED", "core", late)
    for name in borrowed:
        await stage.act("bank-2", c.RecourseClaim(stage.label(), financings[name], None))
    facts.note("recourse claimed", len(borrowed))
    for name in guaranteed:
        await _call(stage, name, given[name], promised)
    facts.note("paid by the guarantor", len(guaranteed))
    for name in lent:
        draw = c.BackstopDraw(
            stage.label(), pool, given[name], 0, FACE, stage.account(name), r.Purpose.PAYROLL
        )
        await stage.act(name, draw)
    facts.note("lent by the backstop", len(lent))


async def backstop(stage: Stage, cap: int) -> bytes:
    """A backstop of three banks for the core's vouchers; its id."""
    shares = (("bank-2", 5_000), ("bank-3", 3_000), ("bank-4", 2_000))
    create = c.BackstopCreate(
        stage.label(), tuple(r.BackstopShare(stage.id(bank), share) for bank, share in shares),
        stage.id("bank-3"), "CNY", (stage.id("core"),), (), cap, 8_000, 30_000, 360, False, 3,
    )  # fmt: skip
    return created(await stage.jointly(create, "bank-2", "bank-3", "bank-4"), r.Kind.BACKSTOP)


async def _call(stage: Stage, name: str, voucher: bytes, guarantee: bytes) -> None:
    """The holder demands payment; the guarantor's bank pays and the guarantor holds the range."""
    await stage.act(name, c.GuaranteeCall(stage.label(), guarantee, voucher, 0, FACE))
    paid = c.GuaranteePayConfirm(stage.label(), voucher, 0, FACE, stage.receipt())
    await stage.act("bank-4", paid)
