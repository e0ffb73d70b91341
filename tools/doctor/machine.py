"""The doctor's look at the machine: clock, disk, limits on files."""

from __future__ import annotations

import ctypes
import os
import tempfile
import time
from pathlib import Path
from typing import Final

import psutil

from net.limits import ListenerLimits
from node.store.errors import DISK_LOW_BYTES, free_bytes
from tools.doctor.findings import Finding, fault, ok, warning

DISK_TIGHT_BYTES: Final = 5 << 30
"""About a day of the chain at a thousand transactions a second."""
SYNCS: Final = 5
SLOW_SYNC_SECONDS: Final = 0.05
"""A block needs two durable writes in a row: beyond this, each block takes a tenth of a second for disks alone."""
LOCAL_ONLY: Final = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "fuse.sshfs")
"""A memory map and its locks do not hold on these (LMDB's documentation)."""
LOST_AT_RESTART: Final = ("tmpfs", "ramfs")
STRANGERS: Final = 2
"""Connections and files for each: an HTTP client and the file that is read for it."""
NOFILE_MIN: Final = 1_024
_UNSYNCHRONISED: Final = 0x40
"""STA_UNSYNC of adjtimex(2)."""


class _Timex(ctypes.Structure):
    """The first fields of `struct timex`, adjtimex(2), and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("maximal_error_us", ctypes.c_long),
        ("estimated_error_us", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def clock() -> Finding:
    """Whether the kernel says that somebody keeps its clock right (NTP, PTP)."""
    state = _Timex()
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except AttributeError:
        return warning("clock", "this system does not tell", "Make sure that NTP runs.")
    if adjtimex(ctypes.byref(state)) < 0:
        reason = os.strerror(ctypes.get_errno())
        return warning("clock", f"the kernel does not tell: {reason}", "Make sure that NTP runs.")
    if state.status & _UNSYNCHRONISED:
        return warning(
            "clock",
            "nobody keeps it right",
            "Run an NTP client (chrony, systemd-timesyncd). Validators reject a block whose time is 2 s off.",
        )
    return ok("clock", f"kept right, {state.maximal_error_us / 1e6:.3f} s off at most")


def newest_block(times_ms: list[int]) -> Finding:
    """The own clock against the newest block that anybody shows: it cannot be from the future."""
    if not times_ms:
        return ok("block time", "nobody shows a block to compare the clock with")
    ahead = max(times_ms) / 1000 - time.time()
    if ahead > 2:
        return fault(
            "block time",
            f"the newest block is {ahead:.1f} s in the future: the clock here is slow",
            "Correct the clock; until then this node rejects every proposal.",
        )
    return ok("block time", f"the newest block is {max(0, -ahead):.0f} s old")


def disk(data: Path) -> list[Finding]:
    """File system, room and speed of the place of the database, or of where it would be made."""
    place = data
    while not place.exists():
        place = place.parent
    return [_file_system(place), _room(place), _sync(place)]


def _file_system(place: Path) -> Finding:
    resolved = place.resolve()
    mounts = {Path(p.mountpoint): p.fstype for p in psutil.disk_partitions(all=True)}
    mount = next((parent for parent in (resolved, *resolved.parents) if parent in mounts), None)
    kind = "unknown" if mount is None else mounts[mount]
    if kind in LOCAL_ONLY:
        return fault(
            "file system",
            f"{kind} at {mount}: memory maps and locks do not hold across machines",
            "Put data_directory on a disk of this machine.",
        )
    if kind in LOST_AT_RESTART:
        return warning(
            "file system",
            f"{kind} at {mount} is empty after a restart of the machine",
            "Put data_directory on a disk: a validator that loses its database loses its vote.",
        )
    return ok("file system", f"{kind} at {mount}")


def _room(place: Path) -> Finding:
    free = free_bytes(place)
    text = f"{free / (1 << 30):.1f} GiB free"
    if free < DISK_LOW_BYTES:
        return fault(
            "disk", text, "Make room: the node stops when a write fails, and loses nothing."
        )
    if free < DISK_TIGHT_BYTES:
        return warning("disk", text, "Make room, or keep fewer blocks (keep_blocks).")
    return ok("disk", text)


def _sync(place: Path) -> Finding:
    """A file without a name, so that nothing is left whatever happens."""
    times: list[float] = []
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            for _ in range(SYNCS):
                file.write(bytes(4096))
                file.flush()
                begun = time.perf_counter()
                os.fsync(file.fileno())
                times.append(time.perf_counter() - begun)
    except OSError as error:
        return fault(
            "disk sync",
            f"{place} cannot be written: {error.strerror}",
            "Give the node's user the right to write there, or make room.",
        )
    middle = sorted(times)[SYNCS // 2]
    text = f"{middle * 1000:.1f} ms (median of {SYNCS})"
    if middle > SLOW_SYNC_SECONDS:
        return warning(
            "disk sync", text, "Use a faster disk: each block waits for two such writes."
        )
    return ok("disk sync", text)


def open_files(limit: int, whose: str) -> Finding:
    """Whether connections run out of file descriptors before they run out of places."""
    limits = ListenerLimits()
    needed = STRANGERS * (limits.clients + limits.observers + limits.half_open)
    needed = max(NOFILE_MIN, needed)
    text = f"{limit} ({whose})"
    if limit < needed:
        return warning("open files", text, f"Raise it to {needed} (ulimit -n, or LimitNOFILE=).")
    return ok("open files", text)
