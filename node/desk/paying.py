"""What a bank confirms: that it has paid, and that money has come. Each with the number of its own receipt, which goes
on the chain as a commitment only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from node.desk.case import Action, Case, Draft, Fact, Field, Form
from node.web.shown import amount
from tallynet.codec import Wire
from tallynet.commands import (
    FundsReceived,
    InstructionConfirm,
    PayoutConfirm,
    RepayConfirm,
    SettlementPaid,
)
from tallynet.names import commitment
from tallynet.records import Instruction, Voucher

__all__ = ["ACTIONS"]

_PAID: Final = (Field("amount", "amount"), Field("receipt", "text"))
_FUNDS: Final = (
    Field("face_part", "amount"),
    Field("penalty_part", "amount", optional=True),
    Field("receipt", "text"),
)
Make = Callable[[bytes, bytes, int, bytes], Wire]


def _receipt(case: Case) -> bytes:
    return commitment("receipt", case.home, case.entered.text("receipt"))


def _notes(case: Case, currency: str, facts: Sequence[Fact]) -> list[tuple[str, str]]:
    receipt = ("enter_receipt", case.entered.text("receipt"))
    return [*case.notes(facts, currency), receipt]


# --- instructions ---------------------------------------------------------------------------------------


async def _pay_form(case: Case) -> Form:
    _, order = await case.instruction()
    default = {"amount": amount(order.amount - order.paid, order.currency)}
    return Form(_PAID, _order_facts(order), defaults=default, currency=order.currency)


def _order_facts(order: Instruction) -> list[Fact]:
    return [
        Fact("field_payer", "org", order.payer),
        Fact("field_payee", "org", order.payee),
        Fact("field_amount", "money", order.amount),
        Fact("field_paid", "money", order.paid),
        Fact("field_due", "day", order.due),
    ]


def _confirm(make: Make) -> Callable[[Case], Awaitable[Draft]]:
    async def build(case: Case) -> Draft:
        id, order = await case.instruction()
        units = case.entered.amount("amount", order.currency)
        command = make(case.label, id, units, _receipt(case))
        notes = _notes(case, order.currency, _order_facts(order))
        return Draft(order.currency, units, order.payee, [command], notes)

    return build


# --- the debtor's money ---------------------------------------------------------------------------------


async def _funds_form(case: Case) -> Form:
    _, voucher = await case.voucher()
    left = voucher.face - voucher.cancelled - voucher.funds_in
    default = {"face_part": amount(left, voucher.currency)}
    return Form(_FUNDS, _funds_facts(voucher), defaults=default, currency=voucher.currency)


def _funds_facts(voucher: Voucher) -> list[Fact]:
    return [
        Fact("field_debtor", "org", voucher.debtor),
        Fact("field_face", "money", voucher.face),
        Fact("funds_in", "money", voucher.funds_in),
        Fact("field_maturity", "day", voucher.maturity),
    ]


async def _funds(case: Case) -> Draft:
    id, voucher = await case.voucher()
    entered, currency = case.entered, voucher.currency
    penalty = entered.amount("penalty_part", currency) if entered.get("penalty_part") else 0
    face = entered.amount("face_part", currency)
    command = FundsReceived(case.label, id, face, penalty, _receipt(case))
    notes = _notes(case, currency, _funds_facts(voucher))
    return Draft(currency, face + penalty, voucher.debtor, [command], notes)


_ORDER: Final = ("instruction",)
ACTIONS: Final = (
    Action("payout", "financing.payout.confirm", _ORDER, _pay_form, _confirm(PayoutConfirm)),
    Action("funds", "settlement.funds_received", ("voucher",), _funds_form, _funds),
    Action("pay", "settlement.paid", _ORDER, _pay_form, _confirm(SettlementPaid)),
    Action("repaid", "financing.repay.confirm", _ORDER, _pay_form, _confirm(RepayConfirm)),
    Action("confirm", "instruction.confirm", _ORDER, _pay_form, _confirm(InstructionConfirm)),
)
