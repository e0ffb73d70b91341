"""What a rule of the voucher law works with: state, time, the acting organisation, and its output.

A rule function takes `(context, command)`, checks in the order authority (done before it), existence,
status, value, limits (voucher law §20), then writes. It raises `LedgerError` to refuse; the caller
drops the scratch layer, so a refused command changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from node.ledger.own_indexes import FOLLOWED, follow
from node.state.view import StateView
from tallynet.codec import encode
from tallynet.errors import LedgerError
from tallynet.fields import AMOUNT_MAX
from tallynet.receipts import Created, Event
from tallynet.records import NETWORK_ID, RECORD_TYPES, Kind, Network, Record

R = TypeVar("R")

_KIND_OF: Final[Mapping[Any, Kind]] = {kind_type: k for k, kind_type in RECORD_TYPES.items()}


class Context:
    """One command's (or system act's) surroundings."""

    __slots__ = (
        "_today", "acting", "created", "encoded_events", "events", "genesis", "joint_body",
        "result", "state", "time", "transaction",
    )  # fmt: skip

    def __init__(
        self,
        state: StateView,
        *,
        genesis: bytes,
        time: int,
        transaction: bytes | None,
        acting: bytes,
        today: int | None = None,
    ) -> None:
        """`today` is the business date where no act of this context can change it."""
        self.state: Final = state
        self.genesis: Final = genesis
        self.time: Final = time
        """Header time in whole seconds."""
        self.transaction: Final = transaction
        """None in the block prologue."""
        self.acting: Final = acting
        """Acting organisation; sixteen zero bytes in the prologue."""
        self._today: Final = today
        self.joint_body: bytes | None = None
        """Hash of the command body when a joint act executes."""
        self.events: list[Event] = []
        self.encoded_events: list[bytes] = []
        """The same, as they are hashed and stored."""
        self.created: list[Created] = []
        self.result: tuple[int, ...] = ()
        """Result fields of the receipt; the rule says which."""

    # --- reading ------------------------------------------------------------------------------

    @property
    def network(self) -> Network:
        return self.require(Network, NETWORK_ID)

    @property
    def today(self) -> int:
        """Business date."""
        today = self._today
        return self.network.business_date if today is None else today

    def find(self, record_type: type[R], id: bytes) -> R | None:
        """The record of this type, or None."""
        record: Any = self.state.get(_KIND_OF[record_type], id)
        found: R | None = record
        return found

    def require(self, record_type: type[R], id: bytes) -> R:
        """The record of this type; LedgerError RECORD_NOT_FOUND names what is missing."""
        record: Any = self.state.get(_KIND_OF[record_type], id)
        if record is None:
            raise LedgerError("RECORD_NOT_FOUND", f"no {record_type.__name__} {id.hex()}")
        required: R = record
        return required

    # --- writing ------------------------------------------------------------------------------

    def put(self, id: bytes, record: Record) -> None:
        """Replace a record that exists."""
        state, record_type = self.state, type(record)
        kind = _KIND_OF[record_type]
        if record_type in FOLLOWED:
            follow(state, record_type, id, state.get(kind, id), record)
        state.put(kind, id, record)

    def create(self, id: bytes, record: Record) -> None:
        """Write a new record and name it in the receipt; LedgerError ID_IN_USE if the id is taken."""
        kind = _KIND_OF[type(record)]
        if self.state.get(kind, id) is not None:
            raise LedgerError("ID_IN_USE", f"{kind.name} {id.hex()} exists; choose another label")
        follow(self.state, type(record), id, None, record)
        self.state.put(kind, id, record)
        self.created.append(Created(int(kind), id))

    def delete(self, record_type: type[Record], id: bytes) -> None:
        kind = _KIND_OF[record_type]
        follow(self.state, record_type, id, self.state.get(kind, id), None)
        self.state.delete(kind, id)

    def emit(
        self,
        event_type: str,
        kind: Kind,
        subject: bytes,
        *,
        sequence: int = 0,
        start: int = 0,
        end: int = 0,
        source: bytes | None = None,
        target: bytes | None = None,
        amount: int = 0,
        reference: bytes = b"",
    ) -> Event:
        """Append an event. For vouchers use `node.ledger.vouchers.log`, which also advances the
        voucher's event count and accumulator."""
        event = Event(
            event_type, int(kind), subject, sequence, start, end, source, target, amount,
            reference, self.transaction,
        )  # fmt: skip
        self.events.append(event)
        self.encoded_events.append(encode(event))
        return event


def require_amount(amount: int, what: str = "amount") -> None:
    """LedgerError AMOUNT_RANGE unless 1 <= amount <= 10^17 - 1."""
    if not 1 <= amount <= AMOUNT_MAX:
        raise LedgerError("AMOUNT_RANGE", f"{what} is {amount}; it must be 1 to {AMOUNT_MAX}")


def refuse(code: str, message: str) -> LedgerError:
    """`raise refuse(...)` reads better in rules."""
    return LedgerError(code, message)


__all__ = ["Context", "refuse", "require_amount"]
