"""Golden transcripts of whole validators: commands and everything the consensus cores then said.

A transcript is a text file: a line starting with `> ` is a command, the lines below it are what came
out. To accept a changed protocol, run with UPDATE_TRANSCRIPTS=1 and read the difference.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from consensus.effects import ALL
from tallynet.blocks import Commit, Prepare
from tallynet.codec import decode
from tallynet.messages import (
    Blocks,
    Complaint,
    FetchBlocks,
    FetchProposal,
    FetchVotes,
    NewView,
    PeerMessage,
    PrePrepare,
    Signed,
    SignedKind,
    ViewChange,
)
from tests.sim.driven import DrivenRun
from tools.simulator.node import SimulatedNode
from tools.simulator.options import Weather

FOLDER = Path(__file__).parent / "consensus"
START_MS = 100
"""What validators ask each other at their start is in no transcript."""


def describe(message: PeerMessage) -> str | None:
    """One line for a message; None for the chatter that every transcript would drown in."""
    if isinstance(message, PrePrepare):
        prepare = decode(Prepare, decode(Signed, message.prepare).body)
        return f"PrePrepare view {prepare.view} height {prepare.height}"
    if isinstance(message, Blocks):
        return f"Blocks x{len(message.blocks)}"
    if isinstance(message, FetchBlocks):
        return f"FetchBlocks from {message.first}"
    if isinstance(message, FetchVotes):
        return f"FetchVotes view {message.view} above {message.committed}"
    if isinstance(message, FetchProposal):
        return f"FetchProposal height {message.height}"
    if not isinstance(message, Signed):
        return None
    return describe_signed(message)


def describe_signed(message: Signed) -> str | None:
    if message.kind == SignedKind.PREPARE:
        prepare = decode(Prepare, message.body)
        return f"Prepare view {prepare.view} height {prepare.height}"
    if message.kind == SignedKind.COMMIT:
        commit = decode(Commit, message.body)
        return f"Commit view {commit.view} height {commit.height}"
    if message.kind == SignedKind.COMPLAINT:
        complaint = decode(Complaint, message.body)
        return f"Complaint view {complaint.view} {complaint.reason.name}"
    if message.kind == SignedKind.VIEW_CHANGE:
        change = decode(ViewChange, message.body)
        heights = len(change.prepared)
        return f"ViewChange to {change.to_view} with {heights} certificates"
    if message.kind == SignedKind.NEW_VIEW:
        new_view = decode(NewView, message.body)
        return f"NewView {new_view.view} again {len(new_view.proposals)}"
    return None


class Transcript(DrivenRun):
    """Runs commands on a network with short lines and writes down what is sent and committed."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.said: dict[str, None] = {}
        self.heights = [0] * 4
        super().__init__(weather=Weather(0, 0, 1, 0, 0, True))
        self.let_pass(START_MS)

    def sent(self, node: SimulatedNode, to: int, message: bytes) -> None:
        text = describe(self.decoded(message))
        if text is not None:
            line = f"{node.name} -> {'all' if to == ALL else f'n{to}'}: {text}"
            if line not in self.said:  # what is repeated every T_STATUS is shown once
                self.said[line] = None
                self.lines.append(line)
        super().sent(node, to, message)

    def command(self, command: str) -> list[str]:
        name, *words = command.split()
        self.lines, self.said = [], {}
        handler: Callable[..., None] = getattr(self, f"do_{name}")
        handler(*words)
        return self.lines

    def do_submit(self, count: str, node: str) -> None:
        self.submit(self.nodes[int(node)], self.documents(int(count)))

    def do_run(self, ms: str) -> None:
        self.let_pass(int(ms))
        for node in self.nodes:
            if node.alive and node.height != self.heights[node.index]:
                self.lines.append(f"{node.name} committed {node.height}")
                self.heights[node.index] = node.height

    def do_crash(self, node: str) -> None:
        self.nodes[int(node)].crash()

    def do_start(self, node: str) -> None:
        self.nodes[int(node)].start()

    def do_cut(self, first: str, second: str) -> None:
        for link in (int(first), int(second)), (int(second), int(first)):
            self.network.cut[link] = None

    def do_heal(self) -> None:
        self.network.cut.clear()

    def do_status(self) -> None:
        for node in self.nodes:
            if node.machine is not None:
                s = node.machine.replica.statistics()
                self.lines.append(
                    f"{node.name} view {s.view} {s.status.value}: {s.waiting.reason.value}"
                )


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    expected = path.read_text(encoding="utf-8")
    transcript = Transcript()
    lines: list[str] = []
    for line in expected.splitlines():
        if line.startswith(("#", "> ")):
            lines.append(line)
        if line.startswith("> "):
            lines += transcript.command(line[2:])
    actual = "\n".join(lines) + "\n"
    if os.environ.get("UPDATE_TRANSCRIPTS"):
        path.write_text(actual, encoding="utf-8")
    assert actual == expected
