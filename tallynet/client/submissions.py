"""Envelopes on their way to a receipt: whom they were sent to, who refused, when to send again. No I/O.

Theory of operation. An envelope goes to one node first. After T_FORWARD without receipt, or when that
connection is lost, it goes to every node (E2: one node may be censoring or cut off); then again, with
growing pauses, always the same bytes, which can take effect only once. It ends with

    receipt            checked against its block's certificate, whoever sent it
    SubmissionRefused  every node it was sent to refused it at the door
    OutcomeUnknown     the caller's time or the envelope's validity is over; never "failed"
"""

from __future__ import annotations

import heapq
import itertools
from typing import Final

import anyio

from tallynet.client.errors import OutcomeUnknown, SubmissionError, SubmissionRefused
from tallynet.client.trust import Receipt
from tallynet.envelope import Envelope
from tallynet.errors import ERROR_CODES, TallynetError

__all__ = ["Submission", "Submissions"]

T_FORWARD_SECONDS: Final = 1.0
"""Then all nodes get it (reliability E2)."""
RETRY_SECONDS_MAX: Final = 8.0
BUSY_SECONDS: Final = 0.2
"""Pause after a refusal for lack of room; doubles."""
GRACE_SECONDS: Final = 5.0
"""After valid_until by our clock: block time may differ by 2 s, and a receipt travels."""
_VERDICTS: Final = frozenset(code for family in ERROR_CODES.values() for code in family)
"""Refusals that say something about the envelope; any other code is about the node."""


class Submission:
    """One envelope and everybody who waits for its receipt."""

    __slots__ = (
        "asked", "done", "due", "envelope", "error", "pause", "receipt", "rounds", "sends",
        "waiters",
    )  # fmt: skip

    def __init__(self, envelope: Envelope, now: float) -> None:
        self.envelope: Final = envelope
        self.done: Final = anyio.Event()
        self.receipt: Receipt | None = None
        self.error: TallynetError | None = None
        self.waiters = 0
        self.asked: Final[set[int]] = set()
        """Nodes, by number, that have it and did not refuse."""
        self.sends = 0
        self.rounds = 0
        """Times it was handed out without a refusal for lack of room; 0: to one node only."""
        self.due = now
        self.pause = T_FORWARD_SECONDS

    def result(self) -> Receipt:
        """Once `done`. Raises the error it ended with."""
        if self.receipt is not None:
            return self.receipt
        if self.error is not None:
            raise self.error
        raise OutcomeUnknown(self.envelope.transaction, "no receipt in the time given")


class Submissions:
    """All envelopes that wait. Time is passed in."""

    def __init__(self) -> None:
        self._open: Final[dict[bytes, Submission]] = {}
        self._due: Final[list[tuple[float, int, Submission]]] = []
        """Heap; an entry whose time is not the submission's `due` any more is void."""
        self._order: Final = itertools.count()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, envelope: Envelope, now: float) -> Submission:
        """Start, or join the one under way for the same transaction."""
        submission = self._open.get(envelope.transaction)
        if submission is None:
            submission = self._open[envelope.transaction] = Submission(envelope, now)
            self._schedule(submission, now)
        submission.waiters += 1
        return submission

    def leave(self, submission: Submission) -> None:
        """One waiter less; with the last one the submission is forgotten."""
        submission.waiters -= 1
        if submission.waiters == 0:
            self._open.pop(submission.envelope.transaction, None)

    def next_due(self) -> float:
        """When something is to be sent; infinity when nothing is."""
        self._drop_void()
        return self._due[0][0] if self._due else float("inf")

    def take_due(self, now: float, unix_time: float) -> list[Submission]:
        """What is to be sent now; what is past its validity ends here."""
        found: list[Submission] = []
        while self.next_due() <= now:
            submission = heapq.heappop(self._due)[2]
            if unix_time > submission.envelope.body.valid_until + GRACE_SECONDS:
                why = "valid_until has passed and no receipt has come"
                self._end(submission, OutcomeUnknown(submission.envelope.transaction, why))
                continue
            found.append(submission)
            self._schedule(submission, now + submission.pause)
        return found

    def sent(self, submission: Submission, node: int) -> None:
        submission.asked.add(node)
        submission.sends += 1

    def handed_out(self, submission: Submission, now: float) -> None:
        """One round of sending is over; the next comes after the pause, which grows."""
        if submission.rounds:
            submission.pause = min(2 * submission.pause, RETRY_SECONDS_MAX)
        submission.rounds += 1
        self._schedule(submission, now + submission.pause)

    def lost(self, node: int, now: float) -> None:
        """The connection to a node ended: whatever it had goes to the others at once."""
        for submission in self._open.values():
            if node in submission.asked:
                submission.rounds = max(1, submission.rounds)
                self._schedule(submission, now)

    def refused(self, node: int, transaction: bytes, code: str, reason: str, now: float) -> None:
        """A node did not take an envelope in."""
        submission = self._open.get(transaction)
        if submission is None:
            return
        submission.asked.discard(node)
        if code not in _VERDICTS:
            submission.rounds = 0
            submission.pause = min(2 * submission.pause, RETRY_SECONDS_MAX)
            self._schedule(submission, now + min(BUSY_SECONDS * submission.sends, submission.pause))
        elif code == "EXPIRED" and submission.sends > 1:
            pass  # an earlier copy may have been in time
        elif not submission.asked:
            self._end(submission, SubmissionRefused(code, reason, transaction))

    def receipted(self, receipt: Receipt) -> None:
        """A checked receipt arrived, from whichever node."""
        submission = self._open.get(receipt.transaction)
        if submission is not None:
            submission.receipt = receipt
            self._end(submission, None)

    def close(self, error: TallynetError) -> None:
        """The client ends: nobody may wait for ever."""
        for submission in list(self._open.values()):
            self._end(submission, error)

    def _end(self, submission: Submission, error: TallynetError | None) -> None:
        submission.error = error
        self._open.pop(submission.envelope.transaction, None)
        submission.done.set()

    def _schedule(self, submission: Submission, due: float) -> None:
        submission.due = due
        heapq.heappush(self._due, (due, next(self._order), submission))

    def _drop_void(self) -> None:
        due = self._due
        while due and (
            due[0][0] != due[0][2].due or due[0][2].done.is_set() or not due[0][2].waiters
        ):
            heapq.heappop(due)


Outcome = Receipt | SubmissionError
