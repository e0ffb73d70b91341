"""B9: a voucher passed on ten times; on every hop small pieces go to that tier's own suppliers."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from tallynet import commands as c
from tallynet import records as r
from tools.scenarios.stage import Stage

HOPS: Final = 10
PIECE: Final = 100


async def run(stage: Stage, lots: int) -> None:
    """At most `lots` lots in the end, as many of them on every hop; one is the last tier's."""
    facts = stage.facts
    tiers = [f"tier-{hop}" for hop in range(HOPS + 2)]
    width = (lots - 1) // HOPS - 1
    small = [f"small-{i}" for i in range(width)]
    await stage.join("core", kind=r.OrganisationKind.CORE, size=r.Size.LARGE)
    await stage.join(*tiers, *small)
    await stage.grant(r.LineKind.ISSUE, "bank-1", "core", 10**12)
    await stage.programme("core")
    face = HOPS * (width + 1) * PIECE + PIECE
    voucher = await stage.promise("core", tiers[0], face, await stage.today() + 90)
    pieces = tuple(c.Piece(stage.id(name), PIECE, None) for name in small)
    for hop in range(HOPS):
        # A transfer takes the tail of a lot: the next tier's share first, then the small pieces.
        lot = next(lot for lot in await stage.lots(voucher) if lot.holder == stage.id(tiers[hop]))
        rest = lot.end - lot.start - len(pieces) * PIECE - PIECE
        on = (c.Piece(stage.id(tiers[hop + 1]), rest, None), *pieces)
        await stage.act(tiers[hop], c.LotTransfer(stage.label(), voucher, lot.start, on))
    found = await stage.lots(voucher)
    facts.require("tiled from 0 to, fen", found[-1].end, face)
    facts.require("gaps and overlaps", sum(a.end != b.start for a, b in pairwise(found)), 0)
    facts.require("most hops", max(lot.hops for lot in found), HOPS)
    facts.note("lots", len(found))
    last = next(lot for lot in found if lot.holder == stage.id(tiers[HOPS]))
    path = await stage.proven_path(tiers[HOPS], voucher, last.start)
    if path is not None:
        passed_on = [event.target for event in path if event.type == "lot.transfer"]
        facts.require("hops proven, from the last holder up", len(passed_on), HOPS)
    piece = (c.Piece(stage.id(tiers[HOPS + 1]), 1, None),)
    once_more = c.LotTransfer(stage.label(), voucher, last.start, piece)
    await stage.refused("HOP_LIMIT", tiers[HOPS], once_more)
