"""The rules for a block's content, as pure functions: who proposes, votes or catches up asks here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from consensus.config import ReplicaConfig
from consensus.events import Transaction
from consensus.slots import Content
from tallynet.blocks import PROTOCOL_VERSION, Header
from tallynet.codec import decode, encode
from tallynet.errors import RemoteProtocolError
from tallynet.hashing import block_hash
from tallynet.merkle import list_root


def epoch_of(height: int, epoch_length: int) -> int:
    """Epoch e holds the heights e*L+1 .. (e+1)*L (protocol §5.8)."""
    return (height - 1) // epoch_length


def open_content(header_bytes: bytes, envelopes: tuple[bytes, ...]) -> Content:
    """Decode a header and bind the envelope hashes to it; every field comes from the hashed bytes (A2, A18).

    Raises:
        RemoteProtocolError: the header does not decode, or ROOT_MISMATCH.
    """
    header = decode(Header, header_bytes)
    if list_root(envelopes) != header.envelopes_root:
        raise RemoteProtocolError("ROOT_MISMATCH", "these hashes are not those under this header")
    return Content(header, header_bytes, block_hash(header_bytes), envelopes)


def build_content(
    config: ReplicaConfig,
    *,
    height: int,
    parent: bytes,
    time_ms: int,
    envelopes: tuple[bytes, ...],
    next_validators: bytes | None = None,
) -> Content:
    """A new block by this replica; `next_validators` None names the current set."""
    header = Header(
        genesis=config.genesis,
        version=PROTOCOL_VERSION,
        epoch=epoch_of(height, config.epoch_length),
        height=height,
        parent=parent,
        envelopes_root=list_root(envelopes),
        time_ms=time_ms,
        proposer=config.index,
        next_validators=config.validators_hash if next_validators is None else next_validators,
    )
    raw = encode(header)
    return Content(header, raw, block_hash(raw), envelopes)


def chain_fault(header: Header, parent: bytes, parent_time_ms: int) -> str | None:
    """Why this header cannot follow that parent; None when it can."""
    if header.parent != parent:
        return "does not follow the block below it"
    if header.time_ms <= parent_time_ms:
        return "not younger than the block below it"
    return None


def transactions_fault(
    config: ReplicaConfig,
    content: Content,
    transactions: Sequence[Transaction],
    is_remembered: Callable[[Transaction], bool],
) -> str | None:
    """Why no block may hold these transactions at its time; None when one may (INV-14)."""
    if len(transactions) > config.batch_transactions_max:
        return f"{len(transactions)} transactions"
    if len({transaction.id for transaction in transactions}) != len(transactions):
        return "a transaction twice in one block"
    earliest = content.header.time_ms // 1000
    latest = earliest + config.transaction_ttl_s
    size = 0
    for transaction in transactions:
        if not earliest < transaction.valid_until <= latest:
            return "an expired transaction, or one valid for too long"
        size += transaction.size
        if is_remembered(transaction):
            return "a transaction that was committed before"
    if size > config.batch_bytes_max:
        return f"{size} bytes of envelopes"
    return None
