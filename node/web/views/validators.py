"""The validators: where each stands, and when it voted last."""

from __future__ import annotations

from typing import Any, Final

from node.machine import PeerSeen
from node.web.views.ask import Ask, Data
from tallynet.blocks import Commit, Header
from tallynet.codec import decode_trusted
from tallynet.messages import NodeStatus
from tallynet.records import NETWORK_ID, Kind, Network

__all__ = ["CERTIFICATES", "view"]

CERTIFICATES: Final = 64
"""Newest blocks whose certificates are looked at for votes."""


def view(ask: Ask) -> Data:
    book = ask.node
    network = book.find(Kind.NETWORK, NETWORK_ID)
    members = network.validators if isinstance(network, Network) else ()
    status: NodeStatus = ask.facts["node"]
    seen: dict[str, PeerSeen] = {peer.name: peer for peer in ask.facts["peers"]}
    votes = _last_votes(ask)
    rows: list[dict[str, Any]] = []
    for index, member in enumerate(members):
        own = member.name == status.name
        peer = seen.get(member.name)
        claimed = status.committed if own else (peer.claimed if peer else 0)
        rows.append(
            {
                "index": index,
                "name": member.name,
                "organisation": member.organisation,
                "public_key": member.public_key,
                "leads": index == status.leader,
                "itself": own,
                "height": claimed,
                "lag": max(0, book.height - claimed) if claimed or own else None,
                "heard_ms_ago": None if peer is None else peer.heard_ms_ago,
                "last_vote": votes.get(index),
            }
        )
    return {"height": book.height, "node": status, "validators": rows, "certificates": CERTIFICATES}


def _last_votes(ask: Ask) -> dict[int, dict[str, int]]:
    """Validator index -> newest block of this epoch whose certificate it signed, and the view of that vote."""
    book = ask.node
    found: dict[int, dict[str, int]] = {}
    if not book.height:
        return found
    epoch = decode_trusted(Header, book.block(book.height).header).epoch
    lowest = max(1, book.snapshot.base(), book.height - CERTIFICATES + 1)
    for height in range(book.height, lowest - 1, -1):
        block = book.block(height)
        if decode_trusted(Header, block.header).epoch != epoch:
            break
        view = decode_trusted(Commit, block.certificate.vote).view
        for signer in block.certificate.signers:
            found.setdefault(signer, {"height": height, "view": view})
    return found
