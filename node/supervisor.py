"""What a node tells systemd, if systemd started it: ready, alive, what it does, stopping (sd_notify(3)).

One datagram of text to the socket that the environment names. The supervisor is asked for nothing, and a node
that nobody supervises tells nobody.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, final

__all__ = ["Supervisor"]

STATUS_BYTES_MAX: Final = 200
"""Of the sentence in `systemctl status`; longer ones are cut off there."""


@final
class Supervisor:
    """The environment's NOTIFY_SOCKET and WATCHDOG_USEC."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        name = environment.get("NOTIFY_SOCKET", "")
        self._address: Final = "\0" + name[1:] if name.startswith("@") else name
        """A name that begins with @ is in Linux's abstract space."""
        microseconds = environment.get("WATCHDOG_USEC", "")
        self.watchdog_seconds: Final = int(microseconds) / 1e6 if microseconds.isdigit() else 0.0
        """The process is killed when it says nothing for so long; 0: never."""

    def ready(self) -> None:
        """The node serves; also: settings were read again."""
        self._tell("READY=1")

    def alive(self, status: str) -> None:
        """The loop turns, and this is what the node does."""
        text = status.replace("\n", " ").encode()[:STATUS_BYTES_MAX].decode(errors="ignore")
        self._tell(f"WATCHDOG=1\nSTATUS={text}")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.setblocking(False)
            notify.sendto(state.encode(), self._address)
