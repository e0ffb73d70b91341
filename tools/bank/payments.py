"""Which payments go into the next file: what the ledger lists for a bank, less what was handed out before.

A payment goes into a file only if the ledger would let the bank confirm it (asked with a dry run), and is SENT there
before the file is handed out, so that no freeze can cancel what a payment system has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, TypeVar

from node.state.view import Index
from tallynet.client import RequestFailed
from tallynet.codec import Wire
from tallynet.commands import InstructionSend
from tallynet.envelope import Mode
from tallynet.errors import TallynetError
from tallynet.names import commitment
from tallynet.records import Account, InstructionPurpose, InstructionState, Kind
from tools.arguments import UsageError
from tools.bank.orders import Order, read_order
from tools.bank.pain001 import PAYMENTS_MAX, Party, Payment
from tools.bank.record import PaymentRecord
from tools.bank.references import PARTS_MAX, reference_of
from tools.participant import Participant, new_label
from tools.show_cli import ID_BYTES, name_of

T = TypeVar("T")
BATCH: Final = 200
"""Commands asked about, or sent, in one envelope: a good second of a node's work, and well under the 1000 allowed."""
ACCOUNT_CHARACTERS_MAX: Final = 34
"""Of an account number (Max34Text)."""


@dataclass(frozen=True, slots=True)
class Held:
    """A payment that is due and not in the file, and why."""

    order: bytes
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Due:
    """An amount to be paid now."""

    order: Order
    amount: int
    part: int
    before: int
    """Minor units of it that are on their way in earlier parts."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the file is to hold."""

    until: int
    """Last day on which a payment may be due."""
    today: int
    """The ledger's business date; nothing is executed before it."""
    again: bool
    """Also what was written before and is not confirmed, under its old end-to-end id."""
    accounts: Mapping[bytes, str]
    """Account of the ledger -> its number."""
    currencies: frozenset[str]
    """That the bank has an account to pay from in."""


async def choose(
    participant: Participant, record: PaymentRecord, wishes: Wishes
) -> tuple[list[Due], list[Held]]:
    """The payments of the next file, and those that wait. Every record is proven; the list of them is united
    over f+1 banks' nodes, so that none is left out; whether each could be confirmed is one node's word."""
    client, bank = participant.client, participant.wallet.id
    found, held = [], []
    for entry in sorted(await client.united_index(Index.BANK_INSTRUCTIONS, bank)):
        id = entry[ID_BYTES:]
        try:
            order = await read_order(client, participant.network, participant.wallet, id)
        except TallynetError as error:
            held.append(Held(id, error.code, error.message))
            continue
        if order is None or not order.is_paid_by(bank) or order.instruction.due > wishes.until:
            continue
        dues = due_now(record, order, again=wishes.again)
        if not dues:
            continue
        if order.instruction.currency not in wishes.currencies:
            code = order.instruction.currency
            held.append(Held(id, "NO_DEBIT_ACCOUNT", f"say --debit {code}:ACCOUNT"))
        elif max(due.part for due in dues) > PARTS_MAX:
            held.append(Held(id, "TOO_MANY_PARTS", f"{PARTS_MAX} were written; pay by hand"))
        else:
            found.extend(dues)
    found, refused = await _confirmable(participant, found[:PAYMENTS_MAX])
    return found, held + refused


def due_now(record: PaymentRecord, order: Order, *, again: bool) -> list[Due]:
    """What is to be paid now and was not handed out before: of what was, the ledger may have confirmed a part.
    With `again`, what was handed out and is not confirmed too, as it was."""
    under_way = max(0, record.handed_out(order.id) - order.instruction.paid)
    found, before = [], under_way
    for part, amount in reversed(record.unconfirmed(order.id)) if again else ():
        if amount <= before:
            before -= amount
            found.append(Due(order, amount, part, before))
    left = order.payable - under_way
    if left > 0:
        found.append(Due(order, left, record.parts(order.id) + 1, under_way))
    return found


