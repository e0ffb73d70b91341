"""Bugs in proposing, voting, counting, executing and delivering (field notes §5.4, reliability A5 to A18)."""

from __future__ import annotations

from typing import Final

from tools.simulator.planted.plant import Plant

_NORMAL: Final = "consensus/normal_case.py"
_BALLOTS: Final = "consensus/ballots.py"
_STATE: Final = "consensus/state.py"
_PROPOSALS: Final = "consensus/proposals.py"
_VOTES: Final = "consensus/votes.py"
_BLOCKS: Final = "tallynet/blocks.py"
_CATCH_UP: Final = "consensus/catch_up.py"

NORMAL_CASE: Final = (
    Plant(
        "quorum-2f-plus-1", "A14", _STATE,
        "self.q: Final = quorum(n)",
        "self.q: Final = 2 * faulty_max(n) + 1",
        "sizes",
    ),
    Plant(
        "quorum-f-plus-1", "A14", _STATE,
        "self.q: Final = quorum(n)",
        "self.q: Final = faulty_max(n) + 1",
    ),
    Plant(
        "window-one-too-wide", "INV-7", _STATE,
        "return min(self.committed + self.config.window, self.epoch_end)",
        "return min(self.committed + self.config.window + 1, self.epoch_end)",
    ),
    Plant(
        "window-over-the-end-of-the-epoch", "INV-7", _STATE,
        "return min(self.committed + self.config.window, self.epoch_end)",
        "return self.committed + self.config.window",
    ),
    Plant(
        "vote-in-a-view-that-was-left", "INV-8", _STATE,
        "return self.voted_view == self.view and self.may_sign and not self.spoiled",
        "return self.may_sign and not self.spoiled",
    ),
    Plant(
        "spoiled-view-goes-on", "INV-4", _NORMAL,
        "            s.spoiled = s.spoiled or slot.accepted.block != content.block\n",
        "            s.spoiled = False\n",
        "liars",
    ),
    Plant(
        "parent-unchecked-at-prepare", "INV-4", _PROPOSALS,
        '    if header.parent != parent:\n        return "does not follow the block below it"\n',
        "",
        "liars",
    ),
    Plant(
        "vote-below-the-base-of-the-view", "INV-13", _NORMAL,
        "        if not s.may_vote or s.committed < s.base:\n",
        "        if not s.may_vote:\n",
        "usurpers",
    ),
    Plant(
        "commit-above-an-uncommitted-one", "INV-6", _NORMAL,
        "            if content is None or slot.certificate is None or content.header.parent != parent:\n"
        "                return\n",
        "            if content is None or content.header.parent != parent:\n"
        "                return\n"
        "            if slot.certificate is None:\n"
        "                parent, height = content.block, height + 1\n"
        "                continue\n",
        "hoards",
    ),
    Plant(
        "commit-without-certificate", "INV-4", _NORMAL,
        "if content is None or slot.certificate is None or content.header.parent != parent:",
        "if content is None or content.header.parent != parent:",
        "hoards",
    ),
    Plant(
        "prepared-one-vote-early", "INV-4", _NORMAL,
        "slot.prepares.count(own.body) >= s.q:",
        "slot.prepares.count(own.body) >= s.q - 1:",
    ),
    Plant(
        "certified-one-vote-early", "INV-9", _BALLOTS,
        "        if slot.commits.count(signed.body) >= s.q:\n",
        "        if slot.commits.count(signed.body) >= s.q - 1:\n",
    ),
    Plant(
        "certificate-forgotten-on-accepting", "INV-4b", _NORMAL,
        "        slot.accepted = content\n",
        "        slot.accepted = content\n        s.prepared.pop(height, None)\n",
        "hoards",
    ),
    Plant(
        "second-proposal-accepted", "INV-2", _NORMAL,
        "        height = s.top + 1\n        while height <= s.limit:\n",
        "        height = s.committed + 1\n        while height <= s.limit:\n",
    ),
    Plant(
        "votes-counted-by-height", "A17", _VOTES,
        "        votes = self._by_body.get(body)\n        return 0 if votes is None else len(votes)\n",
        "        return len(self._by_signer)\n",
    ),
    Plant(
        "prepare-signature-unchecked", "A16", _BALLOTS,
        '        if not s.verifier.signed(signed):\n            raise RemoteProtocolError("BAD_SIGNATURE", signed.kind.name)\n',
        "        if isinstance(vote, Commit) and not s.verifier.signed(signed):\n"
        '            raise RemoteProtocolError("BAD_SIGNATURE", signed.kind.name)\n',
    ),
    Plant(
        "commit-signature-unchecked", "A16", _BALLOTS,
        '        if not s.verifier.signed(signed):\n            raise RemoteProtocolError("BAD_SIGNATURE", signed.kind.name)\n',
        "        if isinstance(vote, Prepare) and not s.verifier.signed(signed):\n"
        '            raise RemoteProtocolError("BAD_SIGNATURE", signed.kind.name)\n',
    ),
    Plant(
        "proposal-signature-unchecked", "A18", _BALLOTS,
        '        if not s.verifier.signed(signed):\n            raise RemoteProtocolError("BAD_SIGNATURE", "Prepare in a proposal")\n',
        "",
        "liars",
    ),
    Plant(
        "one-signer-twice-in-a-certificate", "A15", _BLOCKS,
        "any(a >= b for a, b in pairwise(signers))",
        "any(a > b for a, b in pairwise(signers))",
    ),
    Plant(
        "certificate-one-signer-short", "INV-9", _BLOCKS,
        "    if len(signers) < quorum(n):\n",
        "    if len(signers) < quorum(n) - 1:\n",
        "liars",
    ),
    Plant(
        "certificate-signatures-unchecked", "B6", _BLOCKS,
        "        if not check(kind, genesis, certificate.vote, validators[signer], signature):\n",
        "        if len(signature) != 64:\n",
    ),
    Plant(
        "blocks-without-certificate", "B6", _CATCH_UP,
        "        commit = s.verifier.committed(block.certificate)\n",
        "        commit = s.verifier.vote(SignedKind.COMMIT, block.certificate.vote)\n",
    ),
    Plant(
        "blocks-with-another-header", "B7", _CATCH_UP,
        "        if block_hash(block.header) != commit.block:\n            raise",
        "        if block_hash(block.header) == commit.vote:\n            raise",
    ),
    Plant(
        "content-not-bound-by-its-root", "A18", _PROPOSALS,
        "    if list_root(envelopes) != header.envelopes_root:\n",
        "    if len(envelopes) > 1_000:\n",
        "spoilers",
    ),
    Plant(
        "transaction-twice-in-a-block", "INV-14", _PROPOSALS,
        "    if len({transaction.id for transaction in transactions}) != len(transactions):\n",
        "    if len(transactions) < 0:\n",
        "spoilers",
    ),
    Plant(
        "transaction-of-an-undecided-block-again", "INV-14", _NORMAL,
        "        if not all(below.keys().isdisjoint(ids) for below in s.undecided_below(slot.height)):\n",
        "        if len(ids) > len(transactions):\n",
        "spoilers",
    ),
    Plant(
        "committed-transaction-again", "INV-14", _PROPOSALS,
        "        if is_remembered(transaction):\n",
        "        if size < 0:\n",
        "spoilers",
    ),
    Plant(
        "expired-transaction-ordered", "D9", _PROPOSALS,
        "        if not earliest < transaction.valid_until <= latest:\n",
        "        if transaction.valid_until > latest:\n",
        "spoilers",
    ),
    Plant(
        "header-time-unchecked", "C9", _NORMAL,
        "        if abs(header.time_ms - s.wall_ms) > s.config.clock_window_ms:\n",
        "        if header.time_ms < 0:\n",
        "spoilers",
    ),
    Plant(
        "header-time-not-ascending", "C9", _PROPOSALS,
        "    if header.time_ms <= parent_time_ms:\n",
        "    if header.time_ms < 0:\n",
        "spoilers",
    ),
    Plant(
        "bodies-not-kept-before-prepare", "B1", _NORMAL,
        "        s.effects.hold.append(Hold(height, content.block, content.envelopes))\n",
        "",
        "crashes",
    ),
    Plant(
        "vote-without-bodies", "INV-4", _NORMAL,
        "        transactions = self._fetches.bodies(content)\n        if transactions is None:\n            return False\n        fault",
        "        transactions = self._fetches.bodies(content) or []\n        fault",
    ),
    Plant(
        "commit-signs-the-parent-s-state", "A19", _NORMAL,
        "            SignedKind.COMMIT, Commit(s.epoch, s.view, slot.height, content.block, *roots)\n",
        "            SignedKind.COMMIT, Commit(s.epoch, s.view, slot.height, content.block, roots[1], roots[1])\n",
    ),
    Plant(
        "overlays-never-dropped", "INV-10", _NORMAL,
        "            s.effects.discard.append(s.executions.pop(above).content.block)\n",
        "            del s.executions[above]\n",
        "hoards",
    ),
    Plant(
        "lost-transactions-at-a-view-change", "A10", "consensus/pool.py",
        "            self._entries[envelope] = transaction\n            self._enqueue(transaction, now_ms)\n\n",
        "            self._entries[envelope] = transaction\n\n",
    ),
    Plant(
        "in-flight-for-ever", "A10", "consensus/pool.py",
        "(envelope in flying and is_known(transaction)):",
        "envelope in flying:",
        "hoards",
    ),
    Plant(
        "bodies-asked-for-once", "A9", _CATCH_UP,
        "want.due_ms = s.now_ms + s.config.fetch_retry_ms",
        "want.due_ms = s.now_ms + 3_600_000",
    ),
    Plant(
        "blocks-asked-for-once", "B7", _CATCH_UP,
        "self._due_ms = s.now_ms + s.config.progress_ms",
        "self._due_ms = s.now_ms + 3_600_000",
    ),
    Plant(
        "never-catches-up", "A12", _CATCH_UP,
        "        if highest > s.committed and (stuck or highest > s.committed + self._slack):\n",
        "        if highest > s.committed + 1_000:\n",
    ),
    Plant(
        "delivered-block-delivered-again", "A8", _STATE,
        "            self.committed = header.height\n",
        "            self.committed = header.height - 1\n",
    ),
)  # fmt: skip
