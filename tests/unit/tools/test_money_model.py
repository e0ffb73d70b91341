"""The independent money model follows the voucher law where the law makes exceptions."""

from __future__ import annotations

import pytest

from tallynet import commands as c
from tallynet import records as r
from tallynet.receipts import CommandReceipt, PrologueReceipt
from tools.money_model import Deal, Line, Model, Paper, Part

MATURITY = 20_878
ADA, BANK, PAPER, DEAL, PAYOUT, LINE, OFFER = (bytes((i,)) * 16 for i in range(1, 8))


def model_with_draw() -> Model:
    """A voucher of 100 fen that matures tomorrow; its holder has sold 40 fen, unpaid."""
    model = Model(MATURITY - 1)
    parts = [Part(0, 60, ADA, "HELD"), Part(60, 100, ADA, "FINANCING", lien=DEAL)]
    model.lines[LINE] = Line(100, used=100)
    model.papers[PAPER] = Paper(
        BANK, 100, MATURITY, MATURITY + 5, MATURITY - 9, LINE, (), r.AcceptMode.IMMEDIATE, 0, "CNY",
        "ACTIVE", parts,
    )  # fmt: skip
    key = (BANK, ADA, "CNY", 360)
    model.remainders[key] = 0
    model.deals[DEAL] = Deal(
        r.FinancingKind.SALE, BANK, ADA, PAPER, 60, 40, OFFER, 0, 0, key, 2**40, 40
    )
    model.offer_used[OFFER] = 40
    model.payouts[PAYOUT] = DEAL
    return model


@pytest.mark.parametrize(("sent", "state"), [(True, "FINANCING"), (False, "HELD")])
def test_a_draw_is_cancelled_at_maturity_unless_the_bank_has_sent_the_money(
    sent: bool, state: str
) -> None:
    """Voucher law §9: at DUE a pending *unsent* draw is cancelled. Found by simulating banks that send
    instructions long before they confirm them."""
    model = model_with_draw()
    if sent:
        nothing = CommandReceipt("OK", (), 0, ())
        model._apply(BANK, c.InstructionSend(b"send", PAYOUT), nothing)
    model.block(PrologueReceipt(1, MATURITY, 0, False, bytes(32)), (), (), ())
    parts = model.papers[PAPER].parts
    assert parts[-1].state == state
    assert [part.start for part in parts] == [0, 60]  # each has an instruction that names its start
    assert (PAYOUT in model.payouts) is sent
