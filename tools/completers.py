"""What a shell can complete beyond commands and options: names that are known on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tools.contexts import load
from tools.wallet import load_wallets

__all__ = ["context_names", "wallet_names"]


def wallet_names(context: Any) -> list[str]:
    """Of the network that the command line names so far. Errors are the caller's: a shell shows none."""
    given = context.get("--network")
    network = Path("network" if given is None else given.raw or "network")
    return [wallet.name for wallet in load_wallets(network)]


def context_names(_context: Any) -> list[str]:
    return sorted(load().contexts)
