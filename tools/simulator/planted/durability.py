"""Bugs in writing down, reading back and remembering (field notes §5.5, reliability B1 to B12)."""

from __future__ import annotations

from typing import Final

from tools.simulator.planted.plant import Plant

_NORMAL: Final = "consensus/normal_case.py"
_RESTART: Final = "consensus/restart.py"
_STATE: Final = "consensus/state.py"
_STORE: Final = "node/store/store.py"
_MARK: Final = "node/store/mark.py"
_BATCH: Final = "node/store/batch.py"
_SHELL: Final = "node/shell.py"
_MACHINE: Final = "node/machine.py"

DURABILITY: Final = (
    Plant(
        "votes-leave-before-the-write", "B1, INV-5", _SHELL,
        "        turn.sends.extend(effects.send_after[:room])\n",
        "        for early in effects.send_after[:room]:\n            self._send(early)\n",
        "crashes",
    ),
    Plant(
        "clients-told-before-the-write", "B1", _SHELL,
        "            turn.delivered.append((executed, delivery.certificate))\n",
        "            turn.delivered.append((executed, delivery.certificate))\n"
        "            self._on_committed(executed, delivery.certificate)\n",
        "alone",
    ),
    Plant(
        "slot-not-written", "B1", _NORMAL,
        "        s.persist(\n            slot_key(height),\n",
        "        _ = (\n            slot_key(height),\n",
        "crashes",
    ),
    Plant(
        "commit-not-written", "B1", _NORMAL,
        "        s.persist(commit_key(slot.height), CommitRecord(s.epoch, s.view, raw), slot.height)\n",
        "",
        "crashes",
    ),
    Plant(
        "certificate-not-written", "INV-4b", _NORMAL,
        "        s.prepared[slot.height] = Prepared(s.view, content, certificate)\n        s.persist(\n",
        "        s.prepared[slot.height] = Prepared(s.view, content, certificate)\n        _ = (\n",
        "crashes",
    ),
    Plant(
        "restart-forgets-certificates", "INV-4b", _RESTART,
        "        state.prepared[height] = Prepared(record.view, content, record.certificate)\n",
        "",
        "crashes",
    ),
    Plant(
        "restart-forgets-own-prepares", "B5", _RESTART,
        "        _restore_slots(state, journal)\n",
        "        state.slots.clear()\n",
        "crashes",
    ),
    Plant(
        "restart-forgets-own-commits", "B5", _RESTART,
        "        slot.own_commit = open_signed(commit.own_commit)\n        slot.commits.add(slot.own_commit)\n",
        "        slot.commits.add(open_signed(commit.own_commit))\n",
        "crashes",
    ),
    Plant(
        "restart-in-the-view-before", "B1", _RESTART,
        "    state.view, state.voted_view = record.view, record.voted_view\n",
        "    state.view, state.voted_view = record.view, record.view\n",
        "crashes",
    ),
    Plant(
        "restart-erases-an-open-certificate", "INV-4b", _RESTART,
        "        state.journaled[prepared_key(height)] = height if height > state.committed else -1\n",
        "        state.journaled[prepared_key(height)] = -1\n",
        "crashes",
    ),
    Plant(
        "restart-votes-without-a-register", "B12", _RESTART,
        '            return "the vote register is missing"\n',
        "            return None\n",
        "disks",
    ),
    Plant(
        "silence-not-written", "B12", _STATE,
        '            self.effects.persist.append(Persist(MUTE, b"\\x01"))\n',
        "",
        "disks",
    ),
    Plant(
        "own-vote-not-recognised", "B12", _STATE,
        "        if not self._remembers(message, epoch, view, height):\n",
        "        if epoch > self.epoch + 1_000:\n",
        "disks",
    ),
    Plant(
        "own-commit-of-a-left-view-passes", "B12", _STATE,
        "            return is_prepare or (prepared is not None and prepared.view >= view)\n",
        "            return is_prepare or prepared is None or prepared.view >= view\n",
        "disks",
    ),
    Plant(
        "diverged-and-goes-on-voting", "INV-11", _STATE,
        "self.ended or self.joining) and self.divergence is None\n",
        "self.ended or self.joining)\n",
        "disks",
    ),
    Plant(
        "divergence-not-written", "INV-11", _STATE,
        "            self.effects.persist.append(Persist(DIVERGED, encode(found)))\n",
        "",
        "disks",
    ),
    Plant(
        "mark-never-raised", "B12", _STORE,
        "raises_mark = not (self._marked or self.vote_bar) and bool(batch.rows.get(JOURNAL))",
        "raises_mark = False",
        "disks",
    ),
    Plant(
        "mark-before-not-remembered", "B12", _STORE,
        "        _put_meta(transaction, table, MARKED_KEY, self._marked_boot)\n",
        "",
        "crashes",
    ),
    Plant(
        "older-copy-not-noticed", "B12", _MARK,
        "    if mark.boot not in (boot, marked):\n",
        '    if mark.boot == b"":\n',
        "disks",
    ),
    Plant(
        "vote-bar-ignored", "B12", _MACHINE,
        "voting=not (self._store.vote_bar or self._life.observes),",
        "voting=not self._life.observes,",
        "disks",
    ),
    Plant(
        "state-not-written-with-its-block", "B2", _BATCH,
        "        self.state(changes)\n        self.meta(TIP_KEY, encode(Tip(height, block, state_root)))\n",
        "        self.meta(TIP_KEY, encode(Tip(height, block, state_root)))\n",
        "crashes",
    ),
    Plant(
        "tip-not-written-with-its-block", "A8", _BATCH,
        "        self.state(changes)\n        self.meta(TIP_KEY, encode(Tip(height, block, state_root)))\n",
        "        self.state(changes)\n",
        "crashes",
    ),
    Plant(
        "tip-in-a-transaction-of-its-own", "A8, B2", _STORE,
        "                self._apply(transaction, batch)\n"
        '                boot = self._next_boot(transaction) if raises_mark else b""\n'
        '                self._crash_point("before-commit")\n'
        '            self._crash_point("after-commit")\n',
        "                tip = batch.rows.pop(META, {})\n"
        "                self._apply(transaction, batch)\n"
        '                boot = self._next_boot(transaction) if raises_mark else b""\n'
        '                self._crash_point("before-commit")\n'
        '            self._crash_point("after-commit")\n'
        "            batch.rows.clear()\n"
        "            batch.rows[META] = tip\n"
        "            with self._environment.begin(write=True) as transaction:\n"
        "                self._apply(transaction, batch)\n",
        "crashes",
    ),
    Plant(
        "bodies-of-the-winner-dropped", "B2", _STORE,
        "                if key[8:40] == block:\n",
        "                if key[8:40] != block:\n",
    ),
    Plant(
        "scan-checks-no-value", "B10", "node/store/scan.py",
        "                if not intact(seed, key, stored):\n",
        "                if not stored:\n",
        "disks",
    ),
    Plant(
        "checksums-unchecked-on-reading", "B10", "node/store/snapshot.py",
        "        if not intact(SEEDS[table], key, stored):\n",
        "        if not stored:\n",
        "disks",
    ),
    Plant(
        "checksums-unchecked-in-execution", "B10", "node/store/snapshot.py",
        "        if not intact(seed, key, stored):\n",
        "        if not stored:\n",
        "disks",
    ),
    Plant(
        "failed-commit-is-tried-again", "B11", _STORE,
        "            self._failed = True\n            raise commit_failure(error, self.directory) from error\n",
        "            if not hasattr(batch, 'again'):\n                batch.again = True\n"
        "                return self.commit(batch)\n"
        "            raise commit_failure(error, self.directory) from error\n",
        "crashes",
    ),
    Plant(
        "failed-commit-is-ignored", "B11", _STORE,
        "            self._failed = True\n            raise commit_failure(error, self.directory) from error\n",
        "            self._failed = True\n            return\n",
        "crashes",
    ),
    Plant(
        "overlay-folded-too-early", "B1", "node/executor.py",
        "encode(handover))\n        return executed\n",
        "encode(handover))\n        executed.overlay.commit()\n        return executed\n",
    ),
    Plant(
        "head-one-behind", "A8", "node/executor.py",
        "        self.head = Head(\n            executed.header.height,\n",
        "        self.head = Head(\n            executed.header.height - 1,\n",
    ),
)  # fmt: skip
