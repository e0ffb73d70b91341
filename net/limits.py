"""Bounds a node applies to its connections (reliability §10). Sizes in bytes, times in seconds.

Those that the other end must know too stand in `tallynet/limits.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tallynet.limits import (
    FRAME_BYTES_MAX,
    FRAME_SECONDS,
    HANDSHAKE_SECONDS,
    IDLE_SECONDS_MAX,
    PING_SECONDS,
    WRITE_BYTES_MAX,
)
from tallynet.messages import (
    Blocks,
    BlocksGone,
    Bodies,
    FetchBlocks,
    FetchBodies,
    FetchProposal,
    FetchState,
    FetchStateHead,
    FetchVotes,
    Goodbye,
    Newest,
    NoState,
    PrePrepare,
    Proposal,
    SignedKind,
    StateHead,
    StatePart,
)

KIB: Final = 1024
MIB: Final = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerLimits:
    """How much strangers, clients and validators may take of one node."""

    half_open: int = 32
    """Connections in TLS or hello at a time, all addresses."""
    half_open_per_address: int = 4
    """The same from one IP address; loopback may use all 32, because a testnet is one address."""
    clients: int = 256
    clients_per_key: int = 8
    observers: int = 8
    """More follow those: a tree of three levels has room for five hundred. What they may take together is
    `node.followers`'."""
    observers_per_key: int = 2
    """A new connection of an observer whose old one the kernel still believes in."""
    handshake_seconds: float = HANDSHAKE_SECONDS
    idle_seconds: float = IDLE_SECONDS_MAX
    frame_seconds: float = FRAME_SECONDS
    peer_bytes_per_second: float = 5_000_000
    """From one validator, sustained; several times what 5,000 transactions a second need."""
    peer_burst_bytes: float = 16 * MIB
    """At once: a few answers to a node that catches up."""


STRIKES_MAX: Final = 20
"""Invalid messages of one key within BAN_SECONDS; one bad version of a program sends a few."""
BAN_SECONDS: Final = 60.0
STRIKES_KEYS_MAX: Final = 4_096
"""Keys remembered with strikes; client keys are free to make, so the oldest are forgotten."""

OUTBOX_MESSAGES_MAX: Final = 8_192
"""To one validator, connected. A second's worth of votes and gossip at 2,000 messages/s, four times
over; a peer further behind catches up from certified blocks instead."""
OUTBOX_BYTES_MAX: Final = 8 * MIB
"""Must hold the largest message."""
OFFLINE_MESSAGES_MAX: Final = 256
"""To a validator that is not connected: what was said last, so that two nodes that start together
lose nothing; more would be stale when it arrives."""
OFFLINE_BYTES_MAX: Final = 1 * MIB

CLIENT_OUTBOX_BYTES_MAX: Final = 16 * MIB
"""Replies a client has not read; beyond that it is disconnected and asks again (it may: requests
are idempotent)."""
CLIENT_OUTBOX_BYTES_PAUSE: Final = 2 * MIB
"""From here on its requests are not read until it has read replies."""

RECONNECT_SECONDS_FIRST: Final = 0.05
RECONNECT_SECONDS_MAX: Final = 2.0
"""Dialling costs the peer a half-open place for milliseconds; a healed partition must be noticed
well within one progress timeout."""
CONNECT_SECONDS: Final = 3.0
"""TCP only; the handshake has its own limit."""
STABLE_SECONDS: Final = 5.0
"""A link that lived this long was good: the next attempt starts without back-off."""
UNACKNOWLEDGED_SECONDS: Final = 10.0
"""TCP gives a silent peer up after this long instead of the kernel's quarter of an hour."""

MESSAGE_BYTES_MAX: Final[dict[type, int]] = {
    PrePrepare: 64 * KIB,
    Proposal: 64 * KIB,
    Bodies: MIB + 320 * KIB,
    FetchBodies: 32 * KIB,
    FetchProposal: KIB,
    FetchVotes: KIB,
    FetchBlocks: KIB,
    Blocks: FRAME_BYTES_MAX,
    BlocksGone: KIB,
    FetchStateHead: KIB,
    StateHead: MIB,
    NoState: KIB,
    FetchState: 8 * KIB,
    StatePart: MIB,
    Newest: KIB,
    Goodbye: 4 * KIB,
}
"""Per message between validators, or an observer and whom it follows. Bodies: 1 MiB, and the one envelope that went over it. Parts of the
state: 256 KiB, or the largest single entity, a voucher with all its lots."""
SIGNED_BYTES_MAX: Final[dict[SignedKind, int]] = {
    SignedKind.PREPARE: 2 * KIB,
    SignedKind.COMMIT: 2 * KIB,
    SignedKind.COMPLAINT: 2 * KIB,
    SignedKind.STATUS: 2 * KIB,
    SignedKind.VIEW_CHANGE: 512 * KIB,
    SignedKind.NEW_VIEW: 2 * MIB,
}

if not WRITE_BYTES_MAX < OUTBOX_BYTES_MAX >= FRAME_BYTES_MAX:
    raise ImportError("an outbox must hold the largest message and a whole write")
if not CLIENT_OUTBOX_BYTES_PAUSE + 2 * FRAME_BYTES_MAX <= CLIENT_OUTBOX_BYTES_MAX:
    raise ImportError("the answer to the last request read must still fit")
if not 2 * PING_SECONDS < IDLE_SECONDS_MAX:
    raise ImportError("one lost ping must not end a connection")
if set(SIGNED_BYTES_MAX) != set(SignedKind):
    raise ImportError("every kind of signed message needs a limit")
