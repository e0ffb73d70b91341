"""Files of commands that people make with a spreadsheet or a program: JSON lines, CSV, Excel workbooks.

    JSON lines   one object a line: `id`, `command`, `options`
    tables       a heading with `id`, `command` and names of options as on the command line; an empty cell gives
                 no option, a column that stands twice an option twice

Tables are read as text: nothing in them is evaluated. Cells that a spreadsheet would evaluate are refused, so that
nobody is shown a formula of a stranger when these rows are exported again.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import msgspec

from node.light.submitting import CommandRequest
from tallynet.errors import TallynetError

__all__ = [
    "CSV", "FILE_BYTES_MAX", "JSON_LINES", "MEDIA_TYPES", "ROWS_MAX", "XLSX", "FileRow", "RowFileError", "read_rows",
]  # fmt: skip

FILE_BYTES_MAX: Final = 4 * 1024 * 1024
"""Of an uploaded file: ten times what five thousand rows take."""
ROWS_MAX: Final = 5_000
"""A minute or two of the network's time for one organisation."""
COLUMNS_MAX: Final = 64
"""No command has half as many options."""
UNPACKED_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of a workbook, which is a ZIP archive: five thousand rows take some megabytes, and nothing but tags takes half a
minute and 300 MB to read."""
FILES_MAX: Final = 1_000
"""In a workbook; one of a single sheet has a dozen."""
PIECE_BYTES: Final = 64 * 1024
LINES_MAX: Final = 1_048_576
"""As many as a sheet has; empty ones are passed over."""
CELL_CHARACTERS_MAX: Final = 4_096
"""The longest option is far below."""
NUMBER_MAX: Final = 10**15
"""Spreadsheets keep fifteen digits of a number."""
JSON_LINES: Final = "application/x-ndjson"
CSV: Final = "text/csv"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MEDIA_TYPES: Final = (JSON_LINES, CSV, XLSX)
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a text for a formula."""


class RowFileError(TallynetError):
    """UPLOAD_TYPE, UPLOAD_UNREADABLE, UPLOAD_TOO_LARGE: the file; CELL_FORMULA, COMMAND_INVALID: one row of it."""


Cell = str | RowFileError


@dataclass(frozen=True, slots=True)
class FileRow:
    """One command of a file, or why it is none."""

    number: int
    """From 1, with the heading, as spreadsheets count."""
    id: str
    request: CommandRequest | None
    fault: RowFileError | None = None


class _JsonRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    command: str
    options: dict[str, Any]


def read_rows(media_type: str, raw: bytes) -> list[FileRow]:
    """The rows of a file of one of MEDIA_TYPES.

    Raises:
        RowFileError: the file cannot be read as what it is said to be, or is too large.
    """
    if media_type == JSON_LINES:
        found = list(_json_rows(raw))
    elif media_type == CSV:
        found = list(_table_rows(_csv_cells(raw)))
    elif media_type == XLSX:
        found = list(_table_rows(_xlsx_cells(raw)))
    else:
        raise RowFileError("UPLOAD_TYPE", f"Content-Type: one of {', '.join(MEDIA_TYPES)}")
    if len(found) > ROWS_MAX:
        raise RowFileError("UPLOAD_TOO_LARGE", f"more than {ROWS_MAX} rows")
    return found


def _json_rows(raw: bytes) -> Iterator[FileRow]:
    lines = raw.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line, type=_JsonRow)
            yield FileRow(number, row.id, CommandRequest(row.command, row.options))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield FileRow(number, "", None, RowFileError("COMMAND_INVALID", str(error)))


def _table_rows(rows: Iterable[Sequence[Cell]]) -> Iterator[FileRow]:
    numbered = enumerate(rows, 1)
    heading = [str(cell).strip() for cell in next(numbered, (0, ()))[1]]
    while heading and not heading[-1]:
        heading.pop()
    if heading.count("id") != 1 or heading.count("command") != 1 or len(heading) > COLUMNS_MAX:
        raise RowFileError(
            "UPLOAD_UNREADABLE", f"the first row names up to {COLUMNS_MAX} columns, `id` and `command` among them"
        )  # fmt: skip
    for number, cells in numbered:
        filled = any(cells)
        if number > (ROWS_MAX + 1 if filled else LINES_MAX):
            raise RowFileError("UPLOAD_TOO_LARGE", f"something stands below row {ROWS_MAX + 1}")
        if filled:
            yield _table_row(number, heading, cells)


