"""Getting what was missed: bodies, block contents, whole committed blocks (protocol §5.7).

Heights that peers claim are only hints about whom to ask; what counts is a certificate. One request
of a kind is out at a time, and the next peer is asked when the answer takes too long (B7). Asking
for blocks and bodies is answered by the driver, which has them; contents of blocks in flight are
answered here. When blocks lead nowhere, because there are too many of them or nobody holds them any
more, the driver fetches a certified state instead (`state_wanted`); this replica then ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from consensus import accusations
from consensus.constants import CATCH_UP_BLOCKS_MAX, FETCHES_MAX
from consensus.events import Transaction
from consensus.proposals import epoch_of, open_content
from consensus.slots import Certified, Content
from consensus.state import State
from tallynet.blocks import Certificate, Commit, faulty_max
from tallynet.codec import encode
from tallynet.errors import RemoteProtocolError
from tallynet.evidence import header_fault
from tallynet.hashing import block_hash
from tallynet.messages import (
    Blocks,
    BlocksGone,
    CertifiedBlock,
    FetchBlocks,
    FetchBodies,
    FetchProposal,
    FetchVotes,
    Proposal,
    Signed,
    SignedKind,
)  # fmt: skip


@dataclass(slots=True)
class _Want:
    """Something asked for until it arrives or its height is committed."""

    height: int
    due_ms: int
    """When to ask (again)."""
    attempts: int = 0
    missing: dict[bytes, None] = field(default_factory=dict)
    """Bodies only: the envelope hashes, as far as known to be missing."""


class Fetches:
    """Missing contents (by block hash) and missing bodies under known contents."""

    def __init__(self, state: State) -> None:
        self._s: Final = state
        self._contents: Final[dict[bytes, _Want]] = {}
        self._bodies: Final[dict[bytes, _Want]] = {}
        self._proposal: _Want | None = None
        """The leader's Prepare for the next block to accept, which others have voted on."""

    @property
    def count(self) -> int:
        """Requests that stand."""
        return len(self._contents) + len(self._bodies) + (self._proposal is not None)

    @property
    def missing_contents(self) -> int:
        return len(self._contents)

    def want_content(self, block: bytes, height: int, *, at_once: bool) -> None:
        """Get the content of a block known by its hash; its proposal may still be under way."""
        if block not in self._contents:
            _make_room(self._contents)
            wait = 0 if at_once else self._s.config.fetch_grace_ms
            self._contents[block] = _Want(height, self._s.now_ms + wait)

    def want_proposal(self, height: int) -> None:
        """Somebody has voted on what the leader proposed here, and it has not reached this replica: have it from
        who voted, so that a leader gains nothing by letting the others have it one by one (decision 0014)."""
        if self._proposal is None or self._proposal.height != height:
            self._proposal = _Want(height, self._s.now_ms + self._s.config.fetch_grace_ms)

    def lacks_bodies(self, block: bytes) -> bool:
        """Bodies of this block are being asked for."""
        want = self._bodies.get(block)
        return want is not None and bool(want.missing)

    def bodies(self, content: Content) -> list[Transaction] | None:
        """What is known of a block's transactions when every body is held; None when some are
        missing, which are then asked for, after a grace period for gossip."""
        want = self._bodies.get(content.block)
        if want is not None and want.missing:
            return None
        s = self._s
        get, held = s.pool.get, s.ledger.held
        found: list[Transaction] = []
        missing: dict[bytes, None] = {}
        for envelope in content.envelopes:
            transaction = get(envelope) or held(envelope)
            if transaction is None:
                missing[envelope] = None
            else:
                found.append(transaction)
        if not missing:
            self._bodies.pop(content.block, None)
            return found
        if want is None:
            _make_room(self._bodies)
        due = s.now_ms + s.config.fetch_grace_ms
        self._bodies[content.block] = _Want(content.header.height, due, 0, missing)
        return None

    def wants_body(self, envelope: bytes) -> bool:
        """True iff a block that is being looked at names this envelope and its body is missing."""
        return any(envelope in want.missing for want in self._bodies.values())

    def on_held(self, transactions: tuple[Transaction, ...]) -> None:
        """Bodies arrived."""
        for want in self._bodies.values():
            if want.missing:
                for transaction in transactions:
                    want.missing.pop(transaction.envelope, None)
                if not want.missing:
                    self._s.dirty = True

    def on_proposal(self, message: Proposal) -> None:
        """Accepted when asked for; the hash proves it. Raises RemoteProtocolError ROOT_MISMATCH."""
        block = block_hash(message.header)
        if block in self._contents:
            self._s.keep(open_content(message.header, message.envelopes))
            del self._contents[block]
            self._s.dirty = True

    def forget_passed(self) -> None:
        """Committed heights need nothing any more."""
        committed = self._s.committed
        for wants in (self._contents, self._bodies):
            for block in [b for b, want in wants.items() if want.height <= committed]:
                del wants[block]
        if self._proposal is not None and self._proposal.height <= committed:
            self._proposal = None

    def clear(self) -> None:
        """A new view: what it needs is asked for anew."""
        self._contents.clear()
        self._bodies.clear()
        self._proposal = None

    def ask(self) -> None:
        """Send the requests that are due."""
        s = self._s
        proposal = self._proposal
        if proposal is not None and proposal.due_ms <= s.now_ms:
            slot = s.slots.get(proposal.height)
            if slot is None or slot.candidate is not None:
                self._proposal = None
            else:
                self._send(proposal, encode(FetchVotes(s.epoch, s.view, s.committed)))
        for block, want in self._contents.items():
            if want.due_ms <= s.now_ms:
                self._send(want, encode(FetchProposal(want.height, block)))
        for block, want in self._bodies.items():
            if want.due_ms <= s.now_ms:
                held = s.ledger.held
                for envelope in [e for e in want.missing if s.pool.get(e) or held(e)]:
                    del want.missing[envelope]
                if want.missing:
                    missing = tuple(want.missing)
                    self._send(want, encode(FetchBodies(want.height, block, missing)))
                else:
                    s.dirty = True

    def _send(self, want: _Want, message: bytes) -> None:
        s = self._s
        want.due_ms = s.now_ms + s.config.fetch_retry_ms
        if s.reach > 1 or s.observes:
            s.send_now(_peer(s, want), message)
        want.attempts += 1

    def next_due_ms(self) -> int | None:
        dues = [want.due_ms for wants in (self._contents, self._bodies) for want in wants.values()]
        if self._proposal is not None:
            dues.append(self._proposal.due_ms)
        return min(dues, default=None)


