"""A holder passes parts of a lot on; the receiver accepts or declines where the voucher asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from node.desk.case import Action, Case, Draft, Fact, Field, Form
from node.desk.entered import FieldError
from tallynet.codec import Wire
from tallynet.commands import LotAccept, LotDecline, LotTransfer, Piece
from tallynet.records import Lot, Voucher

__all__ = ["ACTIONS", "lot_draft", "lot_facts"]

PIECES_MAX: Final = 5
"""Receivers in one form; more is for programs."""


def lot_facts(voucher: Voucher, lot: Lot) -> list[Fact]:
    return [
        Fact("field_debtor", "org", voucher.debtor),
        Fact("lot_amount", "money", lot.end - lot.start),
        Fact("field_maturity", "day", voucher.maturity),
        Fact("field_holder", "org", lot.holder),
    ]


def lot_draft(
    case: Case,
    voucher: Voucher,
    lot: Lot,
    command: Wire,
    *,
    amount: int,
    with_whom: bytes,
    more: Sequence[Fact] = (),
) -> Draft:
    notes = case.notes([*more, *lot_facts(voucher, lot)], voucher.currency)
    return Draft(voucher.currency, amount, with_whom, [command], notes)


async def _transfer_form(case: Case) -> Form:
    _, voucher, lot = await case.lot()
    fields = [
        field
        for number in range(1, PIECES_MAX + 1)
        for field in (
            Field(f"receiver_{number}", "organisation", optional=number > 1),
            Field(f"amount_{number}", "amount", optional=number > 1),
        )
    ]
    return Form(fields, lot_facts(voucher, lot), currency=voucher.currency)


async def _transfer(case: Case) -> Draft:
    id, voucher, lot = await case.lot()
    pieces: list[Piece] = []
    for number in range(1, PIECES_MAX + 1):
        receiver, amount = f"receiver_{number}", f"amount_{number}"
        if case.entered.get(receiver) or case.entered.get(amount) or number == 1:
            units = case.entered.amount(amount, voucher.currency)
            pieces.append(Piece(case.entered.organisation(receiver), units, None))
    total, receivers = sum(piece.amount for piece in pieces), {piece.receiver for piece in pieces}
    if total > lot.end - lot.start:
        raise FieldError("FIELD_SUM", "amount_1")
    command = LotTransfer(case.label, id, lot.start, tuple(pieces))
    with_whom = pieces[0].receiver if len(receivers) == 1 else b""
    return lot_draft(case, voucher, lot, command, amount=total, with_whom=with_whom)


async def _answer_form(case: Case) -> Form:
    _, voucher, lot = await case.lot()
    return Form((), lot_facts(voucher, lot), currency=voucher.currency)


async def _accept(case: Case) -> Draft:
    id, voucher, lot = await case.lot()
    return _answer(case, voucher, lot, LotAccept(case.label, id, lot.start))


async def _decline(case: Case) -> Draft:
    id, voucher, lot = await case.lot()
    return _answer(case, voucher, lot, LotDecline(case.label, id, lot.start))


def _answer(case: Case, voucher: Voucher, lot: Lot, command: Wire) -> Draft:
    return lot_draft(case, voucher, lot, command, amount=lot.end - lot.start, with_whom=lot.holder)


ACTIONS: Final = (
    Action("transfer", "lot.transfer", ("voucher", "start"), _transfer_form, _transfer),
    Action("accept", "lot.accept", ("voucher", "start"), _answer_form, _accept),
    Action("decline", "lot.decline", ("voucher", "start"), _answer_form, _decline),
)
