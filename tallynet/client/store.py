"""What a client keeps between its lives: the newest block it saw, the hand-overs, how far it read the log.

A directory of its own, made at the first save:

    trust            one `TrustFile` behind a line of text and the SHA-256 of the rest
    lock             held while `trust` is read and written again, so that two programs may share it
    fork.evidence    two certificates that contradict each other, for `tally forensics`

Nothing in it is believed for being there: hand-overs and head are checked like an answer of a node. So a wrong
file can only make a client remember too little:

    wiped         it begins at the genesis again, and looks around before it believes that (trust period)
    rolled back   it would take state that is older than it once saw, until f+1 validators show a newer head
    corrupt       it stops, TRUST_STORE_CORRUPT. To go on as if wiped would be the one way to forget unnoticed;
                  whoever removes the file has decided that
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final, final

import msgspec
from msgspec import Meta

from tallynet.blocks import Certificate, Header
from tallynet.client.errors import ForkSeen, TrustStoreError
from tallynet.client.trust import Trust
from tallynet.codec import Wire, decode, encode
from tallynet.durable import replace_file
from tallynet.errors import ProtocolError, RemoteProtocolError
from tallynet.evidence_file import EvidenceFile, evidence_text
from tallynet.fields import Hash, Height, Small, Uint

__all__ = ["Cursor", "TrustFile", "TrustStore"]

FILE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Three thousand changes of a hundred validators; a file that is larger is not ours."""
CURSORS_MAX: Final = 64
"""Readers of the log that share one directory."""
_FIRST_LINE: Final = b"tallynet trust store 1\n"
_FILE, _LOCK, _EVIDENCE = "trust", "lock", "fork.evidence"


