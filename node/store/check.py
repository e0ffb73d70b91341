"""Check of the database before the node opens it, in a child process (`node.store.scan`)."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from node.store.errors import StoreError, corrupt_text

_ROOT: Final = Path(__file__).resolve().parents[2]

Progress = Callable[[int, int], None]
"""(values checked, values in all tables)"""


@dataclass(frozen=True, slots=True)
class ScanReport:
    values: int
    """Values checked."""
    bytes: int
    """Their keys and values."""
    complete: bool
    """False when the time was up first; the tables that voting and execution stand on come first."""


def no_progress(_done: int, _total: int) -> None:
    """For who does not watch."""


def scan_in_child(
    directory: Path, *, seconds: float | None = None, progress: Progress = no_progress
) -> ScanReport:
    """Check the database in a child process; blocks until it is done. `seconds` limits the time: a
    large database is then checked in part, the most important tables first.

    Raises:
        StoreError: STORE_CORRUPT, also when damage killed the child; STORE_IN_USE.
    """
    command = [sys.executable, "-m", "node.store.scan", str(directory.resolve())]
    if seconds is not None:
        command.append(str(seconds))
    last: dict[str, Any] = {}
    with subprocess.Popen(
        command, cwd=_ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    ) as child:
        if child.stdout is not None:
            for line in child.stdout:
                last = json.loads(line)
                if "done" in last:
                    progress(last["done"], last["total"])
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        raise StoreError("STORE_CORRUPT", corrupt_text(directory, f"reading it ends with {name}"))
    if "code" in last:
        raise StoreError(last["code"], last["message"])
    if child.returncode != 0 or "values" not in last:
        raise StoreError(
            "STORE_UNREADABLE",
            f"the check of {directory} ended with exit code {child.returncode}; its messages are on"
            " the error output",
        )
    return ScanReport(last["values"], last["bytes"], last["complete"])
