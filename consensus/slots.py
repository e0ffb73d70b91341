"""What is known of each height above the newest commit: content, votes, certificates, execution."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from consensus.events import Transaction
from consensus.votes import Tally
from tallynet.blocks import Certificate, Commit, Header
from tallynet.messages import Signed


@dataclass(frozen=True, slots=True)
class Content:
    """A block's content; hash and envelopes root have been recomputed from the bytes (A18)."""

    header: Header
    header_bytes: bytes
    block: bytes
    envelopes: tuple[bytes, ...]
    """Envelope hashes, in block order."""


def ids_of(transactions: Iterable[Transaction]) -> dict[bytes, None]:
    """The transaction ids as an ordered set."""
    return dict.fromkeys(transaction.id for transaction in transactions)


@dataclass(frozen=True, slots=True)
class Candidate:
    """The leader's signed Prepare for a block at this height: a proposal, with or without content."""

    block: bytes
    prepare: Signed
    again: bool
    """Chosen by a NewView: the clock rule does not apply, the proposer may be another."""


@dataclass(slots=True)
class Slot:
    """One height in the current view."""

    height: int
    since_ms: int
    """When it was opened: what stays open too long is sent again."""
    prepares: Tally = field(default_factory=Tally)
    commits: Tally = field(default_factory=Tally)
    candidate: Candidate | None = None
    accepted: Content | None = None
    """Write-once (INV-2). Set exactly when the own Prepare exists, for those who may vote."""
    transactions: dict[bytes, None] = field(default_factory=dict)
    """Transaction ids in the accepted block, for the duplicate check (INV-14)."""
    fill: int = 0
    """How full the accepted block is, in permille of a batch (`consensus.pace`)."""
    rejected: bool = False
    """The candidate broke a rule: never accepted in this view."""
    own_prepare: Signed | None = None
    own_commit: Signed | None = None
    certificate: Certificate | None = None
    """q Prepares of this view for the accepted block."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A sticky certificate: kept until one of a higher view replaces it or its height commits."""

    view: int
    content: Content
    certificate: Certificate


@dataclass(slots=True)
class Certified:
    """A block with a commit certificate that is not delivered yet: it will be, in order."""

    block: bytes
    certificate: Certificate
    commit: Commit


@dataclass(slots=True)
class Execution:
    """A block handed to execution, on top of the one below it."""

    content: Content
    transactions: dict[bytes, None]
    """Transaction ids in it."""
    roots: tuple[bytes, bytes] | None = None
    """(state root, receipts root) once `Executed` arrived."""
