"""Whatever suppliers, funders and days do in whatever order: the naive model of the money, every index and
every line agree with the ledger after each block (I1, I3, I4, I5, I13, I14, I16)."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from law_invariants import Records, lots_by_voucher, records_of
from law_world import DIGEST, World

from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire
from tallynet.commands import command_name
from tools.audit_lines import LineSums

BANKS = ("bank-2", "bank-3", "bank-4")
SUPPLIERS = ("devices", "shop", "two")
LOANS = (r.FinancingKind.LOAN_RECOURSE, r.FinancingKind.LOAN_PLEDGE)
BOTH = (r.LineKind.DEBTOR_EXPOSURE, r.LineKind.BORROWER)
STEPS = 250
SEEDS = 10
SUCCEED = (
    c.FinancingDraw, c.FinancingDrawBatch, c.FinancingRequestOpen, c.FinancingQuote,
    c.FinancingAccept, c.FinancingCancel, c.RegistrationRecord, c.InstructionSend, c.PayoutConfirm,
    c.PayoutFail, c.FinancingRepay, c.RepayConfirm, c.RecourseClaim, c.RecourseRepurchase,
    c.FinancingEnforce, c.FinancingWriteOff, c.InstructionConfirm, c.SettlementPaid,
    c.FinancingQuoteSealed, c.FinancingAcceptSealed, c.PayoutConfirmSealed, c.LineUseSealed,
)  # fmt: skip

Act = tuple[str, Wire]


class Mix:
    """A market with few lines, odd rates and short tempers."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.done: Counter[type[Wire]] = Counter()
        self.world = world = World(audited=True)
        world.core_and_suppliers()
        world.join("two", r.OrganisationKind.SUPPLIER)
        for bank in BANKS[:2]:
            world.line(
                r.LineKind.DEBTOR_EXPOSURE, bank, "core", self.random.choice((3_000, 20_000))
            )
            for name in SUPPLIERS:
                world.line(r.LineKind.BORROWER, bank, name, 5_000)
        self.sealed = self._seal_lines()
        early = (r.RateBand(365, 1_000, 10_000),)
        self.offers = [self._offer(bank, kind) for bank in BANKS for kind in self._kinds()]
        self.offers.append(world.offer("core", kind=r.FinancingKind.EARLY_PAY, grid=early))
        modes = (r.AcceptMode.IMMEDIATE, r.AcceptMode.EXPLICIT, r.AcceptMode.IMMEDIATE)
        self.vouchers = [
            world.voucher(face, accept_mode=mode, max_lots=12)
            for face, mode in zip((1_000, 10_000, 4_000), modes, strict=True)
        ]

    def _seal_lines(self) -> dict[r.LineKind, dict[bytes, bytes]]:
        """Those of bank-4, by kind and obligor."""
        world = self.world
        found: dict[r.LineKind, dict[bytes, bytes]] = {kind: {} for kind in BOTH}
        for kind, names in ((BOTH[0], ("core",)), (BOTH[1], SUPPLIERS)):
            for name in names:
                id, day = world.ids[name], world.day
                grant = c.LineGrantSealed(world.label, kind, id, "CNY", DIGEST, day, day + 900)
                found[kind][id] = world.ok("bank-4", grant).created[0].id
        return found

    def _counted_in(self, id: bytes, request: r.FinancingRequest) -> list[Act]:
        """What bank-4 says of its sealed lines before a quote; now and then it forgets one."""
        world, said = self.world, list[Act]()
        for kind, obligor in ((BOTH[0], request.debtor), (BOTH[1], request.holder)):
            line = self.sealed[kind][obligor]
            sealed = world.get(r.CreditLine, line).sealed
            assert sealed is not None
            if self.random.random() < 0.9:
                use = c.LineUseSealed(world.label, line, sealed.sequence + 1, DIGEST, id)
                said.append(("bank-4", use))
        return said

    @staticmethod
    def _kinds() -> tuple[r.FinancingKind, ...]:
        return (r.FinancingKind.SALE, *LOANS)

    def _offer(self, bank: str, kind: r.FinancingKind) -> bytes:
        choose = self.random.choice
        advance = choose((8_000, 10_000)) if kind in LOANS else 10_000
        grid = tuple(r.RateBand(days, choose((20_000, 43_500, 500_000)), advance)
                     for days in (30, 365))  # fmt: skip
        needs = choose(((), BOTH[:1], BOTH)) if bank in BANKS[:2] else ()
        return self.world.offer(
            bank, kind=kind, grid=grid, lines_required=needs, automatic=self.random.random() < 0.8,
            registration_required=self.random.random() < 0.2,
        )  # fmt: skip

    def step(self) -> None:
        acts = (
            self._draw, self._batch, self._ask, self._quote, self._quote, self._accept, self._bank,
            self._bank, self._bank, self._bank, self._trouble, self._repay, self._transfer, self._fund,
        )  # fmt: skip
        if self.random.random() < 0.06:
            self._wait()
        for by, command in self.random.choice(acts)():
            if self.world.run(by, command).code == "OK":
                self.done[type(command)] += 1

    def _wait(self) -> None:
        days = self.random.choice((1, 2, 40))
        self.world.roll_to(self.world.day + days)
        debtor = self.world.get(r.Organisation, self.world.ids["core"])
        if days == 40 and not debtor.blocked_automatic:
            self.vouchers.append(self.world.voucher(4_000, max_lots=12))

    # --- suppliers ----------------------------------------------------------------------------

    def _lot(self) -> tuple[str, bytes, int, int]:
        """A lot: who to ask, voucher, start, and some amount of it."""
        voucher = self.random.choice(self.vouchers)
        start = self.random.choice(list(self.world.state.lot_starts(voucher)))
        lot = self.world.state.get(r.Kind.LOT, r.lot_id(voucher, start))
        assert isinstance(lot, r.Lot)
        holders = [name for name in SUPPLIERS if self.world.ids[name] == lot.holder]
        size = lot.end - lot.start
        amount = self.random.choice((1, size, self.random.randint(1, size)))
        return (holders or list(SUPPLIERS))[0], voucher, start, amount

    def _draw(self) -> Sequence[Act]:
        by, voucher, start, amount = self._lot()
        offer = self.random.choice((None, *self.offers))
        return [(by, self.world.draw(by, voucher, start, amount, offer))]

    def _batch(self) -> Sequence[Act]:
        by, voucher, start, amount = self._lot()
        purposes = self.random.sample(list(r.Purpose), 2)
        draws = tuple(c.BatchDraw(max(1, amount // 3), purpose) for purpose in purposes)
        offer, account = self.random.choice(self.offers), self.world.account(by)
        return [(by, c.FinancingDrawBatch(self.world.label, offer, voucher, start, draws, account))]

    def _ask(self) -> Sequence[Act]:
        by, voucher, start, amount = self._lot()
        asked = self.random.sample((*BANKS, "core"), self.random.randint(1, 3))
        funders = tuple(sorted(self.world.ids[name] for name in asked))
        return [
            (by, c.FinancingRequestOpen(
                self.world.label, voucher, start, amount, self.world.account(by), r.Purpose.TAX,
                funders,
            ))
        ]  # fmt: skip

    def _requests(self, name: str) -> list[tuple[bytes, r.FinancingRequest]]:
        keys = self.world.state.index_scan(Index.PARTY_REQUESTS, self.world.ids[name], limit=9)
        return [(key[16:], self.world.get(r.FinancingRequest, key[16:])) for key in keys]

    def _accept(self) -> Sequence[Act]:
        label, found = self.world.label, []
        for by in SUPPLIERS:
            for id, request in self._requests(by):
                if request.quotes:
                    found.append((by, self._taken(label, id, self.random.choice(request.quotes))))
                elif self.random.random() < 0.2:
                    found.append((by, c.FinancingCancel(label, id)))
        return found[:1]

    def _taken(self, label: bytes, id: bytes, quote: r.Quote) -> Wire:
        """A quote accepted in its way, now and then on another day or for other terms."""
        if quote.sealed is None:
            return c.FinancingAccept(label, id, quote.funder)
        day = self.world.day + self.random.choice((0, 0, 0, 1))
        terms = self.random.choice((quote.sealed.terms_commitment,) * 3 + (DIGEST,))
        price = sha256(b"price" + label).digest()
        return c.FinancingAcceptSealed(label, id, quote.funder, terms, price, day)

    def _loans(self, name: str) -> list[bytes]:
        keys = self.world.state.index_scan(Index.PARTY_FINANCINGS, self.world.ids[name], limit=4)
        return [key[16:] for key in keys]

    def _repay(self) -> Sequence[Act]:
        label = self.world.label
        found: list[Act] = []
        for by in SUPPLIERS:
            for id in self._loans(by):
                state = self.world.get(r.Financing, id).state
                if state is r.FinancingState.RECOURSE:
                    found.append((by, c.RecourseRepurchase(label, id)))
                elif state is not r.FinancingState.AWAIT_PAYOUT:
                    amount = self.random.randint(1, 2_000)
                    found.append((by, c.FinancingRepay(label, id, amount)))
        return [self.random.choice(found)] if found else []

    def _transfer(self) -> Sequence[Act]:
        by, voucher, start, amount = self._lot()
        receiver = self.random.choice([name for name in SUPPLIERS if name != by])
        piece = c.Piece(self.world.ids[receiver], amount, None)
        return [(by, c.LotTransfer(self.world.label, voucher, start, (piece,)))]

    # --- funders, the debtor's bank -----------------------------------------------------------

    def _quote(self) -> Sequence[Act]:
        by = self.random.choice((*BANKS, "core"))
        for id, request in self._requests(by):
            if any(quote.funder == self.world.ids[by] for quote in request.quotes):
                continue
            kind = self.random.choice(self._kinds())
            kind = r.FinancingKind.EARLY_PAY if by == "core" else kind
            rate = self.random.choice((0, 43_500, 700_000))
            advance = 9_000 if kind in LOANS else 10_000
            needs = BOTH[:1] if by in BANKS[:2] else ()
            said: list[Act] = []
            if by == "bank-4" and self.random.random() < 0.8:
                needs, said = BOTH, self._counted_in(id, request)
            if kind is r.FinancingKind.SALE and self.random.random() < 0.5:
                label = self.world.label
                return [
                    *said,
                    (by, c.FinancingQuoteSealed(
                        label, id, request.end - request.start, sha256(b"terms" + label).digest(),
                        DIGEST, needs, False, self.world.day + self.random.randint(0, 3),
                    ))
                ]  # fmt: skip
            return [
                *said,
                (by, c.FinancingQuote(
                    self.world.label, id, request.end - request.start, kind, rate, 360, advance,
                    needs, False, self.world.day + self.random.randint(0, 3),
                ))
            ]  # fmt: skip
        return []

    def _bank(self) -> Sequence[Act]:
        by = self.random.choice(("bank-1", *BANKS))
        keys = self.world.state.index_scan(Index.BANK_INSTRUCTIONS, self.world.ids[by], limit=STEPS)
        return self._carry_out(by, self.random.choice(keys)[16:]) if keys else []

    def _carry_out(self, by: str, id: bytes) -> Sequence[Act]:
        world, instruction = self.world, self.world.get(r.Instruction, id)
        amount = instruction.amount - instruction.paid
        receipt = sha256(b"receipt" + world.label).digest()
        match instruction.purpose:
            case r.InstructionPurpose.PAYOUT:
                entry = c.RegistrationRecord(
                    world.label, instruction.reference, DIGEST, world.day, world.day + 90
                )
                paid = self._paid(id, instruction, receipt)
                send, fail = c.InstructionSend(world.label, id), c.PayoutFail(world.label, id)
                return [(by, self.random.choice((send, fail, entry, paid, paid, paid)))]
            case r.InstructionPurpose.REPAYMENT:
                return [(by, c.RepayConfirm(world.label, id, amount, receipt))]
            case r.InstructionPurpose.SETTLEMENT:
                lot = world.state.get(
                    r.Kind.LOT, r.lot_id(instruction.reference, instruction.start)
                )
                covered = lot.covered if isinstance(lot, r.Lot) else 0
                return [(by, c.SettlementPaid(world.label, id, covered, receipt))]
            case _:
                return [(by, c.InstructionConfirm(world.label, id, amount, receipt))]

    def _paid(self, id: bytes, instruction: r.Instruction, receipt: bytes) -> Wire:
        label, sealed = self.world.label, instruction.price_commitment
        if sealed is None:
            return c.PayoutConfirm(label, id, instruction.amount, receipt)
        deal = self.world.get(r.Financing, instruction.reference)
        price = self.random.choice((sealed, sealed, sealed, DIGEST))
        return c.PayoutConfirmSealed(label, id, deal.end - deal.start, price, receipt)

    def _trouble(self) -> Sequence[Act]:
        by, label = self.random.choice(BANKS), self.world.label
        found: list[Act] = []
        for id in self._loans(by):
            event = self.random.choice((None, DIGEST))
            claim, take = c.RecourseClaim(label, id, event), c.FinancingEnforce(label, id)
            found.append(
                (by, self.random.choice((claim, claim, take, c.FinancingWriteOff(label, id))))
            )
        return found

    def _fund(self) -> Sequence[Act]:
        voucher = self.random.choice(self.vouchers)
        receipt = sha256(b"receipt" + self.world.label).digest()
        part = self.random.randint(1, 3_000)
        return [("bank-1", c.FundsReceived(self.world.label, voucher, part, 0, receipt))]


@pytest.fixture(scope="module")
def mixes() -> list[Mix]:
    """Every block of every mix was compared with the model."""
    made = [Mix(seed) for seed in range(SEEDS)]
    for mix in made:
        for _ in range(STEPS):
            mix.step()
    return made


@pytest.mark.parametrize("command", SUCCEED, ids=command_name)
def test_the_model_follows_every_command_of_the_family(
    mixes: list[Mix], command: type[Wire]
) -> None:
    assert sum(mix.done[command] for mix in mixes) > 0, "never carried out: the mix shows nothing"


def test_the_audit_adds_up_the_lines_of_every_mix(mixes: list[Mix]) -> None:
    for mix in mixes:
        records = records_of(mix.world.tables)
        assert differences(records) == []
        for id, line in records[r.Kind.CREDIT_LINE].items():
            spoiled = msgspec.structs.replace(line, used=line.used + 1)
            lines = {**records[r.Kind.CREDIT_LINE], id: spoiled}
            (said,) = differences({**records, r.Kind.CREDIT_LINE: lines})
            assert id.hex() in said


def differences(records: Records) -> list[str]:
    found: list[str] = []
    sums, lots = LineSums(), lots_by_voucher(records)
    for id, line in records[r.Kind.CREDIT_LINE].items():
        sums.line(id, line)
    for id, voucher in records[r.Kind.VOUCHER].items():
        sums.voucher(voucher, lots[id])
    for deal in records[r.Kind.FINANCING].values():
        sums.financing(deal)
    sums.check(found.append)
    return found
