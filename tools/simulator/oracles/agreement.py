"""Oracle 1: one block per height over all correct replicas, for ever, across restarts."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from tallynet.blocks import faulty_max
from tallynet.signatures import KIND_COMMIT
from tools.simulator.oracles.base import Committed, Oracle

if TYPE_CHECKING:
    from tools.simulator.node import SimulatedNode
    from tools.simulator.run import Run


class Agreement(Oracle):
    """Every durable block is the one block of its height, follows the one below it, orders what its header
    binds, and carries the signatures of more than (n + f) / 2 distinct validators; what is durable stays."""

    name = "agreement"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._canonical: Final[dict[int, bytes]] = {}
        self._times: Final[dict[int, int]] = {}
        self._newest: Final[dict[int, int]] = {}
        """Process -> its newest durable height."""

    def committed(self, node: SimulatedNode, block: Committed) -> None:
        known = self._canonical.setdefault(block.height, block.block)
        if known != block.block:
            raise self.violated(f"fork at height {block.height}: {node} has another block")
        below = self._newest.get(node.number, 0)
        if block.height != below + 1:
            raise self.violated(f"{node} goes from height {below} to {block.height}")
        self._newest[node.number] = block.height
        if block.height > 1 and block.header.parent != self._canonical[block.height - 1]:
            raise self.violated(f"height {block.height} does not follow the block below it")
        self._times[block.height] = block.header.time_ms
        if block.header.time_ms <= self._times.get(block.height - 1, 0):
            raise self.violated(f"height {block.height} is not younger than the block below it")
        if sha256(b"\x02" + block.header_bytes).digest() != block.block:
            raise self.violated(f"height {block.height} of {node}: not the hash of its header")
        if list_root(block.names) != block.header.envelopes_root:
            raise self.violated(f"height {block.height} of {node}: not the content of its header")
        self._check_certificate(node, block)

    def _check_certificate(self, node: SimulatedNode, block: Committed) -> None:
        vote, certificate = block.commit, block.certificate
        if (vote.height, vote.block) != (block.height, block.block):
            raise self.violated(f"the certificate of height {block.height} of {node} is another's")
        keys = self.run.succession.set_of(vote.epoch).keys
        n, f = len(keys), faulty_max(len(keys))
        if 2 * len(set(certificate.signers)) <= n + f:
            raise self.violated(f"too few signers at height {block.height} of {node}")
        for index, signature in zip(certificate.signers, certificate.signatures, strict=True):
            if not self.run.verify_vote(KIND_COMMIT, certificate.vote, keys[index], signature):
                raise self.violated(f"{node} holds a forged signature of {index} at {block.height}")

    def adopted(self, node: SimulatedNode) -> None:
        if node.faulty:
            return
        if node.height <= self._newest.get(node.number, 0):
            raise self.violated(f"{node} adopts the state of height {node.height}, which it had")
        self._at_head(node)

    def started(self, node: SimulatedNode) -> None:
        if not node.faulty and node.height < self._newest.get(node.number, 0):
            raise self.violated(f"{node} forgot blocks: it starts at height {node.height}")
        self._at_head(node)

    def _at_head(self, node: SimulatedNode) -> None:
        """A machine was built on what is stored; its newest block may come from a fetched state."""
        self._newest[node.number] = node.height
        if node.machine is None or node.faulty or not node.height:
            return
        head = node.machine.executor.head
        if self._canonical.setdefault(head.height, head.block) != head.block:
            raise self.violated(f"fork at height {head.height}: {node} stands on another block")


class Forks(Oracle):
    """Judges nothing: where more lie than agreement can stand, it notes what became of agreement."""

    name = "forks"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._blocks: Final[dict[int, bytes]] = {}
        self._forked: Final[dict[int, None]] = {}

    def committed(self, node: SimulatedNode, block: Committed) -> None:
        del node
        if self._blocks.setdefault(block.height, block.block) != block.block:
            self._forked[block.height] = None

    @property
    def heights(self) -> list[int]:
        """At which correct validators hold different blocks."""
        return sorted(self._forked)


def list_root(leaves: Sequence[bytes]) -> bytes:
    """What a header binds its envelopes by, in the words of RFC 6962 §2.1, with their count."""
    tree = _tree_hash(leaves) if leaves else b""
    return sha256(b"\x02" + len(leaves).to_bytes(4, "big") + tree).digest()


def _tree_hash(leaves: Sequence[bytes]) -> bytes:
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    left = 1 << (len(leaves) - 1).bit_length() - 1
    halves = _tree_hash(leaves[:left]) + _tree_hash(leaves[left:])
    return sha256(b"\x01" + halves).digest()
