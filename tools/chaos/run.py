"""One chaos run: the network, its load, the hands that break things, and the wait until all is whole."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import trio

from tallynet.messages import NodeStatus
from tools.chaos.helper import Helper, helper
from tools.chaos.links import Change, Changed, Condition, RelayConfig, RelayLink, RelayReady
from tools.chaos.load import Finish, Finished, LoadConfig, Ready, Shape
from tools.chaos.network import ChaosError, ChaosNetwork
from tools.chaos.record import LogWriter
from tools.chaos.tail import Tail
from tools.output import say
from tools.testnet_cli import ask_all

POLL_SECONDS: Final = 0.1
QUIET_SECONDS_MAX: Final = 5.0
"""Something is printed at least this often."""
SETUP_SECONDS_MAX: Final = 120.0
RELAY_SECONDS_MAX: Final = 10.0
HEAL_SECONDS_MAX: Final = 90.0
"""After healing, every pending operation is decided in this time: two caps of the view change's back-off
(32 s), and the rest for a busy machine."""
FIRST_ACK_SECONDS_MAX: Final = 30.0
STANDSTILL_SECONDS_MAX: Final = 30.0
"""A node that is behind and does not move for so long is stuck; on a busy machine it may be slow."""
FOLLOWING_SECONDS_MAX: Final = 30.0
"""A node that is behind and moves is waited for no longer than this: on a machine that is too slow for
the load it would follow for ever."""
STATUS_SECONDS_MAX: Final = 1.0
"""A node that answers later is busy, stopped or cut off."""

EVENTS_FILE: Final = "events.jsonl"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for; each schedule uses what concerns it."""

    schedule: str
    seed: int
    validators: int = 4
    cycles: int = 0
    """Faults to inject; 0: the schedule's own number."""
    minutes: float = 0.0
    commands: int = 0
    rate: int = 0
    """Envelopes per second; 0: the schedule's own load."""


class Event(msgspec.Struct, frozen=True):
    """One line of the events file: what was done to whom."""

    at_ns: int
    what: str
    nodes: tuple[str, ...]


