"""The Byzantine validator: everything it could usefully say, given what the others have said.

It needs no state. It holds its key, hears everything, keeps whatever certificate it could put together and shows it or
not; so at any time it may say to anybody, for every view within the bounds:

    proposals    in the views it leads: two different first blocks, and one on every block of the height below
    votes        for every block that a correct validator voted for: others could not help to a quorum
    complaints   about every view
    ViewChanges  with any choice of the certificates that exist, old ones or none, above any committed block
    NewViews     in the views it leads, from any q ViewChanges; and for each of them one that selects something else
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, product
from typing import Final

from consensus.events import Transaction
from consensus.proposals import build_content
from consensus.slots import Content
from consensus.view_change import OpenViewChange, open_view_change, select_new_view
from consensus.votes import Verifier
from tallynet.blocks import Certificate, Commit, Header, Prepare
from tallynet.codec import Wire, decode, encode
from tallynet.hashing import block_hash
from tallynet.messages import (
    Blocks,
    Complaint,
    ComplaintReason,
    NewView,
    PreparedEntry,
    PrePrepare,
    Proposal,
    Signed,
    SignedKind,
    ViewChange,
)  # fmt: skip
from tools.explorer.message_table import QUORUM, MessageTable
from tools.explorer.network import (
    GENESIS,
    GENESIS_TIME_MS,
    KEYS,
    VALIDATORS,
    config,
    roots_of,
    signed_by,
    verify,
)  # fmt: skip
from tools.explorer.scope import Scope

VERIFIED_MAX: Final = 1 << 16
"""Good signatures remembered."""
FIRST_BLOCKS: Final = 2
"""Different first blocks that it proposes: two make a fork, more make nothing else."""


class Adversary:
    """What the Byzantine validator may say. Its messages enter the table like those of others."""

    def __init__(
        self, scope: Scope, index: int, table: MessageTable, transactions: Sequence[Transaction]
    ) -> None:
        self._index: Final = index
        self._scope: Final = scope
        self._table: Final = table
        self._envelopes: Final = [transaction.envelope for transaction in transactions]
        self._config: Final = replace(config(index), window=scope.window)
        self._verifier: Final = Verifier(verify, GENESIS, KEYS, VERIFIED_MAX)
        self._led: Final = [v for v in range(scope.views) if v % VALIDATORS == index]
        self._answers: Final[dict[tuple[str, int], int]] = {}
        """(What it answers, to which messages) -> what it may say."""
        self._opened: Final[dict[int, OpenViewChange]] = {}
        self._complaints = 0
        for view in range(scope.views - 1):
            about = Complaint(0, view, ComplaintReason.PROGRESS_TIMEOUT)
            self._complaints |= self._say(SignedKind.COMPLAINT, about)

    def repertoire(self, said: int) -> int:
        """Set of all that it may say when the others have said, or could have put together, `said`."""
        table, answer = self._table, self._answer
        changes = answer("certificates", said & (table.of("certificate") | table.of("block")))
        found = self._complaints | changes
        found |= answer("votes", said & table.votes)
        if self._led:
            found |= answer("contents", said & table.of("content"))
            found |= answer("changes", (said | changes) & table.of(SignedKind.VIEW_CHANGE.name))
        return found

    def _answer(self, what: str, heard: int) -> int:
        found = self._answers.get((what, heard))
        if found is None:
            numbers = self._table.numbers(heard)
            answers = {
                "certificates": self._view_changes, "votes": self._votes,
                "contents": self._proposals, "changes": self._new_views,
            }  # fmt: skip
            found = self._answers[what, heard] = answers[what](numbers)
        return found

    def _say(self, kind: SignedKind, body: Wire) -> int:
        return self._table.add(signed_by(self._index, kind, body), self._index)

    # --- votes and proposals ------------------------------------------------------------------------

    def _votes(self, heard: list[int]) -> int:
        """The same votes as others; and a Commit where they voted Prepare."""
        said = 0
        for number in heard:
            for (kind, view, height), body in self._table.entries[number].votes:
                if kind is SignedKind.COMMIT:
                    said |= self._say(kind, decode(Commit, body))
                else:
                    prepare = decode(Prepare, body)
                    said |= self._say(kind, prepare)
                    roots = roots_of(prepare.block)
                    commit = Commit(0, view, height, prepare.block, *roots)
                    said |= self._say(SignedKind.COMMIT, commit)
        return said

    def _proposals(self, heard: list[int]) -> int:
        """Two blocks on the genesis and one on every other; the leader's Prepare, its content, and both together."""
        said = 0
        messages = [self._table.entries[number].message for number in heard]
        headers = [message.header for message in messages if isinstance(message, Proposal)]
        for own in self._blocks([decode(Header, header) for header in headers]):
            said |= self._table.add(Proposal(own.header_bytes, own.envelopes), self._index)
            for view in self._led:
                prepare = Prepare(0, view, own.header.height, own.block)
                said |= self._say(SignedKind.PREPARE, prepare)
                signed = encode(signed_by(self._index, SignedKind.PREPARE, prepare))
                whole = PrePrepare(own.header_bytes, own.envelopes, signed)
                said |= self._table.add(whole, self._index)
        return said

    def _blocks(self, others: list[Header]) -> list[Content]:
        first = GENESIS_TIME_MS + 1
        found = [self._block(1, GENESIS, first + variant) for variant in range(FIRST_BLOCKS)]
        for below in [*others, *(content.header for content in found)]:
            if below.height < self._scope.blocks and below.proposer != self._index:
                parent = block_hash(encode(below))
                found.append(self._block(below.height + 1, parent, below.time_ms + 1))
        return found

    def _block(self, height: int, parent: bytes, time_ms: int) -> Content:
        return build_content(
            self._config, height=height, parent=parent, time_ms=time_ms,
            envelopes=(self._envelopes[height - 1],),
        )  # fmt: skip

    # --- view changes -------------------------------------------------------------------------------

    def _view_changes(self, heard: list[int]) -> int:
        """For every view any choice of a committed block, or none, and of one certificate, or none, per height."""
        entries = self._table.entries
        bases: list[tuple[int, bytes, Certificate | None]] = [(0, b"", None)]
        held: dict[int, list[tuple[int, PreparedEntry]]] = {}
        for number in heard:
            entry = entries[number]
            if isinstance(entry.message, Blocks):
                block = entry.message.blocks[0]
                bases.append((entry.height, block.header, block.certificate))
            elif entry.certificate is not None:
                content = self._table.content(decode(Prepare, entry.certificate.vote).block)
                item = PreparedEntry(content.header, entry.certificate)
                held.setdefault(entry.height, []).append((entry.view, item))
        said = 0
        for view in range(1, self._scope.views):
            for height, header, certificate in bases:
                reach = range(height + 1, height + 1 + self._scope.window)
                usable = [[item for v, item in held.get(h, []) if v < view] for h in reach]
                for chosen in product(*([None, *items] for items in usable)):
                    prepared = tuple(item for item in chosen if item is not None)
                    change = ViewChange(0, view, header, certificate, prepared)
                    said |= self._say(SignedKind.VIEW_CHANGE, change)
        return said

    def _new_views(self, heard: list[int]) -> int:
        """From any q ViewChanges of distinct validators."""
        said = 0
        entries = self._table.entries
        for view in self._led:
            by_signer: dict[int, list[int]] = {}
            for number in heard:
                if entries[number].view == view:
                    by_signer.setdefault(entries[number].source, []).append(number)
            for signers in combinations(sorted(by_signer), QUORUM):
                for numbers in product(*(by_signer[i] for i in signers)):
                    said |= self._new_view(view, [self._open(number) for number in numbers])
        return said

    def _open(self, number: int) -> OpenViewChange:
        opened = self._opened.get(number)
        if opened is None:
            message = self._table.entries[number].message
            if not isinstance(message, Signed):
                raise TypeError("no ViewChange")
            opened = self._opened[number] = open_view_change(
                message, config=self._config, verifier=self._verifier, epoch=0
            )
        return opened

    def _new_view(self, view: int, changes: list[OpenViewChange]) -> int:
        """The right one and a wrong one."""
        entries = select_new_view(changes, self._scope.window).entries
        right = [(entry.height, entry.block, entry.header_bytes) for entry in entries]
        own = self._block(1, GENESIS, GENESIS_TIME_MS + 1)
        wrong = [] if right else [(1, own.block, own.header_bytes)]
        said = 0
        for again in (right, wrong):
            prepares = tuple(
                encode(signed_by(self._index, SignedKind.PREPARE, Prepare(0, view, height, block)))
                for height, block, _ in again
            )
            said |= self._say(
                SignedKind.NEW_VIEW,
                NewView(
                    0, view, tuple(encode(change.signed) for change in changes),
                    tuple(header for _, _, header in again), prepares,
                ),
            )  # fmt: skip
        return said
