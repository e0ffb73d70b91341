"""Commands of programs: signed once, sent until there is a receipt, also by themselves after a restart."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs

from node.light import submitting
from node.light.copy import Copy
from node.light.following import Follower
from node.light.sent import Sent, SentCommands
from node.light.submitting import CommandError, Submitter
from tallynet.client import build_envelope, key_id
from tallynet.codec import Wire
from tallynet.commands import LotAccept, LotDecline
from tallynet.envelope import Envelope, Mode
from tallynet.errors import TallynetError
from tallynet.records import Role
from tests.unit.client.serving import GENESIS, GENESIS_HASH, ORGANISATION, Server, serving
from tests.unit.net.samples import STRANGER

SECONDS_MAX = 20
FIELDS = {"voucher": (b"v" * 16).hex(), "start": 3}
WANTED = {"id": "erp-1", "command": "lot.accept", "options": FIELDS}


def sign(commands: Sequence[Wire]) -> Envelope:
    signer = (key_id(STRANGER.public_key().public_bytes_raw()), Role.MAKER, STRANGER)
    until = int(time.time()) + 120
    return build_envelope(GENESIS_HASH, ORGANISATION, Mode.ATOMIC, commands, until, [signer])


def by_words(words: str, options: Mapping[str, Any]) -> Wire:
    """A command line of one command."""
    if words != "lot decline":
        raise TallynetError("USAGE", f"no command {words!r}")
    return LotDecline(options["label"].encode(), b"v" * 16, options["start"])


def body(**changes: Any) -> bytes:
    return json.dumps(WANTED | changes).encode()


@asynccontextmanager
async def light_node(
    servers: list[Server], directory: Path, *, signing: bool = True
) -> AsyncIterator[tuple[Submitter, SentCommands]]:
    copy = Copy(directory / "copy.sqlite", GENESIS_HASH, ORGANISATION)
    kept = SentCommands(directory / "commands.sqlite", GENESIS_HASH, ORGANISATION)
    addresses = [server.address for server in servers]
    follower = Follower(copy, addresses, GENESIS, STRANGER, directory / "trust")
    submitter = Submitter(kept, follower, sign if signing else None, by_words)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(submitter.run)
            nursery.start_soon(follower.run)
            yield submitter, kept
            nursery.cancel_scope.cancel()
    finally:
        copy.close()
        kept.close()


async def done(submitter: Submitter, id: str) -> dict[str, Any]:
    with trio.fail_after(SECONDS_MAX):
        while True:
            known = submitter.look(id)
            if known is not None and known["state"] == "DONE":
                return known
            await trio.sleep(0.01)


def kept_before(directory: Path, *ids: str, valid_for: int = 120) -> list[Envelope]:
    """What a light node that was killed had signed and not sent."""
    kept = SentCommands(directory / "commands.sqlite", GENESIS_HASH, ORGANISATION)
    envelopes = [sign([LotAccept(id.encode(), b"v" * 16, 3)]) for id in ids]
    now = int(time.time())
    for id, envelope in zip(ids, envelopes, strict=True):
        kept.keep(Sent(id, b"digest", envelope.raw, now + valid_for), now)
    kept.close()
    return envelopes


async def test_what_was_pending_at_a_kill_is_sent_by_itself_with_the_same_bytes(
    tmp_path: Path,
) -> None:
    envelopes = kept_before(tmp_path, "b", "a")
    with serving() as servers:
        async with light_node(servers, tmp_path) as (submitter, _):
            answers = [await done(submitter, id) for id in ("b", "a")]
        assert [each["code"] for each in answers] == ["OK", "OK"]
        sent = {raw for server in servers for part in server.submits for raw in part}
        assert sent == {envelope.raw for envelope in envelopes}
        async with light_node(servers, tmp_path) as (submitter, _):
            assert submitter.look("b") == answers[0], "and not once more"


async def test_what_can_no_longer_happen_or_is_not_to_be_signed_is_not_sent(
    tmp_path: Path,
) -> None:
    kept_before(tmp_path, "late", valid_for=-1)
    [good] = kept_before(tmp_path, "good")
    with serving() as servers:
        async with light_node(servers, tmp_path, signing=False):
            pass
        assert not any(server.submits for server in servers), "commands are off"
        async with light_node(servers, tmp_path) as (submitter, _):
            await done(submitter, "good")
            late = submitter.look("late")
        assert late is not None and late["state"] == "PENDING"
        assert {raw for s in servers for part in s.submits for raw in part} == {good.raw}


async def test_what_a_request_gave_up_waiting_for_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitting, "RECEIPT_SECONDS", 0.05)
    with serving() as servers:
        for server in servers:
            server.mute = True
        async with light_node(servers, tmp_path) as (submitter, _):
            await submitter._follower.connection(None)
            assert (await submitter.submit(body()))["state"] == "PENDING"
            for server in servers:
                server.mute = False
            assert (await done(submitter, "erp-1"))["code"] == "OK"


async def test_what_nodes_refuse_by_themselves_holds_up_nothing_else(tmp_path: Path) -> None:
    kept_before(tmp_path, "refused")
    with serving() as servers:
        for server in servers:
            server.refuse = [("KEY_UNKNOWN", "the key is not registered")]
        with capture_logs() as told:
            async with light_node(servers, tmp_path) as (submitter, _):
                with trio.fail_after(SECONDS_MAX):
                    while not any(line["event"] == "no receipt" for line in told):  # noqa: ASYNC110 - other threads
                        await trio.sleep(0.01)
                for server in servers:
                    server.refuse.clear()
                assert (await submitter.submit(body()))["code"] == "OK"
                refused = submitter.look("refused")
        assert refused is not None and refused["state"] == "PENDING", "a refusal proves nothing"


async def test_a_command_by_its_words_is_built_as_on_the_command_line(tmp_path: Path) -> None:
    with serving() as servers:
        async with light_node(servers, tmp_path) as (submitter, kept):
            wanted = body(command="lot decline", options={"start": 7})
            first = await submitter.submit(wanted)
            assert (await done(submitter, "erp-1"))["transaction"] == first["transaction"]
            assert (await submitter.submit(wanted))["transaction"] == first["transaction"]
            with pytest.raises(CommandError) as other:
                await submitter.submit(body())
            assert other.value.code == "COMMAND_ID_USED", "the same act, written otherwise"
            with pytest.raises(CommandError) as wrong:
                await submitter.submit(body(id="erp-2", command="lot eat"))
            assert (wrong.value.code, kept.get("erp-2")) == ("COMMAND_INVALID", None)


async def test_nothing_is_signed_that_no_node_would_read(tmp_path: Path) -> None:
    with serving() as servers:
        async with light_node(servers, tmp_path) as (submitter, kept):
            for options in ({"start": -1}, {"start": 2**64}):
                with pytest.raises(CommandError) as wrong:
                    await submitter.submit(body(command="lot decline", options=options))
                assert (wrong.value.code, kept.get("erp-1")) == ("COMMAND_INVALID", None)


async def test_a_body_nested_without_end_is_invalid_and_no_fault_of_ours(tmp_path: Path) -> None:
    nested = body(options={"x": 0}).replace(b"0", b"[" * 20_000 + b"]" * 20_000)
    with serving() as servers:
        async with light_node(servers, tmp_path) as (submitter, _):
            with pytest.raises(CommandError) as wrong:
                await submitter.submit(nested)
    assert wrong.value.code == "COMMAND_INVALID"


async def test_too_many_without_receipt_are_refused_CLIENT_BUSY(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitting, "WAITING_MAX", 1)
    kept_before(tmp_path, "before")
    with serving() as servers:
        pass
    async with light_node(servers, tmp_path) as (submitter, kept):  # they are gone
        with pytest.raises(CommandError) as busy:
            await submitter.submit(body())
        assert (busy.value.code, kept.get("erp-1")) == ("CLIENT_BUSY", None)
