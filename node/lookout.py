"""What a node learns as a client of others: when nobody listens to it as a validator any more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.config import PeerAddress
from tallynet.blocks import Commit
from tallynet.client import Client, NodeAddress
from tallynet.codec import decode
from tallynet.errors import TallynetError
from tallynet.genesis import Genesis
from tallynet.messages import EvidenceKind
from tallynet.validators import Handover, Succession


@dataclass(slots=True)
class Seen:
    """Checked, all of it."""

    handovers: list[Handover]
    """Changes of the validator set that were not known here, in order."""
    height: int = 0
    """Of the newest certified block that was shown; 0: none."""


async def look(
    peers: Iterable[PeerAddress],
    *,
    genesis: Genesis,
    key: Ed25519PrivateKey,
    known: Succession,
    log: Any,
) -> Seen:
    """Ask the nodes that are listed, the first one that answers. `known` is added to. Never raises for what
    others do: what they did not show is missing in the answer."""
    seen = Seen([])
    nodes = [NodeAddress(peer.host, peer.port, bytes.fromhex(peer.public_key)) for peer in peers]
    try:
        async with Client.connect(nodes, genesis, key) as client:
            async for raw in client.evidence(EvidenceKind.HANDOVERS):
                handover = decode(Handover, raw)
                if known.add(handover):
                    seen.handovers.append(handover)
            seen.height = decode(Commit, (await client.certificate()).vote).height
    except (TallynetError, ValueError) as error:
        log.info("nobody shows how the validator set has changed", reason=str(error))
    return seen
