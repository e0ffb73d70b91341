"""What can go wrong with the store: before it is open (an error), and afterwards (the end)."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path
from typing import Final

import lmdb

from tallynet.errors import TallynetError

DATA_FILE: Final = "data.mdb"
"""LMDB's name for the database file."""
DISK_LOW_BYTES: Final = 64 * 1024 * 1024
"""A failed write with less than this free on the disk is taken for a full disk: LMDB reports one as
an input/output error, because it sees a short write (reliability §2.4)."""

_FULL_TEXTS: Final = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT))


class StoreError(TallynetError):
    """The store cannot be opened or is not what it should be; the text says what to do.

    Codes: STORE_OTHER_NETWORK, STORE_OTHER_KEY, STORE_NEWER, STORE_OLDER, STORE_IN_USE, STORE_CORRUPT,
    STORE_UNREADABLE.
    """


class StoreFatal(BaseException):
    """The store failed while in use: the process must end, nothing is retried. No `Exception`, so
    that no handler swallows it. After a failed sync the next commit could silently succeed without
    the lost pages (reliability §2.4, B11).

    Codes: STORE_FULL, STORE_CORRUPT, STORE_WRITE.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code: Final = code
        self.message: Final = message


def commit_failure(error: Exception, directory: Path) -> StoreFatal:
    """What a failed write transaction means, and what the operator does about it."""
    if isinstance(error, lmdb.MapFullError):
        return StoreFatal(
            "STORE_FULL",
            f"the database map of {directory} is full; raise map_gib in node.toml and start again",
        )
    free = free_bytes(directory)
    if any(text in str(error) for text in _FULL_TEXTS) or free < DISK_LOW_BYTES:
        return StoreFatal(
            "STORE_FULL",
            f"cannot write to {directory} ({free >> 20} MiB free, {error}); make room on the disk"
            " or lift the file size limit, then start again: nothing committed is lost",
        )
    if isinstance(error, lmdb.CorruptedError | lmdb.PageNotFoundError | lmdb.PanicError):
        return corrupt(directory, f"the write failed with {error}")
    return StoreFatal(
        "STORE_WRITE",
        f"a write to {directory} failed ({error}); check the disk (kernel log, SMART), then start"
        " again: what was committed before is intact",
    )


def corrupt(directory: Path, what: str) -> StoreFatal:
    """The database shows damage."""
    return StoreFatal("STORE_CORRUPT", corrupt_text(directory, what))


def corrupt_text(directory: Path, what: str) -> str:
    return (
        f"the database in {directory} is damaged: {what}. Do not delete it: move the directory away"
        " and keep it. The node can be rebuilt from its peers, but its key must not vote again"
        " (docs/concepts/state.md, lost or damaged disk)"
    )


def free_bytes(directory: Path) -> int:
    """Bytes that this process may still write in `directory`: what the disk has left, or the limit
    on the size of its files (`ulimit -f`) if that is nearer; 0 when unknown."""
    try:
        status = os.statvfs(directory)
        free = status.f_bavail * status.f_frsize
        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        if limit != resource.RLIM_INFINITY:
            free = min(free, max(0, limit - (directory / DATA_FILE).stat().st_size))
    except OSError:
        return 0
    return free
