"""The store: everything durable of a node, in one LMDB environment with one writer."""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import lmdb

from node.store.batch import STAGED, WriteBatch
from node.store.errors import (
    DATA_FILE,
    StoreError,
    StoreFatal,
    commit_failure,
    corrupt,
    corrupt_text,
    free_bytes,
)
from node.store.mark import Mark, MarkFile, why_barred
from node.store.snapshot import LiveReader, Snapshot
from node.store.tables import (
    ALARM_PERCENT,
    BODIES,
    BOOT_KEY,
    GENESIS_KEY,
    JOURNAL,
    LOCK_FILE,
    MAP_BYTES,
    MARKED_KEY,
    META,
    NODE_KEY,
    SCHEMA,
    SCHEMA_KEY,
    SEEDS,
    STORE_ID_KEY,
    TABLES,
    VIEWS,
    VIEWS_ROWS_MAX,
    VOTE_BAR_KEY,
    height_key,
    name_in_file,
    open_environment,
    sealed,
    sealed_rows,
)  # fmt: skip

CRASH_POINTS: Final = ("before-transaction", "before-commit", "after-commit", "after-mark")
"""Between the durable steps of `Store.commit`, in order."""

CrashPoint = Callable[[str], None]
"""Called at every crash point with its name; a test ends the process there."""


def _no_crash(_point: str) -> None:
    return None


def _random_id() -> bytes:
    return secrets.token_bytes(16)


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """For status, metrics and the alarm."""

    used_bytes: int
    """Of the map, free pages within the file included."""
    map_bytes: int
    disk_free_bytes: int
    commits: int
    """Since start."""
    rows: dict[str, int]
    """Entries per table."""

    @property
    def alarm(self) -> str:
        """What the operator should do soon; empty when all is well."""
        percent = 100 * self.used_bytes // self.map_bytes
        if percent >= ALARM_PERCENT:
            return f"the database map is {percent} % full; raise map_gib and restart"
        return ""


