"""Sealed lines: granted, used, released, opened; what the chain sees and what it cannot (voucher law §16.7; I4, I15)."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from law_world import DIGEST, World

from node.ledger.lines import line_id
from node.state.tables import STATE_TABLES
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire, encode
from tallynet.documents import DocumentError
from tallynet.errors import LedgerError
from tallynet.hashing import record_id
from tallynet.receipts import CommandReceipt
from tallynet.sealed_line import (
    LineState,
    OpenedState,
    commitment,
    counted_in,
    exceeding,
    granted,
    require_committed,
    restated,
)

EXPOSURE = r.LineKind.DEBTOR_EXPOSURE
BORROWER = r.LineKind.BORROWER
ISSUE = r.LineKind.ISSUE
LIMIT = 1_000_003
USED = 400_009
FACE = 500_021


@dataclass
class Bank:
    """bank-2 with its sealed line on the core: what its wallet keeps."""

    world: World
    kind: r.LineKind = EXPOSURE
    obligor: str = "core"
    history: list[OpenedState] = field(default_factory=list)

    @property
    def line(self) -> bytes:
        return line_id(self.kind, self.world.ids["bank-2"], self.world.ids[self.obligor], "CNY")

    def salt(self) -> bytes:
        return sha256(b"salt" + self.world.label).digest()

    @property
    def last(self) -> OpenedState:
        return self.history[-1]

    def granting(self, **changes: object) -> c.LineGrantSealed:
        fields = {
            "label": self.world.label, "kind": self.kind, "obligor": self.world.ids[self.obligor],
            "currency": "CNY", "commitment": DIGEST, "valid_from": self.world.day,
            "valid_to": self.world.day + 1_000,
        }  # fmt: skip
        return c.LineGrantSealed(**(fields | changes))  # type: ignore[arg-type]  # by name

    def grant(self, limit: int = LIMIT, used: int = USED) -> bytes:
        self.history = [granted(self.line, limit, used, self.salt())]
        self.world.ok("bank-2", self.granting(commitment=commitment(self.last)))
        return self.line

    def using(self, opened: OpenedState, **changes: object) -> c.LineUseSealed:
        fields = {
            "label": self.world.label, "line": self.line, "sequence": opened.state.sequence,
            "commitment": commitment(opened), "use": opened.state.use,
        }  # fmt: skip
        return c.LineUseSealed(**(fields | changes))  # type: ignore[arg-type]  # by name

    def changing(self, opened: OpenedState, **changes: object) -> c.LineChangeSealed:
        fields = {
            "label": self.world.label, "line": self.line, "sequence": opened.state.sequence,
            "commitment": commitment(opened), "valid_from": self.world.day,
            "valid_to": self.world.day + 1_000,
        }  # fmt: skip
        return c.LineChangeSealed(**(fields | changes))  # type: ignore[arg-type]  # by name

    def change(self, limit: int, used: int) -> None:
        self.history.append(restated(self.last, limit, used, self.salt()))
        self.world.ok("bank-2", self.changing(self.last))

    def with_use(self, act: Wire, amount: int, use: bytes) -> CommandReceipt:
        """The act in one envelope with the commitment that counts it in; the act's receipt."""
        opened = counted_in(self.last, amount, use, self.salt())
        receipt = self.world.receipt(self.world.envelope("bank-2", self.using(opened), act))
        assert [one.code for one in receipt.commands] == ["OK", "OK"], receipt
        self.history.append(opened)
        return receipt.commands[1]

    def on_chain(self) -> r.SealedLine:
        sealed = self.world.get(r.CreditLine, self.line).sealed
        assert sealed is not None
        return sealed


@pytest.fixture
def world() -> World:
    made = World(audited=True)
    made.core_and_suppliers()
    return made


@pytest.fixture
def bank(world: World) -> Bank:
    made = Bank(world)
    made.grant()
    return made


