"""A bank's reports, row by row, into confirmations and failures on the ledger.

The receipt of a confirmation is the commitment to the bank's own reference of the booking, which the ledger takes
once: so a file read twice changes nothing the second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from tallynet.codec import Wire
from tallynet.commands import InstructionSend
from tallynet.errors import TallynetError
from tallynet.hashing import record_id
from tallynet.names import commitment
from tallynet.records import BankReceipt, InstructionPurpose, InstructionState, Kind
from tools.bank.orders import Order, read_order
from tools.bank.record import Act, Line, PaymentRecord
from tools.bank.references import instruction_of
from tools.bank.reports import Row, Said
from tools.participant import Participant, new_label


class Result(StrEnum):
    """What became of a row."""

    CONFIRMED = "confirmed"
    ALREADY = "already confirmed"
    SENT = "on its way"
    FAILED = "reported as failed"
    FOREIGN = "not of this ledger"
    """It has no end-to-end id as the ledger's payments have."""
    UNKNOWN = "unknown"
    AMOUNT = "amount differs"
    RETURNED = "returned"
    """The money came back after it was confirmed, which no command undoes."""
    REFUSED = "refused"


MATCHED: Final = frozenset(
    {Result.CONFIRMED, Result.ALREADY, Result.SENT, Result.FAILED, Result.FOREIGN}
)


@dataclass(frozen=True, slots=True)
class Answer:
    row: Row
    result: Result
    code: str = ""
    """Why not, as `tally explain` knows it."""
    text: str = ""


@dataclass(frozen=True, slots=True)
class _Act:
    """A row that needs a command."""

    row: Row
    command: Wire
    result: Result
    """Once the ledger said OK."""
    line: Line | None
    """For the record then."""


async def apply(
    participant: Participant, record: PaymentRecord, rows: Iterable[Row], *, dry_run: bool
) -> list[Answer]:
    """What became of each row; with `dry_run`, what would, and nothing is changed. One row's failure is no
    other's."""
    planned = [await _plan(participant, record, row) for row in _once(_each(rows, record))]
    acts = [each for each in planned if isinstance(each, _Act)]
    if not dry_run:
        record.append(_missed(record, [each for each in planned if isinstance(each, Answer)]))
    done = iter(await (_ask(participant, acts) if dry_run else _order(participant, record, acts)))
    return [next(done) if isinstance(each, _Act) else each for each in planned]


def _missed(record: PaymentRecord, answers: Iterable[Answer]) -> Iterator[Line]:
    """What the ledger has as confirmed and the record has not: by hand, or before a crash."""
    for answer in answers:
        row, id = answer.row, instruction_of(answer.row.reference)
        known = record.is_confirmed(row.reference)
        if answer.result is Result.ALREADY and id is not None and row.amount and not known:
            reference = row.reference.lower()
            yield Line(Act.CONFIRMED, reference, id.hex(), row.amount, row.currency, row.entry)


def _each(rows: Iterable[Row], record: PaymentRecord) -> Iterable[Row]:
    """A file that was rejected as a whole stands for each payment in it."""
    for row in rows:
        if row.said is Said.REJECTED and not row.reference and row.entry:
            payments = record.of_file(row.entry)
            yield from (replace(row, reference=each.reference, entry="") for each in payments)
            if payments:
                continue
        yield row


def _once(rows: Iterable[Row]) -> list[Row]:
    """A booking that a file has twice counts once."""
    return list({replace(row, place=""): row for row in rows}.values())


async def _plan(participant: Participant, record: PaymentRecord, row: Row) -> Answer | _Act:
    """What to do about a row, or why nothing."""
    id = instruction_of(row.reference)
    if id is None:
        result = Result.UNKNOWN if row.said is Said.REJECTED and row.entry else Result.FOREIGN
        return Answer(row, result)
    if row.said is Said.UNCLEAR:
        return Answer(row, Result.REFUSED, text="the status says nothing of this payment")
    if row.said is Said.BOOKED:
        used = await _used(participant, row, id)
        if used is not None:
            return used
    try:
        order = await read_order(participant.client, participant.network, participant.wallet, id)
    except TallynetError as error:
        return Answer(row, Result.REFUSED, error.code, error.message)
    if order is None:
        return _gone(record, row)
    bank = participant.wallet.id
    if not (order.is_paid_by(bank) or order.is_confirmed_by(bank)):
        return Answer(row, Result.UNKNOWN, "NOT_AUTHORISED", "another bank's instruction")
    if row.said is Said.RETURNED or (row.credit and not order.comes_in(bank)):
        return Answer(row, Result.RETURNED)
    if row.said is Said.REJECTED:
        return _failure(record, row, order, bank)
    if row.said is Said.ACCEPTED or not order.is_confirmed_by(bank):
        return _sent(row, order, bank)
    return _confirmation(participant, record, row, order)


