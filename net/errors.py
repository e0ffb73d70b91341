"""Errors of the network layer that end a node's start."""

from __future__ import annotations

from tallynet.errors import TallynetError


class ListenError(TallynetError):
    """The node cannot listen: PORT_IN_USE, PORT_FORBIDDEN or ADDRESS_UNUSABLE. The text says what
    to change."""
