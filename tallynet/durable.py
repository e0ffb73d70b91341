"""Files and names that survive a power cut."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["replace_file", "sync_directory"]


def sync_directory(path: Path) -> None:
    """Make names in this directory durable, of files that were made in it or moved into it: syncing a file says
    nothing about its name (B2). Raises OSError."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def replace_file(path: Path, content: bytes, mode: int = 0o666) -> None:
    """The file has all of `content`, or is as before, whatever happens; durable when this returns. `mode`, less the
    umask, is that of the new file. Raises OSError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")  # two processes do not write into one
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_directory(path.parent)
