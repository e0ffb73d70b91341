"""Bugs in leaving a view and entering the next (field notes §5.6, reliability A1 to A13)."""

from __future__ import annotations

from typing import Final

from tools.simulator.planted.plant import Plant

_VIEW_CHANGE: Final = "consensus/view_change.py"
_VIEWS: Final = "consensus/views.py"

VIEW_CHANGES: Final = (
    Plant(
        "lower-view-chosen", "A3", _VIEW_CHANGE,
        "if known is None or entry.view > known.view:",
        "if known is None or entry.view < known.view:",
        "hoards",
    ),
    Plant(
        "first-view-chosen", "A3", _VIEW_CHANGE,
        "if known is None or entry.view > known.view:",
        "if known is None:",
        "hoards",
    ),
    Plant(
        "lowest-base-chosen", "INV-13", _VIEW_CHANGE,
        "base = max((change.base",
        "base = min((change.base",
        "views",
    ),
    Plant(
        "selection-skips-gaps", "A5", _VIEW_CHANGE,
        "        if chosen is None or chosen.parent != parent:\n            break\n",
        "        if chosen is None:\n            continue\n",
        "views",
    ),
    Plant(
        "selection-trusts-the-leader", "A1", _VIEW_CHANGE,
        "    selection = select_new_view(changes, config.window)\n    if body",
        "    honest = select_new_view(changes, config.window)\n"
        "    listed = tuple(e for e in honest.entries if e.header_bytes in body.proposals)\n"
        "    selection = Selection(honest.base, listed)\n"
        "    if body",
        "openers",
    ),
    Plant(
        "view-change-signature-unchecked", "A1", _VIEW_CHANGE,
        '    if not verifier.signed(signed):\n        raise RemoteProtocolError("BAD_SIGNATURE", "ViewChange")\n',
        "",
        "openers",
    ),
    Plant(
        "new-view-with-few-view-changes", "INV-13", _VIEW_CHANGE,
        "    if len(signers) != quorum(n) or signers",
        "    if signers",
        "openers",
    ),
    Plant(
        "new-view-with-one-signer-twice", "A15", _VIEW_CHANGE,
        "signers != sorted(set(signers))",
        "signers != sorted(signers)",
        "openers",
    ),
    Plant(
        "opens-with-too-few", "INV-13", _VIEWS,
        "        if len(ready) < s.q:\n",
        "        if len(ready) <= s.f:\n",
        "hoards",
    ),
    Plant(
        "certificates-forgotten-on-entering", "INV-4b", _VIEWS,
        "        s.new_view = raw\n",
        "        s.new_view = raw\n        s.prepared.clear()\n",
        "hoards",
    ),
    Plant(
        "certificates-forgotten-on-leaving", "INV-4b", _VIEWS,
        "                    for _, p in sorted(s.prepared.items())\n",
        "                    for _, p in sorted(s.prepared.items())\n"
        "                    if p.view >= s.view and not s.new_view\n",
        "hoards",
    ),
    Plant(
        "no-joining-of-complaints", "A11", _VIEWS,
        "if len(views) > s.f and views[s.f] >= s.voted_view:",
        "if len(views) > s.n and views[s.f] >= s.voted_view:",
        "outage",
    ),
    Plant(
        "one-complaint-moves-all", "A13", _VIEWS,
        "            if len(views) >= s.q and views[s.q - 1] >= s.voted_view:\n"
        "                self._change_to(views[s.q - 1] + 1)\n",
        "            if views and views[0] >= s.voted_view:\n"
        "                self._change_to(views[0] + 1)\n",
        "liars",
    ),
    Plant(
        "f-complaints-move", "A11", _VIEWS,
        "            if len(views) >= s.q and views[s.q - 1] >= s.voted_view:\n"
        "                self._change_to(views[s.q - 1] + 1)\n",
        "            if len(views) >= s.n and views[s.n - 1] >= s.voted_view:\n"
        "                self._change_to(views[s.n - 1] + 1)\n",
    ),
    Plant(
        "one-view-change-moves-all", "A13", _VIEWS,
        "            if len(targets) > s.f and targets[s.f] > s.voted_view:\n"
        "                self._change_to(targets[s.f])\n",
        "            if targets and targets[0] > s.voted_view:\n"
        "                self._change_to(targets[0])\n",
    ),
    Plant(
        "complaint-signature-unchecked", "A13", _VIEWS,
        "if not repeated and not s.verifier.signed(signed):",
        "if False and not repeated:",
        "liars",
    ),
    Plant(
        "voted-view-not-written", "B1", _VIEWS,
        "        s.view_change = encode(signed)\n        s.persist_view()\n",
        "        s.view_change = encode(signed)\n",
        "crashes",
    ),
    Plant(
        "entered-view-not-written", "B1", _VIEWS,
        "        s.persist_view()\n        s.pool.land(s.now_ms, s.ledger.is_remembered)\n        self.place",
        "        s.pool.land(s.now_ms, s.ledger.is_remembered)\n        self.place",
        "crashes",
    ),
    Plant(
        "old-proposals-stay", "A6", _VIEWS,
        "        s.slots.clear()\n        self._fetches.clear()\n",
        "        self._fetches.clear()\n",
        "hoards",
    ),
    Plant(
        "old-complaint-blocks-the-new-view", "A12", _VIEWS,
        "        if self._complaint_view < s.view:\n            self.complaint, self._complaint_view = None, -1\n",
        "        self._complaint_view += 1\n",
        "hoards",
    ),
    Plant(
        "view-goes-on-in-the-next-epoch", "INV-1", _VIEWS,
        "s.view = s.voted_view = s.failed_views = 0",
        "s.failed_views = 0",
    ),
    Plant(
        "view-changes-outlive-their-epoch", "INV-15", _VIEWS,
        "        self._complaints.clear()\n        s.changes.clear()\n",
        "        self._complaints.clear()\n",
    ),
    Plant(
        "epoch-not-written", "B1", _VIEWS,
        "        self.complaint, self._complaint_view = None, -1\n        s.persist_view()\n        s.pool",
        "        self.complaint, self._complaint_view = None, -1\n        s.pool",
    ),
    Plant(
        "epoch-never-entered", "INV-7", "consensus/replica.py",
        "        if s.committed == s.epoch_end:\n",
        "        if s.committed > s.epoch_end:\n",
    ),
    Plant(
        "back-off-without-cap", "A11", "consensus/replica.py",
        "return min(config.progress_ms << exponent, config.progress_max_ms)",
        "return config.progress_ms << exponent",
        "outage",
    ),
    Plant(
        "silent-leader-is-never-left", "INV-18", "consensus/replica.py",
        "            self._views.complain(ComplaintReason.PROGRESS_TIMEOUT)\n",
        "            s.dirty = True\n",
    ),
)  # fmt: skip
