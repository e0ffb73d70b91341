"""What other validators ask of this node, answered at a bounded rate.

A question of twenty bytes may cost a megabyte read and sent. So each validator has an allowance of bytes
read for it, and a few questions that wait until there is some left: who asks faster waits, or loses
questions, and takes nothing from anybody else.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from tallynet.ciphertexts import FetchCiphertext
from tallynet.messages import (
    FetchBlocks,
    FetchBodies,
    FetchProposal,
    FetchState,
    FetchStateHead,
    FetchVotes,
)  # fmt: skip

Question = (
    FetchBlocks | FetchBodies | FetchProposal | FetchState | FetchStateHead | FetchVotes
    | FetchCiphertext
)  # fmt: skip

ANSWERS_BYTES_PER_SECOND: Final = 5_000_000
"""To one validator, sustained: a correct one reads no more from us (`net.limits.ListenerLimits`)."""
ANSWERS_BURST_BYTES: Final = 16 * 1024 * 1024
"""At once, by the same measure."""
QUESTIONS_MAX: Final = 16
"""Of one validator that wait; then the oldest goes, which the asker takes to another. A correct one has one
question out of each kind, and one about the bodies of each block in the window."""
QUESTION_BYTES: Final = 4 * 1024
"""Charged at least: looking for what is not there takes time too."""
CORE_ANSWER_BYTES: Final = 64 * 1024
"""Charged for what the core answers from memory: a block's content, or the votes of a window."""


class Questions:
    """Those that wait, and how much was read lately for whom. Time is passed in, in milliseconds."""

    def __init__(self) -> None:
        self._waiting: Final[dict[int, deque[Question]]] = {}
        self._left: Final[dict[int, tuple[int, int]]] = {}
        """Validator -> (bytes that may be read for it, negative after a large answer; at this time)."""

    @property
    def count(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    def put(self, source: int, question: Question) -> None:
        self._waiting.setdefault(source, deque(maxlen=QUESTIONS_MAX)).append(question)

    def take(self, now_ms: int) -> tuple[int, Question] | None:
        """The next one that may be answered, and who asks it; `charge` for its answer."""
        for source, questions in self._waiting.items():
            if questions and self._allowance(source, now_ms) > 0:
                return source, questions.popleft()
        return None

    def charge(self, source: int, size: int, now_ms: int) -> None:
        """So many bytes were read for an answer."""
        left = self._allowance(source, now_ms) - max(size, QUESTION_BYTES)
        self._left[source] = (left, now_ms)

    def _allowance(self, source: int, now_ms: int) -> int:
        left, then_ms = self._left.get(source, (ANSWERS_BURST_BYTES, now_ms))
        gained = (now_ms - then_ms) * ANSWERS_BYTES_PER_SECOND // 1000
        return min(ANSWERS_BURST_BYTES, left + gained)
