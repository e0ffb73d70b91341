"""A payment instruction as its bank sees it: what is left to pay, and which commands say that it was, or failed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.ledger.guarantees import call_id
from node.state.view import Index
from tallynet.client import Client
from tallynet.codec import Wire
from tallynet.commands import (
    BuybackConfirm,
    GuaranteePayConfirm,
    GuaranteeRelease,
    InstructionConfirm,
    InstructionFail,
    PayoutConfirm,
    PayoutConfirmSealed,
    PayoutFail,
    RediscountCancel,
    RediscountConfirm,
    RepayConfirm,
    SettlementFailed,
    SettlementPaid,
)
from tallynet.records import (
    Financing,
    Guarantee,
    GuaranteeScope,
    Instruction,
    InstructionPurpose,
    Kind,
    Lot,
    lot_id,
)
from tallynet.sealed_price import price_commitment
from tools.participant import new_label
from tools.sealed_price_cli import Deal, open_deal, opening_path
from tools.show_cli import ID_BYTES
from tools.wallet import Wallet

COLLECTED: Final = frozenset(
    {InstructionPurpose.REPAYMENT, InstructionPurpose.REFUND, InstructionPurpose.BUYBACK}
)
"""Purposes of money that comes to the bank that confirms it: somebody else pays."""
_FOR_FINANCINGS: Final = frozenset({InstructionPurpose.PAYOUT, InstructionPurpose.REDISCOUNT})
"""Purposes whose instruction refers to a financing that says what is paid for."""
_LOT_VOUCHER: Final = slice(-8 - ID_BYTES, -8)


@dataclass(frozen=True, slots=True)
class Order:
    """An instruction with what is needed to act on it."""

    id: bytes
    instruction: Instruction
    financing: Financing | None
    """PAYOUT and REDISCOUNT: what it pays for."""
    deal: Deal | None
    """A sealed price, opened by this wallet."""
    voucher: bytes | None
    lot: Lot | None
    """SETTLEMENT and GUARANTEE: what is paid for."""
    rest: int
    """Minor units that are still to be paid."""
    payable: int
    """Of those, what may be paid now: a settlement waits for its debtor's money."""

    def is_paid_by(self, bank: bytes) -> bool:
        """Whether this bank sends the money."""
        return self.instruction.bank == bank and self.instruction.purpose not in COLLECTED

    def is_confirmed_by(self, bank: bytes) -> bool:
        """Whether this bank says that the money has moved: of a rediscount, the seller that got it."""
        if self.instruction.purpose is InstructionPurpose.REDISCOUNT:
            return self.instruction.payee == bank
        return self.instruction.bank == bank

    def comes_in(self, bank: bytes) -> bool:
        """Whether the bank that confirms sees it as a credit."""
        return self.instruction.purpose in COLLECTED or not self.is_paid_by(bank)

    def confirmation(self, amount: int, receipt: bytes) -> Wire | None:
        """The command that confirms `amount` minor units under this commitment to the bank's reference; None
        for a call whose voucher was not found."""
        label, id, purpose = new_label(), self.id, self.instruction.purpose
        match purpose:
            case InstructionPurpose.PAYOUT if self.deal is not None:
                terms = self.deal.quote.terms
                priced = price_commitment(self.deal.quote, self.deal.financing.value_day)
                return PayoutConfirmSealed(label, id, terms.face, priced, receipt)
            case InstructionPurpose.PAYOUT:
                return PayoutConfirm(label, id, amount, receipt)
            case InstructionPurpose.SETTLEMENT:
                return SettlementPaid(label, id, amount, receipt)
            case InstructionPurpose.REPAYMENT:
                return RepayConfirm(label, id, amount, receipt)
            case InstructionPurpose.BUYBACK:
                return BuybackConfirm(label, id, amount, receipt)
            case InstructionPurpose.REDISCOUNT:
                return RediscountConfirm(label, self.instruction.reference, amount, receipt)
            case InstructionPurpose.GUARANTEE:
                if self.voucher is None:
                    return None
                start = self.instruction.start
                return GuaranteePayConfirm(label, self.voucher, start, amount, receipt)
            case _:
                return InstructionConfirm(label, id, amount, receipt)

    def failure(self) -> Wire | None:
        """The command that says that it could not be paid; None where there is none: a buy-back stays owed."""
        label, id, purpose = new_label(), self.id, self.instruction.purpose
        match purpose:
            case InstructionPurpose.PAYOUT:
                return PayoutFail(label, id)
            case InstructionPurpose.SETTLEMENT:
                return SettlementFailed(label, id)
            case InstructionPurpose.REDISCOUNT:
                return RediscountCancel(label, self.instruction.reference)
            case InstructionPurpose.GUARANTEE:
                if self.voucher is None:
                    return None
                start = self.instruction.start
                return GuaranteeRelease(label, self.instruction.reference, self.voucher, start)
            case InstructionPurpose.BUYBACK:
                return None
            case _:
                return InstructionFail(label, id)


