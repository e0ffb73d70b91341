"""Entries in the national registry of movable property, recorded as evidence (voucher law §8.7, §17)."""

from __future__ import annotations

import msgspec

from node.ledger.context import Context, refuse
from node.ledger.rulebook import Signers, rule
from tallynet.commands import RegistrationRecord
from tallynet.records import CommandClass, Financing, Kind, Registration


@rule(
    RegistrationRecord,
    CommandClass.DRAW,
    Signers.M,
    sentence="Records that a financing is entered in the national registry.",
)
def record(context: Context, command: RegistrationRecord) -> None:
    """financing.registration.record (voucher law §8.7): by the funder, for a draw or a loan that is still in
    the state. Evidence, not title: nothing follows from it but that the pay-out may go ahead. A newer
    record, of an extension for instance, takes the place of the older."""
    financing = context.require(Financing, command.financing)
    if financing.funder != context.acting:
        raise refuse("NOT_AUTHORISED", "only the funder records the registration")
    if not command.day <= context.today <= command.expiry:
        raise refuse("DATE_RANGE", "the entry is of a later day, or has expired")
    entry = Registration(command.number_commitment, command.day, command.expiry)
    context.put(command.financing, msgspec.structs.replace(financing, registration=entry))
    context.emit(
        "financing.registration.record", Kind.FINANCING, command.financing, source=context.acting,
        reference=command.number_commitment,
    )  # fmt: skip


def require_registration(context: Context, financing: Financing) -> None:
    """Raises LedgerError REGISTRATION_REQUIRED unless an entry that counts today has been recorded, where
    the funder's terms ask for one."""
    entry = financing.registration
    if financing.registration_required and (entry is None or entry.expiry < context.today):
        raise refuse("REGISTRATION_REQUIRED", "the funder has recorded no registration in force")
