"""Binary Merkle tree over a list (RFC 6962 shape, with the count bound into the root; C6, C7).

root = SHA-256(0x02 ‖ count ‖ tree hash); leaf = SHA-256(0x00 ‖ bytes); node = SHA-256(0x01 ‖ left ‖
right); a list of n splits at the largest power of two below n. No leaf is ever duplicated.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Final

from msgspec import Meta

from tallynet.codec import Wire
from tallynet.fields import Hash, Small
from tallynet.hashing import LEAF, NODE

_ROOT: Final = b"\x02"
EMPTY_ROOT: Final = sha256(_ROOT + bytes(4)).digest()
COUNT_MAX: Final = 65_535


class ListProof(Wire):
    """Path of one leaf: exactly the siblings that index and count imply, from the leaf up."""

    index: Small
    count: Small
    siblings: Annotated[tuple[Hash, ...], Meta(max_length=16)]


def leaf_hash(leaf: bytes) -> bytes:
    return sha256(LEAF + leaf).digest()


def _levels(hashes: list[bytes]) -> list[list[bytes]]:
    """All levels from the leaves up; an odd last node moves up unchanged (same as RFC 6962)."""
    levels = [hashes]
    while len(hashes) > 1:
        paired = [
            sha256(NODE + hashes[i] + hashes[i + 1]).digest() for i in range(0, len(hashes) - 1, 2)
        ]
        if len(hashes) % 2:
            paired.append(hashes[-1])
        hashes = paired
        levels.append(hashes)
    return levels


def _bind(count: int, tree: bytes) -> bytes:
    return sha256(_ROOT + count.to_bytes(4, "big") + tree).digest()


class ListTree:
    """The tree over a list of leaves, for one root and many proofs."""

    __slots__ = ("_levels", "count", "root")

    def __init__(self, leaves: Sequence[bytes], *, hashed: bool = False) -> None:
        """`leaves` are the leaf bytes, or their leaf hashes when `hashed`."""
        self.count: Final = len(leaves)
        if self.count > COUNT_MAX:
            raise ValueError(f"at most {COUNT_MAX} leaves")
        self._levels: Final = _levels(
            list(leaves) if hashed else [sha256(LEAF + leaf).digest() for leaf in leaves]
        )
        self.root: Final = _bind(self.count, self._levels[-1][0]) if leaves else EMPTY_ROOT

    def prove(self, index: int) -> ListProof:
        """Proof for the leaf at `index` (0-based; IndexError outside)."""
        if not 0 <= index < self.count:
            raise IndexError(index)
        siblings: list[bytes] = []
        position = index
        for level in self._levels[:-1]:
            neighbour = position ^ 1
            if neighbour < len(level):
                siblings.append(level[neighbour])
            position //= 2
        return ListProof(index, self.count, tuple(siblings))


def list_root(leaves: Sequence[bytes]) -> bytes:
    """Root over leaf bytes."""
    return ListTree(leaves).root


def verify_list_proof(root: bytes, leaf: bytes, proof: ListProof) -> bool:
    """True iff `leaf` stands at `proof.index` in the list of `proof.count` leaves under `root`."""
    if not 0 <= proof.index < proof.count:
        return False
    digest = leaf_hash(leaf)
    position, size = proof.index, proof.count
    used = 0
    while size > 1:
        if position ^ 1 < size:
            if used == len(proof.siblings):
                return False
            sibling = proof.siblings[used]
            used += 1
            digest = sha256(
                NODE + sibling + digest if position % 2 else NODE + digest + sibling
            ).digest()
        position //= 2
        size = (size + 1) // 2
    return used == len(proof.siblings) and _bind(proof.count, digest) == root