def root(*states: OpenedState) -> bytes:
    """Over all commitments, as the chain must have it."""
    told = bytes(32)
    for opened in states:
        told = sha256(
            b"tallynet/told" + told + commitment(opened) + (opened.state.use or b"")
        ).digest()
    return told


def created(receipt: CommandReceipt, kind: r.Kind) -> bytes:
    return next(item.id for item in receipt.created if item.kind == kind)


def ask(world: World, voucher: bytes, amount: int = FACE) -> bytes:
    command = c.FinancingRequestOpen(
        world.label, voucher, 0, amount, world.account("devices"), r.Purpose.GOODS,
        tuple(sorted((world.ids["bank-2"], world.ids["bank-3"]))),
    )  # fmt: skip
    return created(world.ok("devices", command), r.Kind.FINANCING_REQUEST)


def quote(world: World, request: bytes, **changes: object) -> c.FinancingQuote:
    fields = {
        "label": world.label, "request": request, "amount": FACE, "kind": r.FinancingKind.SALE,
        "rate_ppm": 43_500, "basis": 360, "advance_bps": 10_000, "lines": (EXPOSURE,),
        "registration_required": False, "valid_to": world.day,
    }  # fmt: skip
    return c.FinancingQuote(**(fields | changes))  # type: ignore[arg-type]  # by name


def accept(world: World, request: bytes) -> c.FinancingAccept:
    return c.FinancingAccept(world.label, request, world.ids["bank-2"])


def sold(bank: Bank) -> tuple[bytes, bytes, CommandReceipt]:
    """Voucher, request, and the receipt of a sale to bank-2 under its sealed line."""
    voucher = bank.world.voucher(2 * FACE)
    request = ask(bank.world, voucher)
    bank.with_use(quote(bank.world, request), FACE, request)
    return voucher, request, bank.world.ok("devices", accept(bank.world, request))


# --- a line and its commitments -----------------------------------------------------------------------


def test_a_grant_is_a_commitment_with_dates_and_a_status(bank: Bank) -> None:
    line = bank.world.get(r.CreditLine, bank.line)
    assert (line.granted, line.reserved, line.used, line.seasonal) == (0, 0, 0, ())
    assert line.status is r.LineStatus.ACTIVE
    assert bank.on_chain() == r.SealedLine(1, commitment(bank.last), root(bank.last), None)


def test_I15_a_commitment_follows_the_one_before_it_STATE_CONFLICT(bank: Bank) -> None:
    following = restated(bank.last, LIMIT, 0, bank.salt())
    for sequence in (1, 3):
        bank.world.refused("STATE_CONFLICT", "bank-2", bank.changing(following, sequence=sequence))
        wrong = bank.using(following, sequence=sequence, use=DIGEST[:16])
        bank.world.refused("STATE_CONFLICT", "bank-2", wrong)
    bank.world.ok("bank-2", bank.changing(following))
    assert bank.on_chain() == r.SealedLine(
        2, commitment(following), root(bank.last, following), None
    )


def test_only_the_grantor_commits_NOT_AUTHORISED(bank: Bank) -> None:
    following = restated(bank.last, LIMIT, 0, bank.salt())
    for name in ("core", "bank-3"):
        bank.world.refused("NOT_AUTHORISED", name, bank.changing(following))
        bank.world.refused("NOT_AUTHORISED", name, bank.using(following, use=DIGEST[:16]))


def test_issue_lines_and_allocations_stay_open_LINE_KIND(world: World) -> None:
    for kind in (r.LineKind.ISSUE, r.LineKind.ALLOCATION):
        world.refused("LINE_KIND", "bank-2", Bank(world, kind).granting())
    world.refused("LINE_KIND", "bank-2", Bank(world, EXPOSURE, "devices").granting())
    world.refused("DATE_RANGE", "bank-2", Bank(world).granting(valid_to=world.day - 1))
    world.refused("NOT_LICENSED", "core", Bank(world).granting(obligor=world.ids["bank-2"]))


