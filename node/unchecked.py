"""Bodies that are held although nobody here could check them: what they are is said by their hashes.

A block names envelopes by hashes that cover every byte, so a body that has the hash is the right one
whoever sent it (C2); what it is worth is decided when the block is executed. Nothing in here is ever
proposed by this node or passed on unasked. Each validator fills a space of its own and displaces in
it only what it sent itself, oldest first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from tallynet.envelope import Envelope
from tallynet.limits import FRAME_BYTES_MAX

STRANGERS_BYTES_MAX: Final = 64 * 1024
"""Per validator: about 250 envelopes, more than an organisation sends while its new key is on its way
to us. Each is tried again after every block, so they must be few."""
NAMED_BYTES_MAX: Final = FRAME_BYTES_MAX
"""Per validator: all that one message can bring, and so at least the largest block."""


class Space:
    """Envelopes by the validator who sent them, at most `bytes_max` of each and the newest one."""

    __slots__ = ("_bytes", "_bytes_max", "_of")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max: Final = bytes_max
        self._of: Final[dict[int, OrderedDict[bytes, Envelope]]] = {}
        self._bytes: Final[dict[int, int]] = {}

    def put(self, source: int, envelope: Envelope) -> None:
        own = self._of.setdefault(source, OrderedDict())
        if envelope.hash in own:
            return
        own[envelope.hash] = envelope
        size = self._bytes.get(source, 0) + len(envelope.raw)
        while size > self._bytes_max and len(own) > 1:
            size -= len(own.popitem(last=False)[1].raw)
        self._bytes[source] = size

    def get(self, envelope: bytes) -> Envelope | None:
        for own in self._of.values():
            found = own.get(envelope)
            if found is not None:
                return found
        return None

    def drop(self, envelopes: Iterable[bytes]) -> None:
        """Let go of these, whoever sent them."""
        gone = list(envelopes)
        for source, own in self._of.items():
            for envelope in gone:
                found = own.pop(envelope, None)
                if found is not None:
                    self._bytes[source] -= len(found.raw)

    def all(self) -> list[Envelope]:
        return [envelope for own in self._of.values() for envelope in own.values()]


class Unchecked:
    """Both kinds of unchecked bodies."""

    __slots__ = ("named", "strangers")

    def __init__(self) -> None:
        self.strangers: Final = Space(STRANGERS_BYTES_MAX)
        """Signed with keys that are not known yet: a block that this node has not executed yet may
        register them."""
        self.named: Final = Space(NAMED_BYTES_MAX)
        """Named by a block, proposed or certified."""

    def get(self, envelope: bytes) -> Envelope | None:
        """The body under this hash, if it is here."""
        return self.strangers.get(envelope) or self.named.get(envelope)

    def drop(self, envelopes: Iterable[bytes]) -> None:
        """Let go of these: their block is durable."""
        gone = list(envelopes)
        self.strangers.drop(gone)
        self.named.drop(gone)
