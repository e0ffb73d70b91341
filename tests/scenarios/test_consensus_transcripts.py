"""Golden transcripts of the consensus core: commands and everything the replicas then said.

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
from tests.sim.cluster import Cluster, Node, Weather

FOLDER = Path(__file__).parent / "consensus"


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


class Transcript:
    """Runs commands on a cluster with a calm network and writes down what is sent and committed."""

    def __init__(self) -> None:
        self.cluster = Cluster(1, 4, 4, weather=Weather(delay_ms=0))
        self.lines: list[str] = []
        self.said: dict[str, None] = {}
        self.heights = [0] * 4
        self._listen()

    def _listen(self) -> None:
        send = self.cluster.send

        def listening(node: Node, request: object) -> None:
            text = describe(decode(PeerMessage, request.message))  # type: ignore[attr-defined, arg-type]
            if text is not None:
                to = "all" if request.to == ALL else f"n{request.to}"  # type: ignore[attr-defined]
                line = f"{node.name} -> {to}: {text}"
                if line not in self.said:  # what is repeated every T_STATUS is shown once
                    self.said[line] = None
                    self.lines.append(line)
            send(node, request)  # type: ignore[arg-type]

        self.cluster.send = listening  # type: ignore[assignment, method-assign]

    def run(self, command: str) -> list[str]:
        name, *words = command.split()
        self.lines, self.said = [], {}
        handler: Callable[..., None] = getattr(self, f"do_{name}")
        handler(*words)
        return self.lines

    def do_submit(self, count: str, node: str) -> None:
        self.cluster.submit(int(count), self.cluster.nodes[int(node)])

    def do_run(self, ms: str) -> None:
        self.cluster.run(int(ms))
        for node in self.cluster.nodes:
            height = len(node.disk.chain)
            if height != self.heights[node.index]:
                self.lines.append(f"{node.name} committed {height}")
                self.heights[node.index] = height

    def do_crash(self, node: str) -> None:
        self.cluster.nodes[int(node)].crash()

    def do_start(self, node: str) -> None:
        self.cluster.nodes[int(node)].start()

    def do_cut(self, first: str, second: str) -> None:
        self.cluster.cut.add(frozenset((int(first), int(second))))

    def do_heal(self) -> None:
        self.cluster.cut.clear()

    def do_status(self) -> None:
        for node in self.cluster.nodes:
            if node.alive:
                s = node.replica.statistics()
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
            lines += transcript.run(line[2:])
    actual = "\n".join(lines) + "\n"
    if os.environ.get("UPDATE_TRANSCRIPTS"):
        path.write_text(actual, encoding="utf-8")
    assert actual == expected
