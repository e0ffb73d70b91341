"""Content-addressed files on this node, within quotas; made for one thread at a time.

    ciphertexts/<organisation>/<kind>-<record>-<hash>          whole: its bytes have the hash
    ciphertexts/<organisation>/<kind>-<record>-<hash>.part     what has come of one so far

A name says who is charged and which record names the hash, so the directory is all there is to know, and it
is read at the start. A part grows at its end only. It becomes whole in three steps: flushed to disk, hash
checked, renamed; whatever a crash leaves is either whole, or a part whose end may be wrong, which the hash
tells. Files, not the database: sixteen megabytes in one of its transactions would hold up a vote.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from tallynet.durable import sync_directory
from tallynet.errors import TallynetError

__all__ = ["Address", "CiphertextRefused", "CiphertextStore", "Held"]

FILE_BYTES_MIN: Final = 4 * 1024
"""Charged at least: the smallest size class, and what a file takes on a disk."""
UNNAMED_BYTES_MAX: Final = 128 * 1024 * 1024
"""Of one organisation that no record names yet: eight of the largest, or 32,000 invoices on their way into
blocks. Room that is paid for with nothing."""
FLUSH_BYTES: Final = 1024 * 1024
"""Written to disk at least this often: else a vote's commit, which waits for what the file system writes
before it, would wait for all of a large ciphertext."""
_PART: Final = ".part"
_NAME: Final = re.compile(r"(\d{1,5})-([0-9a-f]{32})-([0-9a-f]{64})(\.part)?")
_OWNER: Final = re.compile(r"[0-9a-f]{32}")


class CiphertextRefused(TallynetError):
    """CIPHERTEXT_QUOTA, CIPHERTEXT_SIZE, CIPHERTEXT_HASH and others: a client's request was not granted."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a ciphertext is filed."""

    owner: bytes
    """Organisation that is charged for it."""
    kind: int
    record: bytes
    """The record of this kind that names the hash, or is about to."""
    hash: bytes

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.record.hex()}-{self.hash.hex()}"


@dataclass(slots=True)
class Held:
    """What is here of one ciphertext."""

    size: int
    """Of the whole, as announced; of a part found at the start, what is there."""
    bytes: int
    """From its beginning on."""
    whole: bool
    touched: float
    """Unix seconds of the last write."""
    named: bool
    """A record names it, as far as was seen; what was whole at the start counts as named until looked at."""


