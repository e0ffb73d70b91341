"""What happens to a replica: the only inputs of `Replica.step`."""

from __future__ import annotations

from dataclasses import dataclass

from tallynet.messages import Newest, PeerMessage


@dataclass(frozen=True, slots=True)
class Received:
    """A decoded message from the authenticated connection of validator index `source`; for an observer, of
    the node with this number among those that it follows."""

    source: int
    message: PeerMessage | Newest


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed. `now_ms` never goes back; `wall_ms` is the unix clock and may."""

    now_ms: int
    wall_ms: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """What the replica needs to know of an envelope whose body is held."""

    envelope: bytes
    """Envelope hash: what blocks order, one copy with its signatures."""
    id: bytes
    """Transaction id, the same for all copies: what is executed at most once (INV-14)."""
    organisation: bytes
    valid_until: int
    """Unix seconds."""
    size: int
    """Bytes of the encoded envelope."""


@dataclass(frozen=True, slots=True)
class TransactionsHeld:
    """These bodies are held from now on."""

    transactions: tuple[Transaction, ...]
    checked: bool = True
    """The voucher law would admit them now, so they may be proposed. Otherwise each is what its hash
    says and no more: good for a block that names it, whoever proposed that."""


@dataclass(frozen=True, slots=True)
class BlocksPaused:
    """The driver gets the state itself from the others (decision 0040), or has stopped doing so: while
    `paused` no committed blocks are asked for."""

    paused: bool


@dataclass(frozen=True, slots=True)
class Persisted:
    """All effects up to step number `turn` are durable."""

    turn: int


@dataclass(frozen=True, slots=True)
class Executed:
    """Result of an `Execute`."""

    block: bytes
    state_root: bytes
    receipts_root: bytes


Event = Received | Tick | TransactionsHeld | BlocksPaused | Persisted | Executed
