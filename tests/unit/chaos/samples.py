"""A small, healthy run as the checker sees it: two nodes, three blocks, every transaction acknowledged."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from tools.chaos.chain import Chain, ChainBlock
from tools.chaos.checker import Evidence
from tools.chaos.record import Acknowledged, Submitted

SETUP_HEIGHT = 1
BLOCKS = {1: [b"setup"], 2: [b"a", b"b"], 3: [b"c"]}
"""Height -> its transactions."""


def identity(name: bytes) -> bytes:
    return sha256(name).digest()


def receipt(name: bytes) -> bytes:
    return sha256(b"receipt of " + name).digest()


def block(height: int, names: list[bytes], signers: tuple[int, ...] = (0, 1, 2)) -> ChainBlock:
    return ChainBlock(
        height,
        identity(b"block %d" % height),
        identity(b"state %d" % height),
        tuple(map(identity, names)),
        tuple(map(receipt, names)),
        0,
        0,
        signers,
    )


def chain(node: str) -> Chain:
    blocks = [block(height, names) for height, names in BLOCKS.items()]
    return Chain(node, blocks, blocks[-1].state_root)


def acknowledged(name: bytes, height: int) -> Acknowledged:
    return Acknowledged(
        identity(name).hex(), height, receipt(name).hex(), True, 1, 0, 0, height * 10, 1.0
    )


def healthy() -> Evidence:
    names = [(name, height) for height in (2, 3) for name in BLOCKS[height]]
    return Evidence(
        submitted=[Submitted(identity(name).hex(), 1, 0) for name, _ in names],
        acknowledged=[acknowledged(name, height) for name, height in names],
        setup_height=SETUP_HEIGHT,
        chains=[chain("bank-1"), chain("bank-2")],
    )


def with_block(evidence: Evidence, node: int, changed: ChainBlock) -> Evidence:
    """One node's block at that height is another one."""
    chains = list(evidence.chains)
    blocks = list(chains[node].blocks)
    blocks[changed.height - 1] = changed
    chains[node] = replace(chains[node], blocks=blocks)
    return replace(evidence, chains=chains)
