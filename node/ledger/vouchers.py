"""Vouchers: issue, claim, reject, withdraw, and what time does to them (voucher law §8.5, §9)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from hashlib import sha256
from typing import Final

import msgspec

from node.ledger import calendar, documents, lines
from node.ledger.context import Context, refuse, require_amount
from node.ledger.organisations import (
    count_overdue,
    has_kind,
    require_active,
    require_issuer,
    same_enterprise,
)
from node.ledger.parameters import value, value_on
from node.ledger.programmes import is_member
from node.ledger.ranges import get_lot, put_lot
from node.ledger.reconciliation import count_owed
from node.ledger.rulebook import Signers, rule
from node.ledger.schedule import HANDLERS, Act, drop_day, put_day, take_off_day
from node.state.view import Index, StateView
from tallynet.commands import VoucherClaim, VoucherIssue, VoucherReject, VoucherWithdraw
from tallynet.fields import ZERO_WIDE
from tallynet.hashing import record_id
from tallynet.records import (
    AcquiredBy,
    CommandClass,
    CreditLine,
    Document,
    DocumentUse,
    Freeze,
    Kind,
    LineKind,
    Lot,
    LotState,
    Organisation,
    OrganisationKind,
    Programme,
    Size,
    Voucher,
    VoucherStatus,
)

HOLDS_MAX: Final = 16
"""Freezes, and as many disputes, in force on one voucher: bounds what a touch and a lift look at."""
SMALL_SIZES: Final = frozenset({Size.MICRO, Size.SMALL, Size.MEDIUM})
"""Who the payment-term rule for small and medium enterprises protects (§17)."""


# --- shared by the families that touch vouchers -------------------------------------------------------


def log(
    context: Context,
    voucher_id: bytes,
    voucher: Voucher,
    event_type: str,
    *,
    start: int = 0,
    end: int = 0,
    source: bytes | None = None,
    target: bytes | None = None,
    amount: int = 0,
    reference: bytes = b"",
) -> Voucher:
    """Append an event to the voucher's log: `event_accumulator := SHA-256(accumulator ‖ event)` binds
    the log into the voucher's leaf (voucher law §6). The caller writes the voucher returned."""
    context.emit(
        event_type, Kind.VOUCHER, voucher_id, sequence=voucher.event_count, start=start, end=end,
        source=source, target=target, amount=amount, reference=reference,
    )  # fmt: skip
    return msgspec.structs.replace(
        voucher,
        event_count=voucher.event_count + 1,
        event_accumulator=sha256(voucher.event_accumulator + context.encoded_events[-1]).digest(),
    )


def touch(context: Context, voucher_id: bytes) -> Voucher:
    """The voucher, brought to the status that the business date implies (touch rule, §5), so that
    results never depend on how far the prologue has come."""
    voucher = context.require(Voucher, voucher_id)
    today = context.today
    if voucher.freezes and _end_freezes(context, voucher_id, today):
        voucher = context.require(Voucher, voucher_id)
    if voucher.status is VoucherStatus.PENDING_CLAIM and today > voucher.claim_deadline:
        voucher = _expire(context, voucher_id, voucher)
    if voucher.status is VoucherStatus.ACTIVE and today >= voucher.maturity:
        voucher = _mature(context, voucher_id, voucher)
    if voucher.status is VoucherStatus.DUE and today > voucher.grace_end and uncovered(voucher):
        voucher = _overdue(context, voucher_id, voucher)
    if voucher.status is VoucherStatus.OVERDUE and today > default_day(context.state, voucher):
        voucher = _default(context, voucher_id, voucher)
    return voucher


def _end_freezes(context: Context, voucher_id: bytes, today: int) -> bool:
    """End the freezes on this voucher whose last day has passed; True if there were any."""
    prefix = voucher_id + bytes((Kind.FREEZE,))
    ended = False
    for key in context.state.index_scan(Index.VOUCHER_HOLDS, prefix, limit=HOLDS_MAX):
        if today > context.require(Freeze, key[17:]).expires:
            HANDLERS[Act.FREEZE_EXPIRE](context, key[17:])
            ended = True
    return ended


