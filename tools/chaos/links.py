"""Conditions of the links between validators, and how the relay is told about them.

A link is directed: what validator `source` sends to validator `target`. The other direction of its
TCP connection carries nothing but the handshake's answers and goodbyes, and passes untouched.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

Number = Annotated[int, Meta(ge=0, le=10**9)]
LOOPBACK: Final = "127.0.0.1"
"""The only host that the fault tools bind or dial (reliability §3)."""


class Mode(StrEnum):
    """What a link does with bytes."""

    PASS = "pass"
    DROP = "drop"
    """A black hole: accepts connections and bytes, delivers nothing. What was lost leaves a hole in the
    TLS stream, so a connection that lost bytes is reset when the link passes again."""
    HOLD = "hold"
    """Delivers nothing now and everything later, as TCP does across a short outage."""
    RESET = "reset"
    """Every connection is reset, the present ones and new ones."""


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one link behaves from now on."""

    mode: Mode = Mode.PASS
    delay_ms: Number = 0
    jitter_ms: Number = 0
    """Added to the delay, uniformly from 0; order stays."""
    bytes_per_second: Number = 0
    """0: as fast as it goes."""
    flap_ms: Number = 0
    """Not 0: this mode and PASS take turns, each for so long."""


class RelayLink(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One listener of the relay."""

    source: int
    target: int
    """Validator indices."""
    port: Annotated[int, Meta(ge=1024, le=65_535)]
    """Where the target listens, on the loopback address."""


class RelayConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seed: int
    links: tuple[RelayLink, ...]


class RelayReady(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """First line of the relay: the port of each link, in the order of its configuration."""

    ports: tuple[int, ...]


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line to the relay: these links (by position in the configuration) change."""

    links: tuple[int, ...]
    condition: Condition


class LinkTotals(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a link has done since the start."""

    connections: int
    passed_bytes: int
    dropped_bytes: int
    resets: int


class Changed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The relay's answer to a `Change`, in force from here on."""

    totals: tuple[LinkTotals, ...]
    """Of every link, in the order of the configuration."""
