"""What no file of the repository may contain, found line by line.

A word of unfinished work belongs into the tracker, a path of one machine or the address of one registry makes the
build depend on where it ran.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RULES: Final = {
    "unfinished": re.compile(r"\b(TODO|FIXME)\b"),
    "machine path": re.compile(r"/work/|/root/|/tmp/v\b|/home/\w|/Users/\w"),
    "neighbour folder": re.compile(r"\.\./shared\b"),
    "registry address": re.compile(
        r"pypi\.org|pythonhosted\.org|registry\.npmjs\.org|deb\.debian\.org|proxy\.golang\.org"
        r"|--(extra-)?index-url|--find-links"
    ),
    "conflict": re.compile(r"^(<{7}|>{7}) "),
}
EXCEPT: Final = {
    "neighbour folder": re.compile(r"(tests/|tools/demo\w*\.py$)"),
    "unfinished": re.compile(r"node/web/static/vendor/"),
}
"""Rule -> the paths (from their start) that may break it: real invoices lie beside a checkout, where present; what
others wrote stays as they published it."""
OWN_EXAMPLES: Final = ("tests/lint/hygiene.py", "tests/lint/test_hygiene.py")
"""These two name what they forbid."""


@dataclass(frozen=True, slots=True)
class Blemish:
    """One forbidden line."""

    path: str
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.text.strip()[:120]}"


def blemishes(path: str, text: str) -> list[Blemish]:
    """All forbidden lines of one file; `path` is relative to the root."""
    return [
        Blemish(path, number, rule, line)
        for number, line in enumerate(text.splitlines(), 1)
        for rule, pattern in RULES.items()
        if pattern.search(line) and not (rule in EXCEPT and EXCEPT[rule].match(path))
    ]


def repository_files(root: Path) -> list[str] | None:
    """Files that are committed or would be by the next `git add`, or None outside a clone."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=False,
    )
    if listing.returncode:
        return None
    names = listing.stdout.decode().split("\0")
    return sorted(name for name in names if name and (root / name).is_file())
