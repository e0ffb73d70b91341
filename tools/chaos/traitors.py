"""Throughput of a healthy network, with f nodes dead, and with f Byzantine ones of every kind."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from functools import partial
from typing import Final

import trio

from tools.chaos.network import ChaosNetwork, Launch
from tools.chaos.run import Run, Script
from tools.chaos.traitor import TRAITORS

SETTLE_SECONDS: Final = 3.0
"""After the start, and after a death: a view change takes about one second."""
MEASURE_SECONDS: Final = 10.0
DEAD_RATIO_MIN: Final = 0.8
BYZANTINE_RATIO_MIN: Final = 0.5
"""Of healthy throughput (reliability §14)."""


def scripts() -> Iterator[tuple[str, Script]]:
    """One script per kind of fault, each for a network of its own: a validator that has been a traitor
    may meet votes that it never knew of, and then stays silent for good (B12)."""
    yield "dead backups", Script(partial(_dead, leading=False))
    yield "dead leaders", Script(partial(_dead, leading=True))
    for behaviour in TRAITORS:
        yield behaviour, Script(partial(_traitors, behaviour), partial(_infiltrate, behaviour))


async def _leading(run: Run) -> list[str]:
    """The leader and those that would lead next: f nodes where they do most harm."""
    names = run.network.names
    first = names.index(await run.leader())
    return [names[(first + step) % len(names)] for step in range(run.network.faulty_max)]


async def _dead(run: Run, *, leading: bool) -> None:
    """f nodes are dead, and stay dead until the measuring is over."""
    await trio.sleep(SETTLE_SECONDS)
    healthy = await _measure(run, "healthy")
    victims = await _leading(run)
    if not leading:
        victims = [name for name in run.network.names if name not in victims][: len(victims)]
    run.note("kill", victims, f"dead: {', '.join(victims)}")
    await run.do(run.network.kill, victims)
    await trio.sleep(SETTLE_SECONDS)
    _report(run, healthy, await _measure(run, "f dead"), DEAD_RATIO_MIN)


def _infiltrate(behaviour: str, network: ChaosNetwork) -> None:
    """Every node has a traitor at its mouth that sleeps; only later it is known who leads."""
    for name in network.names:
        network.launches[name] = Launch("tools.chaos.byzantine_node", (behaviour,))


async def _traitors(behaviour: str, run: Run) -> None:
    """f nodes turn Byzantine, the leader among them; the view change that this may cost is measured
    too."""
    await trio.sleep(SETTLE_SECONDS)
    healthy = await _measure(run, "healthy")
    victims = await _leading(run)
    run.broken.update(victims)
    run.note("traitor", (*victims, behaviour), f"{', '.join(victims)} turn: {behaviour}")
    for name in victims:
        run.network.signal(name, signal.SIGUSR1)
    _report(run, healthy, await _measure(run, behaviour), BYZANTINE_RATIO_MIN)
    run.figures["leads_at_the_end"] = await run.leader() in victims


async def _measure(run: Run, what: str) -> float:
    """Commands per second from now on."""
    begin = time.monotonic_ns()
    await trio.sleep(MEASURE_SECONDS)
    end = time.monotonic_ns()
    run.tail.poll()
    rate = run.tail.commands_between(begin, end) * 1e9 / (end - begin)
    run.say(f"{what}: {rate:,.0f} commands/s")
    return rate


def _report(run: Run, healthy: float, faulty: float, target: float) -> None:
    ratio = faulty / healthy if healthy else 0.0
    run.figures |= {"healthy_per_second": round(healthy, 1), "faulty_per_second": round(faulty, 1)}
    run.target("share of healthy throughput with f faulty", ratio, at_least=target)
    if not faulty:
        run.fail("nothing was committed with f faulty nodes")
