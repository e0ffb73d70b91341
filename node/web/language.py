"""In which language a page is: what the reader chose last, else what the browser prefers."""

from __future__ import annotations

from starlette.requests import Request

from node.web.texts import Language

__all__ = ["COOKIE", "chosen", "language_of", "preferred"]

COOKIE = "language"


def chosen(request: Request) -> Language | None:
    """What the address asks for, to be remembered."""
    return _language(request.query_params.get("lang", ""))


def language_of(request: Request) -> Language:
    return (
        chosen(request)
        or _language(request.cookies.get(COOKIE, ""))
        or preferred(request.headers.get("accept-language", ""))
    )


def preferred(accept: str) -> Language:
    """The first of ours by weight, then by place (RFC 9110 §12.5.4); English if there is none."""
    best, weight = Language.EN, 0.0
    for part in accept[:200].split(","):
        tag, _, quality = part.strip().partition(";q=")
        found = _language(tag.strip().lower().partition("-")[0])
        try:
            given = float(quality) if quality else 1.0
        except ValueError:
            continue
        if found is not None and given > weight:
            best, weight = found, given
    return best


def _language(text: str) -> Language | None:
    return Language(text) if text in list(Language) else None
