"""What banks do: lines, offers, payments, settlement, sponsoring, and joint acts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from node.ledger.joint import hash_of
from node.ledger.membership import VALIDATORS_MIN
from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire
from tallynet.hashing import record_id
from tools.simulator.acts import finance, holds
from tools.simulator.acts.base import CURRENCY, Act, Choice

MORE: Final = (
    finance.quote, finance.quote, finance.claim_back, finance.rediscount, finance.stand_by,
    holds.escrow,
)  # fmt: skip
PLAIN: Final = (
    r.InstructionPurpose.FEE, r.InstructionPurpose.SURPLUS, r.InstructionPurpose.PENALTY,
)  # fmt: skip
"""Instructions that have no command of their own."""

CAMPAIGN_BLOCKS: Final = 20
"""For so long all banks want the same change of the validator set."""


class BankAct(Act):
    def choices(self) -> list[Choice]:
        return [
            *super().choices(), self._verify, self._lines, self._offer, self._pay, self._fund,
            self._settle, self._pay, self._fund, self._settle, self._joint, self._sponsor, self._repaid,
            *(partial(act, self) for act in MORE),
            *([self._membership] * (6 if self.town.spares else 0)),
        ]  # fmt: skip

    def _verify(self) -> Sequence[Wire]:
        for party in self.town.clients:
            for id in self.scan(Index.ORGANISATION_ACCOUNTS, party.id):
                account = self.get(r.Kind.ACCOUNT, id)
                if account.bank == self.party.id and account.status is r.AccountStatus.BOUND:
                    return [c.AccountVerify(self.label, id)]
        return []

    def _lines(self) -> Sequence[Wire]:
        core = self.town.party("core")
        today = self.today
        kind = self.random.choice((r.LineKind.ISSUE, r.LineKind.ISSUE, r.LineKind.DEBTOR_EXPOSURE))
        held = [
            (id, line)
            for id in self.scan(Index.ORGANISATION_LINES, self.party.id)
            if isinstance(line := self.get(r.Kind.CREDIT_LINE, id), r.CreditLine)
        ]
        same = [(id, line) for id, line in held if line.kind is kind]
        if not same:
            granted = self.random.choice((10**6, 10**8))
            return [
                c.LineGrant(self.label, kind, core.id, CURRENCY, granted, today, today + 900, ())
            ]
        id, line = same[0]
        if self.random.random() < 0.5:
            return []
        if line.status is r.LineStatus.SUSPENDED:
            return [c.LineResume(self.label, id)]
        if self.random.random() < 0.2:
            return [c.LineSuspend(self.label, id)]
        granted = max(1, line.granted + self.random.randint(-(10**6), 10**7))
        return [c.LineChange(self.label, id, granted, today, today + 900, ())]

    def _offer(self) -> Sequence[Wire]:
        today, random = self.today, self.random
        own = self.scan(Index.FUNDER_OFFERS, self.party.id)
        if len(own) >= 3:
            return [c.OfferRevoke(self.label, random.choice(own))] if random.random() < 0.3 else []
        kind = random.choice(
            (r.FinancingKind.SALE, r.FinancingKind.SALE, r.FinancingKind.LOAN_PLEDGE)
        )
        grid = (r.RateBand(365, random.randint(10_000, 90_000), 10_000),)
        return [
            c.OfferCreate(
                self.label, kind, CURRENCY, (), (), grid, 360, 1, 10**8, 0, 10**9, today,
                today + 300, (), False, True, False, None,
            )
        ]  # fmt: skip

    def _pay(self) -> Sequence[Wire]:
        found: list[Wire] = []
        for id in self.scan(Index.BANK_INSTRUCTIONS, self.party.id)[:4]:
            instruction = self.get(r.Kind.INSTRUCTION, id)
            if instruction.purpose in PLAIN:
                amount = instruction.amount
                found.append(c.InstructionConfirm(self.label, id, amount, self.bank_receipt()))
            if instruction.purpose is not r.InstructionPurpose.PAYOUT:
                continue
            draw = self.random.random()
            if draw < 0.15 and instruction.state is r.InstructionState.NEW:
                found.append(c.InstructionSend(self.label, id))
            elif draw < 0.25:
                found.append(c.PayoutFail(self.label, id))
            else:
                found.append(
                    c.PayoutConfirm(self.label, id, instruction.amount, self.bank_receipt())
                )
        return found

    def _fund(self) -> Sequence[Wire]:
        core = self.town.party("core")
        for id in self.scan(Index.DEBTOR_VOUCHERS, core.id):
            voucher = self.get(r.Kind.VOUCHER, id)
            open_ = voucher.face - voucher.cancelled - voucher.funds_in
            due = voucher.status in (
                r.VoucherStatus.DUE, r.VoucherStatus.OVERDUE, r.VoucherStatus.DEFAULTED,
            )  # fmt: skip
            if voucher.clearing_bank == self.party.id and due and open_ > 0:
                part = open_ if self.random.random() < 0.6 else self.random.randint(1, open_)
                return [c.FundsReceived(self.label, id, part, 0, self.bank_receipt())]
        return []

    def _settle(self) -> Sequence[Wire]:
        found: list[Wire] = []
        for id in self.scan(Index.BANK_INSTRUCTIONS, self.party.id):
            instruction = self.get(r.Kind.INSTRUCTION, id)
            if instruction.purpose is not r.InstructionPurpose.SETTLEMENT or len(found) >= 4:
                continue
            lot = self.get(r.Kind.LOT, r.lot_id(instruction.reference, instruction.start))
            left = instruction.amount - instruction.paid
            if isinstance(lot, r.Lot) and self.random.random() < 0.8:
                left = min(left, lot.covered)  # else more than is there, to be refused
            if self.random.random() < 0.1:
                found.append(c.SettlementFailed(self.label, id))
            elif left > 0:
                found.append(c.SettlementPaid(self.label, id, left, self.bank_receipt()))
        return found

    def _repaid(self) -> Sequence[Wire]:
        for id in self.scan(Index.BANK_INSTRUCTIONS, self.party.id):
            instruction = self.get(r.Kind.INSTRUCTION, id)
            if instruction.purpose is r.InstructionPurpose.REPAYMENT:
                if self.random.random() < 0.1:
                    return (c.InstructionFail(self.label, id),)
                amount = instruction.amount
                return (c.RepayConfirm(self.label, id, amount, self.bank_receipt()),)
        return ()

    def _membership(self) -> Sequence[Wire]:
        """One change at a time, the same for all banks for a while, so that consents add up."""
        network, town = self.get(r.Kind.NETWORK, r.NETWORK_ID), self.town
        inside = {validator.organisation for validator in network.validators}
        if network.next is not None or self.party.id not in inside or network.height < 2:
            return ()
        spares = town.spares
        proposals: list[Wire] = [
            town.ready(number) for number in spares if town.banks[number].id not in inside
        ]
        if len(inside) > VALIDATORS_MIN:
            leaving = [town.banks[town.founders - 1], *(town.banks[number] for number in spares)]
            proposals += [c.ValidatorRemove(b"-", b.id) for b in leaving if b.id in inside]
        chosen = proposals[network.height // CAMPAIGN_BLOCKS % len(proposals)]
        consent = self.view.get(r.Kind.CONSENT, record_id(r.Kind.CONSENT, hash_of(chosen), b""))
        if isinstance(consent, r.Consent) and self.party.id in consent.organisations:
            return ()
        return (chosen,)

    # --- joint acts of the bank quorum ------------------------------------------------------------

    def _joint(self) -> Sequence[Wire]:
        """One of few proposals, the same for all banks on one day, so that consents add up."""
        random, today = self.random, self.today
        if random.random() < 0.4:
            return ()
        proposals: list[Wire] = [
            c.ParameterSet(self.label, "claim_deadline_days", today + 1, 20),
            c.CalendarSet(self.label, (r.CalendarEntry(today + 3, False),)),
            self._institution(),
        ]
        chosen = random.choice(proposals)
        consent = self.view.get(r.Kind.CONSENT, record_id(r.Kind.CONSENT, hash_of(chosen), b""))
        if isinstance(consent, r.Consent) and self.party.id in consent.organisations:
            return (c.ConsentWithdraw(self.label, hash_of(chosen)),)
        return (chosen,)

    def _institution(self) -> Wire:
        """The same newcomer for everybody: its keys are those that core would never use."""
        digest = self.town.hash
        keys = (self._new_key(r.Role.MAKER, seed=digest),)
        kinds = (r.OrganisationKind.GUARANTOR,)
        return c.OrganisationAdmit(
            self.label, kinds, "trade", "coast", digest, digest, digest, keys
        )

    # --- sponsoring -------------------------------------------------------------------------------

    def _sponsored(self) -> list[bytes]:
        found = []
        for id in self.scan(Index.ORGANISATIONS, b""):
            organisation = self.get(r.Kind.ORGANISATION, id)
            if organisation.sponsor == self.party.id:
                found.append(id)
        return found

    def _sponsor(self) -> Sequence[Wire]:
        random = self.random
        if random.random() < 0.6:
            return ()
        own = self._sponsored()
        if not own or random.random() < 0.3:
            tag = self.digest()
            kinds = (r.OrganisationKind.SUPPLIER,)
            return (
                c.OrganisationRegister(
                    self.label, kinds, r.Size.SMALL, 2, "trade", "coast", tag, tag, tag,
                    (self._new_key(r.Role.MAKER),), (),
                ),
            )  # fmt: skip
        id = random.choice(own)
        organisation = self.get(r.Kind.ORGANISATION, id)
        if organisation.status is r.OrganisationStatus.SUSPENDED:
            return (c.OrganisationResume(self.label, id),)
        if random.random() < 0.5:
            return (c.OrganisationSuspend(self.label, id),)
        return (c.KycSet(self.label, id, 3, r.Size.MEDIUM, "trade", "coast"),)
