"""`tally check` and `tally test`: what a change must pass, the same for people and for CI."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tools.debian import PackagesMissing, ensure_packages

ROOT: Final = Path(__file__).resolve().parent.parent
CODE: Final = ("tallynet", "consensus", "net", "node", "tools", "tests", "tally")
CHECKS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("lint", ("ruff", "check", *CODE)),
    ("format", ("ruff", "format", "--check", *CODE)),
    ("types", ("mypy",)),
    ("layers", ("lint-imports",)),
    ("purity and hygiene", ("pytest", "tests/lint")),
)
SIDE_BY_SIDE: Final = ("-n", "auto", "--dist", "worksteal")
"""Tests that use one core each (pytest-xdist)."""
NETWORKS: Final = ("tests/crash", "tests/docs", "tests/end_to_end")
"""Their tests start processes of their own, which wait most of the time."""
FILE_BY_FILE: Final = ("-n", "auto", "--dist", "loadfile")
"""The tests of a file share its network."""
COMPILES_NOTHING: Final = "PYTHONDONTWRITEBYTECODE"
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130


def _run(program: str, *words: str) -> int:
    """Run a program of the environment in the root, where each of them finds its settings."""
    path = Path(sys.executable).parent / program
    if not path.exists():
        print(f"{program} is missing beside {sys.executable}; delete .venv and run ./tally again")
        return 1
    # Tests start processes by the hundred; without compiled files each would compile what it imports.
    environment = {name: text for name, text in os.environ.items() if name != COMPILES_NOTHING}
    return subprocess.run((str(path), *words), cwd=ROOT, env=environment, check=False).returncode


def check() -> int:
    """Run every check, also after a failure; 0 if all passed."""
    failed = []
    begun = time.monotonic()
    for name, words in CHECKS:
        started = time.monotonic()
        code = _run(*words)
        verdict = "FAILED" if code else "ok"
        print(f"check: {name}: {verdict} ({time.monotonic() - started:.1f} s)", flush=True)
        if code:
            failed.append(name)
    total = f"({time.monotonic() - begun:.1f} s)"
    if failed:
        print(f"check: FAILED: {', '.join(failed)} {total}", flush=True)
        return 1
    print(f"check: all {len(CHECKS)} ok {total}", flush=True)
    return 0


def from_here(word: str, here: Path) -> str:
    """A pytest word that names a file or folder from where the user stands, as seen from the root.

    `file.py::test_name` keeps its test name; options and everything else stay as they are.
    """
    path, mark, test = word.partition("::")
    if path and not path.startswith("-") and (here / path).exists():
        return f"{here / path}{mark}{test}"
    return word


def test(words: list[str]) -> int:
    """Run the test suite, in two parts, or what the further words tell pytest to run."""
    try:
        ensure_packages()
    except PackagesMissing as error:
        print(f"{error.code}: {error.message}", file=sys.stderr)
        return 1
    if words:
        here = Path.cwd()
        return _run("pytest", *(from_here(word, here) for word in words))
    others = [f"--ignore={path}" for path in NETWORKS]
    codes = (_run("pytest", *SIDE_BY_SIDE, *others), _run("pytest", *FILE_BY_FILE, *NETWORKS))
    return first_failure(codes)


def first_failure(codes: Iterable[int]) -> int:
    """The first exit code that is not 0, else 0. That of a process which a signal ended is below 0."""
    return next((code for code in codes if code), 0)


def main() -> int:
    words = sys.argv[1:]
    try:
        if words == ["check"]:
            return check()
        if words[:1] == ["test"]:
            return test(words[1:])
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    print("usage: ./tally check | ./tally test [words for pytest]", file=sys.stderr)
    return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
