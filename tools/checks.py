"""`tally check` and `tally test`: what a change must pass, the same for people and for CI."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
CODE: Final = ("tallynet", "consensus", "net", "node", "tools", "tests", "tally")
CHECKS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("lint", ("ruff", "check", *CODE)),
    ("format", ("ruff", "format", "--check", *CODE)),
    ("types", ("mypy",)),
    ("layers", ("lint-imports",)),
    ("purity and hygiene", ("pytest", "tests/lint")),
)


def _run(words: tuple[str, ...]) -> int:
    program = str(Path(sys.executable).parent / words[0])
    return subprocess.run((program, *words[1:]), cwd=ROOT, check=False).returncode


def check() -> int:
    """Run every check, also after a failure; 0 if all passed."""
    failed = []
    for name, words in CHECKS:
        started = time.monotonic()
        code = _run(words)
        verdict = "ok" if code == 0 else "FAILED"
        print(f"check: {name}: {verdict} ({time.monotonic() - started:.1f} s)", flush=True)
        if code:
            failed.append(name)
    if failed:
        print(f"check: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def main() -> int:
    word, *rest = sys.argv[1:]
    if word == "check":
        if rest:
            print("tally check takes no further words", file=sys.stderr)
            return 2
        return check()
    os.chdir(ROOT)
    return _run(("pytest", *rest))


if __name__ == "__main__":
    sys.exit(main())
