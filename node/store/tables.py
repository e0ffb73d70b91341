"""Tables, keys, checksums and LMDB options: everything about the file format, in one place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from zlib import crc32

import lmdb

from node.state.tables import INDEXES, RECORDS, STATE_TABLES, STATE_TREE
from tallynet.blocks import Certificate
from tallynet.codec import Wire
from tallynet.fields import Hash, Height
from tallynet.messages import EnvelopeHashes

SCHEMA: Final = 8
"""Version of the file format; a node refuses any other."""
SCHEMA_KEY: Final = b"schema"
"""Its place in META, which is the same in every version."""
GENESIS_KEY: Final = b"genesis"
NODE_KEY: Final = b"node key"
STORE_ID_KEY: Final = b"store id"
BOOT_KEY: Final = b"boot"
MARKED_KEY: Final = b"boot marked before"
VOTE_BAR_KEY: Final = b"vote bar"
"""Further places in META."""

META: Final = "meta"
"""name -> value: schema, genesis, node key, store id, tip, base, pruned, generation, staging, boot, boot
marked before, vote bar."""
JOURNAL: Final = "journal"
"""key of the consensus core -> value: accepted slots, votes, certificates, view."""
BLOCKS: Final = "blocks"
"""height (8) -> encoded `BlockRow`."""
BODIES: Final = "bodies"
"""height (8) ‖ block hash (32) ‖ chunk (2) -> envelopes of a candidate or final block."""
RECEIPTS: Final = "receipts"
"""height (8) ‖ chunk (2) -> encoded `ReceiptsRow`."""
TRANSACTIONS: Final = "transactions"
"""transaction id -> height (8) ‖ position in the block (4) of the copy that was executed."""
VOUCHER_LOG: Final = "voucher log"
"""voucher (16) ‖ sequence (8) -> height (8) ‖ position in the block (4) ‖ start (8) ‖ end (8): where the
events of a voucher are, and which range each is about."""

EVIDENCE: Final = "evidence"
"""key of a proof (`tallynet.evidence.Conviction`) ‖ chunk (2) -> encoded proof of misbehaviour."""
VIEWS: Final = "views"
"""epoch (8) ‖ view (8) ‖ chunk (2) -> encoded `Signed` NewView that opened this view here."""
VIEWS_ROWS_MAX: Final = 4_096
"""At most 128 MiB; then the oldest go. Up to about 40 validators a NewView is one row, and a view lasts
seconds even where every leader is faulty: what explains a fork is there for hours, while two
certificates that contradict each other meet within seconds after their holders can talk."""
HANDOVERS: Final = "handovers"
"""first epoch of a validator set (8) ‖ chunk (2) -> encoded `Handover` that made it; kept for ever."""

_SECOND: Final = ".2"
TABLES: Final = (
    META, JOURNAL, STATE_TREE, RECORDS, INDEXES, STATE_TREE + _SECOND, RECORDS + _SECOND,
    INDEXES + _SECOND, TRANSACTIONS, BLOCKS, RECEIPTS, BODIES,
    EVIDENCE, VIEWS, VOUCHER_LOG, HANDOVERS,
)  # fmt: skip
"""In the order in which they are scanned at boot: first what voting and execution stand on. The tables
of the state exist twice: one set is current, the other is empty, or holds a state that is being fetched
or was replaced. META's generation says which: it counts how often they changed places."""


def name_in_file(table: str, generation: int) -> str:
    """Name of a table in the database while `generation` is current."""
    return table + _SECOND if table in STATE_TABLES and generation & 1 else table


MAP_BYTES: Final = 64 << 30
"""Virtual size of the map; the file is sparse and grows with what is stored (reliability §13)."""
ALARM_PERCENT: Final = 80
"""Deletes need room too, so the alarm comes well before the end."""
READERS_MAX: Final = 126
"""LMDB's default; a node holds one long-lived reader slot and a few short ones."""
CHUNK_BYTES: Final = 32 * 1024 - 128
"""Large values are cut to this size: eight pages in a row are easily found in a used file, two
megabytes are not."""
CHECKSUM_BYTES: Final = 4

LOCK_FILE: Final = "store.lock"

