"""Structured logs: one JSON object per line on standard output, the same names everywhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO}


class _Threshold:
    """The least level that is written. It changes while the node runs; loggers are made once."""

    def __init__(self) -> None:
        self.level = logging.INFO

    def __call__(
        self, _logger: Any, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        if method == "debug" and self.level > logging.DEBUG:
            raise structlog.DropEvent
        return event


_threshold: Final = _Threshold()


def configure(node: str, level: str = "info") -> None:
    """Log JSON lines with time, level, node and event name. Call once, before anything logs."""
    set_level(level)
    structlog.configure(
        processors=[
            _threshold,
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=_readable),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(node=node)


def set_level(level: str) -> None:
    """`debug` or `info`, from now on."""
    _threshold.level = _LEVELS[level]


def tells_everything() -> bool:
    """Whether lines of level debug are written."""
    return _threshold.level <= logging.DEBUG


def _readable(value: object) -> object:
    """Bytes as hexadecimal, everything else by its text."""
    return value.hex() if isinstance(value, bytes) else str(value)
