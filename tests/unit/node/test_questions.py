"""Questions of other validators: answered at a bounded rate, which no correct one notices."""

from __future__ import annotations

from pathlib import Path

from net.limits import ListenerLimits
from node.questions import (
    ANSWERS_BURST_BYTES,
    ANSWERS_BYTES_PER_SECOND,
    QUESTION_BYTES,
    QUESTIONS_MAX,
    Questions,
)
from tallynet.messages import Blocks, FetchBlocks, PeerMessage
from tests.unit.node.machines import Net, offer

MIB = 1024 * 1024
ASKER = 1
LIAR = 3


def served(questions: Questions, now_ms: int, size: int) -> list[tuple[int, int]]:
    """(who, first height) of what is answered now, each with so many bytes."""
    found: list[tuple[int, int]] = []
    while (asked := questions.take(now_ms)) is not None:
        source, question = asked
        assert isinstance(question, FetchBlocks)
        found.append((source, question.first))
        questions.charge(source, size, now_ms)
    return found


def test_a_correct_validator_reads_no_more_than_it_may_ask_for() -> None:
    limits = ListenerLimits()
    assert limits.peer_bytes_per_second <= ANSWERS_BYTES_PER_SECOND
    assert limits.peer_burst_bytes <= ANSWERS_BURST_BYTES


def test_who_asks_without_end_is_answered_at_the_rate() -> None:
    questions = Questions()
    count = 0
    for now_ms in range(0, 10_000, 10):
        for _ in range(10):
            questions.put(LIAR, FetchBlocks(1))
        count += len(served(questions, now_ms, MIB))
    assert count <= (ANSWERS_BURST_BYTES + 10 * ANSWERS_BYTES_PER_SECOND) // MIB + 1


def test_questions_that_find_nothing_are_not_free() -> None:
    questions = Questions()
    count = 0
    for now_ms in range(10_000):
        for _ in range(QUESTIONS_MAX):
            questions.put(LIAR, FetchBlocks(1))
        count += len(served(questions, now_ms, 0))
    assert count <= (ANSWERS_BURST_BYTES + 10 * ANSWERS_BYTES_PER_SECOND) // QUESTION_BYTES + 1


def test_who_asks_one_after_the_other_is_answered_at_full_speed() -> None:
    """At once while there is some allowance left, and then as fast as it reads."""
    questions = Questions()
    questions.put(ASKER, FetchBlocks(1))
    count = 0
    for now_ms in range(0, 60_000, 250):
        while served(questions, now_ms, MIB):
            questions.put(ASKER, FetchBlocks(1))
            count += 1
    assert count >= (ANSWERS_BURST_BYTES + 59 * ANSWERS_BYTES_PER_SECOND) // MIB


def test_nobody_waits_for_anybody_else() -> None:
    questions = Questions()
    questions.charge(LIAR, 100 * MIB, 0)
    questions.put(LIAR, FetchBlocks(1))
    questions.put(ASKER, FetchBlocks(2))
    assert served(questions, 0, MIB) == [(ASKER, 2)]


def test_few_questions_wait_and_the_newest_do() -> None:
    questions = Questions()
    questions.charge(ASKER, 20 * MIB, 0)
    for first in range(1, 2 * QUESTIONS_MAX + 1):
        questions.put(ASKER, FetchBlocks(first))
    assert served(questions, 0, 0) == []
    later = served(questions, 2_000, 0)
    assert [first for _, first in later] == list(range(QUESTIONS_MAX + 1, 2 * QUESTIONS_MAX + 1))


def test_what_waits_is_answered_when_time_has_passed(tmp_path: Path) -> None:
    net = Net(tmp_path)
    net.nodes[0].submit(offer(net))
    net.run(100)
    answers: list[int] = []

    def passes(source: int, to: int, message: PeerMessage) -> bool:
        if isinstance(message, Blocks):
            answers.append(to)
        return True

    net.passes = passes
    net.nodes[0].machine._questions.charge(LIAR, ANSWERS_BURST_BYTES + MIB, net.now_ms)
    net.inject(LIAR, 0, FetchBlocks(1))
    net.run(100)
    assert answers == []
    net.run(1_000)
    assert answers == [LIAR]
    net.close()
