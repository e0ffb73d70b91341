"""Warehouse receipts: goods as a quantity range, pledged and released from the tail (voucher law §8.9)."""

from __future__ import annotations

import msgspec

from node.ledger.context import Context, refuse, require_amount
from node.ledger.drawing import lender
from node.ledger.interest import BPS
from node.ledger.margin import RECEIPTS_PER_LOAN_MAX, carried, pledged_for, review, unpledged
from node.ledger.organisations import has_kind, require_active
from node.ledger.programmes import require_currency
from node.ledger.rulebook import Signers, rule
from tallynet.commands import (
    WarehouseReceiptDeliver,
    WarehouseReceiptIssue,
    WarehouseReceiptPledge,
    WarehouseReceiptPrice,
    WarehouseReceiptRelease,
    WarehouseReceiptSplit,
    WarehouseReceiptTransfer,
)
from tallynet.hashing import record_id
from tallynet.records import (
    CommandClass,
    Financing,
    FinancingKind,
    FinancingState,
    Kind,
    OrganisationKind,
    ReceiptStatus,
    WarehouseReceipt,
)

LOANS = (FinancingKind.LOAN_PLEDGE, FinancingKind.LOAN_RECOURSE, FinancingKind.PREPAYMENT)
LIVE = (FinancingState.OUTSTANDING, FinancingState.OVERDUE)


def require_warehouse(context: Context, id: bytes) -> None:
    """Raises RECORD_NOT_FOUND, ORGANISATION_INACTIVE, NOT_LICENSED."""
    if not has_kind(require_active(context, id), OrganisationKind.WAREHOUSE):
        raise refuse("NOT_LICENSED", "goods are stored by a warehouse")


@rule(
    WarehouseReceiptIssue,
    CommandClass.GOODS,
    Signers.MC,
    sentence="Certifies, as the warehouse, goods that it stores for their owner.",
    errors=("NOT_LICENSED",),
)
def issue(context: Context, command: WarehouseReceiptIssue) -> None:
    """warehouse.receipt.issue by the warehouse (voucher law §8.9): range `[0, q)`, free."""
    require_warehouse(context, context.acting)
    require_active(context, command.owner, receiving=True)
    require_currency(command.currency)
    require_amount(command.quantity, "quantity")
    require_amount(command.unit_value, "unit value")
    id = record_id(Kind.WAREHOUSE_RECEIPT, context.acting, command.label)
    receipt = WarehouseReceipt(
        warehouse=context.acting,
        owner=command.owner,
        sku=command.sku,
        unit=command.unit,
        location=command.location,
        currency=command.currency,
        quantity=command.quantity,
        stored=command.quantity,
        pledged=0,
        pledge_quantity=0,
        pledgee=None,
        financing=None,
        unit_value=command.unit_value,
        price_day=context.today,
        advance_bps=0,
        shipped_for=None,
        status=ReceiptStatus.STORED,
    )
    context.create(id, receipt)
    context.emit(
        "warehouse.receipt.issue", Kind.WAREHOUSE_RECEIPT, id, end=command.quantity,
        source=context.acting, target=command.owner,
    )  # fmt: skip


@rule(
    WarehouseReceiptPledge,
    CommandClass.GOODS,
    Signers.MC,
    sentence="Pledges all goods of a receipt that are stored to the lender of a loan.",
    errors=("RECEIPT_PLEDGED", "BATCH_LIMIT"),
)
def pledge(context: Context, command: WarehouseReceiptPledge) -> None:
    """warehouse.receipt.pledge by the owner (voucher law §8.9): for a loan of the owner that runs. The
    owner names the advance; the lender, who alone releases, need not take it as enough. Goods that make up what was
    short end a margin call."""
    receipt = context.require(WarehouseReceipt, command.receipt)
    loan = context.require(Financing, command.financing)
    if receipt.owner != context.acting or loan.obligor != context.acting:
        raise refuse("NOT_AUTHORISED", "the owner pledges its goods for its own loan")
    if receipt.pledged:
        raise refuse("RECEIPT_PLEDGED", "the goods are pledged already")
    if loan.kind not in LOANS or loan.state not in LIVE:
        raise refuse("STATE_CONFLICT", f"the financing is {loan.kind.name}, {loan.state.name}")
    if not receipt.stored:
        raise refuse("QUANTITY_EXCEEDED", "all goods were delivered")
    if loan.currency != receipt.currency:
        raise refuse("CURRENCY_MISMATCH", f"the loan is in {loan.currency}")
    if not 0 < command.advance_bps <= BPS:
        raise refuse("AMOUNT_RANGE", "the advance is 1 to 10,000 bps")
    if len(pledged_for(context, command.financing)) >= RECEIPTS_PER_LOAN_MAX:
        raise refuse("BATCH_LIMIT", f"{RECEIPTS_PER_LOAN_MAX} receipts secure the loan already")
    pledged = msgspec.structs.replace(
        receipt,
        pledged=receipt.stored,
        pledge_quantity=receipt.stored,
        pledgee=lender(loan),
        financing=command.financing,
        advance_bps=command.advance_bps,
    )
    context.put(command.receipt, pledged)
    context.emit(
        "warehouse.receipt.pledge", Kind.WAREHOUSE_RECEIPT, command.receipt, end=receipt.stored,
        source=context.acting, target=lender(loan), reference=command.financing,
    )  # fmt: skip
    review(context, command.financing, loan)