def test_an_open_line_has_no_commitments_and_a_sealed_one_no_open_limit_LINE_SEALED(
    bank: Bank,
) -> None:
    world = bank.world
    change = c.LineChange(world.label, bank.line, 1, world.day, world.day + 1, ())
    world.refused("LINE_SEALED", "bank-2", change)
    other = Bank(world, BORROWER, "devices")
    world.line(BORROWER, "bank-2", "devices", LIMIT)
    following = restated(granted(other.line, 1, 0, DIGEST), 1, 0, DIGEST)
    world.refused("STATE_CONFLICT", "bank-2", other.changing(following))


def test_dates_of_a_sealed_line_are_open_DATE_RANGE(bank: Bank) -> None:
    world, following = bank.world, restated(bank.last, LIMIT, 0, bank.salt())
    world.refused("DATE_RANGE", "bank-2", bank.changing(following, valid_to=world.day - 1))
    world.ok("bank-2", bank.changing(following, valid_to=world.day))
    assert world.get(r.CreditLine, bank.line).valid_to == world.day


# --- one line between two -----------------------------------------------------------------------------


def open_grant(world: World) -> c.LineGrant:
    core = world.ids["core"]
    return c.LineGrant(world.label, EXPOSURE, core, "CNY", FACE, world.day, world.day + 99, ())


def test_there_is_one_line_between_two_open_or_sealed_ID_IN_USE(bank: Bank) -> None:
    world = bank.world
    world.refused("ID_IN_USE", "bank-2", bank.granting())
    world.refused("STATE_CONFLICT", "bank-2", open_grant(world))
    world.ok("bank-2", c.LineSuspend(world.label, bank.line))
    world.refused("ID_IN_USE", "bank-2", bank.granting())
    world.ok("bank-2", open_grant(world))
    assert world.get(r.CreditLine, bank.line).sealed is None
    assert world.get(r.CreditLine, bank.line).granted == FACE
    world.refused("ID_IN_USE", "bank-2", open_grant(world))


def test_an_open_line_is_sealed_once_nothing_is_in_use_STATE_CONFLICT(world: World) -> None:
    bank, voucher = Bank(world), world.voucher(FACE)
    world.line(EXPOSURE, "bank-2", "core", FACE)
    drawn = world.ok("devices", world.draw("devices", voucher, 0, FACE, world.offer(lines_required=(EXPOSURE,))))  # fmt: skip
    world.refused("STATE_CONFLICT", "bank-2", bank.granting())
    world.ok("bank-2", c.PayoutFail(world.label, created(drawn, r.Kind.INSTRUCTION)))
    bank.grant()
    assert bank.on_chain().sequence == 1


# --- uses ---------------------------------------------------------------------------------------------


def test_a_sale_under_a_sealed_line_counts_nothing_on_the_chain(bank: Bank) -> None:
    world = bank.world
    voucher, _, drawn = sold(bank)
    assert world.get(r.Financing, created(drawn, r.Kind.FINANCING)).lines == ()
    world.pay_out("bank-2", drawn, drawn.result[1])
    assert world.lots(voucher)[1] == ("bank-2", FACE, 2 * FACE, "HELD")
    world.roll_to(world.get(r.Voucher, voucher).maturity)
    world.ok("bank-1", c.FundsReceived(world.label, voucher, 2 * FACE, 0, DIGEST))
    for id, (_, start) in sorted(world.model.settlements.items()):
        face = world.get(r.Lot, r.lot_id(voucher, start)).covered
        world.ok("bank-1", c.SettlementPaid(world.label, id, face, record_id(9, b"", id) * 2))
    line = world.get(r.CreditLine, bank.line)
    assert (line.granted, line.reserved, line.used) == (0, 0, 0)
    bank.change(LIMIT, bank.last.state.used - FACE)
    assert bank.last.state.used == USED
    require_committed(bank.history, bank.line, bank.on_chain())