async def _used(participant: Participant, row: Row, id: bytes) -> Answer | None:
    """Whether the ledger knows the bank's reference already."""
    if not row.entry:
        return Answer(row, Result.REFUSED, text="the booking has no reference of the bank's")
    used = await used_receipt(participant, row.entry)
    if used is None:
        return None
    if used.used_by == id:
        return Answer(row, Result.ALREADY)
    return Answer(row, Result.REFUSED, "RECEIPT_REUSED", "the reference confirmed something else")


async def used_receipt(participant: Participant, entry: str) -> BankReceipt | None:
    """What the ledger has under a reference of this bank, proven."""
    bank = participant.wallet.id
    id = record_id(Kind.BANK_RECEIPT, bank, commitment("receipt", bank, entry))
    used = await participant.client.read(Kind.BANK_RECEIPT, id)
    return used if isinstance(used, BankReceipt) else None


def _gone(record: PaymentRecord, row: Row) -> Answer:
    """The instruction is not open any more: paid and done with, failed, or never there."""
    if row.said is Said.RETURNED:
        return Answer(row, Result.RETURNED)
    if row.said is Said.REJECTED and record.is_rejected(row.reference):
        return Answer(row, Result.FAILED, text="before")
    if row.said is Said.ACCEPTED and record.written(row.reference) is not None:
        return Answer(row, Result.SENT, text="before")
    return Answer(row, Result.UNKNOWN, "RECORD_NOT_FOUND", "no such instruction is open")


def _failure(record: PaymentRecord, row: Row, order: Order, bank: bytes) -> Answer | _Act:
    if record.is_rejected(row.reference):
        return Answer(row, Result.FAILED, text="before")
    if record.is_confirmed(row.reference):
        return Answer(row, Result.RETURNED, text="it was confirmed before")
    command = order.failure()
    if command is None or not (order.is_paid_by(bank) or order.comes_in(bank)):
        return Answer(row, Result.REFUSED, "STATE_CONFLICT", "no command says that this failed")
    line = _line(Act.REJECTED, row, order, order.rest, row.reason)
    return _Act(row, command, Result.FAILED, line)


def _sent(row: Row, order: Order, bank: bytes) -> Answer | _Act:
    if order.instruction.state is InstructionState.NEW and order.is_paid_by(bank):
        return _Act(row, InstructionSend(new_label(), order.id), Result.SENT, None)
    return Answer(row, Result.SENT)


def _confirmation(
    participant: Participant, record: PaymentRecord, row: Row, order: Order
) -> Answer | _Act:
    bank = participant.wallet.id
    written = record.written(row.reference)
    expected = order.rest if written is None else written.amount
    amount = expected if row.amount is None else row.amount
    partly = order.instruction.purpose is InstructionPurpose.SETTLEMENT and written is None
    if row.credit is not None and row.credit != order.comes_in(bank):
        return Answer(row, Result.UNKNOWN, text="the money went the other way")
    if row.amount is not None and (
        row.currency != order.instruction.currency
        or amount > order.rest
        or (amount != expected and not partly)
    ):
        text = f"{expected} {order.instruction.currency} in the smallest unit is to be paid"
        return Answer(row, Result.AMOUNT, "AMOUNT_MISMATCH", text)
    command = order.confirmation(amount, commitment("receipt", bank, row.entry))
    if command is None:
        return Answer(row, Result.UNKNOWN, "RECORD_NOT_FOUND", "the voucher of the call")
    line = _line(Act.CONFIRMED, row, order, amount, row.entry)
    return _Act(row, command, Result.CONFIRMED, line)


def _line(act: Act, row: Row, order: Order, amount: int, source: str) -> Line:
    currency = order.instruction.currency
    return Line(act, row.reference.lower(), order.id.hex(), amount, currency, source)


async def _ask(participant: Participant, acts: Sequence[_Act]) -> list[Answer]:
    answers = []
    for act in acts:
        body = participant.envelope([act.command]).body
        dry = await participant.client.dry_run(body)
        code = dry.receipt.code if dry.receipt.code != "OK" else dry.receipt.commands[0].code
        reason = dry.reasons[0] if dry.reasons else ""
        answers.append(_answer(act, code, reason))
    return answers


async def _order(
    participant: Participant, record: PaymentRecord, acts: Sequence[_Act]
) -> list[Answer]:
    """An envelope for each, side by side: what one bank refuses stops no other."""
    envelopes = [participant.envelope([act.command]) for act in acts]
    outcomes = await participant.client.submit_many(envelopes)
    answers, lines = [], []
    for act, outcome in zip(acts, outcomes, strict=True):
        if isinstance(outcome, TallynetError):
            answers.append(Answer(act.row, Result.REFUSED, outcome.code, outcome.message))
            continue
        receipt = outcome.receipt
        code = receipt.code if receipt.code != "OK" else receipt.commands[0].code
        answers.append(_answer(act, code, f"block {outcome.height}"))
        if code == "OK" and act.line is not None:
            lines.append(act.line)
    record.append(lines)
    return answers


def _answer(act: _Act, code: str, text: str) -> Answer:
    if code == "OK":
        return Answer(act.row, act.result, text=text)
    return Answer(act.row, Result.REFUSED, code, text)