class Links:
    """The relay, for those who want to break links."""

    def __init__(self, relay: Helper, pairs: Sequence[tuple[int, int]]) -> None:
        self._relay: Final = relay
        self._positions: Final = {pair: position for position, pair in enumerate(pairs)}
        self._last: Changed | None = None

    async def change(self, pairs: Iterable[tuple[int, int]], condition: Condition) -> None:
        """These directed links behave so from now on; when this returns, they do."""
        order = Change(tuple(self._positions[pair] for pair in pairs), condition)
        self._last = await self._relay.ask(order, Changed, seconds=RELAY_SECONDS_MAX)

    async def heal(self) -> None:
        await self.change(self._positions, Condition())

    def totals(self) -> dict[str, int]:
        """Sums over all links at the last change."""
        totals = () if self._last is None else self._last.totals
        names = ("connections", "passed_bytes", "dropped_bytes", "resets")
        return {name: sum(getattr(link, name) for link in totals) for name in names}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the judge needs of a run that was played to its end."""

    setup_height: int
    finished: Finished
    figures: dict[str, Any]
    problems: list[str]
    """What went wrong beside the chains: nodes that died by themselves or got stuck."""


@dataclass(frozen=True, slots=True)
class Target:
    """A figure with an aim. It depends on the machine, so missing one is no violation."""

    what: str
    value: float
    aim: str
    met: bool


@dataclass(slots=True)
class Run:
    """Handed to a schedule."""

    options: Options
    network: ChaosNetwork
    logs: Path
    load: Helper
    relay: Links | None
    random: random.Random
    tail: Tail
    events: LogWriter
    shape: Shape
    figures: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    """Nodes that are Byzantine on purpose: what they say and store counts for nothing."""
    silent: set[str] = field(default_factory=set)
    """Nodes that are expected to fall silent in the run: their logs may say so."""
    began: float = field(default_factory=time.monotonic)
    _said: float = 0.0

    # --- telling --------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """A line of progress: when, what, and how the network does."""
        self.tail.poll()
        self._said = time.monotonic()
        age = "-" if not self.tail.count else f"{self.tail.age_seconds:.2f} s ago"
        say(
            f"{self._said - self.began:7.1f} s  {text:<58} {self.tail.commands:>8,} committed,"
            f" last {age}"
        )

    def note(self, what: str, nodes: Iterable[str] = (), text: str = "") -> int:
        """Say and record that something is being done to nodes; returns the moment."""
        named = tuple(nodes)
        now = time.monotonic_ns()
        self.events.append([Event(now, what, named)], durable=False)
        self.say(text or " ".join((what, *named)))
        return now

    def fail(self, problem: str) -> None:
        """A promise that did not hold."""
        self.problems.append(problem)
        self.say(f"PROBLEM: {problem}")

    def target(
        self,
        what: str,
        value: float,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> None:
        """A figure that has an aim (reliability §14)."""
        met = (at_most is None or value <= at_most) and (at_least is None or value >= at_least)
        aim = f"<= {at_most:g}" if at_most is not None else f">= {at_least:g}"
        self.targets.append(Target(what, round(value, 3), aim, met))

    async def watch(self) -> None:
        """Follow the log, notice nodes that end by themselves, never be silent for long."""
        while True:
            await trio.sleep(POLL_SECONDS)
            self.tail.poll()
            self._notice_ended()
            if time.monotonic() - self._said > QUIET_SECONDS_MAX:
                self.say("...")

    def _notice_ended(self) -> None:
        for ended in self.network.ended():
            if ended.name not in self.broken:
                self.fail(f"{ended.name} ended by itself, exit code {ended.code}: {ended.log_end}")

    # --- hands ----------------------------------------------------------------------------------

    async def do(self, act: Callable[..., T], *arguments: Any) -> T:
        """Something that blocks, off the event loop. A run that is cancelled does not wait for it: the
        guard ends whatever it started."""
        return await trio.to_thread.run_sync(act, *arguments, abandon_on_cancel=True)

    async def start(self, names: Iterable[str]) -> None:
        """Start nodes; returns when they listen."""
        await self.do(self.network.start, tuple(names))

    async def set_load(self, shape: Shape) -> None:
        await self.load.tell(shape)

    def between(self, low: float, high: float) -> float:
        """A duration, short ones more often: uniform in its logarithm."""
        ratio = high / low
        return float(low * ratio ** self.random.random())

    def sample(self, names: Sequence[str], count: int) -> list[str]:
        return sorted(self.random.sample(list(names), count))

    def healthy(self) -> list[str]:
        """Nodes that run, are not paused, may vote and are not broken on purpose."""
        network = self.network
        return [
            name
            for name in network.names
            if name in network.up
            and name not in network.paused
            and name not in network.barred
            and name not in self.broken
        ]

    # --- looking --------------------------------------------------------------------------------

    async def statuses(self) -> dict[str, NodeStatus]:
        """What those nodes say of themselves that answer quickly."""
        network = self.network
        asked = [name for name in network.names if name in network.up - network.paused]
        answers = await ask_all(network.directory, asked, seconds=STATUS_SECONDS_MAX)
        return {name: a for name, a in answers.items() if isinstance(a, NodeStatus)}

    async def leader(self) -> str:
        """Who leads the highest view that a healthy node is in."""
        healthy = self.healthy()
        found = [s for name, s in (await self.statuses()).items() if name in healthy]
        if not found:
            return self.random.choice(self.network.names)
        return self.network.names[max(found, key=lambda s: (s.epoch, s.view)).leader]

    async def top(self) -> int:
        """The highest committed height that anybody shows."""
        found = await self.statuses()
        return max([self.tail.height, *(status.committed for status in found.values())])

    async def bar(self, name: str) -> None:
        """The votes that this node, which is down, has cast are lost: none may follow."""
        height = await self.top() + self.network.window
        self.network.barred[name] = height
        self.silent.add(name)

    async def progress(self, seconds: float, *, since_ns: int | None = None) -> float | None:
        """Seconds from a moment (now) to the next acknowledgement; None when there is none."""
        moment = time.monotonic_ns() if since_ns is None else since_ns
        return await self.tail.acknowledged_after(moment, seconds)

    async def caught_up(self, name: str, seconds: float = FOLLOWING_SECONDS_MAX) -> float | None:
        """Seconds until this node is level with the others, give or take the blocks in flight; None
        when it stands still while it is behind. One that still moves after `seconds` is left to it."""
        began = moved = time.monotonic()
        height = -1
        while time.monotonic() - moved < STANDSTILL_SECONDS_MAX:
            found = await self.statuses()
            others = [s.committed for other, s in found.items() if other != name]
            if name in found:
                if others and found[name].committed + self.network.window >= max(others):
                    return time.monotonic() - began
                if found[name].committed > height:
                    height, moved = found[name].committed, time.monotonic()
                if time.monotonic() - began > seconds:
                    self.say(f"{name} is still behind, and moves")
                    return time.monotonic() - began
            await trio.sleep(POLL_SECONDS)
        return None

    # --- the end --------------------------------------------------------------------------------

    async def heal(self) -> None:
        """Whole links, running nodes."""
        if self.relay is not None:
            await self.relay.heal()
        await self.do(self.network.resume, tuple(self.network.paused))
        down = [name for name in self.network.names if name not in self.network.up]
        if down:
            await self.start(down)

    async def finish(self) -> Finished:
        """Heal, let everything be decided, bring all nodes level, stop them."""
        moment = self.note("heal", text="everything heals; every pending operation must be decided")
        await self.heal()
        order = Finish(HEAL_SECONDS_MAX)
        finished = await self.load.ask(order, Finished, seconds=HEAL_SECONDS_MAX + 10)
        self.tail.poll()
        self.figures["decided_after_heal_s"] = round((time.monotonic_ns() - moment) / 1e9, 2)
        await self._level()
        self._notice_ended()
        for name in self.network.names:
            code = await self.do(self.network.terminate, name)
            if code and name not in self.broken:
                self.fail(f"{name} ended with exit code {code} when asked to stop")
        if self.relay is not None:
            self.figures["relay"] = self.relay.totals()
        return finished

    async def _level(self) -> None:
        honest = [name for name in self.network.names if name not in self.broken]
        moved = time.monotonic()
        states: dict[str, tuple[int, str]] = {}
        while time.monotonic() - moved < STANDSTILL_SECONDS_MAX:
            found = {n: s for n, s in (await self.statuses()).items() if n in honest}
            if len(found) == len(honest) and len({s.block for s in found.values()}) == 1:
                self.say(f"all nodes at height {max(s.committed for s in found.values())}")
                return
            before, states = states, {n: (s.committed, s.waiting) for n, s in found.items()}
            if any(state[0] > before.get(n, (-1, ""))[0] for n, state in states.items()):
                moved = time.monotonic()
            await trio.sleep(POLL_SECONDS)
        self.fail(f"the nodes did not come to one height after healing: {states}")


@dataclass(frozen=True, slots=True)
class Script:
    """What is done to one network."""

    play: Callable[[Run], Awaitable[None]]
    prepare: Callable[[ChaosNetwork], None] = lambda _network: None
    """Before its nodes start."""


@asynccontextmanager
async def opened(
    options: Options, directory: Path, shape: Shape, script: Script, *, with_relay: bool
) -> AsyncIterator[tuple[Run, Ready]]:
    """A network in `directory` / network under load, and the hands for it."""
    network = ChaosNetwork.make(directory / "network", options.validators)
    script.prepare(network)
    logs = directory / "logs"
    logs.mkdir()
    async with AsyncExitStack() as stack:
        links = None
        if with_relay:
            links = await stack.enter_async_context(_relay(options, directory, network))
        await trio.to_thread.run_sync(network.start, network.names)
        config = LoadConfig(str(network.directory), str(logs), shape)
        _write(directory / "load.json", config)
        load = await stack.enter_async_context(helper("load", str(directory / "load.json")))
        ready = await load.hear(Ready, seconds=SETUP_SECONDS_MAX)
        events = stack.enter_context(LogWriter(logs / EVENTS_FILE))
        chance = random.Random(options.seed)
        run = Run(options, network, logs, load, links, chance, Tail(logs), events, shape)
        yield run, ready


@asynccontextmanager
async def _relay(options: Options, directory: Path, network: ChaosNetwork) -> AsyncIterator[Links]:
    pairs = network.links()
    places = tuple(RelayLink(i, j, network.file.nodes[j].port) for i, j in pairs)
    _write(directory / "relay.json", RelayConfig(options.seed, places))
    async with helper("relay", str(directory / "relay.json")) as relay:
        ready = await relay.hear(RelayReady, seconds=RELAY_SECONDS_MAX)
        network.rewire(dict(zip(pairs, ready.ports, strict=True)))
        yield Links(relay, pairs)


def _write(path: Path, value: msgspec.Struct) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value)))


async def play(
    options: Options,
    directory: Path,
    shape: Shape,
    script: Script,
    *,
    with_relay: bool,
) -> tuple[Outcome, Run]:
    """Make a network, play a schedule on it, heal and stop it. The files are there to be judged."""
    async with opened(options, directory, shape, script, with_relay=with_relay) as (run, ready):
        async with trio.open_nursery() as nursery:
            run.say(f"{options.validators} validators run, the load begins")
            nursery.start_soon(run.watch)
            if await run.progress(FIRST_ACK_SECONDS_MAX) is None:
                raise ChaosError("NO_PROGRESS", "the healthy network commits nothing")
            began_ns = time.monotonic_ns()
            await script.play(run)
            ended_ns = time.monotonic_ns()
            finished = await run.finish()
            nursery.cancel_scope.cancel()
        run.figures |= _figures(run, began_ns, ended_ns)
        return Outcome(ready.height, finished, run.figures, run.problems), run


def _figures(run: Run, began_ns: int, ended_ns: int) -> dict[str, Any]:
    seconds = (ended_ns - began_ns) / 1e9
    commands = run.tail.commands_between(began_ns, ended_ns)
    figures: dict[str, Any] = {
        "seconds": round(seconds, 1),
        "committed": run.tail.commands,
        "committed_per_second": round(commands / seconds, 1),
        "longest_gap_s": round(run.tail.longest_gap_seconds(began_ns, ended_ns), 2),
    }
    if run.network.starts:
        figures["node_start_s"] = spread(run.network.starts)
    return figures


def spread(values: Sequence[float]) -> dict[str, float]:
    """Number, median, 99th percentile and maximum."""
    ordered = sorted(values)
    if not ordered:
        return {"count": 0}
    return {
        "count": len(ordered),
        "median": round(statistics.median(ordered), 3),
        "p99": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 3),
        "max": round(ordered[-1], 3),
    }


__all__ = ["Links", "Options", "Outcome", "Run", "Script", "Target", "play", "spread"]