def uncovered(voucher: Voucher) -> int:
    """Face that the debtor has neither funded nor paid early: what can be overdue."""
    early = voucher.redeemed - voucher.paid
    return voucher.face - voucher.cancelled - voucher.funds_in - early


def drop_overdue_when_covered(context: Context, voucher_id: bytes, voucher: Voucher) -> None:
    """A due voucher whose face is covered can no longer become overdue: nothing is on its agenda."""
    if voucher.status is VoucherStatus.DUE and not uncovered(voucher):
        take_off_day(context, voucher.grace_end + 1, Act.VOUCHER_OVERDUE, voucher_id)


def default_day(state: StateView, voucher: Voucher) -> int:
    """Last day before an overdue voucher is in default: by the rule of its first day overdue."""
    return voucher.grace_end + value_on(state, "default_after_days", voucher.grace_end + 1)


def require_active_voucher(context: Context, voucher_id: bytes) -> Voucher:
    """A voucher that circulates. Raises LedgerError VOUCHER_STATE, VOUCHER_SUSPENDED,
    RECORD_NOT_FOUND."""
    return require_status(context, voucher_id, (VoucherStatus.ACTIVE,))


def require_status(
    context: Context, voucher_id: bytes, statuses: Collection[VoucherStatus]
) -> Voucher:
    """A voucher in one of these states today, and not suspended. Raises LedgerError VOUCHER_STATE,
    VOUCHER_SUSPENDED, RECORD_NOT_FOUND."""
    voucher = touch(context, voucher_id)
    if voucher.status not in statuses:
        raise refuse("VOUCHER_STATE", f"the voucher is {voucher.status.name}")
    require_not_suspended(voucher)
    return voucher


def require_not_suspended(voucher: Voucher) -> None:
    """Raises LedgerError VOUCHER_SUSPENDED."""
    if voucher.suspended_by is not None:
        raise refuse("VOUCHER_SUSPENDED", "an authority has stopped transfer and financing")


def needs_review(context: Context, voucher: Voucher) -> bool:
    """True for tenors beyond `extra_review_days` (§17)."""
    return voucher.maturity - voucher.issue_day > value(context, "extra_review_days")


# --- issue --------------------------------------------------------------------------------------------


@rule(
    VoucherIssue,
    CommandClass.ISSUE,
    Signers.MCA,
    amount=lambda command: command.face,
    sentence="Promises to pay a supplier on a day, bound to trade documents.",
    errors=(
        "ISSUER_BLOCKED", "TENOR_EXCEEDED", "PAYMENT_TERM_EXCEEDED", "DOCUMENT_STATE",
        "DOCUMENT_PARTY", "DOCUMENT_OVERUSED", "LINE_EXCEEDED", "PROMISE_MISSING",
        "PROGRAMME_NOT_MEMBER",
    ),
)  # fmt: skip
def issue(context: Context, command: VoucherIssue) -> None:
    """voucher.issue (voucher law §8.5)."""
    debtor = require_active(context, context.acting)
    if not has_kind(debtor, OrganisationKind.CORE):
        raise refuse("NOT_AUTHORISED", "vouchers are issued by core enterprises")
    payee = require_active(context, command.payee, receiving=True)
    if same_enterprise(context, debtor, payee):
        raise refuse("SELF_DEALING", "payer and payee belong to the same enterprise")
    clearing = require_active(context, command.clearing_bank)
    if not has_kind(clearing, OrganisationKind.CLEARING, OrganisationKind.BANK):
        raise refuse("NOT_LICENSED", "the clearing bank must be a bank or a clearing institution")
    programme = context.require(Programme, command.programme)
    line = context.require(CreditLine, command.issue_line)
    require_issuer(context, debtor)
    if not (is_member(programme, context.acting) and is_member(programme, command.payee)):
        raise refuse("PROGRAMME_NOT_MEMBER", "issuer and payee must be members of the programme")
    _check_values(command, programme)
    maturity = calendar.roll(context, command.maturity)
    _check_term(context, programme, maturity)
    late = check_payment_term(context, command.documents, payee, maturity)
    documents.occupy(
        context,
        command.documents,
        creditor=command.payee,
        debtor=context.acting,
        face=command.face,
        currency=command.currency,
        policy=programme.document_policy,
    )
    if (line.kind, line.obligor, line.currency) != (
        LineKind.ISSUE,
        context.acting,
        command.currency,
    ):
        raise refuse("LINE_KIND", "the line is no ISSUE line of this issuer in this currency")
    lines.reserve(context, command.issue_line, command.face)
    _create(context, command, programme, maturity, late)