@rule(
    WarehouseReceiptDeliver,
    CommandClass.GOODS,
    Signers.MC,
    sentence="Hands goods that are not pledged out to their owner.",
    errors=("RECEIPT_PLEDGED", "QUANTITY_EXCEEDED"),
)
def deliver(context: Context, command: WarehouseReceiptDeliver) -> None:
    """warehouse.receipt.deliver by the warehouse (voucher law §8.9): unpledged only; the tail of the
    range ends."""
    receipt = context.require(WarehouseReceipt, command.receipt)
    if receipt.warehouse != context.acting:
        raise refuse("NOT_AUTHORISED", "the goods are in another warehouse")
    require_amount(command.quantity, "quantity")
    if command.quantity > receipt.stored:
        raise refuse("QUANTITY_EXCEEDED", f"{receipt.stored} {receipt.unit} are stored")
    if command.quantity > receipt.stored - receipt.pledged:
        raise refuse("RECEIPT_PLEDGED", f"{receipt.pledged} {receipt.unit} are pledged")
    stored = receipt.stored - command.quantity
    status = ReceiptStatus.STORED if stored else ReceiptStatus.DELIVERED
    context.put(command.receipt, msgspec.structs.replace(receipt, stored=stored, status=status))
    context.emit(
        "warehouse.receipt.deliver", Kind.WAREHOUSE_RECEIPT, command.receipt, start=stored,
        end=receipt.stored, source=context.acting, target=receipt.owner,
    )  # fmt: skip


@rule(
    WarehouseReceiptRelease,
    CommandClass.GOODS,
    Signers.MC,
    sentence="Frees pledged goods, as the lender, in step with repayment.",
    errors=("QUANTITY_EXCEEDED", "LOAN_TO_VALUE"),
)
def release(context: Context, command: WarehouseReceiptRelease) -> None:
    """warehouse.receipt.release by the bank (voucher law §8.9): cumulative release <=
    `floor(q x repaid / principal)` and remaining value x advance_bps >= outstanding x 10000 -> tail
    unpledged. q is what the pledge began with, remaining value that of all goods pledged for the loan,
    outstanding is principal; a loan that left the state is repaid in full."""
    receipt = context.require(WarehouseReceipt, command.receipt)
    if receipt.pledgee != context.acting or receipt.financing is None:
        raise refuse("NOT_AUTHORISED", "the goods are not pledged to this organisation")
    require_amount(command.quantity, "quantity")
    loan = context.find(Financing, receipt.financing)
    earned, outstanding = receipt.pledge_quantity, 0
    if loan is not None:
        earned = receipt.pledge_quantity * loan.repaid // loan.principal
        outstanding = loan.principal - loan.repaid
    left = receipt.pledged - command.quantity
    if receipt.pledge_quantity - left > earned:
        raise refuse("QUANTITY_EXCEEDED", f"{earned} of {receipt.pledge_quantity} are paid for")
    freed = msgspec.structs.replace(receipt, pledged=left)
    goods = pledged_for(context, receipt.financing) | {command.receipt: freed}
    if sum(map(carried, goods.values())) < outstanding * BPS:
        raise refuse("LOAN_TO_VALUE", "what would stay pledged is worth too little")
    if not left:
        freed = msgspec.structs.replace(freed, pledge_quantity=0, pledgee=None, financing=None)
    context.put(command.receipt, freed)
    context.emit(
        "warehouse.receipt.release", Kind.WAREHOUSE_RECEIPT, command.receipt, start=left,
        end=receipt.pledged, source=context.acting, target=receipt.owner,
        reference=receipt.financing,
    )  # fmt: skip


