"""All families of commands. Importing this module registers every rule in the rulebook."""

from __future__ import annotations

from types import ModuleType
from typing import Final

from node.ledger import (
    accounts,
    backstop,
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
    prepayment,
    programmes,
    rediscount,
    settlement,
    vouchers,
)

ALL: Final[tuple[ModuleType, ...]] = (
    governance,
    joint,
    organisations,
    keys,
    accounts,
    programmes,
    lines,
    documents,
    vouchers,
    lots,
    offers,
    financing,
    loans,
    settlement,
    rediscount,
    backstop,
    guarantees,
    goods,
    prepayment,
)
