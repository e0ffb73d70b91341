"""Liars that send a lot: votes for the future, everything they ever heard; and one whose clock is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from consensus.events import Event, Tick
from consensus.proposals import build_content
from tallynet.blocks import Commit, Prepare
from tallynet.codec import encode
from tallynet.messages import PrePrepare, Signed, SignedKind
from tools.simulator.byzantine.base import Behaviour

if TYPE_CHECKING:
    from tools.simulator.run import Run

FLOOD_PER_BEAT: Final = 6
OFFSETS_MS: Final = (300, 1_500, 1_990, 2_100, 60_000, 3_600_000, 86_400_000)
"""Around the window of 2 s in which a proposal's time may differ, an hour, a day."""
OFFSET_US: Final = (500_000, 5_000_000)
"""How long a wrong clock stays equally wrong."""


class FutureFlooder(Behaviour):
    """Votes and proposals for all heights and views in the window, at its edge and beyond (E4)."""

    def beat(self) -> None:
        for _ in range(FLOOD_PER_BEAT):
            self.lie(self.random.choice(self.victims), self._vote())

    def _vote(self) -> Signed | PrePrepare:
        core, random = self.core, self.random
        window = core.config.window
        height = core.committed + random.choice((*range(1, 3 * window + 2), 2**62))
        view = core.view + random.choice((0, 0, 1, 2, 3, 2**62))
        epoch = core.epoch + random.choice((0, 0, 0, 1, 2**62))
        slot = core.slots.get(height)
        block = random.randbytes(32)
        if slot is not None and slot.accepted is not None and random.random() < 0.5:
            block = slot.accepted.block
        kind = random.randrange(3)
        if kind == 0:
            return self.sign(SignedKind.PREPARE, Prepare(epoch, view, height, block))
        if kind == 1:
            roots = (random.randbytes(32), random.randbytes(32))
            return self.sign(SignedKind.COMMIT, Commit(epoch, view, height, block, *roots))
        view += (self.index - view) % self.core.n  # one that it leads
        content = build_content(
            core.config, height=height, parent=core.tip_block, time_ms=core.tip_time_ms + 1,
            envelopes=(random.randbytes(32),),
        )  # fmt: skip
        prepare = self.sign(SignedKind.PREPARE, Prepare(epoch, view, height, content.block))
        return PrePrepare(content.header_bytes, content.envelopes, encode(prepare))


class Replayer(Behaviour):
    """Sends again what it ever heard, to anybody, whoever said it."""

    def beat(self) -> None:
        archive = self.ring.archive
        kinds = archive.kinds()
        for _ in range(self.random.randrange(2 * FLOOD_PER_BEAT) if kinds else 0):
            _, raw, _ = self.random.choice(archive.all(self.random.choice(kinds)))
            self.lie(self.random.choice(self.victims), raw)


class ClockLiar(Behaviour):
    """Its clock is far off, most of all while it leads (C9)."""

    def __init__(self, run: Run, index: int) -> None:
        super().__init__(run, index)
        self._until_us = 0
        self._offset_ms = 0

    def event(self, event: Event) -> Event | None:
        if not isinstance(event, Tick) or not self.leads:
            return event
        return Tick(event.now_ms, max(0, event.wall_ms + self._offset_ms))

    def beat(self) -> None:
        now = self.run.scheduler.now_us
        if now >= self._until_us:
            self._until_us = now + self.random.randint(*OFFSET_US)
            self._offset_ms = self.random.choice((-1, 1)) * self.random.choice(OFFSETS_MS)
        self.run.lies += self.leads
