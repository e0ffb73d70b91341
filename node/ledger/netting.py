"""Netting: parties that owe each other on one day settle by exchange instead of by cash (voucher law §8.8).

A leg names what of a lot its debtor owes no more. Whoever gives up money in some legs is freed of as much
in others, so nobody is richer or poorer, no bank moves anything, and no fund pool or line is asked. Only
what the debtor has not funded can be netted: money that is with the clearing bank already goes on to the
holder as before.
"""

from __future__ import annotations

from itertools import pairwise

import msgspec

from node.ledger import lines
from node.ledger.context import Context, refuse, require_amount
from node.ledger.guarantees import call_id
from node.ledger.ranges import (
    carve,
    get_lot,
    put_joined,
    require_free,
    require_free_holder,
)
from node.ledger.redemption import instruction_id, redeem_face, shrink_instruction
from node.ledger.rulebook import Joint, Signers, rule
from node.ledger.settlement import PAYABLE
from node.ledger.vouchers import log, touch
from tallynet.commands import NetLeg, SettlementNet
from tallynet.records import (
    CommandClass,
    Instruction,
    InstructionState,
    Lot,
    LotState,
    Voucher,
)


def _net_parties(context: Context, command: SettlementNet) -> tuple[bytes, ...]:
    """Debtor and holder of every leg, as the business date has it: what a touched voucher's lot was until
    now says nothing of whose it is. Raises LedgerError SCHEMA_INVALID, RECORD_NOT_FOUND."""
    if any((a.voucher, a.start) >= (b.voucher, b.start) for a, b in pairwise(command.legs)):
        raise refuse(
            "SCHEMA_INVALID", "the legs must be sorted by voucher and start, each lot once"
        )
    parties: set[bytes] = set()
    for leg in command.legs:
        voucher = touch(context, leg.voucher)
        parties |= {voucher.debtor, get_lot(context, leg.voucher, leg.start).holder}
    return tuple(sorted(parties))


@rule(
    SettlementNet,
    CommandClass.SETTLEMENT,
    Signers.MC,
    joint=Joint.PARTIES,
    parties=_net_parties,
    amount=lambda command: sum(leg.amount for leg in command.legs),
    sentence="Settles what parties owe each other on one day by exchange instead of by cash.",
    errors=("NET_MISMATCH", "LOT_LOCKED", "LOT_ENCUMBERED", "LOT_DISPUTED", "SELF_DEALING"),
)
def net(context: Context, command: SettlementNet) -> None:
    """settlement.net (voucher law §8.8): all parties jointly; same day and currency, each party's sum
    unchanged, else NET_MISMATCH. The tail of each lot is REDEEMED, ISSUE and exposure lines are released,
    the settlement instruction shrinks or ends."""
    vouchers = [context.require(Voucher, leg.voucher) for leg in command.legs]
    lots = [get_lot(context, leg.voucher, leg.start) for leg in command.legs]
    for leg, voucher, lot in zip(command.legs, vouchers, lots, strict=True):
        if voucher.status not in PAYABLE:
            raise refuse("VOUCHER_STATE", f"voucher {leg.voucher.hex()} is {voucher.status.name}")
        _require_nettable(context, leg, voucher, lot)
    _require_one_day(vouchers)
    _require_equal_sums(command, vouchers, lots)
    for leg in command.legs:
        _redeem(context, leg)


def _require_nettable(context: Context, leg: NetLeg, voucher: Voucher, lot: Lot) -> None:
    """Nobody but the holder has a right in the lot, and nobody is paying it. Raises LedgerError
    LOT_ENCUMBERED, LOT_LOCKED, LOT_STATE, LOT_FROZEN, LOT_DISPUTED, SELF_DEALING, AMOUNT_RANGE."""
    if lot.state is LotState.PLEDGED:
        raise refuse("LOT_ENCUMBERED", "the lot is pledged; its lender is to be paid in money")
    require_free(lot)
    require_free_holder(context, lot.holder)
    if lot.holder == voucher.debtor:
        raise refuse("SELF_DEALING", "the debtor holds this lot itself")
    _require_no_payment(context, leg)
    require_amount(leg.amount)
    open_face = lot.end - lot.start - lot.covered
    if leg.amount > open_face:
        raise refuse("AMOUNT_RANGE", f"the debtor has left {open_face} of this lot unfunded")


def _require_no_payment(context: Context, leg: NetLeg) -> None:
    """Raises LedgerError LOT_LOCKED while the clearing bank or a guarantor's bank may be paying the lot."""
    order = context.find(Instruction, instruction_id(leg.voucher, leg.start))
    if order is not None and order.state is InstructionState.SENT:
        raise refuse(
            "LOT_LOCKED", "the clearing bank is paying this lot; it must say that it failed"
        )
    if context.find(Instruction, call_id(leg.voucher, leg.start)) is not None:
        raise refuse("LOT_LOCKED", "a guarantee is called for this lot; take the call back first")


def _require_one_day(vouchers: list[Voucher]) -> None:
    """Raises LedgerError NET_MISMATCH."""
    first = vouchers[0]
    if any(voucher.currency != first.currency for voucher in vouchers):
        raise refuse("NET_MISMATCH", "netting is for one currency")
    if any(voucher.maturity != first.maturity for voucher in vouchers):
        raise refuse("NET_MISMATCH", "netting is for what is due on one day")


def _require_equal_sums(command: SettlementNet, vouchers: list[Voucher], lots: list[Lot]) -> None:
    """What a party gives up as holder it is freed of as debtor. Raises LedgerError NET_MISMATCH."""
    balance: dict[bytes, int] = {}
    for leg, voucher, lot in zip(command.legs, vouchers, lots, strict=True):
        balance[lot.holder] = balance.get(lot.holder, 0) - leg.amount
        balance[voucher.debtor] = balance.get(voucher.debtor, 0) + leg.amount
    for party, change in sorted(balance.items()):
        if change:
            raise refuse("NET_MISMATCH", f"{party.hex()} would be {change} better off")


def _redeem(context: Context, leg: NetLeg) -> None:
    """The tail of the leg's lot -> REDEEMED; no money of the debtor's is used for it."""
    voucher = context.require(Voucher, leg.voucher)
    lot = get_lot(context, leg.voucher, leg.start)
    part = carve(context, leg.voucher, voucher, lot, leg.amount, exempt=True)
    event = voucher.event_count
    voucher = log(
        context, leg.voucher, voucher, "settlement.net", start=part.start, end=part.end,
        source=voucher.debtor, target=lot.holder, amount=leg.amount,
        reference=context.joint_body or b"",
    )  # fmt: skip
    part = lines.release_bought(context, voucher, part)
    redeemed = msgspec.structs.replace(part, state=LotState.REDEEMED, newest_event=event)
    put_joined(context, leg.voucher, redeemed)
    shrink_instruction(context, leg.voucher, leg.start, leg.amount)
    redeem_face(context, leg.voucher, voucher, leg.amount)
