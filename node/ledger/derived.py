"""Every derived index as a function of the records (voucher law §5; I14).

Execution reads indexes, the state root covers records only. So whoever has the records of a certified
state has its indexes too: a node that joins with the state rebuilds them here, and an audit compares. The
rules in the families keep the indexes in step; `tests/rules` compares both after every block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar, cast

from node.ledger.drawing import parties
from node.ledger.fees import waiver_key
from node.ledger.legal import hold_key
from node.ledger.loans import overdue_day
from node.ledger.lots import lapse_day
from node.ledger.margin import acts_on
from node.ledger.offers import open_key
from node.ledger.own_indexes import day_bytes, own_entry
from node.ledger.rediscount import last_day
from node.ledger.remembered import BUCKET_BYTES, ids_of
from node.ledger.schedule import Act, day_key, second_key
from node.ledger.settlement import PAYABLE
from node.ledger.vouchers import default_day, uncovered
from node.state.view import Index, StateView
from tallynet.errors import invariant
from tallynet.records import (
    Account,
    Consent,
    CreditLine,
    DebtorTotals,
    Dispute,
    DisputeState,
    Document,
    Financing,
    FinancingRequest,
    FinancingState,
    FlowAnchor,
    Freeze,
    FreezeState,
    Instruction,
    InstructionPurpose,
    InstructionState,
    Key,
    Kind,
    Lot,
    LotState,
    Margin,
    Offer,
    OfferStatus,
    Organisation,
    Prepayment,
    PrepaymentState,
    Programme,
    ReconciliationAnchor,
    Record,
    Recovery,
    Remembered,
    Voucher,
    VoucherStatus,
    Waiver,
)

IndexKey = tuple[Index, bytes]
R = TypeVar("R")

_ENDED: Final = (InstructionState.PAID, InstructionState.CANCELLED)
_OF_VOUCHERS: Final = (InstructionPurpose.SETTLEMENT, InstructionPurpose.PENALTY)


def index_keys(state: StateView, kind: Kind, id: bytes, record: Record) -> list[IndexKey]:
    """All index entries that exist because of this record, in no particular order. `state` answers for
    the record that it depends on: the voucher of a lot or loan, a dated parameter."""
    rule = _RULES.get(kind)
    keys = [] if rule is None else list(rule(state, id, record))
    own = own_entry(id, record)
    return keys if own is None else [*keys, own]


def _voucher_of(state: StateView, id: bytes) -> Voucher:
    voucher = state.get(Kind.VOUCHER, id)
    invariant(isinstance(voucher, Voucher), "STATE_DERIVED a record without its voucher")
    return cast("Voucher", voucher)


def _organisation(_state: StateView, id: bytes, record: Organisation) -> Iterator[IndexKey]:
    yield Index.ORGANISATIONS, id
    yield Index.UNIQUENESS_TAGS, record.uniqueness_tag + id


def _key(_state: StateView, id: bytes, record: Key) -> Iterator[IndexKey]:
    if not record.revoked:
        yield Index.ORGANISATION_KEYS, record.organisation + id


def _account(_state: StateView, id: bytes, record: Account) -> Iterator[IndexKey]:
    yield Index.ORGANISATION_ACCOUNTS, record.organisation + id


def _programme(_state: StateView, id: bytes, record: Programme) -> Iterator[IndexKey]:
    yield Index.OWNER_PROGRAMMES, record.owner + id


def _line(_state: StateView, id: bytes, record: CreditLine) -> Iterator[IndexKey]:
    yield Index.ORGANISATION_LINES, record.grantor + id
    yield Index.ORGANISATION_LINES, record.obligor + id


def _document(_state: StateView, id: bytes, record: Document) -> Iterator[IndexKey]:
    for party in record.parties:
        yield Index.PARTY_DOCUMENTS, party + id


def _waiver(_state: StateView, id: bytes, record: Waiver) -> Iterator[IndexKey]:
    if not record.revoked:
        yield Index.WAIVERS, waiver_key(record, id)


def _flow(_state: StateView, id: bytes, record: FlowAnchor) -> Iterator[IndexKey]:
    yield Index.PUBLISHER_FLOWS, record.publisher + id
    if record.next_check:
        yield Index.SCHEDULE_DAYS, day_key(record.next_check, Act.FLOW_CHECK, id)


def _voucher(state: StateView, id: bytes, record: Voucher) -> Iterator[IndexKey]:
    yield Index.DEBTOR_VOUCHERS, record.debtor + id
    yield Index.PAYEE_VOUCHERS, record.first_payee + id
    agenda = _agenda_of(state, record)
    if agenda is not None:
        yield Index.SCHEDULE_DAYS, day_key(*agenda, id)
    if record.status in PAYABLE and record.instructions_opened < record.face:
        yield Index.SCHEDULE_DAYS, day_key(record.maturity, Act.SETTLEMENT_OPEN, id)


def _agenda_of(state: StateView, record: Voucher) -> tuple[int, Act] | None:
    """What time does next to a voucher of this status, and when."""
    match record.status:
        case VoucherStatus.PENDING_CLAIM:
            return record.claim_deadline + 1, Act.VOUCHER_EXPIRE
        case VoucherStatus.ACTIVE:
            return record.maturity, Act.VOUCHER_MATURE
        case VoucherStatus.DUE if uncovered(record):
            return record.grace_end + 1, Act.VOUCHER_OVERDUE
        case VoucherStatus.OVERDUE:
            return default_day(state, record) + 1, Act.VOUCHER_DEFAULT
        case _:
            return None


def _lot(state: StateView, id: bytes, record: Lot) -> Iterator[IndexKey]:
    if record.state is LotState.TRANSFER_PENDING:
        yield Index.PARTY_PENDING, (record.pending_to or b"") + id
        day = lapse_day(state, _voucher_of(state, id[:16]), record)
        yield Index.SCHEDULE_DAYS, day_key(day, Act.TRANSFER_LAPSE, id)


def _offer(_state: StateView, id: bytes, record: Offer) -> Iterator[IndexKey]:
    yield Index.FUNDER_OFFERS, record.funder + id
    if record.status is OfferStatus.OPEN:
        if record.automatic:
            yield Index.OPEN_OFFERS, open_key(record, id)
        yield Index.SCHEDULE_DAYS, day_key(record.valid_to + 1, Act.OFFER_EXPIRE, id)


def _financing(state: StateView, id: bytes, record: Financing) -> Iterator[IndexKey]:
    for party in parties(record):
        yield Index.PARTY_FINANCINGS, party + id
    if record.state in (FinancingState.AWAIT_PAYOUT, FinancingState.PAYOUT_HELD):
        yield Index.SCHEDULE_SECONDS, second_key(record.expires, Act.PAYOUT_EXPIRE, id)
    elif record.state is FinancingState.OUTSTANDING:
        day = overdue_day(state, record)
        if day is not None:
            yield Index.SCHEDULE_DAYS, day_key(day, Act.LOAN_OVERDUE, id)
    elif record.state is FinancingState.REQUESTED:
        last = last_day(state, record)
        yield Index.SCHEDULE_DAYS, day_key(last + 1, Act.REDISCOUNT_LAPSE, id)


def _request(_state: StateView, id: bytes, record: FinancingRequest) -> Iterator[IndexKey]:
    for party in (record.holder, *record.funders):
        yield Index.PARTY_REQUESTS, party + id
    yield Index.SCHEDULE_DAYS, day_key(record.lapses, Act.REQUEST_LAPSE, id)


def _instruction(_state: StateView, id: bytes, record: Instruction) -> Iterator[IndexKey]:
    if record.state in _ENDED:
        return
    yield Index.BANK_INSTRUCTIONS, record.bank + id
    if record.purpose in _OF_VOUCHERS:
        yield Index.VOUCHER_INSTRUCTIONS, record.reference + id


def _prepayment(_state: StateView, id: bytes, record: Prepayment) -> Iterator[IndexKey]:
    if record.state is not PrepaymentState.AWAIT_PAYOUT:
        yield Index.SCHEDULE_DAYS, day_key(record.ship_by + 1, Act.PREPAYMENT_LAPSE, id)


def _margin(_state: StateView, id: bytes, record: Margin) -> Iterator[IndexKey]:
    yield Index.SCHEDULE_DAYS, day_key(acts_on(record), Act.MARGIN_DUE, id)


def _consent(_state: StateView, id: bytes, record: Consent) -> Iterator[IndexKey]:
    yield Index.SCHEDULE_DAYS, day_key(record.lapses, Act.CONSENT_LAPSE, id)


def _freeze(_state: StateView, id: bytes, record: Freeze) -> Iterator[IndexKey]:
    if record.state is not FreezeState.IN_FORCE:
        return
    yield Index.SCHEDULE_DAYS, day_key(record.expires + 1, Act.FREEZE_EXPIRE, id)
    if not record.ranges:
        yield Index.ORGANISATION_FREEZES, record.organisation + id
    for voucher in sorted({part.voucher for part in record.ranges}):
        yield Index.VOUCHER_HOLDS, hold_key(voucher, Kind.FREEZE, id)


def _dispute(_state: StateView, id: bytes, record: Dispute) -> Iterator[IndexKey]:
    if record.state is DisputeState.OPEN:
        yield Index.VOUCHER_HOLDS, hold_key(record.ranges[0].voucher, Kind.DISPUTE, id)


def _remembered(_state: StateView, id: bytes, record: Remembered) -> Iterator[IndexKey]:
    yield Index.REMEMBERED_BLOCKS, id
    for transaction in ids_of(record):
        yield Index.REMEMBERED, id[:BUCKET_BYTES] + transaction


def _recovery(_state: StateView, id: bytes, record: Recovery) -> Iterator[IndexKey]:
    yield Index.SCHEDULE_DAYS, day_key(record.ends + 1, Act.RECOVERY_COMPLETE, id)


def _totals(_state: StateView, id: bytes, record: DebtorTotals) -> Iterator[IndexKey]:
    if record.anchored < record.changed:
        yield Index.SCHEDULE_DAYS, day_key(record.changed + 1, Act.RECONCILE, id)


def _anchor(_state: StateView, id: bytes, record: ReconciliationAnchor) -> Iterator[IndexKey]:
    day = day_bytes(record.day)
    yield Index.DEBTOR_ANCHORS, record.debtor + day + id
    yield Index.DAY_ANCHORS, day + id


Rule = Callable[[StateView, bytes, Record], Iterator[IndexKey]]


def _typed(kind: type[R], rule: Callable[[StateView, bytes, R], Iterator[IndexKey]]) -> Rule:
    """A rule for one type of record as one for any, which refuses the other types."""

    def checked(state: StateView, id: bytes, record: Record) -> Iterator[IndexKey]:
        invariant(isinstance(record, kind), "STATE_DERIVED record of another kind")
        return rule(state, id, cast("R", record))

    return checked


_RULES: Final[dict[Kind, Rule]] = {
    Kind.ORGANISATION: _typed(Organisation, _organisation),
    Kind.KEY: _typed(Key, _key),
    Kind.ACCOUNT: _typed(Account, _account),
    Kind.PROGRAMME: _typed(Programme, _programme),
    Kind.CREDIT_LINE: _typed(CreditLine, _line),
    Kind.DOCUMENT: _typed(Document, _document),
    Kind.FLOW_ANCHOR: _typed(FlowAnchor, _flow),
    Kind.WAIVER: _typed(Waiver, _waiver),
    Kind.VOUCHER: _typed(Voucher, _voucher),
    Kind.LOT: _typed(Lot, _lot),
    Kind.OFFER: _typed(Offer, _offer),
    Kind.FINANCING: _typed(Financing, _financing),
    Kind.FINANCING_REQUEST: _typed(FinancingRequest, _request),
    Kind.INSTRUCTION: _typed(Instruction, _instruction),
    Kind.CONSENT: _typed(Consent, _consent),
    Kind.REMEMBERED: _typed(Remembered, _remembered),
    Kind.PREPAYMENT: _typed(Prepayment, _prepayment),
    Kind.MARGIN: _typed(Margin, _margin),
    Kind.RECOVERY: _typed(Recovery, _recovery),
    Kind.FREEZE: _typed(Freeze, _freeze),
    Kind.DISPUTE: _typed(Dispute, _dispute),
    Kind.DEBTOR_TOTALS: _typed(DebtorTotals, _totals),
    Kind.RECONCILIATION_ANCHOR: _typed(ReconciliationAnchor, _anchor),
}
"""Kinds that are not listed have no index but their own (`node.ledger.own_indexes`)."""
