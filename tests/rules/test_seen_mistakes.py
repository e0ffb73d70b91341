"""Mistakes found in open samples (voucher law §21): one test a row, here or where the last column says.

| mistake | where |
| --- | --- |
| anyone registers as a bank | test_envelopes_and_authority: kinds only through sponsor or bank quorum |
| payment forbidden after the due date | here |
| id argument ignored, or one id checked and another written | test_two_records |
| scan of all receivables, unchecked sums | here |
| wall clock in a check | test_determinism: I12 |
| child ids in a split overwrite each other | test_lots_and_ranges: I1 |
| approval tied to one user | test_keys_and_policies, test_envelopes_and_authority |
| owner passed as argument, no maturity check | here |
| unsalted hash of guessable values | here |
| payment to oneself | here |
| half-up rounding per tiny draw | test_interest: ten thousand draws of one yuan |
| small-order keys | test_envelopes_and_authority: KEY_WEAK |
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from followed_world import FollowedWorld
from law_world import DIGEST
from twins import STORIES, Story, Twins, play

from node.ledger.execute import BlockResult
from node.state import CommittedState, MemoryReader, Overlay
from node.state.tables import INDEXES, RECORDS
from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.envelope import Envelope
from tallynet.fields import AMOUNT_MAX
from tools.onboarding import registration
from tools.wallet import SMALL_PEOPLE, create_wallet

FACE = 1_000


@pytest.fixture
def world() -> FollowedWorld:
    made = FollowedWorld()
    made.core_and_suppliers()
    return made


def number(world: FollowedWorld) -> bytes:
    return sha256(b"receipt" + world.label).digest()


# --- payment forbidden after the due date -------------------------------------------------------------


@pytest.mark.parametrize(
    ("days_after_grace", "status"),
    [(0, r.VoucherStatus.DUE), (1, r.VoucherStatus.OVERDUE), (31, r.VoucherStatus.DEFAULTED)],
)
def test_late_payment_in_every_state(
    world: FollowedWorld, days_after_grace: int, status: r.VoucherStatus
) -> None:
    """Also in two parts, long after each other."""
    voucher = world.voucher(FACE)
    for part, day in enumerate((days_after_grace, days_after_grace + 100)):
        world.roll_to(world.get(r.Voucher, voucher).grace_end + day)
        assert part or world.get(r.Voucher, voucher).status is status
        received = c.FundsReceived(world.label, voucher, FACE // 2, 0, number(world))
        world.ok("bank-1", received)
        (key,) = world.state.index_scan(Index.VOUCHER_INSTRUCTIONS, voucher, limit=9)
        world.ok("bank-1", c.SettlementPaid(world.label, key[16:], FACE // 2, number(world)))
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.SETTLED


# --- scan of all receivables; unchecked sums and subtractions -------------------------------------------


class CountingReader(MemoryReader):
    """Counts what is read of records and indexes."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def get(self, table: str, key: bytes) -> bytes | None:
        self.reads += table == RECORDS
        return super().get(table, key)

    def scan(
        self, table: str, prefix: bytes, after: bytes, limit: int
    ) -> list[tuple[bytes, bytes]]:
        self.reads += table in (RECORDS, INDEXES)
        return super().scan(table, prefix, after, limit)


@dataclass
class Populated(Twins):
    """Twins among many others' vouchers and documents; nothing is cached, so that every read counts."""

    population: int = 0
    tables: CountingReader = field(default_factory=CountingReader)
    costs: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        for _ in range(self.population):
            self.document(FACE)
            self.voucher(FACE)
        self.roll_to(self.day + 1)  # what these transactions leave behind is forgotten

    def block(self, *envelopes: Envelope, seconds: int = 1) -> BlockResult:
        self.committed = CommittedState(self.tables)
        self.tables.reads = 0
        return super().block(*envelopes, seconds=seconds)

    def _commit(self, overlay: Overlay) -> None:
        if self.side:
            self.costs.append((self.side, self.tables.reads))
        super()._commit(overlay)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_cost_is_independent_of_population(story: Callable[[Twins], Story]) -> None:
    """Every command reads as much among few vouchers as among many."""
    few, many = Populated(population=1), Populated(population=20)
    for world in (few, many):
        play(story, world)
    assert few.costs == many.costs


def test_overflow_values_are_refused(world: FollowedWorld) -> None:
    """Sums that no amount can hold; and differences below zero."""
    voucher, line = world.voucher(FACE), world.ids["line ISSUE bank-1 core"]
    given = world.get(r.Voucher, voucher)
    shop = world.ids["shop"]
    for amounts in ((AMOUNT_MAX, AMOUNT_MAX), (FACE, 1), (2**64 - 1,)):
        pieces = tuple(c.Piece(shop, amount, None) for amount in amounts)
        transfer = c.LotTransfer(world.label, voucher, 0, pieces)
        world.refused("AMOUNT_RANGE", "devices", transfer)
    offer = world.offer()
    for amount in (FACE + 1, AMOUNT_MAX + 1, 2**64 - 1):
        draw = world.draw("devices", voucher, 0, amount, offer)
        world.refused("AMOUNT_RANGE", "devices", draw)
    parts = (c.BatchDraw(AMOUNT_MAX, r.Purpose.RENT),) * 2
    account = world.account("devices")
    batch = c.FinancingDrawBatch(world.label, offer, voucher, 0, parts, account)
    world.refused("AMOUNT_RANGE", "devices", batch)
    issue = world.issue(AMOUNT_MAX + 1, world.document(FACE), given.programme, line)
    world.refused("AMOUNT_RANGE", "core", issue)
    for granted in (AMOUNT_MAX + 1, 2**64 - 1):
        change = c.LineChange(world.label, line, granted, world.day, world.day + 9, ())
        world.refused("AMOUNT_RANGE", "bank-1", change)
    world.roll_to(given.maturity)
    for face, penalty in ((FACE + 1, 0), (AMOUNT_MAX, 0), (FACE, 1)):
        funds = c.FundsReceived(world.label, voucher, face, penalty, number(world))
        world.refused("FUNDS_EXCEEDED", "bank-1", funds)


