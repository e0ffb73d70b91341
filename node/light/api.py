"""The answers of the table of endpoints: each method reads a request, asks what the light node is made of, and writes
what it found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import cached_property
from typing import Any, Final, final

import msgspec
import trio
from starlette.requests import Request
from starlette.responses import Response

from node.light.answers import PAGE_MAX, Answers, NotHeld
from node.light.endpoints import ENDPOINTS, Endpoint
from node.light.event_pages import EventPages
from node.light.event_stream import STREAMS_MAX, EventStream
from node.light.messages import CommandPage, Explain, Upload, Uploaded, UploadedRow, command_of
from node.light.openapi import document
from node.light.parameters import read_parameters, voucher_id
from node.light.row_files import FILE_BYTES_MAX
from node.light.sent import Sent, State
from node.light.submitting import BODY_BYTES_MAX, Submitter
from node.light.uploads import RowState, Uploads, is_finished
from tallynet.errors import TallynetError

__all__ = ["Api", "answer_json"]

Page = Callable[[bytes, int], dict[str, Any]]
Given = dict[str, Any]


class RequestRefused(TallynetError):
    """BODY_TOO_LARGE; BUSY: too many streams."""


@final
class Api:
    """Methods bear the names of the endpoints."""

    def __init__(
        self, answers: Answers, submitter: Submitter, uploads: Uploads, pages: EventPages, explain: Explain
    ) -> None:  # fmt: skip
        self._answers: Final = answers
        self._submitter: Final = submitter
        self._uploads: Final = uploads
        self._pages: Final = pages
        self._explain: Final = explain
        self._streams: Final = trio.CapacityLimiter(STREAMS_MAX)
        self._lists: Final[dict[str, Page]] = {
            "holdings": answers.holdings,
            "vouchers": answers.vouchers,
            "lines": answers.lines,
            "instructions": answers.instructions,
            "financings": answers.financings,
            "requests": answers.requests,
            "documents": answers.documents,
        }

    def answering(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        """What answers at an endpoint."""
        page = self._lists.get(endpoint.name)
        handler = getattr(self, endpoint.name) if page is None else self._listed(page)

        async def answer(request: Request) -> Response:
            given = read_parameters(request, endpoint.parameters)
            response: Response = await handler(request, given)
            return response

        return answer

    def _listed(self, page: Page) -> Callable[[Request, Given], Awaitable[Response]]:
        async def answer(_request: Request, given: Given) -> Response:
            return answer_json(page(given["after"], given["limit"]))

        return answer

    async def status(self, _request: Request, _given: Given) -> Response:
        return answer_json(self._answers.status())

    async def openapi(self, _request: Request, _given: Given) -> Response:
        return answer_json(self._document)

    @cached_property
    def _document(self) -> dict[str, Any]:
        return document(ENDPOINTS)

    async def voucher(self, request: Request, _given: Given) -> Response:
        return answer_json(self._answers.voucher(voucher_id(request.path_params["id"])))

    # --- commands -------------------------------------------------------------------------------------------

    async def put_command(self, request: Request, given: Given) -> Response:
        raw = await _body(request, BODY_BYTES_MAX)
        return await self._outcome(self._submitter.put(request.path_params["id"], raw), given)

    async def command(self, request: Request, given: Given) -> Response:
        sent = self._submitter.kept.get(request.path_params["id"])
        if sent is None:
            raise NotHeld("RECORD_NOT_FOUND", "no command was sent under this id")
        return answer_json(
            command_of(await self._submitter.wait(sent, given["wait"]), self._explain)
        )

    async def _outcome(self, sent: Sent, given: Given) -> Response:
        sent = await self._submitter.wait(sent, given["wait"])
        status = 202 if sent.state == State.PENDING else 200
        return answer_json(command_of(sent, self._explain), status, Location=f"/commands/{sent.id}")

    async def commands(self, _request: Request, given: Given) -> Response:
        limit = given["limit"]
        found = self._submitter.kept.listed(given["state"], given["after"], limit + 1)
        more, found = len(found) > limit, found[:limit]
        commands = [command_of(sent, self._explain) for sent in found]
        return answer_json(CommandPage(commands, found[-1].number if more else None))

    # --- events ---------------------------------------------------------------------------------------------

    async def events(self, request: Request, given: Given) -> Response:
        streamed = "text/event-stream" in request.headers.get("accept", "")
        seen = request.headers.get("last-event-id") if streamed else None
        place = self._pages.place(seen or given["after"])
        # Also of a stream: what is too old is told before it begins.
        page = await self._pages.page(place, given["limit"], 0 if streamed else given["wait"])
        if not streamed:
            return answer_json(page)
        if not self._streams.available_tokens:
            raise RequestRefused("BUSY", f"{STREAMS_MAX} streams are open")
        return EventStream(self._pages, place, self._streams)

    # --- uploads --------------------------------------------------------------------------------------------

    async def upload(self, request: Request, given: Given) -> Response:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        raw = await _body(request, FILE_BYTES_MAX)
        if given["check"]:
            found = await self._uploads.check(media_type, raw)
            counts = dict(sorted(Counter(row.state for row in found).items()))
            return answer_json(Uploaded(len(found), counts, [self._row(row) for row in found]))
        id = await self._uploads.add(media_type, raw)
        report = self._report(id, self._uploads.counts(id), 0, PAGE_MAX)
        return answer_json(report, 202, Location=f"/bulk/{id}")

    async def uploaded(self, request: Request, given: Given) -> Response:
        id = request.path_params["id"]
        counts = await self._uploads.wait(id, given["wait"]) if self._uploads.counts(id) else {}
        if not counts:
            raise NotHeld("RECORD_NOT_FOUND", "no file was uploaded that has this id")
        return answer_json(self._report(id, counts, given["after"], given["limit"]))

    def _report(self, id: str, counts: dict[str, int], after: int, limit: int) -> Upload:
        rows = self._uploads.results(id, after, limit + 1)
        more, rows = len(rows) > limit, rows[:limit]
        return Upload(
            id, sum(counts.values()), counts, is_finished(counts), [self._row(row) for row in rows],
            rows[-1].row if more else None,
        )  # fmt: skip

    def _row(self, row: RowState) -> UploadedRow:
        what_to_do = self._explain(row.code) if row.code not in ("", "OK") else ""
        return UploadedRow(row.row, row.id, row.state, row.code, row.message, what_to_do)


async def _body(request: Request, bytes_max: int) -> bytes:
    raw = bytearray()
    async with aclosing(request.stream()) as pieces:
        async for piece in pieces:
            raw += piece
            if len(raw) > bytes_max:
                raise RequestRefused("BODY_TOO_LARGE", f"a body of more than {bytes_max} bytes")
    return bytes(raw)


def answer_json(value: Any, status: int = 200, **headers: str) -> Response:
    """Nothing that the token protects is to be kept by a program of the browser's."""
    told = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} | headers
    return Response(msgspec.json.encode(value), status, told, "application/json")
