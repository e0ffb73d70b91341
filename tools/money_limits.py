"""What limits a draw and what it costs, in the naive model of the money: lines, allocations, fees, fund
pools and the alarm over a debtor's business flow. Written, as all of the model, from the voucher law."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Self

from tallynet import commands as c
from tallynet import records as r
from tallynet.genesis import Genesis
from tallynet.receipts import CommandReceipt

DEFAULTS: Final = {"claim_deadline_days": 10, "transfer_deadline_days": 5, "payout_timeout_seconds": 86_400,
                   "default_after_days": 30, "margin_call_days": 5, "request_expiry_days": 3, "flow_window_days": 7,
                   "flow_baseline_days": 28, "flow_collapse_bps": 3_000, "flow_recover_bps": 6_000}  # fmt: skip


class Mismatch(Exception):
    """The chain did something that the voucher law does not allow, or that this model cannot follow."""


@dataclass(slots=True)
class Line:
    granted: int
    reserved: int = 0
    used: int = 0
    seasonal: r.SeasonalWindows = ()
    sequence: int = 0
    """Of the newest commitment of a sealed line; an open one has none."""
    use: bytes = b""
    """What that commitment counts in and no act has taken yet."""

    def room(self, today: int) -> int:
        """Granted and seasonal limit, less what is reserved and used (I4)."""
        more = sum(w.amount for w in self.seasonal if w.first_day <= today <= w.last_day)
        return self.granted + more - self.reserved - self.used


@dataclass(frozen=True, slots=True)
class Charge:
    """The platform fee of a draw."""

    drawer: int = 0
    debtor: int = 0
    deferred: bool = False
    waiver: bytes = b""
    waived: int = 0

    def deducted(self, *, sold: bool) -> int:
        """What is paid out less: nothing of loans, nothing of what is paid later."""
        return self.drawer if sold and not self.deferred else 0


NO_CHARGE: Final = Charge()


@dataclass(slots=True)
class Fund:
    """Money of an enterprise with its agent bank."""

    agent: bytes
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
class Limits:
    """The part of the model that answers whether a draw is possible, and at which fee."""

    today: int
    time: int = 0
    parameters: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    lines: dict[bytes, Line] = field(default_factory=dict)
    line_of: dict[tuple[r.LineKind, bytes, bytes, str], bytes] = field(default_factory=dict)
    """kind, grantor, obligor, currency -> line."""
    revoked: set[bytes] = field(default_factory=set)
    """Offers and waivers."""
    people: dict[bytes, dict[r.WaiverScope, bytes]] = field(default_factory=dict)
    """Organisation -> what waivers ask about it."""
    fees: dict[bytes, list[r.FeeTerms]] = field(default_factory=dict)
    """By programme; empty: the network."""
    waivers: dict[bytes, tuple[bytes, c.WaiverGrant]] = field(default_factory=dict)
    waiver_used: dict[bytes, int] = field(default_factory=dict)
    fee_orders: dict[bytes, int] = field(default_factory=dict)
    """Open fee instruction -> amount."""
    fees_ordered: dict[bytes, list[bytes]] = field(default_factory=dict)
    """Financing -> its fee instructions of this block, as the log names them."""
    funds: dict[bytes, Fund] = field(default_factory=dict)
    fund_of: dict[tuple[bytes, bytes, r.PoolKind, str], bytes] = field(default_factory=dict)
    """funder, agent bank, kind, currency -> pool."""
    flows: dict[tuple[bytes, str], Flow] = field(default_factory=dict)
    """By publisher and stream."""

    @classmethod
    def of(cls, genesis: Genesis) -> Self:
        """The model of a network before its first block."""
        model = cls(genesis.business_date)
        for parameter in genesis.parameters:
            model.parameters[parameter.name] = [(0, parameter.value)]
        for founder in genesis.organisations:
            model._describe(founder.id, founder.industry, founder.region, founder.size)
        return model

    def parameter(self, name: str) -> int:
        values = [v for day, v in self.parameters.get(name, []) if day <= self.today]
        return values[-1] if values else DEFAULTS[name]

    @staticmethod
    def _created(result: CommandReceipt, kind: r.Kind) -> bytes:
        for item in result.created:
            if item.kind == kind:
                return item.id
        raise Mismatch(f"no {kind.name} was created")

    # --- lines --------------------------------------------------------------------------------

    def _do_LineGrant(self, by: bytes, command: c.LineGrant, result: CommandReceipt) -> None:
        self._new_line(
            (command.kind, by, command.obligor, command.currency),
            Line(command.granted, seasonal=command.seasonal),
            result,
        )

    def _new_line(
        self, key: tuple[r.LineKind, bytes, bytes, str], line: Line, result: CommandReceipt
    ) -> None:
        """One line between the two: it may take the place of a line of the other sort only."""
        if key not in self.line_of:
            self.line_of[key] = self._created(result, r.Kind.CREDIT_LINE)
        else:
            old = self.lines[self.line_of[key]]
            if bool(old.sequence) == bool(line.sequence) or old.reserved or old.used:
                raise Mismatch("a second line of one kind between the same two")
        self.lines[self.line_of[key]] = line

    def _do_LineGrantSealed(
        self, by: bytes, command: c.LineGrantSealed, result: CommandReceipt
    ) -> None:
        key = (command.kind, by, command.obligor, command.currency)
        self._new_line(key, Line(0, sequence=1), result)

    def _do_LineChangeSealed(
        self, by: bytes, command: c.LineChangeSealed, _: CommandReceipt
    ) -> None:
        self._follow(by, command).use = b""

    def _do_LineUseSealed(self, by: bytes, command: c.LineUseSealed, _: CommandReceipt) -> None:
        self._follow(by, command).use = command.use

    def _follow(self, by: bytes, command: c.LineChangeSealed | c.LineUseSealed) -> Line:
        """The next commitment of a sealed line (I15)."""
        line = self.lines[command.line]
        if not line.sequence or command.sequence != line.sequence + 1:
            raise Mismatch("a commitment does not follow the one before it (I15)")
        if by not in {key[1] for key, id in self.line_of.items() if id == command.line}:
            raise Mismatch("a commitment by somebody else than the grantor (I15)")
        line.sequence += 1
        return line

    def _take_use(
        self, kind: r.LineKind, funder: bytes, obligor: bytes, currency: str, use: bytes
    ) -> bool:
        """Whether the line is sealed; then its grantor has counted this use in."""
        id = self.line_of.get((kind, funder, obligor, currency))
        line = None if id is None else self.lines[id]
        if line is None or not line.sequence:
            return False
        if line.use != use:
            raise Mismatch("a sealed line is used without its grantor's word (I15)")
        line.use = b""
        return True

    def _do_LineChange(self, by: bytes, command: c.LineChange, result: CommandReceipt) -> None:
        self.lines[command.line].granted = command.granted
        self.lines[command.line].seasonal = command.seasonal

    def _do_LineAllocate(self, by: bytes, command: c.LineAllocate, result: CommandReceipt) -> None:
        key = (r.LineKind.ALLOCATION, by, command.supplier, command.currency)
        if key not in self.line_of:
            self.line_of[key] = self._created(result, r.Kind.CREDIT_LINE)
        line = self.lines.setdefault(self.line_of[key], Line(0))
        more, line.granted = command.granted > line.granted, command.granted
        if more and self._granted(r.LineKind.ALLOCATION, by, command.currency) > self._granted(
            r.LineKind.ISSUE, by, command.currency
        ):
            raise Mismatch("a core allocates more than its lines")

    def _granted(self, kind: r.LineKind, core: bytes, currency: str) -> int:
        """Sum of a core's lines of a kind, whoever granted them."""
        party = 1 if kind is r.LineKind.ALLOCATION else 2
        return sum(
            self.lines[line].granted
            for key, line in self.line_of.items()
            if (key[0], key[party], key[3]) == (kind, core, currency)
        )

    def _reserve(self, line: bytes, amount: int) -> None:
        if amount > self.lines[line].room(self.today):
            raise Mismatch(f"line {line.hex()} is used beyond its limit (I4)")
        self.lines[line].reserved += amount

    # --- fees ---------------------------------------------------------------------------------

    def _do_OrganisationRegister(
        self, by: bytes, command: c.OrganisationRegister, result: CommandReceipt
    ) -> None:
        id = self._created(result, r.Kind.ORGANISATION)
        self._describe(id, command.industry, command.region, command.size)

    def _do_OrganisationAdmit(
        self, by: bytes, command: c.OrganisationAdmit, result: CommandReceipt
    ) -> None:
        if not result.result:  # the consent that executes a joint act carries no k of n
            id = self._created(result, r.Kind.ORGANISATION)
            self._describe(id, command.industry, command.region, r.Size.LARGE)

    def _do_KycSet(self, by: bytes, command: c.KycSet, _: CommandReceipt) -> None:
        self._describe(command.organisation, command.industry, command.region, command.size)

    def _describe(self, id: bytes, industry: str, region: str, size: r.Size) -> None:
        self.people[id] = {
            r.WaiverScope.INDUSTRY: industry.encode(),
            r.WaiverScope.REGION: region.encode(),
            r.WaiverScope.SIZE: bytes((size,)),
        }

    def _do_FeeScheduleSet(self, by: bytes, command: c.FeeScheduleSet, _: CommandReceipt) -> None:
        day = command.terms.effective_day
        kept = [t for t in self.fees.get(command.programme or b"", []) if t.effective_day < day]
        self.fees[command.programme or b""] = [*kept, command.terms]

    def _do_WaiverGrant(self, by: bytes, command: c.WaiverGrant, result: CommandReceipt) -> None:
        self.waivers[self._created(result, r.Kind.WAIVER)] = (command.programme or b"", command)

    def _do_WaiverRevoke(self, by: bytes, command: c.WaiverRevoke, _: CommandReceipt) -> None:
        self.revoked.add(command.waiver)

    def _charge(self, programme: bytes, debtor: bytes, drawer: bytes, face: int) -> Charge:
        """The fee of voucher law §11, by the programme's schedule or else the network's."""
        for owner in (programme, b""):
            terms = [t for t in self.fees.get(owner, []) if t.effective_day <= self.today]
            if terms:
                return self._charge_by(terms[-1], owner, debtor, drawer, face)
        return NO_CHARGE

    def _charge_by(
        self, terms: r.FeeTerms, programme: bytes, debtor: bytes, drawer: bytes, face: int
    ) -> Charge:
        fee = max(terms.minimum, (face * terms.bps + 9_999) // 10_000)
        if face < terms.free_below or not fee:
            return NO_CHARGE
        id, waived = self._best_waiver(programme, debtor, drawer, fee)
        deferred = bool(id) and self.waivers[id][1].kind is r.WaiverKind.DEFER
        due = fee if deferred else fee - waived
        share = due * terms.debtor_bps // 10_000
        return Charge(due - share, share, deferred, id, waived)

    def _best_waiver(
        self, programme: bytes, debtor: bytes, drawer: bytes, fee: int
    ) -> tuple[bytes, int]:
        """Which waiver counts, and what it waives or defers."""
        asked = self.people.get(drawer, {}) | {
            r.WaiverScope.DRAWER: drawer,
            r.WaiverScope.DEBTOR: debtor,
        }
        found = []
        for id, (of, waiver) in self.waivers.items():
            worth = fee * waiver.bps // 10_000 if waiver.kind is r.WaiverKind.REDUCE else fee
            if (
                of == programme
                and id not in self.revoked
                and asked.get(waiver.scope) == waiver.value
                and waiver.valid_from <= self.today <= waiver.valid_to
                and not 0 < waiver.cap_total < self.waiver_used.get(id, 0) + worth
            ):
                found.append((waiver.kind, -waiver.bps, -waiver.days, id, worth))
        return min(found)[3:] if found else (b"", 0)

    def _count_waiver(self, charge: Charge, sign: int) -> None:
        if charge.waiver:
            used = self.waiver_used.get(charge.waiver, 0)
            self.waiver_used[charge.waiver] = used + sign * charge.waived

    def _order_fee(self, charge: Charge, ids: list[bytes]) -> None:
        """The pay-out orders the fee: the drawer's share and the debtor's."""
        amounts = [amount for amount in (charge.drawer, charge.debtor) if amount]
        if len(ids) != len(amounts):
            raise Mismatch(f"{len(ids)} fee instructions, the model has {amounts}")
        self.fee_orders |= zip(ids, amounts, strict=True)

    # --- fund pools ---------------------------------------------------------------------------

    def _do_FundCommit(self, by: bytes, command: c.FundCommit, result: CommandReceipt) -> None:
        if result.result:
            return  # one of the two has consented
        key = (command.funder, command.agent_bank, command.kind, command.currency)
        if key not in self.fund_of:
            self.fund_of[key] = self._created(result, r.Kind.FUND_POOL)
            self.funds[self.fund_of[key]] = Fund(command.agent_bank)
        self.funds[self.fund_of[key]].committed += command.amount

    def _do_FundWithdraw(self, by: bytes, command: c.FundWithdraw, result: CommandReceipt) -> None:
        if not result.result:
            self.funds[command.pool].committed -= command.amount

    def _check_funds(self) -> None:
        for id, fund in self.funds.items():
            if min(fund.free, fund.reserved, fund.drawn) < 0:
                raise Mismatch(f"pool {id.hex()}: more is promised than was committed")

    # --- flow ---------------------------------------------------------------------------------

    def _roll_flows(self) -> None:
        """The check of a new business date, for the days before it."""
        for flow in self.flows.values():
            self._check_flow(flow, self.today - 1)

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

    def _funded(self, offer: c.OfferCreate, amount: int, discount: int, days: int) -> bool:
        """Whether the offer's pool, if it has one, can pay this draw."""
        advance = next((b.advance_bps for b in offer.grid if days <= b.days_max), 0)
        cash = amount * advance // 10_000 - discount
        return offer.source is None or cash <= self.funds[offer.source].free
