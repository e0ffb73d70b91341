"""Which command says that an instruction was paid, or failed; and who says it."""

from __future__ import annotations

import pytest

from node.ledger.rulebook import RULES
from tallynet.records import Instruction, InstructionPurpose, InstructionState
from tools.bank.orders import COLLECTED, Order

BANK, OTHER, ID, REFERENCE, RECEIPT = b"b" * 16, b"o" * 16, b"i" * 16, b"r" * 16, b"q" * 32
PURPOSE = {
    "PAYOUT": ("financing.payout.confirm", "financing.payout.fail"),
    "SETTLEMENT": ("settlement.paid", "settlement.failed"),
    "REPAYMENT": ("financing.repay.confirm", "instruction.fail"),
    "SURPLUS": ("instruction.confirm", "instruction.fail"),
    "PENALTY": ("instruction.confirm", "instruction.fail"),
    "FEE": ("instruction.confirm", "instruction.fail"),
    "GUARANTEE": ("guarantee.pay.confirm", "guarantee.release"),
    "REDISCOUNT": ("financing.rediscount.confirm", "financing.rediscount.cancel"),
    "REFUND": ("instruction.confirm", "instruction.fail"),
    "BUYBACK": ("warehouse.buyback.confirm", None),
}


def order(purpose: InstructionPurpose, voucher: bytes | None = b"v" * 16) -> Order:
    instruction = Instruction(
        OTHER, OTHER, None, 900, 0, "CNY", 20_892, purpose, REFERENCE, 7, BANK,
        InstructionState.NEW, None,
    )  # fmt: skip
    return Order(ID, instruction, None, None, voucher, None, 900, 900)


@pytest.mark.parametrize("purpose", InstructionPurpose, ids=lambda purpose: purpose.name)
def test_each_purpose_has_its_commands(purpose: InstructionPurpose) -> None:
    one = order(purpose)
    found = [one.confirmation(900, RECEIPT), one.failure()]
    names = [None if each is None else RULES[type(each)].name for each in found]
    assert tuple(names) == PURPOSE[purpose.name]
    assert found[0] is not None
    assert found[0].receipt_commitment == RECEIPT  # type: ignore[attr-defined]
    assert found[0].amount == 900  # type: ignore[attr-defined]


@pytest.mark.parametrize("purpose", InstructionPurpose, ids=lambda purpose: purpose.name)
def test_who_pays_and_who_says_so(purpose: InstructionPurpose) -> None:
    one = order(purpose)
    assert one.is_paid_by(BANK) == (purpose not in COLLECTED)
    assert one.is_confirmed_by(BANK) == (purpose is not InstructionPurpose.REDISCOUNT)
    assert one.is_confirmed_by(OTHER) == (purpose is InstructionPurpose.REDISCOUNT)
    assert one.comes_in(BANK) == (purpose in COLLECTED)
    assert one.comes_in(OTHER)


def test_a_call_whose_voucher_is_unknown_has_no_command() -> None:
    one = order(InstructionPurpose.GUARANTEE, None)
    assert one.confirmation(900, RECEIPT) is None
    assert one.failure() is None
