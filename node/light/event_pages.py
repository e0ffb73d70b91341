"""The events of the copy as programs read them: page by page behind a cursor, at once or when there are some."""

from __future__ import annotations

from typing import Final, final

from node.light.database import CopyError
from node.light.event_log import EventLog, Place, read_cursor
from node.light.following import Follower
from node.light.messages import EventPage, Explain, event_of
from node.light.news import News
from node.light.sent import SentCommands

__all__ = ["EventPages"]


@final
class EventPages:
    """For whoever asks, streams and webhooks alike."""

    def __init__(self, follower: Follower, sent: SentCommands, explain: Explain) -> None:
        self.log: Final[EventLog] = follower.copy.events
        self.news: Final[News] = follower.news
        self.explain: Final = explain
        self._sent: Final = sent

    def place(self, cursor: str | None) -> Place:
        """Behind a cursor; None: where the copy begins.

        Raises:
            CursorError: QUERY_INVALID.
            CopyError: COPY_EMPTY.
        """
        first = self.log.first
        if first is None:
            raise CopyError("COPY_EMPTY", "the copy is not filled yet; /status says why")
        return first if cursor is None else read_cursor(cursor)

    async def page(self, place: Place, limit: int, seconds: float) -> EventPage:
        """Up to `limit` events from a place on; where there are none, the first ones that come within these seconds.

        Raises:
            CursorError: CURSOR_TOO_OLD.
        """
        found = await self.news.until(lambda: self.log.after(place, limit + 1), bool, seconds)
        more, found = len(found) > limit, found[:limit]
        cursor = found[-1].cursor if found else place.cursor
        events = [event_of(each, self._sent.id_of(each.event.transaction or b"")) for each in found]
        return EventPage(events, cursor, more)
