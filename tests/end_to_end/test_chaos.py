"""`tally chaos` on real processes: short runs that must hold, and proof that its judge would object.

The long runs (hundreds of kills, all schedules) are started by hand: docs/reliability.md, "Real processes".
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from tools.chaos.chain import read_chain
from tools.chaos.checker import Evidence, judge
from tools.chaos.command import run_chaos
from tools.chaos.damage import Damage
from tools.chaos.disks import corrupt_once, rollback_once
from tools.chaos.record import (
    ACKNOWLEDGED_FILE,
    SUBMITTED_FILE,
    Acknowledged,
    Submitted,
    read_log,
)
from tools.chaos.run import Options, Run, Script
from tools.chaos.schedules import DAMAGE_EVENTS, SCHEDULES, Schedule
from tools.cli import main
from tools.output import Exit
from tools.testnet_files import load_network

ROOT = Path(__file__).resolve().parents[2]
RULES = 13
"""Rows of a verdict."""


def figures(path: Path) -> dict[str, Any]:
    """The only part of a run's figures, after a look at its rules."""
    (part,) = json.loads(path.read_text())["parts"].values()
    assert len(part["rules"]) == RULES
    assert all(rule["violations"] == 0 for rule in part["rules"])
    found: dict[str, Any] = part["figures"]
    return found


def evidence_of(directory: Path) -> Evidence:
    """What the judge saw, read again from the kept files."""
    network, logs = directory / "run" / "network", directory / "run" / "logs"
    chains = [read_chain(network / n.name) for n in load_network(network).nodes]
    acknowledged = read_log(logs / ACKNOWLEDGED_FILE, Acknowledged)
    submitted = read_log(logs / SUBMITTED_FILE, Submitted)
    first = min(entry.height for entry in acknowledged)
    return Evidence(submitted, acknowledged, first - 1, chains)


def test_nothing_acknowledged_is_lost_when_nodes_are_killed_again_and_again(tmp_path: Path) -> None:
    """Six kills under load, the last one of all nodes; then each kind of lie in the log is found."""
    options = Options("kill", seed=20_261_126, cycles=6)
    report, kept = tmp_path / "report.json", tmp_path / "kept"
    assert not run_chaos(options, SCHEDULES["kill"], keep=kept, json_file=report)
    found = figures(report)
    assert (found["kill_cycles"], found["all_node_cycles"]) == (6, 1)
    assert found["committed"] > 100

    evidence = evidence_of(kept)
    assert len(evidence.acknowledged) == found["committed"]
    assert all(finding.holds for finding in judge(evidence))
    entry = evidence.acknowledged[found["committed"] // 2]
    for wrong in (
        msgspec.structs.replace(entry, transaction="00" * 32),
        msgspec.structs.replace(entry, height=entry.height + 1),
        msgspec.structs.replace(entry, receipt="00" * 32),
    ):
        lie = replace(evidence, acknowledged=[*evidence.acknowledged, wrong])
        bad = [finding for finding in judge(lie) if not finding.holds]
        assert [finding.violations for finding in bad] == [len(evidence.chains)], wrong


async def _disks(run: Run) -> None:
    await corrupt_once(run, run.network.names[1], Damage.BIT)
    await rollback_once(run)


def test_a_damaged_database_is_noticed_and_an_older_one_never_votes(tmp_path: Path) -> None:
    schedule = Schedule("", {"": Script(_disks)}, logged=DAMAGE_EVENTS)
    report, kept = tmp_path / "report.json", tmp_path / "kept"
    assert not run_chaos(Options("disks", seed=3), schedule, keep=kept, json_file=report)
    (part,) = json.loads(report.read_text())["parts"].values()
    rules = {rule["rule"]: rule["checked"] for rule in part["rules"]}
    assert rules["no vote of a barred node after its bar"] > 0


def test_an_interrupted_run_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "tools.cli", "chaos", "--schedule", "kill", "--seed", "1"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(
            signal.signal, signal.SIGINT, signal.SIG_DFL
        ),  # ignored in a background job
    ) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if "kill -9" in line and "1/" in line:
                break
        children = psutil.Process(run.pid).children(recursive=True)
        assert len(children) >= 4, "nodes, load and guard"
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 130, errors
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert not list(tmp_path.glob("tally-chaos-*"))


def test_a_killed_run_leaves_no_process(tmp_path: Path) -> None:
    """The guard outlives a run that gets no chance to clean up."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "tools.cli", "chaos", "--schedule", "pause", "--seed", "1"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if "pause" in line and "1:" in line:
                break
        children = psutil.Process(run.pid).children(recursive=True)
        run.kill()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive


@pytest.mark.parametrize(
    "words",
    [
        ("--schedule", "nonsense"),
        ("--validators", "3"),
        ("--cycles", "-1"),
        ("--minutes", "100000"),
        ("--rate", "-5"),
    ],
)
def test_what_cannot_be_played_is_refused(
    words: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chaos", *words]) == Exit.USAGE
    assert words[1].lstrip("-") in capsys.readouterr().err


def test_the_schedules_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chaos", "--list"]) == Exit.OK
    shown = capsys.readouterr().out
    assert all(name in shown for name in SCHEDULES)
