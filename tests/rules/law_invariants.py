"""I1 to I16 of the voucher law (§10), each said as a function of the whole state, slowly and plainly.

Nothing here calls a rule: what a rule computes must not be checked by computing it the same way again. I14
alone asks `index_keys`, which is what indexes are defined by.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import pairwise

from node.ledger.derived import index_keys
from node.state import CommittedState, Overlay
from node.state.tables import INDEXES, RECORDS, MemoryReader, record_of
from node.state.view import Index
from tallynet import records as r
from tallynet.codec import decode_trusted

EVERYTHING = sys.maxsize
LIVE = (
    r.VoucherStatus.ACTIVE, r.VoucherStatus.DUE, r.VoucherStatus.OVERDUE, r.VoucherStatus.DEFAULTED,
    r.VoucherStatus.WRITTEN_OFF,
)  # fmt: skip
"""Somebody is owed something. I3 names them up to DEFAULTED; a write-off is the holder's own mark, the debtor
owes the face still, and a line counts unredeemed face (§6)."""
ENCUMBERED = (r.LotState.FINANCING_PENDING, r.LotState.PLEDGED)
LOANS = (r.FinancingKind.LOAN_PLEDGE, r.FinancingKind.LOAN_RECOURSE, r.FinancingKind.BACKSTOP)
LENT = (*LOANS, r.FinancingKind.PREPAYMENT)
ENDED = (r.LotState.REDEEMED, r.LotState.CANCELLED)

_LineKey = tuple[r.LineKind, bytes, bytes, str]
"""Kind, grantor, obligor, currency: the one line of its kind between the two."""
Records = Mapping[r.Kind, Mapping[bytes, r.Record]]


@lru_cache(maxsize=50_000)
def _decoded(kind: r.Kind, data: bytes) -> r.Record:
    """Of the records that a check reads, nearly all are those of the check before it."""
    return decode_trusted(r.RECORD_TYPES[kind], data)


_named = lru_cache(maxsize=50_000)(record_of)


def records_of(tables: MemoryReader) -> Records:
    """Everything that the state holds, by kind and id."""
    found: dict[r.Kind, dict[bytes, r.Record]] = defaultdict(dict)
    for key, data in tables.scan(RECORDS, b"", b"", EVERYTHING):
        named = _named(key)
        if named is not None:
            kind, id = named
            found[kind][id] = _decoded(kind, data)
    return found


def lots_by_voucher(records: Records) -> dict[bytes, list[r.Lot]]:
    """Lots in order of their start; a lot's key opens with its voucher."""
    found: dict[bytes, list[r.Lot]] = defaultdict(list)
    for id, lot in sorted(records[r.Kind.LOT].items()):
        found[id[:16]].append(lot)
    return found


def I1_lots_tile_the_face(records: Records) -> Iterator[str]:
    lots = lots_by_voucher(records)
    for id, voucher in records[r.Kind.VOUCHER].items():
        of = lots.get(id, [])
        edges = [0, *(lot.end for lot in of)]
        if [lot.start for lot in of] != edges[:-1] or edges[-1] != voucher.face:
            yield f"voucher {id.hex()}: lots {[(lot.start, lot.end) for lot in of]}"
        by_state = {
            state: sum(lot.end - lot.start for lot in of if lot.state is state)
            for state in (r.LotState.REDEEMED, r.LotState.CANCELLED)
        }
        if by_state[r.LotState.REDEEMED] != voucher.redeemed:
            yield f"voucher {id.hex()}: redeemed {voucher.redeemed}, lots say {by_state}"
        if voucher.status in LIVE and by_state[r.LotState.CANCELLED] != voucher.cancelled:
            yield f"voucher {id.hex()}: cancelled {voucher.cancelled}, lots say {by_state}"
        if any(a.end > b.start for a, b in pairwise(of)):
            yield f"voucher {id.hex()}: lots overlap"


def I2_documents_are_used_up_to_their_total(records: Records) -> Iterator[str]:
    used: dict[bytes, int] = defaultdict(int)
    for voucher in records[r.Kind.VOUCHER].values():
        if voucher.status is r.VoucherStatus.CANCELLED:
            continue
        share = voucher.face - voucher.cancelled
        if len(voucher.documents) == 1:
            used[voucher.documents[0].document] += share
        else:
            for use in voucher.documents:
                used[use.document] += use.amount
    for id, document in records[r.Kind.DOCUMENT].items():
        if document.occupied != used[id] or document.occupied > document.total:
            yield f"document {id.hex()}: occupied {document.occupied}, vouchers use {used[id]}"


