"""Penetration (穿透): who stands behind a part of a voucher, who holds it, and who is hit (voucher law §13).

A question is a pure function of records. The node evaluates it on its state to find which records the
answer needs, and sends those with their proofs; the client evaluates the same function on what was proven.
So the rows that a caller sees are nobody's word: what a node could still do is to leave something out, and
`docs/concepts/penetration.md` says where.
"""

from tallynet.penetration.answers import (
    HIDDEN,
    ChainPart,
    Exposure,
    Hit,
    HitRole,
    Holding,
    IdleLot,
    Page,
    PathEvent,
    Position,
    PositionKind,
    Rung,
    Slice,
    SliceBy,
    Trace,
    exposures,
    hits_by_party,
    ladder,
    slices,
)
from tallynet.penetration.evaluate import evaluate
from tallynet.penetration.questions import (
    Chain,
    Down,
    EventsFound,
    Idle,
    Impact,
    Listing,
    Positions,
    Question,
    Up,
    View,
)

__all__ = [
    "HIDDEN", "Chain", "ChainPart", "Down", "EventsFound", "Exposure", "Hit", "HitRole", "Holding", "Idle",
    "IdleLot", "Impact", "Listing", "Page", "PathEvent", "Position", "PositionKind", "Positions", "Question",
    "Rung", "Slice", "SliceBy", "Trace", "Up", "View", "evaluate", "exposures", "hits_by_party", "ladder",
    "slices",
]  # fmt: skip
