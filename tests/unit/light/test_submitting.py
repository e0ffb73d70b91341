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

from node.light import following, submitting
from node.light.copy import Copy
from node.light.database import open_for
from node.light.following import Follower
from node.light.sent import Sent, SentCommands, State
from node.light.submitting import CommandError, Submitter
from tallynet.client import Client, build_envelope, key_id
from tallynet.codec import Wire
from tallynet.commands import LotAccept, LotDecline
from tallynet.envelope import Envelope, Mode
from tallynet.errors import TallynetError
from tallynet.records import Role
from tests.unit.client.serving import GENESIS, GENESIS_HASH, ORGANISATION, Server, serving
from tests.unit.net.samples import STRANGER

SECONDS_MAX = 20
FIELDS = {"voucher": (b"v" * 16).hex(), "start": 3}
WANTED = {"command": "lot.accept", "options": FIELDS}


def sign(commands: Sequence[Wire], valid_for: int = 120) -> Envelope:
    signer = (key_id(STRANGER.public_key().public_bytes_raw()), Role.MAKER, STRANGER)
    until = int(time.time()) + valid_for
    return build_envelope(GENESIS_HASH, ORGANISATION, Mode.ATOMIC, commands, until, [signer])


def by_words(words: str, options: Mapping[str, Any]) -> Wire:
    """A command line of one command."""
    if words != "lot decline":
        raise TallynetError("USAGE", f"no command {words!r}")
    return LotDecline(options["label"].encode(), b"v" * 16, options["start"])


def body(**changes: Any) -> bytes:
    return json.dumps(WANTED | changes).encode()


def commands_of(directory: Path) -> SentCommands:
    base = open_for(directory / "commands.sqlite", GENESIS_HASH, ORGANISATION, b"1")
    return SentCommands(base)


@asynccontextmanager
async def light_node(
    servers: list[Server], directory: Path, *, signing: bool = True
) -> AsyncIterator[Submitter]:
    copy = Copy(directory / "copy.sqlite", GENESIS_HASH, ORGANISATION)
    kept = commands_of(directory)
    addresses = [server.address for server in servers]
    follower = Follower(copy, addresses, GENESIS, STRANGER, directory / "trust")
    submitter = Submitter(kept, follower, sign if signing else None, by_words)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(submitter.run)
            nursery.start_soon(follower.run)
            yield submitter
            nursery.cancel_scope.cancel()
    finally:
        copy.close()
        kept._base.close()


async def outcome(submitter: Submitter, id: str) -> Sent:
    """What became of it, as soon as that is known."""
    sent = submitter.kept.get(id)
    assert sent is not None
    found = await submitter.wait(sent, SECONDS_MAX)
    assert found.state != State.PENDING
    return found


def kept_before(directory: Path, *ids: str, valid_for: int = 120) -> list[Envelope]:
    """What a light node that was killed had signed and not sent."""
    kept = commands_of(directory)
    envelopes = [sign([LotAccept(id.encode(), b"v" * 16, 3)], valid_for) for id in ids]
    for id, envelope in zip(ids, envelopes, strict=True):
        kept.keep(
            Sent(id, b"digest", envelope.raw, envelope.transaction, envelope.body.valid_until)
        )
    kept._base.close()
    return envelopes


def submitted(servers: list[Server]) -> set[bytes]:
    return {raw for server in servers for part in server.submits for raw in part}


async def test_what_was_pending_at_a_kill_is_sent_by_itself_with_the_same_bytes(
    tmp_path: Path,
) -> None:
    envelopes = kept_before(tmp_path, "b", "a")
    with serving() as servers:
        async with light_node(servers, tmp_path) as submitter:
            answers = [await outcome(submitter, id) for id in ("b", "a")]
        assert [each.code for each in answers] == ["OK", "OK"]
        assert submitted(servers) == {envelope.raw for envelope in envelopes}
        async with light_node(servers, tmp_path) as submitter:
            assert submitter.kept.get("b") == answers[0], "and not once more"


async def test_a_light_node_that_only_answers_sends_nothing(tmp_path: Path) -> None:
    kept_before(tmp_path, "good")
    with serving() as servers:
        async with light_node(servers, tmp_path, signing=False) as submitter:
            with pytest.raises(CommandError) as off:
                submitter.put("erp-1", body())
        assert off.value.code == "COMMANDS_OFF" and not submitted(servers)


