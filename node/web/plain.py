"""Data of a page as JSON: records as `tallynet.plain` writes them, so that programs read one form everywhere."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import StrEnum
from typing import Any

import msgspec

from tallynet.plain import to_plain

__all__ = ["encode", "plain"]


def plain(value: object) -> Any:
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, StrEnum):
        return value.value
    return to_plain(value)


def encode(value: object) -> bytes:
    return msgspec.json.encode(plain(value))
