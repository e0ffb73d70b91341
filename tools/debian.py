"""The Debian packages that tools and tests need, as debian-packages.txt lists them.

Root on a system with apt gets what is missing installed; everybody else is told the command.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tallynet.errors import TallynetError

LIST: Final = Path(__file__).resolve().parent.parent / "debian-packages.txt"
SECONDS_MAX: Final = 600
"""For one call of apt-get: a slow mirror, or another apt-get that holds the lock."""


class PackagesMissing(TallynetError):
    """PACKAGES_MISSING: the text has the command that installs them."""


def listed_packages(path: Path = LIST) -> tuple[str, ...]:
    """The packages of a list: one a line, `#` begins a comment."""
    lines = path.read_text(encoding="utf-8").splitlines()
    names = (line.partition("#")[0].strip() for line in lines)
    return tuple(name for name in names if name)


def missing_packages(names: Sequence[str]) -> tuple[str, ...]:
    """Those of `names` that are not installed; without dpkg, all that are no program either."""
    if shutil.which("dpkg-query") is None:
        return tuple(name for name in names if shutil.which(name) is None)
    query = ("dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *names)
    result = subprocess.run(query, capture_output=True, text=True, check=False)
    installed = [
        line.split()[0] for line in result.stdout.splitlines() if line.endswith(" installed")
    ]
    return tuple(name for name in names if name not in installed)


def ensure_packages(path: Path = LIST) -> None:
    """Return when every listed package is there, after installing what is missing if we may.

    Raises:
        PackagesMissing: something is missing and cannot be installed from here.
    """
    missing = missing_packages(listed_packages(path))
    if not missing:
        return
    command = f"apt-get install --yes {' '.join(missing)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise PackagesMissing("PACKAGES_MISSING", f"install as root: {command}")
    print(f"installing Debian packages: {' '.join(missing)}", file=sys.stderr, flush=True)
    install = ("install", "--yes", "--quiet", "--no-install-recommends", *missing)
    code, said = _apt(*install)
    if code:  # the list of packages may be old, or never fetched
        _apt("update", "--quiet")
        code, said = _apt(*install)
    if code or missing_packages(missing):
        raise PackagesMissing("PACKAGES_MISSING", f"{command} failed:\n{said}")


def _apt(*words: str) -> tuple[int, str]:
    """Exit code and output of apt-get, which asks nothing."""
    try:
        result = subprocess.run(
            ("apt-get", *words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, f"no end within {SECONDS_MAX} s"
    return result.returncode, result.stdout
