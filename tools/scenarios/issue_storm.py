"""B6: a core issues its month's vouchers all at once, and its suppliers claim them."""

from __future__ import annotations

from typing import Final

from tallynet import commands as c
from tallynet import records as r
from tools.scenarios.stage import Stage

SUPPLIERS: Final = 20
FACE: Final = 120_000_00
TENOR: Final = 90


async def run(stage: Stage, vouchers: int) -> None:
    """Documents, issues and claims of `vouchers` vouchers over ¥120,000."""
    names = [f"supplier-{i}" for i in range(min(SUPPLIERS, vouchers))]
    await stage.join("core", kind=r.OrganisationKind.CORE, size=r.Size.LARGE)
    await stage.join(*names)
    await stage.grant(r.LineKind.ISSUE, "bank-1", "core", vouchers * FACE)
    await stage.programme("core")
    ids = await issue_many(stage, names, vouchers, FACE, await stage.today() + TENOR)
    line = await stage.line(r.LineKind.ISSUE, "bank-1", "core")
    stage.facts.require("used of the line, fen", line.used, vouchers * FACE)
    stage.facts.require("reserved", line.reserved, 0)
    stage.facts.note("vouchers", len(ids))
    document = stage.document(names[0], "core", 1, stage.label())
    await stage.act(names[0], document)
    one_more = stage.issue(
        "core", names[0], 1, await stage.today() + TENOR, stage.document_id(document)
    )
    await stage.refused("LINE_EXCEEDED", "core", one_more)


async def issue_many(
    stage: Stage, names: list[str], vouchers: int, face: int, maturity: int
) -> list[tuple[str, bytes]]:
    """Vouchers of the core, documented, issued and claimed, dealt out in turn: (holder, voucher)."""
    issues: list[c.VoucherIssue] = []
    claims: dict[str, list[c.VoucherClaim]] = {name: [] for name in names}
    documents: dict[str, list[c.DocumentRegister]] = {name: [] for name in names}
    found: list[tuple[str, bytes]] = []
    for number in range(vouchers):
        name = names[number % len(names)]
        document = stage.document(name, "core", face, stage.label())
        issue = stage.issue("core", name, face, maturity, stage.document_id(document))
        voucher = stage.voucher_id("core", issue)
        documents[name].append(document)
        issues.append(issue)
        claims[name].append(c.VoucherClaim(stage.label(), voucher, True))
        found.append((name, voucher))
    for name in names:
        await stage.all_ok(name, documents[name])
    await stage.all_ok("core", issues)
    for name in names:
        await stage.all_ok(name, claims[name])
    return found
