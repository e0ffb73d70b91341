"""What the load saw, line by line: `submitted.jsonl` and `acknowledged.jsonl`.

An acknowledgement counts once its line is on disk (fsync), so a run that is itself cut off can still be
judged. Times are CLOCK_MONOTONIC, which all processes of a machine share and faketime leaves alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import msgspec

SUBMITTED_FILE: Final = "submitted.jsonl"
ACKNOWLEDGED_FILE: Final = "acknowledged.jsonl"
READ_BYTES: Final = 1024 * 1024

S = TypeVar("S", bound=msgspec.Struct)


class Submitted(msgspec.Struct, frozen=True, array_like=True):
    """An envelope that a client is about to send for the first time."""

    transaction: str
    """Transaction id, hexadecimal."""
    commands: int
    at_ns: int


class Acknowledged(msgspec.Struct, frozen=True, array_like=True):
    """A receipt that the client library checked against its block's certificate."""

    transaction: str
    height: int
    receipt: str
    """SHA-256 of the encoded receipt, hexadecimal."""
    ok: bool
    """Every command took effect."""
    commands: int
    epoch: int
    view: int
    """Of the certificate that came with it."""
    at_ns: int
    waited_ms: float
    """Since the first submission."""


class LogWriter:
    """Appends lines to one file; use in a `with` block."""

    def __init__(self, path: Path) -> None:
        self._file: Final = path.open("ab", buffering=0)

    def __enter__(self) -> LogWriter:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def append(self, entries: Iterable[msgspec.Struct], *, durable: bool) -> None:
        """Write lines; with `durable` they are on disk when this returns."""
        self._file.write(b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries))
        if durable:
            os.fsync(self._file.fileno())


class LogReader:
    """Reads what has been appended since the last call; a line without its end waits."""

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        self._offset = 0
        self._rest = b""

    def lines(self) -> Iterator[bytes]:
        """Whole new lines."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            while data := file.read(READ_BYTES):
                self._offset += len(data)
                *lines, self._rest = (self._rest + data).split(b"\n")
                yield from lines


def read_log(path: Path, kind: type[S]) -> list[S]:
    """Every whole line of a log. An unfinished last line never counted."""
    decoder = msgspec.json.Decoder(kind)
    return [decoder.decode(line) for line in LogReader(path).lines()]
