"""Where a validator's CPU goes: `tally bench --budget`.

py-spy samples the stacks of one validator at full load, on the processor only. A sample counts for the stage
of its innermost frame that belongs to one, so that a codec or hash counts for whoever called it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tools.bench_world import BenchFailed
from tools.output import print_rows
from tools.testnet_processes import ROOT

RATE: Final = 200
"""Samples per second: enough for one per cent in ten seconds, too few to slow the validator down."""
END_SECONDS_MAX: Final = 30.0
"""After its time py-spy writes its file."""

VERIFY, DECODE, DOOR, PROPOSE, VOTE, EXECUTE, TREE, STORE, REPLY, FRAMES, LOOP = (
    "verify signatures",
    "decode envelopes and blocks",
    "door and pool",
    "propose",
    "vote, views, catching up",
    "execute the voucher law",
    "state tree, encoding of records",
    "write batch and LMDB",
    "proofs and replies",
    "frames, TLS, sockets",
    "event loop",
)
STAGES: Final = (
    VERIFY, DECODE, DOOR, PROPOSE, VOTE, EXECUTE, TREE, STORE, REPLY, FRAMES, LOOP,
)  # fmt: skip
_BY_FILE: Final = (
    ("tallynet/signatures.py", VERIFY),
    ("tallynet/envelope.py", DECODE),
    ("node/pool.py", DOOR),
    ("node/unchecked.py", DOOR),
    ("consensus/proposing.py", PROPOSE),
    ("consensus/proposals.py", PROPOSE),
    ("consensus/", VOTE),
    ("node/signer.py", VOTE),
    ("node/state/tree.py", TREE),
    ("node/ledger/", EXECUTE),
    ("node/state/", EXECUTE),
    ("node/store/", STORE),
    ("node/writer.py", STORE),
    ("node/executor.py", STORE),
    ("tallynet/merkle.py", REPLY),
    ("node/service.py", REPLY),
    ("tallynet/frames.py", FRAMES),
    ("net/", FRAMES),
    ("trio/_ssl.py", FRAMES),
    ("trio/_socket.py", FRAMES),
    ("trio/_highlevel", FRAMES),
    ("node/", LOOP),
    ("trio/", LOOP),
)
"""The first path that a file's contains decides; other files have no stage."""
_BY_FUNCTION: Final = {
    "Overlay.seal": TREE,
    "Overlay._make_changes": TREE,
    "Overlay._voucher_leaf": TREE,
    "Service._submit": DOOR,
    "Service._at_the_door": DOOR,
}


WAITING: Final = ("Writer._work", "WorkerThread._work", "EpollIOManager.get_events")
"""Innermost frames of a thread that waits for work. The system calls it runnable at times, py-spy believes it."""


@dataclass(slots=True)
class Budget:
    """Samples by stage."""

    samples: Counter[str] = field(default_factory=Counter)

    def microseconds(self, per_command: float) -> dict[str, float]:
        """Microseconds of CPU per command by stage, of so many in all."""
        total = max(1, self.samples.total())
        return {stage: round(self.samples[stage] / total * per_command, 1) for stage in STAGES}


@contextmanager
def sampled(pid: int, seconds: float) -> Iterator[Budget]:
    """Sample a process for so long, from now on; the budget is complete when the context ends.

    Raises BenchFailed PROFILER.
    """
    budget = Budget()
    with tempfile.TemporaryDirectory(prefix="tally-budget-") as scratch:
        raw = Path(scratch) / "stacks"
        spy = Path(sys.executable).with_name("py-spy")
        command = [
            str(spy), "record", "--pid", str(pid), "--duration", str(max(1, round(seconds))),
            "--rate", str(RATE), "--format", "raw", "--full-filenames", "--output", str(raw),
        ]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
            yield budget
            _, errors = run.communicate(timeout=seconds + END_SECONDS_MAX)
        if run.returncode or not raw.exists():
            why = errors.decode(errors="replace").strip().splitlines()[-1:]
            raise BenchFailed("PROFILER", f"py-spy could not sample the validator: {why}")
        budget.samples.update(count_stages(raw.read_text().splitlines()))


def count_stages(stacks: Iterable[str]) -> Counter[str]:
    """Samples by stage of folded stacks: frames from the outermost, separated by semicolons, a blank, and
    how often that stack was seen."""
    counted: Counter[str] = Counter()
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if not frames[-1].startswith(WAITING):
            counted[stage_of(frames)] += int(count)
    return counted


def stage_of(frames: list[str]) -> str:
    """The stage of a stack; the event loop's when no frame has one."""
    for frame in reversed(frames):
        stage = _stage(frame)
        if stage is not None:
            # What the law checks before an envelope is held is the door's work, not a block's.
            admits = stage == EXECUTE and any(other.startswith("admit (") for other in frames)
            return DOOR if admits else stage
    return LOOP


def _stage(frame: str) -> str | None:
    function, _, place = frame.rpartition(" (")
    by_function = _BY_FUNCTION.get(function)
    if by_function is not None:
        return by_function
    file = place.removeprefix(f"{ROOT}/")
    outside = "site-packages/"
    path = file.partition(outside)[2] if outside in file else file
    return next((stage for part, stage in _BY_FILE if path.startswith(part)), None)


def show(microseconds: dict[str, float]) -> None:
    """Print the table."""
    total = sum(microseconds.values()) or 1.0
    rows = [(stage, f"{us:.1f}", f"{us / total:.0%}") for stage, us in microseconds.items()]
    print_rows("", ("stage", "us per command", "share"), rows)