class Store:
    """Made by `open_store`. Reads from any thread, writes from one thread only."""

    def __init__(
        self,
        directory: Path,
        environment: Any,
        lock_file: int,
        *,
        genesis: bytes,
        mark: MarkFile | None,
        crash_point: CrashPoint = _no_crash,
        new_id: Callable[[], bytes] = _random_id,
    ) -> None:
        """Use `open_store`; only a simulated disk is put together by hand. Call `prepare` next."""
        self.directory: Final = directory
        self._environment: Final = environment
        self._lock_file: Final = lock_file
        self._genesis: Final = genesis
        self._mark: Final = mark
        self._crash_point: Final = crash_point
        self._new_id: Final = new_id
        self._tables: Final[dict[str, Any]] = {}
        self._generation = 0
        """Of the state that is current; see `node.store.tables.TABLES`."""
        self._writer: int | None = None
        self._failed = False
        self._commits = 0
        self._marked = False
        self._marked_boot = b""
        """What the mark named when this process began."""
        self.vote_bar: str = ""
        """Why this node must not vote; empty: it may (B12)."""

    # --- reading ----------------------------------------------------------------------------------

    @contextmanager
    def reader(self) -> Iterator[Snapshot]:
        """A consistent snapshot. Keep it short: it pins the pages that commits replace."""
        with self._environment.begin() as transaction:
            yield Snapshot(transaction, self._tables, self._damage)

    def live_reader(self) -> LiveReader:
        """Reads of the newest commit, for the `CommittedState` on the state that is current now."""
        return LiveReader(self._environment, self._tables, self._damage, self._generation)

    def staged_reader(self) -> LiveReader:
        """The same for the other state, which is being fetched or prepared."""
        return LiveReader(self._environment, self._tables, self._damage, self._generation + 1)

    def _damage(self, what: str) -> StoreFatal:
        return corrupt(self.directory, what)

    def statistics(self) -> StoreStatistics:
        info, pages = self._environment.info(), self._environment.stat()
        with self._environment.begin() as transaction:
            rows = {t: transaction.stat(db)["entries"] for t, db in self._tables.items()}
        return StoreStatistics(
            used_bytes=(info["last_pgno"] + 1) * pages["psize"],
            map_bytes=info["map_size"],
            disk_free_bytes=free_bytes(self.directory),
            commits=self._commits,
            rows=rows,
        )

    # --- writing ----------------------------------------------------------------------------------

    def batch(self) -> WriteBatch:
        """An empty batch."""
        return WriteBatch()

    def commit(self, batch: WriteBatch) -> None:
        """Make a batch durable in one transaction. When it returns, all of it is on disk.

        Raises:
            StoreFatal: nothing of the batch is promised; end the process, never retry.
        """
        self._require_writer()
        # A barred store keeps a journal too, but its count says nothing about where the key votes.
        raises_mark = not (self._marked or self.vote_bar) and bool(batch.rows.get(JOURNAL))
        try:
            self._crash_point("before-transaction")
            # A reader beside us (node.store.inspection) that was killed would keep every old page from being used again.
            self._environment.reader_check()
            with self._environment.begin(write=True) as transaction:
                self._apply(transaction, batch)
                boot = self._next_boot(transaction) if raises_mark else b""
                self._crash_point("before-commit")
            self._crash_point("after-commit")
            if raises_mark:
                self._raise_mark(boot)
            self._crash_point("after-mark")
        except (lmdb.Error, OSError, MemoryError, ValueError) as error:
            self._failed = True
            raise commit_failure(error, self.directory) from error
        except BaseException:
            self._failed = True
            raise
        self._commits += 1
        if batch.generation is not None:
            self._generation = batch.generation

    def _require_writer(self) -> None:
        thread = threading.get_ident()
        if self._writer is None:
            self._writer = thread
        if thread != self._writer:
            raise StoreFatal("STORE_WRITE", "a second thread writes to the store: our own bug")
        if self._failed:
            raise StoreFatal("STORE_WRITE", "a commit failed before; the process must end")

    def _apply(self, transaction: Any, batch: WriteBatch) -> None:
        for table, rows in sorted(batch.rows.items()):
            staged = table.startswith(STAGED)
            place = name_in_file(table.removeprefix(STAGED), self._generation + staged)
            puts, deletes = sealed_rows(SEEDS[place], rows)
            for key in deletes:
                transaction.delete(key, db=self._tables[place])
            if puts:
                with transaction.cursor(db=self._tables[place]) as cursor:
                    cursor.putmulti(puts)
        for height, block in batch.delivered:
            self._drop_rivals(transaction, height, block)
        if batch.rows.get(VIEWS):
            self._drop_oldest_views(transaction)

    def _drop_rivals(self, transaction: Any, height: int, block: bytes) -> None:
        """Delete the bodies of candidates that lost against `block`."""
        prefix = height_key(height)
        with transaction.cursor(db=self._tables[BODIES]) as cursor:
            there = cursor.set_range(prefix)
            while there:
                key: bytes = cursor.key()
                if not key.startswith(prefix):
                    return
                if key[8:40] == block:
                    there = cursor.set_range(prefix + block + b"\xff\xff\xff")
                else:
                    cursor.delete()
                    there = bool(cursor.key())

    def _drop_oldest_views(self, transaction: Any) -> None:
        """Keep the archive of NewViews within its bound; all pieces of one go together."""
        surplus = transaction.stat(self._tables[VIEWS])["entries"] - VIEWS_ROWS_MAX
        if surplus <= 0:
            return
        with transaction.cursor(db=self._tables[VIEWS]) as cursor:
            there, last = cursor.first(), b""
            while there and (surplus > 0 or bytes(cursor.key()).startswith(last)):
                last = bytes(cursor.key())[:-2]
                cursor.delete()
                surplus -= 1
                there = bool(cursor.key())

    # --- the key mark -----------------------------------------------------------------------------

    def _next_boot(self, transaction: Any) -> bytes:
        table, boot = self._tables[META], self._new_id()
        _put_meta(transaction, table, BOOT_KEY, boot)
        _put_meta(transaction, table, MARKED_KEY, self._marked_boot)
        return boot

    def _raise_mark(self, boot: bytes) -> None:
        if self._mark is not None:
            with self.reader() as snapshot:
                store_id = snapshot.meta(STORE_ID_KEY) or b""
            self._mark.write(self._genesis, Mark(store_id, boot))
        self._marked = True

    def close(self) -> None:
        """Release the environment and the lock. All readers must be closed."""
        self._environment.close()
        os.close(self._lock_file)

    # --- opening ----------------------------------------------------------------------------------

    def prepare(self, node_key: bytes) -> None:
        """Create or check the tables and what the database says about itself.

        Raises:
            StoreError, StoreFatal: the database is damaged, or not this node's.
        """
        existing = self._stored_identity()
        if existing is not None:
            self._check_identity(existing, node_key)
        with self._environment.begin(write=True) as transaction:
            for table in TABLES:
                self._tables[table] = self._environment.open_db(table.encode(), txn=transaction)
            meta = self._tables[META]
            if existing is None:
                for name, value in (
                    (SCHEMA_KEY, SCHEMA.to_bytes(8, "big")),
                    (GENESIS_KEY, self._genesis),
                    (NODE_KEY, node_key),
                    (STORE_ID_KEY, self._new_id()),
                ):
                    _put_meta(transaction, meta, name, value)
            self.vote_bar = self._bar(transaction, meta)
            self._generation = Snapshot(transaction, {META: meta}, self._damage).generation()
        self._environment.reader_check()

    def _stored_identity(self) -> dict[bytes, bytes] | None:
        """Schema, genesis and key of an existing database; None if it is new."""
        with self._environment.begin() as transaction:
            if transaction.stat()["entries"] == 0:
                return None
        try:
            meta = self._environment.open_db(META.encode(), create=False)
        except lmdb.NotFoundError:
            raise self._unfit("STORE_UNREADABLE", "is not a Tallynet database") from None
        with self._environment.begin() as transaction:
            snapshot = Snapshot(transaction, {META: meta}, self._damage)
            found = {n: snapshot.meta(n) for n in (SCHEMA_KEY, GENESIS_KEY, NODE_KEY)}
        if any(value is None for value in found.values()):
            text = corrupt_text(self.directory, "it does not say whose it is")
            raise StoreError("STORE_CORRUPT", text)
        return {name: value for name, value in found.items() if value is not None}

    def _check_identity(self, found: dict[bytes, bytes], node_key: bytes) -> None:
        schema = int.from_bytes(found[SCHEMA_KEY], "big")
        if schema > SCHEMA:
            raise self._unfit(
                "STORE_NEWER",
                f"was written by a newer version (format {schema}, this one knows {SCHEMA});"
                " use that version",
            )
        if schema < SCHEMA:
            raise self._unfit(
                "STORE_OLDER",
                f"was written by an older version (format {schema}, this one needs {SCHEMA}), whose"
                " networks this version cannot continue; use that version, or make a new network",
            )
        if found[GENESIS_KEY] != self._genesis:
            raise self._unfit(
                "STORE_OTHER_NETWORK",
                f"belongs to the network with genesis {found[GENESIS_KEY].hex()}, not"
                f" {self._genesis.hex()}; use another data directory for this network",
            )
        if found[NODE_KEY] != node_key:
            raise self._unfit(
                "STORE_OTHER_KEY",
                f"belongs to the node with key {found[NODE_KEY].hex()}, not {node_key.hex()};"
                " a new key needs a data directory of its own",
            )

    def _unfit(self, code: str, what: str) -> StoreError:
        return StoreError(code, f"the database in {self.directory} {what}")

    def _bar(self, transaction: Any, meta: Any) -> str:
        """Why the key must not vote with this store (see `node.store.mark`); empty if it may. What
        the mark once showed stays true: it is kept in the store."""
        snapshot = Snapshot(transaction, {META: meta}, self._damage)
        barred = snapshot.meta(VOTE_BAR_KEY)
        if barred is not None:
            return barred.decode()
        if self._mark is None:
            return ""
        try:
            mark = self._mark.read(self._genesis)
            why = why_barred(
                mark,
                store=snapshot.meta(STORE_ID_KEY),
                boot=snapshot.meta(BOOT_KEY),
                marked=snapshot.meta(MARKED_KEY),
            )
        except ValueError:
            return f"{self._mark.path} is damaged, so nobody knows where this key has voted"
        if not why:
            self._marked_boot = b"" if mark is None else mark.boot
            return ""
        bar = f"{why}; it must not vote again: ask the banks to admit this node under a new key"
        _put_meta(transaction, meta, VOTE_BAR_KEY, bar.encode())
        return bar