def test_a_quote_needs_the_grantors_word_for_this_very_request_LINE_SEALED(bank: Bank) -> None:
    world = bank.world
    voucher = world.voucher(2 * FACE)
    request = ask(world, voucher)
    world.refused("LINE_SEALED", "bank-2", quote(world, request))
    for_another = counted_in(bank.last, FACE, DIGEST[:16], bank.salt())
    receipt = world.receipt(
        world.envelope("bank-2", bank.using(for_another), quote(world, request))
    )
    assert [one.code for one in receipt.commands] == ["ATOMIC_ABORTED", "LINE_SEALED"]
    assert bank.on_chain().sequence == 1, "of an atomic envelope all or nothing happens"
    bank.with_use(quote(world, request), FACE, request)
    assert bank.on_chain() == r.SealedLine(2, commitment(bank.last), root(*bank.history), None)


def test_a_word_is_taken_once(bank: Bank) -> None:
    """A statement that was made before stands until it is taken or replaced; it serves one act."""
    world = bank.world
    request = ask(world, world.voucher(2 * FACE))
    opened = counted_in(bank.last, FACE, request, bank.salt())
    world.ok("bank-2", bank.using(opened))
    bank.history.append(opened)
    assert bank.on_chain().use == request
    bank.change(LIMIT, USED)
    world.refused("LINE_SEALED", "bank-2", quote(world, request))


def test_an_instant_draw_cannot_use_a_sealed_line_LINE_SEALED(bank: Bank) -> None:
    world = bank.world
    voucher = world.voucher(2 * FACE)
    offer = world.offer(lines_required=(EXPOSURE,))
    world.refused("LINE_SEALED", "devices", world.draw("devices", voucher, 0, FACE, offer))
    batch = c.FinancingDrawBatch(
        world.label, offer, voucher, 0, (c.BatchDraw(FACE, r.Purpose.TAX),),
        world.account("devices"),
    )  # fmt: skip
    world.refused("LINE_SEALED", "devices", batch)
    world.refused("LINE_SEALED", "devices", world.draw("devices", voucher, 0, FACE, None))
    dear = world.offer("bank-3", grid=(r.RateBand(365, 99_000, 10_000),))
    drawn = world.ok("devices", world.draw("devices", voucher, 0, FACE, None))
    financing = world.get(r.Financing, created(drawn, r.Kind.FINANCING))
    assert financing.offer == dear, "AUTO goes on to the next bank"


def test_a_draw_on_an_offer_by_quotes_asks_the_bank_which_counts_it_in(bank: Bank) -> None:
    world = bank.world
    voucher = world.voucher(2 * FACE)
    offer = world.offer(lines_required=(EXPOSURE,), automatic=False)
    asked = world.ok("devices", world.draw("devices", voucher, 0, FACE, offer))
    request = created(asked, r.Kind.FINANCING_REQUEST)
    bank.with_use(quote(world, request), FACE, request)
    world.ok("devices", accept(world, request))


def test_a_loan_uses_a_sealed_line_on_the_borrower_and_an_open_one_on_the_debtor(
    world: World,
) -> None:
    bank = Bank(world, BORROWER, "devices")
    bank.grant()
    line = world.line(EXPOSURE, "bank-2", "core", LIMIT)
    voucher = world.voucher(2 * FACE)
    request = ask(world, voucher)
    given = quote(
        world, request, kind=r.FinancingKind.LOAN_PLEDGE, advance_bps=8_000,
        lines=(EXPOSURE, BORROWER),
    )  # fmt: skip
    principal = FACE * 8_000 // 10_000
    bank.with_use(given, principal, request)
    [known] = world.get(r.FinancingRequest, request).quotes
    assert (known.lines, known.sealed_lines) == ((EXPOSURE,), (BORROWER,))
    drawn = world.ok("devices", accept(world, request))
    assert world.get(r.CreditLine, line).reserved == principal
    assert world.get(r.CreditLine, bank.line).reserved == 0
    world.pay_out("bank-2", drawn, principal)
    loan = created(drawn, r.Kind.FINANCING)
    assert world.get(r.Financing, loan).lines == (EXPOSURE,)
    owed = principal
    announced = created(world.ok("devices", c.FinancingRepay(world.label, loan, owed)), r.Kind.INSTRUCTION)  # fmt: skip
    world.ok("bank-2", c.RepayConfirm(world.label, announced, owed, DIGEST))
    assert world.get(r.CreditLine, line).used == 0
    assert world.state.get(r.Kind.FINANCING, loan) is None


