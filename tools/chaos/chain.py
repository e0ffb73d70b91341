"""A node's chain as plain values, read from the files of a stopped node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from tallynet.blocks import Commit
from tallynet.codec import decode
from tallynet.evidence import culprit
from tallynet.receipts import EnvelopeReceipt
from tallynet.validators import Succession
from tools.audit import stopped_store
from tools.testnet_files import GENESIS_FILE, load_genesis


@dataclass(frozen=True, slots=True)
class ChainBlock:
    """What a node keeps of one height."""

    height: int
    block: bytes
    """Block hash."""
    state_root: bytes
    """That a quorum signed."""
    transactions: tuple[bytes, ...]
    """That took effect here, in order; copies that were not admitted use nothing up."""
    receipts: tuple[bytes, ...]
    """SHA-256 of each one's receipt."""
    epoch: int
    view: int
    signers: tuple[int, ...]
    """Validators whose Commits are in this node's certificate."""


@dataclass(frozen=True, slots=True)
class Chain:
    node: str
    blocks: Sequence[ChainBlock]
    """Ascending, from `first`."""
    state_root: bytes
    """Of the stored state."""
    first: int = 1
    """Blocks below are not held: the node fetched a state above them."""
    convicted: Mapping[int, str] = field(default_factory=dict)
    """Validator index -> the last thing that a proof in this node's store convicts it of."""

    @property
    def height(self) -> int:
        return self.blocks[-1].height if self.blocks else 0


def read_chain(directory: Path) -> Chain:
    """All blocks that the stopped node of a directory holds. One that is missing ends them.

    Raises:
        StoreError, StoreFatal: the database cannot be read or is damaged.
        RemoteProtocolError: it keeps a proof that proves nothing.
    """
    blocks: list[ChainBlock] = []
    electorate = Succession.of(load_genesis(directory / GENESIS_FILE))
    with stopped_store(directory / "data") as stored:
        found = [culprit(proof, electorate) for _, proof in stored.evidence()]
        tip, first = stored.tip(), stored.base()
        for height in range(first, 1 + (0 if tip is None else tip.height)):
            row, given = stored.block(height), stored.receipts(height)
            if row is None or given is None:
                break
            commit = decode(Commit, row.certificate.vote)
            opened = [(raw, decode(EnvelopeReceipt, raw)) for raw in given.receipts[1:]]
            admitted = [(raw, receipt) for raw, receipt in opened if receipt.code == "OK"]
            blocks.append(
                ChainBlock(
                    height,
                    row.block,
                    commit.state_root,
                    tuple(receipt.transaction for _, receipt in admitted),
                    tuple(sha256(raw).digest() for raw, _ in admitted),
                    commit.epoch,
                    commit.view,
                    row.certificate.signers,
                )
            )
        return Chain(
            directory.name,
            blocks,
            b"" if tip is None else tip.state_root,
            first,
            {conviction.signer: str(conviction) for conviction in found},
        )
