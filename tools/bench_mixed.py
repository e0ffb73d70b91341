"""`tally bench --workload mixed`: the commands of a regional day (voucher law §18), as fast as they are taken.

The day is opened on four validators whose clocks can be moved on, because some of its vouchers are due. All of
its envelopes are signed before the window; what depends on another command is sent when that one's receipt
has come.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from tools.bench import LIGHT_SECONDS, measure
from tools.bench_load import Work
from tools.bench_measure import WARM_SECONDS
from tools.bench_world import Site
from tools.connect import genesis_of
from tools.output import ERRORS
from tools.scenarios.network_stage import on_network
from tools.scenarios.stage import Facts, Stage
from tools.scenarios.traffic import Traffic
from tools.testnet_files import load_network

SEED: Final = 2
LIGHT_GUESS, RATE_GUESS = 100, 1_200
"""Commands planned per second of the two phases; the run stops early if they run out."""


async def measure_mixed(directory: Path, seconds: int) -> dict[str, Any]:
    """The figures of a mixed load on a fresh network of four. Raises BenchFailed, TestnetError."""
    commands = int(LIGHT_SECONDS * LIGHT_GUESS + (seconds + WARM_SECONDS) * RATE_GUESS)
    async with on_network(directory, Facts()) as stage:
        ERRORS.print(f"opening a day of {commands} commands")
        traffic = Traffic(stage, SEED, commands)
        await traffic.open()
        ERRORS.print("signing its envelopes in advance")
        genesis, hash_ = genesis_of(directory)
        site = Site(directory, load_network(directory), genesis, hash_)
        return await measure(site, signed(stage, traffic), 1, seconds)


def signed(stage: Stage, traffic: Traffic) -> Work:
    """All of the day: the first step of every lane may be sent, each other one after the one before it."""
    work = Work(deque())
    for lane in traffic.lanes:
        envelopes = [stage.sign(step.by, step.make()) for step in lane.steps]
        for step, envelope in zip(lane.steps, envelopes, strict=True):
            if step.code != "OK":
                work.refusals[envelope.transaction] = step.code
        for before, after in pairwise(envelopes):
            work.then[before.transaction] = after
        work.waiting.append(envelopes[0])
    return work
