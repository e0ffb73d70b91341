"""An independent, naive model of the money, written from the voucher law, not from `node/ledger`.

It replays the commands that a chain says were OK and keeps who owns which fen of which voucher in
plain lists, without indexes, caches or trees. It shares wire types with the node and no rule. What it
cannot follow, or what does not add up, it reports as a sentence; `tally audit` compares its end with
the node's state. Deliberately slow and simple: every question is answered by looking at everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire, decode
from tallynet.envelope import Envelope
from tallynet.receipts import CommandReceipt, EnvelopeReceipt, Event, PrologueReceipt

DEFAULTS: Final = {"claim_deadline_days": 10, "transfer_deadline_days": 5, "payout_timeout_seconds": 86_400,
                   "default_after_days": 30, "flow_window_days": 7, "flow_baseline_days": 28,
                   "flow_collapse_bps": 3_000, "flow_recover_bps": 6_000}  # fmt: skip
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


class Mismatch(Exception):
    """The chain did something that the voucher law does not allow, or that this model cannot follow."""


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

    def same_kind(self, other: Part) -> bool:
        """Equal in everything that voucher law §7 compares before joining two ranges."""
        return (
            (self.holder, self.state, self.hops, self.by)
            == (other.holder, other.state, other.hops, other.by)
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

    def at(self, start: int) -> Part:
        for part in self.parts:
            if part.start == start:
                return part
        raise Mismatch(f"no lot starts at {start}")

    def total(self, *states: str) -> int:
        return sum(p.end - p.start for p in self.parts if p.state in states)


@dataclass(slots=True)
class Line:
    granted: int
    reserved: int = 0
    used: int = 0
    seasonal: r.SeasonalWindows = ()

    def room(self, today: int) -> int:
        """Granted and seasonal limit, less what is reserved and used (I4)."""
        more = sum(w.amount for w in self.seasonal if w.first_day <= today <= w.last_day)
        return self.granted + more - self.reserved - self.used


@dataclass(slots=True)
class Deal:
    """A draw until it is paid out, a loan until it is repaid."""

    kind: r.FinancingKind
    funder: bytes
    drawer: bytes
    voucher: bytes
    start: int
    amount: int
    offer: bytes
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
    fee: int = 0
    """Deducted from what is paid out."""
    waiver: bytes = b""
    waived: int = 0
    pool: bytes = b""
    allocation: bytes = b""

    @property
    def cash(self) -> int:
        """What the funder pays, fees included."""
        return self.principal - self.discount

    def owed(self, today: int) -> tuple[int, int]:
        """(interest, principal) of a loan: all interest of its life, rounded once, less what was paid."""
        left = self.principal - self.repaid
        self.accrued += left * self.rate_ppm * (today - self.accrued_to)
        self.accrued_to = today
        year = self.remainder[3] * 1_000_000
        return (2 * self.accrued + year) // (2 * year) - self.interest_paid, left


@dataclass(slots=True)
class Pool:
    """Money of an enterprise with its agent bank."""

    committed: int = 0
    reserved: int = 0
    drawn: int = 0

    @property
    def free(self) -> int:
        return self.committed - self.reserved - self.drawn


@dataclass(slots=True)
class Flow:
    """Anchored business of one stream, by day."""

    days: dict[int, int] = field(default_factory=dict)
    frozen: int | None = None
    """Baseline of the day on which it collapsed."""

    def total(self, begin: int, end: int) -> int:
        return sum(amount for day, amount in self.days.items() if begin <= day <= end)

    def check(self, last: int, window: int, baseline: int, fall: int, rise: int) -> None:
        """The alarm of voucher law §8.4 over the days that end with `last`."""
        if last - min(self.days) + 1 < window + baseline:
            return
        newest = self.total(last - window + 1, last) * baseline * 10_000
        before = self.total(last - window - baseline + 1, last - window)
        if self.frozen is None and newest < before * window * fall:
            self.frozen = before
        elif self.frozen is not None and newest >= self.frozen * window * rise:
            self.frozen = None


@dataclass(slots=True)
class Model:
    """The whole money of one network."""

    today: int
    time: int = 0
    working: dict[int, bool] = field(default_factory=dict)
    parameters: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    programmes: dict[bytes, c.ProgrammeRules] = field(default_factory=dict)
    documents: dict[bytes, list[int]] = field(default_factory=dict)
    """id -> [total, occupied]."""
    lines: dict[bytes, Line] = field(default_factory=dict)
    papers: dict[bytes, Paper] = field(default_factory=dict)
    offers: dict[bytes, tuple[bytes, c.OfferCreate]] = field(default_factory=dict)
    offer_used: dict[bytes, int] = field(default_factory=dict)
    revoked: set[bytes] = field(default_factory=set)
    remainders: dict[tuple[bytes, bytes, str, int], int] = field(default_factory=dict)
    deals: dict[bytes, Deal] = field(default_factory=dict)
    payouts: dict[bytes, bytes] = field(default_factory=dict)
    """Pay-out instruction -> financing."""
    sent: set[bytes] = field(default_factory=set)
    """Pay-out instructions that are on their way: maturity no longer cancels their draws."""
    repayments: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    """Repayment instruction -> financing, amount."""
    settlements: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    """Settlement instruction -> voucher, start of the lot."""
    receipts_used: set[tuple[bytes, bytes]] = field(default_factory=set)
    people: dict[bytes, dict[r.WaiverScope, bytes]] = field(default_factory=dict)
    """Organisation -> what waivers ask about it."""
    fees: dict[bytes, list[r.FeeTerms]] = field(default_factory=dict)
    """By programme; empty: the network."""
    waivers: dict[bytes, tuple[bytes, c.WaiverGrant]] = field(default_factory=dict)
    waiver_used: dict[bytes, int] = field(default_factory=dict)
    allocations: dict[tuple[bytes, bytes, str], bytes] = field(default_factory=dict)
    """Core, supplier, currency -> line."""
    pools: dict[bytes, Pool] = field(default_factory=dict)
    pool_ids: dict[tuple[bytes, bytes, r.PoolKind, str], bytes] = field(default_factory=dict)
    flows: dict[tuple[bytes, str], Flow] = field(default_factory=dict)
    """By publisher and stream."""

    # --- days ---------------------------------------------------------------------------------

    def parameter(self, name: str) -> int:
        values = [v for day, v in self.parameters.get(name, []) if day <= self.today]
        return values[-1] if values else DEFAULTS[name]

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
        self.today = prologue.business_date
        for flow in self.flows.values() if rolled else ():
            self._check_flow(flow, self.today - 1)
        self._by_themselves()
        self._learn_instructions(events)
        for envelope, receipt in zip(envelopes, receipts, strict=True):
            if receipt.transaction != envelope.transaction:
                raise Mismatch("receipt of another transaction")
            for command, result in zip(envelope.body.commands, receipt.commands, strict=False):
                if result.code == "OK":
                    self._apply(envelope.body.organisation, command, result)
        self._check()

    def _learn_instructions(self, events: Iterable[Event]) -> None:
        """Ids of settlement instructions come from the log; what they may pay does not."""
        for event in events:
            if event.type == "system.settlement.open":
                self.settlements[event.reference] = (event.subject, event.start)

    def _by_themselves(self) -> None:
        """Everything that time alone does, on every voucher, every block."""
        for deal_id, deal in sorted(self.deals.items()):
            if not deal.live and self.time >= deal.expires:
                self._undo(deal_id)
        for paper in self.papers.values():
            if paper.status == "PENDING" and self.today > paper.deadline:
                self._release(paper)
            if paper.status not in ("ACTIVE", "DUE", "OVERDUE", "DEFAULTED"):
                continue
            self._lapse(paper)
            if self.today >= paper.maturity and paper.status == "ACTIVE":
                paper.status = "DUE"
                self._at_maturity(paper)
            early = paper.total("REDEEMED") - paper.paid
            unpaid = paper.face - paper.funds - early > 0
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
            days = paper.deemed_days if deemed else self.parameter("transfer_deadline_days")
            if self.today - part.since >= days + (0 if deemed else 1):
                self._finish_transfer(paper, part, accepted=deemed)

    def _at_maturity(self, paper: Paper) -> None:
        for part in list(paper.parts):
            if part.state == "TRANSFER":
                self._finish_transfer(paper, part, accepted=False)
        sent = {deal for instruction, deal in self.payouts.items() if instruction in self.sent}
        for deal_id, deal in sorted(self.deals.items()):
            if self.papers.get(deal.voucher) is paper and not deal.live and deal_id not in sent:
                self._undo(deal_id)

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
            part.since,
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

    @staticmethod
    def _created(result: CommandReceipt, kind: r.Kind) -> bytes:
        for item in result.created:
            if item.kind == kind:
                return item.id
        raise Mismatch(f"no {kind.name} was created")

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

    def _do_ProgrammeCreate(
        self, by: bytes, command: c.ProgrammeCreate, result: CommandReceipt
    ) -> None:
        self.programmes[self._created(result, r.Kind.PROGRAMME)] = command.rules

    def _do_ProgrammeUpdate(
        self, by: bytes, command: c.ProgrammeUpdate, result: CommandReceipt
    ) -> None:
        self.programmes[command.programme] = command.rules

    def _do_LineGrant(self, by: bytes, command: c.LineGrant, result: CommandReceipt) -> None:
        self.lines[self._created(result, r.Kind.CREDIT_LINE)] = Line(
            command.granted, seasonal=command.seasonal
        )

    def _do_LineChange(self, by: bytes, command: c.LineChange, result: CommandReceipt) -> None:
        self.lines[command.line].granted = command.granted
        self.lines[command.line].seasonal = command.seasonal

    def _do_LineAllocate(self, by: bytes, command: c.LineAllocate, result: CommandReceipt) -> None:
        key = (by, command.supplier, command.currency)
        if key not in self.allocations:
            self.allocations[key] = self._created(result, r.Kind.CREDIT_LINE)
        line = self.lines.setdefault(self.allocations[key], Line(0))
        line.granted = command.granted

    def _do_DocumentRegister(
        self, by: bytes, command: c.DocumentRegister, result: CommandReceipt
    ) -> None:
        for item in result.created:
            if item.kind == r.Kind.DOCUMENT:
                self.documents.setdefault(item.id, [command.total, 0])

    def _do_OrganisationRegister(
        self, by: bytes, command: c.OrganisationRegister, result: CommandReceipt
    ) -> None:
        self._describe(self._created(result, r.Kind.ORGANISATION), command)

    def _do_KycSet(self, by: bytes, command: c.KycSet, _: CommandReceipt) -> None:
        self._describe(command.organisation, command)

    def _describe(self, id: bytes, given: c.OrganisationRegister | c.KycSet) -> None:
        self.people[id] = {
            r.WaiverScope.INDUSTRY: given.industry.encode(),
            r.WaiverScope.REGION: given.region.encode(),
            r.WaiverScope.SIZE: bytes((given.size,)),
        }

    def _do_FeeScheduleSet(self, by: bytes, command: c.FeeScheduleSet, _: CommandReceipt) -> None:
        day = command.terms.effective_day
        kept = [t for t in self.fees.get(command.programme or b"", []) if t.effective_day < day]
        self.fees[command.programme or b""] = [*kept, command.terms]

    def _do_FundCommit(self, by: bytes, command: c.FundCommit, result: CommandReceipt) -> None:
        if result.result:
            return  # one of the two has consented
        key = (command.funder, command.agent_bank, command.kind, command.currency)
        if key not in self.pool_ids:
            self.pool_ids[key] = self._created(result, r.Kind.FUND_POOL)
        pool = self.pools.setdefault(self.pool_ids[key], Pool())
        pool.committed += command.amount

    def _do_FundWithdraw(self, by: bytes, command: c.FundWithdraw, result: CommandReceipt) -> None:
        if not result.result:
            self.pools[command.pool].committed -= command.amount

    def _do_WaiverGrant(self, by: bytes, command: c.WaiverGrant, result: CommandReceipt) -> None:
        self.waivers[self._created(result, r.Kind.WAIVER)] = (command.programme or b"", command)

    def _do_WaiverRevoke(self, by: bytes, command: c.WaiverRevoke, _: CommandReceipt) -> None:
        self.revoked.add(command.waiver)

    def _fee(self, paper: Paper, drawer: bytes, face: int) -> tuple[int, bytes, int]:
        """(what is deducted from a sale, waiver, what it waives) of voucher law §11."""
        for programme in (paper.programme, b""):
            terms = [t for t in self.fees.get(programme, []) if t.effective_day <= self.today]
            if terms:
                return self._fee_by(terms[-1], programme, paper, drawer, face)
        return 0, b"", 0

    def _fee_by(
        self, terms: r.FeeTerms, programme: bytes, paper: Paper, drawer: bytes, face: int
    ) -> tuple[int, bytes, int]:
        fee = max(terms.minimum, (face * terms.bps + 9_999) // 10_000)
        if face < terms.free_below or not fee:
            return 0, b"", 0
        asked = self.people.get(drawer, {}) | {
            r.WaiverScope.DRAWER: drawer,
            r.WaiverScope.DEBTOR: paper.debtor,
        }
        best = None
        for id, (of, waiver) in sorted(self.waivers.items()):
            saves = fee * waiver.bps // 10_000 if waiver.kind is r.WaiverKind.REDUCE else fee
            used = self.waiver_used.get(id, 0)
            if (
                of != programme
                or id in self.revoked
                or asked.get(waiver.scope) != waiver.value
                or not waiver.valid_from <= self.today <= waiver.valid_to
                or (waiver.cap_total and used + saves > waiver.cap_total)
            ):
                continue
            rank = (waiver.kind, -waiver.bps, -waiver.days)
            if best is None or rank < best[0]:
                best = rank, id, saves
        if best is None:
            return fee - fee * terms.debtor_bps // 10_000, b"", 0
        (kind, *_), id, saves = best
        if kind == r.WaiverKind.DEFER:
            return 0, id, saves
        left = fee - saves
        return left - left * terms.debtor_bps // 10_000, id, saves

    def _check_flow(self, flow: Flow, last: int) -> None:
        days = self.parameter("flow_window_days"), self.parameter("flow_baseline_days")
        bps = self.parameter("flow_collapse_bps"), self.parameter("flow_recover_bps")
        flow.check(last, *days, *bps)

    def _do_FlowAnchorPublish(
        self, by: bytes, command: c.FlowAnchorPublish, _: CommandReceipt
    ) -> None:
        flow = self.flows.setdefault((by, command.stream), Flow())
        flow.days[command.day] = flow.days.get(command.day, 0) + command.sum
        if command.to_second == 86_400:
            self._check_flow(flow, max(command.day, self.today - 1))

    def _stopped(self, offer: c.OfferCreate, debtor: bytes) -> bool:
        collapsed = any(
            publisher == debtor and flow.frozen is not None
            for (publisher, _), flow in self.flows.items()
        )
        return offer.stop_on_flow_collapse and collapsed

    def _do_VoucherIssue(self, by: bytes, command: c.VoucherIssue, result: CommandReceipt) -> None:
        rules = self.programmes[command.programme]
        maturity = self.roll(command.maturity)
        voucher = self._created(result, r.Kind.VOUCHER)
        if sum(use.amount for use in command.documents) != command.face:
            raise Mismatch("documents do not add up to the face")
        for use in command.documents:
            self.documents[use.document][1] += use.amount
        if command.face > self.lines[command.issue_line].room(self.today):
            raise Mismatch("more is issued than the line allows (I4)")
        self.lines[command.issue_line].reserved += command.face
        self.papers[voucher] = Paper(
            by, command.face, maturity, self.roll(maturity + rules.grace_days),
            self.today + self.parameter("claim_deadline_days"), command.issue_line,
            command.documents, rules.accept_mode, rules.deemed_days, command.currency, "PENDING",
            [Part(0, command.face, command.payee, "PENDING")], programme=command.programme,
        )  # fmt: skip

    def _do_VoucherClaim(self, by: bytes, command: c.VoucherClaim, _: CommandReceipt) -> None:
        paper = self.papers[command.voucher]
        if paper.status != "PENDING" or paper.parts[0].holder != by:
            raise Mismatch("claimed by somebody else, or twice")
        paper.status = "ACTIVE"
        paper.parts[0].state = "HELD"
        line = self.lines[paper.line]
        line.reserved, line.used = line.reserved - paper.face, line.used + paper.face

    def _do_VoucherReject(self, by: bytes, command: c.VoucherReject, _: CommandReceipt) -> None:
        self._release(self.papers[command.voucher])

    def _do_VoucherWithdraw(self, by: bytes, command: c.VoucherWithdraw, _: CommandReceipt) -> None:
        self._release(self.papers[command.voucher])

    def _do_LotTransfer(self, by: bytes, command: c.LotTransfer, _: CommandReceipt) -> None:
        paper = self.papers[command.voucher]
        source = paper.at(command.start)
        if source.holder != by or source.state != "HELD" or paper.status != "ACTIVE":
            raise Mismatch("a transfer of what is not held (I9)")
        for piece in command.pieces:
            part = self._carve(paper, source, piece.amount)
            if paper.accept is r.AcceptMode.IMMEDIATE:
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
        paper = self.papers[command.voucher]
        source = paper.at(command.start)
        if source.holder != by or source.state != "HELD":
            raise Mismatch("a draw on what is not held (I9)")
        days = paper.maturity - self.today
        offer_id = command.offer or self._offer_of(paper, command.amount, result.result, days)
        funder, offer = self.offers[offer_id]
        if self._stopped(offer, paper.debtor):
            raise Mismatch("a draw while the debtor's flow has collapsed")
        rate = next(band for band in offer.grid if days <= band.days_max)
        key = (funder, by, offer.currency, offer.basis)
        sold = offer.kind in (r.FinancingKind.SALE, r.FinancingKind.EARLY_PAY)
        numerator = command.amount * rate.rate_ppm * days if sold else 0
        denominator = offer.basis * 1_000_000
        total = numerator + self.remainders.get(key, 0)
        discount = max(0, total // denominator) if sold else 0
        if sold:
            self.remainders[key] = total - discount * denominator
        fee, waiver, waived = self._fee(paper, by, command.amount)
        if waiver:
            self.waiver_used[waiver] = self.waiver_used.get(waiver, 0) + waived
        if sold and result.result[:2] != (discount, command.amount - discount - fee):
            raise Mismatch(f"discount {result.result[:2]}, the model has {discount}, {fee} (I16)")
        part = self._carve(paper, source, command.amount)
        financing = self._created(result, r.Kind.FINANCING)
        part.state, part.lien = "FINANCING", financing
        principal = command.amount if sold else command.amount * rate.advance_bps // 10_000
        self.deals[financing] = Deal(
            offer.kind, funder, by, command.voucher, part.start, command.amount, offer_id,
            numerator, discount, key, self.time + self.parameter("payout_timeout_seconds"),
            principal, rate_ppm=rate.rate_ppm, accrued_to=self.today, fee=fee, waiver=waiver,
            waived=waived,
        )  # fmt: skip
        self.offer_used[offer_id] = self.offer_used.get(offer_id, 0) + command.amount
        allocation = self.allocations.get((paper.debtor, by, paper.currency), b"")
        if allocation:
            if command.amount > self.lines[allocation].room(self.today):
                raise Mismatch("more is financed than was allocated (I4)")
            self.lines[allocation].reserved += command.amount
            self.deals[financing].allocation = allocation
        if offer.source:
            self.deals[financing].pool = offer.source
            self.pools[offer.source].reserved += self.deals[financing].cash
        self.payouts[self._created(result, r.Kind.INSTRUCTION)] = financing

    def _offer_of(self, paper: Paper, amount: int, result: tuple[int, ...], days: int) -> bytes:
        """Which offer an AUTO draw took: the receipt names the rate, ties go by offer id (C16)."""
        for offer_id, (_, offer) in sorted(self.offers.items()):
            is_open = (
                offer_id not in self.revoked and offer.valid_from <= self.today <= offer.valid_to
            ) and not self._stopped(offer, paper.debtor)
            fits = (
                offer.draw_min <= amount <= offer.draw_max
                and self.offer_used.get(offer_id, 0) + amount <= offer.total_cap
                and self._funded(offer, amount, result[0], days)
            )
            sold = offer.kind in (r.FinancingKind.SALE, r.FinancingKind.EARLY_PAY)
            rate = any(b.rate_ppm == result[2] for b in offer.grid if days <= b.days_max)
            if is_open and fits and rate and (sold or result[0] == 0):
                return offer_id
        raise Mismatch(f"no offer fits an AUTO draw at {result[2]} ppm")

    def _funded(self, offer: c.OfferCreate, amount: int, discount: int, days: int) -> bool:
        """Whether the offer's pool, if it has one, can pay this draw."""
        advance = next((b.advance_bps for b in offer.grid if days <= b.days_max), 0)
        cash = amount * advance // 10_000 - discount
        return not offer.source or cash <= self.pools[offer.source].free

    def _do_OfferRevoke(self, by: bytes, command: c.OfferRevoke, _: CommandReceipt) -> None:
        del by
        self.revoked.add(command.offer)

    def _lien_part(self, deal_id: bytes) -> tuple[Paper, Part]:
        paper = self.papers[self.deals[deal_id].voucher]
        for part in paper.parts:
            if part.lien == deal_id:
                return paper, part
        raise Mismatch("a financing without its lot (I5)")

    def _do_InstructionSend(self, by: bytes, command: c.InstructionSend, _: CommandReceipt) -> None:
        del by
        self.sent.add(command.instruction)

    def _do_PayoutConfirm(self, by: bytes, command: c.PayoutConfirm, _: CommandReceipt) -> None:
        self._use_receipt(by, command.receipt_commitment)
        deal_id = self.payouts.pop(command.instruction)
        deal = self.deals[deal_id]
        paper, part = self._lien_part(deal_id)
        sold = deal.kind in (r.FinancingKind.SALE, r.FinancingKind.EARLY_PAY)
        if command.amount != (deal.amount - deal.discount - deal.fee if sold else deal.principal):
            raise Mismatch("another amount was paid out")
        if deal.allocation:
            self.lines[deal.allocation].reserved -= deal.amount
            self.lines[deal.allocation].used += deal.amount
        if deal.pool:
            self.pools[deal.pool].reserved -= deal.cash
            self.pools[deal.pool].drawn += deal.cash
        if not sold:
            part.state, deal.live = "PLEDGED", True
            return
        part.lien = b""
        if deal.kind is r.FinancingKind.SALE:
            part.state, part.holder, part.by = "HELD", deal.funder, "SALE"
            self._settle_in(paper, part)
        else:
            part.state = "REDEEMED"
            self.lines[paper.line].used -= deal.amount
            self._join(paper, part)
        del self.deals[deal_id]

    def _do_PayoutFail(self, by: bytes, command: c.PayoutFail, _: CommandReceipt) -> None:
        self._undo(self.payouts[command.instruction])

    def _undo(self, deal_id: bytes) -> None:
        deal = self.deals[deal_id]
        paper, part = self._lien_part(deal_id)
        part.state, part.lien = "HELD", b""
        self._settle_in(paper, part)
        denominator = deal.remainder[3] * 1_000_000
        if deal.kind in (r.FinancingKind.SALE, r.FinancingKind.EARLY_PAY):
            self.remainders[deal.remainder] -= deal.numerator - deal.discount * denominator
        self.offer_used[deal.offer] -= deal.amount
        if deal.allocation:
            self.lines[deal.allocation].reserved -= deal.amount
        if deal.pool:
            self.pools[deal.pool].reserved -= deal.cash
        if deal.waiver:
            self.waiver_used[deal.waiver] -= deal.waived
        self.payouts = {i: d for i, d in self.payouts.items() if d != deal_id}
        del self.deals[deal_id]

    def _do_FinancingRepay(
        self, by: bytes, command: c.FinancingRepay, result: CommandReceipt
    ) -> None:
        deal = self.deals[command.financing]
        if deal.drawer != by or not deal.live:
            raise Mismatch("a repayment by somebody else, or of nothing")
        announced = sum(n for id, n in self.repayments.values() if id == command.financing)
        if command.amount + announced > sum(deal.owed(self.today)):
            raise Mismatch("more is repaid than is owed")
        instruction = self._created(result, r.Kind.INSTRUCTION)
        self.repayments[instruction] = (command.financing, command.amount)

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
        if deal.pool:
            self.pools[deal.pool].drawn -= principal
        if interest + principal == sum(owed):
            paper = self.papers[deal.voucher]
            for part in [part for part in paper.parts if part.lien == deal_id]:
                part.state, part.lien = "HELD", b""
                self._settle_in(paper, part)
            del self.deals[deal_id]
        return interest, principal, amount - interest - principal

    def _do_FundsReceived(self, by: bytes, command: c.FundsReceived, _: CommandReceipt) -> None:
        self._use_receipt(by, command.receipt_commitment)
        paper = self.papers[command.voucher]
        open_parts = [p for p in paper.parts if p.state in OPEN]
        weights = [p.end - p.start - p.covered for p in open_parts]
        if command.face_part > sum(weights):
            raise Mismatch("more money than open face (I13)")
        for part, share in zip(open_parts, shares(command.face_part, weights), strict=True):
            part.covered += share
        paper.funds += command.face_part

    def _do_SettlementPaid(self, by: bytes, command: c.SettlementPaid, _: CommandReceipt) -> None:
        self._use_receipt(by, command.receipt_commitment)
        voucher, start = self.settlements[command.instruction]
        paper = self.papers[voucher]
        part = paper.at(start)
        if command.amount > part.covered:
            raise Mismatch("paid beyond the debtor's funds (I13)")
        part.covered -= command.amount
        left, part.covered = part.covered, 0
        tail = self._carve(paper, part, command.amount)
        if tail is not part:
            part.covered = left
        lender = tail.lien
        tail.state, tail.lien = "REDEEMED", b""
        self._join(paper, tail)
        if lender:
            self._repaid(lender, command.amount)
        paper.paid += command.amount
        self.lines[paper.line].used -= command.amount
        if paper.total(*OPEN) == 0:
            paper.status = "SETTLED"

    # --- what must always hold ----------------------------------------------------------------

    def _check(self) -> None:
        for voucher, paper in self.papers.items():
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
        for pool_id, pool in self.pools.items():
            if min(pool.free, pool.reserved, pool.drawn) < 0:
                raise Mismatch(f"pool {pool_id.hex()}: more is promised than was committed")
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
