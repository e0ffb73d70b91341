"""An independent, naive model of the money, written from the voucher law, not from `node/ledger`.

It replays the commands that a chain says were OK and keeps who owns which fen of which voucher in
plain lists, without indexes, caches or trees. It shares wire types with the node and no rule. What it
cannot follow, or what does not add up, it reports as a sentence; `tally audit` compares its end with
the node's state. Deliberately slow and simple: every question is answered by looking at everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire, decode
from tallynet.envelope import Envelope
from tallynet.receipts import CommandReceipt, EnvelopeReceipt, Event, PrologueReceipt
from tools.money_limits import NO_CHARGE, Charge, Limits, Mismatch

LATE: Final = ("OVERDUE", "DEFAULTED", "WRITTEN_OFF")
SOLD: Final = (r.FinancingKind.SALE, r.FinancingKind.EARLY_PAY)
OPEN: Final = ("PENDING", "HELD", "TRANSFER", "FINANCING", "PLEDGED")
STATE_NAMES: Final = {
    r.LotState.PENDING_CLAIM: "PENDING",
    r.LotState.HELD: "HELD",
    r.LotState.TRANSFER_PENDING: "TRANSFER",
    r.LotState.FINANCING_PENDING: "FINANCING",
    r.LotState.PLEDGED: "PLEDGED",
    r.LotState.REDEEMED: "REDEEMED",
    r.LotState.CANCELLED: "CANCELLED",
}


@dataclass(slots=True)
class Part:
    """A range of one voucher with one holder."""

    start: int
    end: int
    holder: bytes
    state: str
    hops: int = 0
    by: str = "ISSUE"
    covered: int = 0
    lien: bytes = b""
    to: bytes = b""
    since: int = 0
    flags: frozenset[str] = frozenset()
    counted: bool = False
    """Bought under the holder's open line on the debtor."""

    def same_kind(self, other: Part) -> bool:
        """Equal in everything that voucher law §7 compares before joining two ranges."""
        return (
            (self.holder, self.state, self.hops, self.by, self.flags, self.counted)
            == (other.holder, other.state, other.hops, other.by, other.flags, other.counted)
            and not (self.lien or other.lien or self.covered or other.covered)
            and not (self.to or other.to)
        )


@dataclass(slots=True)
class Paper:
    """A voucher."""

    debtor: bytes
    face: int
    maturity: int
    grace_end: int
    deadline: int
    line: bytes
    documents: tuple[r.DocumentUse, ...]
    accept: r.AcceptMode
    deemed_days: int
    currency: str
    status: str
    parts: list[Part]
    funds: int = 0
    paid: int = 0
    programme: bytes = b""
    grace_days: int = 0
    suspended: bool = False

    def at(self, start: int) -> Part:
        for part in self.parts:
            if part.start == start:
                return part
        raise Mismatch(f"no lot starts at {start}")

    def total(self, *states: str) -> int:
        return sum(p.end - p.start for p in self.parts if p.state in states)


@dataclass(slots=True)
class Deal:
    """A draw until it is paid out, a loan until it is repaid."""

    kind: r.FinancingKind
    funder: bytes
    drawer: bytes
    voucher: bytes
    start: int
    amount: int
    offer: bytes | None
    """None: a quote, whose rounding is not carried."""
    numerator: int
    discount: int
    remainder: tuple[bytes, bytes, str, int]
    expires: int
    principal: int = 0
    repaid: int = 0
    live: bool = False
    rate_ppm: int = 0
    accrued_to: int = 0
    accrued: int = 0
    """Fen x ppm x days since the value day."""
    interest_paid: int = 0
    lines: tuple[bytes, ...] = ()
    """The funder's lines that it uses."""
    confirmed: bool = False
    """All that banks pay of it is paid; if its range is held, it takes effect later."""
    allocation: bytes = b""
    """The debtor's to the drawer."""
    charge: Charge = NO_CHARGE
    fund: bytes = b""
    """The pool that pays."""
    agent: bytes = b""
    """Its bank, lender of record."""
    sealed: bytes = b""
    """The commitment to a price that only two sides know; then the discount is not known."""

    @property
    def lender(self) -> bytes:
        return self.agent or self.funder

    @property
    def cash(self) -> int:
        """What the funder pays."""
        return self.principal - self.discount

    @property
    def net(self) -> int:
        """What is paid out."""
        return self.cash - self.charge.deducted(sold=self.sold)

    @property
    def sold(self) -> bool:
        return self.kind in SOLD

    def owed(self, today: int) -> tuple[int, int]:
        """(interest, principal) of a loan: all interest of its life, rounded once, less what was paid."""
        left = self.principal - self.repaid
        self.accrued += left * self.rate_ppm * (today - self.accrued_to)
        self.accrued_to = today
        year = self.remainder[3] * 1_000_000
        return (2 * self.accrued + year) // (2 * year) - self.interest_paid, left


@dataclass(slots=True)
class Cover:
    """A guarantee."""

    guarantor: bytes
    terms: c.GuaranteeIssue
    called: int = 0
    released: bool = False


@dataclass(slots=True)
class Goods:
    """A warehouse receipt: so many units stored, so many of them pledged."""

    owner: bytes
    value: int
    stored: int
    pledged: int = 0
    begun: int = 0
    """Pledged at the beginning of the pledge."""
    loan: bytes = b""
    advance: int = 0
    shipped: bool = False
    """By the maker that the loan paid."""


@dataclass(slots=True)
class Short:
    """What the goods of a prepayment do not carry."""

    since: int
    deadline: int | None = None
    amount: int = 0


@dataclass(slots=True)
class Pool:
    """A backstop."""

    shares: tuple[r.BackstopShare, ...]
    terms: c.BackstopCreate
    drawn: int = 0


@dataclass(slots=True)
class Resale:
    """A rediscount until it is paid."""

    seller: bytes
    buyer: bytes
    voucher: bytes
    amount: int
    price: int
    lapses: int
    expires: int = 0
    """Header time; 0 before the buyer accepts."""
    instruction: bytes = b""
    confirmed: bool = False
    """Paid, but the range is held: it moves later."""
    line: bytes = b""
    """The buyer's, if it is open and counts the range."""


@dataclass(slots=True)
class Ask:
    """A request for quotes."""

    holder: bytes
    voucher: bytes
    amount: int
    lapses: int
    quotes: dict[bytes, c.FinancingQuote | c.FinancingQuoteSealed] = field(default_factory=dict)
    lines: dict[bytes, tuple[r.LineKind, ...]] = field(default_factory=dict)
    """By funder, the open lines that its quote will use."""


@dataclass(slots=True)
class Hold:
    """A freeze or dispute in force."""

    flag: str
    ranges: list[tuple[bytes, int, int]]
    """Voucher, start, end; none: everything that `organisation` has."""
    organisation: bytes = b""
    last: int = 2**40
    """Last day."""


class Papers(dict[bytes, Paper]):
    """Vouchers by id. Who is asked for by name is looked at again when the block is over: with a hundred
    thousand of them, looking at all after every block would take the audit of a chain longer than the chain."""

    touched: set[bytes]

    def __new__(cls) -> Papers:
        papers = super().__new__(cls)
        papers.touched = set()  # before a copy or a pickle is filled
        return papers

    def __getitem__(self, voucher: bytes) -> Paper:
        self.touched.add(voucher)
        return super().__getitem__(voucher)

    def __setitem__(self, voucher: bytes, paper: Paper) -> None:
        self.touched.add(voucher)
        super().__setitem__(voucher, paper)


