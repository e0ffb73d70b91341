"""Uploaded files of commands: each row is a command with an id of its own, sent as if a program had put it.

An upload is named by the hash of its file, so that uploading again is asking again. What is to be sent is kept until
it is signed; from then on `node.light.sent` knows it. Rows are signed while there is a connection, a few at a time, and
not later than an hour after the upload: nobody waits any more for what a network that comes back would do then.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, final

import structlog
import trio

from node.light.database import CopyError, Database
from node.light.following import Follower
from node.light.news import News
from node.light.row_files import FileRow, read_rows
from node.light.submitting import COMMANDS, CommandError, Submitter, digest_of
from tallynet.codec import Wire, decode, encode
from tallynet.commands import command_name
from tallynet.errors import TallynetError

__all__ = ["RowState", "Uploads"]

IN_FLIGHT: Final = 64
"""Rows under way at once, a quarter of what a node holds of one organisation: other programs send meanwhile."""
SIGNED_WITHIN_SECONDS: Final = 3_600
ROWS_KEPT_MAX: Final = 50_000
"""Of all uploads; the oldest that are signed go. Half of the commands that are remembered."""
READ_AT_ONCE: Final = 2
"""Files; one of a stranger may take seconds and a hundred megabytes."""
OUTCOME_SECONDS: Final = 150.0
"""How long a row counts as under way: its validity and half a minute."""
BUSY_SECONDS: Final = 1.0
COUNT_SECONDS: Final = 0.2
"""Between two counts of an upload, which take some milliseconds, for outcomes come by the hundred."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS uploads (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, until INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS uploaded_rows (
    upload INTEGER NOT NULL, row INTEGER NOT NULL, command_id TEXT NOT NULL, name TEXT NOT NULL,
    body BLOB NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL, PRIMARY KEY (upload, row)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rows_waiting ON uploaded_rows (upload, row) WHERE name <> '';
"""
_STATES: Final = """
    FROM uploaded_rows AS r JOIN uploads AS u ON u.number = r.upload LEFT JOIN sent AS s ON s.id = r.command_id
    WHERE u.id = ?
"""
_STATE: Final = """
    CASE WHEN r.code <> '' THEN 'NOT_SENT' WHEN r.name <> '' AND u.until < ? THEN 'NOT_SENT'
    WHEN r.name <> '' THEN 'QUEUED' ELSE coalesce(s.state, 'FORGOTTEN') END