_RESIDUE: Final = 0x2144DF1C
"""CRC-32 of any bytes followed by their own little-endian CRC-32."""
SEEDS: Final[dict[str, int]] = {name: crc32(name.encode()) for name in TABLES}


class BlockRow(Wire):
    """A final block without its bodies."""

    block: Hash
    header: bytes
    envelopes: EnvelopeHashes
    certificate: Certificate


class ReceiptsRow(Wire):
    """What a block gave."""

    receipts: tuple[bytes, ...]
    """Leaves of the receipts tree in order: prologue receipt, then one per envelope."""
    events: tuple[bytes, ...]
    """All encoded events of the block, in order."""


class Staging(Wire):
    """A state that is being fetched or prepared in the other set of state tables."""

    header: bytes
    """Of the block whose state is complete there, as soon as it is; empty while it is being fetched."""
    envelopes: EnvelopeHashes
    certificate: Certificate | None
    indexed: bytes
    """Key of the last record whose index entries are there; empty before the first."""


class Tip(Wire):
    """The newest durable block."""

    height: Height
    """0: only the genesis state is stored."""
    block: Hash
    """Its hash; the genesis hash at height 0."""
    state_root: Hash
    """Of the state tables in the same transaction."""


def open_environment(
    directory: Path, *, map_bytes: int, readonly: bool, beside: bool = False
) -> Any:
    """The one place where LMDB's options are chosen. `beside`: read a database that a node may have open; the
    reader is entered in LMDB's own lock file, so that no page it reads is used again meanwhile."""
    return lmdb.open(
        str(directory),
        map_size=map_bytes,
        subdir=True,
        readonly=readonly,
        create=not readonly,
        metasync=True,  # without it the last commit, a vote, may be lost
        sync=True,  # without it a power cut can corrupt the file
        map_async=False,
        writemap=False,  # a full disk would kill the process by signal
        meminit=True,  # no heap contents on disk
        readahead=readonly,  # the scan reads in order, the node at random
        max_dbs=len(TABLES),
        max_readers=READERS_MAX,
        max_spare_txns=4,  # the live reader begins one per read
        lock=beside
        or not readonly,  # readers of a closed database: the scan holds our own lock file
        mode=0o600,
    )


def sealed(seed: int, key: bytes, value: bytes) -> bytes:
    """Value with its checksum, which covers table and key too: a misdirected write shows (B10)."""
    return value + crc32(key + value, seed).to_bytes(CHECKSUM_BYTES, "little")


def sealed_rows(
    seed: int, rows: Mapping[bytes, bytes | None]
) -> tuple[list[tuple[bytes, bytes]], list[bytes]]:
    """Rows to put, `sealed`, and keys to delete, both in order of key, so that neighbours meet the same page. A
    block has thousands of rows: no call for each."""
    puts: list[tuple[bytes, bytes]] = []
    deletes: list[bytes] = []
    for key in sorted(rows):
        value = rows[key]
        if value is None:
            deletes.append(key)
        else:
            puts.append((key, value + crc32(key + value, seed).to_bytes(CHECKSUM_BYTES, "little")))
    return puts, deletes


def intact(seed: int, key: bytes | memoryview, stored: bytes | memoryview) -> bool:
    """Whether a stored value is the one that was written under this key."""
    return crc32(stored, crc32(key, seed)) == _RESIDUE


class Logged(NamedTuple):
    """Where one event of a voucher is."""

    sequence: int
    height: int
    position: int
    """Among the events of its block."""
    start: int
    end: int


def height_key(height: int) -> bytes:
    return height.to_bytes(8, "big")


def chunks(prefix: bytes, data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Rows that hold a large value: total length (8) and first piece, then the other pieces."""
    data = len(data).to_bytes(8, "big") + data
    for number, at in enumerate(range(0, len(data), CHUNK_BYTES)):
        yield prefix + number.to_bytes(2, "big"), data[at : at + CHUNK_BYTES]


def pack(items: Sequence[bytes]) -> bytes:
    """Byte strings in a row, each with its length (4)."""
    return b"".join(len(item).to_bytes(4, "big") + item for item in items)


def unpack(data: bytes) -> tuple[bytes, ...]:
    """The byte strings of `pack`."""
    items: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        items.append(data[at + 4 : end])
        at = end
    return tuple(items)
