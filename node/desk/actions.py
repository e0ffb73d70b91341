"""Which acts there are at the desk."""

from __future__ import annotations

from typing import Final

from node.desk import cash, issuing, passing, paying
from node.desk.case import Action

__all__ = ["ACTIONS"]

ACTIONS: Final[dict[str, Action]] = {
    action.name: action
    for action in (*issuing.ACTIONS, *passing.ACTIONS, *cash.ACTIONS, *paying.ACTIONS)
}
"""By name."""
