"""How most runs begin: lines, offers, accounts, documents and three claimed vouchers, in calm weather.

Without it a short run would spend its requests on preparing, and never reach a transfer or a draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, Final

from node.ledger.lines import line_id
from tallynet import commands as c
from tallynet import records as r
from tallynet.hashing import record_id
from tools.simulator.acts.base import CURRENCY
from tools.simulator.town import MONDAY, Party, Town

FACE: Final = 900_000


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def opening(town: Town) -> Iterator[tuple[Party, Sequence[Any]]]:
    """(party, commands) step by step; each stands on those before it. Ids follow from labels."""
    core, devices, shop = (town.party(name) for name in ("core", "devices", "shop"))
    bank, other = town.banks[0], town.banks[1]
    payees = (devices, devices, shop)
    yield (
        core,
        [
            c.ProgrammeCreate(b"p%d" % i, r.ProgrammeKind.RECEIVABLE, CURRENCY, _rules(mode))
            for i, mode in enumerate((r.AcceptMode.IMMEDIATE, r.AcceptMode.EXPLICIT))
        ],
    )
    yield (
        bank,
        [c.LineGrant(b"line", r.LineKind.ISSUE, core.id, CURRENCY, 10**9, MONDAY, MONDAY + 900)],
    )
    yield other, [
        c.OfferCreate(
            kind.name.lower().encode(), kind, CURRENCY, (), (),
            (r.RateBand(365, 43_500, 10_000),), 360, 1, 10**8, 0, 10**9, MONDAY, MONDAY + 300, (),
        )
        for kind in (r.FinancingKind.SALE, r.FinancingKind.LOAN_PLEDGE)
    ]  # fmt: skip
    for party in (devices, shop):
        yield party, [c.AccountBind(b"main", bank.id, _digest(party.name), CURRENCY)]
    yield (
        bank,
        [
            c.AccountVerify(
                b"v-" + party.name.encode(), record_id(r.Kind.ACCOUNT, party.id, b"main")
            )
            for party in (devices, shop)
        ],
    )
    for party in (devices, shop):
        yield party, [
            c.DocumentRegister(
                b"d%d" % i, r.DocumentType.INVOICE, _digest(f"tag {i}"), _digest("root"),
                _digest("sealed"), party.id, core.id, (), CURRENCY, FACE, None,
            )
            for i, payee in enumerate(payees)
            if payee is party
        ]  # fmt: skip
    yield core, [
        c.VoucherIssue(
            b"voucher%d" % i, payee.id, CURRENCY, FACE, MONDAY + days,
            r.Promise(_digest("promise"), True, True, True),
            (r.DocumentUse(record_id(r.Kind.DOCUMENT, b"", _digest(f"tag {i}")), FACE),),
            record_id(r.Kind.PROGRAMME, core.id, b"p%d" % (i % 2)),
            line_id(r.LineKind.ISSUE, bank.id, core.id, CURRENCY), bank.id,
        )
        for i, (payee, days) in enumerate(zip(payees, (2, 4, 30), strict=True))
    ]  # fmt: skip
    for party in (devices, shop):
        yield (
            party,
            [
                c.VoucherClaim(
                    b"c%d" % i, record_id(r.Kind.VOUCHER, core.id, b"voucher%d" % i), True
                )
                for i, payee in enumerate(payees)
                if payee is party
            ],
        )


def _rules(mode: r.AcceptMode) -> c.ProgrammeRules:
    return c.ProgrammeRules(
        mode, 0, 10, 200, 1, 365, 1, r.DocumentPolicy.CAPPED, False, 500, (), True
    )
