"""Acts that somebody has proposed, from the draft to the receipt.

A file of its own beside the copy: the copy may be removed at any time. What is signed in the end are the bytes that
were kept when the draft was shown.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final, final

import msgspec

from node.desk.office import KeptDocument
from node.light.database import open_for
from node.light.submitting import COMMANDS
from tallynet.codec import Wire, decode
from tallynet.errors import TallynetError

__all__ = ["Agreement", "Price", "Proposal", "ProposalError", "Proposals", "State"]

PROPOSALS_FILE: Final = "proposals.sqlite"
PROPOSALS_MAX: Final = 20_000
"""Remembered; the oldest that are decided go. Years of an enterprise."""
OPEN_MAX: Final = 1_000
"""Drafts, and what is to be checked."""
DRAFT_SECONDS: Final = 86_400
"""Then a draft that nobody proposed goes."""
VERSION: Final = b"2"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS proposals (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, subject TEXT NOT NULL, made INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS proposals_state ON proposals (state, made);
"""


class State(StrEnum):
    DRAFT = "DRAFT"
    """Shown to its maker, and not proposed yet."""
    OPEN = "OPEN"
    """To be checked."""
    SENDING = "SENDING"
    """Agreed; signed and sent until there is a receipt."""
    DONE = "DONE"
    REFUSED = "REFUSED"
    """By the law, or no longer possible; it changed nothing. `code` says why."""
    DECLINED = "DECLINED"
    """By a checker."""
    WITHDRAWN = "WITHDRAWN"
    """By its maker."""


_UNDECIDED: Final = (State.DRAFT, State.OPEN, State.SENDING)


class ProposalError(TallynetError):
    """PROPOSAL_MISSING: there is none under this id; PROPOSALS_FULL: too many wait."""


class Price(msgspec.Struct, frozen=True):
    """What a draw gives, in the currency's smallest unit, as it was shown."""

    discount: int
    net: int
    rate_ppm: int
    days: int
    fee: int
    """The drawer's share."""

    def is_as_good_as(self, other: Price) -> bool:
        """Whether the same money comes of it."""
        return (self.discount, self.net, self.fee) == (other.discount, other.net, other.fee)


class Agreement(msgspec.Struct, frozen=True):
    """Somebody stands for it."""

    account: str
    person: str
    """Of the wallet, with whose key."""
    at: int
    """Unix seconds."""


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    action: str
    subject: str
    """What it is about, so that nothing is proposed twice unseen: the action and the ids in it."""
    currency: str
    amount: int
    """What it is about, in the currency's smallest unit."""
    with_whom: bytes
    """Empty: several."""
    commands: tuple[tuple[str, bytes], ...]
    """Name and encoded command; what is signed."""
    notes: tuple[tuple[str, str], ...] = ()
    """What is to be seen beside the commands, e.g. of an invoice: key of a text, and what was read."""
    document: KeptDocument | None = None
    price: Price | None = None
    maker: Agreement
    agreed: tuple[Agreement, ...] = ()
    """Checkers."""
    state: State = State.DRAFT
    decided_by: str = ""
    """Who declined or withdrew it."""
    decided_at: int = 0
    """Unix seconds; of the receipt, if there is one."""
    reason: str = ""
    """Why it was declined, or what the code says."""
    code: str = ""
    envelope: bytes = b""
    """Signed; kept before it leaves."""
    receipt: bytes = b""
    """Encoded."""
    transaction: bytes = b""
    height: int = 0

    @property
    def wire(self) -> list[Wire]:
        return [decode(COMMANDS[name], raw) for name, raw in self.commands]


@final
class Proposals:
    """Used from one thread."""

    def __init__(self, directory: Path, genesis: bytes, organisation: bytes) -> None:
        """Open, or make; one process at a time.

        Raises:
            CopyError: COPY_CORRUPT, COPY_OTHER, COPY_UNUSABLE.
        """
        self._base: Final = open_for(directory / PROPOSALS_FILE, genesis, organisation, VERSION)
        self._base.make(_SCHEMA)

    def close(self) -> None:
        self._base.close()

    def get(self, id: str) -> Proposal:
        """Raises ProposalError PROPOSAL_MISSING."""
        for (body,) in self._base.rows("SELECT body FROM proposals WHERE id = ?", id):
            return msgspec.msgpack.decode(body, type=Proposal)
        raise ProposalError("PROPOSAL_MISSING", f"there is no proposal {id[:40]!r}")

    def list(self, *states: State, limit: int) -> list[Proposal]:
        """Newest first."""
        marks = ", ".join("?" for _ in states)
        query = f"SELECT body FROM proposals WHERE state IN ({marks}) ORDER BY made DESC, rowid DESC LIMIT ?"
        rows = self._base.rows(query, *states, limit)
        return [msgspec.msgpack.decode(body, type=Proposal) for (body,) in rows]

    def under_way(self) -> dict[str, str]:
        """Subject -> id, of what is proposed and not decided."""
        query = "SELECT subject, id FROM proposals WHERE state IN (?, ?)"
        return dict(self._base.rows(query, State.OPEN, State.SENDING))

    def save(self, proposal: Proposal) -> None:
        """Durable when it returns.

        Raises:
            ProposalError: PROPOSALS_FULL, for one more draft.
            CopyError: COPY_UNUSABLE.
        """
        made = proposal.maker.at
        with self._base.transaction():
            self._base.execute(
                "DELETE FROM proposals WHERE state = ? AND made < ?",
                (State.DRAFT, made - DRAFT_SECONDS),
            )
            if proposal.state is State.DRAFT:
                self._require_room()
            self._base.execute(
                "INSERT INTO proposals VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
                " state = excluded.state, body = excluded.body",
                (proposal.id, proposal.state, proposal.subject, made, msgspec.msgpack.encode(proposal)),
            )  # fmt: skip

    def _require_room(self) -> None:
        marks = ", ".join("?" for _ in _UNDECIDED)
        query = f"SELECT count(*) FROM proposals WHERE state IN ({marks})"
        ((waiting,),) = self._base.rows(query, *_UNDECIDED)
        if waiting >= OPEN_MAX:
            raise ProposalError(
                "PROPOSALS_FULL", f"{waiting} drafts and proposals wait; decide some first"
            )
        ((count,),) = self._base.rows("SELECT count(*) FROM proposals")
        self._base.execute(
            f"DELETE FROM proposals WHERE rowid IN (SELECT rowid FROM proposals WHERE state NOT IN ({marks})"
            " ORDER BY made LIMIT ?)",
            (*_UNDECIDED, max(0, count + 1 - PROPOSALS_MAX)),
        )
