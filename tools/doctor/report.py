"""All checks of one node, or of all nodes of a network directory, in order."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import trio

from node.config import CONFIG_FILE, load_config
from tools.doctor.config_check import config_faults
from tools.doctor.files import read_files
from tools.doctor.findings import Finding, Verdict, fault, ok
from tools.doctor.machine import clock, disk
from tools.doctor.network import look_around


def examine(directory: Path) -> list[Finding]:
    """Everything about the node of one directory. Changes nothing there."""
    path = directory / CONFIG_FILE
    faults = config_faults(path)
    if faults:
        return [
            fault("config", f"{path}:{f.line}: {f.field} {f.message}".replace(":0:", ":"), f.remedy)
            for f in faults
        ]
    config = load_config(directory)
    files, about_files = read_files(directory, config)
    return [
        ok("config", str(path)),
        *about_files,
        clock(),
        *disk(files.data),
        *trio.run(look_around, files),
    ]


def examine_all(directories: Iterable[Path]) -> dict[str, list[Finding]]:
    """By name of the directory."""
    return {directory.resolve().name: examine(directory) for directory in directories}


def has_fault(report: dict[str, list[Finding]]) -> bool:
    return any(f.verdict is Verdict.FAULT for findings in report.values() for f in findings)


def plain(report: dict[str, list[Finding]]) -> dict[str, Any]:
    """For `--output json` and the bundle."""
    return {
        "faults": sum(f.verdict is Verdict.FAULT for findings in report.values() for f in findings),
        "nodes": {
            name: [msgspec.to_builtins(finding) for finding in findings]
            for name, findings in report.items()
        },
    }
