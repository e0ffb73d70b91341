"""A loan that goes wrong: recourse, enforcement, write-off (voucher law §8.7, §9).

None of them ends the debt: repayments, and what the range brings at settlement, go through the lender's
waterfall as before, and what is left over is the borrower's.
"""

from __future__ import annotations

from typing import Final

import msgspec

from node.ledger import lines
from node.ledger.context import Context, refuse
from node.ledger.debts import accrue, debt
from node.ledger.drawing import lender
from node.ledger.loans import announce
from node.ledger.margin import review
from node.ledger.ranges import lots_of, put_lot, require_unheld
from node.ledger.redemption import LATE
from node.ledger.rulebook import Signers, rule
from node.ledger.schedule import Act, take_off_day
from node.ledger.vouchers import log, touch
from tallynet.commands import (
    FinancingEnforce,
    FinancingWriteOff,
    RecourseClaim,
    RecourseRepurchase,
)
from tallynet.records import (
    CommandClass,
    Financing,
    FinancingKind,
    FinancingState,
    Kind,
    LotState,
    Voucher,
)

_RUNNING: Final = (FinancingState.OUTSTANDING, FinancingState.OVERDUE)
_UNPAID: Final = (*_RUNNING, FinancingState.RECOURSE)


def _lent(context: Context, id: bytes, *states: FinancingState) -> Financing:
    """A loan of the acting lender in one of these states. Raises NOT_AUTHORISED, STATE_CONFLICT."""
    financing = context.require(Financing, id)
    if lender(financing) != context.acting:
        raise refuse("NOT_AUTHORISED", "only the lender can do this")
    if financing.state not in states:
        raise refuse("STATE_CONFLICT", f"the financing is {financing.state.name}")
    return financing


def _move(
    context: Context,
    id: bytes,
    financing: Financing,
    voucher: Voucher,
    state: FinancingState,
    event_type: str,
) -> Voucher:
    """Give the loan its new state and log it on the voucher; the caller writes the voucher returned."""
    take_off_day(context, voucher.grace_end + 1, Act.LOAN_OVERDUE, id)
    context.put(id, msgspec.structs.replace(financing, state=state))
    owed = debt(accrue(context, financing))
    return log(
        context, financing.voucher, voucher, event_type, start=financing.start, end=financing.end,
        source=financing.obligor, target=lender(financing), amount=owed.total, reference=id,
    )  # fmt: skip


# --- recourse -----------------------------------------------------------------------------------------


@rule(
    RecourseClaim,
    CommandClass.OFFER,
    Signers.MC,
    sentence="Claims a financed range back from the borrower of a recourse loan.",
    errors=("NO_RECOURSE",),
)
def claim(context: Context, command: RecourseClaim) -> None:
    """financing.recourse.claim (voucher law §8.7): a recourse loan whose voucher is OVERDUE, or after an
    event that the contract names and the lender proves elsewhere: here it only commits to the proof. The
    borrower then owes all at once. Sales and pledge loans carry no recourse. Receipt result: interest and
    principal owed."""
    financing = context.require(Financing, command.financing)
    if financing.kind is not FinancingKind.LOAN_RECOURSE:
        raise refuse("NO_RECOURSE", f"a {financing.kind.name} carries no recourse")
    financing = _lent(context, command.financing, *_RUNNING)
    voucher = touch(context, financing.voucher)
    if voucher.status not in LATE and command.contract_event is None:
        raise refuse("NO_RECOURSE", f"the voucher is {voucher.status.name}")
    owed = debt(accrue(context, financing))
    voucher = _move(
        context, command.financing, financing, voucher, FinancingState.RECOURSE,
        "financing.recourse.claim",
    )  # fmt: skip
    context.put(financing.voucher, voucher)
    context.result = (owed.interest, owed.principal)


@rule(
    RecourseRepurchase,
    CommandClass.REPAYMENT,
    Signers.MC,
    sentence="Announces as the borrower that it pays for a range that was claimed back.",
    errors=("NO_RECOURSE",),
)
def repurchase(context: Context, command: RecourseRepurchase) -> None:
    """financing.recourse.repurchase (voucher law §8.7): one repayment of all that is owed and not announced
    yet. `financing.repay.confirm` is the bank's receipt: then the range is HELD by the borrower without
    lien. Interest of the days in between stays owed. Receipt result: interest and principal owed."""
    financing = context.require(Financing, command.financing)
    if financing.obligor != context.acting:
        raise refuse("NOT_AUTHORISED", "only the borrower repurchases")
    if financing.state is not FinancingState.RECOURSE:
        raise refuse("NO_RECOURSE", "the lender has claimed nothing back")
    financing = accrue(context, financing)
    left = debt(financing).total - financing.repayment_pending
    if left == 0:
        raise refuse("STATE_CONFLICT", "all that is owed has been announced")
    announce(
        context, command.label, command.financing, financing, left, "financing.recourse.repurchase"
    )


