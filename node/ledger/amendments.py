"""What agreement and authority change in a voucher after its claim (voucher law §8.5): cancel, reduce,
extend, review, suspend, resume."""

from __future__ import annotations

import msgspec

from node.ledger import calendar, documents, lines
from node.ledger.context import Context, refuse, require_amount
from node.ledger.drawing import FINANCEABLE, lender
from node.ledger.loans import overdue_day
from node.ledger.organisations import has_kind, require_active
from node.ledger.parameters import value_on
from node.ledger.ranges import carve, get_lot, put_lot, require_free, require_free_holder
from node.ledger.reconciliation import count_owed, open_face
from node.ledger.redemption import close_if_ended, open_lots
from node.ledger.rulebook import Joint, Signers, rule
from node.ledger.schedule import Act, drop_day, put_day
from node.ledger.vouchers import (
    check_payment_term,
    log,
    needs_review,
    require_active_voucher,
    touch,
)
from tallynet.commands import (
    VoucherCancel,
    VoucherExtend,
    VoucherReduce,
    VoucherResume,
    VoucherReview,
    VoucherSuspend,
)
from tallynet.records import (
    AcquiredBy,
    CommandClass,
    Financing,
    FinancingState,
    Guarantee,
    GuaranteeState,
    Lot,
    LotState,
    Organisation,
    OrganisationKind,
    Programme,
    Voucher,
    VoucherStatus,
)

_OVER = (VoucherStatus.SETTLED, VoucherStatus.CANCELLED)


def require_unencumbered(context: Context, lot: Lot) -> None:
    """HELD without lien, flag or order against its holder. Raises LedgerError LOT_ENCUMBERED, or
    LOT_FROZEN, LOT_DISPUTED, LOT_STATE for what is no encumbrance."""
    if lot.lien is not None or lot.state is LotState.TRANSFER_PENDING:
        raise refuse("LOT_ENCUMBERED", "a financing or a pending transfer is on the lot")
    require_free(lot)
    require_free_holder(context, lot.holder)


# --- cancel and reduce --------------------------------------------------------------------------------


def _cancel_parties(context: Context, command: VoucherCancel) -> tuple[bytes, ...]:
    voucher = context.require(Voucher, command.voucher)
    return voucher.debtor, get_lot(context, command.voucher, 0).holder


@rule(
    VoucherCancel,
    CommandClass.VOUCHER,
    Signers.MC,
    joint=Joint.PARTIES,
    parties=_cancel_parties,
    sentence="Cancels a claimed voucher that is still whole in its first payee's hand.",
    errors=("LOT_ENCUMBERED",),
)
def cancel(context: Context, command: VoucherCancel) -> None:
    """voucher.cancel (voucher law §8.5): ACTIVE, one unencumbered lot, never transferred or financed;
    line and documents are released. A credit note may have shortened the lot before. What came back
    whole (a declined transfer, a failed draw, a repaid loan) left no right of others behind."""
    voucher = require_active_voucher(context, command.voucher)
    lot = get_lot(context, command.voucher, 0)
    whole = lot.end == voucher.face - voucher.cancelled and lot.holder == voucher.first_payee
    if not whole or lot.hops or lot.acquired_by is not AcquiredBy.ISSUE:
        raise refuse("LOT_ENCUMBERED", "parts of the voucher were transferred, financed or paid")
    require_unencumbered(context, lot)
    documents.release(context, voucher.documents)
    _cancel_lot(context, command.voucher, voucher, lot, "voucher.cancel")


def _reduce_parties(context: Context, command: VoucherReduce) -> tuple[bytes, ...]:
    voucher = context.require(Voucher, command.voucher)
    return voucher.debtor, voucher.first_payee


@rule(
    VoucherReduce,
    CommandClass.VOUCHER,
    Signers.MC,
    joint=Joint.PARTIES,
    parties=_reduce_parties,
    amount=lambda command: sum(use.amount for use in command.documents),
    sentence="Cancels the tail of the first payee's lot after a credit note.",
    errors=("LOT_ENCUMBERED",),
)
def reduce(context: Context, command: VoucherReduce) -> None:
    """voucher.reduce (voucher law §8.5): tail of the first payee's unencumbered lot -> CANCELLED;
    occupancy of the documents that the credit note names and the line are released. Reduced to
    nothing, the voucher is CANCELLED, or SETTLED if a part was paid early (§9)."""
    voucher = require_active_voucher(context, command.voucher)
    lot = get_lot(context, command.voucher, command.start)
    if lot.holder != voucher.first_payee:
        raise refuse("NOT_HOLDER", "the first payee does not hold this lot any more")
    require_unencumbered(context, lot)
    amount = sum(use.amount for use in command.documents)
    require_amount(amount)
    part = carve(context, command.voucher, voucher, lot, amount)
    left = documents.release_part(context, voucher.documents, command.documents)
    voucher = msgspec.structs.replace(voucher, documents=left)
    _cancel_lot(context, command.voucher, voucher, part, "voucher.reduce")