# --- price, split, transfer -------------------------------------------------------------------------


@rule(
    WarehouseReceiptPrice,
    CommandClass.GOODS,
    Signers.MC,
    sentence="States, as an oracle, what a unit of stored goods is worth today.",
    errors=("ORACLE_REQUIRED",),
)
def price(context: Context, command: WarehouseReceiptPrice) -> None:
    """warehouse.receipt.price by an oracle (voucher law §8.9): the new unit value, dated today. Goods of a
    prepayment loan that carry it no more, or again, are noted (`node.ledger.margin`)."""
    if not has_kind(require_active(context, context.acting), OrganisationKind.ORACLE):
        raise refuse("ORACLE_REQUIRED", "prices are stated by oracles")
    receipt = context.require(WarehouseReceipt, command.receipt)
    require_amount(command.unit_value, "unit value")
    priced = msgspec.structs.replace(
        receipt, unit_value=command.unit_value, price_day=context.today
    )
    context.put(command.receipt, priced)
    context.emit(
        "warehouse.receipt.price", Kind.WAREHOUSE_RECEIPT, command.receipt, source=context.acting,
        target=receipt.owner, amount=command.unit_value,
    )  # fmt: skip
    loan = None if receipt.financing is None else context.find(Financing, receipt.financing)
    if loan is not None and receipt.financing is not None:
        review(context, receipt.financing, loan)


def _own(context: Context, id: bytes) -> WarehouseReceipt:
    receipt = context.require(WarehouseReceipt, id)
    if receipt.owner != context.acting:
        raise refuse("NOT_AUTHORISED", "only the owner of the goods decides this")
    return receipt


@rule(
    WarehouseReceiptSplit,
    CommandClass.GOODS,
    Signers.MC,
    sentence="Cuts goods that are not pledged off into a receipt of their own.",
    errors=("RECEIPT_PLEDGED", "QUANTITY_EXCEEDED"),
)
def split(context: Context, command: WarehouseReceiptSplit) -> None:
    """warehouse.receipt.split by the owner (voucher law §8.9): as lots, the last units of the free part
    become a range of their own; the rest keeps its id."""
    receipt = _own(context, command.receipt)
    require_amount(command.quantity, "quantity")
    if command.quantity > receipt.stored:
        raise refuse("QUANTITY_EXCEEDED", f"{receipt.stored} {receipt.unit} are stored")
    if command.quantity > receipt.stored - receipt.pledged:
        raise refuse("RECEIPT_PLEDGED", f"{receipt.pledged} {receipt.unit} are pledged")
    if command.quantity == receipt.stored:
        raise refuse("STATE_CONFLICT", "all that is stored is a receipt of its own already")
    id = record_id(Kind.WAREHOUSE_RECEIPT, context.acting, command.label)
    tail = msgspec.structs.replace(
        unpledged(receipt), quantity=command.quantity, stored=command.quantity
    )
    context.create(id, tail)
    rest = msgspec.structs.replace(
        receipt,
        quantity=receipt.quantity - command.quantity,
        stored=receipt.stored - command.quantity,
    )
    context.put(command.receipt, rest)
    context.emit(
        "warehouse.receipt.split", Kind.WAREHOUSE_RECEIPT, command.receipt, start=rest.stored,
        end=receipt.stored, source=context.acting, reference=id,
    )  # fmt: skip


@rule(
    WarehouseReceiptTransfer,
    CommandClass.GOODS,
    Signers.MC,
    sentence="Passes goods that are not pledged on to a new owner.",
    errors=("RECEIPT_PLEDGED",),
)
def transfer(context: Context, command: WarehouseReceiptTransfer) -> None:
    """warehouse.receipt.transfer by the owner (voucher law §8.9): the whole receipt; split it to pass on
    a part."""
    receipt = _own(context, command.receipt)
    require_active(context, command.receiver, receiving=True)
    if command.receiver == context.acting:
        raise refuse("RECEIVER_NOT_ELIGIBLE", "not to oneself")
    if receipt.pledged:
        raise refuse("RECEIPT_PLEDGED", f"{receipt.pledged} {receipt.unit} are pledged")
    if not receipt.stored:
        raise refuse("QUANTITY_EXCEEDED", "all goods were delivered")
    context.put(command.receipt, msgspec.structs.replace(receipt, owner=command.receiver))
    context.emit(
        "warehouse.receipt.transfer", Kind.WAREHOUSE_RECEIPT, command.receipt, end=receipt.stored,
        source=context.acting, target=command.receiver,
    )  # fmt: skip
