"""All families of commands. Importing this module registers every rule in the rulebook."""

from __future__ import annotations

from types import ModuleType
from typing import Final

from node.ledger import (
    accounts,
    backstop,
    branches,
    distress,
    documents,
    financing,
    goods,
    governance,
    guarantees,
    joint,
    keys,
    lines,
    loans,
    lots,
    offers,
    organisations,
    plain_instructions,
    prepayment,
    programmes,
    recourse,
    recovery,
    rediscount,
    registration,
    requests,
    settlement,
    vouchers,
)

ALL: Final[tuple[ModuleType, ...]] = (
    governance,
    joint,
    distress,
    organisations,
    branches,
    keys,
    recovery,
    accounts,
    programmes,
    lines,
    documents,
    vouchers,
    lots,
    offers,
    requests,
    registration,
    financing,
    plain_instructions,
    loans,
    recourse,
    settlement,
    rediscount,
    backstop,
    guarantees,
    goods,
    prepayment,
)
