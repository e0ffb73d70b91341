"""What a database says of itself, read beside the node: `python -m node.store.inspection DIRECTORY`.

It takes no lock of ours, so a node may run or be started meanwhile, and writes nothing but its entry in LMDB's
table of readers. Damaged pages can kill the process that meets them, so a child process looks.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import lmdb
import msgspec

from node.store.errors import StoreError, StoreFatal, corrupt, corrupt_text
from node.store.scan import EXIT_CORRUPT
from node.store.snapshot import Snapshot
from node.store.store import has_data
from node.store.tables import (
    BOOT_KEY,
    GENESIS_KEY,
    MARKED_KEY,
    META,
    NODE_KEY,
    SCHEMA,
    SCHEMA_KEY,
    STORE_ID_KEY,
    TABLES,
    VOTE_BAR_KEY,
    open_environment,
)
from tallynet.blocks import Header
from tallynet.codec import decode_trusted
from tallynet.validators import Handover

INSPECTION_SECONDS_MAX: Final = 20.0
"""It reads a few pages; a disk that does not give them for so long is broken."""
LMDB_LOCK_FILE: Final = "lock.mdb"
_SMALLEST_MAP: Final = 1
"""LMDB takes the size of the file where that is more."""
_ROOT: Final = Path(__file__).resolve().parents[2]


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes are hexadecimal."""

    schema: int
    """Of the file; of another one than SCHEMA nothing else is known."""
    genesis: str = ""
    node_key: str = ""
    store: str = ""
    boot: str = ""
    marked: str = ""
    vote_bar: str = ""
    """Why this store must not vote, as it says itself."""
    height: int = 0
    time_ms: int = 0
    """Of the newest block; 0: there is none."""
    base: int = 0
    """Oldest block held."""
    validators: tuple[str, ...] = ()
    """Keys of the newest set; none: that of the genesis."""
    evidence: tuple[str, ...] = ()
    """Keys of the proofs of misbehaviour."""
    diverged: bool = False
    used_bytes: int = 0
    rows: dict[str, int] = {}
    """Entries by table."""


def inspect(directory: Path) -> Inspection | None:
    """Look at a database from a child process; None when there is none.

    Raises:
        StoreError: STORE_CORRUPT, also when damage killed the child; STORE_UNREADABLE.
    """
    if not has_data(directory):
        return None
    command = [sys.executable, "-m", "node.store.inspection", str(directory.resolve())]
    try:
        child = subprocess.run(
            command, cwd=_ROOT, capture_output=True, timeout=INSPECTION_SECONDS_MAX, check=False
        )
    except subprocess.TimeoutExpired:
        raise StoreError(
            "STORE_UNREADABLE", f"{directory} was not read within {INSPECTION_SECONDS_MAX:g} s"
        ) from None
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        raise StoreError("STORE_CORRUPT", corrupt_text(directory, f"reading it ends with {name}"))
    if child.returncode == EXIT_CORRUPT:
        raise StoreError("STORE_CORRUPT", child.stderr.decode(errors="replace").strip())
    if child.returncode:
        last = child.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise StoreError("STORE_UNREADABLE", f"the database in {directory}: {''.join(last)}")
    return msgspec.json.decode(child.stdout, type=Inspection)


def _look(directory: Path) -> Inspection:
    # A database without LMDB's lock file was copied here and is open nowhere.
    beside = (directory / LMDB_LOCK_FILE).exists()
    environment = open_environment(directory, map_bytes=_SMALLEST_MAP, readonly=True, beside=beside)
    try:
        return _read(environment, directory)
    finally:
        environment.close()


def _read(environment: Any, directory: Path) -> Inspection:
    def damage(what: str) -> StoreFatal:
        return corrupt(directory, what)

    meta = environment.open_db(META.encode(), create=False)
    with environment.begin() as transaction:
        schema = Snapshot(transaction, {META: meta}, damage).meta(SCHEMA_KEY)
    if schema is None or int.from_bytes(schema, "big") != SCHEMA:
        return Inspection(schema=int.from_bytes(schema or b"", "big"))
    tables = {table: environment.open_db(table.encode(), create=False) for table in TABLES}
    pages = environment.stat()["psize"]
    with environment.begin() as transaction:
        snapshot = Snapshot(transaction, tables, damage)
        tip = snapshot.tip()
        row = snapshot.block(tip.height) if tip is not None and tip.height else None
        handovers = [handover for _, handover in snapshot.handovers()]
        newest = decode_trusted(Handover, handovers[-1]).validators if handovers else ()

        def named(key: bytes) -> str:
            return (snapshot.meta(key) or b"").hex()

        return Inspection(
            schema=SCHEMA,
            genesis=named(GENESIS_KEY),
            node_key=named(NODE_KEY),
            store=named(STORE_ID_KEY),
            boot=named(BOOT_KEY),
            marked=named(MARKED_KEY),
            vote_bar=(snapshot.meta(VOTE_BAR_KEY) or b"").decode(),
            height=0 if tip is None else tip.height,
            time_ms=0 if row is None else decode_trusted(Header, row.header).time_ms,
            base=snapshot.base(),
            validators=tuple(validator.public_key.hex() for validator in newest),
            evidence=tuple(key.hex() for key, _ in snapshot.evidence()),
            diverged=bool(snapshot.divergence()),
            used_bytes=(environment.info()["last_pgno"] + 1) * pages,
            rows={table: transaction.stat(db)["entries"] for table, db in tables.items()},
        )


def main(arguments: list[str]) -> int:
    """One JSON object on the output, or the reason on the error output."""
    try:
        found = _look(Path(arguments[0]))
    except (StoreFatal, lmdb.CorruptedError, lmdb.PageNotFoundError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_CORRUPT
    except (lmdb.Error, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(msgspec.json.encode(found).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
