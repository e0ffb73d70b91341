"""Processes that die, stop for a while, or are restarted in turn."""

from __future__ import annotations

import time
from itertools import pairwise
from statistics import median
from typing import Final

import trio

from tools.chaos.run import FOLLOWING_SECONDS_MAX, STANDSTILL_SECONDS_MAX, Run, spread

KILL_CYCLES: Final = 30
ALL_EVERY: Final = 6
"""Every sixth kill takes all nodes at once: 50 of 300."""
DOWN_SECONDS: Final = (0.05, 1.0)
GAP_SECONDS: Final = (0.2, 5.0)
"""Between the restart and the next kill (reliability §7)."""

PAUSE_CYCLES: Final = 12
PAUSE_SECONDS: Final = (0.3, 8.0)
"""Up to well over the progress timeout (1 s) and the silence allowed to a leader (5 s)."""

LEADER_KILLS: Final = 10
NEXT_COMMIT_SECONDS_MAX: Final = 60.0


async def kill(run: Run) -> None:
    """kill -9 of a random node, the leader, f nodes or all at once, under load, again and again."""
    cycles = run.options.cycles or KILL_CYCLES
    moments: list[int] = []
    everyone = 0
    for cycle in range(1, cycles + 1):
        if cycle % ALL_EVERY == 0:
            everyone += 1
            victims, who = list(run.network.names), "everybody"
        else:
            victims, who = await _victims(run)
        text = f"{cycle}/{cycles} kill -9 {who}: {', '.join(victims)}"
        moments.append(run.note("kill", victims, text if who != "everybody" else text[:40]))
        await run.do(run.network.kill, victims)
        await trio.sleep(run.between(*DOWN_SECONDS))
        await run.start(victims)
        await trio.sleep(run.between(*GAP_SECONDS))
    moments.append(time.monotonic_ns())
    spans = list(pairwise(moments))
    run.figures |= {
        "kill_cycles": cycles,
        "all_node_cycles": everyone,
        "cycles_with_commits": sum(run.tail.commands_between(*span) > 0 for span in spans),
        "cycle_s": spread([(end - begin) / 1e9 for begin, end in spans]),
        "gap_in_commits_s": spread([run.tail.longest_gap_seconds(*span) for span in spans]),
    }


async def kill_some(run: Run) -> None:
    """One kill for the mixed schedule; the nodes come back."""
    victims, who = await _victims(run)
    if run.random.random() < 1 / ALL_EVERY:
        victims, who = sorted(run.network.up - run.network.paused), "everybody"
    run.note("kill", victims, f"kill -9 {who}: {', '.join(victims)}")
    await run.do(run.network.kill, victims)
    await trio.sleep(run.between(*DOWN_SECONDS))
    await run.start(victims)


async def _victims(run: Run) -> tuple[list[str], str]:
    choice = run.random.choice(("a random node", "the leader", "f nodes"))
    running = sorted(run.network.up - run.network.paused)
    if choice == "the leader":
        leader = await run.leader()
        if leader in running:
            return [leader], choice
    if choice == "f nodes" and run.network.faulty_max > 1:
        return run.sample(running, run.network.faulty_max), choice
    return run.sample(running, 1), "a random node" if choice == "the leader" else choice


async def pause(run: Run) -> None:
    """SIGSTOP and SIGCONT: a node that is there and says nothing, two of them in turn, the leader."""
    recoveries = []
    for cycle in range(1, (run.options.cycles or PAUSE_CYCLES) + 1):
        recovered = await pause_once(run, f"{cycle}: ")
        if recovered is not None:
            recoveries.append(recovered)
    run.figures["next_commit_after_resume_s"] = spread(recoveries)


async def pause_once(run: Run, prefix: str = "") -> float | None:
    """Stop one or two nodes for a while; returns the seconds from the resume to the next commit."""
    victims = run.sample(sorted(run.network.up - run.network.paused), run.random.choice((1, 1, 2)))
    if len(victims) == 1 and run.random.random() < 0.5:
        victims = [await run.leader()]
    seconds = run.between(*PAUSE_SECONDS)
    run.note("pause", victims, f"{prefix}pause {', '.join(victims)} for {seconds:.1f} s")
    for victim in victims:
        run.network.pause(victim)
        await trio.sleep(seconds / len(victims))
    moment = run.note("resume", victims)
    for victim in victims:
        run.network.resume([victim])
        await trio.sleep(0.1)
    recovered = await run.progress(NEXT_COMMIT_SECONDS_MAX, since_ns=moment)
    if recovered is None:
        run.fail(f"no commit within {NEXT_COMMIT_SECONDS_MAX:g} s of resuming")
    return recovered


async def rolling(run: Run) -> None:
    """Every node in turn is asked to end, and started again, under load; nobody waits long."""
    rounds = run.options.cycles or 2
    caught_up = []
    for name in run.network.names * rounds:
        took = await restart(run, name)
        caught_up.append(took)
    run.figures["rolling_caught_up_s"] = spread(caught_up)


async def restart(run: Run, name: str) -> float:
    """One orderly restart; returns the seconds until the node is level again."""
    run.note("restart", [name])
    code = await run.do(run.network.terminate, name)
    if code:
        run.fail(f"{name} ended with exit code {code} when asked to stop")
    await run.start([name])
    return await must_catch_up(run, name)


async def must_catch_up(run: Run, name: str, seconds: float = FOLLOWING_SECONDS_MAX) -> float:
    """Seconds until a node is level with the others; it is a problem when it gets stuck."""
    took = await run.caught_up(name, seconds)
    if took is None:
        run.fail(f"{name} is behind and does not move any more")
        return STANDSTILL_SECONDS_MAX
    return round(took, 2)


async def leader_kill(run: Run) -> None:
    """The leader dies under load: how long until a client holds a receipt of the next view?"""
    names = run.network.names
    times = run.options.cycles or LEADER_KILLS
    waits: list[float] = []
    for number in range(1, times + 1):
        victim = await run.leader()
        run.tail.poll()
        view = run.tail.view
        while names[view[1] % len(names)] != victim:
            # The view moved between question and answer, or the last receipt is of an earlier one.
            await run.progress(NEXT_COMMIT_SECONDS_MAX)
            victim, view = await run.leader(), run.tail.view
        moment = run.note("kill", [victim], f"{number}/{times} kill -9 the leader: {victim}")
        await run.do(run.network.kill, [victim])
        waited = await run.tail.acknowledged_after(moment, NEXT_COMMIT_SECONDS_MAX, beyond=view)
        if waited is None:
            run.fail(f"no commit within {NEXT_COMMIT_SECONDS_MAX:g} s of killing the leader")
            return
        waits.append(waited)
        run.say(f"next commit after {waited:.2f} s")
        await run.start([victim])
        await must_catch_up(run, victim)
    run.figures["next_commit_after_leader_kill_s"] = spread(waits)
    run.target("median s from a leader's death to a commit", median(waits), at_most=3)
