"""What a light node is doing."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Standing"]


class Standing(StrEnum):
    """What the light node is doing."""

    CONNECTING = "CONNECTING"
    FILLING = "FILLING"
    FOLLOWING = "FOLLOWING"
