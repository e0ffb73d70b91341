"""Scripts, styles and what else pages load: files from here, named in one manifest with version and hash.

Their addresses carry the hash, so that a browser keeps them for good and never an old one.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

__all__ = ["MANIFEST", "STATIC", "Vendored", "asset", "route"]

STATIC: Final = Path(__file__).parent / "static"
MANIFEST: Final = STATIC / "vendor" / "manifest.json"
_TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_KEEP: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
_DIGITS: Final = 16


class Vendored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file that others wrote, as it was published."""

    file: str
    package: str
    version: str
    path: str
    """In the package."""
    licence: str
    sha256: str


def _load() -> dict[str, bytes]:
    files = (path for path in STATIC.rglob("*") if path.suffix in _TYPES)
    return {path.relative_to(STATIC).as_posix(): path.read_bytes() for path in files}


_FILES: Final = _load()
_HASHES: Final = {name: sha256(body).hexdigest()[:_DIGITS] for name, body in _FILES.items()}


def asset(name: str) -> str:
    """Address of a file in `static`; KeyError for one that is not there."""
    return f"/static/{_HASHES[name]}/{name}"


async def _serve(request: Request) -> Response:
    name = request.path_params["name"]
    if _HASHES.get(name) != request.path_params["hash"]:
        raise HTTPException(404)
    return Response(_FILES[name], headers=_KEEP, media_type=_TYPES[Path(name).suffix])


route: Final = Route("/static/{hash}/{name:path}", _serve)