def _check_values(command: VoucherIssue, programme: Programme) -> None:
    require_amount(command.face, "face")
    if command.currency != programme.currency:
        raise refuse("CURRENCY_MISMATCH", f"the programme is in {programme.currency}")
    promise = command.promise
    if not (promise.waive_setoff and promise.waive_defence and promise.notice_consent):
        raise refuse(
            "PROMISE_MISSING",
            "the promise must waive set-off and defences and consent to notice in advance",
        )


def _check_term(context: Context, programme: Programme, maturity: int) -> None:
    """Business date < maturity <= issue day + max tenor, of network and programme (I7)."""
    today = context.today
    if maturity <= today:
        raise refuse("DATE_RANGE", "maturity must lie after the business date")
    longest = min(value(context, "max_tenor_days"), programme.max_tenor_days)
    if maturity > today + longest:
        raise refuse("TENOR_EXCEEDED", f"{maturity - today} days; at most {longest} are allowed")


def check_payment_term(
    context: Context, uses: Sequence[DocumentUse], payee: Organisation, maturity: int
) -> bool:
    """Small suppliers are paid within `sme_payment_days` of delivery (§17): warn, or deny."""
    if payee.size not in SMALL_SIZES:
        return False
    longest = value(context, "sme_payment_days")
    for use in uses:
        document = context.require(Document, use.document)
        delivered = document.delivery_day
        if delivered is not None and maturity - delivered > longest:
            if value(context, "sme_payment_deny"):
                raise refuse(
                    "PAYMENT_TERM_EXCEEDED",
                    f"{maturity - delivered} days after delivery; the law allows {longest}",
                )
            return True
    return False


def _create(
    context: Context, command: VoucherIssue, programme: Programme, maturity: int, late: bool
) -> None:
    today = context.today
    id = record_id(Kind.VOUCHER, context.acting, command.label)
    deadline = today + value(context, "claim_deadline_days")
    voucher = Voucher(
        debtor=context.acting,
        first_payee=command.payee,
        currency=command.currency,
        face=command.face,
        issue_day=today,
        claim_deadline=deadline,
        maturity=maturity,
        grace_days=programme.grace_days,
        grace_end=calendar.roll(context, maturity + programme.grace_days),
        promise=command.promise,
        documents=command.documents,
        programme=command.programme,
        issue_line=command.issue_line,
        clearing_bank=command.clearing_bank,
        accept_mode=programme.accept_mode,
        deemed_days=programme.deemed_days,
        max_hops=programme.max_hops,
        max_lots=programme.max_lots,
        min_piece=programme.min_piece,
        document_required_on_transfer=programme.document_required_on_transfer,
        visibility=programme.visibility,
        penalty_ppm_day=programme.penalty_ppm_day,
        status=VoucherStatus.PENDING_CLAIM,
        payment_term_warning=late,
        transfer_barred=False,
        extra_review_by=None,
        suspended_by=None,
        freezes=0,
        disputes=0,
        funds_in=0,
        redeemed=0,
        cancelled=0,
        paid=0,
        penalty_day=0,
        penalty_numerator=ZERO_WIDE,
        penalty_in=0,
        guarantees=(),
        instructions_opened=0,
        event_count=0,
        event_accumulator=bytes(32),
        policy_minimum=programme.policy_minimum,
    )
    context.create(id, voucher)
    context.state.index_add(Index.DEBTOR_VOUCHERS, context.acting + id)
    context.state.index_add(Index.PAYEE_VOUCHERS, command.payee + id)
    lot = Lot(
        0, command.face, command.payee, LotState.PENDING_CLAIM, None, 0, 0, 0, today,
        AcquiredBy.ISSUE, None, None, 0, 0,
    )  # fmt: skip
    put_lot(context, id, lot)
    put_day(context, deadline + 1, Act.VOUCHER_EXPIRE, id)
    issued = log(
        context, id, voucher, "voucher.issue", end=command.face, source=context.acting,
        target=command.payee, amount=command.face,
    )  # fmt: skip
    context.put(id, issued)
    context.result = (int(late), maturity)


