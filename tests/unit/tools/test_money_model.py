"""The independent money model follows the voucher law where the law makes exceptions."""

from __future__ import annotations

import pytest

from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire
from tallynet.receipts import CommandReceipt, Created, PrologueReceipt
from tools.money_limits import Line, Mismatch
from tools.money_model import Deal, Model, Paper, Part

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


def model_with_loan() -> Model:
    """40 of 100 fen are pledged for a loan of 36 at 10 % a year on 360 days, paid out on day one."""
    model = model_with_draw()
    deal = model.deals[DEAL]
    deal.kind, deal.principal, deal.live = r.FinancingKind.LOAN_PLEDGE, 36, True
    deal.rate_ppm, deal.accrued_to = 100_000, model.today
    model.papers[PAPER].parts[-1].state = "PLEDGED"
    return model


def repay(model: Model, number: int, amount: int, result: tuple[int, ...]) -> None:
    instruction = bytes((0x40 + number,)) * 16
    created = (Created(r.Kind.INSTRUCTION, instruction),)
    announce = c.FinancingRepay(b"say", DEAL, amount)
    model._do_FinancingRepay(ADA, announce, CommandReceipt("OK", created, 0, ()))
    confirm = c.RepayConfirm(b"yes", instruction, amount, bytes((number,)) * 32)
    model._do_RepayConfirm(BANK, confirm, CommandReceipt("OK", (), 0, result))


def test_a_loan_that_is_repaid_in_full_frees_its_lot() -> None:
    """Voucher law §8.7: interest before principal; in full, the lien is gone. 36 fen for 50 days at
    10 % on 360 cost half a fen, rounded half-up to one. Found by simulated seed 2542439780."""
    model = model_with_loan()
    model.today += 50
    repay(model, 1, 20, (1, 19, 17))
    paper = model.papers[PAPER]
    assert [part.state for part in paper.parts] == ["HELD", "PLEDGED"]
    repay(model, 2, 17, (0, 17, 0))
    assert [(part.start, part.end, part.state) for part in paper.parts] == [(0, 100, "HELD")]
    assert DEAL not in model.deals


def test_a_loan_takes_no_more_than_is_owed() -> None:
    with pytest.raises(Mismatch, match="more is repaid than is owed"):
        repay(model_with_loan(), 1, 37, (0, 36, 0))


def test_a_repayment_is_split_as_the_receipt_says() -> None:
    with pytest.raises(Mismatch, match="I16"):
        repay(model_with_loan(), 1, 20, (1, 19, 17))


def test_what_a_pledged_lot_brings_at_settlement_repays_its_loan() -> None:
    """Voucher law §9: the lender's waterfall first; the rest of the lot is free when nothing is owed."""
    model = model_with_loan()
    paper = model.papers[PAPER]
    paper.status, paper.funds, paper.parts[-1].covered = "DUE", 38, 38
    model.settlements[PAYOUT] = (PAPER, 60)
    paid = c.SettlementPaid(b"pay", PAYOUT, 38, b"r" * 32)
    model._do_SettlementPaid(BANK, paid, CommandReceipt("OK", (), 0, ()))
    assert [(part.start, part.state) for part in paper.parts] == [
        (0, "HELD"),
        (60, "HELD"),
        (62, "REDEEMED"),
    ]
    assert DEAL not in model.deals


# --- who may issue --------------------------------------------------------------------------------

CORE, SHOP = ADA, BANK
"""An enterprise and its branch."""
OK = CommandReceipt("OK", (), 0, ())
STOPS = [
    (BANK, c.IssuerBlock(b"x", CORE), c.IssuerUnblock(b"x", CORE)),
    (CORE, c.DistressDeclare(b"x"), c.DistressEnd(b"x")),
    (CORE, *(c.BranchStatusSet(b"x", SHOP, to) for to in (r.BranchStatus.CLOSED, r.BranchStatus.OPEN))),
]  # fmt: skip


def issue_by_the_branch(model: Model) -> str:
    """What the model says of it; the documents never add up, which it looks at last."""
    created = CommandReceipt("OK", (Created(r.Kind.VOUCHER, OFFER),), 0, ())
    promise = r.Promise(bytes(32), True, True, True)
    command = c.VoucherIssue(b"v", ADA, "CNY", 1, MATURITY, promise, (), PAPER, LINE, ADA)
    with pytest.raises(Mismatch) as caught:
        model._apply(SHOP, command, created)
    return str(caught.value)


def enterprise_with_branch() -> Model:
    model = Model(MATURITY - 1)
    model.programmes[PAPER] = c.ProgrammeRules(
        r.AcceptMode.IMMEDIATE,
        0,
        9,
        9,
        1,
        99,
        5,
        r.DocumentPolicy.CAPPED,
        r.Visibility.TIER1,
        False,
        500,
        (),
        True,
        (),
        r.PriceMode.OPEN,
    )
    created = CommandReceipt("OK", (Created(r.Kind.ORGANISATION, SHOP),), 0, ())
    keys = (c.NewKey(bytes(32), (), r.Algorithm.ED25519, bytes(32), 0, 1, 0, bytes(64)),)
    none = bytes(32)
    model._apply(CORE, c.BranchCreate(b"b", (), "coast", none, none, none, keys, ()), created)
    return model


@pytest.mark.parametrize(("by", "stop", "end"), STOPS)
def test_what_stops_an_enterprise_or_its_branch_stops_issue_until_it_ends(
    by: bytes, stop: Wire, end: Wire
) -> None:
    model = enterprise_with_branch()
    model._apply(by, stop, OK)
    assert "documents" not in issue_by_the_branch(model)
    model._apply(by, end, OK)
    assert "documents" in issue_by_the_branch(model)


def test_a_consent_to_a_block_is_no_block() -> None:
    model = enterprise_with_branch()
    model._apply(BANK, c.IssuerBlock(b"x", CORE), CommandReceipt("OK", (), 0, (1, 2)))
    assert "documents" in issue_by_the_branch(model)
