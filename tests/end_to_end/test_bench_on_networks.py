"""`tally bench --suite` on real networks, as small as it can be: every figure of the parts comes out."""

from __future__ import annotations

from pathlib import Path

from tools.bench_goals import GOALS
from tools.bench_parts import Scale
from tools.bench_suite import Results, run_suite

TINY = Scale(
    sustained=5.0, seconds=3.0, point=1.0, probe=4.0, rate_max=2_000, view_change=5.0, few_lots=600, many_lots=1_200,
    records=1_600, proof_lots=600, sizes=(4,),
)  # fmt: skip


def test_a_leader_dies_and_catches_up_and_an_observer_joins(tmp_path: Path) -> None:
    file = tmp_path / "suite.json"
    run_suite(
        runs=1, only="transfers,join", json_file=file, commit="", write_docs=False, scale=TINY
    )
    parts = Results.load(file, "").parts
    for goal in GOALS:
        if goal.part in ("transfers", "join"):
            (run,) = parts[goal.part]
            assert goal.figure in run
