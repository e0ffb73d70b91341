"""Which settings a running node takes over, on SIGHUP, and which need a new start."""

from __future__ import annotations

from typing import Final

import msgspec

from node.config import Limits, NodeConfig

__all__ = ["needs_restart"]

RELOADED: Final = ("log_level", "limits", "access", "keep_blocks", "peers")
"""Settings of the file's top and its tables. `peers` is read whenever the validator set changes anyway."""
RELOADED_LIMITS: Final = (
    "pending_per_organisation",
    "pending_total",
    "ciphertexts_per_organisation_mib",
    "ciphertexts_total_mib",
    "observers",
    "observer_bytes_per_second",
)


def needs_restart(old: NodeConfig, new: NodeConfig) -> list[str]:
    """Names of settings that differ and that no running node takes over."""
    top = _differing(old, new, RELOADED)
    return top + [f"limits.{name}" for name in _differing(old.limits, new.limits, RELOADED_LIMITS)]


def _differing(
    old: NodeConfig | Limits, new: NodeConfig | Limits, reloaded: tuple[str, ...]
) -> list[str]:
    names = (field.name for field in msgspec.structs.fields(old))
    return [n for n in names if n not in reloaded and getattr(old, n) != getattr(new, n)]