def _put_meta(transaction: Any, meta: Any, name: bytes, value: bytes) -> None:
    transaction.put(name, sealed(SEEDS[META], name, value), db=meta)


def open_store(
    directory: Path,
    *,
    genesis: bytes,
    node_key: bytes,
    key_mark: Path | None,
    map_bytes: int = MAP_BYTES,
    crash_point: CrashPoint = _no_crash,
) -> Store:
    """Open the data directory of a node, or create it.

    `node_key` is the node's public key. `key_mark` is the file beside its private key that remembers
    where the key has voted; None for nodes that never vote. Afterwards ask `vote_bar`. Run
    `node.store.scan_in_child` before: damaged pages can kill the process that meets them.

    Raises:
        StoreError: see there; nothing was changed.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock_file = lock_directory(directory, exclusive=True)
    environment = None
    try:
        environment = open_environment(directory, map_bytes=map_bytes, readonly=False)
        store = Store(
            directory,
            environment,
            lock_file,
            genesis=genesis,
            mark=None if key_mark is None else MarkFile(key_mark),
            crash_point=crash_point,
        )
        store.prepare(node_key)
    except StoreFatal as error:
        _close(environment, lock_file)
        raise StoreError(error.code, error.message) from None
    except (lmdb.Error, OSError) as error:
        _close(environment, lock_file)
        text = corrupt_text(directory, f"LMDB says {error}")
        raise StoreError("STORE_CORRUPT", text) from error
    except BaseException:
        _close(environment, lock_file)
        raise
    return store


def _close(environment: Any, lock_file: int) -> None:
    if environment is not None:
        environment.close()
    os.close(lock_file)


def lock_directory(directory: Path, *, exclusive: bool) -> int:
    """Hold the directory's lock file until the returned descriptor is closed.

    Raises:
        StoreError: STORE_IN_USE.
    """
    descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StoreError(
            "STORE_IN_USE",
            f"another process uses the database in {directory}; stop it first, or give this node a"
            " data directory of its own",
        ) from None
    return descriptor


def has_data(directory: Path) -> bool:
    """Whether there is a database at all."""
    return (directory / DATA_FILE).exists()
