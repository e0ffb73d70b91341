"""Rows of uploaded files: what spreadsheets write is read, and what would harm is refused."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
import zlib
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.light import row_files
from node.light.row_files import CSV, JSON_LINES, XLSX, FileRow, RowFileError, read_rows
from node.light.submitting import CommandRequest

HEADING = "id,command,voucher,pieces,pieces"
TRANSFER = CommandRequest(
    "lot transfer", {"voucher": "tours/v", "pieces": ["parts:1.00", "devices:2.00"]}
)


def workbook(*rows: list[Any]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    raw = io.BytesIO()
    book.save(raw)
    return raw.getvalue()


def refusal(media_type: str, raw: bytes) -> str:
    with pytest.raises(RowFileError) as caught:
        read_rows(media_type, raw)
    return caught.value.code


def code_of(row: FileRow) -> str:
    assert row.fault is not None and row.request is None
    return row.fault.code


def test_a_column_that_stands_twice_gives_an_option_twice_and_an_empty_cell_gives_none() -> None:
    text = f"{HEADING}\r\na,lot transfer,tours/v,parts:1.00,devices:2.00\r\n\r\nb,voucher claim,tours/v\r\n"
    assert read_rows(CSV, text.encode()) == [
        FileRow(2, "a", TRANSFER),
        FileRow(4, "b", CommandRequest("voucher claim", {"voucher": "tours/v"})),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_encodings_that_spreadsheets_write(encoding: str) -> None:
    text = 'id,command,voucher\na,voucher claim,"港湾旅游/2027, 春"\n'
    (row,) = read_rows(CSV, text.encode(encoding))
    assert row.request == CommandRequest("voucher claim", {"voucher": "港湾旅游/2027, 春"})


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", '=HYPERLINK("//h")'])
def test_what_a_spreadsheet_would_evaluate_is_refused_in_its_row_alone(cell: str) -> None:
    quoted = '"' + cell.replace('"', '""') + '"'
    text = f"id,command,voucher\na,voucher claim,{quoted}\nb,voucher claim,tours/v\n"
    bad, good = read_rows(CSV, text.encode())
    assert (code_of(bad), bad.id, good.fault) == ("CELL_FORMULA", "a", None)
    bad, good = read_rows(
        XLSX, workbook(["id", "command", "voucher"], ["a", "voucher claim", cell], ["b", "x", "y"])
    )
    assert (code_of(bad), bad.id, good.fault) == ("CELL_FORMULA", "a", None)


def test_cells_of_a_workbook_are_what_somebody_would_have_typed() -> None:
    moment = datetime(2027, 3, 1, tzinfo=UTC).replace(tzinfo=None)
    raw = workbook(
        ["id", "command", "amount", "share", "day", "exact", "none"],
        ["a", "x y", 30000, 0.25, moment, True, None],
        [],
        ["b", "x y", 10**16],
    )
    first, second = read_rows(XLSX, raw)
    options = {"amount": "30000", "share": "0.25", "day": "2027-03-01", "exact": "yes"}
    assert first == FileRow(2, "a", CommandRequest("x y", options))
    assert (second.number, code_of(second)) == (4, "COMMAND_INVALID"), "digits were lost"


def test_json_lines_are_commands_as_programs_put_them() -> None:
    text = '\ufeff{"id":"a","command":"lot transfer","options":{"voucher":"tours/v","pieces":["parts:1.00","devices:2.00"]}}\n\n{"id":1}\n[['
    good, *bad = read_rows(JSON_LINES, text.encode())
    assert good == FileRow(1, "a", TRANSFER)
    assert [(row.number, code_of(row)) for row in bad] == [
        (3, "COMMAND_INVALID"),
        (4, "COMMAND_INVALID"),
    ]


@pytest.mark.parametrize(
    ("media_type", "raw", "code"),
    [
        ("application/pdf", b"", "UPLOAD_TYPE"),
        (CSV, b"", "UPLOAD_UNREADABLE"),
        (CSV, b"name,command\na,b\n", "UPLOAD_UNREADABLE"),
        (CSV, b"id,id,command\na,b,c\n", "UPLOAD_UNREADABLE"),
        (CSV, b'id,command\n"a,b\n', "UPLOAD_UNREADABLE"),
        (CSV, b"id,command\na,\xff\xff\n", "UPLOAD_UNREADABLE"),
        (CSV, ",".join(["id", "command", *["o"] * 63]).encode(), "UPLOAD_UNREADABLE"),
        (CSV, b"id,command\n" + b"a,b\n" * 5_001, "UPLOAD_TOO_LARGE"),
        (JSON_LINES, b"{}\n" * 5_001, "UPLOAD_TOO_LARGE"),
        (XLSX, b"id,command\n", "UPLOAD_UNREADABLE"),
        (XLSX, workbook(["id", "command"], *[["a", "b"]] * 5_001), "UPLOAD_TOO_LARGE"),
    ],
)
def test_a_file_that_is_not_what_it_is_said_to_be(media_type: str, raw: bytes, code: str) -> None:
    assert refusal(media_type, raw) == code


def test_rows_say_what_is_wrong_with_them() -> None:
    text = "id,command,o\na,b,c,d\ne,f," + "x" * 5_000 + "\n"
    assert [code_of(row) for row in read_rows(CSV, text.encode())] == ["COMMAND_INVALID"] * 2


def changed(raw: bytes, name: str, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """The workbook with other content in one of its files."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(made, "w", method) as new:
        for each in old.namelist():
            new.writestr(each, content if each == name else old.read(each))
    return made.getvalue()


