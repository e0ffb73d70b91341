"""What a replica writes down before it speaks, and how it reads that back after a restart.

Keys are short and ordered: `view`, `mute`, `diverged`, and per height `slot`, `commit`, `prepared`. The signed
bytes themselves are kept, so that the identical vote goes out again after a restart and no other
can (INV-3, B1, B5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tallynet.blocks import Certificate
from tallynet.codec import Wire, decode, encode
from tallynet.errors import RemoteProtocolError, invariant
from tallynet.evidence import Divergence
from tallynet.fields import Epoch, View
from tallynet.messages import Signed

VIEW: Final = b"view"
MUTE: Final = b"mute"
DIVERGED: Final = b"diverged"
_SLOT: Final = b"slot"
_COMMIT: Final = b"commit"
_PREPARED: Final = b"prepared"


class ViewRecord(Wire):
    """The one record that must exist wherever a vote was ever cast (B12)."""

    epoch: Epoch
    view: View
    """Entered last."""
    voted_view: View
    """Highest view a ViewChange was signed for; above `view` while changing."""
    view_change: bytes
    """That ViewChange as sent, an encoded `Signed`; empty when none was signed in this epoch."""
    new_view: bytes
    """The NewView that opened `view`, an encoded `Signed`; empty for view 0."""


class SlotRecord(Wire):
    """An accepted block of the current view and the own Prepare for it."""

    epoch: Epoch
    view: View
    header: bytes
    envelopes: bytes
    """The envelope hashes, joined."""
    leader_prepare: bytes
    """Encoded `Signed`."""
    own_prepare: bytes
    """Encoded `Signed`."""
    again: bool


class CommitRecord(Wire):
    """The own Commit of the current view at one height."""

    epoch: Epoch
    view: View
    own_commit: bytes
    """Encoded `Signed`."""


class PreparedRecord(Wire):
    """A sticky certificate (INV-4b)."""

    view: View
    header: bytes
    envelopes: bytes
    """The envelope hashes, joined."""
    certificate: Certificate


def slot_key(height: int) -> bytes:
    return _SLOT + height.to_bytes(8, "big")


def commit_key(height: int) -> bytes:
    return _COMMIT + height.to_bytes(8, "big")


def prepared_key(height: int) -> bytes:
    return _PREPARED + height.to_bytes(8, "big")


def join_hashes(envelopes: tuple[bytes, ...]) -> bytes:
    return b"".join(envelopes)


def split_hashes(joined: bytes) -> tuple[bytes, ...]:
    return tuple(joined[i : i + 32] for i in range(0, len(joined), 32))


def open_signed(raw: bytes) -> Signed:
    """Decode a stored or nested `Signed`."""
    return decode(Signed, raw)


@dataclass(slots=True)
class Journal:
    """The journal as read at a restart, by height."""

    view: ViewRecord | None = None
    mute: bool = False
    divergence: Divergence | None = None
    slots: dict[int, SlotRecord] = field(default_factory=dict)
    commits: dict[int, CommitRecord] = field(default_factory=dict)
    prepared: dict[int, PreparedRecord] = field(default_factory=dict)


def read_journal(entries: Mapping[bytes, bytes]) -> Journal:
    """Decode every entry. A record that does not decode halts the node (INV-12)."""
    journal = Journal()
    try:
        for key in sorted(entries):
            _read_entry(journal, key, entries[key])
    except RemoteProtocolError:
        invariant(False, "INV-12 unreadable journal record")
    return journal


def _read_entry(journal: Journal, key: bytes, value: bytes) -> None:
    if key == VIEW:
        journal.view = decode(ViewRecord, value)
    elif key == MUTE:
        journal.mute = True
    elif key == DIVERGED:
        journal.divergence = decode(Divergence, value)
    elif key.startswith(_SLOT):
        journal.slots[_height(key)] = decode(SlotRecord, value)
    elif key.startswith(_COMMIT):
        journal.commits[_height(key)] = decode(CommitRecord, value)
    elif key.startswith(_PREPARED):
        journal.prepared[_height(key)] = decode(PreparedRecord, value)
    else:
        invariant(False, "INV-12 unknown journal key")


def _height(key: bytes) -> int:
    return int.from_bytes(key[-8:], "big")


__all__ = [
    "DIVERGED", "MUTE", "VIEW", "CommitRecord", "Journal", "PreparedRecord", "SlotRecord", "ViewRecord",
    "commit_key", "encode", "join_hashes", "open_signed", "prepared_key", "read_journal", "slot_key",
    "split_hashes",
]  # fmt: skip
