"""What a draw, a batch and an accepted quote have in common: conditions, terms, opening (§8.7, §15).

Opening a financing reserves its lines, locks its range and orders the pay-out, in one act.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from node.ledger import documents, fees, lines, pools
from node.ledger.accounts import require_verified
from node.ledger.context import Context, refuse, require_amount
from node.ledger.lines import line_id
from node.ledger.lots import current_lot
from node.ledger.organisations import has_kind, require_active
from node.ledger.parameters import value
from node.ledger.ranges import lots_of, put_joined, put_lot, require_free
from node.ledger.schedule import Act, put_second
from node.ledger.vouchers import log, needs_review, require_status
from node.state.view import Index
from tallynet.errors import LedgerError
from tallynet.fields import ZERO_WIDE, to_wide
from tallynet.hashing import record_id
from tallynet.records import (
    Account,
    Fee,
    Financing,
    FinancingKind,
    FinancingRequest,
    FinancingState,
    Instruction,
    InstructionPurpose,
    InstructionState,
    Kind,
    LineKind,
    Lot,
    LotState,
    OrganisationKind,
    Purpose,
    PurposeAmount,
    SealedPrice,
    Voucher,
    VoucherStatus,
)

CIRCULATING: Final = frozenset({VoucherStatus.ACTIVE})
SOLD: Final = frozenset({FinancingKind.SALE, FinancingKind.EARLY_PAY})
"""Kinds that take a discount; loans pay the principal in full (Civil Code 670)."""
FINANCEABLE: Final = frozenset({VoucherStatus.ACTIVE, VoucherStatus.DUE, VoucherStatus.OVERDUE})
"""When somebody may lend on a voucher: until it is in default, after maturity a backstop alone."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a holder asks cash for: the last `amount` fen of a lot."""

    voucher: bytes
    start: int
    amount: int
    payee: bytes
    """Account."""
    purposes: tuple[PurposeAmount, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """What one funder gives for it today, by its offer or its quote."""

    funder: bytes
    kind: FinancingKind
    offer: bytes | None
    """None: a quote."""
    rate_ppm: int
    basis: int
    days: int
    principal: int
    discount: int
    numerator: int
    lines: tuple[LineKind, ...]
    registration_required: bool
    fee: Fee | None
    agent_bank: bytes | None
    """Of the pool; lender of record of an entrusted loan."""
    pool: bytes | None
    """Fund pool that pays; None: the funder's own money."""
    sealed: SealedPrice | None = None
    """Then nothing is known of the price but that it is at most the principal; rate and discount are 0."""

    @property
    def cash(self) -> int:
        """What the funder spends."""
        return self.principal - self.discount

    @property
    def net(self) -> int:
        """What is paid out to the drawer; under a sealed price the most that it can be."""
        return self.cash - fees.deducted(self.fee, sold=self.kind in SOLD)


def lender(financing: Financing) -> bytes:
    """Who is owed a loan and paid for it: the funder, or the agent bank as lender of record."""
    return financing.agent_bank or financing.funder


def parties(financing: Financing) -> list[bytes]:
    """Who finds it under its own id: entries of PARTY_FINANCINGS."""
    return sorted({financing.funder, financing.obligor, lender(financing)})


def sums_by_purpose(uses: Iterable[tuple[Purpose, int]]) -> tuple[PurposeAmount, ...]:
    """Each purpose once, with the sum of its amounts."""
    sums: dict[Purpose, int] = {}
    for purpose, amount in uses:
        sums[purpose] = sums.get(purpose, 0) + amount
    return tuple(PurposeAmount(purpose, sums[purpose]) for purpose in sorted(sums))


# --- conditions ---------------------------------------------------------------------------------------


def require_financeable(
    context: Context, voucher_id: bytes, statuses: Collection[VoucherStatus] = CIRCULATING
) -> Voucher:
    """A voucher that new money may go into, of whatever kind; every financing of a voucher begins here.
    Raises LedgerError VOUCHER_STATE, VOUCHER_SUSPENDED, LOT_DISPUTED (no new financing while a part of
    the voucher is disputed, §8.8), DOCUMENT_VOID, REVIEW_REQUIRED, RECORD_NOT_FOUND."""
    voucher = require_status(context, voucher_id, statuses)
    if voucher.disputes:
        raise refuse("LOT_DISPUTED", "no new financing while a part of the voucher is disputed")
    documents.require_none_void(context, voucher)
    if needs_review(context, voucher) and voucher.extra_review_by is None:
        raise refuse("REVIEW_REQUIRED", "a tenor this long must be reviewed by a bank first")
    return voucher


def require_drawable(context: Context, wanted: Wanted) -> tuple[Voucher, Lot]:
    """The voucher and the free lot of the acting holder, for an amount that the lot has.

    Raises LedgerError VOUCHER_STATE, DOCUMENT_VOID, REVIEW_REQUIRED, NOT_HOLDER, LOT_LOCKED, LOT_FROZEN,
    PAYEE_NOT_ALLOWED, AMOUNT_RANGE and others of those checks.
    """
    require_financeable(context, wanted.voucher)
    voucher, lot = current_lot(context, wanted.voucher, wanted.start)
    if lot.holder != context.acting:
        raise refuse("NOT_HOLDER", "the lot is held by another organisation")
    require_free(lot)
    require_amount(wanted.amount)
    if wanted.amount > lot.end - lot.start:
        raise refuse("AMOUNT_RANGE", f"{wanted.amount} of a lot of {lot.end - lot.start}")
    require_payee(context, wanted, voucher.currency)
    return voucher, lot


def require_payee(context: Context, wanted: Wanted, currency: str) -> Account:
    """The drawer's own account, or, from `controlled_payment_min` on, that of whom it pays (受托支付,
    C19): there the proceeds never pass through the drawer's hands.

    Raises LedgerError PAYEE_NOT_ALLOWED, ACCOUNT_UNVERIFIED, CURRENCY_MISMATCH, RECORD_NOT_FOUND.
    """
    owner = context.acting
    if wanted.amount >= value(context, "controlled_payment_min"):
        owner = context.require(Account, wanted.payee).organisation
        if owner == context.acting:
            raise refuse(
                "PAYEE_NOT_ALLOWED",
                "draws of this size are paid to a controlled payee, not to oneself",
            )
    return require_verified(context, wanted.payee, owner, currency)


def require_counterparties(
    context: Context, voucher: Voucher, funder: bytes, kind: FinancingKind
) -> None:
    """Raises LedgerError SELF_DEALING, OFFER_SCOPE: nobody finances himself, and the debtor, only he,
    pays early."""
    if funder == context.acting:
        raise refuse("SELF_DEALING", "funder and drawer are the same organisation")
    early = kind is FinancingKind.EARLY_PAY
    if funder == voucher.debtor and not early:
        raise refuse("SELF_DEALING", "the debtor may only pay early")
    if early and funder != voucher.debtor:
        raise refuse("OFFER_SCOPE", "early payment comes from the debtor itself")


# --- lines --------------------------------------------------------------------------------------------


def _line_ids(deal: Terms | Financing, debtor: bytes, drawer: bytes, currency: str) -> list[bytes]:
    return [
        line_of(kind, deal.funder, debtor, drawer, currency)
        for kind in deal.lines
        if is_used(kind, deal.kind)
    ]


def is_used(kind: LineKind, by: FinancingKind) -> bool:
    """A sale lends the drawer nothing."""
    return kind is not LineKind.BORROWER or by not in SOLD


def line_of(kind: LineKind, funder: bytes, debtor: bytes, drawer: bytes, currency: str) -> bytes:
    """Id of the funder's line on the debtor or the drawer."""
    obligor = debtor if kind is LineKind.DEBTOR_EXPOSURE else drawer
    return line_id(kind, funder, obligor, currency)


def exposure_lines(financing: Financing) -> list[bytes]:
    """Ids of the open lines that count the financing."""
    return _line_ids(financing, financing.debtor, financing.obligor, financing.currency)


def require_lines(context: Context, terms: Terms, voucher: Voucher) -> None:
    """Raises LedgerError LINE_EXCEEDED, LINE_INACTIVE, LINE_SEALED unless every line is open and has room
    for the principal."""
    for id in _line_ids(terms, voucher.debtor, context.acting, voucher.currency):
        try:
            lines.require_room(context, id, terms.principal)
        except LedgerError as error:
            if error.code == "RECORD_NOT_FOUND":
                raise refuse("LINE_EXCEEDED", "the funder has no line for this draw") from None
            raise


def require_net(terms: Terms) -> None:
    """Raises LedgerError NET_NOT_POSITIVE."""
    if terms.net <= 0:
        raise refuse("NET_NOT_POSITIVE", "discount and fee leave nothing to be paid out")


# --- opening ------------------------------------------------------------------------------------------


def open_financing(
    context: Context, label: bytes, wanted: Wanted, voucher: Voucher, part: Lot, terms: Terms
) -> None:
    """Financing AWAIT_PAYOUT, Instruction NEW, lines, pool and allocation reserved, the waiver counted,
    the range locked; writes the voucher. Receipt result: discount, net, rate ppm, days, the drawer's share
    of the fee; under a sealed price the first three are 0. Raises LedgerError PAYEE_NOT_ALLOWED, LINE_EXCEEDED, LINE_INACTIVE, ID_IN_USE."""
    account = context.require(Account, wanted.payee)
    if account.organisation == terms.funder:
        raise refuse("PAYEE_NOT_ALLOWED", "payer and payee are the same organisation")
    financing_id = record_id(Kind.FINANCING, context.acting, label)
    instruction_id = record_id(Kind.INSTRUCTION, financing_id, bytes(4))
    expires = context.time + value(context, "payout_timeout_seconds")
    net = terms.net if terms.sealed is None else 0
    financing = Financing(
        kind=terms.kind,
        funder=terms.funder,
        offer=terms.offer,
        obligor=context.acting,
        debtor=voucher.debtor,
        voucher=wanted.voucher,
        start=part.start,
        end=part.end,
        principal=terms.principal,
        discount=terms.discount,
        net=net,
        numerator=to_wide(terms.numerator),
        currency=voucher.currency,
        rate_ppm=terms.rate_ppm,
        basis=terms.basis,
        value_day=context.today,
        end_day=voucher.maturity,
        accrued_to=context.today,
        accrual=ZERO_WIDE,
        interest_billed=0,
        repaid=0,
        repayment_pending=0,
        payee=wanted.payee,
        purposes=wanted.purposes,
        instruction=instruction_id,
        expires=expires,
        state=FinancingState.AWAIT_PAYOUT,
        lines=terms.lines,
        registration_required=terms.registration_required,
        registration=None,
        fee=terms.fee,
        agent_bank=terms.agent_bank,
        pool=terms.pool,
        allocation=lines.allocation(context, voucher.debtor, context.acting, voucher.currency),
        sealed=terms.sealed,
    )
    context.create(financing_id, financing)
    for id in exposure_lines(financing):
        lines.reserve(context, id, financing.principal)
    if financing.allocation is not None:
        lines.reserve(context, financing.allocation, wanted.amount)
    pools.reserve(context, terms.pool, terms.cash)
    fees.count(context, terms.fee)
    bank = terms.agent_bank
    if bank is None:
        funder = require_active(context, terms.funder)
        bank = terms.funder if has_kind(funder, OrganisationKind.BANK) else account.bank
    instruction = Instruction(
        terms.funder, account.organisation, wanted.payee, net, 0, voucher.currency, context.today,
        InstructionPurpose.PAYOUT, financing_id, 0, bank, InstructionState.NEW,
        None if terms.sealed is None else terms.sealed.price_commitment,
    )  # fmt: skip
    context.create(instruction_id, instruction)
    context.state.index_add(Index.BANK_INSTRUCTIONS, bank + instruction_id)
    for party in parties(financing):
        context.state.index_add(Index.PARTY_FINANCINGS, party + financing_id)
    put_second(context, expires, Act.PAYOUT_EXPIRE, financing_id)
    event = voucher.event_count
    voucher = log(
        context, wanted.voucher, voucher, "financing.draw", start=part.start, end=part.end,
        source=context.acting, target=terms.funder, amount=net, reference=financing_id,
    )  # fmt: skip
    locked = msgspec.structs.replace(
        part, state=LotState.FINANCING_PENDING, lien=financing_id, newest_event=event
    )
    put_lot(context, wanted.voucher, locked)
    context.put(wanted.voucher, voucher)
    charged = terms.fee.drawer if terms.fee is not None else 0
    context.result = (terms.discount, net, terms.rate_ppm, terms.days, charged)


def unlock(
    context: Context, id: bytes, deal: Financing | FinancingRequest, voucher: Voucher, event: int
) -> None:
    """The range that this lien locked is its holder's again; `event` is the event that says so."""
    for lot in lots_of(context, id, deal):
        held = msgspec.structs.replace(lot, state=LotState.HELD, lien=None, newest_event=event)
        settle_in(context, deal.voucher, voucher, held)


def settle_in(context: Context, voucher_id: bytes, voucher: Voucher, lot: Lot) -> None:
    """Write a lot that is HELD again, joined with its equals; no more after maturity, when every lot has a
    settlement instruction of its own that names its start."""
    if voucher.status is VoucherStatus.ACTIVE:
        put_joined(context, voucher_id, lot)
    else:
        put_lot(context, voucher_id, lot)