def I3_issue_lines_count_what_was_promised(records: Records) -> Iterator[str]:
    used: dict[bytes, int] = defaultdict(int)
    reserved: dict[bytes, int] = defaultdict(int)
    for voucher in records[r.Kind.VOUCHER].values():
        if voucher.status in LIVE:
            used[voucher.issue_line] += voucher.face - voucher.redeemed - voucher.cancelled
        elif voucher.status is r.VoucherStatus.PENDING_CLAIM:
            reserved[voucher.issue_line] += voucher.face
    for id, line in records[r.Kind.CREDIT_LINE].items():
        if line.kind is r.LineKind.ISSUE and (line.used, line.reserved) != (used[id], reserved[id]):
            yield f"line {id.hex()}: {line.used}/{line.reserved}, vouchers {used[id]}/{reserved[id]}"


def exposure_lines_count_what_was_bought_and_lent(records: Records) -> Iterator[str]:
    """Voucher law §6: a funder's line on a debtor counts the face that it bought under it plus the principal of
    loans, its line on a borrower the latter; both keep room for what is not paid out yet."""
    used: dict[_LineKey, int] = defaultdict(int)
    reserved: dict[_LineKey, int] = defaultdict(int)
    for voucher_id, lots in lots_by_voucher(records).items():
        voucher = records[r.Kind.VOUCHER][voucher_id]
        for lot in lots:
            if lot.flags & r.FLAG_COUNTED and lot.state in ENDED:
                yield f"voucher {voucher_id.hex()}: [{lot.start}, {lot.end}) has ended, and is counted"
            elif lot.flags & r.FLAG_COUNTED:
                key = (r.LineKind.DEBTOR_EXPOSURE, lot.holder, voucher.debtor, voucher.currency)
                used[key] += lot.end - lot.start
    for deal in records[r.Kind.FINANCING].values():
        if deal.state is r.FinancingState.REQUESTED:
            continue  # a rediscount that its buyer has not accepted
        counted, left = used, deal.principal - deal.repaid
        if deal.state in (r.FinancingState.AWAIT_PAYOUT, r.FinancingState.PAYOUT_HELD):
            counted = reserved
        for kind in deal.lines:
            if kind is r.LineKind.BORROWER and deal.kind not in LENT:
                continue
            obligor = deal.debtor if kind is r.LineKind.DEBTOR_EXPOSURE else deal.obligor
            counted[kind, deal.funder, obligor, deal.currency] += left
    for id, line in records[r.Kind.CREDIT_LINE].items():
        if line.kind not in (r.LineKind.DEBTOR_EXPOSURE, r.LineKind.BORROWER):
            continue
        key = (line.kind, line.grantor, line.obligor, line.currency)
        counts = used.pop(key, 0), reserved.pop(key, 0)
        if (line.used, line.reserved) != counts:
            yield f"line {id.hex()}: {line.used}/{line.reserved}, lots and loans say {counts}"
    for kind, grantor, obligor, _ in {**used, **reserved}:
        yield f"no line {kind.name} of {grantor.hex()} on {obligor.hex()}, and it is used"


def I4_no_line_grows_beyond_what_is_granted(before: Records, after: Records) -> Iterator[str]:
    for id, line in after[r.Kind.CREDIT_LINE].items():
        old = before[r.Kind.CREDIT_LINE].get(id)
        was = 0 if old is None else old.used + old.reserved
        now = line.used + line.reserved
        if now > was and now > line.granted:
            yield f"line {id.hex()}: from {was} to {now}, granted {line.granted}"


def I5_an_encumbered_range_has_one_financing(records: Records) -> Iterator[str]:
    pledged: dict[bytes, int] = defaultdict(int)
    for id, lots in lots_by_voucher(records).items():
        for lot in lots:
            if lot.state not in ENCUMBERED:
                continue
            financing = records[r.Kind.FINANCING].get(lot.lien or bytes(16))
            request = records[r.Kind.FINANCING_REQUEST].get(lot.lien or bytes(16))
            if financing is None and request is None:
                yield f"voucher {id.hex()}: [{lot.start}, {lot.end}) waits for nothing"
            elif financing is not None and financing.kind in LOANS:
                pledged[lot.lien] += lot.end - lot.start
    for id, length in pledged.items():
        financing = records[r.Kind.FINANCING][id]
        if financing.principal > length and not financing.repaid:
            yield f"loan {id.hex()}: {financing.principal} lent on {length}"


def I7_no_maturity_beyond_the_longest_tenor(records: Records, longest: int) -> Iterator[str]:
    for id, voucher in records[r.Kind.VOUCHER].items():
        # Rolled to a working day: at most the longest break of the calendar later.
        if voucher.maturity > voucher.issue_day + longest + 14:
            yield f"voucher {id.hex()}: {voucher.maturity - voucher.issue_day} days"


