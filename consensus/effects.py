"""What a step of the replica wants done, and the order in which it must be done.

The contract. `persist` of a step MUST be durable BEFORE anything in `send_after` of that step, or
of any later step, leaves the process (INV-5). `send_now` may leave at once. `deliver` is made
durable in the same transaction as `persist`; clients hear of a block only AFTER it is durable.
`execute` asks for execution on an overlay; the answer comes back as an `Executed` event.
The driver gathers the effects of several steps into one transaction (group commit), in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from tallynet.blocks import Certificate, Commit, Header

ALL: Final = -1
"""Destination of a broadcast: every other validator."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send encoded peer message `message` to validator index `to`, or to `ALL`."""

    to: int
    message: bytes


@dataclass(frozen=True, slots=True)
class Persist:
    """Write one journal entry; `value` None deletes it. Keys are the replica's own business."""

    key: bytes
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Execute:
    """Execute this block on an overlay over its parent; answer with `Executed`. The bodies of all
    `envelopes` are held by the driver."""

    header: Header
    header_bytes: bytes
    block: bytes
    """Block hash."""
    envelopes: tuple[bytes, ...]
    """Envelope hashes, in block order."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """The block is final. The driver writes block, receipts, state and certificate in the
    transaction of this step and then answers the clients. Comes in height order, once per height,
    and only for a block whose `Executed` equalled the certificate."""

    header: Header
    header_bytes: bytes
    block: bytes
    envelopes: tuple[bytes, ...]
    certificate: Certificate
    commit: Commit


@dataclass(frozen=True, slots=True)
class Hold:
    """Bodies of a candidate block for `height`, all held by the driver."""

    height: int
    block: bytes
    """Block hash."""
    envelopes: tuple[bytes, ...]
    """Envelope hashes, in block order."""


@dataclass(frozen=True, slots=True)
class Retain:
    """Of the blocks above a height only these may still be voted on, executed or asked for by their hash:
    the bodies of all others may go. Was one prepared elsewhere, who did that holds them."""

    above: int
    blocks: tuple[bytes, ...]
    """Block hashes."""


@dataclass(frozen=True, slots=True)
class Relay:
    """Send these bodies, all held by the driver, to validator `to`, in messages of a size that it takes."""

    to: int
    envelopes: tuple[bytes, ...]
    """Envelope hashes: at most a batch, by count and by bytes."""


@dataclass(frozen=True, slots=True)
class Accusation:
    """A proof that convicts a validator, of a rule and place that none was kept for yet."""

    key: bytes
    """`tallynet.evidence.Conviction.key`."""
    proof: bytes
    """Encoded `tallynet.evidence.Evidence`."""


@dataclass(frozen=True, slots=True)
class Archived:
    """A NewView as signed by its leader, with the ViewChanges inside."""

    epoch: int
    view: int
    new_view: bytes
    """Encoded `Signed`."""


@dataclass(frozen=True, slots=True)
class Effects:
    persist: list[Persist] = field(default_factory=list)
    send_after: list[Send] = field(default_factory=list)
    send_now: list[Send] = field(default_factory=list)
    relay: list[Relay] = field(default_factory=list)
    """May leave at once."""
    execute: list[Execute] = field(default_factory=list)
    discard: list[bytes] = field(default_factory=list)
    """Block hashes whose overlays are no longer wanted (their children went before them)."""
    retain: list[Retain] = field(default_factory=list)
    """About blocks of earlier steps: comes BEFORE the `hold` of this step."""
    hold: list[Hold] = field(default_factory=list)
    """Keep these bodies durably BEFORE this step's `send_after`."""
    deliver: list[Deliver] = field(default_factory=list)
    evidence: list[Accusation] = field(default_factory=list)
    """Proofs of misbehaviour, made durable in the transaction of this step and shown."""
    archive: list[Archived] = field(default_factory=list)
    """NewViews that opened a view here, made durable in the transaction of this step: a fork across views
    is explained by them alone (reliability §12)."""
    log: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    """(event name, fields) for the structured log: view changes, complaints, refusals."""
