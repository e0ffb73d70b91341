"""Credit lines, enforced at issue and draw (voucher law §8.3, §15; I3, I4).

Reserve at issue or draw; use at claim or pay-out; release at redemption, repayment, failure, time-out.
A cut below use sets no trap: existing use stands, only new use stops (C12). Seasonal windows add to
`granted` inside their dates.
"""

from __future__ import annotations

import msgspec

from node.ledger.context import Context, refuse, require_amount
from node.ledger.organisations import has_kind, require_active
from node.ledger.programmes import require_currency
from node.ledger.rulebook import Signers, rule
from node.state.view import Index
from tallynet.commands import LineAllocate, LineChange, LineGrant, LineResume, LineSuspend
from tallynet.errors import invariant
from tallynet.fields import AMOUNT_MAX, UINT_MAX
from tallynet.hashing import record_id
from tallynet.records import (
    FLAG_COUNTED,
    Allocations,
    CommandClass,
    CreditLine,
    Financing,
    Kind,
    LineKind,
    LineStatus,
    Lot,
    OrganisationKind,
    SeasonalWindows,
    Voucher,
)


def line_id(kind: LineKind, grantor: bytes, obligor: bytes, currency: str) -> bytes:
    """Id of the one line of this kind between two parties in a currency (voucher law §6)."""
    parties = bytes((kind,)) + grantor + obligor + currency.encode()
    return record_id(Kind.CREDIT_LINE, b"", parties)


def limit(line: CreditLine, day: int) -> int:
    """What may be reserved and used on this day: granted, and the seasonal windows that hold it (§15)."""
    windows = (w.amount for w in line.seasonal if w.first_day <= day <= w.last_day)
    return line.granted + sum(windows)


# --- what other families call -----------------------------------------------------------------------


def require_room(context: Context, id: bytes, amount: int) -> CreditLine:
    """A line with room for `amount`. Raises LedgerError LINE_INACTIVE, LINE_EXCEEDED, LINE_SEALED,
    RECORD_NOT_FOUND."""
    line = context.require(CreditLine, id)
    require_in_force(context, id, line)
    if line.sealed is not None:
        raise refuse("LINE_SEALED", "only its grantor can use this line: ask it for a quote")
    most = limit(line, context.today)
    if line.reserved + line.used + amount > most:
        room = max(0, most - line.reserved - line.used)
        raise refuse("LINE_EXCEEDED", f"{amount} exceeds the line's free room of {room}")
    return line


def require_in_force(context: Context, id: bytes, line: CreditLine) -> None:
    """Raises LedgerError LINE_INACTIVE."""
    if line.status is not LineStatus.ACTIVE or not (
        line.valid_from <= context.today <= line.valid_to
    ):
        raise refuse("LINE_INACTIVE", f"line {id.hex()} is suspended or outside its dates")


def reserve(context: Context, id: bytes, amount: int) -> CreditLine:
    """Reserve room. Raises what `require_room` raises."""
    return _put(context, id, require_room(context, id, amount), amount, 0)


def use_reserved(context: Context, id: bytes, amount: int) -> None:
    """What was reserved is used from now on."""
    _put(context, id, context.require(CreditLine, id), -amount, amount)


def unreserve(context: Context, id: bytes, amount: int) -> None:
    """A reservation falls away."""
    _put(context, id, context.require(CreditLine, id), -amount, 0)


def release_used(context: Context, id: bytes, amount: int) -> None:
    """Use ends: face that is paid, cancelled or passed on, principal that is repaid."""
    _put(context, id, context.require(CreditLine, id), 0, -amount)


def count_bought(lot: Lot, deal: Financing) -> Lot:
    """A bought lot, marked if its buyer's DEBTOR_EXPOSURE counts it (an offer need not ask for that line)."""
    counted = LineKind.DEBTOR_EXPOSURE in deal.lines
    flags = lot.flags | FLAG_COUNTED if counted else lot.flags
    return msgspec.structs.replace(lot, flags=flags)


def release_bought(context: Context, voucher: Voucher, lot: Lot) -> Lot:
    """A lot that is paid, or leaves its holder: if the holder's DEBTOR_EXPOSURE counted it, it does no more.
    The caller writes the lot."""
    if not lot.flags & FLAG_COUNTED:
        return lot
    id = line_id(LineKind.DEBTOR_EXPOSURE, lot.holder, voucher.debtor, voucher.currency)
    release_used(context, id, lot.end - lot.start)
    return msgspec.structs.replace(lot, flags=lot.flags & ~FLAG_COUNTED)


def reserve_if_there(context: Context, id: bytes, amount: int) -> None:
    """`reserve`; without a line there is no room. Raises LINE_EXCEEDED, LINE_INACTIVE, LINE_SEALED."""
    if context.find(CreditLine, id) is None:
        raise refuse("LINE_EXCEEDED", "there is no line for this")
    reserve(context, id, amount)


def _put(context: Context, id: bytes, line: CreditLine, reserved: int, used: int) -> CreditLine:
    changed = msgspec.structs.replace(
        line, reserved=line.reserved + reserved, used=line.used + used
    )
    invariant(changed.reserved >= 0 and changed.used >= 0, "LEDGER_I3 a line went below zero")
    context.put(id, changed)
    return changed


