"""Seeds that nobody has run before, and those that once found something.

Fresh seeds follow from the commit, so that every commit meets others and everybody who tests one commit
meets the same. There is no list of excluded seeds.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tools.simulator.judge import judge
from tools.simulator.options import Plan
from tools.simulator.plan_files import one_line, parse_plan
from tools.simulator.seeds import plan_of
from tools.simulator.sweep import ROOT, Failure, check_hash_seed, sweep
from tools.simulator.variants import VARIANTS, variant_of

FRESH: Final = 500
REGRESSIONS: Final = Path(__file__).parent / "regressions.txt"
PACKAGES: Final = ("tallynet", "consensus", "node", "tools")


def first_fresh_seed() -> int:
    """From the commit; in a folder that is no clone, from the source itself."""
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    digest = head.stdout.strip() if head.returncode == 0 else source_digest()
    return int(digest[:8], 16) // FRESH * FRESH


def source_digest() -> str:
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def regressions() -> Iterator[tuple[str, Plan]]:
    """(what it found, plan) of every line: a seed or a plan, then `#` and the finding."""
    for line in REGRESSIONS.read_text(encoding="utf-8").splitlines():
        text, _, finding = (part.strip() for part in line.rpartition("# "))
        if not text:
            continue
        if re.fullmatch(r"[0-9]+", text):
            yield finding, plan_of(int(text))
        else:
            yield finding, parse_plan(text.encode(), f"{REGRESSIONS.name}: {finding}")


def explain(failures: list[Failure]) -> str:
    return "\n".join(
        f"{f.what}\n    replay: tally simulate --seed {f.seed}"
        + ("" if f.plan is None else f"\n    shrunk: {one_line(f.plan)}")
        for f in failures
    )


def test_fresh_seeds_break_no_promise() -> None:
    first = first_fresh_seed()
    jobs = len(os.sched_getaffinity(0))
    totals = sweep(range(first, first + FRESH), jobs=jobs)
    assert totals.seeds == FRESH
    assert not totals.failures, explain(totals.failures)
    assert len(totals.traces) == FRESH // 50, "one seed in fifty runs twice"


@pytest.mark.parametrize(
    ("finding", "plan"), regressions(), ids=lambda v: v if isinstance(v, str) else ""
)
def test_what_once_found_something_breaks_no_promise(finding: str, plan: Plan) -> None:
    del finding
    outcome = judge(plan)
    assert not outcome.violations, "\n".join([*outcome.last, *outcome.violations])


def test_INV_20_equal_seeds_give_equal_traces() -> None:
    """Twice here, and once in a process in which strings and bytes hash differently."""
    seed = 1
    assert judge(plan_of(seed)).trace == judge(plan_of(seed)).trace
    assert check_hash_seed(seed) is None


def test_every_variant_has_its_share_of_the_seeds() -> None:
    assert {variant_of(seed) for seed in range(200)} == set(VARIANTS)