async def _confirmable(
    participant: Participant, found: Sequence[Due]
) -> tuple[list[Due], list[Held]]:
    """Those that the ledger would let the bank confirm as it stands: no freeze, no missing registration."""
    asked: list[tuple[Due, Wire]] = []
    kept, held = [], []
    for due in found:
        if due.order.instruction.purpose is InstructionPurpose.REDISCOUNT:
            kept.append(due)  # the seller confirms it; sending it is asked about below
            continue
        command = due.order.confirmation(due.amount, sha256(due.order.id).digest())
        if command is None:
            held.append(Held(due.order.id, "RECORD_NOT_FOUND", "the voucher of the call"))
        else:
            asked.append((due, command))
    for batch in _batches(asked):
        envelope = participant.envelope([each for _, each in batch], mode=Mode.INDEPENDENT)
        answer = await participant.client.dry_run(envelope.body)
        codes = [each.code for each in answer.receipt.commands] or [answer.receipt.code] * len(
            batch
        )
        reasons = answer.reasons or ("",) * len(batch)
        for (due, _), code, reason in zip(batch, codes, reasons, strict=True):
            if code == "OK":
                kept.append(due)
            else:
                held.append(Held(due.order.id, code, reason))
    return kept, held


async def send(participant: Participant, found: Sequence[Due]) -> tuple[list[Due], list[Held]]:
    """Mark the instructions as SENT; those that the ledger refuses are held."""
    new = [due for due in found if due.order.instruction.state is InstructionState.NEW]
    kept = [due for due in found if due.order.instruction.state is not InstructionState.NEW]
    held = []
    for batch in _batches(new):
        commands = [InstructionSend(new_label(), due.order.id) for due in batch]
        outcome = await participant.submit(participant.envelope(commands, mode=Mode.INDEPENDENT))
        codes = outcome.codes if outcome.receipt.code == "OK" else outcome.codes * len(batch)
        for due, code in zip(batch, codes, strict=True):
            if code == "OK":
                kept.append(due)
            else:
                held.append(Held(due.order.id, code, f"refused in block {outcome.height}"))
    return kept, held


def _batches(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[at : at + BATCH] for at in range(0, len(items), BATCH)]


async def payment_of(
    participant: Participant, due: Due, wishes: Wishes, names: Mapping[bytes, str]
) -> Payment:
    """A payment with the names and numbers that are known here. Raises UsageError ACCOUNT_DIFFERS."""
    order, instruction = due.order, due.order.instruction
    account = None
    if instruction.account is not None:
        with suppress(RequestFailed):  # not shown: an account at another bank
            account = await participant.client.read(Kind.ACCOUNT, instruction.account)
    number = None if instruction.account is None else instruction.account.hex()
    bank = None
    if isinstance(account, Account) and instruction.account is not None:
        number = _number(instruction.account, account, wishes.accounts)
        bank = _party(account.bank, names)
    return Payment(
        reference_of(order.id, due.part), order.id, _party(instruction.payer, names),
        _party(instruction.payee, names), number, bank, due.amount, instruction.currency,
        max(instruction.due, wishes.today), instruction.purpose.name, _remittance(due),
    )  # fmt: skip


def _party(id: bytes, names: Mapping[bytes, str]) -> Party:
    return Party(id, name_of(id, names))


def _number(id: bytes, account: Account, known: Mapping[bytes, str]) -> str:
    """The account's number, if it is known and is what the owner committed to; else the ledger's id."""
    number = known.get(id)
    if number is None:
        return id.hex()
    if commitment("account", account.organisation, number) != account.account_commitment:
        raise UsageError(
            "ACCOUNT_DIFFERS", f"{number!r} is not the account {id.hex()}: its owner named another"
        )
    if not 1 <= len(number) <= ACCOUNT_CHARACTERS_MAX:
        raise UsageError(
            "ACCOUNT_DIFFERS", f"{number!r} has more than {ACCOUNT_CHARACTERS_MAX} characters"
        )
    return number


def _remittance(due: Due) -> str:
    """What is paid for, in at most 140 characters: voucher and range, or the record that says it."""
    order, purpose = due.order, due.order.instruction.purpose
    if purpose is InstructionPurpose.SETTLEMENT and order.lot is not None:
        end = order.lot.end - due.before
        start = end - due.amount
    elif order.financing is not None and any(order.financing.voucher):
        start, end = order.financing.start, order.financing.end
    else:
        return f"{purpose.name} {order.instruction.reference.hex()}"
    uses = ""
    if purpose is InstructionPurpose.PAYOUT and order.financing is not None:
        uses = "".join(f" {use.purpose.name}" for use in order.financing.purposes)
    return f"{purpose.name} voucher {(order.voucher or b'').hex()} range {start}-{end}{uses}"
