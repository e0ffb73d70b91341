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

DEFAULTS: Final = {"claim_deadline_days": 10, "transfer_deadline_days": 5, "payout_timeout_seconds": 86_400,
                   "default_after_days": 30}  # fmt: skip
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
    flags: frozenset[str] = frozenset()

    def same_kind(self, other: Part) -> bool:
        """Equal in everything that voucher law §7 compares before joining two ranges."""
        return (
            (self.holder, self.state, self.hops, self.by, self.flags)
            == (other.holder, other.state, other.hops, other.by, other.flags)
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
class Line:
    granted: int
    reserved: int = 0
    used: int = 0


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
    confirmed: bool = False
    """Paid by the bank, but the range is held: it takes effect later."""

    def owed(self, today: int) -> tuple[int, int]:
        """(interest, principal) of a loan: all interest of its life, rounded once, less what was paid."""
        left = self.principal - self.repaid
        self.accrued += left * self.rate_ppm * (today - self.accrued_to)
        self.accrued_to = today
        year = self.remainder[3] * 1_000_000
        return (2 * self.accrued + year) // (2 * year) - self.interest_paid, left


@dataclass(slots=True)
class Hold:
    """A freeze or dispute in force."""

    flag: str
    ranges: list[tuple[bytes, int, int]]
    """Voucher, start, end; none: everything that `organisation` has."""
    organisation: bytes = b""
    last: int = 2**40
    """Last day."""


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
    penalties: set[bytes] = field(default_factory=set)
    """Penalty instructions: no face is paid by them."""
    receipts_used: set[tuple[bytes, bytes]] = field(default_factory=set)
    holds: dict[bytes, Hold] = field(default_factory=dict)

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
        self.today = prologue.business_date
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
            if event.type == "settlement.penalty":
                self.penalties.add(event.reference)

    def _by_themselves(self) -> None:
        """Everything that time alone does, on every voucher, every block."""
        for hold_id, hold in sorted(self.holds.items()):
            if self.today > hold.last:
                self._end_hold(hold_id)
        for deal_id, deal in sorted(self.deals.items()):
            if not deal.live and self.time >= deal.expires:
                if not deal.confirmed:
                    self._undo(deal_id)
                elif not self._complete(deal_id):
                    deal.expires = self.time + self.parameter("payout_timeout_seconds")
        for paper in self.papers.values():
            if paper.status == "PENDING" and self.today > paper.deadline:
                self._release(paper)
            if paper.status not in ("ACTIVE", "DUE", "OVERDUE", "DEFAULTED", "WRITTEN_OFF"):
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
            days = paper.deemed_days if deemed else self.parameter("transfer_deadline_days") + 1
            if self.today - part.since >= days:
                moves = not (paper.suspended or self._held(part))
                in_time = part.since + days < paper.maturity
                self._finish_transfer(paper, part, accepted=deemed and moves and in_time)

    def _at_maturity(self, paper: Paper) -> None:
        for part in list(paper.parts):
            if part.state == "TRANSFER":
                self._finish_transfer(paper, part, accepted=False)
        sent = {deal for instruction, deal in self.payouts.items() if instruction in self.sent}
        for deal_id, deal in sorted(self.deals.items()):
            pending = not deal.live and not deal.confirmed and deal_id not in sent
            if self.papers.get(deal.voucher) is paper and pending:
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
            part.since, part.flags,
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
        self.lines[self._created(result, r.Kind.CREDIT_LINE)] = Line(command.granted)

    def _do_LineChange(self, by: bytes, command: c.LineChange, result: CommandReceipt) -> None:
        self.lines[command.line].granted = command.granted

    def _do_DocumentRegister(
        self, by: bytes, command: c.DocumentRegister, result: CommandReceipt
    ) -> None:
        for item in result.created:
            if item.kind == r.Kind.DOCUMENT:
                self.documents.setdefault(item.id, [command.total, 0])

    def _do_VoucherIssue(self, by: bytes, command: c.VoucherIssue, result: CommandReceipt) -> None:
        rules = self.programmes[command.programme]
        maturity = self.roll(command.maturity)
        voucher = self._created(result, r.Kind.VOUCHER)
        if sum(use.amount for use in command.documents) != command.face:
            raise Mismatch("documents do not add up to the face")
        for use in command.documents:
            self.documents[use.document][1] += use.amount
        self.lines[command.issue_line].reserved += command.face
        self.papers[voucher] = Paper(
            by, command.face, maturity, self.roll(maturity + rules.grace_days),
            self.today + self.parameter("claim_deadline_days"), command.issue_line,
            command.documents, rules.accept_mode, rules.deemed_days, command.currency, "PENDING",
            [Part(0, command.face, command.payee, "PENDING")], grace_days=rules.grace_days,
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
        self._carve(paper, part, amount).state = "CANCELLED"
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
            if part.state not in OPEN:
                continue
            entitled = {part.holder, self.deals[part.lien].funder} if part.lien else {part.holder}
            if not entitled <= set(command.consenting):
                raise Mismatch("a voucher was extended without a holder's consent")
        paper.maturity = self.roll(command.maturity)
        paper.grace_end = self.roll(paper.maturity + paper.grace_days)

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
        if self._held(source) or paper.suspended:
            raise Mismatch("a draw on what may not move (I6)")
        days = paper.maturity - self.today
        offer_id = command.offer or self._offer_of(command.amount, result.result, days)
        funder, offer = self.offers[offer_id]
        rate = next(band for band in offer.grid if days <= band.days_max)
        key = (funder, by, offer.currency, offer.basis)
        sold = offer.kind in (r.FinancingKind.SALE, r.FinancingKind.EARLY_PAY)
        numerator = command.amount * rate.rate_ppm * days if sold else 0
        denominator = offer.basis * 1_000_000
        total = numerator + self.remainders.get(key, 0)
        discount = max(0, total // denominator) if sold else 0
        if sold:
            self.remainders[key] = total - discount * denominator
        if sold and result.result[:2] != (discount, command.amount - discount):
            raise Mismatch(f"discount {result.result[:2]}, the model has {discount} (I16)")
        part = self._carve(paper, source, command.amount)
        financing = self._created(result, r.Kind.FINANCING)
        part.state, part.lien = "FINANCING", financing
        principal = command.amount if sold else command.amount * rate.advance_bps // 10_000
        self.deals[financing] = Deal(
            offer.kind, funder, by, command.voucher, part.start, command.amount, offer_id,
            numerator, discount, key, self.time + self.parameter("payout_timeout_seconds"),
            principal, rate_ppm=rate.rate_ppm, accrued_to=self.today,
        )  # fmt: skip
        self.offer_used[offer_id] = self.offer_used.get(offer_id, 0) + command.amount
        self.payouts[self._created(result, r.Kind.INSTRUCTION)] = financing

    def _offer_of(self, amount: int, result: tuple[int, ...], days: int) -> bytes:
        """Which offer an AUTO draw took: the receipt names the rate, ties go by offer id (C16)."""
        for offer_id, (_, offer) in sorted(self.offers.items()):
            is_open = (
                offer_id not in self.revoked and offer.valid_from <= self.today <= offer.valid_to
            )
            fits = (
                offer.draw_min <= amount <= offer.draw_max
                and self.offer_used.get(offer_id, 0) + amount <= offer.total_cap
            )
            sold = offer.kind in (r.FinancingKind.SALE, r.FinancingKind.EARLY_PAY)
            rate = any(b.rate_ppm == result[2] for b in offer.grid if days <= b.days_max)
            if is_open and fits and rate and (sold or result[0] == 0):
                return offer_id
        raise Mismatch(f"no offer fits an AUTO draw at {result[2]} ppm")

    def _do_OfferRevoke(self, by: bytes, command: c.OfferRevoke, _: CommandReceipt) -> None:
        del by
        self.revoked.add(command.offer)

    def _do_InstructionSend(self, by: bytes, command: c.InstructionSend, _: CommandReceipt) -> None:
        del by
        self.sent.add(command.instruction)

    def _do_PayoutConfirm(self, by: bytes, command: c.PayoutConfirm, _: CommandReceipt) -> None:
        self._use_receipt(by, command.receipt_commitment)
        deal_id = self.payouts.pop(command.instruction)
        deal = self.deals[deal_id]
        sold = deal.kind in (r.FinancingKind.SALE, r.FinancingKind.EARLY_PAY)
        if command.amount != (deal.amount - deal.discount if sold else deal.principal):
            raise Mismatch("another amount was paid out")
        deal.confirmed = True
        if not self._complete(deal_id):
            deal.expires = self.time + self.parameter("payout_timeout_seconds")

    def _complete(self, deal_id: bytes) -> bool:
        """What the bank has paid takes effect, unless a part of the range may not move."""
        deal = self.deals[deal_id]
        paper = self.papers[deal.voucher]
        parts = [part for part in paper.parts if part.lien == deal_id]
        if any(self._held(part) for part in parts):
            return False
        if deal.kind not in (r.FinancingKind.SALE, r.FinancingKind.EARLY_PAY):
            deal.live = True
            for part in parts:
                part.state = "PLEDGED"
            return True
        for part in parts:
            part.lien = b""
            if deal.kind is r.FinancingKind.SALE:
                part.state, part.holder, part.by = "HELD", deal.funder, "SALE"
                self._settle_in(paper, part)
            else:
                part.state = "REDEEMED"
                self.lines[paper.line].used -= part.end - part.start
                self._join(paper, part)
        del self.deals[deal_id]
        self._end_if_nothing_is_open(paper)
        return True

    def _do_PayoutFail(self, by: bytes, command: c.PayoutFail, _: CommandReceipt) -> None:
        self._undo(self.payouts[command.instruction])

    def _undo(self, deal_id: bytes) -> None:
        deal = self.deals[deal_id]
        paper = self.papers[deal.voucher]
        for part in [part for part in paper.parts if part.lien == deal_id]:
            part.state, part.lien = "HELD", b""
            self._settle_in(paper, part)
        denominator = deal.remainder[3] * 1_000_000
        if deal.kind in (r.FinancingKind.SALE, r.FinancingKind.EARLY_PAY):
            self.remainders[deal.remainder] -= deal.numerator - deal.discount * denominator
        self.offer_used[deal.offer] -= deal.amount
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
        tail.state, tail.lien = "REDEEMED", b""
        tail.flags -= {"FROZEN", "DISPUTED"}
        self._join(paper, tail)
        if lender and not escrow:
            self._repaid(lender, command.amount)
        paper.paid += command.amount
        self.lines[paper.line].used -= command.amount
        self._end_if_nothing_is_open(paper)

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
        """A pending transfer goes back; a draw that no bank has sent or paid is cancelled."""
        for part in self._within(paper, start, end):
            if part.state == "TRANSFER":
                self._finish_transfer(paper, part, accepted=False)
        sent = {deal for instruction, deal in self.payouts.items() if instruction in self.sent}
        liens = {part.lien for part in self._within(paper, start, end)} & self.deals.keys()
        for deal_id in sorted(liens - sent):
            if not self.deals[deal_id].live and not self.deals[deal_id].confirmed:
                self._undo(deal_id)

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
        for deal_id in sorted(waiting & self.deals.keys()):
            if self.deals[deal_id].confirmed:
                self._complete(deal_id)

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
        for deal_id in sorted(liens & self.deals.keys()):
            deal = self.deals[deal_id]
            if not deal.confirmed or deal.live:
                continue
            if deal.kind is r.FinancingKind.SALE and deal.funder == command.receiver:
                self._move_sold(paper, deal_id)
            else:
                self._undo(deal_id)
        self._cut(paper, command.start)
        self._cut(paper, command.end)
        for part in self._within(paper, command.start, command.end):
            if part.holder != command.receiver:
                part.holder, part.by = command.receiver, "COURT"
                if part.state == "HELD":
                    self._settle_in(paper, part)

    def _move_sold(self, paper: Paper, deal_id: bytes) -> None:
        """The court lets a paid sale take effect on what is still frozen."""
        for part in [part for part in paper.parts if part.lien == deal_id]:
            part.lien = b""
            part.state, part.holder, part.by = "HELD", self.deals[deal_id].funder, "SALE"
            self._settle_in(paper, part)
        del self.deals[deal_id]

    def _do_DisputeOpen(self, by: bytes, command: c.DisputeOpen, result: CommandReceipt) -> None:
        ranges = [(command.voucher, part.start, part.end) for part in command.ranges]
        self._begin_hold(self._created(result, r.Kind.DISPUTE), Hold("DISPUTED", ranges))

    def _do_DisputeResolve(
        self, by: bytes, command: c.DisputeResolve, result: CommandReceipt
    ) -> None:
        if not result.result:
            self._end_hold(command.dispute)

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