# --- commands ---------------------------------------------------------------------------------------


@rule(
    LineGrant,
    CommandClass.LINE,
    Signers.MC,
    amount=lambda command: command.granted,
    sentence="Grants a credit line to an obligor.",
    errors=("LINE_KIND",),
)
def grant(context: Context, command: LineGrant) -> None:
    """line.grant (voucher law §8.3): one active line per kind, grantor, obligor, currency."""
    require_parties(context, command.kind, command.obligor, command.currency)
    _check_terms(command.granted, command.valid_from, command.valid_to)
    _check_seasonal(command.seasonal)
    line = CreditLine(
        command.kind, context.acting, command.obligor, command.currency, command.granted, 0, 0,
        command.valid_from, command.valid_to, LineStatus.ACTIVE, command.seasonal, None,
    )  # fmt: skip
    id = put_new(context, line)
    _sum_up(context, line, command.granted)
    context.emit(
        "line.grant", Kind.CREDIT_LINE, id, source=context.acting, target=command.obligor,
        amount=command.granted,
    )  # fmt: skip


def require_parties(context: Context, kind: LineKind, obligor_id: bytes, currency: str) -> None:
    """The acting organisation may grant such a line. Raises LedgerError NOT_LICENSED, SELF_DEALING,
    LINE_KIND, CURRENCY_MISMATCH, ORGANISATION_INACTIVE, RECORD_NOT_FOUND."""
    bank = require_active(context, context.acting)
    if not has_kind(bank, OrganisationKind.BANK, OrganisationKind.FACTOR):
        raise refuse("NOT_LICENSED", "lines are granted by banks and factors")
    obligor = require_active(context, obligor_id, receiving=True)
    if obligor_id == context.acting:
        raise refuse("SELF_DEALING", "a line on oneself")
    if kind is LineKind.ALLOCATION:
        raise refuse("LINE_KIND", "allocations are made by the core, with line.allocate")
    needs_core = kind in (LineKind.ISSUE, LineKind.DEBTOR_EXPOSURE)
    if needs_core and not has_kind(obligor, OrganisationKind.CORE):
        raise refuse("LINE_KIND", f"{kind.name} is a line on a core enterprise")
    require_currency(currency)


def put_new(context: Context, line: CreditLine) -> bytes:
    """Write a granted line, the only one of its kind between the two. An open one that is not in use gives
    way to a sealed one; a sealed one, whose use is not known here, to an open one once it is suspended.
    Raises LedgerError ID_IN_USE, STATE_CONFLICT."""
    id = line_id(line.kind, line.grantor, line.obligor, line.currency)
    old = context.find(CreditLine, id)
    if old is None:
        context.create(id, line)
        context.state.index_add(Index.ORGANISATION_LINES, line.grantor + id)
        context.state.index_add(Index.ORGANISATION_LINES, line.obligor + id)
        return id
    if (old.sealed is None) == (line.sealed is None):
        raise refuse("ID_IN_USE", "there is such a line between the two: change it")
    if old.sealed is None and old.reserved + old.used:
        raise refuse("STATE_CONFLICT", "the open line between the two is in use")
    if old.sealed is not None and old.status is LineStatus.ACTIVE:
        raise refuse("STATE_CONFLICT", "suspend the sealed line between the two first")
    context.put(id, line)
    return id


def _check_terms(granted: int, valid_from: int, valid_to: int) -> None:
    if granted:
        require_amount(granted, "granted")
    if granted > AMOUNT_MAX or valid_from > valid_to:
        raise refuse("DATE_RANGE", "the line's last day lies before its first")


def _check_seasonal(windows: SeasonalWindows) -> None:
    for window in windows:
        require_amount(window.amount, "seasonal amount")
        if window.first_day > window.last_day:
            raise refuse("DATE_RANGE", "a seasonal window ends before it begins")


def _sum_up(context: Context, line: CreditLine, change: int) -> None:
    """Keep the sum that allocations are measured by, so that they scan no lines."""
    if line.kind is LineKind.ISSUE:
        _sums(context, line.obligor, line.currency, issue_granted=change)


def _sums(
    context: Context, core: bytes, currency: str, *, issue_granted: int = 0, allocated: int = 0
) -> Allocations:
    id = record_id(Kind.ALLOCATIONS, core, currency.encode())
    old = context.find(Allocations, id) or Allocations(0, 0)
    new = Allocations(old.issue_granted + issue_granted, old.allocated + allocated)
    if new.issue_granted > UINT_MAX:
        raise refuse("AMOUNT_RANGE", f"the issue lines of one core sum to {UINT_MAX} at most")
    context.put(id, new)
    return new


def require_own(context: Context, id: bytes) -> CreditLine:
    """A line that the acting organisation granted. Raises LedgerError NOT_AUTHORISED, RECORD_NOT_FOUND."""
    line = context.require(CreditLine, id)
    if line.grantor != context.acting:
        raise refuse("NOT_AUTHORISED", "only the grantor can change a line")
    return line


