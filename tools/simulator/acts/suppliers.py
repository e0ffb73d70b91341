"""What suppliers do: accounts, documents, claims, transfers, draws, repayments."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire
from tools.simulator.acts import finance, holds
from tools.simulator.acts.base import CURRENCY, Act, Choice
from tools.simulator.town import SUPPLIERS

MORE: Final = (
    finance.ask, finance.ask, finance.draw_batch, finance.repurchase, finance.call_for_help,
    holds.dispute, holds.agree, holds.tidy,
)  # fmt: skip
DOCUMENT_MAX: Final = 1_000_000
"""Largest invoice, fen."""


class SupplierAct(Act):
    def choices(self) -> list[Choice]:
        return [
            *super().choices(), self._bind, self._document, self._claim, self._claim,
            self._transfer, self._transfer, self._transfer, self._draw, self._draw, self._answer,
            self._recall, self._membership, self._repay,
            *(partial(act, self) for act in MORE),
        ]  # fmt: skip

    def _bind(self) -> Sequence[Wire]:
        if len(self.scan(Index.ORGANISATION_ACCOUNTS, self.party.id)) >= 2:
            return []
        bank = self.town.banks[self.random.randrange(4)]
        return [c.AccountBind(self.label, bank.id, self.digest(), CURRENCY)]

    def _document(self) -> Sequence[Wire]:
        core = self.town.party("core")
        return [
            c.DocumentRegister(
                self.label, r.DocumentType.INVOICE, self.digest(), self.digest(), self.digest(),
                self.party.id, core.id, (), CURRENCY, self.random.randint(1, DOCUMENT_MAX), None,
            )
            for _ in range(self.random.randint(1, 3))
        ]  # fmt: skip

    def _claim(self) -> Sequence[Wire]:
        found: list[Wire] = []
        for id in self.scan(Index.PAYEE_VOUCHERS, self.party.id):
            voucher = self.get(r.Kind.VOUCHER, id)
            if voucher.status is r.VoucherStatus.PENDING_CLAIM and len(found) < 3:
                if self.random.random() < 0.1:
                    found.append(c.VoucherReject(self.label, id))
                else:
                    found.append(c.VoucherClaim(self.label, id, True))
        return found

    def _transfer(self) -> Sequence[Wire]:
        random = self.random
        held = self.choose_lot()
        if held is None:
            return []
        voucher, lot = held
        size = lot.end - lot.start
        receivers = [self.town.party(name) for name in SUPPLIERS if name != self.party.name]
        pieces = []
        for _ in range(random.randint(1, 3)):
            amount = random.choice((1, size, random.randint(1, size)))
            if amount <= size:
                size -= amount
                pieces.append(c.Piece(random.choice(receivers).id, amount, None))
            if not size:
                break
        return [c.LotTransfer(self.label, voucher, lot.start, tuple(pieces))]

    def _answer(self) -> Sequence[Wire]:
        found: list[Wire] = []
        for key in self.scan(Index.PARTY_PENDING, self.party.id)[:3]:
            voucher, start = key[:16], int.from_bytes(key[16:24], "big")
            if self.random.random() < 0.7:
                found.append(c.LotAccept(self.label, voucher, start))
            else:
                found.append(c.LotDecline(self.label, voucher, start))
        return found

    def _recall(self) -> Sequence[Wire]:
        pending = list(self.lots(r.LotState.TRANSFER_PENDING))
        if not pending or self.random.random() < 0.7:
            return []
        voucher, lot = pending[0]
        return [c.LotRecall(self.label, voucher, lot.start)]

    def _draw(self) -> Sequence[Wire]:
        random = self.random
        held = self.choose_lot()
        account = self.verified_account()
        if held is None or account is None:
            return []
        voucher, lot = held
        size = lot.end - lot.start
        offers = [
            id for bank in self.town.banks[:4] for id in self.scan(Index.FUNDER_OFFERS, bank.id)
        ]
        offer = self.choose(offers) if random.random() < 0.7 else None
        amount = random.choice((size, random.randint(1, size)))
        return [
            c.FinancingDraw(
                self.label, offer, voucher, lot.start, amount, account, r.Purpose.PAYROLL
            )
        ]

    def _membership(self) -> Sequence[Wire]:
        core = self.town.party("core")
        programme = self.choose(self.scan(Index.OWNER_PROGRAMMES, core.id))
        if programme is None or self.random.random() < 0.7:
            return ()
        record = self.get(r.Kind.PROGRAMME, programme)
        if self.party.id in record.members:
            return (c.ProgrammeLeave(self.label, programme),)
        return (c.ProgrammeJoin(self.label, programme),)

    def _repay(self) -> Sequence[Wire]:
        for id in self.scan(Index.PARTY_FINANCINGS, self.party.id):
            financing = self.get(r.Kind.FINANCING, id)
            if financing.kind is r.FinancingKind.LOAN_PLEDGE:
                amount = self.random.randint(1, max(1, financing.principal - financing.repaid))
                return (c.FinancingRepay(self.label, id, amount),)
        return ()