def test_a_sale_uses_no_line_on_the_drawer(world: World) -> None:
    """A sealed BORROWER line that a quote to buy names is passed over, as an open one is."""
    bank = Bank(world, BORROWER, "devices")
    bank.grant()
    request = ask(world, world.voucher(2 * FACE))
    world.ok("bank-2", quote(world, request, lines=(BORROWER,)))
    world.ok("devices", accept(world, request))
    assert bank.on_chain().sequence == 1


def test_a_sealed_price_under_a_sealed_line(bank: Bank) -> None:
    world = bank.world
    request = ask(world, world.voucher(2 * FACE))
    given = c.FinancingQuoteSealed(
        world.label, request, FACE, DIGEST, DIGEST, (EXPOSURE,), False, world.day
    )
    world.refused("LINE_SEALED", "bank-2", given)
    bank.with_use(given, FACE, request)
    taken = c.FinancingAcceptSealed(
        world.label, request, world.ids["bank-2"], DIGEST, DIGEST, world.day
    )
    assert world.get(r.Financing, created(world.ok("devices", taken), r.Kind.FINANCING)).lines == ()


def test_a_suspended_or_expired_line_is_not_used_LINE_INACTIVE(bank: Bank) -> None:
    world = bank.world
    request = ask(world, world.voucher(2 * FACE))
    opened = counted_in(bank.last, FACE, request, bank.salt())
    world.ok("bank-2", c.LineSuspend(world.label, bank.line))
    world.refused("LINE_INACTIVE", "bank-2", bank.using(opened))
    world.ok("bank-2", c.LineResume(world.label, bank.line))
    bank.with_use(quote(world, request, valid_to=world.day + 2), FACE, request)
    world.ok("bank-2", c.LineSuspend(world.label, bank.line))
    world.refused("LINE_INACTIVE", "devices", accept(world, request))
    world.ok("bank-2", open_grant(world))
    world.refused("LINE_INACTIVE", "devices", accept(world, request))


def test_a_quote_under_an_open_line_that_was_sealed_meanwhile_is_not_accepted_LINE_SEALED(
    world: World,
) -> None:
    bank = Bank(world)
    world.line(EXPOSURE, "bank-2", "core", LIMIT)
    request = ask(world, world.voucher(2 * FACE))
    world.ok("bank-2", quote(world, request))
    bank.grant()
    world.refused("LINE_SEALED", "devices", accept(world, request))


def bought_by_bank_3(world: World, voucher: bytes) -> int:
    """Start of the range that bank-3 bought of a voucher."""
    drawn = world.ok("devices", world.draw("devices", voucher, 0, FACE, world.offer("bank-3")))
    world.pay_out("bank-3", drawn, drawn.result[1])
    return FACE


def test_a_rediscount_is_accepted_under_a_sealed_line(world: World) -> None:
    """The buyer's exposure; bank-2 buys from bank-3."""
    bank, voucher = Bank(world), world.voucher(2 * FACE)
    bank.grant()
    start = bought_by_bank_3(world, voucher)
    offering = c.RediscountOffer(world.label, voucher, start, FACE, world.ids["bank-2"], FACE - 1)
    deal = created(world.ok("bank-3", offering), r.Kind.FINANCING)
    accepting = c.RediscountAccept(world.label, deal, FACE - 1)
    world.refused("LINE_SEALED", "bank-2", accepting)
    bank.with_use(accepting, FACE, deal)
    assert world.get(r.Financing, deal).lines == ()
    world.ok("bank-3", c.RediscountConfirm(world.label, deal, FACE - 1, DIGEST))
    assert ("bank-2", start, 2 * FACE, "HELD") in world.lots(voucher)


