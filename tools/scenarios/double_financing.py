"""B11: one invoice promised twice at the same moment; and one range financed by two banks."""

from __future__ import annotations

from typing import Final

from tallynet import records as r
from tools.scenarios.stage import Stage, codes_of

FACE: Final = 50_000_00


async def run(stage: Stage, pairs: int) -> None:
    """In each pair exactly one wins, on every validator the same."""
    facts = stage.facts
    await stage.join("core", kind=r.OrganisationKind.CORE, size=r.Size.LARGE)
    await stage.join("devices")
    await stage.grant(r.LineKind.ISSUE, "bank-1", "core", 10**13)
    await stage.programme("core")
    day = await stage.today() + 90
    documents = [stage.document("devices", "core", FACE, stage.label()) for _ in range(pairs)]
    await stage.all_ok("devices", documents)
    twins = [
        stage.sign("core", stage.issue("core", "devices", FACE, day, stage.document_id(document)))
        for document in documents for _ in range(2)
    ]  # fmt: skip
    codes = [codes_of(receipt)[0] for receipt in await stage.send(twins)]
    won = [sorted(codes[i : i + 2]) for i in range(0, len(codes), 2)]
    facts.require("invoices promised once", won.count(["DOCUMENT_OVERUSED", "OK"]), pairs)
    await _two_banks(stage, pairs)


async def _two_banks(stage: Stage, pairs: int) -> None:
    """The same whole range drawn from two banks at once."""
    offers = [await stage.offer(bank) for bank in ("bank-2", "bank-3")]
    won = 0
    for _ in range(pairs):
        voucher = await stage.promise("core", "devices", FACE, await stage.today() + 90)
        draws = [stage.draw("devices", voucher, 0, FACE, offer) for offer in offers]
        receipts = await stage.send([stage.sign("devices", draw) for draw in draws])
        won += sorted(codes_of(receipt)[0] for receipt in receipts) == ["LOT_LOCKED", "OK"]
    stage.facts.require("ranges financed once", won, pairs)
