"""`tally chaos`: break a network of real processes and check that nothing acknowledged was lost."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from tools.arguments import UsageError
from tools.output import Exit, print_rows
from tools.testnet_files import VALIDATORS_MAX

SEED_MAX: Final = 10**6
CYCLES_MAX: Final = 100_000
MINUTES_MAX: Final = 24 * 60
COMMANDS_MAX: Final = 10**8
RATE_MAX: Final = 100_000


def chaos(
    *,
    schedule: Annotated[str, Parameter(help="what to do to the network; see --list")] = "mixed",
    list_: Annotated[
        bool, Parameter(name="--list", negative=(), help="show the schedules and leave")
    ] = False,
    seed: Annotated[
        int | None, Parameter(help="of every random choice; default: a new one")
    ] = None,
    validators: Annotated[int, Parameter(help="voting nodes, 4 to 16")] = 4,
    cycles: Annotated[
        int,
        Parameter(
            name=("--cycles", "--times"), help="faults to inject, where a schedule counts them"
        ),
    ] = 0,
    minutes: Annotated[float, Parameter(help="how long, where a schedule takes time")] = 0.0,
    commands: Annotated[int, Parameter(help="commands that catch-up has to follow")] = 0,
    rate: Annotated[int, Parameter(help="envelopes per second; default: the schedule's own")] = 0,
    json_file: Annotated[
        Path | None, Parameter(name="--json", help="write all figures to this file")
    ] = None,
    keep: Annotated[
        Path | None, Parameter(name="--keep", help="make the network here and leave it")
    ] = None,
) -> None:
    """Kill, stop, cut off, starve and corrupt a network of real processes under load, then check it.

    The run makes a network of its own on this machine and touches no other. Clients log every
    acknowledgement; at the end all of them are looked for on every node. Exit code 1 when a rule is
    violated; the files are then kept.

    For example:

        tally chaos
        tally chaos --schedule kill --cycles 300 --seed 7
        tally chaos --list
    """
    # Everything that a run needs is heavy; the other commands must not wait for it.
    from tools.chaos.command import run_chaos
    from tools.chaos.run import Options
    from tools.chaos.schedules import SCHEDULES

    if list_:
        print_rows(
            "", ("schedule", "what it does"), [(n, s.sentence) for n, s in SCHEDULES.items()]
        )
        return
    if schedule not in SCHEDULES:
        raise UsageError("USAGE", f"--schedule {schedule}: one of {', '.join(SCHEDULES)}")
    bounds = (
        ("validators", validators, 4, VALIDATORS_MAX),
        ("cycles", cycles, 0, CYCLES_MAX),
        ("minutes", minutes, 0, MINUTES_MAX),
        ("commands", commands, 0, COMMANDS_MAX),
        ("rate", rate, 0, RATE_MAX),
    )
    for name, value, low, high in bounds:
        if not low <= value <= high:
            raise UsageError("USAGE", f"--{name} {value}: {low} to {high}")
    chosen = secrets.randbelow(SEED_MAX) if seed is None else seed
    options = Options(schedule, chosen, validators, cycles, minutes, commands, rate)
    if run_chaos(options, SCHEDULES[schedule], keep=keep, json_file=json_file):
        raise SystemExit(int(Exit.REFUSED))