def test_a_rediscount_under_a_sealed_line_is_called_off(world: World) -> None:
    bank, voucher = Bank(world), world.voucher(2 * FACE)
    bank.grant()
    start = bought_by_bank_3(world, voucher)
    offering = c.RediscountOffer(world.label, voucher, start, FACE, world.ids["bank-2"], FACE)
    deal = created(world.ok("bank-3", offering), r.Kind.FINANCING)
    bank.with_use(c.RediscountAccept(world.label, deal, FACE), FACE, deal)
    world.ok("bank-2", c.RediscountCancel(world.label, deal))
    assert ("bank-3", start, 2 * FACE, "HELD") in world.lots(voucher)


def prepayment(world: World) -> bytes:
    world.join("retail", r.OrganisationKind.DISTRIBUTOR)
    request = c.PrepaymentRequest(
        world.label, world.ids["core"], world.ids["bank-2"], world.account("core"), "CNY", FACE,
        "B-12", "case", world.day + 10, world.day + 60,
    )  # fmt: skip
    return created(world.ok("retail", request), r.Kind.PREPAYMENT)


@pytest.mark.parametrize("paid", [True, False])
def test_a_prepayment_is_funded_under_a_sealed_line(world: World, paid: bool) -> None:
    order = prepayment(world)
    bank = Bank(world, BORROWER, "retail")
    bank.grant()
    funding = c.PrepaymentFund(b"loan", order, FACE, 40_000, 360, 7_000)
    world.refused("LINE_SEALED", "bank-2", funding)
    receipt = bank.with_use(funding, FACE, order)
    instruction = created(receipt, r.Kind.INSTRUCTION)
    loan = created(receipt, r.Kind.FINANCING)
    assert world.get(r.Financing, loan).lines == ()
    if paid:
        world.ok("bank-2", c.PayoutConfirm(world.label, instruction, FACE, DIGEST))
        assert world.get(r.Financing, loan).state is r.FinancingState.OUTSTANDING
    else:
        world.ok("bank-2", c.PayoutFail(world.label, instruction))
        assert world.state.get(r.Kind.FINANCING, loan) is None


# --- what the chain sees and what it cannot -----------------------------------------------------------


def states(world: World) -> bytes:
    """Every value of the state tables."""
    return b"".join(
        value
        for table in STATE_TABLES
        for _, value in world.tables.scan(table, b"", b"", sys.maxsize)
    )


def test_the_whole_state_holds_neither_limit_nor_use_while_an_open_line_shows_both(
    bank: Bank,
) -> None:
    world = bank.world
    _, _, drawn = sold(bank)
    world.pay_out("bank-2", drawn, drawn.result[1])
    secrets = [encode(LIMIT), encode(USED), encode(USED + FACE)]
    assert [secret in states(world) for secret in secrets] == [False] * 3
    world.line(EXPOSURE, "bank-3", "core", LIMIT)
    assert encode(LIMIT) in states(world)


def test_I4_the_bank_does_not_sign_a_use_beyond_its_limit_LINE_EXCEEDED(bank: Bank) -> None:
    room = LIMIT - USED
    assert counted_in(bank.last, room, DIGEST[:16], DIGEST).state.used == LIMIT
    with pytest.raises(LedgerError, match=f"free room of {room}") as caught:
        counted_in(bank.last, room + 1, DIGEST[:16], DIGEST)
    assert caught.value.code == "LINE_EXCEEDED"
    with pytest.raises(LedgerError, match="exceeds the limit"):
        restated(bank.last, LIMIT, LIMIT + 1, DIGEST)
    with pytest.raises(LedgerError, match="exceeds the limit"):
        granted(bank.line, LIMIT, LIMIT + 1, DIGEST)
    cut = restated(bank.last, USED - 1, USED, DIGEST)
    assert cut.state.used > cut.state.granted, "existing use stands (C12)"


