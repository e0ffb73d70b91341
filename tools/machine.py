"""Which machine figures come from, in one line."""

from __future__ import annotations

import platform
from pathlib import Path

import psutil


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