class CiphertextStore:
    def __init__(self, directory: Path, *, per_organisation_max: int, total_max: int) -> None:
        """Reads what is there. Bounds in bytes. Raises OSError when the place cannot be used."""
        self._directory: Final = directory
        self._per_organisation_max = per_organisation_max
        self._total_max = total_max
        self._held: Final[dict[Address, Held]] = {}
        self._charged: Final[dict[bytes, int]] = {}
        self._unnamed: Final[dict[bytes, int]] = {}
        self._loose: Final[dict[Address, Held]] = {}
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, address, part in self._files():
            facts = path.stat()
            size = facts.st_size
            held = Held(size, size, not part, facts.st_mtime, not part)
            self._add(address, held)
            self._loose[address] = held

    def _files(self) -> Iterator[tuple[Path, Address, bool]]:
        """What looks like ours; other files are left alone."""
        for path in sorted(self._directory.glob("*/*")):
            match = _NAME.fullmatch(path.name)
            if match is None or _OWNER.fullmatch(path.parent.name) is None:
                continue
            kind, record, hash, part = match.groups()
            address = Address(
                bytes.fromhex(path.parent.name), int(kind), bytes.fromhex(record),
                bytes.fromhex(hash),
            )  # fmt: skip
            yield path, address, part is not None

    def set_bounds(self, *, per_organisation_max: int, total_max: int) -> None:
        """Other bounds, in bytes, from now on; what is held already stays."""
        self._per_organisation_max = per_organisation_max
        self._total_max = total_max

    # --- what is here ---------------------------------------------------------------------------

    def held(self, address: Address) -> Held | None:
        return self._held.get(address)

    def all(self) -> list[tuple[Address, Held]]:
        return list(self._held.items())

    def loose(self) -> list[tuple[Address, Held]]:
        """Those that have to be looked at again: see `settle`."""
        return list(self._loose.items())

    def charged(self, owner: bytes) -> int:
        """Bytes of this organisation's quota in use."""
        return self._charged.get(owner, 0)

    @property
    def total(self) -> int:
        return sum(self._charged.values())

    def read(self, address: Address, offset: int, size: int) -> bytes:
        """At most `size` bytes of a whole ciphertext from `offset` on. Raises OSError."""
        with self._path(address).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    # --- writing --------------------------------------------------------------------------------

    def append(
        self, address: Address, size: int, offset: int, data: bytes, now: float, *, named: bool
    ) -> int:
        """Continue a ciphertext of `size` bytes, if `offset` is where it stops; returns how many bytes are
        here then. All of them: it is whole, and durable. `named`: a record names it now.

        Raises:
            CiphertextRefused: CIPHERTEXT_QUOTA, CIPHERTEXT_SIZE (more than announced, or another size than
                before), CIPHERTEXT_HASH (it came whole and is something else; it is gone again).
            OSError: the disk.
        """
        held = self._held.get(address)
        if held is not None and held.whole:
            return held.bytes
        if held is None or held.size != size:
            held = self._admit(address, held, size, now, named=named)
        if offset != held.bytes or not data:
            return held.bytes
        if held.bytes + len(data) > size:
            raise CiphertextRefused("CIPHERTEXT_SIZE", f"more than the {size} bytes announced")
        path = self._path(address, part=True)
        with path.open("ab") as file:
            file.write(data)
            file.flush()
            if held.bytes + len(data) == size:
                os.fsync(file.fileno())
            elif (held.bytes + len(data)) // FLUSH_BYTES > held.bytes // FLUSH_BYTES:
                os.fdatasync(file.fileno())
        held.bytes += len(data)
        held.touched = now
        if held.bytes == size:
            self._finish(address, path, held)
        return held.bytes

    def _admit(
        self, address: Address, held: Held | None, size: int, now: float, *, named: bool
    ) -> Held:
        """A new part, or one found at the start whose whole size was not known: within the quotas?"""
        known = 0 if held is None else _charge(held)
        if held is not None and not held.bytes <= size:
            raise CiphertextRefused("CIPHERTEXT_SIZE", f"{held.bytes} bytes are here already")
        more = max(size, FILE_BYTES_MIN) - known
        if self.charged(address.owner) + more > self._per_organisation_max:
            raise CiphertextRefused(
                "CIPHERTEXT_QUOTA",
                f"this organisation may keep {self._per_organisation_max} bytes at this node",
            )
        if self.total + more > self._total_max:
            raise CiphertextRefused("CIPHERTEXT_QUOTA", "this node keeps no more ciphertexts")
        if not named and self._unnamed.get(address.owner, 0) + more > UNNAMED_BYTES_MAX:
            raise CiphertextRefused(
                "CIPHERTEXT_QUOTA", "register what was brought so far before bringing more"
            )
        here = 0 if held is None else held.bytes
        if held is not None:
            self._forget(address)
        path = self._path(address, part=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600)
        admitted = Held(size, here, False, now, named)
        self._add(address, admitted)
        self._loose[address] = admitted
        return admitted

    def _finish(self, address: Address, path: Path, held: Held) -> None:
        with path.open("rb") as file:
            digest = sha256()
            while piece := file.read(1 << 20):
                digest.update(piece)
        if digest.digest() != address.hash:
            self.drop(address)
            raise CiphertextRefused("CIPHERTEXT_HASH", "what came has another hash; send it again")
        path.rename(self._path(address))
        sync_directory(path.parent)
        held.whole = True

    def drop(self, address: Address) -> None:
        """Delete what is here of it. Raises OSError."""
        held = self._held.get(address)
        if held is not None:
            self._path(address, part=not held.whole).unlink(missing_ok=True)
            self._forget(address)

    def settle(self, address: Address, *, for_good: bool) -> None:
        """A record names it; `for_good`: it always will, so that it need not be looked at again once it is
        whole."""
        held = self._held.get(address)
        if held is None:
            return
        if not held.named:
            held.named = True
            self._count(self._unnamed, address.owner, -_charge(held))
        if for_good and held.whole:
            self._loose.pop(address, None)

    # --- accounts -------------------------------------------------------------------------------

    def _add(self, address: Address, held: Held) -> None:
        self._held[address] = held
        self._count(self._charged, address.owner, _charge(held))
        if not held.named:
            self._count(self._unnamed, address.owner, _charge(held))

    def _forget(self, address: Address) -> None:
        held = self._held.pop(address)
        self._loose.pop(address, None)
        self._count(self._charged, address.owner, -_charge(held))
        if not held.named:
            self._count(self._unnamed, address.owner, -_charge(held))

    def _count(self, accounts: dict[bytes, int], owner: bytes, change: int) -> None:
        accounts[owner] = accounts.get(owner, 0) + change
        if not accounts[owner]:
            del accounts[owner]

    def _path(self, address: Address, *, part: bool = False) -> Path:
        name = address.name + (_PART if part else "")
        return self._directory / address.owner.hex() / name


def _charge(held: Held) -> int:
    return max(held.size, FILE_BYTES_MIN)
