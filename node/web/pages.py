"""Which pages there are, and how a request becomes one: a view's data in a template, or as JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from node.web import assets
from node.web.book import Book
from node.web.language import COOKIE, chosen, language_of
from node.web.plain import encode
from node.web.render import Frame, render
from node.web.site import Site
from node.web.stream import banner_route
from node.web.views import (
    bank,
    block,
    blocks,
    flow,
    network,
    organisation,
    organisations,
    search,
    transaction,
    validators,
    voucher,
)  # fmt: skip
from node.web.views.ask import Ask, Data, View
from tallynet.records import NETWORK_ID, Kind

__all__ = ["PAGES", "Page", "frame_of", "html", "routes"]

Endpoint = Callable[[Request], Awaitable[Response]]
LANGUAGE_SECONDS: Final = 365 * 86_400
"""How long a browser remembers the language."""


@dataclass(frozen=True, slots=True)
class Page:
    path: str
    template: str
    """Empty: there is the JSON only."""
    view: View
    of_chain: bool = False
    """A light node has no such page: it holds no chain."""
    onward: Callable[[Data], str | None] = lambda _data: None
    """Where its reader goes at once instead."""


PAGES: Final = (
    Page("/network", "network.html", network.view),
    Page("/network/flow", "", flow.view, of_chain=True),
    Page("/validators", "validators.html", validators.view, of_chain=True),
    Page("/blocks", "blocks.html", blocks.view, of_chain=True),
    Page("/blocks/{height}", "block.html", block.view, of_chain=True),
    Page("/transactions/{id}", "transaction.html", transaction.view),
    Page("/vouchers/{id}", "voucher.html", voucher.view),
    Page("/organisations", "organisations.html", organisations.view, of_chain=True),
    Page("/organisations/{id}", "organisation.html", organisation.view),
    Page("/banks/{id}", "bank.html", bank.view, of_chain=True),
    Page("/search", "search.html", search.view, onward=search.only_hit),
)


def routes(site: Site) -> list[BaseRoute]:
    """All pages of a node or light node, each as HTML and as JSON, and what they load."""
    found: list[BaseRoute] = [Route("/", _home(site)), assets.route, banner_route(site)]
    for page in PAGES:
        if not (page.of_chain and site.is_light):
            # JSON first, or its ending would be taken for part of an id.
            found.append(Route(page.path + ".json", _endpoint(site, page, as_json=True)))
            if page.template:
                found.append(Route(page.path, _endpoint(site, page, as_json=False)))
    return found


def _home(site: Site) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        if request.scope.get("who") is not None:
            return RedirectResponse("/desk", 303)
        own = site.home if site.is_light else None
        return RedirectResponse(f"/organisations/{own.hex()}" if own else "/network", 303)

    return endpoint


def _endpoint(site: Site, page: Page, *, as_json: bool) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        facts, home, frame = site.facts(), site.home, frame_of(site, request)

        def make(book: Book) -> Response:
            names = site.names.known(book.peek(Kind.NETWORK, NETWORK_ID))
            ask = Ask(book, request.path_params, request.query_params, facts, names, home)
            data = page.view(ask)
            if as_json:
                return Response(encode(data), media_type="application/json")
            onward = page.onward(data)
            if onward is not None:
                return RedirectResponse(onward, 303)
            return html(render(page.template, data, replace(frame, names=names)), request)

        return await site.read(make)

    return endpoint


def frame_of(site: Site, request: Request) -> Frame:
    """What is around a page that this request asks for; without names, which a book knows."""
    path, query = request.url.path, request.query_params
    asked = urlencode([(key, value) for key, value in query.multi_items() if key != "lang"])
    return Frame(
        language=language_of(request),
        path=path,
        query="?" + (asked + "&" if asked else ""),
        as_json=path + ".json" + ("?" + asked if asked else ""),
        standing=site.standing(),
        is_light=site.is_light,
        home=site.home,
        names={},
        who=request.scope.get("who"),
    )


def html(text: str, request: Request, status: int = 200) -> Response:
    """A page; the browser remembers a language that was asked for."""
    response = HTMLResponse(text, status)
    language = chosen(request)
    if language is not None:
        response.set_cookie(
            COOKIE, language.value, max_age=LANGUAGE_SECONDS, httponly=True, samesite="strict"
        )
    return response
