"""Pages say what a code means, and what to do, in the language of the page."""

from __future__ import annotations

import html
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from node.desk import pages
from node.desk.accounts import Account
from node.desk.proposals import State
from node.desk.sessions import Sessions
from node.desk.sign_in import SignIn
from node.desk.tries import Tries
from node.light.answers import Answers
from node.light.database import open_for
from node.light.event_pages import EventPages
from node.light.sent import SentCommands
from node.light.site import LightSite
from node.light.webhooks import Webhooks
from node.web.names import Names
from node.web.texts import Language
from tests.unit.client.serving import GENESIS_HASH, ORGANISATION, serving
from tests.unit.desk.test_desk import CHECKER, MAKER, Room, ended, opened, priced, room
from tools.explanations import EXPLANATIONS, explain
from tools.explanations_zh import EXPLANATIONS_ZH

TABLES = {Language.EN: EXPLANATIONS, Language.ZH: EXPLANATIONS_ZH}
PORT = 7_132


@asynccontextmanager
async def browser(
    directory: Path, room: Room, account: Account
) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """Of somebody who is signed in, and what the forms of the session bring back."""
    base = open_for(directory / "commands.sqlite", GENESIS_HASH, ORGANISATION, b"1")
    follower, desk = room.follower, room.desk
    sent = SentCommands(base)
    events = EventPages(follower, sent, explain)
    answers = Answers(follower, sent, Webhooks(base, events, (), directory), explain)
    site = LightSite("harbour-tours", follower, answers, Names(None))
    sessions = Sessions(desk.accounts, time.monotonic)
    inner = Starlette(routes=pages.routes(site, desk, sessions, follower.copy, explain))
    app = SignIn(
        inner, site, "token", PORT,
        accounts=desk.accounts, sessions=sessions, tries=Tries(time.monotonic),
    )  # fmt: skip
    secret = sessions.begin(account)
    session = sessions.get(secret)
    assert session is not None
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url=f"http://127.0.0.1:{PORT}",
        cookies={f"session-{PORT}": secret},
    ) as client:
        yield client, session.who.csrf
    base.close()


@pytest.mark.parametrize("language", Language)
async def test_a_refused_proposal_is_explained_in_the_language_of_its_page(
    tmp_path: Path, language: Language
) -> None:
    with serving() as servers:
        async with (
            room(tmp_path, MAKER, CHECKER, servers=servers) as here,
            browser(tmp_path, here, CHECKER) as (client, _),
        ):
            shown, worse = (1, 99, 43_500, 90, 0), (2, 98, 43_500, 91, 0)
            id = await priced(here, shown, shown)
            await here.desk.propose(id, MAKER)
            here.says(shown, worse)
            await here.desk.approve(id, CHECKER)
            refused = await ended(here, id)
            assert refused.state is State.REFUSED
            page = (await client.get(f"/proposals/{id}?lang={language}")).text
    said = html.unescape(page)
    assert f"<p>{TABLES[language]['PRICE_CHANGED']}</p>" in said
    assert f'<span lang="en">{refused.reason}</span>' in said
    assert [each for each in Language if TABLES[each]["PRICE_CHANGED"] in said] == [language]


@pytest.mark.parametrize("language", Language)
async def test_so_is_what_may_not_be_done(tmp_path: Path, language: Language) -> None:
    with serving() as servers:
        async with (
            room(tmp_path, MAKER, CHECKER, servers=servers) as here,
            browser(tmp_path, here, MAKER) as (client, csrf),
        ):
            id = await opened(here)
            path = f"/proposals/{id}/approve?lang={language}"
            answer = await client.post(path, data={"csrf": csrf})
    assert answer.status_code == 409
    assert f"<p>{TABLES[language]['OWN_PROPOSAL']}</p>" in html.unescape(answer.text)


@pytest.mark.parametrize(
    ("language", "said"),
    [(Language.EN, "somebody else has to check"), (Language.ZH, "须由他人复核")],
)
async def test_what_the_desk_itself_says_is_in_that_language_too(
    tmp_path: Path, language: Language, said: str
) -> None:
    with serving() as servers:
        async with (
            room(tmp_path, MAKER, CHECKER, servers=servers) as here,
            browser(tmp_path, here, MAKER) as (client, csrf),
        ):
            id = await opened(here)
            path = f"/proposals/{id}/approve?lang={language}"
            page = (await client.post(path, data={"csrf": csrf})).text
    assert f"<span>{said}" in html.unescape(page)


async def test_a_page_follows_its_proposal_until_it_is_decided(tmp_path: Path) -> None:
    with serving() as servers:
        async with (
            room(tmp_path, MAKER, CHECKER, servers=servers) as here,
            browser(tmp_path, here, CHECKER) as (client, _),
        ):
            id = await opened(here)
            follow = f'sse-connect="/proposals/{id}/stream?seen='
            assert follow + 'OPEN-0-"' in (await client.get(f"/proposals/{id}")).text
            await here.desk.decline(id, CHECKER, "the wrong amount")
            assert follow not in (await client.get(f"/proposals/{id}")).text
