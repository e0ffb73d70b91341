"""What a process counts, times and tells, recorded by real machines at work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.recent import SPAN_MS, STEP_MS, RecentLatency
from node.recorder import ORDERED_MAX, SECONDS, TIMED_MAX, Distribution, Recorder
from tallynet.messages import Ping, Submit
from tests.unit.node.machines import ClientEnd, Net, approved_offer, mutilated


class Log:
    """Stands where structlog does."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def debug(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))

    def about(self, transaction: bytes) -> list[str]:
        """What `grep` finds."""
        return [event for event, fields in self.lines if transaction in fields["transactions"]]


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def recorder(log: Log) -> Recorder:
    return Recorder(log, tells=lambda: True)


@pytest.fixture
def net(tmp_path: Path, recorder: Recorder) -> Iterator[Net]:
    made = Net(tmp_path)
    made.nodes[0].extra = {"watch": recorder}
    made.nodes[0].restart()
    yield made
    made.close()


def all_at(net: Net, height: int) -> bool:
    return net.run(4_000, lambda: all(node.height == height for node in net.nodes))


def test_the_log_tells_the_story_of_a_transaction(net: Net, log: Log) -> None:
    envelope = approved_offer(net)
    net.nodes[0].submit(envelope)
    assert all_at(net, 1)
    told = log.about(envelope.transaction)
    assert told == ["received", "ordered", "executed", "answered", "committed"]


def test_another_node_tells_its_own_part(net: Net, log: Log) -> None:
    envelope = approved_offer(net)
    net.nodes[1].submit(envelope)
    assert all_at(net, 1)
    assert log.about(envelope.transaction) == ["received", "ordered", "executed", "committed"]
    assert log.lines[0][1]["origin"] == "validator"


def test_a_quiet_log_costs_no_lines_and_the_numbers_go_on(tmp_path: Path, log: Log) -> None:
    recorder = Recorder(log)
    net = Net(tmp_path, watch=recorder)
    net.nodes[0].submit(approved_offer(net))
    assert all_at(net, 1)
    net.close()
    assert log.lines == []
    assert recorder.blocks == 4


def test_the_newest_steps_of_the_charts_are_remembered_and_no_more() -> None:
    recent = RecentLatency()
    steps = SPAN_MS // STEP_MS
    for number in range(2 * steps):
        recent.add(number * STEP_MS, number / 1000)
    means, longest = recent.means_and_longest(range(2 * steps))
    assert means == longest == [*[None] * steps, *(n / 1000 for n in range(steps, 2 * steps))]


def test_a_block_and_its_transactions_are_counted_and_timed(net: Net, recorder: Recorder) -> None:
    net.nodes[0].submit(approved_offer(net), approved_offer(net))
    net.nodes[1].submit(approved_offer(net))
    assert net.run(4_000, lambda: recorder.admitted == 3)
    assert recorder.received_from == {"client": 2, "validator": 1}
    assert sum(recorder.commit_latency.counts) == recorder.blocks
    assert sum(recorder.execution.counts) == recorder.blocks
    assert recorder.not_admitted == 0


def test_transactions_are_timed_by_their_id(net: Net, recorder: Recorder) -> None:
    envelopes = [approved_offer(net) for _ in range(64)]
    net.nodes[0].submit(*envelopes)
    assert net.run(8_000, lambda: recorder.admitted == len(envelopes))
    timed = sum(envelope.transaction[0] % 16 == 0 for envelope in envelopes)
    assert sum(recorder.transaction_latency.counts) == timed


def test_requests_and_refusals_are_counted(net: Net, recorder: Recorder, log: Log) -> None:
    client = ClientEnd()
    refused = mutilated(approved_offer(net))
    net.nodes[0].submit(refused, client=client)
    net.nodes[0].machine.service.handle(client, (Ping(1),))
    assert recorder.requests == {Submit: 1, Ping: 1}
    assert recorder.refusals == {"SIGNATURE_INVALID": 1}
    assert log.about(refused.transaction) == ["refused at the door"]


def test_what_expires_is_counted_and_told(net: Net, recorder: Recorder, log: Log) -> None:
    envelope = approved_offer(net)
    recorder.let_go([envelope.transaction], "EXPIRED")
    assert recorder.expired == 1
    assert log.about(envelope.transaction) == ["let go"]


def test_what_is_remembered_is_bounded(recorder: Recorder) -> None:
    for number in range(2 * ORDERED_MAX):
        recorder.ordered(number, number.to_bytes(32, "big"), list)
    for number in range(2 * TIMED_MAX):
        recorder._time(number.to_bytes(32, "big"))
    for number in range(1_000):
        recorder.served(Ping, f"CODE_{number}")
    assert len(recorder._ordered) == ORDERED_MAX
    assert len(recorder._timed) == TIMED_MAX
    assert len(recorder.refusals) == 257
    assert sum(recorder.refusals.values()) == 1_000


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0, 0), (SECONDS[0], 0), (SECONDS[0] * 1.01, 1), (SECONDS[-1] * 2, len(SECONDS))],
)
def test_a_value_falls_into_the_bucket_of_the_bound_that_it_reaches(
    seconds: float, bucket: int
) -> None:
    distribution = Distribution()
    distribution.add(seconds)
    assert distribution.counts.index(1) == bucket
