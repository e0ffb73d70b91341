"""Scan of a whole database, in a child process at boot: `python -m node.store.scan DIRECTORY`.

LMDB has no page checksums. A damaged page gives wrong data, an exception, or ends the process by
signal (reliability §2.3), so a child meets the file first. It checks of every table: each value's
checksum (which covers its key), ascending keys, the number of entries, and that each key is found from
the root as a reader would; of the tip: block hash, certificate and state root.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Final

import lmdb

from node.state.tables import STATE_TREE
from node.state.tree import root_of
from node.store.check import Progress, ScanReport, no_progress
from node.store.errors import StoreError, StoreFatal, corrupt
from node.store.snapshot import Snapshot
from node.store.store import has_data, lock_directory
from node.store.tables import (
    MAP_BYTES,
    META,
    SCHEMA,
    SCHEMA_KEY,
    SEEDS,
    TABLES,
    intact,
    open_environment,
)
from tallynet.blocks import Commit
from tallynet.codec import decode
from tallynet.errors import RemoteProtocolError
from tallynet.hashing import block_hash

EXIT_CORRUPT: Final = 65
"""EX_DATAERR of sysexits.h."""
PROGRESS_VALUES: Final = 50_000
"""Values between two reports of progress and looks at the clock."""


def scan_store(
    directory: Path, *, seconds: float | None = None, progress: Progress = no_progress
) -> ScanReport:
    """Check the database of a node that is not running, in this process.

    Raises:
        StoreFatal: STORE_CORRUPT. Or the process is ended by a signal.
        StoreError: STORE_IN_USE.
    """
    if not has_data(directory):
        return ScanReport(0, 0, True)
    lock_file = lock_directory(directory, exclusive=False)
    try:
        environment = open_environment(directory, map_bytes=MAP_BYTES, readonly=True)
        try:
            return scan_environment(environment, directory, seconds=seconds, progress=progress)
        finally:
            environment.close()
    except lmdb.Error as error:
        raise corrupt(directory, f"LMDB says {error}") from None
    finally:
        os.close(lock_file)


def scan_environment(
    environment: Any,
    directory: Path,
    *,
    seconds: float | None = None,
    progress: Progress = no_progress,
) -> ScanReport:
    """Check an open LMDB environment, or something that behaves like one; `directory` is for the
    message. Raises StoreFatal STORE_CORRUPT."""
    return _Scan(environment, directory, seconds, progress).run()


class _Scan:
    def __init__(
        self, environment: Any, directory: Path, seconds: float | None, progress: Progress
    ) -> None:
        self._environment: Final = environment
        self._directory: Final = directory
        self._deadline: Final = None if seconds is None else time.monotonic() + seconds
        self._progress: Final = progress
        self._values = 0
        self._bytes = 0
        self._total = 0

    def run(self) -> ScanReport:
        environment = self._environment
        tables = self._open_tables(environment)
        if not tables:
            return ScanReport(0, 0, True)
        with environment.begin(buffers=True) as transaction:
            self._total = sum(transaction.stat(db)["entries"] for db in tables.values())
            complete = all(self._table(transaction, t, db) for t, db in tables.items())
        with environment.begin() as transaction:
            self._tip(Snapshot(transaction, tables, self._damage))
        self._progress(self._values, self._total)
        return ScanReport(self._values, self._bytes, complete)

    def _damage(self, what: str) -> StoreFatal:
        return corrupt(self._directory, what)

    def _open_tables(self, environment: Any) -> dict[str, Any]:
        """All tables; none for a database whose creation was cut off, or of another version, which
        `open_store` refuses."""
        with environment.begin() as transaction:
            names = [bytes(name) for name, _ in transaction.cursor()]
        if not names or self._other_schema(environment, names):
            return {}
        if sorted(names) != sorted(table.encode() for table in TABLES):
            raise self._damage(f"its tables are {sorted(names)}")
        return {table: environment.open_db(table.encode(), create=False) for table in TABLES}

    def _other_schema(self, environment: Any, names: list[bytes]) -> bool:
        if META.encode() not in names:
            return False
        meta = environment.open_db(META.encode(), create=False)
        with environment.begin() as transaction:
            schema = Snapshot(transaction, {META: meta}, self._damage).meta(SCHEMA_KEY)
        return schema is not None and int.from_bytes(schema, "big") != SCHEMA

    def _table(self, transaction: Any, table: str, db: Any) -> bool:
        """Check one table; False when the time was up."""
        seed = SEEDS[table]
        count = size = 0
        before = b""
        find = transaction.get
        with transaction.cursor(db=db) as cursor:
            for key_view, stored in cursor.iternext(True, True):
                key = bytes(key_view)
                if not intact(seed, key, stored):
                    raise self._damage(f"a value in table {table} under {key[:40].hex()} changed")
                if key <= before or find(key, None, db) is None:
                    raise self._damage(f"table {table} is out of order at {key[:40].hex()}")
                before = key
                count += 1
                size += len(key) + len(stored)
                if not count % PROGRESS_VALUES:
                    self._progress(self._values + count, self._total)
                    if self._deadline is not None and time.monotonic() > self._deadline:
                        self._values += count
                        self._bytes += size
                        return False
        self._values += count
        self._bytes += size
        expected = transaction.stat(db)["entries"]
        if count != expected:
            raise self._damage(f"table {table} holds {count} entries instead of {expected}")
        return True

    def _tip(self, snapshot: Snapshot) -> None:
        """The tip is one certified block, and the state tree is the one it commits to."""
        tip = snapshot.tip()
        if tip is None:
            return
        if root_of(lambda path: snapshot.get(STATE_TREE, path)) != tip.state_root:
            raise self._damage("the state tree is not that of the newest block")
        if tip.height == 0:
            return
        row = snapshot.block(tip.height)
        if row is None or row.block != tip.block or block_hash(row.header) != tip.block:
            raise self._damage("the newest block is not the one that was committed")
        try:
            vote = decode(Commit, row.certificate.vote)
        except RemoteProtocolError:
            raise self._damage("the newest block's certificate is not readable") from None
        if (vote.height, vote.block, vote.state_root) != (tip.height, tip.block, tip.state_root):
            raise self._damage("the newest block's certificate is for another block or state")


def _report(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


def main(arguments: list[str]) -> int:
    """Scan, with one JSON object per line on the output: progress, then the result."""
    directory = Path(arguments[0])
    seconds = float(arguments[1]) if len(arguments) > 1 else None
    try:
        report = scan_store(
            directory,
            seconds=seconds,
            progress=lambda done, total: _report(done=done, total=total),
        )
    except (StoreFatal, StoreError) as error:
        _report(code=error.code, message=error.message)
        return EXIT_CORRUPT
    _report(values=report.values, bytes=report.bytes, complete=report.complete)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
