"""The mixed load is signed before it is sent, and every lane of it comes out as foretold."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import trio

from tallynet.receipts import EnvelopeReceipt
from tools.bench import run_bench
from tools.bench_load import Work
from tools.bench_mixed import signed
from tools.bench_world import BenchFailed
from tools.scenarios.ledger_stage import LedgerStage
from tools.scenarios.traffic import Traffic

COMMANDS = 150
SEED = 2


def test_envelopes_wait_for_those_before_them_and_all_get_their_answers(tmp_path: Path) -> None:
    stage = LedgerStage(tmp_path / "network")
    traffic = Traffic(stage, SEED, COMMANDS)
    trio.run(traffic.open)
    work = signed(stage, traffic)
    assert len(work.waiting) == len(traffic.lanes)

    async def play() -> int:
        count = 0
        while work.waiting:
            (receipt,) = await stage.send([work.waiting.popleft()])
            work.answered(receipt)
            count += 1
        return count

    assert trio.run(play) == sum(len(lane.steps) for lane in traffic.lanes)
    assert not work.then
    assert trio.run(traffic.check) > 0
    stage.audit()


def test_another_answer_than_the_expected_one_ends_the_run(tmp_path: Path) -> None:
    stage = LedgerStage(tmp_path / "network")

    async def register() -> EnvelopeReceipt:
        await stage.join("shop")
        (receipt,) = await stage.send(
            [stage.sign("shop", stage.document("shop", "bank-1", 1, b"d"))]
        )
        return receipt

    receipt = trio.run(register)
    work = Work(deque())
    work.answered(receipt)
    with pytest.raises(BenchFailed, match="not LOT_LOCKED"):
        replace(work, refusals={receipt.transaction: "LOT_LOCKED"}).answered(receipt)
    refused = msgspec.structs.replace(receipt, code="EXPIRED", commands=())
    with pytest.raises(BenchFailed, match="REFUSED"):
        work.answered(refused)


@pytest.mark.parametrize("given", [{"workload": "other"}, {"workload": "mixed", "batch": 2}])
def test_a_workload_that_there_is_not_is_refused(given: dict[str, object]) -> None:
    usual: dict[str, object] = {
        "validators": 4, "batch": 1, "seconds": 1, "lots": 0, "json_file": None, "commit": "",
    }  # fmt: skip
    with pytest.raises(BenchFailed, match="workload"):
        run_bench(**(usual | given))  # type: ignore[arg-type]  # by name
