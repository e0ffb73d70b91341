"""B1, B2, B3: everything that enterprises do, in the law's mix: a day of a region, a minute of the national peak
hour, a minute of the stress above it."""

from __future__ import annotations

import time
from functools import partial
from typing import Final

from tools.scenarios.stage import Stage
from tools.scenarios.traffic import Traffic

MINUTE: Final = 60


async def _play(stage: Stage, commands: int, seed: int, what: str) -> None:
    """About `commands` commands, as fast as they are taken; every one must be carried out, however long this
    machine takes."""
    traffic = Traffic(stage, seed, commands)
    await traffic.open()
    started = time.perf_counter()
    played = await traffic.play()
    seconds = time.perf_counter() - started
    stage.facts.note("commands", played)
    stage.facts.note("commands a second, signing included", round(played / seconds))
    stage.facts.note(f"{what} is played in, s", round(seconds, 1))
    stage.facts.require("ranges as foretold", await traffic.check() > 0, True)


async def _minute(stage: Stage, per_second: int, seed: int) -> None:
    await _play(stage, per_second * MINUTE, seed, "the minute")


run = partial(_play, seed=1, what="a day of 28,800 s")
national_peak = partial(_minute, seed=5)
stress = partial(_minute, seed=6)
