"""`tally organisation register|admit|policy`, `tally key add|rotate`, `tally wallet list`.

These make keys and wallets, so they are not in the command table. A wallet exists on disk before its
keys are on the network; when the network refuses, what was made for the act is removed again. When
the outcome is unknown it stays: the keys may be registered.
"""

from __future__ import annotations

from typing import Annotated, Final

from cyclopts import Parameter

from tallynet.records import Kind, OrganisationKind, Role, Size
from tools.arguments import UsageError

REGISTERED_KINDS: Final = (
    OrganisationKind.CORE,
    OrganisationKind.SUPPLIER,
    OrganisationKind.DISTRIBUTOR,
)
SignAs = Annotated[str, Parameter(name="--sign-as", help="PERSON:ROLE,... who signs")]
DryRun = Annotated[bool, Parameter(name="--dry-run", negative=(), help="ask, order nothing")]


def one_of(enumeration: type[Kind] | type[Size] | type[Role] | type[OrganisationKind], text: str):  # type: ignore[no-untyped-def]
    """An enum member by its name in lower case. Raises UsageError."""
    name = text.upper().replace("-", "_")
    if name not in enumeration.__members__:
        known = ", ".join(m.lower().replace("_", "-") for m in enumeration.__members__)
        raise UsageError("USAGE", f"{text!r} is not one of: {known}")
    return enumeration[name]
