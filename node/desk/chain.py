"""What the desk asks the network: proven records, and what would happen to an act now, as f+1 validators say it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, final

from node.desk.office import Signers
from node.light.following import Follower
from node.light.sending import attempt
from node.state.view import Index
from tallynet.client import Client, Receipt
from tallynet.codec import Wire
from tallynet.envelope import Envelope, EnvelopeBody, Mode, Signer
from tallynet.errors import TallynetError
from tallynet.records import NETWORK_ID, Kind, Network

__all__ = ["POLICY_CODES", "Chain", "ChainError", "Trial"]

VALID_SECONDS: Final = 120
"""Of a signed envelope (voucher law §5)."""
RECEIPT_SECONDS: Final = 10.0
"""How long one attempt waits; the next sends the same bytes."""
LISTED_MAX: Final = 64
"""Entries of an index that a form offers; nobody looks through more."""
POLICY_CODES: Final = frozenset(("POLICY_UNSATISFIED", "SAME_PERSON"))
"""Too few sign, or others than the organisation's policy on the chain asks for."""
R = TypeVar("R")


class ChainError(TallynetError):
    """NOT_CONNECTED: the network is away; RECORD_NOT_FOUND: there is no such record, or it is not shown; DAY_ENDS: a
    price would change meanwhile."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What would happen now."""

    code: str
    reason: str
    """Of the code, for people; empty for OK."""
    results: tuple[tuple[int, ...], ...]
    """Result fields, one tuple a command."""


@final
class Chain:
    def __init__(self, follower: Follower, genesis: bytes) -> None:
        """`genesis`: hash."""
        self.home: Final = follower.copy.organisation
        self._follower: Final = follower
        self._genesis: Final = genesis

    @property
    def client(self) -> Client:
        """Raises ChainError NOT_CONNECTED."""
        found = self._follower.client
        if found is None:
            raise ChainError("NOT_CONNECTED", "the network cannot be reached now; try again")
        return found

    async def attempt(self, envelope: Envelope) -> Receipt:
        """`node.light.sending.attempt`; raises ChainError NOT_CONNECTED too."""
        return await attempt(self.client, self._follower, envelope, RECEIPT_SECONDS)

    async def connected(self) -> None:
        """Waits for the network."""
        await self._follower.connection(None)

    async def network(self) -> Network:
        """Business date and its end. Raises TallynetError."""
        return await self.require(Network, Kind.NETWORK, NETWORK_ID)

    async def require(self, record_type: type[R], kind: Kind, id: bytes) -> R:
        """A proven record. Raises ChainError RECORD_NOT_FOUND, and what `Client.read` raises."""
        record = await self.client.read(kind, id)
        if not isinstance(record, record_type):
            raise ChainError("RECORD_NOT_FOUND", f"there is no {kind.name.lower()} {id.hex()}")
        return record

    async def listed(self, index: Index, prefix: bytes) -> list[bytes]:
        """Ids at the end of an index's entries. One node's word: each is proven when it is read."""
        page = await self.client.unproven_index(index, prefix, limit=LISTED_MAX)
        return [entry[-16:] for entry in page.entries]

    async def try_out(self, commands: Sequence[Wire], signers: Signers) -> Trial:
        """Whether the network would do this now, and with what result; nothing is signed.

        Raises:
            TallynetError: NOT_CONNECTED, LISTS_UNCONFIRMED: nobody can say.
        """
        body = EnvelopeBody(
            1, self._genesis, self.home, Mode.ATOMIC,
            tuple(commands),  # type: ignore[arg-type]  # Wire members of the Command union
            int(time.time()) + VALID_SECONDS,
            tuple(Signer(person.key, role) for person, role in signers),
        )  # fmt: skip
        tried = await self.client.agreed_dry_run(body)
        codes = [tried.receipt.code, *(each.code for each in tried.receipt.commands)]
        at = next((i for i, code in enumerate(codes) if code not in ("OK", "ATOMIC_ABORTED")), None)
        if at is None:
            return Trial("OK", "", tuple(each.result for each in tried.receipt.commands))
        reasons = tried.reasons
        return Trial(codes[at], reasons[max(0, at - 1)] if reasons else "", ())
