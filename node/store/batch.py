"""A write batch: what one transaction makes durable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    BlockRow,
    ReceiptsRow,
    Tip,
    chunks,
    height_key,
    pack,
)  # fmt: skip
from tallynet.blocks import Certificate
from tallynet.codec import encode

TIP_KEY: Final = b"tip"


class WriteBatch:
    """Puts and deletes of one transaction. Later writes to a key replace earlier ones.

    Filled on the event loop, applied by `Store.commit` on the writer thread.
    """

    def __init__(self) -> None:
        self.rows: Final[dict[str, dict[bytes, bytes | None]]] = {}
        """Per table; None deletes."""
        self.delivered: Final[list[tuple[int, bytes]]] = []
        """(height, block hash) of blocks that became final: their rivals' bodies go."""

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
