"""What a node shows to whom when a record, an index or the log is asked for (voucher law §16).

Validators hold the whole state; each answers its own clients by these rules. `Answers.EVERYBODY` is for networks whose
nodes and users are one party: tests, trials, a bank that asks its own node only.

    nobody that is known   records and indexes of the network itself: validators, parameters, organisations and their
                           keys, programmes, joint acts
    an organisation        that, fees and backstops, documents whose id it knows, and whatever names it or a branch of it; ISSUE lines, which
                           protect everyone; lots and
                           vouchers as in `node.visibility`; its own indexes; the whole log, where events that are
                           not its own stand by their hashes
    an enterprise          that, the lowest rate of each open offer, and offers for what it holds
    a regulator            everything

A proof shows no more than its record: the neighbours in it are hashes. Receipts hold results of commands by
number and name nobody, so everybody gets them who asks for a transaction or reads the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import msgspec

from node.ledger.guarantees import call_id
from node.ledger.redemption import instruction_id
from node.state.view import Index, StateView
from node.visibility import PRICED, Sight, asker_of
from tallynet.errors import LedgerError
from tallynet.receipts import Event
from tallynet.records import (
    CreditLine,
    Instruction,
    Kind,
    LineKind,
    Lot,
    Offer,
    Record,
    Role,
    Visibility,
    Voucher,
)

__all__ = ["Answers", "Door"]

ID_BYTES: Final = 16
LOTS_JUDGED_MAX: Final = 500
"""Of one voucher in one answer, some 20 ms; of more than these a client reads the lots one by one."""

PUBLIC: Final = frozenset(
    (
        Kind.NETWORK, Kind.PARAMETER, Kind.CALENDAR, Kind.ORGANISATION, Kind.KEY, Kind.PROGRAMME, Kind.CONSENT,
        Kind.RECOVERY, Kind.REMEMBERED, Kind.READING_KEY,
    )
)  # fmt: skip
"""Kinds of records that everybody may read: without them nobody can check anything else."""
_MEMBERS_KINDS: Final = frozenset(
    (
        Kind.FEE_SCHEDULE, Kind.WAIVER, Kind.BACKSTOP, Kind.DOCUMENT, Kind.DOCUMENT_READER,
        Kind.BANK_RECEIPT,
    )
)  # fmt: skip
"""What every organisation may be charged by or call upon. And documents: a node cannot tell who their readers are
(voucher law §16.3), and their ids are known to whoever has the invoice, or was told. And used bank receipts: they name
no bank, only what they confirmed, and their ids are known to whoever knows the bank's own reference."""
_MEMBERS_INDEXES: Final = frozenset((Index.DOCUMENT_READERS,))
"""Listed to every organisation that knows what they begin with."""
_PUBLIC_INDEXES: Final = frozenset(
    (Index.ORGANISATIONS, Index.ORGANISATION_KEYS, Index.OWNER_PROGRAMMES)
)
_OWN_INDEXES: Final = frozenset(
    (
        Index.OPEN_LOTS, Index.DEBTOR_VOUCHERS, Index.PAYEE_VOUCHERS, Index.ORGANISATION_ACCOUNTS,
        Index.ORGANISATION_LINES, Index.FUNDER_OFFERS, Index.PARTY_FINANCINGS, Index.BANK_INSTRUCTIONS,
        Index.PARTY_DOCUMENTS, Index.PARTY_PENDING, Index.PARTY_REQUESTS, Index.ORGANISATION_FREEZES,
        Index.PUBLISHER_FLOWS, Index.DEBTOR_ANCHORS,
    )
)  # fmt: skip
"""Their entries begin with the organisation that they are about."""
_VOUCHER_INDEXES: Final = frozenset((Index.VOUCHER_INSTRUCTIONS, Index.VOUCHER_HOLDS))
"""Their entries begin with a voucher."""
_MEMBERS: Final = frozenset(Role)
"""Whoever has a key in force: a machine feeds an organisation's books, and reads for them."""


class Answers(StrEnum):
    """Who is answered."""

    PARTIES = "parties"
    EVERYBODY = "everybody"