"""
OVER: Final = "an hour passed without a connection; nothing was signed"


@dataclass(frozen=True, slots=True)
class RowState:
    """What became of a row."""

    row: int
    id: str
    state: str
    """QUEUED: to be signed; CHECKED: it could be; NOT_SENT: nothing was signed; else that of its command."""
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class _Waiting:
    upload: int
    row: int
    id: str
    command: Wire
    until: int


@final
class Uploads:
    """Reads files, and has their rows sent."""

    def __init__(self, base: Database, submitter: Submitter, follower: Follower) -> None:
        """`base`: that of the commands sent."""
        self._base: Final = base
        base.make(_SCHEMA)
        self._submitter: Final = submitter
        self._follower: Final = follower
        self._added: Final = News()
        self._reading: Final = trio.CapacityLimiter(READ_AT_ONCE)

    async def check(self, media_type: str, raw: bytes) -> list[RowState]:
        """What would become of each row; nothing is signed or kept.

        Raises:
            RowFileError: the file cannot be read.
        """
        found: list[RowState] = []
        ids: dict[str, bytes] = {}
        for row in await self._rows(media_type, raw):
            await trio.lowlevel.checkpoint()
            try:
                command = self._command(row, ids)
                sent = self._submitter.known(row.id, command)
            except TallynetError as error:
                found.append(RowState(row.number, row.id, "NOT_SENT", error.code, error.message))
                continue
            state = "CHECKED" if sent is None else sent.state
            found.append(RowState(row.number, row.id, state, sent.code if sent else ""))
        return found

    async def add(self, media_type: str, raw: bytes) -> str:
        """Have the rows of a file sent; the id of the upload. Rows of an earlier upload of this file that were not
        sent are tried again.

        Raises:
            RowFileError: the file cannot be read.
            CommandError: COMMANDS_OFF, CLIENT_BUSY.
            CopyError.
        """
        self._submitter.require_signing()
        id = sha256(media_type.encode() + b"\n" + raw).hexdigest()[:32]
        rows: list[tuple[object, ...]] = []
        ids: dict[str, bytes] = {}
        for row in await self._rows(media_type, raw):
            await trio.lowlevel.checkpoint()
            try:
                command = self._command(row, ids)
                rows.append((row.number, row.id, command_name(command), encode(command), "", ""))
            except TallynetError as error:
                rows.append((row.number, row.id, "", b"", error.code, error.message))
        self._keep(id, rows)
        self._added.tell()
        return id

    async def _rows(self, media_type: str, raw: bytes) -> list[FileRow]:
        return await trio.to_thread.run_sync(read_rows, media_type, raw, limiter=self._reading)

    def _command(self, row: FileRow, ids: dict[str, bytes]) -> Wire:
        """`ids`: of the rows before, with what they stand for. Raises TallynetError."""
        if row.request is None:
            raise row.fault or CommandError("COMMAND_INVALID", "no command")
        command = self._submitter.read(row.id, row.request)
        digest = digest_of(command)
        if ids.setdefault(row.id, digest) != digest:
            raise CommandError("COMMAND_ID_USED", f"{row.id} is another command in a row above")
        return command

    def _keep(self, id: str, rows: Sequence[tuple[object, ...]]) -> None:
        until = int(time.time()) + SIGNED_WITHIN_SECONDS
        with self._base.transaction():
            self._base.execute(
                "INSERT INTO uploads (id, until) VALUES (?, ?)"
                " ON CONFLICT (id) DO UPDATE SET until = excluded.until",
                (id, until),
            )
            ((number,),) = self._base.rows("SELECT number FROM uploads WHERE id = ?", id)
            for row in rows:
                self._base.execute(
                    "INSERT INTO uploaded_rows VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (upload, row) DO UPDATE SET"
                    " name = excluded.name, body = excluded.body, code = excluded.code, message = excluded.message"
                    " WHERE code <> ''",
                    (number, *row),
                )
            self._forget(number)

    def _forget(self, newest: int) -> None:
        """The oldest uploads, when there are too many rows; none that is still to be signed: it was taken in."""
        query = (
            "SELECT r.upload, count(*), sum(r.name <> '' AND u.until >= ?) FROM uploaded_rows AS r"
            " JOIN uploads AS u ON u.number = r.upload GROUP BY r.upload ORDER BY r.upload"
        )
        counts = self._base.rows(query, int(time.time()))
        over = sum(count for _, count, _ in counts) - ROWS_KEPT_MAX
        for upload, count, waiting in counts:
            if over > 0 and upload != newest and not waiting:
                self._base.execute("DELETE FROM uploaded_rows WHERE upload = ?", (upload,))
                self._base.execute("DELETE FROM uploads WHERE number = ?", (upload,))
                over -= count
        if over > 0 and len(counts) > 1:
            raise CommandError("CLIENT_BUSY", "too many rows wait to be signed; upload it later")

    # --- what became of them ------------------------------------------------------------------------------

    def counts(self, id: str) -> dict[str, int]:
        """Rows of an upload by state; empty: there is none."""
        query = f"SELECT {_STATE} AS state, count(*) {_STATES} GROUP BY 1 ORDER BY 1"
        return dict(self._base.rows(query, int(time.time()), id))

    def results(self, id: str, after: int, limit: int) -> list[RowState]:
        """The rows behind one."""
        columns = (
            f"r.row, r.command_id, {_STATE}, CASE WHEN r.code <> '' THEN r.code WHEN r.name <> '' THEN ''"
            " ELSE coalesce(s.code, '') END, CASE WHEN r.code <> '' THEN r.message ELSE coalesce(s.message, '') END"
        )
        query = f"SELECT {columns} {_STATES} AND r.row > ? ORDER BY r.row LIMIT ?"
        found = [
            RowState(*row) for row in self._base.rows(query, int(time.time()), id, after, limit)
        ]
        return [
            RowState(each.row, each.id, each.state, "UPLOAD_OVER", OVER)
            if each.state == "NOT_SENT" and not each.code
            else each
            for each in found
        ]

    async def wait(self, id: str, seconds: float) -> dict[str, int]:
        """`counts`, as soon as every row has an outcome, or after these seconds."""
        with trio.move_on_after(seconds):
            while not is_finished(self.counts(id)):
                await self._submitter.news.told()
                await trio.sleep(COUNT_SECONDS)
        return self.counts(id)

    # --- sending ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Sign and send what waits, in the order of the uploads."""
        under_way = trio.Semaphore(IN_FLIGHT)
        async with trio.open_nursery() as nursery:
            while True:
                await self._added.until(self._next, lambda row: row is not None, float("inf"))
                await self._follower.connection(None)
                await under_way.acquire()
                row = await self._start()
                if row is None:
                    under_way.release()
                else:
                    nursery.start_soon(self._until_known, row.id, under_way)

    async def _start(self) -> _Waiting | None:
        """The next row, once it is under way; None: it is not."""
        try:
            row = self._next()
            if row is not None and await self._sent(row):
                return row
        except CopyError as error:  # a full disk may become emptier
            structlog.get_logger("light").error("rows wait", code=error.code, message=error.message)
            await trio.sleep(BUSY_SECONDS)
        return None

    async def _until_known(self, id: str, under_way: trio.Semaphore) -> None:
        try:
            sent = self._submitter.kept.get(id)
            if sent is not None:
                await self._submitter.wait(sent, OUTCOME_SECONDS)
        except CopyError as error:
            structlog.get_logger("light").error("row", code=error.code, message=error.message)
        finally:
            under_way.release()

    async def _sent(self, row: _Waiting) -> bool:
        """Whether it is under way now; else it is not sent, and its row says why."""
        code = message = ""
        try:
            if time.time() > row.until:
                raise CommandError("UPLOAD_OVER", OVER)
            self._submitter.accept(row.id, row.command)
        except TallynetError as error:
            if error.code == "CLIENT_BUSY":
                await trio.sleep(BUSY_SECONDS)
                return False
            code, message = error.code, error.message
            structlog.get_logger("light").warning("row not sent", id=row.id, code=code)
        with self._base.transaction():
            self._base.execute(
                "UPDATE uploaded_rows SET name = '', body = x'', code = ?, message = ?"
                " WHERE upload = ? AND row = ?",
                (code, message, row.upload, row.row),
            )
        self._submitter.news.tell()
        return not code

    def _next(self) -> _Waiting | None:
        query = (
            "SELECT r.upload, r.row, r.command_id, r.name, r.body, u.until FROM uploaded_rows AS r"
            " JOIN uploads AS u ON u.number = r.upload WHERE r.name <> '' ORDER BY r.upload, r.row LIMIT 1"
        )
        for upload, row, id, name, body, until in self._base.rows(query):
            return _Waiting(upload, row, id, decode(COMMANDS[name], body), until)
        return None


def is_finished(counts: dict[str, int]) -> bool:
    """Whether every row has an outcome."""
    return not any(counts.get(state) for state in ("QUEUED", "PENDING"))