def test_I4_a_use_beyond_the_limit_is_seen_by_the_auditor_and_not_by_the_chain(
    bank: Bank,
) -> None:
    """A bank that signs for more than it granted, with a program of its own."""
    world = bank.world
    bank.change(FACE - 1, 0)
    request = ask(world, world.voucher(2 * FACE))
    before = bank.last
    state = LineState(bank.line, 3, commitment(before), FACE - 1, FACE, request)
    beyond = OpenedState(bank.salt(), state)
    receipt = world.receipt(world.envelope("bank-2", bank.using(beyond), quote(world, request)))
    assert [one.code for one in receipt.commands] == ["OK", "OK"]
    bank.history.append(beyond)
    require_committed(bank.history, bank.line, bank.on_chain())
    assert exceeding(bank.history) == [state]


def test_the_auditor_is_not_told_other_states_than_the_chain_was_LINE_STATE_MALFORMED(
    bank: Bank,
) -> None:
    """A bank that used more than it granted hides it behind a state that never was on the chain."""
    [first] = bank.history
    beyond = OpenedState(
        bank.salt(), LineState(bank.line, 2, commitment(first), LIMIT, LIMIT + 1, DIGEST[:16])
    )
    bank.world.ok("bank-2", bank.using(beyond))
    never = restated(first, LIMIT, USED, bank.salt())
    last = restated(never, LIMIT, USED, bank.salt())
    bank.world.ok("bank-2", bank.changing(last))
    require_committed([last], bank.line, bank.on_chain())
    with pytest.raises(DocumentError, match="not what the chain was told"):
        require_committed([first, never, last], bank.line, bank.on_chain())


@pytest.mark.parametrize("said", [None, DIGEST[:16]])
def test_a_limit_raised_beside_a_use_is_seen_by_the_auditor(bank: Bank, said: bytes | None) -> None:
    """A sealed grant or change counts as of the greatest amount for policies, a use does not: so it raises no limit,
    whether its state says that it is a use or not."""
    before = bank.last
    raised = OpenedState(
        bank.salt(), LineState(bank.line, 2, commitment(before), 2 * LIMIT, USED, said)
    )
    bank.world.ok("bank-2", bank.using(raised, use=DIGEST[:16]))
    after = counted_in(raised, LIMIT, DIGEST[:16], bank.salt())
    bank.world.ok("bank-2", bank.using(after))
    bank.history += [raised, after]
    if said is None:
        with pytest.raises(DocumentError, match="not what the chain was told"):
            require_committed(bank.history, bank.line, bank.on_chain())
    else:
        require_committed(bank.history, bank.line, bank.on_chain())
        assert exceeding(bank.history) == [after.state]


def test_the_auditor_finds_no_fault_in_a_cut_below_use(bank: Bank) -> None:
    bank.change(USED - 1, USED)
    bank.change(USED - 1, USED - 1)
    require_committed(bank.history, bank.line, bank.on_chain())
    assert exceeding(bank.history) == []


def test_I15_opened_values_reproduce_the_commitment_LINE_STATE_MALFORMED(bank: Bank) -> None:
    bank.change(LIMIT + 1, USED)
    bank.change(LIMIT + 2, USED)
    first, second, third = bank.history
    other = OpenedState(DIGEST, third.state)
    elsewhere = OpenedState(third.salt, LineState(DIGEST[:16], 3, commitment(second), 1, 1, None))
    for told in (
        [], [second], [other], [elsewhere], [first, third], [second, first, third],
        [OpenedState(DIGEST, second.state), third],
    ):  # fmt: skip
        with pytest.raises(DocumentError) as caught:
            require_committed(told, bank.line, bank.on_chain())
        assert caught.value.code == "LINE_STATE_MALFORMED"
    for told in ([third], [second, third], [first, second, third]):
        require_committed(told, bank.line, bank.on_chain())
