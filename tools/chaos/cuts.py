"""Links that lose, hold, delay or cut: partitions of every shape, slow lines, jitter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import trio

from tools.chaos.links import Condition, Mode
from tools.chaos.network import ChaosError
from tools.chaos.run import Links, Run, spread

CUT_SECONDS: Final = (1.0, 6.0)
RECOVERY_SECONDS_MAX: Final = 60.0
"""Nothing committed for so long after healing is a problem; the target is 15 s."""
DELAY_SECONDS: Final = 5.0
FLAP_MS: Final = 500
"""Half a second cut, half a second whole: 1 Hz."""

Pair = tuple[int, int]
SHAPES: Final = (
    "one way out", "one way in", "one pair", "one node", "the leader", "f nodes", "two halves",
    "bridge", "flapping node", "flapping leader", "resets", "held leader",
)  # fmt: skip


def links_of(run: Run) -> Links:
    if run.relay is None:
        raise ChaosError("NO_RELAY", "this schedule needs the relay")
    return run.relay


def between(one: Iterable[int], other: Iterable[int]) -> list[Pair]:
    """Both directions between two groups."""
    right = list(other)
    return [pair for i in one for j in right if i != j for pair in ((i, j), (j, i))]


def others(run: Run, group: Iterable[int]) -> list[int]:
    inside = set(group)
    return [i for i in range(len(run.network.names)) if i not in inside]


async def shape_of(run: Run, shape: str) -> tuple[list[Pair], Condition, str]:
    """The links that a shape concerns, what happens to them, and whom it is about."""
    n = len(run.network.names)
    shuffled = run.random.sample(range(n), n)
    node = shuffled[0]
    if "leader" in shape:
        node = run.network.index(await run.leader())
    names = run.network.names
    drop = Condition(Mode.DROP)
    match shape:
        case "one way out":
            return [(node, j) for j in others(run, [node])], drop, names[node]
        case "one way in":
            return [(j, node) for j in others(run, [node])], drop, names[node]
        case "one pair":
            pairs = between([shuffled[0]], [shuffled[1]])
            return pairs, drop, f"{names[shuffled[0]]} and {names[shuffled[1]]}"
        case "f nodes":
            group = shuffled[: run.network.faulty_max]
            return between(group, others(run, group)), drop, ", ".join(names[i] for i in group)
        case "two halves":
            group = shuffled[: n // 2]
            return between(group, others(run, group)), drop, ", ".join(names[i] for i in group)
        case "bridge":
            middle, left = shuffled[0], shuffled[1 : 1 + (n - 1) // 2]
            right = shuffled[1 + (n - 1) // 2 :]
            return between(left, right), drop, f"only {names[middle]} sees everybody"
        case "flapping node" | "flapping leader":
            flapping = Condition(Mode.DROP, flap_ms=FLAP_MS)
            return between([node], others(run, [node])), flapping, names[node]
        case "resets":
            every = run.network.links()
            return every, Condition(Mode.RESET, flap_ms=FLAP_MS // 2), "all links"
        case "held leader":
            return between([node], others(run, [node])), Condition(Mode.HOLD), names[node]
        case _:
            return between([node], others(run, [node])), drop, names[node]


async def cut_once(run: Run, shape: str, prefix: str = "") -> float | None:
    """Cut, wait, heal; returns the seconds from healing to the next commit."""
    links = links_of(run)
    pairs, condition, whom = await shape_of(run, shape)
    seconds = run.between(*CUT_SECONDS)
    run.note("cut", (shape, whom), f"{prefix}cut, {shape} ({whom}), {seconds:.1f} s")
    await links.change(pairs, condition)
    await trio.sleep(seconds)
    moment = run.note("mend", (shape,), "mended")
    await links.heal()
    recovered = await run.progress(RECOVERY_SECONDS_MAX, since_ns=moment)
    if recovered is None:
        run.fail(f"no commit within {RECOVERY_SECONDS_MAX:g} s of mending: {shape}")
    return recovered


async def partition(run: Run) -> None:
    """Every shape of partition in a drawn order: one way, both ways, halves, bridge, flapping, resets."""
    cycles = run.options.cycles or len(SHAPES)
    shapes: list[str] = []
    while len(shapes) < cycles:
        shapes += run.random.sample(SHAPES, len(SHAPES))
    recoveries = []
    for number, shape in enumerate(shapes[:cycles], 1):
        recovered = await cut_once(run, shape, f"{number}/{cycles} ")
        if recovered is not None:
            recoveries.append(recovered)
        await trio.sleep(run.between(0.2, 2.0))
    run.figures["next_commit_after_mending_s"] = found = spread(recoveries)
    run.target("p99 s from mending to a commit", found["p99"], at_most=15)


def slow_lines(run: Run, leader: int) -> list[tuple[str, list[Pair], Condition]]:
    """Named conditions that keep the network connected."""
    every = run.network.links()
    node = run.random.choice(others(run, [leader]))
    around = between([node], others(run, [node]))
    away = [(leader, j) for j in others(run, [leader])]
    return [
        ("all links 30 ms and 30 ms jitter", every, Condition(delay_ms=30, jitter_ms=30)),
        ("one backup on 256 kbit/s", around, Condition(delay_ms=50, bytes_per_second=32_000)),
        ("the leader sends 150 ms late", away, Condition(delay_ms=150, jitter_ms=50)),
        ("one backup up to 1.5 s late", around, Condition(jitter_ms=1_500)),
        ("all links up to 400 ms", every, Condition(jitter_ms=400)),
    ]


async def slow_once(run: Run, *, seconds: float = DELAY_SECONDS) -> None:
    """One drawn slow condition for the mixed schedule."""
    leader = run.network.index(await run.leader())
    name, pairs, condition = run.random.choice(slow_lines(run, leader))
    run.note("slow", (name,), f"slow: {name}, {seconds:.1f} s")
    await links_of(run).change(pairs, condition)
    await trio.sleep(seconds)
    await links_of(run).heal()


async def delay(run: Run) -> None:
    """Delay, jitter and slow lines; blocks go on, more slowly."""
    rates: dict[str, float] = {}
    rounds = run.options.cycles or 1
    for _ in range(rounds):
        leader = run.network.index(await run.leader())
        for name, pairs, condition in slow_lines(run, leader):
            begin = run.note("slow", (name,), f"{name}, {DELAY_SECONDS:g} s")
            await links_of(run).change(pairs, condition)
            await trio.sleep(DELAY_SECONDS)
            end = run.note("mend", (name,), "mended")
            await links_of(run).heal()
            done = run.tail.commands_between(begin, end)
            rates[name] = round(done * 1e9 / (end - begin), 1)
            if await run.progress(RECOVERY_SECONDS_MAX, since_ns=end) is None:
                run.fail(f"no commit within {RECOVERY_SECONDS_MAX:g} s of: {name}")
    run.figures["committed_per_second_while"] = rates
