"""What a bank bought under its line on the debtor is counted until it is paid or somebody else's, and no longer.

That the lines are what lots and loans say is compared after every block (`law_world`).
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from watched_world import WatchedWorld

from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r

EXPOSURE = (r.LineKind.DEBTOR_EXPOSURE,)
ACCEPTED, DECLINED, LAPSED, DEEMED = "accepted", "declined", "lapsed", "deemed"


class Counted(WatchedWorld):
    """Bank 2 has bought 600 of 1,000 under its line."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for bank in ("bank-2", "bank-3"):
            self.line(r.LineKind.DEBTOR_EXPOSURE, bank, "core", 10_000)
        self.ok("bank-2", c.AccountBind(b"main", self.ids["bank-1"], bytes(32), "CNY"))
        self.ok("bank-1", c.AccountVerify(self.label, self.account("bank-2")))

    def bought(self, **programme: object) -> bytes:
        paper = self.voucher(1_000, **programme)
        self.sell("devices", paper, 0, 600, self.offer(lines_required=EXPOSURE))
        assert self.used() == (600, 0)
        return paper

    def used(self) -> tuple[int, int]:
        """Of the lines of bank 2 and bank 3."""
        return tuple(self.line_used("DEBTOR_EXPOSURE", f"bank-{i}")[1] for i in (2, 3))  # type: ignore[return-value]

    def drawn(self, paper: bytes, amount: int, bank: str, **offer: object) -> None:
        """Bank 2 gets money for its lot, and is paid."""
        drawn = self.ok(
            "bank-2", self.draw("bank-2", paper, 400, amount, self.offer(bank, **offer))
        )
        instruction = next(x.id for x in drawn.created if x.kind == r.Kind.INSTRUCTION)
        payer = self.get(r.Instruction, instruction).bank
        names = {id: name for name, id in self.ids.items()}
        self.pay_out(names[payer], drawn, drawn.result[1])

    def loans(self) -> list[tuple[bytes, r.FinancingKind]]:
        """Ids and kinds of the loans of bank 2."""
        keys = self.state.index_scan(Index.PARTY_FINANCINGS, self.ids["bank-2"], limit=100)
        return [(key[16:], self.get(r.Financing, key[16:]).kind) for key in keys]


@pytest.fixture
def world() -> Counted:
    return Counted()


def test_passed_on_at_once_it_is_the_banks_no_more(world: Counted) -> None:
    world.give(world.bought(), 400, 250, "shop", by="bank-2")
    assert world.used() == (350, 0)


@pytest.mark.parametrize("answer", [ACCEPTED, DECLINED, LAPSED, DEEMED])
def test_a_pending_transfer_is_counted_until_it_is_accepted(world: Counted, answer: str) -> None:
    mode = r.AcceptMode.DEEMED if answer == DEEMED else r.AcceptMode.EXPLICIT
    paper = world.bought(accept_mode=mode, deemed_days=3 if answer == DEEMED else 0)
    world.give(paper, 400, 250, "shop", by="bank-2")
    assert world.used() == (600, 0)
    if answer == ACCEPTED:
        world.ok("shop", c.LotAccept(world.label, paper, 750))
    elif answer == DECLINED:
        world.ok("shop", c.LotDecline(world.label, paper, 750))
    else:
        world.roll_to(world.day + 30)
    assert world.used() == (350 if answer in (ACCEPTED, DEEMED) else 600, 0)


@pytest.mark.parametrize("needs", [(), EXPOSURE])
def test_sold_to_another_bank_it_counts_there_if_at_all(
    world: Counted, needs: tuple[r.LineKind, ...]
) -> None:
    world.drawn(world.bought(), 250, "bank-3", lines_required=needs)
    assert world.used() == (350, 250 if needs else 0)


def test_the_debtor_pays_it_early(world: Counted) -> None:
    paper = world.bought()
    world.drawn(paper, 250, "core", kind=r.FinancingKind.EARLY_PAY)
    assert world.used() == (350, 0)
    assert ("bank-2", 750, 1_000, "REDEEMED") in world.lots(paper)


def test_pledged_it_counts_twice_until_its_lender_takes_it_over(world: Counted) -> None:
    """Face that bank 2 bought, principal that bank 3 lent: each bears the debtor's risk in its own way."""
    paper = world.bought()
    world.drawn(paper, 250, "bank-3", kind=r.FinancingKind.LOAN_RECOURSE, lines_required=EXPOSURE)
    assert world.used() == (600, 250)
    world.roll_to(world.get(r.Voucher, paper).grace_end + 1)
    loan = next(id for id, kind in world.loans() if kind is r.FinancingKind.LOAN_RECOURSE)
    world.ok("bank-3", c.FinancingEnforce(world.label, loan))
    assert world.used() == (350, 250)
    world.fund(paper, 1_000)
    for start, amount in world.instructions(paper):
        pay = c.SettlementPaid(world.label, world.instruction(paper, start), amount, world.number())
        world.ok("bank-1", pay)
    left = [
        world.get(r.Financing, id).principal - world.get(r.Financing, id).repaid
        for id, _ in world.loans()
    ]
    assert world.used() == (0, sum(left))


def test_what_comes_back_joins_only_what_counts_alike(world: Counted) -> None:
    paper = world.bought()
    world.sell("devices", paper, 0, 100, world.offer())
    assert world.lots(paper) == [
        ("devices", 0, 300, "HELD"), ("bank-2", 300, 400, "HELD"), ("bank-2", 400, 1_000, "HELD"),
    ]  # fmt: skip
    world.give(paper, 300, 100, "shop", by="bank-2")
    assert world.used() == (600, 0)