# --- owner passed as argument, no maturity check at redemption ---------------------------------------------


def test_holder_and_dates_come_from_the_state(world: FollowedWorld) -> None:
    voucher, offer = world.voucher(FACE), world.offer()
    piece = (c.Piece(world.ids["devices"], 1, None),)
    for command in (
        c.LotTransfer(world.label, voucher, 0, piece),
        world.draw("shop", voucher, 0, 1, offer),
        c.FinancingDrawBatch(
            world.label, offer, voucher, 0, (c.BatchDraw(1, r.Purpose.RENT),),
            world.account("shop"),
        ),
        c.FinancingRequestOpen(
            world.label, voucher, 0, 1, world.account("shop"), r.Purpose.RENT,
            (world.ids["bank-2"],),
        ),
    ):  # fmt: skip
        world.refused("NOT_HOLDER", "shop", command)
    maturity = world.get(r.Voucher, voucher).maturity
    world.roll_to(maturity - 1)
    early = c.FundsReceived(world.label, voucher, FACE, 0, number(world))
    world.refused("VOUCHER_STATE", "bank-1", early)
    world.roll_to(maturity)
    world.refused("VOUCHER_STATE", "devices", world.draw("devices", voucher, 0, 1, offer))
    world.ok("bank-1", c.FundsReceived(world.label, voucher, FACE, 0, number(world)))


# --- unsalted hash of guessable private values -------------------------------------------------------------


def test_name_and_tax_id_are_salted(tmp_path: Path) -> None:
    """The same enterprise registered on two networks: only the tag that keeps it unique is the same."""
    made = []
    for place in ("one", "two"):
        wallet = create_wallet(tmp_path / place, "shop", bytes(16), ("SUPPLIER",), SMALL_PEOPLE)
        command = registration(
            tmp_path / place, DIGEST, wallet, r.OrganisationKind.SUPPLIER, r.Size.SMALL
        )
        made.append(command)
    one, two = made
    assert one.uniqueness_tag == two.uniqueness_tag
    assert one.name_commitment != two.name_commitment
    assert one.tax_id_commitment != two.tax_id_commitment
    guesses = {sha256(prefix + b"shop").digest() for prefix in (b"", b"tallynet/name")}
    assert one.name_commitment not in guesses


# --- a settle passes as payment to oneself -------------------------------------------------------------------


def test_payer_is_not_payee(world: FollowedWorld) -> None:
    voucher, line = world.voucher(FACE), world.ids["line ISSUE bank-1 core"]
    given = world.get(r.Voucher, voucher)
    own = c.LotTransfer(world.label, voucher, 0, (c.Piece(world.ids["devices"], 1, None),))
    world.refused("RECEIVER_NOT_ELIGIBLE", "devices", own)
    document = world.document(FACE)
    itself = world.issue(FACE, document, given.programme, line, payee=world.ids["core"])
    world.refused("SELF_DEALING", "core", itself)
    contract = c.DocumentRegister(
        world.label, r.DocumentType.CONTRACT, DIGEST, DIGEST, DIGEST, world.ids["core"],
        world.ids["core"], (), "CNY", FACE, None,
    )  # fmt: skip
    world.refused("SELF_DEALING", "core", contract)
    world.ok("bank-2", c.AccountBind(b"main", world.ids["bank-1"], DIGEST, "CNY"))
    world.ok("bank-1", c.AccountVerify(world.label, world.account("bank-2")))
    free = world.offer(grid=(r.RateBand(365, 0, 10_000),))
    world.sell("devices", voucher, 0, FACE, free)
    world.refused("SELF_DEALING", "bank-2", world.draw("bank-2", voucher, 0, 1, free))
    again = c.RediscountOffer(world.label, voucher, 0, 1, world.ids["bank-2"], 1)
    world.refused("SELF_DEALING", "bank-2", again)
    cover = c.GuaranteeIssue(
        world.label, world.ids["bank-4"], None, r.GuaranteeScope.DEBTOR, world.ids["bank-3"], "CNY",
        FACE, 0, given.grace_end,
    )  # fmt: skip
    world.refused("SELF_DEALING", "bank-3", cover)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_no_instruction_has_its_payer_as_payee(story: Callable[[Twins], Story]) -> None:
    """Among the instructions that the stories leave open."""
    world = Twins()
    play(story, world)
    for bank in ("bank-1", "bank-2", "bank-3", "bank-4"):
        for key in world.state.index_scan(Index.BANK_INSTRUCTIONS, world.ids[bank], limit=99):
            order = world.get(r.Instruction, key[16:])
            assert order.payer != order.payee
