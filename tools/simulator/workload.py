"""What a client does next: an act that fits the state it sees, or, now and then, one that must fail.

Every act is drawn from its request's own random numbers and the state of the node that the client
looks at, so that leaving out one request does not change what the others draw.
"""

from __future__ import annotations

from random import Random
from typing import Final

from node.state import Overlay
from tallynet.envelope import Envelope, Mode
from tools.simulator.acts import act_of
from tools.simulator.town import Party, Town

VALIDITY_SECONDS: Final = (60, 600)
BAD_PERCENT: Final = 15
"""Acts that are wrong on purpose (reliability §5)."""


def next_envelope(
    town: Town, party: Party, detail: int, view: Overlay, now_seconds: int
) -> Envelope | None:
    """The envelope that `party` submits now; None when there is nothing it could do."""
    random = Random(detail)
    act = act_of(town, party, random, view)
    commands = act.commands()
    if not commands:
        return None
    valid_until = now_seconds + random.randint(*VALIDITY_SECONDS)
    mode = random.choice((Mode.ATOMIC, Mode.INDEPENDENT))
    if random.randrange(100) < BAD_PERCENT:
        return act.spoiled(commands, valid_until, mode)
    return town.envelope(party, commands, valid_until, mode=mode)
