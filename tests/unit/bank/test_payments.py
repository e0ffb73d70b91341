"""What is due now: funded, not handed out before, and never twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallynet.records import Instruction, InstructionPurpose, InstructionState
from tools.bank.orders import Order
from tools.bank.payments import due_now
from tools.bank.record import Act, Line, PaymentRecord
from tools.bank.references import reference_of

BANK, OTHER, ID = b"b" * 16, b"o" * 16, b"i" * 16
FACE = 1000


def settlement(*, funded: int, paid: int) -> Order:
    """Of a lot of 1,000 fen; `funded` of what is left is with the clearing bank."""
    instruction = Instruction(
        OTHER, OTHER, None, FACE, paid, "CNY", 20_892, InstructionPurpose.SETTLEMENT, OTHER, 0, BANK,
        InstructionState.SENT, None,
    )  # fmt: skip
    rest = FACE - paid
    return Order(ID, instruction, None, None, OTHER, None, rest, min(rest, funded))


def record(*lines: Line) -> PaymentRecord:
    return PaymentRecord(Path("nowhere"), lines)


def line(act: Act, part: int, amount: int) -> Line:
    return Line(act, reference_of(ID, part), ID.hex(), amount, "CNY", "M-1")


WRITTEN = line(Act.WRITTEN, 1, 400)
REJECTED = line(Act.REJECTED, 1, 400)


@pytest.mark.parametrize(
    ("funded", "paid", "lines", "expected"),
    [
        (0, 0, (), None),
        (400, 0, (), (400, 1)),
        (400, 0, (WRITTEN,), None),
        (700, 0, (WRITTEN,), (300, 2)),
        (600, 400, (WRITTEN,), (600, 2)),
        (400, 0, (WRITTEN, REJECTED), (400, 2)),
        (0, 400, (WRITTEN,), None),
    ],
    ids=["unfunded", "first", "under way", "more came", "confirmed", "rejected", "waits"],
)
def test_a_settlement_is_paid_as_money_comes(
    funded: int, paid: int, lines: tuple[Line, ...], expected: tuple[int, int] | None
) -> None:
    due = due_now(record(*lines), settlement(funded=funded, paid=paid), again=False)
    assert (None if due is None else (due.amount, due.part)) == expected


def test_again_is_the_same_payment() -> None:
    due = due_now(record(WRITTEN), settlement(funded=400, paid=0), again=True)
    assert due is not None
    assert (due.amount, due.part) == (400, 1)


def test_again_is_nothing_new_once_it_is_confirmed() -> None:
    assert due_now(record(WRITTEN), settlement(funded=0, paid=400), again=True) is None
