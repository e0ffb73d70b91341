"""A write batch: what one transaction makes durable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from node.state.tables import Changes
from node.store.tables import (
    BLOCKS,
    BODIES,
    EVIDENCE,
    JOURNAL,
    META,
    RECEIPTS,
    TRANSACTIONS,
    VIEWS,
    VOUCHER_LOG,
    BlockRow,
    ReceiptsRow,
    Staging,
    Tip,
    chunks,
    height_key,
    pack,
)  # fmt: skip
from tallynet.blocks import Certificate
from tallynet.codec import encode

TIP_KEY: Final = b"tip"
BASE_KEY: Final = b"base"
"""Height of the first block after the state that was fetched last; absent: none ever was."""
PRUNED_KEY: Final = b"pruned"
"""Height up to which old blocks were deleted; absent: none were."""
GENERATION_KEY: Final = b"generation"
STAGING_KEY: Final = b"staging"

STAGED: Final = "staged "
"""Before the name of a state table: the table of the state that is not current."""


class WriteBatch:
    """Puts and deletes of one transaction. Later writes to a key replace earlier ones.

    Filled on the event loop, applied by `Store.commit` on the writer thread.
    """

    def __init__(self) -> None:
        self.rows: Final[dict[str, dict[bytes, bytes | None]]] = {}
        """Per table; None deletes."""
        self.delivered: Final[list[tuple[int, bytes]]] = []
        """(height, block hash) of blocks that became final: their rivals' bodies go."""
        self.generation: int | None = None
        """With this batch the other state becomes the current one, by this number."""

    def __len__(self) -> int:
        """Number of rows."""
        return sum(len(rows) for rows in self.rows.values())

    def _table(self, table: str) -> dict[bytes, bytes | None]:
        return self.rows.setdefault(table, {})

    def journal(self, key: bytes, value: bytes | None) -> None:
        """One entry of the consensus core; None deletes it."""
        self._table(JOURNAL)[key] = value

    def meta(self, name: bytes, value: bytes | None) -> None:
        """One named value of the node; None deletes it."""
        self._table(META)[name] = value

    def evidence(self, key: bytes, proof: bytes) -> None:
        """A proof of misbehaviour; there is at most one per key, and the core bounds their number."""
        self._table(EVIDENCE).update(chunks(key, proof))

    def archive(self, epoch: int, view: int, new_view: bytes) -> None:
        """The NewView that opened a view here, for forensics; the store bounds their number."""
        self._table(VIEWS).update(chunks(height_key(epoch) + height_key(view), new_view))

    def state(self, changes: Changes) -> None:
        """State changes of one sealed overlay; of consecutive blocks in order of height."""
        for table, rows in changes.by_table():
            if rows:
                self._table(table).update(rows)

    def hold(self, height: int, block: bytes, envelopes: Sequence[bytes]) -> None:
        """Keep the bodies of a candidate for `height` (before its Prepare leaves). They are not
        written again when the block is delivered."""
        self._table(BODIES).update(chunks(height_key(height) + block, pack(envelopes)))

    def release(self, height: int, block: bytes, envelopes: Sequence[bytes]) -> None:
        """Delete the bodies of a candidate that `hold` got."""
        rows = chunks(height_key(height) + block, pack(envelopes))
        self._table(BODIES).update(dict.fromkeys(key for key, _ in rows))

    def genesis(self, genesis: bytes, state_root: bytes, changes: Changes) -> None:
        """The state that the first block stands on."""
        self.state(changes)
        self.meta(TIP_KEY, encode(Tip(0, genesis, state_root)))

    def deliver(
        self,
        *,
        height: int,
        block: bytes,
        header: bytes,
        envelopes: Sequence[bytes],
        executed: Mapping[bytes, int],
        certificate: Certificate,
        state_root: bytes,
        receipts: Sequence[bytes],
        events: Sequence[bytes],
        changes: Changes,
    ) -> None:
        """Everything of a block that became final but its bodies, which are held already or are
        held by this batch too. Bodies of its rivals are deleted.

        `envelopes` are envelope hashes, `executed` says where in the block which transaction id was
        admitted: only those can be found by id, so that a mutilated copy or a replay, put into a
        block by a faulty proposer, never hides the receipt of the genuine one (voucher law §5).
        `receipts` are the leaves of the receipts tree: the prologue's comes first.
        """
        key = height_key(height)
        row = BlockRow(block, header, tuple(envelopes), certificate)
        self._table(BLOCKS)[key] = encode(row)
        given = ReceiptsRow(tuple(receipts), tuple(events))
        self._table(RECEIPTS).update(chunks(key, encode(given)))
        found = self._table(TRANSACTIONS)
        for transaction, position in executed.items():
            found[transaction] = key + position.to_bytes(4, "big")
        self.state(changes)
        self.meta(TIP_KEY, encode(Tip(height, block, state_root)))
        self.delivered.append((height, block))

    def log(self, height: int, log: Mapping[bytes, bytes]) -> None:
        """Where the events of vouchers in a delivered block are (`BlockResult.log`)."""
        if log:
            key = height_key(height)
            self._table(VOUCHER_LOG).update({event: key + place for event, place in log.items()})

    # --- a state that was fetched (node.state_sync) -----------------------------------------------

    def staged(self, table: str, rows: Mapping[bytes, bytes | None]) -> None:
        """Rows of the state table `table` of the state that is not current."""
        if rows:
            self._table(STAGED + table).update(rows)

    def staging(self, row: Staging | None) -> None:
        """How far the state that is not current has come; None: what is there is of no use."""
        self.meta(STAGING_KEY, None if row is None else encode(row))

    def adopt(
        self,
        *,
        generation: int,
        height: int,
        block: bytes,
        row: Staging,
        certificate: Certificate,
        state_root: bytes,
        journal: Mapping[bytes, bytes | None],
        candidates: Iterable[bytes],
    ) -> None:
        """The staged state becomes the current one, and the block that it belongs to the newest one:
        all at once, so that a crash leaves the old state or the new one. The bodies of that block
        stay unknown, and blocks are held from the next one on.

        `journal` are the changes of the consensus core's entries, `candidates` the keys of bodies that
        were held for blocks up to this one.
        """
        self.generation = generation
        self.meta(GENERATION_KEY, generation.to_bytes(8, "big"))
        self.staging(None)
        self.meta(BASE_KEY, height_key(height + 1))
        self.meta(TIP_KEY, encode(Tip(height, block, state_root)))
        held = BlockRow(block, row.header, row.envelopes, certificate)
        self._table(BLOCKS)[height_key(height)] = encode(held)
        self._table(JOURNAL).update(journal)
        self._table(BODIES).update(dict.fromkeys(candidates))

    # --- old blocks -------------------------------------------------------------------------------

    def prune(
        self, height: int, pieces: Mapping[str, Iterable[bytes]], *, keep_header: bool
    ) -> None:
        """Delete what is held of an old block, all lower ones being gone already. `pieces` are keys by
        table: of its bodies, its receipts, and the transactions that are found in it. With
        `keep_header` its row stays: header, certificate, ids."""
        for table, keys in pieces.items():
            self._table(table).update(dict.fromkeys(keys))
        if not keep_header:
            self._table(BLOCKS)[height_key(height)] = None
        self.meta(PRUNED_KEY, height_key(height))