def I8_I13_nobody_is_paid_more_than_came_in(records: Records) -> Iterator[str]:
    lots = lots_by_voucher(records)
    for id, voucher in records[r.Kind.VOUCHER].items():
        if not voucher.paid <= voucher.funds_in <= voucher.face:
            yield f"voucher {id.hex()}: paid {voucher.paid} of {voucher.funds_in}"
        for lot in lots.get(id, []):
            if lot.covered > lot.end - lot.start:
                yield f"voucher {id.hex()}: [{lot.start}, {lot.end}) is covered with {lot.covered}"
    for id, order in records[r.Kind.INSTRUCTION].items():
        if order.paid > order.amount:
            yield f"instruction {id.hex()}: {order.paid} paid of {order.amount}"


def I11_hops_never_shrink(before: Records, after: Records) -> Iterator[str]:
    """A range that still has the holder that it had has the hops that it had."""
    old = lots_by_voucher(before)
    for id, lots in lots_by_voucher(after).items():
        for lot in lots:
            for was in old.get(id, []):
                shared = max(lot.start, was.start) < min(lot.end, was.end)
                if shared and was.hops > lot.hops and lot.holder == was.holder:
                    yield f"voucher {id.hex()}: {was.hops} hops became {lot.hops}"


def I15_a_sealed_line_goes_on_by_its_commitments(before: Records, after: Records) -> Iterator[str]:
    """Nothing is counted on it here; all that it ever committed to changes with its sequence, and only so."""
    for id, line in after[r.Kind.CREDIT_LINE].items():
        if line.sealed is None:
            continue
        if line.granted or line.reserved or line.used or line.kind is r.LineKind.ISSUE:
            yield f"line {id.hex()}: sealed, and {line.granted}/{line.reserved}/{line.used}"
        old = before[r.Kind.CREDIT_LINE].get(id)
        if old is None or old.sealed is None:
            continue
        grown = line.sealed.sequence - old.sealed.sequence
        if grown < 0 or (grown == 0) != (line.sealed.history == old.sealed.history):
            yield f"line {id.hex()}: commitment {old.sealed.sequence}, then {line.sealed.sequence}"


def totals_are_what_vouchers_owe(records: Records) -> Iterator[str]:
    """Voucher law §8.10: per debtor count and sum, and no day that is over without its anchor."""
    owed: dict[tuple[bytes, str], list[int]] = defaultdict(list)
    for voucher in records[r.Kind.VOUCHER].values():
        left = voucher.face - voucher.redeemed - voucher.cancelled
        if left and voucher.status is not r.VoucherStatus.PENDING_CLAIM:
            owed[voucher.debtor, voucher.currency].append(left)
    for totals in records[r.Kind.DEBTOR_TOTALS].values():
        left = owed.pop((totals.debtor, totals.currency), [])
        if (totals.count, totals.sum) != (len(left), sum(left)):
            yield f"debtor {totals.debtor.hex()}: {totals.count}, {totals.sum}; vouchers say {left}"
    for debtor, _ in owed:
        yield f"debtor {debtor.hex()}: no totals"


def holds_are_counted(records: Records) -> Iterator[str]:
    """Voucher law §8.8: what says that there is a hold to look for is right, of vouchers and of whole holders."""
    counted: dict[tuple[r.Kind, bytes, str], int] = defaultdict(int)
    for freeze in records[r.Kind.FREEZE].values():
        if freeze.state is r.FreezeState.IN_FORCE and not freeze.ranges:
            counted[r.Kind.ORGANISATION, freeze.organisation, "freezes"] += 1
        elif freeze.state is r.FreezeState.IN_FORCE:
            for voucher in {part.voucher for part in freeze.ranges}:
                counted[r.Kind.VOUCHER, voucher, "freezes"] += 1
    for dispute in records[r.Kind.DISPUTE].values():
        if dispute.state is r.DisputeState.OPEN:
            counted[r.Kind.VOUCHER, dispute.ranges[0].voucher, "disputes"] += 1
    for kind, field in (
        (r.Kind.ORGANISATION, "freezes"), (r.Kind.VOUCHER, "freezes"), (r.Kind.VOUCHER, "disputes"),
    ):  # fmt: skip
        for id, record in records[kind].items():
            if getattr(record, field) != counted[kind, id, field]:
                yield f"{kind.name} {id.hex()}: {field} {getattr(record, field)}"


def I14_indexes_rebuild(
    tables: MemoryReader, state: CommittedState, records: Records
) -> Iterator[str]:
    view = Overlay(state)
    expected = {
        bytes((index,)) + key
        for kind, of in records.items()
        for id, record in of.items()
        for index, key in index_keys(view, kind, id, record)
    }
    stored = {key for key, _ in tables.scan(INDEXES, b"", b"", EVERYTHING)}
    for key in sorted(expected ^ stored):
        yield f"index {Index(key[0]).name}: {key[1:].hex()}"


def broken(checks: Iterable[Iterator[str]]) -> list[str]:
    """All that the checks found."""
    return [sentence for check in checks for sentence in check]
