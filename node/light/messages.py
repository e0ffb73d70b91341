"""What the light node answers, as types: the JSON of its HTTP interface, from which its OpenAPI document is made.

Records of the ledger stand in lists as `tallynet.plain` writes them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

from node.light.event_log import SeenEvent
from node.light.sent import Sent, State
from node.light.standing import Standing
from node.web.texts import Language
from tallynet.codec import decode
from tallynet.plain import to_plain
from tallynet.receipts import EnvelopeReceipt
from tallynet.records import Kind

__all__ = [
    "Command", "CommandPage", "Event", "EventPage", "EventsKept", "Explain", "Failure", "Gap", "HookStatus", "Status",
    "Trouble", "Upload", "UploadedRow", "Uploaded",
    "command_of", "event_of", "moment",
]  # fmt: skip

Code = Annotated[str, Meta(description="stable; `tally explain CODE`", examples=["OK"])]
Bytes = Annotated[str, Meta(pattern="^([0-9a-f]{2})*$", description="hexadecimal")]
Cursor = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]+(\.[0-9]+)?$",
        description="place in the log: HEIGHT.INDEX of an event, or HEIGHT for a whole block",
        examples=["1042.3"],
    ),
]
Moment = Annotated[str, Meta(description="UTC", examples=["2027-03-01T08:00:00Z"])]


class Explain(Protocol):
    """What a code means and what to do about it, as `tally explain` says; empty for one that is not known."""

    def __call__(self, code: str, language: Language = Language.EN, /) -> str: ...


class Failure(msgspec.Struct, frozen=True):
    """Why a request was refused; nothing has changed."""

    code: Code
    message: str
    what_to_do: str


class Command(msgspec.Struct, frozen=True):
    """What became of a command."""

    id: Annotated[str, Meta(description="the program's own", examples=["erp-4711"])]
    state: State
    transaction: Annotated[Bytes, Meta(description="its id on the network")]
    valid_until: Annotated[Moment, Meta(description="no later block admits it")]
    code: Annotated[str, Meta(description="OK or why not; empty while nothing is known")]
    message: str
    what_to_do: str
    height: Annotated[
        int | None, Meta(description="of its block, from which on the lists show what it did")
    ]
    receipt: Annotated[dict[str, Any] | None, Meta(description="certified; names what was created")]


class CommandPage(msgspec.Struct, frozen=True):
    """Commands in the order in which they were taken in."""

    commands: list[Command]
    after: Annotated[
        int | None, Meta(description="what to ask with for the next page; null: that was all")
    ]


class Event(msgspec.Struct, frozen=True):
    """Something that happened on the network and concerns the organisation, proven to stand at this place."""

    id: Cursor
    height: int
    time: Annotated[Moment, Meta(description="of its block")]
    type: Annotated[
        str, Meta(description="the command or act that caused it", examples=["lot.transfer"])
    ]
    kind: Annotated[str, Meta(description="of the subject", examples=["VOUCHER"])]
    subject: Annotated[Bytes, Meta(description="id of the record concerned: of a lot its voucher")]
    sequence: Annotated[int, Meta(description="in the subject's own log; vouchers count")]
    start: Annotated[int, Meta(description="range of the voucher concerned, or 0")]
    end: int
    source: Annotated[Bytes | None, Meta(description="holder or organisation before")]
    target: Annotated[Bytes | None, Meta(description="holder or organisation after")]
    amount: Annotated[int, Meta(description="smallest unit of the currency, else 0")]
    reference: Annotated[Bytes, Meta(description="another record concerned, or empty")]
    transaction: Annotated[Bytes | None, Meta(description="null: an act of the network's calendar")]
    command: Annotated[
        str | None, Meta(description="the id under which a program of this light node caused it")
    ]


class Gap(msgspec.Struct, frozen=True):
    """Events were missed: the copy does not have them any more."""

    code: Code
    message: str
    what_to_do: str


class EventPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Events in the order of the log."""

    events: list[Event]
    cursor: Annotated[
        Cursor, Meta(description="ask with it as `after` for what comes behind; keep it")
    ]
    more: Annotated[bool, Meta(description="whether there are more now")]
    gap: Annotated[
        Gap | None, Meta(description="to webhooks: why the events before `cursor` are not there")
    ] = None


