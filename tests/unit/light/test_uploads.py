"""Uploaded files: each row once, in order, through a kill, and not hours later."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from node.light import uploads as uploading
from node.light.copy import Copy
from node.light.database import open_for
from node.light.following import Follower
from node.light.row_files import CSV
from node.light.sent import SentCommands
from node.light.submitting import CommandError, Submitter
from node.light.uploads import RowState, Uploads
from tallynet.codec import Wire
from tallynet.commands import LotDecline
from tallynet.errors import TallynetError
from tests.unit.client.serving import GENESIS, GENESIS_HASH, ORGANISATION, Server, serving
from tests.unit.light.test_submitting import sign, submitted
from tests.unit.net.samples import STRANGER

SECONDS_MAX = 20
FILE = b"id,command,start\na,lot decline,1\nb,lot decline,2\nc,lot eat,3\na,lot decline,9\n"


def by_words(words: str, options: Mapping[str, Any]) -> Wire:
    """A command line of one command."""
    if words != "lot decline":
        raise TallynetError("USAGE", f"no command {words!r}")
    return LotDecline(options["label"].encode(), b"v" * 16, int(options["start"]))


@asynccontextmanager
async def uploads_of(
    servers: list[Server], directory: Path, *, signing: bool = True
) -> AsyncIterator[Uploads]:
    copy = Copy(directory / "copy.sqlite", GENESIS_HASH, ORGANISATION)
    base = open_for(directory / "commands.sqlite", GENESIS_HASH, ORGANISATION, b"1")
    addresses = [server.address for server in servers]
    follower = Follower(copy, addresses, GENESIS, STRANGER, directory / "trust")
    submitter = Submitter(SentCommands(base), follower, sign if signing else None, by_words)
    uploads = Uploads(base, submitter, follower)
    try:
        async with trio.open_nursery() as nursery:
            for part in (submitter, follower, uploads):
                nursery.start_soon(part.run)
            yield uploads
            nursery.cancel_scope.cancel()
    finally:
        copy.close()
        base.close()


def states(rows: list[RowState]) -> list[tuple[int, str, str, str]]:
    return [(row.row, row.id, row.state, row.code) for row in rows]


ALL_DONE = [
    (2, "a", "DONE", "OK"),
    (3, "b", "DONE", "OK"),
    (4, "c", "NOT_SENT", "COMMAND_INVALID"),
    (5, "a", "NOT_SENT", "COMMAND_ID_USED"),
]


async def test_every_row_has_its_own_outcome_and_the_same_file_is_the_same_upload(
    tmp_path: Path,
) -> None:
    with serving() as servers:
        async with uploads_of(servers, tmp_path) as uploads:
            id = await uploads.add(CSV, FILE)
            assert await uploads.wait(id, SECONDS_MAX) == {"DONE": 2, "NOT_SENT": 2}
            assert states(uploads.results(id, 0, 9)) == ALL_DONE
            assert states(uploads.results(id, 3, 1)) == ALL_DONE[2:3]
            assert await uploads.add(CSV, FILE) == id
            assert states(uploads.results(id, 0, 9)) == ALL_DONE
        assert len(submitted(servers)) == 2


async def test_a_row_that_another_file_sent_is_not_sent_again(tmp_path: Path) -> None:
    with serving() as servers:
        async with uploads_of(servers, tmp_path) as uploads:
            await uploads.wait(await uploads.add(CSV, FILE), SECONDS_MAX)
            other = await uploads.add(CSV, b"id,command,start\na,lot decline,1\nb,lot decline,3\n")
            await uploads.wait(other, SECONDS_MAX)
            assert states(uploads.results(other, 0, 9)) == [
                (2, "a", "DONE", "OK"),
                (3, "b", "NOT_SENT", "COMMAND_ID_USED"),
            ]
        assert len(submitted(servers)) == 2


async def test_rows_wait_for_a_connection_and_survive_a_stop(tmp_path: Path) -> None:
    with serving() as servers:
        pass
    async with uploads_of(servers, tmp_path) as uploads:  # they are gone
        id = await uploads.add(CSV, FILE)
        assert uploads.counts(id) == {"NOT_SENT": 2, "QUEUED": 2}
    with serving() as servers:
        async with uploads_of(servers, tmp_path) as uploads:
            assert await uploads.wait(id, SECONDS_MAX) == {"DONE": 2, "NOT_SENT": 2}
        assert len(submitted(servers)) == 2


async def test_rows_that_could_not_be_signed_for_an_hour_are_not_signed_until_they_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as servers:
        pass
    monkeypatch.setattr(uploading, "SIGNED_WITHIN_SECONDS", -1)
    async with uploads_of(servers, tmp_path) as uploads:
        id = await uploads.add(CSV, FILE)
        assert uploads.counts(id) == {"NOT_SENT": 4}
        assert uploads.results(id, 0, 1)[0].code == "UPLOAD_OVER"
    with serving() as servers:
        async with uploads_of(servers, tmp_path) as uploads:
            await uploads._follower.connection(None)
            while uploads._next() is not None:  # noqa: ASYNC110 - on disk
                await trio.sleep(0.01)
            assert states(uploads.results(id, 0, 1)) == [(2, "a", "NOT_SENT", "UPLOAD_OVER")]
            assert not submitted(servers)
            monkeypatch.setattr(uploading, "SIGNED_WITHIN_SECONDS", 3_600)
            assert await uploads.add(CSV, FILE) == id
            assert await uploads.wait(id, SECONDS_MAX) == {"DONE": 2, "NOT_SENT": 2}


async def test_a_check_signs_and_keeps_nothing(tmp_path: Path) -> None:
    with serving() as servers:
        async with uploads_of(servers, tmp_path, signing=False) as uploads:
            found = await uploads.check(CSV, FILE)
            assert [row.state for row in found] == ["CHECKED", "CHECKED", "NOT_SENT", "NOT_SENT"]
            with pytest.raises(CommandError) as off:
                await uploads.add(CSV, FILE)
            assert off.value.code == "COMMANDS_OFF"
            assert uploads._submitter.kept.listed(None, 0, 9) == [] and uploads._next() is None
        assert not submitted(servers)


async def test_rows_that_are_still_to_be_signed_are_never_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "ROWS_KEPT_MAX", 4)
    with serving() as servers:
        pass
    async with uploads_of(servers, tmp_path) as uploads:  # they are gone
        first = await uploads.add(CSV, FILE)
        with pytest.raises(CommandError) as busy:
            await uploads.add(CSV, b"id,command,start\nd,lot decline,4\n")
        assert busy.value.code == "CLIENT_BUSY"
        assert uploads.counts(first) == {"NOT_SENT": 2, "QUEUED": 2}
        assert await uploads.add(CSV, FILE) == first, "the same file is no other one"


async def test_the_oldest_uploads_are_forgotten_their_commands_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "ROWS_KEPT_MAX", 4)
    with serving() as servers:
        async with uploads_of(servers, tmp_path) as uploads:
            first = await uploads.add(CSV, FILE)
            await uploads.wait(first, SECONDS_MAX)
            second = await uploads.add(CSV, b"id,command,start\nd,lot decline,4\n")
            assert uploads.counts(first) == {} and uploads.counts(second) != {}
            assert uploads._submitter.kept.get("a") is not None