async def read_order(client: Client, network: Path, wallet: Wallet, id: bytes) -> Order | None:
    """The instruction with this id, proven; None if it is not in the state (any more).

    Raises UsageError FILE_MISSING, FILE_INVALID and DocumentError TERMS_MALFORMED for a sealed price that this
    wallet cannot open.
    """
    instruction = await client.read(Kind.INSTRUCTION, id)
    if not isinstance(instruction, Instruction):
        return None
    purpose = instruction.purpose
    financing, deal = None, None
    if purpose in _FOR_FINANCINGS:
        record = await client.read(Kind.FINANCING, instruction.reference)
        financing = record if isinstance(record, Financing) else None
    if financing is not None and financing.sealed is not None:
        place = opening_path(network, wallet, financing.sealed.terms_commitment)
        deal = open_deal(financing, place)
    voucher = None if financing is None else financing.voucher
    lot = None
    if purpose in (InstructionPurpose.SETTLEMENT, InstructionPurpose.PENALTY):
        voucher = instruction.reference
    if purpose is InstructionPurpose.SETTLEMENT:
        lot = await _lot(client, voucher, instruction.start)
    elif purpose is InstructionPurpose.GUARANTEE:
        voucher = await _called_voucher(client, id, instruction)
        lot = await _lot(client, voucher, instruction.start)
    rest, payable = _left(instruction, deal, lot)
    return Order(id, instruction, financing, deal, voucher, lot, rest, payable)


def _left(instruction: Instruction, deal: Deal | None, lot: Lot | None) -> tuple[int, int]:
    """What is still to be paid, and what of it may be paid now."""
    rest = deal.paid if deal is not None else instruction.amount - instruction.paid
    if instruction.purpose is InstructionPurpose.SETTLEMENT:
        return rest, min(rest, lot.covered if lot is not None else 0)
    if instruction.purpose is InstructionPurpose.GUARANTEE and lot is not None:
        rest = min(rest, lot.end - lot.start)
    return rest, rest


async def _lot(client: Client, voucher: bytes | None, start: int) -> Lot | None:
    if voucher is None:
        return None
    lot = await client.read(Kind.LOT, lot_id(voucher, start))
    return lot if isinstance(lot, Lot) else None


async def _called_voucher(client: Client, id: bytes, call: Instruction) -> bytes | None:
    """The voucher whose lot a guarantee was called for: the call's id is made of it, so none but it fits."""
    async for voucher in _perhaps_called(client, call):
        if call_id(voucher, call.start) == id:
            return voucher
    return None


async def _perhaps_called(client: Client, call: Instruction) -> AsyncIterator[bytes]:
    """The voucher that the guarantee names, else those of lots that the payee holds or lent on."""
    guarantee = await client.read(Kind.GUARANTEE, call.reference)
    if isinstance(guarantee, Guarantee) and guarantee.scope is GuaranteeScope.VOUCHER:
        yield guarantee.covered
        return
    async for entry in client.unproven_index_all(Index.OPEN_LOTS, call.payee):
        yield entry[_LOT_VOUCHER]
    async for entry in client.unproven_index_all(Index.PARTY_FINANCINGS, call.payee):
        loan = await client.read(Kind.FINANCING, entry[ID_BYTES:])
        if isinstance(loan, Financing):
            yield loan.voucher
