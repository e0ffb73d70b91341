"""B15: a day in which three of ten commands are wrong, each in a way that has its own code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec

from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire, encode
from tallynet.hashing import record_id
from tools.scenarios.flow_anchors import anchor
from tools.scenarios.stage import MONDAY, Stage
from tools.scenarios.traffic import Step, Traffic

SEED: Final = 15
WRONG_PERCENT: Final = 30
FACE: Final = 10_000_00
MATURITY: Final = MONDAY + 90
CORE, KEEPER, STRANGER = "quiet-core", "keeper", "stranger"
HELD, WAITS = b"held", b"waits"
"""Labels of the quiet core's vouchers: one is claimed."""


async def run(stage: Stage, commands: int) -> None:
    """`commands` in all. The wrong ones aim at vouchers of which nothing may change."""
    facts = stage.facts
    await stage.join(CORE, kind=r.OrganisationKind.CORE, size=r.Size.LARGE)
    await stage.join(KEEPER, STRANGER)
    await stage.grant(r.LineKind.ISSUE, "bank-1", CORE, 4 * FACE)
    await stage.programme(CORE)
    wrong = await _wrong(stage)
    traffic = Traffic(stage, SEED, commands * (100 - WRONG_PERCENT) // 100)
    await traffic.open()
    before = await _quiet(stage)
    made: Counter[str] = Counter()
    right = 0

    def mingle(steps: list[Step]) -> list[Step]:
        """Wrong commands among the right ones, so that their share is right after each of them."""
        nonlocal right
        found: list[Step] = []
        for step in steps:
            found.append(step)
            right += 1
            while made.total() < right * WRONG_PERCENT // (100 - WRONG_PERCENT):
                code, by, make = wrong[made.total() % len(wrong)]
                made[code] += 1
                found.append(Step(by, make, code))
        return found

    played = await traffic.play(mingle)
    facts.note("commands", played)
    facts.require("percent that are wrong", round(100 * made.total() / played), WRONG_PERCENT)
    facts.note("refused by code", dict(sorted(made.items())))
    facts.require("records they aimed at, changed", await _quiet(stage) != before, False)
    facts.require("ranges as foretold", await traffic.check() > 0, True)


async def _wrong(stage: Stage) -> list[tuple[str, str, Callable[[], Wire]]]:
    """(code, who, what). A claimed voucher of the keeper and one that waits for its claim are there."""
    used = stage.document(KEEPER, CORE, FACE, b"used")
    await stage.act(KEEPER, used)
    spare = stage.document(KEEPER, CORE, 10 * FACE, b"spare")
    await stage.act(KEEPER, spare)
    document, other = stage.document_id(used), stage.document_id(spare)
    held = stage.issue(CORE, KEEPER, FACE, MATURITY, document, label=HELD)
    waits = stage.issue(CORE, KEEPER, FACE, MATURITY, other, label=WAITS)
    await stage.act(CORE, held, waits)
    voucher, pending = stage.voucher_id(CORE, held), stage.voucher_id(CORE, waits)
    await stage.act(KEEPER, c.VoucherClaim(stage.label(), voucher, True))
    offer = await stage.offer("bank-2", draw_min=200)
    line = stage.line_id(r.LineKind.ISSUE, "bank-1", CORE)

    def piece(to: str, amount: int, start: int = 0) -> c.LotTransfer:
        parts = (c.Piece(stage.id(to), amount, None),)
        return c.LotTransfer(stage.label(), voucher, start, parts)

    def draw(amount: int, of: bytes = offer) -> c.FinancingDraw:
        return stage.draw(KEEPER, voucher, 0, amount, of)

    def issue(face: int, **changes: object) -> c.VoucherIssue:
        given: dict[str, object] = {"maturity": MATURITY, "document": other} | changes
        return stage.issue(CORE, KEEPER, face, **given)  # type: ignore[arg-type]  # by name

    def once_more(creditor: str) -> c.DocumentRegister:
        changes = {"label": stage.label(), "creditor": stage.id(creditor)}
        return msgspec.structs.replace(used, **changes)

    bare = r.Promise(bytes(32), False, True, True)
    return [
        ("NOT_HOLDER", STRANGER, lambda: piece(KEEPER, 1)),
        ("RECEIVER_NOT_ELIGIBLE", KEEPER, lambda: piece(KEEPER, 1)),
        ("RECEIVER_NOT_ELIGIBLE", KEEPER, lambda: piece(CORE, 1)),
        ("AMOUNT_RANGE", KEEPER, lambda: piece(STRANGER, 0)),
        ("AMOUNT_RANGE", KEEPER, lambda: piece(STRANGER, FACE + 1)),
        ("RECORD_NOT_FOUND", KEEPER, lambda: piece(STRANGER, 1, start=7)),
        ("LOT_STATE", STRANGER, lambda: c.LotAccept(stage.label(), voucher, 0)),
        ("VOUCHER_STATE", KEEPER, lambda: c.VoucherClaim(stage.label(), voucher, True)),
        ("NOT_PAYEE", STRANGER, lambda: c.VoucherClaim(stage.label(), pending, True)),
        ("NO_OFFER", KEEPER, lambda: draw(FACE, bytes(16))),
        ("OFFER_CAP", KEEPER, lambda: draw(199)),
        ("AMOUNT_RANGE", KEEPER, lambda: draw(FACE + 1)),
        ("NOT_LICENSED", STRANGER, lambda: c.LineGrant(
            stage.label(), r.LineKind.ISSUE, stage.id(CORE), "CNY", 1, MONDAY, MATURITY, ())),
        ("NOT_AUTHORISED", "bank-2", lambda: c.LineChange(
            stage.label(), line, 1, MONDAY, MATURITY, ())),
        ("DOCUMENT_PARTY", STRANGER, lambda: once_more(KEEPER)),
        ("DOCUMENT_DUPLICATE", STRANGER, lambda: once_more(STRANGER)),
        ("DOCUMENT_OVERUSED", CORE, lambda: issue(1, document=document)),
        ("LINE_EXCEEDED", CORE, lambda: issue(3 * FACE)),
        ("TENOR_EXCEEDED", CORE, lambda: issue(1, maturity=MONDAY + 400)),
        ("PROMISE_MISSING", CORE, lambda: issue(1, promise=bare)),
        ("DATE_RANGE", CORE, lambda: anchor(stage, "orders", MATURITY, 1)),
        ("RECORD_NOT_FOUND", "bank-2", lambda: c.PayoutConfirm(
            stage.label(), bytes(16), 1, stage.receipt())),
        ("VOUCHER_STATE", "bank-1", lambda: c.FundsReceived(
            stage.label(), voucher, 1, 0, stage.receipt())),
    ]  # fmt: skip


async def _quiet(stage: Stage) -> list[bytes]:
    """What the wrong commands aim at, as bytes."""
    found: list[Wire] = [await stage.line(r.LineKind.ISSUE, "bank-1", CORE)]
    for label in HELD, WAITS:
        id = record_id(r.Kind.VOUCHER, stage.id(CORE), label)
        found += [await stage.voucher(id), *await stage.lots(id)]
    return [encode(record) for record in found]
