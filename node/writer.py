"""The one thread that writes to the store.

LMDB write transactions begin and commit on one thread (reliability §13). The event loop hands over
one batch at a time and goes on; what happened meanwhile becomes the next batch (group commit).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Final

import trio

Job = Callable[[], None]


class Writer:
    """Runs jobs in order on a thread of its own and reports each end to the trio loop.

    Start it inside trio. A job that raises ends the process through `fatal`: a failed commit is
    never retried, because the next one could silently succeed without the lost pages.
    """

    def __init__(self, done: Callable[[], None], fatal: Callable[[BaseException], None]) -> None:
        """`done()` and `fatal(error)` are called on the trio thread."""
        self._jobs: Final[queue.SimpleQueue[Job | None]] = queue.SimpleQueue()
        self._done: Final = done
        self._fatal: Final = fatal
        self._token: Final = trio.lowlevel.current_trio_token()
        self._thread: Final = threading.Thread(target=self._work, name="writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        self._jobs.put(job)

    def close(self) -> None:
        """Finish what was handed over, then end the thread. Blocks for that long."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except BaseException as error:  # noqa: BLE001 - every failure of a commit is fatal
                self._token.run_sync_soon(self._fatal, error)
                return
            self._token.run_sync_soon(self._done)