@rule(
    LineChange,
    CommandClass.LINE,
    Signers.MC,
    amount=lambda command: command.granted,
    sentence="Changes a line's limit and dates, also below its use.",
    errors=("LINE_SEALED",),
)
def change(context: Context, command: LineChange) -> None:
    """line.change: any granted >= 0, also below use (voucher law §8.3; C12). The receipt's result
    is 1 when use now exceeds today's limit. A cut below what the core has allocated stops new allocations
    only."""
    line = require_own(context, command.line)
    if line.kind is LineKind.ALLOCATION:
        raise refuse("LINE_KIND", "an allocation is changed with line.allocate")
    if line.sealed is not None:
        raise refuse("LINE_SEALED", "a sealed line is changed with line.change.sealed")
    _check_terms(command.granted, command.valid_from, command.valid_to)
    _check_seasonal(command.seasonal)
    _sum_up(context, line, command.granted - line.granted)
    changed = msgspec.structs.replace(
        line,
        granted=command.granted,
        valid_from=command.valid_from,
        valid_to=command.valid_to,
        seasonal=command.seasonal,
    )
    context.put(command.line, changed)
    over = changed.reserved + changed.used > limit(changed, context.today)
    context.result = (int(over),)
    context.emit(
        "line.change", Kind.CREDIT_LINE, command.line, target=line.obligor, amount=command.granted
    )


@rule(LineSuspend, CommandClass.LINE, Signers.MC, sentence="Suspends a line: no new use.")
def suspend(context: Context, command: LineSuspend) -> None:
    """line.suspend (voucher law §8.3)."""
    _change_status(context, command.line, LineStatus.ACTIVE, LineStatus.SUSPENDED)
    context.emit("line.suspend", Kind.CREDIT_LINE, command.line)


@rule(LineResume, CommandClass.LINE, Signers.MC, sentence="Resumes a suspended line.")
def resume(context: Context, command: LineResume) -> None:
    """line.resume (voucher law §8.3)."""
    _change_status(context, command.line, LineStatus.SUSPENDED, LineStatus.ACTIVE)
    context.emit("line.resume", Kind.CREDIT_LINE, command.line)


def _change_status(context: Context, id: bytes, before: LineStatus, after: LineStatus) -> None:
    line = require_own(context, id)
    if line.status is not before:
        raise refuse("STATE_CONFLICT", f"the line is {line.status.name}")
    context.put(id, msgspec.structs.replace(line, status=after))


# --- allocations ------------------------------------------------------------------------------------


@rule(
    LineAllocate,
    CommandClass.LINE,
    Signers.MC,
    amount=lambda command: command.granted,
    sentence="Allocates part of a core's ISSUE lines to a supplier.",
    errors=("ALLOCATION_EXCEEDED",),
)
def allocate(context: Context, command: LineAllocate) -> None:
    """line.allocate (voucher law §8.3): the sum of allocations stays within the sum of the limits of the
    core's ISSUE lines, whatever their dates and without seasonal windows. Again for the same supplier
    changes its allocation; a smaller one is always possible.

    A supplier with an allocation finances no more face on this core than that. Face that was paid out stays
    used: the core allocates anew when it wants more.
    """
    core = require_active(context, context.acting)
    if not has_kind(core, OrganisationKind.CORE):
        raise refuse("NOT_AUTHORISED", "only a core allocates its lines")
    require_active(context, command.supplier, receiving=True)
    if command.supplier == context.acting:
        raise refuse("SELF_DEALING", "an allocation to oneself")
    require_currency(command.currency)
    _check_terms(command.granted, command.valid_from, command.valid_to)
    id = line_id(LineKind.ALLOCATION, context.acting, command.supplier, command.currency)
    line = context.find(CreditLine, id)
    more = command.granted - (line.granted if line is not None else 0)
    sums = _sums(context, context.acting, command.currency, allocated=more)
    if more > 0 and sums.allocated > sums.issue_granted:
        raise refuse(
            "ALLOCATION_EXCEEDED", f"{sums.allocated} of lines of {sums.issue_granted} in all"
        )
    if line is None:
        line = CreditLine(
            LineKind.ALLOCATION, context.acting, command.supplier, command.currency, 0, 0, 0,
            command.valid_from, command.valid_to, LineStatus.ACTIVE, (), None,
        )  # fmt: skip
        context.create(id, line)
        context.state.index_add(Index.ORGANISATION_LINES, context.acting + id)
        context.state.index_add(Index.ORGANISATION_LINES, command.supplier + id)
    changed = msgspec.structs.replace(
        line,
        granted=command.granted,
        valid_from=command.valid_from,
        valid_to=command.valid_to,
    )
    context.put(id, changed)
    context.emit(
        "line.allocate", Kind.CREDIT_LINE, id, source=context.acting, target=command.supplier,
        amount=command.granted,
    )  # fmt: skip


def allocation(context: Context, debtor: bytes, drawer: bytes, currency: str) -> bytes | None:
    """Id of the debtor's allocation to this drawer, or None."""
    id = line_id(LineKind.ALLOCATION, debtor, drawer, currency)
    return id if context.find(CreditLine, id) is not None else None
