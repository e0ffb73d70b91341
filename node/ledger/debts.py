"""What is owed on a loan: interest that accrues by the day, and principal (voucher law §11)."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from node.ledger.context import Context
from node.ledger.interest import bill, numerator
from tallynet.fields import from_wide, to_wide
from tallynet.records import Financing


@dataclass(frozen=True, slots=True)
class Debt:
    """What a borrower owes today."""

    interest: int
    principal: int

    @property
    def total(self) -> int:
        return self.interest + self.principal


def accrue(context: Context, financing: Financing) -> Financing:
    """Interest up to the business date: `acc += principal x rate x days`, billed half-up; the rest
    stays in the accrual, so bills never drift (§11)."""
    days = context.today - financing.accrued_to
    if days <= 0:
        return financing
    owed = financing.principal - financing.repaid
    accrued = from_wide(financing.accrual) + numerator(owed, financing.rate_ppm, days)
    interest, rest = bill(accrued, financing.basis)
    return msgspec.structs.replace(
        financing,
        accrued_to=context.today,
        accrual=to_wide(rest),
        interest_billed=financing.interest_billed + interest,
    )


def debt(financing: Financing) -> Debt:
    """Of an accrued financing."""
    return Debt(financing.interest_billed, financing.principal - financing.repaid)
