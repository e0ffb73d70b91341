"""Records to fill a state with. Their business meaning is of no interest here."""

from __future__ import annotations

from hashlib import sha256

from tallynet.fields import to_wide
from tallynet.records import (
    AcceptMode,
    AcquiredBy,
    DocumentUse,
    Lot,
    LotState,
    PriceMode,
    Promise,
    Remainder,
    Visibility,
    Voucher,
    VoucherStatus,
)


def record_id(label: object) -> bytes:
    """A 16-byte id."""
    return sha256(repr(label).encode()).digest()[:16]


def remainder(value: int) -> Remainder:
    return Remainder(to_wide(value))


def voucher(event_count: int = 0, documents: int = 1) -> Voucher:
    """A voucher with values as wide as real ones."""
    return Voucher(
        debtor=record_id("debtor"),
        first_payee=record_id("payee"),
        currency="CNY",
        face=10**11,
        issue_day=20_500,
        claim_deadline=20_510,
        maturity=20_680,
        grace_days=5,
        grace_end=20_690,
        promise=Promise(sha256(b"letter").digest(), True, True, True),
        documents=tuple(DocumentUse(record_id(i), 10**11) for i in range(documents)),
        programme=record_id("programme"),
        issue_line=record_id("line"),
        clearing_bank=record_id("bank"),
        accept_mode=AcceptMode.EXPLICIT,
        deemed_days=0,
        max_hops=8,
        max_lots=500,
        min_piece=1,
        document_required_on_transfer=False,
        visibility=Visibility.TIER1,
        penalty_ppm_day=500,
        status=VoucherStatus.ACTIVE,
        payment_term_warning=False,
        transfer_barred=False,
        extra_review_by=None,
        suspended_by=None,
        freezes=0,
        disputes=0,
        funds_in=10**10,
        redeemed=10**10,
        cancelled=0,
        paid=10**10,
        penalty_day=20_690,
        penalty_numerator=to_wide(10**15),
        penalty_in=10**8,
        guarantees=(),
        instructions_opened=10**11,
        event_count=event_count,
        event_accumulator=sha256(b"events").digest(),
        policy_minimum=(),
        price_mode=PriceMode.OPEN,
    )


def lot(start: int, end: int, holder: object = "holder") -> Lot:
    """A pledged lot: every optional field is set."""
    return Lot(
        start=start,
        end=end,
        holder=record_id(holder),
        state=LotState.PLEDGED,
        pending_to=record_id("receiver"),
        pending_day=20_600,
        hops=3,
        newest_event=1_000,
        acquired_day=20_600,
        acquired_by=AcquiredBy.TRANSFER,
        recourse_from=record_id("recourse"),
        lien=record_id("financing"),
        covered=10**9,
        flags=7,
    )
