"""Who looks at a page, where pages ask for that: a light node's."""

from __future__ import annotations

import hmac
from collections.abc import Set
from dataclasses import dataclass

__all__ = ["Who"]


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody who is signed in."""

    name: str
    """Of the account."""
    duties: Set[str]
    """What the account may do beside looking: `maker`, `checker`, `administrator`."""
    csrf: str
    """What each form of this session that changes something brings back: no page of others knows it."""

    def brings(self, csrf: str) -> bool:
        """Whether a form is one of this session's."""
        return hmac.compare_digest(csrf.encode("utf-8", "replace"), self.csrf.encode())