SHEET = "xl/worksheets/sheet1.xml"
PLAIN = workbook(["id", "command"], ["a", "b"])


def test_an_archive_that_unpacks_to_gigabytes_is_not_unpacked() -> None:
    bomb = changed(PLAIN, SHEET, bytes(40 * 1024 * 1024))
    assert len(bomb) < 100_000
    assert refusal(XLSX, bomb) == "UPLOAD_TOO_LARGE"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_that_unpacks_at_once_is_refused(method: int) -> None:
    assert refusal(XLSX, changed(PLAIN, SHEET, b"x", method)) == "UPLOAD_UNREADABLE"


def test_an_archive_that_lies_about_its_sizes_is_unpacked_no_further_than_it_says() -> None:
    bomb, said = bytearray(changed(PLAIN, SHEET, bytes(100 * 1024 * 1024))), bytes(1_000)
    for mark, at in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        place = bomb.find(mark)
        while place >= 0:
            checksum, size = place + at, place + at + 8
            if int.from_bytes(bomb[size : size + 4], "little") == 100 * 1024 * 1024:
                bomb[size : size + 4] = len(said).to_bytes(4, "little")
                bomb[checksum : checksum + 4] = zlib.crc32(said).to_bytes(4, "little")
            place = bomb.find(mark, place + 4)
    tracemalloc.start()
    assert refusal(XLSX, bytes(bomb)) == "UPLOAD_UNREADABLE"
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 10 * 1024 * 1024


def test_entities_that_grow_are_not_expanded() -> None:
    entities = '<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;&x;&x;">]>'
    sheet = f'<?xml version="1.0"?>{entities}<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1"><c t="inlineStr"><is><t>&y;</t></is></c></row></sheetData></worksheet>'
    assert refusal(XLSX, changed(PLAIN, SHEET, sheet.encode())) == "UPLOAD_UNREADABLE"


def test_a_cell_in_the_last_row_there_can_be_is_refused_and_an_empty_one_passed_over() -> None:
    sheet = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><dimension ref="A1:XFD1048576"/><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>id</t></is></c><c r="B1" t="inlineStr"><is><t>command</t></is></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData></worksheet>'
    assert refusal(XLSX, changed(PLAIN, SHEET, sheet.encode())) == "UPLOAD_TOO_LARGE"
    empty = sheet.replace('<c r="XFD1048576"><v>1</v></c>', "")
    assert read_rows(XLSX, changed(PLAIN, SHEET, empty.encode())) == []
    beyond = sheet.replace("1048576", "104857600000")
    assert refusal(XLSX, changed(PLAIN, SHEET, beyond.encode())) == "UPLOAD_TOO_LARGE"


@given(st.binary(max_size=300), st.sampled_from(row_files.MEDIA_TYPES))
def test_whatever_is_uploaded_is_rows_or_a_refusal(raw: bytes, media_type: str) -> None:
    try:
        rows = read_rows(media_type, raw)
    except RowFileError:
        return
    assert all((row.request is None) == (row.fault is not None) for row in rows)


@given(st.binary(max_size=400), st.integers(0, 10_000))
def test_a_damaged_workbook_is_rows_or_a_refusal(patch: bytes, at: int) -> None:
    damaged = bytearray(PLAIN)
    place = at % len(damaged)
    damaged[place : place + len(patch)] = patch
    with suppress(RowFileError):
        read_rows(XLSX, bytes(damaged))
