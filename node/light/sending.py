"""One attempt to have a signed envelope executed, and to learn for good what became of it: the same for what programs
and what people send."""

from __future__ import annotations

import time

from node.light.following import Follower
from tallynet.client import Client, OutcomeUnknown, Receipt, SubmissionRefused, UnprovenPhase
from tallynet.envelope import Envelope
from tallynet.errors import TallynetError

__all__ = ["NeverHappened", "attempt"]


class NeverHappened(TallynetError):
    """EXPIRED: it was not executed, and never will be."""


async def attempt(
    client: Client, follower: Follower, envelope: Envelope, seconds: float
) -> Receipt:
    """Send it while it is valid, and ask what became of it where `seconds` of waiting say nothing. Another attempt sends
    the same bytes, which the network executes once.

    Raises:
        NeverHappened: its validity is over without it.
        OutcomeUnknown: nobody can say yet.
        SubmissionRefused: nodes do not take it in now, and nobody knows it; another time they may.
        NotConnected, StaleAnswer: nobody, or too few, to ask.
    """
    transaction, until = envelope.transaction, envelope.body.valid_until
    trouble: TallynetError = OutcomeUnknown(transaction, "its validity is over")
    if time.time() < until:
        try:
            return await client.submit(envelope, seconds=seconds)
        except SubmissionRefused as refused:
            trouble = refused
    # It may have been executed long ago, by what nodes do not remember at the door any more, or lie in a block that is
    # being ordered.
    outcome = await client.outcome(transaction)
    if not isinstance(outcome, UnprovenPhase):
        return outcome
    if await follower.never_happened(client, transaction, until):
        why = "its validity is over, and validators of f+1 organisations know nothing of it"
        raise NeverHappened("EXPIRED", why)
    raise trouble
