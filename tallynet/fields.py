"""The value types of wire and records: bounded integers, ids, hashes, names.

Every integer on the wire lies in 0..2^63-1 and every field says its own narrower range, so that
`codec.decode` refuses out-of-range values before any rule sees them.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

AMOUNT_MAX: Final = 10**17 - 1
"""Largest amount in minor units (voucher law §5)."""

UINT_MAX: Final = 2**63 - 1

Id = Annotated[bytes, Meta(min_length=16, max_length=16)]
"""Record id: first 16 bytes of a SHA-256 (voucher law §5, Ids)."""
Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
"""SHA-256 digest."""
PublicKey = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
Label = Annotated[bytes, Meta(min_length=1, max_length=32)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$")]
"""ISO 4217 code."""
Uint = Annotated[int, Meta(ge=0, le=UINT_MAX)]
Units = Annotated[int, Meta(ge=0, le=UINT_MAX)]
"""Money in minor units (fen), zero allowed. Commands use it too, so that a wrong amount reaches its
rule and gets AMOUNT_RANGE instead of an unreadable envelope."""
Day = Annotated[int, Meta(ge=0, le=200_000)]
"""Days since 1970-01-01 in UTC+8."""
Seconds = Annotated[int, Meta(ge=0, le=UINT_MAX)]
"""Unix seconds."""
Milliseconds = Annotated[int, Meta(ge=0, le=UINT_MAX)]
Bps = Annotated[int, Meta(ge=0, le=1_000_000)]
"""Ratio in basis points; above 10,000 only where a rule says so."""
Ppm = Annotated[int, Meta(ge=0, le=10_000_000)]
"""Rate in parts per million (per year, or per day for penalties)."""
Small = Annotated[int, Meta(ge=0, le=65_535)]
"""Counters and counts of days."""
Height = Uint
View = Uint
Epoch = Uint
Wide = Annotated[bytes, Meta(min_length=16, max_length=16)]
"""Signed 128-bit integer, big-endian: amount x rate x days exceeds 64 bits (voucher law §5)."""


def to_wide(value: int) -> bytes:
    """An integer as `Wide`. Raises OverflowError beyond 128 bits."""
    return value.to_bytes(16, "big", signed=True)


def from_wide(data: bytes) -> int:
    """The integer that `Wide` bytes hold."""
    return int.from_bytes(data, "big", signed=True)


ZERO_WIDE: Final = to_wide(0)
