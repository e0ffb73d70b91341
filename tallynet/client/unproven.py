"""What a client hands on although nothing proves it: one node's word, and named so."""

from __future__ import annotations

from dataclasses import dataclass

from tallynet.messages import TransactionPhase
from tallynet.receipts import EnvelopeReceipt

__all__ = ["UnprovenDryRun", "UnprovenPage", "UnprovenPhase"]


@dataclass(frozen=True, slots=True)
class UnprovenDryRun:
    """What one node says would happen now; nothing was ordered, and nothing is proven."""

    height: int
    receipt: EnvelopeReceipt
    reasons: tuple[str, ...]
    """One per command, empty for OK."""


@dataclass(frozen=True, slots=True)
class UnprovenPage:
    """Entries of a derived index as one node lists them: it may leave some out and make others up. What an
    entry names is proven by reading its record."""

    entries: tuple[bytes, ...]
    more: bool
    """There are more after the last one."""


@dataclass(frozen=True, slots=True)
class UnprovenPhase:
    """What one node says of a transaction without a receipt. UNKNOWN after `valid_until`, from f+1 nodes, means
    that it never happened."""

    phase: TransactionPhase
