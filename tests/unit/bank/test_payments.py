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
        (0, 0, (), []),
        (400, 0, (), [(400, 1)]),
        (400, 0, (WRITTEN,), []),
        (700, 0, (WRITTEN,), [(300, 2)]),
        (600, 400, (WRITTEN,), [(600, 2)]),
        (400, 0, (WRITTEN, REJECTED), [(400, 2)]),
        (0, 400, (WRITTEN,), []),
    ],
    ids=["unfunded", "first", "under way", "more came", "confirmed", "rejected", "waits"],
)
def test_a_settlement_is_paid_as_money_comes(
    funded: int, paid: int, lines: tuple[Line, ...], expected: list[tuple[int, int]]
) -> None:
    due = due_now(record(*lines), settlement(funded=funded, paid=paid), again=False)
    assert [(each.amount, each.part) for each in due] == expected


def test_again_is_the_same_payments_and_what_came_since() -> None:
    parts = [WRITTEN, line(Act.WRITTEN, 2, 250)]
    due = due_now(record(*parts), settlement(funded=700, paid=0), again=True)
    told = sorted((each.part, each.amount, each.before) for each in due)
    assert told == [(1, 400, 0), (2, 250, 400), (3, 50, 650)]


@pytest.mark.parametrize(
    "confirmed", [(), (line(Act.CONFIRMED, 2, 250),)], ids=["by hand", "from a file"]
)
def test_again_is_never_more_than_is_owed(confirmed: tuple[Line, ...]) -> None:
    parts = [WRITTEN, line(Act.WRITTEN, 2, 250), *confirmed]
    due = due_now(record(*parts), settlement(funded=400, paid=250), again=True)
    assert sum(each.amount for each in due) <= 400
    assert not confirmed or [each.part for each in due] == [1]


def test_again_is_nothing_new_once_it_is_confirmed() -> None:
    assert due_now(record(WRITTEN), settlement(funded=0, paid=400), again=True) == []
