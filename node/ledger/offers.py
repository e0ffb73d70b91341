"""Standing offers of funders (voucher law §8.7 offer.create, offer.revoke; C8)."""

from __future__ import annotations

from itertools import pairwise

import msgspec

from node.ledger.context import Context, refuse, require_amount
from node.ledger.organisations import has_kind, require_active
from node.ledger.programmes import require_currency
from node.ledger.rulebook import Signers, rule
from node.ledger.schedule import HANDLERS, Act, drop_day, put_day
from node.state.view import Index
from tallynet.commands import OfferCreate, OfferRevoke
from tallynet.hashing import record_id
from tallynet.records import (
    CommandClass,
    FinancingKind,
    FundPool,
    Kind,
    LineKind,
    Offer,
    OfferStatus,
    Organisation,
    OrganisationKind,
    PoolKind,
    RateBand,
    Voucher,
)

_LENDERS = (OrganisationKind.BANK, OrganisationKind.FACTOR)
_OFFERED = (
    FinancingKind.SALE, FinancingKind.LOAN_RECOURSE, FinancingKind.LOAN_PLEDGE,
    FinancingKind.EARLY_PAY,
)  # fmt: skip
_LOANS = (FinancingKind.LOAN_PLEDGE, FinancingKind.LOAN_RECOURSE)
_FULL = 10_000


def check_funder(organisation: Organisation, kind: FinancingKind) -> None:
    """Banks and factors finance; a core may pay its own vouchers early (C16, C34)."""
    if kind not in _OFFERED:
        raise refuse("SCHEMA_INVALID", f"{kind.name} has commands of its own")
    if kind is FinancingKind.EARLY_PAY:
        if not has_kind(organisation, OrganisationKind.CORE, *_LENDERS):
            raise refuse("NOT_LICENSED", "early payment is offered by cores, banks and factors")
    elif not has_kind(organisation, *_LENDERS):
        raise refuse("NOT_LICENSED", "only banks and factors buy or lend")


def check_terms(kind: FinancingKind, lines: tuple[LineKind, ...], basis: int) -> None:
    """Raises LedgerError SCHEMA_INVALID, LINE_KIND: what offers and quotes have in common."""
    if tuple(sorted(set(lines))) != lines:
        raise refuse("SCHEMA_INVALID", "lines must be sorted and distinct")
    others = (LineKind.ISSUE, LineKind.ALLOCATION)
    if any(line in others for line in lines) or basis not in (360, 365):
        raise refuse("SCHEMA_INVALID", "lines are DEBTOR_EXPOSURE or BORROWER; basis 360 or 365")
    if kind is FinancingKind.EARLY_PAY and lines:
        raise refuse("LINE_KIND", "early payment extinguishes the debt and needs no line")


def check_advance(kind: FinancingKind, advance_bps: int) -> None:
    """Raises LedgerError TENOR_BAND."""
    loan = kind in _LOANS
    if not 0 < advance_bps <= _FULL or (not loan and advance_bps != _FULL):
        raise refuse("TENOR_BAND", "advance is up to 100 % for loans, and 100 % otherwise")


def _check_pool(context: Context, command: OfferCreate, source: bytes) -> None:
    """A pool for early payment pays early, one for entrusted loans lends, as its agent bank is lender of
    record (委托贷款); a sale needs a licence of the funder's own. Nobody grants lines to a pool, and no
    quote is paid by one."""
    pool = context.require(FundPool, source)
    if pool.funder != context.acting:
        raise refuse("NOT_AUTHORISED", "the pool is another organisation's")
    early = pool.kind is PoolKind.EARLY_PAY
    if command.kind not in ((FinancingKind.EARLY_PAY,) if early else _LOANS):
        raise refuse("NOT_LICENSED", f"a pool for {pool.kind.name} does not do this")
    if command.currency != pool.currency:
        raise refuse("CURRENCY_MISMATCH", f"the pool is in {pool.currency}")
    if command.lines_required:
        raise refuse("LINE_KIND", "what a pool pays is limited by the pool")
    if not command.automatic:
        raise refuse(
            "SCHEMA_INVALID", "a quote is the funder's own, so a pool's offer is automatic"
        )


def _check_grid(kind: FinancingKind, grid: tuple[RateBand, ...]) -> None:
    if any(a.days_max >= b.days_max for a, b in pairwise(grid)):
        raise refuse("TENOR_BAND", "bands must ascend by days")
    for band in grid:
        check_advance(kind, band.advance_bps)


