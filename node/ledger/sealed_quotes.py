"""Prices that only two sides know: sealed quote, acceptance, pay-out (voucher law §16.6).

The chain sees that both signed for the same terms and the same price, moves the range, and counts the face
against lines. It computes no discount: the terms are in `tallynet.sealed_price`, with which the two sides, and
an auditor to whom one of them opens them, compute the same figures.
"""

from __future__ import annotations

from node.ledger.context import Context, refuse
from node.ledger.drawing import Terms, require_net
from node.ledger.financing import confirm, require_instruction
from node.ledger.interest import BPS
from node.ledger.offers import check_terms
from node.ledger.organisations import has_kind
from node.ledger.requests import accept_at, add_quote, require_asked
from node.ledger.rulebook import Signers, rule
from tallynet.commands import FinancingAcceptSealed, FinancingQuoteSealed, PayoutConfirmSealed
from tallynet.hashing import record_id
from tallynet.records import (
    CommandClass,
    Fee,
    Financing,
    FinancingKind,
    FinancingRequest,
    InstructionPurpose,
    Kind,
    OrganisationKind,
    Quote,
    SealedPrice,
    SealedTerms,
)

_ANY_BASIS = 360
"""The basis is among what is sealed."""


@rule(
    FinancingQuoteSealed,
    CommandClass.OFFER,
    Signers.MC,
    amount=lambda command: command.amount,
    sentence="Answers a request with firm terms that only the holder learns.",
    errors=("QUOTE_EXPIRED", "NOT_LICENSED", "SELF_DEALING", "LINE_SEALED"),
)
def quote_sealed(context: Context, command: FinancingQuoteSealed) -> None:
    """financing.quote.sealed: by a bank, which executes its own pay-out, so that no third party has to be
    told the price. It buys; a loan's debt is computed here and needs its rate in the open."""
    opened = context.require(FinancingRequest, command.request)
    funder = require_asked(context, opened)
    if not has_kind(funder, OrganisationKind.BANK):
        raise refuse("NOT_LICENSED", "a sealed quote comes from a bank, which pays out itself")
    check_terms(FinancingKind.SALE, command.lines, _ANY_BASIS)
    sealed = SealedTerms(command.terms_commitment, command.ciphertext_hash)
    given = Quote(
        context.acting, FinancingKind.SALE, 0, 0, BPS, command.lines, (),
        command.registration_required, command.valid_to, sealed,
    )  # fmt: skip
    add_quote(context, command.request, opened, given, command.amount)


@rule(
    FinancingAcceptSealed,
    CommandClass.DRAW,
    Signers.MC,
    sentence="Takes a sealed quote: the range is sold at a price that only the two sides know.",
    errors=(
        "QUOTE_EXPIRED", "DOCUMENT_VOID", "LOT_DISPUTED", "LINE_EXCEEDED", "LINE_SEALED",
        "NET_NOT_POSITIVE", "PAYEE_NOT_ALLOWED", "SELF_DEALING", "AMOUNT_MISMATCH",
    ),
)  # fmt: skip
def accept_sealed(context: Context, command: FinancingAcceptSealed) -> None:
    """financing.accept.sealed: as financing.accept, but that the price is the commitment of the holder.
    Receipt result: 0, 0, 0, days, the drawer's share of the fee."""

    def price(context: Context, amount: int, chosen: Quote, days: int, fee: Fee | None) -> Terms:
        if chosen.sealed is None:
            raise refuse("STATE_CONFLICT", "the quote is open: financing.accept")
        if command.terms_commitment != chosen.sealed.terms_commitment:
            raise refuse("AMOUNT_MISMATCH", "these are not the terms of the quote")
        if command.value_day != context.today:
            raise refuse("DATE_RANGE", "the price is for another business date; commit anew")
        sealed = SealedPrice(command.terms_commitment, command.price_commitment)
        terms = Terms(
            chosen.funder, FinancingKind.SALE, None, 0, 0, days, amount, 0, 0, chosen.lines,
            chosen.registration_required, fee, None, None, sealed,
        )  # fmt: skip
        require_net(terms)
        return terms

    accept_at(context, command.label, command.request, command.funder, price)
    id = record_id(Kind.FINANCING, context.acting, command.label)
    context.emit(
        "financing.price.sealed", Kind.FINANCING, id, source=context.acting, target=command.funder,
        reference=command.terms_commitment + command.price_commitment,
    )  # fmt: skip


@rule(
    PayoutConfirmSealed,
    CommandClass.PAYOUT,
    Signers.MC,
    api=True,
    amount=lambda command: command.face,
    sentence="Confirms as the paying bank that a sealed price was paid out.",
    errors=("AMOUNT_MISMATCH", "REGISTRATION_REQUIRED", "RECEIPT_REUSED"),
)
def confirm_sealed(context: Context, command: PayoutConfirmSealed) -> None:
    """financing.payout.confirm.sealed: with equal commitments both sides stand for one price."""
    instruction = require_instruction(context, command.instruction, InstructionPurpose.PAYOUT)
    financing = context.require(Financing, instruction.reference)
    if instruction.price_commitment is None:
        raise refuse("AMOUNT_MISMATCH", "the amount is open: financing.payout.confirm")
    if command.price_commitment != instruction.price_commitment:
        raise refuse("AMOUNT_MISMATCH", "the holder has committed to another price")
    if command.face != financing.end - financing.start:
        raise refuse("AMOUNT_MISMATCH", f"the range is of {financing.end - financing.start}")
    confirm(context, command.instruction, instruction, command.receipt_commitment)
