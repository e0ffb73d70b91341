"""What a bank has written into payment files, kept beside its wallet, so that nothing is paid twice.

    wallets/<name>/payments/<message id>.xml    each file as it was handed out
    wallets/<name>/payments/record.jsonl        a line per payment: written, rejected, confirmed

A line is durable before its file is handed out: after a crash the file may lie here without having been handed out,
never the other way round. One process at a time writes.
"""

from __future__ import annotations

import fcntl
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from tallynet.durable import sync_directory
from tools.kept_documents import write_private
from tools.wallet import WALLETS, WalletError

DIRECTORY: Final = "payments"
RECORD: Final = "record.jsonl"


class Act(StrEnum):
    WRITTEN = "written"
    REJECTED = "rejected"
    CONFIRMED = "confirmed"


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One act on one payment."""

    act: Act
    reference: str
    """End-to-end id."""
    instruction: str
    """Hex."""
    amount: int
    """Minor units."""
    currency: str
    source: str
    """Message id of the payment file; of a confirmation, the bank's reference."""


class PaymentRecord:
    """The record of one wallet, open for writing: `with opened(...)`."""

    def __init__(self, directory: Path, lines: Iterable[Line]) -> None:
        self._directory: Final = directory
        self._lines: Final = list(lines)
        self._written: Final[dict[str, Line]] = {}
        self._of: Final[defaultdict[str, list[str]]] = defaultdict(list)
        self._rejected: Final[set[str]] = set()
        self._confirmed: Final[set[str]] = set()
        for line in self._lines:
            self._take(line)

    def _take(self, line: Line) -> None:
        if line.act is Act.WRITTEN:
            if line.reference not in self._written:
                self._of[line.instruction].append(line.reference)
            self._written[line.reference] = line
            self._rejected.discard(line.reference)
        elif line.act is Act.REJECTED:
            self._rejected.add(line.reference)
        else:
            self._confirmed.add(line.reference)

    def written(self, reference: str) -> Line | None:
        """The payment with this end-to-end id, if it was written here."""
        return self._written.get(reference.lower())

    def of_file(self, message: str) -> list[Line]:
        """The payments of a file, by its message id."""
        return [line for line in self._written.values() if line.source == message]

    def is_rejected(self, reference: str) -> bool:
        return reference.lower() in self._rejected

    def is_confirmed(self, reference: str) -> bool:
        """Whether the payment was confirmed from a file."""
        return reference.lower() in self._confirmed

    def parts(self, instruction: bytes) -> int:
        """How many payments were written for an instruction."""
        return len(self._of[instruction.hex()])

    def handed_out(self, instruction: bytes) -> int:
        """Minor units written for an instruction and not rejected."""
        references = self._of[instruction.hex()]
        return sum(self._written[r].amount for r in references if r not in self._rejected)

    def unconfirmed(self, instruction: bytes) -> list[tuple[int, int]]:
        """Part and minor units of what was written for an instruction, neither rejected nor confirmed."""
        done = self._rejected | self._confirmed
        references = enumerate(self._of[instruction.hex()], 1)
        return [(part, self._written[r].amount) for part, r in references if r not in done]

    def confirmed(self) -> list[Line]:
        return [line for line in self._lines if line.act is Act.CONFIRMED]

    def keep_file(self, message: str, content: bytes) -> None:
        """A new payment file, durable before its lines."""
        write_private(self._directory / f"{message}.xml", content)

    def append(self, lines: Iterable[Line]) -> None:
        """Durable when this returns."""
        new = list(lines)
        text = b"".join(msgspec.json.encode(line) + b"\n" for line in new)
        descriptor = os.open(
            self._directory / RECORD, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
        )
        with os.fdopen(descriptor, "ab") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        sync_directory(self._directory)  # the first line makes the file
        for line in new:
            self._lines.append(line)
            self._take(line)


@contextmanager
def opened(network: Path, wallet: str) -> Iterator[PaymentRecord]:
    """The record of a wallet, for one process at a time. Raises WalletError WALLET_INVALID."""
    directory = network / WALLETS / wallet / DIRECTORY
    directory.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise WalletError(
                "WALLET_INVALID", f"{directory}: another command is at work here; wait for its end"
            ) from None
        yield PaymentRecord(directory, _read(directory / RECORD))
    finally:
        os.close(descriptor)


def _read(path: Path) -> list[Line]:
    """All lines; one that a crash cut off was never acted on, and is dropped."""
    if not path.exists():
        return []
    content = path.read_bytes()
    whole, _, rest = content.rpartition(b"\n")
    if rest:
        with path.open("rb+") as file:
            file.truncate(len(content) - len(rest))
            os.fsync(file.fileno())
    try:
        return [msgspec.json.decode(line, type=Line) for line in whole.splitlines()]
    except msgspec.DecodeError as error:
        raise WalletError("WALLET_INVALID", f"{path}: {error}") from None
