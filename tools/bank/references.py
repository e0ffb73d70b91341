"""The end-to-end id of a payment: which instruction it serves, and which part of it.

    d41d8cd98f00b204e9800998ecf8427e       an instruction's 32 hexadecimal digits: paid in one, or its first part
    d41d8cd98f00b204e9800998ecf8427e002    its second part, of at most 999

35 characters at most, as ISO 20022 has room for (Max35Text); letters and digits only, which every channel carries.
"""

from __future__ import annotations

import re
from typing import Final

PARTS_MAX: Final = 999
"""Part payments of one instruction: what three digits name. A settlement is paid in parts as its debtor's money
comes, so hundreds would be one a day for years."""
_REFERENCE: Final = re.compile(r"([0-9a-f]{32})([0-9]{3})?")


def reference_of(instruction: bytes, part: int) -> str:
    """The end-to-end id of an instruction's part payment, counted from 1. Raises ValueError."""
    if len(instruction) != 16 or not 1 <= part <= PARTS_MAX:
        raise ValueError("an instruction's id has 16 bytes, and parts are 1 to 999")
    return instruction.hex() + (f"{part:03d}" if part > 1 else "")


def instruction_of(reference: str) -> bytes | None:
    """The instruction that an end-to-end id names, or None for somebody else's. Channels may have made its
    letters capital."""
    match = _REFERENCE.fullmatch(reference.lower())
    if match is None or match[2] in ("000", "001"):
        return None
    return bytes.fromhex(match[1])
