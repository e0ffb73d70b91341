"""Reads the published schema and judges CBOR by it, without any of the code under test.

Only what `docs/reference/tallynet.cddl` uses of RFC 8610: rules, choices, arrays with named entries and
occurrences, literals, ranges, sizes and regular expressions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import cbor2

Check = Callable[[Any], bool]
_TOKEN = re.compile(
    r'\s+|;[^\n]*|(?P<token>"[^"]*"|\d*\*\d*|\d+\.\.\d+|\.[a-z]+|[a-z][a-z0-9-]*|\d+|[\[\]=/,:()]|\.\.)'
)


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise SyntaxError(text[position : position + 40])
        if match["token"]:
            tokens.append(match["token"])
        position = match.end()
    return tokens


class Schema:
    """The rules of a CDDL file."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self.rules: dict[str, Check] = {}
        while self._at < len(self._tokens):
            name = self._next()
            self._expect("=")
            if name in self.rules:
                raise SyntaxError(f"{name} twice")
            self.rules[name] = self._choice()

    def accepts(self, rule: str, data: bytes) -> bool:
        return self.rules[rule](cbor2.loads(data))

    def _peek(self, ahead: int = 0) -> str:
        place = self._at + ahead
        return self._tokens[place] if place < len(self._tokens) else ""

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, token: str) -> None:
        found = self._next()
        if found != token:
            raise SyntaxError(f"{token!r} expected, {found!r} found")

    def _choice(self) -> Check:
        options = [self._type()]
        while self._peek() == "/":
            self._next()
            options.append(self._type())
        return lambda value: any(option(value) for option in options)

    def _type(self) -> Check:
        token = self._next()
        if token == "(":
            inner = self._choice()
            self._expect(")")
            return inner
        if token == "[":
            return self._array()
        if token.startswith('"'):
            return lambda value: value == token[1:-1] and type(value) is str
        if ".." in token:
            low, high = map(int, token.split(".."))
            return lambda value: type(value) is int and low <= value <= high
        if token.isdigit():
            return lambda value: type(value) is int and value == int(token)
        if token == "bool":
            return lambda value: type(value) is bool
        if token == "null":
            return lambda value: value is None
        if token in ("bstr", "tstr"):
            return self._string(token)
        return lambda value: self.rules[token](value)

    def _string(self, name: str) -> Check:
        kind = bytes if name == "bstr" else str
        control = self._peek()
        if control == ".regexp":
            self._next()
            pattern = re.compile(self._next()[1:-1])
            return lambda value: type(value) is kind and pattern.fullmatch(value) is not None
        if control != ".size":
            return lambda value: type(value) is kind
        self._next()
        if self._peek() == "(":
            self._next()
            low, high = map(int, self._next().split(".."))
            self._expect(")")
        else:
            low = high = int(self._next())
        return lambda value: type(value) is kind and low <= _size(value) <= high

    def _array(self) -> Check:
        if "*" in self._peek():
            low, high = self._next().split("*")
            item = self._choice()
            self._expect("]")
            most = int(high) if high else 2**63
            return lambda value: (
                type(value) is list
                and int(low or 0) <= len(value) <= most
                and all(item(x) for x in value)
            )
        entries = []
        while self._peek() != "]":
            if self._peek(1) == ":":
                self._at += 2
            entries.append(self._choice())
            if self._peek() == ",":
                self._next()
        self._next()
        return lambda value: (
            type(value) is list
            and len(value) == len(entries)
            and all(check(x) for check, x in zip(entries, value, strict=True))
        )


def _size(value: str | bytes) -> int:
    return len(value.encode() if isinstance(value, str) else value)
