"""Which stage of `tally bench --budget` a sampled stack counts for."""

from __future__ import annotations

import pytest

from tools import bench_budget as budget
from tools.testnet_processes import ROOT

HERE = f"{ROOT}/"
LOOP = (
    "main (/usr/lib/python/runpy.py:1)",
    "unrolled_run (/venv/site-packages/trio/_core/_run.py:9)",
)


@pytest.mark.parametrize(
    ("frames", "stage"),
    [
        ((), budget.LOOP),
        ((f"Listener._read_peer ({HERE}net/listener.py:3)",), budget.FRAMES),
        (("SSLStream.send_all (/venv/site-packages/trio/_ssl.py:3)",), budget.FRAMES),
        ((f"execute_block ({HERE}node/ledger/execute.py:3)",), budget.EXECUTE),
        ((f"Overlay.seal ({HERE}node/state/overlay.py:3)", f"encode ({HERE}tallynet/codec.py:3)"),
         budget.TREE),
        ((f"admit ({HERE}node/ledger/execute.py:3)", f"value ({HERE}node/ledger/parameters.py:3)"),
         budget.DOOR),
        ((f"admit ({HERE}node/ledger/execute.py:3)", f"verify ({HERE}tallynet/signatures.py:3)"),
         budget.VERIFY),
        ((f"Replica.step ({HERE}consensus/replica.py:3)",), budget.VOTE),
        ((f"Store.commit ({HERE}node/store/store.py:3)",), budget.STORE),
    ],
)  # fmt: skip
def test_the_innermost_frame_with_a_stage_decides(frames: tuple[str, ...], stage: str) -> None:
    assert budget.stage_of([*LOOP, *frames]) == stage


def test_a_thread_that_waits_for_work_costs_nothing() -> None:
    waiting = f"_bootstrap (threading.py:1);Writer._work ({HERE}node/writer.py:44) 118"
    idle = "_bootstrap (threading.py:1);WorkerThread._work (site-packages/trio/_thread_cache.py:211) 99"
    voting = ";".join((*LOOP, f"Replica.step ({HERE}consensus/replica.py:3)")) + " 2"
    assert budget.count_stages([waiting, idle, voting]) == {budget.VOTE: 2}


def test_the_stages_share_the_measured_cost() -> None:
    shares = budget.Budget()
    shares.samples.update({budget.VOTE: 1, budget.EXECUTE: 3})
    spent = shares.microseconds(200.0)
    assert spent[budget.EXECUTE] == 150.0
    assert sum(spent.values()) == 200.0
