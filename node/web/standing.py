"""Whether blocks are made, and if not, why: what the banner on every page says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.web.texts import Language, text

__all__ = ["MOVING_SECONDS", "Standing"]

MOVING_SECONDS: Final = 3
"""With a block as young as that, what is waited for at this very moment is no news."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Of a node, or of a light node's copy, at one moment."""

    name: str
    height: int
    """Of the newest block; 0: none."""
    age_seconds: int
    """Since the newest block; of a copy, since validators of f+1 banks said that there is no later one."""
    code: str
    """A name of `consensus.statistics.WaitingReason`, or UNREACHED; of a copy, OK or the code of what is wrong."""
    waiting_for: tuple[str, ...] = ()
    """Names of validators."""
    waiting_height: int = 0
    behind: int = 0
    evidence: int = 0
    is_copy: bool = False

    @property
    def moving(self) -> bool:
        return not self.is_copy and bool(self.height) and self.age_seconds <= MOVING_SECONDS

    @property
    def well(self) -> bool:
        """Nothing for an operator to look at."""
        if self.is_copy:
            return self.code == "OK"
        return (
            self.moving or self.code in ("NOTHING_TO_DO", "EXECUTION", "DISK")
        ) and not self.evidence

    def sentence(self, language: Language) -> str:
        """For people."""
        if self.is_copy:
            return self._of_copy(language)
        if self.moving:
            said = text("banner_moving", language, height=self.height)
        elif self.code == "NOTHING_TO_DO":
            said = text("banner_idle", language, height=self.height)
        else:
            reason = text(f"wait_{self.code}", language)
            if self.waiting_for:
                joiner = "、" if language is Language.ZH else ", "
                whom = text("waits_for", language, names=joiner.join(self.waiting_for))
                reason += ("，" if language is Language.ZH else "; ") + whom
            height = self.waiting_height or self.height + 1
            said = text("banner_stuck", language, height=height, reason=reason)
        gap = "" if language is Language.ZH else " "
        if self.behind:
            said += gap + text("banner_behind", language, count=self.behind)
        if self.evidence:
            said += gap + text("banner_evidence", language, count=self.evidence)
        return said

    def _of_copy(self, language: Language) -> str:
        if self.code == "COPY_EMPTY":
            return text("light_empty", language)
        if self.code != "OK":
            return text("light_trouble", language, height=self.height, code=self.code)
        return text("light_follows", language, height=self.height, age=self.age_seconds)
