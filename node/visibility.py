"""Who may ask about whom, and what of a voucher is shown (voucher law §13, §16).

    a regulator                         everything
    a party to a lot                    that lot and what stands behind it: holder, receiver of a pending
                                        transfer, who may get it back, lender and borrower, whoever was asked
                                        for a quote
    the debtor's side                   by the voucher's visibility: FULL every lot, TIER1 what was not passed
                                        on, CONSENT none; the ranges of all lots in any case
    an organisation                     what is owed to itself, and who is hit if it fails itself; offers under
                                        which it can draw

An agent bank sees the loans of which it is lender of record; the funder bears them, so they are owed to him.
An enterprise sees what its branches see. The debtor's side is the debtor, the enterprise above it and the
owner of the programme. Terms of a loan or purchase are between its two sides.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Final

from node.ledger.offers import covers
from node.ledger.own_indexes import DAY_BYTES
from node.state.view import Index, StateView
from tallynet.errors import LedgerError
from tallynet.hashing import record_id
from tallynet.penetration import Chain, Down, Impact, Question, Up
from tallynet.receipts import Event
from tallynet.records import (
    Document,
    Financing,
    FinancingRequest,
    Guarantee,
    Key,
    Kind,
    Lot,
    Offer,
    OfferStatus,
    Organisation,
    OrganisationKind,
    Prepayment,
    Programme,
    Record,
    Role,
    Visibility,
    Voucher,
    WarehouseReceipt,
    lot_id,
)

PEOPLE: Final = frozenset((Role.MAKER, Role.CHECKER, Role.APPROVER, Role.ADMIN))
"""Machine keys feed documents and flow in, nothing else (voucher law §4)."""
FUNDERS: Final = frozenset(
    (OrganisationKind.BANK, OrganisationKind.FACTOR, OrganisationKind.FUNDER)
)
LOTS_LOOKED_AT_MAX: Final = 100
"""Of whoever might draw under an offer, the oldest; some 3 ms. Who holds more knows its offers by their ids, or draws
with AUTO."""
_VOUCHER: Final = slice(16 + DAY_BYTES, 32 + DAY_BYTES)
"""In an entry of OPEN_LOTS."""
LINEAGE_MAX: Final = 8
"""Organisations from a branch up to its enterprise; branches are at most three deep."""
PRICED: Final = ("financing.", "backstop.")
"""Events of these types carry what somebody paid or lent."""


def asker_of(state: StateView, public_key: bytes, time: int, roles: Set[Role] = PEOPLE) -> bytes:
    """The organisation for whose people this key stands, at unix seconds `time`; `roles`: those of which
    it must have one.

    Raises LedgerError KEY_UNKNOWN, KEY_REVOKED, NOT_AUTHORISED.
    """
    key = state.get(Kind.KEY, record_id(Kind.KEY, b"", public_key))
    if not isinstance(key, Key):
        raise LedgerError("KEY_UNKNOWN", "connect with a key of the organisation that asks")
    if key.revoked or not key.valid_from <= time < key.valid_to:
        raise LedgerError("KEY_REVOKED", "this key is revoked or out of its validity")
    if roles.isdisjoint(key.roles):
        raise LedgerError("NOT_AUTHORISED", "a key of a person asks, not one of a machine or node")
    return key.organisation


class Sight:
    """What one organisation sees of one state."""

    def __init__(self, state: StateView, asker: bytes) -> None:
        self._state: Final = state
        self._asker: Final = asker
        organisation = state.get(Kind.ORGANISATION, asker)
        self._supervises: Final = (
            isinstance(organisation, Organisation)
            and OrganisationKind.REGULATOR in organisation.kinds
        )

    @property
    def supervises(self) -> bool:
        """The asker is a regulator."""
        return self._supervises

    @property
    def draws(self) -> bool:
        """The asker might draw under offers: it is no funder, whom others' rates do not concern."""
        organisation = self._state.get(Kind.ORGANISATION, self._asker)
        return isinstance(organisation, Organisation) and FUNDERS.isdisjoint(organisation.kinds)

    def could_draw(self, offer: Offer) -> bool:
        """Whether the asker holds a lot that an open offer is for."""
        if offer.status is not OfferStatus.OPEN or not self.draws:
            return False
        found = self._state.index_scan(Index.OPEN_LOTS, self._asker, limit=LOTS_LOOKED_AT_MAX)
        vouchers = dict.fromkeys(entry[_VOUCHER] for entry in found)
        return any(covers(offer, v) for id in vouchers if (v := self._voucher(id)) is not None)

    def belongs(self, party: bytes) -> bool:
        """Whether this is the asker, or a branch of it."""
        return self._is_one(party)

    def voucher(self, id: bytes) -> bool:
        """Whether this voucher is there and shown: to its debtor's side, and to parties to its lots."""
        return self._of_voucher(id)

    def owes(self, voucher: Voucher) -> bool:
        """Whether the asker is on the debtor's side."""
        return self._is_debtor(voucher)

    def require(self, question: Question) -> None:
        """Raises LedgerError NOT_AUTHORISED for a question that is not this organisation's to ask."""
        match question:
            case Up(voucher, start):
                allowed = self.lot(voucher, start)
            case Down(voucher):
                allowed = self._of_voucher(voucher)
            case Impact(debtor) | Chain(debtor):
                allowed = self._supervises or self._is(debtor)
            case _:
                allowed = self._supervises or self._is(question.organisation)
        if not allowed:
            raise LedgerError(
                "NOT_AUTHORISED", "there is no such thing, or it is not shown to this organisation"
            )

    def _is(self, *parties: bytes | None) -> bool:
        """Whether one of them is the asker, or a branch of it."""
        return any(self._is_one(party) for party in parties if party is not None)

    def _is_one(self, party: bytes) -> bool:
        above: bytes | None = party
        for _ in range(LINEAGE_MAX):
            if above is None or above == self._asker:
                break
            organisation = self._state.get(Kind.ORGANISATION, above)
            above = organisation.parent if isinstance(organisation, Organisation) else None
        return above == self._asker

    def _of_voucher(self, id: bytes) -> bool:
        voucher = self._voucher(id)
        if voucher is None:
            return False
        if self._supervises or self._is_debtor(voucher):
            return True
        return any(self.lot(id, start) for start in self._state.lot_starts(id))

    def _voucher(self, id: bytes) -> Voucher | None:
        voucher = self._state.get(Kind.VOUCHER, id)
        return voucher if isinstance(voucher, Voucher) else None

    def _is_debtor(self, voucher: Voucher) -> bool:
        programme = self._state.get(Kind.PROGRAMME, voucher.programme)
        owner = programme.owner if isinstance(programme, Programme) else None
        return self._is(voucher.debtor, owner)

    def lot(self, voucher_id: bytes, start: int) -> bool:
        """Whether this lot is there and shown."""
        voucher = self._voucher(voucher_id)
        lot = self._state.get(Kind.LOT, lot_id(voucher_id, start))
        if voucher is None or not isinstance(lot, Lot):
            return False
        if self._supervises or self._is(lot.holder, lot.pending_to, lot.recourse_from):
            return True
        if lot.lien is not None and self._has_lien(lot.lien):
            return True
        tiers = voucher.visibility
        seen = tiers is Visibility.FULL or (tiers is Visibility.TIER1 and lot.hops == 0)
        return seen and self._is_debtor(voucher)

    def _has_lien(self, id: bytes) -> bool:
        financing = self._state.get(Kind.FINANCING, id)
        if isinstance(financing, Financing):
            return self._is(financing.funder, financing.agent_bank, financing.obligor)
        request = self._state.get(Kind.FINANCING_REQUEST, id)
        return isinstance(request, FinancingRequest) and self._is(*request.funders)

    def record(self, record: Record) -> bool:
        """Whether a record that an allowed question reads is shown."""
        if self._supervises:
            return True
        match record:
            case Financing():
                return self._is(record.funder, record.agent_bank, record.obligor)
            case Guarantee():
                named = record.beneficiary
                return named is None or self._is(named, record.guarantor)
            case WarehouseReceipt():
                return self._is(record.owner, record.pledgee, record.warehouse)
            case Prepayment():
                return self._is(record.distributor, record.maker, record.bank)
            case _:
                return True

    def ciphertext(self, record: Record, owner: bytes) -> bool:
        """Whether the ciphertext that a record names is handed out without further proof; `owner` brought
        it. Others show that they are readers of it."""
        if self._supervises:
            return True
        match record:
            case Document():
                return self._is(*record.parties)
            case FinancingRequest():
                return self._is(record.holder, owner)
            case _:
                return False

    def event(self, event: Event) -> bool:
        """Whether an event in the history of a lot that is shown is shown as well."""
        priced = event.type.startswith(PRICED)
        return self._supervises or not priced or self._is(event.source, event.target)
