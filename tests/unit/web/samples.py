"""Records for tests of pages: only what a test asks for differs from one to the next."""

from __future__ import annotations

from tallynet.fields import ZERO_WIDE
from tallynet.records import (
    AcceptMode,
    BranchStatus,
    Organisation,
    OrganisationKind,
    OrganisationStatus,
    PriceMode,
    Promise,
    Size,
    Visibility,
    Voucher,
    VoucherStatus,
)

DAY = 20_785


def organisation(number: int) -> bytes:
    return number.to_bytes(16, "big")


def member(*kinds: OrganisationKind) -> Organisation:
    return Organisation(
        kinds=kinds,
        status=OrganisationStatus.ACTIVE,
        kyc_level=2,
        size=Size.LARGE,
        sponsor=None,
        industry="tourism",
        region="home",
        name_commitment=bytes(32),
        tax_id_commitment=bytes(32),
        uniqueness_tag=bytes(32),
        blocked_automatic=False,
        blocked_manual=False,
        overdue_count=0,
        parent=None,
        branch_status=BranchStatus.OPEN,
        distress_declared=False,
        freezes=0,
    )


def voucher(
    debtor: bytes, first_payee: bytes, *, face: int = 100, currency: str = "CNY"
) -> Voucher:
    return Voucher(
        debtor=debtor,
        first_payee=first_payee,
        currency=currency,
        face=face,
        issue_day=DAY,
        claim_deadline=DAY + 10,
        maturity=DAY + 90,
        grace_days=3,
        grace_end=DAY + 93,
        promise=Promise(bytes(32), True, True, True),
        documents=(),
        programme=b"p" * 16,
        issue_line=b"l" * 16,
        clearing_bank=b"c" * 16,
        accept_mode=AcceptMode.IMMEDIATE,
        deemed_days=0,
        max_hops=10,
        max_lots=200,
        min_piece=1,
        document_required_on_transfer=False,
        visibility=Visibility.FULL,
        penalty_ppm_day=500,
        status=VoucherStatus.ACTIVE,
        payment_term_warning=False,
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
        policy_minimum=(),
        price_mode=PriceMode.OPEN,
    )
