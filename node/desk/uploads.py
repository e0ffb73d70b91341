"""What a browser sends with a form: fields, and perhaps one file. Bounded in bytes whatever it says of itself.

A file cannot be put back into a form by the page that refuses it, so it is kept for a while and named there instead.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, Final, final

from starlette.datastructures import UploadFile
from starlette.requests import Request

from node.web.book import PageError
from tallynet.documents.hostile_xml import INVOICE_BYTES_MAX

__all__ = ["KeptFiles", "Sent", "read_form"]

BODY_BYTES_MAX: Final = 2 * INVOICE_BYTES_MAX
"""Room for a file that is too large to be read as an invoice, so that the form can say so and lose nothing."""
FIELDS_MAX: Final = 100
FIELD_BYTES_MAX: Final = 4 * 1024
FILES_KEPT_MAX: Final = 8
"""32 MiB."""
NAME_CHARACTERS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Sent:
    """A form."""

    fields: dict[str, str]
    file: bytes
    """Empty: none was chosen."""
    file_name: str


async def read_form(request: Request) -> Sent:
    """Raises PageError UPLOAD_TOO_LARGE; HTTPException for a form that cannot be read."""
    bounded = Request(request.scope, _bounded(request))
    async with bounded.form(
        max_files=1, max_fields=FIELDS_MAX, max_part_size=FIELD_BYTES_MAX
    ) as form:
        fields: dict[str, str] = {}
        file, name = b"", ""
        for key, value in form.multi_items():
            if isinstance(value, UploadFile):
                file, name = await value.read(), (value.filename or "")[:NAME_CHARACTERS_MAX]
            else:
                # A form may name a charset in which there are halves of characters, which no file can hold.
                fields[key] = value.encode("utf-8", "replace").decode("utf-8")
        return Sent(fields, file, name)


def _bounded(request: Request) -> Any:
    received = 0

    async def receive() -> MutableMapping[str, Any]:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > BODY_BYTES_MAX:
            raise PageError("UPLOAD_TOO_LARGE", f"{BODY_BYTES_MAX >> 20} MiB")
        return message

    return receive


@final
class KeptFiles:
    """Files of forms that were refused, until they are sent again; the oldest go."""

    def __init__(self) -> None:
        self._files: Final[OrderedDict[str, tuple[str, str, bytes]]] = OrderedDict()

    def keep(self, account: str, name: str, file: bytes) -> str:
        """Under what it is kept."""
        key = secrets.token_hex(16)
        self._files[key] = (account, name, file)
        while len(self._files) > FILES_KEPT_MAX:
            self._files.popitem(last=False)
        return key

    def get(self, account: str, key: str) -> tuple[str, bytes] | None:
        """Name and content, of one's own."""
        found = self._files.get(key)
        return found[1:] if found is not None and found[0] == account else None
