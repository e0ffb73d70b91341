"""Certificates that look like those of a quorum."""

from __future__ import annotations

from tallynet.blocks import Certificate, Commit, Prepare
from tallynet.codec import encode
from tallynet.messages import SignedKind
from tools.simulator.byzantine.base import Behaviour


def certificate_over(liar: Behaviour, kind: SignedKind, vote: Commit | Prepare) -> Certificate:
    """Over a vote that no quorum has cast: signed by the liars alone, by one of them as often as is needed
    (A15), or by as many as are needed with signatures that are none."""
    random, needed = liar.random, liar.core.q
    own = {ally: liar.sign_as(ally, kind, vote).signature for ally in liar.allies}
    way = random.randrange(3)
    if way == 0:
        signers = tuple(own)
    elif way == 1:
        signers = (liar.index,) * needed
    else:
        signers = tuple(range(needed))
    signatures = tuple(own.get(i) or random.randbytes(64) for i in signers)
    return Certificate(encode(vote), signers, signatures)