# --- claim, reject, withdraw, expire --------------------------------------------------------------------


def _pending(context: Context, voucher_id: bytes) -> Voucher:
    voucher = touch(context, voucher_id)
    if voucher.status is not VoucherStatus.PENDING_CLAIM:
        raise refuse("VOUCHER_STATE", f"the voucher is {voucher.status.name}")
    return voucher


@rule(
    VoucherClaim,
    CommandClass.CLAIM,
    Signers.MC,
    sentence="Accepts a voucher as its payee; it can now be passed on and financed.",
    errors=("NOT_PAYEE", "CLAIM_EXPIRED"),
)
def claim(context: Context, command: VoucherClaim) -> None:
    """voucher.claim (voucher law §8.5): before the deadline, with explicit consent. Who comes too late is
    told so, whether or not the prologue has got as far as ending the voucher."""
    known = context.require(Voucher, command.voucher)
    if known.first_payee != context.acting:
        raise refuse("NOT_PAYEE", "only the payee can claim a voucher")
    unclaimed = known.status in (VoucherStatus.PENDING_CLAIM, VoucherStatus.CANCELLED)
    if unclaimed and context.today > known.claim_deadline:
        raise refuse("CLAIM_EXPIRED", "the claim deadline has passed")
    voucher = _pending(context, command.voucher)
    if not command.consent:
        raise refuse("PROMISE_MISSING", "the payee must consent to be paid by voucher")
    lot = get_lot(context, command.voucher, 0)
    put_lot(context, command.voucher, msgspec.structs.replace(lot, state=LotState.HELD))
    drop_day(context, voucher.claim_deadline + 1, Act.VOUCHER_EXPIRE, command.voucher)
    put_day(context, voucher.maturity, Act.VOUCHER_MATURE, command.voucher)
    lines.use_reserved(context, voucher.issue_line, voucher.face)
    voucher = msgspec.structs.replace(voucher, status=VoucherStatus.ACTIVE)
    count_owed(context, command.voucher, voucher, 0)
    voucher = log(
        context, command.voucher, voucher, "voucher.claim", end=voucher.face,
        target=context.acting, amount=voucher.face,
    )  # fmt: skip
    context.put(command.voucher, voucher)
    touch(context, command.voucher)  # claimed on its last day, it is due at once


@rule(
    VoucherReject,
    CommandClass.VOUCHER,
    Signers.MC,
    sentence="Refuses a voucher as its payee.",
    errors=("NOT_PAYEE",),
)
def reject(context: Context, command: VoucherReject) -> None:
    """voucher.reject (voucher law §8.5)."""
    if context.require(Voucher, command.voucher).first_payee != context.acting:
        raise refuse("NOT_PAYEE", "only the payee can reject a voucher")
    _cancel(context, command.voucher, _pending(context, command.voucher), "voucher.reject")


