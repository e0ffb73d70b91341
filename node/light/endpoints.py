"""What a light node answers over HTTP, as a table: paths, parameters, bodies, answers, errors. `node.light.http` serves
it, `node.light.openapi` writes it down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from node.light import messages as m
from node.light import parameters as p
from node.light.parameters import Parameter
from node.light.row_files import MEDIA_TYPES
from node.light.submitting import CommandRequest
from tallynet import records as r

__all__ = ["ENDPOINTS", "STATUSES", "Endpoint", "Records"]

STATUSES: Final[Mapping[str, int]] = {
    "QUERY_INVALID": 400, "COMMAND_INVALID": 400, "UPLOAD_UNREADABLE": 400, "TOKEN_WRONG": 401,
    "COMMANDS_OFF": 403, "SIGNERS_MISSING": 403, "RECORD_NOT_FOUND": 404, "NO_SUCH_PATH": 404,
    "METHOD_NOT_ALLOWED": 405, "COMMAND_ID_USED": 409, "CURSOR_TOO_OLD": 410, "BODY_TOO_LARGE": 413,
    "UPLOAD_TOO_LARGE": 413, "UPLOAD_TYPE": 415, "COPY_EMPTY": 503, "CLIENT_BUSY": 503, "BUSY": 503,
}  # fmt: skip
"""HTTP status of a code; of others 500."""
EVERYWHERE: Final = ("QUERY_INVALID", "TOKEN_WRONG", "FAULT", "COPY_UNUSABLE", "COPY_CORRUPT")
"""Errors of every request."""


@dataclass(frozen=True, slots=True)
class Records:
    """A page of records: `{"height", "proven_at", NAME: [...], "after"}`; or one of them."""

    name: str
    record: type[Any]
    fields: Mapping[str, type[Any]]
    """Beside `id`, `read_at_height` and those of the record."""
    page: bool = True


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path."""

    method: str
    path: str
    name: str
    """Of the method of `node.light.api.Api` that answers."""
    summary: str
    answers: Mapping[int, type[Any] | Records]
    parameters: tuple[Parameter, ...] = ()
    body: type[Any] | None = None
    """JSON of this type; None: none, or `files`."""
    files: tuple[str, ...] = ()
    """Media types of the body."""
    errors: tuple[str, ...] = ()
    """Codes beside those of every request."""


def _listed(path: str, summary: str, kind: type[Any], **fields: type[Any]) -> Endpoint:
    records = Records(path, kind, fields)
    return Endpoint(
        "GET", f"/{path}", path, summary, {200: records}, (p.AFTER_RECORD, p.LIMIT), errors=("COPY_EMPTY",)
    )  # fmt: skip


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint("GET", "/status", "status", "How old the copy is, and why.", {200: m.Status}),
    _listed(
        "holdings", "Lots that it holds or is offered and that somebody is still to be paid for.", r.Lot,
        voucher=str, amount=int, currency=str, debtor=str, maturity=str, voucher_status=str,
    ),
    _listed("vouchers", "Those that it owes, was the first payee of, or holds part of.", r.Voucher),
    Endpoint(
        "GET", "/vouchers/{id}", "voucher", "One, with the lots of it that this organisation is shown.",
        {200: Records("voucher", r.Voucher, {"lots": list}, page=False)},
        errors=("RECORD_NOT_FOUND", "COPY_EMPTY"),
    ),
    _listed("lines", "Credit lines that it granted or was granted.", r.CreditLine),
    _listed(
        "instructions", "Payments that it is to make, to get or to execute.", r.Instruction
    ),
    _listed("financings", "Sales and loans of which it is a side.", r.Financing),
    _listed(
        "requests", "Requests for quotes that it made or is asked in.", r.FinancingRequest
    ),
    _listed("documents", "Sealed documents of which it is a party.", r.Document),
    Endpoint(
        "PUT", "/commands/{id}", "put_command",
        "Sign a command and have it executed, once, whatever is sent again. 202: its outcome is not known yet.",
        {200: m.Command, 202: m.Command}, (p.WAIT,), CommandRequest,
        errors=(
            "COMMAND_INVALID", "COMMANDS_OFF", "SIGNERS_MISSING", "COMMAND_ID_USED", "BODY_TOO_LARGE", "CLIENT_BUSY",
        ),
    ),
    Endpoint(
        "GET", "/commands/{id}", "command", "What became of a command.", {200: m.Command}, (p.WAIT,),
        errors=("RECORD_NOT_FOUND",),
    ),
    Endpoint(
        "GET", "/commands", "commands", "Commands in the order in which they were taken in.",
        {200: m.CommandPage}, (p.STATE, p.AFTER_COMMAND, p.LIMIT),
    ),
    Endpoint(
        "GET", "/events", "events",
        "What happened on the network and concerns the organisation, in order. With `Accept: text/event-stream` as"
        " server-sent events, whose `id` is the cursor; they go on behind `Last-Event-ID`.",
        {200: m.EventPage}, (p.AFTER_EVENT, p.LIMIT, p.WAIT), errors=("CURSOR_TOO_OLD", "COPY_EMPTY", "BUSY"),
    ),
    Endpoint(
        "POST", "/bulk", "upload",
        "Have every row of a file executed. The same file again is the same upload. With `check=1` nothing is"
        " signed or kept.",
        {200: m.Uploaded, 202: m.Upload}, (p.CHECK,), files=MEDIA_TYPES,
        errors=(
            "COMMANDS_OFF", "UPLOAD_UNREADABLE", "UPLOAD_TOO_LARGE", "BODY_TOO_LARGE", "UPLOAD_TYPE", "CLIENT_BUSY",
        ),
    ),
    Endpoint(
        "GET", "/bulk/{id}", "uploaded", "What became of the rows of a file.", {200: m.Upload},
        (p.AFTER_ROW, p.LIMIT, p.WAIT), errors=("RECORD_NOT_FOUND",),
    ),
    Endpoint("GET", "/openapi.json", "openapi", "This interface, as OpenAPI 3.1.", {200: dict}),
)  # fmt: skip
