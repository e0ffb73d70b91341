"""Parameters of requests to the light node: how each is read, and what its OpenAPI document says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request

from node.light.answers import PAGE_MAX
from node.light.concern import ID_BYTES
from node.light.event_log import CURSOR_FORM, CursorError, read_cursor
from node.light.news import WAIT_SECONDS_MAX
from node.light.sent import State
from tallynet.errors import TallynetError

__all__ = [
    "AFTER_COMMAND", "AFTER_EVENT", "AFTER_RECORD", "AFTER_ROW", "CHECK", "LIMIT", "STATE", "WAIT", "Parameter",
    "QueryInvalid", "read_parameters", "voucher_id",
]  # fmt: skip

ENTRY_BYTES_MAX: Final = 24
"""A lot's id is the longest."""


class QueryInvalid(TallynetError):
    """A parameter cannot be read (QUERY_INVALID)."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of a query."""

    name: str
    description: str
    schema: Mapping[str, Any]
    read: Callable[[str], Any]
    """Raises QueryInvalid."""
    default: Any = None
    """When it is left out."""


def read_parameters(request: Request, known: tuple[Parameter, ...]) -> dict[str, Any]:
    """The values of all that are known, by name.

    Raises:
        QueryInvalid: also for one that is not known, or stands twice.
    """
    given: dict[str, str] = {}
    for name, text in request.query_params.multi_items():
        if name in given or name not in {each.name for each in known}:
            names = ", ".join(each.name for each in known) or "none"
            raise QueryInvalid("QUERY_INVALID", f"parameters here: {names}; each once")
        given[name] = text
    return {
        each.name: each.read(given[each.name]) if each.name in given else each.default
        for each in known
    }


def _number(name: str, least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if text.isascii() and text.isdigit() and len(text) < 17 and least <= int(text) <= most:
            return int(text)
        raise QueryInvalid("QUERY_INVALID", f"{name}: a number from {least} to {most}")

    return read


def _hex(text: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if value.hex() != text or len(value) > ENTRY_BYTES_MAX:
        raise QueryInvalid(
            "QUERY_INVALID", f"an id: up to {2 * ENTRY_BYTES_MAX} hexadecimal digits, lower case"
        )
    return value


def voucher_id(text: str) -> bytes:
    """Raises QueryInvalid."""
    value = _hex(text)
    if len(value) != ID_BYTES:
        raise QueryInvalid(
            "QUERY_INVALID", f"the id of a voucher: {2 * ID_BYTES} hexadecimal digits"
        )
    return value


def _state(text: str) -> State:
    if text not in State.__members__:
        raise QueryInvalid("QUERY_INVALID", f"state: one of {', '.join(State.__members__)}")
    return State(text)


def _cursor(text: str) -> str:
    try:
        read_cursor(text)
    except CursorError as error:
        raise QueryInvalid(error.code, error.message) from None
    return text


def _whole(least: int, most: int, **more: Any) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": most} | more


NUMBER_MAX: Final = 10**15
LIMIT: Final = Parameter(
    "limit", "entries of one answer", _whole(1, PAGE_MAX, default=PAGE_MAX), _number("limit", 1, PAGE_MAX),
    PAGE_MAX,
)  # fmt: skip
WAIT: Final = Parameter(
    "wait", "seconds to wait for news before answering", _whole(0, WAIT_SECONDS_MAX, default=0),
    _number("wait", 0, WAIT_SECONDS_MAX), 0,
)  # fmt: skip
AFTER_RECORD: Final = Parameter(
    "after", "`after` of the page before",
    {"type": "string", "pattern": f"^([0-9a-f]{{2}}){{0,{ENTRY_BYTES_MAX}}}$"}, _hex, b"",
)  # fmt: skip
AFTER_COMMAND: Final = Parameter(
    "after", "`after` of the page before", _whole(0, NUMBER_MAX), _number("after", 0, NUMBER_MAX), 0
)
AFTER_ROW: Final = Parameter(
    "after", "`after` of the page before", _whole(0, NUMBER_MAX), _number("after", 0, NUMBER_MAX), 0
)
AFTER_EVENT: Final = Parameter(
    "after", "cursor: the events behind it; left out: all that are kept",
    {"type": "string", "pattern": f"^{CURSOR_FORM.pattern}$"}, _cursor,
)  # fmt: skip
STATE: Final = Parameter(
    "state", "only commands in this state", {"type": "string", "enum": sorted(State)}, _state
)
CHECK: Final = Parameter(
    "check", "1: say what would become of each row, sign nothing", {"type": "string", "enum": ["0", "1"]},
    lambda text: _number("check", 0, 1)(text) == 1, False,
)  # fmt: skip
