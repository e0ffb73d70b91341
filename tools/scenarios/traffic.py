"""A day's acts of `tools.workload`, turned into the commands of organisations on a stage.

Every voucher, and everything else that has an order, is a lane: its steps are carried out one after the
other, and lanes do not depend on each other. What a step leaves behind is foretold (`workload.lots`), so that
all of a lane can be signed before any of it is sent. For that the sales are at 0 %: what a discount leaves
over is shared by all draws of one supplier.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import zip_longest
from random import Random
from typing import Final

import msgspec

from node.ledger.flow import DAY_SECONDS
from node.ledger.redemption import instruction_id
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire
from tallynet.hashing import record_id
from tools.scenarios.flow_anchors import anchor
from tools.scenarios.stage import MONDAY, ScenarioFailed, Stage, codes_of
from tools.workload import distributions as d
from tools.workload.acts import Act, ActKind, Life, acts, life
from tools.workload.distributions import Outcome
from tools.workload.lots import Held, Lots

COMMANDS_PER_CORE: Final = 250
"""A regional day is 74,000 commands of 300 cores."""
ACTS_PER_VOUCHER: Final = 4
"""On one day. Far more vouchers are live by the law, and idle; making them would take longer than the day."""
DRAW_MAX: Final = 10_000_000_00 - 1
"""Below `controlled_payment_min`: the drawer itself is paid."""
ADVANCE_BPS: Final = 8_000
AT_ONCE, WHEN_ACCEPTED = b"p", b"e"
"""Programmes of every core, by when pieces are received."""
CLEARER, BUYER, LENDER, COURT = "bank-1", "bank-2", "bank-3", "court"
CORE: Final = "core-"
LINE: Final = 10**16
ANCHORS_MAX: Final = 1_000
"""Periods of a day in the one stream of a core."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command, and what must be said to it."""

    by: str
    make: Callable[[], Wire]
    """Called when everybody has joined."""
    code: str = "OK"


@dataclass(slots=True)
class Lane:
    """Steps in order: what must be there when the day begins, and the day's own."""

    opening: list[Step] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class VoucherLane(Lane):
    """A voucher, and what of it can still be moved."""

    label: bytes
    core: str
    payee: str
    life: Life
    lots: Lots


