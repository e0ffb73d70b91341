"""Where web pages are served: an address of this machine, until there are logins."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from node.config import ConfigError

__all__ = ["WebAddress", "parse_address"]

_ADDRESS: Final = re.compile(r"(?:\[([0-9a-f:]+)\]|([0-9.]+)):([0-9]{1,5})")


HTTP_PORT: Final = 80
"""Left out by browsers."""


@dataclass(frozen=True, slots=True)
class WebAddress:
    host: str
    port: int

    @property
    def names(self) -> frozenset[str]:
        """What a browser of this machine puts into the Host header. Any other name is that of a foreign page which
        had its own name point here (DNS rebinding), to read answers that its origin may not read."""
        hosts = {self.host, "localhost"}
        written = [f"[{host}]" if ":" in host else host for host in hosts]
        named = [f"{host}:{self.port}" for host in written]
        return frozenset(named + (written if self.port == HTTP_PORT else []))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> WebAddress:
    """The address in `[web] listen`.

    Raises:
        ConfigError: WEB_LISTEN, it cannot be read; WEB_NOT_LOOPBACK, other machines could come there.
    """
    match = _ADDRESS.fullmatch(text)
    try:
        host = ip_address((match[1] or match[2]) if match else "")
        port = int(match[3]) if match else 0
    except ValueError:
        host, port = ip_address("127.0.0.1"), 0
    if not 1 <= port <= 65_535:
        raise ConfigError("WEB_LISTEN", f"[web] listen = {text!r}: write it like 127.0.0.1:7132")
    if not host.is_loopback:
        raise ConfigError(
            "WEB_NOT_LOOPBACK",
            f"[web] listen = {text!r}: only addresses of this machine, e.g. 127.0.0.1:{port}: pages ask nobody who he is",
        )
    return WebAddress(str(host), port)
