"""A node's store in a process of its own that dies where the test wants.

store_child.py blocks DIRECTORY FIRST LAST [POINT]   commits blocks; exits at crash point POINT of
                                                     the last one; prints each durable height
store_child.py adopt DIRECTORY POINT                 commits two blocks and another state, then makes that
                                                     the current one, and exits at POINT
store_child.py full DIRECTORY BYTES                  commits until the file may not grow further
store_child.py damage DIRECTORY...                   scans each, prints what was found
"""

from __future__ import annotations

import os
import resource
import sys
from hashlib import sha256
from pathlib import Path

from node.state import CommittedState
from node.store import StoreError, StoreFatal
from node.store.scan import scan_store
from node.store.snapshot import Snapshot
from node.store.tables import TABLES, open_environment
from tests.unit.store.samples import adoption, block_batch, commit_blocks, open_at, stage

CRASHED = 77


def blocks(directory: Path, first: int, last: int, point: str) -> None:
    height = first

    def crash(name: str) -> None:
        if height == last and name == point:
            os._exit(CRASHED)

    store = open_at(directory, crash_point=crash)
    state = CommittedState(store.live_reader())
    for height in range(first, last + 1):
        batch, overlay = block_batch(store, state, height)
        store.commit(batch)
        overlay.commit()
        print(height, flush=True)
    store.close()


def adopt(directory: Path, point: str) -> None:
    changing = False

    def crash(name: str) -> None:
        if changing and name == point:
            os._exit(CRASHED)

    store = open_at(directory, crash_point=crash)
    commit_blocks(store, 1, 2)
    batch = adoption(store, 50, stage(store, 50))
    changing = True
    store.commit(batch)


def full(directory: Path, limit: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    store = open_at(directory)
    try:
        for height in range(1, 10_000):
            commit_blocks(store, height, height, 200)
            print(height, flush=True)
    except StoreFatal as error:
        print(error.code, flush=True)


def digest(directory: Path) -> str:
    """Hash of all rows of all tables, each also looked up by its key."""
    found = sha256()
    environment = open_environment(directory, map_bytes=64 << 20, readonly=True)
    tables = {t: environment.open_db(t.encode(), create=False) for t in TABLES}
    with environment.begin() as transaction:
        snapshot = Snapshot(transaction, tables, lambda what: StoreFatal("STORE_CORRUPT", what))
        for table in TABLES:
            for key, value in snapshot.dump(table):
                found.update(repr((table, key, value, snapshot.get(table, key))).encode())
    environment.close()
    return found.hexdigest()


def damage(directories: list[str]) -> None:
    for name in directories:
        try:
            scan_store(Path(name))
        except (StoreFatal, StoreError) as error:
            print(error.code, flush=True)
        else:
            print(digest(Path(name)), flush=True)


def main(arguments: list[str]) -> None:
    task, *rest = arguments
    if task == "blocks":
        blocks(Path(rest[0]), int(rest[1]), int(rest[2]), rest[3] if len(rest) > 3 else "")
    elif task == "adopt":
        adopt(Path(rest[0]), rest[1])
    elif task == "full":
        full(Path(rest[0]), int(rest[1]))
    else:
        damage(rest)


if __name__ == "__main__":
    main(sys.argv[1:])
