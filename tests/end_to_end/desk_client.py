"""Somebody at the desk of a light node, without a browser: as fast as HTTP, and as rude as wanted."""

from __future__ import annotations

import html
import http.client
import re
import time
from dataclasses import dataclass
from urllib.parse import urlencode

__all__ = ["Answer", "Visitor"]

SECONDS_MAX = 60.0
CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


@dataclass(frozen=True)
class Answer:
    status: int
    location: str
    cookie: str
    text: str


class Visitor:
    """Signed in, or nobody when `account` is empty."""

    def __init__(self, port: int, account: str, password: str) -> None:
        self.port = port
        self.cookie = ""
        self.csrf = ""
        if account:
            answer = self.try_to_sign_in(account, password)
            assert answer.status == 303, answer.text
            assert "HttpOnly" in answer.cookie and "SameSite=strict" in answer.cookie
            self.cookie = answer.cookie.partition(";")[0]
            found = CSRF.search(self.get("/desk").text)
            assert found is not None
            self.csrf = found[1]

    def get(self, path: str) -> Answer:
        return self._ask("GET", path, {})

    def post(self, path: str, *, csrf: str = "", origin: str = "", **fields: str) -> Answer:
        headers = {"Origin": origin or f"http://127.0.0.1:{self.port}"}
        return self._ask("POST", path, headers, fields | {"csrf": csrf or self.csrf})

    def try_to_sign_in(self, name: str, password: str) -> Answer:
        return self._ask("POST", "/sign-in", {}, {"name": name, "password": password})

    def draft(self, form: str, **fields: str) -> str:
        """Path of the proposal that the form makes."""
        answer = self.post(form, **fields)
        assert answer.status == 303, answer.text
        return answer.location

    def task(self, action: str) -> str:
        """Address of the form of something that waits."""
        link = re.compile(rf'href="(/acts/{action}\?[^"]+)"')
        until = time.monotonic() + SECONDS_MAX
        while True:
            found = link.search(self.get("/desk").text)
            if found is not None:
                return html.unescape(found[1])
            assert time.monotonic() < until, f"no {action} waits"

    def gone(self, action: str) -> bool:
        """Whether nothing of that sort waits any more, in the end."""
        until = time.monotonic() + SECONDS_MAX
        while f"/acts/{action}?" in self.get("/desk").text:
            if time.monotonic() > until:
                return False
        return True

    def choice(self, form: str, field: str, label: str = "") -> str:
        """The first that a form offers whose label begins so, as soon as it does."""
        offer = re.compile(rf'id="{field}".*?<option value="([^"]+)"[^>]*>{label}', re.DOTALL)
        until = time.monotonic() + SECONDS_MAX
        while True:
            shown = self.get(form).text
            found = offer.search(shown)
            if found is not None:
                return found[1]
            assert time.monotonic() < until, shown

    def until(self, path: str, said: str) -> bool:
        """Whether the page says it in the end."""
        until = time.monotonic() + SECONDS_MAX
        while said not in self.get(path).text:
            if time.monotonic() > until:
                return False
        return True

    def _ask(
        self, method: str, path: str, headers: dict[str, str], fields: dict[str, str] | None = None
    ) -> Answer:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = headers | {"Cookie": self.cookie, "Accept-Language": "en"}
        if fields is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            line.request(method, path, None if fields is None else urlencode(fields), sent)
            answer = line.getresponse()
            location = answer.headers.get("Location", "")
            cookie = answer.headers.get("Set-Cookie", "")
            return Answer(answer.status, location, cookie, answer.read().decode())
        finally:
            line.close()
