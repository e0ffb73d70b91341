"""The faulty network: one directed link per pair of processes, under the weather of the plan."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from tools.simulator.options import CALM, TAIL_US, Strategy, Weather
from tools.simulator.scheduler import Scheduler

CHANGE_POINTS_MAX: Final = 3
"""PCT with d <= 4 finds a bug of depth d with probability at least 1/(n k^(d-1)) per run."""
RANK_DELAY_US: Final = 60_000
"""What one step of priority costs a message."""
TARGET_DELAY_US: Final = 400_000

Arrive = Callable[[int, bytes], None]
"""(index of the sender, message)."""


class Network:
    """Carries messages between processes, which are numbered; several may have one validator index."""

    def __init__(
        self, scheduler: Scheduler, strategy: Strategy, weather: Weather, length_ms: int
    ) -> None:
        self._scheduler: Final = scheduler
        self._random: Final = Random(scheduler.random.getrandbits(64))
        self._strategy: Final = strategy
        self._length_us: Final = length_ms * 1000
        self.weather = weather
        self._arrive: Final[list[Arrive]] = []
        self._index: Final[list[int]] = []
        self.cut: dict[tuple[int, int], None] = {}
        """Directed pairs of processes that do not hear each other."""
        self.drops: Callable[[int, int, bytes], bool] | None = None
        """An adversary that chooses what is lost: (source, target, message)."""
        self._free_us: Final[dict[tuple[int, int], int]] = {}
        """When the link delivers again: order on FIFO links, clogs."""
        self._generation: Final[dict[tuple[int, int], int]] = {}
        """Connections; a reset loses what is under way."""
        self._ranks: list[int] = []
        self.target = -1
        """Process that is starved under `Strategy.TARGETED`."""
        self.messages = 0
        self.detour: Callable[[int, bytes], int] | None = None
        """How long a message from a process takes at least, in microseconds; None: as the weather says.
        For directed runs."""

    def add(self, index: int, arrive: Arrive) -> int:
        """A process for a validator; returns its number."""
        self._arrive.append(arrive)
        self._index.append(index)
        return len(self._arrive) - 1

    def begin(self) -> None:
        """All processes are there: draw what the strategy needs."""
        count = len(self._arrive)
        self._ranks = list(range(count))
        self._random.shuffle(self._ranks)
        if self._strategy is Strategy.PRIORITIES:
            for _ in range(self._random.randint(1, CHANGE_POINTS_MAX)):
                self._scheduler.after(self._random.randrange(self._length_us), self._change)
        if self._strategy is Strategy.TARGETED:
            self.target = self._random.randrange(count)

    def _change(self) -> None:
        first = self._random.randrange(len(self._ranks))
        self._ranks[first] = max(self._ranks) + 1

    def calm(self) -> None:
        """The network heals."""
        self.weather = CALM
        self.cut = {}
        self.drops = None
        self._free_us.clear()
        self.target = -1
        self._ranks = [0] * len(self._ranks)

    def processes(self, index: int) -> list[int]:
        return [number for number, i in enumerate(self._index) if i == index]

    def send(self, source: int, to: int, message: bytes) -> None:
        """From a process to a validator: every process with that index hears it."""
        for number, index in enumerate(self._index):
            if index == to:
                self._transmit(source, number, message)

    def broadcast(self, source: int, message: bytes) -> None:
        own = self._index[source]
        for number, index in enumerate(self._index):
            if index != own:
                self._transmit(source, number, message)

    def _transmit(self, source: int, target: int, message: bytes) -> None:
        self.messages += 1
        if (source, target) in self.cut or (self.drops and self.drops(source, target, message)):
            return
        weather, random = self.weather, self._random
        copies = 1
        if weather.loss and random.randrange(1000) < weather.loss:
            copies = 0
        if weather.duplicate and random.randrange(1000) < weather.duplicate:
            copies += 1
        for _ in range(copies):
            if weather.flip and random.randrange(1000) < weather.flip:
                message = _flipped(message, random)
            delay = self._delay_us(source, target)
            if self.detour is not None:
                delay = max(delay, self.detour(source, message))
            self._deliver_after(source, target, message, delay)

    def _delay_us(self, source: int, target: int) -> int:
        weather, random = self.weather, self._random
        delay = 50 + random.randrange(weather.delay_us)
        if weather.tail and random.randrange(1000) < weather.tail:
            delay += random.randrange(TAIL_US)
        if self._strategy is Strategy.PRIORITIES:
            delay += self._ranks[target] * random.randrange(RANK_DELAY_US)
        if self.target in (source, target):
            delay += random.randrange(TARGET_DELAY_US)
        return delay

    def _deliver_after(self, source: int, target: int, message: bytes, delay_us: int) -> None:
        link = (source, target)
        now = self._scheduler.now_us
        at = now + delay_us
        free = self._free_us.get(link, 0)
        if free > at:
            at = free
        if self.weather.fifo:
            self._free_us[link] = at
        generation = self._generation.get(link, 0)
        self._scheduler.after(at - now, self._deliver, link, generation, message)

    def _deliver(self, link: tuple[int, int], generation: int, message: bytes) -> None:
        if self._generation.get(link, 0) == generation:
            self._arrive[link[1]](self._index[link[0]], message)

    # --- faults ---------------------------------------------------------------------------------

    def reset(self) -> None:
        """Every connection breaks: what is under way is lost."""
        count = len(self._arrive)
        for link in [(a, b) for a in range(count) for b in range(count) if a != b]:
            self._generation[link] = self._generation.get(link, 0) + 1
            self._free_us.pop(link, None)

    def clog(self, source: int, target: int, length_us: int) -> None:
        """Nothing arrives on a link until the time is over; then everything does."""
        self._free_us[(source, target)] = self._scheduler.now_us + length_us

    def part(self, groups: list[list[int]]) -> None:
        """Processes of different groups do not hear each other."""
        side = {number: i for i, group in enumerate(groups) for number in group}
        count = len(self._arrive)
        self.cut = {
            (a, b): None
            for a in range(count)
            for b in range(count)
            if a != b and side.get(a, -1) != side.get(b, -1)
        }


def _flipped(message: bytes, random: Random) -> bytes:
    changed = bytearray(message)
    at = random.randrange(len(changed) * 8)
    changed[at >> 3] ^= 1 << (at & 7)
    return bytes(changed)
