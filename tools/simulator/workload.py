"""What a client does next: an act that fits the state it sees, or, now and then, one that must fail.

Every act is drawn from its request's own random numbers and the state of the node that the client
looks at, so that leaving out one request does not change what the others draw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final

from node.state import Overlay
from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire
from tallynet.envelope import Envelope, Mode
from tools.simulator.town import SUPPLIERS, Party, Town

CURRENCY: Final = "CNY"
LOOK_MAX: Final = 40
"""Records looked at when choosing one."""
VALIDITY_SECONDS: Final = (60, 600)
BAD_PERCENT: Final = 15
"""Acts that are wrong on purpose (reliability §5)."""
ISSUE_MAX: Final = 1_000_000


class Workload:
    """Chooses acts for the parties of one town."""

    def __init__(self, town: Town) -> None:
        self._town: Final = town

    def envelope(
        self, party: Party, detail: int, view: Overlay, now_seconds: int
    ) -> Envelope | None:
        """The envelope that `party` submits now; None when there is nothing it could do."""
        random = Random(detail)
        act = _Act(self._town, party, random, view)
        commands = act.commands()
        if not commands:
            return None
        valid_until = now_seconds + random.randint(*VALIDITY_SECONDS)
        bad = random.randrange(100) < BAD_PERCENT
        mode = random.choice((Mode.ATOMIC, Mode.INDEPENDENT))
        if bad:
            return act.spoiled(commands, valid_until, mode)
        return self._town.envelope(party, commands, valid_until, mode=mode)


class _Act:
    """One decision."""

    def __init__(self, town: Town, party: Party, random: Random, view: Overlay) -> None:
        self._town: Final = town
        self._party: Final = party
        self._random: Final = random
        self._view: Final = view
        self._labels = 0

    # --- helpers --------------------------------------------------------------------------------

    @property
    def _label(self) -> bytes:
        self._labels += 1
        return self._random.getrandbits(48).to_bytes(6, "big") + bytes((self._labels,))

    def _digest(self) -> bytes:
        return self._random.randbytes(32)

    def _get(self, kind: r.Kind, id: bytes) -> Any:
        return self._view.get(kind, id)

    def _scan(self, index: Index, prefix: bytes) -> list[bytes]:
        """What follows the prefix in each key of an index."""
        keys = self._view.index_scan(index, prefix, limit=LOOK_MAX)
        return [key[len(prefix) :] for key in keys]

    def _choose(self, ids: list[bytes]) -> bytes | None:
        return self._random.choice(ids) if ids else None

    @property
    def _today(self) -> int:
        network = self._get(r.Kind.NETWORK, r.NETWORK_ID)
        return int(network.business_date)

    # --- which act ------------------------------------------------------------------------------

    def commands(self) -> list[Wire]:
        """The commands of one act, or none."""
        party = self._party
        if party.is_bank:
            acts = [self._verify, self._lines, self._offer, self._pay, self._fund, self._settle]
        elif party.name == "core":
            acts = [self._programme, self._issue, self._issue, self._issue, self._withdraw]
        else:
            acts = [
                self._bind, self._document, self._claim, self._claim, self._transfer,
                self._transfer, self._transfer, self._draw, self._draw, self._answer, self._recall,
            ]  # fmt: skip
        order: list[Callable[[], list[Wire]]] = list(acts)
        self._random.shuffle(order)
        for act in order:
            commands = act()
            if commands:
                return commands
        return []

    def spoiled(self, commands: list[Wire], valid_until: int, mode: Mode) -> Envelope:
        """The same act with something wrong about it."""
        town, party, random = self._town, self._party, self._random
        kind = random.randrange(5)
        if kind == 0:
            return town.envelope(party, commands, valid_until - 1_000, mode=mode)
        if kind == 1:
            return town.envelope(party, commands, valid_until + 200_000, mode=mode)
        if kind == 2:
            others = [p for p in town.clients if p.id != party.id]
            return town.envelope(random.choice(others), commands, valid_until, mode=mode)
        if kind == 3:
            return town.envelope(
                party, commands, valid_until, mode=mode, signers=[("machine", r.Role.API)]
            )
        return town.envelope(party, [*commands, *commands], valid_until, mode=mode)

    # --- banks ----------------------------------------------------------------------------------

    def _verify(self) -> list[Wire]:
        for party in self._town.clients:
            for id in self._scan(Index.ORGANISATION_ACCOUNTS, party.id):
                account = self._get(r.Kind.ACCOUNT, id)
                if account.bank == self._party.id and account.status is r.AccountStatus.BOUND:
                    return [c.AccountVerify(self._label, id)]
        return []

    def _lines(self) -> list[Wire]:
        core = self._town.party("core")
        today = self._today
        kind = self._random.choice((r.LineKind.ISSUE, r.LineKind.ISSUE, r.LineKind.DEBTOR_EXPOSURE))
        held = [
            (id, line)
            for id in self._scan(Index.ORGANISATION_LINES, self._party.id)
            if isinstance(line := self._get(r.Kind.CREDIT_LINE, id), r.CreditLine)
        ]
        same = [(id, line) for id, line in held if line.kind is kind]
        if not same:
            granted = self._random.choice((10**6, 10**8))
            return [c.LineGrant(self._label, kind, core.id, CURRENCY, granted, today, today + 900)]
        id, line = same[0]
        if self._random.random() < 0.5:
            return []
        if line.status is r.LineStatus.SUSPENDED:
            return [c.LineResume(self._label, id)]
        if self._random.random() < 0.2:
            return [c.LineSuspend(self._label, id)]
        granted = max(1, line.granted + self._random.randint(-(10**6), 10**7))
        return [c.LineChange(self._label, id, granted, today, today + 900)]

    def _offer(self) -> list[Wire]:
        today, random = self._today, self._random
        own = self._scan(Index.FUNDER_OFFERS, self._party.id)
        if len(own) >= 3:
            return [c.OfferRevoke(self._label, random.choice(own))] if random.random() < 0.3 else []
        kind = random.choice(
            (r.FinancingKind.SALE, r.FinancingKind.SALE, r.FinancingKind.LOAN_PLEDGE)
        )
        grid = (r.RateBand(365, random.randint(10_000, 90_000), 10_000),)
        return [
            c.OfferCreate(
                self._label, kind, CURRENCY, (), (), grid, 360, 1, 10**8, 0, 10**9, today,
                today + 300, (),
            )
        ]  # fmt: skip

    def _pay(self) -> list[Wire]:
        found: list[Wire] = []
        for id in self._scan(Index.BANK_INSTRUCTIONS, self._party.id)[:4]:
            instruction = self._get(r.Kind.INSTRUCTION, id)
            if instruction.purpose is not r.InstructionPurpose.PAYOUT:
                continue
            draw = self._random.random()
            if draw < 0.15 and instruction.state is r.InstructionState.NEW:
                found.append(c.InstructionSend(self._label, id))
            elif draw < 0.25:
                found.append(c.PayoutFail(self._label, id))
            else:
                found.append(c.PayoutConfirm(self._label, id, instruction.amount, self._digest()))
        return found

    def _fund(self) -> list[Wire]:
        core = self._town.party("core")
        for id in self._scan(Index.DEBTOR_VOUCHERS, core.id):
            voucher = self._get(r.Kind.VOUCHER, id)
            open_ = voucher.face - voucher.cancelled - voucher.funds_in
            due = voucher.status in (
                r.VoucherStatus.DUE, r.VoucherStatus.OVERDUE, r.VoucherStatus.DEFAULTED,
            )  # fmt: skip
            if voucher.clearing_bank == self._party.id and due and open_ > 0:
                part = open_ if self._random.random() < 0.6 else self._random.randint(1, open_)
                return [c.FundsReceived(self._label, id, part, 0, self._digest())]
        return []

    def _settle(self) -> list[Wire]:
        found: list[Wire] = []
        for id in self._scan(Index.BANK_INSTRUCTIONS, self._party.id):
            instruction = self._get(r.Kind.INSTRUCTION, id)
            if instruction.purpose is not r.InstructionPurpose.SETTLEMENT or len(found) >= 4:
                continue
            left = instruction.amount - instruction.paid
            if left > 0:
                found.append(c.SettlementPaid(self._label, id, left, self._digest()))
        return found

    # --- the core enterprise ----------------------------------------------------------------------

    def _programme(self) -> list[Wire]:
        random = self._random
        if len(self._scan(Index.OWNER_PROGRAMMES, self._party.id)) >= 3:
            return []
        rules = c.ProgrammeRules(
            random.choice((r.AcceptMode.IMMEDIATE, r.AcceptMode.IMMEDIATE, r.AcceptMode.EXPLICIT)),
            0, 10, 200, 1, 365, random.choice((0, 1, 5)), r.DocumentPolicy.CAPPED, False, 500, (), True,
        )  # fmt: skip
        return [c.ProgrammeCreate(self._label, r.ProgrammeKind.RECEIVABLE, CURRENCY, rules)]

    def _issue(self) -> list[Wire]:
        random, today = self._random, self._today
        programme = self._choose(self._scan(Index.OWNER_PROGRAMMES, self._party.id))
        lines = [
            id
            for id in self._scan(Index.ORGANISATION_LINES, self._party.id)
            if isinstance(line := self._get(r.Kind.CREDIT_LINE, id), r.CreditLine)
            and line.kind is r.LineKind.ISSUE
        ]
        line = self._choose(lines)
        documents = [
            (id, document)
            for id in self._scan(Index.PARTY_DOCUMENTS, self._party.id)
            if isinstance(document := self._get(r.Kind.DOCUMENT, id), r.Document)
            and document.total > document.occupied
        ]
        if programme is None or line is None or not documents:
            return []
        id, document = random.choice(documents)
        face = random.randint(1, document.total - document.occupied)
        return [
            c.VoucherIssue(
                self._label, document.creditor, CURRENCY, face, today + random.choice((1, 2, 4, 30)),
                r.Promise(self._digest(), True, True, True), (r.DocumentUse(id, face),), programme,
                line, self._town.banks[random.randrange(4)].id,
            )
        ]  # fmt: skip

    def _withdraw(self) -> list[Wire]:
        for id in self._scan(Index.DEBTOR_VOUCHERS, self._party.id):
            voucher = self._get(r.Kind.VOUCHER, id)
            if voucher.status is r.VoucherStatus.PENDING_CLAIM and self._random.random() < 0.1:
                return [c.VoucherWithdraw(self._label, id)]
        return []

    # --- suppliers ------------------------------------------------------------------------------

    def _bind(self) -> list[Wire]:
        if len(self._scan(Index.ORGANISATION_ACCOUNTS, self._party.id)) >= 2:
            return []
        bank = self._town.banks[self._random.randrange(4)]
        return [c.AccountBind(self._label, bank.id, self._digest(), CURRENCY)]

    def _document(self) -> list[Wire]:
        core = self._town.party("core")
        return [
            c.DocumentRegister(
                self._label, r.DocumentType.INVOICE, self._digest(), self._digest(), self._digest(),
                self._party.id, core.id, (), CURRENCY, self._random.randint(1, ISSUE_MAX), None,
            )
            for _ in range(self._random.randint(1, 3))
        ]  # fmt: skip

    def _claim(self) -> list[Wire]:
        found: list[Wire] = []
        for id in self._scan(Index.PAYEE_VOUCHERS, self._party.id):
            voucher = self._get(r.Kind.VOUCHER, id)
            if voucher.status is r.VoucherStatus.PENDING_CLAIM and len(found) < 3:
                if self._random.random() < 0.1:
                    found.append(c.VoucherReject(self._label, id))
                else:
                    found.append(c.VoucherClaim(self._label, id, True))
        return found

    def _lots(self, *states: r.LotState) -> Iterator[tuple[bytes, r.Lot]]:
        for key in self._scan(Index.HOLDER_LOTS, self._party.id):
            lot = self._get(r.Kind.LOT, key)
            if isinstance(lot, r.Lot) and lot.state in states:
                yield key[:16], lot

    def _transfer(self) -> list[Wire]:
        random = self._random
        held = list(self._lots(r.LotState.HELD))
        if not held:
            return []
        voucher, lot = random.choice(held)
        size = lot.end - lot.start
        receivers = [self._town.party(name) for name in SUPPLIERS if name != self._party.name]
        pieces = []
        for _ in range(random.randint(1, 3)):
            amount = random.choice((1, size, random.randint(1, size)))
            if amount <= size:
                size -= amount
                pieces.append(c.Piece(random.choice(receivers).id, amount, None))
            if not size:
                break
        return [c.LotTransfer(self._label, voucher, lot.start, tuple(pieces))]

    def _answer(self) -> list[Wire]:
        found: list[Wire] = []
        for key in self._scan(Index.PARTY_PENDING, self._party.id)[:3]:
            voucher, start = key[:16], int.from_bytes(key[16:24], "big")
            if self._random.random() < 0.7:
                found.append(c.LotAccept(self._label, voucher, start))
            else:
                found.append(c.LotDecline(self._label, voucher, start))
        return found

    def _recall(self) -> list[Wire]:
        pending = list(self._lots(r.LotState.TRANSFER_PENDING))
        if not pending or self._random.random() < 0.7:
            return []
        voucher, lot = pending[0]
        return [c.LotRecall(self._label, voucher, lot.start)]

    def _draw(self) -> list[Wire]:
        random = self._random
        held = list(self._lots(r.LotState.HELD))
        accounts = [
            id
            for id in self._scan(Index.ORGANISATION_ACCOUNTS, self._party.id)
            if self._get(r.Kind.ACCOUNT, id).status is r.AccountStatus.VERIFIED
        ]
        account = self._choose(accounts)
        if not held or account is None:
            return []
        voucher, lot = random.choice(held)
        size = lot.end - lot.start
        offers = [
            id for bank in self._town.banks[:4] for id in self._scan(Index.FUNDER_OFFERS, bank.id)
        ]
        offer = self._choose(offers) if random.random() < 0.7 else None
        amount = random.choice((size, random.randint(1, size)))
        return [
            c.FinancingDraw(
                self._label, offer, voucher, lot.start, amount, account, r.Purpose.PAYROLL
            )
        ]
