"""The files with which operators run and watch a node fit the node."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from node import run
from node.recorder import EVENTS
from node.web.metrics import METRICS
from tools.doctor.findings import Verdict
from tools.doctor.machine import open_files

DEPLOY = Path(__file__).resolve().parents[3] / "docs" / "operate" / "deploy"
UNIT = DEPLOY / "tallynet-node.service"
PARTS = ("_bucket", "_sum", "_count")
PROCESS = ("process_cpu_seconds_total", "process_resident_memory_bytes")


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> list[str]:
    board = json.loads((DEPLOY / "dashboard.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return [*asked, *(rule["expr"] for rule in rules())]


def names_in(expression: str) -> set[str]:
    """Metrics that an expression reads."""
    return set(re.findall(r"\b(?:tallynet|process)_\w+", re.sub(r'"[^"]*"', "", expression)))


def exported(name: str) -> bool:
    bare = next((name.removesuffix(part) for part in PARTS if name.endswith(part)), name)
    return name in METRICS or name in PROCESS or bare in METRICS


def test_every_metric_that_rules_and_dashboard_read_is_exported() -> None:
    read = {name for expression in expressions() for name in names_in(expression)}
    assert len(read) > 20
    assert [name for name in sorted(read) if not exported(name)] == []


def test_every_event_that_they_read_is_counted() -> None:
    events = re.findall(r'event="(\w+)"', "".join(expressions()))
    assert events
    assert set(events) <= set(EVENTS)


def test_every_rule_says_how_bad_it_is_and_what_to_do() -> None:
    assert len({rule["alert"] for rule in rules()}) == len(rules()) > 10
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "warn")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["remedy"]


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment]
    parser.read(UNIT)
    return parser


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """In a copy whose program exists on this machine."""
    text = UNIT.read_text()
    program = "/opt/tallynet/.venv/bin/python"
    assert program in text
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace(program, sys.executable))
    found = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    # What it says of other units of the machine is not about this one.
    about = [line for line in found.stderr.splitlines() if UNIT.name in line]
    assert (found.returncode, about) == (0, [])


def test_the_unit_restarts_what_a_restart_can_help() -> None:
    service = unit()["Service"]
    assert service["Type"] == "notify"
    refused = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert refused == {run.EXIT_UNUSABLE, run.EXIT_INVARIANT}


def test_the_unit_gives_enough_files() -> None:
    limit = int(unit()["Service"]["LimitNOFILE"])
    assert open_files(limit, "the service's").verdict is Verdict.OK
