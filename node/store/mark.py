"""The key mark: a file beside the key that says in which store this key has voted (B12).

A key whose vote register is lost or old must never vote again: it could contradict a vote it no longer
remembers. The register lies in the store, so the store alone cannot know that an older copy of it was
put back, or that it is missing. The mark does: per network it names the store and its last boot, which
is a start in which that store was used to vote. The store keeps its last boot and what the mark named
before it.

    mark missing, store new            first use of the key here           may vote
    mark names its last boot           normal                              may vote
    mark names what it named before    crash between commit and mark       may vote: nothing left yet
    mark names another store           disk lost, or a second copy         must not vote
    mark names a boot it does not know an older copy was put back          must not vote

Boots have random ids. A count could come to the same number twice: an old copy put back without its mark
votes on, and then a copy from the history before that is put back.

The mark is raised in the first commit of a process that holds journal entries, after the commit and
before it returns; votes leave only after that. A store that must not vote leaves the mark alone: the
mark must go on to name the votes that it lacks. The mark is a trip-wire, not the
register: a copy put back within one run of the process, or a key copied without its mark, is caught
only by peers that show a newer vote of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tallynet.durable import replace_file

_TITLE: Final = "tallynet key mark 1"


@dataclass(frozen=True, slots=True)
class Mark:
    store: bytes
    """Id of the store in which the key votes."""
    boot: bytes
    """Random id of the last start in which it voted."""


class MarkFile:
    """Marks of one key, one per network."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path

    def read(self, genesis: bytes) -> Mark | None:
        """The key's mark in this network.

        Raises:
            ValueError: the file is not a key mark.
        """
        return self._load().get(genesis)

    def write(self, genesis: bytes, mark: Mark) -> None:
        """Make a mark durable: file, then its name."""
        marks = self._load()
        marks[genesis] = mark
        lines = [_TITLE]
        lines += [f"{g.hex()} {m.store.hex()} {m.boot.hex()}" for g, m in sorted(marks.items())]
        replace_file(self.path, ("\n".join(lines) + "\n").encode("ascii"))

    def _load(self) -> dict[bytes, Mark]:
        try:
            lines = self.path.read_text(encoding="ascii").splitlines()
        except FileNotFoundError:
            return {}
        if not lines or lines[0] != _TITLE:
            raise ValueError(f"{self.path} is not a key mark")
        marks: dict[bytes, Mark] = {}
        for line in lines[1:]:
            genesis, store, boot = (bytes.fromhex(field) for field in line.split(" "))
            marks[genesis] = Mark(store, boot)
        return marks


def why_barred(
    mark: Mark | None, *, store: bytes | None, boot: bytes | None, marked: bytes | None
) -> str:
    """Why the key with this mark must not vote with the store of this id, whose last boot is `boot` and which
    knows that the mark named `marked` before; empty if it may."""
    if mark is None:
        return ""
    if mark.store != store:
        return "this key has voted with another data directory, whose votes are not known here"
    if mark.boot not in (boot, marked):
        return "this data directory is an older copy: the key has voted since it was made"
    return ""