@rule(
    VoucherWithdraw,
    CommandClass.VOUCHER,
    Signers.MC,
    sentence="Takes back a voucher that was not claimed.",
)
def withdraw(context: Context, command: VoucherWithdraw) -> None:
    """voucher.withdraw (voucher law §8.5)."""
    if context.require(Voucher, command.voucher).debtor != context.acting:
        raise refuse("NOT_AUTHORISED", "only the issuer can withdraw a voucher")
    _cancel(context, command.voucher, _pending(context, command.voucher), "voucher.withdraw")


def _expire(context: Context, voucher_id: bytes, voucher: Voucher) -> Voucher:
    return _cancel(context, voucher_id, voucher, "system.voucher.expire")


def _cancel(context: Context, voucher_id: bytes, voucher: Voucher, event: str) -> Voucher:
    """PENDING_CLAIM -> CANCELLED: line and documents are released (§9)."""
    take_off_day(context, voucher.claim_deadline + 1, Act.VOUCHER_EXPIRE, voucher_id)
    lines.unreserve(context, voucher.issue_line, voucher.face)
    documents.release(context, voucher.documents)
    lot = get_lot(context, voucher_id, 0)
    put_lot(context, voucher_id, msgspec.structs.replace(lot, state=LotState.CANCELLED))
    voucher = msgspec.structs.replace(
        voucher, status=VoucherStatus.CANCELLED, cancelled=voucher.face
    )
    voucher = log(context, voucher_id, voucher, event, end=voucher.face, amount=voucher.face)
    context.put(voucher_id, voucher)
    return voucher


# --- what time does ---------------------------------------------------------------------------------------


def _agenda(context: Context, voucher_id: bytes) -> None:
    """The prologue's handler for every act on a voucher: the touch rule does it."""
    touch(context, voucher_id)


for _act in (
    Act.VOUCHER_EXPIRE,
    Act.VOUCHER_MATURE,
    Act.VOUCHER_OVERDUE,
    Act.VOUCHER_DEFAULT,
):
    HANDLERS[_act] = _agenda


def _mature(context: Context, voucher_id: bytes, voucher: Voucher) -> Voucher:
    """system.voucher.mature: DUE, presented automatically. Pending transfers pay the sender and
    pending unsent draws are cancelled when their lot is looked at (§9)."""
    take_off_day(context, voucher.maturity, Act.VOUCHER_MATURE, voucher_id)
    voucher = msgspec.structs.replace(voucher, status=VoucherStatus.DUE)
    voucher = log(context, voucher_id, voucher, "system.voucher.mature", end=voucher.face)
    context.put(voucher_id, voucher)
    put_day(context, voucher.grace_end + 1, Act.VOUCHER_OVERDUE, voucher_id)
    put_day(context, voucher.maturity, Act.SETTLEMENT_OPEN, voucher_id)
    return voucher


def _overdue(context: Context, voucher_id: bytes, voucher: Voucher) -> Voucher:
    """system.voucher.overdue: the debtor is blocked automatically, the penalty runs (§9)."""
    take_off_day(context, voucher.grace_end + 1, Act.VOUCHER_OVERDUE, voucher_id)
    count_overdue(context, voucher.debtor, 1)
    voucher = msgspec.structs.replace(
        voucher, status=VoucherStatus.OVERDUE, penalty_day=voucher.grace_end + 1
    )
    voucher = log(context, voucher_id, voucher, "system.voucher.overdue", end=voucher.face)
    context.put(voucher_id, voucher)
    put_day(context, default_day(context.state, voucher) + 1, Act.VOUCHER_DEFAULT, voucher_id)
    return voucher


def _default(context: Context, voucher_id: bytes, voucher: Voucher) -> Voucher:
    """system.voucher.default: `default_after_days` after the grace (§9)."""
    day = default_day(context.state, voucher) + 1
    take_off_day(context, day, Act.VOUCHER_DEFAULT, voucher_id)
    voucher = msgspec.structs.replace(voucher, status=VoucherStatus.DEFAULTED)
    voucher = log(context, voucher_id, voucher, "system.voucher.default", end=voucher.face)
    context.put(voucher_id, voucher)
    return voucher
