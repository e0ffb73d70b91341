"""Structured logs: one JSON object per line on standard output, the same names everywhere."""

from __future__ import annotations

import logging
import sys

import structlog


def configure(node: str) -> None:
    """Log JSON lines with time, level, node and event name. Call once, before anything logs."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=_readable),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(node=node)


def _readable(value: object) -> object:
    """Bytes as hexadecimal, everything else by its text."""
    return value.hex() if isinstance(value, bytes) else str(value)
