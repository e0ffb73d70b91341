"""Finance beyond the plain draw: requests and quotes, batches, recourse, enforcement, rediscount, guarantee,
backstop. Functions over an `Act`; each gives the commands of one act, or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from node.ledger.guarantees import call_id
from node.ledger.joint import hash_of
from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire
from tallynet.hashing import record_id
from tools.simulator.town import MONDAY, Town

if TYPE_CHECKING:
    from tools.simulator.acts.base import Act

CURRENCY: Final = "CNY"
GUARANTEE_LABEL: Final = b"guarantee"
SHARES: Final = (6_000, 4_000)
"""Of the first two banks in the backstop, bps."""
POOL_CAP: Final = 10**6
BATCH: Final = 3
UNPAID: Final = (r.VoucherStatus.OVERDUE, r.VoucherStatus.DEFAULTED)


def backstop(town: Town) -> c.BackstopCreate:
    """The one pool of the town, worded the same by both banks."""
    shares = tuple(
        r.BackstopShare(bank.id, share)
        for bank, share in zip(town.banks[:2], SHARES, strict=True)
    )  # fmt: skip
    return c.BackstopCreate(
        b"pool", shares, town.banks[0].id, CURRENCY, (town.party("core").id,), (), POOL_CAP, 8_000,
        30_000, 360, False, 3,
    )  # fmt: skip


def backstop_id(town: Town) -> bytes:
    return record_id(r.Kind.BACKSTOP, hash_of(backstop(town)), b"")


def guarantee_id(town: Town) -> bytes:
    """The third bank's guarantee of all that the core promises."""
    return record_id(r.Kind.GUARANTEE, town.banks[2].id, GUARANTEE_LABEL)


# --- what suppliers do --------------------------------------------------------------------------


def ask(act: Act) -> Sequence[Wire]:
    """Ask two banks for quotes, or take an answer, or give up."""
    random, party = act.random, act.party
    for id in act.scan(Index.PARTY_REQUESTS, party.id):
        request = act.get(r.Kind.FINANCING_REQUEST, id)
        if request.holder != party.id:
            continue
        if request.quotes and random.random() < 0.8:
            return (c.FinancingAccept(act.label, id, random.choice(request.quotes).funder),)
        return (c.FinancingCancel(act.label, id),) if random.random() < 0.3 else ()
    held, account = act.choose_lot(), act.verified_account()
    if held is None or account is None:
        return ()
    voucher, lot = held
    size = lot.end - lot.start
    funders = tuple(sorted(bank.id for bank in act.town.banks[:2]))
    amount = random.choice((size, random.randint(1, size)))
    return (
        c.FinancingRequestOpen(
            act.label, voucher, lot.start, amount, account, r.Purpose.RENT, funders
        ),
    )


