"""B12: at the peak of a region's day the leader is killed; its successor turns Byzantine. The day goes on."""

from __future__ import annotations

import signal
import time
from typing import Final

import trio

from tools.scenarios.network_stage import Network, NetworkStage, on_validators, until
from tools.scenarios.probe import probing
from tools.scenarios.stage import BANKS, Stage
from tools.scenarios.traffic import Traffic

SEED: Final = 3
NETWORK: Final = Network(module="tools.scenarios.clocked_traitor")


async def run(stage: Stage, commands: int) -> None:
    """About `commands` commands, as fast as they are taken; then until both have happened."""
    network = on_validators(stage)
    traffic = Traffic(stage, SEED, commands)
    await traffic.open()
    async with probing(stage) as probe:
        await probe.another()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_strike, network)
            stage.facts.note("commands", await traffic.play())
    stage.facts.note("longest wait for a receipt, s", probe.take_longest())
    stage.facts.require("ranges as foretold", await traffic.check() > 0, True)


async def _strike(stage: NetworkStage) -> None:
    """One after the other, so that never more than one validator is faulty."""
    dead, view = await stage.leader(), (await stage.client.status()).view
    begin = time.perf_counter()
    stage.kill(dead)

    async def is_left() -> bool:
        return (await stage.client.status()).view > view

    await until("the next view", is_left)
    stage.facts.note("leader killed", dead)
    stage.facts.note("next view after, s", round(time.perf_counter() - begin, 2))
    stage.start(dead)
    await stage.until_level(dead)
    traitor = await stage.leader()
    stage.tell(traitor, signal.SIGUSR1)
    witness = next(name for name in BANKS if name not in (dead, traitor))
    proven = await stage.until_status(witness, lambda status: status.evidence > 0)
    stage.facts.note("leader turned", traitor)
    stage.facts.note(f"proofs against it that {witness} keeps", proven.evidence)
