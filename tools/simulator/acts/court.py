"""What the court of the town does: freezes and what follows from them."""

from __future__ import annotations

from functools import partial

from tools.simulator.acts import holds
from tools.simulator.acts.base import Act, Choice


class CourtAct(Act):
    def choices(self) -> list[Choice]:
        acts = (holds.freeze, holds.decide, holds.decide, holds.suspend)
        return [partial(act, self) for act in acts]