@dataclass(slots=True)
class Model(Limits):
    """The whole money of one network."""

    working: dict[int, bool] = field(default_factory=dict)
    programmes: dict[bytes, c.ProgrammeRules] = field(default_factory=dict)
    documents: dict[bytes, list[int]] = field(default_factory=dict)
    """id -> [total, occupied]."""
    papers: Papers = field(default_factory=Papers)
    offers: dict[bytes, tuple[bytes, c.OfferCreate]] = field(default_factory=dict)
    offer_used: dict[bytes, int] = field(default_factory=dict)
    remainders: dict[tuple[bytes, bytes, str, int], int] = field(default_factory=dict)
    deals: dict[bytes, Deal] = field(default_factory=dict)
    asks: dict[bytes, Ask] = field(default_factory=dict)
    """Open requests for quotes."""
    drawn_from: dict[bytes, bytes] = field(default_factory=dict)
    """Financing -> funder, where AUTO chose."""
    payouts: dict[bytes, bytes] = field(default_factory=dict)
    """Pay-out instruction -> financing."""
    sent: set[bytes] = field(default_factory=set)
    """Pay-out instructions that are on their way: maturity no longer cancels their draws."""
    repayments: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    """Repayment instruction -> financing, amount."""
    settlements: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    """Settlement instruction -> voucher, start of the lot."""
    covers: dict[bytes, Cover] = field(default_factory=dict)
    calls: dict[tuple[bytes, int], tuple[bytes, int]] = field(default_factory=dict)
    """Voucher and start of a lot -> guarantee called for it, amount."""
    goods: dict[bytes, Goods] = field(default_factory=dict)
    orders: dict[bytes, tuple[bytes, c.PrepaymentRequest]] = field(default_factory=dict)
    """Prepayment -> distributor, request."""
    refunds: dict[bytes, bytes] = field(default_factory=dict)
    """Refund instruction of a maker -> the loan it repays."""
    order_of_loan: dict[bytes, bytes] = field(default_factory=dict)
    advances: dict[bytes, int] = field(default_factory=dict)
    """By prepayment loan, bps of the goods' value."""
    shorts: dict[bytes, Short] = field(default_factory=dict)
    """By loan."""
    buybacks: dict[bytes, int] = field(default_factory=dict)
    """Loan -> what its maker has to pay."""
    buyback_orders: dict[bytes, bytes] = field(default_factory=dict)
    """Instruction to a maker -> loan."""
    pools: dict[bytes, Pool] = field(default_factory=dict)
    parts_of_loans: dict[bytes, tuple[bytes, bytes, int]] = field(default_factory=dict)
    """Open instruction to a bank of a pool -> backstop loan, bank, amount."""
    resales: dict[bytes, Resale] = field(default_factory=dict)
    """Open rediscounts, by financing."""
    penalties: set[bytes] = field(default_factory=set)
    """Penalty instructions: no face is paid by them."""
    receipts_used: set[tuple[bytes, bytes]] = field(default_factory=set)
    holds: dict[bytes, Hold] = field(default_factory=dict)
    closing: dict[tuple[bytes, str], tuple[int, int]] = field(default_factory=dict)
    """What debtors owed at the end of the day before this one."""
    barred: set[tuple[str, bytes]] = field(default_factory=set)
    """(why, debtor): blocked by others, or in distress by its own word."""
    parents: dict[bytes, bytes] = field(default_factory=dict)
    """Branch -> what it is a branch of."""
    branches: dict[bytes, r.BranchStatus] = field(default_factory=dict)

    # --- days ---------------------------------------------------------------------------------

    def roll(self, day: int) -> int:
        """The next working day; 1970-01-01 was a Thursday."""
        while not self.working.get(day, (day + 3) % 7 < 5):
            day += 1
        return day

    # --- blocks -------------------------------------------------------------------------------

    def block(
        self,
        prologue: PrologueReceipt,
        envelopes: Sequence[Envelope],
        receipts: Sequence[EnvelopeReceipt],
        events: Iterable[Event],
    ) -> None:
        """Replay one block. Raises Mismatch."""
        self.time = prologue.time
        if not 0 <= prologue.business_date - self.today <= 1:
            raise Mismatch("the business date moved by more than a day in one block")
        rolled = prologue.business_date > self.today
        if rolled:
            self.closing = self.owed()
        self.today = prologue.business_date
        if rolled:
            self._roll_flows()
        self._learn_instructions(events)
        before = self.papers.touched
        self.papers.touched = set()
        self._by_themselves(list(self.papers) if rolled else sorted(before))
        for envelope, receipt in zip(envelopes, receipts, strict=True):
            if receipt.transaction != envelope.transaction:
                raise Mismatch("receipt of another transaction")
            for command, result in zip(envelope.body.commands, receipt.commands, strict=False):
                if result.code == "OK":
                    self._apply(envelope.body.organisation, command, result)
        self._check(self.papers if rolled else self.papers.touched)

    def _learn_instructions(self, events: Iterable[Event]) -> None:
        """Ids of settlement and fee instructions come from the log; what they may pay does not."""
        for event in events:
            if event.type == "system.settlement.open":
                self.settlements[event.reference] = (event.subject, event.start)
            elif event.type == "system.reconciliation.anchor":
                self._check_anchor(event)
            elif event.type == "prepayment.refund":
                self.refunds[event.reference] = event.subject
            elif event.type == "warehouse.buyback.call":
                self.buyback_orders[event.reference] = event.subject
            elif event.type == "settlement.penalty":
                self.penalties.add(event.reference)
            elif event.type == "financing.fee":
                self.fees_ordered.setdefault(event.reference, []).append(event.subject)
            if event.type == "financing.draw" and event.target is not None:
                self.drawn_from[event.reference] = event.target

    def owed(self) -> dict[tuple[bytes, str], tuple[int, int]]:
        """(number of vouchers, sum) that each debtor has left to pay, by currency."""
        found: dict[tuple[bytes, str], tuple[int, int]] = {}
        for paper in self.papers.values():
            if paper.status == "PENDING":
                continue
            left = paper.face - paper.total("REDEEMED", "CANCELLED")
            count, total = found.get((paper.debtor, paper.currency), (0, 0))
            found[paper.debtor, paper.currency] = (count + bool(left), total + left)
        return found

    def _check_anchor(self, event: Event) -> None:
        """An anchor says what was owed when the day ended, whenever it is made."""
        sums = {total for (debtor, _), (_, total) in self.closing.items() if debtor == event.source}
        if event.amount not in sums:
            raise Mismatch("an anchor has another sum than the vouchers of its debtor")

    def _by_themselves(self, vouchers: Iterable[bytes]) -> None:
        """Everything that time alone does: to a voucher when the date has changed, or the block before."""
        for hold_id, hold in sorted(self.holds.items()):
            if self.today > hold.last:
                self._end_hold(hold_id)
        for deal_id, deal in sorted(self.deals.items()):
            if not deal.live and self.time >= deal.expires:
                if deal.confirmed:
                    self._take_effect_or_wait(deal_id)
                elif deal.kind is r.FinancingKind.BACKSTOP:
                    self._close_draw(deal_id)
                elif deal.kind is r.FinancingKind.PREPAYMENT:
                    self._drop_prepayment(deal_id)
                else:
                    self._undo(deal_id)
        for resale_id, resale in sorted(self.resales.items()):
            late = self.time >= resale.expires if resale.expires else self.today >= resale.lapses
            if late and resale.confirmed:
                self._resell_or_wait(resale_id)
            elif late:
                self._unlock(resale_id)
        for voucher in vouchers:
            self._age(self.papers[voucher])
        for ask_id, ask in sorted(self.asks.items()):
            if self.today >= ask.lapses:
                self._end_ask(ask_id)
        for loan in self.order_of_loan.values():
            self._watch_goods(loan)

    def _age(self, paper: Paper) -> None:
        """What the business date makes of a voucher."""
        if paper.status == "PENDING" and self.today > paper.deadline:
            self._release(paper)
        if paper.status not in ("ACTIVE", "DUE", "OVERDUE", "DEFAULTED", "WRITTEN_OFF"):
            return
        self._lapse(paper)
        if self.today >= paper.maturity and paper.status == "ACTIVE":
            paper.status = "DUE"
            self._at_maturity(paper)
        early = paper.total("REDEEMED") - paper.paid
        unpaid = paper.face - paper.total("CANCELLED") - paper.funds - early > 0
        if self.today > paper.grace_end and paper.status == "DUE" and unpaid:
            paper.status = "OVERDUE"
        after = paper.grace_end + self.parameter("default_after_days")
        if self.today > after and paper.status == "OVERDUE":
            paper.status = "DEFAULTED"

    def _lapse(self, paper: Paper) -> None:
        for part in list(paper.parts):
            if part.state != "TRANSFER":
                continue
            deemed = paper.accept is r.AcceptMode.DEEMED
            days = paper.deemed_days if deemed else self.parameter("transfer_deadline_days") + 1
            if self.today - part.since >= days:
                moves = not (paper.suspended or self._held(part))
                in_time = part.since + days < paper.maturity
                self._finish_transfer(paper, part, accepted=deemed and moves and in_time)

    def _at_maturity(self, paper: Paper) -> None:
        """Range by range from the first, as instructions are opened: what one gives back can join the next."""
        for start in [part.start for part in paper.parts]:
            part = next((part for part in paper.parts if part.start == start), None)
            if part is not None and part.state == "TRANSFER":
                self._finish_transfer(paper, part, accepted=False)
            elif part is not None and part.state == "FINANCING":
                deal = self.deals.get(part.lien)
                if deal is None or deal.kind is not r.FinancingKind.BACKSTOP:
                    self._end_unsent(part.lien)  # a backstop lends on due vouchers too

    def _end_unsent(self, lien: bytes) -> bool:
        """Requests, and money that no bank has sent or paid; True if the range is free of it."""
        if lien in self.asks:
            self._end_ask(lien)
            return True
        if lien in self.resales:
            resale = self.resales[lien]
            if resale.instruction in self.sent or resale.confirmed:
                return False
            self._unlock(lien)
            return True
        deal = self.deals[lien]
        if deal.kind is r.FinancingKind.BACKSTOP:
            self._drop_shares(lien, self.sent)
            return lien not in self.deals
        sent = {deal for instruction, deal in self.payouts.items() if instruction in self.sent}
        if deal.confirmed or lien in sent:
            return False
        self._undo(lien)
        return True

    # --- ranges -------------------------------------------------------------------------------

    def _carve(self, paper: Paper, part: Part, amount: int) -> Part:
        """The last `amount` fen of a part, as a part of its own."""
        length = part.end - part.start
        if not 0 < amount <= length:
            raise Mismatch(f"{amount} of a lot of {length}")
        if amount == length:
            return part
        cut = part.end - amount
        tail = Part(
            cut, part.end, part.holder, part.state, part.hops, part.by, 0, part.lien, part.to,
            part.since, part.flags, part.counted,
        )  # fmt: skip
        part.end = cut
        kept = min(part.covered, part.end - part.start)
        tail.covered, part.covered = part.covered - kept, kept
        paper.parts.append(tail)
        paper.parts.sort(key=lambda p: p.start)
        return tail

    def _join(self, paper: Paper, part: Part) -> None:
        """Join with the right neighbour, then with the left one, if equal."""
        index = paper.parts.index(part)
        if index + 1 < len(paper.parts) and part.same_kind(paper.parts[index + 1]):
            part.end = paper.parts.pop(index + 1).end
        if index and part.same_kind(paper.parts[index - 1]):
            paper.parts[index - 1].end = part.end
            paper.parts.pop(index)

    def _settle_in(self, paper: Paper, part: Part) -> None:
        """Join what a draw had set apart; not after maturity, when instructions name the lots."""
        if paper.status == "ACTIVE":
            self._join(paper, part)

    def _finish_transfer(self, paper: Paper, part: Part, *, accepted: bool) -> None:
        if accepted:
            self._release_exposure(paper, part)
            part.holder, part.hops, part.by = part.to, part.hops + 1, "TRANSFER"
        part.state, part.to, part.since = "HELD", b"", 0
        self._join(paper, part)

    def _release(self, paper: Paper) -> None:
        """A voucher that was never claimed: line and documents are free again."""
        paper.status = "CANCELLED"
        for part in paper.parts:
            part.state = "CANCELLED"
        self.lines[paper.line].reserved -= paper.face
        for use in paper.documents:
            self.documents[use.document][1] -= use.amount

    # --- commands -----------------------------------------------------------------------------

    def _apply(self, by: bytes, command: Wire, result: CommandReceipt) -> None:
        handler = getattr(self, "_do_" + type(command).__name__, None)
        if handler is not None:
            handler(by, command, result)

    def _use_receipt(self, bank: bytes, commitment: bytes) -> None:
        if (bank, commitment) in self.receipts_used:
            raise Mismatch("a bank receipt was used twice (I8)")
        self.receipts_used.add((bank, commitment))

    def _do_ParameterSet(self, by: bytes, command: c.ParameterSet, result: CommandReceipt) -> None:
        if not result.result:  # the consent that executes a joint act carries no k of n
            values = self.parameters.setdefault(command.name, [])
            values.append((command.effective_day, command.value))

    def _do_CalendarSet(self, by: bytes, command: c.CalendarSet, result: CommandReceipt) -> None:
        if not result.result:
            self.working |= {entry.day: entry.working for entry in command.entries}

    # --- who may issue and draw ---------------------------------------------------------------

    def _above(self, organisation: bytes) -> list[bytes]:
        """The organisation and all that it is a branch of."""
        found = [organisation]
        while found[-1] in self.parents:
            found.append(self.parents[found[-1]])
        return found

    def _require_open(self, by: bytes, *shut: r.BranchStatus) -> None:
        if any(self.branches.get(one) in shut for one in self._above(by)):
            raise Mismatch("a closed branch issues or draws, or a restricted one issues")

    def _bar(self, why: str, debtor: bytes, result: CommandReceipt, *, barred: bool) -> None:
        if result.result:
            return  # a consent that does not execute the joint act yet
        if ((why, debtor) in self.barred) is barred:
            raise Mismatch(f"{why} twice, or ended without having begun")
        (self.barred.add if barred else self.barred.discard)((why, debtor))

    def _do_IssuerBlock(self, by: bytes, command: c.IssuerBlock, result: CommandReceipt) -> None:
        self._bar("block", command.organisation, result, barred=True)

    def _do_IssuerUnblock(
        self, by: bytes, command: c.IssuerUnblock, result: CommandReceipt
    ) -> None:
        self._bar("block", command.organisation, result, barred=False)

    def _do_DistressDeclare(
        self, by: bytes, command: c.DistressDeclare, result: CommandReceipt
    ) -> None:
        self._bar("distress", by, result, barred=True)

    def _do_DistressEnd(self, by: bytes, command: c.DistressEnd, result: CommandReceipt) -> None:
        self._bar("distress", by, result, barred=False)

    def _do_BranchCreate(self, by: bytes, command: c.BranchCreate, result: CommandReceipt) -> None:
        branch = self._created(result, r.Kind.ORGANISATION)
        self.parents[branch] = by
        self.people[branch] = self.people.get(by, {}) | {
            r.WaiverScope.REGION: command.region.encode()
        }

    def _do_BranchStatusSet(self, by: bytes, command: c.BranchStatusSet, _: CommandReceipt) -> None:
        self.branches[command.branch] = command.status

    # --- programmes and vouchers --------------------------------------------------------------

    def _do_ProgrammeCreate(
        self, by: bytes, command: c.ProgrammeCreate, result: CommandReceipt
    ) -> None:
        self.programmes[self._created(result, r.Kind.PROGRAMME)] = command.rules

    def _do_ProgrammeUpdate(
        self, by: bytes, command: c.ProgrammeUpdate, result: CommandReceipt
    ) -> None:
        self.programmes[command.programme] = command.rules

    def _do_DocumentRegister(
        self, by: bytes, command: c.DocumentRegister, result: CommandReceipt
    ) -> None:
        for item in result.created:
            if item.kind == r.Kind.DOCUMENT:
                self.documents.setdefault(item.id, [command.total, 0])

    def _do_VoucherIssue(self, by: bytes, command: c.VoucherIssue, result: CommandReceipt) -> None:
        self._require_open(by, r.BranchStatus.CLOSED, r.BranchStatus.RESTRICTED)
        if any(debtor in self._above(by) for _, debtor in self.barred):
            raise Mismatch("a debtor that is blocked or in distress issued")
        rules = self.programmes[command.programme]
        maturity = self.roll(command.maturity)
        voucher = self._created(result, r.Kind.VOUCHER)
        if sum(use.amount for use in command.documents) != command.face:
            raise Mismatch("documents do not add up to the face")
        for use in command.documents:
            self.documents[use.document][1] += use.amount
        self._reserve(command.issue_line, command.face)
        self.papers[voucher] = Paper(
            by, command.face, maturity, self.roll(maturity + rules.grace_days),
            self.today + self.parameter("claim_deadline_days"), command.issue_line,
            command.documents, rules.accept_mode, rules.deemed_days, command.currency, "PENDING",
            [Part(0, command.face, command.payee, "PENDING")], programme=command.programme,
            grace_days=rules.grace_days,
        )  # fmt: skip

    def _do_VoucherClaim(self, by: bytes, command: c.VoucherClaim, _: CommandReceipt) -> None:
        paper = self.papers[command.voucher]
        if paper.status != "PENDING" or paper.parts[0].holder != by:
            raise Mismatch("claimed by somebody else, or twice")
        paper.status = "ACTIVE"
        paper.parts[0].state = "HELD"
        line = self.lines[paper.line]
        line.reserved, line.used = line.reserved - paper.face, line.used + paper.face
        self._age(paper)

    def _do_VoucherReject(self, by: bytes, command: c.VoucherReject, _: CommandReceipt) -> None:
        self._release(self.papers[command.voucher])

    def _do_VoucherWithdraw(self, by: bytes, command: c.VoucherWithdraw, _: CommandReceipt) -> None:
        self._release(self.papers[command.voucher])

    def _do_VoucherCancel(
        self, by: bytes, command: c.VoucherCancel, result: CommandReceipt
    ) -> None:
        if result.result:
            return
        paper = self.papers[command.voucher]
        whole = paper.parts[0]
        if (whole.state, whole.hops, whole.by, whole.lien) != ("HELD", 0, "ISSUE", b""):
            raise Mismatch("a voucher was cancelled that others have rights in")
        if whole.end + paper.total("CANCELLED") != paper.face:
            raise Mismatch("a voucher was cancelled that is not whole")
        whole.state, paper.status = "CANCELLED", "CANCELLED"
        self.lines[paper.line].used -= whole.end
        for use in paper.documents:
            self.documents[use.document][1] -= use.amount

    def _do_VoucherReduce(
        self, by: bytes, command: c.VoucherReduce, result: CommandReceipt
    ) -> None:
        if result.result:
            return
        paper = self.papers[command.voucher]
        amount = sum(use.amount for use in command.documents)
        part = paper.at(command.start)
        if part.state != "HELD" or part.lien or part.flags & {"FROZEN", "DISPUTED"}:
            raise Mismatch("a range was cancelled that others have rights in")
        tail = self._carve(paper, part, amount)
        self._release_exposure(paper, tail)
        tail.state = "CANCELLED"
        self.lines[paper.line].used -= amount
        uses = {use.document: use.amount for use in paper.documents}
        for use in command.documents:
            self.documents[use.document][1] -= use.amount
            uses[use.document] -= use.amount
        if min(uses.values()) < 0:
            raise Mismatch("a document was freed beyond its use (I2)")
        paper.documents = tuple(r.DocumentUse(d, a) for d, a in uses.items() if a)
        self._end_if_nothing_is_open(paper)

    def _do_VoucherExtend(
        self, by: bytes, command: c.VoucherExtend, result: CommandReceipt
    ) -> None:
        if result.result:
            return
        paper = self.papers[command.voucher]
        for part in paper.parts:
            if part.state in OPEN and not self._entitled(part) <= set(command.consenting):
                raise Mismatch("a voucher was extended without a holder's consent")
        for cover in self.covers.values():
            counts = cover.terms.covered == command.voucher and not cover.released
            in_time = self.today <= cover.terms.expiry
            if counts and in_time and cover.guarantor not in command.consenting:
                raise Mismatch("a voucher was extended without a guarantor's consent")
        paper.maturity = self.roll(command.maturity)
        paper.grace_end = self.roll(paper.maturity + paper.grace_days)

    def _entitled(self, part: Part) -> set[bytes]:
        """Its holder, and who lends or pays for it."""
        if part.lien in self.deals:
            deal = self.deals[part.lien]
            return {part.holder, deal.funder, deal.lender}
        if part.lien in self.resales:
            return {part.holder, self.resales[part.lien].buyer}
        return {part.holder}

    def _do_VoucherSuspend(self, by: bytes, command: c.VoucherSuspend, _: CommandReceipt) -> None:
        self.papers[command.voucher].suspended = True

    def _do_VoucherResume(self, by: bytes, command: c.VoucherResume, _: CommandReceipt) -> None:
        self.papers[command.voucher].suspended = False

    @staticmethod
    def _end_if_nothing_is_open(paper: Paper) -> None:
        if paper.total(*OPEN) == 0:
            paper.status = "SETTLED" if paper.total("REDEEMED") else "CANCELLED"

    def _do_LotFlagSet(self, by: bytes, command: c.LotFlagSet, _: CommandReceipt) -> None:
        paper = self.papers[command.voucher]
        part = paper.at(command.start)
        part.flags = part.flags ^ {"NO_TRANSFER"}
        if ("NO_TRANSFER" in part.flags) != command.no_transfer:
            raise Mismatch("a flag was set twice")
        if part.state == "HELD":
            self._join(paper, part)

    def _do_LotMerge(self, by: bytes, command: c.LotMerge, _: CommandReceipt) -> None:
        paper = self.papers[command.voucher]
        self._join(paper, paper.at(command.start))

    def _do_LotTransfer(self, by: bytes, command: c.LotTransfer, _: CommandReceipt) -> None:
        paper = self.papers[command.voucher]
        source = paper.at(command.start)
        if source.holder != by or source.state != "HELD" or paper.status != "ACTIVE":
            raise Mismatch("a transfer of what is not held (I9)")
        if self._held(source) or source.flags or paper.suspended:
            raise Mismatch("a transfer of what may not move (I6)")
        for piece in command.pieces:
            part = self._carve(paper, source, piece.amount)
            if paper.accept is r.AcceptMode.IMMEDIATE:
                self._release_exposure(paper, part)
                part.holder, part.hops, part.by = piece.receiver, part.hops + 1, "TRANSFER"
                self._join(paper, part)
            else:
                part.state, part.to, part.since = "TRANSFER", piece.receiver, self.today

    def _end_transfer(self, by: bytes, command: Any, *, accepted: bool) -> None:
        paper = self.papers[command.voucher]
        part = paper.at(command.start)
        if part.state != "TRANSFER":
            raise Mismatch("no transfer is pending")
        self._finish_transfer(paper, part, accepted=accepted)

    def _do_LotAccept(self, by: bytes, command: c.LotAccept, _: CommandReceipt) -> None:
        self._end_transfer(by, command, accepted=True)

    def _do_LotDecline(self, by: bytes, command: c.LotDecline, _: CommandReceipt) -> None:
        self._end_transfer(by, command, accepted=False)

    def _do_LotRecall(self, by: bytes, command: c.LotRecall, _: CommandReceipt) -> None:
        self._end_transfer(by, command, accepted=False)

    def _do_OfferCreate(self, by: bytes, command: c.OfferCreate, result: CommandReceipt) -> None:
        self.offers[self._created(result, r.Kind.OFFER)] = (by, command)

    def _do_FinancingDraw(
        self, by: bytes, command: c.FinancingDraw, result: CommandReceipt
    ) -> None:
        amount = command.amount
        self._draw(by, command.offer, command.voucher, command.start, amount, result)

    def _do_FinancingDrawBatch(
        self, by: bytes, command: c.FinancingDrawBatch, result: CommandReceipt
    ) -> None:
        amount = sum(one.amount for one in command.draws)
        self._draw(by, command.offer, command.voucher, command.start, amount, result)

    def _draw(
        self,
        by: bytes,
        offer_id: bytes | None,
        voucher: bytes,
        start: int,
        amount: int,
        result: CommandReceipt,
    ) -> None:
        if offer_id is not None and not self.offers[offer_id][1].automatic:
            self._ask(by, voucher, start, amount, result)
            return
        self._require_open(by, r.BranchStatus.CLOSED)
        paper = self.papers[voucher]
        part = self._take(by, paper, start, amount)
        financing = self._created(result, r.Kind.FINANCING)
        days = paper.maturity - self.today
        if offer_id is None:
            chosen = self.drawn_from.get(financing)
            offer_id = self._offer_of(paper.debtor, amount, result.result, days, chosen)
        funder, offer = self.offers[offer_id]
        if self._stopped(offer, paper.debtor):
            raise Mismatch("a draw while the debtor's flow has collapsed")
        rate = next(band for band in offer.grid if days <= band.days_max)
        key = (funder, by, offer.currency, offer.basis)
        denominator = offer.basis * 1_000_000
        numerator, discount, principal = 0, 0, amount * rate.advance_bps // 10_000
        if offer.kind in SOLD:
            numerator, principal = amount * rate.rate_ppm * days, amount
            total = numerator + self.remainders.get(key, 0)
            discount = max(0, total // denominator)
            self.remainders[key] = total - discount * denominator
        self.offer_used[offer_id] = self.offer_used.get(offer_id, 0) + amount
        deal = Deal(
            offer.kind, funder, by, voucher, part.start, amount, offer_id, numerator, discount, key,
            0, principal, rate_ppm=rate.rate_ppm, fund=offer.source or b"",
        )  # fmt: skip
        self._open_deal(financing, deal, part, offer.lines_required, result)

    def _take(self, by: bytes, paper: Paper, start: int, amount: int) -> Part:
        """What a draw or a request sets apart."""
        source = paper.at(start)
        if source.holder != by or source.state != "HELD" or source.lien or paper.status != "ACTIVE":
            raise Mismatch("a draw on what is not held (I9)")
        if self._held(source) or paper.suspended:
            raise Mismatch("a draw on what may not move (I6)")
        return self._carve(paper, source, amount)

    def _open_deal(
        self,
        financing: bytes,
        deal: Deal,
        part: Part,
        lines: Sequence[r.LineKind],
        result: CommandReceipt,
    ) -> None:
        """The range is locked until the money is confirmed, the lines are reserved."""
        paper = self.papers[deal.voucher]
        deal.charge = self._charge(paper.programme, paper.debtor, deal.drawer, deal.amount)
        given = (*result.result[:2], *result.result[4:])
        known = (deal.discount, 0 if deal.sealed else deal.net, deal.charge.drawer)
        if given != known:
            raise Mismatch(f"discount, net and fee {given}, the model has {known} (I16)")
        self._count_waiver(deal.charge, 1)
        part.state, part.lien = "FINANCING", financing
        deal.expires = self.time + self.parameter("payout_timeout_seconds")
        deal.accrued_to = self.today
        debtor, currency = paper.debtor, paper.currency
        for kind in lines:
            if kind is r.LineKind.BORROWER and deal.sold:
                continue
            obligor = debtor if kind is r.LineKind.DEBTOR_EXPOSURE else deal.drawer
            line = self.line_of[kind, deal.funder, obligor, currency]
            self._reserve(line, deal.principal)
            deal.lines += (line,)
        allocation = (r.LineKind.ALLOCATION, debtor, deal.drawer, currency)
        if allocation in self.line_of:
            deal.allocation = self.line_of[allocation]
            self._reserve(deal.allocation, deal.amount)
        if deal.fund:
            deal.agent = self.funds[deal.fund].agent
            self.funds[deal.fund].reserved += deal.cash
        self.deals[financing] = deal
        self.payouts[self._created(result, r.Kind.INSTRUCTION)] = financing

    def _offer_of(
        self,
        debtor: bytes,
        amount: int,
        result: tuple[int, ...],
        days: int,
        funder: bytes | None,
    ) -> bytes:
        """Which offer an AUTO draw took: the log names the funder and the receipt the rate, ties go by
        offer id (C16)."""
        for offer_id, (offered_by, offer) in sorted(self.offers.items()):
            is_open = (
                offer_id not in self.revoked
                and offer.valid_from <= self.today <= offer.valid_to
                and offer.automatic
                and not self._stopped(offer, debtor)
            )
            fits = (
                funder in (None, offered_by)
                and offer.draw_min <= amount <= offer.draw_max
                and self.offer_used.get(offer_id, 0) + amount <= offer.total_cap
                and self._funded(offer, amount, result[0], days)
            )
            band = next((b for b in offer.grid if days <= b.days_max), None)
            rate = band is not None and band.rate_ppm == result[2]
            if is_open and fits and rate and (offer.kind in SOLD or result[0] == 0):
                return offer_id
        raise Mismatch(f"no offer fits an AUTO draw at {result[2]} ppm")

    # --- requests for quotes ----------------------------------------------------------------------

    def _ask(
        self, by: bytes, voucher: bytes, start: int, amount: int, result: CommandReceipt
    ) -> None:
        part = self._take(by, self.papers[voucher], start, amount)
        ask = self._created(result, r.Kind.FINANCING_REQUEST)
        part.state, part.lien = "FINANCING", ask
        lapses = self.today + self.parameter("request_expiry_days")
        self.asks[ask] = Ask(by, voucher, amount, lapses)

    def _end_ask(self, ask_id: bytes) -> None:
        self._free_parts(self.asks.pop(ask_id).voucher, ask_id)

    def _do_FinancingRequestOpen(
        self, by: bytes, command: c.FinancingRequestOpen, result: CommandReceipt
    ) -> None:
        self._ask(by, command.voucher, command.start, command.amount, result)

    def _do_FinancingQuote(self, by: bytes, command: c.FinancingQuote, _: CommandReceipt) -> None:
        self._take_quote(by, command, command.kind)

    def _take_quote(
        self, by: bytes, command: c.FinancingQuote | c.FinancingQuoteSealed, sort: r.FinancingKind
    ) -> None:
        ask = self.asks[command.request]
        if by in ask.quotes or command.amount != ask.amount:
            raise Mismatch("a second quote, or one for another amount")
        ask.quotes[by] = command
        paper = self.papers[ask.voucher]
        sides = {r.LineKind.DEBTOR_EXPOSURE: paper.debtor, r.LineKind.BORROWER: ask.holder}
        ask.lines[by] = tuple(
            kind
            for kind in command.lines
            if not (kind is r.LineKind.BORROWER and sort in SOLD)
            and not self._take_use(kind, by, sides[kind], paper.currency, command.request)
        )

    def _do_FinancingCancel(self, by: bytes, command: c.FinancingCancel, _: CommandReceipt) -> None:
        if self.asks[command.request].holder != by:
            raise Mismatch("a request was cancelled by somebody else")
        self._end_ask(command.request)

    def _do_FinancingAccept(
        self, by: bytes, command: c.FinancingAccept, result: CommandReceipt
    ) -> None:
        ask = self.asks.pop(command.request)
        quote = ask.quotes[command.funder]
        if isinstance(quote, c.FinancingQuoteSealed):
            raise Mismatch("a sealed quote was accepted as an open one")
        if ask.holder != by or self.today > quote.valid_to:
            raise Mismatch("a quote accepted by somebody else, or too late")
        paper, (part,) = self._parts_of(ask.voucher, command.request)
        if self._held(part) or paper.suspended:
            raise Mismatch("a quote was accepted for what may not move (I6)")
        year = quote.basis * 1_000_000
        discount, principal = 0, ask.amount * quote.advance_bps // 10_000
        if quote.kind in SOLD:
            cost = ask.amount * quote.rate_ppm * (paper.maturity - self.today)
            discount = (2 * cost + year) // (2 * year)
        key = (command.funder, by, paper.currency, quote.basis)
        deal = Deal(
            quote.kind, command.funder, by, ask.voucher, part.start, ask.amount, None, 0, discount,
            key, 0, principal, rate_ppm=quote.rate_ppm,
        )  # fmt: skip
        financing = self._created(result, r.Kind.FINANCING)
        self._open_deal(financing, deal, part, ask.lines[command.funder], result)

    # --- prices that only two sides know ----------------------------------------------------------

    def _do_FinancingQuoteSealed(
        self, by: bytes, command: c.FinancingQuoteSealed, _: CommandReceipt
    ) -> None:
        self._take_quote(by, command, r.FinancingKind.SALE)

    def _do_FinancingAcceptSealed(
        self, by: bytes, command: c.FinancingAcceptSealed, result: CommandReceipt
    ) -> None:
        """The face is sold and counted; what is paid for it is in the commitment alone (I15)."""
        ask = self.asks.pop(command.request)
        quote = ask.quotes[command.funder]
        if not isinstance(quote, c.FinancingQuoteSealed):
            raise Mismatch("an open quote was accepted as a sealed one")
        if ask.holder != by or self.today > quote.valid_to or command.value_day != self.today:
            raise Mismatch("a quote accepted by somebody else, or on another day")
        if command.terms_commitment != quote.terms_commitment:
            raise Mismatch("both sides signed for different terms (I15)")
        paper, (part,) = self._parts_of(ask.voucher, command.request)
        if self._held(part) or paper.suspended:
            raise Mismatch("a quote was accepted for what may not move (I6)")
        deal = Deal(
            r.FinancingKind.SALE, command.funder, by, ask.voucher, part.start, ask.amount, None, 0,
            0, (command.funder, by, paper.currency, 0), 0, ask.amount, sealed=command.price_commitment,
        )  # fmt: skip
        financing = self._created(result, r.Kind.FINANCING)
        self._open_deal(financing, deal, part, ask.lines[command.funder], result)

    def _do_PayoutConfirmSealed(
        self, by: bytes, command: c.PayoutConfirmSealed, _: CommandReceipt
    ) -> None:
        self._use_receipt(by, command.receipt_commitment)
        deal_id = self.payouts.pop(command.instruction)
        deal = self.deals[deal_id]
        if not deal.sealed or command.price_commitment != deal.sealed:
            raise Mismatch("another price was paid than was agreed on (I15)")
        if by != deal.funder or command.face != deal.amount:
            raise Mismatch("a sealed price was confirmed by another bank, or for another range")
        deal.confirmed = True
        self._take_effect_or_wait(deal_id)

    def _do_OfferRevoke(self, by: bytes, command: c.OfferRevoke, _: CommandReceipt) -> None:
        del by
        self.revoked.add(command.offer)

    def _parts_of(self, voucher: bytes, lien: bytes) -> tuple[Paper, list[Part]]:
        paper = self.papers[voucher]
        parts = [part for part in paper.parts if part.lien == lien]
        if not parts:
            raise Mismatch("a financing or request without its lot (I5)")
        return paper, parts

    def _free_parts(self, voucher: bytes, lien: bytes) -> None:
        """What a draw, a request or a rediscount had locked is its holder's again."""
        paper, parts = self._parts_of(voucher, lien)
        for part in parts:
            part.state, part.lien = "HELD", b""
            self._settle_in(paper, part)

    def _do_InstructionSend(self, by: bytes, command: c.InstructionSend, _: CommandReceipt) -> None:
        del by
        self.sent.add(command.instruction)

    def _do_PayoutConfirm(self, by: bytes, command: c.PayoutConfirm, _: CommandReceipt) -> None:
        self._use_receipt(by, command.receipt_commitment)
        if command.instruction in self.parts_of_loans:
            self._part_paid(by, command)
            return
        deal_id = self.payouts.pop(command.instruction)
        deal = self.deals[deal_id]
        if deal.kind is r.FinancingKind.PREPAYMENT:
            if (by, command.amount) != (deal.funder, deal.principal):
                raise Mismatch("another bank paid, or another amount")
            self._use_lines(deal)
            deal.live = True
            return
        if deal.sealed or command.amount != deal.net:
            raise Mismatch("another amount was paid out")
        deal.confirmed = True
        self._take_effect_or_wait(deal_id)

    def _take_effect_or_wait(self, deal_id: bytes) -> None:
        """What the banks have paid takes effect, unless a part of the range may not move."""
        deal = self.deals[deal_id]
        _, parts = self._parts_of(deal.voucher, deal_id)
        if any(self._held(part) for part in parts):
            deal.expires = self.time + self.parameter("payout_timeout_seconds")
        else:
            self._take_effect(deal_id)

    def _take_effect(self, deal_id: bytes) -> None:
        deal = self.deals[deal_id]
        paper, parts = self._parts_of(deal.voucher, deal_id)
        self._use_lines(deal)
        self._order_fee(deal.charge, self.fees_ordered.pop(deal_id, []))
        if not deal.sold:
            deal.live = True
            for part in parts:
                part.state = "PLEDGED"
            return
        freed = 0
        for part in parts:
            part.lien = b""
            self._release_exposure(paper, part)
            if deal.kind is r.FinancingKind.SALE:
                part.state, part.holder, part.by = "HELD", deal.funder, "SALE"
                key = (r.LineKind.DEBTOR_EXPOSURE, deal.funder, paper.debtor, paper.currency)
                part.counted = self.line_of.get(key) in deal.lines
                self._settle_in(paper, part)
            else:
                freed += part.covered
                part.state, part.covered = "REDEEMED", 0
                self.lines[paper.line].used -= part.end - part.start
                self._join(paper, part)
        paper.funds -= self._cover(paper, freed)
        del self.deals[deal_id]
        self._end_if_nothing_is_open(paper)

    def _do_PayoutFail(self, by: bytes, command: c.PayoutFail, _: CommandReceipt) -> None:
        if command.instruction in self.parts_of_loans:
            deal_id = self.parts_of_loans.pop(command.instruction)[0]
            self._finish_pool_draw(deal_id)
            return
        if self.deals[self.payouts[command.instruction]].kind is r.FinancingKind.PREPAYMENT:
            self._drop_prepayment(self.payouts.pop(command.instruction))
            return
        self._undo(self.payouts[command.instruction])

    def _undo(self, deal_id: bytes) -> None:
        deal = self.deals[deal_id]
        self._free_parts(deal.voucher, deal_id)
        for line in deal.lines:
            self.lines[line].reserved -= deal.principal
        if deal.allocation:
            self.lines[deal.allocation].reserved -= deal.amount
        if deal.fund:
            self.funds[deal.fund].reserved -= deal.cash
        self._count_waiver(deal.charge, -1)
        if deal.kind is r.FinancingKind.BACKSTOP:
            self.pools[deal.offer or b""].drawn -= deal.principal
        elif deal.offer is not None:
            denominator = deal.remainder[3] * 1_000_000
            if deal.sold:
                self.remainders[deal.remainder] -= deal.numerator - deal.discount * denominator
            self.offer_used[deal.offer] -= deal.amount
        self.payouts = {i: d for i, d in self.payouts.items() if d != deal_id}
        del self.deals[deal_id]

    def _do_FinancingRepay(
        self, by: bytes, command: c.FinancingRepay, result: CommandReceipt
    ) -> None:
        if command.amount > self._unannounced(by, command.financing):
            raise Mismatch("more is repaid than is owed")
        instruction = self._created(result, r.Kind.INSTRUCTION)
        self.repayments[instruction] = (command.financing, command.amount)

    def _do_RecourseRepurchase(
        self, by: bytes, command: c.RecourseRepurchase, result: CommandReceipt
    ) -> None:
        instruction = self._created(result, r.Kind.INSTRUCTION)
        left = self._unannounced(by, command.financing)
        self.repayments[instruction] = (command.financing, left)

    def _unannounced(self, by: bytes, financing: bytes) -> int:
        """What the borrower of a loan still has to announce as repaid."""
        deal = self.deals[financing]
        if deal.drawer != by or not deal.live:
            raise Mismatch("a repayment by somebody else, or of nothing")
        announced = sum(amount for id, amount in self.repayments.values() if id == financing)
        return sum(deal.owed(self.today)) - announced

    def _do_FinancingEnforce(
        self, by: bytes, command: c.FinancingEnforce, _: CommandReceipt
    ) -> None:
        deal = self.deals[command.financing]
        paper, parts = self._parts_of(deal.voucher, command.financing)
        for part in parts:
            if deal.lender != by or part.state != "PLEDGED" or self.today <= paper.grace_end:
                raise Mismatch("enforced by somebody else, too early, or twice (I9)")
            if self._held(part) or part.holder != deal.drawer:
                raise Mismatch("enforced what is held, or what a court gave away (I6)")
            self._release_exposure(paper, part)
            part.state, part.holder = "HELD", by

    def _do_InstructionConfirm(
        self, by: bytes, command: c.InstructionConfirm, _: CommandReceipt
    ) -> None:
        self._use_receipt(by, command.receipt_commitment)
        if self.fee_orders.pop(command.instruction, command.amount) != command.amount:
            raise Mismatch("a fee was paid in another amount than was charged")
        loan = self.refunds.pop(command.instruction, b"")
        if loan in self.deals:
            self._repaid(loan, command.amount)

    def _do_InstructionFail(
        self, _by: bytes, command: c.InstructionFail, _: CommandReceipt
    ) -> None:
        self.repayments.pop(command.instruction, None)

    def _do_RepayConfirm(self, by: bytes, command: c.RepayConfirm, result: CommandReceipt) -> None:
        self._use_receipt(by, command.receipt_commitment)
        deal_id, amount = self.repayments.pop(command.instruction)
        interest, principal, surplus = self._repaid(deal_id, amount)
        if surplus or command.amount != amount or result.result[:2] != (interest, principal):
            raise Mismatch(f"repaid {result.result[:2]}, the model has {interest, principal} (I16)")

    def _repaid(self, deal_id: bytes, amount: int) -> tuple[int, int, int]:
        """Money for a lender: interest, then principal, the rest is the borrower's; repaid in full, what is
        still pledged is free."""
        deal = self.deals[deal_id]
        owed = deal.owed(self.today)
        interest = min(amount, owed[0])
        principal = min(amount - interest, owed[1])
        deal.interest_paid += interest
        deal.repaid += principal
        if deal.kind is r.FinancingKind.BACKSTOP:
            self.pools[deal.offer or b""].drawn -= principal
        for line in deal.lines:  # what was bought beside the line may have freed it already
            self.lines[line].used -= principal
        if deal.fund:
            self.funds[deal.fund].drawn -= principal
        if interest + principal == sum(owed):
            paper = self.papers.get(deal.voucher)
            for part in [part for part in paper.parts if part.lien == deal_id] if paper else []:
                if part.holder == deal.lender:
                    part.holder = deal.drawer
                part.state, part.lien = "HELD", b""
                self._settle_in(self.papers[deal.voucher], part)
            del self.deals[deal_id]
        self._watch_goods(deal_id)
        return interest, principal, amount - interest - principal

    def _do_FundsReceived(self, by: bytes, command: c.FundsReceived, _: CommandReceipt) -> None:
        self._use_receipt(by, command.receipt_commitment)
        paper = self.papers[command.voucher]
        if self._cover(paper, command.face_part):
            raise Mismatch("more money than open face (I13)")
        paper.funds += command.face_part
        self._share_penalty(paper, command.penalty_part)

    @staticmethod
    def _cover(paper: Paper, amount: int) -> int:
        """Money of the debtor for what is not covered yet; returns what is too much."""
        open_parts = [part for part in paper.parts if part.state in OPEN]
        weights = [part.end - part.start - part.covered for part in open_parts]
        needed = min(amount, sum(weights))
        for part, share in zip(open_parts, shares(needed, weights), strict=True):
            part.covered += share
        return amount - needed

    def _share_penalty(self, paper: Paper, amount: int) -> None:
        """By length over all ranges that were not cancelled; a pledged range's share serves its loan."""
        parts = [part for part in paper.parts if part.state != "CANCELLED"]
        given = shares(amount, [part.end - part.start for part in parts])
        for part, share in zip(parts, given, strict=True):
            loan = self.deals.get(part.lien)
            if share and loan is not None and loan.live and not self._held(part):
                self._repaid(part.lien, share)

    def _do_SettlementPaid(self, by: bytes, command: c.SettlementPaid, _: CommandReceipt) -> None:
        self._pay(by, command, escrow=False)

    def _do_SettlementEscrow(
        self, by: bytes, command: c.SettlementEscrow, _: CommandReceipt
    ) -> None:
        self._pay(by, command, escrow=True)

    def _pay(
        self, by: bytes, command: c.SettlementPaid | c.SettlementEscrow, *, escrow: bool
    ) -> None:
        self._use_receipt(by, command.receipt_commitment)
        if command.instruction in self.penalties:
            return
        voucher, start = self.settlements[command.instruction]
        paper = self.papers[voucher]
        part = paper.at(start)
        if (self._held(part) == "FROZEN") != escrow or (self._held(part) and not escrow):
            raise Mismatch("a frozen lot is paid into escrow, and no other (I6)")
        if command.amount > part.covered:
            raise Mismatch("paid beyond the debtor's funds (I13)")
        part.covered -= command.amount
        left, part.covered = part.covered, 0
        tail = self._carve(paper, part, command.amount)
        if tail is not part:
            part.covered = left
        lender = tail.lien
        self._release_exposure(paper, tail)
        tail.state, tail.lien = "REDEEMED", b""
        tail.flags -= {"FROZEN", "DISPUTED"}
        self._join(paper, tail)
        if lender and not escrow:
            self._repaid(lender, command.amount)
            self._end_with_range(lender)
        paper.paid += command.amount
        self.lines[paper.line].used -= command.amount
        self._end_if_nothing_is_open(paper)

    def _do_SettlementNet(
        self, by: bytes, command: c.SettlementNet, result: CommandReceipt
    ) -> None:
        if result.result:
            return
        gains: dict[bytes, int] = {}
        for leg in command.legs:
            paper = self.papers[leg.voucher]
            part = paper.at(leg.start)
            if part.state != "HELD" or part.lien or self._held(part):
                raise Mismatch("a range was netted that others have rights in (I6)")
            if (leg.voucher, leg.start) in self.calls or paper.status in ("PENDING", "ACTIVE"):
                raise Mismatch("a range was netted that is not due, or called from a guarantor")
            if leg.amount > part.end - part.start - part.covered:
                raise Mismatch("a range was netted that the debtor has funded")
            for party, sign in ((part.holder, -1), (paper.debtor, 1)):
                gains[party] = gains.get(party, 0) + sign * leg.amount
            tail = self._carve(paper, part, leg.amount)
            tail.state = "REDEEMED"
            self._release_exposure(paper, tail)
            self._join(paper, tail)
            self.lines[paper.line].used -= leg.amount
            self._end_if_nothing_is_open(paper)
        days = {
            (self.papers[leg.voucher].maturity, self.papers[leg.voucher].currency)
            for leg in command.legs
        }
        if any(gains.values()) or len(days) > 1:
            raise Mismatch("netting made somebody richer, or joined days or currencies")

    def _do_SettlementWriteOff(
        self, by: bytes, command: c.SettlementWriteOff, _: CommandReceipt
    ) -> None:
        paper = self.papers[command.voucher]
        still_open = [part for part in paper.parts if part.state in OPEN]
        for part in still_open:
            if part.holder == by:
                part.flags |= {"WRITTEN_OFF"}
        if paper.status != "DEFAULTED":
            raise Mismatch("only what is in default is written off")
        if all("WRITTEN_OFF" in part.flags for part in still_open):
            paper.status = "WRITTEN_OFF"

    # --- holds --------------------------------------------------------------------------------

    def _held(self, part: Part) -> str:
        """Why a part may not move, or nothing."""
        whole = any(
            not hold.ranges and hold.organisation == part.holder and self.today <= hold.last
            for hold in self.holds.values()
        )
        if whole or "FROZEN" in part.flags:
            return "FROZEN"
        return "DISPUTED" if "DISPUTED" in part.flags else ""

    def _cut(self, paper: Paper, position: int) -> None:
        for part in list(paper.parts):
            if part.start < position < part.end and part.state in OPEN:
                self._carve(paper, part, part.end - position)

    def _within(self, paper: Paper, start: int, end: int) -> list[Part]:
        return [p for p in paper.parts if p.start < end and start < p.end and p.state in OPEN]

    def _undo_pending(self, paper: Paper, start: int, end: int) -> None:
        """A pending transfer goes back; a request, and what no bank has sent or paid, ends."""
        position = start
        while position < end:
            part = next(p for p in paper.parts if p.start <= position < p.end)
            undone = part.state == "FINANCING" and self._end_unsent(part.lien)
            if part.state == "TRANSFER":
                self._finish_transfer(paper, part, accepted=False)
            elif not undone:
                position = part.end

    def _begin_hold(self, hold_id: bytes, hold: Hold) -> None:
        self.holds[hold_id] = hold
        for voucher, start, end in hold.ranges:
            paper = self.papers[voucher]
            self._undo_pending(paper, start, end)
            self._cut(paper, start)
            self._cut(paper, end)
            for part in self._within(paper, start, end):
                if part in paper.parts:
                    part.flags |= {hold.flag}
                    if part.state == "HELD":
                        self._settle_in(paper, part)

    def _end_hold(self, hold_id: bytes) -> None:
        hold = self.holds.pop(hold_id)
        for voucher, start, end in hold.ranges:
            others = [
                (a, b)
                for other in self.holds.values()
                for v, a, b in other.ranges
                if v == voucher and other.flag == hold.flag
            ]
            edges = {start, end} | {x for pair in others for x in pair if start < x < end}
            marks = sorted(edges)
            for left, right in pairwise(marks):
                if not any(a <= left < b for a, b in others):
                    self._free(voucher, left, right, hold.flag)

    def _free(self, voucher: bytes, start: int, end: int, flag: str) -> None:
        paper = self.papers[voucher]
        self._cut(paper, start)
        self._cut(paper, end)
        parts = self._within(paper, start, end)
        waiting = {part.lien for part in parts if part.state == "FINANCING"}
        for part in parts:
            if part in paper.parts:
                part.flags -= {flag}
                if part.state == "HELD":
                    self._settle_in(paper, part)
        for lien in sorted(waiting):
            if lien in self.resales and self.resales[lien].confirmed:
                self._resell_or_wait(lien)
            elif lien in self.deals and self.deals[lien].confirmed:
                self._take_effect_or_wait(lien)

    def _do_FreezeOrder(self, by: bytes, command: c.FreezeOrder, result: CommandReceipt) -> None:
        ranges = []
        for named in command.parts:
            start = named.start
            if not named.exact:
                start = self.papers[named.voucher].at(start).end - named.amount
            ranges.append((named.voucher, start, start + named.amount))
        hold = Hold("FROZEN", sorted(ranges), command.organisation, command.expires)
        self._begin_hold(self._created(result, r.Kind.FREEZE), hold)

    def _do_FreezeExtend(self, by: bytes, command: c.FreezeExtend, _: CommandReceipt) -> None:
        self.holds[command.freeze].last = command.expires

    def _do_FreezeLift(self, by: bytes, command: c.FreezeLift, _: CommandReceipt) -> None:
        self._end_hold(command.freeze)

    def _do_ForceTransfer(self, by: bytes, command: c.ForceTransfer, _: CommandReceipt) -> None:
        paper = self.papers[command.voucher]
        if any(
            self._held(part) != "FROZEN" for part in self._within(paper, command.start, command.end)
        ):
            raise Mismatch("a court moved what is not frozen")
        self._undo_pending(paper, command.start, command.end)
        liens = {part.lien for part in self._within(paper, command.start, command.end)}
        for lien in sorted(liens & (self.deals.keys() | self.resales.keys())):
            self._end_confirmed(lien, command.receiver)
        self._cut(paper, command.start)
        self._cut(paper, command.end)
        for part in self._within(paper, command.start, command.end):
            if part.holder != command.receiver:
                self._release_exposure(paper, part)
                part.holder, part.by = command.receiver, "COURT"
                if part.state == "HELD":
                    self._settle_in(paper, part)

    def _end_confirmed(self, lien: bytes, receiver: bytes) -> None:
        """A purchase that was paid takes effect if it makes the court's receiver the holder; everything
        else that was paid is undone. Loans that run stay."""
        if lien in self.resales:
            (self._resell if self.resales[lien].buyer == receiver else self._unlock)(lien)
            return
        deal = self.deals[lien]
        if not deal.live:
            bought = deal.kind is r.FinancingKind.SALE and deal.funder == receiver
            (self._take_effect if bought else self._undo)(lien)

    def _do_DisputeOpen(self, by: bytes, command: c.DisputeOpen, result: CommandReceipt) -> None:
        ranges = [(command.voucher, part.start, part.end) for part in command.ranges]
        self._begin_hold(self._created(result, r.Kind.DISPUTE), Hold("DISPUTED", ranges))

    def _do_DisputeResolve(
        self, by: bytes, command: c.DisputeResolve, result: CommandReceipt
    ) -> None:
        if not result.result:
            self._end_hold(command.dispute)

    def _release_exposure(self, paper: Paper, part: Part) -> None:
        """Face that was bought under the holder's line is paid or leaves him: that line is free of it."""
        if part.counted:
            key = (r.LineKind.DEBTOR_EXPOSURE, part.holder, paper.debtor, paper.currency)
            self.lines[self.line_of[key]].used -= part.end - part.start
            part.counted = False

    # --- guarantees ---------------------------------------------------------------------------

    def _do_GuaranteeIssue(
        self, by: bytes, command: c.GuaranteeIssue, result: CommandReceipt
    ) -> None:
        self.covers[self._created(result, r.Kind.GUARANTEE)] = Cover(by, command)

    def _do_GuaranteeCall(self, by: bytes, command: c.GuaranteeCall, _: CommandReceipt) -> None:
        cover, paper = self.covers[command.guarantee], self.papers[command.voucher]
        part = paper.at(command.start)
        lender = self.deals[part.lien].lender if part.state == "PLEDGED" else b""
        if by not in (part.holder, lender) or paper.status not in LATE:
            raise Mismatch("a call by a stranger, or before the voucher is overdue")
        if self._held(part):
            raise Mismatch("a call for what may not move (I6)")
        cover.called += command.amount
        if cover.called > cover.terms.cap or self.today > cover.terms.expiry:
            raise Mismatch("a call beyond cap or expiry")
        if command.amount > part.end - part.start - part.covered:
            raise Mismatch("a call for what the debtor has funded")
        if (command.voucher, command.start) in self.calls:
            raise Mismatch("a lot is called twice")
        self.calls[command.voucher, command.start] = (command.guarantee, command.amount)

    def _do_GuaranteePayConfirm(
        self, by: bytes, command: c.GuaranteePayConfirm, _: CommandReceipt
    ) -> None:
        self._use_receipt(by, command.receipt_commitment)
        guarantee, called = self.calls.pop((command.voucher, command.start))
        cover, paper = self.covers[guarantee], self.papers[command.voucher]
        part = paper.at(command.start)
        if by != cover.terms.bank or command.amount != min(called, part.end - part.start):
            raise Mismatch("paid by another bank, or another amount than is called and unpaid")
        cover.called -= called - command.amount
        tail = self._carve(paper, part, command.amount)
        lender = tail.lien
        self._release_exposure(paper, tail)
        tail.holder, tail.state, tail.lien, tail.by = cover.guarantor, "HELD", b"", "GUARANTEE"
        if lender:
            self._repaid(lender, command.amount)
            self._end_with_range(lender)

    def _do_GuaranteeRelease(
        self, by: bytes, command: c.GuaranteeRelease, _: CommandReceipt
    ) -> None:
        del by
        if command.voucher is not None:
            guarantee, called = self.calls.pop((command.voucher, command.start))
            self.covers[guarantee].called -= called
        else:
            self.covers[command.guarantee].released = True

    def _use_lines(self, deal: Deal) -> None:
        for line in deal.lines:
            self.lines[line].reserved -= deal.principal
            self.lines[line].used += deal.principal
        if deal.allocation:
            self.lines[deal.allocation].reserved -= deal.amount
            self.lines[deal.allocation].used += deal.amount
        if deal.fund:
            self.funds[deal.fund].reserved -= deal.cash
            self.funds[deal.fund].drawn += deal.cash

    def _drop_prepayment(self, deal_id: bytes) -> None:
        deal = self.deals.pop(deal_id)
        for line in deal.lines:
            self.lines[line].reserved -= deal.principal

    # --- goods --------------------------------------------------------------------------------

    def _do_WarehouseReceiptIssue(
        self, by: bytes, command: c.WarehouseReceiptIssue, result: CommandReceipt
    ) -> None:
        del by
        receipt = self._created(result, r.Kind.WAREHOUSE_RECEIPT)
        self.goods[receipt] = Goods(command.owner, command.unit_value, command.quantity)

    def _do_WarehouseReceiptPledge(
        self, by: bytes, command: c.WarehouseReceiptPledge, _: CommandReceipt
    ) -> None:
        goods = self.goods[command.receipt]
        if goods.pledged or self.deals[command.financing].drawer != by:
            raise Mismatch("goods are pledged twice, or for somebody else's loan")
        goods.pledged = goods.begun = goods.stored
        goods.loan, goods.advance = command.financing, command.advance_bps
        goods.shipped = False
        self._watch_goods(goods.loan)

    def _do_WarehouseReceiptDeliver(
        self, by: bytes, command: c.WarehouseReceiptDeliver, _: CommandReceipt
    ) -> None:
        del by
        goods = self.goods[command.receipt]
        goods.stored -= command.quantity
        if goods.stored < goods.pledged:
            raise Mismatch("pledged goods were handed out")

    def _do_WarehouseReceiptRelease(
        self, by: bytes, command: c.WarehouseReceiptRelease, _: CommandReceipt
    ) -> None:
        del by
        goods = self.goods[command.receipt]
        goods.pledged -= command.quantity
        loan = self.deals.get(goods.loan)
        freed = goods.begun - goods.pledged
        if goods.pledged < 0 or (loan and freed * loan.principal > goods.begun * loan.repaid):
            raise Mismatch("more goods were released than the loan was repaid for")
        if loan and self._carried(goods.loan) < loan.principal - loan.repaid:
            raise Mismatch("what stays pledged does not carry what is outstanding")
        if not goods.pledged:
            goods.loan = b""

    def _do_WarehouseReceiptSplit(
        self, by: bytes, command: c.WarehouseReceiptSplit, result: CommandReceipt
    ) -> None:
        del by
        goods = self.goods[command.receipt]
        goods.stored -= command.quantity
        if goods.stored < goods.pledged:
            raise Mismatch("pledged goods were split off")
        receipt = self._created(result, r.Kind.WAREHOUSE_RECEIPT)
        self.goods[receipt] = Goods(goods.owner, goods.value, command.quantity)

    def _do_WarehouseReceiptTransfer(
        self, by: bytes, command: c.WarehouseReceiptTransfer, _: CommandReceipt
    ) -> None:
        goods = self.goods[command.receipt]
        if goods.owner != by or goods.pledged:
            raise Mismatch("goods of others, or pledged ones, were passed on")
        goods.owner = command.receiver

    def _do_WarehouseReceiptPrice(
        self, by: bytes, command: c.WarehouseReceiptPrice, _: CommandReceipt
    ) -> None:
        del by
        goods = self.goods[command.receipt]
        goods.value = command.unit_value
        self._watch_goods(goods.loan)

    def _do_PrepaymentRequest(
        self, by: bytes, command: c.PrepaymentRequest, result: CommandReceipt
    ) -> None:
        self.orders[self._created(result, r.Kind.PREPAYMENT)] = (by, command)

    def _do_PrepaymentFund(
        self, by: bytes, command: c.PrepaymentFund, result: CommandReceipt
    ) -> None:
        distributor, order = self.orders[command.prepayment]
        if (by, command.amount) != (order.bank, order.amount):
            raise Mismatch("funded by another bank, or with another amount")
        loan = self._created(result, r.Kind.FINANCING)
        self.deals[loan] = Deal(
            r.FinancingKind.PREPAYMENT, by, distributor, b"", 0, 0, command.prepayment, 0, 0,
            (by, distributor, order.currency, command.basis),
            self.time + self.parameter("payout_timeout_seconds"), order.amount,
            rate_ppm=command.rate_ppm, accrued_to=self.today,
        )  # fmt: skip
        key = (r.LineKind.BORROWER, by, distributor, order.currency)
        if not self._take_use(*key, command.prepayment):
            self._reserve(self.line_of[key], order.amount)
            self.deals[loan].lines = (self.line_of[key],)
        self.payouts[self._created(result, r.Kind.INSTRUCTION)] = loan
        self.order_of_loan[command.prepayment] = loan
        self.advances[loan] = command.advance_bps

    def _do_PrepaymentShip(
        self, by: bytes, command: c.PrepaymentShip, result: CommandReceipt
    ) -> None:
        if by != self.orders[command.prepayment][1].maker:
            raise Mismatch("shipped by somebody else")
        quantity, loan = command.quantity, self.order_of_loan[command.prepayment]
        receipt = self._created(result, r.Kind.WAREHOUSE_RECEIPT)
        distributor, _ = self.orders[command.prepayment]
        advance = self.advances[loan]
        self.goods[receipt] = Goods(
            distributor, command.unit_value, quantity, quantity, quantity, loan, advance, True
        )

    # --- margin and buy-back ------------------------------------------------------------------

    def _pledged_for(self, loan: bytes) -> list[Goods]:
        return [goods for goods in self.goods.values() if goods.pledged and goods.loan == loan]

    def _carried(self, loan: bytes) -> int:
        worth = sum(g.pledged * g.value * g.advance for g in self._pledged_for(loan))
        return worth // 10_000

    def _watch_goods(self, loan: bytes) -> None:
        """What is short of a prepayment, after time or an act may have changed it."""
        deal = self.deals.get(loan)
        if deal is None or deal.kind is not r.FinancingKind.PREPAYMENT:
            self.shorts.pop(loan, None)
            self.buybacks.pop(loan, None)
            return
        if loan in self.buybacks:
            self.buybacks[loan] = min(self.buybacks[loan], sum(deal.owed(self.today)))
            return
        end = self.orders[deal.offer or b""][1].end_day
        amount = 0
        if any(goods.shipped for goods in self._pledged_for(loan)):
            left = deal.principal - deal.repaid
            amount = left if self.today > end else max(0, left - self._carried(loan))
        if amount == 0:
            self.shorts.pop(loan, None)
            return
        short = self.shorts.setdefault(loan, Short(min(self.today, end)))
        short.amount = amount
        if short.deadline is None and self.today > short.since:
            short.deadline = short.since + 1 + self.parameter("margin_call_days")
        if short.deadline is not None and self.today > short.deadline:
            self.buybacks[loan] = sum(deal.owed(self.today))
            del self.shorts[loan]

    def _do_MarginCall(self, by: bytes, command: c.MarginCall, result: CommandReceipt) -> None:
        short = self.shorts.get(command.financing)
        if short is None or short.deadline is not None:
            raise Mismatch("a margin call for what is carried, or a second one")
        if self.deals[command.financing].funder != by:
            raise Mismatch("a margin call by somebody else than the lender")
        short.deadline = self.today + self.parameter("margin_call_days")
        if result.result != (short.amount, short.deadline):
            raise Mismatch(f"called for {result.result}, the model has {short}")

    def _do_BuybackCall(self, by: bytes, command: c.BuybackCall, result: CommandReceipt) -> None:
        loan = command.financing
        deal, short = self.deals[loan], self.shorts.pop(loan, None)
        if short is None or deal.funder != by:
            raise Mismatch("a buy-back by somebody else than the lender, or of carried goods")
        if self.today <= self.orders[deal.offer or b""][1].end_day:
            raise Mismatch("a buy-back before the loan's end that no missed call preceded")
        self.buybacks[loan] = sum(deal.owed(self.today))
        if result.result != (self.buybacks[loan],):
            raise Mismatch(f"a buy-back over {result.result}, the model has {self.buybacks[loan]}")

    def _do_BuybackConfirm(
        self, by: bytes, command: c.BuybackConfirm, result: CommandReceipt
    ) -> None:
        self._use_receipt(by, command.receipt_commitment)
        loan = self.buyback_orders.pop(command.instruction)
        deal = self.deals[loan]
        if (by, command.amount) != (deal.funder, self.buybacks.pop(loan, None)):
            raise Mismatch("bought back for another amount, or confirmed by another bank")
        maker = self.orders[deal.offer or b""][1].maker
        for goods in self._pledged_for(loan):
            if not goods.shipped:
                continue
            if goods.stored == goods.pledged:
                goods.owner = maker
            else:
                bought = self._created(result, r.Kind.WAREHOUSE_RECEIPT)
                self.goods[bought] = Goods(maker, goods.value, goods.pledged)
                goods.stored -= goods.pledged
            goods.pledged, goods.loan = 0, b""
        self._repaid(loan, command.amount)

    # --- backstop -----------------------------------------------------------------------------

    def _do_BackstopCreate(
        self, by: bytes, command: c.BackstopCreate, result: CommandReceipt
    ) -> None:
        del by
        if not result.result:  # the consent that executes a joint act carries no k of n
            pool = Pool(command.banks, command)
            self.pools[self._created(result, r.Kind.BACKSTOP)] = pool

    def _do_BackstopDraw(self, by: bytes, command: c.BackstopDraw, result: CommandReceipt) -> None:
        pool = self.pools[command.backstop]
        paper = self.papers[command.voucher]
        source = paper.at(command.start)
        if (source.holder, source.state) != (by, "HELD"):
            raise Mismatch("a draw on what is not held (I9)")
        if self._held(source) or paper.suspended:
            raise Mismatch("a draw on what may not move (I6)")
        principal = command.amount * pool.terms.advance_bps // 10_000
        if pool.drawn + self._awaited(command.backstop) + principal > pool.terms.cap:
            raise Mismatch("a backstop lends beyond its cap")
        part = self._carve(paper, source, command.amount)
        loan = self._created(result, r.Kind.FINANCING)
        part.state, part.lien = "FINANCING", loan
        key = (pool.terms.lead_bank, by, pool.terms.currency, pool.terms.basis)
        self.deals[loan] = Deal(
            r.FinancingKind.BACKSTOP, pool.terms.lead_bank, by, command.voucher, part.start,
            command.amount, command.backstop, 0, 0, key,
            self.time + self.parameter("payout_timeout_seconds"), 0,
            rate_ppm=pool.terms.rate_ppm, accrued_to=self.today,
        )  # fmt: skip
        given = shares(principal, [share.share_bps for share in pool.shares])
        ids = [item.id for item in result.created if item.kind == r.Kind.INSTRUCTION]
        banks = [s.bank for s, amount in zip(pool.shares, given, strict=True) if amount]
        for id, bank, amount in zip(ids, banks, filter(None, given), strict=True):
            self.parts_of_loans[id] = (loan, bank, amount)

    def _awaited(self, pool: bytes) -> int:
        parts = self.parts_of_loans.values()
        return sum(amount for loan, _, amount in parts if self.deals[loan].offer == pool)

    def _part_paid(self, by: bytes, command: c.PayoutConfirm) -> None:
        deal_id, bank, amount = self.parts_of_loans.pop(command.instruction)
        if (by, command.amount) != (bank, amount):
            raise Mismatch("another bank paid, or another amount than its share")
        self.deals[deal_id].principal += amount
        self.pools[self.deals[deal_id].offer or b""].drawn += amount
        self._finish_pool_draw(deal_id)

    def _close_draw(self, deal_id: bytes) -> None:
        """The time for paying is over."""
        self._drop_shares(deal_id, set())

    def _drop_shares(self, deal_id: bytes, kept: set[bytes]) -> None:
        """The banks whose instructions are not kept pay nothing more of this loan."""
        parts = self.parts_of_loans.items()
        self.parts_of_loans = {id: p for id, p in parts if p[0] != deal_id or id in kept}
        if not self.deals[deal_id].confirmed:
            self._finish_pool_draw(deal_id)

    def _finish_pool_draw(self, deal_id: bytes) -> None:
        """When no bank is awaited any more: a loan of what was paid, or none."""
        if any(loan == deal_id for loan, _, _ in self.parts_of_loans.values()):
            return
        if self.deals[deal_id].principal:
            self.deals[deal_id].confirmed = True
            self._take_effect_or_wait(deal_id)
        else:
            self._undo(deal_id)

    def _end_with_range(self, deal_id: bytes) -> None:
        """A backstop loan without recourse ends when nothing of its range is left."""
        deal = self.deals.get(deal_id)
        if deal is None or deal.kind is not r.FinancingKind.BACKSTOP:
            return
        left = any(part.lien == deal_id for part in self.papers[deal.voucher].parts)
        if not left and not self.pools[deal.offer or b""].terms.recourse:
            del self.deals[deal_id]

    # --- rediscount ---------------------------------------------------------------------------

    def _do_RediscountOffer(
        self, by: bytes, command: c.RediscountOffer, result: CommandReceipt
    ) -> None:
        paper = self.papers[command.voucher]
        source = paper.at(command.start)
        if (source.holder, source.state, source.by) != (by, "HELD", "SALE"):
            raise Mismatch("a rediscount of what the bank did not buy (I9)")
        if self._held(source) or paper.suspended:
            raise Mismatch("a rediscount of what may not move (I6)")
        part = self._carve(paper, source, command.amount)
        resale = self._created(result, r.Kind.FINANCING)
        part.state, part.lien = "FINANCING", resale
        lapses = self.today + self.parameter("request_expiry_days") + 1
        self.resales[resale] = Resale(
            by, command.buyer, command.voucher, command.amount, command.price, lapses
        )

    def _do_RediscountAccept(
        self, by: bytes, command: c.RediscountAccept, result: CommandReceipt
    ) -> None:
        resale = self.resales[command.financing]
        if (by, command.price) != (resale.buyer, resale.price) or resale.expires:
            raise Mismatch("accepted by another bank, at another price, or twice")
        resale.expires = self.time + self.parameter("payout_timeout_seconds")
        resale.instruction = self._created(result, r.Kind.INSTRUCTION)
        paper = self.papers[resale.voucher]
        key = (r.LineKind.DEBTOR_EXPOSURE, by, paper.debtor, paper.currency)
        if not self._take_use(*key, command.financing):
            resale.line = self.line_of[key]
            self._reserve(resale.line, resale.amount)

    def _do_RediscountConfirm(
        self, by: bytes, command: c.RediscountConfirm, _: CommandReceipt
    ) -> None:
        self._use_receipt(by, command.receipt_commitment)
        resale = self.resales[command.financing]
        if (by, command.amount) != (resale.seller, resale.price) or not resale.expires:
            raise Mismatch("confirmed by another bank, another price, or too early")
        resale.confirmed = True
        self._resell_or_wait(command.financing)

    def _resell_or_wait(self, resale_id: bytes) -> None:
        """The buyer holds the range, unless a part of it may not move."""
        resale = self.resales[resale_id]
        if any(self._held(part) for part in self._parts_of(resale.voucher, resale_id)[1]):
            resale.expires = self.time + self.parameter("payout_timeout_seconds")
        else:
            self._resell(resale_id)

    def _resell(self, resale_id: bytes) -> None:
        resale = self.resales.pop(resale_id)
        if resale.line:
            line = self.lines[resale.line]
            line.reserved, line.used = line.reserved - resale.amount, line.used + resale.amount
        paper, parts = self._parts_of(resale.voucher, resale_id)
        for part in parts:
            self._release_exposure(paper, part)
            part.counted = bool(resale.line)
            part.state, part.lien, part.holder = "HELD", b"", resale.buyer
            self._settle_in(paper, part)

    def _do_RediscountCancel(
        self, by: bytes, command: c.RediscountCancel, _: CommandReceipt
    ) -> None:
        if by not in (
            self.resales[command.financing].seller,
            self.resales[command.financing].buyer,
        ):
            raise Mismatch("cancelled by a stranger")
        self._unlock(command.financing)

    def _unlock(self, resale_id: bytes) -> None:
        resale = self.resales.pop(resale_id)
        if resale.line:
            self.lines[resale.line].reserved -= resale.amount
        self._free_parts(resale.voucher, resale_id)

    # --- what must always hold ----------------------------------------------------------------

    def _check(self, vouchers: Iterable[bytes]) -> None:
        for voucher in sorted(vouchers):
            paper = self.papers[voucher]
            position = 0
            for part in paper.parts:
                if part.start != position or part.end <= part.start:
                    raise Mismatch(f"voucher {voucher.hex()}: ranges do not tile the face (I1)")
                position = part.end
            if position != paper.face:
                raise Mismatch(f"voucher {voucher.hex()}: {position} of {paper.face} fen (I1)")
            if paper.paid > paper.funds:
                raise Mismatch(f"voucher {voucher.hex()}: paid more than received (I13)")
        for document, (total, occupied) in self.documents.items():
            if not 0 <= occupied <= total:
                raise Mismatch(f"document {document.hex()}: {occupied} of {total} used (I2)")
        self._check_funds()
        for line_id, line in self.lines.items():
            if line.reserved < 0 or line.used < 0:
                raise Mismatch(f"line {line_id.hex()} is negative (I3)")


def shares(amount: int, weights: Sequence[int]) -> list[int]:
    """Pro rata by largest remainder, ties to the earlier entry (voucher law §11)."""
    total = sum(weights)
    if not total:
        return [0] * len(weights)
    given = [amount * w // total for w in weights]
    order = sorted(range(len(weights)), key=lambda i: (-(amount * weights[i] % total), i))
    for i in order[: amount - sum(given)]:
        given[i] += 1
    return given


def decode_receipts(rows: Sequence[bytes]) -> tuple[PrologueReceipt, list[EnvelopeReceipt]]:
    """Prologue receipt and envelope receipts of a block, from its receipts row."""
    return decode(PrologueReceipt, rows[0]), [decode(EnvelopeReceipt, row) for row in rows[1:]]
