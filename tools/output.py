"""Printing for people and for machines: `--output table|json`, errors on stderr, exit codes.

What is printed may come from a peer or from a file of somebody else, so nothing that is printed here steers the
terminal: characters that do not show are replaced, and no text is read as markup.

Exit codes are stable: 0 done; 1 the network refused (the code says why); 2 the command line is
wrong; 3 the outcome is not known yet, ask again; 4 no node could be reached; 5 a file, directory or
process is not as it must be; 6 a check found a difference.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import IntEnum, StrEnum
from typing import Any, Final, NoReturn

import msgspec
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from tallynet.plain import to_plain
from tallynet.records import CreditLine, Financing, RateBand
from tools.arguments import format_amount, format_day, format_rate

PIPE_COLUMNS: Final = 250
"""Into a pipe or file: wide enough that no id is folded."""
ERRORS: Final = Console(stderr=True, highlight=False, soft_wrap=True)
OUT: Final = Console(
    highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_COLUMNS
)


class Output(StrEnum):
    """How results are printed."""

    table = "table"
    json = "json"


class Exit(IntEnum):
    OK = 0
    REFUSED = 1
    USAGE = 2
    UNKNOWN = 3
    UNREACHABLE = 4
    ENVIRONMENT = 5
    DIFFERENCE = 6


def printable(text: str) -> str:
    """What cannot steer a terminal: line ends and tabs stay, other characters that do not show become `?`."""
    return "".join(char if char.isprintable() or char in "\n\t" else "?" for char in text)


def one_line(text: str) -> str:
    """The same, and no further line that would pass for one of ours."""
    return " ".join(printable(text).split("\n"))


def stop(code: Exit, error_code: str, message: str) -> NoReturn:
    """Print an error with its stable code on stderr and leave."""
    code_text, text = escape(one_line(error_code)), escape(one_line(message))
    ERRORS.print(f"[bold red]{code_text}[/]: {text}", markup=True)
    raise SystemExit(int(code))


def say(text: str) -> None:
    """A line for people."""
    OUT.print(printable(text), markup=False)


def told(output: Output, text: str, **facts: object) -> None:
    """What was done: `text` for people, `facts` for programs."""
    if output is Output.json:
        print_json(facts)
    else:
        say(text)


def print_json(value: object) -> None:
    sys.stdout.write(json_text(value, indent=2) + "\n")


def json_text(value: object, *, indent: int | None = None) -> str:
    """JSON in which characters that do not show are escaped: C1 controls would steer a terminal as well."""
    text = json.dumps(to_plain(value), indent=indent, ensure_ascii=False)
    return "".join(
        char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text
    )


def print_rows(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    OUT.print(table_of(title, columns, rows))


def table_of(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(
        title=Text(printable(title)) if title else None, title_justify="left", title_style="bold"
    )
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def working(text: str) -> AbstractContextManager[object]:
    """A line that moves while something takes more than a second, where somebody looks at a terminal. What is printed
    meanwhile goes to where it belongs, and not to the terminal alone."""
    if not ERRORS.is_terminal:
        return nullcontext()
    return Live(
        Spinner("dots", text),
        console=ERRORS,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


@contextmanager
def passing(text: str, seconds: float) -> Iterator[Callable[[float], None]]:
    """A bar of time for what takes as long as it was told to; it is given the seconds that have passed."""
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.0f} of {task.total:.0f} s")  # fmt: skip
    with Progress(*columns, console=ERRORS, transient=True, auto_refresh=False) as progress:
        task = progress.add_task(text, total=seconds)
        yield lambda passed: progress.update(task, completed=passed, refresh=True)


_AMOUNT_FIELDS: Final = frozenset(
    name
    for name in (
        "face", "funds_in", "redeemed", "cancelled", "paid", "penalty_in", "granted", "reserved",
        "used", "total", "occupied", "amount", "principal", "discount", "net", "repaid", "covered",
        "draw_min", "draw_max", "organisation_cap", "total_cap", "min_piece", "interest_billed",
        "repayment_pending", "instructions_opened", "unit_value", "shortfall",
    )
)  # fmt: skip
_DAY_FIELDS: Final = frozenset(
    (
        "issue_day", "claim_deadline", "maturity", "grace_end", "penalty_day", "pending_day",
        "acquired_day", "valid_from", "valid_to", "value_day", "end_day", "accrued_to", "due",
        "delivery_day", "business_date", "day", "price_day", "ship_by", "since", "deadline",
    )
)  # fmt: skip


def readable(name: str, value: object, currency: str, names: Mapping[bytes, str]) -> str:
    """One field for people: amounts in major units, days as dates, known ids by name."""
    if isinstance(value, IntEnum):
        return value.name
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name in _AMOUNT_FIELDS:
        return format_amount(value, currency)
    if isinstance(value, int) and name in _DAY_FIELDS and 0 < value <= 200_000:
        return format_day(value)
    if isinstance(value, int) and name.endswith("ppm"):
        return format_rate(value)
    if isinstance(value, bytes):
        return names.get(value, value.hex())
    if isinstance(value, tuple):
        return ", ".join(readable(name, item, currency, names) for item in value) or "-"
    if isinstance(value, RateBand):
        return f"{value.days_max} d: {format_rate(value.rate_ppm)}"
    if isinstance(value, msgspec.Struct):
        return " ".join(
            readable(f, getattr(value, f), currency, names) for f in value.__struct_fields__
        )
    return "-" if value is None else str(value)


_SEALED: Final[Mapping[type, tuple[str, ...]]] = {
    CreditLine: ("granted", "reserved", "used"),
    Financing: ("discount", "net", "rate_ppm", "basis"),
}
"""Figures that are 0 and say nothing where a record's `sealed` is there."""


def print_record(
    title: str, record: msgspec.Struct, names: Mapping[bytes, str], extra: Mapping[str, str]
) -> None:
    """A record as a two-column table."""
    currency: Any = getattr(record, "currency", "CNY")
    hidden = _SEALED.get(type(record), ()) if getattr(record, "sealed", None) is not None else ()
    rows = [
        (
            name,
            "sealed"
            if name in hidden
            else readable(name, getattr(record, name), str(currency), names),
        )
        for name in record.__struct_fields__
    ]
    print_rows(title, ("field", "value"), [*rows, *extra.items()])


__all__ = [
    "ERRORS", "OUT", "Exit", "Output", "json_text", "print_json", "print_record", "print_rows",
    "one_line", "printable", "readable", "say", "stop", "table_of", "told", "working",
]  # fmt: skip
