"""Limits that only grantor and obligor know, and an auditor to whom one of them is opened (voucher law §16.7; I15).

The chain knows that the line is there, its dates, whether it is suspended, and a commitment to what is granted
and used. It counts nothing: who uses a sealed line is its grantor, with a new commitment in the envelope of
the act that makes the use. The numbers are in `tallynet.sealed_line`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from node.ledger.context import Context, refuse
from node.ledger.lines import put_new, require_in_force, require_own, require_parties
from node.ledger.rulebook import Signers, rule
from tallynet.commands import LineChangeSealed, LineGrantSealed, LineUseSealed
from tallynet.fields import AMOUNT_MAX
from tallynet.hashing import line_root
from tallynet.records import CommandClass, CreditLine, Kind, LineKind, LineStatus, SealedLine

SEALABLE: Final = frozenset({LineKind.DEBTOR_EXPOSURE, LineKind.BORROWER})
"""ISSUE lines and allocations are open: they protect everyone who takes a voucher."""


def _any_amount(_command: object) -> int:
    """What a policy looks at: an amount that it does not see may be any."""
    return AMOUNT_MAX


# --- what other families call -----------------------------------------------------------------------


def take_use(context: Context, id: bytes, use: bytes) -> bool:
    """Whether this is a sealed line, of which its grantor has just counted this use in; that use is taken.
    False for an open line, or none. Raises LedgerError LINE_SEALED, LINE_INACTIVE."""
    line = context.find(CreditLine, id)
    if line is None or line.sealed is None:
        return False
    require_in_force(context, id, line)
    if line.sealed.use != use:
        raise refuse("LINE_SEALED", "count the use in first: line.use.sealed in this envelope")
    taken = msgspec.structs.replace(line.sealed, use=None)
    context.put(id, msgspec.structs.replace(line, sealed=taken))
    return True


def require_still_sealed(context: Context, id: bytes) -> None:
    """What was counted in under a sealed line may still happen. Raises LedgerError LINE_INACTIVE."""
    line = context.require(CreditLine, id)
    if line.sealed is None:
        raise refuse("LINE_INACTIVE", "the sealed line that counted this in was replaced")
    require_in_force(context, id, line)


# --- commands ---------------------------------------------------------------------------------------


@rule(
    LineGrantSealed,
    CommandClass.LINE,
    Signers.MC,
    amount=_any_amount,
    sentence="Grants a credit line whose limit and use only grantor and obligor know.",
    errors=("LINE_KIND",),
)
def grant_sealed(context: Context, command: LineGrantSealed) -> None:
    """line.grant.sealed: one active line per kind, grantor, obligor, currency, open or sealed."""
    if command.kind not in SEALABLE:
        raise refuse("LINE_KIND", f"{command.kind.name} lines are open: they protect everyone")
    require_parties(context, command.kind, command.obligor, command.currency)
    _require_dates(command.valid_from, command.valid_to)
    line = CreditLine(
        command.kind, context.acting, command.obligor, command.currency, 0, 0, 0,
        command.valid_from, command.valid_to, LineStatus.ACTIVE, (),
        SealedLine(1, command.commitment, line_root(bytes(32), command.commitment, None), None),
    )  # fmt: skip
    id = put_new(context, line)
    context.emit(
        "line.grant.sealed", Kind.CREDIT_LINE, id, source=context.acting, target=command.obligor,
        reference=command.commitment,
    )  # fmt: skip


def _require_dates(valid_from: int, valid_to: int) -> None:
    if valid_from > valid_to:
        raise refuse("DATE_RANGE", "the line's last day lies before its first")


@rule(
    LineChangeSealed,
    CommandClass.LINE,
    Signers.MC,
    amount=_any_amount,
    sentence="Commits to another limit of a sealed line, or to use that has ended.",
)
def change_sealed(context: Context, command: LineChangeSealed) -> None:
    """line.change.sealed: what the line was used for and the protocol has ended by itself, at redemption or
    by a lapse, its grantor says here; also another limit and other dates."""
    line, sealed = _next(context, command)
    _require_dates(command.valid_from, command.valid_to)
    changed = msgspec.structs.replace(
        line, valid_from=command.valid_from, valid_to=command.valid_to, sealed=sealed
    )
    context.put(command.line, changed)
    context.emit(
        "line.change.sealed", Kind.CREDIT_LINE, command.line, target=line.obligor,
        reference=command.commitment,
    )  # fmt: skip


@rule(
    LineUseSealed,
    CommandClass.OFFER,
    Signers.MC,
    sentence="Counts in, as the grantor, a use of a sealed line that its next act makes.",
    errors=("LINE_INACTIVE",),
)
def use_sealed(context: Context, command: LineUseSealed) -> None:
    """line.use.sealed, class OFFER as the acts beside which it stands: those carry the amount for policies.
    A use that no act takes is replaced by the next commitment."""
    line, sealed = _next(context, command)
    require_in_force(context, command.line, line)
    context.put(command.line, msgspec.structs.replace(line, sealed=sealed))
    context.emit(
        "line.use.sealed", Kind.CREDIT_LINE, command.line, target=line.obligor,
        reference=command.commitment + command.use,
    )  # fmt: skip


def _next(
    context: Context, command: LineChangeSealed | LineUseSealed
) -> tuple[CreditLine, SealedLine]:
    """The acting grantor's line and its next commitment. Raises LedgerError NOT_AUTHORISED, STATE_CONFLICT,
    RECORD_NOT_FOUND."""
    line = require_own(context, command.line)
    if line.sealed is None:
        raise refuse("STATE_CONFLICT", "the line is open: its use is counted here")
    follows = line.sealed.sequence + 1
    if command.sequence != follows:
        raise refuse("STATE_CONFLICT", f"the next commitment of this line is number {follows}")
    use = command.use if isinstance(command, LineUseSealed) else None
    history = line_root(line.sealed.history, command.commitment, use)
    return line, SealedLine(follows, command.commitment, history, use)
