"""A light node's side of the web pages: its copy, read at once, with nobody's consensus to wait for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar, final

import msgspec

from node.light.answers import Answers
from node.light.book import CopyBook
from node.light.following import Follower
from node.web.book import Book
from node.web.names import Names
from node.web.standing import Standing

__all__ = ["LightSite"]

T = TypeVar("T")


@final
class LightSite:
    is_light: Final = True

    def __init__(self, name: str, follower: Follower, answers: Answers, names: Names) -> None:
        self.names: Final = names
        self._name: Final = name
        self._follower: Final = follower
        self._answers: Final = answers

    @property
    def home(self) -> bytes:
        return self._follower.copy.organisation

    async def read(self, view: Callable[[Book], T]) -> T:
        return view(CopyBook(self._follower.copy))

    def standing(self) -> Standing:
        copy, trouble = self._follower.copy, self._follower.trouble
        proven_at = copy.proven_at
        age = 0 if proven_at is None else max(0, int(time.time()) - proven_at)
        code = "OK" if trouble is None else trouble.code
        if copy.place is None or proven_at is None:
            code = "COPY_EMPTY"
        return Standing(self._name, copy.height, age, code, is_copy=True)

    def facts(self) -> dict[str, Any]:
        return {"light": msgspec.to_builtins(self._answers.status())}
