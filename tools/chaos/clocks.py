"""One node with a wrong clock, by libfaketime: the host's clock is never touched.

Only the wall clock is faked. Time-outs run on the monotonic clock, which no operator can set, and a
faked one would make the event loop and every wait in the process misbehave instead of the node.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import trio

from tools.chaos.crashes import must_catch_up
from tools.chaos.network import ChaosError, ChaosNetwork, Launch
from tools.chaos.run import Run, spread

OFFSETS: Final = ("+3600", "-3600", "+86400", "-86400")
"""Seconds: an hour and a day, both ways."""
WRONG_SECONDS: Final = 6.0
PROGRESS_SECONDS_MAX: Final = 60.0
_LIBRARY: Final = "libfaketimeMT.so.1"
"""The variant for programs with threads; in Debian's package `faketime`."""
_PLACES: Final = ("/usr/lib", "/usr/local/lib")


def library() -> Path:
    """Where libfaketime is. Raises ChaosError FAKETIME_MISSING."""
    for place in _PLACES:
        for found in sorted(Path(place).glob(f"**/faketime/{_LIBRARY}")):
            return found
    raise ChaosError(
        "FAKETIME_MISSING", f"{_LIBRARY} is not installed; on Debian: apt-get install faketime"
    )


def require_library(_network: ChaosNetwork) -> None:
    """Fail before anything runs. Raises ChaosError FAKETIME_MISSING."""
    library()


def environment(offset_file: Path) -> dict[str, str]:
    """Variables that give a process the clock described in a file, read again every second."""
    return {
        "LD_PRELOAD": str(library()),
        "FAKETIME_TIMESTAMP_FILE": str(offset_file),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


async def clock(run: Run) -> None:
    """One node's clock jumps by an hour and by a day, forth and back; the network goes on."""
    recoveries: list[float] = []
    victim = run.random.choice(run.network.names)
    for offset in OFFSETS:
        await clock_once(run, victim, offset, recoveries)
        victim = await run.leader()
    run.figures["next_commit_after_clock_jump_s"] = spread(recoveries)


async def clock_once(run: Run, victim: str, offset: str, recoveries: list[float]) -> None:
    """Give a node a clock that can be set, set it wrong while it runs, set it right again."""
    offset_file = run.network.path(victim) / "clock.offset"
    offset_file.write_text("+0\n")
    run.network.launches[victim] = Launch(environment=environment(offset_file))
    await run.do(run.network.terminate, victim)
    await run.start([victim])
    await must_catch_up(run, victim)
    for setting, what in (
        (offset, f"{victim}: clock {offset} s"),
        ("+0", f"{victim}: clock right"),
    ):
        offset_file.write_text(f"{setting}\n")
        moment = run.note("clock", (victim, setting), what)
        await trio.sleep(WRONG_SECONDS)
        waited = await run.progress(PROGRESS_SECONDS_MAX, since_ns=moment)
        if waited is None:
            run.fail(f"no commit within {PROGRESS_SECONDS_MAX:g} s of: {what}")
        else:
            recoveries.append(run.tail.longest_gap_seconds(moment, run.tail.at_ns[-1]))
    await must_catch_up(run, victim)
    del run.network.launches[victim]
    await run.do(run.network.terminate, victim)
    await run.start([victim])
