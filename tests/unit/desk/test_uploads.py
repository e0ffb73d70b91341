"""Forms with a file: bounded whatever they say of themselves, and the file outlives a refusal."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import pytest
from starlette.requests import Request

from node.desk import uploads
from node.desk.uploads import BODY_BYTES_MAX, KeptFiles, read_form
from node.web.book import PageError

BOUNDARY = "b0undary"


def form(file: bytes, **fields: str) -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = 'Content-Disposition: form-data; name="invoice"; filename="发票.xml"\r\n\r\n'
    parts.append(f"--{BOUNDARY}\r\n{head}".encode() + file + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def request(body: bytes, charset: str = "utf-8") -> Request:
    """Comes in pieces, and says nothing of its length."""
    pieces = [body[at : at + 64_000] for at in range(0, len(body), 64_000)]

    async def receive() -> MutableMapping[str, Any]:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    kind = f"multipart/form-data; boundary={BOUNDARY}; charset={charset}".encode()
    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind)]}
    return Request(scope, receive)


async def test_fields_and_one_file_are_read() -> None:
    sent = await read_form(request(form(b"<xml/>" * 200_000, payee="门票", face="1.00")))
    assert sent.fields == {"payee": "门票", "face": "1.00"}
    assert (sent.file, sent.file_name) == (b"<xml/>" * 200_000, "发票.xml")
    assert (await read_form(request(form(b"")))).file == b""


async def test_what_no_file_can_hold_is_replaced() -> None:
    sent = await read_form(request(form(b"", reason="half +2AA- of one"), "utf-7"))
    assert sent.fields == {"reason": "half ? of one"}


async def test_nothing_is_read_beyond_the_bound() -> None:
    with pytest.raises(PageError) as large:
        await read_form(request(form(b"x" * BODY_BYTES_MAX)))
    assert large.value.code == "UPLOAD_TOO_LARGE"


@pytest.mark.parametrize("many", [{f"f{i}": "" for i in range(101)}, {"f": "x" * 5_000}])
async def test_nor_more_fields_or_longer_ones_than_a_form_has(many: dict[str, str]) -> None:
    with pytest.raises(Exception, match=r"Too many fields|exceeded maximum size"):
        await read_form(request(form(b"", **many)))


def test_a_file_is_kept_for_whoever_sent_it_until_others_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uploads, "FILES_KEPT_MAX", 2)
    files = KeptFiles()
    first = files.keep("li", "a.xml", b"a")
    assert files.get("li", first) == ("a.xml", b"a")
    assert files.get("wang", first) is None
    assert files.get("li", "") is None
    for name in ("b", "c"):
        files.keep("li", name, b"")
    assert files.get("li", first) is None
