"""The naive model's picture of the money against a node's state, fen by fen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from node.state import CommittedState, Overlay
from node.state.tables import record_key
from tallynet.hashing import record_id
from tallynet.records import (
    CreditLine,
    DebtorTotals,
    Document,
    FundPool,
    Instruction,
    Kind,
    Lot,
    LotState,
    Margin,
    Voucher,
    Waiver,
    WarehouseReceipt,
    lot_id,
)
from tools.money_limits import Fund, Line
from tools.money_model import STATE_NAMES, Goods, Model, Paper, Part

_Range = tuple[int, int, bytes, str]
"""Start, end, holder, state."""


def money_differences(model: Model, state: CommittedState) -> Iterator[str]:
    """A sentence for everything in which the state is not what the model has: who holds what of every
    voucher, what of every document is used, what of every line and pool is reserved and used, what every waiver has
    waived, whose goods are stored and pledged, what is short of them."""
    for voucher_id, paper in sorted(model.papers.items()):
        yield from _voucher(state, voucher_id, paper)
    for document_id, (total, occupied) in sorted(model.documents.items()):
        document = state.record(bytes((Kind.DOCUMENT,)) + document_id)
        if not isinstance(document, Document) or (document.total, document.occupied) != (
            total,
            occupied,
        ):
            yield f"document {document_id.hex()}: model has {occupied} of {total}"
    for waiver_id, used in sorted(model.waiver_used.items()):
        waiver = state.record(bytes((Kind.WAIVER,)) + waiver_id)
        if not isinstance(waiver, Waiver) or waiver.used != used:
            yield f"waiver {waiver_id.hex()}: model has {used} used"
    for pool_id, fund in sorted(model.funds.items()):
        yield from _pool(state, pool_id, fund)
    for line_id, line in sorted(model.lines.items()):
        yield from _line(state, line_id, line)
    for receipt_id, goods in sorted(model.goods.items()):
        yield from _goods(state, receipt_id, goods)
    for loan in sorted(model.order_of_loan.values()):
        yield from _short(state, loan, model)
    for (debtor, currency), owed in sorted(model.owed().items()):
        id = record_id(Kind.DEBTOR_TOTALS, debtor, currency.encode())
        totals = state.record(record_key(Kind.DEBTOR_TOTALS, id))
        known = (totals.count, totals.sum) if isinstance(totals, DebtorTotals) else (0, 0)
        if known != owed:
            yield f"debtor {debtor.hex()}: model has {owed} owed, state {known}"


def _goods(state: CommittedState, receipt_id: bytes, goods: Goods) -> Iterator[str]:
    receipt = state.record(record_key(Kind.WAREHOUSE_RECEIPT, receipt_id))
    if not isinstance(receipt, WarehouseReceipt) or (
        receipt.owner,
        receipt.stored,
        receipt.pledged,
    ) != (goods.owner, goods.stored, goods.pledged):
        yield f"receipt {receipt_id.hex()}: model has {goods}"


def _short(state: CommittedState, loan: bytes, model: Model) -> Iterator[str]:
    """What the borrower of a prepayment has to make up, or its maker to pay."""
    record = state.record(record_key(Kind.MARGIN, record_id(Kind.MARGIN, loan, b"")))
    margin = None
    if isinstance(record, Margin):
        margin = (record.since, record.deadline, record.shortfall)
    short = model.shorts.get(loan)
    known = None if short is None else (short.since, short.deadline, short.amount)
    if margin != known:
        yield f"loan {loan.hex()}: short of {margin}, the model has {known}"
    order_id = record_id(Kind.INSTRUCTION, loan, b"buyback")
    order = state.record(record_key(Kind.INSTRUCTION, order_id))
    amount = order.amount if isinstance(order, Instruction) else None
    if amount != model.buybacks.get(loan):
        yield f"loan {loan.hex()}: {amount} to buy back, the model has {model.buybacks.get(loan)}"


def _pool(state: CommittedState, pool_id: bytes, fund: Fund) -> Iterator[str]:
    pool = state.record(bytes((Kind.FUND_POOL,)) + pool_id)
    known = (fund.committed, fund.reserved, fund.drawn)
    if not isinstance(pool, FundPool) or (pool.committed, pool.reserved, pool.drawn) != known:
        yield f"pool {pool_id.hex()}: model has {known}"


def _line(state: CommittedState, line_id: bytes, line: Line) -> Iterator[str]:
    record = state.record(bytes((Kind.CREDIT_LINE,)) + line_id)
    if not isinstance(record, CreditLine) or record.granted != line.granted:
        yield f"line {line_id.hex()}: not as granted"
    elif (record.sealed.sequence if record.sealed else 0) != line.sequence:
        yield f"line {line_id.hex()}: model has commitment {line.sequence}"
    elif (record.reserved, record.used) != (line.reserved, line.used):
        yield (
            f"line {line_id.hex()}: model {line.reserved}/{line.used},"
            f" state {record.reserved}/{record.used}"
        )


def _voucher(state: CommittedState, voucher_id: bytes, paper: Paper) -> Iterator[str]:
    name = voucher_id.hex()
    voucher = state.record(bytes((Kind.VOUCHER,)) + voucher_id)
    if not isinstance(voucher, Voucher):
        yield f"voucher {name} is not in the state"
        return
    starts, _ = state.lots(voucher_id)
    lots = [_lot(state, voucher_id, start) for start in starts]
    if _ranges_of([lot for lot in lots if lot is not None]) != _ranges_of_parts(paper.parts):
        yield f"voucher {name}: who holds what differs"
    numbers = (voucher.face, voucher.funds_in, voucher.paid, voucher.redeemed)
    if numbers != (paper.face, paper.funds, paper.paid, paper.total("REDEEMED")):
        yield f"voucher {name}: sums differ: state {numbers}"
    status = "PENDING" if voucher.status.name == "PENDING_CLAIM" else voucher.status.name
    if status != paper.status:
        yield f"voucher {name}: state says {status}, the model {paper.status}"


def _lot(state: CommittedState, voucher_id: bytes, start: int) -> Lot | None:
    lot = Overlay(state).get(Kind.LOT, lot_id(voucher_id, start))
    return lot if isinstance(lot, Lot) else None


def _ranges_of(lots: Sequence[Lot]) -> list[_Range]:
    return _merged([(x.start, x.end, _holder(x), STATE_NAMES[x.state]) for x in lots])


def _holder(lot: Lot) -> bytes:
    return b"" if lot.state in (LotState.REDEEMED, LotState.CANCELLED) else lot.holder


def _ranges_of_parts(parts: Sequence[Part]) -> list[_Range]:
    ended = ("REDEEMED", "CANCELLED")
    return _merged(
        [(p.start, p.end, b"" if p.state in ended else p.holder, p.state) for p in parts]
    )


def _merged(ranges: Sequence[_Range]) -> list[_Range]:
    """Neighbours of one holder and state as one range: how it is cut is not a question of money."""
    result: list[_Range] = []
    for start, end, holder, state in ranges:
        if result and (result[-1][1], *result[-1][2:]) == (start, holder, state):
            result[-1] = (result[-1][0], end, holder, state)
        else:
            result.append((start, end, holder, state))
    return result