def draw_batch(act: Act) -> Sequence[Wire]:
    """Some small draws at once."""
    random = act.random
    held, account = act.choose_lot(), act.verified_account()
    offers = [id for bank in act.town.banks[:4] for id in act.scan(Index.FUNDER_OFFERS, bank.id)]
    if held is None or account is None or not offers:
        return ()
    voucher, lot = held
    amount = max(1, (lot.end - lot.start) // (BATCH * random.randint(1, 3)))
    draws = tuple(c.BatchDraw(amount, r.Purpose.PAYROLL) for _ in range(BATCH))
    offer = random.choice(offers)
    return (c.FinancingDrawBatch(act.label, offer, voucher, lot.start, draws, account),)


def repurchase(act: Act) -> Sequence[Wire]:
    """Take back what the bank has claimed."""
    for id, financing in _financings(act):
        if financing.obligor == act.party.id and financing.state is r.FinancingState.RECOURSE:
            return (c.RecourseRepurchase(act.label, id),)
    return ()


def call_for_help(act: Act) -> Sequence[Wire]:
    """On an overdue lot: the guarantor, or the backstop."""
    for voucher, lot in act.lots(r.LotState.HELD):
        if act.get(r.Kind.VOUCHER, voucher).status not in UNPAID:
            continue
        size = lot.end - lot.start
        amount = act.random.randint(1, size)
        account = act.verified_account()
        if act.random.random() < 0.5 or account is None:
            guarantee = guarantee_id(act.town)
            return (c.GuaranteeCall(act.label, guarantee, voucher, lot.start, amount),)
        return (
            c.BackstopDraw(
                act.label, backstop_id(act.town), voucher, lot.start, amount, account,
                r.Purpose.PAYROLL,
            ),
        )  # fmt: skip
    return ()


# --- what banks do ------------------------------------------------------------------------------


def quote(act: Act) -> Sequence[Wire]:
    """Answer requests for money."""
    random = act.random
    for id in act.scan(Index.PARTY_REQUESTS, act.party.id):
        request = act.get(r.Kind.FINANCING_REQUEST, id)
        if any(one.funder == act.party.id for one in request.quotes):
            continue
        kind = random.choice(
            (r.FinancingKind.SALE, r.FinancingKind.LOAN_PLEDGE, r.FinancingKind.LOAN_RECOURSE)
        )
        advance = 10_000 if kind is r.FinancingKind.SALE else 8_000
        amount, rate = request.end - request.start, random.randint(10_000, 90_000)
        return (
            c.FinancingQuote(
                act.label, id, amount, kind, rate, 360, advance, (), False, act.today + 2
            ),
        )
    return ()


def claim_back(act: Act) -> Sequence[Wire]:
    """Recourse, enforcement, and writing off what cannot be had."""
    for id, financing in _financings(act):
        if financing.funder != act.party.id or financing.kind not in _LOANS:
            continue
        if financing.state is r.FinancingState.OUTSTANDING and act.random.random() < 0.5:
            recourse = financing.kind is r.FinancingKind.LOAN_RECOURSE
            event = act.digest() if act.random.random() < 0.2 else None
            return (c.RecourseClaim(act.label, id, event),) if recourse else ()
        if financing.state is r.FinancingState.OVERDUE:
            return (c.FinancingEnforce(act.label, id),)
        if financing.state is r.FinancingState.RECOURSE and act.random.random() < 0.1:
            return (c.FinancingWriteOff(act.label, id),)
    return ()


_LOANS: Final = (r.FinancingKind.LOAN_PLEDGE, r.FinancingKind.LOAN_RECOURSE)


def rediscount(act: Act) -> Sequence[Wire]:
    """Offer bought ranges to the next bank, answer such offers, confirm that the price came."""
    random, party = act.random, act.party
    for id, deal in _financings(act):
        if deal.kind is not r.FinancingKind.REDISCOUNT:
            continue
        if deal.state is r.FinancingState.REQUESTED and deal.funder == party.id:
            return (c.RediscountAccept(act.label, id, deal.net),)
        if deal.state is r.FinancingState.AWAIT_PAYOUT and deal.obligor == party.id:
            return (c.RediscountConfirm(act.label, id, deal.net, act.bank_receipt()),)
        if random.random() < 0.1:
            return (c.RediscountCancel(act.label, id),)
    bought = [
        (voucher, lot)
        for voucher, lot in act.lots(r.LotState.HELD)
        if lot.acquired_by is r.AcquiredBy.SALE
    ]
    if not bought:
        return ()
    voucher, lot = random.choice(bought)
    amount = random.randint(1, lot.end - lot.start)
    buyer = next(bank for bank in act.town.banks if bank.id != party.id)
    price = random.randint(1, amount)
    return (c.RediscountOffer(act.label, voucher, lot.start, amount, buyer.id, price),)


def stand_by(act: Act) -> Sequence[Wire]:
    """Make the guarantee and the backstop, and pay what is called."""
    town, party = act.town, act.party
    if party.id == town.banks[2].id and act.get(r.Kind.GUARANTEE, guarantee_id(town)) is None:
        core = town.party("core").id
        return (
            c.GuaranteeIssue(
                GUARANTEE_LABEL, town.banks[3].id, None, r.GuaranteeScope.DEBTOR, core, CURRENCY,
                POOL_CAP, 0, MONDAY + 900,
            ),
        )  # fmt: skip
    if party in town.banks[:2] and act.get(r.Kind.BACKSTOP, backstop_id(town)) is None:
        return (backstop(town),)
    for id in act.scan(Index.BANK_INSTRUCTIONS, party.id):
        order = act.get(r.Kind.INSTRUCTION, id)
        if order.purpose is not r.InstructionPurpose.GUARANTEE:
            continue
        for voucher in act.scan(Index.DEBTOR_VOUCHERS, town.party("core").id):
            if call_id(voucher, order.start) == id:
                return (
                    c.GuaranteePayConfirm(
                        act.label, voucher, order.start, order.amount, act.bank_receipt()
                    ),
                )
    return ()


def _financings(act: Act) -> Iterator[tuple[bytes, r.Financing]]:
    for id in act.scan(Index.PARTY_FINANCINGS, act.party.id):
        financing = act.get(r.Kind.FINANCING, id)
        if isinstance(financing, r.Financing):
            yield id, financing
