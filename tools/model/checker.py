"""One run of the model: spin writes a checker in C, the compiler builds it, it searches all states.

A search ends in one of three ways: every state was visited and nothing was found, two blocks became
final at one height and there is a trail to it, or it did not finish, which is an error and no result.
"""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tallynet.errors import TallynetError
from tools.model.configurations import Configuration

MODEL: Final = Path(__file__).with_name("view_change.pml")
MEMORY_MIB_MAX: Final = 4096
"""More than ten times what the largest configuration needs."""
SECONDS_MAX: Final = 1800
"""A search that runs so long is stuck, or the machine is far too busy for a result."""
DEPTH_MAX: Final = 100_000
"""Steps in one run; the longest has a few hundred. Reaching it is an error, not a result."""
COMPILE: Final = (
    *("cc", "-o", "pan", "pan.c"),
    "-w",  # the generated code is not ours to clean
    "-DSAFETY",  # assertions only, no cycles
    "-DNOREDUCE",  # every transition touches shared state: nothing is independent for spin
    f"-DMEMLIM={MEMORY_MIB_MAX}",
)


class ModelError(TallynetError):
    """MODEL_UNFINISHED: a tool failed or a search ended without a result; the text says which."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search found."""

    holds: bool
    """Every state visited, no two blocks final at one height."""
    states: int
    depth: int
    """Longest run, or the length of the trail, in steps of the checker."""
    seconds: float
    """Of the search alone, on the clock."""
    memory_mib: float
    trail: tuple[str, ...]
    """What happens in the counterexample, a line an act; empty when it holds."""


def check(configuration: Configuration, directory: Path) -> Outcome:
    """Search all states of a configuration; `directory` is empty, and full of its files afterwards.

    A control is searched breadth first, so that its trail is a shortest one. A small search takes less
    time than optimising its checker, which is thousands of lines, would.

    Raises:
        ModelError: MODEL_UNFINISHED.
    """
    _run(("spin", *configuration.defines, "-a", str(MODEL)), directory)
    optimise = ("-O0",) if configuration.quick else ("-O2",)
    breadth_first = () if configuration.holds else ("-DBFS",)
    _run((*COMPILE, *optimise, *breadth_first), directory)
    begun = time.monotonic()
    # -E: a run that ends is no error; -n: no list of unreached code.
    text = _run(("./pan", "-E", "-n", f"-m{DEPTH_MAX}"), directory)
    seconds = time.monotonic() - begun
    errors = _number(r"errors: (\d+)", text)
    if errors == 0 and ("not completed" in text or "too small" in text):
        raise ModelError("MODEL_UNFINISHED", f"the search was cut off:\n{text}")
    return Outcome(
        holds=errors == 0,
        states=int(_number(r"(\d+) states, stored", text)),
        depth=int(_number(r"depth reached (\d+)", text)),
        seconds=seconds,
        memory_mib=_number(r"([\d.]+)\ttotal actual memory", text),
        trail=() if errors == 0 else _trail(configuration, directory),
    )


def _trail(configuration: Configuration, directory: Path) -> tuple[str, ...]:
    """What the model prints when spin goes down the trail, without spin's own lines. Spin may end with
    an error there: the assertion fails again."""
    (path,) = directory.glob("*.trail")
    words = ("spin", "-T", "-k", path.name, *configuration.defines, str(MODEL))
    _, text = _output(words, directory)
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line.startswith(("replica", "block")))


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise ModelError("MODEL_UNFINISHED", f"the search gave no result:\n{text}")
    return float(found[1])


def _run(words: tuple[str, ...], directory: Path) -> str:
    """What a program prints that must end well."""
    code, text = _output(words, directory)
    if code:
        raise ModelError("MODEL_UNFINISHED", f"{words[0]} ended with {code}:\n{text}")
    return text


def _output(words: tuple[str, ...], directory: Path) -> tuple[int, str]:
    """Exit code, and standard output and error together."""
    try:
        result = subprocess.run(
            words,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelError("MODEL_UNFINISHED", f"{words[0]} ran over {SECONDS_MAX} s") from None
    return result.returncode, result.stdout
