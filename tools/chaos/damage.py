"""Damage to the database file of a stopped node, always to something that is in use.

Where a value lies is found by its bytes: LMDB keeps it unbroken in one page or in a run of pages. Old
copies of it may lie in free pages, so every copy is damaged; one of them is the one in use.
"""

from __future__ import annotations

import mmap
import os
import random
from enum import StrEnum
from pathlib import Path
from typing import Final

from node.store.errors import DATA_FILE
from node.store.tables import MAP_BYTES, TABLES, open_environment
from tools.chaos.network import ChaosError

PAGE_BYTES: Final = 4096
SAMPLED_MAX: Final = 2_000
"""Rows looked through from a random place before one is chosen."""


class Damage(StrEnum):
    BIT = "one bit of a value"
    ZERO = "a page of zeros"
    RANDOM = "a page of random bytes"
    TRUNCATE = "a file that ends too early"
    META = "a page of zeros at the beginning"


def damage(data: Path, kind: Damage, chance: random.Random) -> str:
    """Damage the database in directory `data`; returns what was done."""
    path = data / DATA_FILE
    table, value = _value(data, chance)
    places = _places(path, value)
    first = places[0] // PAGE_BYTES * PAGE_BYTES
    with path.open("r+b") as file:
        if kind is Damage.BIT:
            bit = chance.randrange(8 * len(value))
            for place in places:
                _write(file.fileno(), place + bit // 8, bytes([value[bit // 8] ^ 1 << bit % 8]))
        elif kind is Damage.TRUNCATE:
            os.ftruncate(file.fileno(), first)
        elif kind is Damage.META:
            _write(file.fileno(), 0, bytes(PAGE_BYTES))
        else:
            for page in sorted({place // PAGE_BYTES for place in places}):
                zeros = kind is Damage.ZERO
                content = bytes(PAGE_BYTES) if zeros else chance.randbytes(PAGE_BYTES)
                _write(file.fileno(), page * PAGE_BYTES, content)
        os.fsync(file.fileno())
    return f"{kind.value}, table {table}, byte {places[0]} of {path.stat().st_size}"


def _value(data: Path, chance: random.Random) -> tuple[str, bytes]:
    """A stored value, with its checksum, of a random table."""
    environment = open_environment(data, map_bytes=MAP_BYTES, readonly=True)
    try:
        with environment.begin() as transaction:
            tables = {name: environment.open_db(name.encode(), transaction) for name in TABLES}
            sizes = {name: transaction.stat(db)["entries"] for name, db in tables.items()}
            table = chance.choice([name for name in TABLES if sizes[name]])
            with transaction.cursor(db=tables[table]) as cursor:
                skipped = chance.randrange(min(sizes[table], SAMPLED_MAX))
                backwards = chance.random() < 0.5
                found = cursor.last() if backwards else cursor.first()
                for _ in range(skipped):
                    found = cursor.prev() if backwards else cursor.next()
                if not found:
                    raise ChaosError("NOTHING_TO_DAMAGE", f"{data} holds nothing")
                return table, bytes(cursor.value())
    finally:
        environment.close()


def _places(path: Path, value: bytes) -> list[int]:
    """Every offset at which the value stands, behind the two meta pages."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        places = []
        at = content.find(value, 2 * PAGE_BYTES)
        while at >= 0:
            places.append(at)
            at = content.find(value, at + 1)
    if not places:
        raise ChaosError("NOTHING_TO_DAMAGE", f"{path}: a stored value is not found in the file")
    return places


def _write(descriptor: int, offset: int, data: bytes) -> None:
    os.pwrite(descriptor, data, offset)
