"""Serving observers: in turns, out of one allowance, and never more than they read."""

from __future__ import annotations

from collections.abc import Callable

from node.followers import ANSWERS_PER_TURN, TELL_MS, Followers
from node.questions import ANSWERS_BURST_BYTES, QUESTIONS_MAX
from node.sync import Answer
from tallynet.codec import decode, encode
from tallynet.messages import (
    Blocks,
    Bodies,
    FetchBlocks,
    FetchState,
    FetchStateHead,
    Newest,
    NoState,
    ObserverReply,
)

MIB = 1024 * 1024
TURN_MS = 20


class End:
    def __init__(self) -> None:
        self.got: list[ObserverReply] = []
        self.is_behind = False
        self.strikes = 0

    def send(self, message: bytes) -> None:
        self.got.append(decode(ObserverReply, message))  # type: ignore[arg-type]

    def strike(self) -> None:
        self.strikes += 1

    @property
    def blocks(self) -> int:
        return sum(isinstance(message, Blocks) for message in self.got)

    @property
    def told(self) -> list[int]:
        return [message.height for message in self.got if isinstance(message, Newest)]


class Source:
    """Stands where the store does: every answer costs `size`."""

    def __init__(self, size: int = 0) -> None:
        self.size, self.height, self.reads = size, 0, 0
        self.askers: list[int] = []

    def blocks(self, _question: FetchBlocks) -> Answer:
        self.reads += 1
        return Answer(encode(Blocks(())), self.size)

    def head(self, source: int, question: FetchStateHead, _now_ms: int) -> Answer:
        self.askers.append(source)
        return Answer(encode(NoState(question.least)), self.size)

    part: Callable[[int, FetchState, int], Answer]


def followers(source: Source, *, bytes_per_second: int = 5_000_000, invalid: int = 0) -> Followers:
    return Followers(
        sync=source,  # type: ignore[arg-type]
        states=source,  # type: ignore[arg-type]
        newest=lambda: source.height,
        pass_on=lambda _bodies: invalid,
        bytes_per_second=bytes_per_second,
    )


def test_an_observer_is_told_of_every_block_and_now_and_then_anyway() -> None:
    source, end = Source(), End()
    served = followers(source)
    served.handle(end, (Newest(0),))
    now = 0
    for height in (0, 0, 1, 1, 2):
        source.height = height
        now += TURN_MS
        served.serve(now)
    assert end.told == [0, 1, 2]
    served.serve(now + TELL_MS - 1)
    assert end.told == [0, 1, 2]
    served.serve(now + TELL_MS)
    assert end.told == [0, 1, 2, 2]


def test_all_together_get_no_more_than_the_allowance() -> None:
    source, ends = Source(MIB), [End() for _ in range(4)]
    served = followers(source, bytes_per_second=MIB)
    seconds = 10
    for turn in range(seconds * 1000 // TURN_MS):
        for number, end in enumerate(ends):
            served.handle(end, (FetchBlocks(1 + turn * 4 + number),))
        served.serve(turn * TURN_MS)
    given = sum(end.blocks for end in ends)
    assert seconds <= given <= seconds + ANSWERS_BURST_BYTES // MIB + 1
    assert max(end.blocks for end in ends) - min(end.blocks for end in ends) <= 1, "in turns"


def test_one_that_asks_for_much_does_not_keep_others_waiting() -> None:
    source, greedy, modest = Source(MIB), End(), End()
    served = followers(source, bytes_per_second=MIB)
    for first in range(1, QUESTIONS_MAX + 1):
        served.handle(greedy, (FetchBlocks(first),))
    served.handle(modest, (FetchBlocks(99),))
    served.serve(0)
    assert modest.blocks == 1
    assert greedy.blocks == ANSWERS_PER_TURN - 1


def test_who_does_not_read_is_not_answered_and_loses_its_oldest_questions() -> None:
    source, end = Source(), End()
    served = followers(source)
    end.is_behind = True
    for first in range(QUESTIONS_MAX + 5):
        served.handle(end, (FetchBlocks(first + 1),))
    served.serve(0)
    assert end.blocks == 0
    end.is_behind = False
    for turn in range(20):
        served.serve(turn * TURN_MS)
    assert end.blocks == QUESTIONS_MAX


def test_the_same_block_is_read_once_for_all_that_have_caught_up() -> None:
    source, ends = Source(1_000), [End() for _ in range(4)]
    served = followers(source)
    for end in ends:
        served.handle(end, (FetchBlocks(1),))
    served.serve(0)
    assert source.reads == 1
    assert [end.blocks for end in ends] == [1, 1, 1, 1]
    source.height = 1  # there may be more to give now
    served.handle(ends[0], (FetchBlocks(1),))
    served.serve(TURN_MS)
    assert source.reads == 2


def test_an_observer_counts_as_no_validator_where_states_are_fetched() -> None:
    source, ends = Source(), [End(), End()]
    served = followers(source)
    for end in ends:
        served.handle(end, (FetchStateHead(1, 0),))
    served.serve(0)
    assert len(set(source.askers)) == 2
    assert all(number < 0 for number in source.askers)


def test_one_that_has_gone_is_forgotten_and_invalid_envelopes_are_strikes() -> None:
    source, gone, liar = Source(), End(), End()
    served = followers(source, invalid=3)
    served.handle(gone, (FetchBlocks(1),))
    served.handle(liar, (Bodies((b"x",)),))
    assert (served.count, liar.strikes) == (2, 3)
    served.forget(gone)
    served.forget(gone)
    served.serve(0)
    assert served.count == 1
    assert gone.got == []
