"""Envelopes on their way to a receipt: whom they were sent to, who refused, when to send again. No I/O.

Theory of operation. An envelope goes to one node first. After T_FORWARD without receipt, or when that
connection is lost, it goes to every node (E2: one node may be censoring or cut off); then again, with
growing pauses, always the same bytes, which can take effect only once. It ends with

    receipt            checked against its block's certificate, whoever sent it
    SubmissionRefused  f+1 validators of different organisations refused it at the door
    OutcomeUnknown     the caller's time or the envelope's validity is over, or every node that is known has
                       refused and these are too few to be believed; never "failed"

A refusal proves nothing, so the envelope goes to the other nodes at once. Who believed one liar, and signed
anew, could pay twice.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio

from tallynet.client.errors import OutcomeUnknown, SubmissionError, SubmissionRefused
from tallynet.client.trust import Receipt
from tallynet.envelope import Envelope
from tallynet.errors import ERROR_CODES, RemoteProtocolError, TallynetError

__all__ = ["Refusal", "Submission", "Submissions"]

T_FORWARD_SECONDS: Final = 1.0
"""Then all nodes get it (reliability E2)."""
RETRY_SECONDS_MAX: Final = 8.0
BUSY_SECONDS: Final = 0.2
"""Pause after a refusal for lack of room; doubles."""
LIFETIME_SECONDS_MAX: Final = 86_400
"""No block holds an envelope that is valid for longer than this from then on (decision 0019)."""
GRACE_SECONDS: Final = 5.0
"""After valid_until by our clock: block time may differ by 2 s, and a receipt travels."""
_VERDICTS: Final = frozenset(code for family in ERROR_CODES.values() for code in family)
"""Refusals that say something about the envelope; any other code is about the node."""


class Submission:
    """One envelope and everybody who waits for its receipt."""

    __slots__ = (
        "asked", "done", "doubtful", "due", "envelope", "error", "pause", "receipt", "refusals", "rounds",
        "sends", "waiters",
    )  # fmt: skip

    def __init__(self, envelope: Envelope, now: float) -> None:
        self.envelope: Final = envelope
        self.done: Final = anyio.Event()
        self.receipt: Receipt | None = None
        self.error: TallynetError | None = None
        self.waiters = 0
        self.asked: Final[set[int]] = set()
        """Nodes, by number, that have it and did not refuse."""
        self.refusals: Final[dict[int, Refusal]] = {}
        """By number of the node."""
        self.doubtful = False
        """A copy may be on its way that no refusal speaks of: a node fell silent, or vanished, with it."""
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
        raise OutcomeUnknown(
            self.envelope.transaction, f"no receipt in the time given{self._refused_text()}"
        )

    def _refused_text(self) -> str:
        if not self.refusals:
            return ""
        refusal = next(iter(self.refusals.values()))
        return f"; {len(self.refusals)} nodes refuse it ({refusal.code}: {refusal.reason})"

    def verdict(self, needed: int, nodes: int) -> SubmissionError | None:
        """What the refusals mean; None as long as somebody else may take it."""
        if self.asked and any(each.code == "EXPIRED" for each in self.refusals.values()):
            return None
        operators = {each.operator for each in self.refusals.values()} - {None}
        if len(operators) >= needed:
            refusal = next(iter(self.refusals.values()))
            return SubmissionRefused(refusal.code, refusal.reason, self.envelope.transaction)
        if len(self.refusals) < nodes:
            return None
        why = f"validators of {needed} organisations must refuse it to be believed{self._refused_text()}"
        return OutcomeUnknown(self.envelope.transaction, why)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What one node said."""

    operator: bytes | None
    """The organisation whose validator it is; None for another node."""
    code: str
    reason: str


class Submissions:
    """All envelopes that wait. Time is passed in."""

    def __init__(self, nodes: int, needed: Callable[[], int]) -> None:
        """How many nodes are known, and how many organisations' validators must refuse (f+1)."""
        self._nodes: Final = nodes
        self._needed: Final = needed
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
        submission.doubtful |= node in submission.asked
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
                submission.doubtful = True
                submission.rounds = max(1, submission.rounds)
                self._schedule(submission, now)

    def refused(self, node: int, transaction: bytes, refusal: Refusal, now: float) -> None:
        """A node did not take an envelope in."""
        submission = self._open.get(transaction)
        if submission is None:
            return
        submission.asked.discard(node)
        if refusal.code not in _VERDICTS:
            submission.rounds = 0
            submission.pause = min(2 * submission.pause, RETRY_SECONDS_MAX)
            self._schedule(submission, now + min(BUSY_SECONDS * submission.sends, submission.pause))
            return
        if refusal.code == "EXPIRED" and submission.doubtful:
            return  # an earlier copy may have been in time
        first = not submission.refusals
        submission.refusals[node] = refusal
        verdict = submission.verdict(self._needed(), self._nodes)
        if verdict is not None:
            self._end(submission, verdict)
        elif first:
            submission.rounds = max(1, submission.rounds)
            self._schedule(submission, now)

    def receipted(self, receipt: Receipt) -> None:
        """A checked receipt arrived, from whichever node.

        Raises RemoteProtocolError RECEIPT_OUT_OF_TIME: no block of that time admits the envelope. Whoever has
        the keys of a set that was replaced long ago can certify blocks of that time, and of no later one.
        """
        submission = self._open.get(receipt.transaction)
        if submission is not None:
            valid_until = submission.envelope.body.valid_until
            seconds = receipt.block.time_ms // 1000
            if not valid_until - LIFETIME_SECONDS_MAX <= seconds < valid_until:
                raise RemoteProtocolError(
                    "RECEIPT_OUT_OF_TIME",
                    f"no block of {seconds} admits what is valid until {valid_until}",
                )
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
