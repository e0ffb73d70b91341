"""Daily reconciliation: what a debtor owed at the end of each day, for banks to compare (voucher law §8.10).

Totals are kept as they change, one record per debtor and currency, so that nobody ever adds up vouchers.
A day on which they changed is on the agenda of the next one, which anchors it. Whatever changes them
again, or attests, brings that about first (touch rule, §5): an anchor says what was owed at the end of
its day, however late the prologue comes to it. A day without change has no anchor: the one before
still holds.
"""

from __future__ import annotations

import msgspec

from node.ledger.context import Context, refuse
from node.ledger.organisations import has_kind, require_active
from node.ledger.own_indexes import day_bytes
from node.ledger.rulebook import Signers, rule
from node.ledger.schedule import HANDLERS, Act, put_day, take_off_day
from node.state.view import Index
from tallynet.commands import ReconciliationAttest
from tallynet.errors import invariant
from tallynet.fields import UINT_MAX
from tallynet.hashing import owed_root, record_id
from tallynet.records import (
    ANCHOR_ATTESTATIONS_MAX,
    AnchorAttestation,
    CommandClass,
    DebtorTotals,
    Kind,
    OrganisationKind,
    ReconciliationAnchor,
    Voucher,
)


def totals_id(debtor: bytes, currency: str) -> bytes:
    """Id of what a debtor owes in a currency."""
    return record_id(Kind.DEBTOR_TOTALS, debtor, currency.encode())


def anchor_id(debtor: bytes, currency: str, day: int) -> bytes:
    """Id of the anchor of a day."""
    return record_id(Kind.RECONCILIATION_ANCHOR, debtor, currency.encode() + day_bytes(day))


# --- totals -----------------------------------------------------------------------------------------


def open_face(voucher: Voucher) -> int:
    """What is left to pay of a claimed voucher."""
    return voucher.face - voucher.redeemed - voucher.cancelled


def count_owed(context: Context, voucher_id: bytes, voucher: Voucher, before: int) -> None:
    """What is left to pay of a voucher was `before` and has changed: by its claim, or because a part was
    redeemed or cancelled. Raises LedgerError AMOUNT_RANGE for a sum that no record can hold."""
    id = totals_id(voucher.debtor, voucher.currency)
    totals = _touched(context, id)
    if totals is None:
        totals = DebtorTotals(voucher.debtor, voucher.currency, 0, 0, bytes(32), 0, 0)
    if totals.changed < context.today:
        put_day(context, context.today + 1, Act.RECONCILE, id)
    owed = open_face(voucher)
    changed = msgspec.structs.replace(
        totals,
        count=totals.count + bool(owed) - bool(before),
        sum=totals.sum + owed - before,
        root=owed_root(totals.root, voucher_id, owed),
        changed=context.today,
    )
    invariant(
        changed.count >= 0 and changed.sum >= 0, "LEDGER_TOTALS a debtor owes less than nothing"
    )
    if changed.sum > UINT_MAX:
        raise refuse("AMOUNT_RANGE", f"the vouchers of a debtor sum to {UINT_MAX} at most")
    context.put(id, changed)


# --- system.reconciliation.anchor -------------------------------------------------------------------


def _touched(context: Context, id: bytes) -> DebtorTotals | None:
    """The totals, their last day anchored if it is over (touch rule)."""
    totals = context.find(DebtorTotals, id)
    if totals is None or totals.anchored == totals.changed or totals.changed >= context.today:
        return totals
    return _anchor(context, id, totals)


def _anchor(context: Context, id: bytes, totals: DebtorTotals) -> DebtorTotals:
    """system.reconciliation.anchor: count, sum and root of the day are kept for good (voucher law §8.10)."""
    day = totals.changed
    take_off_day(context, day + 1, Act.RECONCILE, id)
    anchor = anchor_id(totals.debtor, totals.currency, day)
    record = ReconciliationAnchor(
        totals.debtor, totals.currency, day, totals.count, totals.sum, totals.root, ()
    )
    context.put(anchor, record)
    context.state.index_add(Index.DEBTOR_ANCHORS, totals.debtor + day_bytes(day) + anchor)
    context.state.index_add(Index.DAY_ANCHORS, day_bytes(day) + anchor)
    context.emit(
        "system.reconciliation.anchor", Kind.RECONCILIATION_ANCHOR, anchor, source=totals.debtor,
        amount=totals.sum, reference=totals.root,
    )  # fmt: skip
    totals = msgspec.structs.replace(totals, anchored=day)
    context.put(id, totals)
    return totals


def _agenda(context: Context, id: bytes) -> None:
    """The prologue's handler: the touch rule does it."""
    _touched(context, id)


HANDLERS[Act.RECONCILE] = _agenda


# --- reconciliation.attest --------------------------------------------------------------------------


@rule(
    ReconciliationAttest,
    CommandClass.SETTLEMENT,
    Signers.MC,
    api=True,
    sentence="Says as a bank what its own books have for an anchored day of a debtor.",
    errors=("NOT_LICENSED", "BATCH_LIMIT"),
)
def attest(context: Context, command: ReconciliationAttest) -> None:
    """reconciliation.attest by a bank (voucher law §8.10). Other figures than the anchor's are recorded
    and raise an alarm; a bank that has found its mistake attests again. Receipt result: 1 if they
    differ."""
    if not has_kind(require_active(context, context.acting), OrganisationKind.BANK):
        raise refuse("NOT_LICENSED", "anchors are attested by banks")
    _touched(context, totals_id(command.debtor, command.currency))
    id = anchor_id(command.debtor, command.currency, command.day)
    anchor = context.find(ReconciliationAnchor, id)
    if anchor is None:
        raise refuse(
            "RECORD_NOT_FOUND", "no anchor of that day: it is not over, or nothing changed on it"
        )
    own = AnchorAttestation(context.acting, command.count, command.sum, context.today)
    others = [given for given in anchor.attestations if given.bank != context.acting]
    if len(others) >= ANCHOR_ATTESTATIONS_MAX:
        raise refuse("BATCH_LIMIT", f"{ANCHOR_ATTESTATIONS_MAX} banks have attested it already")
    attestations = tuple(sorted((*others, own), key=lambda given: given.bank))
    context.put(id, msgspec.structs.replace(anchor, attestations=attestations))
    differs = (command.count, command.sum) != (anchor.count, anchor.sum)
    context.emit(
        "reconciliation.alarm" if differs else "reconciliation.attest",
        Kind.RECONCILIATION_ANCHOR, id, source=context.acting, target=anchor.debtor,
        amount=command.sum,
    )  # fmt: skip
    context.result = (int(differs),)
