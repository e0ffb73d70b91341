"""How most runs begin: lines, offers, accounts, documents and three claimed vouchers, in calm weather; a
fee and a waiver, and a pool that pays the core's vouchers early until it is empty.

Without it a short run would spend its requests on preparing, and never reach a transfer or a draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

from node.ledger.lines import line_id
from node.ledger.pools import pool_id
from tallynet import commands as c
from tallynet import records as r
from tallynet.hashing import record_id
from tools.simulator.acts.base import CURRENCY
from tools.simulator.town import MONDAY, Party, Town

FACE: Final = 900_000
POOL: Final = 600_000
"""Of the core's money for early payment: less than one voucher, so that some runs empty it."""
TENORS: Final = (2, 4, 30)
"""Days to maturity of the three vouchers: two of them mature within most runs."""


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def opening(town: Town) -> tuple[Sequence[tuple[Party, Sequence[Any]]], ...]:
    """Stages of (party, commands); a stage stands on those before it. Ids follow from labels."""
    core, devices, shop = (town.party(name) for name in ("core", "devices", "shop"))
    bank, other = town.banks[0], town.banks[1]
    payees = (devices, devices, shop)
    return (
        [
            (core, [*(_programme(i) for i in range(2)), _commitment(core, other)]),
            (bank, [_issue_line(core)]),
            (other, [_offer(kind) for kind in (r.FinancingKind.SALE, r.FinancingKind.LOAN_PLEDGE)]),
            *((party, [_account(party, bank)]) for party in (devices, shop)),
            *(
                (party, [_document(i, party, core) for i, x in enumerate(payees) if x is party])
                for party in (devices, shop)
            ),
        ],
        [
            (bank, [_verified(party) for party in (devices, shop)]),
            (other, [_commitment(core, other)]),
            (core, [_fee(core), _waiver(core)]),
            (core, [_voucher(i, core, payee, bank) for i, payee in enumerate(payees)]),
        ],
        [
            (core, [_early_offer(core, other)]),
            *(
                (party, [_claim(i, core) for i, x in enumerate(payees) if x is party])
                for party in (devices, shop)
            ),
        ],
    )


def _programme(number: int) -> c.ProgrammeCreate:
    mode = (r.AcceptMode.IMMEDIATE, r.AcceptMode.EXPLICIT)[number]
    rules = c.ProgrammeRules(
        mode,
        0,
        10,
        200,
        1,
        365,
        1,
        r.DocumentPolicy.CAPPED,
        r.Visibility.TIER1,
        False,
        500,
        (),
        True,
        (),
        r.PriceMode.OPEN,
    )
    return c.ProgrammeCreate(b"p%d" % number, r.ProgrammeKind.RECEIVABLE, CURRENCY, rules)


def _fee(core: Party) -> c.FeeScheduleSet:
    """Of one of the two programmes: the vouchers of the other are financed free of charge."""
    terms = r.FeeTerms(MONDAY, 5, 10, 100, 2_000)
    return c.FeeScheduleSet(b"fee", record_id(r.Kind.PROGRAMME, core.id, b"p0"), terms)


def _waiver(core: Party) -> c.WaiverGrant:
    """For everybody in town, until its cap is reached."""
    return c.WaiverGrant(
        b"waiver", record_id(r.Kind.PROGRAMME, core.id, b"p0"), r.WaiverScope.REGION, b"coast",
        r.WaiverKind.REDUCE, 3_333, 0, MONDAY, MONDAY + 900, 300,
    )  # fmt: skip


def _commitment(core: Party, agent: Party) -> c.FundCommit:
    terms = _digest("agency agreement")
    return c.FundCommit(
        b"fund", core.id, agent.id, r.PoolKind.EARLY_PAY, CURRENCY, POOL, terms
    )  # fmt: skip


def _early_offer(core: Party, agent: Party) -> c.OfferCreate:
    """Cheaper than the banks: whoever leaves the choice to the network is paid by the pool first."""
    return c.OfferCreate(
        b"early", r.FinancingKind.EARLY_PAY, CURRENCY, (), (), (r.RateBand(365, 5_000, 10_000),), 360,
        1, 10**8, 0, 10**9, MONDAY, MONDAY + 300, (), False, True, False,
        pool_id(core.id, agent.id, r.PoolKind.EARLY_PAY, CURRENCY),
    )  # fmt: skip


def _issue_line(core: Party) -> c.LineGrant:
    return c.LineGrant(
        b"line", r.LineKind.ISSUE, core.id, CURRENCY, 10**9, MONDAY, MONDAY + 900, ()
    )


def _offer(kind: r.FinancingKind) -> c.OfferCreate:
    return c.OfferCreate(
        kind.name.lower().encode(), kind, CURRENCY, (), (), (r.RateBand(365, 43_500, 10_000),), 360,
        1, 10**8, 0, 10**9, MONDAY, MONDAY + 300, (), False, True, False, None,
    )  # fmt: skip


def _account(party: Party, bank: Party) -> c.AccountBind:
    return c.AccountBind(b"main", bank.id, _digest(party.name), CURRENCY)


def _verified(party: Party) -> c.AccountVerify:
    account = record_id(r.Kind.ACCOUNT, party.id, b"main")
    return c.AccountVerify(b"v-" + party.name.encode(), account)


def _document(number: int, payee: Party, core: Party) -> c.DocumentRegister:
    return c.DocumentRegister(
        b"d%d" % number, r.DocumentType.INVOICE, _digest(f"tag {number}"), _digest("root"),
        _digest("sealed"), payee.id, core.id, (), CURRENCY, FACE, None,
    )  # fmt: skip


def _voucher(number: int, core: Party, payee: Party, bank: Party) -> c.VoucherIssue:
    document = record_id(r.Kind.DOCUMENT, b"", _digest(f"tag {number}"))
    return c.VoucherIssue(
        b"voucher%d" % number, payee.id, CURRENCY, FACE, MONDAY + TENORS[number],
        r.Promise(_digest("promise"), True, True, True), (r.DocumentUse(document, FACE),),
        record_id(r.Kind.PROGRAMME, core.id, b"p%d" % (number % 2)),
        line_id(r.LineKind.ISSUE, bank.id, core.id, CURRENCY), bank.id,
    )  # fmt: skip


def _claim(number: int, core: Party) -> c.VoucherClaim:
    voucher = record_id(r.Kind.VOUCHER, core.id, b"voucher%d" % number)
    return c.VoucherClaim(b"c%d" % number, voucher, True)
