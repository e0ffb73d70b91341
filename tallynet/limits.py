"""Bounds that both ends of a connection know (reliability §10). Sizes in bytes, times in seconds.

Bounds that only a node applies stand in `net/limits.py`.
"""

from __future__ import annotations

from typing import Final

from tallynet.envelope import ENVELOPE_BYTES_MAX

__all__ = [
    "FRAME_BYTES_MAX", "FRAME_SECONDS", "HANDSHAKE_FRAME_BYTES_MAX", "HANDSHAKE_SECONDS",
    "IDLE_SECONDS_MAX", "PING_SECONDS", "RATE_BYTES_PER_SECOND_MIN", "READ_BYTES", "WRITE_BYTES_MAX",
    "WRITE_SECONDS",
]  # fmt: skip

HANDSHAKE_FRAME_BYTES_MAX: Final = 4 * 1024
"""Before authentication. Challenge, Hello, Welcome and Goodbye each fit in 700 bytes."""
FRAME_BYTES_MAX: Final = 4 * 1024 * 1024
"""After it. The largest messages are a Submit of a thousand envelopes, and a Blocks message, whose
one block holds at most 2 MiB of bodies."""
HANDSHAKE_SECONDS: Final = 5.0
"""TLS and hello together; half-open connections are few, so that nobody may hold one for long."""
FRAME_SECONDS: Final = 10.0
"""From the first byte of a frame to its last, plus what its size takes at the lowest rate."""
RATE_BYTES_PER_SECOND_MIN: Final = 16 * 1024
"""Slower than this is an attack or a dead line (slowloris, E6)."""
PING_SECONDS: Final = 15.0
"""A client that has nothing to say says Ping this often."""
IDLE_SECONDS_MAX: Final = 45.0
"""Nothing received for three pings: the connection is dropped."""
WRITE_SECONDS: Final = 10.0
"""One write takes at most this long, then the connection counts as broken."""
WRITE_BYTES_MAX: Final = 256 * 1024
"""Queued messages joined into one write: 16 TLS records, and 26 KiB/s still meets WRITE_SECONDS."""
READ_BYTES: Final = 64 * 1024
"""Asked for in one read; TLS hands out at most one record of 16 KiB at a time."""

if not ENVELOPE_BYTES_MAX * 8 <= FRAME_BYTES_MAX:
    raise ImportError("a frame must hold several of the largest envelopes")
