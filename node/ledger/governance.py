"""Governance: acts of the bank quorum (voucher law §8.1)."""

from __future__ import annotations

from bisect import insort

import msgspec

from node.ledger import parameters
from node.ledger.calendar import CALENDAR_ID
from node.ledger.context import Context, refuse
from node.ledger.keys import register_keys
from node.ledger.organisations import INSTITUTIONS, KYC_ENHANCED, register
from node.ledger.rulebook import Joint, Signers, rule
from tallynet.commands import CalendarSet, OrganisationAdmit, ParameterSet
from tallynet.hashing import record_id
from tallynet.records import (
    BranchStatus,
    Calendar,
    CommandClass,
    Kind,
    Organisation,
    OrganisationStatus,
    Parameter,
    ParameterValue,
    Size,
)

CALENDAR_ENTRIES_MAX = 2_000
"""Holidays of some forty years; one record holds them all."""
PARAMETER_VALUES_MAX = 200
"""Dated values of one parameter."""


@rule(
    ParameterSet,
    CommandClass.GOVERNANCE,
    Signers.MC,
    joint=Joint.BANK_QUORUM,
    sentence="Appends a dated value to a network parameter.",
    errors=("PARAMETER_UNKNOWN", "PARAMETER_BOUNDS", "PARAMETER_DATE"),
)
def parameter_set(context: Context, command: ParameterSet) -> None:
    """governance.parameter.set: effective day > business date, value in bounds."""
    parameters.check(command.name, command.value)
    id = parameters.parameter_id(command.name)
    record = context.find(Parameter, id) or Parameter(command.name, ())
    last = record.values[-1].effective_day if record.values else 0
    if command.effective_day <= context.today or command.effective_day < last:
        raise refuse("PARAMETER_DATE", "the effective day must lie after today and the last value")
    if len(record.values) >= PARAMETER_VALUES_MAX:
        raise refuse("BATCH_LIMIT", f"a parameter holds {PARAMETER_VALUES_MAX} dated values")
    value = ParameterValue(command.effective_day, command.value)
    context.put(id, msgspec.structs.replace(record, values=(*record.values, value)))
    context.emit("governance.parameter.set", Kind.PARAMETER, id, amount=command.value)


@rule(
    CalendarSet,
    CommandClass.GOVERNANCE,
    Signers.MC,
    joint=Joint.BANK_QUORUM,
    sentence="Declares future days to be working days or holidays.",
    errors=("CALENDAR_PAST_DAY",),
)
def calendar_set(context: Context, command: CalendarSet) -> None:
    """governance.calendar.set: future days only."""
    if any(entry.day <= context.today for entry in command.entries):
        raise refuse("CALENDAR_PAST_DAY", "only days after the business date can be set")
    calendar = context.find(Calendar, CALENDAR_ID)
    new = {entry.day: entry for entry in command.entries}
    entries = [e for e in (calendar.entries if calendar else ()) if e.day not in new]
    for day in sorted(new):
        insort(entries, new[day], key=lambda entry: entry.day)
    if len(entries) > CALENDAR_ENTRIES_MAX:
        raise refuse("BATCH_LIMIT", f"the calendar holds {CALENDAR_ENTRIES_MAX} entries")
    context.put(CALENDAR_ID, Calendar(tuple(entries)))
    context.emit("governance.calendar.set", Kind.CALENDAR, CALENDAR_ID, amount=len(new))


@rule(
    OrganisationAdmit,
    CommandClass.GOVERNANCE,
    Signers.MC,
    joint=Joint.BANK_QUORUM,
    sentence="Admits an institution with its first keys.",
    errors=("ORGANISATION_DUPLICATE", "KEY_WEAK"),
)
def organisation_admit(context: Context, command: OrganisationAdmit) -> None:
    """governance.organisation.admit: institution kinds only."""
    if not command.kinds or any(kind not in INSTITUTIONS for kind in command.kinds):
        raise refuse("NOT_AUTHORISED", "only institutions are admitted by the banks")
    id = record_id(Kind.ORGANISATION, context.joint_body or b"", b"")
    organisation = Organisation(
        tuple(sorted(set(command.kinds))), OrganisationStatus.ACTIVE, KYC_ENHANCED, Size.LARGE,
        None, command.industry, command.region, command.name_commitment,
        command.tax_id_commitment, command.uniqueness_tag, False, False, 0, None, BranchStatus.OPEN, False, 0,
    )  # fmt: skip
    register(context, id, organisation)
    register_keys(context, id, command.keys)
    context.emit("governance.organisation.admit", Kind.ORGANISATION, id, target=id)
