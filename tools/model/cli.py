"""`tally model`: run every configuration of the model and compare with what must come out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from tools.debian import ensure_packages
from tools.model.checker import Outcome, check
from tools.model.configurations import CONFIGURATIONS, Configuration
from tools.output import ERRORS, Exit, print_rows, say

WORDS: Final = {True: "holds", False: "fork"}
"""How an outcome is called."""


def model(
    *,
    quick: Annotated[
        bool, Parameter(negative=(), help="small bounds and all negative controls, half a minute")
    ] = False,
    json_file: Annotated[
        Path | None, Parameter(name="--json", help="write the outcomes to this file too")
    ] = None,
) -> None:
    """Check the view change: the protocol in all its states within bounds, and each rule left out once.

    A configuration "holds" when no two blocks can become final at one height, whatever the faulty
    validators do; otherwise there is a "fork". Every negative control must end in one.

    For example:

        tally model --quick
    """
    ensure_packages()
    wanted = [c for c in CONFIGURATIONS if c.quick or not quick]
    results = list(run(wanted))
    print_rows("", COLUMNS, [_row(configuration, outcome) for configuration, outcome in results])
    if json_file is not None:
        text = json.dumps([_plain(c, outcome) for c, outcome in results], indent=2)
        json_file.write_text(text + "\n", encoding="utf-8")
    wrong = [(c, outcome) for c, outcome in results if outcome.holds != c.holds]
    for configuration, outcome in wrong:
        say(f"\n{configuration.name}: {WORDS[outcome.holds]} was found")
        for line in outcome.trail:
            say(f"    {line}")
    if wrong:
        raise SystemExit(int(Exit.DIFFERENCE))


def run(configurations: Sequence[Configuration]) -> Iterator[tuple[Configuration, Outcome]]:
    """Check one after the other, in a directory of its own each, telling what is being done."""
    for number, configuration in enumerate(configurations, 1):
        ERRORS.print(f"{number}/{len(configurations)} {configuration.name} ...", markup=False)
        with tempfile.TemporaryDirectory(prefix="tally-model-") as directory:
            yield configuration, check(configuration, Path(directory))


COLUMNS: Final = ("configuration", "expected", "found", "states", "depth", "seconds", "MiB")


def _row(configuration: Configuration, outcome: Outcome) -> tuple[str, ...]:
    return (
        configuration.name,
        WORDS[configuration.holds],
        WORDS[outcome.holds],
        f"{outcome.states:,}",
        str(outcome.depth),
        f"{outcome.seconds:.1f}",
        f"{outcome.memory_mib:.0f}",
    )


def _plain(configuration: Configuration, outcome: Outcome) -> dict[str, object]:
    return {
        "name": configuration.name,
        "defines": configuration.defines,
        "expected": WORDS[configuration.holds],
        **asdict(outcome),
        "found": WORDS[outcome.holds],
    }
