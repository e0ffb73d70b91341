"""What waits for somebody of the organisation, as its copy has it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final
from urllib.parse import urlencode

from node.light.copy import Copy
from tallynet.records import (
    CreditLine,
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
    Voucher,
    VoucherStatus,
)

__all__ = ["Task", "may_issue", "tasks"]

TASKS_MAX: Final = 200
"""On one page; the rest shows when these are done."""
LOOKED_AT_MAX: Final = 2_000
"""Records of each kind, some 40 ms."""
_UNPAID: Final = (InstructionState.NEW, InstructionState.SENT, InstructionState.FAILED)
_LOANS: Final = (FinancingKind.LOAN_PLEDGE, FinancingKind.LOAN_RECOURSE)
_CONFIRM: Final = {
    InstructionPurpose.PAYOUT: "payout",
    InstructionPurpose.SETTLEMENT: "pay",
    InstructionPurpose.REPAYMENT: "repaid",
    InstructionPurpose.FEE: "confirm",
    InstructionPurpose.REFUND: "confirm",
    InstructionPurpose.SURPLUS: "confirm",
    InstructionPurpose.PENALTY: "confirm",
}
"""By what an instruction is for, what its bank says when it is done."""


@dataclass(frozen=True, slots=True)
class Task:
    actions: tuple[str, ...]
    """Names; any of them does it."""
    about: tuple[tuple[str, str], ...]
    """What their addresses say."""
    amount: int
    currency: str
    with_whom: bytes
    due: int
    """Day; 0: none."""

    @property
    def query(self) -> str:
        return urlencode(self.about)

    def subjects(self) -> list[str]:
        """As `Action.subject` says them."""
        return [":".join((name, *(value for _, value in self.about))) for name in self.actions]


def may_issue(copy: Copy) -> bool:
    """Whether somebody granted it a line for that."""
    return any(
        isinstance(kept.record, CreditLine)
        and kept.record.kind is LineKind.ISSUE
        and kept.record.obligor == copy.organisation
        for kept in copy.listed(Kind.CREDIT_LINE, limit=LOOKED_AT_MAX)
    )


def tasks(copy: Copy) -> list[Task]:
    """Most pressing sort first."""
    found = (_to_answer, _orders, _requests, _lots, _loans)
    return list(islice((task for each in found for task in each(copy)), TASKS_MAX))


def _to_answer(copy: Copy) -> Iterator[Task]:
    """Vouchers to claim, lots that were offered."""
    home = copy.organisation
    for kept in copy.listed(Kind.VOUCHER, limit=LOOKED_AT_MAX):
        voucher = kept.record
        if (
            isinstance(voucher, Voucher)
            and voucher.first_payee == home
            and voucher.status is VoucherStatus.PENDING_CLAIM
        ):
            about = (("voucher", kept.id.hex()),)
            yield Task(
                ("claim", "reject"), about, voucher.face, voucher.currency, voucher.debtor,
                voucher.claim_deadline,
            )  # fmt: skip
    for voucher_id, voucher, lot in _own_lots(copy):
        if lot.pending_to == home:
            yield _of_lot(("accept", "decline"), voucher_id, voucher, lot, lot.holder)


def _orders(copy: Copy) -> Iterator[Task]:
    """Payments that it executes as the bank; once for each voucher also the debtor's money."""
    funded: set[bytes] = set()
    for kept in copy.listed(Kind.INSTRUCTION, limit=LOOKED_AT_MAX):
        order = kept.record
        if not isinstance(order, Instruction) or order.bank != copy.organisation:
            continue
        if order.state not in _UNPAID or order.price_commitment is not None:
            continue
        if order.purpose is InstructionPurpose.SETTLEMENT and order.reference not in funded:
            funded.add(order.reference)
            yield from _funds(copy, order)
        name = _CONFIRM.get(order.purpose)
        if name is not None:
            about = (("instruction", kept.id.hex()),)
            left = order.amount - order.paid
            yield Task((name,), about, left, order.currency, order.payee, order.due)


def _funds(copy: Copy, order: Instruction) -> Iterator[Task]:
    kept = copy.get(Kind.VOUCHER, order.reference)
    voucher = kept.record if kept is not None else None
    if isinstance(voucher, Voucher):
        left = voucher.face - voucher.cancelled - voucher.funds_in
        if left <= 0:
            return
    else:
        left = order.amount - order.paid
    about = (("voucher", order.reference.hex()),)
    yield Task(("funds",), about, left, order.currency, order.payer, order.due)


def _requests(copy: Copy) -> Iterator[Task]:
    """To quote on, or with quotes to take."""
    home = copy.organisation
    for kept in copy.listed(Kind.FINANCING_REQUEST, limit=LOOKED_AT_MAX):
        asked = kept.record
        if not isinstance(asked, FinancingRequest):
            continue
        mine = asked.holder == home
        quoted = any(quote.funder == home for quote in asked.quotes)
        if (mine and asked.quotes) or (not mine and not quoted):
            about = (("request", kept.id.hex()),)
            yield Task(
                ("take",) if mine else ("quote",), about, asked.end - asked.start, asked.currency,
                asked.debtor if mine else asked.holder, asked.lapses,
            )  # fmt: skip


def _lots(copy: Copy) -> Iterator[Task]:
    """What it holds and can pass on or turn into cash."""
    for voucher_id, voucher, lot in _own_lots(copy):
        if (
            lot.holder == copy.organisation
            and lot.state is LotState.HELD
            and voucher.status is VoucherStatus.ACTIVE
        ):
            names = ("transfer", "draw", "request")
            yield _of_lot(names, voucher_id, voucher, lot, voucher.debtor)


def _loans(copy: Copy) -> Iterator[Task]:
    for kept in copy.listed(Kind.FINANCING, limit=LOOKED_AT_MAX):
        loan = kept.record
        if (
            isinstance(loan, Financing)
            and loan.kind in _LOANS
            and loan.obligor == copy.organisation
            and loan.state in (FinancingState.OUTSTANDING, FinancingState.OVERDUE)
            and loan.repaid + loan.repayment_pending < loan.principal
        ):
            about = (("financing", kept.id.hex()),)
            left = loan.principal - loan.repaid - loan.repayment_pending
            yield Task(("repay",), about, left, loan.currency, loan.funder, loan.end_day)


def _own_lots(copy: Copy) -> Iterator[tuple[bytes, Voucher, Lot]]:
    for kept in copy.listed(Kind.LOT, limit=LOOKED_AT_MAX):
        behind = copy.get(Kind.VOUCHER, kept.id[:16])
        if (
            behind is not None
            and isinstance(behind.record, Voucher)
            and isinstance(kept.record, Lot)
        ):
            yield behind.id, behind.record, kept.record


def _of_lot(
    names: tuple[str, ...], id: bytes, voucher: Voucher, lot: Lot, with_whom: bytes
) -> Task:
    about = (("voucher", id.hex()), ("start", str(lot.start)))
    return Task(names, about, lot.end - lot.start, voucher.currency, with_whom, voucher.maturity)
