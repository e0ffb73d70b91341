"""Envelopes on their way, with the connections: hands them out, and takes in what nodes say about them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import anyio
from anyio.abc import TaskGroup

from tallynet.client.errors import (
    ClientBusy,
    ClientClosed,
    ConnectionLost,
    ForkSeen,
    NotConnected,
    SubmissionError,
)
from tallynet.client.link import Link
from tallynet.client.nodes import Nodes
from tallynet.client.submissions import Outcome, Refusal, Submission, Submissions
from tallynet.client.trust import Receipt, Trust
from tallynet.envelope import Envelope
from tallynet.errors import TallynetError
from tallynet.messages import Receipts, Refused, Submit

__all__ = ["SUBMIT_SECONDS", "Sender"]

OPEN_SUBMISSIONS_MAX: Final = 20_000
"""As many as a node's pool holds; about 20 MB here."""
SUBMIT_ENVELOPES_MAX: Final = 1_000
SUBMIT_BYTES_MAX: Final = 1024 * 1024
"""One Submit message; far below the frame limit, so that a node answers others in between."""
SUBMIT_SECONDS: Final = 60.0


class Sender:
    """Envelopes without receipt of one client. Nodes call `on_...` with what they push."""

    def __init__(self, trust: Trust, nodes: int, tasks: TaskGroup) -> None:
        self._trust: Final = trust
        self._tasks: Final = tasks
        self._submissions: Final = Submissions(nodes, lambda: trust.confirmations_needed)
        self._wake = anyio.Event()
        self._watchers: Final[dict[bytes, list[Callable[[Receipt], None]]]] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._submissions)

    def close(self, error: TallynetError) -> None:
        """The client ends: nobody may wait for ever."""
        self._closed = True
        self._submissions.close(error)

    @contextmanager
    def watching(self, transaction: bytes, watch: Callable[[Receipt], None]) -> Iterator[None]:
        """Have `watch` called with receipts of a transaction that nobody here has submitted."""
        self._watchers.setdefault(transaction, []).append(watch)
        try:
            yield
        finally:
            self._watchers[transaction].remove(watch)
            if not self._watchers[transaction]:
                del self._watchers[transaction]

    def start(self, envelope: Envelope) -> Submission:
        """Have an envelope sent. Raises ClientClosed, ClientBusy, ForkSeen."""
        if self._closed:
            raise ClientClosed
        if self._trust.fork is not None:
            raise self._trust.fork
        if len(self._submissions) >= OPEN_SUBMISSIONS_MAX:
            raise ClientBusy(OPEN_SUBMISSIONS_MAX)
        submission = self._submissions.add(envelope, anyio.current_time())
        self._wake.set()
        return submission

    def leave(self, submission: Submission) -> None:
        """Wait for it no more."""
        self._submissions.leave(submission)

    async def finish(self, submission: Submission, seconds: float) -> Receipt:
        """Wait for its receipt. Raises what it ended with."""
        try:
            # No checkpoint for one that is done: `submit_many` then refills a whole block's worth
            # before the shepherd runs, and it leaves in one message.
            if not submission.done.is_set():
                with anyio.move_on_after(seconds):
                    await submission.done.wait()
        finally:
            self._submissions.leave(submission)
        return submission.result()

    async def outcome_of(self, submission: Submission, seconds: float) -> Outcome:
        """The same, with the error in place of the receipt."""
        try:
            return await self.finish(submission, seconds)
        except SubmissionError as error:
            return error

    async def run(self, nodes: Nodes) -> None:
        """Sends what is due, for as long as the client lives."""
        while True:
            due = self._submissions.take_due(anyio.current_time(), time.time())
            first = [s for s in due if s.rounds == 0]
            again = [s for s in due if s.rounds > 0]
            if first:
                await self._hand_out_first(nodes, first)
            if again:
                for node in range(len(nodes)):
                    if not nodes.is_dialling(node):
                        self._tasks.start_soon(self._hand_out_again, nodes, node, again)
                for submission in again:
                    self._submissions.handed_out(submission, anyio.current_time())
            self._wake = anyio.Event()
            pause = self._submissions.next_due() - anyio.current_time()
            if pause > 0:
                with anyio.move_on_after(min(pause, 3600.0)):
                    await self._wake.wait()

    async def _hand_out_first(self, nodes: Nodes, submissions: list[Submission]) -> None:
        """To one node, the one in use."""
        try:
            node, link = await nodes.reach()
            await self._send(node, link, submissions)
        except (NotConnected, ConnectionLost):
            pass  # the next round goes to everybody
        except ForkSeen as error:
            self.on_fork(error)
        for submission in submissions:
            self._submissions.handed_out(submission, anyio.current_time())

    async def _hand_out_again(self, nodes: Nodes, node: int, submissions: list[Submission]) -> None:
        try:
            link = await nodes.open(node)
            open_ = [s for s in submissions if not s.done.is_set() and node not in s.refusals]
            await self._send(node, link, open_)
        except ConnectionLost:
            pass  # other nodes have it, and the next round tries again
        except ForkSeen as error:
            self.on_fork(error)

    async def _send(self, node: int, link: Link, submissions: list[Submission]) -> None:
        part: list[Submission] = []
        size = 0
        for submission in submissions:
            raw = submission.envelope.raw
            if part and (len(part) == SUBMIT_ENVELOPES_MAX or size + len(raw) > SUBMIT_BYTES_MAX):
                await self._send_part(node, link, part)
                part, size = [], 0
            part.append(submission)
            size += len(raw)
        if part:
            await self._send_part(node, link, part)

    async def _send_part(self, node: int, link: Link, part: list[Submission]) -> None:
        for submission in part:
            self._submissions.sent(submission, node)
        await link.send(Submit(tuple(s.envelope.raw for s in part)))

    def on_lost(self, node: int) -> None:
        """A connection ended."""
        self._submissions.lost(node, anyio.current_time())
        self._wake.set()

    def on_fork(self, error: ForkSeen) -> None:
        """Nobody may wait for what cannot be believed."""
        self._submissions.close(error)
        self._wake.set()

    def on_refused(self, node: int, key: bytes, message: Refused) -> None:
        """The node with this public key did not take an envelope in."""
        refusal = Refusal(self._trust.operator(key), message.code, message.reason)
        self._submissions.refused(node, message.transaction, refusal, anyio.current_time())
        self._wake.set()

    def on_receipts(self, message: Receipts) -> None:
        """Raises RemoteProtocolError when they do not hold, and ForkSeen."""
        for receipt in self._trust.receipts(message):
            if receipt.code != "OK":
                continue  # a copy that was not admitted; this transaction may still take effect
            self._submissions.receipted(receipt)
            for watch in self._watchers.get(receipt.transaction, ()):
                watch(receipt)
