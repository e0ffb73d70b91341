"""What the law machine's town does beside the acts of the simulator's people: goods on credit, the life of
documents, losses.

The simulator's own acts stay as they are, or each of its seeds would tell another story.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from random import Random
from typing import Any, Final

import msgspec

from node.ledger.margin import margin_id
from node.state import Overlay
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire
from tallynet.envelope import Envelope, Mode
from tallynet.genesis import GenesisParameter, genesis_hash
from tallynet.hashing import reader_hint, record_id
from tools.simulator.acts import Act
from tools.simulator.acts.base import CURRENCY, Choice
from tools.simulator.town import MONDAY, Party, Town, founder_of, party_of
from tools.simulator.workload import BAD_PERCENT, VALIDITY_SECONDS

TRADER, STORE, BOARD = "trader", "store", "board"
KINDS: Final = {
    TRADER: r.OrganisationKind.DISTRIBUTOR,
    STORE: r.OrganisationKind.WAREHOUSE,
    BOARD: r.OrganisationKind.ORACLE,
}
MAKER: Final = "devices"
LENDER: Final = "bank-2"
ACTORS: Final = (TRADER, STORE, BOARD, MAKER, LENDER, LENDER, "shop", "cafe", "core")
SOON: Final = (("default_after_days", 3), ("margin_call_days", 2))
"""Bounds allow it, and what comes after thirty days would not be seen in a few steps."""
LENT: Final = 1_000_000
ENDS: Final = (9, 6, 4)
"""Days to the end of three prepayments: one asked for, one paid out, one shipped."""
SHIP_DAYS: Final = 3
UNITS, UNIT_VALUE, ADVANCE = 500, 3_000, 7_000
"""They carry 5 % more than was lent."""
REPAID, LOWER_VALUE = 300_000, 1_990
"""Then they carry 3,500 fen less than is left."""
SECRET: Final = sha256(b"reader").digest()

Records = Mapping[r.Kind, Mapping[bytes, r.Record]]


def larger(town: Town) -> Town:
    """The same town with a distributor, a warehouse and an oracle, where losses come soon."""
    more = [party_of(name, (kind,), r.Size.LARGE) for name, kind in KINDS.items()]
    founders = (*town.genesis.organisations, *(founder_of(party) for party in more))
    genesis = msgspec.structs.replace(
        town.genesis,
        organisations=tuple(sorted(founders, key=lambda founder: founder.id)),
        parameters=tuple(GenesisParameter(name, value) for name, value in SOON),
    )
    return replace(
        town, genesis=genesis, hash=genesis_hash(genesis), parties=(*town.parties, *more)
    )


def _order(town: Town, number: int) -> bytes:
    return record_id(r.Kind.PREPAYMENT, town.party(TRADER).id, b"o%d" % number)


def _loan(town: Town, number: int) -> bytes:
    return record_id(r.Kind.FINANCING, town.party(LENDER).id, b"l%d" % number)


def goods_opening(town: Town) -> tuple[Sequence[tuple[Party, Sequence[Any]]], ...]:
    """Stages of (party, commands) after those of the simulator: a line, goods, three prepayments. The one that
    is shipped is repaid in part, and an oracle has just found its goods too little."""
    trader, store, maker, lender = (town.party(name) for name in (TRADER, STORE, MAKER, LENDER))
    line = c.LineGrant(
        b"trade", r.LineKind.BORROWER, trader.id, CURRENCY, 10 * LENT, MONDAY, MONDAY + 900, ()
    )
    asked = [_request(town, b"o%d" % i, days) for i, days in enumerate(ENDS)]
    stored = c.WarehouseReceiptIssue(
        b"own", trader.id, "B", "case", "hall", CURRENCY, 100, UNIT_VALUE
    )
    paid = (1, 2)
    return (
        [(lender, [line]), (trader, asked), (store, [stored])],
        [(lender, [_fund(b"l%d" % i, _order(town, i), LENT) for i in paid])],
        [(lender, [_paid_out(town, i) for i in paid])],
        [
            (maker, [_ship(town, b"goods", _order(town, 2), UNITS)]),
            (trader, [c.FinancingRepay(b"part", _loan(town, 2), REPAID)]),
        ],
        [
            (lender, [_repaid(town, 2, b"part")]),
            (town.party(BOARD), [_lower(town, b"goods")]),
        ],
    )


def _request(town: Town, label: bytes, days: int) -> c.PrepaymentRequest:
    maker = town.party(MAKER)
    return c.PrepaymentRequest(
        label, maker.id, town.party(LENDER).id, record_id(r.Kind.ACCOUNT, maker.id, b"main"),
        CURRENCY, LENT, "B", "case", MONDAY + SHIP_DAYS, MONDAY + days,
    )  # fmt: skip


def _fund(label: bytes, order: bytes, amount: int) -> c.PrepaymentFund:
    return c.PrepaymentFund(label, order, amount, 40_000, 360, ADVANCE)


def _paid_out(town: Town, number: int) -> c.PayoutConfirm:
    instruction = record_id(r.Kind.INSTRUCTION, _loan(town, number), bytes(4))
    return c.PayoutConfirm(b"paid", instruction, LENT, sha256(instruction).digest())


def _repaid(town: Town, number: int, label: bytes) -> c.RepayConfirm:
    counter = record_id(r.Kind.INSTRUCTION, town.party(TRADER).id, label)
    instruction = record_id(r.Kind.INSTRUCTION, _loan(town, number), counter)
    return c.RepayConfirm(b"got", instruction, REPAID, sha256(instruction).digest())


def _lower(town: Town, label: bytes) -> c.WarehouseReceiptPrice:
    receipt = record_id(r.Kind.WAREHOUSE_RECEIPT, town.party(MAKER).id, label)
    return c.WarehouseReceiptPrice(b"lower", receipt, LOWER_VALUE)


def _ship(town: Town, label: bytes, order: bytes, units: int) -> c.PrepaymentShip:
    return c.PrepaymentShip(label, order, town.party(STORE).id, "hall", units, UNIT_VALUE)


class MoreAct(Act):
    """One decision of one of the ACTORS, on all records that there are."""

    def __init__(
        self, town: Town, party: Party, random: Random, view: Overlay, records: Records
    ) -> None:
        super().__init__(town, party, random, view)
        self.records: Final = records

    def choices(self) -> list[Choice]:
        acts: dict[str, list[Choice]] = {
            TRADER: [self._ask, self._pledge, self._repay, self._repay, self._split, self._sell],
            STORE: [self._store, self._deliver],
            BOARD: [self._price, self._price, self._attest, self._void],
            MAKER: [self._made, self._grant],
            LENDER: [self._lend, self._call, self._buy_back, self._received, self._release,
                     self._complain, self._seal, self._seal],
            "core": [self._attest],
        }  # fmt: skip
        return [*acts.get(self.party.name, [self._grant]), self._write_off]

    def pick(self, of: r.Kind, **fields: object) -> tuple[bytes, Any] | None:
        """Some record of a kind with these values, and its id."""
        found = [
            (id, record)
            for id, record in sorted(self.records[of].items())
            if all(getattr(record, name) == value for name, value in fields.items())
        ]
        return self.random.choice(found) if found else None

    def prepaid(self) -> tuple[bytes, Any] | None:
        return self.pick(r.Kind.FINANCING, kind=r.FinancingKind.PREPAYMENT)

    # --- the distributor ------------------------------------------------------------------------

    def _ask(self) -> Sequence[Wire]:
        days = self.today - MONDAY + self.random.randint(1, 9)
        return (_request(self.town, self.label, max(SHIP_DAYS, days)),)

    def _pledge(self) -> Sequence[Wire]:
        goods = self.pick(r.Kind.WAREHOUSE_RECEIPT, owner=self.party.id, pledged=0)
        loan = self.prepaid()
        if goods is None or loan is None:
            return ()
        return (c.WarehouseReceiptPledge(self.label, goods[0], loan[0], ADVANCE),)

    def _repay(self) -> Sequence[Wire]:
        loan = self.prepaid()
        if loan is None:
            return ()
        left = loan[1].principal - loan[1].repaid
        amount = self.random.choice((left, self.random.randint(1, left)))
        return (c.FinancingRepay(self.label, loan[0], amount),)

    def _split(self) -> Sequence[Wire]:
        goods = self.pick(r.Kind.WAREHOUSE_RECEIPT, owner=self.party.id)
        if goods is None or goods[1].stored < 2:
            return ()
        quantity = self.random.randrange(1, goods[1].stored)
        return (c.WarehouseReceiptSplit(self.label, goods[0], quantity),)

    def _sell(self) -> Sequence[Wire]:
        goods = self.pick(r.Kind.WAREHOUSE_RECEIPT, owner=self.party.id)
        if goods is None or self.random.random() < 0.5:
            return ()
        receiver = self.town.party("shop").id
        return (c.WarehouseReceiptTransfer(self.label, goods[0], receiver),)

    # --- warehouse, oracle, maker ---------------------------------------------------------------

    def _store(self) -> Sequence[Wire]:
        units = self.random.randint(1, 200)
        trader = self.town.party(TRADER).id
        return (
            c.WarehouseReceiptIssue(
                self.label, trader, "B", "case", "hall", CURRENCY, units, UNIT_VALUE
            ),
        )

    def _deliver(self) -> Sequence[Wire]:
        goods = self.pick(r.Kind.WAREHOUSE_RECEIPT)
        if goods is None:
            return ()
        quantity = self.random.randint(1, max(1, goods[1].stored - goods[1].pledged))
        return (c.WarehouseReceiptDeliver(self.label, goods[0], quantity),)

    def _price(self) -> Sequence[Wire]:
        goods = self.pick(r.Kind.WAREHOUSE_RECEIPT)
        if goods is None:
            return ()
        value = self.random.choice((UNIT_VALUE, self.random.randint(1, 2 * UNIT_VALUE)))
        return (c.WarehouseReceiptPrice(self.label, goods[0], value),)

    def _made(self) -> Sequence[Wire]:
        order = self.pick(r.Kind.PREPAYMENT, state=r.PrepaymentState.FUNDED)
        if order is None:
            return ()
        return (_ship(self.town, self.label, order[0], self.random.randint(UNITS - 40, UNITS)),)

    # --- the lender -----------------------------------------------------------------------------

    def _lend(self) -> Sequence[Wire]:
        order = self.pick(r.Kind.PREPAYMENT, state=r.PrepaymentState.REQUESTED)
        return () if order is None else (_fund(self.label, order[0], order[1].amount),)

    def _call(self) -> Sequence[Wire]:
        loan = self.prepaid()
        short = loan is not None and margin_id(loan[0]) in self.records[r.Kind.MARGIN]
        if loan is None or (not short and self.random.random() < 0.8):
            return ()
        return (c.MarginCall(self.label, loan[0]),)

    def _buy_back(self) -> Sequence[Wire]:
        loan = self.prepaid()
        if loan is None or (self.today <= loan[1].end_day and self.random.random() < 0.8):
            return ()
        return (c.BuybackCall(self.label, loan[0]),)

    def _received(self) -> Sequence[Wire]:
        """Money of a maker: for goods that it did not ship, or that it buys back."""
        bought = self.pick(r.Kind.INSTRUCTION, purpose=r.InstructionPurpose.BUYBACK)
        if bought is not None:
            id, order = bought
            return (c.BuybackConfirm(self.label, id, order.amount, self.digest()),)
        refund = self.pick(r.Kind.INSTRUCTION, purpose=r.InstructionPurpose.REFUND)
        if refund is None:
            return ()
        return (c.InstructionConfirm(self.label, refund[0], refund[1].amount, self.digest()),)

    def _release(self) -> Sequence[Wire]:
        goods = self.pick(r.Kind.WAREHOUSE_RECEIPT, pledgee=self.party.id)
        if goods is None:
            return ()
        loan = self.get(r.Kind.FINANCING, goods[1].financing)
        earned = goods[1].pledge_quantity
        if loan is not None:
            earned = earned * loan.repaid // loan.principal
        freed = goods[1].pledge_quantity - goods[1].pledged
        return (c.WarehouseReceiptRelease(self.label, goods[0], max(1, earned - freed)),)

    def _seal(self) -> Sequence[Wire]:
        """A sealed line on the core: granted, used for a quote, committed to anew, turned into an open one."""
        kind, core = r.LineKind.DEBTOR_EXPOSURE, self.town.party("core").id
        known = self.pick(r.Kind.CREDIT_LINE, kind=kind, grantor=self.party.id, obligor=core)
        today, last = self.today, self.today + 900
        if known is None or known[1].sealed is None:
            return (
                c.LineGrantSealed(self.label, kind, core, CURRENCY, self.digest(), today, last),
            )
        line, sequence = known[0], known[1].sealed.sequence + self.random.choice((1, 1, 1, 2))
        asked = self.pick(r.Kind.FINANCING_REQUEST)
        if asked is not None and self.random.random() < 0.6:
            amount = asked[1].end - asked[1].start
            return (
                c.LineUseSealed(self.label, line, sequence, self.digest(), asked[0]),
                c.FinancingQuote(
                    self.label, asked[0], amount, r.FinancingKind.SALE, 40_000, 360, 10_000,
                    (kind,), False, today + 2,
                ),
            )  # fmt: skip
        if known[1].status is r.LineStatus.SUSPENDED:
            grant = c.LineGrant(self.label, kind, core, CURRENCY, 10**8, today, last, ())
            return (self.random.choice((grant, c.LineResume(self.label, line))),)
        change = c.LineChangeSealed(self.label, line, sequence, self.digest(), today, last)
        return (self.random.choice((change, c.LineSuspend(self.label, line))),)

    # --- documents ------------------------------------------------------------------------------

    def _attest(self) -> Sequence[Wire]:
        document = self.pick(r.Kind.DOCUMENT)
        if document is None:
            return ()
        return (c.DocumentAttest(self.label, document[0], r.AttestationKind.GOODS_RECEIVED),)

    def _void(self) -> Sequence[Wire]:
        document = self.pick(r.Kind.DOCUMENT)
        if document is None or self.random.random() < 0.5:
            return ()
        return (c.DocumentVoid(self.label, document[0]),)

    def _grant(self) -> Sequence[Wire]:
        document = self.pick(r.Kind.DOCUMENT, owner=self.party.id)
        if document is None:
            return ()
        hint = reader_hint(SECRET, document[0], self.town.party(LENDER).id)
        epoch = self.random.randint(1, 3)
        return (c.AccessGrant(self.label, document[0], hint, epoch, bytes(80)),)

    def _complain(self) -> Sequence[Wire]:
        granted = self.pick(r.Kind.DOCUMENT_READER)
        if granted is None:
            return ()
        fields = (c.OpenedField("total", bytes(32), b"1"),)
        return (c.DocumentComplaint(self.label, granted[1].document, SECRET, fields),)

    # --- losses ---------------------------------------------------------------------------------

    def _write_off(self) -> Sequence[Wire]:
        lost = self.pick(r.Kind.VOUCHER, status=r.VoucherStatus.DEFAULTED)
        return () if lost is None else (c.SettlementWriteOff(self.label, lost[0]),)


def more_of(
    town: Town, detail: int, view: Overlay, records: Records, now_seconds: int
) -> Envelope | None:
    """What one of the ACTORS does, sometimes wrong on purpose; None when there is nothing to do."""
    random = Random(detail)
    act = MoreAct(town, town.party(random.choice(ACTORS)), random, view, records)
    commands = act.commands()
    if not commands:
        return None
    valid_until = now_seconds + random.randint(*VALIDITY_SECONDS)
    if random.randrange(100) < BAD_PERCENT:
        return act.spoiled(commands, valid_until, Mode.ATOMIC)
    return town.envelope(act.party, commands, valid_until)
