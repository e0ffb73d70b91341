"""What the core enterprise does: programmes and vouchers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire
from tools.simulator.acts import holds
from tools.simulator.acts.base import CURRENCY, Act, Choice


class CoreAct(Act):
    def choices(self) -> list[Choice]:
        return [
            *super().choices(), self._programme, self._issue, self._issue, self._issue,
            self._withdraw, partial(holds.agree, self), partial(holds.dispute, self),
        ]  # fmt: skip

    def _programme(self) -> Sequence[Wire]:
        random = self.random
        own = self.scan(Index.OWNER_PROGRAMMES, self.party.id)
        rules = c.ProgrammeRules(
            random.choice((r.AcceptMode.IMMEDIATE, r.AcceptMode.IMMEDIATE, r.AcceptMode.EXPLICIT)),
            0, 10, 200, 1, 365, random.choice((0, 1, 5)), r.DocumentPolicy.CAPPED, r.Visibility.TIER1, False, 500, (), True,
            (), r.PriceMode.OPEN,
        )  # fmt: skip
        if len(own) >= 3:
            if random.random() < 0.7:
                return []
            return [c.ProgrammeUpdate(self.label, random.choice(own), rules)]
        return [c.ProgrammeCreate(self.label, r.ProgrammeKind.RECEIVABLE, CURRENCY, rules)]

    def _issue(self) -> Sequence[Wire]:
        random, today = self.random, self.today
        programme = self.choose(self.scan(Index.OWNER_PROGRAMMES, self.party.id))
        lines = [
            id
            for id in self.scan(Index.ORGANISATION_LINES, self.party.id)
            if isinstance(line := self.get(r.Kind.CREDIT_LINE, id), r.CreditLine)
            and line.kind is r.LineKind.ISSUE
        ]
        line = self.choose(lines)
        documents = [
            (id, document)
            for id in self.scan(Index.PARTY_DOCUMENTS, self.party.id)
            if isinstance(document := self.get(r.Kind.DOCUMENT, id), r.Document)
            and document.total > document.occupied
        ]
        if programme is None or line is None or not documents:
            return []
        id, document = random.choice(documents)
        face = random.randint(1, document.total - document.occupied)
        return [
            c.VoucherIssue(
                self.label, document.creditor, CURRENCY, face, today + random.choice((1, 2, 4, 30)),
                r.Promise(self.digest(), True, True, True), (r.DocumentUse(id, face),), programme,
                line, self.town.banks[random.randrange(4)].id,
            )
        ]  # fmt: skip

    def _withdraw(self) -> Sequence[Wire]:
        for id in self.scan(Index.DEBTOR_VOUCHERS, self.party.id):
            voucher = self.get(r.Kind.VOUCHER, id)
            if voucher.status is r.VoucherStatus.PENDING_CLAIM and self.random.random() < 0.1:
                return [c.VoucherWithdraw(self.label, id)]
        return []
