"""Ports for networks on this machine that nobody gave any: demonstrations, benches, tests."""

from __future__ import annotations

import secrets
import socket
from collections import deque
from contextlib import ExitStack
from typing import Final

from tallynet.errors import TallynetError
from tools.testnet_files import WEB_PORTS_ABOVE

__all__ = ["NoPorts", "free_ports"]

PORT_FIRST, PORT_LAST = 21_000, 29_000
STEP: Final = 2 * WEB_PORTS_ABOVE
"""Between two choices: nodes, and their web pages above."""
KEPT: Final = 8
"""Of a process's choices the last, from which others are kept away; the nodes of those before listen, or are gone."""
_kept: Final[deque[socket.socket]] = deque()


class NoPorts(TallynetError):
    """PORT_IN_USE: there are not so many."""


def free_ports(count: int) -> int:
    """First of `count` consecutive free ports on the loopback address, above which those of as many nodes' web pages
    are free too. Who chooses meanwhile, here or in another process, gets others: nodes take a second to listen.
    Raises NoPorts."""
    candidates = list(range(PORT_FIRST, PORT_LAST, STEP))
    first = secrets.randbelow(len(candidates))
    for base in candidates[first:] + candidates[:first]:
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0tally-ports-{base}")  # a name that the kernel forgets with the process
            _require_free(base, count)
        except OSError:
            lock.close()
            continue
        _kept.append(lock)
        if len(_kept) > KEPT:
            _kept.popleft().close()
        return base
    raise NoPorts("PORT_IN_USE", f"no {count} free ports between {PORT_FIRST} and {PORT_LAST}")


def _require_free(base: int, count: int) -> None:
    """Raises OSError."""
    with ExitStack() as held:
        for first in (base, base + WEB_PORTS_ABOVE):
            for port in range(first, first + count):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
