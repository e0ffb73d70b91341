"""One plan judged in this process, within a bounded time, and cheaply many times in a row."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn

from tools.simulator.options import Plan
from tools.simulator.run import Outcome, Run

CPU_SECONDS_MAX: Final = 60
"""No run needs a tenth of it; more is a loop that does not end, which is a failure of its own."""


class RunHangs(BaseException):
    """The run uses more time than any run needs. No `Exception`, so that no handler swallows it."""


def judge(plan: Plan) -> Outcome:
    """Run a plan on the main thread. A run that does not end is a violation, too."""
    try:
        with _limited(), _collected_once():
            return Run(plan).go()
    except RunHangs:
        return Outcome(plan.seed, [f"hang: more than {CPU_SECONDS_MAX} s of CPU time"])


@contextmanager
def _limited() -> Iterator[None]:
    before = signal.signal(signal.SIGVTALRM, _too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS_MAX)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _too_long(_number: int, _frame: FrameType | None) -> NoReturn:
    raise RunHangs


@contextmanager
def _collected_once() -> Iterator[None]:
    """The cycle collector runs once after a run instead of all the time within it: a run's few cycles
    are as big as the run itself, and looking for them costs an eighth of the time (measured). What was
    there before the run is frozen, so that it is not searched, which would cost as much again."""
    was_on = gc.isenabled()
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()
        if was_on:
            gc.enable()