async def test_what_f_plus_1_know_nothing_of_after_its_validity_has_EXPIRED(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_before(tmp_path, "late", valid_for=-1)
    monkeypatch.setattr(following, "LATE_SECONDS", -3)
    monkeypatch.setattr(submitting, "AGAIN_SECONDS", 0.05)
    with serving() as servers:
        async with light_node(servers, tmp_path) as submitter:
            late = await outcome(submitter, "late")
        assert (late.state, late.code) == (State.EXPIRED, "EXPIRED")
        assert not submitted(servers)


async def test_one_nodes_word_is_not_enough_to_give_a_command_up() -> None:
    envelope = sign([LotAccept(b"late", b"v" * 16, 3)])
    with serving() as servers:
        async with Client.connect([servers[0].address], GENESIS, STRANGER) as client:
            with pytest.raises(TallynetError) as caught:
                await client.is_unknown(envelope.transaction, 0)
            assert caught.value.code == "LISTS_UNCONFIRMED"
            await client.submit(envelope)
            assert not await client.is_unknown(envelope.transaction, 0), "its receipt came instead"


async def test_who_lags_behind_the_log_is_not_asked_what_never_happened() -> None:
    with serving() as servers:
        async with Client.connect([s.address for s in servers], GENESIS, STRANGER) as client:
            height = (await client.status()).committed
            assert await client.is_unknown(b"t" * 32, height)
            with pytest.raises(TallynetError) as caught:
                await client.is_unknown(b"t" * 32, height + 1)
            assert caught.value.code == "LISTS_UNCONFIRMED"


async def test_what_a_request_gave_up_waiting_for_goes_on(tmp_path: Path) -> None:
    with serving() as servers:
        for server in servers:
            server.mute = True
        async with light_node(servers, tmp_path) as submitter:
            await submitter._follower.connection(None)
            sent = submitter.put("erp-1", body())
            assert (await submitter.wait(sent, 0.05)).state == State.PENDING
            for server in servers:
                server.mute = False
            assert (await outcome(submitter, "erp-1")).code == "OK"


async def test_what_nodes_refuse_by_themselves_says_why_and_holds_up_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitting, "AGAIN_SECONDS", 0.05)
    kept_before(tmp_path, "refused")
    with serving() as servers:
        for server in servers:
            server.refuse = [("KEY_UNKNOWN", "the key is not registered")]
        async with light_node(servers, tmp_path) as submitter:
            refused = await submitter.news.until(
                lambda: submitter.kept.get("refused"),
                lambda sent: bool(sent and sent.code),
                SECONDS_MAX,
            )
            assert refused is not None
            assert (refused.state, refused.code) == (State.PENDING, "KEY_UNKNOWN"), "no proof"
            for server in servers:
                server.refuse.clear()
            submitter.put("erp-1", body())
            assert (await outcome(submitter, "erp-1")).code == "OK"
            assert (await outcome(submitter, "refused")).code == "OK", "and is tried again"


async def test_the_same_body_is_one_command_and_another_body_is_refused(tmp_path: Path) -> None:
    with serving() as servers:
        async with light_node(servers, tmp_path) as submitter:
            first = submitter.put("erp-1", body())
            assert submitter.put("erp-1", body()).transaction == first.transaction
            done = await outcome(submitter, "erp-1")
            assert submitter.put("erp-1", body()) == done
            with pytest.raises(CommandError) as other:
                submitter.put("erp-1", body(options=FIELDS | {"start": 4}))
            assert other.value.code == "COMMAND_ID_USED"
            assert submitter.kept.get("erp-1") == done
        assert len(submitted(servers)) == 1


async def test_a_command_by_its_words_is_built_as_on_the_command_line(tmp_path: Path) -> None:
    with serving() as servers:
        async with light_node(servers, tmp_path) as submitter:
            wanted = body(command="lot decline", options={"start": 7})
            first = submitter.put("erp-1", wanted)
            assert submitter.put("erp-1", wanted).transaction == first.transaction
            with pytest.raises(CommandError) as other:
                submitter.put("erp-1", body())
            assert other.value.code == "COMMAND_ID_USED", "the same act, written otherwise"
            with pytest.raises(CommandError) as wrong:
                submitter.put("erp-2", body(command="lot eat"))
            assert (wrong.value.code, submitter.kept.get("erp-2")) == ("COMMAND_INVALID", None)


@pytest.mark.parametrize(
    ("id", "raw"),
    [
        ("erp-1", body(command="lot decline", options={"start": -1})),
        ("erp-1", body(command="lot decline", options={"start": 2**64})),
        ("erp-1", body(options={"x": 0}).replace(b"0", b"[" * 20_000 + b"]" * 20_000)),
        ("erp-1", body(more=1)),
        ("erp-1", b"no JSON"),
        ("erp 1", body()),
        ("x" * 65, body()),
    ],
)
async def test_nothing_is_signed_that_is_no_command(tmp_path: Path, id: str, raw: bytes) -> None:
    with serving() as servers:
        async with light_node(servers, tmp_path) as submitter:
            with pytest.raises(CommandError) as wrong:
                submitter.put(id, raw)
            assert (wrong.value.code, submitter.kept.get(id)) == ("COMMAND_INVALID", None)


async def test_too_many_without_outcome_are_refused_CLIENT_BUSY(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitting, "WAITING_MAX", 1)
    kept_before(tmp_path, "before")
    with serving() as servers:
        pass
    async with light_node(servers, tmp_path) as submitter:  # they are gone
        with pytest.raises(CommandError) as busy:
            submitter.put("erp-1", body())
        assert (busy.value.code, submitter.kept.get("erp-1")) == ("CLIENT_BUSY", None)