class Cursor(Wire):
    """How far a reader of the log has come."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    height: Height
    """Block of the next event."""
    index: Uint
    """Among the events of that block."""


class TrustFile(Wire):
    """Everything that is kept."""

    version: Small
    genesis: Hash
    header: bytes
    """Of the newest block seen; empty when there is none."""
    certificate: Certificate | None
    """Its commit certificate."""
    handovers: tuple[bytes, ...]
    """Encoded `Handover`s, oldest first."""
    cursors: Annotated[tuple[Cursor, ...], Meta(max_length=CURSORS_MAX)]


@final
class TrustStore:
    """One network's directory. Several programs may use it at once; what is newer wins."""

    def __init__(self, directory: Path) -> None:
        self.directory: Final = directory

    @property
    def evidence(self) -> Path:
        """Where the evidence of a fork is kept; `tally forensics` reads it."""
        return self.directory / _EVIDENCE

    def resume(self, trust: Trust) -> None:
        """Make a new `trust` go on where an earlier life stopped.

        Raises:
            TrustStoreError: TRUST_STORE_CORRUPT, TRUST_STORE_OTHER_NETWORK, TRUST_STORE_UNUSABLE, or FORK_SEEN.
        """
        if self.evidence.exists():
            raise TrustStoreError(
                "FORK_SEEN",
                f"two chains of this network were seen; {self.evidence} proves it. Show it to the banks (`tally"
                " forensics`); remove it when they have said which chain goes on",
            )
        kept = self._read(trust.genesis_hash)
        if kept is None:
            return
        try:
            trust.learn(kept.handovers)
            if kept.certificate is not None:
                trust.resume(kept.header, kept.certificate)
        except (RemoteProtocolError, ForkSeen) as error:
            raise self._corrupt(f"what it holds does not hold ({error})") from None

    def save(self, trust: Trust) -> None:
        """Keep what `trust` knows now; durable when this returns.

        Raises:
            TrustStoreError: as `resume`.
        """
        if trust.fork is not None:
            self._save_evidence(trust, trust.fork)
            return
        with self._locked():
            self._write(self._newer(self._read(trust.genesis_hash), trust))

    def cursor(self, trust: Trust, name: str) -> tuple[int, int]:
        """(height, index) of the next event for this reader; (0, 0) for a new one."""
        kept = self._read(trust.genesis_hash)
        for cursor in kept.cursors if kept is not None else ():
            if cursor.name == name:
                return cursor.height, cursor.index
        return 0, 0

    def move_cursor(self, trust: Trust, name: str, height: int, index: int) -> None:
        """Everything before (height, index) has been read; durable when this returns.

        Raises:
            TrustStoreError: as `resume`; TRUST_STORE_UNUSABLE also for one reader too many.
        """
        with self._locked():
            kept = self._newer(self._read(trust.genesis_hash), trust)
            others = tuple(cursor for cursor in kept.cursors if cursor.name != name)
            if len(others) >= CURSORS_MAX:
                raise self._unusable(f"it has {CURSORS_MAX} readers of the log already")
            cursors = (*others, Cursor(name, height, index))
            self._write(msgspec.structs.replace(kept, cursors=cursors))

    # --- the file -------------------------------------------------------------------------------------

    def _newer(self, kept: TrustFile | None, trust: Trust) -> TrustFile:
        """What is kept and what is known now, the newer of each."""
        head, handovers = trust.head, tuple(trust.handovers)
        header, certificate = b"", None
        if head is not None:
            header, certificate = head.header_bytes, head.certificate
        if kept is None:
            return TrustFile(1, trust.genesis_hash, header, certificate, handovers, ())
        if kept.certificate is not None and (head is None or _height(kept) > head.height):
            header, certificate = kept.header, kept.certificate
        if len(kept.handovers) > len(handovers):
            handovers = kept.handovers
        return TrustFile(1, trust.genesis_hash, header, certificate, handovers, kept.cursors)

    def _read(self, genesis: bytes) -> TrustFile | None:
        try:
            with (self.directory / _FILE).open("rb") as file:
                raw = file.read(FILE_BYTES_MAX + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from None
        start = len(_FIRST_LINE)
        digest, body = raw[start : start + 32], raw[start + 32 :]
        if (
            raw[:start] != _FIRST_LINE
            or len(raw) > FILE_BYTES_MAX
            or sha256(body).digest() != digest
        ):
            raise self._corrupt("its checksum is wrong")
        try:
            kept = decode(TrustFile, body)
        except ProtocolError as error:
            raise self._corrupt(error.message) from None
        if kept.genesis != genesis:
            raise TrustStoreError(
                "TRUST_STORE_OTHER_NETWORK",
                f"{self.directory} belongs to network {kept.genesis.hex()[:16]}; name another directory",
            )
        return kept

    def _write(self, file: TrustFile) -> None:
        body = encode(file)
        self._replace(_FILE, _FIRST_LINE + sha256(body).digest() + body)

    def _replace(self, name: str, data: bytes) -> None:
        """The old file or the new one survives whatever happens, never a part."""
        try:
            replace_file(self.directory / name, data)
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from None

    def _save_evidence(self, trust: Trust, fork: ForkSeen) -> None:
        file = EvidenceFile(
            genesis=trust.genesis_hash.hex(),
            source="client",
            certificates=[encode(each).hex() for each in (fork.first, fork.second)],
            handovers=[raw.hex() for raw in trust.handovers],
        )
        with self._locked():
            self._replace(_EVIDENCE, evidence_text(file))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.directory / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _corrupt(self, why: str) -> TrustStoreError:
        return TrustStoreError(
            "TRUST_STORE_CORRUPT",
            f"{self.directory / _FILE}: {why}. Restore a copy, or remove the file to begin at the genesis again",
        )

    def _unusable(self, why: str) -> TrustStoreError:
        return TrustStoreError("TRUST_STORE_UNUSABLE", f"{self.directory}: {why}")


def _height(kept: TrustFile) -> int:
    return decode(Header, kept.header).height if kept.header else 0
