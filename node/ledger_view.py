"""Answers the consensus core's questions about the ledger (`consensus.ledger_view.LedgerView`)."""

from __future__ import annotations

from typing import Final

from consensus.events import Transaction
from node.executor import Executor
from node.ledger.execute import wants_block
from node.ledger.membership import validators_of
from node.pool import transaction_of
from tallynet.genesis import validators_hash


class NodeLedgerView:
    def __init__(self, executor: Executor) -> None:
        self._executor: Final = executor

    def is_remembered(self, transaction: Transaction) -> bool:
        """True iff a delivered block executed it; see the protocol class for the rest."""
        return self._executor.is_remembered(transaction.id, transaction.valid_until)

    def held(self, envelope: bytes) -> Transaction | None:
        """The transaction whose body this node holds under that envelope hash."""
        body = self._executor.envelope(envelope)
        return None if body is None else transaction_of(body)

    def admits(self, transaction: Transaction, time_s: int) -> bool:
        """By the same rules as at the door; signatures are not verified again."""
        body = self._executor.envelope(transaction.envelope)
        return body is not None and self._executor.admits(body, time_s)

    def wants_block(self, time_ms: int) -> bool:
        """True iff a day roll is due at this header time or a prologue left work."""
        return wants_block(self._executor.view, time_ms // 1000)

    def next_validators(self, epoch: int) -> bytes:
        """Hash of the set that the state names for the epoch after the current one."""
        return validators_hash(validators_of(self._executor.view, epoch))
