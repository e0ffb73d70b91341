"""`tally explore` and `tally twins`: the real consensus core in small networks, under every order of messages and under
every division with one validator running twice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

JsonFile = Annotated[Path | None, Parameter(name="--json", help="write the figures to this file")]


def explore(
    *,
    states: int = 150_000,
    window: int | None = None,
    byzantine: Annotated[bool, Parameter(negative=())] = False,
    json_file: JsonFile = None,
) -> None:
    """Visit every state of four validators under every order of messages.

    The validators run the real consensus core; timeouts and crashes come at any
    time. Each row of the table is one exploration with its bounds: it is complete,
    or it ended at --states. A violation is told as the shortest way to it.

    For example:

        tally explore --window 2 --states 1000000

    Parameters
    ----------
    states
        States per exploration at most; about 15,000 take a second.
    window
        Only explorations with this many blocks in flight, 1 or 2; default: both.
    byzantine
        Explorations in which one validator may say anything.
    """
    from tools.explorer.command import run_explore

    leave(run_explore(states, window, byzantine=byzantine, json_file=json_file))


def twins(
    *,
    scenarios: str = "0:2000",
    scenario: int | None = None,
    jobs: int = 1,
    json_file: JsonFile = None,
) -> None:
    """Run one validator twice, under every division of the network over four rounds.

    A number is a scenario, for ever. After the last round the network heals; then
    every transaction has to be committed at every correct validator, on one chain,
    and nobody but the twin may be accused.

    For example:

        tally twins --scenarios 0:20000 --jobs 2
        tally twins --scenario 4711

    Parameters
    ----------
    scenarios
        First number and the one after the last.
    scenario
        Replay this one and tell what happens.
    jobs
        Processes that share the work.
    """
    from tools.explorer.command import replay_twins, run_twins

    leave(run_twins(scenarios, jobs, json_file) if scenario is None else replay_twins(scenario))


def leave(code: int) -> None:
    """Leave with an exit code that says that something was found."""
    if code:
        raise SystemExit(code)