def _make_room(wants: dict[bytes, _Want]) -> None:
    if len(wants) >= FETCHES_MAX:
        del wants[next(iter(wants))]


def _peer(state: State, want: _Want) -> int:
    """Who has voted at its height, for they have it; then the leader, then everybody in turn; never this replica. An
    observer does not talk to leaders."""
    others = [i for i in range(state.reach) if i != state.index]
    leader = state.leader_of(state.view)
    if leader != state.index and not state.observes:
        others.remove(leader)
        others.insert(0, leader)
        slot = state.slots.get(want.height)
        voters = () if slot is None else slot.prepares.signers()
        others.sort(key=lambda i: i == leader or i not in voters)
    return others[want.attempts % len(others)]


class CatchUp:
    """Whole committed blocks, from whoever claims to have them."""

    def __init__(self, state: State, fetches: Fetches) -> None:
        self._s: Final = state
        self._fetches: Final = fetches
        self._claims: Final[dict[int, int]] = {}
        """Peer -> committed height it claims."""
        self._liars: Final = faulty_max(state.reach)
        """Of those who claim, so many may lie: f of the validators. With one node that is followed, its word
        is all there is; a lie costs time and nothing else."""
        self._slack: Final = 0 if state.observes else state.config.window
        """Blocks that a validator gets to know by votes are not asked for."""
        self._certain = 0
        """The (f+1)-th highest claim, which one correct peer at least stands behind; 0 with fewer."""
        self._last_peer = 0
        self._due_ms: int | None = None
        """When the request that is out counts as unanswered; None: none is out."""
        self._seen_committed = 0
        """Own height at the last Status tick: still behind it one tick later means stuck."""
        self._oldest: Final[dict[int, int]] = {}
        """Peer -> height below which it says it holds no blocks."""
        self.paused = False
        """No blocks are asked for: the driver fetches the state."""

    @property
    def claims(self) -> dict[int, int]:
        """Peer -> committed height it claims."""
        return dict(sorted(self._claims.items()))

    @property
    def claimants(self) -> int:
        """Peers that claim something."""
        return len(self._claims)

    def claim(self, peer: int, height: int) -> None:
        """A peer says it has committed `height`; a claim, not a fact."""
        if self._claims.get(peer) == height:
            return
        self._claims[peer] = height
        highest = sorted(self._claims.values(), reverse=True)
        self._certain = highest[self._liars] if len(highest) > self._liars else 0

    @property
    def behind(self) -> int:
        """By how much the (f+1)-th highest claim exceeds the own height; 0 when not behind."""
        return max(0, self._certain - self._s.committed)

    @property
    def caught_up(self) -> bool:
        """The others are known not to be ahead by more than the window."""
        s = self._s
        known = len(self._claims) > self._liars
        return known and self._certain <= s.committed + s.config.window

    def state_wanted(self, blocks_max: int) -> int:
        """Least height of a state worth fetching instead of blocks; 0 while blocks will do.

        Blocks will not do when more than `blocks_max` are missing, or when f+1 peers, one correct one
        among them, no longer hold the next one. The height is more than a window above the own one, so
        that no vote of ours is about a height above it (`consensus.restart.rebase`).
        """
        s = self._s
        certain, reach = self._certain, s.committed + s.config.window
        if certain <= reach or s.divergence is not None:
            return 0
        first = self._first_lacking()
        gone = sum(1 for oldest in self._oldest.values() if oldest > first)
        if certain - s.committed <= blocks_max and gone <= self._liars:
            return 0
        return max(reach + 1, certain - s.config.window)

    def on_gone(self, source: int, message: BlocksGone) -> None:
        """A peer holds no blocks below a height. It is not asked for them again."""
        self._oldest[source] = message.oldest
        if source == self._last_peer:
            self._due_ms = None

    def on_newest(self, source: int, height: int) -> None:
        """A node that this observer follows says how far it has come: what is new is asked for at once."""
        self.claim(source, height)
        if height > self._s.committed:
            self.ask()

    def ahead(self) -> tuple[int, ...]:
        """Who claims to have more than we do."""
        committed = self._s.committed
        return tuple(i for i, height in sorted(self._claims.items()) if height > committed)

    def on_status_tick(self) -> None:
        """Every T_STATUS: ask for blocks when stuck below a claim, or more than a window behind."""
        s = self._s
        highest = max(self._claims.values(), default=0)
        stuck = s.committed == self._seen_committed
        self._seen_committed = s.committed
        if highest > s.committed and (stuck or highest > s.committed + self._slack):
            self.ask()

    def ask(self) -> None:
        """Ask the next peer that claims more than we have, unless an answer is still expected.

        Never the one that answered last while another claims as much: a peer that hands out one block
        at a time would be asked for ever (B7).
        """
        s = self._s
        if self.paused or (self._due_ms is not None and s.now_ms < self._due_ms):
            return
        first = self._first_lacking()
        for step in range(1, s.reach + 1):
            peer = (self._last_peer + step) % s.reach
            holds = self._oldest.get(peer, 0) <= first <= self._claims.get(peer, 0)
            if peer != s.index and holds:
                self._last_peer = peer
                self._due_ms = s.now_ms + s.config.progress_ms
                s.send_now(peer, encode(FetchBlocks(first)))
                return

    def _next_height(self) -> int:
        height = self._s.committed + 1
        while height in self._s.certified:
            height += 1
        return height

    def _first_lacking(self) -> int:
        """Lowest height to ask for: no certificate, or one whose block is known by its hash only.
        The others may have dropped that proposal long ago; they keep the block."""
        s = self._s
        height = s.committed + 1
        while (known := s.certified.get(height)) is not None and known.block in s.contents:
            height += 1
        return height

    def on_blocks(self, source: int, message: Blocks) -> None:
        """Accepted block by block, in height order, each with a commit certificate of q validators
        of its epoch and following the one below; the first bad one ends the message.

        Raises:
            RemoteProtocolError: a block or certificate is bad.
        """
        s = self._s
        if source == self._last_peer:
            self._due_ms = None
        before = self._first_lacking()
        for block in message.blocks:
            self._take(block)
        after = self._first_lacking()
        if after == before:
            return
        s.dirty = True
        if self._claims.get(source, 0) >= after and after - s.committed <= CATCH_UP_BLOCKS_MAX // 2:
            self.ask()

    def on_delivered(self) -> None:
        """A block was delivered: when the last one fetched is reached and claims go on, ask on."""
        s = self._s
        if s.certified:
            return
        if max(self._claims.values(), default=0) > s.committed + self._slack:
            self.ask()

    def _take(self, block: CertifiedBlock) -> None:
        s = self._s
        commit = s.verifier.committed(block.certificate)
        if commit.epoch < s.config.since:  # by the set before: another one's signatures
            self._compare(block.certificate, commit)
            return
        self._check_own_signature(block, commit)
        accusations.by_certificate(s, block.certificate, commit)
        expected = self._next_height()
        height = commit.height
        if height < expected:
            self._compare(block.certificate, commit)
            self._complete(block, commit)
            return
        if height > min(s.epoch_end, s.committed + CATCH_UP_BLOCKS_MAX) or height > expected:
            return
        if block_hash(block.header) != commit.block:
            raise RemoteProtocolError("BAD_BLOCK", "the certificate is for another block")
        content = open_content(block.header, block.envelopes)
        fault = header_fault(s.config, content.header, height)
        if fault is not None or commit.epoch != epoch_of(height, s.config.epoch_length):
            raise RemoteProtocolError("BAD_BLOCK", fault or "certificate of another epoch")
        below = s.certified.get(height - 1)
        parent = s.tip_block if below is None else below.block
        if content.header.parent != parent:
            s.fork(commit, block.certificate, parent)
            return
        s.keep(content)
        s.certified[height] = Certified(content.block, block.certificate, commit)

    def _compare(self, certificate: Certificate, commit: Commit) -> None:
        """Two certificates for one height must be for one block."""
        s = self._s
        certified = s.certified.get(commit.height)
        ours = None if certified is None else certified.block
        if commit.height == s.committed:
            ours = s.tip_block
        if ours is not None and ours != commit.block:
            s.fork(commit, certificate, ours)

    def _complete(self, block: CertifiedBlock, commit: Commit) -> None:
        """A certified block of which only the content was missing."""
        s = self._s
        certified = s.certified.get(commit.height)
        if certified is None or certified.block in s.contents:
            return
        if block_hash(block.header) == certified.block:
            s.keep(open_content(block.header, block.envelopes))
            s.dirty = True

    def _check_own_signature(self, block: CertifiedBlock, commit: Commit) -> None:
        s = self._s
        certificate = block.certificate
        if s.index in certificate.signers and not s.mute:
            signature = certificate.signatures[certificate.signers.index(s.index)]
            own = Signed(SignedKind.COMMIT, certificate.vote, s.index, signature)
            s.check_own(own, commit.epoch, commit.view, commit.height)
