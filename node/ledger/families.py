"""All families of commands. Importing this module registers every rule in the rulebook."""

from __future__ import annotations

from types import ModuleType
from typing import Final

from node.ledger import (
    accounts,
    amendments,
    documents,
    financing,
    governance,
    joint,
    keys,
    legal,
    lines,
    loans,
    lots,
    offers,
    organisations,
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
    documents,
    vouchers,
    amendments,
    lots,
    offers,
    financing,
    loans,
    settlement,
    legal,
)