def _cancel_lot(
    context: Context, voucher_id: bytes, voucher: Voucher, lot: Lot, event: str
) -> None:
    """HELD -> CANCELLED for this range; its part of the ISSUE line is free again (I3), and of the first payee's
    own line on the debtor if it bought the range back under that."""
    amount = lot.end - lot.start
    lines.release_used(context, voucher.issue_line, amount)
    lot = lines.release_bought(context, voucher, lot)
    newest = voucher.event_count
    voucher = log(
        context, voucher_id, voucher, event, start=lot.start, end=lot.end, source=lot.holder,
        target=voucher.debtor, amount=amount,
    )  # fmt: skip
    before = open_face(voucher)
    voucher = msgspec.structs.replace(voucher, cancelled=voucher.cancelled + amount)
    count_owed(context, voucher_id, voucher, before)
    cancelled = msgspec.structs.replace(lot, state=LotState.CANCELLED, newest_event=newest)
    put_lot(context, voucher_id, cancelled)
    context.put(voucher_id, close_if_ended(context, voucher_id, voucher))


# --- extend -------------------------------------------------------------------------------------------


def _extend_parties(context: Context, command: VoucherExtend) -> tuple[bytes, ...]:
    return context.require(Voucher, command.voucher).debtor, *command.consenting


@rule(
    VoucherExtend,
    CommandClass.VOUCHER,
    Signers.MC,
    joint=Joint.PARTIES,
    parties=_extend_parties,
    sentence="Moves a voucher's maturity to a later day, with the consent of all who hold rights in it.",
    errors=("TENOR_EXCEEDED", "HOLDER_CONSENT_MISSING"),
)
def extend(context: Context, command: VoucherExtend) -> None:
    """voucher.extend (voucher law §8.5): new maturity <= issue day + max tenor in force on the issue
    day (I7). The agreement names its parties; HOLDER_CONSENT_MISSING when somebody else has a right in
    the voucher by the time the last of them signs. Before maturity only; the small suppliers' payment
    term (§17) holds as at issue; a review of the old tenor does not cover the new one."""
    if tuple(sorted(set(command.consenting))) != command.consenting:
        raise refuse("SCHEMA_INVALID", "the consenting must be sorted and distinct")
    voucher = require_active_voucher(context, command.voucher)
    lots = open_lots(context, command.voucher)
    _require_consents(context, voucher, lots, command)
    maturity = calendar.roll(context, command.maturity)
    if maturity <= voucher.maturity:
        raise refuse("DATE_RANGE", "an extension moves the maturity to a later day")
    programme = context.require(Programme, voucher.programme)
    longest = min(
        value_on(context.state, "max_tenor_days", voucher.issue_day), programme.max_tenor_days
    )
    if maturity > voucher.issue_day + longest:
        raise refuse("TENOR_EXCEEDED", f"{longest} days from the day of issue are allowed")
    payee = context.require(Organisation, voucher.first_payee)
    late = check_payment_term(context, voucher.documents, payee, maturity)
    moved = msgspec.structs.replace(
        voucher,
        maturity=maturity,
        grace_end=calendar.roll(context, maturity + voucher.grace_days),
        payment_term_warning=late or voucher.payment_term_warning,
        extra_review_by=None,
    )
    drop_day(context, voucher.maturity, Act.VOUCHER_MATURE, command.voucher)
    put_day(context, maturity, Act.VOUCHER_MATURE, command.voucher)
    for loan in _loans(context, lots):
        drop_day(context, voucher.grace_end + 1, Act.LOAN_OVERDUE, loan)
        put_day(context, moved.grace_end + 1, Act.LOAN_OVERDUE, loan)
    moved = log(
        context, command.voucher, moved, "voucher.extend", end=voucher.face,
        source=voucher.debtor, amount=maturity,
    )  # fmt: skip
    context.put(command.voucher, moved)


