"""Carrying out `tally chaos`: one network per script, played, judged, shown, and taken away."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import trio

from tools.chaos import verdict
from tools.chaos.load import Shape
from tools.chaos.run import Options, Outcome, Run, Script, play
from tools.chaos.schedules import Schedule
from tools.figures import write_figures
from tools.guard import guarded
from tools.output import say


def run_chaos(
    options: Options, schedule: Schedule, *, keep: Path | None, json_file: Path | None
) -> bool:
    """Play a schedule and judge it; True when a rule was violated."""
    say(f"{options.schedule}, seed {options.seed}: {schedule.sentence}")
    if keep is not None:
        keep.mkdir(parents=True)
    directory = Path(tempfile.mkdtemp(prefix="tally-chaos-")) if keep is None else keep.resolve()
    violated = True
    parts: dict[str, Any] = {}
    try:
        for name, script in schedule.scripts.items():
            parts[name] = _part(options, schedule, name, script, directory / (name or "run"))
        violated = any(rule["violations"] for part in parts.values() for rule in part["rules"])
    except* KeyboardInterrupt:
        violated = False
        raise
    finally:
        if violated or keep is not None:
            say(verdict.evidence_text(directory))
        else:
            shutil.rmtree(directory)
    result = {
        "schedule": options.schedule,
        "seed": options.seed,
        "validators": options.validators,
        "violated": violated,
        "parts": parts,
    }
    write_figures(json_file, result)
    return violated


def _part(
    options: Options, schedule: Schedule, name: str, script: Script, directory: Path
) -> dict[str, Any]:
    """One script on a network of its own."""
    directory.mkdir()
    shape = schedule.shape
    if options.rate:
        shape = Shape(shape.in_flight, options.rate, shape.batch)
    with guarded(directory / "network"):
        outcome, run = trio.run(_play, options, directory, shape, script, schedule.relay)
        found = verdict.findings(outcome, run, schedule.logged)
    verdict.show(f"{options.schedule} {name}".strip() + f", seed {options.seed}", found)
    verdict.show_targets(run.targets)
    say(json.dumps(outcome.figures, indent=2))
    targets = [dataclasses.asdict(target) for target in run.targets]
    return {"figures": outcome.figures, "targets": targets, "rules": verdict.as_json(found)}


async def _play(
    options: Options, directory: Path, shape: Shape, script: Script, with_relay: bool
) -> tuple[Outcome, Run]:
    """`play`, which SIGTERM ends like Ctrl-C."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_end_on_sigterm)
        played = await play(options, directory, shape, script, with_relay=with_relay)
        nursery.cancel_scope.cancel()
    return played


async def _end_on_sigterm() -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals:
            raise KeyboardInterrupt