def open_key(offer: Offer, id: bytes) -> bytes:
    """Entry of OPEN_OFFERS: AUTO walks them by lowest rate, then by id."""
    lowest = min(band.rate_ppm for band in offer.grid)
    return offer.currency.encode() + lowest.to_bytes(4, "big") + id


def lowest_rate_of(key: bytes) -> int:
    """The rate in an entry of OPEN_OFFERS."""
    return int.from_bytes(key[3:7], "big")


def covers(offer: Offer, voucher: Voucher) -> bool:
    """Whether an offer is for a voucher's debtor, programme and currency."""
    return (
        (not offer.debtors or voucher.debtor in offer.debtors)
        and (not offer.programmes or voucher.programme in offer.programmes)
        and offer.currency == voucher.currency
    )


@rule(
    OfferCreate,
    CommandClass.OFFER,
    Signers.MCA,
    amount=lambda command: command.draw_max,
    sentence="Offers financing on standing terms.",
    errors=("OFFER_CAP", "NOT_LICENSED"),
)
def create(context: Context, command: OfferCreate) -> None:
    """offer.create (voucher law §8.7)."""
    funder = require_active(context, context.acting)
    if command.source is None:
        check_funder(funder, command.kind)
    else:
        _check_pool(context, command, command.source)
    require_currency(command.currency)
    for ids in (command.debtors, command.programmes):
        if tuple(sorted(set(ids))) != ids:
            raise refuse("SCHEMA_INVALID", "debtors and programmes must be sorted and distinct")
    check_terms(command.kind, command.lines_required, command.basis)
    require_amount(command.draw_min, "draw_min")
    require_amount(command.draw_max, "draw_max")
    require_amount(command.total_cap, "total_cap")
    if not command.draw_min <= command.draw_max <= command.total_cap:
        raise refuse("OFFER_CAP", "smallest draw <= largest draw <= total cap")
    if command.valid_from > command.valid_to or command.valid_to < context.today:
        raise refuse("DATE_RANGE", "the offer would never be open")
    _check_grid(command.kind, command.grid)
    id = record_id(Kind.OFFER, context.acting, command.label)
    offer = Offer(
        context.acting, command.kind, command.currency, command.debtors, command.programmes,
        command.grid, command.basis, command.draw_min, command.draw_max, command.organisation_cap,
        command.total_cap, 0, command.valid_from, command.valid_to, command.lines_required,
        OfferStatus.OPEN, command.registration_required, command.automatic,
        command.stop_on_flow_collapse, command.source,
    )  # fmt: skip
    context.create(id, offer)
    context.state.index_add(Index.FUNDER_OFFERS, context.acting + id)
    if offer.automatic:
        context.state.index_add(Index.OPEN_OFFERS, open_key(offer, id))
    put_day(context, command.valid_to + 1, Act.OFFER_EXPIRE, id)
    context.emit("offer.create", Kind.OFFER, id, source=context.acting, amount=command.total_cap)


@rule(
    OfferRevoke,
    CommandClass.OFFER,
    Signers.MC,
    sentence="Closes an offer; accepted draws stand.",
)
def revoke(context: Context, command: OfferRevoke) -> None:
    """offer.revoke: never touches accepted draws (voucher law §8.7, §15)."""
    offer = context.require(Offer, command.offer)
    if offer.funder != context.acting:
        raise refuse("NOT_AUTHORISED", "only the funder can revoke an offer")
    if offer.status is not OfferStatus.OPEN:
        raise refuse("STATE_CONFLICT", f"the offer is {offer.status.name}")
    drop_day(context, offer.valid_to + 1, Act.OFFER_EXPIRE, command.offer)
    _close(context, command.offer, offer, OfferStatus.REVOKED)
    context.emit("offer.revoke", Kind.OFFER, command.offer, source=context.acting)


def _close(context: Context, id: bytes, offer: Offer, status: OfferStatus) -> None:
    if offer.automatic:
        context.state.index_remove(Index.OPEN_OFFERS, open_key(offer, id))
    context.put(id, msgspec.structs.replace(offer, status=status))


def _expire(context: Context, id: bytes) -> None:
    """system.expire: the offer's last day has passed."""
    offer = context.require(Offer, id)
    if offer.status is OfferStatus.OPEN:
        _close(context, id, offer, OfferStatus.EXPIRED)
        context.emit("system.expire", Kind.OFFER, id, source=offer.funder)


HANDLERS[Act.OFFER_EXPIRE] = _expire
