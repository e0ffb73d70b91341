"""All families of commands. Importing this module registers every rule in the rulebook."""

from __future__ import annotations

from types import ModuleType
from typing import Final

from node.ledger import (
    accounts,
    document_access,
    documents,
    fees,
    financing,
    flow,
    governance,
    joint,
    keys,
    lines,
    loans,
    lots,
    offers,
    organisations,
    pools,
    programmes,
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
    fees,
    pools,
    documents,
    document_access,
    flow,
    vouchers,
    lots,
    offers,
    financing,
    loans,
    settlement,
)