def _table_row(number: int, heading: Sequence[str], cells: Sequence[Cell]) -> FileRow:
    given: dict[str, list[str]] = {name: [] for name in heading}
    try:
        for at, cell in enumerate(cells):
            name = heading[at] if at < len(heading) else ""
            text = _text(name, cell)
            if text and not name:
                raise RowFileError("COMMAND_INVALID", "a cell in a column without a name")
            if text:
                given[name].append(text)
    except RowFileError as fault:
        return FileRow(number, "".join(given["id"]), None, fault)
    id, command = "".join(given.pop("id")), "".join(given.pop("command"))
    options = {
        name: texts if heading.count(name) > 1 else texts[0] for name, texts in given.items() if texts
    }  # fmt: skip
    return FileRow(number, id, CommandRequest(command, options))


def _text(name: str, cell: Cell) -> str:
    """Raises RowFileError: it is no text, or one to beware of."""
    if isinstance(cell, RowFileError):
        raise cell
    if cell.startswith(FORMULA_STARTS):
        raise RowFileError("CELL_FORMULA", f"{name}: {cell[:20]!r} would be evaluated as a formula")
    if len(cell) > CELL_CHARACTERS_MAX:
        raise RowFileError("COMMAND_INVALID", f"{name}: more than {CELL_CHARACTERS_MAX} characters")
    return cell.strip()


def _csv_cells(raw: bytes) -> Iterator[list[Cell]]:
    reader = csv.reader(io.StringIO(_decoded(raw), newline=""), strict=True)
    try:
        for cells in reader:
            yield list(cells)
    except csv.Error as error:
        raise RowFileError("UPLOAD_UNREADABLE", f"line {reader.line_num}: {error}") from None


def _decoded(raw: bytes) -> str:
    """UTF-8 with or without its mark; else GB18030, in which Chinese spreadsheets write. The second takes nearly
    everything, so it comes second."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise RowFileError("UPLOAD_UNREADABLE", "the text is neither UTF-8 nor GB18030")


def _xlsx_cells(raw: bytes) -> Iterator[list[Cell]]:
    """Cells of the first sheet; formulas as their text, which is refused."""
    import openpyxl  # takes as long as all the rest of the command line

    try:
        book = openpyxl.load_workbook(_unpacked(raw), read_only=True, data_only=False)
        try:
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # they may claim anything
            for cells in sheet.iter_rows(values_only=True):
                beyond = [cell for cell in cells[COLUMNS_MAX:] if cell is not None]
                yield [_cell_text(cell) for cell in (*cells[:COLUMNS_MAX], *beyond[:1])]
        finally:
            book.close()
    except RowFileError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a library meets in a stranger's file
        why = f"{type(error).__name__}: {error}"
        raise RowFileError("UPLOAD_UNREADABLE", f"no workbook: {why[:200]}") from None


def _unpacked(raw: bytes) -> io.BytesIO:
    """The archive without compression, so that reading it takes no more memory than it has bytes: what a packed one
    says of its sizes may be wrong. Only the compression that spreadsheets use unpacks piece by piece."""
    plain, room = io.BytesIO(), UNPACKED_BYTES_MAX
    with zipfile.ZipFile(io.BytesIO(raw)) as packed, zipfile.ZipFile(plain, "w") as made:
        if (
            len(set(packed.namelist())) != len(packed.namelist())
            or len(packed.namelist()) > FILES_MAX
        ):
            raise RowFileError("UPLOAD_UNREADABLE", "no workbook: too many files, or one twice")
        for each in packed.infolist():
            if each.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise RowFileError("UPLOAD_UNREADABLE", "no workbook: packed in another way")
            content = bytearray()
            with packed.open(each) as file:
                while piece := file.read(PIECE_BYTES):
                    content += piece
                    if len(content) > room:
                        why = f"the workbook unpacks to more than {UNPACKED_BYTES_MAX} bytes"
                        raise RowFileError("UPLOAD_TOO_LARGE", why)
            room -= len(content)
            made.writestr(each.filename, bytes(content))
    return plain


def _cell_text(value: object) -> Cell:
    """A cell as somebody would have typed it into an option."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        if not abs(value) < NUMBER_MAX:
            why = f"{value!r} has more digits than a spreadsheet keeps: make it a text"
            return RowFileError("COMMAND_INVALID", why)
        return format(value, ".15g")
    if isinstance(value, datetime):
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)
