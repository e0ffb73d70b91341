"""Answers the consensus core's questions about the ledger (`consensus.ledger_view.LedgerView`)."""

from __future__ import annotations

from typing import Final

from consensus.events import Transaction
from node.executor import Executor
from node.ledger.execute import wants_block
from node.pool import Pool
from node.store import Store


class NodeLedgerView:
    def __init__(self, executor: Executor, pool: Pool, store: Store) -> None:
        self._executor: Final = executor
        self._pool: Final = pool
        self._store: Final = store

    def is_remembered(self, transaction_id: bytes) -> bool:
        """True iff a committed block holds the id; see the protocol class for the rest."""
        envelope = self._pool.get(transaction_id)
        if envelope is None:
            with self._store.reader() as reader:
                return reader.transaction(transaction_id) is not None
        return self._executor.is_remembered(transaction_id, envelope.body.valid_until)

    def held(self, transaction_id: bytes) -> Transaction | None:
        """The transaction whose verified body the pool holds."""
        envelope = self._pool.get(transaction_id)
        if envelope is None:
            return None
        body = envelope.body
        return Transaction(transaction_id, body.organisation, body.valid_until, len(envelope.raw))

    def wants_block(self, time_ms: int) -> bool:
        """True iff a day roll is due at this header time or a prologue left work."""
        return wants_block(self._executor.view, time_ms // 1000)
