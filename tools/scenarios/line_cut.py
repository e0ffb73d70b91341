"""B10: a bank cuts the exposure line that many draws race for (I4)."""

from __future__ import annotations

from typing import Final

from tallynet import commands as c
from tallynet import records as r
from tools.scenarios.stage import Stage, codes_of

DRAW: Final = 1_000_00
DRAWS_PER_VOUCHER: Final = 100
"""Draws that wait for their payout count towards the lots of a voucher."""


async def run(stage: Stage, draws: int) -> None:
    """Half of the draws fit under the line; then the bank cuts it below what is in use."""
    facts = stage.facts
    await stage.join("core", kind=r.OrganisationKind.CORE, size=r.Size.LARGE)
    await stage.join("devices")
    await stage.grant(r.LineKind.ISSUE, "bank-1", "core", 10**13)
    kind = r.LineKind.DEBTOR_EXPOSURE
    await stage.grant(kind, "bank-2", "core", draws // 2 * DRAW)
    await stage.programme("core")
    face, day = min(draws, DRAWS_PER_VOUCHER) * DRAW, await stage.today() + 90
    vouchers = [
        await stage.promise("core", "devices", face, day)
        for _ in range(0, draws, DRAWS_PER_VOUCHER)
    ]
    offer = await stage.offer("bank-2", lines_required=(kind,))
    cut = c.LineChange(
        stage.label(), stage.line_id(kind, "bank-2", "core"), draws // 4 * DRAW, await stage.today(),
        await stage.today() + 500, (),
    )  # fmt: skip
    commands = [
        stage.draw("devices", vouchers[n // DRAWS_PER_VOUCHER], 0, DRAW, offer)
        for n in range(draws)
    ]
    envelopes = [stage.sign("devices", command) for command in commands]
    envelopes.insert(draws // 3, stage.sign("bank-2", cut))
    receipts = await stage.send(envelopes)
    codes = [codes_of(receipt)[0] for receipt in receipts]
    del codes[draws // 3]
    done = codes.count("OK")
    line = await stage.line(kind, "bank-2", "core")
    facts.note("draws accepted", done)
    facts.require("other answers", sorted({*codes} - {"OK"}), ["LINE_EXCEEDED"])
    facts.require("reserved and used, fen", line.used + line.reserved, done * DRAW)
    facts.require("never above what was granted first", done <= draws // 2, True)
    facts.note("left over the new limit, fen", max(0, line.used + line.reserved - line.granted))