class Door:
    """What one client is shown of one state, for one answer. Everything raises LedgerError KEY_UNKNOWN, KEY_REVOKED or
    NOT_AUTHORISED for what is not shown."""

    def __init__(self, state: StateView, public_key: bytes, time: int, answers: Answers) -> None:
        """`time`: unix seconds, by which the key must be in force."""
        self._state: Final = state
        self._key: Final = public_key
        self._time: Final = time
        self._open: Final = answers is Answers.EVERYBODY
        self._known: Sight | None = None
        self._own: Final[dict[bytes, bool]] = {}
        """Party of an event -> whether it is the asker or a branch of it."""
        self._vouchers: Final[dict[bytes, bool]] = {}
        """Voucher -> whether the asker is on its debtor's side and sees all of it."""

    @classmethod
    def of(cls, state: StateView, organisation: bytes, answers: Answers) -> Door:
        """What this organisation is shown, whoever asks for it."""
        door = cls(state, b"", 0, answers)
        door._known = Sight(state, organisation)
        return door

    def shows(self, kind: Kind, id: bytes) -> bool:
        """Whether a record is shown, and of a voucher all its lots."""
        try:
            return self.record(kind, id)
        except LedgerError:
            return False

    def _asker(self) -> Sight:
        if self._known is None:
            asker = asker_of(self._state, self._key, self._time, _MEMBERS)
            self._known = Sight(self._state, asker)
        return self._known

    def record(self, kind: Kind, id: bytes) -> bool:
        """Whether a voucher's lots may be shown with it; meaningless for other kinds.

        That there is no such record is shown to every organisation: ids are hashes, nobody guesses one.
        """
        if self._open or kind in PUBLIC:
            return True
        sight = self._asker()
        record = self._state.get(kind, id)
        if record is None or sight.supervises:
            return True
        if not self._is_shown(sight, kind, id, record):
            raise _refused()
        return kind is not Kind.VOUCHER or self._shows_all_lots(sight, id)

    def _shows_all_lots(self, sight: Sight, voucher: bytes) -> bool:
        starts = self._state.lot_starts(voucher)
        return len(starts) <= LOTS_JUDGED_MAX and all(sight.lot(voucher, at) for at in starts)

    def _is_shown(self, sight: Sight, kind: Kind, id: bytes, record: Record) -> bool:
        if kind is Kind.VOUCHER:
            return sight.voucher(id)
        if isinstance(record, Lot):
            voucher, start = id[:ID_BYTES], record.start
            return sight.lot(voucher, start) or self._pays_for(sight, voucher, start)
        if kind in _MEMBERS_KINDS:
            return True
        if isinstance(record, CreditLine) and record.kind is LineKind.ISSUE:
            return True
        if isinstance(record, Offer) and sight.could_draw(record):
            return True
        # A loan names the debtor of what is pledged, whom its price does not concern: `Sight.record`.
        return sight.record(record) and any(sight.belongs(party) for party in _named(record))

    def _pays_for(self, sight: Sight, voucher: bytes, start: int) -> bool:
        """Whether the asker is the bank that was instructed to pay for a lot: it has to know what is funded."""
        for id in (instruction_id(voucher, start), call_id(voucher, start)):
            order = self._state.get(Kind.INSTRUCTION, id)
            if isinstance(order, Instruction) and sight.belongs(order.bank):
                return True
        return False

    def index(self, index: Index, prefix: bytes) -> None:
        """Whether entries of an index with this prefix may be listed."""
        if self._open or index in _PUBLIC_INDEXES:
            return
        sight = self._asker()
        if sight.supervises:
            return
        if index is Index.OPEN_OFFERS and sight.draws:
            return
        first = prefix[:ID_BYTES]
        if len(first) == ID_BYTES and (
            index in _MEMBERS_INDEXES
            or (index in _OWN_INDEXES and sight.belongs(first))
            or (index in _VOUCHER_INDEXES and sight.voucher(first))
        ):
            return
        raise _refused()

    def act(self, organisation: bytes) -> None:
        """Whether an act of this organisation may be tried out: the answer says how its limits stand."""
        if not self._open and not self._asker().belongs(organisation):
            raise _refused()

    def log(self) -> None:
        """Whether the log may be read at all, with what is not shown in hashes."""
        if not self._open:
            self._asker()

    def event(self, event: Event) -> bool:
        """Whether an event of the log is shown."""
        if self._open or event.kind in PUBLIC:
            return True
        sight = self._asker()
        if sight.supervises or any(self._is_own(sight, p) for p in (event.source, event.target)):
            return True
        if event.kind != Kind.VOUCHER or event.type.startswith(PRICED):
            return False
        return self._sees_whole(sight, event.subject)

    def _is_own(self, sight: Sight, party: bytes | None) -> bool:
        if party is None:
            return False
        if party not in self._own:
            self._own[party] = sight.belongs(party)
        return self._own[party]

    def _sees_whole(self, sight: Sight, id: bytes) -> bool:
        if id not in self._vouchers:
            voucher = self._state.get(Kind.VOUCHER, id)
            self._vouchers[id] = (
                isinstance(voucher, Voucher)
                and voucher.visibility is Visibility.FULL
                and sight.owes(voucher)
            )
        return self._vouchers[id]


def _named(value: object) -> Iterator[bytes]:
    """Every id in a record: the asker's is among them if it is a party. Ids of other records are never an
    organisation's."""
    if isinstance(value, bytes):
        if len(value) == ID_BYTES:
            yield value
    elif isinstance(value, msgspec.Struct):
        for part in msgspec.structs.astuple(value):
            yield from _named(part)
    elif isinstance(value, tuple):
        for part in value:
            yield from _named(part)


def _refused() -> LedgerError:
    return LedgerError(
        "NOT_AUTHORISED", "there is no such thing, or it is not shown to this organisation"
    )
