"""Where published figures come from, the commit and the machine, and the files that keep them."""

from __future__ import annotations

import json
import platform
import subprocess
from pathlib import Path
from typing import Any, Final

import psutil

ROOT: Final = Path(__file__).resolve().parent.parent


def machine() -> str:
    """Processor, cores, memory, kernel, Python: what stands beside every published figure."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return (
        f"{model}, {psutil.cpu_count()} cores, {psutil.virtual_memory().total >> 30} GiB,"
        f" Linux {platform.release()}, Python {platform.python_version()}"
    )


def commit() -> str:
    """The commit that the source tree is at; empty outside a clone, `+` where it was changed."""
    head = subprocess.run(
        ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return head.stdout.strip()


def write_figures(file: Path | None, figures: dict[str, Any]) -> None:
    """What `--json FILE` keeps: the figures, the commit and the machine. None: nothing was asked for."""
    if file is not None:
        found = figures | {"commit": commit(), "machine": machine()}
        file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
