"""B1: a day of a region: everything that its enterprises do, in the law's mix."""

from __future__ import annotations

import time
from typing import Final

from tools.scenarios.stage import Stage
from tools.scenarios.traffic import Traffic

SEED: Final = 1


async def run(stage: Stage, commands: int) -> None:
    """About `commands` commands, as fast as they are taken."""
    traffic = Traffic(stage, SEED, commands)
    await traffic.open()
    started = time.perf_counter()
    played = await traffic.play()
    seconds = time.perf_counter() - started
    stage.facts.note("commands", played)
    stage.facts.note("commands a second, signing included", round(played / seconds))
    stage.facts.note("a day of 28,800 s is played in, s", round(seconds, 1))
    stage.facts.require("ranges as foretold", await traffic.check() > 0, True)