class Traffic:
    """Plan a day, open it, play it, and compare what is left with what was foretold."""

    def __init__(self, stage: Stage, seed: int, commands: int) -> None:
        self._stage: Final = stage
        self._random: Final = Random(seed)
        cores = max(1, commands // COMMANDS_PER_CORE)
        self._suppliers: Final = [d.suppliers(self._random) for _ in range(cores)]
        self._names: Final[dict[str, None]] = {}
        self._vouchers: Final[list[VoucherLane]] = []
        self._others: Final[list[Lane]] = []
        self._streams: Final[dict[str, Lane]] = {}
        self._offers: Final[dict[str, bytes]] = {}
        plan: dict[ActKind, Callable[[Act, Random], None]] = {
            ActKind.TRANSFER: self._transfer, ActKind.SMALL_DRAW: self._small_draw,
            ActKind.FINANCE: self._finance, ActKind.SETTLE: self._settle,
            ActKind.ISSUE: self._issue, ActKind.DOCUMENT: self._document,
            ActKind.ANCHOR: self._anchor, ActKind.ADMIN: self._admin,
        }  # fmt: skip
        for act in acts(seed, commands):
            plan[act.kind](act, Random(act.detail))

    @property
    def lanes(self) -> list[Lane]:
        """Everything of the day; lanes do not depend on each other."""
        return [
            lane for lane in (*self._vouchers, *self._others, *self._streams.values()) if lane.steps
        ]

    # --- on the stage -------------------------------------------------------------------------------

    async def open(self) -> None:
        """Everybody joins, vouchers are issued and claimed, and the next business day begins."""
        stage, cores = self._stage, [_core(n) for n in range(len(self._suppliers))]
        await stage.join(*cores, kind=r.OrganisationKind.CORE, size=r.Size.LARGE)
        await stage.join(*self._names)
        await stage.admit(COURT, r.OrganisationKind.COURT_AGENT)
        for core in cores:
            await stage.grant(r.LineKind.ISSUE, CLEARER, core, LINE)
            await stage.grant(r.LineKind.DEBTOR_EXPOSURE, LENDER, core, LINE)
            await stage.programme(core, AT_ONCE)
            await stage.programme(core, WHEN_ACCEPTED, accept_mode=r.AcceptMode.EXPLICIT)
        self._offers[BUYER] = await stage.offer(
            BUYER, grid=(r.RateBand(365, 0, 10_000),), total_cap=LINE
        )
        self._offers[LENDER] = await stage.offer(
            LENDER, kind=r.FinancingKind.LOAN_PLEDGE, grid=(r.RateBand(365, 34_500, ADVANCE_BPS),),
            total_cap=LINE,
        )  # fmt: skip
        for steps in _rounds(lane.opening for lane in (*self._vouchers, *self._others)):
            by_sender: defaultdict[str, list[Wire]] = defaultdict(list)
            for step in steps:
                by_sender[step.by].append(step.make())
            await stage.send_ok(
                envelope
                for name, commands in by_sender.items()
                for envelope in stage.signed_in_parts(name, commands)
            )
        await stage.roll_to(await stage.today() + 1)

    async def play(self, mingle: Callable[[list[Step]], list[Step]] = list) -> int:
        """The day, lane beside lane, with what `mingle` puts among the steps of each round; how many commands
        it had. Raises ScenarioFailed WRONG."""
        count = 0
        for planned in _rounds(lane.steps for lane in self.lanes):
            steps = mingle(planned)
            receipts = await self._stage.send(
                self._stage.sign(step.by, step.make()) for step in steps
            )
            for step, receipt in zip(steps, receipts, strict=True):
                if codes_of(receipt) != (step.code,):
                    found = f"{codes_of(receipt)} to {step.make()} of {step.by}, not {step.code}"
                    raise ScenarioFailed("WRONG", found)
            count += len(steps)
        return count

    async def check(self) -> int:
        """Every range that can be moved is where it was foretold to be; how many there are. Raises
        ScenarioFailed WRONG."""
        stage, count = self._stage, 0
        names = {stage.id(name): name for name in self._names}
        for lane in self._vouchers:
            found = [
                Held(lot.start, lot.end, names[lot.holder], lot.hops)
                for lot in await stage.lots(self._id(lane))
                if lot.state is r.LotState.HELD and lot.holder in names
            ]
            if found != lane.lots.all():
                raise ScenarioFailed("WRONG", f"lots {found}, foretold {lane.lots.all()}")
            count += len(found)
        return count

    def _id(self, lane: VoucherLane) -> bytes:
        return record_id(r.Kind.VOUCHER, self._stage.id(lane.core), lane.label)

    # --- who and what -------------------------------------------------------------------------------

    def _supplier(self, random: Random, core: int) -> str:
        name = f"supplier-{core}-{random.randrange(self._suppliers[core])}"
        self._names[name] = None
        return name

    def _pair(self, random: Random) -> tuple[str, str]:
        """A core and one of its suppliers."""
        core = random.randrange(len(self._suppliers))
        return _core(core), self._supplier(random, core)

    def _voucher(
        self, random: Random, given: Life, maturity: int
    ) -> tuple[VoucherLane, list[Step]]:
        """A voucher whose document is there when the day begins, and the steps that issue it."""
        stage, (core, payee) = self._stage, self._pair(random)
        label, sealed = stage.label(), stage.label()
        lots = Lots(payee, given.face)
        lane = VoucherLane(label=label, core=core, payee=payee, life=given, lots=lots)
        programme = WHEN_ACCEPTED if given.explicit else AT_ONCE

        def document() -> c.DocumentRegister:
            return stage.document(payee, core, given.face, sealed)

        def issue() -> c.VoucherIssue:
            return stage.issue(
                core, payee, given.face, maturity, stage.document_id(document()), label=label,
                programme=stage.programme_id(core, programme),
            )  # fmt: skip

        lane.opening.append(Step(payee, document))
        return lane, [Step(core, issue)]

    def _claim(self, lane: VoucherLane) -> Step:
        stage = self._stage
        return Step(lane.payee, lambda: c.VoucherClaim(stage.label(), self._id(lane), True))

    def _live(
        self, random: Random, fits: Callable[[VoucherLane], list[Held]]
    ) -> tuple[VoucherLane, Held]:
        """A lot that an act fits, of a voucher that something was done to before, or of a new one."""
        if self._vouchers and random.randrange(ACTS_PER_VOUCHER):
            lane = random.choice(self._vouchers)
            if lots := fits(lane):
                return lane, random.choice(lots)
        while True:
            given = life(random)
            lane, issue = self._voucher(random, given, MONDAY + given.tenor)
            lane.opening += [*issue, self._claim(lane)]
            self._vouchers.append(lane)
            if lots := fits(lane):
                return lane, random.choice(lots)

    # --- acts ---------------------------------------------------------------------------------------

    def _transfer(self, act: Act, random: Random) -> None:
        """A part of a lot goes to one or more suppliers of the same core, who answer if they must."""
        stage, declines = self._stage, act.outcome is Outcome.TRANSFER_DECLINED

        def fits(one: VoucherLane) -> list[Held]:
            if declines and not one.life.explicit:
                return []
            return [lot for lot in one.lots.all() if lot.hops < one.life.depth]

        lane, lot = self._live(random, fits)
        if act.outcome is Outcome.DISPUTED:
            self._dispute(lane, lot)
        elif act.outcome is Outcome.FROZEN:
            self._freeze(lane, lot)
        core = int(lane.core.removeprefix(CORE))
        count = min(d.pieces(random, lot.hops), lot.length)
        each = max(1, lot.length * random.randint(1, 9) // 10 // count)
        parts = []
        for _ in range(count):
            receiver = lot.holder
            while receiver == lot.holder:
                receiver = self._supplier(random, core)
            parts.append(replace(lane.lots.carve(lot, each), holder=receiver, hops=lot.hops + 1))

        def transfer() -> c.LotTransfer:
            pieces = tuple(c.Piece(stage.id(part.holder), each, None) for part in parts)
            return c.LotTransfer(stage.label(), self._id(lane), lot.start, pieces)

        lane.steps.append(Step(lot.holder, transfer))
        for number, part in enumerate(parts):
            declined = declines and not number
            if lane.life.explicit:
                lane.steps.append(self._answer(lane, part, declined=declined))
            lane.lots.give(replace(part, holder=lot.holder, hops=lot.hops) if declined else part)

    def _dispute(self, lane: VoucherLane, lot: Held) -> None:
        """The holder disputes a lot, and a court ends it."""
        stage, label = self._stage, self._stage.label()
        ranges = (c.DisputedRange(lot.start, lot.end),)

        def resolve() -> c.DisputeResolve:
            dispute = record_id(r.Kind.DISPUTE, stage.id(lot.holder), label)
            return c.DisputeResolve(stage.label(), dispute)

        def opened() -> c.DisputeOpen:
            return c.DisputeOpen(label, self._id(lane), ranges, stage.receipt())

        lane.steps += [Step(lot.holder, opened), Step(COURT, resolve)]

    def _freeze(self, lane: VoucherLane, lot: Held) -> None:
        """A court freezes a lot, and lifts the freeze."""
        stage, label = self._stage, self._stage.label()

        def order() -> c.FreezeOrder:
            part = c.FrozenPart(self._id(lane), lot.start, lot.length, True)
            whose, until = stage.id(lot.holder), MONDAY + 30
            return c.FreezeOrder(label, whose, stage.receipt(), (part,), until)

        def lift() -> c.FreezeLift:
            freeze = record_id(r.Kind.FREEZE, stage.id(COURT), label)
            return c.FreezeLift(stage.label(), freeze)

        lane.steps += [Step(COURT, order), Step(COURT, lift)]

    def _answer(self, lane: VoucherLane, part: Held, *, declined: bool) -> Step:
        stage, answer = self._stage, c.LotDecline if declined else c.LotAccept
        return Step(part.holder, lambda: answer(stage.label(), self._id(lane), part.start))

    def _small_draw(self, act: Act, random: Random) -> None:
        """A small shop sells a few yuan of a lot."""
        amount, purpose = d.small_amount(random), d.small_purpose(random)
        lane, lot = self._live(
            random, lambda one: [x for x in one.lots.all() if x.length >= amount]
        )
        self._draw(act, lane, lot, amount, BUYER, amount, purpose)

    def _finance(self, act: Act, random: Random) -> None:
        """An ordinary loan on a lot or a part of it."""
        lane, lot = self._live(random, lambda one: [x for x in one.lots.all() if x.length > 1])
        amount = max(2, min(d.drawn_amount(random, lot.length), DRAW_MAX))
        self._draw(act, lane, lot, amount, LENDER, amount * ADVANCE_BPS // 10_000, r.Purpose.GOODS)

    def _draw(
        self, act: Act, lane: VoucherLane, lot: Held, amount: int, bank: str, net: int,
        purpose: r.Purpose,
    ) -> None:  # fmt: skip
        stage, label = self._stage, self._stage.label()
        part = lane.lots.carve(lot, amount)

        def draw() -> c.FinancingDraw:
            offer = self._offers[bank]
            asked = stage.draw(lot.holder, self._id(lane), lot.start, amount, offer, purpose)
            return msgspec.structs.replace(asked, label=label)

        def instruction() -> bytes:
            financing = record_id(r.Kind.FINANCING, stage.id(lot.holder), label)
            return record_id(r.Kind.INSTRUCTION, financing, bytes(4))

        def again() -> c.FinancingDraw:
            offer = self._offers[BUYER]
            return stage.draw(lot.holder, self._id(lane), part.start, amount, offer, purpose)

        lane.steps.append(Step(lot.holder, draw))
        if act.outcome is Outcome.DOUBLE_FINANCED:
            lane.steps.append(Step(lot.holder, again, "LOT_LOCKED"))
        if act.kind is ActKind.FINANCE:
            lane.steps.append(Step(bank, lambda: c.InstructionSend(stage.label(), instruction())))
        if act.outcome is Outcome.PAYOUT_FAILED:
            lane.steps.append(Step(bank, lambda: c.PayoutFail(stage.label(), instruction())))
            lane.lots.give(part)
        else:
            lane.steps.append(self._paid(bank, c.PayoutConfirm, instruction, net))

    def _paid(
        self, bank: str, command: type[c.PayoutConfirm | c.SettlementPaid],
        instruction: Callable[[], bytes], amount: int,
    ) -> Step:  # fmt: skip
        stage = self._stage
        return Step(bank, lambda: command(stage.label(), instruction(), amount, stage.receipt()))

    def _settle(self, act: Act, random: Random) -> None:
        """A voucher of two halves is due; its debtor pays all, half, or nothing."""
        stage, given = self._stage, life(random)
        half = given.face // 4 * 2
        given = replace(given, face=2 * half, explicit=False)
        lane, issue = self._voucher(random, given, MONDAY + 1)
        other = lane.payee
        while other == lane.payee:
            other = self._supplier(random, int(lane.core.removeprefix(CORE)))

        def split() -> c.LotTransfer:
            pieces = (c.Piece(stage.id(other), half, None),)
            return c.LotTransfer(stage.label(), self._id(lane), 0, pieces)

        lane.opening += [*issue, self._claim(lane), Step(lane.payee, split)]
        self._others.append(lane)
        if act.outcome is Outcome.OVERDUE:
            return
        paid = half // 2 if act.outcome is Outcome.PARTIAL_PAYMENT else half

        def funds() -> c.FundsReceived:
            return c.FundsReceived(stage.label(), self._id(lane), 2 * paid, 0, stage.receipt())

        lane.steps.append(Step(CLEARER, funds))
        for start in (0, half):
            instruction = partial(self._settlement, lane, start)
            lane.steps.append(self._paid(CLEARER, c.SettlementPaid, instruction, paid))

    def _settlement(self, lane: VoucherLane, start: int) -> bytes:
        return instruction_id(self._id(lane), start)

    def _issue(self, act: Act, random: Random) -> None:
        """A voucher of the day: it is claimed, or refused."""
        stage, given = self._stage, life(random)
        lane, issue = self._voucher(random, given, MONDAY + 1 + given.tenor)
        lane.steps += issue
        self._others.append(lane)
        if act.outcome is Outcome.CLAIM_REFUSED:
            refuse = Step(lane.payee, lambda: c.VoucherReject(stage.label(), self._id(lane)))
            lane.steps.append(refuse)
        else:
            lane.steps.append(self._claim(lane))

    def _document(self, _act: Act, random: Random) -> None:
        """A contract for a voucher of another day."""
        stage, (core, payee), label = self._stage, self._pair(random), self._stage.label()
        face = d.face(random)
        register = Step(payee, lambda: stage.document(payee, core, face, label))
        self._others.append(Lane(steps=[register]))

    def _anchor(self, _act: Act, random: Random) -> None:
        """The next period of a core's one stream."""
        stage, core = self._stage, _core(random.randrange(len(self._suppliers)))
        lane = self._streams.setdefault(core, Lane())
        seconds = DAY_SECONDS // ANCHORS_MAX
        start = len(lane.steps) * seconds
        units, period = random.randint(1, 10_000), (start, start + seconds)
        publish = Step(core, lambda: anchor(stage, "orders", MONDAY + 1, units, period=period))
        lane.steps.append(publish)

    def _admin(self, _act: Act, random: Random) -> None:
        """A bank looks at a line and confirms it."""
        stage, core = self._stage, _core(random.randrange(len(self._suppliers)))

        def change() -> c.LineChange:
            line = stage.line_id(r.LineKind.DEBTOR_EXPOSURE, LENDER, core)
            return c.LineChange(stage.label(), line, LINE, MONDAY, MONDAY + 500, ())

        self._others.append(Lane(steps=[Step(LENDER, change)]))


def _core(number: int) -> str:
    return f"{CORE}{number}"


def _rounds(lanes: Iterable[list[Step]]) -> Iterator[list[Step]]:
    """The first steps of all lanes, then the second ones, and so on."""
    for steps in zip_longest(*lanes):
        yield [step for step in steps if step is not None]
