"""What is known of each height above the newest commit: content, votes, certificates, execution."""

from __future__ import annotations

from dataclasses import dataclass, field

from consensus.votes import Tally
from tallynet.blocks import Certificate, Commit, Header
from tallynet.messages import Signed


@dataclass(frozen=True, slots=True)
class Content:
    """A block's content; hash and transactions root have been recomputed from the bytes (A18)."""

    header: Header
    header_bytes: bytes
    block: bytes
    transactions: tuple[bytes, ...]
    members: frozenset[bytes]
    """The same ids, for the duplicate check."""


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
    roots: tuple[bytes, bytes] | None = None
    """(state root, receipts root) once `Executed` arrived."""
