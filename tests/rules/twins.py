"""Stories that two sides play in turns, in one world, and the world that knows what is whose.

Whatever an act of one side creates is that side's; an act of the other side that changes it acted on another
record than the one that it named, or on the newest one. Together the stories use every command.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from followed_world import FollowedWorld
from law_world import DIGEST, PEOPLE

from node.ledger.execute import BlockResult
from node.ledger.pools import pool_id
from node.ledger.redemption import instruction_id
from node.state.tables import RECORDS, record_of
from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire, decode
from tallynet.envelope import Envelope
from tallynet.hashing import reader_hint
from tallynet.receipts import EnvelopeReceipt

Story = Iterator[int | None]
"""Yields where the other side may act; a number is the business date that both wait for."""

SHARED = {r.Kind.REMEMBERED, r.Kind.REMAINDER, r.Kind.DEBTOR_TOTALS}
"""Transactions of a block; what the draws of one supplier from one funder have in common, and the vouchers
of one debtor."""
CREATES_ONLY = {
    c.ParameterSet, c.CalendarSet, c.OrganisationAdmit, c.OrganisationRegister, c.AccountBind,
    c.BranchCreate, c.DistressOpen, c.ConsentWithdraw,
}  # fmt: skip
"""Commands that name no record of their sender's which could be taken for another one; a consent is named by
the hash of what is agreed to."""
OF_THE_NETWORK = {c.ValidatorAdd, c.ValidatorRemove}
"""They change the one record of the network: there is no second one."""
NOTHING_TO_JOIN = {c.LotMerge}
"""Every act that leaves equal neighbours joins them, so that no request does."""
ADVANCE = (r.RateBand(365, 0, 8_000),)
ALL = 2**40


@dataclass
class Twins(FollowedWorld):
    """Knows whose turn it is and what is whose."""

    side: str = ""
    owner: dict[bytes, str] = field(default_factory=dict)
    seen: set[type[Wire]] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.core_and_suppliers()
        self.line(r.LineKind.ISSUE, "bank-1", "core", 10**12)
        self.line(r.LineKind.DEBTOR_EXPOSURE, "bank-3", "core", 10**12)
        for name, kind in (
            ("regulator", r.OrganisationKind.REGULATOR), ("oracle", r.OrganisationKind.ORACLE),
            ("store", r.OrganisationKind.WAREHOUSE), ("surety", r.OrganisationKind.GUARANTOR),
            ("court", r.OrganisationKind.COURT_AGENT),
        ):  # fmt: skip
            self.people[name] = tuple(PEOPLE)
            self.admit(name, kind)

    def records(self) -> dict[bytes, bytes]:
        return dict(self.tables.scan(RECORDS, b"", b"", ALL))

    def block(self, *envelopes: Envelope, seconds: int = 1) -> BlockResult:
        before = self.records() if self.side else {}
        result = super().block(*envelopes, seconds=seconds)
        if self.side:
            self._compare(before, self.records())
            for envelope, row in zip(envelopes, result.receipts, strict=True):
                codes = [one.code for one in decode(EnvelopeReceipt, row).commands]
                assert codes == ["OK"] * len(envelope.body.commands), codes
                self.seen |= {type(command) for command in envelope.body.commands}
        return result

    def _compare(self, before: dict[bytes, bytes], after: dict[bytes, bytes]) -> None:
        for key in before.keys() | after.keys():
            named = record_of(key)
            if named is None or named[0] in SHARED or before.get(key) == after.get(key):
                continue
            if key not in before:
                self.owner[key] = self.side
            owner = self.owner.get(key, self.side)
            assert owner == self.side, f"{named[0].name} of {owner} changed by {self.side}"

    def name(self, text: str) -> str:
        """A name of this side's own."""
        return f"{text}-{self.side}"

    def created(self, by: str, command: Wire, kind: r.Kind) -> bytes:
        return next(item.id for item in self.ok(by, command).created if item.kind == kind)

    def jointly_done(self, command: Wire, *parties: str) -> None:
        """A joint act that creates nothing."""
        for party in parties:
            self.ok(party, command)

    def number(self) -> bytes:
        """Of a bank receipt."""
        return sha256(b"receipt" + self.label).digest()

    def lent(self, kind: r.FinancingKind, amount: int = 1_000) -> tuple[bytes, bytes]:
        """A voucher and an unpaid loan of 80 % on it."""
        voucher, offer = self.voucher(1_000), self.offer(kind=kind, grid=ADVANCE)
        drawn = self.ok("devices", self.draw("devices", voucher, 0, amount, offer))
        self.pay_out("bank-2", drawn, amount * 8 // 10)
        return voucher, drawn.created[0].id

    def surplus(self, voucher: bytes) -> bytes:
        """The instruction for what a loan on a voucher left over."""
        keys = self.state.index_scan(Index.BANK_INSTRUCTIONS, self.ids["bank-2"], limit=99)
        orders = {key[16:]: self.get(r.Instruction, key[16:]) for key in keys}
        return next(id for id, order in orders.items() if order.reference == voucher)


# --- stories ----------------------------------------------------------------------------------------


def enterprises(w: Twins) -> Story:
    firm, branch = w.name("firm"), w.name("branch")
    w.join(firm, r.OrganisationKind.CORE, r.Size.LARGE)
    yield None
    w.ok("bank-1", c.KycSet(w.label, w.ids[firm], 2, r.Size.MEDIUM, "tourism", "inland"))
    yield None
    w.ok("bank-1", c.OrganisationSuspend(w.label, w.ids[firm]))
    yield None
    w.ok("bank-1", c.OrganisationResume(w.label, w.ids[firm]))
    yield None
    w.branch(firm, branch)
    yield None
    w.ok(firm, c.BranchStatusSet(w.label, w.ids[branch], r.BranchStatus.RESTRICTED))
    yield None
    w.ok(firm, c.PolicySet(w.label, (), w.ids[branch]))
    yield None
    extra = w.new_key(firm, "extra", (r.Role.MAKER,))
    key = w.created(firm, c.KeyAdd(w.label, extra), r.Kind.KEY)
    yield None
    rotated = w.new_key(firm, "rotated", (r.Role.MAKER,))
    new = w.created(firm, c.KeyRotate(w.label, key, rotated), r.Kind.KEY)
    yield None
    w.ok(firm, c.KeyRevoke(w.label, new))
    yield None
    w.ok(firm, c.ReadingKeySet(w.label, 1, r.ReadingSuite.MLKEM768_X25519, bytes(1_216)))
    yield None
    w.ok("regulator", c.IssuerBlock(w.label, w.ids[firm]))
    yield None
    w.ok("regulator", c.IssuerUnblock(w.label, w.ids[firm]))
    yield None
    w.ok(firm, c.DistressDeclare(w.label))
    yield None
    w.ok(firm, c.DistressEnd(w.label))
    yield None
    start = c.RecoverStart(w.label, w.ids[firm], (w.new_key(firm, "late", PEOPLE["maker"]),
                                                  w.new_key(firm, "later", PEOPLE["checker"])))  # fmt: skip
    w.jointly_done(start, "bank-1", "bank-2")
    yield None
    w.ok(firm, c.RecoverCancel(w.label))
    yield None
    event = w.created("regulator", c.DistressOpen(w.label, (firm,), (), w.day, w.day + 9),
                      r.Kind.DISTRESS_EVENT)  # fmt: skip
    yield None
    w.ok("regulator", c.DistressClose(w.label, event))
    yield None
    for end in range(2):
        publish = c.FlowAnchorPublish(
            w.label, "orders", w.day, end * 100, end * 100 + 100, 1, 1, DIGEST
        )
        w.ok(firm, publish)
        yield None


def limits(w: Twins) -> Story:
    firm = w.name("firm")
    w.join(firm, r.OrganisationKind.CORE, r.Size.LARGE)
    line = w.line(r.LineKind.ISSUE, "bank-1", firm, 1_000)
    yield None
    w.ok("bank-1", c.LineChange(w.label, line, 2_000, w.day, w.day + 9, ()))
    yield None
    w.ok("bank-1", c.LineSuspend(w.label, line))
    yield None
    w.ok("bank-1", c.LineResume(w.label, line))
    yield None
    grant = c.LineGrantSealed(
        w.label, r.LineKind.DEBTOR_EXPOSURE, w.ids[firm], "CNY", DIGEST, w.day, w.day + 9
    )
    sealed = w.created("bank-3", grant, r.Kind.CREDIT_LINE)
    yield None
    w.ok("bank-3", c.LineUseSealed(w.label, sealed, 2, DIGEST, w.ids[firm]))
    yield None
    w.ok("bank-3", c.LineChangeSealed(w.label, sealed, 3, DIGEST, w.day, w.day + 8))
    yield None
    w.ok(firm, c.LineAllocate(w.label, w.ids["devices"], "CNY", 500, w.day, w.day + 9))
    yield None
    create = c.ProgrammeCreate(
        w.label, r.ProgrammeKind.RECEIVABLE, "CNY", w.rules(open_to_all=False)
    )
    programme = w.created(firm, create, r.Kind.PROGRAMME)
    yield None
    w.ok(firm, c.ProgrammeUpdate(w.label, programme, w.rules(open_to_all=False, max_hops=3)))
    yield None
    w.ok("devices", c.ProgrammeJoin(w.label, programme))
    yield None
    w.ok("devices", c.ProgrammeLeave(w.label, programme))
    yield None
    w.ok(firm, c.FeeScheduleSet(w.label, programme, r.FeeTerms(w.day, 5, 0, 0, 0)))
    yield None
    grant = c.WaiverGrant(
        w.label, programme, r.WaiverScope.REGION, b"coast", r.WaiverKind.EXEMPT, 0, 0, w.day,
        w.day + 9, 0,
    )  # fmt: skip
    waiver = w.created(firm, grant, r.Kind.WAIVER)
    yield None
    w.ok(firm, c.WaiverRevoke(w.label, waiver))
    yield None
    commit = c.FundCommit(
        w.label, w.ids[firm], w.ids["bank-4"], r.PoolKind.EARLY_PAY, "CNY", 100, DIGEST
    )
    w.jointly(commit, firm, "bank-4")
    yield None
    pool = pool_id(w.ids[firm], w.ids["bank-4"], r.PoolKind.EARLY_PAY, "CNY")
    w.jointly_done(c.FundWithdraw(w.label, pool, 40), firm, "bank-4")
    yield None


def documents(w: Twins) -> Story:
    document = w.document(100)
    yield None
    w.ok("oracle", c.DocumentAttest(w.label, document, r.AttestationKind.INVOICE_GENUINE))
    yield None
    secret = sha256(w.side.encode()).digest()
    hint = reader_hint(secret, document, w.ids["bank-2"])
    w.ok("devices", c.AccessGrant(w.label, document, hint, 1, bytes(1_200)))
    yield None
    fields = (c.OpenedField("total", bytes(32), b"100"),)
    w.ok("bank-2", c.DocumentComplaint(w.label, document, secret, fields))
    yield None
    w.ok("oracle", c.DocumentVoid(w.label, document))
    yield None


def circulation(w: Twins) -> Story:
    line = w.ids["line ISSUE bank-1 core"]
    programme = w.programme(accept_mode=r.AcceptMode.EXPLICIT)
    waiting = []
    for _ in range(3):
        issue = w.issue(1_000, w.document(1_000), programme, line)
        waiting.append(w.created("core", issue, r.Kind.VOUCHER))
        yield None
    w.ok("devices", c.VoucherReject(w.label, waiting[0]))
    yield None
    w.ok("core", c.VoucherWithdraw(w.label, waiting[1]))
    yield None
    voucher = waiting[2]
    w.ok("devices", c.VoucherClaim(w.label, voucher, True))
    yield None
    pieces = (c.Piece(w.ids["shop"], 100, None),) * 3
    w.ok("devices", c.LotTransfer(w.label, voucher, 0, pieces))
    yield None
    w.ok("shop", c.LotAccept(w.label, voucher, 900))
    yield None
    w.ok("shop", c.LotDecline(w.label, voucher, 800))
    yield None
    w.ok("devices", c.LotRecall(w.label, voucher, 700))
    yield None


def draws(w: Twins) -> Story:
    voucher, offer = w.voucher(1_000), w.offer(registration_required=True)
    yield None
    drawn = w.ok("devices", w.draw("devices", voucher, 0, 100, offer))
    yield None
    day, expiry = w.day, w.day + 300
    w.ok("bank-2", c.RegistrationRecord(w.label, drawn.created[0].id, DIGEST, day, expiry))
    yield None
    w.ok("bank-2", c.InstructionSend(w.label, drawn.created[1].id))
    yield None
    w.pay_out("bank-2", drawn, drawn.result[1])
    yield None
    batch = (c.BatchDraw(10, r.Purpose.RENT), c.BatchDraw(20, r.Purpose.PAYROLL))
    command = c.FinancingDrawBatch(w.label, offer, voucher, 0, batch, w.account("devices"))
    drawn = w.ok("devices", command)
    yield None
    w.ok("bank-2", c.PayoutFail(w.label, drawn.created[1].id))
    yield None
    w.ok("bank-2", c.OfferRevoke(w.label, offer))
    yield None
    for accepted in (True, False):
        ask = c.FinancingRequestOpen(
            w.label, voucher, 0, 50, w.account("devices"), r.Purpose.GOODS, (w.ids["bank-3"],)
        )
        request = w.created("devices", ask, r.Kind.FINANCING_REQUEST)
        yield None
        quote = c.FinancingQuote(
            w.label, request, 50, r.FinancingKind.SALE, 0, 360, 10_000, (), False, w.day
        )
        w.ok("bank-3", quote)
        yield None
        if accepted:
            w.ok("devices", c.FinancingAccept(w.label, request, w.ids["bank-3"]))
        else:
            w.ok("devices", c.FinancingCancel(w.label, request))
        yield None
    ask = c.FinancingRequestOpen(
        w.label, voucher, 0, 50, w.account("devices"), r.Purpose.GOODS, (w.ids["bank-3"],)
    )
    request = w.created("devices", ask, r.Kind.FINANCING_REQUEST)
    yield None
    w.ok("bank-3", c.FinancingQuoteSealed(w.label, request, 50, DIGEST, DIGEST, (), False, w.day))
    yield None
    accept = c.FinancingAcceptSealed(w.label, request, w.ids["bank-3"], DIGEST, DIGEST, w.day)
    instruction = w.created("devices", accept, r.Kind.INSTRUCTION)
    yield None
    w.ok("bank-3", c.PayoutConfirmSealed(w.label, instruction, 50, DIGEST, w.number()))
    yield None


def loans(w: Twins) -> Story:
    kinds = (r.FinancingKind.LOAN_RECOURSE,) + (r.FinancingKind.LOAN_PLEDGE,) * 3
    lent = []
    for kind in kinds:
        lent.append(w.lent(kind))
        yield None
    voucher, loan = lent[3]
    announced = w.created("devices", c.FinancingRepay(w.label, loan, 100), r.Kind.INSTRUCTION)
    yield None
    w.ok("bank-2", c.RepayConfirm(w.label, announced, 100, w.number()))
    yield w.get(r.Voucher, voucher).grace_end + 1
    w.ok("bank-2", c.RecourseClaim(w.label, lent[0][1], None))
    yield None
    w.ok("devices", c.RecourseRepurchase(w.label, lent[0][1]))
    yield None
    w.ok("bank-2", c.FinancingEnforce(w.label, lent[1][1]))
    yield None
    w.ok("bank-2", c.FinancingWriteOff(w.label, lent[2][1]))
    yield None


def rediscounts(w: Twins) -> Story:
    voucher, offer = w.voucher(1_000), w.offer(grid=(r.RateBand(365, 0, 10_000),))
    w.sell("devices", voucher, 0, 1_000, offer)
    yield None
    for confirmed in (True, False):
        deal = c.RediscountOffer(w.label, voucher, 0, 100, w.ids["bank-3"], 99)
        id = w.created("bank-2", deal, r.Kind.FINANCING)
        yield None
        w.ok("bank-3", c.RediscountAccept(w.label, id, 99))
        yield None
        if confirmed:
            w.ok("bank-2", c.RediscountConfirm(w.label, id, 99, w.number()))
        else:
            w.ok("bank-3", c.RediscountCancel(w.label, id))
        yield None


def settlements(w: Twins) -> Story:
    voucher, _ = w.lent(r.FinancingKind.LOAN_PLEDGE, 500)
    yield w.get(r.Voucher, voucher).maturity
    w.ok("bank-1", c.FundsReceived(w.label, voucher, 1_000, 0, w.number()))
    yield None
    w.ok("bank-1", c.SettlementFailed(w.label, instruction_id(voucher, 0)))
    yield None
    pledged = instruction_id(voucher, 500)
    w.ok("bank-1", c.SettlementPaid(w.label, pledged, 500, w.number()))
    yield None
    w.ok("bank-2", c.InstructionFail(w.label, w.surplus(voucher)))
    yield None
    w.ok("bank-2", c.InstructionConfirm(w.label, w.surplus(voucher), 100, w.number()))
    yield None


def nettings(w: Twins) -> Story:
    left, right = w.name("left"), w.name("right")
    papers = []
    for name in (left, right):
        w.join(name, r.OrganisationKind.CORE, r.Size.LARGE)
        w.line(r.LineKind.ISSUE, "bank-1", name, 1_000)
        yield None
    programme = w.programme()
    for debtor, payee in ((left, right), (right, left)):
        issue = w.issue(
            1_000, w.document(1_000, payee, debtor), programme,
            w.ids[f"line ISSUE bank-1 {debtor}"], payee=w.ids[payee],
        )  # fmt: skip
        papers.append(w.created(debtor, issue, r.Kind.VOUCHER))
        w.ok(payee, c.VoucherClaim(w.label, papers[-1], True))
        yield None
    due = w.get(r.Voucher, papers[0]).maturity
    yield due
    legs = tuple(c.NetLeg(paper, 0, 400) for paper in sorted(papers))
    w.jointly_done(c.SettlementNet(w.label, legs), left, right)
    yield due + 1
    w.ok("bank-2", c.ReconciliationAttest(w.label, w.ids[left], "CNY", due, 1, 600))
    yield None


def guarantees(w: Twins) -> Story:
    voucher = w.voucher(1_000)
    issue = c.GuaranteeIssue(
        w.label, w.ids["bank-4"], None, r.GuaranteeScope.VOUCHER, voucher, "CNY", 600, 0,
        w.get(r.Voucher, voucher).grace_end + 40,
    )  # fmt: skip
    cover = w.created("surety", issue, r.Kind.GUARANTEE)
    yield w.get(r.Voucher, voucher).grace_end + 1
    for paid in (True, False):
        w.ok("devices", c.GuaranteeCall(w.label, cover, voucher, 0, 100))
        yield None
        if paid:
            w.ok("bank-4", c.GuaranteePayConfirm(w.label, voucher, 0, 100, w.number()))
        else:
            w.ok("devices", c.GuaranteeRelease(w.label, cover, voucher, 0))
        yield None


def backstops(w: Twins) -> Story:
    voucher = w.voucher(1_000)
    cap = 900 if w.side == "a" else 901  # a joint act is known by its body
    create = c.BackstopCreate(
        w.label, (r.BackstopShare(w.ids["bank-2"], 10_000),), w.ids["bank-2"], "CNY",
        (w.ids["core"],), (), cap, 8_000, 30_000, 360, False, 3,
    )  # fmt: skip
    pool = w.created("bank-2", create, r.Kind.BACKSTOP)
    yield w.get(r.Voucher, voucher).grace_end + 1
    w.ok("bank-2", c.BackstopTrigger(w.label, pool, w.ids["core"], voucher, None))
    yield None
    draw = c.BackstopDraw(w.label, pool, voucher, 0, 500, w.account("devices"), r.Purpose.PAYROLL)
    w.ok("devices", draw)
    yield None
    w.ok("bank-2", c.BackstopClose(w.label, pool))
    yield None


def goods(w: Twins) -> Story:
    maker, shop = w.name("maker"), w.name("trader")
    w.join(maker, r.OrganisationKind.CORE, r.Size.LARGE)
    w.join(shop, r.OrganisationKind.DISTRIBUTOR)
    w.line(r.LineKind.BORROWER, "bank-2", shop, 1_000)
    yield None
    ask = c.PrepaymentRequest(
        w.label, w.ids[maker], w.ids["bank-2"], w.account(maker), "CNY", 1_000, "B", "case",
        w.day + 9, w.day + 60,
    )  # fmt: skip
    order = w.created(shop, ask, r.Kind.PREPAYMENT)
    yield None
    funded = w.ok("bank-2", c.PrepaymentFund(w.label, order, 1_000, 0, 360, 7_000))
    loan = next(x.id for x in funded.created if x.kind == r.Kind.FINANCING)
    yield None
    w.pay_out("bank-2", funded, 1_000)
    yield None
    ship = c.PrepaymentShip(w.label, order, w.ids["store"], "hall", 20, 100)
    shipped = w.created(maker, ship, r.Kind.WAREHOUSE_RECEIPT)
    yield None
    issue = c.WarehouseReceiptIssue(w.label, w.ids[shop], "B", "case", "hall", "CNY", 20, 100)
    stored = w.created("store", issue, r.Kind.WAREHOUSE_RECEIPT)
    yield None
    part = w.created(shop, c.WarehouseReceiptSplit(w.label, stored, 5), r.Kind.WAREHOUSE_RECEIPT)
    yield None
    w.ok(shop, c.WarehouseReceiptTransfer(w.label, part, w.ids[maker]))
    yield None
    w.ok("store", c.WarehouseReceiptDeliver(w.label, stored, 1))
    yield None
    w.ok(shop, c.WarehouseReceiptPledge(w.label, stored, loan, 7_000))
    yield None
    w.ok("oracle", c.WarehouseReceiptPrice(w.label, shipped, 200))
    yield None
    repaid = w.created(shop, c.FinancingRepay(w.label, loan, 500), r.Kind.INSTRUCTION)
    w.ok("bank-2", c.RepayConfirm(w.label, repaid, 500, w.number()))
    yield None
    w.ok("bank-2", c.WarehouseReceiptRelease(w.label, shipped, 10))
    yield None
    w.ok("oracle", c.WarehouseReceiptPrice(w.label, stored, 1))
    w.ok("oracle", c.WarehouseReceiptPrice(w.label, shipped, 1))
    yield None
    w.ok("bank-2", c.MarginCall(w.label, loan))
    yield None
    w.ok("oracle", c.WarehouseReceiptPrice(w.label, shipped, 100))
    yield w.get(r.Financing, loan).end_day + 1
    called = w.ok("bank-2", c.BuybackCall(w.label, loan))
    yield None
    paid = c.BuybackConfirm(w.label, called.created[0].id, called.result[0], w.number())
    w.ok("bank-2", paid)
    yield None


def amendments(w: Twins) -> Story:
    line = w.ids["line ISSUE bank-1 core"]
    vouchers = []
    for tenor in (90, 90, 90, 200):
        document, programme = w.document(1_000), w.programme()
        issue = w.issue(1_000, document, programme, line, maturity=w.day + tenor)
        voucher = w.created("core", issue, r.Kind.VOUCHER)
        w.ok("devices", c.VoucherClaim(w.label, voucher, True))
        vouchers.append((voucher, document))
        yield None
    (cancelled, _), (reduced, backing), (moved, _), (long, _) = vouchers
    w.jointly_done(c.VoucherCancel(w.label, cancelled), "core", "devices")
    yield None
    less = c.VoucherReduce(w.label, reduced, 0, (r.DocumentUse(backing, 100),))
    w.jointly_done(less, "core", "devices")
    yield None
    later = c.VoucherExtend(w.label, moved, w.day + 120, (w.ids["devices"],))
    w.jointly_done(later, "core", "devices")
    yield None
    w.ok("bank-2", c.VoucherReview(w.label, long))
    yield None
    w.ok("regulator", c.VoucherSuspend(w.label, long))
    yield None
    w.ok("regulator", c.VoucherResume(w.label, long))
    yield None
    w.ok("devices", c.LotFlagSet(w.label, long, 0, True))
    yield None


def legal(w: Twins) -> Story:
    voucher = w.voucher(1_000)
    yield None
    part = c.FrozenPart(voucher, 0, 100, False)
    order = c.FreezeOrder(w.label, w.ids["devices"], DIGEST, (part,), w.day + 200)
    freeze = w.created("court", order, r.Kind.FREEZE)
    yield None
    w.ok("court", c.FreezeExtend(w.label, freeze, w.day + 300))
    yield None
    w.ok("court", c.ForceTransfer(w.label, voucher, 900, 950, w.ids["shop"], DIGEST))
    yield None
    ranges = (c.DisputedRange(0, 100),)
    dispute = w.created("devices", c.DisputeOpen(w.label, voucher, ranges, DIGEST), r.Kind.DISPUTE)
    yield None
    w.ok("court", c.DisputeResolve(w.label, dispute))
    yield w.get(r.Voucher, voucher).maturity
    w.ok("bank-1", c.FundsReceived(w.label, voucher, 500, 0, w.number()))
    yield None
    w.ok("bank-1", c.SettlementEscrow(w.label, instruction_id(voucher, 950), 1, w.number()))
    yield None
    w.ok("court", c.FreezeLift(w.label, freeze))
    yield w.get(r.Voucher, voucher).grace_end + 31
    w.ok("devices", c.SettlementWriteOff(w.label, voucher))
    yield None


STORIES: tuple[Callable[[Twins], Story], ...] = (
    enterprises, limits, documents, circulation, draws, loans, rediscounts, settlements, nettings,
    guarantees, backstops, goods, amendments, legal,
)  # fmt: skip


def play(story: Callable[[Twins], Story], world: Twins) -> None:
    """Both sides, step by step."""
    sides = {side: story(world) for side in ("a", "b")}
    while sides:
        day = None
        for side, steps in list(sides.items()):
            world.side = side
            try:
                day = next(steps)
            except StopIteration:
                del sides[side]
        if day is not None:
            world.side = ""
            world.roll_to(day)
