"""What suppliers do: accounts, documents, claims, transfers, draws, repayments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire
from tools.simulator.acts.base import CURRENCY, Act, Choice
from tools.simulator.town import SUPPLIERS

DOCUMENT_MAX: Final = 1_000_000
"""Largest invoice, fen."""


class SupplierAct(Act):
    def choices(self) -> list[Choice]:
        return [
            *super().choices(), self._bind, self._document, self._claim, self._claim,
            self._transfer, self._transfer, self._transfer, self._draw, self._draw, self._answer,
            self._recall, self._membership, self._repay,
        ]  # fmt: skip

    def _bind(self) -> Sequence[Wire]:
        if len(self._scan(Index.ORGANISATION_ACCOUNTS, self._party.id)) >= 2:
            return []
        bank = self._town.banks[self._random.randrange(4)]
        return [c.AccountBind(self._label, bank.id, self._digest(), CURRENCY)]

    def _document(self) -> Sequence[Wire]:
        core = self._town.party("core")
        return [
            c.DocumentRegister(
                self._label, r.DocumentType.INVOICE, self._digest(), self._digest(), self._digest(),
                self._party.id, core.id, (), CURRENCY, self._random.randint(1, DOCUMENT_MAX), None,
            )
            for _ in range(self._random.randint(1, 3))
        ]  # fmt: skip

    def _claim(self) -> Sequence[Wire]:
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

    def _transfer(self) -> Sequence[Wire]:
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

    def _answer(self) -> Sequence[Wire]:
        found: list[Wire] = []
        for key in self._scan(Index.PARTY_PENDING, self._party.id)[:3]:
            voucher, start = key[:16], int.from_bytes(key[16:24], "big")
            if self._random.random() < 0.7:
                found.append(c.LotAccept(self._label, voucher, start))
            else:
                found.append(c.LotDecline(self._label, voucher, start))
        return found

    def _recall(self) -> Sequence[Wire]:
        pending = list(self._lots(r.LotState.TRANSFER_PENDING))
        if not pending or self._random.random() < 0.7:
            return []
        voucher, lot = pending[0]
        return [c.LotRecall(self._label, voucher, lot.start)]

    def _draw(self) -> Sequence[Wire]:
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

    def _membership(self) -> Sequence[Wire]:
        core = self._town.party("core")
        programme = self._choose(self._scan(Index.OWNER_PROGRAMMES, core.id))
        if programme is None or self._random.random() < 0.7:
            return ()
        record = self._get(r.Kind.PROGRAMME, programme)
        if self._party.id in record.members:
            return (c.ProgrammeLeave(self._label, programme),)
        return (c.ProgrammeJoin(self._label, programme),)

    def _repay(self) -> Sequence[Wire]:
        for id in self._scan(Index.PARTY_FINANCINGS, self._party.id):
            financing = self._get(r.Kind.FINANCING, id)
            if financing.kind is r.FinancingKind.LOAN_PLEDGE:
                amount = self._random.randint(1, max(1, financing.principal - financing.repaid))
                return (c.FinancingRepay(self._label, id, amount),)
        return ()