class HookStatus(msgspec.Struct, frozen=True):
    """How a webhook goes."""

    url: str
    cursor: Annotated[Cursor, Meta(description="everything up to here was taken in")]
    behind: Annotated[int, Meta(description="events that are still to be brought")]
    delivered_at: Annotated[Moment | None, Meta(description="null: nothing since the start")]
    failures: Annotated[int, Meta(description="in a row")]
    last_error: str


class UploadedRow(msgspec.Struct, frozen=True):
    """What became of a row of an uploaded file."""

    row: Annotated[int, Meta(description="counted from 1, with the heading; of JSON lines: line")]
    id: Annotated[str, Meta(description="of its command; empty where it cannot be read")]
    state: Annotated[
        str,
        Meta(description="QUEUED, CHECKED, INVALID, or that of its command"),
    ]
    code: str
    message: str
    what_to_do: str


class Upload(msgspec.Struct, frozen=True):
    """What became of an uploaded file."""

    id: Annotated[str, Meta(description="hash of the file", pattern="^[0-9a-f]{32}$")]
    rows: int
    counts: Annotated[dict[str, int], Meta(description="rows by state")]
    finished: Annotated[bool, Meta(description="whether every row has an outcome")]
    results: list[UploadedRow]
    after: Annotated[
        int | None, Meta(description="ask with it for the next rows; null: that was all")
    ]


class Uploaded(msgspec.Struct, frozen=True):
    """What a check found; nothing was signed or kept."""

    rows: int
    counts: Annotated[dict[str, int], Meta(description="rows by state")]
    results: list[UploadedRow]


class Trouble(msgspec.Struct, frozen=True):
    """Why the copy is not newer."""

    code: Code
    message: str
    what_to_do: str


class EventsKept(msgspec.Struct, frozen=True):
    """Which events the copy has."""

    first: Annotated[Cursor | None, Meta(description="every event behind it is kept")]
    cursor: Annotated[
        Cursor | None,
        Meta(description="everything up to here is taken in; null: it is being filled"),
    ]


class Status(msgspec.Struct, frozen=True):
    """How old the copy is, and why."""

    height: int
    proven_at: Moment | None
    organisation: Bytes
    state: Standing
    age_seconds: Annotated[int | None, Meta(description="since `proven_at`")]
    nodes: list[str]
    connected: list[str]
    why: Annotated[Trouble | None, Meta(description="null while all is well")]
    lies: Annotated[int, Meta(description="answers of nodes that did not hold, since the start")]
    last_lie: str
    records: int
    pending: Annotated[int, Meta(description="commands without outcome")]
    events: EventsKept
    webhooks: list[HookStatus]


def moment(unix_seconds: int) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def command_of(sent: Sent, explain: Explain) -> Command:
    receipt = to_plain(decode(EnvelopeReceipt, sent.receipt)) if sent.receipt else None
    what_to_do = explain(sent.code) if sent.code not in ("", "OK") else ""
    return Command(
        sent.id, State(sent.state), sent.transaction.hex(), moment(sent.valid_until), sent.code, sent.message, what_to_do,
        sent.height or None, receipt,
    )  # fmt: skip


def event_of(seen: SeenEvent, command: str | None) -> Event:
    """`command`: the id under which its transaction was sent from here."""
    event = seen.event
    source = None if event.source is None else event.source.hex()
    target = None if event.target is None else event.target.hex()
    return Event(
        seen.cursor, seen.place.height, moment(seen.time_ms // 1000), event.type, Kind(event.kind).name,
        event.subject.hex(), event.sequence, event.start, event.end, source, target, event.amount,
        event.reference.hex(), None if event.transaction is None else event.transaction.hex(), command,
    )  # fmt: skip