def _require_consents(
    context: Context, voucher: Voucher, lots: list[Lot], command: VoucherExtend
) -> None:
    """Raises LedgerError HOLDER_CONSENT_MISSING unless every holder, lien holder and guarantor of this
    very voucher is named; who guarantees a debtor or a programme took its tenors as they come."""
    entitled = {lot.holder for lot in lots}
    for lien in sorted({lot.lien for lot in lots if lot.lien is not None}):
        financing = context.find(Financing, lien)
        if financing is not None:
            entitled |= {financing.funder, lender(financing)}
    for id in voucher.guarantees:
        guarantee = context.require(Guarantee, id)
        if guarantee.state is GuaranteeState.ACTIVE and context.today <= guarantee.expiry:
            entitled.add(guarantee.guarantor)
    for organisation in sorted(entitled - set(command.consenting)):
        raise refuse(
            "HOLDER_CONSENT_MISSING",
            f"{organisation.hex()} has a right in the voucher and is not named",
        )


def _loans(context: Context, lots: list[Lot]) -> list[bytes]:
    """Financings whose end follows the voucher's grace (see `node.ledger.derived`)."""
    liens = sorted({lot.lien for lot in lots if lot.lien is not None})
    found = [(lien, context.find(Financing, lien)) for lien in liens]
    return [
        lien
        for lien, financing in found
        if financing is not None
        and financing.state is FinancingState.OUTSTANDING
        and overdue_day(context.state, financing) is not None
    ]


# --- review, suspend, resume --------------------------------------------------------------------------


@rule(
    VoucherReview,
    CommandClass.VOUCHER,
    Signers.MC,
    sentence="Marks a voucher of long tenor as reviewed by a bank that may finance it.",
)
def review(context: Context, command: VoucherReview) -> None:
    """voucher.review (voucher law §8.5): tenor > `extra_review_days` -> review mark, needed before any
    financing. The mark names the last bank; the log keeps all."""
    bank = require_active(context, context.acting)
    if not has_kind(bank, OrganisationKind.BANK, OrganisationKind.FACTOR):
        raise refuse("NOT_LICENSED", "reviews are for banks and factors")
    voucher = touch(context, command.voucher)
    if voucher.status not in (VoucherStatus.PENDING_CLAIM, *FINANCEABLE):
        raise refuse("VOUCHER_STATE", f"the voucher is {voucher.status.name}")
    if not needs_review(context, voucher):
        raise refuse("STATE_CONFLICT", "a voucher of this tenor needs no review")
    if voucher.extra_review_by == context.acting:
        raise refuse("STATE_CONFLICT", "this bank's review stands")
    voucher = log(context, command.voucher, voucher, "voucher.review", source=context.acting)
    context.put(command.voucher, msgspec.structs.replace(voucher, extra_review_by=context.acting))


def require_authority(context: Context) -> None:
    """Raises LedgerError NOT_AUTHORISED unless a court agent or regulator acts."""
    actor = require_active(context, context.acting)
    if not has_kind(actor, OrganisationKind.COURT_AGENT, OrganisationKind.REGULATOR):
        raise refuse("NOT_AUTHORISED", "only court agents and regulators may do this")


@rule(
    VoucherSuspend,
    CommandClass.VOUCHER,
    Signers.MC,
    sentence="Stops transfer and financing of a voucher; it is still paid.",
)
def suspend(context: Context, command: VoucherSuspend) -> None:
    """voucher.suspend (voucher law §8.5). Changes by agreement wait as well; claim and payment do
    not."""
    require_authority(context)
    voucher = touch(context, command.voucher)
    if voucher.status in _OVER:
        raise refuse("VOUCHER_STATE", f"the voucher is {voucher.status.name}")
    if voucher.suspended_by is not None:
        raise refuse("STATE_CONFLICT", "the voucher is suspended already")
    voucher = log(context, command.voucher, voucher, "voucher.suspend", source=context.acting)
    context.put(command.voucher, msgspec.structs.replace(voucher, suspended_by=context.acting))


@rule(
    VoucherResume,
    CommandClass.VOUCHER,
    Signers.MC,
    sentence="Ends a voucher's suspension, by the authority that suspended it.",
)
def resume(context: Context, command: VoucherResume) -> None:
    """voucher.resume (voucher law §8.5)."""
    require_authority(context)
    voucher = touch(context, command.voucher)
    if voucher.suspended_by is None:
        raise refuse("STATE_CONFLICT", "the voucher is not suspended")
    if voucher.suspended_by != context.acting:
        raise refuse("NOT_AUTHORISED", "another authority suspended the voucher")
    voucher = log(context, command.voucher, voucher, "voucher.resume", source=context.acting)
    context.put(command.voucher, msgspec.structs.replace(voucher, suspended_by=None))