# --- enforcement and write-off ------------------------------------------------------------------------


def _unpaid(context: Context, id: bytes, *states: FinancingState) -> tuple[Financing, Voucher]:
    """A loan against a voucher, unpaid after its end day and grace. Raises STATE_CONFLICT."""
    financing = _lent(context, id, *states)
    voucher = touch(context, financing.voucher)
    if context.today <= voucher.grace_end:
        raise refuse("STATE_CONFLICT", f"the loan runs with its grace to day {voucher.grace_end}")
    return financing, voucher


def _is_prepayment(context: Context, id: bytes) -> bool:
    return context.require(Financing, id).kind is FinancingKind.PREPAYMENT


@rule(
    FinancingEnforce,
    CommandClass.OFFER,
    Signers.MC,
    sentence="Takes over the pledged range of a loan that was not repaid.",
)
def enforce(context: Context, command: FinancingEnforce) -> None:
    """financing.enforce (voucher law §8.7): the lot is HELD by the lender. The surplus is still owed (Civil
    Code 767): the lien stays until the debt is paid, so the lender collects at settlement but cannot
    pass the lot on, and interest runs. An unmet recourse claim does not bar it. What a court has given to
    somebody else stays there, and serves the loan at settlement all the same."""
    if _is_prepayment(context, command.financing):
        raise refuse("STATE_CONFLICT", "a prepayment is secured by goods, which its bank releases")
    financing, voucher = _unpaid(context, command.financing, *_UNPAID)
    lots = lots_of(context, command.financing, financing)
    if not lots:
        raise refuse("STATE_CONFLICT", "nothing is pledged any more")
    for lot in lots:
        require_unheld(context, lot)
        if lot.holder != financing.obligor:
            raise refuse("STATE_CONFLICT", "a court has given the range to another holder")
    event = voucher.event_count
    voucher = _move(
        context, command.financing, financing, voucher, FinancingState.ENFORCED,
        "financing.enforce",
    )  # fmt: skip
    context.put(financing.voucher, voucher)
    for lot in lots:
        lot = lines.release_bought(context, voucher, lot)
        taken = msgspec.structs.replace(
            lot, holder=lender(financing), state=LotState.HELD, newest_event=event
        )
        put_lot(context, financing.voucher, taken)


@rule(
    FinancingWriteOff,
    CommandClass.OFFER,
    Signers.MC,
    sentence="Marks an unpaid loan as a loss; it stays payable.",
)
def write_off(context: Context, command: FinancingWriteOff) -> None:
    """financing.write_off (voucher law §8.7): the lender's mark. Lien, waterfall and the use of its lines
    stay, as the money is still owed; late payment is always possible. A prepayment is unpaid after its
    own end day; its goods stay pledged."""
    if _is_prepayment(context, command.financing):
        _write_off_prepayment(context, command.financing)
        return
    states = (*_UNPAID, FinancingState.ENFORCED)
    financing, voucher = _unpaid(context, command.financing, *states)
    voucher = _move(
        context, command.financing, financing, voucher, FinancingState.WRITTEN_OFF,
        "financing.write_off",
    )  # fmt: skip
    context.put(financing.voucher, voucher)


def _write_off_prepayment(context: Context, id: bytes) -> None:
    financing = _lent(context, id, *_RUNNING)
    if context.today <= financing.end_day:
        raise refuse("STATE_CONFLICT", f"the loan runs to day {financing.end_day}")
    take_off_day(context, financing.end_day + 1, Act.LOAN_OVERDUE, id)
    financing = msgspec.structs.replace(financing, state=FinancingState.WRITTEN_OFF)
    context.put(id, financing)
    context.emit(
        "financing.write_off", Kind.FINANCING, id, source=financing.obligor,
        target=financing.funder, amount=debt(accrue(context, financing)).total,
    )  # fmt: skip
    review(context, id, financing)
